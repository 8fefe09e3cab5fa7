"""The weaker steps: pairs by where sections stand and what they are about, when heading and text are both new."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from kbsearch.lineage.by_text import FEW
from kbsearch.lineage.pairing import assign
from kbsearch.lineage.units import PLAIN, held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kbsearch.lineage.units import State, Unit

__all__ = ["pair_by_company", "pair_by_place"]

_LONG: Final = 40  # shingles; two texts of so many that share no subject are about different things
_WIDE: Final = "\u2e80"
# What two texts share of their words: two translations of one text .2 to .5, others 0 to .2, as measured.
_CLEARLY_SAME, _SAME, _OTHER = 0.35, 0.2, 0.12
_ORDER: Final = 0.1


def pair_by_company(state: State) -> None:
    """What says too little by itself went where the section before or behind it went, under its heading."""
    olds, _ = state.all_left()
    for i in olds:
        for side in (-1, 1):
            j = state.pairs.get(i + side, -1) - side
            if (
                0 <= j < len(state.new) and i not in state.pairs and j not in state.taken
                and state.new[j].section.level and state.old[i].name == state.new[j].name
                and state.old[i].page is state.old[i + side].page and state.new[j].page is state.new[j + side].page
            ):  # fmt: skip
                state.join(i, j)


def pair_by_place(state: State, olds: Sequence[int], news: Sequence[int]) -> None:
    """In an article, what has lost heading and text stands where it stood, or is about the same."""
    left, free = state.left(olds, news)
    if not (left and free):
        return
    gaps: dict[tuple[int, int], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for key, i in _gaps(olds, news, {i: state.pairs[i] for i in olds if i in state.pairs}):
        gaps[key][0].append(i)
    stayed = {state.pairs[i] for i in olds if i in state.pairs}
    known = {j: j if j in stayed else -1 for j in news if j in state.taken}  # who came from elsewhere bounds nothing
    for key, j in _gaps(news, news, known):
        gaps[key][1].append(j)
    for these, those in gaps.values():
        _pair_by_subject(state, these, those, _SAME)
        left, free = state.left(these, those)
        if len(left) == len(free) and all(map(_may_be, [state] * len(left), left, free)):
            for i, j in zip(left, free, strict=True):
                state.join(i, j)
    _pair_by_subject(state, *state.left(olds, news), _CLEARLY_SAME)


def _gaps(units: Sequence[int], news: Sequence[int], known: dict[int, int]) -> list[tuple[tuple[int, int], int]]:
    """Each unit that is not known, with the new sections before and behind it that are; −1 for the page's ends."""
    own = set(news)
    before: list[tuple[int, int]] = []
    last = -1
    for unit in units:
        at = known.get(unit, -1)
        if at in own:
            last = at
        elif unit not in known:
            before.append((unit, last))
    behind, following = {}, -1
    for unit in reversed(units):
        at = known.get(unit, -1)
        if at in own:
            following = at
        elif unit not in known:
            behind[unit] = following
    return [((last, behind[unit]), unit) for unit, last in before]


def _pair_by_subject(state: State, olds: Sequence[int], news: Sequence[int], least: float) -> None:
    """What was written anew from beginning to end is about the same as before."""
    if len(olds) * len(news) > FEW:
        return
    options: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for at, i in enumerate(olds):
        for place, j in enumerate(news):
            subject = _subject(state.old[i], state.new[j])
            if subject >= least and bool(state.old[i].section.level) == bool(state.new[j].section.level):
                options[i].append((j, subject + _ORDER / (1 + abs(at - place))))
    for i, j in assign(options).items():
        state.join(i, j)


def _may_be(state: State, old: int, new: int) -> bool:
    """Whether a section without heading and text in common may still be the same: its shape, and what it is about."""
    one, other = state.old[old], state.new[new]
    if (one.section.level, one.section.kind) != (other.section.level, other.section.kind):
        return False
    state.compare([old], [new])
    if min(len(held(one)), len(held(other))) < _LONG or _is_wide(one.body) != _is_wide(other.body):
        return True
    return _subject(one, other) >= _OTHER


def _is_wide(text: str) -> bool:
    return 2 * sum(char >= _WIDE for char in text) > len(text)


def _subject(one: Unit, other: Unit) -> float:
    """The share of the words of the smaller of two texts that are in the other too; 0 where too few tell nothing."""
    fewer = min(len(one.subject), len(other.subject))
    return len(one.subject & other.subject) / fewer if fewer >= PLAIN else 0.0
