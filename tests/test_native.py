"""The compiled part: what it is given and gives, how it is found missing, and how it is built."""

from __future__ import annotations

import ctypes
import importlib.util
import math
import re
import shutil
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nearness
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbsearch import native, structures
from kbsearch.embed import pieces
from kbsearch.errors import KbSearchError, NativeMissing
from kbsearch.search import KnowledgeBase
from kbsearch.vector import compiled

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import RunKbsearch

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "kbsearch"
SOURCES = sorted(file for file in PACKAGE.rglob("*") if file.suffix in {".c", ".h"})
FUNCTIONS = sorted(set(re.findall(r"\bkb_[a-z_]+(?=\()", (PACKAGE / "native.py").read_text("utf-8"))))


# Inner products


def matrix(rows: int, width: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


@settings(max_examples=100, deadline=None)
@given(
    width=st.integers(1, 70) | st.just(384), chosen=st.lists(st.integers(0, 19), max_size=9), seed=st.integers(0, 2**32)
)
def test_products_are_those_of_double_precision(width: int, chosen: list[int], seed: int) -> None:
    vectors, vector = matrix(20, width, seed), matrix(1, width, seed + 1)[0]
    products = native.dots(vectors, np.array(chosen, dtype=np.int64), vector)
    assert products.dtype == np.float32
    expected = vectors[chosen].astype(np.float64) @ vector.astype(np.float64)
    np.testing.assert_allclose(products, expected, atol=1e-6 * width)


@pytest.mark.parametrize("width", [1, 3, 15, 16, 17, 32, 383, 384, 1024])
def test_equal_rows_have_equal_products_wherever_they_stand(width: int) -> None:
    vectors = matrix(301, width)
    vectors[::3] = vectors[0]
    for seed in range(5):
        products = native.dots(vectors, np.arange(301), matrix(1, width, seed)[0])
        assert len(set(products[::3].tolist())) == 1


def test_a_product_does_not_depend_on_the_other_rows_that_are_asked() -> None:
    vectors, vector = matrix(50, 384), matrix(1, 384, 2)[0]
    together = native.dots(vectors, np.arange(50), vector)
    assert [native.dots(vectors, np.array([row]), vector)[0] for row in range(50)] == together.tolist()


@pytest.mark.parametrize("row", [5, -1, 2**62, -(2**62)])
def test_a_row_outside_of_the_matrix_is_damage(row: int) -> None:
    with pytest.raises(structures.Damaged):
        native.dots(matrix(5, 8), np.array([0, row]), matrix(1, 8)[0])


def test_no_row_has_no_product() -> None:
    assert native.dots(matrix(5, 8), np.empty(0, dtype=np.int64), matrix(1, 8)[0]).shape == (0,)
    assert native.dots(matrix(0, 8), np.empty(0, dtype=np.int64), matrix(1, 8)[0]).shape == (0,)


# The best rows


def ranked(vectors: np.ndarray, rows: np.ndarray, vector: np.ndarray, k: int) -> tuple[list[int], list[float]]:
    """By comparing all: product descending, row ascending."""
    products = native.dots(vectors, rows, vector)
    order = np.lexsort((rows, -products))[:k]
    return rows[order].tolist(), products[order].tolist()


@settings(max_examples=100, deadline=None)
@given(n=st.integers(1, 400), different=st.integers(1, 400), width=st.integers(1, 20), k=st.integers(1, 500),
       seed=st.integers(0, 2**32))  # fmt: skip
def test_the_best_rows_are_those_of_a_comparison_with_all(
    n: int, different: int, width: int, k: int, seed: int
) -> None:
    """Of some rows in any order, among which vectors come more than once."""
    random = np.random.default_rng(seed)
    vectors = matrix(different, width, seed)[random.integers(0, different, n + 50)]
    rows, vector = random.permutation(n + 50)[:n], matrix(1, width, seed + 1)[0]
    found, products = nearness.best(vectors, rows, vector, k)
    assert (found.dtype, products.dtype) == (np.dtype(np.int64), np.dtype(np.float32))
    assert (found.tolist(), products.tolist()) == ranked(vectors, rows, vector, k)


@pytest.mark.parametrize("k", [1, 2, 10, 49, 50, 51, 999])
def test_best_rows_that_are_equal_come_by_row(k: int) -> None:
    """Fifty rows are better than the others, which are all one vector."""
    random = np.random.default_rng(1)
    vectors = np.tile(np.array([0.5, -1], np.float32), (1000, 1))
    better = np.sort(random.permutation(1000)[:50])
    vectors[better] = [0.75, -1]
    rows = random.permutation(1000)
    others = np.setdiff1d(np.arange(1000), better)
    found, products = nearness.best(vectors, rows, np.array([1, 0], np.float32), k)
    assert found.tolist() == [*better, *others][:k]
    assert products.tolist() == ([0.75] * 50 + [0.5] * 950)[:k]


@pytest.mark.parametrize("k", [3, 500])
def test_zero_and_minus_zero_are_one_product(k: int) -> None:
    vectors = np.zeros((500, 1), np.float32)
    vectors[::2] = -0.0
    assert nearness.best(vectors, np.arange(500)[::-1].copy(), np.ones(1, np.float32), k)[0].tolist() == list(range(k))


@pytest.mark.parametrize("spread", [0, 1e-45, 1e-38, 1e-7, 1e-3, 1, 1e30])
@pytest.mark.parametrize("middle", [0, -1, 1, 1e-38, 1e30])
def test_the_best_of_products_that_lie_close_together_or_far_apart(spread: float, middle: float) -> None:
    values = (middle + spread * np.random.default_rng(2).uniform(-1, 1, (3000, 1))).astype(np.float32)
    one = np.ones(1, np.float32)
    for k in (1, 7, 100, 749, 750, 2999):
        found, products = nearness.best(values, np.arange(3000), one, k)
        assert (found.tolist(), products.tolist()) == ranked(values, np.arange(3000), one, k)


def test_more_rows_than_there_are_cannot_be_the_best() -> None:
    vectors, vector = matrix(7, 5), matrix(1, 5, 2)[0]
    asked = np.array([6, 2, 4])
    for k in (3, 4, 10_000):
        found, products = nearness.best(vectors, asked, vector, k)
        assert (found.tolist(), products.tolist()) == ranked(vectors, asked, vector, 3)
    for nothing in (nearness.best(vectors, asked, vector, 0), nearness.best(vectors, asked[:0], vector, 5)):
        assert [part.shape for part in nothing] == [(0,), (0,)]


@pytest.mark.parametrize("row", [5, -1, 2**32, 2**62, -(2**62)])
def test_a_best_row_outside_of_the_matrix_is_damage(row: int) -> None:
    with pytest.raises(structures.Damaged):
        nearness.best(matrix(5, 8), np.array([0, 1, row]), matrix(1, 8)[0], 1)


# The nearest rows, by codes


def coded(vectors: np.ndarray, step: float = 0.02) -> compiled.Codes:
    """Codes about the middle of the vectors, with what is lost by them."""
    centre = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    codes = np.clip(np.rint((vectors - centre) / step), -127, 127).astype(np.int8)
    lost = vectors.astype(np.float64) - centre - float(np.float32(step)) * codes
    errors = np.nextafter(np.linalg.norm(lost, axis=1).astype(np.float32), np.float32(np.inf))
    return compiled.Codes(codes, errors, centre, np.full(vectors.shape[1], step, np.float32))


def unit(rows: int, width: int, seed: int = 1) -> np.ndarray:
    vectors = matrix(rows, width, seed)
    normal: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normal


@pytest.mark.parametrize("step", [0.001, 0.02, 0.5, 3])
@pytest.mark.parametrize("share", [None, 0.5, 0.02])
def test_the_nearest_rows_are_those_of_a_comparison_with_all(step: float, share: float | None) -> None:
    """However coarse the codes are, and where a step is so fine that few rows are within reach of a code."""
    random = np.random.default_rng(3)
    vectors = unit(1500, 20)
    vectors[random.integers(0, 1500, 300)] = vectors[random.integers(0, 1500, 300)]
    rows = np.sort(random.permutation(1500)[:1200])
    codes = coded(vectors[rows], step)
    for vector in unit(5, 20, 2):
        allowed = None if share is None else random.random(1200) < share
        among = rows if allowed is None else rows[allowed]
        for k in (1, 2, 10, len(among) - 1, len(among)):
            found, products = nearness.nearest(codes, rows, allowed, vectors, vector, k)
            assert (found.dtype, products.dtype) == (np.dtype(np.int64), np.dtype(np.float32))
            assert (found.tolist(), products.tolist()) == ranked(vectors, among, vector, k)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 100, 399, 400])
def test_nearest_rows_that_are_equal_come_by_row(k: int) -> None:
    vectors = np.tile(np.array([0, 1], np.float32), (400, 1))
    vectors[[399, 300, 200]] = [1, 0]
    codes, rows = coded(vectors), np.arange(400)
    expected = [200, 300, 399, *(row for row in range(400) if row not in {200, 300, 399})]
    assert nearness.nearest(codes, rows, None, vectors, np.array([0.8, 0.6], np.float32), k)[0].tolist() == expected[:k]


def test_rows_that_are_far_by_their_codes_are_not_compared_in_full() -> None:
    """Who would read their vectors would find them best."""
    vectors, vector = unit(5000, 384), unit(1, 384, 2)[0]
    codes, rows = coded(vectors, 0.002), np.arange(5000)
    expected = ranked(vectors, rows, vector, 10)
    cosines = vectors @ vector
    changed = vectors.copy()
    changed[cosines < np.sort(cosines)[-1000]] = vector
    found, products = nearness.nearest(codes, rows, None, changed, vector, 10)
    assert (found.tolist(), products.tolist()) == expected


def test_a_nearest_row_outside_of_the_matrix_is_damage() -> None:
    vectors, vector = unit(50, 8), unit(1, 8, 2)[0]
    for wrong in (50, -1, 2**32 + 49, 2**62, -(2**62)):
        rows = np.arange(50)
        rows[int(np.argmax(vectors @ vector))] = wrong
        for k in (1, 50):
            with pytest.raises(structures.Damaged):
                nearness.nearest(coded(vectors), rows, None, vectors, vector, k)


def test_codes_that_lie_find_other_rows_of_those_that_are_there() -> None:
    """The codes' file may be damaged: its checksum says so, and nothing else breaks."""
    random = np.random.default_rng(5)
    vectors, vector, rows = unit(300, 8), unit(1, 8, 2)[0], np.arange(300)
    every = random.integers(-128, 128, (300, 8)).astype(np.int8)
    for odd in (0, -1, 1e-30, 1e30, math.nan, math.inf, -math.inf):
        errors, centre = np.full(300, odd, np.float32), np.full(8, odd, np.float32)
        for codes in (
            compiled.Codes(every, errors, centre, np.full(8, 0.01, np.float32)),
            compiled.Codes(every, errors, vectors[0].copy(), centre),
            compiled.Codes(np.full((300, 8), -128, np.int8), errors[::-1].copy(), centre, centre),
        ):
            for k in (1, 10, 300):
                found, products = nearness.nearest(codes, rows, None, vectors, vector, k)
                assert len(set(found.tolist())) == k
                assert products.tolist() == native.dots(vectors, found, vector).tolist()


NO_NUMBERS = """
import sys
sys.path.insert(0, "tests")
import nearness
import numpy as np
from kbsearch.vector import compiled

random = np.random.default_rng(1)
rows, few = np.arange(400), random.standard_normal((400, 3)).astype(np.float32)
odd = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e38, 0, -0.0], np.float32)
for _ in range(300):
    vectors, vector, centre = few.copy(), few[0].copy(), few[1].copy()
    errors, step = np.ones(400, np.float32), 0.01
    vectors[random.random((400, 3)) < random.choice([0, 0.01, 1])] = random.choice(odd)
    vectors[random.integers(0, 400, 2), 0] = random.choice(odd, 2)
    if random.random() < 0.5:
        vector[random.integers(3)] = random.choice(odd)
    if random.random() < 0.5:
        centre[random.integers(3)] = random.choice(odd)
    if random.random() < 0.5:
        errors[random.integers(0, 400, 9)] = random.choice(odd, 9)
    if random.random() < 0.5:
        step = float(random.choice(odd))
    steps = np.full(3, step, np.float32)
    codes = compiled.Codes(random.integers(-128, 128, (400, 3)).astype(np.int8), errors, centre, steps)
    for k in (1, 10, 400):
        answers = nearness.best(vectors, rows, vector, k), nearness.nearest(codes, rows, None, vectors, vector, k)
        for found, _ in answers:
            assert len(found) == len(set(found.tolist())) == k
            assert set(found.tolist()) <= set(range(400))
print("done")
"""


def test_numbers_that_are_none_or_too_great_crash_nothing() -> None:
    """In a process of its own, which a place outside of an array would end."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NO_NUMBERS], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended.stderr


def test_codes_of_another_shape_are_damage() -> None:
    codes, errors, centre = np.zeros((5, 8), np.int8), np.zeros(5, np.float32), np.zeros(8, np.float32)
    compiled.Codes(codes, errors, centre, centre)
    wrong: Any
    for wrong in (
        (codes, errors[:4], centre), (codes, errors, centre[:7]), (codes[:4], errors, centre),
        (codes.reshape(40), errors, centre), (np.zeros((1, 20_000), np.int8), errors[:1], np.zeros(20_000, np.float32)),
    ):  # fmt: skip
        with pytest.raises(structures.Damaged):
            compiled.Codes(wrong[0], wrong[1], wrong[2], wrong[-1])


def test_codes_of_another_kind_are_refused() -> None:
    codes, errors, centre = np.zeros((5, 8), np.int8), np.zeros(5, np.float32), np.zeros(8, np.float32)
    wrong: Any
    for wrong in (
        (codes.astype(np.uint8), errors, centre), (codes, errors.astype(np.float64), centre),
        (codes, errors, centre.astype(np.float64)), (np.asfortranarray(codes), errors, centre),
        (codes, np.zeros(10, np.float32)[::2], centre),
    ):  # fmt: skip
        with pytest.raises(AssertionError):
            compiled.Codes(wrong[0], wrong[1], wrong[2], wrong[-1])


# What it is given


@pytest.mark.parametrize(
    ("vectors", "rows", "vector"),
    [
        (matrix(5, 8).astype(np.float64), np.arange(5), matrix(1, 8)[0]),
        (np.asfortranarray(matrix(5, 8)), np.arange(5), matrix(1, 8)[0]),
        (matrix(5, 8), np.arange(5, dtype=np.int32), matrix(1, 8)[0]),
        (matrix(5, 8), np.arange(10)[::2], matrix(1, 8)[0]),
        (matrix(5, 8), np.arange(5), matrix(1, 7)[0]),
        (matrix(5, 8), np.arange(5), matrix(1, 16)[0][::2]),
    ],
)
def test_arrays_of_another_kind_or_shape_are_refused(vectors: Any, rows: Any, vector: Any) -> None:
    with pytest.raises(AssertionError):
        native.dots(vectors, rows, vector)
    with pytest.raises(AssertionError):
        nearness.best(vectors, rows, vector, 3)


FIVE = matrix(5, 8)


@pytest.mark.parametrize(
    ("rows", "allowed", "vectors", "vector"),
    [
        (np.arange(4), None, FIVE, FIVE[0]),
        (np.arange(6), None, FIVE, FIVE[0]),
        (np.arange(5, dtype=np.int32), None, FIVE, FIVE[0]),
        (np.arange(10)[::2], None, FIVE, FIVE[0]),
        (np.arange(5), np.ones(4, bool), FIVE, FIVE[0]),
        (np.arange(5), np.ones(6, bool), FIVE, FIVE[0]),
        (np.arange(5), np.ones((5, 2), bool), FIVE, FIVE[0]),
        (np.arange(5), np.ones(5, np.uint8), FIVE, FIVE[0]),
        (np.arange(5), np.ones(10, bool)[::2], FIVE, FIVE[0]),
        (np.arange(5), None, FIVE.astype(np.float64), FIVE[0]),
        (np.arange(5), None, matrix(5, 7), FIVE[0, :7]),
        (np.arange(5), None, matrix(5, 9), matrix(1, 9)[0]),
        (np.arange(5), None, FIVE, FIVE[0, :7]),
        (np.arange(5), None, FIVE, FIVE[0].astype(np.float64)),
    ],
)
def test_codes_are_asked_with_arrays_that_fit_them(rows: Any, allowed: Any, vectors: Any, vector: Any) -> None:
    codes = coded(FIVE)
    assert len(nearness.nearest(codes, np.arange(5), np.ones(5, bool), FIVE, FIVE[0], 2)[0]) == 2
    with pytest.raises(AssertionError):
        nearness.nearest(codes, rows, allowed, vectors, vector, 2)


def forest(width: int = 2, **other: Any) -> structures.Forest:
    """Two trees of one question each."""
    arrays: dict[str, Any] = {
        "feature": np.zeros((2, 1), np.int32), "threshold": np.zeros((2, 1), np.float32),
        "mask": np.full((2, 1), 0xFFFFFFFE, np.uint32), "value": np.array([[1, 2], [10, 20]], np.float64),
    }  # fmt: skip
    return structures.Forest(**{**arrays, **other}, width=width)


def test_trees_are_asked_with_as_many_features_as_they_have() -> None:
    asked: Any = np.array([[0, 0], [1, 0], [np.nan, 0]], np.float32)
    assert native.trees(forest(), asked).tolist() == [11, 22, 22]
    for wrong in (
        asked[:, :1].copy(),
        np.zeros((3, 3), np.float32),
        asked.astype(np.float64),
        np.asfortranarray(asked),
    ):
        with pytest.raises(AssertionError):
            native.trees(forest(), wrong)


@pytest.mark.parametrize(
    "other",
    [
        {"feature": np.zeros((1, 1), np.int32)},
        {"feature": np.zeros((2, 2), np.int32)},
        {"feature": np.zeros((2, 1), np.int64)},
        {"threshold": np.zeros((2, 2), np.float32)},
        {"threshold": np.zeros((2, 1), np.float64)},
        {"mask": np.zeros((1, 1), np.uint32)},
        {"mask": np.zeros((2, 1), np.int32)},
        {"value": np.zeros((1, 2), np.float64)},
        {"value": np.zeros((2, 2), np.float32)},
        {"value": np.asfortranarray(np.zeros((2, 2), np.float64))},
    ],
)
def test_the_arrays_of_trees_fit_each_other(other: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        forest(**other)


def test_a_question_s_arrays_have_one_length() -> None:
    ids, idf, flags = np.zeros(2, np.uint32), np.zeros(2, np.float32), np.zeros(2, np.uint8)
    with pytest.raises(AssertionError, match="one length"):
        structures.Asked(ids, idf, idf[:1], flags, (1, 1), 1.2, 0.75)


def test_features_are_of_one_value_for_each_row_and_article() -> None:
    three, shared = np.zeros(3, np.float32), np.zeros((3, 6), np.float32)
    for of_rows, japanese in [
        ((three, three, three[:2], shared, shared), [True, False]),
        ((three, three, three, shared[:2], shared), [True, False]),
        ((three, three, three, shared, shared), [True]),
    ]:
        with pytest.raises(AssertionError, match="one value"):
            native.features(np.array([0, 0, 1]), of_rows, three[:2], np.array(japanese), structures.Scale())


@pytest.mark.parametrize("group", [[0, 0, 2], [0, -1, 1], [2**62, 0, 0]])
def test_a_row_of_an_article_that_is_not_there_is_damage(group: list[int]) -> None:
    three, shared = np.zeros(3, np.float32), np.zeros((3, 6), np.float32)
    scale = structures.Scale(1, 1, 0, 1, 0, 1, (0, 0), (1, 1), 0, 0, 0)
    with pytest.raises(structures.Damaged):
        native.features(
            np.array(group), (three, three, three, shared, shared), three[:2], np.array([True, False]), scale
        )


def test_features_of_cosines_that_are_no_number_are_features() -> None:
    """A vector may be damaged; its file's checksum says so, the ranking goes on."""
    n = 500
    odd = np.tile(np.array([0.5, np.nan, np.inf, -np.inf], np.float32), n // 4)
    none, shared = np.zeros(n, np.float32), np.zeros((n, 6), np.float32)
    scale = structures.Scale(1, 1, 0, 1, 0, 1, (0, 0), (1, 1), 0, 0, 0)
    found = native.features(np.arange(n), (none, none, odd, shared, shared), odd, np.ones(n, bool), scale)
    assert found.shape == (n, structures.FEATURES)
    assert sorted(found[:, 21].tolist(), reverse=True) == pytest.approx([1 / (10 + place) for place in range(n)])


def test_eight_threads_get_the_same_products() -> None:
    vectors, questions = matrix(400, 384), matrix(16, 384, 2)
    expected = [native.dots(vectors, np.arange(400), question).tobytes() for question in questions]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda question: native.dots(vectors, np.arange(400), question).tobytes(), [*questions] * 30)
        assert list(found) == expected * 30


# Missing, or of another version


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the library is looked for, in this process and in those of the command line; there is none."""
    library = tmp_path / "_core.so"
    monkeypatch.setattr(native, "LIBRARY", library)
    monkeypatch.setattr(native, "_library", native._library.__wrapped__)
    return library


def other_version(library: Path) -> None:
    """A library that says to be of version 99."""
    source = library.with_suffix(".c")
    source.write_text("int kb_version(void) { return 99; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)


def foreign(library: Path) -> None:
    """A library of something else."""
    source = library.with_suffix(".c")
    source.write_text("int answer(void) { return 42; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda _: None, ""),
    "empty": (lambda library: library.write_bytes(b""), ""),
    "text": (lambda library: library.write_text("x" * 5000), ""),
    "a folder": (lambda library: library.mkdir(), ""),
    "foreign": (foreign, "kb_version"),
    "of another version": (other_version, f"it is of version 99, not {native.VERSION}"),
}
NEEDS_COMPILER = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=NEEDS_COMPILER if kind in {"foreign", "of another version"} else ()) for kind in WRONG],
)
def test_a_library_that_is_not_ours_is_an_error_that_says_how_to_go_on(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, reason = WRONG[kind]
    library = tmp_path / "_core.so"
    make(library)
    monkeypatch.setattr(native, "LIBRARY", library)
    monkeypatch.setattr(native, "_library", native._library.__wrapped__)
    with pytest.raises(NativeMissing) as raised:
        native.dots(matrix(1, 1), np.array([0]), matrix(1, 1)[0])
    assert isinstance(raised.value, KbSearchError)
    assert raised.value.library == str(library)
    assert reason in raised.value.reason
    assert str(raised.value).startswith(f"The compiled part of kbsearch cannot be loaded ({library}: ")
    assert "pip install" in str(raised.value)


def test_the_library_that_is_installed_is_of_the_version_that_is_asked_for() -> None:
    assert ctypes.CDLL(str(native.LIBRARY)).kb_version() == native.VERSION


def test_every_function_that_is_called_is_in_the_library() -> None:
    library = ctypes.CDLL(str(native.LIBRARY))
    assert [name for name in FUNCTIONS if not hasattr(library, name)] == []


def test_a_search_without_the_library_raises_it(index: Path, elsewhere: Path) -> None:
    kb = KnowledgeBase.open(index)
    for mode in ("hybrid", "lexical", "dense"):
        with pytest.raises(NativeMissing, match=str(elsewhere)):
            kb.search("返品の送料", mode=mode)


@pytest.mark.parametrize("options", [[], ["--json"], ["--mode", "lexical"]])
def test_a_search_on_the_command_line_without_the_library_ends_with_32_and_one_sentence(
    index: Path, kbsearch: RunKbsearch, tmp_path: Path, options: list[str]
) -> None:
    """A copy of the package without its compiled part comes first."""
    bare = tmp_path / "bare" / "kbsearch"
    shutil.copytree(native.LIBRARY.parent, bare, ignore=shutil.ignore_patterns("*.so"))
    ended = kbsearch("search", "返品の送料", "-i", index, *options, PYTHONPATH=str(bare.parent))
    assert (ended.returncode, ended.stdout) == (32, "")
    assert ended.stderr.startswith(f"error: The compiled part of kbsearch cannot be loaded ({bare / '_core.so'}: ")
    assert "pip install" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


# How it is built


class Interface:
    """Of hatchling's build hooks, which only an installation has at hand."""

    root, target_name = "", "wheel"

    def __class_getitem__(cls, _: object) -> type:
        return cls


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``hatch_build.py``, which no package holds."""
    name = "hatchling.builders.hooks.plugin.interface"
    monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(BuildHookInterface=Interface))
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dependencies(hook: Any) -> list[str]:
    found: list[str] = hook.CoreBuildHook().dependencies()
    return found


def test_a_compiler_comes_from_pypi_where_the_system_has_none(
    hook: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert dependencies(hook) == ["ziglang>=0.13"]


@pytest.mark.parametrize("name", ["cc", "gcc", "clang"])
def test_a_compiler_of_the_system_is_taken(
    hook: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).touch(0o755)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert dependencies(hook) == []
    assert hook._system_compiler() == [str(tmp_path / name)]


def test_the_compiler_that_cc_names_comes_first(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "ccache 'my gcc' -m64")
    assert dependencies(hook) == []
    assert hook._system_compiler() == ["ccache", "my gcc", "-m64"]


def test_the_compiler_from_pypi_is_asked_in_this_python(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "ziglang" else None)
    assert hook._packaged_compiler() == [sys.executable, "-m", "ziglang", "cc"]


def test_without_any_compiler_the_installation_says_what_is_missing(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RuntimeError, match="install a C compiler, or the package ziglang"):
        hook._packaged_compiler()


def wheel(hook: Any, root: Path) -> dict[str, Any]:
    """Build the compiled part for a wheel; what the hook told the builder."""
    builder = hook.CoreBuildHook()
    builder.root = str(root)
    told: dict[str, Any] = {"artifacts": []}
    builder.initialize("standard", told)
    return told


def copied_sources(root: Path) -> list[Path]:
    """Copies of all that is compiled, in their folders."""
    copies = [root / source.relative_to(ROOT) for source in SOURCES]
    for source, copy in zip(SOURCES, copies, strict=True):
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)
    return copies


@NEEDS_COMPILER
def test_a_wheel_is_of_this_platform_and_of_any_python(
    hook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    sources = copied_sources(tmp_path)
    told = wheel(hook, tmp_path)
    assert told["artifacts"] == ["kbsearch/_core.so"]
    assert told["pure_python"] is False
    assert told["tag"].startswith("py3-none-")
    library = tmp_path / "kbsearch" / "_core.so"
    assert sorted(file for file in tmp_path.rglob("*") if file.is_file()) == sorted([library, *sources])
    built = ctypes.CDLL(str(library))
    assert (built.kb_version(), built.kb_embed_version()) == (native.VERSION, pieces.VERSION)
    assert all(hasattr(built, name) for name in FUNCTIONS)


@NEEDS_COMPILER
def test_a_compilation_that_fails_leaves_the_old_library(
    hook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    sources = copied_sources(tmp_path)
    for source in sources:
        source.write_text("this is no C")
    library = tmp_path / "kbsearch" / "_core.so"
    library.write_bytes(b"old")
    with pytest.raises(subprocess.CalledProcessError):
        wheel(hook, tmp_path)
    assert library.read_bytes() == b"old"
    assert sorted(file for file in tmp_path.rglob("*") if file.is_file()) == sorted([library, *sources])


@NEEDS_COMPILER
def test_the_sources_compile_without_a_warning(tmp_path: Path) -> None:
    checks = ["-Wall", "-Wextra", "-Werror", "-Wno-attributes"]
    sources = [source for source in SOURCES if source.suffix == ".c"]
    done = subprocess.run(
        ["cc", "-std=gnu11", "-O3", "-fPIC", "-shared", *checks, "-o", tmp_path / "core.so", *sources, "-lm"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


STRUCTURES: dict[str, type[ctypes.Structure]] = {
    "kb_tokens": structures.Tokens, "kb_part": structures.Part, "kb_corpus": structures.Corpus,
    "kb_headings": structures.Headings,
    "kb_postings": structures.Postings, "kb_lexicon": structures.Lexicon,
    "kb_question": structures.Asked,
    "kb_way": structures.Way, "kb_scale": structures.Scale, "kb_forest": structures.Forest,
}  # fmt: skip


@NEEDS_COMPILER
def test_python_and_c_agree_on_numbers_and_structures(tmp_path: Path) -> None:
    """Sizes, and where each field begins: a field that moves in one of them is read as another."""
    expected = {
        "KB_FEATURES": structures.FEATURES, "KB_HEAD": structures.HEAD, "KB_GRAM": structures.GRAM,
        "KB_ASCII": structures.ASCII,
        "sizeof(kb_text)": 4 * structures.TEXT, "sizeof(kb_row)": 4 * structures.ROW,
        "sizeof(kb_piece)": 4 * structures.PIECE,
        "sizeof(kb_match)": structures.MATCH.itemsize,
    }  # fmt: skip
    for name, structure in STRUCTURES.items():
        expected[f"sizeof({name})"] = ctypes.sizeof(structure)
        for field in structure._fields_:
            expected[f"offsetof({name}, {field[0]})"] = getattr(structure, field[0]).offset
    lines = "".join(f'printf("%ld\\n", (long)({what}));\n' for what in expected)
    source, program = tmp_path / "sizes.c", tmp_path / "sizes"
    source.write_text(f'#include <stddef.h>\n#include <stdio.h>\n#include "core.h"\nint main(void) {{\n{lines}}}\n')
    subprocess.run(["cc", "-std=gnu11", "-I", PACKAGE / "core", "-o", program, source], check=True)
    told = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
    assert dict(zip(expected, map(int, told), strict=True)) == expected


def test_a_source_distribution_compiles_nothing(hook: Any, tmp_path: Path) -> None:
    builder = hook.CoreBuildHook()
    builder.root, builder.target_name = str(tmp_path), "sdist"
    told: dict[str, Any] = {"artifacts": []}
    builder.initialize("standard", told)
    assert told == {"artifacts": []}
