"""The surer steps: pairs by what texts share, first inside an article, then everywhere."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from kbsearch.lineage.pairing import assign
from kbsearch.lineage.shingles import Sample
from kbsearch.lineage.units import PLAIN, held

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kbsearch.lineage.units import State, Unit

__all__ = ["FEW", "pair_anywhere", "pair_inside", "pair_plainly"]

FEW: Final = 400
"""Pairs of which all are compared; of more, those that share something rare."""

_SAMPLED: Final = 48
_COMMON: Final = 8  # sections; a shingle in more of them is a phrase of the house
_EVIDENCE, _EVIDENCE_ELSEWHERE = 8, 20  # shared shingles
_PLAIN_ELSEWHERE: Final = 24  # characters of a folded text that is known again in another article

# What speaks for a pair besides its text, which counts 1, and what a pair needs.
_NAMED, _HEADING, _NEIGHBOURS, _ORDER = 0.8, 0.4, 0.15, 0.02
_SAME_HEADING, _NEEDED_WITH_IT, _NEEDED = 0.95, 0.38, 0.42
_SURE_TEXT = 0.9
_SURE_TEXT_WITH, _SURE_HEADING = 0.3, 0.5
# In another article: a text, or less of one with the heading.
_HOME, _HEADING_ELSEWHERE, _OFF_ELSEWHERE = 0.1, 0.3, 0.3
_TEXT_ELSEWHERE = 0.45
_TEXT_WITH_HEADING, _LIKE_HEADING = 0.35, 0.8

Contested = tuple[int, int, float]
"""An old section, a new one, and what speaks for the pair."""


def pair_plainly(state: State, olds: Sequence[int], news: Sequence[int]) -> None:
    """Pair what needs no comparing: what did not change, a text that occurs once."""
    named = {state.old[i].section.anchor: i for i in olds}
    for j in news:
        was = named.get(state.new[j].section.anchor, -1)
        if was >= 0 and was not in state.pairs and _is_same(state.old[was], state.new[j]):
            state.join(was, j)
    olds, news = state.left(olds, news)
    if olds and news:
        mine, theirs = (_by_body(units, some) for units, some in ((state.old, olds), (state.new, news)))
        for body, same_body in mine.items():
            if len(body) >= PLAIN and len(same_body) == len(theirs.get(body, ())) == 1:
                state.join(same_body[0], theirs[body][0])


def _is_same(one: Unit, other: Unit) -> bool:
    """Of two with one anchor: the same source, or a heading with next to nothing below it, which is all there is."""
    if one.section.markdown == other.section.markdown:
        return True
    return bool(one.section.level) and len(one.body) < PLAIN and one.heading == other.heading


def _by_body(units: Sequence[Unit], some: Sequence[int]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for number in some:
        found[units[number].body].append(number)
    return found


def pair_inside(state: State, olds: Sequence[int], news: Sequence[int]) -> list[Contested]:
    """Pair what is surely the same in an article; give the rest, to be decided for all articles together."""
    around = _Around(olds, news, state.pairs)
    olds, news = state.left(olds, news)
    if not (olds and news):
        return []
    state.compare(olds, news)
    values, options = {}, defaultdict(list)
    for i, j in _candidates(state, olds, news):
        text, heading = state.likeness(i, j, _EVIDENCE)
        apart = abs((state.old[i].place - state.old[olds[0]].place) - (state.new[j].place - state.new[news[0]].place))
        named = _is_named(state.old[i], state.new[j])
        value = text + _HEADING * heading + _NEIGHBOURS * around(i, j) + _ORDER / (1 + apart) + _NAMED * named
        value -= _NEEDED_WITH_IT if heading >= _SAME_HEADING else _NEEDED
        if value > 0:
            values[i, j] = named or text >= _SURE_TEXT or (text >= _SURE_TEXT_WITH and heading >= _SURE_HEADING)
            options[i].append((j, value))
    for i, j in assign(options).items():
        if j not in state.taken and values[i, j]:
            state.join(i, _above(state, i, j))
    olds, _ = state.left(options, ())
    return [(i, j, value) for i in olds for j, value in options[i] if j not in state.taken]


def pair_anywhere(state: State, contested: Iterable[Contested]) -> None:
    """Pair the rest, in its article or in another; its own comes before others, but not before its text."""
    _pair_twins(state)
    olds, news = state.all_left()
    if not (olds and news):
        return
    options: dict[int, list[tuple[int, float]]] = defaultdict(list)
    inside = set()
    for i, j, value in contested:
        options[i].append((j, value + _HOME))
        inside.add((i, j))
    state.compare(olds, news)
    for i, j in _sharing(state, olds, news):
        text, heading = state.likeness(i, j, _EVIDENCE_ELSEWHERE)
        enough = text >= _TEXT_ELSEWHERE or (text >= _TEXT_WITH_HEADING and heading >= _LIKE_HEADING)
        if enough and (i, j) not in inside:
            options[i].append((j, text + _HEADING_ELSEWHERE * heading - _OFF_ELSEWHERE))
    for i, j in assign(options).items():
        if j not in state.taken:
            state.join(i, _above(state, i, j))


def _is_named(one: Unit, other: Unit) -> bool:
    """Whether the author gave both the same id."""
    anchor = one.section.anchor
    return anchor == other.section.anchor and "{" in one.section.markdown and one.explicit and other.explicit


def _pair_twins(state: State) -> None:
    """What stands elsewhere as it was: the same text under the same heading, then the same text that occurs once."""
    for keyed in (lambda unit: (unit.body, unit.name), lambda unit: unit.body):
        olds, news = state.all_left()
        mine: dict[object, list[int]] = defaultdict(list)
        theirs: dict[object, list[int]] = defaultdict(list)
        for found, units, some in ((mine, state.old, olds), (theirs, state.new, news)):
            for number in some if olds and news else ():
                if len(units[number].body) >= _PLAIN_ELSEWHERE:
                    found[keyed(units[number])].append(number)
        for key, same in mine.items():
            if len(same) == len(theirs.get(key, ())) == 1:
                state.join(same[0], theirs[key][0])


def _above(state: State, old: int, new: int) -> int:
    """What got headings inside it stays with its own heading, under which the text still is."""
    wanted, level = state.old[old].heading, state.new[new].section.level
    for above in range(new - 1, new - 1 - state.new[new].place, -1):
        if state.new[above].section.level < level:
            level = state.new[above].section.level
            if wanted and state.new[above].heading == wanted and above not in state.taken:
                return above
    return new


def _candidates(state: State, olds: Sequence[int], news: Sequence[int]) -> Iterable[tuple[int, int]]:
    if len(olds) * len(news) <= FEW:
        return [(i, j) for i in olds for j in news]
    found = set(_sharing(state, olds, news))
    called: dict[str, list[int]] = defaultdict(list)
    for j in news:
        called[state.new[j].heading].append(j)
    for place, i in enumerate(olds):
        found |= {(i, j) for j in called[state.old[i].heading][:_COMMON]}
        found |= {(i, j) for j in news[max(0, place - 1) : place + 2]}
    return sorted(found)


def _sharing(state: State, olds: Sequence[int], news: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of sections that share a few rare shingles."""
    sample = Sample([held(state.old[i]) for i in olds], _SAMPLED, _COMMON)
    best: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for one, other, number in sample.shared([held(state.new[j]) for j in news]):
        if number >= min(3, sample.sizes[one]):
            best[other].append((number, one))
    return [
        (olds[one], news[other])
        for other, found in sorted(best.items())
        for _, one in sorted(found, reverse=True)[:_COMMON]
    ]


class _Around:
    """Whether two sections of a page have the same neighbours: 0, .5 or 1."""

    def __init__(self, olds: Sequence[int], news: Sequence[int], pairs: dict[int, int]) -> None:
        self._pairs, self._olds, self._news = pairs, olds, news
        self._first_old, self._first_new = (olds[0] if olds else 0), (news[0] if news else 0)

    def __call__(self, old: int, new: int) -> float:
        return 0.5 * self._same(old - 1, new - 1) + 0.5 * self._same(old + 1, new + 1)

    def _same(self, old: int, new: int) -> bool:
        at_end = not self._first_old <= old < self._first_old + len(self._olds)
        if at_end or not self._first_new <= new < self._first_new + len(self._news):
            return at_end and not self._first_new <= new < self._first_new + len(self._news)
        return self._pairs.get(old) == new
