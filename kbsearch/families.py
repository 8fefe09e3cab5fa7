"""Which articles are versions of one, as arrays; :mod:`kbsearch.versions` says which of them is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Families"]


class Families:
    """Which articles are versions of one; immutable.

    ``group``: the number of the article that each is a version of, int32, shape (articles,).
    """

    def __init__(self, group: NDArray[np.int32]) -> None:
        self.group = group
        self._several = np.bincount(group, minlength=1)[group] > 1
        members = np.flatnonzero(self._several)
        order = np.argsort(group[members], kind="stable")
        self._members, self._groups = members[order], group[members][order]

    def several(self, number: int) -> bool:
        """Whether an article has another version, whatever its status."""
        return bool(self._several[number])

    def of(self, number: int) -> list[int]:
        """Numbers of all versions, whatever their status, itself included, ascending."""
        if not self._several[number]:
            return [number]
        group = self.group[number]
        first, last = np.searchsorted(self._groups, group), np.searchsorted(self._groups, group, side="right")
        members: list[int] = self._members[first:last].tolist()
        return members
