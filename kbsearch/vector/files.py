"""``vectors.npy``, the truth of the dense leg: float32, shape (n, dimension), C order, memory-mapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from kbsearch.arrays import map_sound_array
from kbsearch.errors import IndexCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray

__all__ = ["blocks_of", "cosine_statistics", "map_matrix", "map_vectors", "write_vectors"]

_FEW_PASSAGES: Final = 30
_USUAL_COSINES: Final = (0.82, 0.03)
_LEAST_SPREAD: Final = 0.005
_BLOCK: Final = 20_000

Number = TypeVar("Number", np.float32, np.int8, np.uint8)


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


def map_vectors(file: Path) -> FloatArray:
    """Vectors as :func:`write_vectors` left them, memory-mapped; float32, shape (n, dimension).

    Raises
    ------
    IndexCorrupt
        When the file is anything else.
    """
    return map_matrix(file, np.float32)


def map_matrix(file: Path, dtype: type[Number]) -> NDArray[Number]:
    """A matrix of any size, memory-mapped; ``IndexCorrupt`` when the file is anything else."""
    name = f"a matrix of {np.dtype(dtype)}"
    matrix = map_sound_array(file, name)
    if matrix.ndim != 2 or matrix.dtype != dtype:  # noqa: PLR2004 - a matrix
        raise IndexCorrupt(file, name, f"{matrix.dtype} of {matrix.ndim} dimensions")
    size, promised = file.stat().st_size, matrix.offset + matrix.nbytes
    if size != promised or not matrix.flags.c_contiguous:
        raise IndexCorrupt(file, f"{promised} bytes in C order, as its header says", f"{size} bytes")
    return np.asarray(matrix)


def blocks_of(vectors: FloatArray, rows: RowArray) -> Iterator[FloatArray]:
    """Some ``rows`` of ``vectors``, in their order, a few at a time: all at once may not fit into memory."""
    for start in range(0, len(rows), _BLOCK):
        yield vectors[rows[start : start + _BLOCK]]


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
