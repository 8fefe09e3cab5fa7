"""Candidates and their order; scores of one leg alone.

Every candidate has the score of every leg, whichever leg proposed it, so nothing is guessed for a missing one. What is
ranked are articles: an article has, from each leg, the score of its best row (:func:`best_of_articles`), so that a
title that matches and a passage that means the same count together. In hybrid mode :mod:`kbsearch.ranker` scores them.

Where there is no model to ask (one leg alone, and the rows of one article among themselves) the legs are brought to a
common scale and added (convex combination: Bruch, Gai & Ingber 2023, "An Analysis of Fusion Functions for Hybrid
Retrieval", §3): BM25 is divided by the most that the question could score, the share of its idf mass that the passage
covers, raised to a power above 1 so that a chance word weighs little; the cosine is placed between the pool's lowest
and highest.

Never: break a tie by anything but the row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Self

import numpy as np

from kbsearch.structures import Pooled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray

__all__ = ["BASELINES", "MODES", "WORDS_ONLY", "Candidates", "Mode", "Overlap", "best_of_articles", "order", "rank"]

Mode = Literal["hybrid", "lexical", "dense", "words", "grams", "rrf", "minmax"]
MODES: Final[tuple[Mode, ...]] = ("hybrid", "lexical", "dense")
"""The ways to search."""

BASELINES: Final[tuple[Mode, ...]] = ("words", "grams", "rrf", "minmax")
"""What to measure them against: each stream alone, reciprocal rank fusion (Cormack, Clarke & Büttcher 2009) of words,
grams and cosine, and half of their scores between lowest and highest of the pool for the lexical streams together."""

WORDS_ONLY: Final[frozenset[Mode]] = frozenset({"lexical", "words", "grams"})
"""Modes that ask no encoder."""

_RRF_K: Final = 60

_LEXICAL = np.float32(0.55)  # the rest is the dense leg's
_MIN_COSINE_SPREAD = 0.02  # pools closer together than this say nothing by their order


@dataclass(frozen=True, slots=True)
class Overlap:
    """What a question and the short fields of some rows have in common; float32, shape (n, 6), from 0 to 1.

    In the order of :data:`kbsearch.tokens.SLOTS`. ``cover`` is the share of the question's idf mass that the field
    holds, ``reverse`` the share of the field's distinct terms that the question holds; both 0 for an empty one.
    """

    cover: FloatArray
    reverse: FloatArray


@dataclass(frozen=True, slots=True)
class Candidates:
    """The rows under consideration with all their scores; every array has shape (n,).

    Attributes
    ----------
    rows
        int64, ascending, distinct; article numbers where articles are ranked.
    words, grams
        BM25, float32, 0 where no term occurs.
    dense
        Cosine, float32.
    words_ceiling, grams_ceiling
        The most that the question could score in the stream; 0 when it has no term there.
    overlap
        With the fields of the rows; None where nobody asked for it.
    """

    rows: RowArray
    words: FloatArray
    grams: FloatArray
    dense: FloatArray
    words_ceiling: float
    grams_ceiling: float
    overlap: Overlap | None = None
    _block: Pooled | None = field(default=None, init=False, compare=False, repr=False)  # none after a `replace`

    @classmethod
    def of_pool(cls, rows: RowArray, scores: FloatArray, ceilings: tuple[float, float]) -> Self:
        """The rows of :func:`kbsearch.native.pool`, with the scores that it gives them."""
        n = len(rows)
        overlap = Overlap(scores[3 * n : 9 * n].reshape(n, 6), scores[9 * n :].reshape(n, 6))
        found = cls(rows, scores[:n], scores[n : 2 * n], scores[2 * n : 3 * n], *ceilings, overlap)
        object.__setattr__(found, "_block", Pooled(rows, scores, ceilings))
        return found

    @property
    def pooled(self) -> Pooled:
        """All of it, for the compiled part."""
        if self._block is not None:
            return self._block
        if self.overlap is None:
            raise AssertionError("a pool with what the question shares with the fields of its rows")
        columns = self.words, self.grams, self.dense, self.overlap.cover, self.overlap.reverse
        scores = np.concatenate([column.ravel() for column in columns], dtype=np.float32)
        return Pooled(self.rows, scores, (self.words_ceiling, self.grams_ceiling))


def rank(candidates: Candidates, mode: Mode) -> FloatArray:
    """Score the candidates, float32 of shape (n,), higher is better; see the module for the formula.

    From 0 to 1 in the modes ``hybrid`` and ``lexical``, a cosine in ``dense``, BM25 in ``words`` and ``grams``.
    """
    plain = {"dense": candidates.dense, "words": candidates.words, "grams": candidates.grams}
    if mode in plain:
        return plain[mode]
    if mode in {"rrf", "minmax"}:
        scale, shares = (_reciprocal, (1, 1, 1)) if mode == "rrf" else (_between, (2, 1, 1))
        parts = [np.float32(share) * scale(scores) for share, scores in zip(shares, plain.values(), strict=True)]
        baseline: FloatArray = parts[0] + parts[1] + parts[2]
        return baseline
    words = _coverage(candidates.words, candidates.words_ceiling)
    grams = _coverage(candidates.grams, candidates.grams_ceiling)
    lexical: FloatArray = (words + grams) / np.float32(2)
    if mode == "lexical":
        return lexical
    fused: FloatArray = _LEXICAL * lexical + (np.float32(1) - _LEXICAL) * _standing(candidates.dense)
    return fused


def best_of_articles(candidates: Candidates, articles: NDArray[np.int32]) -> Candidates:
    """Each leg's best score of each article.

    Parameters
    ----------
    candidates
        Rows with their scores.
    articles
        Article number of each candidate, shape (n,).

    Returns
    -------
    Candidates
        Its ``rows`` are article numbers, int64, ascending, distinct.
    """
    numbers, place = np.unique(articles, return_inverse=True)

    def best(scores: FloatArray) -> FloatArray:
        highest = np.full(len(numbers), -np.inf, dtype=np.float32)
        np.maximum.at(highest, place, scores)
        return highest

    return Candidates(
        rows=numbers.astype(np.int64),
        words=best(candidates.words),
        grams=best(candidates.grams),
        dense=best(candidates.dense),
        words_ceiling=candidates.words_ceiling,
        grams_ceiling=candidates.grams_ceiling,
    )


def order(rows: RowArray, scores: FloatArray) -> RowArray:
    """Places of the candidates from best to worst: score descending, row ascending."""
    return np.lexsort((rows, -scores))


def _reciprocal(scores: FloatArray) -> FloatArray:
    """1 / (60 + rank); nothing for a score of 0, which the leg did not return."""
    ranks = np.empty(len(scores), dtype=np.float32)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return np.where(scores > 0, 1 / (_RRF_K + ranks), 0).astype(np.float32)


def _between(scores: FloatArray) -> FloatArray:
    """Place between the lowest score of the pool and the highest, in [0, 1]."""
    spread = float(np.ptp(scores)) if len(scores) else 0.0
    return ((scores - scores.min()) / spread if spread else np.zeros_like(scores)).astype(np.float32)


def _coverage(scores: FloatArray, ceiling: float) -> FloatArray:
    """Share of the question's idf mass, sharpened, in [0, 1]."""
    if ceiling <= 0:
        return np.zeros_like(scores)
    share: FloatArray = scores / np.float32(ceiling)
    sharpened: FloatArray = share * np.sqrt(share)  # to the power of 1.5
    return sharpened


def _standing(cosines: FloatArray) -> FloatArray:
    """Place of each cosine between the lowest and the highest of the pool, in [0, 1]."""
    if len(cosines) == 0:
        return cosines
    low, high = np.minimum.reduce(cosines), np.maximum.reduce(cosines)
    standing: FloatArray = (cosines - low) / np.float32(max(high - low, _MIN_COSINE_SPREAD))
    return standing
