"""One script asked by itself, as the tests of the dense leg do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kbsearch.vector.compiled import Allowed, Codes, Dense, Derived, Script, near

if TYPE_CHECKING:
    from kbsearch.model import FloatArray, RowArray

NO_ROWS = np.empty(0, np.int64)


def best(vectors: FloatArray, rows: RowArray, vector: FloatArray, k: int) -> tuple[RowArray, FloatArray]:
    """Of some rows in any order, by comparing all."""
    return near(Dense((Script(rows), Script(NO_ROWS)), vectors), vector, k)[0]


def nearest(
    codes: Codes, rows: RowArray, allowed: np.ndarray | None, vectors: FloatArray, vector: FloatArray, k: int
) -> tuple[RowArray, FloatArray]:
    """Of ascending rows, by their codes."""
    return by(codes, 0, rows, allowed, vectors, vector, k)


def by(
    derived: Derived | None,
    reach: int,
    rows: RowArray,
    allowed: np.ndarray | None,
    vectors: FloatArray,
    vector: FloatArray,
    k: int,
    few: int = 20_000,
) -> tuple[RowArray, FloatArray]:
    """Of ascending rows, by what was derived from them."""
    dense = Dense((Script(rows, derived, reach, few), Script(NO_ROWS)), vectors)
    may = None if allowed is None else (Allowed(allowed), Allowed(np.empty(0, np.bool_)))
    return near(dense, vector, k, may)[0]
