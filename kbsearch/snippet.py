"""The part of a passage that is shown: the window of whole sentences that covers most of the question, with marks.

A window is cut inside a sentence only when one sentence alone is longer than the limit; the cut shows as an ellipsis
and never splits a marked word.

Where the window stands is found in ``core/snippet.c``, which knows the sentences and the places of the terms; here the
text is cut out.

Use: ``make_snippet(text, window, limit)`` with a window of :meth:`kbsearch.tokens.TokenIndex.windows`, which was asked
for ``limit`` and ``room_of(limit)`` characters.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kbsearch.results import Snippet

if TYPE_CHECKING:
    from kbsearch.tokens import Window

__all__ = ["DEFAULT_CHARS", "make_snippet", "room_of"]

DEFAULT_CHARS: Final = 160

_ELLIPSIS: Final = "…"
_SPACE: Final = re.compile(r"\s")
_RUN: Final = re.compile(r"\s{2}")
_SPACES: Final = re.compile(r"\s+")


def room_of(limit: int) -> int:
    """Characters of a cut sentence that fit, with an ellipsis on both sides unless that leaves nothing."""
    return limit - 2 * len(_ELLIPSIS) if limit > 2 * len(_ELLIPSIS) else limit


def make_snippet(text: str, window: Window, limit: int = DEFAULT_CHARS) -> Snippet:
    """Cut a window out of a passage.

    Parameters
    ----------
    text
        Plain text of the passage.
    window
        What is shown of it.
    limit
        At most so many characters, ellipses included; at least 1.

    Returns
    -------
    Snippet
        ``text`` on one line: line ends become single spaces. Empty for an empty window.
    """
    start, end = window.start, window.end
    if start == end:
        return Snippet("")
    ellipsis = _ELLIPSIS if room_of(limit) < limit else ""
    prefix, suffix = ellipsis if window.cut_before else "", ellipsis if window.cut_after else ""
    line, moved = text[start:end], len(prefix) - start
    if not _RUN.search(line) and not line[0].isspace():  # every character keeps its place
        marks = tuple([(first + moved, last + moved) for first, last in window.marks])
        return Snippet(f"{prefix}{_SPACE.sub(' ', line)}{suffix}", marks)
    shown, places = _collapsed(line)
    return Snippet(
        prefix + shown + suffix,
        tuple(
            [(places[first - start] + len(prefix), places[last - start] + len(prefix)) for first, last in window.marks]
        ),
    )


def _collapsed(line: str) -> tuple[str, list[int]]:
    """The line with runs of white space as one space, and where each of its characters went; and its end."""
    parts: list[str] = []
    places: list[int] = []
    length = done = 0
    for run in _SPACES.finditer(line):
        begin, stop = run.span()
        parts.append(line[done:begin])
        places += range(length, length + begin - done)
        length += begin - done
        space = 1 if begin > 0 else 0  # none at the beginning
        parts.append(" " * space)
        places += [length] + [length + space] * (stop - begin - 1)
        length, done = length + space, stop
    parts.append(line[done:])
    places += range(length, length + len(line) - done + 1)
    return "".join(parts), places
