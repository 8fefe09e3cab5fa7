"""What opening a section shows of its article: the section with what stands below it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kbsearch.model import Section

__all__ = ["JOINT", "Excerpt", "excerpt"]

JOINT: Final = "\n\n"


class Excerpt(NamedTuple):
    """Places of the sections that are shown, ascending, and the last line of the last."""

    places: tuple[int, ...]
    last_line: int

    def markdown(self, sections: Sequence[Section]) -> str:
        """Their source, in one."""
        return JOINT.join(sections[place].markdown for place in self.places)


def excerpt(sections: Sequence[Section], place: int) -> Excerpt:
    """A section with the sections below it: an exception under a sub-heading belongs to what it is an exception of."""
    first = sections[place]
    below = itertools.takewhile(lambda other: 0 < first.level < sections[other].level, range(place + 1, len(sections)))
    # Units of a list or a box stand inside the lines of their section; only what comes after them is added.
    places, last = [place], first.lines[1]
    for other in below:
        if sections[other].lines[0] > last:
            places.append(other)
            last = sections[other].lines[1]
    return Excerpt(tuple(places), last)
