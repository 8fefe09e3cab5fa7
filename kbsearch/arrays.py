"""``.npy`` files as memory-mapped arrays.

NumPy reads the header of such a file as Python, and Python 3.11 loses count of its depth when two threads do that at
once (``SystemError: AST constructor recursion depth mismatch``). So headers are read one at a time, here and nowhere
else.

Use: ``map_array(file)``; :func:`map_sound_array` where anything else than an array is damage to an index.
"""

from __future__ import annotations

import threading
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kbsearch.errors import IndexCorrupt

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HEADERS", "map_array", "map_sound_array"]

HEADERS: Final = threading.Lock()
"""Held by who lets NumPy read a header."""


def map_array(file: Path) -> np.memmap[Any, Any]:
    """Map a file; raises what NumPy raises, which is half a dozen things for a damaged one."""
    with HEADERS:
        found: np.memmap[Any, Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    return found


def map_sound_array(file: Path, wanted: str) -> np.memmap[Any, Any]:
    """The same; an ``IndexCorrupt`` that misses what is ``wanted`` when it is no array."""
    try:
        return map_array(file)
    except (ValueError, OSError, EOFError, SyntaxError, TypeError, KeyError, MemoryError, TokenError) as error:
        raise IndexCorrupt(file, wanted, (str(error).splitlines() or ["none"])[0]) from error
