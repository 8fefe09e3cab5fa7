"""Where sentences end, as the language ends them.

。！？ with what closes behind them, but not where the sentence goes on (「はい。」と答えた) and not inside brackets; a
full stop, ! or ? before white space, but not behind an abbreviation; and line ends, so that a list item or a table row
is a sentence.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MOST_CHARS", "sentences"]

MOST_CHARS: Final = 20_000
"""Characters of a text that are looked at; only a giant code fence has more."""

Span = tuple[int, int]
"""First and one-past-last character."""

_CLOSERS: Final = "」』）)\\]】〉》”’\"'"
_JA: Final = "ぁ-んァ-ヶーｦ-ﾟ一-龯々"
_END: Final = re.compile(
    rf"(?:[。！？｡]++|．(?!\d)|(?<![!?\s])[!?]++(?=[{_CLOSERS}\s]|$)|(?<=[{_JA}])[!?]++(?=[{_JA}「『（])"
    rf"|\.(?=[{_CLOSERS}]*+(?:\s|$)))[！？!?]*+[{_CLOSERS}]*+|\n|$",
    re.MULTILINE,
)
# Behind a closed quotation the sentence goes on with a particle. Some particles also begin words that begin a sentence.
_GOES_ON: Final = re.compile(
    r"と|って|を|は(?!い)|が|の(?!ち)|に(?!も)|も(?!し|っと|ちろん|う)|や|など|から|まで|より|で(?!は|も|すが|すから)|、|。"
)
# The same behind a mark without a quotation: 「早い！と評判」, 「お得！な品」.
_GOES_ON_BARE: Final = re.compile(
    r"(?:と|って)(?:[言思答聞叫書表感評、]|い[うっわえ]|な[るっり]|の)|な(?![おぜにかの])|、"
)
_IN_BRACKETS: Final = re.compile(
    r"（[^（）\n]*）|\([^()\n]*\)|「[^「」\n]{0,120}」|『[^『』\n]{0,120}』|“[^“”\n]{0,120}”"
)
_OPENERS: Final = "（(「『“"
_ABBREVIATION: Final = re.compile(
    r"(?:^|[\s(\[“\"'（])(?:[Mm]r|[Mm]rs|[Mm]s|[Dd]r|[Pp]rof|[Ss]t|[Vv]s|e\.g|i\.e|cf|[Ii]ncl|[Ee]xcl)\.$"
    r"|(?:^|[(\[“\"'\n]|[A-Z]\.\s)[A-Z]\.$"  # J. R. Smith, at the beginning
)
_BEFORE_NUMBER: Final = re.compile(
    r"(?:^|[\s(\[“\"'（])(?:[Nn]os?|[Ff]ig|[Vv]ol|[Vv]er|[Aa]pprox|[Ee]xt|[Tt]el|[Mm]in|[Mm]ax|[Ee]st|[Aa]rt|[Ss]ec|[Pp]p?)\.$"
)
_MAY_END: Final = re.compile(
    r"(?:etc|[ap]\.m|Inc|Ltd|Co|Corp|U\.S|U\.K|Ph\.D|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.$"
)
_LONGEST_ABBREVIATION: Final = 8
_MARKER: Final = re.compile(r"[0-9０-９]{1,9}[.．)）]|[QAＱＡ][0-9０-９]{0,3}[.．]|[①-⑳]|[-*+・•]")


def sentences(text: str) -> list[Span]:
    """Spans of the sentences of a text, ascending, without the white space around them; none is empty.

    The marker of a list item, or of a question (Q1.), belongs to what stands behind it on its line.
    """
    text = text[:MOST_CHARS]
    brackets = [match.span() for match in _IN_BRACKETS.finditer(text)] if any(map(text.__contains__, _OPENERS)) else []
    spans: list[Span] = []
    begin = inside = 0
    for match in _END.finditer(text):
        at, end = match.span()
        while inside < len(brackets) and brackets[inside][1] < end:
            inside += 1
        in_brackets = inside < len(brackets) and brackets[inside][0] < at and end < brackets[inside][1]
        if text[at : at + 1] not in {"\n", ""} and (in_brackets or _goes_on(text, at, end)):
            continue
        start, stop = begin, end
        begin = end
        while start < stop and text[start].isspace():
            start += 1
        while start < stop and text[stop - 1].isspace():
            stop -= 1
        if start < stop and spans and _MARKER.fullmatch(text, *spans[-1]) and "\n" not in text[spans[-1][1] : start]:
            spans[-1] = (spans[-1][0], stop)
        elif start < stop:
            spans.append((start, stop))
    return spans


def _goes_on(text: str, at: int, end: int) -> bool:
    """Whether what looks like an end is none."""
    if text[at] != ".":
        if text[end - 1] in _CLOSERS:
            return bool(_GOES_ON.match(text, end))
        return text[at] in "！？!?" and bool(_GOES_ON_BARE.match(text, end))
    behind = text[end : end + 2].lstrip()
    if behind[:1].islower():
        return True
    before = text[max(0, at - _LONGEST_ABBREVIATION) : at + 1]
    if _ABBREVIATION.search(before) or (behind[:1].isdigit() and _BEFORE_NUMBER.search(before)):
        return True
    return bool(_MAY_END.search(before)) and not behind[:1].isupper() and behind != ""
