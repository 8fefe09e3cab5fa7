"""The rows of one script: few of them are compared one by one, many through a graph.

A graph leads to the question's neighbourhood whatever a filter says. Where too few of the rows there may answer (a
category that is about something else), all that may are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from kbsearch.native import best
from kbsearch.vector.codes import RowCodes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray

__all__ = ["Allowed", "Derived", "Part"]

_FEW: Final = 20_000  # rows that are compared one by one sooner than through the codes of a graph
_RESCORED: Final = 4  # times as many as wanted are taken from these codes, which round
_NO_ROWS: Final = np.empty(0, dtype=np.int64)
_NO_SCORES: Final = np.empty(0, dtype=np.float32)
_TIE_MARGIN: Final = 16


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


class Derived(Protocol):
    """An index over the rows of a part, which leads to some of them. A short answer may be padded with −1."""

    def places(self, query: FloatArray, limit: int, allowed: float, *, thorough: bool) -> RowArray | None:
        """Places near ``query``, more than ``limit`` where a share only is ``allowed``; None where that is too many."""

    def scan(self, query: FloatArray, limit: int, bits: NDArray[np.uint8] | None) -> RowArray | None:
        """At most ``limit`` places, of those whose bit is set, by comparing all; None where that is no sooner done."""


class Part:
    """Rows with their vectors, open; immutable, shared between threads.

    Parameters
    ----------
    vectors
        Of all rows of the leg.
    rows
        Those of this part, ascending.
    derived
        Over the vectors of ``rows``, in their order; None where there are few.
    """

    def __init__(self, vectors: FloatArray, rows: RowArray, derived: RowCodes | Derived | None) -> None:
        self.vectors, self.rows = vectors, rows
        self._codes: RowCodes | None = derived if isinstance(derived, RowCodes) else None
        self._derived: Derived | None = None if isinstance(derived, RowCodes) else derived

    @property
    def approximate(self) -> bool:
        """Whether a row may be missed."""
        return self._derived is not None

    def search(
        self, query: FloatArray, k: int, allowed: Allowed | None, *, thorough: bool = True
    ) -> tuple[RowArray, FloatArray]:
        """The best k rows with their exact cosines: score descending, row ascending.

        Where not every row is compared, one in some hundred may be missed, of those far down more than of the first;
        fewer are looked at when not ``thorough``.
        """
        count = len(self.rows) if allowed is None else allowed.count
        k = min(k, count)
        if k <= 0:
            return _NO_ROWS, _NO_SCORES
        if self._codes is not None:
            return self._codes.nearest(self.vectors, self.rows, None if allowed is None else allowed.mask, query, k)
        limit = min(k + _TIE_MARGIN, count)
        while True:
            among = self._proposed(query, limit, allowed, thorough=thorough)
            rows, scores = best(self.vectors, among, query, min(limit, len(among)))
            if len(among) == count or limit == count or len(rows) < limit or scores[-1] < scores[k - 1]:
                return rows[:k], scores[:k]
            limit = min(limit * 4, count)  # a tie across the edge: look further

    def _proposed(self, query: FloatArray, limit: int, allowed: Allowed | None, *, thorough: bool) -> RowArray:
        """Rows among which the best ``limit`` are, but for a few."""
        every: RowArray = self.rows if allowed is None else self.rows[allowed.mask]
        if self._derived is None:
            return every
        share = 1.0 if allowed is None else allowed.count / len(self.rows)
        places = self._derived.places(query, limit, share, thorough=thorough)
        if places is not None:
            places = _unpadded(places)
            places = places if allowed is None else places[allowed.mask[places]]
            if len(places) >= limit:
                return self.rows[places]
        if len(every) > _FEW:
            bits = None if allowed is None else allowed.bits
            places = self._derived.scan(query, min(_RESCORED * limit, len(self.rows)), bits)
            return every if places is None else self.rows[_unpadded(places)]
        return every


def _unpadded(places: RowArray) -> RowArray:
    return places if places[-1] >= 0 else places[places >= 0]
