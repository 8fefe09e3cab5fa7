"""``vectors.npy``, the truth of the dense leg: float32, shape (n, dimension), C order, memory-mapped."""

from __future__ import annotations

from tokenize import TokenError
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kbsearch.errors import IndexCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from kbsearch.model import FloatArray, RowArray

__all__ = ["cosine_statistics", "map_vectors", "read_vectors", "write_vectors"]

_FEW_PASSAGES: Final = 30
_USUAL_COSINES: Final = (0.82, 0.03)
_LEAST_SPREAD: Final = 0.005
_READ_AT_ONCE: Final = 8_192


def write_vectors(file: Path, blocks: Iterable[FloatArray], shape: tuple[int, int]) -> None:
    """Write the truth, block by block. Together these are float32, of ``shape`` (passages, dimension), of length 1."""
    rows, dimension = shape
    with file.open("wb") as target:
        header = {"descr": np.dtype(np.float32).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(target, header)
        for vectors in blocks:
            if vectors.dtype != np.float32 or vectors.shape != (len(vectors), dimension):
                raise AssertionError(f"vectors must be a float32 matrix, not {vectors.dtype} {vectors.shape}")
            target.write(np.ascontiguousarray(vectors).data)
            rows -= len(vectors)
    if rows:
        raise AssertionError(f"{rows} vectors fewer than the {shape[0]} that there should be")


def read_vectors(file: Path, rows: RowArray) -> Iterator[FloatArray]:
    """Vectors of ascending ``rows``, some at a time: for who reads them once, and without mapping what it has read."""
    mapped = _mapped(file)
    dimension = mapped.shape[1]
    for first in range(0, len(mapped), _READ_AT_ONCE):
        some = rows[slice(*np.searchsorted(rows, (first, first + _READ_AT_ONCE)))]
        if len(some):
            count = min(_READ_AT_ONCE, len(mapped) - first)
            place = mapped.offset + first * mapped.strides[0]
            block = np.fromfile(file, mapped.dtype, count * dimension, offset=place).reshape(count, dimension)
            yield block if len(some) == count else block[some - first]


def map_vectors(file: Path) -> FloatArray:
    """Vectors as :func:`write_vectors` left them, memory-mapped; float32, shape (n, dimension).

    Raises
    ------
    IndexCorrupt
        When the file is anything else.
    """
    return np.asarray(_mapped(file))


def _mapped(file: Path) -> np.memmap[Any, np.dtype[np.float32]]:
    try:
        vectors = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError, TokenError) as error:  # NumPy reads the header as Python
        raise IndexCorrupt(file, "a float32 matrix", (str(error).splitlines() or ["none"])[0]) from error
    if vectors.ndim != 2 or vectors.dtype != np.float32:  # noqa: PLR2004 - a matrix
        raise IndexCorrupt(file, "a float32 matrix", f"{vectors.dtype} of {vectors.ndim} dimensions")
    size, promised = file.stat().st_size, vectors.offset + vectors.nbytes
    if size != promised or not vectors.flags.c_contiguous:
        raise IndexCorrupt(file, f"{promised} bytes in C order, as its header says", f"{size} bytes")
    mapped: np.memmap[Any, np.dtype[np.float32]] = vectors
    return mapped


def cosine_statistics(vectors: FloatArray) -> tuple[float, float]:
    """Mean and standard deviation of the cosine between passages that have nothing to do with each other.

    Taken over all pairs of a sample, float32 of shape (n, dimension). Encoders put them anywhere between 0 and 0.9, so
    a cosine says something only in these units. Fewer than ``_FEW_PASSAGES`` are too few to measure: then the default
    encoder's usual figures.
    """
    if len(vectors) < _FEW_PASSAGES:
        return _USUAL_COSINES
    cosines = vectors @ vectors.T
    apart = cosines[np.triu_indices(len(vectors), k=1)].astype(np.float64)
    return round(float(apart.mean()), 6), round(max(float(apart.std()), _LEAST_SPREAD), 6)
