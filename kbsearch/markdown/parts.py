"""Blocks → the parts of a step: text, code, pictures, warnings, notes, and the steps below it.

Use: ``Parts(source).of(blocks)`` for what stands before or behind the steps, :meth:`Parts.step` for one of them.

Never: lose a word. What is in the blocks is in the text of a part, in a label, or in the words of a picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbsearch.markdown.language import join_lines
from kbsearch.markdown.markup import Tag, scan
from kbsearch.markdown.notes import kind_name, warns
from kbsearch.markdown.runs import Item, Run, find_runs, is_picture, items_of
from kbsearch.markdown.sections import heading_text
from kbsearch.markdown.stepwords import find_restriction, read_notice
from kbsearch.procedures import Part, Picture, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kbsearch.markdown.blocks import Block
    from kbsearch.markdown.stepwords import Notice
    from kbsearch.model import Lines
    from kbsearch.procedures import PartKind

__all__ = ["Parts", "one_line"]

_LABEL_END = ": ："
_CHECKBOX = ("[ ] ", "[x] ", "[X] ")


class Parts:
    """Makes parts of blocks; ``rows`` are the lines of the body, which begins behind line ``offset`` of the file."""

    def __init__(self, rows: Sequence[str], offset: int) -> None:
        self._rows = rows
        self._offset = offset

    def of(self, blocks: Sequence[Block]) -> tuple[Part, ...]:
        """Parts of what is no step: a list stays text."""
        return tuple(part for block in blocks for part in self._parts(block, opens=False))

    def step(self, item: Item, number: int, total: int, *, title: str = "", ordered: bool = True) -> Step:
        """One step, of the blocks of an item or below a heading, whose text is ``title``."""
        lines = self._trimmed(item.lines)
        parts = tuple(self._step_parts(item.blocks, opens=not title))
        told = title or next((part.text for part in parts if part.kind == "text"), "")
        first, last = (line - 1 - self._offset for line in lines)
        return Step(
            number, total, title, parts, "\n".join(self._rows[first : last + 1]), lines, find_restriction(told), ordered
        )

    def steps(self, items: Sequence[Item], *, ordered: bool = True) -> tuple[Step, ...]:
        """Number the entries of a list."""
        return tuple(self.step(item, number, len(items), ordered=ordered) for number, item in enumerate(items, start=1))

    def _trimmed(self, lines: Lines) -> Lines:
        """Lines without the empty ones at the end, which a fence that is not closed counts in."""
        first, last = lines
        while last > first and not self._rows[last - 1 - self._offset].strip():
            last -= 1
        return first, last

    def _step_parts(self, blocks: Sequence[Block], *, opens: bool) -> Iterator[Part]:
        """Parts of a step; the first text is what is to be done, however it begins (``opens``)."""
        for found in find_runs(blocks):
            if isinstance(found, Run):
                yield Part("steps", "", steps=self.steps(found.items, ordered=found.ordered))
            elif found.kind == "list":
                yield Part("steps", "", steps=self.steps(items_of(found), ordered=False))
            else:
                for part in self._parts(found, opens=opens):
                    opens = opens and part.kind != "text"
                    yield part

    def _parts(self, block: Block, *, opens: bool) -> Iterator[Part]:
        match block.kind:
            case "paragraph":
                yield from _paragraph_parts(block, opens=opens)
            case "code":
                yield Part("code", block.text())
            case "note":
                yield from self._boxed(block, block.mark.rstrip(_LABEL_END), severe=warns(block.mark))
            case "quote":
                yield from self._quote_parts(block)
            case "html":
                yield from _html_parts(block)
            case _:
                text = heading_text(block) if block.kind == "heading" else block.text()
                pictures = tuple(_pictures_in(block))
                if text or pictures:
                    yield Part("text", text, pictures=pictures)

    def _boxed(self, box: Block, label: str, *, severe: bool) -> Iterator[Part]:
        text = "\n".join(filter(None, (child.text() for child in box.children)))
        if label and text.startswith(label):  # somebody wrote the label again
            text = text[len(label) :].lstrip(_LABEL_END + "\n")
        yield Part("warning" if severe else "note", text, label, tuple(_pictures_in(box)))

    def _quote_parts(self, quote: Block) -> Iterator[Part]:
        first = quote.children[0] if quote.children else None
        notice = read_notice(first.rows[0]) if first and first.kind == "paragraph" and first.rows else None
        if notice:
            yield _notice_part(notice, quote.text(), tuple(_pictures_in(quote)))
        else:
            yield Part("text", quote.text(), pictures=tuple(_pictures_in(quote)))


def one_line(text: str) -> str:
    """Text on a single line."""
    return " ".join(text.split())


def _notice_part(notice: Notice, text: str, pictures: tuple[Picture, ...]) -> Part:
    kind: PartKind = "warning" if notice.warns else "note"
    return Part(kind, text[notice.length :].lstrip(), notice.label, pictures)


def _paragraph_parts(paragraph: Block, *, opens: bool) -> Iterator[Part]:
    """Text, pictures that have a row of their own, and what a row such as ``※…`` begins.

    The rest of a paragraph behind such a row belongs to it.
    """
    if is_picture(paragraph):
        yield from (_picture_part(alt, path) for _, alt, path in paragraph.pictures)
        return
    rows: list[str] = []
    pictures: list[Picture] = []
    notice: Notice | None = None

    def told() -> Iterator[Part]:
        text = join_lines(rows).strip()
        if notice:
            yield _notice_part(notice, text, tuple(pictures))
        elif text or pictures:
            yield Part("text", text, pictures=tuple(pictures))

    for number, row in enumerate(paragraph.rows):
        here = [(alt, path) for at, alt, path in paragraph.pictures if at == number]
        if here and "".join(row.split()) == "".join("".join(alt for alt, _ in here).split()):
            yield from told()
            rows, pictures, notice = [], [], None
            yield from (_picture_part(alt, path) for alt, path in here)
            continue
        found = read_notice(row) if not (opens and not rows) else None
        if found:
            yield from told()
            rows, pictures, notice = [], [], found
        rows.append(_without_checkbox(row) if not rows else row)
        opens = False
        pictures += [Picture(alt, path) for alt, path in here]
    yield from told()


def _without_checkbox(row: str) -> str:
    return row[len(_CHECKBOX[0]) :] if row.startswith(_CHECKBOX) else row


def _picture_part(alt: str, path: str) -> Part:
    return Part("picture", alt, pictures=(Picture(alt, path),))


def _html_parts(block: Block) -> Iterator[Part]:
    if is_picture(block):
        yield from (_picture_part(alt, path) for _, alt, path in block.pictures)
        return
    tag = next((piece for piece in scan(block.mark) if isinstance(piece, Tag)), None)
    names = [kind_name(word) for word in tag.attribute("class").split()] if tag else []
    text, pictures = block.text().strip(), tuple(_pictures_in(block))
    notice = read_notice(text)
    if any(names):
        yield Part("warning" if any(map(warns, names)) else "note", text, pictures=pictures)
    elif notice:
        yield _notice_part(notice, text, pictures)
    elif text or pictures:
        yield Part("text", text, pictures=pictures)


def _pictures_in(block: Block) -> Iterator[Picture]:
    """Pictures of a block and of all in it, in their order."""
    for _, alt, path in block.pictures:
        yield Picture(alt, path)
    for child in block.children:
        yield from _pictures_in(child)
