"""Articles to rows: what is indexed, in the order that numbers it, with the terms of each row.

A published article gives a row for each of its passages, then one for each of its aliases. An alias row shows the
article's first passage, so that a question is compared with a question.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kbsearch.embed import text_key
from kbsearch.text import analyse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kbsearch.model import Article, Passage, Progress, Weights

__all__ = ["Row", "analyse_rows", "field_terms", "make_rows"]

_TITLE_IN_ALIAS: Final = 1  # an alias row also holds the title once, so that it is found by either wording


@dataclass(slots=True)
class Row:
    """A row on its way into the index.

    ``text`` is what the encoder reads and ``key`` its SHA-256; ``terms_key`` that of all that decides its terms.
    """

    article: int
    passage: Passage
    alias: str
    text: str
    key: str
    terms_key: str = ""
    words: str = ""
    grams: str = ""


def make_rows(articles: list[Article]) -> list[Row]:
    """Rows of the published articles: the passages of each, then its aliases, in order of path."""
    rows = []
    for number, article in enumerate(articles):
        if article.status != "published":
            continue
        for passage in article.passages:
            heads = " > ".join(passage.headings)
            text = "\n".join(part for part in (passage.title, heads, passage.text) if part)
            rows.append(_row(number, passage, "", text))
        rows.extend(_row(number, article.passages[0], alias, alias) for alias in article.aliases)
    return rows


def _row(article: int, passage: Passage, alias: str, text: str) -> Row:
    return Row(article, passage, alias, text, text_key(text))


def analyse_rows(
    rows: list[Row],
    articles: list[Article],
    weights: Weights,
    known: Mapping[str, tuple[str, str]],
    tell: Progress,
) -> None:
    """Fill in the terms; :mod:`kbsearch.lexical` says why a weight is a repetition.

    ``known`` gives the words and grams of rows that were analysed before, by their ``terms_key``.
    """
    parts: dict[str, tuple[list[str], list[str]]] = {}  # titles and headings come again and again

    def terms(text: str) -> tuple[list[str], list[str]]:
        if text not in parts:
            analysis = analyse(text)
            parts[text] = (list(analysis.words.terms), list(analysis.grams.terms))
        return parts[text]

    for done, row in enumerate(rows, start=1):
        aliases = articles[row.article].aliases
        # The key alone does not tell where title and headings end, and for an alias not under which title it stands.
        memory = json.dumps([row.key, row.passage.title, row.passage.headings, row.alias, aliases])
        row.terms_key = hashlib.sha256(memory.encode()).hexdigest()
        if row.terms_key in known:
            row.words, row.grams = known[row.terms_key]
        else:
            title, heads = terms(row.passage.title), [terms(head) for head in row.passage.headings]
            if row.alias:
                weighted = [(terms(row.alias), weights.alias), (title, min(weights.title, _TITLE_IN_ALIAS))]
            else:
                body = analyse(row.passage.text)
                weighted = [
                    (title, weights.title),
                    *((head, weights.heading) for head in heads),
                    *((terms(alias), weights.alias) for alias in aliases),
                    ((list(body.words.terms), list(body.grams.terms)), weights.body),
                ]
            row.words = " ".join(term for (words, _), weight in weighted for term in words * weight)
            row.grams = " ".join(term for (_, grams), weight in weighted for term in grams * weight)
        tell("analyse", done, len(rows))


def field_terms(rows: list[Row]) -> Iterator[tuple[tuple[str, ...], ...]]:
    """Terms of the six slots of each row, in the order of :data:`kbsearch.fields.SLOTS`."""
    parts: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"": ((), ())}
    for row in rows:
        slots: list[tuple[str, ...]] = []
        for text in (row.passage.title, row.passage.headings[-1] if row.passage.headings else "", row.alias):
            if text not in parts:
                analysis = analyse(text)
                parts[text] = (analysis.words.terms, analysis.grams.terms)
            slots.extend(parts[text])
        yield tuple(slots)
