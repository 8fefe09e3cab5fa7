"""One system in a process of its own, told by lines of JSON what to do; :mod:`speed.measure` is at the other end.

Use: ``python -m speed.worker BUNDLE SYSTEM`` with ``benchmarks`` on the path. A line in is ``{"do": NAME, …}``, a line
out ``{"ok": …}`` or ``{"error": …}``.

Never: print; whatever an engine prints goes to standard error, and standard output is the line to the other end.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from speed.bundle import DEPTH, Bundle, folder_bytes
from speed.memory import memory
from speed.stats import latencies, overlap, rate, recall
from speed.systems import SYSTEMS

if TYPE_CHECKING:
    from speed.systems.base import System

PAGE = 10
_AWAKE: Final = 2


class Worker:
    """The commands, by the names of the methods."""

    def __init__(self, bundle: Bundle, name: str) -> None:
        self._bundle, self._name = bundle, name
        self._system: System = SYSTEMS[name].load()()
        self._folder = bundle.folder / "systems" / name

    def build(self) -> dict[str, Any]:
        """Index everything into an empty folder."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        start = time.perf_counter()
        self._system.build(self._bundle, self._folder)
        return {"seconds": round(time.perf_counter() - start, 3), "bytes": folder_bytes(self._folder)}

    def open(self) -> dict[str, Any]:
        """Open it; memory before and at rest after one question, which brings in what is opened late."""
        before = memory()
        start = time.perf_counter()
        self._system.open(self._bundle, self._folder)
        seconds = time.perf_counter() - start
        way = next(iter(self._system.ways.values()))
        way(self._bundle.questions[0])
        return {
            "seconds": round(seconds, 3),
            "empty": before,
            "rest": memory(),
            "ways": list(self._system.ways),
            "settings": self._system.settings,
        }

    def ask(self, way: str, first: int, last: int) -> list[float]:
        """Milliseconds of some questions, after a few that wake the process up: it has waited for the others."""
        work, questions = self._system.ways[way], self._bundle.questions
        for place in range(first - _AWAKE, first):
            work(questions[place])  # from the end where there is nothing before
        return latencies(work, questions[first:last])

    def rate(self, threads: int, seconds: float) -> float:
        """Questions a second."""
        way = next(iter(self._system.ways.values()))
        return rate(way, self._bundle.questions, threads, seconds)

    def memory(self) -> dict[str, int]:
        """Memory now."""
        return memory()

    def recall(self) -> dict[str, float] | None:
        """Of the dense part, against exact search."""
        dense = self._system.dense
        if dense is None:
            return None
        found: dict[str, float] = {}
        vectors = self._bundle.vectors
        for k in (PAGE, DEPTH):
            scores = []
            for asked in self._bundle.questions:
                rows = np.array([row for row in dense(asked, k) if row >= 0], dtype=np.int64)
                scores.append(np.sort(vectors[np.unique(rows)] @ asked.vector)[::-1])
            found[f"recall@{k}"] = recall(scores, list(self._bundle.exact), k)
        return found

    def agreement(self) -> float | None:
        """How much of the first ten stays when the dense part is exact."""
        exact = self._system.exact
        if exact is None:
            return None
        way = next(iter(self._system.ways.values()))
        asked = self._bundle.questions[:200]
        return overlap([way(one)[:PAGE] for one in asked], [exact(one)[:PAGE] for one in asked])


def main() -> None:
    """Answer until the line ends."""
    line = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker(Bundle(Path(sys.argv[1])), sys.argv[2])
    for told in sys.stdin:
        command = json.loads(told)
        try:
            answer = {"ok": getattr(worker, command.pop("do"))(**command)}
        except BaseException as error:  # noqa: BLE001 - also a Rust panic; the other end records it
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        line.write(json.dumps(answer) + "\n")
        line.flush()
    line.flush()
    os._exit(0)  # some engines hang when their threads are torn down


if __name__ == "__main__":
    main()
