"""Which article is which: by id, by file, and for a file with another name by its text."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from kbsearch.lineage.pairing import assign
from kbsearch.lineage.shingles import Sample, fold, shingle_sets
from kbsearch.lineage.units import SKETCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kbsearch.lineage.shingles import Shingles
    from kbsearch.lineage.units import Page

__all__ = ["homes_of"]

_COMMON: Final = 8
_MOST_OF_IT: Final = 0.4  # of the old article's text, in the new one
_EVIDENCE: Final = 20
_AT_ONCE: Final = 500


def homes_of(old: Sequence[Page], new: Sequence[Page]) -> dict[str, str]:
    """Id of the article that each old one is now: the same, or for a file with another name the one with its text."""
    now = {page.id for page in new}
    homes = {page.id: page.id for page in old if page.id in now}
    was = {page.id for page in old}
    gone, come = [p for p in old if p.id not in now], [p for p in new if p.id not in was]
    for name in (lambda page: page.path, lambda page: tuple(section.markdown for section in page.sections)):
        places = {name(page): page for page in reversed(come)}
        for page in gone:
            found = places.pop(name(page), None)
            if found is not None:
                homes[page.id] = found.id
        taken = set(homes.values())
        gone, come = [p for p in gone if p.id not in homes], [p for p in come if p.id not in taken]
    if gone and come:
        sample = Sample([shingles[: 4 * SKETCH].copy() for shingles in _sets(gone)], 4 * SKETCH, _COMMON)
        options: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for first in range(0, len(come), _AT_ONCE):
            for one, other, number in sample.shared(_sets(come[first : first + _AT_ONCE]), _MOST_OF_IT):
                share = number / max(_EVIDENCE, int(sample.sizes[one]))
                if share >= _MOST_OF_IT:
                    options[one].append((first + other, share))
        homes |= {gone[one].id: come[other].id for one, other in assign(options).items()}
    return homes


def _sets(pages: Sequence[Page]) -> list[Shingles]:
    """Of the whole text of each page."""
    return shingle_sets([fold("\n".join(section.markdown for section in page.sections)) for page in pages])
