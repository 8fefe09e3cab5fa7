"""A scan of many rows by codes of four bits a dimension: FAISS's fast scan (André, Kermarrec & Le Scouarnec 2015).

The codes of all rows are looked up in the processor's own registers, some fifty thousand rows in a tenth of a
millisecond; the best of them by their codes (``reach``) are then scored exactly. That is faster than a walk through a
graph as long as the codes fit into the processor's cache, misses less, and takes a second to build instead of a minute.
How many have to be scored is found out when the codes are written: the least that holds ``_RECALL`` of the exact
neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import faiss
import numpy as np

from kbsearch.errors import IndexCorrupt
from kbsearch.vector.files import blocks_of
from kbsearch.vector.recall import AT, Neighbours, least_reach, spread_sample

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray

__all__ = ["Scan", "write_scan"]

_BITS: Final = 4
_TRAINING: Final = 5_000
_REACHES: Final = (150, 200, 300, 400, 600, 1000, 2000)
_RECALL: Final = 0.98
_FEWER: Final = 1.5  # times as many as wanted, where not every one of them matters
_MOST: Final = 4096  # rows that are proposed; where a filter wants more, all that may answer are compared


def write_scan(file: Path, vectors: FloatArray, rows: RowArray) -> tuple[int, float]:
    """Write the codes of some ``rows`` of ``vectors``; returns the ``reach`` and the recall@100 that it gives."""
    dimension = vectors.shape[1]
    codes = faiss.IndexPQFastScan(dimension, dimension, _BITS, faiss.METRIC_INNER_PRODUCT)
    training = vectors[spread_sample(rows, _TRAINING)]
    centre = training.mean(axis=0)  # an inner product with it is the same for all rows
    codes.train(training - centre)
    for block in blocks_of(vectors, rows):
        codes.add(block - centre)
    faiss.write_index(codes, str(file))

    def scan(questions: FloatArray, reach: int) -> RowArray:
        found: RowArray = codes.search(questions, min(reach, len(rows)))[1]
        return found

    return least_reach(Neighbours.of(vectors, rows), scan, _REACHES, _RECALL)


class Scan:
    """Open codes of ``size`` rows; immutable, shared between threads.

    Raises
    ------
    IndexCorrupt
        When the file is something else.
    """

    def __init__(self, file: Path, size: int, dimension: int, reach: int) -> None:
        try:
            self._codes: Any = faiss.read_index(str(file))
        except RuntimeError as error:
            raise IndexCorrupt(file, "4-bit codes", str(error).splitlines()[0]) from error
        found = self._codes.ntotal, self._codes.d
        if not isinstance(self._codes, faiss.IndexPQFastScan) or found != (size, dimension):
            raise IndexCorrupt(file, f"codes of {size} rows of {dimension} numbers", f"{found[0]} of {found[1]}")
        self._reach = reach

    def places(self, query: FloatArray, limit: int, allowed: float, *, thorough: bool) -> RowArray | None:
        """Rows near ``query``, more than ``limit`` where a share of them only is ``allowed``; None: compare all."""
        wanted = int(limit * (self._reach / AT if thorough else _FEWER) / allowed) + 1
        if wanted > _MOST:
            return None
        found: RowArray = self._codes.search(query[np.newaxis], min(wanted, self._codes.ntotal))[1][0]
        return found

    def scan(self, query: FloatArray, limit: int, bits: NDArray[np.uint8] | None) -> RowArray | None:  # noqa: ARG002
        """None: FAISS's fast scan knows no filter, and vectors are compared about as fast."""
        return None
