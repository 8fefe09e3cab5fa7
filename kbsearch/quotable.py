"""The units of all rows of a build: cut, written down, and by key the text of each that the encoder reads.

Never: keep those texts. A passage has half a dozen units, so there are more of them than of anything else; a text is
made when its turn comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Final

from kbsearch.embed import text_key
from kbsearch.quotes import FARTHEST, QuoteWriter
from kbsearch.units import units_of_section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kbsearch.known import Known
    from kbsearch.model import Article, Passage
    from kbsearch.rows import Row
    from kbsearch.units import Unit

__all__ = ["MOST_ROWS", "Quotable", "sentence_texts"]

MOST_ROWS: Final = 200_000
"""Beyond so many passages sentences are not encoded unless it is asked for: they take as long as the passages do again,
and 400 bytes each."""


class Quotable(Mapping[str, str]):
    """See the module; empty when no vectors are wanted.

    Parameters
    ----------
    rows, articles
        In the order of their numbers.
    writer
        Gets the units.
    cost_of
        Tokens of a text by itself.
    has_vectors
        Whether the encoder is to read them.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        articles: Sequence[Article],
        writer: QuoteWriter,
        cost_of: Callable[[str], int],
        *,
        has_vectors: bool,
    ) -> None:
        self._rows, self._writer, self._has_vectors = rows, writer, has_vectors
        self._cost_of = cost_of
        self._keys: list[str] = []
        self._places: dict[str, tuple[int, int, int]] = {}
        first = 0
        for number, own in groupby(rows, key=lambda row: row.article):
            size = sum(1 for _ in own)
            self._add(first, size, _units_of(articles[number]))
            first += size
        writer.close()

    def _add(self, first: int, size: int, found: Sequence[Sequence[Unit]]) -> None:
        for row, units in zip(range(first, first + len(found)), found, strict=True):
            kept = self._writer.add([self._counted(unit, row) for unit in units])
            if not self._has_vectors:
                continue
            for start, end, *_ in units[:kept]:
                key = text_key(self._text(row, start, end))
                self._keys.append(key)
                self._places.setdefault(key, (row, start, end))
        for _ in range(len(found), size):  # aliases
            self._writer.repeat(first)

    def _counted(self, unit: Unit, row: int) -> Unit:
        tokens = self._cost_of(self._rows[row].passage.text[unit.start : unit.end])
        return unit._replace(tokens=min(tokens, FARTHEST))

    def _text(self, row: int, start: int, end: int) -> str:
        return _text(self._rows[row].passage, start, end)

    def write_vectors(self, known: Known, dimension: int) -> None:
        """Write the vectors of all units, which ``known`` has."""
        if self._has_vectors:
            self._writer.write_vectors(self._keys, known.blocks(self._keys), dimension)

    def __getitem__(self, key: str) -> str:
        return self._text(*self._places[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def sentence_texts(article: Article) -> Iterator[str]:
    """What the encoder reads of each unit of an article."""
    for passage, units in zip(article.passages, _units_of(article), strict=True):
        yield from (_text(passage, unit.start, unit.end) for unit in units if unit.end <= FARTHEST)


def _text(passage: Passage, start: int, end: int) -> str:
    """A unit with title and headings above it: a sentence seldom says what it is about."""
    return "\n".join(part for part in (passage.title, " > ".join(passage.headings), passage.text[start:end]) if part)


def _units_of(article: Article) -> list[list[Unit]]:
    """Units of each passage of an article; those of one section are looked at together."""
    found: list[list[Unit]] = []
    for number, passages in groupby(article.passages, key=lambda passage: passage.section):
        above = (article.title, *article.sections[number].headings)
        found.extend(units_of_section([passage.text for passage in passages], above))
    return found
