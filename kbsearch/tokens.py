"""The terms of every row, forwards: for a row, which terms it holds, how often, and where they stand in its text.

The lexical leg answers "which rows hold this term"; this is the other direction. It scores the rows that any leg has
proposed, says what a question shares with their title, heading and alias, and knows the places to highlight, all
without cutting a text into words again.

A *text* is a body, a title, a heading or an alias; equal texts are kept once. For each there are its words, then its
grams, in the order of their places: a 32-bit hash of the term, the first character, the number of characters. Two terms
with one hash are taken for one, once in some hundred million comparisons. A *row* is a list of texts, each with the
weight that its terms have for BM25, the texts of its three slots, and the text that is shown of it.

Use: :class:`TokenWriter` in a build, then :class:`TokenIndex` from as many threads as you like.

Never: look into a text here; an analysis is what comes in.
"""

from __future__ import annotations

from array import array
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from kbsearch import native, structures
from kbsearch.bm25 import STREAMS, quantised_length, term_id
from kbsearch.columns import FITTING, INSIDE, let_go, load_column, soundly
from kbsearch.errors import IndexCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray

__all__ = ["SLOTS", "Located", "TokenDelta", "TokenIndex", "TokenWriter"]

SLOTS: Final = ("title words", "title grams", "heading words", "heading grams", "alias words", "alias grams")
"""Order of what :meth:`TokenIndex.describe` says of the short fields."""

Located = tuple[int, int, int]
"""First and one-past-last character of a place, and the place of its term in the question."""


_COLUMNS: Final = {
    "ids": np.uint32, "starts": np.uint16, "lengths": np.uint8, "texts": np.uint32, "rows": np.uint32,
    "parts": np.uint32, "totals": np.int64,
}  # fmt: skip
_FARTHEST: Final = np.iinfo(np.uint16).max  # what begins further on is counted, and never shown
_LONGEST: Final = np.iinfo(np.uint8).max
_LOW: Final = 0xFFFFFFFF
_BUFFER: Final = 1 << 16
_TYPE_CODES: Final = {1: "B", 2: "H", 4: "I", 8: "q"}  # of an array, by bytes
_SHORT: Final = 200  # characters
_REPEATED: Final = 5_000  # texts; more are cut into words again when they come again
_RECENT: Final = 16
_PLACES_PER_ROW: Final = 64  # that match; more are asked for when they are full
_MOST_PLACES_PER_ROW: Final = 4_000  # of a giant passage the first are enough to show


class TokenWriter:
    """Writes the folder of a new generation, row by row; a context manager.

    Raises
    ------
    OSError
        When the disk does not take it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._columns = {name: _GrowingColumn(folder / f"{name}.npy", dtype) for name, dtype in _COLUMNS.items()}
        self._texts: dict[str, int] = {}
        self._counts = (array("I"), array("I"))  # words and grams of each text
        self._terms: dict[str, tuple[str, str]] = {}  # of titles and headings, which come again and again
        self._recent: dict[str, tuple[str, str]] = {}  # of bodies, which most often do not
        self._ids = {stream: _Ids(stream) for stream in STREAMS}
        self._tokens = self._parts = 0
        self._totals = [0, 0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._columns["totals"].append(self._totals)
        for column in self._columns.values():
            column.close()
        for memory in (self._texts, self._terms, self._recent, self._ids["words"], self._ids["grams"]):
            memory.clear()

    def knows(self, text: str) -> bool:
        """Whether a text need not be added again, now."""
        return text in self._terms or text in self._recent

    def add_text(
        self,
        text: str,
        words: tuple[Sequence[str], Sequence[tuple[int, int]]],
        grams: tuple[Sequence[str], Sequence[tuple[int, int]]],
    ) -> None:
        """Add a text with its terms and their spans."""
        memory = self._terms if len(text) <= _SHORT else self._recent
        memory[text] = (" ".join(words[0]), " ".join(grams[0]))
        if text not in self._texts:
            self._append(words, grams)
            self._texts[text] = len(self._texts)

    def _append(
        self,
        words: tuple[Sequence[str], Sequence[tuple[int, int]]],
        grams: tuple[Sequence[str], Sequence[tuple[int, int]]],
    ) -> None:
        begin, distinct = self._tokens, []
        for stream, counts, (terms, spans) in zip(STREAMS, self._counts, (words, grams), strict=True):
            counts.append(len(terms))
            ids = list(map(self._ids[stream].__getitem__, terms))
            self._columns["ids"].append(ids)
            self._columns["starts"].append([min(start, _FARTHEST) for start, _ in spans])
            self._columns["lengths"].append([min(end - start, _LONGEST) for start, end in spans])
            distinct.append(len(set(ids)))
            self._tokens += len(ids)
        sizes = len(words[0]), len(grams[0])
        self._columns["texts"].append((begin & _LOW, begin >> 32, *sizes, *distinct, 0, 0))

    def add_row(self, body: str, slots: tuple[str, str, str], parts: Iterable[tuple[str, int]]) -> tuple[str, str]:
        """Add a row of texts that :meth:`knows` knows; a part is a text with its weight.

        Returns
        -------
        words, grams
            The terms of all parts that count, joined by a space, for who counts words.
        """
        texts: list[int] = []
        weights: list[int] = []
        joined: tuple[list[str], list[str]] = ([], [])
        lengths = [0, 0]
        for text, weight in parts:
            number = self._texts[text]
            counts = [count[number] for count in self._counts]
            if weight == 0 or not any(counts):
                continue
            terms = self._terms.get(text) or self._recent[text]
            texts.append(number)
            weights.append(weight)
            for stream in (0, 1):
                lengths[stream] += counts[stream] * weight
                if counts[stream]:
                    joined[stream].append(terms[stream])
        self._columns["parts"].append(chain.from_iterable(zip(texts, weights, strict=True)))
        shown = [self._texts[text] for text in (*slots, body)]
        quantised = [quantised_length(length) for length in lengths]
        self._columns["rows"].append((self._parts, self._parts + len(texts), *quantised, *shown))
        self._parts += len(texts)
        self._totals = [total + length for total, length in zip(self._totals, lengths, strict=True)]
        if len(self._recent) > _RECENT:
            self._recent.clear()
        if len(self._terms) > _REPEATED:
            self._terms.clear()
        return " ".join(joined[0]), " ".join(joined[1])


class _Ids(dict[str, int]):
    """The number of every term of a stream that was seen."""

    def __init__(self, stream: str) -> None:
        self._stream = stream

    def __missing__(self, term: str) -> int:
        found = self[term] = term_id(self._stream, term)
        return found


class TokenDelta(NamedTuple):
    """What adds to an index, with the rows and the words and grams of what counts no more."""

    added: TokenIndex
    removed_rows: int
    removed_terms: tuple[int, int]


class TokenIndex:
    """The open folder; immutable, shared between threads.

    Parameters
    ----------
    folder
        As :class:`TokenWriter` left it.
    rows
        How many there must be.
    delta
        What changed since.

    Raises
    ------
    IndexCorrupt
        When it is something else; also from any method, when a place leads out of a file.
    """

    def __init__(self, folder: Path, rows: int, delta: TokenDelta | None = None) -> None:
        self._folder = folder
        self._columns: dict[str, NDArray[Any]] = {
            name: load_column(folder / f"{name}.npy", dtype) for name, dtype in _COLUMNS.items()
        }
        totals = self._columns["totals"]
        self._open = soundly(folder, FITTING, structures.Tokens, self._columns)
        if self._open.n_rows != rows or len(totals) != 2:  # noqa: PLR2004 - streams
            raise IndexCorrupt(folder, f"the terms of {rows} rows", f"those of {self._open.n_rows}")
        self._base_rows, self._delta = rows, delta
        self.totals: tuple[int, int] = (int(totals[0]), int(totals[1]))
        self.rows = served = rows
        if delta is not None:
            self.rows = rows + delta.added.rows
            served = self.rows - delta.removed_rows
            words, grams = (
                own + added - gone
                for own, added, gone in zip(self.totals, delta.added.totals, delta.removed_terms, strict=True)
            )
            self.totals = (words, grams)
        self.mean_lengths = (self.totals[0] / (served or 1), self.totals[1] / (served or 1))

    @property
    def opened(self) -> list[structures.Tokens]:
        """The columns, and those of the delta behind them."""
        return [self._open] if self._delta is None else [self._open, self._delta.added._open]  # noqa: SLF001 - one of us

    def describe(
        self, asked: structures.Asked, rows: RowArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Compare a question with rows.

        Returns
        -------
        words, grams : float32, shape (n,)
            BM25, 0 where no term occurs.
        cover : float32, shape (n, 6)
            The share of the question's idf mass that each of the ``SLOTS`` holds, from 0 to 1.
        reverse : float32, shape (n, 6)
            The share of the slot's distinct terms that the question holds; 0 for an empty slot.
        """
        own, added = self._split(rows)
        found = soundly(self._folder, INSIDE, native.describe, self._open, asked, own)
        if self._delta is None or not len(added):
            return found
        more = self._delta.added.describe(asked, added)
        words, grams, cover, reverse = (np.concatenate(both) for both in zip(found, more, strict=True))
        return words, grams, cover, reverse

    def matches(self, asked: structures.Asked, rows: RowArray) -> list[list[Located]]:
        """Places of the question's terms in the body of each row, ascending.

        Words, and grams where no matched word lies and two grams in a row agree: a single pair of characters is chance
        (「ます」); a run of them, or a word in Latin letters, is a match.
        """
        if self._delta is not None:
            return [
                self._delta.added.matches(asked, added)[0] if len(added) else self._matches(asked, own)[0]
                for own, added in map(self._split, rows[:, np.newaxis])
            ]
        return self._matches(asked, rows)

    def _matches(self, asked: structures.Asked, rows: RowArray) -> list[list[Located]]:
        room = _PLACES_PER_ROW * len(rows)
        found, ends = soundly(self._folder, INSIDE, native.matches, self._open, asked, rows, room)
        if len(found) >= room - 1:  # it was full; the last place may have been given up again as chance
            if len(rows) > 1:  # a giant passage takes no room of the others
                return [self._matches(asked, row)[0] for row in rows[:, np.newaxis]]
            found, ends = soundly(
                self._folder, INSIDE, native.matches, self._open, asked, rows, _MOST_PLACES_PER_ROW * len(rows)
            )
        places: list[Located] = found.tolist()
        starts = [0, *ends.tolist()]
        return [places[start:end] for start, end in pairwise(starts)]

    def counts(self, row: int, stream: str) -> dict[int, int]:
        """How often a row holds each term of a stream, weights included, by :func:`term_id`."""
        if self._delta is not None and row >= self._base_rows:
            return self._delta.added.counts(row - self._base_rows, stream)
        start, end = self._row(row)[:2].tolist()
        counts: dict[int, int] = {}
        parts = self._columns["parts"][structures.PIECE * start : structures.PIECE * end].tolist()
        for number, weight in zip(parts[::2], parts[1::2], strict=True):
            low, high, words, grams, *_ = self._text(number).tolist()
            first = (high << 32 | low) + (words if stream == "grams" else 0)
            for term in self._columns["ids"][first : first + (grams if stream == "grams" else words)].tolist():
                counts[term] = counts.get(term, 0) + weight
        return counts

    def let_go(self) -> None:
        """See :func:`kbsearch.columns.let_go`."""
        for column in self._columns.values():
            let_go(column)

    def _split(self, rows: RowArray) -> tuple[RowArray, RowArray]:
        """Rows, ascending, of the index itself and of its delta, as each numbers them."""
        if self._delta is None:
            return rows, rows[:0]
        place = int(np.searchsorted(rows, self._base_rows))
        return rows[:place], rows[place:] - self._base_rows

    def _row(self, row: int) -> NDArray[np.uint32]:
        return self._record("rows", row, structures.ROW)

    def _text(self, text: int) -> NDArray[np.uint32]:
        return self._record("texts", text, structures.TEXT)

    def _record(self, name: str, place: int, size: int) -> NDArray[np.uint32]:
        record = self._columns[name][place * size : (place + 1) * size]
        if len(record) != size:
            raise IndexCorrupt(self._folder / f"{name}.npy", f"a record {place}", "none")
        return record


class _GrowingColumn:
    """A ``.npy`` file of one dimension whose length is known when it is closed."""

    def __init__(self, file: Path, dtype: type) -> None:
        self._dtype = np.dtype(dtype)
        self._target = file.open("wb")
        self._length = 0
        self._pending = array(_TYPE_CODES[self._dtype.itemsize])
        self._header()

    def append(self, values: Iterable[int]) -> None:
        self._pending.extend(values)
        if len(self._pending) > _BUFFER:
            self._write()

    def close(self) -> None:
        self._write()
        self._target.seek(0)
        self._header()
        self._target.close()

    def _write(self) -> None:
        self._target.write(np.array(self._pending, dtype=self._dtype).tobytes())
        self._length += len(self._pending)
        del self._pending[:]

    def _header(self) -> None:
        """NumPy leaves room in a header for a length of any number of digits."""
        description = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._target, description)
