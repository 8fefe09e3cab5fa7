"""Blocks that follow each other → runs of numbered items, put together again where a picture or a note tore them apart.

A run is what a reader takes for one list: ``1. 2.``, a picture, ``3.``; three lists that all begin with 1 because
somebody forgot to indent what stands between; paragraphs that begin with ①, １． or 手順1.

Use: :func:`find_runs`; what comes back holds every block once, in its order.

Never: look into the text for more than the number at its beginning; whether a run tells steps is decided by others.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kbsearch.markdown.blocks import Block
from kbsearch.markdown.stepwords import leads_to_steps, read_marker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kbsearch.markdown.stepwords import Marker
    from kbsearch.model import Lines

__all__ = ["Item", "Run", "find_runs", "is_ordered", "is_picture", "items_of"]

_MIN_MARKED = 2  # a single paragraph that begins with a number is no list
_ASIDES = ("code", "note", "html", "table", "quote")


@dataclass(slots=True)
class Item:
    """One entry: its blocks, without the number before them, and its lines."""

    blocks: list[Block]
    lines: Lines


@dataclass(slots=True)
class Run:
    """Entries in their order. ``blocks`` are those that it was made of."""

    items: list[Item]
    blocks: list[Block]
    ordered: bool = True

    @property
    def lines(self) -> Lines:
        """From the first line of the first item to the last of the last."""
        return self.items[0].lines[0], max(item.lines[1] for item in self.items)


@dataclass(slots=True)
class _Open:
    """A run to which a later list may still belong."""

    run: Run
    shape: str
    last: int
    only_ones: bool
    since: list[Block] = field(default_factory=list)  # what stands behind its last item

    def continues(self, shape: str, numbers: Sequence[int]) -> bool:
        """Whether a list with these numbers goes on with this one."""
        if _kin(shape) != _kin(self.shape):
            return False
        if numbers[0] == self.last + 1 or (_is_list(shape) and numbers[0] == len(self.run.items) + 1):
            return True  # the second: counted on by Markdown, as in 1. 1. 1., then 4.
        between = [block for block in self.since if not is_picture(block) and block.kind not in _ASIDES]
        if len(numbers) == 1 and numbers[0] in {1, self.last} and not between:
            return True  # a slip: one entry behind a picture is no list of its own
        if not _is_list(shape) or numbers[0] != 1 or not self.only_ones:
            return False
        if any(block.mark == "strong" or leads_to_steps(block.text()) or _ends_open(block) for block in between):
            return False
        return not between or set(numbers) == {1}

    def add(self, block: Block, numbers: Sequence[int]) -> None:
        """Take a list, and what stands before it as the end of the last item."""
        last = self.run.items[-1]
        if self.since:
            last.blocks.extend(self.since)
            last.lines = (last.lines[0], max(last.lines[1], *(each.lines[1] for each in self.since)))
        self.run.items.extend(items_of(block))
        self.run.blocks.extend([*self.since, block])
        self.last = numbers[-1]
        self.only_ones = self.only_ones and set(numbers) == {1}
        self.since = []


def find_runs(blocks: Sequence[Block]) -> list[Block | Run]:
    """Blocks with their numbered lists as runs; a bullet list stays a block.

    ``①②`` between 1. and 2. is below 1., so several runs may be open, one for each way to write numbers.
    """
    found: list[Block | Run] = []
    opened: list[_Open] = []
    for block in _with_marked_lists(blocks):
        if not is_ordered(block):
            (opened[-1].since if opened else found).append(block)
            continue
        shape, numbers = _numbers(block)
        at = _continued(opened, shape, numbers)
        if at is not None:
            for inner in opened[at + 1 :]:
                opened[at].since += [*inner.run.blocks, *inner.since]
            del opened[at + 1 :]
            opened[at].add(block, numbers)
            continue
        if any(_kin(each.shape) == _kin(shape) for each in opened):
            found.extend(part for each in opened for part in _closed(each))
            opened = []
        opened.append(_Open(Run(items_of(block), [block]), shape, numbers[-1], set(numbers) == {1}))
    return [*found, *(part for each in opened for part in _closed(each))]


def _continued(opened: Sequence[_Open], shape: str, numbers: Sequence[int]) -> int | None:
    """Index of the run that goes on with these numbers; one with others inside must do so exactly."""
    if opened and opened[-1].continues(shape, numbers):
        return len(opened) - 1
    fits = (i for i, each in enumerate(opened) if _kin(each.shape) == _kin(shape) and numbers[0] == each.last + 1)
    return next(fits, None)


def _closed(current: _Open) -> Iterator[Block | Run]:
    """Give the run, if it is one, and what stands behind it.

    Where a picture stood between its items, one behind the last belongs to the last.
    """
    if current.shape != "list" and (len(current.run.items) < _MIN_MARKED or _first(current) > 1):
        yield from [*map(_unmarked, current.run.blocks), *current.since]
        return
    inside = any(is_picture(block) for block in current.run.blocks)
    number = 0
    while inside and number < len(current.since) and is_picture(current.since[number]):
        number += 1
    if number:
        last, pictures = current.run.items[-1], current.since[:number]
        last.blocks.extend(pictures)
        last.lines = (last.lines[0], max(last.lines[1], pictures[-1].lines[1]))
        current.run.blocks.extend(pictures)
    yield current.run
    yield from current.since[number:]


def _first(current: _Open) -> int:
    return _numbers(current.run.blocks[0])[1][0]


def items_of(block: Block) -> list[Item]:
    """Entries of a list; those without any text or picture are left out, unless all are."""
    items = [Item(list(item.children), item.lines) for item in block.children]
    filled = [item for item in items if any(map(_has_content, item.blocks))]
    return filled or items


def _has_content(block: Block) -> bool:
    return bool(block.pictures or any(row.strip() for row in block.rows) or any(map(_has_content, block.children)))


def is_ordered(block: Block) -> bool:
    """Whether a block is a list with numbers."""
    return block.kind == "list" and bool(block.children) and block.children[0].mark != "- "


def is_picture(block: Block) -> bool:
    """Whether a block is nothing but pictures."""
    if not block.pictures or block.kind not in {"paragraph", "html"}:
        return False
    shown = "".join(alt for _, alt, _ in block.pictures)
    return "".join("".join(block.rows).split()) == "".join(shown.split())


def _is_list(shape: str) -> bool:
    return shape == "list"


def _kin(shape: str) -> str:
    """``2.次`` without a space is a paragraph to Markdown, and the next entry of the list to everybody else."""
    return "list" if shape == "number" else shape


def _ends_open(block: Block) -> bool:
    return block.text().rstrip().endswith((":", "："))


def _numbers(block: Block) -> tuple[str, list[int]]:
    """Shape and numbers of a list as they are written."""
    markers = [read_marker(item.mark.strip()) for item in block.children]
    shape = block.mark or "list"
    if shape == "list":
        return shape, [int(item.mark.strip(" .")) for item in block.children]
    return shape, [marker.number if marker else 0 for marker in markers]


# Paragraphs that are lists


def _with_marked_lists(blocks: Sequence[Block]) -> Iterator[Block]:
    """Blocks with paragraphs such as ``①…`` as lists whose ``mark`` is the shape of their numbers."""
    expected: tuple[str, int] | None = None
    for block in blocks:
        if block.kind != "paragraph":
            if is_ordered(block):
                expected = ("number", _numbers(block)[1][-1] + 1)
            yield block
            continue
        for part in _split(block, expected):
            yield part
            if part.kind == "list":
                shape, numbers = _numbers(part)
                expected = (shape, numbers[-1] + 1)


def _split(block: Block, expected: tuple[str, int] | None) -> list[Block]:
    """Cut a paragraph before each row that begins with the next number, if it has any."""
    starts: list[tuple[int, Marker]] = []
    for index, row in enumerate(block.rows):
        marker = read_marker(row)
        if marker is None:
            continue
        if starts:
            fits = (marker.shape, marker.number) == (starts[0][1].shape, starts[-1][1].number + 1)
        else:
            fits = marker.number == 1 or (marker.shape, marker.number) == expected
        if fits and len(row) > marker.length - 1:
            starts.append((index, marker))
    if not starts:
        return [block]
    ends = [*(index for index, _ in starts[1:]), len(block.rows)]
    items = []
    for (start, marker), end in zip(starts, ends, strict=True):
        inner = _rows(block, start, end)
        mark, inner.rows[0] = inner.rows[0][: marker.length], inner.rows[0][marker.length :]
        items.append(Block("item", inner.lines, children=[inner], mark=mark))
    head = [_rows(block, 0, starts[0][0])] if starts[0][0] else []
    lines = (items[0].lines[0], items[-1].lines[1])
    return [*head, Block("list", lines, children=items, mark=starts[0][1].shape)]


def _rows(block: Block, start: int, end: int) -> Block:
    """Some rows of a paragraph, with their lines and pictures; a remark at the end of the last item stays in it."""
    first, last = block.lines
    lines = (min(first + start, last), last if end == len(block.rows) else min(first + end - 1, last))
    pictures = tuple((row - start, alt, path) for row, alt, path in block.pictures if start <= row < end)
    return replace(block, rows=block.rows[start:end], lines=lines, pictures=pictures)


def _unmarked(block: Block) -> Block:
    """A list that was made of a paragraph as the paragraph that it was."""
    if not block.mark or block.kind != "list":
        return block
    rows: list[str] = []
    pictures: list[tuple[int, str, str]] = []
    for item in block.children:
        inner = item.children[0]
        pictures += [(row + len(rows), alt, path) for row, alt, path in inner.pictures]
        rows += [item.mark + inner.rows[0], *inner.rows[1:]]
    return Block("paragraph", block.lines, rows, pictures=tuple(pictures))
