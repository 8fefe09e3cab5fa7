"""Figures from samples: percentiles, recall, agreement.

Never: a mean of latencies; one page fault moves it.
"""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["latencies", "overlap", "percentiles", "quiet", "rate", "recall"]

_ROUNDING: Final = 1e-5
"""Two engines may sum one cosine in different orders."""


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 of a sample, each a value that was measured."""
    if not milliseconds:
        return {}
    found = np.percentile(np.array(milliseconds), [50, 95, 99], method="inverted_cdf")
    return {name: round(float(value), 4) for name, value in zip(("p50", "p95", "p99"), found, strict=True)}


def quiet(samples: Iterable[tuple[int, float]]) -> float:
    """The median over questions of each one's least time: what other work on the machine can hardly touch.

    ``samples`` are (question, milliseconds), several of each question.
    """
    least: dict[int, float] = {}
    for question, milliseconds in samples:
        least[question] = min(milliseconds, least.get(question, milliseconds))
    return percentiles(list(least.values()))["p50"] if least else 0.0


def recall(found: Sequence[NDArray[np.floating]], exact: Sequence[NDArray[np.floating]], k: int) -> float:
    """Share of the best k that were found, by score: any of several passages with the k-th score will do.

    ``found`` are the exact scores of the rows that a system gave, ``exact`` the best scores of all, for each question.
    """
    shares = []
    for mine, best in zip(found, exact, strict=True):
        wanted = min(k, len(best))
        if wanted:
            shares.append(min(int((mine[:k] >= best[wanted - 1] - _ROUNDING).sum()), wanted) / wanted)
    return round(float(np.mean(shares)), 4) if shares else 0.0


def overlap(first: Sequence[Sequence[Any]], second: Sequence[Sequence[Any]]) -> float:
    """Mean share of one list that is in the other, question by question."""
    shares = [
        len(set(one) & set(other)) / max(len(one), len(other))
        for one, other in zip(first, second, strict=True)
        if one or other
    ]
    return round(float(np.mean(shares)), 4) if shares else 1.0


def latencies(work: Callable[[Any], object], values: Sequence[Any]) -> list[float]:
    """Milliseconds of ``work`` for each of the values."""
    found = []
    for value in values:
        start = time.perf_counter()
        work(value)
        found.append((time.perf_counter() - start) * 1000)
    return found


def rate(work: Callable[[Any], object], values: Sequence[Any], threads: int, seconds: float) -> float:
    """Calls of ``work`` a second, by so many threads that share the values, round and round.

    Raises
    ------
    Exception
        What the first failing call raised.
    """
    turns = itertools.cycle(values)
    lock, failures = threading.Lock(), []
    counts = [0] * threads
    deadline = time.perf_counter() + seconds

    def ask(number: int) -> None:
        try:
            while time.perf_counter() < deadline:
                with lock:
                    value = next(turns)
                work(value)
                counts[number] += 1
        except Exception as error:  # noqa: BLE001 - of any engine, raised below
            failures.append(error)

    start = time.perf_counter()
    workers = [threading.Thread(target=ask, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]
    return round(sum(counts) / (time.perf_counter() - start), 2)
