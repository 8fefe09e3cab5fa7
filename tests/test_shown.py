"""What is shown of a row is what was written of it, from any file behind another, and damage is named."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbsearch.errors import IndexCorrupt
from kbsearch.shown import Shown, ShownRows, ShownWriter

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NUMBERS = st.integers(0, 2**32 - 1)
PAIRS = st.tuples(NUMBERS, NUMBERS)
ROWS = st.lists(st.builds(Shown, NUMBERS, PAIRS, PAIRS, TEXTS, TEXTS, TEXTS), max_size=6)
RETURNS = Shown(3, (7, 9), (120, 44), "返品", '["返品", "送料 & 期限"]', "送料は無料です。\n| 列 | Größe |\0😀")


def written(file: Path, rows: list[Shown]) -> Path:
    with ShownWriter(file) as writer:
        for shown in rows:
            writer.add(shown)
    return file


@settings(max_examples=100, deadline=None)
@given(ROWS, ROWS)
def test_what_was_written_is_read(base: list[Shown], delta: list[Shown]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = [written(Path(folder) / "base.rows", base), written(Path(folder) / "delta.rows", delta)]
        for part, rows in ((files[:1], base), (files, base + delta)):
            shown = ShownRows(*part)
            assert len(shown) == len(rows)
            assert [shown[row] for row in range(len(rows))] == rows
            for outside in (-1, -len(rows) - 1, len(rows), 2**40):
                with pytest.raises(IndexCorrupt, match="is damaged"):
                    shown[outside]


def test_threads_read_at_once(tmp_path: Path) -> None:
    rows = [RETURNS._replace(article=number, text=RETURNS.text * number) for number in range(200)]
    shown = ShownRows(written(tmp_path / "content.rows", rows))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(shown.__getitem__, [*range(200)] * 20)) == rows * 20


@pytest.mark.parametrize("content", [b"", b"1234567", b"12345678", b"\0" * 8, b"\0" * 9, b"no rows at all" * 50])
def test_a_file_of_something_else_is_damage(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "content.rows"
    file.write_bytes(content)
    with pytest.raises(IndexCorrupt) as raised:
        ShownRows(file)
    assert raised.value.file == str(file)


def test_a_missing_file_is_damage(tmp_path: Path) -> None:
    with pytest.raises(IndexCorrupt):
        ShownRows(tmp_path / "content.rows")


def test_a_file_that_is_cut_anywhere_is_damage(tmp_path: Path) -> None:
    file = written(tmp_path / "content.rows", [RETURNS, RETURNS])
    content = file.read_bytes()
    for size in range(len(content)):
        file.write_bytes(content[:size])
        with pytest.raises(IndexCorrupt):
            assert [ShownRows(file)[row] for row in (0, 1)] == [RETURNS, RETURNS]


def test_a_changed_byte_is_another_row_or_damage(tmp_path: Path) -> None:
    """Never an error of another kind, and never bytes of anything else."""
    file = written(tmp_path / "content.rows", [RETURNS, RETURNS._replace(text="別の文。")])
    content = file.read_bytes()
    for place in range(len(content)):
        for mask in (1, 128, 255):
            file.write_bytes(content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :])
            try:
                rows = ShownRows(file)
                for row in range(2):
                    assert len(rows[row].text) <= len(content)
            except IndexCorrupt:
                continue
