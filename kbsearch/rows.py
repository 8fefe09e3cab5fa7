"""Articles to rows: what is indexed, in the order that numbers it, with the terms of each row.

A published article gives a row for each of its passages, then one for each of its aliases. An alias row shows the
article's first passage, so that a question is compared with a question.

Never: keep the terms of a row, or the text that the encoder reads of it. A million of either are gigabytes; what is
wanted of them is made when its turn comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from kbsearch.embed import text_key
from kbsearch.text import analyse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kbsearch.known import Known
    from kbsearch.model import Article, Passage, Progress, Weights
    from kbsearch.tokens import TokenWriter

__all__ = ["Analysed", "Row", "Texts", "analyse_rows", "make_rows"]

_TITLE_IN_ALIAS: Final = 1  # an alias row also holds the title once, so that it is found by either wording


@dataclass(slots=True)
class Row:
    """A row on its way into the index; ``key`` is the SHA-256 of what the encoder reads."""

    article: int
    passage: Passage
    alias: str
    key: str

    @property
    def text(self) -> str:
        """What the encoder reads."""
        return _text(self.passage, self.alias)

    @property
    def heading(self) -> str:
        """The last one above its passage; ``""`` for the lead and for an alias."""
        return self.passage.headings[-1] if self.passage.headings and not self.alias else ""


class Analysed(NamedTuple):
    """A row with the terms of its parts that count, joined by spaces."""

    row: Row
    words: str
    grams: str


class Texts(Mapping[str, str]):
    """What the encoder reads of an index but for its sentences, by key: of each row, the titles, and the headings.

    Headings that ``coded`` has are left out: their vectors are kept in codes, which do for nothing else.
    """

    def __init__(self, rows: Sequence[Row], articles: Sequence[Article], coded: Known | None = None) -> None:
        self._sources: dict[str, Row | str] = {row.key: row for row in rows}
        for article in articles:
            self._sources.setdefault(text_key(article.title), article.title)
        for heading in dict.fromkeys(row.heading for row in rows if row.heading):
            key = text_key(heading)
            if coded is None or key not in coded:
                self._sources.setdefault(key, heading)

    def __getitem__(self, key: str) -> str:
        source = self._sources[key]
        return source if isinstance(source, str) else source.text

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)


def make_rows(articles: Sequence[Article]) -> list[Row]:
    """Rows of the published articles: the passages of each, then its aliases, in order of path."""
    rows: list[Row] = []
    for number, article in enumerate(articles):
        if article.status != "published":
            continue
        rows.extend(_row(number, passage, "") for passage in article.passages)
        rows.extend(_row(number, article.passages[0], alias) for alias in article.aliases)
    return rows


def _row(article: int, passage: Passage, alias: str) -> Row:
    return Row(article, passage, alias, text_key(_text(passage, alias)))


def _text(passage: Passage, alias: str) -> str:
    if alias:
        return alias
    heads = " > ".join(passage.headings)
    return "\n".join(part for part in (passage.title, heads, passage.text) if part)


def analyse_rows(
    rows: Sequence[Row], articles: Sequence[Article], weights: Weights, tokens: TokenWriter, tell: Progress
) -> Iterator[Analysed]:
    """Give the terms of each row, once they are written down; :mod:`kbsearch.bm25` says why a weight repeats."""

    def known(text: str) -> str:
        if not tokens.knows(text):
            found = analyse(text)
            words, grams = (found.words.terms, found.words.spans), (found.grams.terms, found.grams.spans)
            tokens.add_text(text, words, grams)
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
        yield Analysed(row, *tokens.add_row(known(passage.text), slots, parts))
        tell("analyse", done, len(rows))
