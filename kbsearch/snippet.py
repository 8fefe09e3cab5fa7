"""The text of a quotation: its spans on one line, what was left out as words, and the places of the marks in it.

A span is cut inside a sentence only when one sentence alone is longer than the limit; the cut shows as an ellipsis and
never splits a word. What is quoted is decided in :mod:`kbsearch.quotes`; here it is written down.

Use: ``make_snippet(quotation, texts, limit, is_japanese=...)`` with a quotation that was asked for ``limit`` characters
and the notes of :func:`notes_of`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kbsearch.quotes import NOTE_RESTRICTION, NOTE_STEPS, NOTE_WARNING
from kbsearch.results import Note, Piece, Snippet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kbsearch.quotes import Quotation

__all__ = ["DEFAULT_CHARS", "make_snippet", "note_sizes", "says_notes"]

DEFAULT_CHARS: Final = 160

_ELLIPSIS: Final = "…"
_GAP: Final = " … "
_SPACES: Final = re.compile(r"\s+")
_FEWEST_FOR_NOTES: Final = 40
"""In less there is no room for a note beside what it is about; the fields say it all the same."""

_RESTRICTION: Final = {True: "（条件あり）", False: " (conditions apply)"}
_WARNING: Final = {True: "（注意あり）", False: " (with a warning)"}


def says_notes(limit: int) -> bool:
    """Whether notes are written out in so many characters."""
    return limit >= _FEWEST_FOR_NOTES


def note_sizes(*, is_japanese: bool) -> tuple[int, int, int]:
    """Characters that the notes of steps, of a restriction and of a warning take, without numbers."""
    bare = max(len(_steps_text((0, 0, 0, 0), is_japanese=is_japanese, shape=shape)) for shape in range(3))
    return bare, len(_RESTRICTION[is_japanese]), len(_WARNING[is_japanese])


def make_snippet(quotation: Quotation, texts: Mapping[int, str], limit: int, *, is_japanese: bool) -> Snippet:
    """Write a quotation down.

    Parameters
    ----------
    quotation
        What is quoted.
    texts
        Plain text of each row that it may be from, in the order in which a piece counts them.
    limit
        At most so many characters, ellipses and notes included; at least 1.
    is_japanese
        The language of the notes.

    Returns
    -------
    Snippet
        ``text`` on one line: line ends become single spaces. Empty for an empty quotation.
    """
    line, marks = "", []
    ellipsis = _ELLIPSIS if limit > 2 * len(_ELLIPSIS) else ""
    pieces, before = [], None
    places = {row: place for place, row in enumerate(texts)}
    for span in quotation.spans:
        own = [
            (start, end) for row, start, end in quotation.marks if row == span.row and span.start <= start < span.end
        ]
        shown, moved = _on_one_line(texts[span.row][span.start : span.end], span.start, own)
        line += _GAP if before is not None else ""
        line += ellipsis if span.cut_before else ""
        marks += [(start + len(line), end + len(line)) for start, end in moved]
        line += shown + (ellipsis if span.cut_after else "")
        pieces.append(Piece(places[span.row], span.start, span.end, tuple(own), texts[span.row][span.start : span.end]))
        before = span
    notes = _notes(quotation)
    if says_notes(limit):
        said = "".join(_text_of(note, is_japanese=is_japanese) for note in notes)
        line += said if len(line) + len(said) <= limit else ""
    return Snippet(line[:limit], tuple(mark for mark in marks if mark[1] <= limit), tuple(pieces), notes)


def _on_one_line(text: str, first: int, marks: list[tuple[int, int]]) -> tuple[str, list[tuple[int, int]]]:
    """The text with runs of white space as one space, and the marks, counted from ``first``, where they are then."""
    parts: list[str] = []
    moved, done, lost, at = [], 0, 0, 0
    places = [place - first for mark in marks for place in mark]
    new_places: list[int] = []
    for run in _SPACES.finditer(text):
        begin, end = run.span()
        while at < len(places) and places[at] <= begin:
            new_places.append(places[at] - lost)
            at += 1
        parts.append(text[done:begin])
        done, lost = end, lost + end - begin - 1
    parts.append(text[done:])
    new_places += [place - lost for place in places[at:]]
    moved = list(zip(new_places[::2], new_places[1::2], strict=True))
    return " ".join(parts), moved


def _notes(quotation: Quotation) -> tuple[Note, ...]:
    found = []
    if quotation.notes & NOTE_STEPS:
        found.append(Note("steps", *quotation.steps))
    if quotation.notes & NOTE_RESTRICTION:
        found.append(Note("restriction"))
    if quotation.notes & NOTE_WARNING:
        found.append(Note("warning"))
    return tuple(found)


def _text_of(note: Note, *, is_japanese: bool) -> str:
    if note.kind == "steps":
        return _steps_text((note.first, note.last, note.shown, note.total), is_japanese=is_japanese)
    return (_RESTRICTION if note.kind == "restriction" else _WARNING)[is_japanese]


def _steps_text(steps: tuple[int, int, int, int], *, is_japanese: bool, shape: int | None = None) -> str:
    """Steps in words; ``shape`` asks for one of the three forms with nothing for the numbers."""
    first, last, shown, total = map(str, steps)
    if shape is None:
        shape = 0 if shown == "1" else 1 if steps[2] == steps[1] - steps[0] + 1 else 2
    else:
        first = last = total = ""
    if is_japanese:
        return (f"（手順{first}/{total}）", f"（手順{first}〜{last}/{total}）", f"（手順{first}…{last}/{total}）")[
            shape
        ]
    return (
        f" (step {first} of {total})",
        f" (steps {first}–{last} of {total})",
        f" (steps {first}…{last} of {total})",
    )[shape]
