"""What the lexical leg leaves on disk, against plain Python, and what becomes of reading it damaged.

Run as a script, this file reads damaged copies of a folder and tells what becomes of each; every one is tried in a
process of its own, so that a crash or a hang is an outcome like any other.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from damage import column_of, tell_outcomes
from legs import every_score, found, leg_of, row_of
from oracles import best_sums, postings_of
from terms import Row, Text, opened

from kbsearch import lexical, native
from kbsearch.bm25 import STREAMS
from kbsearch.errors import IndexCorrupt
from kbsearch.lexical import LexicalIndex, write_lexical
from kbsearch.tokens import TokenIndex

SHELF: Final = [
    Row(Text.read(body), Text.read(title), weights=(1, 3, 0, 0))
    for body, title in [
        ("返品の送料は当店が負担します。着払いでお送りください。", "返品の送料"),
        ("お客様のご負担です。ただし、交換品の再発送は無料です。", "返品の送料"),
        ("Open the sign-in page. The link works for 30 minutes.", "Reset your password"),
        ("", ""),
        ("配送は3日です。" * 40, "配送日数"),
    ]
]
NAMES: Final = ("entries", "posts", "terms")


@pytest.mark.parametrize("rows", [0, 1, 5, 8_191, 8_192, 8_193, 20_000])
def test_the_files_are_what_the_module_says(tmp_path: Path, rows: int) -> None:
    """Against plain Python; of up to three blocks."""
    many = [row_of(f"返品 t{number} 外") for number in range(50)]
    index = leg_of(tmp_path, [*SHELF, *many, *[row_of("外")] * 40_000][:rows])
    tokens = index._tokens
    held = [[tokens.counts(row, stream) for stream in STREAMS] for row in range(rows)]
    lengths = tokens._columns["rows"].reshape(rows, 8)[:, 2:4].tolist()
    expected = postings_of(held, lengths, tokens.mean_lengths)
    for name, values in zip(("terms", "entries", "posts"), expected, strict=True):
        assert np.load(tmp_path / "lexical" / f"{name}.npy").tolist() == values, name


def test_sums_are_those_of_plain_python(tmp_path: Path) -> None:
    index = leg_of(tmp_path, SHELF)
    asked = index.asked(Text.read("返品の送料は誰の負担").terms("words"), []).terms
    rows, sums = native.Proposals(index._lexicon, [asked], [0], (5, 0), None).found()
    expected = best_sums(index._open, asked, 0, None, 5)
    assert sorted(zip((-sums.astype(np.int64)).tolist(), rows.tolist(), strict=True)) == expected


def test_the_table_of_terms_grows_when_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leg_of(tmp_path / "wide", SHELF)
    monkeypatch.setattr(lexical, "_FIRST_ROOM", 1)
    leg_of(tmp_path / "narrow", SHELF)
    for name in NAMES:
        wide, narrow = (tmp_path / which / "lexical" / f"{name}.npy" for which in ("wide", "narrow"))
        assert wide.read_bytes() == narrow.read_bytes()


def test_an_index_of_more_postings_than_its_files_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lexical, "_MOST_POSTS", 10)
    with pytest.raises(OverflowError, match="are more than an index holds"):
        leg_of(tmp_path, SHELF)


def test_the_same_rows_are_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    for seed in ("0", "4242"):
        subprocess.run(
            [sys.executable, __file__, "write", tmp_path / seed],
            env={**os.environ, "PYTHONHASHSEED": seed}, check=True,
        )  # fmt: skip
    contents = [
        [(tmp_path / seed / "lexical" / f"{name}.npy").read_bytes() for name in NAMES] for seed in ("0", "4242")
    ]
    assert contents[0] == contents[1]


def test_the_folder_is_not_written_after_it_was_made(tmp_path: Path) -> None:
    tokens = leg_of(tmp_path, SHELF)._tokens
    folder = tmp_path / "lexical"
    assert sorted(file.name for file in folder.iterdir()) == [f"{name}.npy" for name in NAMES]
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    folder.chmod(0o555)
    try:
        index = LexicalIndex(folder, tokens)
        assert found(index.search("words", ["配送"], 3)) == [4]
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    finally:
        folder.chmod(0o755)


def test_an_open_index_outlives_its_folder(tmp_path: Path) -> None:
    """The collector may remove a generation that a reader still has open."""
    index = leg_of(tmp_path, SHELF)
    shutil.rmtree(tmp_path)
    assert found(index.search("words", ["配送"], 3)) == [4]
    assert every_score(index, ["配送"])[4] > 0


def test_a_missing_folder_is_damage(tmp_path: Path) -> None:
    with pytest.raises(IndexCorrupt):
        LexicalIndex(tmp_path / "nowhere", opened(SHELF))


def test_an_existing_folder_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "lexical").mkdir()
    with pytest.raises(FileExistsError):
        write_lexical(tmp_path / "lexical", opened(SHELF))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "of another type"])
def test_a_damaged_file_is_reported_as_damage(tmp_path: Path, name: str, damage: str) -> None:
    tokens = leg_of(tmp_path, SHELF)._tokens
    file = tmp_path / "lexical" / f"{name}.npy"
    content, column = file.read_bytes(), np.load(file)
    file.unlink()  # an index opened before has the old one mapped
    if damage == "of another type":
        np.save(file, column.astype(np.int64))
    elif damage != "missing":
        file.write_bytes(b"" if damage == "empty" else content[: len(content) // 2])
    with pytest.raises(IndexCorrupt) as raised:
        _read(tmp_path, tokens)
    assert raised.value.file == str(file)


@pytest.mark.parametrize(("name", "first"), [("terms", 1), ("entries", 0), ("entries", 1), ("posts", 0)])
def test_columns_that_lead_out_of_each_other_are_damage(tmp_path: Path, name: str, first: int) -> None:
    tokens = leg_of(tmp_path, SHELF)._tokens
    file = tmp_path / "lexical" / f"{name}.npy"
    column = np.load(file)
    column[first::2] = 2**32 - 1
    file.unlink()  # an index opened before has the old one mapped
    np.save(file, column)
    with pytest.raises(IndexCorrupt) as raised:
        _read(tmp_path, tokens)
    assert raised.value.file == str(tmp_path / "lexical")


def outcomes_of(kind: str, folder: Path) -> dict[str, Counter[str]]:
    """What became of reading for each damage, by column."""
    leg_of(folder, SHELF)
    done = subprocess.run(
        [sys.executable, __file__, kind, folder], capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr
    told = {name: Counter(outcomes) for name, outcomes in json.loads(done.stdout).items()}
    assert sorted(told) == list(NAMES)
    return told


@pytest.mark.parametrize("kind", ["cut", "resize", "flip", "lead elsewhere"])
def test_damage_is_noticed_or_answered(tmp_path: Path, kind: str) -> None:
    """Sums are the store's to check; here no byte may end in anything but an answer or IndexCorrupt."""
    told = outcomes_of(kind, tmp_path)
    for name, outcomes in told.items():
        assert set(outcomes) <= {"IndexCorrupt", "answered", "answered the same"}, name
        assert outcomes["IndexCorrupt"] > 0, name
        if kind == "cut":
            assert set(outcomes) == {"IndexCorrupt"}
        if kind == "flip":
            assert outcomes.total() > 300


# One damage after the other, each in a process of its own.


def _read(folder: Path, tokens: TokenIndex) -> str:
    """All that an index answers, as a text."""
    said: list[object] = []
    index = LexicalIndex(folder / "lexical", tokens)
    for question in ("返品の送料は誰の負担ですか", "reset a password", "配送は3日です"):
        asked = Text.read(question)
        words, grams = asked.terms("words"), asked.terms("grams")
        for mask in (None, np.arange(len(SHELF)) % 2 == 0):
            for stream, terms in zip(STREAMS, (words, grams), strict=True):
                said += [part.tolist() for part in index.search(stream, terms, 3, mask)]
            said.append(sorted(index.propose([index.asked(words, grams).terms], STREAMS, 2, mask).tolist()))
        said.append([index.idf("grams", term) for term in grams])
    said.append([index.idf("words", term) for row in SHELF for term in row.held("words")])
    return repr(said)


def _damaged(kind: str, file: Path) -> list[bytes]:
    """Damaged contents of a file."""
    content, column = file.read_bytes(), np.load(file)
    if kind == "cut":
        return [content[:size] for size in (*range(0, 128, 9), 127, 128, 129, len(content) - 4, len(content) - 1)]
    if kind == "resize":
        sizes = (0, 1, 2, 3, 4, len(column) // 2, len(column) - 4, len(column) - 2, len(column) - 1)
        return [*(column_of(column[:size]) for size in sizes), column_of(np.append(column, column[-1:]))]
    if kind == "flip":
        flipped = []
        for at in range(len(content)):
            mask = 0xFF if at % 3 == 0 else 1 << at % 8
            flipped.append(content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :])
        return flipped
    found_ = []
    for place in range(0, len(column), len(column) // 40 | 1):
        for odd in (0, 1, 7, 65_535, 65_536, 2**31, 2**32 - 1):
            changed = column.copy()
            changed[place] = odd
            found_.append(column_of(changed))
    return [*found_, *(column_of(np.full_like(column, odd)) for odd in (0, 1, 2**31, 2**32 - 1))]


if __name__ == "__main__":
    kind_, folder_ = sys.argv[1], Path(sys.argv[2])
    if kind_ == "write":
        leg_of(folder_, SHELF)
    else:
        tokens_ = TokenIndex(folder_ / "tokens", len(SHELF))
        files_ = sorted((folder_ / "lexical").iterdir())
        tell_outcomes(partial(_read, folder_, tokens_), files_, partial(_damaged, kind_))
