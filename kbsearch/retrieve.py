"""From a question to ranked articles: prepare → candidates → rank → group. Ids and texts come later.

A question is asked in one wording; where it holds a slip also as it stands, and with the synonyms of its words.

Use: ``query = prepare(snapshot, question, mode)``, then ``best_articles(snapshot, query, where, mode, k)``.

Never: fetch content here; rows and article numbers are all it handles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from kbsearch.confidence import head_features
from kbsearch.courtesy import without_courtesy
from kbsearch.errors import EncoderUnavailable, IndexIncompatible
from kbsearch.features import JAPANESE_QUESTION, NAMES, Question, article_features
from kbsearch.laps import Laps
from kbsearch.rank import WORDS_ONLY, Candidates, Mode, Overlap, best_of_articles, order, rank
from kbsearch.results import Reason
from kbsearch.synonyms import MAX_WORDINGS
from kbsearch.text import analyse, japanese_share
from kbsearch.wording import mend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from kbsearch.learned import Models
    from kbsearch.model import Filter, FloatArray, RowArray
    from kbsearch.snapshot import Snapshot
    from kbsearch.vector import Restriction

__all__ = [
    "MAX_QUERY_CHARS",
    "POOL",
    "SHOWN_ROWS",
    "VERSION",
    "Query",
    "Ranked",
    "RankedArticle",
    "RankedRow",
    "Wording",
    "best_articles",
    "candidates",
    "describe",
    "own_language_first",
    "prepare",
    "question_of",
    "reasons_of",
    "scored",
    "title_cosines",
]

MAX_QUERY_CHARS: Final = 10_000
"""A longer question is read up to here."""

POOL: Final = 100
"""Rows that each leg proposes; the learned ranking was trained on pools of this depth."""

SHOWN_ROWS: Final = 6
"""Of one article; aliases among them show a passage that may be there already."""

_FOREIGN_POOL: Final = 25  # of the script that the question is not in
_BEHIND: Final = np.float32(1e-4)  # in log-odds
_FEW_PASSAGES: Final = 30
_LEAST_SPREAD: Final = 0.003
VERSION: Final = "version"
"""Name of the reason that an article stands beside its translation; its value is the log-odds that it has by it."""

_NO_ROWS: Final = np.empty(0, dtype=np.int64)
_DEEPER: Final = 4
_DEEPEST_POOL: Final = 100_000


@dataclass(frozen=True, slots=True)
class Wording:
    """One way to put a question, analysed once and encoded once. ``vector`` is None when the dense leg is not asked.

    ``japanese`` is the share of Japanese characters in it.
    """

    text: str
    words: tuple[str, ...]
    grams: tuple[str, ...]
    vector: FloatArray | None
    japanese: float

    @property
    def asks_japanese(self) -> bool:
        """Whether it counts as Japanese."""
        return self.japanese > JAPANESE_QUESTION


@dataclass(frozen=True, slots=True)
class Query:
    """A question in every wording that it is asked in; a candidate has, from each leg, the best score of them.

    The first wording is the question as it was understood; ``understood`` says so where a slip was mended in it.
    """

    text: str
    wordings: tuple[Wording, ...]
    understood: str | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """The articles of an answer, best first, and how sure it is.

    ``log_odds`` are those of :class:`kbsearch.confidence.Confidence`, None where there is nothing to judge by.
    """

    articles: tuple[RankedArticle, ...]
    log_odds: tuple[float, float] | None


class RankedRow(NamedTuple):
    """A row with its score among the rows of its article, and the score of each leg."""

    row: int
    score: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class RankedArticle:
    """An article with its score and its best candidate rows: at least one, at most ``SHOWN_ROWS``."""

    number: int
    score: float
    rows: tuple[RankedRow, ...]


def prepare(snapshot: Snapshot, question: str, mode: Mode, laps: Laps | None = None) -> Query:
    """Analyse and encode a question. Without a letter or digit it has no terms and no vector."""
    laps = laps or Laps()
    text = without_courtesy(question[:MAX_QUERY_CHARS])
    mended = _mended(snapshot, text, mode)
    texts = [text] if mended is None else [mended, text]
    replaced = [way[:MAX_QUERY_CHARS] for way in chain(*zip_longest(*map(snapshot.synonyms.wordings, texts))) if way]
    texts += list(dict.fromkeys(replaced))[:MAX_WORDINGS]
    return Query(question, tuple([_wording(snapshot, way, mode, laps) for way in texts]), mended)


def _mended(snapshot: Snapshot, text: str, mode: Mode) -> str | None:
    try:
        return mend(text, snapshot.vocabulary, snapshot.pieces)
    except (EncoderUnavailable, IndexIncompatible):
        if mode in WORDS_ONLY:  # does without an encoder
            return None
        raise


def _wording(snapshot: Snapshot, text: str, mode: Mode, laps: Laps) -> Wording:
    analysis = analyse(text)
    japanese = japanese_share(text)
    asks = bool(analysis.words.terms or analysis.grams.terms)
    laps.end("analyse")
    vector = snapshot.encode(text) if asks and mode not in WORDS_ONLY else None
    laps.end("encode")
    return Wording(text, analysis.words.terms, analysis.grams.terms, vector, japanese)


def best_articles(
    snapshot: Snapshot,
    models: Models | None,
    query: Query,
    where: Filter,
    mode: Mode,
    k: int,
    without: tuple[int, ...] = (),
    laps: Laps | None = None,
) -> Ranked:
    """The k best articles, best first: score descending, article number ascending.

    ``models`` rank them in the mode ``hybrid``; no other needs any.
    Articles whose numbers are in ``without`` take no part.

    The learned ranking always sees the same pool, whatever k is, so that a short page is the beginning of a long one.
    Where the pool holds fewer articles than wanted (a few long ones can fill it), a deeper one gives more, which stand
    behind in the order of the plain combination.
    """
    k = min(k, snapshot.lexical.rows)  # there are no more articles than rows
    laps = laps or Laps()
    pooled = candidates(snapshot, query, where, POOL, mode, without, laps)
    articles, scores, log_odds = _scored_articles(snapshot, models, query, pooled, mode)
    found = list(islice(_ranked_articles(snapshot, query, pooled, articles, scores, mode), k))
    pool, seen = POOL, len(pooled.rows)
    while len(found) < k and pool < _DEEPEST_POOL:
        pool *= _DEEPER
        pooled = candidates(snapshot, query, where, pool, mode, without, laps)
        if len(pooled.rows) == seen:
            break  # the legs have no more
        seen = len(pooled.rows)
        deep = best_of_articles(pooled, snapshot.article_of_row[pooled.rows])
        floor = np.float32(found[-1].score if found else 1.0)
        plain = rank(deep, mode)
        behind: FloatArray = plain * floor if mode == "hybrid" else np.minimum(plain, floor)
        known = {article.number for article in found}
        more = _ranked_articles(snapshot, query, pooled, deep.rows, behind, mode)
        found += islice((article for article in more if article.number not in known), k - len(found))
    laps.end("rank")
    return Ranked(tuple(found), log_odds)


def _ranked_articles(
    snapshot: Snapshot, query: Query, pooled: Candidates, articles: RowArray, scores: FloatArray, mode: Mode
) -> Iterator[RankedArticle]:
    """Articles in their order, each with its rows in theirs; made one by one, since a page takes only the first."""
    numbers, row_scores = snapshot.article_of_row[pooled.rows], rank(pooled, mode)
    dense = query.wordings[0].vector is not None
    for place in order(articles, scores).tolist():
        if mode in WORDS_ONLY and scores[place] <= 0:
            break  # no word in common with the question
        number = articles[place]
        # Rows ascend, and with them their articles: those of one stand together.
        first, last = np.searchsorted(numbers, (number, number + 1)).tolist()
        own = row_scores[first:last].tolist()
        best = sorted(range(last - first), key=own.__getitem__, reverse=True)[
            :SHOWN_ROWS
        ]  # stable: the lower row first
        ranked = tuple([_ranked_row(pooled, first + row, own[row], dense=dense) for row in best])
        yield RankedArticle(int(number), float(scores[place]), ranked)


def describe(snapshot: Snapshot, query: Query, pooled: Candidates) -> tuple[RowArray, FloatArray]:
    """Article numbers of a pool, and their features; see :mod:`kbsearch.features`."""
    return article_features(
        pooled,
        snapshot.article_of_row[pooled.rows],
        lambda numbers: title_cosines(snapshot, query, numbers),
        snapshot.is_japanese,
        question_of(snapshot, query),
    )


def reasons_of(snapshot: Snapshot, models: Models, query: Query, where: Filter) -> dict[int, tuple[Reason, ...]]:
    """Why the articles of the pool stand where they stand, by article number; see :class:`kbsearch.results.Reason`."""
    if query.wordings[0].vector is None:
        return {}
    numbers, features = describe(snapshot, query, candidates(snapshot, query, where, POOL))
    raw = models.ranker.score(features)
    scores = own_language_first(snapshot, query, numbers, raw)[0]
    names = (*NAMES, VERSION)
    described = np.column_stack([features, scores])
    added = np.column_stack([models.ranker.contributions(features), scores - raw])
    return {
        int(number): tuple(
            Reason(names[place], float(values[place]), float(shares[place]))
            for place in np.argsort(-np.abs(shares), kind="stable")
            if shares[place]
        )
        for number, values, shares in zip(numbers, described, added, strict=True)
    }


def question_of(snapshot: Snapshot, query: Query) -> Question:
    """What the features need of the question and its corpus."""
    manifest, first = snapshot.generation.manifest, query.wordings[0]
    cosines, titles = [(manifest[name]["mean"], manifest[name]["spread"]) for name in ("cosines", "title_cosines")]
    other, japanese = [_background(sample, first.vector, cosines) for sample in snapshot.samples]
    return Question(first.japanese, len(set(first.grams)), cosines, titles, (other, japanese))


def _background(sample: FloatArray, vector: FloatArray | None, usual: tuple[float, float]) -> tuple[float, float]:
    """Mean and spread of the cosines between a question and passages that have most likely nothing to do with it."""
    if vector is None or len(sample) < _FEW_PASSAGES:
        return usual
    cosines = sample @ vector
    mean = float(cosines.sum()) / len(cosines)
    cosines -= np.float32(mean)
    return mean, max(math.sqrt(float(cosines @ cosines) / len(cosines)), _LEAST_SPREAD)


def title_cosines(snapshot: Snapshot, query: Query, articles: RowArray) -> FloatArray:
    """Cosine of the question and each of the articles' titles alone, in the wording that is nearest."""
    ways = [w.vector for w in query.wordings if w.vector is not None]
    return _nearest([snapshot.parts.title_cosines(articles, vector) for vector in ways])


def _nearest(ways: list[FloatArray]) -> FloatArray:
    if len(ways) == 1:
        return ways[0]
    nearest: FloatArray = np.max(ways, axis=0)
    return nearest


def _scored_articles(
    snapshot: Snapshot, models: Models | None, query: Query, pooled: Candidates, mode: Mode
) -> tuple[RowArray, FloatArray, tuple[float, float] | None]:
    """Article numbers of the pool, ascending, their scores, by the learned ranking or by one leg, and the log-odds."""
    if mode != "hybrid" or models is None or query.wordings[0].vector is None:
        articles = best_of_articles(pooled, snapshot.article_of_row[pooled.rows])
        return articles.rows, rank(articles, mode), None
    found, features = describe(snapshot, query, pooled)
    raw, first = own_language_first(snapshot, query, found, models.ranker.score(features))
    scores = 1 / (1 + np.exp(-raw.astype(np.float64)))  # into (0, 1), order kept
    log_odds = models.confidence.log_odds(head_features(features[first], raw[first])) if len(found) else None
    return found, scores.astype(np.float32), log_odds


def own_language_first(
    snapshot: Snapshot, query: Query, articles: RowArray, scores: FloatArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Of the versions of one article in several languages, the one in the question's script has the best score of all.

    The others stand right behind it. Also which articles are the first of their versions: a translation beside its
    source is no rival that would make the answer unsure.
    """
    groups = snapshot.group[articles]
    first = np.ones(len(articles), dtype=bool)
    if len(set(groups.tolist())) == len(articles):
        return scores, first
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    own = snapshot.is_japanese[articles] == query.wordings[0].asks_japanese
    scores = scores.copy()
    for versions in (np.flatnonzero(group == number) for number in np.flatnonzero(sizes > 1)):
        best = scores[versions].max()
        order_ = np.lexsort((versions, -scores[versions], ~own[versions]))
        first[versions[order_[1:]]] = False
        scores[versions[order_]] = best - np.arange(len(versions), dtype=np.float32) * _BEHIND
    return scores, first


def candidates(
    snapshot: Snapshot,
    query: Query,
    where: Filter,
    pool: int,
    mode: Mode = "hybrid",
    without: tuple[int, ...] = (),
    laps: Laps | None = None,
) -> Candidates:
    """Rows that any leg of the mode proposes, up to ``pool`` by each, with the scores of all legs."""
    laps = laps or Laps()
    excluded = snapshot.out_of_date_today() + without
    lexical = snapshot.lexical
    proposals: list[RowArray] = [_NO_ROWS]
    for wording in query.wordings:
        if mode not in {"dense", "grams"}:
            proposals.append(lexical.search("words", wording.words, pool, where, excluded)[0])
        if mode not in {"dense", "words"}:
            proposals.append(lexical.search("grams", wording.grams, pool, where, excluded)[0])
    by_words = len(proposals)
    laps.end("lexical")
    for wording in query.wordings:
        if wording.vector is not None:
            proposals += _near(snapshot, wording, wording.vector, pool, snapshot.admitted(where, excluded))
    laps.end("dense")
    found = scored(snapshot, query, _distinct(np.concatenate(proposals)))
    if not snapshot.parts.has_delta:
        return found
    return _trimmed(found, np.concatenate([_NO_ROWS, *proposals[by_words:]]), pool)


def _near(
    snapshot: Snapshot, wording: Wording, vector: FloatArray, pool: int, admitted: Restriction | None
) -> Iterator[RowArray]:
    """The nearest rows, and the nearest in the script that the question is not in, lest its own fills the pool."""
    parts = snapshot.vectors.search_scripts(vector, pool, admitted, japanese=wording.asks_japanese)
    foreign = parts[not wording.asks_japanese][0]
    if len(foreign) == 0 or len(parts[wording.asks_japanese][0]) == 0:
        yield from (rows for rows, _ in parts)
        return
    rows = np.concatenate([rows for rows, _ in parts])
    scores = np.concatenate([scores for _, scores in parts])
    yield rows[np.argsort(-scores, kind="stable")[:pool]]
    yield foreign[:_FOREIGN_POOL]


def _trimmed(found: Candidates, near: RowArray, pool: int) -> Candidates:
    """Base and delta have each proposed ``pool`` rows by their words: the best of both stay, and all that are near."""
    kept = np.isin(found.rows, near)
    for scores in (found.words, found.grams):
        best = np.lexsort((found.rows, -scores))[:pool]
        kept[best[scores[best] > 0]] = True
    overlap = found.overlap and Overlap(found.overlap.cover[kept], found.overlap.reverse[kept])
    return Candidates(
        found.rows[kept], found.words[kept], found.grams[kept], found.dense[kept], found.words_ceiling,
        found.grams_ceiling, overlap,
    )  # fmt: skip


def _distinct(rows: RowArray) -> RowArray:
    """Ascending, each once: ``np.unique`` for a few hundred, at a fifth of its price."""
    ascending = np.sort(rows)
    distinct: RowArray = ascending[np.diff(ascending, prepend=-1) != 0]
    return distinct


def scored(snapshot: Snapshot, query: Query, rows: RowArray) -> Candidates:
    """Rows, ascending, with the scores of all legs; of several wordings, a row has those that it matches best."""
    first, *others = (snapshot.asked(wording.words, wording.grams) for wording in query.wordings)
    words, grams, cover, reverse = snapshot.tokens.describe(first.terms, rows)
    for other in others:
        more_words, more_grams, more_cover, more_reverse = snapshot.tokens.describe(other.terms, rows)
        words = np.maximum(words, more_words * _in_units(first.words_ceiling, other.words_ceiling))
        grams = np.maximum(grams, more_grams * _in_units(first.grams_ceiling, other.grams_ceiling))
        cover, reverse = np.maximum(cover, more_cover), np.maximum(reverse, more_reverse)
    ways = [snapshot.vectors.score(w.vector, rows) for w in query.wordings if w.vector is not None]
    dense = _nearest(ways) if ways else np.zeros(len(rows), np.float32)
    ceilings = first.words_ceiling, first.grams_ceiling
    return Candidates(rows, words, grams, dense, *ceilings, Overlap(cover, reverse))


def _in_units(first: float, other: float) -> np.float32:
    """By what BM25 of another wording is multiplied to be compared with that of the first; 0 where it cannot be."""
    return np.float32(first / other if first > 0 and other > 0 else 0)


def _ranked_row(candidates: Candidates, place: int, score: float, *, dense: bool) -> RankedRow:
    parts = {"words": float(candidates.words[place]), "grams": float(candidates.grams[place])}
    if dense:
        parts["dense"] = float(candidates.dense[place])
    return RankedRow(int(candidates.rows[place]), score, parts)
