"""Where sentences end, as the language ends them.

。！？ with what closes behind them; a full stop before white space, never inside a number; and line ends, so that a
list item or a table row is a sentence.

Never: change what comes out without raising ``VERSION``; an index keeps the places.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MOST_CHARS", "VERSION", "sentences"]

VERSION: Final = 1
MOST_CHARS: Final = 20_000
"""Characters of a text that are looked at; only a giant code fence has more."""

Span = tuple[int, int]
"""First and one-past-last character."""

_SENTENCE: Final = re.compile(
    r"[^\n]*?(?:(?:[。！？!?]|．(?!\d))+[」』）)\]】”\"']*|\.[)\]”\"']*(?=\s)|(?=\n)|$)[^\S\n]*", re.MULTILINE
)
_MARKER: Final = re.compile(r"[0-9０-９]{1,9}[.．)）]|[-*+・]")


def sentences(text: str) -> list[Span]:
    """Spans of the sentences of a text, ascending, without the white space around them; none is empty.

    The marker of a list item belongs to what stands behind it on its line.
    """
    spans: list[Span] = []
    for match in _SENTENCE.finditer(text[:MOST_CHARS]):
        start, end = match.span()
        while start < end and text[start].isspace():
            start += 1
        while start < end and text[end - 1].isspace():
            end -= 1
        if start < end and spans and _MARKER.fullmatch(text, *spans[-1]) and "\n" not in text[spans[-1][1] : start]:
            spans[-1] = (spans[-1][0], end)
        elif start < end:
            spans.append((start, end))
    return spans
