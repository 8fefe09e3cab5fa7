"""Tables and HTML lists of questions and answers, as definition lists.

Use: :func:`question_table` and :func:`html_list`; both give None for anything else. :func:`row_markdown` writes a row
of such a table as a question and its answer.

Never: decide here whether a term of a list asks; a glossary has the same form. Never lose a word: what has text beside
its questions and answers stays what it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from kbsearch.markdown.blocks import Block
from kbsearch.markdown.markup import Tag, scan, visible_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["ASKS", "Columns", "html_list", "question_table", "row_markdown"]

ASKS: Final = "asks"
"""Mark of a term that is a question, however it is worded."""

_QUESTIONS: Final = re.compile(r"(?i:q|ｑ|questions?|(?:よくある|ご)?(?:質問|問い合わせ)(?:内容|例)?|問い?)")
_ANSWERS: Final = re.compile(r"(?i:a|ａ|answers?|ご?(?:回答|答え?)(?:内容|例)?)")
_BARE: Final = ("q", "ｑ")
_COUNTERS: Final = re.compile(r"(?i:no\.?|ｎｏ．?|№|#|＃|番号|項番|通番|)")
_LONGEST_HEAD: Final = 40  # characters of it that stand before each cell of its column
_PIPE: Final = re.compile(r"(?<!\\)\|")


class Columns(NamedTuple):
    """Which columns of a table hold the questions and the answers, and the heads of those that go with the answers."""

    question: int
    answer: int
    more: tuple[tuple[int, str], ...]


def question_table(block: Block) -> tuple[Block, Columns] | None:
    """A table whose head says 「質問」 and 「回答」, or Q and A; what stands in other columns goes with the answer.

    A row without a question goes on with the answer above. Q and A by themselves are the names of columns with
    anything: then there are no others, and no question is a number.
    """
    columns = _columns(block)
    if columns is None:
        return None
    found: list[Block] = []
    for row in block.children[1:]:
        question, *texts = _texts(row.cells, columns)
        if question or not found:
            found.append(Block("term", row.lines, [question], mark=ASKS))
        if texts:
            rows = [f"{text}\n" for text in texts]
            found.append(Block("definition", row.lines, children=[Block("paragraph", row.lines, rows)]))
    return Block("definitions", block.lines, children=found), columns


def _columns(block: Block) -> Columns | None:
    head = [cell.strip() for cell in block.children[0].cells] if block.kind == "table" and block.children else []
    asks = [place for place, cell in enumerate(head) if _QUESTIONS.fullmatch(cell)]
    answers = [place for place, cell in enumerate(head) if _ANSWERS.fullmatch(cell)]
    if len(asks) != 1 or len(answers) != 1:
        return None
    question, answer = asks[0], answers[0]
    more = tuple(
        (place, cell[:_LONGEST_HEAD])
        for place, cell in enumerate(head)
        if place not in (question, answer) and not _COUNTERS.fullmatch(cell)
    )
    if head[question].casefold() in _BARE and len(head[answer]) == 1:
        asked = [row.cells[question].strip() for row in block.children[1:] if question < len(row.cells)]
        if more or any(cell.replace(".", "").isdecimal() for cell in asked):
            return None
    return Columns(question, answer, more)


def _texts(cells: Sequence[str], columns: Columns) -> list[str]:
    """The question, then what answers: a text for each cell that has one."""
    held = {place: cell.strip() for place, cell in enumerate(cells)}
    more = [f"{title}: {held[place]}".removeprefix(": ") for place, title in columns.more if held.get(place)]
    answer = held.get(columns.answer, "")
    return [held.get(columns.question, ""), *([answer] if answer else []), *more]


def row_markdown(rows: Sequence[str], columns: Columns) -> str:
    """Rows of a table, the first of them with a question, as a question in bold and the paragraphs of its answer."""
    parts = []
    for row in rows:
        cells = [cell.replace("\\|", "|") for cell in _PIPE.split(row.strip().removeprefix("|"))]
        question, *texts = _texts(cells, columns)
        bare = question.strip("*")
        parts += [f"**{bare}**", *texts] if bare else texts
    return "\n\n".join(parts)


def html_list(block: Block) -> Block | None:
    """A ``<dl>`` with its terms and definitions, and nothing else; None also for one in another, or without its end."""
    if block.kind != "html" or block.mark.lstrip()[:3].lower() != "<dl":
        return None
    tags = [piece for piece in scan(block.mark) if isinstance(piece, Tag)]
    lists = [tag for tag in tags if tag.name == "dl"]
    if len(lists) != 2 or not lists[1].closing:  # noqa: PLR2004 - the one that opens and the one that closes
        return None
    found: list[Block] = []
    line, counted, outside = block.lines[0], 0, 0
    for name, start, end in _entries(tags, len(block.mark)):
        if visible_text(block.mark[outside:start]):
            return None
        outside = end
        source = block.mark[start:end].rstrip()
        text = visible_text(source).strip()
        line += block.mark.count("\n", counted, start)
        counted = start
        lines = (min(line, block.lines[1]), min(line + source.count("\n"), block.lines[1]))
        if name == "dt" and found and found[-1].kind == "term":  # two ways to ask the same
            found[-1].rows = [f"{found[-1].rows[0]} / {' '.join(text.split())}"]
        elif name == "dt":
            found.append(Block("term", lines, [" ".join(text.split())]))
        elif text:
            rows = [f"{row}\n" for row in text.split("\n") if row.strip()]
            found.append(Block("definition", lines, children=[Block("paragraph", lines, rows)]))
    if visible_text(block.mark[outside:]) or not found:
        return None
    return Block("definitions", block.lines, children=found)


def _entries(tags: list[Tag], length: int) -> Iterator[tuple[str, int, int]]:
    """Name, beginning and end of what is inside each ``dt`` and ``dd``, which need not be closed."""
    ends = [tag for tag in tags if tag.name in {"dt", "dd", "dl"}]
    for place, tag in enumerate(ends):
        if not tag.closing and tag.name != "dl":
            end = ends[place + 1].offset if place + 1 < len(ends) else length
            yield tag.name, tag.offset + len(tag.source), end
