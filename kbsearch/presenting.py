"""Ranked articles → hits: what is shown of each, quoted in one call and fetched in one go.

Never: fetch a passage that nothing is quoted from; who looks at the others reads them then.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch.labels import title_line
from kbsearch.results import Hit, PassageHit, Passages
from kbsearch.snippet import make_snippet, note_sizes, says_notes
from kbsearch.wants import wants_number, wants_rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kbsearch.content import Head
    from kbsearch.laps import Laps
    from kbsearch.lexical import Asked
    from kbsearch.model import FloatArray
    from kbsearch.query import Query
    from kbsearch.quotes import Quotation
    from kbsearch.results import Reason, Snippet
    from kbsearch.retrieve import RankedArticle, RankedRow
    from kbsearch.snapshot import Snapshot
    from kbsearch.versions import Choice

__all__ = ["QUOTED_ROWS", "level_sizes", "present", "quote_rows"]

QUOTED_ROWS: Final = 3
"""Passages of an article that a snippet is quoted from."""

_NOTE_TOKENS: Final = 8  # what the notes of a snippet take, or a little less


def present(
    snapshot: Snapshot,
    query: Query,
    articles: Sequence[RankedArticle],
    snippet_chars: int,
    reasons: Mapping[int, tuple[Reason, ...]],
    choice: Choice,
    laps: Laps,
) -> tuple[Hit, ...]:
    """Quote the articles, and fetch what is shown of them."""
    content, numbers = snapshot.content, [article.number for article in articles]
    rows = [[ranked.row for ranked in article.rows[:QUOTED_ROWS]] for article in articles]
    in_japanese = snapshot.is_japanese[numbers].tolist()
    quotations = _quotations(snapshot, query, in_japanese, rows, snippet_chars)
    laps.end("snippet")
    wanted = {span.row for quotation in quotations for span in quotation.spans}
    wanted.update([own[0] for own, quotation in zip(rows, quotations, strict=True) if not quotation.spans])
    passages, heads = content.passage_rows(wanted), content.heads_of(numbers)
    laps.end("fetch")
    texts = {row: passages[row].text for row in wanted}
    related = snapshot.parts.related[numbers, -2:].tolist()
    hits = []
    for place, (article, quotation, own) in enumerate(zip(articles, quotations, rows, strict=True)):
        number, ranked = article.number, article.rows[0]
        best, head = passages[quotation.row if quotation.spans else ranked.row], heads[number]
        snippet = make_snippet(quotation, texts, snippet_chars, is_japanese=in_japanese[place], rows=own)
        sizes = level_sizes(head, related[place], best.section_size, _size_of(snippet, quotation))
        hits.append(
            Hit(
                place + 1, best.article_id, best.section_id, best.title, best.heading, snippet.text, snippet.marks,
                article.score, ranked.parts, best.path, best.lines,
                Passages(len(article.rows), partial(_passages, snapshot, article.rows)),
                reasons.get(article.ranked_as, ()), *choice.shown(number), head.category, snippet.pieces,
                snippet.notes, sizes, best.handle,
            )
        )  # fmt: skip
    laps.end("snippet")
    return tuple(hits)


def quote_rows(
    snapshot: Snapshot, query: Query, number: int, rows: Mapping[int, str], limit: int, *, whole: bool = False
) -> tuple[Snippet, tuple[int, int]]:
    """Quote some passages of one article, best first, in at most so many characters; with its characters and tokens.

    ``whole``: rather another sentence than a part of the best one.
    """
    is_japanese = bool(snapshot.is_japanese[number])
    quotation = _quotations(snapshot, query, [is_japanese], [list(rows)], limit, whole=whole)[0]
    snippet = make_snippet(quotation, rows, limit, is_japanese=is_japanese)
    return snippet, _size_of(snippet, quotation)


def level_sizes(
    head: Head, more: Sequence[int], section: tuple[int, int], snippet: tuple[int, int]
) -> tuple[tuple[int, int], ...]:
    """Characters and tokens of each level; ``more`` is what the last one adds to the article."""
    characters, tokens = head.size
    title = len(title_line(head.title, head.category)), head.title_tokens
    return title, snippet, section, head.size, (characters + more[0], tokens + more[1])


def _size_of(snippet: Snippet, quotation: Quotation) -> tuple[int, int]:
    return len(snippet.text), quotation.tokens + (_NOTE_TOKENS if snippet.notes else 0)


def _quotations(
    snapshot: Snapshot,
    query: Query,
    in_japanese: Sequence[bool],
    rows: Sequence[Sequence[int]],
    limit: int,
    *,
    whole: bool = False,
) -> list[Quotation]:
    """What is quoted of each article, with room for notes in its language."""
    asked, vector = _asked_anyhow(snapshot, query).terms, _meant(query)
    wants = wants_number(query.text), wants_rule(query.text)
    notes = [note_sizes(is_japanese=is_japanese) for is_japanese in in_japanese] if says_notes(limit) else None
    return snapshot.quotes.quote(snapshot.tokens.opened, asked, vector, rows, limit, notes, wants, whole=whole)


def _meant(query: Query) -> FloatArray | None:
    """The mean of all wordings: a synonym finds the sentence as well as it has found the article."""
    vectors = [way.vector for way in query.wordings if way.vector is not None]
    if len(vectors) < 2:  # noqa: PLR2004 - nothing to be a mean of
        return vectors[0] if vectors else None
    mean: FloatArray = np.mean(vectors, axis=0, dtype=np.float32)
    mean /= np.linalg.norm(mean)
    return mean


def _asked_anyhow(snapshot: Snapshot, query: Query) -> Asked:
    """The terms of all wordings: what is highlighted."""
    if len(query.wordings) == 1:
        return query.wordings[0].asked
    words = dict.fromkeys(term for way in query.wordings for term in way.words)
    grams = dict.fromkeys(term for way in query.wordings for term in way.grams)
    return snapshot.asked(tuple(words), tuple(grams))


def _passages(snapshot: Snapshot, rows: Sequence[RankedRow]) -> tuple[PassageHit, ...]:
    with snapshot.generation.blamed():
        passages = snapshot.content.passage_rows([ranked.row for ranked in rows])
    shown = [(passages[ranked.row], ranked) for ranked in rows]
    return tuple(
        [
            PassageHit(
                row.section_id, row.heading, row.headings, row.text, row.lines, ranked.score, ranked.parts, row.handle
            )
            for row, ranked in shown
        ]
    )
