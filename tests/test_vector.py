"""The dense leg against plain NumPy, exact and by derived indexes, in two scripts; ties, filters, files, damage."""

from __future__ import annotations

import gc
import json
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import faiss
import nearness
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbsearch import native, vector
from kbsearch.errors import IndexCorrupt
from kbsearch.vector import DenseReport, VectorIndex, files, recall, write_graphs, write_vectors
from kbsearch.vector import codes as codes_module
from kbsearch.vector import graph as graph_module
from kbsearch.vector import scan as scan_module
from kbsearch.vector.codes import write_codes
from kbsearch.vector.compiled import Allowed, Dense, Nibbles, Script, near
from kbsearch.vector.recall import Neighbours, spread_sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray

    OpenIndex = Callable[..., VectorIndex]
    Doubles = NDArray[np.float64]

FLAT = DenseReport()
EXACT = ("flat", "sq8")
APPROXIMATE = ("sq4", "hnsw")
LIMITS = {"flat": (10**9, 0, 0), "sq8": (0, 10**9, 0), "sq4": (300, 300, 10**9), "hnsw": (300, 300, 300)}
"""Up to how many rows a part is compared, has codes of eight bits and of four, so that more than 300 are of a kind."""


def every_third(rows: int) -> NDArray[np.bool_]:
    """Rows that are Japanese, when nothing else is said."""
    japanese: NDArray[np.bool_] = np.arange(rows) % 3 == 0
    return japanese


SCRIPTS: dict[str, Callable[[int], NDArray[np.bool_]]] = {
    "both": every_third,
    "Japanese": lambda rows: np.ones(rows, dtype=bool),
    "other": lambda rows: np.zeros(rows, dtype=bool),
}


def unit(random: np.random.Generator, rows: int, dimension: int = 24, middle: FloatArray | None = None) -> FloatArray:
    """Random unit vectors, around ``middle`` if given."""
    vectors = random.standard_normal((rows, dimension)).astype(np.float32)
    if middle is not None:
        vectors += 6 * middle
    normal: FloatArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normal


def best(
    vectors: FloatArray, query: FloatArray, k: int, mask: NDArray[np.bool_] | None = None
) -> tuple[RowArray, NDArray[np.float64]]:
    """The exact answer: all products in double precision, sorted."""
    scores = vectors.astype(np.float64) @ query.astype(np.float64)
    rows = np.arange(len(vectors)) if mask is None else np.flatnonzero(mask)
    order = np.lexsort((rows, -scores[rows]))[:k]
    return rows[order], scores[rows[order]]


def save(file: Path, vectors: FloatArray) -> None:
    write_vectors(file, [vectors], vectors.shape)


@pytest.fixture
def open_index(tmp_path: Path) -> OpenIndex:
    """Write vectors and what is derived from them, and open them."""

    def opened(vectors: FloatArray, japanese: NDArray[np.bool_] | None = None) -> VectorIndex:
        if japanese is None:
            japanese = every_third(len(vectors))
        save(tmp_path / "vectors.npy", vectors)
        shutil.rmtree(tmp_path / "dense", ignore_errors=True)
        report = write_graphs(tmp_path / "dense", vectors, japanese)
        return VectorIndex(tmp_path / "vectors.npy", tmp_path / "dense", report, japanese)

    return opened


@pytest.fixture(autouse=True, scope="module")
def one_core() -> Iterator[None]:
    """Graphs are the same each time, and small ones are built sooner than threads have met."""
    cores = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(cores)


def set_limits(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Parts of more than 300 rows are searched in one way."""
    for name, limit in zip(("FLAT_LIMIT", "CODES_LIMIT", "SCAN_LIMIT"), LIMITS[kind], strict=True):
        monkeypatch.setattr(vector, name, limit)


@pytest.fixture(params=EXACT)
def exact(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Compare all rows, or their codes."""
    set_limits(monkeypatch, request.param)
    kind: str = request.param
    return kind


@pytest.fixture(params=APPROXIMATE)
def approximate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Scan 4-bit codes, or walk a graph, from 300 rows of a script on."""
    set_limits(monkeypatch, request.param)
    kind: str = request.param
    return kind


@pytest.fixture(params=[*EXACT, *APPROXIMATE])
def any_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Any way of a search, from 300 rows of a script on."""
    set_limits(monkeypatch, request.param)
    kind: str = request.param
    return kind


# Which way is taken


@pytest.mark.parametrize(
    ("rows", "kind", "names"),
    [
        (0, "flat", []),
        (1, "flat", []),
        (120, "flat", []),
        (121, "sq8", ["other"]),
        (240, "sq8", ["other"]),
        (241, "sq4", ["other"]),
        (360, "sq4", ["other"]),
        (361, "hnsw", ["other.faiss"]),
    ],
)
def test_the_more_rows_the_less_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, kind: str, names: list[str]
) -> None:
    for name, limit in (("FLAT_LIMIT", 120), ("CODES_LIMIT", 240), ("SCAN_LIMIT", 360)):
        monkeypatch.setattr(vector, name, limit)
    report = write_graphs(tmp_path / "dense", unit(np.random.default_rng(2), rows), np.zeros(rows, dtype=bool))
    assert report.kinds == (kind, "flat")
    assert sorted(file.name for file in (tmp_path / "dense").iterdir()) == names
    assert (report.reach[0] > 0, report.reach[1]) == (kind in APPROXIMATE, 0)
    if kind in EXACT:
        assert report.recall_at_100 == 1


def test_the_limits_ascend() -> None:
    assert 0 < vector.FLAT_LIMIT < vector.CODES_LIMIT < vector.SCAN_LIMIT


def test_each_script_goes_its_own_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever two meet, both answer as one ranking, and the manifest holds what is needed to open them."""
    for name, limit in (("FLAT_LIMIT", 100), ("CODES_LIMIT", 200), ("SCAN_LIMIT", 300)):
        monkeypatch.setattr(vector, name, limit)
    random = np.random.default_rng(21)
    sizes = {"flat": 60, "sq8": 160, "sq4": 260, "hnsw": 360}
    for own, other in product(sizes, sizes):
        vectors = unit(random, sizes[own] + sizes[other])
        japanese = random.permutation(len(vectors)) < sizes[own]
        save(tmp_path / "vectors.npy", vectors)
        folder = tmp_path / f"{own} {other}"
        report = write_graphs(folder, vectors, japanese)
        assert report.kinds == (other, own)
        read = DenseReport.of(json.loads(json.dumps(asdict(report))))
        assert read == report
        index = VectorIndex(tmp_path / "vectors.npy", folder, read, japanese)
        assert index.approximate == any(kind in APPROXIMATE for kind in report.kinds)
        for query in unit(random, 3):
            assert index.search(query, 8)[0].tolist() == best(vectors, query, 8)[0].tolist()


# Exact search


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("rows", [1, 2, 10, 117, 1000])
@pytest.mark.parametrize("k", [1, 10, 100, 5000])
@pytest.mark.parametrize("scripts", SCRIPTS)
def test_an_exact_search_is_what_numpy_finds(open_index: OpenIndex, scripts: str, rows: int, k: int) -> None:
    random = np.random.default_rng(rows)
    vectors = unit(random, rows)
    index = open_index(vectors, SCRIPTS[scripts](rows))
    assert not index.approximate
    for query in unit(random, 10):
        found, scores = index.search(query, k)
        expected, expected_scores = best(vectors, query, k)
        assert found.tolist() == expected.tolist()
        np.testing.assert_allclose(scores, expected_scores, atol=1e-6)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("scripts", SCRIPTS)
def test_an_exact_search_under_a_filter_is_what_numpy_finds(open_index: OpenIndex, scripts: str, share: float) -> None:
    random = np.random.default_rng(3)
    vectors = unit(random, 2001)  # no multiple of eight: the last byte of the bitmap is half full
    index = open_index(vectors, SCRIPTS[scripts](2001))
    for query in unit(random, 10):
        mask = random.random(2001) < share
        mask[2000] = True
        found, scores = index.search(query, 30, index.restrict(mask))
        expected, expected_scores = best(vectors, query, 30, mask)
        assert found.tolist() == expected.tolist()
        np.testing.assert_allclose(scores, expected_scores, atol=1e-6)


@pytest.mark.usefixtures("exact")
def test_types_are_as_declared(open_index: OpenIndex) -> None:
    vectors = unit(np.random.default_rng(1), 5)
    index = open_index(vectors)
    for where in (None, index.restrict(np.ones(5, dtype=bool)), index.restrict(np.zeros(5, dtype=bool))):
        for rows, scores in (index.search(vectors[0], 3, where), *index.search_scripts(vectors[0], 3, where)):
            assert (rows.dtype, scores.dtype) == (np.dtype(np.int64), np.dtype(np.float32))
    assert index.score(vectors[0], np.array([1])).dtype == np.float32


@pytest.mark.usefixtures("exact")
def test_an_opposite_vector_is_found_with_a_negative_score(open_index: OpenIndex) -> None:
    index = open_index(np.array([[1, 0], [-1, 0], [0, 1]], dtype=np.float32))
    rows, scores = index.search(np.array([1, 0], dtype=np.float32), 3)
    assert rows.tolist() == [0, 2, 1]
    assert scores.tolist() == [1, 0, -1]


# Edges


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("k", [0, -3])
def test_no_row_is_wanted(open_index: OpenIndex, k: int) -> None:
    vectors = unit(np.random.default_rng(1), 5)
    rows, scores = open_index(vectors).search(vectors[0], k)
    assert (rows.tolist(), scores.tolist()) == ([], [])


@pytest.mark.usefixtures("exact")
def test_more_rows_are_wanted_than_there_are_and_none_is_padding(open_index: OpenIndex) -> None:
    vectors = unit(np.random.default_rng(1), 5)
    for k in (5, 6, 1000, 2**40):
        assert sorted(open_index(vectors).search(vectors[0], k)[0].tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.usefixtures("exact")
def test_a_filter_that_nothing_matches_has_no_row(open_index: OpenIndex) -> None:
    vectors = unit(np.random.default_rng(1), 5)
    index = open_index(vectors)
    assert index.search(vectors[0], 3, index.restrict(np.zeros(5, dtype=bool)))[0].tolist() == []


@pytest.mark.usefixtures("exact")
def test_an_empty_index_has_no_row(open_index: OpenIndex) -> None:
    index = open_index(np.empty((0, 24), dtype=np.float32))
    query = unit(np.random.default_rng(1), 1)[0]
    assert index.rows == 0
    assert index.search(query, 10)[0].tolist() == []
    assert index.search(query, 10, index.restrict(np.empty(0, dtype=bool)))[0].tolist() == []
    assert index.score(query, np.empty(0, dtype=np.int64)).tolist() == []


@pytest.mark.usefixtures("exact")
def test_score_gives_the_rows_asked_for_in_their_order(open_index: OpenIndex) -> None:
    vectors = unit(np.random.default_rng(1), 50)
    asked = np.array([7, 49, 0, 7])
    scores = open_index(vectors).score(vectors[7], asked)
    np.testing.assert_allclose(scores, vectors[asked].astype(np.float64) @ vectors[7], atol=1e-6)


# Ties


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("dimension", [7, 16, 32, 384])
def test_twins_are_both_returned_in_the_order_of_rows(open_index: OpenIndex, dimension: int) -> None:
    random = np.random.default_rng(dimension)
    vectors = unit(random, 60, dimension)
    vectors[51] = vectors[50] = vectors[9] = vectors[4]
    rows, scores = open_index(vectors).search(vectors[4], 60)
    assert rows[:4].tolist() == [4, 9, 50, 51]
    assert len(set(scores[:4].tolist())) == 1


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("dimension", [7, 16, 32, 384])
@pytest.mark.parametrize("rows", [2, 3, 5, 33, 61])
def test_equal_vectors_score_equally_wherever_they_stand(open_index: OpenIndex, dimension: int, rows: int) -> None:
    random = np.random.default_rng(rows)
    index = open_index(np.repeat(unit(random, 1, dimension), rows, axis=0))
    for query in unit(random, 5, dimension):
        assert len(set(index.score(query, np.arange(rows)).tolist())) == 1
        assert index.search(query, rows)[0].tolist() == list(range(rows))


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("k", [1, 3, 10, 50, 399, 400])
@pytest.mark.parametrize("masked", [False, True])
def test_a_tie_across_the_edge_of_k_keeps_its_first_rows(open_index: OpenIndex, k: int, masked: bool) -> None:  # noqa: FBT001
    """Rows 399, 300 and 200 are better; all others are one vector."""
    east, north = np.eye(2, 24, dtype=np.float32)
    vectors = np.tile(north, (400, 1))
    vectors[[399, 300, 200]] = east
    mask = np.arange(400) % 2 == 0 if masked else None
    order = [200, 300, 399] + [row for row in range(400) if row not in {200, 300, 399}]
    expected = [row for row in order if mask is None or mask[row]][:k]
    query = np.array([0.8, 0.6, *[0] * 22], dtype=np.float32)
    index = open_index(vectors)
    assert index.search(query, k, None if mask is None else index.restrict(mask))[0].tolist() == expected


@pytest.mark.usefixtures("exact")
def test_eight_threads_find_what_one_finds(open_index: OpenIndex) -> None:
    random = np.random.default_rng(4)
    vectors = unit(random, 1500)
    index = open_index(vectors)
    gc.collect()
    queries = unit(random, 20)
    where = index.restrict(np.arange(1500) % 2 == 0)
    expected = [[part.tobytes() for part in index.search(query, 30, where)] for query in queries]
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda query: [part.tobytes() for part in index.search(query, 30, where)], [*queries] * 20)
        assert list(answers) == expected * 20


# Codes of eight bits


def exhaustive(vectors: FloatArray, rows: RowArray, query: FloatArray, k: int) -> tuple[list[int], list[float]]:
    """The exact answer among some rows, to the last bit of the products."""
    scores = native.dots(vectors, rows, query)
    order = np.lexsort((rows, -scores))[:k]
    return rows[order].tolist(), scores[order].tolist()


def spread(random: np.random.Generator, rows: int, dimension: int) -> Doubles:
    found: Doubles = random.standard_normal((rows, dimension))
    return found


def clustered(random: np.random.Generator, rows: int, dimension: int) -> Doubles:
    """Around a few directions, at times so near that only the last bits differ."""
    middles = random.standard_normal((random.integers(1, 6), dimension))
    near = 10.0 ** -random.integers(0, 9)
    found: Doubles = middles[random.integers(0, len(middles), rows)] + near * spread(random, rows, dimension)
    return found


def duplicated(random: np.random.Generator, rows: int, dimension: int) -> Doubles:
    different: Doubles = random.standard_normal((random.integers(1, 9), dimension))
    found: Doubles = different[random.integers(0, len(different), rows)]
    return found


def constant(random: np.random.Generator, rows: int, dimension: int) -> Doubles:
    found: Doubles = np.tile(random.standard_normal(dimension), (rows, 1))
    return found


def with_zeros(random: np.random.Generator, rows: int, dimension: int) -> Doubles:
    found: Doubles = spread(random, rows, dimension) * (random.random((rows, 1)) < random.choice([0, 0.5]))
    return found


def with_outliers(random: np.random.Generator, rows: int, dimension: int) -> Doubles:
    """A few rows along one axis make the step of all codes so long that the others have one code."""
    found = constant(random, rows, dimension) + 10.0 ** -random.integers(1, 9) * spread(random, rows, dimension)
    outliers = random.random(rows) < 0.1
    found[outliers] = 0
    found[outliers, 0] = random.choice([-1, 1], np.count_nonzero(outliers))
    return found


def half_steps(random: np.random.Generator, rows: int, dimension: int) -> Doubles:
    """Opposite directions, and numbers that lie between two codes."""
    found: Doubles = random.choice([-1.0, 1.0], (rows, 1)) + random.integers(-2, 3, (rows, dimension)) / 254
    return found


SHAPES = (spread, clustered, duplicated, constant, with_zeros, with_outliers, half_steps)


def normal(vectors: Doubles) -> FloatArray:
    """Of length 1, but for zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: FloatArray = (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return found


def asked_of(random: np.random.Generator, vectors: FloatArray) -> list[FloatArray]:
    """Questions anywhere, at a row, beside it, opposite to it, and none at all."""
    row = vectors[random.integers(len(vectors))]
    beside = row + 10.0 ** -random.integers(1, 8) * random.standard_normal(row.shape)
    return [*normal(np.stack([random.standard_normal(row.shape), beside])), row.copy(), -row, np.zeros_like(row)]


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=20, deadline=None)
@given(
    dimension=st.sampled_from([1, 2, 7, 16, 33, 384]),
    size=st.integers(1, 40) | st.integers(200, 900),
    share=st.none() | st.sampled_from([0.02, 0.3, 0.9]),
    much=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_codes_lead_to_the_answer_of_an_exhaustive_comparison(
    shape: Callable[..., Doubles], dimension: int, size: int, share: float | None, much: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    vectors = normal(shape(random, size + 5, dimension))
    rows = np.sort(random.permutation(size + 5)[:size])
    with tempfile.TemporaryDirectory() as folder:
        write_codes(Path(folder) / "codes", vectors, rows)
        codes = codes_module.open_codes(Path(folder) / "codes", size, dimension)
        mask = None
        if share is not None:
            mask = random.random(size) < share
            mask[random.integers(size)] = True
        among = rows if mask is None else rows[mask]
        for query, k in product(asked_of(random, vectors), {1, min(10, len(among)), 1 + int(much * (len(among) - 1))}):
            found, scores = nearness.nearest(codes, rows, mask, vectors, query, k)
            assert (found.tolist(), scores.tolist()) == exhaustive(vectors, among, query, k)


def test_codes_are_written_in_blocks_as_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(31)
    vectors, rows = unit(random, 500), np.sort(random.permutation(500)[:333])
    write_codes(tmp_path / "one", vectors, rows)
    monkeypatch.setattr(files, "_BLOCK", 50)
    write_codes(tmp_path / "blocks", vectors, rows)
    for name in ("codes.npy", "errors.npy", "frame.npy"):
        one, blocks = (np.load(tmp_path / folder / name) for folder in ("one", "blocks"))
        assert one.dtype == blocks.dtype
        np.testing.assert_allclose(one, blocks, atol=1e-6)


def test_no_row_is_farther_from_its_code_than_its_error(tmp_path: Path) -> None:
    for number, (shape, dimension) in enumerate(product(SHAPES, (1, 7, 384))):
        vectors = normal(shape(np.random.default_rng(number), 200, dimension))
        folder = tmp_path / str(number)
        write_codes(folder, vectors, np.arange(200))
        codes, errors, frame = (np.load(folder / f"{name}.npy").astype(np.float64) for name in CODE_FILES)
        far = np.linalg.norm(vectors - frame[0] - frame[1] * codes, axis=1)
        assert (far <= errors[:, 0]).all()
        assert (errors[:, 0] <= np.linalg.norm(frame[1]) * 0.501 + 1e-6).all(), "no farther than half a step"


def test_far_rows_are_not_read(tmp_path: Path) -> None:
    """Nine of ten of the vectors may change behind the codes, and the answer is as before."""
    random = np.random.default_rng(32)
    vectors, query = unit(random, 5000, 384), unit(random, 1, 384)[0]
    rows = np.arange(5000)
    write_codes(tmp_path / "codes", vectors, rows)
    expected = exhaustive(vectors, rows, query, 20)
    cosines = vectors @ query
    changed = vectors.copy()
    changed[cosines < np.sort(cosines)[-500]] = query
    found, scores = nearness.nearest(
        codes_module.open_codes(tmp_path / "codes", 5000, 384), rows, None, changed, query, 20
    )
    assert (found.tolist(), scores.tolist()) == expected


CODE_FILES = ("codes", "errors", "frame")


def open_codes(folder: Path) -> VectorIndex:
    report = DenseReport(("flat", "sq8"))
    return VectorIndex(folder / "vectors.npy", folder / "dense", report, np.ones(200, dtype=bool))


@pytest.fixture
def coded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FloatArray:
    """Two hundred Japanese rows by codes."""
    set_limits(monkeypatch, "sq8")
    vectors = unit(np.random.default_rng(33), 200)
    save(tmp_path / "vectors.npy", vectors)
    write_graphs(tmp_path / "dense", vectors, np.ones(200, dtype=bool))
    return vectors


@pytest.mark.usefixtures("coded")
@pytest.mark.parametrize("name", CODE_FILES)
def test_a_short_long_missing_or_foreign_file_of_codes_is_damage(tmp_path: Path, name: str) -> None:
    file = tmp_path / "dense" / "japanese" / f"{name}.npy"
    open_codes(tmp_path)
    content, values = file.read_bytes(), np.load(file)
    cuts = [content[:size] for size in (0, 1, 6, 20, 100, 127, 128, len(content) - 1)]
    for wrong in (*cuts, content + b"\0", b"no codes at all" * 50, content.replace(b"descr", b"descs")):
        file.write_bytes(wrong)
        with pytest.raises(IndexCorrupt) as raised:
            open_codes(tmp_path)
        assert raised.value.file == str(file)
    other_types = [values.astype(dtype) for dtype in (np.float64, np.float16, np.int16, np.uint8, ">f4")]
    other_shapes = [
        values[:-1], values[:, :-1], values[:0], values[:, :0], values.ravel(), values[np.newaxis],
        np.concatenate([values, values]), np.concatenate([values, values], axis=1), np.asfortranarray(values),
        np.float32(1), np.array([{"a": 1}]),
    ]  # fmt: skip
    for other in (*other_types, *other_shapes):
        np.save(file, other, allow_pickle=True)
        if file.read_bytes() != content:
            with pytest.raises(IndexCorrupt):
                open_codes(tmp_path)
    file.unlink()
    with pytest.raises(IndexCorrupt):
        open_codes(tmp_path)


def test_codes_of_more_or_fewer_rows_are_damage(tmp_path: Path, coded: FloatArray) -> None:
    """All three files fit each other, and not the vectors."""
    dense = tmp_path / "dense"
    for wrong in (coded[:199], np.concatenate([coded, coded[:1]]), coded[:, :23].copy(), np.repeat(coded, 2, axis=1)):
        shutil.rmtree(dense / "japanese")
        write_codes(dense / "japanese", wrong, np.arange(len(wrong)))
        with pytest.raises(IndexCorrupt) as raised:
            open_codes(tmp_path)
        assert raised.value.file == str(dense / "japanese")


def test_flipped_bytes_of_codes_lead_to_rows_that_are_there(tmp_path: Path, coded: FloatArray) -> None:
    """The checksum tells; until then a search goes on."""
    random = np.random.default_rng(34)
    for name in CODE_FILES:
        file = tmp_path / "dense" / "japanese" / f"{name}.npy"
        content = file.read_bytes()
        for _ in range(60):
            wrong = bytearray(content)
            for place in random.integers(128, len(content), random.choice([1, 5, 400])):
                wrong[place] = random.integers(256) & 0x3F  # no number beyond 2, nor below -2
            file.write_bytes(wrong)
            index = open_codes(tmp_path)
            mask = random.random(200) < 0.5
            for where, k in ((None, 200), (None, 10), (index.restrict(mask), 10)):
                rows, scores = index.search(coded[0], k, where)
                assert len(set(rows.tolist())) == k
                assert set(rows.tolist()) <= set(range(200))
                assert where is None or mask[rows].all()
                assert scores.tolist() == index.score(coded[0], rows).tolist()
        file.write_bytes(content)


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("much", [1, 0.1, 0.002])
def test_vectors_that_are_no_numbers_crash_nothing(open_index: OpenIndex, any_kind: str, much: float) -> None:
    """An encoder may be broken, or a file damaged."""
    random = np.random.default_rng(35)
    vectors = unit(random, 1000)
    if any_kind in EXACT:
        vectors[random.random(1000) < much] = np.nan
        index = open_index(vectors)
    else:
        index = open_index(vectors)  # FAISS refuses to train with such vectors, so they come later
        changed = vectors.copy()
        changed[random.random(1000) < much] = np.nan
        index._dense = Dense(index._dense.held[0], changed)
    for query in (unit(random, 1)[0], vectors[0], np.full(24, np.nan, dtype=np.float32)):
        for where in (None, index.restrict(np.arange(1000) % 2 == 0)):
            rows, _ = index.search(query, 10, where)
            assert len(set(rows.tolist())) == len(rows) == 10
            assert set(rows.tolist()) <= set(range(1000))


# Recall, as it is measured


@pytest.mark.parametrize("rows", [40, 100, 101, 333, 1000])
@pytest.mark.parametrize("block", [7, 99, 100, 250, 20_000])
def test_the_share_that_is_found_is_the_recall_of_numpy(monkeypatch: pytest.MonkeyPatch, rows: int, block: int) -> None:
    """Of a search that finds some of the neighbours, and pads; whatever fits into memory at once."""
    monkeypatch.setattr(files, "_BLOCK", block)
    random = np.random.default_rng(rows)
    vectors = unit(random, rows + 200)
    of_part = np.sort(random.permutation(rows + 200)[:rows])
    kept = random.random(rows) < 0.7

    def search(questions: FloatArray) -> RowArray:
        order = np.argsort(-(questions @ vectors[of_part].T), axis=1)[:, :150]
        return np.where(kept[order], order, -1)

    asked = vectors[of_part[np.linspace(0, rows - 1, min(rows, 200)).astype(int)]]
    at = min(100, rows)
    exact = np.argsort(-(asked @ vectors[of_part].T), axis=1)[:, :at]
    hits = [len(set(neighbours) & set(found)) for neighbours, found in zip(exact, search(asked), strict=True)]
    neighbours_of = Neighbours.of(vectors, of_part)
    questions = neighbours_of.questions
    assert neighbours_of.share(search(questions)) == round(sum(hits) / (at * len(asked)), 4)
    assert neighbours_of.share(np.full((len(questions), 3), -1)) == 0
    assert neighbours_of.share(np.tile(np.arange(rows), (len(questions), 1))) == 1


@pytest.mark.parametrize("block", [100, 999, 20_000])
def test_of_twins_the_first_are_the_neighbours(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """As a search ranks them: boilerplate must not look as if it were missed."""
    monkeypatch.setattr(files, "_BLOCK", block)
    vectors = unit(np.random.default_rng(3), 3000, 64)
    vectors[500:900] = vectors[100]
    found = Neighbours.of(vectors, np.arange(3000))
    twins = [100, *range(500, 599)]
    asked = [number for number, row in enumerate(spread_sample(np.arange(3000), 200)) if row == 100 or 500 <= row < 900]
    assert len(asked) > 20
    for number in asked:
        assert sorted(found.places[number].tolist()) == twins


@pytest.mark.parametrize("rows", [1, 2, 199, 200, 201, 1000])
@pytest.mark.parametrize("size", [1, 2, 200])
def test_a_sample_is_spread_over_all_rows(rows: int, size: int) -> None:
    all_rows = np.arange(rows) * 3 + 1
    sample = spread_sample(all_rows, size)
    assert len(sample) == min(rows, size)
    assert set(sample) <= set(all_rows)
    assert (np.diff(sample) > 0).all()
    if size > 1:
        assert (sample[0], sample[-1]) == (all_rows[0], all_rows[-1])
        assert np.ptp(np.diff(sample)) <= 3 if len(sample) > 1 else True


# Scans of four bits, and graphs


@pytest.mark.usefixtures("approximate")
def test_a_derived_index_finds_what_numpy_finds(open_index: OpenIndex) -> None:
    random = np.random.default_rng(5)
    vectors = unit(random, 5000)
    index = open_index(vectors)
    assert index.approximate
    hits = 0
    for query in unit(random, 30):
        rows, scores = index.search(query, 20)
        expected, expected_scores = best(vectors, query, 20)
        hits += len(np.intersect1d(rows, expected))
        np.testing.assert_allclose(scores, vectors[rows].astype(np.float64) @ query, atol=1e-6)  # scored exactly
        assert np.lexsort((rows, -scores)).tolist() == list(range(20))
        np.testing.assert_allclose(scores[0], expected_scores[0], atol=1e-6)
    assert hits / (30 * 20) > 0.98


def test_the_recall_of_a_graph_in_the_report_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_limits(monkeypatch, "hnsw")
    vectors = unit(np.random.default_rng(5), 3000, 64)
    good = write_graphs(tmp_path / "good", vectors, every_third(3000))
    assert good.kinds == ("hnsw", "hnsw")
    assert 0.95 < good.recall_at_100 <= 1
    monkeypatch.setattr(graph_module, "LINKS", 2)
    monkeypatch.setattr(graph_module, "EF_CONSTRUCTION", 4)
    monkeypatch.setattr(graph_module, "_EFS", (4,))
    bad = write_graphs(tmp_path / "bad", vectors, every_third(3000))
    assert bad.recall_at_100 < good.recall_at_100 - 0.2
    assert bad.reach == (4, 4)


def test_the_recall_of_a_scan_in_the_report_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_limits(monkeypatch, "sq4")
    vectors = unit(np.random.default_rng(5), 3000, 64)
    good = write_graphs(tmp_path / "good", vectors, every_third(3000))
    assert good.kinds == ("sq4", "sq4")
    assert 0.98 <= good.recall_at_100 <= 1
    monkeypatch.setattr(scan_module, "_REACHES", (150,))
    monkeypatch.setattr(scan_module, "_WIDTH", 40.0)
    bad = write_graphs(tmp_path / "bad", vectors, every_third(3000))
    assert bad.recall_at_100 < 0.7, "steps so coarse tell only on which side of its mean a number is"
    assert bad.reach == (150, 150)


def test_the_report_has_the_recall_of_the_worse_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_limits(monkeypatch, "sq4")
    monkeypatch.setattr(recall, "AT", 100)
    monkeypatch.setattr(scan_module, "_REACHES", (150,))
    monkeypatch.setattr(scan_module, "_WIDTH", 40.0)
    vectors = unit(np.random.default_rng(5), 700)
    for japanese in (np.arange(700) < 200, np.arange(700) >= 200):
        report = write_graphs(tmp_path / str(japanese[0]), vectors, japanese)
        assert sorted(report.kinds) == ["flat", "sq4"]
        assert report.recall_at_100 < 0.9


@pytest.mark.parametrize(
    ("kind", "module", "reaches"), [("hnsw", graph_module, (128, 768)), ("sq4", scan_module, (150, 2000))]
)
def test_a_search_goes_as_far_as_the_recall_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, module: object, reaches: tuple[int, int]
) -> None:
    """The first reach that finds enough, or the greatest where none does."""
    set_limits(monkeypatch, kind)
    vectors = unit(np.random.default_rng(5), 1000)
    found = []
    for wanted in (0.0, 1.01):
        monkeypatch.setattr(module, "_RECALL", wanted)
        found.append(write_graphs(tmp_path / str(wanted), vectors, np.zeros(1000, dtype=bool)).reach)
    assert found == [(reach, 0) for reach in reaches]


@pytest.mark.parametrize("kind", APPROXIMATE)
def test_a_question_of_one_script_looks_less_far_into_the_other(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    set_limits(monkeypatch, kind)
    monkeypatch.setattr(scan_module, "_REACHES", (400,))
    monkeypatch.setattr(graph_module, "_EFS", (160,))
    random = np.random.default_rng(16)
    vectors = unit(random, 1400, 64)
    index = open_index(vectors, np.arange(1400) < 700)
    questions = unit(random, 30, 64)
    exact = [{*best(vectors, query, 80, np.arange(1400) // 700 == half)[0]} for query in questions for half in (1, 0)]

    def found(*, japanese: bool | None) -> list[float]:
        """Shares of the exact neighbours, of the others and of Japanese rows."""
        hits = [
            len({*rows.tolist()} & exact[2 * number + script]) / 80
            for number, query in enumerate(questions)
            for script, (rows, _) in enumerate(index.search_scripts(query, 80, japanese=japanese))
        ]
        return [float(np.mean(hits[script::2])) for script in (0, 1)]

    thorough = found(japanese=None)
    assert found(japanese=False)[0] == thorough[0] > found(japanese=True)[0] > 0.5
    assert found(japanese=True)[1] == thorough[1] > found(japanese=False)[1] > 0.5


@pytest.mark.parametrize("dimension", [7, 63, 64, 65, 127, 128, 129, 200, 385])
@pytest.mark.parametrize("share", [None, 0.4])
def test_four_bits_are_compared_at_any_width(tmp_path: Path, dimension: int, share: float | None) -> None:
    """Two dimensions share a byte, and a processor takes up to 64 bytes at once: nothing is left out, nothing added."""
    random = np.random.default_rng(dimension)
    vectors, rows = unit(random, 9000, dimension), np.sort(random.permutation(9000)[:8500])
    reach, recall_of_passages = scan_module.write_scan(tmp_path / "codes", vectors, rows)
    assert recall_of_passages >= 0.98
    codes = scan_module.open_scan(tmp_path / "codes", 8500, dimension)
    allowed = None if share is None else random.random(8500) < share
    among = rows if allowed is None else rows[allowed]
    hits = 0
    for query in unit(random, 20, dimension):
        found, scores = nearness.by(codes, reach, rows, allowed, vectors, query, 50)
        assert scores.tolist() == native.dots(vectors, found, query).tolist()
        hits += len(np.intersect1d(found, among[np.argsort(-(vectors[among] @ query))[:50]]))
    assert hits / (20 * 50) > 0.97


@pytest.mark.usefixtures("approximate")
@pytest.mark.parametrize("share", [0.0005, 0.02, 0.2, 0.9])
@pytest.mark.parametrize("few", [20_000, 0])
def test_a_derived_index_under_a_random_filter_finds_what_numpy_finds(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch, few: int, share: float
) -> None:
    """Whether the rows that may answer are few enough to be compared one by one or not."""
    monkeypatch.setattr(vector, "_FEW", few)
    random = np.random.default_rng(6)
    vectors = unit(random, 3000)
    index = open_index(vectors)
    hits = wanted = 0
    for query in unit(random, 20):
        mask = random.random(3000) < share
        mask[17] = True
        rows, scores = index.search(query, 20, index.restrict(mask))
        expected, _ = best(vectors, query, 20, mask)
        assert mask[rows].all()
        assert len(rows) == len(expected)
        np.testing.assert_allclose(scores, vectors[rows].astype(np.float64) @ query, atol=1e-6)
        hits, wanted = hits + len(np.intersect1d(rows, expected)), wanted + len(expected)
        if share < 0.05:
            assert rows.tolist() == expected.tolist()  # a small category is compared one by one
    assert hits / wanted > 0.98


@pytest.mark.usefixtures("approximate")
@pytest.mark.parametrize("far", [0.5, 0.2])
def test_a_derived_index_does_not_starve_a_filter_far_from_the_question(open_index: OpenIndex, far: float) -> None:
    """Two languages lie apart: a question among the one, a filter for the other."""
    random = np.random.default_rng(8)
    near, other = np.eye(2, 24, dtype=np.float32)
    size = int(2500 * far)
    vectors = np.concatenate([unit(random, 2500 - size, 24, near), unit(random, size, 24, other)])
    index = open_index(vectors, np.zeros(2500, dtype=bool))
    mask = np.arange(2500) >= 2500 - size
    for query in unit(random, 10, 24, near):
        expected, _ = best(vectors, query, 50, mask)
        assert index.search(query, 50, index.restrict(mask))[0].tolist() == expected.tolist()


@pytest.mark.usefixtures("approximate")
@pytest.mark.parametrize("k", [1100, 1200, 10**9])
def test_a_derived_index_asked_for_very_many_rows_gives_them_all(open_index: OpenIndex, k: int) -> None:
    vectors = unit(np.random.default_rng(9), 1200)
    expected, _ = best(vectors, vectors[0], k)
    assert open_index(vectors).search(vectors[0], k)[0].tolist() == expected.tolist()


@pytest.mark.usefixtures("approximate")
def test_a_derived_index_of_twins_answers_in_the_order_of_rows(open_index: OpenIndex) -> None:
    vectors = np.tile(unit(np.random.default_rng(9), 1), (1500, 1))
    index = open_index(vectors)
    assert index.approximate
    assert index.search(vectors[0], 10)[0].tolist() == list(range(10))
    mask = np.arange(1500) % 5 == 1
    assert index.search(vectors[0], 4, index.restrict(mask))[0].tolist() == [1, 6, 11, 16]


@pytest.mark.parametrize("alike", [9_000, 8_000, 4_097])
@pytest.mark.parametrize("k", [1, 10, 300])
def test_of_very_many_twins_the_first_are_found(tmp_path: Path, alike: int, k: int) -> None:
    """More than there is room for in a scan: those behind them are none the less looked at."""
    random = np.random.default_rng(alike)
    vectors = unit(random, 12_000, 32)
    vectors[:alike] = vectors[11_999]
    rows = np.arange(12_000)
    scan_module.write_scan(tmp_path / "codes", vectors, rows)
    codes = scan_module.open_scan(tmp_path / "codes", 12_000, 32)
    found, _ = nearness.by(codes, 200, rows, None, vectors, vectors[11_999], k)
    assert found.tolist() == list(range(k))
    query = vectors[9_500]
    found, _ = nearness.by(codes, 200, rows, None, vectors, query, k)
    assert found[0] == 9_500
    expected = best(vectors, query, k)[0]
    assert len(np.intersect1d(found, expected)) >= 0.7 * k, "steps that are made for twins are coarse for the others"


@pytest.mark.parametrize("alike", [0, 9_000])
@pytest.mark.parametrize("share", [None, 0.3, 0.001])
@pytest.mark.parametrize("middle", [13_500, 25_700, 300])
def test_two_scripts_that_both_cores_look_through_have_the_rows_of_each_alone(
    tmp_path: Path, alike: int, share: float | None, middle: int
) -> None:
    """Whoever looks at which block, at whatever time: the rows and scores are the same, and of twins the first."""
    random = np.random.default_rng(alike)
    vectors = unit(random, 26_000, 96)
    vectors[:alike] = vectors[25_999]
    rows, codes = np.split(np.arange(26_000), [middle]), list[Nibbles | None]()
    for number, own in enumerate(rows):
        if len(own) < 500:  # few are compared without codes
            codes.append(None)
            continue
        scan_module.write_scan(tmp_path / str(number), vectors, own)
        codes.append(scan_module.open_scan(tmp_path / str(number), len(own), 96))
    scripts = [Script(own, nibbles, 200) for own, nibbles in zip(rows, codes, strict=True)]
    dense = Dense((scripts[0], scripts[1]), vectors)
    masks = [np.ones(len(own), np.bool_) if share is None else random.random(len(own)) < share for own in rows]
    may = None if share is None else (Allowed(masks[0]), Allowed(masks[1]))
    questions = [vectors[25_999], vectors[20_000], *unit(random, 20, 96)]
    for query in questions:
        alone = [nearness.by(codes[s], 200, rows[s], masks[s], vectors, query, 40) for s in (0, 1)]
        for _ in range(20):
            for (found, scores), (expected, of_expected) in zip(near(dense, query, 40, may), alone, strict=True):
                assert found.tolist() == expected.tolist()
                assert scores.tolist() == of_expected.tolist()


@pytest.mark.usefixtures("approximate")
def test_a_derived_index_outlives_what_they_were_made_of(open_index: OpenIndex) -> None:
    random = np.random.default_rng(4)
    index = open_index(unit(random, 1500))
    gc.collect()
    queries = unit(random, 20)
    expected = [best(index.vectors, query, 5)[0].tolist() for query in queries]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda query: index.search(query, 5)[0].tolist(), [*queries] * 20))
    assert np.mean([answer == wanted for answer, wanted in zip(answers, expected * 20, strict=True)]) > 0.95


# Two scripts


def test_each_script_has_its_own_best_rows(open_index: OpenIndex, any_kind: str) -> None:
    """Japanese rows lie around one direction, others around another, and a question near one is answered by both."""
    random = np.random.default_rng(12)
    near, far = np.eye(2, 24, dtype=np.float32)
    vectors = np.concatenate([unit(random, 400, 24, near), unit(random, 400, 24, far)])
    index = open_index(vectors, np.arange(800) < 400)
    assert index.approximate == (any_kind in APPROXIMATE)
    query = unit(random, 1, 24, near)[0]
    other, japanese = index.search_scripts(query, 5)
    assert japanese[0].tolist() == best(vectors, query, 5, np.arange(800) < 400)[0].tolist()
    assert other[0].tolist() == best(vectors, query, 5, np.arange(800) >= 400)[0].tolist()
    assert index.search(query, 5)[0].tolist() == japanese[0].tolist()


@pytest.mark.usefixtures("exact")
def test_a_filter_holds_in_each_script(open_index: OpenIndex) -> None:
    vectors = unit(np.random.default_rng(13), 90)
    index = open_index(vectors)
    mask = np.arange(90) < 45
    other, japanese = index.search_scripts(vectors[80], 90, index.restrict(mask))
    assert sorted(japanese[0].tolist()) == list(range(0, 45, 3))
    assert sorted(other[0].tolist()) == [row for row in range(45) if row % 3]


@pytest.mark.usefixtures("approximate")
def test_a_derived_index_beside_a_comparison_is_one_ranking(open_index: OpenIndex) -> None:
    """Six hundred Japanese rows have codes or a graph, fifty others have none."""
    random = np.random.default_rng(14)
    vectors = unit(random, 650)
    index = open_index(vectors, np.arange(650) >= 50)
    assert index.approximate
    for query in unit(random, 10):
        assert index.search(query, 12)[0].tolist() == best(vectors, query, 12)[0].tolist()


@pytest.mark.parametrize("kind", [*EXACT, *APPROXIMATE])
def test_the_exact_twin_of_a_leg_compares_every_row(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    set_limits(monkeypatch, kind)
    monkeypatch.setattr(scan_module, "_REACHES", (100,))
    monkeypatch.setattr(graph_module, "LINKS", 2)
    monkeypatch.setattr(graph_module, "EF_CONSTRUCTION", 4)
    random = np.random.default_rng(15)
    vectors = unit(random, 2000, 64)
    index = open_index(vectors)
    twin = index.exact()
    assert (index.approximate, twin.approximate) == (kind in APPROXIMATE, False)
    for query in unit(random, 10, 64):
        assert twin.search(query, 100)[0].tolist() == best(vectors, query, 100)[0].tolist()
    assert index.approximate == (kind in APPROXIMATE), "and the leg itself is as it was"


# Files


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(0, 40), dimension=st.integers(1, 70), seed=st.integers(0, 2**32 - 1))
def test_what_was_written_is_read_bit_for_bit(rows: int, dimension: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "vectors.npy", vectors)
        read = VectorIndex(Path(folder) / "vectors.npy", Path(folder), FLAT, every_third(rows)).vectors
        assert (read.dtype, read.shape) == (np.dtype(np.float32), (rows, dimension))
        assert read.tobytes() == vectors.tobytes()


def test_columns_first_is_written_rows_first(tmp_path: Path) -> None:
    vectors = np.asfortranarray(unit(np.random.default_rng(2), 9))
    save(tmp_path / "vectors.npy", vectors)
    read = VectorIndex(tmp_path / "vectors.npy", tmp_path, FLAT, every_third(9)).vectors
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, vectors)


@pytest.mark.parametrize("wrong", [np.zeros((2, 3)), np.zeros(3, dtype=np.float32)])
def test_what_is_no_float32_matrix_is_not_written(tmp_path: Path, wrong: FloatArray) -> None:
    with pytest.raises(AssertionError):
        write_vectors(tmp_path / "vectors.npy", [wrong], (2, 3))


def damaged(file: Path, content: bytes, rows: int = 20) -> IndexCorrupt:
    file.write_bytes(content)
    with pytest.raises(IndexCorrupt) as raised:
        VectorIndex(file, file.parent, FLAT, every_third(rows))
    assert raised.value.file == str(file)
    return raised.value


def test_blocks_are_written_as_one_matrix_and_none_may_be_missing(tmp_path: Path) -> None:
    vectors = unit(np.random.default_rng(2), 50)
    np.save(tmp_path / "whole.npy", vectors)
    blocks = [vectors[:1], vectors[1:1], vectors[1:33], vectors[33:]]
    write_vectors(tmp_path / "blocks.npy", blocks, vectors.shape)
    assert (tmp_path / "blocks.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    for wrong in (blocks[:-1], [*blocks, vectors[:1]]):
        with pytest.raises(AssertionError):
            write_vectors(tmp_path / "blocks.npy", wrong, vectors.shape)


def test_a_short_or_long_vector_file_is_damage(tmp_path: Path) -> None:
    file = tmp_path / "vectors.npy"
    save(file, unit(np.random.default_rng(2), 20))
    content = file.read_bytes()
    for size in [*range(130), *range(130, len(content), 61), len(content) - 1]:
        damaged(file, content[:size])
    damaged(file, content + b"\0")


def test_a_changed_header_is_damage_or_harmless(tmp_path: Path) -> None:
    file = tmp_path / "vectors.npy"
    vectors = unit(np.random.default_rng(2), 500, 16)
    save(file, vectors)
    content = file.read_bytes()
    reported = 0
    for place in range(128):
        for change in (1, 4, 8, 64):
            file.write_bytes(content[:place] + bytes([content[place] ^ change]) + content[place + 1 :])
            try:
                index = VectorIndex(file, tmp_path, FLAT, every_third(500))
            except IndexCorrupt:
                reported += 1
            else:
                np.testing.assert_array_equal(index.vectors, vectors)
    assert reported > 450


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 3)), np.zeros(3, dtype=np.float32), np.zeros((2, 3, 4), dtype=np.float32)]
)
def test_a_file_of_something_else_is_damage(tmp_path: Path, wrong: FloatArray) -> None:
    np.save(tmp_path / "vectors.npy", wrong)
    damaged(tmp_path / "vectors.npy", (tmp_path / "vectors.npy").read_bytes())


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", np.array([{"a": 1}]), allow_pickle=True)
    damaged(tmp_path / "vectors.npy", (tmp_path / "vectors.npy").read_bytes())


def test_a_missing_vector_file_is_damage(tmp_path: Path) -> None:
    with pytest.raises(IndexCorrupt):
        VectorIndex(tmp_path / "vectors.npy", tmp_path, FLAT, every_third(20))


@pytest.mark.parametrize("rows", [19, 21, 0])
def test_vectors_of_more_or_fewer_rows_are_damage(tmp_path: Path, rows: int) -> None:
    file = tmp_path / "vectors.npy"
    save(file, unit(np.random.default_rng(2), 20))
    assert f"expected {rows} vectors, found 20" in str(damaged(file, file.read_bytes(), rows))


@pytest.mark.parametrize(
    ("kind", "name"), [("hnsw", "japanese.faiss"), ("sq4", "japanese/codes.npy"), ("sq4", "japanese/steps.npy")]
)
def test_a_short_missing_or_foreign_derived_index_is_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str
) -> None:
    file, folder = tmp_path / "vectors.npy", tmp_path / "dense"
    derived = folder / name
    vectors, japanese = unit(np.random.default_rng(2), 1100), np.ones(1101, dtype=bool)
    save(file, vectors)
    set_limits(monkeypatch, kind)
    report = write_graphs(folder, vectors, japanese[:1100])
    content = derived.read_bytes()
    write_graphs(tmp_path / "more", np.concatenate([vectors, vectors[:1]]), japanese)  # of other vectors
    write_graphs(tmp_path / "wider", np.hstack([vectors, vectors[:, :2]]), japanese[:1100])
    foreign = [(tmp_path / "more" / name).read_bytes(), (tmp_path / "wider" / name).read_bytes(), file.read_bytes()]
    foreign = [wrong for wrong in foreign if wrong[:100] != content[:100]]  # steps are the same of one row more
    cuts = [content[:size] for size in (0, 1, 3, 4, 20, 60, len(content) // 2, len(content) - 1)]
    for wrong in (*cuts, b"not an index at all" * 50, *foreign):
        derived.write_bytes(wrong)
        with pytest.raises(IndexCorrupt) as raised:
            VectorIndex(file, folder, report, japanese[:1100])
        assert raised.value.file in {str(derived), str(derived.parent)}
    derived.unlink()
    with pytest.raises(IndexCorrupt):
        VectorIndex(file, folder, report, japanese[:1100])
