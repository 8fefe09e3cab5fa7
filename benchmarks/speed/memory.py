"""Memory of this process: what is its own, and what is pages of files that the system may take back.

Use: ``memory()``, in bytes.

Never: compare RSS alone; a mapped index counts in it as long as memory is plenty, and an index on the heap always.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Final

__all__ = ["memory"]

_ROLLUP: Final = Path("/proc/self/smaps_rollup")
_FIELDS: Final = {"Rss": "rss", "Pss": "pss", "Pss_Anon": "anonymous", "Pss_File": "file", "Pss_Shmem": "shared"}


def memory() -> dict[str, int]:
    """RSS, PSS and the parts of PSS, with those of child processes where there are any; RSS alone outside Linux."""
    import psutil

    gc.collect()
    found = _rollup(_ROLLUP) if _ROLLUP.exists() else {"rss": int(psutil.Process().memory_info().rss)}
    for child in psutil.Process().children(recursive=True):
        for name, size in _rollup(Path(f"/proc/{child.pid}/smaps_rollup")).items():
            found[name] = found.get(name, 0) + size
    return found


def _rollup(file: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    try:
        lines = file.read_text("utf-8").splitlines()[1:]
    except OSError:  # gone, or another user's
        return found
    for line in lines:
        name, _, rest = line.partition(":")
        if name in _FIELDS:
            found[_FIELDS[name]] = int(rest.split()[0]) * 1024
    return found
