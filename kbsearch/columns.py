"""Columns of a generation: one-dimensional arrays, memory-mapped, checked when they are opened."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from kbsearch.arrays import map_sound_array
from kbsearch.errors import IndexCorrupt
from kbsearch.structures import Damaged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["FITTING", "INSIDE", "let_go", "load_column", "save_column", "soundly"]

FITTING: Final = "columns that fit each other"
INSIDE: Final = "places inside the columns"
"""What is missed where columns have other lengths, and where a number of one leads out of another."""

Value = TypeVar("Value")
Number = TypeVar("Number", np.uint32, np.uint16, np.int32, np.int64, np.float32, np.bool_)


def save_column(file: Path, values: NDArray[Number]) -> None:
    """Write a column."""
    np.save(file, values, allow_pickle=False)


def load_column(file: Path, dtype: type[Number], length: int | None = None) -> NDArray[Number]:
    """Map a column of ``dtype`` and, if given, ``length``.

    Raises
    ------
    IndexCorrupt
        When the file is something else.
    """
    column = map_sound_array(file, f"a column of {dtype.__name__}")
    wrong_length = length is not None and len(column) != length
    if column.ndim != 1 or column.dtype != dtype or wrong_length or not column.flags.aligned:
        raise IndexCorrupt(file, f"a column of {dtype.__name__}", f"{column.dtype} of shape {column.shape}")
    return np.asarray(column)


def let_go(mapped: NDArray[Any]) -> None:
    """Give back the memory of what was read of a mapped array; it is read again when it is wanted."""
    held: Any = mapped
    while isinstance(held, np.ndarray):
        held = held.base
    if isinstance(held, mmap.mmap):
        held.madvise(mmap.MADV_DONTNEED)


def soundly(place: Path, wanted: str, function: Callable[..., Value], *given: Any) -> Value:
    """What a function of the compiled part gives, or one of its structures.

    Raises
    ------
    IndexCorrupt
        When it finds a column damaged; names the folder or file and what is ``wanted`` of it.
    """
    try:
        return function(*given)
    except Damaged as error:
        raise IndexCorrupt(place, wanted, str(error)) from error
