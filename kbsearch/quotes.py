"""What of a passage may be quoted, and how near each sentence is to a question.

A build cuts every passage into units (:mod:`kbsearch.units`) and encodes each with its title and headings above it: a
sentence by itself often does not say what it is about. A question's vector then finds the sentence that answers, which
often has no word of the question; words alone find the one that repeats it (``benchmarks/snippets.py``).

A quotation is made of whole units: the best one of the article's best passages with what belongs to it, then others
that are worth nearly as much or stand beside it, until the characters are used up. With the best unit go, in this
order and as far as they fit: the head of its table, its restrictions, the beginning of its item, what it points back
to, what it introduces. Another unit is taken with all that, or not. The question again is shown for want of anything
else only. What is left out of a unit's restrictions, of those behind its list or table and of its list's steps, and a
warning that follows, is said by a note. One unit is cut: the best, when it is longer than the limit by itself;
only the head of its table goes with it then, where that takes less than half of the room.
``core/quotes.c`` chooses.

On disk: ``units.npy``, six uint16 a unit; ``rows.npy``, first unit and number of units a row (alias rows have those of
the passage that they show); and, unless the build was told not to encode sentences, ``codes.npy``, int8 of shape
(units, dimension), with ``scales.npy``, float32, and ``keys.npy``, the SHA-256 of what was encoded, for the next build.

Use: :class:`QuoteWriter` in a build, then :class:`QuoteIndex` from as many threads as you like.
"""

from __future__ import annotations

from array import array
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from kbsearch import native, structures
from kbsearch.coded import open_coded, write_coded
from kbsearch.columns import FITTING, INSIDE, load_column, save_column, soundly
from kbsearch.errors import IndexCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from ctypes import Array
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray
    from kbsearch.units import Unit

__all__ = [
    "FARTHEST",
    "NOTE_RESTRICTION",
    "NOTE_STEPS",
    "NOTE_WARNING",
    "VERSION",
    "NoteSizes",
    "Quotation",
    "QuoteIndex",
    "QuoteWriter",
    "Quoted",
    "units_of",
]

VERSION: Final = 6
"""Of the units of a text: an index keeps them."""

NOTE_RESTRICTION: Final = 1
NOTE_WARNING: Final = 2
NOTE_STEPS: Final = 4

FARTHEST: Final = int(np.iinfo(np.uint16).max)
"""Character behind which nothing of a passage is quoted."""
_MOST_PIECES: Final = 3
_MOST_CHARS: Final = 1_000_000  # of a quotation; no article's best passages have more

# Worth of a unit. Learned as a linear model of which units hold the answer, on articles/snippets.jsonl, one fold of
# articles left out at a time; rounded, and kept where the answers in JSQuAD's paragraphs did not suffer.
_WORDS: Final = 0.25  # for all of the question's words, by idf
_WORDS_ALONE: Final = 1.0  # the same where there is no cosine: the best of 1/4, 1/2, 1, 2 and 4 on both
_COSINE: Final = 1.1  # for a cosine one standard deviation of the corpus higher
_RANK: Final = -0.07  # for each better passage of the article
_BESIDE: Final = 0.15  # for standing beside what is shown
_NEAR: Final = 0.8  # what a unit elsewhere may be worth less than the best
_KINDS: Final = {
    "asks": -0.3, "leads": -0.1, "step": -0.05, "row": -0.05, "tiny": -0.2, "dangling": -0.05, "tied": 0.15,
}  # fmt: skip
_NUMBERS: Final = (0.1, 0.2)  # where the question asks for none, and where it does
_RULES: Final = (0.0, 0.12)


NoteSizes = tuple[int, int, int]
"""Characters of the notes of steps, of a restriction and of a warning, numbers not counted."""


class Quoted(NamedTuple):
    """A span of a row's text, with whether something of its first and last sentence is left out."""

    row: int
    start: int
    end: int
    cut_before: bool
    cut_after: bool


class Quotation(NamedTuple):
    """What is quoted of an article.

    Attributes
    ----------
    row
        Of the best sentence.
    spans
        In the order of the text.
    marks
        (row, first, one past last) of what matched, ascending in each span.
    notes
        What the spans leave out although it belongs to them: ``NOTE_…``.
    steps
        (first shown, last shown, how many are shown, how many there are) of a numbered list; zeros without one.
    tokens
        Of the encoder, its units counted one by one.
    """

    row: int
    spans: tuple[Quoted, ...]
    marks: tuple[tuple[int, int, int], ...]
    notes: int
    steps: tuple[int, int, int, int]
    tokens: int


class QuoteWriter:
    """Writes the folder of a new generation: :meth:`add` for each row, :meth:`close`, then :meth:`write_vectors`.

    Raises
    ------
    OSError
        When the disk does not take it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._units, self._rows = array("H"), array("I")
        self._count = 0

    def add(self, units: Sequence[Unit]) -> int:
        """Add a row; returns how many of the units are kept: those that are not too far into a giant passage."""
        kept = [unit for unit in units if unit.end <= FARTHEST]
        self._rows.extend((self._count, len(kept)))
        for unit in kept:
            self._units.extend(unit)
        self._count += len(kept)
        return len(kept)

    def repeat(self, row: int) -> None:
        """Add a row that shows what an earlier one shows."""
        self._rows.extend(self._rows[2 * row : 2 * row + 2])

    def close(self) -> None:
        """Write what was added."""
        save_column(self._folder / "units.npy", np.array(self._units, dtype=np.uint16))
        save_column(self._folder / "rows.npy", np.array(self._rows, dtype=np.uint32))

    def write_vectors(self, keys: Sequence[str], blocks: Iterable[FloatArray], dimension: int) -> None:
        """Write the vectors of all units in their order, given some at a time; ``keys`` are hexadecimal SHA-256."""
        write_coded(self._folder, keys, blocks, dimension)


def units_of(folder: Path, rows: Sequence[int]) -> Iterator[int]:
    """Numbers of the units of some rows."""
    spans = load_column(folder / "rows.npy", np.uint32)
    if 2 * max(rows, default=-1) + 1 >= len(spans):
        raise IndexCorrupt(folder / "rows.npy", f"at least {max(rows) + 1} rows", str(len(spans) // 2))
    for row in rows:
        first, size = spans[2 * row : 2 * row + 2].tolist()
        yield from range(first, first + size)


class QuoteIndex:
    """The open folder; immutable, shared between threads.

    Parameters
    ----------
    folder
        As :class:`QuoteWriter` left it.
    rows
        How many there must be.
    spread
        Standard deviation of the cosines between passages here, by the manifest: cosines are weighed by it.
    dimension
        Of a question's vector.
    delta
        What changed since; its rows are numbered behind these.

    Raises
    ------
    IndexCorrupt
        When it is something else; also from :meth:`quote`, when a place leads out of a file.
    """

    def __init__(self, folder: Path, rows: int, spread: float, dimension: int, delta: QuoteIndex | None = None) -> None:
        self._folder, self._rows, self._delta = folder, rows, delta
        self._cosine = _COSINE / spread if spread > 0 else 0.0
        self._has_vectors = (folder / "codes.npy").exists()
        vectors = open_coded(folder, dimension) if self._has_vectors else None
        units, of_rows = load_column(folder / "units.npy", np.uint16), load_column(folder / "rows.npy", np.uint32)
        self._open = soundly(folder, FITTING, structures.Quotes, units, of_rows, vectors)
        if self._open.n_rows != rows:
            raise IndexCorrupt(folder, f"the units of {rows} rows", f"those of {self._open.n_rows}")

    def quote(
        self,
        tokens: Sequence[structures.Tokens],
        asked: structures.Asked,
        vector: FloatArray | None,
        articles: Sequence[Sequence[int]],
        limit: int,
        notes: Sequence[NoteSizes] | None,
        wants: tuple[bool, bool] = (False, False),
        *,
        whole: bool = False,
    ) -> list[Quotation]:
        """Quote some articles.

        Parameters
        ----------
        tokens
            The open columns of the index, and of its delta.
        asked, vector
            The question.
        articles
            The rows of each, best first.
        limit
            At most so many characters of each, what joins the spans included; 1 and up. Notes are included where
            there is room for them beside the best unit.
        notes
            Of each article; None to write none.
        wants
            Whether the question asks for a number, and whether something can be done.
        whole
            Rather quote another unit than a part of the best one.
        """
        limit = min(limit, _MOST_CHARS)
        kinds = tuple(dict.fromkeys(notes)) if notes else ()
        which = bytes(map(kinds.index, notes)) if notes and len(kinds) > 1 else bytes(len(articles))
        words = _WORDS_ALONE if vector is None or not self._has_vectors else _WORDS
        how = _ways_to_quote(limit, kinds, words, self._cosine, wants, whole=whole)
        if self._delta is None:
            return self._quote(tokens[0], asked, vector, articles, how, which, 0)
        in_delta = [bool(rows) and rows[0] >= self._rows for rows in articles]
        found: dict[int, Quotation] = {}
        for is_delta, part, first in ((False, self, 0), (True, self._delta, self._rows)):
            own = [place for place, here in enumerate(in_delta) if here == is_delta]
            given = [articles[place] for place in own], how, bytes([which[place] for place in own]), first
            quotations = part._quote(tokens[is_delta], asked, vector, *given)  # noqa: SLF001 - one of us
            found.update(zip(own, quotations, strict=True))
        return [found[place] for place in range(len(articles))]

    def _quote(
        self,
        tokens: structures.Tokens,
        asked: structures.Asked,
        vector: FloatArray | None,
        articles: Sequence[Sequence[int]],
        how: Array[structures.Quoting],
        which: bytes,
        first: int,
    ) -> list[Quotation]:
        if not articles:
            return []
        rows = np.array([row - first for rows in articles for row in rows], dtype=np.int64)
        ends = np.array(list(accumulate(map(len, articles))), dtype=np.int64)
        given = tokens, self._open, asked, vector, rows, ends, how, which
        found = soundly(self._folder, INSIDE, native.quote_articles, *given)
        if first:
            for records in found:
                records["row"] += first
        return list(_quotations(*found))


@lru_cache(maxsize=256)
def _ways_to_quote(
    limit: int, kinds: tuple[NoteSizes, ...], words: float, cosine: float, wants: tuple[bool, bool], *, whole: bool
) -> Array[structures.Quoting]:
    """One way for each kind of notes; questions ask for the same few, so they are kept."""
    ways = [
        structures.Quoting(
            limit, room_of(limit), *notes, int(bool(kinds)), _MOST_PIECES, words, cosine, _RANK, _BESIDE, _NEAR,
            *_KINDS.values(), _NUMBERS[wants[0]], _RULES[wants[1]], int(whole),
        )
        for notes in kinds or ((0, 0, 0),)
    ]  # fmt: skip
    return (structures.Quoting * len(ways))(*ways)


def room_of(limit: int) -> int:
    """Characters of a cut sentence that fit, with an ellipsis on both sides unless that leaves nothing."""
    return limit - 2 if limit > 2 else limit  # noqa: PLR2004 - two ellipses


def _quotations(quotes: NDArray[Any], spans: NDArray[Any], marks: NDArray[Any]) -> Iterator[Quotation]:
    quoted, marked = [Quoted._make(span) for span in spans.tolist()], marks.tolist()
    span = mark = 0
    for row, spans_end, marks_end, notes, first, last, steps, total, tokens in quotes.tolist():
        own, its = tuple(quoted[span:spans_end]), tuple(marked[mark:marks_end])
        yield Quotation(row, own, its, notes, (first, last, steps, total), tokens)
        span, mark = spans_end, marks_end
