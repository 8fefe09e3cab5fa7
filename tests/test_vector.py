"""The dense leg against plain NumPy, exact and as graphs, in two scripts; ties, filters, files, damage."""

from __future__ import annotations

import gc
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbsearch import vector
from kbsearch.errors import IndexCorrupt
from kbsearch.vector import DenseReport, VectorIndex, write_graphs, write_vectors
from kbsearch.vector import files as files_module
from kbsearch.vector import graph as graph_module
from kbsearch.vector import part as part_module
from kbsearch.vector.files import read_vectors

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray

    OpenIndex = Callable[..., VectorIndex]

FLAT = DenseReport("flat", 1.0)


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


def save(file: Path, vectors: FloatArray) -> None:
    write_vectors(file, [vectors], vectors.shape)


def graphs(folder: Path, vectors: FloatArray, japanese: NDArray[np.bool_]) -> DenseReport:
    """The graphs of vectors that nobody opens; their file lies beside the folder."""
    file = folder.with_suffix(".npy")
    save(file, vectors)
    return write_graphs(folder, file, japanese)


def best(
    vectors: FloatArray, query: FloatArray, k: int, mask: NDArray[np.bool_] | None = None
) -> tuple[RowArray, NDArray[np.float64]]:
    """The exact answer: all products in double precision, sorted."""
    scores = vectors.astype(np.float64) @ query.astype(np.float64)
    rows = np.arange(len(vectors)) if mask is None else np.flatnonzero(mask)
    order = np.lexsort((rows, -scores[rows]))[:k]
    return rows[order], scores[rows[order]]


@pytest.fixture
def open_index(tmp_path: Path) -> OpenIndex:
    """Write vectors and what is derived from them, and open them."""

    def opened(vectors: FloatArray, japanese: NDArray[np.bool_] | None = None) -> VectorIndex:
        if japanese is None:
            japanese = every_third(len(vectors))
        save(tmp_path / "vectors.npy", vectors)
        shutil.rmtree(tmp_path / "dense", ignore_errors=True)
        report = write_graphs(tmp_path / "dense", tmp_path / "vectors.npy", japanese)
        return VectorIndex(tmp_path / "vectors.npy", tmp_path / "dense", report, japanese)

    return opened


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build a graph from 300 rows of a script on."""
    monkeypatch.setattr(vector, "FLAT_LIMIT", 300)


# Exact search


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


def test_types_are_as_declared(open_index: OpenIndex) -> None:
    vectors = unit(np.random.default_rng(1), 5)
    index = open_index(vectors)
    for where in (None, index.restrict(np.ones(5, dtype=bool)), index.restrict(np.zeros(5, dtype=bool))):
        for rows, scores in (index.search(vectors[0], 3, where), *index.search_scripts(vectors[0], 3, where)):
            assert (rows.dtype, scores.dtype) == (np.dtype(np.int64), np.dtype(np.float32))
    assert index.score(vectors[0], np.array([1])).dtype == np.float32


def test_an_opposite_vector_is_found_with_a_negative_score(open_index: OpenIndex) -> None:
    index = open_index(np.array([[1, 0], [-1, 0], [0, 1]], dtype=np.float32))
    rows, scores = index.search(np.array([1, 0], dtype=np.float32), 3)
    assert rows.tolist() == [0, 2, 1]
    assert scores.tolist() == [1, 0, -1]


# Edges


@pytest.mark.parametrize("k", [0, -3])
def test_no_row_is_wanted(open_index: OpenIndex, k: int) -> None:
    vectors = unit(np.random.default_rng(1), 5)
    rows, scores = open_index(vectors).search(vectors[0], k)
    assert (rows.tolist(), scores.tolist()) == ([], [])


def test_more_rows_are_wanted_than_there_are_and_none_is_padding(open_index: OpenIndex) -> None:
    vectors = unit(np.random.default_rng(1), 5)
    for k in (5, 6, 1000, 2**40):
        assert sorted(open_index(vectors).search(vectors[0], k)[0].tolist()) == [0, 1, 2, 3, 4]


def test_a_filter_that_nothing_matches_has_no_row(open_index: OpenIndex) -> None:
    vectors = unit(np.random.default_rng(1), 5)
    index = open_index(vectors)
    assert index.search(vectors[0], 3, index.restrict(np.zeros(5, dtype=bool)))[0].tolist() == []


def test_an_empty_index_has_no_row(open_index: OpenIndex) -> None:
    index = open_index(np.empty((0, 24), dtype=np.float32))
    query = unit(np.random.default_rng(1), 1)[0]
    assert index.rows == 0
    assert index.search(query, 10)[0].tolist() == []
    assert index.search(query, 10, index.restrict(np.empty(0, dtype=bool)))[0].tolist() == []
    assert index.score(query, np.empty(0, dtype=np.int64)).tolist() == []


def test_score_gives_the_rows_asked_for_in_their_order(open_index: OpenIndex) -> None:
    vectors = unit(np.random.default_rng(1), 50)
    asked = np.array([7, 49, 0, 7])
    scores = open_index(vectors).score(vectors[7], asked)
    np.testing.assert_allclose(scores, vectors[asked].astype(np.float64) @ vectors[7], atol=1e-6)


# Ties


@pytest.mark.parametrize("dimension", [7, 16, 32, 384])
def test_twins_are_both_returned_in_the_order_of_rows(open_index: OpenIndex, dimension: int) -> None:
    random = np.random.default_rng(dimension)
    vectors = unit(random, 60, dimension)
    vectors[51] = vectors[50] = vectors[9] = vectors[4]
    rows, scores = open_index(vectors).search(vectors[4], 60)
    assert rows[:4].tolist() == [4, 9, 50, 51]
    assert len(set(scores[:4].tolist())) == 1


@pytest.mark.parametrize("dimension", [7, 16, 32, 384])
@pytest.mark.parametrize("rows", [2, 3, 5, 33, 61])
def test_equal_vectors_score_equally_wherever_they_stand(open_index: OpenIndex, dimension: int, rows: int) -> None:
    random = np.random.default_rng(rows)
    index = open_index(np.repeat(unit(random, 1, dimension), rows, axis=0))
    for query in unit(random, 5, dimension):
        assert len(set(index.score(query, np.arange(rows)).tolist())) == 1
        assert index.search(query, rows)[0].tolist() == list(range(rows))


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


# The graphs


@pytest.mark.usefixtures("graph")
def test_a_graph_finds_what_numpy_finds(open_index: OpenIndex) -> None:
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


@pytest.mark.usefixtures("graph")
def test_the_recall_in_the_report_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = unit(np.random.default_rng(5), 3000, 64)
    good = graphs(tmp_path / "good", vectors, every_third(3000))
    assert good.kind == "hnsw"
    assert 0.95 < good.recall_at_100 <= 1
    monkeypatch.setattr(graph_module, "LINKS", 2)
    monkeypatch.setattr(graph_module, "EF_CONSTRUCTION", 4)
    monkeypatch.setattr(graph_module, "_EFS", (4,))
    bad = graphs(tmp_path / "bad", vectors, every_third(3000))
    assert bad.recall_at_100 < good.recall_at_100 - 0.2
    assert bad.ef == (4, 4)


@pytest.mark.usefixtures("graph")
def test_a_walk_goes_as_far_as_the_recall_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ef that finds enough, or the greatest where none does."""
    vectors = unit(np.random.default_rng(5), 1000)
    efs = []
    for wanted in (0.0, 1.01):
        monkeypatch.setattr(graph_module, "_RECALL", wanted)
        efs.append(graphs(tmp_path / str(wanted), vectors, np.zeros(1000, dtype=bool)).ef)
    assert efs == [(128, 0), (512, 0)]


@pytest.mark.usefixtures("graph")
@pytest.mark.parametrize("share", [0.0005, 0.02, 0.2, 0.9])
@pytest.mark.parametrize("few", [20_000, 0])
def test_a_graph_under_a_random_filter_finds_what_numpy_finds(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch, few: int, share: float
) -> None:
    """Whether the rows that may answer are few enough to be compared one by one or not."""
    monkeypatch.setattr(part_module, "_FEW", few)
    random = np.random.default_rng(6)
    vectors = unit(random, 5000)
    index = open_index(vectors)
    hits = wanted = 0
    for query in unit(random, 20):
        mask = random.random(5000) < share
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


@pytest.mark.usefixtures("graph")
@pytest.mark.parametrize("far", [0.5, 0.2])
def test_a_graph_does_not_starve_a_filter_far_from_the_question(open_index: OpenIndex, far: float) -> None:
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


@pytest.mark.usefixtures("graph")
@pytest.mark.parametrize("k", [1100, 1200, 10**9])
def test_a_graph_asked_for_very_many_rows_gives_them_all(open_index: OpenIndex, k: int) -> None:
    vectors = unit(np.random.default_rng(9), 1200)
    expected, _ = best(vectors, vectors[0], k)
    assert open_index(vectors).search(vectors[0], k)[0].tolist() == expected.tolist()


@pytest.mark.usefixtures("graph")
def test_a_graph_of_twins_answers_in_the_order_of_rows(open_index: OpenIndex) -> None:
    vectors = np.tile(unit(np.random.default_rng(9), 1), (1500, 1))
    index = open_index(vectors)
    assert index.approximate
    assert index.search(vectors[0], 10)[0].tolist() == list(range(10))
    mask = np.arange(1500) % 5 == 1
    assert index.search(vectors[0], 4, index.restrict(mask))[0].tolist() == [1, 6, 11, 16]


@pytest.mark.usefixtures("graph")
def test_a_graph_and_its_index_outlive_what_they_were_made_of(open_index: OpenIndex) -> None:
    random = np.random.default_rng(4)
    index = open_index(unit(random, 1500))
    gc.collect()
    queries = unit(random, 20)
    expected = [best(index.vectors, query, 5)[0].tolist() for query in queries]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda query: index.search(query, 5)[0].tolist(), [*queries] * 20))
    assert np.mean([answer == wanted for answer, wanted in zip(answers, expected * 20, strict=True)]) > 0.95


def test_up_to_the_limit_there_is_no_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector, "FLAT_LIMIT", 300)
    vectors = unit(np.random.default_rng(2), 301)
    other = np.zeros(301, dtype=bool)
    assert graphs(tmp_path / "flat", vectors[:300], other[:300]) == FLAT
    assert list((tmp_path / "flat").iterdir()) == []
    assert graphs(tmp_path / "graph", vectors, other).kind == "hnsw"
    assert [file.name for file in (tmp_path / "graph").iterdir()] == ["other.faiss"]


# Two scripts


@pytest.mark.parametrize("limit", [10_000, 300])
def test_each_script_has_its_own_best_rows(open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Japanese rows lie around one direction, others around another, and a question near one is answered by both."""
    monkeypatch.setattr(vector, "FLAT_LIMIT", limit)
    random = np.random.default_rng(12)
    near, far = np.eye(2, 24, dtype=np.float32)
    vectors = np.concatenate([unit(random, 400, 24, near), unit(random, 400, 24, far)])
    index = open_index(vectors, np.arange(800) < 400)
    assert index.approximate == (limit == 300)
    query = unit(random, 1, 24, near)[0]
    other, japanese = index.search_scripts(query, 5)
    assert japanese[0].tolist() == best(vectors, query, 5, np.arange(800) < 400)[0].tolist()
    assert other[0].tolist() == best(vectors, query, 5, np.arange(800) >= 400)[0].tolist()
    assert index.search(query, 5)[0].tolist() == japanese[0].tolist()


def test_a_filter_holds_in_each_script(open_index: OpenIndex) -> None:
    vectors = unit(np.random.default_rng(13), 90)
    index = open_index(vectors)
    mask = np.arange(90) < 45
    other, japanese = index.search_scripts(vectors[80], 90, index.restrict(mask))
    assert sorted(japanese[0].tolist()) == list(range(0, 45, 3))
    assert sorted(other[0].tolist()) == [row for row in range(45) if row % 3]


def test_a_graph_beside_a_comparison_is_one_ranking(open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six hundred Japanese rows have a graph, fifty others have none."""
    monkeypatch.setattr(vector, "FLAT_LIMIT", 300)
    random = np.random.default_rng(14)
    vectors = unit(random, 650)
    index = open_index(vectors, np.arange(650) >= 50)
    assert index.approximate
    for query in unit(random, 10):
        assert index.search(query, 12)[0].tolist() == best(vectors, query, 12)[0].tolist()


@pytest.mark.usefixtures("graph")
def test_the_exact_twin_of_a_graph_compares_every_row(open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_module, "LINKS", 2)
    monkeypatch.setattr(graph_module, "EF_CONSTRUCTION", 4)
    random = np.random.default_rng(15)
    vectors = unit(random, 2000, 64)
    index = open_index(vectors)
    twin = index.exact()
    assert (index.approximate, twin.approximate) == (True, False)
    for query in unit(random, 10, 64):
        assert twin.search(query, 100)[0].tolist() == best(vectors, query, 100)[0].tolist()
    assert index.approximate, "and the leg itself is as it was"


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


def test_blocks_are_written_as_one_matrix_and_none_may_be_missing(tmp_path: Path) -> None:
    vectors = unit(np.random.default_rng(2), 50)
    np.save(tmp_path / "whole.npy", vectors)
    blocks = [vectors[:1], vectors[1:1], vectors[1:33], vectors[33:]]
    write_vectors(tmp_path / "blocks.npy", blocks, vectors.shape)
    assert (tmp_path / "blocks.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    for wrong in (blocks[:-1], [*blocks, vectors[:1]]):
        with pytest.raises(AssertionError):
            write_vectors(tmp_path / "blocks.npy", wrong, vectors.shape)


@pytest.mark.parametrize("at_once", [1, 7, 50, 80])
def test_rows_are_read_in_their_order_whatever_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(files_module, "_READ_AT_ONCE", at_once)
    vectors = unit(np.random.default_rng(2), 50)
    save(tmp_path / "vectors.npy", vectors)
    for rows in (np.arange(50), np.array([3]), np.array([0, 6, 7, 8, 49]), np.arange(0, 50, 9)):
        blocks = list(read_vectors(tmp_path / "vectors.npy", rows))
        np.testing.assert_array_equal(np.concatenate(blocks), vectors[rows])
        assert max(map(len, blocks)) <= at_once
    assert list(read_vectors(tmp_path / "vectors.npy", np.arange(0))) == []


@pytest.mark.usefixtures("graph")
def test_what_is_read_at_once_does_not_change_the_codes_nor_the_recall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two blocks or in thirty."""
    vectors, japanese = unit(np.random.default_rng(5), 3000, 64), every_third(3000)
    codes, recalls = [], []
    for at_once in (100, 2000):
        monkeypatch.setattr(files_module, "_READ_AT_ONCE", at_once)
        report = graphs(tmp_path / str(at_once), vectors, japanese)
        graph = faiss.read_index(str(tmp_path / str(at_once) / "japanese.faiss"))
        codes.append(faiss.vector_to_array(faiss.downcast_index(graph.storage).codes))
        recalls.append(report.recall_at_100)
    np.testing.assert_array_equal(*codes)
    assert min(recalls) > 0.95


def damaged(file: Path, content: bytes, rows: int = 20) -> IndexCorrupt:
    file.write_bytes(content)
    with pytest.raises(IndexCorrupt) as raised:
        VectorIndex(file, file.parent, FLAT, every_third(rows))
    assert raised.value.file == str(file)
    return raised.value


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


@pytest.mark.usefixtures("graph")
def test_a_short_missing_or_foreign_graph_is_damage(tmp_path: Path) -> None:
    file, folder = tmp_path / "vectors.npy", tmp_path / "dense"
    graph_file = folder / "japanese.faiss"
    vectors, japanese = unit(np.random.default_rng(2), 1100), np.ones(1101, dtype=bool)
    save(file, vectors)
    report = write_graphs(folder, file, japanese[:1100])
    content = graph_file.read_bytes()
    graphs(tmp_path / "more", np.concatenate([vectors, vectors[:1]]), japanese)  # of other vectors
    foreign = (tmp_path / "more" / "japanese.faiss").read_bytes()
    cuts = [content[:size] for size in (0, 1, 3, 4, 20, 60, 200, len(content) // 2, len(content) - 1)]
    for wrong in (*cuts, b"not a graph at all" * 50, foreign):
        graph_file.write_bytes(wrong)
        with pytest.raises(IndexCorrupt) as raised:
            VectorIndex(file, folder, report, japanese[:1100])
        assert raised.value.file == str(graph_file)
    graph_file.unlink()
    with pytest.raises(IndexCorrupt):
        VectorIndex(file, folder, report, japanese[:1100])
