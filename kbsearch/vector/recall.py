"""How much a derived index finds: passages asked as questions, against a comparison with all rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch.vector.files import blocks_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from kbsearch.model import FloatArray, RowArray

__all__ = ["AT", "share_found", "spread_sample"]

AT: Final = 100
"""Of so many exact neighbours the share is taken."""

_SAMPLE: Final = 200


def spread_sample(rows: RowArray, size: int) -> RowArray:
    """At most ``size`` of the rows, spread over all."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), size), dtype=np.int64)]


def share_found(vectors: FloatArray, rows: RowArray, search: Callable[[FloatArray], RowArray]) -> float:
    """Recall@100 of a search among some ``rows`` of ``vectors``.

    ``search`` gives, for questions of shape (n, dimension), places in ``rows``: int64 of shape (n, any).
    """
    sample = vectors[spread_sample(rows, _SAMPLE)]
    at = min(AT, len(rows))
    best = np.full((len(sample), at), -np.inf, dtype=np.float32)
    places = np.zeros((len(sample), at), dtype=np.int64)
    done = 0
    for block in blocks_of(vectors, rows):
        scores = np.hstack([best, sample @ block.T])
        chosen = np.argpartition(scores, scores.shape[1] - at, axis=1)[:, -at:]
        own = np.where(chosen < at, np.take_along_axis(places, np.minimum(chosen, at - 1), axis=1), chosen - at + done)
        best, places = np.take_along_axis(scores, chosen, axis=1), own
        done += len(block)
    hits = sum(len(np.intersect1d(exact, found)) for exact, found in zip(places, search(sample), strict=True))
    return round(hits / places.size, 4)
