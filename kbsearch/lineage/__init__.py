"""Which section of now is which section of before: pages in, pairs out.

A section is known again by what it says more than by what it is called: a reworded heading keeps its text, and two
headings that changed places do not take the texts along. So, from the surest sign to the weakest:

1. The same anchor over the same source, and a text that occurs once on either side, need no comparing.
2. Inside an article, then everywhere: what two texts share (:mod:`kbsearch.lineage.shingles`), how like their headings
   are, whether the author gave both one ``{#id}`` and who their neighbours are, weighed together; one to one, with the
   greatest total (:func:`kbsearch.lineage.pairing.assign`).
3. Sections that were removed earlier come back with their content.
4. Heading and text both new: the place between two neighbours that are known decides, if it decides (the same number
   of sections of the same levels there), and the texts do not contradict.
5. A removed section whose heading comes back.

What then is left of the old ones was removed, and is looked for in all that changed: a share of its text may be there.

Use: ``trace(old, new, ghosts)`` with the pages of those articles only whose file changed, came or went.

Never: compare everything with everything; a shingle that many sections share leads nowhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbsearch.lineage.by_place import pair_by_company, pair_by_place
from kbsearch.lineage.by_text import pair_anywhere, pair_inside, pair_plainly
from kbsearch.lineage.homes import homes_of
from kbsearch.lineage.removed import return_by_content, return_by_heading, share_out
from kbsearch.lineage.units import SKETCH, Ghost, Lineage, Page, State, Unit, numbers_by_page

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SKETCH", "Ghost", "Lineage", "Page", "Unit", "trace"]


def trace(old: Sequence[Page], new: Sequence[Page], ghosts: Sequence[Ghost] = ()) -> Lineage:
    """Follow every section; see the module. Ids are distinct within ``old``, and within ``new``."""
    state = State(old, new, ghosts, homes_of(old, new))
    of_old, of_new = numbers_by_page(state.old), numbers_by_page(state.new)
    homes = [(of_old.get(was, []), of_new.get(now, [])) for was, now in sorted(state.found.homes.items())]
    contested = []
    for olds, news in homes:
        pair_plainly(state, olds, news)
        contested += pair_inside(state, olds, news)
    pair_anywhere(state, contested)
    pair_by_company(state)
    return_by_content(state)
    for olds, news in homes:
        pair_by_place(state, olds, news)
    return_by_heading(state)
    share_out(state)
    return state.found
