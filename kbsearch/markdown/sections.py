"""Top-level blocks → sections by heading, still as drafts whose units, anchors and passages are to be found.

Use: :func:`cut_sections`, then :mod:`kbsearch.markdown.faq`, then :func:`trim_sections` and :func:`finish_sections`.

Never: open a section at a heading inside a list, a quote or a box; those belong to the text around them.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kbsearch.markdown.boxes import row_markdown
from kbsearch.markdown.slug import Slugger, slugify
from kbsearch.model import Lines, Section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kbsearch.markdown.blocks import Block
    from kbsearch.markdown.boxes import Columns

__all__ = [
    "Draft",
    "cut_sections",
    "finish_sections",
    "first_heading",
    "heading_text",
    "same_text",
    "split_id",
    "trim_sections",
]

_EXPLICIT_ID = re.compile(r"[ \t]*\{:?[ ]?#([^\s{}]{1,200})\}$")


@dataclass(slots=True)
class Draft:
    """A section in the making.

    ``explicit_id`` is the ``{#id}`` of its heading. ``breaks`` are the indexes of blocks before which a unit was
    taken out: no passage reaches across. ``columns`` are those of the table that a unit is a row of.
    """

    heading: str
    headings: tuple[str, ...]
    level: int
    lines: Lines
    kind: str = "section"
    explicit_id: str = ""
    blocks: list[Block] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    columns: Columns | None = None

    def text(self) -> str:
        """Plain text of the blocks."""
        return "\n".join(text for text in (block.text() for block in self.blocks) if text)


def same_text(one: str, other: str) -> bool:
    """Whether two titles are the same to a reader: width, case and spaces do not count."""
    return _folded(one) == _folded(other)


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _heading_and_id(block: Block) -> tuple[str, str]:
    """Text of a heading, and its explicit id."""
    return split_id(block.rows[0] if block.rows else "")


def split_id(text: str) -> tuple[str, str]:
    """A heading's text without its ``{#id}``, and that id; ``""`` without one."""
    match = _EXPLICIT_ID.search(text[-250:])
    return (text[: len(text) - len(match[0])], match[1]) if match else (text, "")


def heading_text(block: Block) -> str:
    """Text of a heading without its explicit id."""
    return _heading_and_id(block)[0]


def first_heading(blocks: Sequence[Block]) -> str:
    """Text of the first heading of level 1, else of the first heading that has a text, else ``""``."""
    headings = [block for block in blocks if block.kind == "heading" and any(block.rows)]
    first = next((block for block in headings if block.level == 1), headings[0] if headings else None)
    return _heading_and_id(first)[0] if first else ""


def cut_sections(blocks: Sequence[Block], title: str, last_line: int) -> list[Draft]:
    """Sections in their order. The lead comes first and only if it has content; the title is no section."""
    lead = Draft("", (), 0, (1, last_line))
    drafts = [lead]
    path: list[tuple[int, str]] = []
    title_is_open = True
    for block in blocks:
        if block.kind != "heading":
            drafts[-1].blocks.append(block)
            continue
        heading, explicit_id = _heading_and_id(block)
        if title_is_open and block.level == 1 and same_text(heading, title):
            title_is_open = False
            continue
        title_is_open = False
        while path and path[-1][0] >= block.level:
            path.pop()
        path.append((block.level, heading))
        _end(drafts[-1], block.lines[0] - 1)
        headings = tuple(text for _, text in path if text)
        drafts.append(Draft(heading, headings, block.level, (block.lines[0], last_line), explicit_id=explicit_id))
    if not lead.blocks:
        return drafts[1:]
    first = lead.blocks[0].lines[0]
    lead.lines = (first, max(first, lead.lines[1]))
    return drafts


def _end(draft: Draft, line: int) -> None:
    # Two headings in HTML may share a line with the text between them.
    last = draft.blocks[-1].lines[1] if draft.blocks else line
    draft.lines = (draft.lines[0], max(draft.lines[0], line, last))


def trim_sections(drafts: Sequence[Draft], rows: Sequence[str]) -> None:
    """Leave the empty lines at the end of every section out of it."""
    for draft in drafts:
        first, last = draft.lines
        while last > first and not rows[last - 1].strip(" \t"):
            last -= 1
        draft.lines = (first, last)


def finish_sections(drafts: Sequence[Draft], rows: Sequence[str], title: str) -> tuple[Section, ...]:
    """Give every section its anchor and its source."""
    slugger = Slugger()
    slugger.claim(slugify(title))  # the title has this anchor wherever the page is shown as a whole
    promised = {id(draft): slugger.claim(draft.explicit_id) for draft in drafts if draft.explicit_id}
    sections = []
    for draft in drafts:
        first, last = draft.lines
        anchor = promised.get(id(draft)) or (slugger.claim(slugify(draft.heading)) if draft.level else "")
        own = rows[first - 1 : last]
        markdown = "\n".join(own) if draft.columns is None else row_markdown(own, draft.columns)
        sections.append(Section(anchor, draft.heading, draft.headings, draft.level, draft.kind, draft.lines, markdown))
    return tuple(sections)
