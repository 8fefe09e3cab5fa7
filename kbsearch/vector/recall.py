"""How much a derived index finds: passages asked as questions, against a comparison with all rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from kbsearch.vector.files import blocks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kbsearch.model import FloatArray, RowArray

__all__ = ["AT", "Neighbours", "least_reach", "spread_sample"]

AT: Final = 100
"""Of so many exact neighbours the share is taken."""

_SAMPLE: Final = 200
_DIGITS: Final = 5
_EQUAL: Final = 10.0**-_DIGITS


def spread_sample(rows: RowArray, size: int) -> RowArray:
    """At most ``size`` of the rows, spread over all."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), size), dtype=np.int64)]


class Neighbours(NamedTuple):
    """Passages asked as questions, float32 of shape (n, dimension), and places of their nearest rows, (n, up to AT)."""

    questions: FloatArray
    places: RowArray

    @classmethod
    def of(cls, vectors: FloatArray, rows: RowArray) -> Neighbours:
        """Those among some ``rows`` of ``vectors``, by comparing all: done once, however many reaches are tried."""
        sample = vectors[spread_sample(rows, _SAMPLE)]
        at = min(AT, len(rows))
        best = np.full((len(sample), at), -np.inf, dtype=np.float32)
        places = np.zeros((len(sample), at), dtype=np.int64)
        done = 0
        for block in blocks_of(vectors, rows):
            scores = np.hstack([best, sample @ block.T])
            chosen = _first_best(scores, at)
            old = np.take_along_axis(places, np.minimum(chosen, at - 1), axis=1)
            places = np.where(chosen < at, old, chosen - at + done)
            best = np.take_along_axis(scores, chosen, axis=1)
            done += len(block)
        return cls(sample, places)

    def share(self, found: RowArray) -> float:
        """Recall@100 of places that were found for the questions: int64 of shape (n, any)."""
        hits = sum(len(np.intersect1d(exact, some)) for exact, some in zip(self.places, found, strict=True))
        return round(hits / self.places.size, 4)


def _first_best(scores: FloatArray, at: int) -> RowArray:
    """Places of the ``at`` greatest scores of each question; of equal ones, as of twins, the first.

    A matrix product may give equal rows scores that differ in the last digit.
    """
    chosen = np.empty((len(scores), at), dtype=np.int64)
    edges = np.partition(scores, scores.shape[1] - at, axis=1)[:, -at]
    for some, own, edge in zip(chosen, scores, edges, strict=True):
        able = np.flatnonzero(own >= edge - _EQUAL)
        if len(able) < at:  # scores that are no numbers: any places will do
            able = np.arange(len(own))
        some[:] = able[np.argsort(-own[able].round(_DIGITS), kind="stable")[:at]]
    return chosen


def least_reach(
    exact: Neighbours, search: Callable[[FloatArray, int], RowArray], reaches: Sequence[int], wanted: float
) -> tuple[int, float]:
    """The first reach with which a search finds the share that is wanted, or the last; and the share that it finds."""
    reach, recall = 0, 0.0
    for reach in reaches:
        recall = exact.share(search(exact.questions, reach))
        if recall >= wanted:
            break
    return reach, recall
