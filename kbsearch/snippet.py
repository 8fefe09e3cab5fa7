"""The text of a quotation: its spans on one line, what was left out as words, and the places of the marks in it.

A span is cut inside a sentence only when one sentence alone is longer than the limit; the cut shows as an ellipsis and
never splits a word. An ellipsis stands also for notes that have no room. What is quoted is decided in
:mod:`kbsearch.quotes`; here it is written down.

Use: ``make_snippet(quotation, texts, limit, is_japanese=...)`` with a quotation that was asked for so many characters,
and for the :func:`note_sizes` of that language if :func:`says_notes`.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from kbsearch.quotes import NOTE_RESTRICTION, NOTE_STEPS, NOTE_WARNING
from kbsearch.results import Note, Piece, Snippet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kbsearch.quotes import Quotation, Quoted

__all__ = ["DEFAULT_CHARS", "make_snippet", "note_sizes", "says_notes"]

DEFAULT_CHARS: Final = 160

_ELLIPSIS: Final = "…"
_GAP: Final = " … "
_SPACES: Final = re.compile(r"[^\S ]\s*| \s+")  # a run of white space that is not one space already
_JOINER: Final = "\u200d"
_JOINING: Final = re.compile(  # what belongs to the character before it
    "[\u0300-\u036f\u200d\u20d0-\u20ff\u3099\u309a\ufe00-\ufe0f\uff9e\uff9f\udc00-\udfff"
    "\U0001f3fb-\U0001f3ff\U000e0100-\U000e01ef]"
)
_FEWEST_FOR_NOTES: Final = 40
"""In less no room is kept for notes beside what they are about; the fields say them all the same."""

_RESTRICTION: Final = {True: "（条件あり）", False: " (conditions apply)"}
_WARNING: Final = {True: "（注意あり）", False: " (with a warning)"}


def says_notes(limit: int) -> bool:
    """Whether notes are written out in so many characters."""
    return limit >= _FEWEST_FOR_NOTES


@cache
def note_sizes(*, is_japanese: bool) -> tuple[int, int, int]:
    """Characters that the notes of steps, of a restriction and of a warning take, without numbers."""
    bare = max(len(_steps_text((0, 0, 0, 0), is_japanese=is_japanese, shape=shape)) for shape in range(3))
    return bare, len(_RESTRICTION[is_japanese]), len(_WARNING[is_japanese])


def make_snippet(
    quotation: Quotation,
    texts: Mapping[int, str],
    limit: int,
    *,
    is_japanese: bool,
    rows: Sequence[int] | None = None,
) -> Snippet:
    """Write a quotation down.

    Parameters
    ----------
    quotation
        What is quoted.
    texts
        Plain text of each row that it is from.
    limit
        At most so many characters, ellipses and notes included; at least 1.
    is_japanese
        The language of the notes.
    rows
        In the order in which a piece counts them; by default those of ``texts``.

    Returns
    -------
    Snippet
        ``text`` on one line: line ends become single spaces. Empty for an empty quotation.
    """
    line = ""
    marks: list[tuple[int, int]] = []
    pieces: list[Piece] = []
    ellipsis = _ELLIPSIS if limit > 2 * len(_ELLIPSIS) else ""
    order, is_cut = list(texts) if rows is None else rows, False
    for span in quotation.spans:
        row, start, end, cut_before, cut_after = span
        text = texts[row]
        if cut_before or cut_after:
            start, end = _whole_characters(text, span)
            is_cut = True
        end = min(end, len(text))
        quoted = text[start:end]
        own = [
            (first, last)
            for at, first, last in quotation.marks
            if at == row and start <= first and last <= end and last - first > 1
        ]
        if own and not quoted.isascii() and _JOINING.search(quoted) is not None:
            own = [mark for mark in own if _JOINING.search(text, *mark) is None or _is_long(text[mark[0] : mark[1]])]
        if pieces:
            line += _GAP
        elif cut_before:
            line += ellipsis
        shift = len(line) - start
        shown, moved = " ".join(quoted.split()), own
        if len(shown) != len(quoted):  # else every white space was one character, and nothing moves
            shown, moved = _on_one_line(quoted, start, own)
        marks += [(first + shift, last + shift) for first, last in moved]
        line += shown + ellipsis if cut_after else shown
        pieces.append(Piece(order.index(row), start, end, tuple(own), quoted))
    notes = _notes(quotation) if quotation.notes else ()
    if notes:
        said = _said(notes, limit - len(line), is_japanese=is_japanese)
        line += said if said.strip() != _ELLIPSIS or not line.endswith(_ELLIPSIS) else ""
    if len(line) > limit:
        line, marks = line[:limit], [mark for mark in marks if mark[1] <= limit]
    return Snippet(line, tuple(marks), tuple(pieces), notes, is_cut)


def _whole_characters(text: str, span: Quoted) -> tuple[int, int]:
    """The span without white space, and without half of what is read as one character, where it is cut."""
    start, end = span.start, min(span.end, len(text))
    if not (span.cut_before or span.cut_after):
        return start, end
    while span.cut_before and start < end and (text[start].isspace() or _JOINING.match(text, start)):
        start += 1
    while span.cut_after and start < end < len(text) and (_JOINING.match(text, end) or text[end - 1] == _JOINER):
        end -= 1
    while span.cut_after and start < end and text[end - 1].isspace():
        end -= 1
    return (start, end) if start < end else (span.start, min(span.end, len(text)))


def _is_long(marked: str) -> bool:
    """Whether a mark has more than one character, as a reader counts them."""
    return len(_JOINING.sub("", marked)) > 1


def _said(notes: tuple[Note, ...], room: int, *, is_japanese: bool) -> str:
    """The notes for which there is room, and an ellipsis where there is none for one of them."""
    said = ""
    for note in notes:
        text = _text_of(note, is_japanese=is_japanese)
        said += text if len(said) + len(text) <= room else ""
    ellipsis = _ELLIPSIS if is_japanese else f" {_ELLIPSIS}"
    return said if said or room < len(ellipsis) else ellipsis


def _on_one_line(text: str, first: int, marks: list[tuple[int, int]]) -> tuple[str, list[tuple[int, int]]]:
    """The text with runs of white space as one space, and where the marks are then, still counted from ``first``."""
    parts: list[str] = []
    done = lost = at = 0
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
    moved = [place + first for place in new_places]
    return " ".join(parts), list(zip(moved[::2], moved[1::2], strict=True))


def _notes(quotation: Quotation) -> tuple[Note, ...]:
    """The notes of a quotation, the most important first."""
    found = []
    if quotation.notes & NOTE_RESTRICTION:
        found.append(Note("restriction"))
    if quotation.notes & NOTE_WARNING:
        found.append(Note("warning"))
    if quotation.notes & NOTE_STEPS:
        found.append(Note("steps", *quotation.steps))
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
