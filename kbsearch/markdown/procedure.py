"""An article → its procedures: numbered lists, headings that are steps, lists that the text introduces as steps.

Use: :func:`find_procedures` for all of them in their order; :mod:`kbsearch.markdown.walk` chooses one.

The article is parsed as in a build, so a line, an anchor and a step mean the same in both.

Never: take a list of things for steps. A numbered list counts if it, its heading or the line before it speaks of
something to do; a bullet list only if the line before it says so.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kbsearch.markdown.blocks import Block, read_blocks
from kbsearch.markdown.damage import repair
from kbsearch.markdown.details import group_details
from kbsearch.markdown.headings import Outline, heading_runs
from kbsearch.markdown.parts import Parts, one_line
from kbsearch.markdown.runs import Item, Run, find_runs, is_ordered, items_of
from kbsearch.markdown.sections import same_text
from kbsearch.markdown.stepwords import is_action, is_plain_steps, leads_to_steps, read_notice, says_rules, says_steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kbsearch.markdown.headings import HeadingRun
    from kbsearch.model import Article, Lines

__all__ = ["Found", "Reading", "find_procedures"]


@dataclass(slots=True)
class Found:
    """A procedure, still as blocks.

    Attributes
    ----------
    section
        Index of the section that it belongs to; -1 for the article.
    titles
        Text of each step that is a heading, else ``""``.
    name
        A bold line above the steps that names them; ``""`` without one.
    """

    section: int
    items: list[Item]
    titles: list[str]
    lines: Lines
    name: str = ""
    intro: str = ""
    before: list[Block] = field(default_factory=list)
    after: list[Block] = field(default_factory=list)
    sections: tuple[int, ...] = ()  # of the steps that are headings


@dataclass(slots=True)
class Reading:
    """What was read of an article: its blocks, its outline, and what makes parts of them."""

    blocks: list[Block]
    outline: Outline
    parts: Parts

    def between(self, first: int, last: int) -> list[Block]:
        """Blocks that begin on these lines."""
        low = bisect_left(self.blocks, first, key=lambda block: block.lines[0])
        return self.blocks[low : bisect_left(self.blocks, last + 1, key=lambda block: block.lines[0])]


def read_article(article: Article) -> Reading:
    """Parse the Markdown of an article again, with its pictures."""
    offset = _lines_before(article)
    blocks = group_details(read_blocks(repair(article.markdown), offset, article.lang, pictures=True))
    return Reading(blocks, Outline(article), Parts(article.markdown.split("\n"), offset))


def _lines_before(article: Article) -> int:
    """Lines of the file before its body: where the source of every section stands on the lines that it says."""
    body = article.markdown
    starts = [0]
    for row in body.split("\n"):
        starts.append(starts[-1] + len(row) + 1)
    longest = max(article.sections, key=lambda section: len(section.markdown))
    at = body.find(longest.markdown)
    while at >= 0:
        line = bisect_left(starts, at)
        offset = longest.lines[0] - 1 - line
        if (
            offset >= 0
            and starts[line] == at
            and all(
                section.lines[0] - 1 - offset < len(starts)
                and body.startswith(section.markdown, starts[section.lines[0] - 1 - offset])
                for section in article.sections
            )
        ):
            return offset
        at = body.find(longest.markdown, at + 1)
    return 0


def find_procedures(article: Article) -> tuple[Reading, list[Found]]:
    """All procedures of an article by their first line; a list inside a step of another is one, too."""
    reading = read_article(article)
    found = [*_lists(reading), *_headings(reading)]
    found.sort(key=lambda each: (each.lines[0], -each.lines[1]))
    return reading, found


# Lists


def _lists(reading: Reading) -> Iterator[Found]:
    """Procedures that are lists, region by region: a heading ends a list."""
    region: list[Block] = []
    for block in [*reading.blocks, None]:
        if block is not None and block.kind != "heading":
            region.append(block)
            continue
        yield from _lists_in(region, reading.outline)
        region = []


def _lists_in(region: Sequence[Block], outline: Outline) -> Iterator[Found]:
    """Procedures of blocks without a heading between them, and of what is inside these blocks."""
    waiting: list[Block] = []
    last: Found | None = None
    for each in find_runs(region):
        section = outline.owner(_lines_of(each))
        run = _as_steps(each, waiting, outline.heading(section))
        if run is None:
            waiting += each.blocks if isinstance(each, Run) else [each]
            continue
        tail, before, name, intro = _lead(waiting)
        if last:
            last.after += tail
            yield last
        else:
            before = [*tail, *before]
        last = Found(section, run.items, [""] * len(run.items), run.lines, name, intro, before)
        waiting = []
    if last:
        last.after += waiting
        yield last
    for block in region:
        yield from _lists_inside(block, outline)


def _lines_of(each: Block | Run) -> Lines:
    return each.lines


def _lists_inside(block: Block, outline: Outline) -> Iterator[Found]:
    """Procedures in a box, a definition, or an entry of a bullet list such as 「Windowsの場合」."""
    if block.kind in {"details", "definition"}:
        yield from _lists_in(block.children, outline)
    elif block.kind == "definitions" or (block.kind == "list" and not is_ordered(block)):
        for child in block.children:
            if child.kind == "item":
                yield from _lists_in(child.children, outline)
            else:
                yield from _lists_inside(child, outline)


def _as_steps(each: Block | Run, waiting: Sequence[Block], heading: str) -> Run | None:
    """The steps that a run or a bullet list tells, None if it tells none."""
    paragraph = waiting[-1] if waiting and waiting[-1].kind == "paragraph" else None
    intro = paragraph.text() if paragraph else ""
    if isinstance(each, Run):
        subject = intro if paragraph and paragraph.mark == "strong" else heading
        return each if _tells_steps(each, subject, intro) else None
    if each.kind != "list":
        return None
    if leads_to_steps(_last_sentence(intro)) or (is_plain_steps(heading) and not waiting):
        items = items_of(each)
        return Run(items, [each], ordered=False) if len(items) > 1 else None
    return None


def _tells_steps(run: Run, heading: str, intro: str) -> bool:
    """Whether a numbered list is to be followed: it is spoken of so, or an entry tells what to do."""
    if says_steps(heading) or says_steps(_last_sentence(intro)):
        return True
    if says_rules(heading) or (len(run.items) == 1 and run.blocks[0].children[0].mark.strip() not in {"0.", "1."}):
        return False  # the second: 「1986. あの年…」 is a sentence
    texts = ["\n".join(block.text() for block in item.blocks[:1]) for item in run.items]
    return any(map(is_action, texts))


def _last_sentence(text: str) -> str:
    return text.rstrip("。.:： ").replace("。", "\n").rsplit("\n", 1)[-1]


def _lead(waiting: list[Block]) -> tuple[list[Block], list[Block], str, str]:
    """Part what stands before steps: what may end the steps before them, the rest, a bold name, the leading line."""
    rest = list(waiting)
    name = intro = ""
    if rest and _may_lead(rest[-1]):
        intro = one_line(rest.pop().text())
    at = next((place for place in range(len(rest) - 1, -1, -1) if rest[place].mark == "strong"), None)
    if at is not None and at >= len(rest) - 2:
        name = one_line(rest[at].text()).strip(":： ")
        return rest[:at], rest[at + 1 :], name, intro
    return rest, [], name, intro


def _may_lead(block: Block) -> bool:
    is_text = block.kind == "paragraph" and block.mark != "strong" and not block.pictures and any(block.rows)
    return is_text and read_notice(block.rows[0]) is None


# Headings


def _headings(reading: Reading) -> Iterator[Found]:
    for run in heading_runs(reading.outline):
        yield _of_headings(run, reading)


def _of_headings(run: HeadingRun, reading: Reading) -> Found:
    outline = reading.outline
    items = []
    for index, end in zip(run.sections, run.ends, strict=True):
        first, last = outline.sections[index].lines[0], end
        blocks = reading.between(first, last)
        own = blocks[1:] if blocks and blocks[0].kind == "heading" else blocks
        stop = max((block.lines[1] for block in blocks), default=first)
        items.append(Item(own, (first, max(first, min(stop, last)))))
    before = reading.between(*outline.own_lines(run.parent))
    before = [block for block in before if block.kind != "heading"]
    lines = (items[0].lines[0], items[-1].lines[1])
    return Found(run.parent, items, run.titles, lines, before=before, sections=tuple(run.sections))


def is_contents(each: Found, other: Found) -> bool:
    """Whether a list only names the steps that are told under headings behind it."""
    if len(each.items) != len(other.titles) or each.lines[1] >= other.lines[0]:
        return False
    texts = ["\n".join(block.text() for block in item.blocks) for item in each.items]
    return all(same_text(text, title) for text, title in zip(texts, other.titles, strict=True))
