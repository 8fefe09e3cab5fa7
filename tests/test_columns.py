"""Mapped columns give back the memory of what was read of them, and say the same afterwards."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from kbsearch.columns import let_go, load_column, save_column


def resident(file: Path) -> int:
    """Kilobytes of a file that this process has in its memory."""
    kilobytes, here = 0, False
    for line in Path("/proc/self/smaps").read_text("utf-8").splitlines():
        if "-" in line.split()[0]:
            here = line.endswith(str(file))
        elif here and line.startswith("Rss:"):
            kilobytes += int(line.split()[1])
    return kilobytes


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel")
def test_what_is_let_go_is_given_back_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "column.npy"
    save_column(file, np.arange(1_000_000, dtype=np.int64))
    column = load_column(file, np.int64)
    assert column.sum() == 499_999_500_000
    assert resident(file) > 7_000
    let_go(column[5:])
    assert resident(file) < 1_000
    assert column.sum() == 499_999_500_000


def test_what_is_not_mapped_stays(tmp_path: Path) -> None:
    column = np.arange(10)
    let_go(column[2:])
    assert column.tolist() == list(range(10))
    save_column(tmp_path / "none.npy", np.arange(0, dtype=np.int64))
    let_go(load_column(tmp_path / "none.npy", np.int64))
