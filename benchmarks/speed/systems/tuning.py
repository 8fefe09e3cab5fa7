"""One recall for all: how far each approximate index looks is chosen as kbsearch chooses it for itself.

The least of ``EFS`` (or of what an engine has in its place) that finds ``WANTED`` of the 100 nearest passages of some
questions is taken when the index is built, and noted beside it.

Use: ``store(folder, least(EFS, bundle, nearest))`` in ``build``, ``stored(folder)`` in ``open``.

Never: tune anything for speed that a user would not find in the engine's own documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch.vector import FLAT_LIMIT
from kbsearch.vector.graph import EF_CONSTRUCTION, LINKS
from speed.bundle import DEPTH
from speed.stats import recall

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from speed.bundle import Asked, Bundle

__all__ = ["EFS", "EF_CONSTRUCTION", "GRAPH_BEYOND", "LINKS", "least", "store", "stored"]

EFS: Final = (128, 160, 192, 256, 384, 512)
WANTED: Final = 0.98
GRAPH_BEYOND: Final = 2 * FLAT_LIMIT
"""Passages beyond which kbsearch has graphs, when half of them are Japanese."""

_SAMPLE: Final = 100  # questions
_FILE: Final = "tuned"


def least(choices: Sequence[int], bundle: Bundle, nearest: Callable[[Asked, int, int], Sequence[int]]) -> int:
    """The first choice that finds enough, or the last; ``nearest(asked, k, choice)`` gives rows."""
    exact = list(bundle.exact[:_SAMPLE])
    for choice in choices[:-1]:
        scores = []
        for asked in bundle.questions[:_SAMPLE]:
            rows = [row for row in nearest(asked, DEPTH, choice) if row >= 0]
            scores.append(np.sort(bundle.vectors[rows] @ asked.vector)[::-1])
        if recall(scores, exact, DEPTH) >= WANTED:
            return choice
    return choices[-1]


def store(folder: Path, choice: int) -> None:
    """Note a choice beside the index."""
    (folder / _FILE).write_text(str(choice), "ascii")


def stored(folder: Path) -> int:
    """The noted choice."""
    return int((folder / _FILE).read_text("ascii"))
