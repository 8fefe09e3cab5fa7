"""Sections → passages: as many whole blocks together as the encoder reads well.

Use: :func:`cut_passages` once for an article. The size of a passage is that of its title, its path of headings and
its text together, because they are encoded together.

Never: count more often than needed. A count costs a millisecond, so a short section is counted once and the blocks
of a long one once each.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kbsearch.markdown.splitting import Piece, joined, pieces_of, sentences
from kbsearch.meter import Meter
from kbsearch.model import Passage
from kbsearch.restrictions import restricts
from kbsearch.sentences import sentences as sentences_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kbsearch.markdown.blocks import Block
    from kbsearch.markdown.sections import Draft

__all__ = ["cut_passages"]

_CHARACTERS_PER_TOKEN = 6
_SMALL = 30  # tokens of a remainder that is not worth a passage of its own
_MARGIN = 1.1  # joining pieces may change their count by a little
_LONGEST_LOOK = 200  # characters in which a first sentence ends that is nothing but a restriction


def cut_passages(
    drafts: Sequence[Draft], title: str, count_tokens: Callable[[str], int], max_tokens: int, target_tokens: int
) -> list[Passage]:
    """Passages of all sections in their order; a section without text has none."""
    cutter = _Cutter(title, Meter(count_tokens), max_tokens, min(target_tokens, max_tokens))
    return [passage for number, draft in enumerate(drafts) for passage in cutter.cut(number, draft)]


@dataclass(frozen=True, slots=True)
class _Context:
    """What stands before the text of every passage of a section."""

    title: str
    headings: tuple[str, ...]

    def text(self) -> str:
        return f"{self.title}\n{' > '.join(self.headings)}\n"


def _fitting_context(title: str, headings: tuple[str, ...], room: int, meter: Meter) -> tuple[_Context, int]:
    """Return a context of at most ``room`` tokens, and its size: outer headings go first, then the rest is cut."""
    context = _Context(title, headings)
    cost = meter.cost(context.text())
    while cost > room and len(context.headings) > 1:
        context = _Context(title, context.headings[1:])
        cost = meter.cost(context.text())
    while cost > room and (context.title or context.headings):
        keep = min(0.9, room / cost)
        context = _Context(_start(context.title, keep), tuple(_start(text, keep) for text in context.headings))
        cost = meter.cost(context.text())
    return context, cost


def _start(text: str, share: float) -> str:
    return text[: int(len(text) * share)]


class _Cutter:
    """Cuts the sections of one article, one after the other."""

    def __init__(self, title: str, meter: Meter, limit: int, target: int) -> None:
        self._title = title
        self._meter = meter
        self._limit = limit
        self._target = target
        self._number = 0
        self._last_line = 0
        self._headings: tuple[str, ...] = ()
        self._context = _Context("", ())
        self._context_cost = 0

    def cut(self, number: int, draft: Draft) -> list[Passage]:
        """Passages of one section."""
        self._number, self._headings, self._last_line = number, draft.headings, draft.lines[1]
        starts = [0, *sorted(set(draft.breaks) - {0}), len(draft.blocks)]
        runs = [draft.blocks[start:end] for start, end in itertools.pairwise(starts)]
        return [passage for run in runs if run for passage in self._run(run)]

    def _run(self, blocks: Sequence[Block]) -> list[Passage]:
        """Passages of blocks that follow each other."""
        text = "\n".join(text for text in (block.text() for block in blocks) if text)
        if not text.strip():
            return []
        self._context = _Context(self._title, self._headings)
        if len(text) <= _CHARACTERS_PER_TOKEN * self._target and self._size(text) <= self._target:
            return [self._passage(text, (blocks[0].lines[0], max(block.lines[1] for block in blocks)))]
        self._context, cost = _fitting_context(self._title, self._headings, self._limit // 2, self._meter)
        self._context_cost = self._meter.count(self._context.text()) if cost else self._meter.count("")
        room = max(1, self._limit - self._context_cost)
        pieces = [piece for block in blocks for piece in pieces_of(block, room, self._meter)]
        tied = _with_restrictions(_with_intros(pieces, room), room)
        groups = self._pack(tied, max(1, self._target - self._context_cost))
        groups = self._without_remainder(groups, room)
        return [passage for group in groups for passage in self._checked(group)]

    def _size(self, text: str) -> int:
        return self._meter.count(self._context.text() + text)

    def _pack(self, pieces: list[Piece], room: int) -> list[list[Piece]]:
        """Fill passages greedily, in order; a piece larger than the room stands alone."""
        groups: list[list[Piece]] = []
        used = 0
        for piece in pieces:
            is_same_table = bool(groups and piece.table and groups[-1][-1].table == piece.table)
            cost = piece.cost + (0 if is_same_table else piece.head_cost)
            if groups and used + cost <= room:
                groups[-1].append(piece)
                used += cost
            else:
                groups.append([piece])
                used = piece.cost + piece.head_cost
        return groups

    def _without_remainder(self, groups: list[list[Piece]], room: int) -> list[list[Piece]]:
        """Join a small last passage to the one before it, if both fit together."""
        if len(groups) > 1:
            last, before = (
                sum(piece.cost for piece in group) + group[0].head_cost for group in (groups[-1], groups[-2])
            )
            if last < _SMALL and (last + before) * _MARGIN <= room:
                return [*groups[:-2], groups[-2] + groups[-1]]
        return groups

    def _checked(self, group: list[Piece]) -> list[Passage]:
        """Return the passage of a group, or several where the sum of its parts has deceived us."""
        text = joined(group)
        lines = (min(piece.lines[0] for piece in group), max(piece.lines[1] for piece in group))
        estimate = self._context_cost + sum(piece.cost for piece in group) + group[0].head_cost
        is_safe = estimate * _MARGIN + len(group) <= self._limit
        if is_safe or (len(group) == 1 and group[0].kind == "code") or self._size(text) <= self._limit:
            return [self._passage(text, lines)]
        if len(group) > 1:
            middle = len(group) // 2
            return self._checked(group[:middle]) + self._checked(group[middle:])
        if len(text) == 1:
            return [self._passage(text, lines)]
        whole = replace(group[0], text=text, head="", head_cost=0)
        room = max(1, min(group[0].cost, self._limit - self._context_cost) * 3 // 4)
        return [passage for part in sentences(whole, room, self._meter) for passage in self._checked([part])]

    def _passage(self, text: str, lines: tuple[int, int]) -> Passage:
        # A fence or comment that is not closed reaches over empty lines that are not the section's.
        first, last = min(lines[0], self._last_line), min(lines[1], self._last_line)
        return Passage(self._number, self._context.title, self._context.headings, text, (first, last))


def _with_intros(pieces: list[Piece], room: int) -> list[Piece]:
    """Tie a line that introduces a list or table to it, where both fit."""
    tied: list[Piece] = []
    for piece in pieces:
        before = tied[-1] if tied else None
        if before and before.introduces(piece) and before.cost + piece.cost + piece.head_cost <= room:
            lines = (before.lines[0], piece.lines[1])
            cost = before.cost + piece.cost + piece.head_cost
            text = joined([before, piece])
            tied[-1] = replace(piece, text=text, lines=lines, cost=cost, joint=before.joint, head="", head_cost=0)
        else:
            tied.append(piece)
    return tied


def _with_restrictions(pieces: list[Piece], room: int) -> list[Piece]:
    """Tie a piece that begins with a restriction (ただし…, unless …) to what it restricts, where both fit."""
    tied: list[Piece] = []
    for piece in pieces:
        before = tied[-1] if tied else None
        cost = before.cost + before.head_cost + piece.cost if before else 0
        if before and not piece.table and cost <= room and _begins_with_restriction(piece.text):
            lines = (before.lines[0], piece.lines[1])
            text = f"{before.text}{piece.joint}{piece.text}"
            tied[-1] = replace(before, text=text, lines=lines, cost=before.cost + piece.cost)
        else:
            tied.append(piece)
    return tied


def _begins_with_restriction(text: str) -> bool:
    first = next(iter(sentences_of(text[:_LONGEST_LOOK])), (0, 0))
    return restricts(text[first[0] : first[1]])
