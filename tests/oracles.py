"""Plain Python and numpy for what the compiled part does in one call; the tests hold one against the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch.confidence import HEAD_NAMES
from kbsearch.features import JAPANESE_QUESTION, NAMES
from kbsearch.native import features as native_features
from kbsearch.structures import Scale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray
    from kbsearch.rank import Candidates
    from kbsearch.tokens import Located

Span = tuple[int, int]

_BEHIND: Final = np.float32(1e-4)  # in log-odds
_FEW_PASSAGES: Final = 30
_LEAST_SPREAD: Final = 0.003
_LEAD_PLACES: Final = [NAMES.index(name) for name in ("cosine", "words", "grams", "title_cosine")]
_COSINE: Final = NAMES.index("cosine")
_HEADING: Final = NAMES.index("heading_grams")
_CROWD: Final = 10


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


def background(sample: FloatArray, vector: FloatArray | None, usual: tuple[float, float]) -> tuple[float, float]:
    """Mean and spread of the cosines between a question and passages that have most likely nothing to do with it."""
    if vector is None or len(sample) < _FEW_PASSAGES:
        return usual
    cosines = sample @ vector
    mean = float(cosines.sum()) / len(cosines)
    cosines -= np.float32(mean)
    return mean, max(math.sqrt(float(cosines @ cosines) / len(cosines)), _LEAST_SPREAD)


def own_language_first(
    groups: NDArray[np.int32], japanese: NDArray[np.bool_], scores: FloatArray, *, asks_japanese: bool
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Of the versions of one article in several languages, the one in the question's script has the best score of all.

    The others stand right behind it. Also which articles are the first of their versions: a translation beside its
    source is no rival that would make the answer unsure.
    """
    first = np.ones(len(groups), dtype=bool)
    if len(set(groups.tolist())) == len(groups):
        return scores, first
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    own = japanese == asks_japanese
    scores = scores.copy()
    for versions in (np.flatnonzero(group == number) for number in np.flatnonzero(sizes > 1)):
        best = scores[versions].max()
        order_ = np.lexsort((versions, -scores[versions], ~own[versions]))
        first[versions[order_[1:]]] = False
        scores[versions[order_]] = best - np.arange(len(versions), dtype=np.float32) * _BEHIND
    return scores, first


def head_features(features: FloatArray, scores: FloatArray) -> FloatArray:
    """Describe the head of a ranking.

    Parameters
    ----------
    features
        Of the articles of the pool, float32, shape (m, len(NAMES)), m ≥ 1.
    scores
        Of the ranking model, float32, shape (m,).

    Returns
    -------
    float32, shape (len(HEAD_NAMES),)
    """
    places = np.argsort(-scores, kind="stable")
    first, second = places[0], places[min(1, len(places) - 1)]
    best = scores[first]
    cosines = np.sort(features[:, _COSINE])
    crowd = min(_CROWD, len(places))
    head = np.empty(len(HEAD_NAMES), dtype=np.float32)
    head[: len(NAMES)] = features[first]
    head[len(NAMES) : len(NAMES) + 4] = (
        best,
        best - scores[second],
        best - scores[places[min(4, len(places) - 1)]],
        best - scores[places[:_CROWD]].sum() / crowd,
    )
    head[len(NAMES) + 4 : -2] = features[first, _LEAD_PLACES] - features[second, _LEAD_PLACES]
    head[-2] = cosines[-_CROWD:].sum() / crowd - cosines.sum() / len(cosines)
    head[-1] = features[:, _HEADING].max()
    return head


def best_window(
    pieces: Sequence[Span], matches: Sequence[Located], weights: Sequence[float], limit: int
) -> tuple[int, int]:
    """First and last sentence of the window with the greatest weight of distinct terms; the earliest of equals."""
    terms: list[set[int]] = [set() for _ in pieces]
    place, end_of_last = 0, pieces[-1][1]
    for start, _, term in matches:
        if start >= end_of_last:
            break
        while start >= pieces[place][1]:
            place += 1
        terms[place].add(term)
    best, best_weight = (0, 0), -1.0
    for first, (begin, _) in enumerate(pieces):
        seen = set(terms[first])
        last = first
        for candidate in range(first + 1, len(pieces)):
            if pieces[candidate][1] - begin > limit:
                break
            seen |= terms[candidate]
            last = candidate
        weight = sum([weights[term] for term in sorted(seen)])
        if weight > best_weight:
            best, best_weight = (first, last), weight
        if last == len(pieces) - 1:
            break  # what begins later holds no more
    return best


def cut_sentence(
    start: int, end: int, matches: Sequence[Located], weights: Sequence[float], limit: int
) -> tuple[int, int]:
    """The part of one long sentence with the greatest weight of distinct terms, with some text before the first."""
    inside = [match for match in matches if start <= match[0] < end]
    room = room_of(limit)
    begin, best_weight = start, -1.0
    for number, (match_start, *_) in enumerate(inside):
        candidate = max(start, min(match_start - room // 4, end - room))
        seen: dict[int, float] = {}
        for _, match_end, term in inside[number : number + room]:
            if match_end > candidate + room:
                break
            seen[term] = weights[term]
        if sum(seen.values()) > best_weight:
            begin, best_weight = candidate, sum(seen.values())
    stop = min(end, begin + room)
    for match_start, match_end, _ in inside:
        if match_start < stop < match_end and match_start > begin:
            stop = match_start  # a marked word is shown whole or not at all
    return begin, stop


def room_of(limit: int) -> int:
    """Characters of a cut sentence that fit, with an ellipsis on both sides unless that leaves nothing."""
    return limit - 2 if limit > 2 else limit


def window_of(
    pieces: Sequence[Span], matches: Sequence[Located], weights: Sequence[float], limit: int
) -> tuple[int, int, bool, bool, list[Span]]:
    """What is shown of a passage: first and last character, what is cut, and the marks."""
    if not pieces:
        return 0, 0, False, False, []
    first, last = best_window(pieces, matches, weights, limit)
    start, end = pieces[first][0], pieces[last][1]
    if end - start > limit:
        start, end = cut_sentence(start, end, matches, weights, limit)
    marks: list[Span] = []
    for match_start, match_end, _ in matches:
        if start <= match_start and match_end <= end:
            if marks and match_start <= marks[-1][1]:
                marks[-1] = (marks[-1][0], max(marks[-1][1], match_end))
            else:
                marks.append((match_start, match_end))
    return start, end, pieces[first][0] < start, end < pieces[last][1], marks
