"""What the machine allows: how fast one core reads vectors in order, from its cache, and from all over the memory.

The reader is kbsearch's own kernel of inner products, so a limit is that of reading and multiplying together.

Use: ``measure_limits()``; a second or two.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch.native import dots

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["measure_limits"]

_WIDTH: Final = 384
_LARGE: Final = 400_000  # rows, 614 MB: more than any cache
_SMALL: Final = 2_000  # 3 MB
_ROUNDS: Final = 5


def measure_limits() -> dict[str, float]:
    """Gigabytes a second in order, from memory and from the cache, and microseconds for a row from anywhere."""
    random = np.random.default_rng(0)
    matrix = np.ones((_LARGE, _WIDTH), dtype=np.float32)
    vector = np.ones(_WIDTH, dtype=np.float32)
    small, every = np.arange(_SMALL), np.arange(_LARGE)
    anywhere = random.permutation(_LARGE)[:_SMALL]
    row = vector.nbytes
    return {
        "memory, GB a second": round(row * _LARGE / _least(matrix, every, vector) / 1e9, 1),
        "cache, GB a second": round(row * _SMALL / _least(matrix, small, vector) / 1e9, 1),
        "a row from anywhere, us": round(_least(matrix, anywhere, vector, fresh=every) / _SMALL * 1e6, 3),
    }


def _least(
    matrix: NDArray[np.float32],
    rows: NDArray[np.int64],
    vector: NDArray[np.float32],
    fresh: NDArray[np.int64] | None = None,
) -> float:
    """Least seconds of some rounds; ``fresh`` rows are read before each, which takes the others out of the cache."""
    times = []
    for _ in range(_ROUNDS):
        if fresh is not None:
            dots(matrix, fresh, vector)
        start = time.perf_counter()
        dots(matrix, rows, vector)
        times.append(time.perf_counter() - start)
    return min(times)
