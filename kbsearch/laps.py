"""Where the time of a question goes: wall milliseconds by stage.

Use: ``laps = Laps()``, then ``laps.end("lexical")`` when a stage ends; what passed since the last end is its time.
"""

from __future__ import annotations

import time
from typing import Final

__all__ = ["STAGES", "Laps"]

STAGES: Final = ("analyse", "encode", "lexical", "dense", "rank", "fetch", "snippet")
"""Of a search, in their order."""


class Laps:
    """A stop watch of one question."""

    __slots__ = ("_last", "stages", "start")

    def __init__(self) -> None:
        self.stages: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self.start = self._last = time.perf_counter()

    def begin(self) -> None:
        """The first stage begins only now; what passed counts for the total alone."""
        self._last = time.perf_counter()

    def end(self, stage: str) -> None:
        """A stage ends here; one that comes in several pieces adds up."""
        now = time.perf_counter()
        self.stages[stage] += (now - self._last) * 1000
        self._last = now

    @property
    def total(self) -> float:
        """Milliseconds since the start, up to the last end."""
        return (self._last - self.start) * 1000
