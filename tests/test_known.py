"""Vectors are found by the key of their text wherever they lie, and are read only when they are wanted."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kbsearch.coded import InCodes
from kbsearch.embed import text_key
from kbsearch.errors import IndexCorrupt
from kbsearch.journal import Journal
from kbsearch.known import InFile, InMemory, Known
from kbsearch.quotes import QuoteWriter, units_of
from kbsearch.units import Unit

if TYPE_CHECKING:
    from pathlib import Path

    from kbsearch.model import FloatArray

DIMENSION = 8


def keys_of(*numbers: int) -> list[str]:
    return [text_key(str(number)) for number in numbers]


def vectors_of(*numbers: int, dimension: int = DIMENSION) -> FloatArray:
    """Told apart by their numbers."""
    vectors: FloatArray = np.add.outer(numbers, np.arange(dimension) / 1000).astype(np.float32)
    return vectors


def matrix(file: Path, *numbers: int) -> InFile:
    np.save(file, vectors_of(*numbers))
    return InFile.matrix(file, {key: place for place, key in enumerate(keys_of(*numbers))})


def test_vectors_come_from_wherever_they_are_in_the_order_asked_for(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", "fake/1", DIMENSION)
    journal.append(keys_of(1, 2), vectors_of(1, 2))
    known = Known(
        DIMENSION, [journal.known, InMemory(keys_of(3), vectors_of(3)), matrix(tmp_path / "vectors.npy", 4, 5)]
    )
    asked = (5, 1, 3, 4, 2, 5)
    np.testing.assert_array_equal(known.stacked(keys_of(*asked)), vectors_of(*asked))
    assert all(key in known for key in keys_of(*asked))
    assert keys_of(6)[0] not in known
    with pytest.raises(KeyError):
        known.stacked(keys_of(1, 6))
    assert known.stacked([]).shape == (0, DIMENSION)


def test_what_is_appended_to_the_journal_is_known_at_once_and_by_the_next_build(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    journal = Journal(file, "fake/1", DIMENSION)
    known = Known(DIMENSION, [journal.known])
    assert keys_of(1)[0] not in known
    for number in range(1, 5):
        journal.append(keys_of(number), vectors_of(number))
        np.testing.assert_array_equal(known.stacked(keys_of(number, 1)), vectors_of(number, 1))
    file.write_bytes(file.read_bytes()[:-3])  # torn
    again = Journal(file, "fake/1", DIMENSION)
    assert list(again.known.places) == keys_of(1, 2, 3)
    again.append(keys_of(5, 6), vectors_of(5, 6))
    last = Journal(file, "fake/1", DIMENSION)
    asked = (6, 3, 1, 5, 2)
    np.testing.assert_array_equal(Known(DIMENSION, [last.known]).stacked(keys_of(*asked)), vectors_of(*asked))
    assert Journal(file, "fake/2", DIMENSION).known.places == {}


def test_of_parts_that_know_a_key_the_first_is_asked(tmp_path: Path) -> None:
    first = InMemory(keys_of(1), vectors_of(7))
    known = Known(DIMENSION, [first, matrix(tmp_path / "vectors.npy", 1, 2)])
    np.testing.assert_array_equal(known.stacked(keys_of(1, 2)), vectors_of(7, 2))


def test_a_matrix_that_is_none_or_has_other_rows_is_damage(tmp_path: Path) -> None:
    file = tmp_path / "vectors.npy"
    for wrong in (np.zeros(4, np.float32), np.zeros((2, 4)), np.zeros((4, 2), np.float32, order="F")):
        np.save(file, wrong)
        with pytest.raises(IndexCorrupt):
            InFile.matrix(file, {})
    matrix(file, 1, 2)
    with pytest.raises(IndexCorrupt, match="expected 3 vectors, found 2"):
        InFile.matrix(file, {}, 3)
    with pytest.raises(IndexCorrupt):
        InFile.matrix(file, {"key": 2})


def test_a_file_that_has_become_shorter_is_damage(tmp_path: Path) -> None:
    file = tmp_path / "vectors.npy"
    known = Known(DIMENSION, [matrix(file, 1, 2, 3)])
    file.write_bytes(file.read_bytes()[:-1])
    np.testing.assert_array_equal(known.stacked(keys_of(1, 2)), vectors_of(1, 2))
    with pytest.raises(IndexCorrupt):
        known.stacked(keys_of(3))


def coded(folder: Path, *numbers: int) -> Path:
    """The vectors of some sentences, as a build leaves them."""
    writer = QuoteWriter(folder)
    writer.close()
    writer.write_vectors(keys_of(*numbers), [vectors_of(*numbers)], DIMENSION)
    return folder


def test_vectors_of_sentences_are_known_as_exactly_as_they_are_kept(tmp_path: Path) -> None:
    codes = InCodes(coded(tmp_path / "quotes", 1, 2, 3), DIMENSION)
    known = Known(DIMENSION, [InMemory(keys_of(2), vectors_of(2)), codes])
    asked = (3, 2, 1, 3)
    found = known.stacked(keys_of(*asked))
    np.testing.assert_allclose(found, vectors_of(*asked), rtol=1 / 254)
    np.testing.assert_array_equal(found[1], vectors_of(2)[0])  # of parts that know a key the first is asked
    np.testing.assert_array_equal(found[0], found[3])
    assert keys_of(4)[0] not in known


def test_of_some_rows_only_the_sentences_of_these_are_known(tmp_path: Path) -> None:
    writer = QuoteWriter(tmp_path / "quotes")
    for units in ([Unit(0, 1), Unit(1, 2)], [Unit(0, 1)], []):
        writer.add(units)
    writer.repeat(0)
    writer.close()
    writer.write_vectors(keys_of(1, 2, 3), [vectors_of(1, 2, 3)], DIMENSION)
    for rows, numbers in (([0], (1, 2)), ([1, 2], (3,)), ([3], (1, 2)), ([], ())):
        known = InCodes(tmp_path / "quotes", DIMENSION, units_of(tmp_path / "quotes", rows))
        assert list(known.places) == keys_of(*numbers)
        np.testing.assert_allclose(
            Known(DIMENSION, [known]).stacked(keys_of(*numbers)), vectors_of(*numbers), rtol=0.01
        )
    np.save(tmp_path / "quotes" / "rows.npy", np.array([0, 9], np.uint32))
    with pytest.raises(IndexCorrupt):
        InCodes(tmp_path / "quotes", DIMENSION, units_of(tmp_path / "quotes", [0]))


def test_a_folder_without_vectors_of_sentences_knows_nothing(tmp_path: Path) -> None:
    QuoteWriter(tmp_path / "quotes").close()
    assert not InCodes(tmp_path / "quotes", DIMENSION).places
    assert not InCodes(coded(tmp_path / "none"), DIMENSION).places


@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        ("codes", np.zeros((2, DIMENSION), np.int8)),
        ("codes", np.zeros((3, DIMENSION + 1), np.int8)),
        ("codes", np.zeros((3, DIMENSION), np.uint8)),
        ("codes", np.zeros((3, DIMENSION), np.int8, order="F")),
        ("codes", np.zeros(3, np.int8)),
        ("scales", np.zeros(2, np.float32)),
        ("scales", np.zeros(3, np.float64)),
        ("keys", np.zeros((2, 32), np.uint8)),
        ("keys", np.zeros((3, 31), np.uint8)),
        ("keys", np.zeros((3, 32), np.int8)),
    ],
)
def test_columns_of_sentences_that_do_not_fit_each_other_are_damage(
    tmp_path: Path, name: str, damaged: np.ndarray
) -> None:
    folder = coded(tmp_path / "quotes", 1, 2, 3)
    np.save(folder / f"{name}.npy", damaged)
    with pytest.raises(IndexCorrupt):
        InCodes(folder, DIMENSION)
    (folder / f"{name}.npy").write_bytes(b"nonsense")
    with pytest.raises(IndexCorrupt):
        InCodes(folder, DIMENSION)


def test_codes_that_have_become_shorter_are_damage(tmp_path: Path) -> None:
    folder = coded(tmp_path / "quotes", 1, 2, 3)
    known = Known(DIMENSION, [InCodes(folder, DIMENSION)])
    (folder / "codes.npy").write_bytes((folder / "codes.npy").read_bytes()[:-1])
    known.stacked(keys_of(1, 2))
    with pytest.raises(IndexCorrupt):
        known.stacked(keys_of(3))


def test_a_journal_takes_the_memory_of_its_keys_and_not_of_its_vectors(tmp_path: Path) -> None:
    """Ten megabytes of vectors."""
    many, dimension = range(5_000), 512
    journal = Journal(tmp_path / "journal", "fake/1", dimension)
    keys = keys_of(*many)
    tracemalloc.start()
    try:
        for start in many[::500]:
            journal.append(keys[start : start + 500], vectors_of(*many[start : start + 500], dimension=dimension))
        again = Journal(tmp_path / "journal", "fake/1", dimension)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(again.known.places) == len(many)
    assert peak < 5_000_000
