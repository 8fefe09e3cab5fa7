"""Articles to rows: what is indexed, in the order that numbers it, with the terms of each row.

A published article gives a row for each of its passages, then one for each of its aliases. An alias row shows the
article's first passage, so that a question is compared with a question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kbsearch.embed import text_key
from kbsearch.sentences import sentences
from kbsearch.text import analyse

if TYPE_CHECKING:
    from kbsearch.model import Article, Passage, Progress, Weights
    from kbsearch.tokens import TokenWriter

__all__ = ["Row", "analyse_rows", "make_rows"]

_TITLE_IN_ALIAS: Final = 1  # an alias row also holds the title once, so that it is found by either wording


@dataclass(slots=True)
class Row:
    """A row on its way into the index.

    ``text`` is what the encoder reads, ``key`` its SHA-256; ``words`` and ``grams`` are its terms, joined by spaces.
    """

    article: int
    passage: Passage
    alias: str
    text: str
    key: str
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
    rows: list[Row], articles: list[Article], weights: Weights, tokens: TokenWriter, tell: Progress
) -> None:
    """Fill in the terms, and write them down; :mod:`kbsearch.lexical` says why a weight is a repetition."""

    def known(text: str) -> str:
        if not tokens.knows(text):
            found = analyse(text)
            words, grams = (found.words.terms, found.words.spans), (found.grams.terms, found.grams.spans)
            tokens.add_text(text, words, grams, sentences(text))
        return text

    for done, row in enumerate(rows, start=1):
        passage, headings = row.passage, row.passage.headings
        slots = (known(passage.title), known(headings[-1] if headings else ""), known(row.alias))
        if row.alias:
            parts = [(row.alias, weights.alias), (passage.title, min(weights.title, _TITLE_IN_ALIAS))]
        else:
            parts = [
                (passage.title, weights.title),
                *((known(heading), weights.heading) for heading in headings),
                *((known(alias), weights.alias) for alias in articles[row.article].aliases),
                (passage.text, weights.body),
            ]
        row.words, row.grams = tokens.add_row(known(passage.text), slots, parts)
        tell("analyse", done, len(rows))
