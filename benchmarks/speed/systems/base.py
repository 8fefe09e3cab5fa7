"""What a system must do to be measured, and what several of them need.

Never: do in ``open`` what a user would do for each question, or the other way round.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from speed.bundle import Asked, Bundle

__all__ = ["RRF_K", "System", "fused"]

RRF_K: Final = 60


class System(Protocol):
    """One system; a process has one object of one class.

    Attributes
    ----------
    ways
        Searches by name, the first of which stands for the system: question → rows or ids, best first.
    dense
        The dense part alone, (question, k) → rows, to compare with exact search; None without one.
    exact
        The first way with the dense part made exact, to see what approximation costs; None where that is no question.
    settings
        What was chosen, for the result.
    """

    ways: Mapping[str, Callable[[Asked], Sequence[Any]]]
    dense: Callable[[Asked, int], Sequence[int]] | None
    exact: Callable[[Asked], Sequence[Any]] | None
    settings: dict[str, Any]

    def build(self, bundle: Bundle, folder: Path) -> None:
        """Index the passages of the bundle into an empty folder."""

    def open(self, bundle: Bundle, folder: Path) -> None:
        """Open what :meth:`build` wrote; afterwards the attributes can be used, from any thread."""


def fused(rankings: Sequence[Sequence[int]], k: int) -> list[int]:
    """Reciprocal rank fusion: the k best rows."""
    scores: dict[int, float] = defaultdict(float)
    for ranking in rankings:
        for rank, row in enumerate(ranking, start=1):
            scores[row] += 1 / (RRF_K + rank)
    return sorted(scores, key=lambda row: (-scores[row], row))[:k]
