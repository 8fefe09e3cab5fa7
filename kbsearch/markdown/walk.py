"""The procedure that a handle means, out of those of its article.

Use: :func:`procedure_of` with an article and the section that the handle names, if it names one.

Never: an empty walk. What has no steps is an error that says what it is instead.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from kbsearch.errors import BadQuery, NoSteps
from kbsearch.markdown.headings import ARTICLE
from kbsearch.markdown.procedure import Found, find_procedures, is_contents
from kbsearch.markdown.stepwords import is_needs, is_plain_steps, is_result
from kbsearch.procedures import Procedure, ProcedureRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kbsearch.markdown.blocks import Block
    from kbsearch.markdown.procedure import Reading
    from kbsearch.model import Article

__all__ = ["procedure_of"]

_NEAR = 3
_MAX_NEEDS = 20  # blocks; what is longer is a chapter of its own
_NAMES = {"table": "a table", "list": "a list of things", "definitions": "a list of terms", "code": "text with code"}


def procedure_of(article: Article, place: int | None = None, number: int = 1) -> Procedure:
    """The procedure of an article, or of a section and what is below it.

    Parameters
    ----------
    article
        A served article.
    place
        Index into its sections; None for the article.
    number
        Which one, where there are several: 1 is the first.

    Raises
    ------
    NoSteps
        There is none.
    BadQuery
        There are fewer than ``number``.
    """
    reading, found = find_procedures(article)
    choice = _Choice(article, reading, _without_contents(found))
    index = ARTICLE if place is None else place
    here = choice.within(index)
    start = 1
    if not here:
        here, start = choice.around(index)
    if not here:
        near = tuple(dict.fromkeys(choice.refer(each).handle for each in choice.within(ARTICLE)))[:_NEAR]
        raise NoSteps(choice.name(index), _what_it_is(reading, index), near)
    if not isinstance(number, int) or not 1 <= number <= len(here):
        many = "one procedure" if len(here) == 1 else f"{len(here)} procedures"
        raise BadQuery(f"“{choice.name(index)}” has {many}; there is no number {number!r}.")
    return choice.made(here[number - 1], start)


def _without_contents(found: Sequence[Found]) -> list[Found]:
    """Procedures without the lists that only name the headings behind them."""
    kept: list[Found] = []
    for each in found:
        if each.sections and kept and kept[-1].section == each.section and is_contents(kept[-1], each):
            kept.pop()
        kept.append(each)
    return kept


class _Choice:
    """All procedures of an article, by their first line."""

    def __init__(self, article: Article, reading: Reading, found: Sequence[Found]) -> None:
        self.reading = reading
        self._article = article
        self._found = found
        self._starts = [each.lines[0] for each in found]
        self._ranks: dict[int, dict[int, int]] = {}

    def within(self, index: int) -> list[Found]:
        """The outermost procedures of a section with what is below it; those of its own text come first."""
        first, last = self.reading.outline.span(index)
        low, high = bisect_left(self._starts, first), bisect_right(self._starts, last)
        here: list[Found] = []
        for each in self._found[low:high]:
            if each.lines[1] <= last and (not here or each.lines[0] > here[-1].lines[1]):
                here.append(each)
        return here if index == ARTICLE else sorted(here, key=lambda each: each.section != index)

    def around(self, index: int) -> tuple[list[Found], int]:
        """The procedure in which a section is a step without steps of its own, and which step."""
        while index != ARTICLE:
            for each in self._found:
                if index in each.sections:
                    return [each], each.sections.index(index) + 1
            index = self.reading.outline.parents[index]
        return [], 1

    def name(self, index: int) -> str:
        """Handle of a section or of the article."""
        anchor = self.reading.outline.sections[index].anchor if index >= 0 else ""
        return f"{self._article.id}#{anchor}" if anchor else self._article.id

    def refer(self, each: Found) -> ProcedureRef:
        """How to open a procedure: by the section that it belongs to; the lead goes by the name of the article."""
        outline = self.reading.outline
        index = each.section if each.section >= 0 and outline.sections[each.section].anchor else ARTICLE
        if index not in self._ranks:
            self._ranks[index] = {id(other): rank for rank, other in enumerate(self.within(index), start=1)}
        title = each.name or outline.heading(each.section)
        if not each.name and is_plain_steps(title):
            title = self._article.title
        return ProcedureRef(self.name(index), self._ranks[index][id(each)], title, len(each.items), each.lines)

    def made(self, each: Found, start: int) -> Procedure:
        """The procedure as a value."""
        parts = self.reading.parts
        total = len(each.items)
        steps = tuple(
            parts.step(item, number, total, title=title)
            for number, (item, title) in enumerate(zip(each.items, each.titles, strict=True), start=1)
        )
        needs, results = self._around(each)
        before = sorted([*needs, *each.before], key=lambda block: block.lines[0])
        own = self.refer(each)
        return Procedure(
            handle=own.handle, number=own.number, title=own.title, article_id=self._article.id,
            path=self._article.path, lang=self._article.lang,
            lines=(steps[0].lines[0], max(step.lines[1] for step in steps)), steps=steps, intro=each.intro,
            before=parts.of(before), after=parts.of([*each.after, *results]),
            others=tuple(self.refer(other) for other in self.within(ARTICLE) if other is not each), start=start,
        )  # fmt: skip

    def _around(self, each: Found) -> tuple[list[Block], list[Block]]:
        """What sections beside the steps say of what is needed and of what comes out.

        「手順」 alone as a heading leaves to the text above what is done, so that text belongs to it.
        """
        outline = self.reading.outline
        beside = each.sections[0] if each.sections else each.section
        row = list(outline.siblings(beside))
        at = row.index(beside) if beside in row else 0
        needs: list[Block] = []
        if beside >= 0 and not each.sections and is_plain_steps(outline.sections[beside].heading):
            needs += _without_headings(self.reading.between(*outline.own_lines(outline.parents[beside])))
        for index in row[:at]:
            if is_needs(outline.sections[index].heading):
                blocks = _without_headings(self.reading.between(*outline.span(index)))
                needs += blocks if len(blocks) <= _MAX_NEEDS else []
        last = each.sections[-1] if each.sections else beside
        following = row[row.index(last) + 1] if last in row and row.index(last) + 1 < len(row) else None
        if following is not None and is_result(outline.sections[following].heading):
            return needs, _without_headings(self.reading.between(*outline.span(following)))
        return needs, []


def _without_headings(blocks: Iterable[Block]) -> list[Block]:
    return [block for block in blocks if block.kind != "heading"]


def _what_it_is(reading: Reading, index: int) -> str:
    """A section in a few words."""
    sections = reading.outline.sections
    if index == ARTICLE and len(sections) > 1:
        return f"an article of {len(sections)} sections, none of which tells steps"
    if index >= 0 and sections[index].kind == "qa":
        return "a question with its answer"
    kinds = {block.kind for block in reading.between(*reading.outline.span(index))}
    return next((name for kind, name in _NAMES.items() if kind in kinds), "plain text")
