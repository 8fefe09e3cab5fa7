"""What is shown of each row, in one memory-mapped file: any row is read where it lies.

A page shows passages from anywhere in the index. A database finds each in a tree and copies it column by column, which
takes three times as long.

On disk: the rows one behind another; where each begins and the last one ends (uint64, little-endian); and the place of
that table (the same). A row is seven uint32 (article, first and last line, characters and tokens of what opening its
section shows, bytes of anchor and of headings), its anchor, its headings as JSON, and its text, in UTF-8.

Use: ``with ShownWriter(file) as writer: writer.add(shown)``, then ``ShownRows(file)[row]`` from any thread.
"""

from __future__ import annotations

import mmap
import sys
from array import array
from struct import Struct
from struct import error as StructError  # noqa: N812 - a class
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from kbsearch.errors import IndexCorrupt

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = ["Shown", "ShownRows", "ShownWriter"]

_PLACE: Final = Struct("<Q")
_PLACES: Final = Struct("<QQ")
_NUMBERS: Final = Struct("<7I")
_WANTED: Final = "the rows as they are shown"


class Shown(NamedTuple):
    """A row. ``section_size``: characters and tokens of what opening its section shows; ``headings``: as JSON."""

    article: int
    lines: tuple[int, int]
    section_size: tuple[int, int]
    anchor: str
    headings: str
    text: str


class ShownWriter:
    """Writes a new file; rows are numbered as they come, from 0.

    Raises
    ------
    OSError
        When the disk does not take it.
    """

    def __init__(self, file: Path) -> None:
        self._target = file.open("wb")
        self._places = array("Q", [0])

    def add(self, shown: Shown) -> None:
        """Write one more."""
        anchor, headings = shown.anchor.encode(), shown.headings.encode()
        numbers = shown.article, *shown.lines, *shown.section_size, len(anchor), len(headings)
        size = self._target.write(b"".join((_NUMBERS.pack(*numbers), anchor, headings, shown.text.encode())))
        self._places.append(self._places[-1] + size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._target:
            if kind is not None:
                return  # what is half-written is thrown away whole
            table = self._places[-1]
            if sys.byteorder == "big":
                self._places.byteswap()
            self._target.write(self._places.tobytes() + _PLACE.pack(table))


class ShownRows:
    """The open file of an index, and that of its delta, whose rows are numbered behind; immutable, shared by threads.

    Raises
    ------
    IndexCorrupt
        When one is something else; also from reading a row that is not there.
    """

    def __init__(self, file: Path, delta: Path | None = None) -> None:
        self._base, self._delta = _Part(file), None if delta is None else _Part(delta)

    def __len__(self) -> int:
        return self._base.rows + (0 if self._delta is None else self._delta.rows)

    def __getitem__(self, row: int) -> Shown:
        if self._delta is None or row < self._base.rows:
            return self._base.read(row)
        return self._delta.read(row - self._base.rows)


class _Part:
    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            with file.open("rb") as source:
                self._bytes = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise IndexCorrupt(file, _WANTED, str(error)) from error
        size = len(self._bytes)
        self._table = _PLACE.unpack_from(self._bytes, size - _PLACE.size)[0] if size >= _PLACE.size else size
        places, rest = divmod(size - self._table, _PLACE.size)
        self.rows = places - 2  # beside them, where the last one ends, and the place of the table
        if rest or self.rows < 0:
            raise IndexCorrupt(file, _WANTED, f"{size} bytes of something else")

    def read(self, row: int) -> Shown:
        begin = end = 0
        if 0 <= row < self.rows:
            begin, end = _PLACES.unpack_from(self._bytes, self._table + _PLACE.size * row)
        try:
            record = self._bytes[begin : min(end, self._table)]
            article, first, last, characters, tokens, anchor, headings = _NUMBERS.unpack_from(record)
            anchor += _NUMBERS.size
            headings += anchor
            return Shown(
                article, (first, last), (characters, tokens), str(record[_NUMBERS.size : anchor], "utf-8"),
                str(record[anchor:headings], "utf-8"), str(record[headings:], "utf-8"),
            )  # fmt: skip
        except (StructError, ValueError) as error:
            found = f"{error} in bytes {begin} to {end}"
            raise IndexCorrupt(self._file, f"what is shown of row {row} of {self.rows}", found) from error
