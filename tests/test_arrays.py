"""Arrays that several threads map at once."""

from __future__ import annotations

import gc
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from kbsearch.arrays import map_array

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Cycle:
    """Garbage that lets other threads run while it is collected, also while a header is read."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        time.sleep(0.0001)


def from_depth(depth: int, call: Callable[[], None]) -> None:
    """Call from so many calls down: each thread from another, which is what Python 3.11 confuses."""
    if depth:
        from_depth(depth - 1, call)
    else:
        call()


def test_threads_may_map_arrays_at_once(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", np.arange(9))

    def load() -> None:
        for _ in range(400):
            Cycle()
            assert len(map_array(tmp_path / "array.npy")) == 9

    before = gc.get_threshold()
    gc.set_threshold(20)
    try:
        with ThreadPoolExecutor(8) as pool:
            running = [pool.submit(from_depth, 9 * number, load) for number in range(8)]
        for done in running:
            done.result()
    finally:
        gc.set_threshold(*before)
