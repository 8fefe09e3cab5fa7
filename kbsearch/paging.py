"""Reading an index that is larger than the memory that there is for it.

The system reads a mapped file ahead of what is asked for, and keeps what it read. Of an index that fits into memory it
has soon read everything. Of a larger one, where a question wants some hundred rows from all over, what is read ahead
drives out what the next question needs, and every question waits for the disk.

Use: ``read_sparsely(folder)`` after files of the folder were mapped, if :func:`is_scarce`.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["is_scarce", "memory_limit", "read_sparsely"]

_SHARE: Final = 2  # of a question's memory the index may have one half
_MAPS: Final = Path("/proc/self/maps")
_CGROUPS: Final = Path("/proc/self/cgroup")
_MOUNT: Final = Path("/sys/fs/cgroup")
_LIMITS: Final = "memory.max", "memory.limit_in_bytes"  # of a control group, version 2 and 1


def is_scarce(size: int) -> bool:
    """Whether files of so many bytes take more than half of :func:`memory_limit`."""
    limit = memory_limit()
    return limit is not None and size > limit // _SHARE


def memory_limit() -> int | None:
    """Bytes that this process may have, its files in memory included.

    Returns
    -------
    int or None
        What the machine has, or the least that a control group lets a container have; None where nobody says.
    """
    found = [*_limits_of_groups()]
    if hasattr(os, "sysconf") and (pages := os.sysconf("SC_PHYS_PAGES")) > 0:
        found.append(pages * os.sysconf("SC_PAGE_SIZE"))
    return min(found, default=None)


def _limits_of_groups() -> Iterator[int]:
    """Limits of the control groups of this process and of those above them, where they are set."""
    try:
        groups = [line.split(":", 2) for line in _CGROUPS.read_text("utf-8").splitlines()]
    except (OSError, ValueError):  # another system
        return
    for _, kinds, path in (group for group in groups if len(group) == 3):  # noqa: PLR2004 - number:kinds:path
        if kinds and "memory" not in kinds.split(","):
            continue
        root = _MOUNT / "memory" if kinds else _MOUNT
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            for name in _LIMITS:
                try:
                    yield int((folder / name).read_text("ascii"))
                except (OSError, ValueError):  # none here; or "max", which is none
                    continue
            if folder == root:
                break


def read_sparsely(folder: Path) -> int:
    """Let the system read no more of the mapped files in a folder than is asked for; answers how many maps there are.

    It asks the system what is mapped, so that it does not matter which library did it. Elsewhere than on Linux nothing
    happens.
    """
    advice = getattr(mmap, "MADV_RANDOM", None)
    try:
        lines = _MAPS.read_bytes().split(b"\n")
    except OSError:
        return 0
    if advice is None:
        return 0
    # The system names the files themselves, not the links to them, and writes a line end as an escape.
    inside = os.fsencode(f"{folder.resolve()}{os.sep}").replace(b"\n", rb"\012")
    library, found = ctypes.CDLL(None), 0
    library.madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    for line in lines:
        fields = line.split(None, 5)
        if fields[5:] and fields[5].startswith(inside):
            first, end = (int(number, 16) for number in fields[0].split(b"-"))
            found += library.madvise(first, end - first, advice) == 0
    return found
