"""Other rules for what is shown of a passage, to compare kbsearch's snippets with, and how a snippet is judged.

A rule gets the plain text of the passage, the terms of the question and a number of characters, and gives at most so
many on one line.

Use: ``RULES[name](text, terms_of(question), 120)``, ``shows(snippet, answers)``, ``ceiling(text, answers, 120)``.

Never: let a rule look at the answer. Only the ceiling does: no rule of whole sentences can pass it, one that cuts
inside a sentence may.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from kbsearch.sentences import sentences
from kbsearch.text import analyse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["RULES", "beginning", "ceiling", "centred", "densest", "flat", "qmd", "shows", "terms_of"]

Terms = frozenset[str]


def flat(text: str) -> str:
    """The text on one line: white space is single spaces, none at its ends."""
    return " ".join(text.split())


def shows(snippet: str, answers: Iterable[str]) -> bool:
    """Whether one of the answers stands in the snippet; width of characters and white space do not matter."""
    shown = _folded(snippet)
    return any(_folded(answer) in shown for answer in answers)


def terms_of(text: str) -> Terms:
    """Distinct words of a text, as they are indexed."""
    return frozenset(analyse(text).words.terms)


def beginning(text: str, terms: Terms, chars: int) -> str:  # noqa: ARG001 - a rule as the others
    """The first characters of the passage."""
    return flat(text)[:chars].rstrip()


def densest(text: str, terms: Terms, chars: int) -> str:
    """The window, at any character, with the most distinct terms of the question; the earliest of equals.

    The earliest one ends with the last term that it has.
    """
    line = flat(text)
    start, _ = _dense(line, terms, chars)
    return line[start : start + chars].strip()


def centred(text: str, terms: Terms, chars: int) -> str:
    """As :func:`densest`, but what it has stands in its middle, so that as much is shown before it as behind it."""
    line = flat(text)
    start, (first, last) = _dense(line, terms, chars)
    if last:
        start = max(0, min((first + last - chars) // 2, len(line) - chars))
    return line[start : start + chars].strip()


def qmd(text: str, terms: Terms, chars: int) -> str:
    """What qmd (github.com/tobi/qmd, ``extractSnippet``) shows: the best line, one before it, two behind it.

    Written anew from what it does: each line counts how many terms of the question are in it, the first of the best is
    taken with its neighbours, and what is too long is cut at its end, with three dots that count. The terms are ours:
    qmd takes what stands between spaces, which of a Japanese question is all of it.
    """
    lines = text.split("\n")
    counts = [len(terms & terms_of(line)) for line in lines]
    best = counts.index(max(counts))
    shown = flat("\n".join(lines[max(0, best - 1) : best + 3]))
    return shown if len(shown) <= chars else (shown[: max(0, chars - 3)] + "...")[:chars]


def ceiling(text: str, answers: Iterable[str], chars: int) -> str:
    """Whole sentences, of at most so many characters together, that show an answer; ``""`` where none do."""
    wanted = tuple(answers)
    spans = sentences(text)
    for place, (start, _) in enumerate(spans):
        for _, end in spans[place:]:
            window = flat(text[start:end])
            if len(window) > chars:
                break
            if shows(window, wanted):
                return window
    return ""


RULES: Final[Mapping[str, Callable[[str, Terms, int], str]]] = {
    "beginning": beginning,
    "densest": densest,
    "centred": centred,
    "qmd": qmd,
}


def _folded(text: str) -> str:
    return flat(unicodedata.normalize("NFKC", text))


def _dense(line: str, terms: Terms, chars: int) -> tuple[int, tuple[int, int]]:
    """Where the densest window begins, and where what it has begins and ends; (0, 0) without a term."""
    words = analyse(line).words
    found = [(start, end, term) for term, (start, end) in zip(words.terms, words.spans, strict=True) if term in terms]
    starts = [start for start, _, _ in found]
    most, window, held = 0, 0, (0, 0)
    for _, end, _ in found:  # the earliest of equals ends with a term, or is the first
        begin = max(0, end - chars)
        inside = [hit for hit in found[bisect_left(starts, begin) :] if hit[1] <= begin + chars]
        count = len({term for _, _, term in inside})
        if count > most:
            most, window, held = count, begin, (inside[0][0], max(last for _, last, _ in inside))
    return window, held
