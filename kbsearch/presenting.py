"""Ranked articles → hits: what is shown of each, fetched in one go and quoted in one call a language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kbsearch.labels import title_line
from kbsearch.results import Hit, PassageHit
from kbsearch.snippet import make_snippet, note_sizes, says_notes
from kbsearch.wants import wants_number, wants_rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kbsearch.content import Head
    from kbsearch.laps import Laps
    from kbsearch.lexical import Asked
    from kbsearch.model import PassageRow
    from kbsearch.quotes import Quotation
    from kbsearch.results import Reason, Snippet
    from kbsearch.retrieve import Query, RankedArticle, RankedRow
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
    """Fetch the page that is shown, and quote it."""
    quoted = [[ranked.row for ranked in article.rows[:QUOTED_ROWS]] for article in articles]
    passages = snapshot.content.passage_rows([ranked.row for article in articles for ranked in article.rows])
    laps.end("fetch")
    numbers = [article.number for article in articles]
    heads, in_japanese = snapshot.content.heads_of(numbers), snapshot.is_japanese[numbers].tolist()
    quotations = _quotations(snapshot, query, in_japanese, quoted, snippet_chars)
    related = snapshot.parts.related[numbers, -2:].tolist()
    shown = zip(articles, quotations, quoted, in_japanese, related, strict=True)
    hits = []
    for number, (article, quotation, rows, is_japanese, more) in enumerate(shown, start=1):
        ranked = article.rows[0]
        best = passages[quotation.row if quotation.spans else ranked.row]
        texts = {row: passages[row].text for row in rows}
        snippet = make_snippet(quotation, texts, snippet_chars, is_japanese=is_japanese)
        head = heads[article.number]
        sizes = level_sizes(head, more, best.section_size, _size_of(snippet, quotation))
        hits.append(
            Hit(
                number, best.article_id, best.section_id, best.title, best.heading, snippet.text, snippet.marks,
                article.score, ranked.parts, best.path, best.lines, _passages(article.rows, passages),
                reasons.get(article.ranked_as, ()), *choice.shown(article.number), head.category, snippet.pieces,
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
    """What is quoted of each article; notes have other lengths in other languages, so each language is asked alone."""
    asked, vector = _asked_anyhow(snapshot, query).terms, query.wordings[0].vector
    wants = wants_number(query.text), wants_rule(query.text)
    found: dict[int, Quotation] = {}
    for is_japanese in dict.fromkeys(in_japanese):
        places = [place for place, own in enumerate(in_japanese) if own == is_japanese]
        some = [rows[place] for place in places]
        sizes = note_sizes(is_japanese=is_japanese) if says_notes(limit) else None
        quotations = snapshot.quotes.quote(
            snapshot.tokens.opened, asked, vector, some, limit, sizes, wants, whole=whole
        )
        found.update(zip(places, quotations, strict=True))
    return [found[place] for place in range(len(in_japanese))]


def _asked_anyhow(snapshot: Snapshot, query: Query) -> Asked:
    """The terms of all wordings: what is highlighted."""
    words = dict.fromkeys(term for way in query.wordings for term in way.words)
    grams = dict.fromkeys(term for way in query.wordings for term in way.grams)
    first = query.wordings[0]
    return snapshot.asked(*((first.words, first.grams) if len(query.wordings) == 1 else (tuple(words), tuple(grams))))


def _passages(rows: Sequence[RankedRow], passages: dict[int, PassageRow]) -> tuple[PassageHit, ...]:
    shown = [(passages[ranked.row], ranked) for ranked in rows]
    return tuple(
        [
            PassageHit(
                row.section_id, row.heading, row.headings, row.text, row.lines, ranked.score, ranked.parts, row.handle
            )
            for row, ranked in shown
        ]
    )
