"""The part of a passage that is shown: the window of whole sentences that covers most of the question, with marks.

Sentences end where the language ends them (。！？ with what closes behind them; a full stop before white space, never
inside a number) and at line ends, so that a list item or a table row is a sentence. A window is cut inside a sentence
only when one sentence alone is longer than the limit; the cut shows as an ellipsis and never splits a marked word.

Use: ``make_snippet(text, terms, limit)`` with the analysed terms of the question and their weights.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kbsearch.results import Snippet
from kbsearch.text import analyse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kbsearch.text import Span

__all__ = ["DEFAULT_CHARS", "make_snippet", "sentences"]

DEFAULT_CHARS: Final = 160
Match = tuple[int, int, str, float]
"""First and one-past-last character of a place that matched, its term and the term's weight."""

_ELLIPSIS: Final = "…"
_SENTENCE = re.compile(
    r"[^\n]*?(?:(?:[。！？!?]|．(?!\d))+[」』）)\]】”\"']*|\.[)\]”\"']*(?=\s)|(?=\n)|$)[^\S\n]*", re.MULTILINE
)
_MARKER = re.compile(r"[0-9０-９]{1,9}[.．)）]|[-*+・]")
_MAX_TEXT: Final = 20_000  # characters of a passage that are looked at; only a giant code fence has more


def make_snippet(
    text: str, words: Mapping[str, float], grams: Mapping[str, float], limit: int = DEFAULT_CHARS
) -> Snippet:
    """Choose the best window of a passage.

    Parameters
    ----------
    text
        Plain text of the passage.
    words, grams
        Terms of the question with their weights (idf), as :func:`kbsearch.text.analyse` names them.
    limit
        At most so many characters, ellipses included; at least 1.

    Returns
    -------
    Snippet
        ``text`` on one line: line ends become single spaces. Empty for an empty passage.
    """
    text = text[:_MAX_TEXT]
    matches = _matches(text, words, grams)
    pieces = sentences(text)
    if not pieces:
        return Snippet("")
    first, last = _best_window(pieces, matches, limit)
    start, end = pieces[first][0], pieces[last][1]
    if end - start > limit:
        start, end = _cut_sentence(start, end, matches, limit)
    ellipsis = _ELLIPSIS if _room(limit) < limit else ""
    before = ellipsis if pieces[first][0] < start else ""
    after = ellipsis if end < pieces[last][1] else ""
    return _render(text, (start, end), (before, after), matches)


def sentences(text: str) -> list[Span]:
    """Spans of the sentences of a text, without the white space around them; none is empty.

    The marker of a list item belongs to what stands behind it on its line.
    """
    spans: list[Span] = []
    for match in _SENTENCE.finditer(text):
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


def _matches(text: str, words: Mapping[str, float], grams: Mapping[str, float]) -> list[Match]:
    """Places that matched: words, and grams where no matched word lies and two grams in a row agree."""
    analysis = analyse(text)
    found = [
        (start, end, term, words[term])
        for term, (start, end) in zip(analysis.words.terms, analysis.words.spans, strict=True)
        if term in words
    ]
    covered = bytearray(len(text))
    for start, end, _, _ in found:
        covered[start:end] = b"\1" * (end - start)
    run: list[Match] = []
    for term, (start, end) in zip(analysis.grams.terms, analysis.grams.spans, strict=True):
        if term in grams and not any(covered[start:end]):
            if run and start > run[-1][1] - 1:
                found.extend(_long_run(run))
                run = []
            run.append((start, end, term, grams[term]))
    found.extend(_long_run(run))
    return sorted(found)


def _long_run(run: list[Match]) -> list[Match]:
    """A single pair of characters is chance (「ます」); a run of them, or a word in Latin letters, is a match."""
    return run if len(run) > 1 or (run and run[0][2].isascii()) else []


def _best_window(pieces: list[Span], matches: list[Match], limit: int) -> tuple[int, int]:
    """First and last sentence of the window with the greatest weight of distinct terms; the earliest of equals."""
    terms: list[dict[str, float]] = [{} for _ in pieces]
    place = 0
    for start, _, term, weight in matches:
        while place < len(pieces) - 1 and start >= pieces[place][1]:
            place += 1
        terms[place][term] = weight
    best, best_weight = (0, 0), -1.0
    for first in range(len(pieces)):
        seen: dict[str, float] = {}
        last = first
        for candidate in range(first, len(pieces)):
            if candidate > first and pieces[candidate][1] - pieces[first][0] > limit:
                break
            seen |= terms[candidate]
            last = candidate
        weight = sum(seen.values())
        if weight > best_weight:
            best, best_weight = (first, last), weight
        if last == len(pieces) - 1:
            break  # what begins later holds no more
    return best


def _cut_sentence(start: int, end: int, matches: list[Match], limit: int) -> Span:
    """The part of one long sentence with the greatest weight of distinct terms, with some text before the first."""
    inside = [match for match in matches if start <= match[0] < end]
    room = _room(limit)
    begin, best_weight = start, -1.0
    for number, (match_start, *_) in enumerate(inside):
        candidate = max(start, min(match_start - room // 4, end - room))
        seen: dict[str, float] = {}
        for _, match_end, term, weight in inside[number : number + room]:
            if match_end > candidate + room:
                break
            seen[term] = weight
        if sum(seen.values()) > best_weight:
            begin, best_weight = candidate, sum(seen.values())
    stop = min(end, begin + room)
    for match_start, match_end, _, _ in inside:
        if match_start < stop < match_end and match_start > begin:
            stop = match_start  # a marked word is shown whole or not at all
    return begin, stop


def _room(limit: int) -> int:
    """Characters of a cut sentence that fit, with an ellipsis on both sides unless that leaves nothing."""
    return limit - 2 * len(_ELLIPSIS) if limit > 2 * len(_ELLIPSIS) else limit


def _render(text: str, span: Span, ellipses: tuple[str, str], matches: list[Match]) -> Snippet:
    """One line of text with its marks, white space collapsed."""
    start, end = span
    prefix, suffix = ellipses
    shown: list[str] = [prefix]
    place = [0] * (end - start + 1)  # where each character of the passage stands in the snippet
    length = len(prefix)
    for index in range(start, end):
        char = text[index]
        if char.isspace():
            char = "" if shown[-1].endswith(" ") or shown == [""] else " "
        place[index - start] = length
        shown.append(char) if char else None
        length += len(char)
    place[end - start] = length
    marks: list[Span] = []
    for match_start, match_end, _, _ in matches:
        if start <= match_start and match_end <= end:
            mark = (place[match_start - start], place[match_end - start])
            if marks and mark[0] <= marks[-1][1]:
                marks[-1] = (marks[-1][0], max(marks[-1][1], mark[1]))
            else:
                marks.append(mark)
    return Snippet("".join(shown) + suffix, tuple(marks))
