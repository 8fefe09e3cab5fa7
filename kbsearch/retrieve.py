"""From a question to ranked articles: prepare → candidates → rank → group. Ids and texts come later.

Use: ``query = prepare(snapshot, question, mode)``, then ``best_articles(snapshot, query, where, mode, k)``.

Never: fetch content here; rows and article numbers are all it handles.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch.features import Question, article_features
from kbsearch.rank import Candidates, Mode, best_of_articles, order, rank
from kbsearch.ranker import shipped_ranker
from kbsearch.text import analyse, japanese_share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kbsearch.model import Filter, FloatArray, RowArray
    from kbsearch.snapshot import Snapshot

__all__ = [
    "MAX_QUERY_CHARS",
    "Query",
    "RankedArticle",
    "RankedRow",
    "best_articles",
    "candidates",
    "describe",
    "prepare",
]

MAX_QUERY_CHARS: Final = 10_000
"""A longer question is read up to here."""

_POOL: Final = 100  # rows that each leg proposes; the learned ranking was trained on pools of this depth
_DEEPER: Final = 4
_DEEPEST_POOL: Final = 100_000


@dataclass(frozen=True, slots=True)
class Query:
    """A question, analysed once and encoded once. ``vector`` is None when the dense leg is not asked."""

    text: str
    words: tuple[str, ...]
    grams: tuple[str, ...]
    vector: FloatArray | None


@dataclass(frozen=True, slots=True)
class RankedRow:
    """A row with its score among the rows of its article, and the score of each leg."""

    row: int
    score: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class RankedArticle:
    """An article with its score and its candidate rows, best first; there is at least one."""

    number: int
    score: float
    rows: tuple[RankedRow, ...]


def prepare(snapshot: Snapshot, question: str, mode: Mode) -> Query:
    """Analyse and encode a question. Without a letter or digit it has no terms and no vector."""
    text = question[:MAX_QUERY_CHARS]
    analysis = analyse(text)
    asks = bool(analysis.words.terms or analysis.grams.terms)
    vector = snapshot.encode(text) if asks and mode != "lexical" else None
    return Query(text, analysis.words.terms, analysis.grams.terms, vector)


def best_articles(snapshot: Snapshot, query: Query, where: Filter, mode: Mode, k: int) -> list[RankedArticle]:
    """The k best articles, best first: score descending, article number ascending.

    The learned ranking always sees the same pool, whatever k is, so that a short page is the beginning of a long one.
    Where the pool holds fewer articles than wanted (a few long ones can fill it), a deeper one gives more, which stand
    behind in the order of the plain combination.
    """
    k = min(k, snapshot.lexical.rows)  # there are no more articles than rows
    pooled = candidates(snapshot, query, where, _POOL, mode)
    articles, scores = _scored_articles(snapshot, query, pooled, mode)
    found = list(islice(_ranked_articles(snapshot, query, pooled, articles, scores, mode), k))
    pool, seen = _POOL, len(pooled.rows)
    while len(found) < k and pool < _DEEPEST_POOL:
        pool *= _DEEPER
        pooled = candidates(snapshot, query, where, pool, mode)
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
    return found


def _ranked_articles(
    snapshot: Snapshot, query: Query, pooled: Candidates, articles: RowArray, scores: FloatArray, mode: Mode
) -> Iterator[RankedArticle]:
    """Articles in their order, each with its rows in theirs; made one by one, since a page takes only the first."""
    numbers, row_scores = snapshot.article_of_row[pooled.rows], rank(pooled, mode)
    for place in order(articles, scores):
        if mode == "lexical" and scores[place] <= 0:
            break  # no word in common with the question
        rows = np.flatnonzero(numbers == articles[place])
        rows = rows[order(pooled.rows[rows], row_scores[rows])]
        ranked = tuple(_ranked_row(pooled, int(row), float(row_scores[row]), query) for row in rows)
        yield RankedArticle(int(articles[place]), float(scores[place]), ranked)


def describe(snapshot: Snapshot, query: Query, pooled: Candidates) -> tuple[RowArray, FloatArray]:
    """Article numbers of a pool, and their features; see :mod:`kbsearch.features`."""
    words = {term: snapshot.lexical.idf("words", term) for term in query.words}
    grams = {term: snapshot.lexical.idf("grams", term) for term in query.grams}
    overlap = snapshot.fields.overlap(pooled.rows, words, grams)
    cosines = snapshot.generation.manifest["cosines"]
    japanese = japanese_share(query.text)
    question = Question(japanese, len(grams), cosines["mean"], cosines["spread"])
    return article_features(pooled, overlap, snapshot.article_of_row[pooled.rows], snapshot.is_japanese, question)


def _scored_articles(snapshot: Snapshot, query: Query, pooled: Candidates, mode: Mode) -> tuple[RowArray, FloatArray]:
    """Article numbers of the pool, ascending, and their scores: by the learned ranking, or by one leg alone."""
    if mode != "hybrid" or query.vector is None:
        articles = best_of_articles(pooled, snapshot.article_of_row[pooled.rows])
        return articles.rows, rank(articles, mode)
    found, features = describe(snapshot, query, pooled)
    scores = 1 / (1 + np.exp(-shipped_ranker().score(features).astype(np.float64)))  # into (0, 1), order kept
    return found, scores.astype(np.float32)


def candidates(snapshot: Snapshot, query: Query, where: Filter, pool: int, mode: Mode = "hybrid") -> Candidates:
    """Rows that any leg of the mode proposes, up to ``pool`` by each, with the scores of all legs."""
    excluded = snapshot.out_of_date_today()
    lexical = snapshot.lexical
    proposals: list[RowArray] = [np.empty(0, dtype=np.int64)]
    if mode != "dense":
        proposals.append(lexical.search("words", query.words, pool, where, excluded)[0])
        proposals.append(lexical.search("grams", query.grams, pool, where, excluded)[0])
    if query.vector is not None:
        mask = snapshot.admitted(where, excluded)
        proposals.append(snapshot.vectors.search(query.vector, pool, mask)[0])
    rows = np.unique(np.concatenate(proposals))
    dense = snapshot.vectors.score(query.vector, rows) if query.vector is not None else np.zeros(len(rows), np.float32)
    return Candidates(
        rows=rows,
        words=lexical.score("words", query.words, rows),
        grams=lexical.score("grams", query.grams, rows),
        dense=dense,
        words_ceiling=lexical.ceiling("words", query.words),
        grams_ceiling=lexical.ceiling("grams", query.grams),
    )


def _ranked_row(candidates: Candidates, place: int, score: float, query: Query) -> RankedRow:
    parts = {"words": float(candidates.words[place]), "grams": float(candidates.grams[place])}
    if query.vector is not None:
        parts["dense"] = float(candidates.dense[place])
    return RankedRow(int(candidates.rows[place]), score, parts)
