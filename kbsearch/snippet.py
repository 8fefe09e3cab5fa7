"""The part of a passage that is shown: the window of whole sentences that covers most of the question, with marks.

A window is cut inside a sentence only when one sentence alone is longer than the limit; the cut shows as an ellipsis
and never splits a marked word.

Use: ``make_snippet(text, pieces, matches, weights, limit)`` with what the index knows of a passage: the spans of its
sentences, and the places where the terms of the question stand.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kbsearch.results import Snippet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kbsearch.tokens import Located

__all__ = ["DEFAULT_CHARS", "make_snippet"]

DEFAULT_CHARS: Final = 160

Span = tuple[int, int]
"""First and one-past-last character."""

_ELLIPSIS: Final = "…"
_SPACE: Final = re.compile(r"\s")
_RUN: Final = re.compile(r"\s{2}")
_SPACES: Final = re.compile(r"\s+")


def make_snippet(
    text: str,
    pieces: Sequence[Span],
    matches: Sequence[Located],
    weights: Sequence[float],
    limit: int = DEFAULT_CHARS,
) -> Snippet:
    """Choose the best window of a passage.

    Parameters
    ----------
    text
        Plain text of the passage.
    pieces
        Spans of its sentences, ascending.
    matches
        Places of the question's terms, ascending, and which term each is.
    weights
        Of each term of the question (idf).
    limit
        At most so many characters, ellipses included; at least 1.

    Returns
    -------
    Snippet
        ``text`` on one line: line ends become single spaces. Empty for an empty passage.
    """
    if not pieces:
        return Snippet("")
    first, last = _best_window(pieces, matches, weights, limit)
    start, end = pieces[first][0], pieces[last][1]
    if end - start > limit:
        start, end = _cut_sentence(start, end, matches, weights, limit)
    ellipsis = _ELLIPSIS if _room(limit) < limit else ""
    before = ellipsis if pieces[first][0] < start else ""
    after = ellipsis if end < pieces[last][1] else ""
    return _render(text, (start, end), (before, after), matches)


def _best_window(
    pieces: Sequence[Span], matches: Sequence[Located], weights: Sequence[float], limit: int
) -> tuple[int, int]:
    """First and last sentence of the window with the greatest weight of distinct terms; the earliest of equals."""
    terms: list[set[int]] = [set() for _ in pieces]
    place, end_of_last = 0, pieces[-1][1]
    for start, _, term in matches:
        if start >= end_of_last:
            break
        while start >= pieces[place][1]:
            place += 1
        terms[place].add(term)
    best, best_weight = (0, 0), -1.0
    for first, (begin, _) in enumerate(pieces):
        seen = set(terms[first])
        last = first
        for candidate in range(first + 1, len(pieces)):
            if pieces[candidate][1] - begin > limit:
                break
            seen |= terms[candidate]
            last = candidate
        weight = sum([weights[term] for term in sorted(seen)])
        if weight > best_weight:
            best, best_weight = (first, last), weight
        if last == len(pieces) - 1:
            break  # what begins later holds no more
    return best


def _cut_sentence(
    start: int, end: int, matches: Sequence[Located], weights: Sequence[float], limit: int
) -> tuple[int, int]:
    """The part of one long sentence with the greatest weight of distinct terms, with some text before the first."""
    inside = [match for match in matches if start <= match[0] < end]
    room = _room(limit)
    begin, best_weight = start, -1.0
    for number, (match_start, *_) in enumerate(inside):
        candidate = max(start, min(match_start - room // 4, end - room))
        seen: dict[int, float] = {}
        for _, match_end, term in inside[number : number + room]:
            if match_end > candidate + room:
                break
            seen[term] = weights[term]
        if sum(seen.values()) > best_weight:
            begin, best_weight = candidate, sum(seen.values())
    stop = min(end, begin + room)
    for match_start, match_end, _ in inside:
        if match_start < stop < match_end and match_start > begin:
            stop = match_start  # a marked word is shown whole or not at all
    return begin, stop


def _room(limit: int) -> int:
    """Characters of a cut sentence that fit, with an ellipsis on both sides unless that leaves nothing."""
    return limit - 2 * len(_ELLIPSIS) if limit > 2 * len(_ELLIPSIS) else limit


def _render(text: str, span: Span, ellipses: tuple[str, str], matches: Sequence[Located]) -> Snippet:
    """One line of text with its marks, white space collapsed."""
    start, end = span
    prefix, suffix = ellipses
    marks: list[Span] = []
    for match_start, match_end, _ in matches:
        if start <= match_start and match_end <= end:
            if marks and match_start <= marks[-1][1]:
                marks[-1] = (marks[-1][0], max(marks[-1][1], match_end))
            else:
                marks.append((match_start, match_end))
    line = text[start:end]
    moved = len(prefix) - start
    if not _RUN.search(line) and not line[0].isspace():  # every character keeps its place
        shown = _SPACE.sub(" ", line)
        return Snippet(prefix + shown + suffix, tuple([(first + moved, last + moved) for first, last in marks]))
    shown, places = _collapsed(line)
    return Snippet(
        prefix + shown + suffix,
        tuple([(places[first - start] + len(prefix), places[last - start] + len(prefix)) for first, last in marks]),
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
