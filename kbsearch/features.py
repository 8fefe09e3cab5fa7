"""What the ranking looks at: each candidate article in numbers that mean the same on any corpus.

An article has, in each measure, the best of its candidate rows. Cosines are put in units of the corpus's own spread
(mean and standard deviation between random passages, from the manifest), BM25 is a share of the most that the question
could score, and overlaps are shares of idf mass. What is a property of the question alone stands in every row of it.

The names in ``NAMES`` are those of the model file; a feature is added at the end and never changes its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kbsearch.fields import Overlap
    from kbsearch.model import FloatArray
    from kbsearch.rank import Candidates

__all__ = ["NAMES", "Question", "article_features"]

NAMES: Final = (
    "cosine",  # of the best row, in corpus spreads above the corpus mean
    "cosine_gap",  # below the pool's best, in spreads; 0 or less
    "cosine_second",  # of the second-best row, below the best one; 0 where there is none
    "words",  # BM25 of words, share of its ceiling
    "grams",
    "words_gap",  # below the pool's best
    "grams_gap",
    "title_words",  # share of the question's idf mass that the title holds
    "title_grams",
    "heading_words",
    "heading_grams",
    "alias_words",
    "alias_grams",
    "title_words_reverse",  # share of the title's terms that the question holds
    "title_grams_reverse",
    "heading_words_reverse",
    "heading_grams_reverse",
    "alias_words_reverse",
    "alias_grams_reverse",
    "words_standing",  # 1 / (10 + rank among the articles of the pool)
    "grams_standing",
    "cosine_standing",
    "same_script",  # 1 where question and article are both Japanese, or both not
    "question_japanese",  # share of the question's characters
    "question_terms",  # ln(1 + number of distinct grams)
    "words_best",  # the pool's best, of all articles
    "grams_best",
    "cosine_best",
    "cosine_deviation",  # of the pool's articles, in spreads
)

_FIELDS: Final = 6
_JAPANESE_QUESTION: Final = 0.2
_STANDING: Final = 10


@dataclass(frozen=True, slots=True)
class Question:
    """What the features need of the question and its corpus.

    ``cosine_mean`` and ``cosine_spread`` are those between random passages of the corpus.
    """

    japanese: float
    distinct_grams: int
    cosine_mean: float
    cosine_spread: float


def article_features(
    candidates: Candidates,
    overlap: Overlap,
    articles: NDArray[np.int32],
    is_japanese: NDArray[np.bool_],
    question: Question,
) -> tuple[NDArray[np.int64], FloatArray]:
    """Describe the articles of a pool.

    Parameters
    ----------
    candidates
        Rows with the scores of all legs, n of them.
    overlap
        Of the same rows.
    articles
        Article number of each row, shape (n,).
    is_japanese
        By article number, whether its language is Japanese.

    Returns
    -------
    numbers : int64, shape (m,)
        Article numbers, ascending, distinct.
    features : float32, shape (m, len(NAMES))
    """
    numbers, place = np.unique(articles, return_inverse=True)
    m = len(numbers)

    def best(values: FloatArray) -> FloatArray:
        highest = np.full((m, *values.shape[1:]), -np.inf, dtype=np.float32)
        np.maximum.at(highest, place, values)
        return highest

    cosines = (candidates.dense - np.float32(question.cosine_mean)) / np.float32(question.cosine_spread)
    cosine, words = best(cosines), best(candidates.words / np.float32(candidates.words_ceiling or 1))
    grams = best(candidates.grams / np.float32(candidates.grams_ceiling or 1))
    cover, reverse = best(overlap.cover), best(overlap.reverse)
    asks_japanese = question.japanese > _JAPANESE_QUESTION
    columns = [
        cosine,
        cosine - cosine.max(initial=-np.inf),
        _second(cosines, place, m) - cosine,
        words,
        grams,
        words - words.max(initial=-np.inf),
        grams - grams.max(initial=-np.inf),
        *cover.T,
        *reverse.T,
        _standing(words),
        _standing(grams),
        _standing(cosine),
        is_japanese[numbers] == asks_japanese,
        *(
            np.full(m, value)
            for value in (
                question.japanese,
                np.log1p(question.distinct_grams),
                words.max(initial=0.0),
                grams.max(initial=0.0),
                cosine.max(initial=-np.inf),
                cosine.std() if m else 0.0,
            )
        ),
    ]
    return numbers.astype(np.int64), np.column_stack(columns).astype(np.float32)


def _second(values: FloatArray, place: NDArray[np.intp], m: int) -> FloatArray:
    """The second-best value of each article; the best where there is one row only."""
    order = np.lexsort((-values, place))
    starts = np.searchsorted(place[order], np.arange(m))
    ends = np.append(starts[1:], len(values))
    second: FloatArray = values[order[np.minimum(starts + 1, ends - 1)]]
    return second


def _standing(values: FloatArray) -> FloatArray:
    standing = np.empty(len(values), dtype=np.float32)
    standing[np.argsort(-values, kind="stable")] = 1 / (_STANDING + np.arange(len(values)))
    return standing
