"""What was removed: earlier ones that come back, and where the text of those is that go now."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from kbsearch.lineage.pairing import assign
from kbsearch.lineage.shingles import Sample, fold, overlap, shingle_sets
from kbsearch.lineage.units import SKETCH, held

if TYPE_CHECKING:
    from kbsearch.lineage.shingles import Shingles
    from kbsearch.lineage.units import State

__all__ = ["return_by_content", "return_by_heading", "share_out"]

_COMMON: Final = 8
_BACK: Final = 0.4  # of both texts, in common
_SAME_ARTICLE: Final = 0.2
_STILL_THERE: Final = 0.6
_REAL: Final = 0.3  # the least share of a text that leads to where it is
_CAME: Final = 0.15
_EVIDENCE: Final = 6
_SUCCESSORS: Final = 3
_AT_ONCE: Final = 1000
_HOUSE: Final = 200  # removed sections; what so many had in common leads nowhere


def return_by_content(state: State) -> None:
    """What was removed earlier and stands somewhere again, as a section of its own, was brought back."""
    _, news = state.all_left()
    if not (news and state.ghosts):
        return
    state.compare((), news)
    sample = Sample([ghost.sketch for ghost in state.ghosts], SKETCH, _COMMON)
    still_held = _still_held(state)
    options: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for number, place, shared in sample.shared([held(state.new[j]) for j in news]):
        ghost, unit = state.ghosts[number], state.new[news[place]]
        size = _size(ghost.sketch)
        both = size * shared / max(_EVIDENCE, len(ghost.sketch))
        text = both / (size + len(held(unit)) - both)
        if text >= _BACK and number not in still_held:  # all of it in a longer one is where it went
            options[number].append((news[place], text + _SAME_ARTICLE * (unit.page.id == ghost.article)))
    for number, j in assign(options).items():
        _return(state, number, j)


def return_by_heading(state: State) -> None:
    """A heading that comes back to its article brings back what was removed under it."""
    _, news = state.all_left()
    if not (news and state.ghosts):
        return
    away = {*state.found.returned.values(), *_still_held(state)}
    names: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, ghost in enumerate(state.ghosts):
        if number not in away:
            names[ghost.article, fold(ghost.heading)].append(number)
    for j in news:
        unit = state.new[j]
        waiting = names.get((unit.page.id, unit.heading), []) if unit.section.level else []
        if waiting:
            same = [number for number in waiting if state.ghosts[number].anchor == unit.section.anchor]
            chosen = (same or waiting)[0]
            waiting.remove(chosen)
            _return(state, chosen, j)


def _return(state: State, ghost: int, new: int) -> None:
    state.found.returned[new] = ghost
    state.taken.add(new)


def _still_held(state: State) -> set[int]:
    """The ghosts whose text stands where it went."""
    numbers = {(unit.page.id, unit.section.anchor): i for i, unit in enumerate(state.old)}
    found = set()
    for number, ghost in enumerate(state.ghosts):
        if ghost.holder is None:
            continue
        i = numbers.get(ghost.holder)
        if i is None:
            kept = ghost.holder[0] not in state.found.homes  # nothing changed there
        elif (j := state.pairs.get(i)) is None:
            kept = False
        else:
            state.compare((), [j])
            kept = overlap(ghost.sketch, held(state.new[j])) >= _STILL_THERE * len(ghost.sketch)
        if kept:
            found.add(number)
    return found


def share_out(state: State) -> None:
    """Where the text of the removed sections is now, as far as it is anywhere."""
    gone, _ = state.all_left()
    state.compare(gone, ())
    sample = Sample([held(state.old[i]) for i in gone], 4 * SKETCH, _HOUSE)
    shares: dict[int, list[tuple[int, float, int]]] = defaultdict(list)
    for first in range(0, len(state.new) if gone else 0, _AT_ONCE):
        sets = shingle_sets([unit.body for unit in state.new[first : first + _AT_ONCE]])
        for one, other, number in sample.shared(sets, _REAL):
            share = number / max(_EVIDENCE, len(held(state.old[gone[one]])[: 4 * SKETCH]))
            if share >= _REAL:
                shares[gone[one]].append((first + other, share, len(sets[other])))
    before = {j: i for i, j in state.pairs.items()}
    for i, found in shares.items():
        came = [each for each in found if _came(state, i, before.get(each[0]), each[1])]
        # Of two that have the same, the one that has less besides.
        came.sort(key=lambda each: (-round(each[1], 2), each[2], each[0]))
        if came:
            state.found.shares[i] = [(j, share) for j, share, _ in came[:_SUCCESSORS]]


def _came(state: State, gone: int, kept: int | None, share: float) -> bool:
    """Whether a share of a removed text came to where it is now, or is most of that; a phrase of the house did not."""
    if kept is None or share >= _STILL_THERE:
        return True
    state.compare([kept], ())
    own = held(state.old[gone])[: 4 * SKETCH]
    return share - overlap(own, held(state.old[kept])) / max(_EVIDENCE, len(own)) >= _CAME


def _size(sketch: Shingles) -> float:
    """About how many shingles a text had of which the least are known."""
    return len(sketch) if len(sketch) < SKETCH else len(sketch) * 2**32 / (int(sketch[-1]) + 1)
