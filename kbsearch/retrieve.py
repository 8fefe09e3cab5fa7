"""From a prepared question to ranked articles: candidates → rank → group. Ids and texts come later.

Use: ``query = prepare(snapshot, question, mode)`` of :mod:`kbsearch.query`, then
``best_articles(snapshot, models, query, where, mode, k)``.

Never: fetch content here; rows and article numbers are all it handles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from kbsearch import native, structures
from kbsearch.columns import INSIDE, soundly
from kbsearch.features import NAMES
from kbsearch.laps import Laps
from kbsearch.pooling import POOL, candidates, corpus_of, scored
from kbsearch.rank import WORDS_ONLY, Candidates, Mode, best_of_articles, order, rank
from kbsearch.results import Reason

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from kbsearch.learned import Models
    from kbsearch.model import Filter, FloatArray, RowArray
    from kbsearch.pooling import ByWords
    from kbsearch.query import Query
    from kbsearch.snapshot import Snapshot
    from kbsearch.versions import Choice, Chosen

__all__ = ["SHOWN_ROWS", "VERSION", "Ranked", "RankedArticle", "RankedRow", "best_articles", "judged", "reasons_of"]

SHOWN_ROWS: Final = 3
"""Of one article, each with another text."""

VERSION: Final = "version"
"""Name of the reason that an article stands beside its translation; its value is the log-odds that it has by it."""

_NO_MODELS: Final = structures.Models()
_DEEPER: Final = 4
_DEEPEST_POOL: Final = 100_000


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
        scores, merits = judgement.chances, judgement.raw
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
    legs = pooled.words, pooled.grams, pooled.dense
    asks_dense = query.wordings[0].vector is not None
    given = pooled.pooled, None if mode == "hybrid" else rank(pooled, mode)
    chosen, row_scores, ends = soundly(
        snapshot.generation.files.folder, INSIDE, native.best_rows, corpus_of(snapshot, query), *given, begins, places,
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
    forests: structures.Models = _NO_MODELS,
    untitled: int = -1,
    withheld: int = -1,
) -> native.Judged:
    """The articles of a pool with their features (:mod:`kbsearch.features`), and with models their order.

    ``forests`` are those of :class:`kbsearch.learned.Models`, or of the ranking alone. The article ``untitled`` counts
    as if its title were like any other, and the heading ``withheld`` (:mod:`kbsearch.headings`) as if it were not
    there.
    """
    first = query.wordings[0]
    asking = structures.Asking(
        pooled.words_ceiling, pooled.grams_ceiling, first.japanese, first.asks_japanese,
        math.log1p(len(set(first.grams))), untitled, withheld,
    )  # fmt: skip
    given = snapshot.parts.corpus, query.ways, asking, pooled.pooled, forests
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
