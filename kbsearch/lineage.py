"""Which section of now is which section of before: pages in, pairs out.

A section is known again by what it says more than by what it is called: a reworded heading keeps its text, and two
headings that changed places do not take the texts along. So, from the surest sign to the weakest:

1. An explicit ``{#id}`` is the author's word. The same anchor over the same source, and a text that occurs once on
   either side, need no comparing.
2. Inside an article, then everywhere: what two texts share (:mod:`kbsearch.shingles`), how like their headings are and
   who their neighbours are, weighed together; one to one, with the greatest total (:func:`kbsearch.pairing.assign`).
3. Sections that were removed earlier come back with their content.
4. Heading and text both new: the place between two neighbours that are known decides, if it decides (the same number
   of sections of the same levels there), and the texts do not contradict.
5. A removed section whose heading comes back.

What then is left of the old ones was removed, and is looked for in all that changed: a share of its text may be there.

Use: ``trace(old, new, ghosts)`` with the pages of those articles only whose file changed, came or went.

Never: compare everything with everything; a shingle that many sections share leads nowhere.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from kbsearch.pairing import assign
from kbsearch.shingles import Sample, fold, likeness, overlap, shingle_sets

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kbsearch.model import Section
    from kbsearch.shingles import Shingles

__all__ = ["Ghost", "Lineage", "Page", "Unit", "trace"]

SKETCH: Final = 64
"""Shingles that are kept of a removed section, to know it again."""

_EXPLICIT: Final = re.compile(r"\{:?[ ]?#([^\s{}]{1,200})\}")
_RUN: Final = re.compile("[一-鿿ァ-ヺー]{2,}|[a-z0-9]{4,}")
_SAMPLED: Final = 48
_COMMON: Final = 8  # sections; a shingle in more of them is a phrase of the house
_SAME_SUBJECT, _OTHER_SUBJECT = 0.2, 0.12
_FEW: Final = 400  # pairs that are all compared; of more, those that share something rare
_MOST_HELD: Final = 4096
_PLAIN: Final = 12  # characters of a folded text that says something by itself


@dataclass(frozen=True, slots=True)
class Page:
    """An article, as far as its sections are compared."""

    id: str
    path: str
    title: str
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class Ghost:
    """A section that was removed in an earlier build.

    Attributes
    ----------
    article
        The id under which its article is known now.
    anchor, heading
        When it was last seen.
    sketch
        The least of its shingles, up to :data:`SKETCH`.
    settled
        Whether most of its content stands elsewhere: then a heading alone does not bring it back.
    """

    article: str
    anchor: str
    heading: str
    sketch: Shingles
    settled: bool


class Unit:
    """A section on its page. ``place`` is its number there."""

    __slots__ = ("__dict__", "page", "place", "section", "shingles")

    def __init__(self, page: Page, place: int) -> None:
        self.page, self.place, self.section = page, place, page.sections[place]
        self.shingles: Shingles | None = None

    @property
    def explicit(self) -> bool:
        """Whether the author wrote its anchor."""
        anchor = self.section.anchor
        return bool(anchor) and anchor in _EXPLICIT.findall("\n".join(self.section.markdown.split("\n", 2)[:2]))

    @cached_property
    def heading(self) -> str:
        """Folded."""
        return fold(self.section.heading)

    @cached_property
    def name(self) -> str:
        """What it is called, folded: its heading, or the title for a lead."""
        return self.heading or fold(self.page.title)

    @cached_property
    def body(self) -> str:
        """What stands below the heading, folded."""
        first, _, rest = self.section.markdown.partition("\n")
        return fold(_EXPLICIT.sub("", first)).replace(self.heading, "", 1) + fold(rest)

    @cached_property
    def subject(self) -> set[str]:
        """Its words as far as they are found without a dictionary: see :func:`_subject`."""
        runs = _RUN.findall(f"{self.heading} {self.body}")
        return {
            run[at : at + size]
            for run in runs
            for size in [4 if run.isascii() else 2]
            for at in range(len(run) - size + 1)
        }


@dataclass(slots=True)
class Lineage:
    """What became of the old sections.

    Attributes
    ----------
    old, new
        All sections of the given pages, in order.
    pairs
        Number of the new section that each old one is now.
    returned
        Number of the ghost that each new section was.
    homes
        Id of the article that each old one is now, where that changed or might have: itself, or the one that has its
        name's content after a renaming.
    shares
        Of the old ones without a pair: the new sections that have a share of their text, as (number, share), most
        first.
    """

    old: list[Unit]
    new: list[Unit]
    pairs: dict[int, int] = field(default_factory=dict)
    returned: dict[int, int] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)
    shares: dict[int, list[tuple[int, float]]] = field(default_factory=dict)


def trace(old: Sequence[Page], new: Sequence[Page], ghosts: Sequence[Ghost] = ()) -> Lineage:
    """Follow every section; see the module. Ids are distinct within ``old``, and within ``new``."""
    tracer = _Tracer(old, new, ghosts)
    tracer.follow()
    return tracer.found


class _Tracer:
    """One run of :func:`trace`; each step leaves fewer sections to the next."""

    def __init__(self, old: Sequence[Page], new: Sequence[Page], ghosts: Sequence[Ghost]) -> None:
        self.found = Lineage(_units(old), _units(new))
        self.old, self.new, self.pairs = self.found.old, self.found.new, self.found.pairs
        self.taken: set[int] = set()
        self.ghosts = ghosts
        self.found.homes = _homes(old, new)
        of_old, of_new = _numbers(self.old), _numbers(self.new)
        self.homes = [(of_old.get(was, []), of_new.get(now, [])) for was, now in sorted(self.found.homes.items())]

    def follow(self) -> None:
        contested: list[tuple[int, int, float]] = []
        for olds, news in self.homes:
            self._pair_plainly(olds, news)
            contested += self._pair_inside(olds, news)
        self._pair_anywhere(contested)
        self._return_by_content()
        for olds, news in self.homes:
            self._pair_by_place(olds, news)
        self._return_by_heading()
        self._share_out()

    def _join(self, old: int, new: int) -> None:
        self.pairs[old] = new
        self.taken.add(new)

    def _left(self, olds: Iterable[int], news: Iterable[int]) -> tuple[list[int], list[int]]:
        return [i for i in olds if i not in self.pairs], [j for j in news if j not in self.taken]

    def _pair_plainly(self, olds: Sequence[int], news: Sequence[int]) -> None:
        """What needs no comparing."""
        named = {self.old[i].section.anchor: i for i in olds}
        promised = [j for j in news if "{" in self.new[j].section.markdown and self.new[j].explicit]
        for j in promised:
            was = named.get(self.new[j].section.anchor)
            if was is not None and self.old[was].explicit:
                self._join(was, j)
        olds, news = self._left(olds, news)
        for j in news:
            was = named.get(self.new[j].section.anchor)
            if was is not None and was not in self.pairs:
                if self.old[was].section.markdown == self.new[j].section.markdown:
                    self._join(was, j)
        olds, news = self._left(olds, news)
        if olds and news:
            mine, theirs = (self._by_body(units, some) for units, some in ((self.old, olds), (self.new, news)))
            for body, same in mine.items():
                if len(body) >= _PLAIN and len(same) == len(theirs.get(body, ())) == 1:
                    self._join(same[0], theirs[body][0])

    @staticmethod
    def _by_body(units: Sequence[Unit], some: Sequence[int]) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for number in some:
            found[units[number].body].append(number)
        return found

    def _pair_inside(self, olds: Sequence[int], news: Sequence[int]) -> list[tuple[int, int, float]]:
        """Join what is surely the same; give the rest, with what speaks for each pair, for all articles together."""
        around = self._neighbours(olds, news)
        olds, news = self._left(olds, news)
        if not (olds and news):
            return []
        self._compare(self.old[i] for i in olds)
        self._compare(self.new[j] for j in news)
        values = {
            (i, j): (text, heading, text + 0.4 * heading + 0.15 * around(i, j) + self._order(i, j, olds, news))
            for i, j in self._candidates(olds, news)
            for text, heading in [self._likeness(i, j)]
        }
        options: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for (i, j), (_, heading, value) in values.items():
            needed = 0.38 if heading >= 0.95 else 0.42
            if value > needed:
                options[i].append((j, value - needed))
        rest = []
        for i, j in assign(options).items():
            text, heading, _ = values[i, j]
            if text >= 0.9 or (text >= 0.3 and heading >= 0.5):
                self._join(i, j)
        for i, some in options.items():
            if i not in self.pairs:
                rest += [(i, j, value) for j, value in some if j not in self.taken]
        return rest

    def _pair_anywhere(self, contested: Sequence[tuple[int, int, float]]) -> None:
        """The rest, in its article or in another; its own comes before others, but not before its text."""
        options: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for i, j, value in contested:
            options[i].append((j, value + 0.1))
        olds, news = self._left(range(len(self.old)), range(len(self.new)))
        if not (olds and news):
            return
        self._compare(self.old[i] for i in olds)
        self._compare(self.new[j] for j in news)
        inside = {(i, j) for i, j, _ in contested}
        for i, j in self._sharing(olds, news):
            text, heading = self._likeness(i, j, evidence=20)
            if (i, j) not in inside and (text >= 0.45 or (text >= 0.35 and heading >= 0.8)):
                options[i].append((j, text + 0.3 * heading - 0.3))
        for i, j in assign(options).items():
            self._join(i, j)

    def _pair_by_place(self, olds: Sequence[int], news: Sequence[int]) -> None:
        """What has lost heading and text stands where it stood."""
        gaps: dict[tuple[int, int], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for key, i in self._gaps(olds, news, {i: self.pairs[i] for i in olds if i in self.pairs}):
            gaps[key][0].append(i)
        stayed = {self.pairs[i] for i in olds if i in self.pairs}
        known = {j: j if j in stayed else -1 for j in news if j in self.taken}  # who came from elsewhere bounds nothing
        for key, j in self._gaps(news, news, known):
            gaps[key][1].append(j)
        for left, free in gaps.values():
            self._pair_by_subject(left, free)
            left, free = self._left(left, free)
            pairs = list(zip(left, free, strict=False))
            if len(left) == len(free) and all(self._may_be(i, j) for i, j in pairs):
                for i, j in pairs:
                    self._join(i, j)

    def _pair_by_subject(self, olds: Sequence[int], news: Sequence[int]) -> None:
        """In one gap, what was written anew from beginning to end is about the same as before."""
        if len(olds) * len(news) > _FEW:
            return
        options: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for at, i in enumerate(olds):
            for place, j in enumerate(news):
                subject = _subject(self.old[i], self.new[j])
                if subject >= _SAME_SUBJECT:
                    options[i].append((j, subject + 0.1 / (1 + abs(at - place))))
        for i, j in assign(options).items():
            self._join(i, j)

    @staticmethod
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

    def _may_be(self, old: int, new: int) -> bool:
        """Whether a section without heading and text in common may still be the same: only their shape speaks."""
        one, other = self.old[old], self.new[new]
        if one.section.level != other.section.level or one.section.kind != other.section.kind:
            return False
        self._compare((one, other))
        a, b = one.shingles, other.shingles
        if a is None or b is None or min(len(a), len(b)) < 40 or _is_wide(one.body) != _is_wide(other.body):
            return True
        return _subject(one, other) >= _OTHER_SUBJECT

    def _neighbours(self, olds: Sequence[int], news: Sequence[int]) -> _Around:
        return _Around(olds, news, self.pairs)

    def _order(self, old: int, new: int, olds: Sequence[int], news: Sequence[int]) -> float:
        """A little for equals that stand in the same order."""
        one, other = self.old[old].place - self.old[olds[0]].place, self.new[new].place - self.new[news[0]].place
        return 0.02 / (1 + abs(one - other))

    def _candidates(self, olds: Sequence[int], news: Sequence[int]) -> Iterable[tuple[int, int]]:
        if len(olds) * len(news) <= _FEW:
            return [(i, j) for i in olds for j in news]
        found = set(self._sharing(olds, news))
        called: dict[str, list[int]] = defaultdict(list)
        for j in news:
            called[self.new[j].heading].append(j)
        for place, i in enumerate(olds):
            found |= {(i, j) for j in called[self.old[i].heading][:_COMMON]}
            found |= {(i, j) for j in news[max(0, place - 1) : place + 2]}
        return sorted(found)

    def _sharing(self, olds: Sequence[int], news: Sequence[int]) -> list[tuple[int, int]]:
        """Pairs of sections that share a few rare shingles; also short ones with the same text and heading."""
        sample = Sample([_held(self.old[i]) for i in olds], _SAMPLED, _COMMON)
        best: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for one, other, number in sample.shared([_held(self.new[j]) for j in news]):
            if number >= min(3, sample.sizes[one]):
                best[other].append((number, one))
        return [
            (olds[one], news[other])
            for other, found in sorted(best.items())
            for _, one in sorted(found, reverse=True)[:_COMMON]
        ]

    def _compare(self, units: Iterable[Unit]) -> None:
        """Find the shingles of sections that have none yet."""
        some = [unit for unit in units if unit.shingles is None]
        for unit, shingles in zip(some, shingle_sets([unit.body for unit in some]), strict=True):
            unit.shingles = shingles[:_MOST_HELD].copy()

    def _likeness(self, old: int, new: int, evidence: int = 8) -> tuple[float, float]:
        """How like the texts of two sections are, and how like their headings: each 0 to 1."""
        one, other = self.old[old], self.new[new]
        leads = not (one.section.level or other.section.level)
        same = leads and self.found.homes.get(one.page.id) == other.page.id
        heading = 1.0 if same else likeness(one.name, other.name)
        if one.body == other.body:
            return (1.0 if len(one.body) >= _PLAIN else 0.5), heading
        return _likeness(_held(one), _held(other), evidence), heading

    def _return_by_content(self) -> None:
        news = [j for j in range(len(self.new)) if j not in self.taken]
        if not (news and self.ghosts):
            return
        self._compare(self.new[j] for j in news)
        sample = Sample([ghost.sketch for ghost in self.ghosts], SKETCH, _COMMON)
        options: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for ghost, place, number in sample.shared([_held(self.new[j]) for j in news]):
            size = _size(self.ghosts[ghost].sketch)
            both = size * number / max(8, len(self.ghosts[ghost].sketch))
            text = both / (size + len(_held(self.new[news[place]])) - both)
            if text >= (0.8 if self.ghosts[ghost].settled else 0.4):  # all of it in a longer one is where it went
                page = self.new[news[place]].page.id == self.ghosts[ghost].article
                options[ghost].append((news[place], text + 0.2 * page))
        self._return(assign(options))

    def _return_by_heading(self) -> None:
        news = [j for j in range(len(self.new)) if j not in self.taken]
        names: dict[tuple[str, str], list[int]] = defaultdict(list)
        back = set(self.found.returned.values())
        for number, ghost in enumerate(self.ghosts):
            if number not in back and not ghost.settled:
                names[ghost.article, fold(ghost.heading)].append(number)
        for j in news if names else ():
            unit = self.new[j]
            waiting = names.get((unit.page.id, unit.heading), []) if unit.section.level else []
            if waiting:
                same = [n for n in waiting if self.ghosts[n].anchor == unit.section.anchor]
                chosen = (same or waiting)[0]
                waiting.remove(chosen)
                self._return({chosen: j})

    def _return(self, pairs: dict[int, int]) -> None:
        for ghost, j in pairs.items():
            self.found.returned[j] = ghost
            self.taken.add(j)

    def _share_out(self) -> None:
        """Where the text of the removed sections is now, as far as it is anywhere."""
        gone = [i for i in range(len(self.old)) if i not in self.pairs]
        self._compare(self.old[i] for i in gone)
        sample = Sample([_held(self.old[i]) for i in gone], 4 * SKETCH)
        shares: dict[int, list[tuple[int, float, int]]] = defaultdict(list)
        for first in range(0, len(self.new) if gone else 0, 1000):
            some = self.new[first : first + 1000]
            sets = shingle_sets([unit.body for unit in some])
            for one, other, number in sample.shared(sets):
                share = number / max(6, int(sample.sizes[one]))
                if share >= 0.25:
                    shares[gone[one]].append((first + other, share, len(sets[other])))
        before = {j: i for i, j in self.pairs.items()}
        for i, found in shares.items():
            found = [(j, share, size) for j, share, size in found if self._came(i, before.get(j), share)]
            # Of two that have the same, the one that has less besides.
            found.sort(key=lambda each: (-round(each[1], 2), each[2], each[0]))
            if found:
                self.found.shares[i] = [(j, share) for j, share, _ in found[:3]]

    def _came(self, gone: int, kept: int | None, share: float) -> bool:
        """Whether a share of a removed text came to where it is now, or is most of that; a phrase of the house did not."""
        if kept is None or share >= 0.6:
            return True
        self._compare([self.old[kept]])
        own, there = _held(self.old[gone])[: 4 * SKETCH], _held(self.old[kept])
        return share - overlap(own, there) / max(6, len(own)) >= 0.15


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


def _units(pages: Iterable[Page]) -> list[Unit]:
    return [Unit(page, place) for page in pages for place in range(len(page.sections))]


def _numbers(units: Sequence[Unit]) -> dict[str, list[int]]:
    """Numbers of the sections of each page."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, unit in enumerate(units):
        found[unit.page.id].append(number)
    return found


def _held(unit: Unit) -> Shingles:
    if unit.shingles is None:
        raise AssertionError("a section is compared before its shingles are looked up")
    return unit.shingles


def _likeness(one: Shingles, other: Shingles, evidence: int) -> float:
    if not (len(one) and len(other)):
        return 0.0
    if max(len(one), len(other)) >= _MOST_HELD:  # samples: only where both still have all
        edge = min(one[-1], other[-1])
        one, other = one[one <= edge], other[other <= edge]
    both = overlap(one, other)
    jaccard, contained = both / (len(one) + len(other) - both), both / min(len(one), len(other))
    return 0.5 * jaccard + 0.5 * contained * min(1.0, both / evidence)


def _size(sketch: Shingles) -> float:
    """About how many shingles a text had of which the least are known."""
    return len(sketch) if len(sketch) < SKETCH else len(sketch) * 2**32 / (int(sketch[-1]) + 1)


def _is_wide(text: str) -> bool:
    return 2 * sum(char >= "\u2e80" for char in text) > len(text)


def _subject(one: Unit, other: Unit) -> float:
    """The share of pairs of kanji or katakana, and of pieces of other words, that the smaller of two texts has in common
    with the other one: what they are about. 0 where there are too few to tell.
    """
    pairs, others = one.subject, other.subject
    fewer = min(len(pairs), len(others))
    return len(pairs & others) / fewer if fewer >= _PLAIN else 0.0


def _homes(old: Sequence[Page], new: Sequence[Page]) -> dict[str, str]:
    """Id of the article that each old one is now: the same, or for a file with another name the one with its text."""
    now = {page.id for page in new}
    homes = {page.id: page.id for page in old if page.id in now}
    was = {page.id for page in old}
    gone, come = [p for p in old if p.id not in now], [p for p in new if p.id not in was]
    for name in (lambda page: page.path, lambda page: tuple(section.markdown for section in page.sections)):
        places = {name(page): page for page in reversed(come)}  # type: ignore[no-untyped-call]
        for page in gone:
            found = places.pop(name(page), None)  # type: ignore[no-untyped-call]
            if found is not None:
                homes[page.id] = found.id
        taken = set(homes.values())
        gone, come = [p for p in gone if p.id not in homes], [p for p in come if p.id not in taken]
    if gone and come:
        sets = [shingle_sets([fold("\n".join(s.markdown for s in p.sections)) for p in some]) for some in (gone, come)]
        sample = Sample(sets[0], 4 * SKETCH, _COMMON)
        options: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for one, other, number in sample.shared(sets[1]):
            share = number / max(20, int(sample.sizes[one]))
            if share >= 0.4:
                options[one].append((other, share))
        homes |= {gone[one].id: come[other].id for one, other in assign(options).items()}
    return homes
