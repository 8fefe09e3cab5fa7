"""Rows of terms that a test writes down itself, and questions of terms with any idf."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch import structures
from kbsearch.bm25 import BM25_B, BM25_K1, term_id
from kbsearch.text import analyse
from kbsearch.tokens import TokenIndex, TokenWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kbsearch import rows
    from kbsearch.model import Article, RowArray, Weights

__all__ = ["NOTHING", "Row", "Span", "Text", "ask", "bodies", "opened", "parts_of", "write"]

Span = tuple[int, int]


@dataclass(frozen=True)
class Text:
    """Terms with their spans, as an analysis has them; ``name`` stands for the text itself."""

    name: str
    words: tuple[tuple[str, Span], ...] = ()
    grams: tuple[tuple[str, Span], ...] = ()

    @classmethod
    def read(cls, text: str) -> Text:
        found = analyse(text)
        words, grams = (tuple(zip(part.terms, part.spans, strict=True)) for part in (found.words, found.grams))
        return cls(text, words, grams)

    @classmethod
    def of(cls, words: str = "", grams: str = "") -> Text:
        """Terms one behind the other."""

        def placed(terms: list[str]) -> tuple[tuple[str, Span], ...]:
            ends = np.cumsum([0, *map(len, terms)]).tolist()
            return tuple(zip(terms, pairwise(ends), strict=True))

        return cls(f"{words}|{grams}", placed(words.split()), placed(grams.split()))

    def terms(self, stream: str) -> list[str]:
        return [term for term, _ in (self.words if stream == "words" else self.grams)]


NOTHING: Final = Text("")


@dataclass(frozen=True)
class Row:
    body: Text
    title: Text = NOTHING
    heading: Text = NOTHING
    alias: Text = NOTHING
    weights: tuple[int, int, int, int] = (1, 3, 2, 3)
    """Of the body, the title, the heading and the alias."""

    @property
    def parts(self) -> list[tuple[Text, int]]:
        texts = (self.title, self.heading, self.alias, self.body)
        return list(zip(texts, (*self.weights[1:], self.weights[0]), strict=True))

    def held(self, stream: str) -> Counter[str]:
        """How often it holds each term, weights included."""
        return Counter(term for text, weight in self.parts for term in text.terms(stream) * weight)


def parts_of(row: rows.Row, articles: Sequence[Article], weights: Weights) -> list[tuple[str, int]]:
    """The texts of a row of a build, each with how often its terms count."""
    passage = row.passage
    if row.alias:
        return [(row.alias, weights.alias), (passage.title, 1)]
    headings = [(heading, weights.heading) for heading in passage.headings]
    aliases = [(alias, weights.alias) for alias in articles[row.article].aliases]
    return [(passage.title, weights.title), *headings, *aliases, (passage.text, weights.body)]


def write(folder: Path, rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Write the folder; returns the words and the grams of each row, joined."""
    with TokenWriter(folder) as writer:
        joined = []
        for row in rows:
            for text in (row.body, row.title, row.heading, row.alias):
                if not writer.knows(text.name):
                    words, grams = (
                        ([term for term, _ in part], [span for _, span in part]) for part in (text.words, text.grams)
                    )
                    writer.add_text(text.name, words, grams)
            slots = (row.title.name, row.heading.name, row.alias.name)
            writer.add_row(row.body.name, slots, [(text.name, weight) for text, weight in row.parts])
            held = [[*row.held(stream).elements()] for stream in ("words", "grams")]
            joined.append((" ".join(held[0]), " ".join(held[1])))
    return joined


def opened(rows: Sequence[Row]) -> TokenIndex:
    """What was written, open; the folder is gone, its maps are not."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "tokens", rows)
        return TokenIndex(Path(folder) / "tokens", len(rows))


def ask(
    index: TokenIndex,
    words: Mapping[str, float],
    grams: Mapping[str, float],
    boosts: tuple[Mapping[str, int], Mapping[str, int]] = ({}, {}),
) -> structures.Asked:
    """A question of distinct terms with their idf; BM25 counts each as often as ``boosts`` say, and no other."""
    flags = [structures.ASCII * term.isascii() for term in words]
    flags += [structures.GRAM | structures.ASCII * term.isascii() for term in grams]
    ids = [term_id(stream, term) for stream, terms in (("words", words), ("grams", grams)) for term in terms]
    boost = [boosts[0].get(term, 0) for term in words] + [boosts[1].get(term, 0) for term in grams]
    return structures.Asked(
        np.array(ids, np.uint32), np.fromiter(chain(words.values(), grams.values()), np.float32, len(ids)),
        np.array(boost, np.float32), np.array(flags, np.uint8), index.mean_lengths, BM25_K1, BM25_B,
    )  # fmt: skip


def bodies(index: TokenIndex, rows: Sequence[int] | RowArray) -> list[int]:
    """Number of the text that each row shows, by the record of the row; those of a delta have numbers of their own."""
    found = []
    for row in np.asarray(rows).tolist():
        delta = index._delta
        part, own = (index, row) if delta is None or row < index._base_rows else (delta.added, row - index._base_rows)
        found.append(int(part._columns["rows"][structures.ROW * own + structures.ROW - 1]))
    return found
