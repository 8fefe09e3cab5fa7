"""A block → pieces that fit: whole if it fits, else at the gentlest seam that does.

Seams, from gentle to hard: the items of a list, the rows of a table (its head is repeated), the blocks inside a
quote or an item, the ends of sentences, any character. A code fence is never cut.

Use: :func:`pieces_of`; :func:`kbsearch.markdown.passages.cut_passages` packs them.

Never: lose text. The pieces of a block hold all of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kbsearch.markdown.blocks import Block
    from kbsearch.meter import Meter
    from kbsearch.model import Lines

__all__ = ["Piece", "joined", "pieces_of", "sentences"]

_SENTENCE_END = re.compile(
    # 「…。」と goes on: a bracket that closes behind the full stop ends a sentence only before a new one.
    r"(?:[。！？]++(?:[」』）】)\]”’\"]++(?![ぁ-ん、。])|(?![」』）】)\]”’\"]))"
    r"|(?<![.!?])[.!?]+[\"')\]”’]*(?= +[A-Z0-9\"'“(\u3040-\u9fff])"
    r"|(?=\n))"
)
_CHARACTERS_PER_TOKEN = 50  # a text longer than its room by this factor need not be counted
_INTRO_ENDS = ("：", ":")
_INTRO_WORDS = ("以下", "次の", "下記")
_LED = {"list", "table", "code", "definitions"}


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that stays together.

    Attributes
    ----------
    cost
        Tokens of the text alone.
    joint
        What stands between it and the piece before, if both are in one passage.
    head, table
        Head row of the table that the piece is cut from, and a number that pieces of one table share.
    kind
        Kind of the block that it comes from.
    """

    text: str
    lines: Lines
    cost: int
    kind: str
    joint: str = "\n"
    head: str = ""
    head_cost: int = 0
    table: int = 0

    def introduces(self, other: Piece) -> bool:
        """Whether it is a line such as 「次の手順です：」 that belongs to the list or table behind it."""
        if self.kind != "paragraph" or other.kind not in _LED:
            return False
        last = self.text.rstrip("。 \n").rpartition("。")[2]
        return last.endswith(_INTRO_ENDS) or any(word in last for word in _INTRO_WORDS)


def joined(pieces: list[Piece]) -> str:
    """Text of pieces that follow each other, with the head of a table before its first row."""
    parts: list[str] = []
    table = 0
    for piece in pieces:
        if parts:
            parts.append(piece.joint)
        if piece.head and piece.table != table:
            parts.append(f"{piece.head}\n")
        parts.append(piece.text)
        table = piece.table
    return "".join(parts)


def pieces_of(block: Block, room: int, meter: Meter) -> list[Piece]:
    """Pieces of at most ``room`` tokens each; a code fence may be larger."""
    text = block.text()
    if not text.strip():
        return []
    if len(text) <= room * _CHARACTERS_PER_TOKEN or block.kind == "code":
        cost = meter.cost(text)
        if cost <= room or block.kind == "code":
            return [Piece(text, block.lines, cost, block.kind)]
    if block.kind == "table":
        return list(_rows(block, room, meter))
    if not block.children:
        return list(sentences(Piece(text, block.lines, 0, block.kind), room, meter))
    if block.kind == "item":
        return _indented(block, room, meter)
    inner = [piece for child in block.children for piece in pieces_of(child, room, meter)]
    if block.mark and block.kind in {"note", "details"} and not inner[0].text.startswith(block.mark.rstrip(": ：")):
        mark = block.mark if block.kind == "note" else f"{block.mark}\n"
        inner[0] = replace(inner[0], text=mark + inner[0].text, cost=inner[0].cost + meter.cost(mark))
    return [replace(piece, kind=block.kind) if block.kind == "list" else piece for piece in inner]


def _indented(block: Block, room: int, meter: Meter) -> list[Piece]:
    """Return pieces of an item: the marker before the first, the others indented under it."""
    mark = block.mark
    margin = meter.cost(mark) + 1
    pieces: list[Piece] = []
    for child in block.children:
        for piece in pieces_of(child, max(1, room - margin), meter):
            start = mark if not pieces else "  " if piece.joint == "\n" else ""
            text = start + piece.text.replace("\n", "\n  ")
            head = f"  {piece.head}" if piece.head else ""
            pieces.append(replace(piece, text=text, head=head, cost=piece.cost + margin))
    return pieces


def _rows(block: Block, room: int, meter: Meter) -> Iterator[Piece]:
    """Rows of a table, each with the head that is repeated in every passage."""
    head, *rows = block.children
    head_text = head.text()
    head_cost = meter.cost(head_text)
    number = block.lines[0]  # no two tables begin on one line
    if not rows or head_cost > room // 2:
        rows, head_text, head_cost = block.children, "", 0
    for index, row in enumerate(rows):
        lines = (head.lines[0], row.lines[1]) if index == 0 else row.lines
        piece = Piece(row.text(), lines, meter.cost(row.text()), "table", "\n", head_text, head_cost, number)
        if not piece.text.strip(" |"):
            continue
        if piece.cost + head_cost <= room:
            yield piece
        else:
            yield from sentences(piece, room - head_cost, meter)


def sentences(piece: Piece, room: int, meter: Meter) -> Iterator[Piece]:
    """Cut a text at the ends of its sentences, and a sentence that is too long anywhere."""
    joint, position = piece.joint, 0
    ends = [match.end() for match in _SENTENCE_END.finditer(piece.text)]
    for end in [*ends, len(piece.text)]:
        whole = piece.text[position:end]
        sentence = whole.strip()
        if sentence:
            if position:
                gap = whole[: len(whole) - len(whole.lstrip())]
                joint = "\n" if "\n" in gap else " " if gap else ""
            cost = meter.cost(sentence) if len(sentence) <= room * _CHARACTERS_PER_TOKEN else room + 1
            part = replace(piece, text=sentence, cost=cost, joint=joint)
            yield from [part] if cost <= room else _cut_anywhere(part, room, meter)
        position = end


def _cut_anywhere(piece: Piece, room: int, meter: Meter) -> Iterator[Piece]:
    """Cut a sentence at a space or comma where there is one near, else between two characters."""
    text, joint = piece.text, piece.joint
    width = max(1, room)
    while text:
        part = text[:width] if len(text) <= width else text[: _seam(text, width)]
        cost = meter.cost(part)
        if cost > room and len(part) > 1:
            width = max(1, min(width - 1, len(part) * room // cost))
            continue
        rest = text[len(part) :]
        if part.strip():
            yield replace(piece, text=part.strip(), cost=cost, joint=joint)
        joint = " " if part[-1].isspace() or rest[:1].isspace() else ""
        text = rest.lstrip()
        # What fits may be a little more next time: text of another script, other words.
        width = max(1, width * max(1, min(2 * cost, room)) // max(1, cost)) if cost else width * 2


def _seam(text: str, width: int) -> int:
    """Where to cut at the latest ``width`` characters in: behind a space or comma of the last third."""
    for index in range(width, width * 2 // 3, -1):
        if text[index - 1] in " 、，,;；":
            return index
    return max(1, width)
