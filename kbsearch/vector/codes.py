"""Every row as 8-bit codes, for a scan that is exact: a row is about ``centre + steps * code``.

``errors`` has how far each row is from that, so a code says between which bounds a cosine lies (Cauchy and Schwarz).
Rows whose upper bound reaches the best ``k`` are compared in full; of ten thousand passages these are some three
hundred. A scan reads a quarter of the bytes and answers as if it had read all.

Use: :func:`write_codes` once, then :func:`open_codes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch.columns import soundly
from kbsearch.errors import IndexCorrupt
from kbsearch.vector.compiled import Codes
from kbsearch.vector.files import blocks_of, map_matrix

if TYPE_CHECKING:
    from pathlib import Path

    from kbsearch.model import FloatArray, RowArray

__all__ = ["open_codes", "write_codes"]

_STEPS: Final = 127  # to either side of the centre
_FINEST: Final = 16


def write_codes(folder: Path, vectors: FloatArray, rows: RowArray) -> None:
    """Write the codes of some ``rows`` of ``vectors`` into a new folder."""
    folder.mkdir()
    centre = np.zeros(vectors.shape[1], dtype=np.float64)
    for block in blocks_of(vectors, rows):
        centre += block.sum(axis=0, dtype=np.float64)
    centre = (centre / max(len(rows), 1)).astype(np.float32)
    farthest = np.zeros(vectors.shape[1], dtype=np.float32)
    for block in blocks_of(vectors, rows):
        farthest = np.maximum(farthest, np.abs(block - centre).max(axis=0))
    # None much finer than the coarsest: a question is rounded to 16 bits in these steps.
    steps = np.maximum(farthest, farthest.max(initial=0) / _FINEST) / np.float32(_STEPS)
    steps[steps == 0] = 1  # all rows are alike, or the step is too small for a float32
    codes = np.empty((len(rows), vectors.shape[1]), dtype=np.int8)
    errors = np.empty((len(rows), 1), dtype=np.float32)
    done = 0
    for block in blocks_of(vectors, rows):
        here = slice(done, done + len(block))
        codes[here] = np.clip(np.rint((block - centre) / steps), -_STEPS, _STEPS)
        rest = block.astype(np.float64) - centre - steps.astype(np.float64) * codes[here]
        errors[here, 0] = np.nextafter(np.linalg.norm(rest, axis=1).astype(np.float32), np.float32(np.inf))
        done += len(block)
    for name, matrix in (("codes", codes), ("errors", errors), ("frame", np.stack([centre, steps]))):
        np.save(folder / f"{name}.npy", matrix, allow_pickle=False)


def open_codes(folder: Path, size: int, dimension: int) -> Codes:
    """Codes of ``size`` rows of so many dimensions, memory-mapped.

    Raises
    ------
    IndexCorrupt
        When a file is something else.
    """
    codes = map_matrix(folder / "codes.npy", np.int8)
    errors, frame = map_matrix(folder / "errors.npy", np.float32), map_matrix(folder / "frame.npy", np.float32)
    shapes = codes.shape, errors.shape, frame.shape
    if shapes != ((size, dimension), (size, 1), (2, dimension)):
        raise IndexCorrupt(folder, f"codes of {size} rows of {dimension} numbers", f"shapes {shapes}")
    return soundly(folder, "codes and their errors", Codes, codes, errors[:, 0], frame[0], frame[1])
