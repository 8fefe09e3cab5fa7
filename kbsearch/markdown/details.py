"""HTML that shapes a page: ``<details>`` boxes around ordinary Markdown → one block each, ``<h2>`` → a heading.

Use: :func:`group_details` on the top-level blocks, before sections are cut.

Never: let a box that is not closed, or one that wraps a whole chapter, swallow the headings in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbsearch.markdown.blocks import Block
from kbsearch.markdown.language import ends_as_question
from kbsearch.markdown.markup import Tag, scan, visible_text
from kbsearch.markdown.pictures import html_pictures

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["group_details"]

_MAX_NESTING = 20  # deeper boxes are read as part of the one around them
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_SIGNS = ("details", "summary", *_HEADINGS)


def group_details(blocks: list[Block]) -> list[Block]:
    """Blocks with each closed box as one ``details`` block whose ``mark`` is the summary."""
    if not any(_has_box(block) for block in blocks):
        return [block for block in blocks if block.kind != "html" or block.pictures or block.text()]
    top = Block("box", (0, 0))
    stack = [top]
    for block in blocks:
        if block.kind == "html" and not _has_box(block) and not block.pictures and not block.text():
            continue
        if not _has_box(block):
            stack[-1].children.append(block)
            continue
        for name, piece in _events(block):
            _apply(name, piece, stack)
    while len(stack) > 1:
        _unpack(stack.pop(), stack[-1])
    return top.children


def _has_box(block: Block) -> bool:
    return block.kind == "html" and any(
        f"<{sign}" in block.mark.lower() for sign in ("details", "/details", "summary", "h")
    )


def _events(block: Block) -> Iterator[tuple[str, Block]]:
    """``open``, ``summary``, ``heading``, ``text`` and ``close`` in their order, each with its lines."""
    source, line, position = block.mark, block.lines[0], 0
    opened: Tag | None = None
    boundaries = [tag for tag in scan(source) if isinstance(tag, Tag) and tag.name in _SIGNS]
    for tag in [*boundaries, None]:
        end = tag.offset if tag else len(source)
        inner = source[position:end]
        text = visible_text(inner)
        pictures = html_pictures(inner) if block.pictures else ()
        if text or pictures:
            first = line + inner[: len(inner) - len(inner.lstrip())].count("\n")
            first = min(first, block.lines[1])
            last = min(line + inner.rstrip().count("\n"), block.lines[1])
            rows = [f"{row}\n" for row in text.split("\n")]
            yield _inner(opened, Block("html", (first, max(first, last)), rows, pictures=pictures))
        line += inner.count("\n")
        if tag:
            opened = None if tag.closing else tag
            if tag.name == "details":
                yield "close" if tag.closing else "open", Block("details", (min(line, block.lines[1]),) * 2)
            position = end + len(tag.source)
            line += tag.source.count("\n")


def _inner(opened: Tag | None, piece: Block) -> tuple[str, Block]:
    """Return what a text is by the tag that it stands in."""
    if opened and opened.name == "summary":
        return "summary", piece
    if opened and opened.name in _HEADINGS:
        anchor = opened.attribute("id")
        text = " ".join(piece.text().split()) + (f" {{#{anchor}}}" if anchor else "")
        return "heading", Block("heading", piece.lines, [text], level=int(opened.name[1]))
    return "text", piece


def _apply(name: str, piece: Block, stack: list[Block]) -> None:
    box = stack[-1]
    if name == "open":
        if len(stack) <= _MAX_NESTING:
            stack.append(piece)
    elif name == "summary" and len(stack) > 1 and not box.mark and not box.children:
        box.mark = " ".join(piece.text().split())
    elif name in {"summary", "heading", "text"}:
        box.children.append(piece)
    elif len(stack) > 1:
        stack.pop()
        box.lines = (box.lines[0], piece.lines[1])
        wraps_chapter = any(child.kind == "heading" for child in box.children)
        if wraps_chapter and not ends_as_question(box.mark):
            _unpack(box, stack[-1])
        else:
            stack[-1].children.append(box)


def _unpack(box: Block, parent: Block) -> None:
    """Put the summary and the content of a box in the place of the box."""
    if box.mark:
        parent.children.append(Block("paragraph", (box.lines[0], box.lines[0]), [box.mark]))
    parent.children.extend(box.children)
