"""Tables and pictures of the speed results: ``python -m benchmarks.report [FOLDER]``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # so that `-m benchmarks.report` finds it as the script does

from speed.report import main

if __name__ == "__main__":
    sys.exit(main())
