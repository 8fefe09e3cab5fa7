"""Question/answer units: the shapes in which people write FAQ pages → one section of kind ``qa`` each.

Known shapes: a heading that asks; ``Q. …`` and ``A. …`` as paragraphs, lines, list items or in a quotation (``Ｑ：``,
``問：``, ``■Q``, bold, numbered); definition lists, in HTML too; tables with a column of questions and one of answers;
``<details>`` boxes; a question as a bold paragraph or line.

Use: :func:`find_units` on the drafts of an article.

Never: take a marker for a question where no answer follows, unless the page is known to be an FAQ; ``A.`` and ``Q1``
mean other things elsewhere.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from kbsearch.markdown.blocks import Block
from kbsearch.markdown.boxes import ASKS, html_list, question_table
from kbsearch.markdown.language import ends_as_question, join_lines
from kbsearch.markdown.pairs import ANSWER, QUESTION, with_plain_markers
from kbsearch.markdown.sections import Draft

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["find_units", "is_mostly_units"]

_ANSWER_HEADINGS = {"answer", "回答", "ご回答", "答え", "答", "a"}
_ENDS = tuple("。．.！!？?：:）)」』")  # of what stands above a question by itself
_MIN_UNITS = 2
_ACCORDION = 2  # this many boxes in a row are a list of topics, a single one is an aside


def find_units(drafts: Sequence[Draft], *, is_faq: bool) -> list[Draft]:
    """Drafts with the units found: question headings marked, the other shapes as drafts of their own.

    Parameters
    ----------
    drafts
        Sections by heading; they are changed.
    is_faq
        Whether the article says that it is an FAQ, so that doubtful shapes are questions too.
    """
    for draft in drafts:
        with_plain_markers(draft.blocks, is_faq=is_faq)
        unquoted = (part for pair in zip_longest(draft.blocks, draft.blocks[1:]) for part in _unquoted(*pair))
        draft.blocks = [part for block in unquoted for part in _at_markers(block)]
    pairs = sum(_opens_pair(draft.blocks, index) for draft in drafts for index in range(len(draft.blocks)))
    bold = sum(_is_bold_question(block) for draft in drafts for block in draft.blocks)
    finder = _Finder(eager=is_faq or pairs > 0, bold=is_faq or bold >= _MIN_UNITS, is_faq=is_faq)
    found: list[Draft] = []
    for place, draft in enumerate(drafts):
        if found and _is_answer_heading(draft, found[-1]):
            _take_answer(found[-1], draft)
            continue
        is_leaf = place + 1 == len(drafts) or drafts[place + 1].level <= draft.level
        found.extend(finder.split(draft, is_leaf=is_leaf))
    return found


def is_mostly_units(drafts: Sequence[Draft]) -> bool:
    """Whether at least two units make up most of the text."""
    units = [draft for draft in drafts if draft.kind == "qa"]
    if len(units) < _MIN_UNITS:
        return False
    inside = sum(len(draft.heading) + len(draft.text()) for draft in units)
    outside = sum(len(draft.heading) + len(draft.text()) for draft in drafts if draft.kind != "qa")
    return inside > outside


class _Finder:
    """Cuts the units out of one section after the other."""

    def __init__(self, *, eager: bool, bold: bool, is_faq: bool) -> None:
        self._eager = eager
        self._bold = bold
        self._is_faq = is_faq

    def split(self, draft: Draft, *, is_leaf: bool) -> list[Draft]:
        """Return the section without its units, then the units.

        In an article that says that it is an FAQ, a heading with text and no heading below it is a question, however
        it is worded: 「ログインできない場合」.
        """
        own: list[Block] = []
        breaks: list[int] = []
        units: list[Draft] = []
        running: Draft | None = None
        for index, block in enumerate(draft.blocks):
            question = self._paragraph_question(draft.blocks, index)
            boxed = list(self._boxed_units(draft, index)) if not question else []
            if question:
                running = _unit(draft, question, block)
                units.append(running)
            elif boxed:
                running = None
                units.extend(unit for unit, _ in boxed)
                breaks.append(len(own))
                own.extend(rest for _, rest in boxed if rest)
            elif running:
                running.blocks.append(block)
                running.lines = (running.lines[0], block.lines[1])
            else:
                own.append(block)
        for unit in units:
            _strip_answer(unit.blocks)
        asks = self._is_faq and is_leaf and not units and bool(draft.text().strip())
        return self._parent(draft, own, breaks, units, asks=asks) + units

    def _parent(
        self, draft: Draft, own: list[Block], breaks: list[int], units: list[Draft], *, asks: bool
    ) -> list[Draft]:
        """Return the section itself: around its units, or a question with its answer, or gone if it was only a lead."""
        if units:
            last = own[-1].lines[1] if own else min(draft.lines[0], units[0].lines[0])
            answers_first = bool(own) and own[0].lines[0] < units[0].lines[0]
            draft.blocks, draft.breaks, draft.lines = own, breaks, (draft.lines[0], max(last, draft.lines[0]))
            if not answers_first:
                return [draft] if own or draft.level else []
        marked = QUESTION.match(draft.heading)
        if draft.level and (marked or asks or ends_as_question(draft.heading)):
            draft.kind = "qa"
            question = draft.heading[marked.end() :].strip() if marked else ""
            if question:
                draft.heading, draft.headings = question, (*draft.headings[:-1], question)
            _strip_answer(draft.blocks)
        return [draft]

    def _paragraph_question(self, blocks: Sequence[Block], index: int) -> str:
        """Return the question that a paragraph asks, ``""`` if it asks none."""
        block = blocks[index]
        marked = QUESTION.match(_first_row(block)) if block.kind == "paragraph" else None
        if marked and (self._eager or _opens_pair(blocks, index)):
            return _one_line(block)[marked.end() :].strip()
        if self._bold and _is_bold_question(block):
            following = blocks[index + 1] if index + 1 < len(blocks) else None
            return _one_line(block) if following and not _is_bold_question(following) else ""
        return ""

    def _boxed_units(self, draft: Draft, index: int) -> Iterator[tuple[Draft, Block | None]]:
        """Units of a definition list or a box; what is left of the list comes with the first."""
        block = draft.blocks[index]
        if block.kind == "details" and block.mark and self._asks_box(draft.blocks, index):
            marked = QUESTION.match(block.mark)
            unit = _unit(draft, block.mark[marked.end() :].strip() if marked else block.mark, block)
            unit.blocks = block.children
            yield unit, None
        elif block.kind == "definitions":
            yield from self._definition_units(draft, block)
        elif (entries := html_list(block)) is not None:
            yield from self._definition_units(draft, entries)
        elif (table := question_table(block)) is not None:
            for unit, rest in self._definition_units(draft, table[0]):
                unit.columns = table[1]
                yield unit, rest

    def _asks_box(self, blocks: Sequence[Block], index: int) -> bool:
        mark = blocks[index].mark
        if self._is_faq or ends_as_question(mark) or QUESTION.match(mark):
            return True
        around = blocks[max(0, index - 1) : index + _ACCORDION]
        return sum(block.kind == "details" for block in around) >= _ACCORDION

    def _definition_units(self, draft: Draft, block: Block) -> Iterator[tuple[Draft, Block | None]]:
        rest: list[Block] = []
        units: list[Draft] = []
        is_open = False
        for child in block.children:
            if child.kind == "term":
                question = _one_line(child)
                marked = QUESTION.match(question)
                asks = child.mark == ASKS or self._is_faq or bool(marked) or ends_as_question(question)
                is_open = bool(question) and asks
                if is_open:
                    units.append(_unit(draft, question[marked.end() :] if marked else question, child))
            if not is_open:
                rest.append(child)
            elif child.kind != "term":
                units[-1].blocks.extend(child.children)
                units[-1].lines = (units[-1].lines[0], max(units[-1].lines[1], child.lines[1]))
        lines = (rest[0].lines[0], rest[-1].lines[1]) if rest else block.lines
        for number, unit in enumerate(units):
            yield unit, Block("definitions", lines, children=rest) if rest and not number else None


def _unit(parent: Draft, question: str, block: Block) -> Draft:
    return Draft(question, (*parent.headings, question), parent.level + 1, block.lines, kind="qa")


def _first_row(block: Block | None) -> str:
    """Return the first row of text in a block, however deep."""
    while block and not block.rows and block.children and block.kind != "code":
        block = block.children[0]
    return block.rows[0] if block and block.rows and block.kind != "code" else ""


def _one_line(block: Block) -> str:
    return " ".join(join_lines(block.rows).split("\n")).strip()


def _opens_pair(blocks: Sequence[Block], index: int) -> bool:
    """Whether a question's marker is followed by an answer's."""
    if blocks[index].kind != "paragraph" or index + 1 >= len(blocks):
        return False
    return bool(QUESTION.match(_first_row(blocks[index])) and ANSWER.match(_first_row(blocks[index + 1])))


def _is_bold_question(block: Block) -> bool:
    return block.kind == "paragraph" and block.mark == "strong" and ends_as_question(_one_line(block))


def _at_markers(block: Block) -> list[Block]:
    """Cut a paragraph before each row that begins with a marker or asks in bold, and behind the latter.

    A list of questions and answers is cut into its items.
    """
    if block.kind == "list" and QUESTION.match(_first_row(block)):
        inner = [part for item in block.children for child in item.children for part in _at_markers(child)]
        if any(ANSWER.match(_first_row(part)) for part in inner):
            return inner
    if block.kind != "paragraph" or len(block.rows) == 1:
        return [block]
    rows = block.rows
    if _is_marked(rows[0]):
        return _cut(block, [at for at, row in enumerate(rows) if _is_marked(row) or _answers_row(rows, at - 1)])
    asking = {place for place in block.bold if _asks_alone(rows, place)}
    if not asking:
        return [block]
    starts = sorted({0, *asking, *(place + 1 for place in asking if place + 1 < len(rows))})
    parts = _cut(block, starts)
    for part, start in zip(parts, starts, strict=True):
        part.mark = "strong" if start in asking else ""
    return parts


def _asks_alone(rows: Sequence[str], place: int) -> bool:
    """Whether a row is a question by itself, and no part of a sentence that goes on above or below it."""
    before, behind = rows[place - 1 : place], rows[place + 1 : place + 2]
    begins = not before or before[0].rstrip().endswith(_ENDS)
    return begins and ends_as_question(rows[place].strip()) and not (behind and behind[0].lstrip()[:1].islower())


def _unquoted(block: Block, following: Block | None) -> list[Block]:
    """A quotation of questions with their answers as a definition list; of a question alone, as the question."""
    if block.kind != "quote" or not QUESTION.match(_first_row(block)):
        return [block]
    with_plain_markers(block.children, is_faq=False)
    inner = [part for child in block.children for part in _at_markers(child)]
    if not any(ANSWER.match(_first_row(part)) for part in inner):
        is_answered = following is not None and ANSWER.match(_first_row(following))
        return inner if len(inner) == 1 and is_answered else [block]
    entries: list[Block] = []
    for part in inner:
        if part.kind == "paragraph" and QUESTION.match(_first_row(part)):
            entries.append(Block("term", part.lines, [_one_line(part)], mark=ASKS))
        else:
            entries.append(Block("definition", part.lines, children=[part]))
    return [Block("definitions", block.lines, children=entries)]


def _cut(block: Block, starts: Sequence[int]) -> list[Block]:
    """A paragraph as several, which begin at these rows; the first of them at 0."""
    last = block.lines[1]
    parts = []
    for start, end in zip(starts, [*starts[1:], len(block.rows)], strict=True):
        first = min(block.lines[0] + start, last)
        until = last if end == len(block.rows) else min(max(first, block.lines[0] + end - 1), last)
        parts.append(Block("paragraph", (first, until), block.rows[start:end]))
    return parts


def _answers_row(rows: Sequence[str], before: int) -> bool:
    """Whether the row before asks and is marked so: what follows is the answer, though nothing says ``A.``."""
    return before >= 0 and bool(QUESTION.match(rows[before])) and ends_as_question(rows[before])


def _is_marked(row: str) -> bool:
    return bool(QUESTION.match(row) or ANSWER.match(row))


def _strip_answer(blocks: list[Block]) -> None:
    """Take the marker off an answer's first row."""
    block: Block | None = blocks[0] if blocks else None
    while block and not block.rows and block.children:
        block = block.children[0]
    if block and block.rows and block.kind in {"paragraph", "html"}:
        marked = ANSWER.match(block.rows[0])
        if marked:
            block.rows = [block.rows[0][marked.end() :], *block.rows[1:]]


def _is_answer_heading(draft: Draft, before: Draft) -> bool:
    """Whether a heading such as ``### A. はい`` or ``### 回答`` answers the question heading right before it."""
    if before.kind != "qa" or before.text() or draft.level <= before.level:
        return False
    return bool(ANSWER.match(draft.heading)) or draft.heading.strip().lower() in _ANSWER_HEADINGS


def _take_answer(question: Draft, answer: Draft) -> None:
    marked = ANSWER.match(answer.heading)
    text = answer.heading[marked.end() :].strip() if marked else ""
    own = [Block("paragraph", (answer.lines[0], answer.lines[0]), [text])] if text else []
    question.blocks = [*own, *answer.blocks]
    question.lines = (question.lines[0], answer.lines[1])
