"""Tables and HTML lists of questions and answers, as definition lists.

Use: :func:`question_table` and :func:`html_list`; both give None for anything else.

Never: decide here whether a term of a list asks; a glossary has the same form.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kbsearch.markdown.blocks import Block
from kbsearch.markdown.markup import Tag, scan, visible_text

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ASKS", "html_list", "question_table"]

ASKS: Final = "asks"
"""Mark of a term that is a question, however it is worded."""

_CELLS: Final = " | "
_QUESTIONS: Final = re.compile(r"(?i:q|ｑ|questions?|(?:よくある|ご)?(?:質問|問い合わせ)(?:内容|例)?|問い?)")
_ANSWERS: Final = re.compile(r"(?i:a|ａ|answers?|ご?(?:回答|答え?)(?:内容|例)?)")


def question_table(block: Block) -> Block | None:
    """A table whose head says 「質問」 and 「回答」, or Q and A; what stands in other columns goes with the answer."""
    if block.kind != "table" or not block.children:
        return None
    head = _cells(block.children[0])
    asks = [place for place, cell in enumerate(head) if _QUESTIONS.fullmatch(cell)]
    answers = [place for place, cell in enumerate(head) if _ANSWERS.fullmatch(cell)]
    if len(asks) != 1 or len(answers) != 1:
        return None
    found: list[Block] = []
    for row in block.children[1:]:
        cells = [*_cells(row), *[""] * len(head)][: len(head)]
        more = [
            f"{title}: {cell}".removeprefix(": ")
            for place, (title, cell) in enumerate(zip(head, cells, strict=True))
            if place not in (*asks, *answers) and cell and not cell.isdecimal()
        ]
        rows = [f"{text}\n" for text in (cells[answers[0]], *more) if text]
        found.append(Block("term", row.lines, [cells[asks[0]]], mark=ASKS))
        found.append(Block("definition", row.lines, children=[Block("paragraph", row.lines, rows)]))
    return Block("definitions", block.lines, children=found)


def _cells(row: Block) -> list[str]:
    return [cell.strip() for cell in "".join(row.rows).split(_CELLS)]


def html_list(block: Block) -> Block | None:
    """A ``<dl>`` with its terms and definitions; None also for one in another."""
    if block.kind != "html" or block.mark.lstrip()[:3].lower() != "<dl":
        return None
    tags = [piece for piece in scan(block.mark) if isinstance(piece, Tag)]
    if sum(tag.name == "dl" and not tag.closing for tag in tags) != 1:
        return None
    found: list[Block] = []
    for name, start, end in _entries(tags, len(block.mark)):
        source = block.mark[start:end].rstrip()
        text = visible_text(source).strip()
        first = min(block.lines[0] + block.mark.count("\n", 0, start), block.lines[1])
        lines = (first, min(first + source.count("\n"), block.lines[1]))
        if name == "dt":
            found.append(Block("term", lines, [" ".join(text.split())]))
        elif text:
            rows = [f"{row}\n" for row in text.split("\n") if row.strip()]
            found.append(Block("definition", lines, children=[Block("paragraph", lines, rows)]))
    return Block("definitions", block.lines, children=found) if found else None


def _entries(tags: list[Tag], length: int) -> Iterator[tuple[str, int, int]]:
    """Name, beginning and end of what is inside each ``dt`` and ``dd``, which need not be closed."""
    ends = [tag for tag in tags if tag.name in {"dt", "dd"} or (tag.name == "dl" and tag.closing)]
    for place, tag in enumerate(ends):
        if not tag.closing:
            end = ends[place + 1].offset if place + 1 < len(ends) else length
            yield tag.name, tag.offset + len(tag.source), end
