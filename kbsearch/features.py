"""What the ranking looks at: each candidate article in numbers that mean the same on any corpus.

An article has, in each measure, the best of its candidate rows. Cosines are put in units of the corpus's own spread
(mean and standard deviation between random passages, from the manifest), BM25 is a share of the most that the question
could score, and overlaps are shares of idf mass. What is a property of the question alone stands in every row of it.

The arithmetic is ``kb_features`` in ``core.c``. The names in ``NAMES`` are those of the model file; a feature is added
at the end and never changes its meaning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch.native import Scale
from kbsearch.native import features as native_features

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray
    from kbsearch.rank import Candidates

__all__ = ["JAPANESE_QUESTION", "NAMES", "Question", "article_features"]

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
    "title_cosine",  # of the title alone, in spreads between titles above their mean
    "title_cosine_gap",  # below the pool's best
    "cosine_language",  # of the best row, in the spread of this question's cosines in the article's script
    "cosine_language_gap",  # below the pool's best
)

JAPANESE_QUESTION: Final = 0.2
"""From this share of Japanese characters on a question is Japanese."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the features need of the question and its corpus.

    ``cosines`` and ``title_cosines`` are mean and spread between random passages and titles of the corpus;
    ``backgrounds`` those between this question and random passages, first of articles in another script than Japanese,
    then of Japanese ones: an encoder brings texts of one language nearer to each other whatever they say.
    """

    japanese: float
    distinct_grams: int
    cosines: tuple[float, float]
    title_cosines: tuple[float, float]
    backgrounds: tuple[tuple[float, float], tuple[float, float]]


def article_features(
    pooled: Candidates,
    articles: NDArray[np.int32],
    titles: Callable[[RowArray], FloatArray],
    is_japanese: NDArray[np.bool_],
    question: Question,
) -> tuple[RowArray, FloatArray]:
    """Describe the articles of a pool.

    Parameters
    ----------
    pooled
        Rows with the scores of all legs and their overlap with the question, n of them.
    articles
        Article number of each row, shape (n,), those of an article next to each other.
    titles
        Gives the cosines of the titles of articles, float32 of shape (m,) for numbers of shape (m,).
    is_japanese
        By article number, whether its language is Japanese.

    Returns
    -------
    numbers : int64, shape (m,)
        Article numbers, ascending, distinct.
    features : float32, shape (m, len(NAMES))
    """
    begins = np.diff(articles, prepend=-1) != 0  # rows ascend, and those of an article stand together
    numbers, group = articles[begins].astype(np.int64), np.cumsum(begins) - 1
    (mean, spread), (title_mean, title_spread) = question.cosines, question.title_cosines
    means, spreads = zip(*question.backgrounds, strict=True)
    scale = Scale(
        pooled.words_ceiling or 1, pooled.grams_ceiling or 1, mean, spread, title_mean, title_spread, means, spreads,
        question.japanese, int(question.japanese > JAPANESE_QUESTION), math.log1p(question.distinct_grams),
    )  # fmt: skip
    if pooled.overlap is None:
        raise AssertionError("features need what the question shares with the fields")
    of_rows = (pooled.words, pooled.grams, pooled.dense, pooled.overlap.cover, pooled.overlap.reverse)
    return numbers, native_features(group, of_rows, titles(numbers), is_japanese[numbers], scale)
