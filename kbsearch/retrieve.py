"""From a question to ranked articles: prepare → candidates → rank → group. Ids and texts come later.

A question is asked in one wording; where it holds a slip also as it stands, and with the synonyms of its words.

Use: ``query = prepare(snapshot, question, mode)``, then ``best_articles(snapshot, query, where, mode, k)``.

Never: fetch content here; rows and article numbers are all it handles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from kbsearch import native, structures
from kbsearch.bm25 import STREAMS
from kbsearch.columns import INSIDE, soundly
from kbsearch.courtesy import without_courtesy
from kbsearch.errors import EncoderUnavailable, IndexIncompatible
from kbsearch.features import JAPANESE_QUESTION, NAMES
from kbsearch.laps import Laps
from kbsearch.rank import WORDS_ONLY, Candidates, Mode, Overlap, best_of_articles, order, rank
from kbsearch.results import Reason
from kbsearch.synonyms import MAX_WORDINGS
from kbsearch.text import analyse, japanese_share
from kbsearch.wording import mend

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Sequence

    from kbsearch.bm25 import Stream
    from kbsearch.learned import Models
    from kbsearch.lexical import Asked
    from kbsearch.model import Filter, FloatArray, RowArray
    from kbsearch.snapshot import Snapshot
    from kbsearch.vector import Restriction
    from kbsearch.versions import Choice, Chosen

    Forests = tuple[structures.Forest | None, structures.Forest | None, structures.Forest | None]

__all__ = [
    "MAX_QUERY_CHARS",
    "POOL",
    "SHOWN_ROWS",
    "VERSION",
    "ByWords",
    "Query",
    "Ranked",
    "RankedArticle",
    "RankedRow",
    "Wording",
    "best_articles",
    "candidates",
    "judged",
    "prepare",
    "reasons_of",
    "scored",
]

MAX_QUERY_CHARS: Final = 10_000
"""A longer question is read up to here."""

POOL: Final = 100
"""Rows that each leg proposes; the learned ranking was trained on pools of this depth."""

SHOWN_ROWS: Final = 3
"""Of one article, each with another text."""

_FOREIGN_POOL: Final = 25  # of the script that the question is not in
VERSION: Final = "version"
"""Name of the reason that an article stands beside its translation; its value is the log-odds that it has by it."""

_NO_ROWS: Final = np.empty(0, dtype=np.int64)
_DEEPER: Final = 4
_DEEPEST_POOL: Final = 100_000


@dataclass(frozen=True, slots=True)
class Wording:
    """One way to put a question, analysed once and encoded once. ``vector`` is None when the dense leg is not asked.

    ``japanese`` is the share of Japanese characters in it; ``asked`` are its terms as the snapshot knows them.
    """

    text: str
    words: tuple[str, ...]
    grams: tuple[str, ...]
    vector: FloatArray | None
    japanese: float
    asked: Asked

    @property
    def asks_japanese(self) -> bool:
        """Whether it counts as Japanese."""
        return self.japanese > JAPANESE_QUESTION


@dataclass(frozen=True, slots=True)
class Query:
    """A question in every wording that it is asked in; a candidate has, from each leg, the best score of them.

    The first wording is the question as it was understood; ``understood`` says so where a slip was mended in it.
    ``ways`` are the wordings as the compiled part reads them.
    """

    text: str
    wordings: tuple[Wording, ...]
    understood: str | None = None
    ways: structures.Ways = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ways", _ways(self.wordings))


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


class RankedArticle(NamedTuple):
    """An article with its score and its best rows of different texts: at least one, at most ``SHOWN_ROWS``.

    ``ranked_as`` is the version of it that has the score, where another one is shown; else its own number.
    """

    number: int
    score: float
    rows: tuple[RankedRow, ...]
    ranked_as: int


def prepare(
    snapshot: Snapshot, question: str, mode: Mode, laps: Laps | None = None, by_words: ByWords | None = None
) -> Query:
    """Analyse and encode a question. Without a letter or digit it has no terms and no vector.

    ``by_words`` is begun between the two.
    """
    laps = laps or Laps()
    text = without_courtesy(question[:MAX_QUERY_CHARS])
    mended = _mended(snapshot, text, mode)
    texts = [text] if mended is None else [mended, text]
    replaced = [way[:MAX_QUERY_CHARS] for way in chain(*zip_longest(*map(snapshot.synonyms.wordings, texts))) if way]
    texts += list(dict.fromkeys(replaced))[:MAX_WORDINGS]
    analysed = [(way, *_analysed(snapshot, way)) for way in texts]
    laps.end("analyse")
    if by_words is not None:
        by_words.begin([asked.terms for *_, asked in analysed])
        laps.end("lexical")
    wordings = []
    for way, words, grams, japanese, asked in analysed:
        vector = snapshot.encode(way) if (words or grams) and mode not in WORDS_ONLY else None
        wordings.append(Wording(way, words, grams, vector, japanese, asked))
    laps.end("encode")
    return Query(question, tuple(wordings), mended)


def _mended(snapshot: Snapshot, text: str, mode: Mode) -> str | None:
    try:
        return mend(text, snapshot.vocabulary, snapshot.pieces, snapshot.sound)
    except (EncoderUnavailable, IndexIncompatible):
        if mode in WORDS_ONLY:  # does without an encoder
            return None
        raise


def _analysed(snapshot: Snapshot, text: str) -> tuple[tuple[str, ...], tuple[str, ...], float, Asked]:
    analysis = analyse(text)
    words, grams = analysis.words.terms, analysis.grams.terms
    return words, grams, japanese_share(text), snapshot.asked(words, grams)


class ByWords:
    """What the streams of the lexical leg propose: on another core, where one is idle, while this one is busy.

    :meth:`begin` as soon as the terms of a question are known, then :meth:`rows` once.

    Parameters
    ----------
    where, without, day
        Which articles may answer; ``without`` are numbers of articles.
    pool
        Rows of each stream and wording.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        where: Filter,
        mode: Mode,
        pool: int = POOL,
        without: tuple[int, ...] = (),
        day: dt.date | None = None,
    ) -> None:
        self._lexical, self._pool, self._mode = snapshot.lexical, pool, mode
        self._admitted = partial(snapshot.admitted_rows, where, _excluded(snapshot, day, without))
        self.rows: Callable[[], RowArray] = lambda: _NO_ROWS

    def begin(self, asked: Sequence[structures.Asked]) -> None:
        """Look for the rows of all wordings of a question."""
        streams: list[Stream] = [stream for stream in STREAMS if self._mode not in {"dense", *STREAMS} - {stream}]
        if not streams:
            return
        given = asked, streams, self._pool, self._admitted()
        if self._mode in WORDS_ONLY:  # nothing else to do meanwhile
            self.rows = partial(self._lexical.propose, *given)
        else:
            self.rows = self._lexical.propose_later(*given)


def _excluded(snapshot: Snapshot, day: dt.date | None, without: tuple[int, ...]) -> tuple[int, ...]:
    return (snapshot.out_of_date_today() if day is None else snapshot.out_of_date(day)) + without


def best_articles(
    snapshot: Snapshot,
    models: Models | None,
    query: Query,
    where: Filter,
    mode: Mode,
    k: int,
    without: tuple[int, ...] = (),
    laps: Laps | None = None,
    *,
    day: dt.date | None = None,
    choice: Choice | None = None,
    by_words: ByWords | None = None,
) -> Ranked:
    """The k best articles, best first: score descending, article number ascending.

    ``models`` rank them in the mode ``hybrid``; no other needs any.
    Articles whose numbers are in ``without`` take no part, nor do those that are not valid on the ``day``, today.
    With a ``choice``, versions of one article are one article; without, each is one. ``by_words`` is what was begun for
    this question, with the same filter, mode, day and articles left out; without, it is begun here.

    The learned ranking always sees the same pool, whatever k is, so that a short page is the beginning of a long one.
    Where the pool holds fewer articles than wanted (a few long ones can fill it), a deeper one gives more, which stand
    behind in the order of the plain combination.
    """
    k = min(k, snapshot.lexical.rows)  # there are no more articles than rows
    laps = laps or Laps()
    pooled = candidates(snapshot, query, where, POOL, mode, without, laps, day=day, by_words=by_words)
    if mode != "hybrid" or models is None or query.wordings[0].vector is None:
        articles, log_odds = best_of_articles(pooled, snapshot.article_of_row[pooled.rows]), None
        numbers, scores = articles.rows, rank(articles, mode)
        merits = scores
        places, begins = _in_order(numbers, scores, mode), _begins(snapshot, pooled)
    else:
        judgement = judged(snapshot, query, pooled, models.forests)
        numbers, places, begins, log_odds = (
            judgement.numbers, judgement.order, judgement.begins, judgement.log_odds,
        )  # fmt: skip
        scores = (1 / (1 + np.exp(-judgement.scores.astype(np.float64)))).astype(np.float32)  # (0, 1), order kept
        merits = judgement.raw
    if choice is None:
        found = _ranked_articles(snapshot, query, pooled, numbers, begins, scores, places[:k], mode)
    else:
        chosen = choice.of(numbers, places, merits, k)
        found = _chosen_articles(snapshot, query, pooled, numbers, begins, scores, chosen, mode)
    if len(found) < k:
        found += _deeper(snapshot, query, where, mode, k, without, pooled, found, day, choice)
    laps.end("rank")
    return Ranked(tuple(found), log_odds)


def _deeper(
    snapshot: Snapshot,
    query: Query,
    where: Filter,
    mode: Mode,
    k: int,
    without: tuple[int, ...],
    pooled: Candidates,
    found: list[RankedArticle],
    day: dt.date | None,
    choice: Choice | None,
) -> list[RankedArticle]:
    """More articles than the pool holds, which stand behind those that were ``found``."""
    behind: list[RankedArticle] = []
    pool, seen = POOL, len(pooled.rows)
    while len(found) + len(behind) < k and pool < _DEEPEST_POOL:
        pool *= _DEEPER
        pooled = candidates(snapshot, query, where, pool, mode, without, day=day)
        if len(pooled.rows) == seen:
            break  # the legs have no more
        seen = len(pooled.rows)
        deep, begins = best_of_articles(pooled, snapshot.article_of_row[pooled.rows]), _begins(snapshot, pooled)
        last = (behind or found)[-1:]
        floor = np.float32(last[0].score if last else 1.0)
        plain = rank(deep, mode)
        scores: FloatArray = plain * floor if mode == "hybrid" else np.minimum(plain, floor)
        known = np.array([article.number for article in chain(found, behind)], dtype=np.int64)
        places = _in_order(deep.rows, scores, mode)
        if choice is None:
            places = places[~np.isin(deep.rows[places], known)][: k - len(known)]
            behind += _ranked_articles(snapshot, query, pooled, deep.rows, begins, scores, places, mode)
        else:
            places = places[~np.isin(choice.group[deep.rows[places]], choice.group[known])]
            chosen = choice.of(deep.rows, places, plain, k - len(known))
            behind += _chosen_articles(snapshot, query, pooled, deep.rows, begins, scores, chosen, mode)
    return behind


def _in_order(numbers: RowArray, scores: FloatArray, mode: Mode) -> RowArray:
    """Places of articles from best to worst; by words alone, only those with one in common with the question."""
    places = order(numbers, scores)
    return places[scores[places] > 0] if mode in WORDS_ONLY else places


def _begins(snapshot: Snapshot, pooled: Candidates) -> RowArray:
    """Where the rows of each article begin in a pool, and where the last ones end."""
    numbers = snapshot.article_of_row[pooled.rows]
    return np.append(np.flatnonzero(np.diff(numbers, prepend=-1)), len(numbers))


def _chosen_articles(
    snapshot: Snapshot,
    query: Query,
    pooled: Candidates,
    numbers: RowArray,
    begins: RowArray,
    scores: FloatArray,
    chosen: Sequence[Chosen],
    mode: Mode,
) -> list[RankedArticle]:
    """The chosen versions, each with the score of the one that ranks best, and with rows of its own.

    Where the pool has no row of a version, all of its rows are compared: the cosine knows across languages which
    passage says the same.
    """
    inside = np.array([one.shown_at for one in chosen if one.shown_at >= 0], dtype=np.int64)
    found = _ranked_articles(snapshot, query, pooled, numbers, begins, scores, inside, mode)
    if all(one.shown_at == one.ranked_at for one in chosen):
        return found
    missing = sorted(one.number for one in chosen if one.shown_at < 0)
    if missing:
        owners = snapshot.article_of_row
        ranges = zip(np.searchsorted(owners, missing), np.searchsorted(owners, missing, side="right"), strict=True)
        more = scored(snapshot, query, np.concatenate([np.arange(*ends) for ends in ranges]))
        places, unscored = np.arange(len(missing)), np.zeros(len(missing), dtype=np.float32)
        its_numbers = np.array(missing, dtype=np.int64)
        found += _ranked_articles(snapshot, query, more, its_numbers, _begins(snapshot, more), unscored, places, mode)
    shown = {article.number: article for article in found}
    ranked_at = [one.ranked_at for one in chosen]
    ranks = zip(chosen, scores[ranked_at].tolist(), numbers[ranked_at].tolist(), strict=True)
    return [RankedArticle(one.number, score, shown[one.number].rows, ranked_as) for one, score, ranked_as in ranks]


def _ranked_articles(
    snapshot: Snapshot,
    query: Query,
    pooled: Candidates,
    numbers: RowArray,
    begins: RowArray,
    scores: FloatArray,
    places: RowArray,
    mode: Mode,
) -> list[RankedArticle]:
    """The articles at some places, each with its rows, the best first."""
    legs, ceilings = (pooled.words, pooled.grams, pooled.dense), (pooled.words_ceiling, pooled.grams_ceiling)
    asks_dense = query.wordings[0].vector is not None
    given = structures.Pooled(pooled.rows, legs, ceilings), None if mode == "hybrid" else rank(pooled, mode)
    chosen, row_scores, ends = soundly(
        snapshot.generation.files.folder, INSIDE, native.best_rows, _corpus(snapshot, query), *given, begins, places,
        SHOWN_ROWS,
    )  # fmt: skip
    rows = pooled.rows[chosen].tolist()
    words, grams, dense = (leg[chosen].tolist() for leg in legs)
    if asks_dense:
        parts = [{"words": w, "grams": g, "dense": d} for w, g, d in zip(words, grams, dense, strict=True)]
    else:
        parts = [{"words": w, "grams": g} for w, g in zip(words, grams, strict=True)]
    ranked = list(map(RankedRow._make, zip(rows, row_scores, parts, strict=True)))
    first, found = 0, []
    for number, score, last in zip(numbers[places].tolist(), scores[places].tolist(), ends, strict=True):
        found.append(RankedArticle(number, score, tuple(ranked[first:last]), number))
        first = last
    return found


def judged(
    snapshot: Snapshot,
    query: Query,
    pooled: Candidates,
    forests: Forests = (None, None, None),
    untitled: int = -1,
) -> native.Judged:
    """The articles of a pool with their features (:mod:`kbsearch.features`), and with models their order.

    ``forests`` are those of :class:`kbsearch.learned.Models`, or of the ranking alone. The article ``untitled`` counts
    as if its title were like any other.
    """
    first, overlap = query.wordings[0], pooled.overlap
    if overlap is None or first.vector is None:
        raise AssertionError("articles are judged by words, cosines and what the question shares with their fields")
    asking = structures.Asking(
        pooled.words_ceiling, pooled.grams_ceiling, first.japanese, first.asks_japanese,
        math.log1p(len(set(first.grams))), untitled,
    )  # fmt: skip
    scores = pooled.words, pooled.grams, pooled.dense, overlap.cover, overlap.reverse
    given = snapshot.parts.corpus, query.ways, asking, pooled.rows, scores, forests
    return soundly(snapshot.generation.files.folder, INSIDE, native.judge, *given)


def reasons_of(
    snapshot: Snapshot, models: Models, query: Query, where: Filter, day: dt.date | None = None
) -> dict[int, tuple[Reason, ...]]:
    """Why the articles of the pool stand where they stand, by article number; see :class:`kbsearch.results.Reason`."""
    if query.wordings[0].vector is None:
        return {}
    found = judged(snapshot, query, candidates(snapshot, query, where, POOL, day=day), models.forests)
    names = (*NAMES, VERSION)
    described = np.column_stack([found.features, found.scores])
    added = np.column_stack([models.ranker.contributions(found.features), found.scores - found.raw])
    return {
        int(number): tuple(
            Reason(names[place], float(values[place]), float(shares[place]))
            for place in np.argsort(-np.abs(shares), kind="stable")
            if shares[place]
        )
        for number, values, shares in zip(found.numbers, described, added, strict=True)
    }


def candidates(
    snapshot: Snapshot,
    query: Query,
    where: Filter,
    pool: int,
    mode: Mode = "hybrid",
    without: tuple[int, ...] = (),
    laps: Laps | None = None,
    *,
    day: dt.date | None = None,
    by_words: ByWords | None = None,
) -> Candidates:
    """Rows that any leg of the mode proposes, up to ``pool`` by each, with the scores of all legs.

    Of what is valid on the ``day``, today, without the articles of some numbers. ``by_words`` as in
    :func:`best_articles`.
    """
    laps = laps or Laps()
    excluded = _excluded(snapshot, day, without)
    if by_words is None:
        by_words = ByWords(snapshot, where, mode, pool, without, day)
        by_words.begin([wording.asked.terms for wording in query.wordings])
        laps.end("lexical")
    near: list[RowArray] = []
    for wording in query.wordings:
        if wording.vector is not None:
            near += _near(snapshot, wording, wording.vector, pool, snapshot.admitted(where, excluded))
    laps.end("dense")
    held = by_words.rows()
    laps.end("lexical")
    found = scored(snapshot, query, np.concatenate([held, *near]))
    if not snapshot.parts.has_delta:
        return found
    return _trimmed(found, np.concatenate([_NO_ROWS, *near]), pool)


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


def scored(snapshot: Snapshot, query: Query, rows: RowArray) -> Candidates:
    """The distinct rows with the scores of all legs; of several wordings, a row has those that it matches best."""
    folder, ceilings = snapshot.generation.files.folder, query.wordings[0].asked[1:]
    found, scores = soundly(folder, INSIDE, native.pool, _corpus(snapshot, query), query.ways, rows)
    n = len(found)
    return Candidates(
        found, scores[:n], scores[n : 2 * n], scores[2 * n : 3 * n], *ceilings,
        Overlap(scores[3 * n : 9 * n].reshape(n, 6), scores[9 * n :].reshape(n, 6)),
    )  # fmt: skip


def _corpus(snapshot: Snapshot, query: Query) -> structures.Corpus:
    """What a question is compared with: a question of words alone opens no vectors."""
    return snapshot.parts.texts if query.wordings[0].vector is None else snapshot.parts.corpus


def _ways(wordings: Sequence[Wording]) -> structures.Ways:
    first = wordings[0].asked
    return structures.Ways([
        structures.Way(
            way.asked.terms, way.vector,
            (_in_units(first.words_ceiling, way.asked.words_ceiling),
             _in_units(first.grams_ceiling, way.asked.grams_ceiling)),
        )
        for way in wordings
    ])  # fmt: skip


def _in_units(first: float, other: float) -> float:
    """By what BM25 of another wording is multiplied to be compared with that of the first; 0 where it cannot be."""
    return first / other if first > 0 and other > 0 else 0
