"""What is compared: sections on their pages, what is known of removed ones, and how like two of them are."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from kbsearch.lineage.shingles import fold, likeness, overlap, shingle_sets

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kbsearch.handles import Address
    from kbsearch.lineage.shingles import Shingles
    from kbsearch.model import Section

__all__ = ["PLAIN", "SKETCH", "Ghost", "Lineage", "Page", "State", "Unit", "held", "numbers_by_page"]

SKETCH: Final = 64
"""Shingles that are kept of a removed section, to know it again."""

PLAIN: Final = 12
"""Characters of a folded text, or words of it, that say something by themselves."""

_EXPLICIT: Final = re.compile(r"\{:?[ ]?#([^\s{}]{1,200})\}")
_RUN: Final = re.compile("[一-鿿ァ-ヺー]{2,}|[a-z0-9]{4,}")
_MOST_HELD: Final = 4096


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
    holder
        Where most of its text stood in the last generation, if anywhere: as long as that is so a heading or a copy
        does not bring it back.
    """

    article: str
    anchor: str
    heading: str
    sketch: Shingles
    holder: Address | None


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
        """Its words as far as they are found without a dictionary: pairs of kanji or katakana, pieces of others."""
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


class State:
    """How far the sections have been followed; each step pairs some, and leaves fewer to the next."""

    def __init__(
        self, old: Sequence[Page], new: Sequence[Page], ghosts: Sequence[Ghost], homes: dict[str, str]
    ) -> None:
        self.found = Lineage(_units(old), _units(new), homes=homes)
        self.old, self.new, self.pairs = self.found.old, self.found.new, self.found.pairs
        self.ghosts = ghosts
        self.taken: set[int] = set()

    def join(self, old: int, new: int) -> None:
        """An old section is a new one."""
        self.pairs[old] = new
        self.taken.add(new)

    def left(self, olds: Iterable[int], news: Iterable[int]) -> tuple[list[int], list[int]]:
        """Those that have no pair yet."""
        return [i for i in olds if i not in self.pairs], [j for j in news if j not in self.taken]

    def all_left(self) -> tuple[list[int], list[int]]:
        """All that have no pair yet."""
        return self.left(range(len(self.old)), range(len(self.new)))

    def compare(self, olds: Iterable[int], news: Iterable[int]) -> None:
        """Find the shingles of sections that have none yet."""
        units = [*(self.old[i] for i in olds), *(self.new[j] for j in news)]
        some = [unit for unit in units if unit.shingles is None]
        for unit, shingles in zip(some, shingle_sets([unit.body for unit in some]), strict=True):
            unit.shingles = shingles[:_MOST_HELD].copy()

    def likeness(self, old: int, new: int, evidence: int) -> tuple[float, float]:
        """How like the texts of two sections are, and how like their headings: each 0 to 1.

        A text counts in full from so many shared shingles on.
        """
        one, other = self.old[old], self.new[new]
        leads = not (one.section.level or other.section.level)
        same = leads and self.found.homes.get(one.page.id) == other.page.id
        heading = 1.0 if same else likeness(one.name, other.name)
        if one.body == other.body:
            return (1.0 if len(one.body) >= PLAIN else 0.5), heading
        return _likeness(held(one), held(other), evidence), heading


def numbers_by_page(units: Sequence[Unit]) -> dict[str, list[int]]:
    """Numbers of the sections of each page, by its id."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, unit in enumerate(units):
        found[unit.page.id].append(number)
    return found


def held(unit: Unit) -> Shingles:
    """The shingles of a section that was compared."""
    if unit.shingles is None:
        raise AssertionError("a section is compared before its shingles are looked up")
    return unit.shingles


def _units(pages: Iterable[Page]) -> list[Unit]:
    return [Unit(page, place) for page in pages for place in range(len(page.sections))]


def _likeness(one: Shingles, other: Shingles, evidence: int) -> float:
    if not (len(one) and len(other)):
        return 0.0
    samples = [shingles for shingles in (one, other) if len(shingles) >= _MOST_HELD]
    if samples:  # only where both still have all
        edge = min(shingles[-1] for shingles in samples)
        one, other = one[one <= edge], other[other <= edge]
        if not (len(one) and len(other)):
            return 0.0
    both = overlap(one, other)
    jaccard, contained = both / (len(one) + len(other) - both), both / min(len(one), len(other))
    return 0.5 * jaccard + 0.5 * contained * min(1.0, both / evidence)
