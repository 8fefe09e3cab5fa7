"""Speed of kbsearch beside other systems, at any size: ``python -m benchmarks.run --quick``; ``--help`` says more.

The suite is the package ``speed`` in this folder.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # so that `-m benchmarks.run` finds it as the script does

from speed.app import main

if __name__ == "__main__":
    sys.exit(main())
