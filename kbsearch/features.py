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

_FIELDS: Final = 6
JAPANESE_QUESTION: Final = 0.2
"""From this share of Japanese characters on a question is Japanese."""

_STANDING: Final = 10


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
    candidates: Candidates,
    overlap: Overlap,
    articles: NDArray[np.int32],
    titles: FloatArray,
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
    titles
        Cosine of the title of each distinct article, ascending by number, shape (m,).
    is_japanese
        By article number, whether its language is Japanese.

    Returns
    -------
    numbers : int64, shape (m,)
        Article numbers, ascending, distinct.
    features : float32, shape (m, len(NAMES))
    """
    by_article = np.argsort(articles, kind="stable")
    ordered = articles[by_article]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    numbers, m = ordered[starts], len(starts)
    cosines = _in_spreads(candidates.dense, question.cosines)[by_article]
    titles = _in_spreads(titles, question.title_cosines)
    of_rows = np.column_stack(
        [
            cosines,
            candidates.words[by_article] / np.float32(candidates.words_ceiling or 1),
            candidates.grams[by_article] / np.float32(candidates.grams_ceiling or 1),
            overlap.cover[by_article],
            overlap.reverse[by_article],
        ]
    )
    best = np.maximum.reduceat(of_rows, starts, axis=0) if m else of_rows
    cosine, words, grams = best[:, 0], best[:, 1], best[:, 2]
    cover, reverse = best[:, 3 : 3 + _FIELDS], best[:, 3 + _FIELDS :]
    mean, spread = np.array(question.backgrounds, dtype=np.float32)[is_japanese[numbers].astype(np.int64)].T
    in_language = (np.maximum.reduceat(candidates.dense[by_article], starts) - mean) / spread if m else cosine
    asks_japanese = question.japanese > JAPANESE_QUESTION
    columns = [
        cosine,
        cosine - cosine.max(initial=-np.inf),
        _second(cosines, starts) - cosine,
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
        question.japanese,
        np.log1p(question.distinct_grams),
        words.max(initial=0.0),
        grams.max(initial=0.0),
        cosine.max(initial=-np.inf),
        cosine.std() if m else 0.0,
        titles,
        titles - titles.max(initial=-np.inf),
        in_language,
        in_language - in_language.max(initial=-np.inf),
    ]
    features = np.empty((m, len(columns)), dtype=np.float32)
    for place, column in enumerate(columns):
        features[:, place] = column
    return numbers.astype(np.int64), features


def _in_spreads(cosines: FloatArray, statistics: tuple[float, float]) -> FloatArray:
    mean, spread = statistics
    scaled: FloatArray = (cosines - np.float32(mean)) / np.float32(spread)
    return scaled


def _second(values: FloatArray, starts: NDArray[np.intp]) -> FloatArray:
    """The second-best value of each article; the best where there is one row only. ``starts``: of each article."""
    lengths = np.diff(starts, append=len(values))
    order = np.lexsort((-values, np.repeat(np.arange(len(starts)), lengths)))
    second: FloatArray = values[order[starts + np.minimum(lengths - 1, 1)]]
    return second


def _standing(values: FloatArray) -> FloatArray:
    standing = np.empty(len(values), dtype=np.float32)
    standing[np.argsort(-values, kind="stable")] = 1 / (_STANDING + np.arange(len(values)))
    return standing
