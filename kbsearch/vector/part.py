"""The rows of one script: few of them are compared one by one, many through a graph.

A graph leads to the question's neighbourhood whatever a filter says. Where too few of the rows there may answer (a
category that is about something else), all that may are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch.native import dots

if TYPE_CHECKING:
    import faiss
    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray
    from kbsearch.vector.graph import Graph

__all__ = ["Allowed", "Part"]

_TINY: Final = 2_000  # rows whose comparison takes less time than FAISS takes to load, for a hundred questions
_MOST_NEIGHBOURS: Final = 1024  # where a filter wants more, a comparison with all costs no more
_SPARE: Final = 1.5
_FEW: Final = 20_000  # rows that are compared one by one sooner than through the codes
_RESCORED: Final = 4  # times as many as wanted are taken from the codes, which round
_NO_ROWS: Final = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Allowed:
    """Which places of a part may answer: a bool for each, the same as a bitmap, and how many there are."""

    mask: NDArray[np.bool_]
    bits: NDArray[np.uint8]
    count: int

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> Allowed:
        """From a bool for each place."""
        return cls(mask, np.packbits(mask, bitorder="little"), int(np.count_nonzero(mask)))


class Part:
    """Rows with their vectors, open; immutable, shared between threads.

    Parameters
    ----------
    vectors
        Of all rows of the leg.
    rows
        Those of this part, ascending.
    graph
        Over the vectors of ``rows``, in their order; None where there are few.
    """

    def __init__(self, vectors: FloatArray, rows: RowArray, graph: Graph | None) -> None:
        self.vectors, self.rows, self.graph = vectors, rows, graph
        self._flat: faiss.Index | None = None
        if graph is None and len(rows) > _TINY:
            self._flat = _exact(vectors if len(rows) == len(vectors) else vectors[rows])

    def candidates(
        self, query: FloatArray, limit: int, allowed: Allowed | None, *, thorough: bool = True
    ) -> tuple[RowArray, FloatArray]:
        """The best ``limit`` rows or more, in any order, with their exact cosines; see :meth:`Graph.neighbours`."""
        count = len(self.rows) if allowed is None else allowed.count
        if count == 0 or limit <= 0:
            return _NO_ROWS, np.empty(0, dtype=np.float32)
        if self._flat is not None:
            return self._scan(self._flat, query, min(limit, count), allowed)
        if self.graph is not None:
            rows = self.rows[self._places(self.graph, query, limit, allowed, thorough=thorough)]
        else:
            rows = self.rows if allowed is None else self.rows[allowed.mask]
        return rows, dots(self.vectors, rows, query)

    def _scan(
        self, flat: faiss.Index, query: FloatArray, limit: int, allowed: Allowed | None
    ) -> tuple[RowArray, FloatArray]:
        import faiss

        parameters = None if allowed is None else faiss.SearchParameters(sel=faiss.IDSelectorBitmap(allowed.bits))
        scores, places = flat.search(query[np.newaxis], limit, params=parameters)
        return self.rows[places[0]], scores[0]

    def _places(
        self, graph: Graph, query: FloatArray, limit: int, allowed: Allowed | None, *, thorough: bool
    ) -> RowArray:
        size = len(self.rows)
        wanted = limit if allowed is None else int(_SPARE * limit * size / allowed.count)
        if wanted <= _MOST_NEIGHBOURS:
            places = graph.neighbours(query, min(wanted, size), thorough=thorough)
            places = places if allowed is None else places[allowed.mask[places]]
            if len(places) >= limit:
                return places
        if allowed is not None and allowed.count <= _FEW:
            return np.flatnonzero(allowed.mask)
        return graph.scan(query, min(_RESCORED * limit, size), None if allowed is None else allowed.bits)


def _exact(vectors: FloatArray) -> faiss.Index:
    import faiss

    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    return flat
