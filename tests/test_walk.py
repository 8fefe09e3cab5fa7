"""The walk through a graph: what FAISS's finds, over the same arrays; and arrays that no graph is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbsearch import structures
from kbsearch.errors import IndexCorrupt
from kbsearch.vector import DenseReport, VectorIndex, compiled, write_vectors
from kbsearch.vector.graph import write_graph

if TYPE_CHECKING:
    from pathlib import Path

    from kbsearch.model import FloatArray

RANDOM = np.random.default_rng(7)


def unit(n: int, width: int) -> FloatArray:
    vectors = RANDOM.standard_normal((n, width)).astype(np.float32)
    normal: FloatArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normal


def made(vectors: FloatArray, links: int = 8, construction: int = 40) -> Any:
    """FAISS's graph of some vectors."""
    kind = faiss.ScalarQuantizer.QT_8bit
    graph = faiss.IndexHNSWSQ(vectors.shape[1], kind, links, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = construction
    graph.train(vectors)
    graph.add(vectors)
    return graph


def arrays_of(graph: Any) -> dict[str, Any]:
    """The arrays of a graph, copied, by the names of :class:`kbsearch.compiled.Links`."""
    codes, hnsw = faiss.downcast_index(graph.storage), graph.hnsw
    return {
        "codes": faiss.vector_to_array(codes.codes),
        "span": faiss.vector_to_array(codes.sq.trained)[graph.d :].copy(),
        "links": faiss.vector_to_array(hnsw.neighbors),
        "begins": faiss.vector_to_array(hnsw.offsets),
        "level_links": hnsw.cum_nneighbor_per_level.at(1),
        "entry": hnsw.entry_point,
        "top": hnsw.max_level,
    }


@pytest.mark.parametrize(("n", "width", "links"), [(1, 4, 4), (2, 33, 2), (60, 16, 2), (900, 48, 8), (3000, 384, 16)])
def test_it_finds_what_faiss_finds(n: int, width: int, links: int) -> None:
    graph = made(unit(n, width), links)
    own = compiled.Links(**arrays_of(graph))
    shared = asked = 0
    for question in unit(60, width):
        for reach, k in ((1, 1), (16, 5), (64, 40), (200, 200)):
            limits = faiss.SearchParametersHNSW(efSearch=max(reach, k))
            expected = {
                int(place) for place in graph.search(question[np.newaxis], k, params=limits)[1][0] if place >= 0
            }
            found = compiled.walk(own, question, reach, k).tolist()
            assert len(set(found)) == len(found) <= min(k, n)
            shared += len(expected.intersection(found))
            asked += len(expected)
    assert shared > 0.99 * asked  # a vector in 16-bit steps puts some that are as near in another order


def test_who_keeps_all_finds_the_nearest_in_their_order() -> None:
    vectors = unit(400, 24)
    graph = made(vectors, 16, 200)
    own, codes = compiled.Links(**arrays_of(graph)), faiss.downcast_index(graph.storage)
    rows = np.array([codes.reconstruct(place) for place in range(400)])
    for question in unit(20, 24):
        found, scores = compiled.walk(own, question, 400, 400), rows @ question
        assert sorted(found.tolist()) == list(range(400))
        assert (np.diff(scores[found]) < 1e-4).all()


def test_links_that_lie_askew_in_a_file_are_read() -> None:
    arrays = arrays_of(made(unit(300, 20)))
    question = unit(1, 20)[0]
    expected = compiled.walk(compiled.Links(**arrays), question, 50, 20).tolist()
    askew = np.frombuffer(b"x" + arrays["links"].tobytes(), dtype=np.int32, offset=1)
    assert compiled.walk(compiled.Links(**{**arrays, "links": askew}), question, 50, 20).tolist() == expected


@pytest.mark.parametrize("k", [-1, 0])
def test_nothing_wanted_is_nothing_found(k: int) -> None:
    assert compiled.walk(compiled.Links(**arrays_of(made(unit(5, 8)))), unit(1, 8)[0], 10, k).tolist() == []


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(AssertionError, match="a vector of 8 numbers, not 9"):
        compiled.walk(compiled.Links(**arrays_of(made(unit(5, 8)))), unit(1, 9)[0], 10, 2)


def test_a_vector_of_no_numbers_ends() -> None:
    links = compiled.Links(**arrays_of(made(unit(50, 8))))
    for odd in (np.nan, np.inf, -np.inf, 0, 1e38):
        assert len(compiled.walk(links, np.full(8, odd, np.float32), 10, 5)) == 5


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("links", 50), ("links", 2**31 - 1), ("begins", 2**63), ("begins", 10**9), ("entry", 50), ("entry", -1),
     ("top", 9), ("level_links", 2000)],
)  # fmt: skip
def test_what_leads_out_of_the_graph_is_damage(name: str, wrong: int) -> None:
    arrays = arrays_of(made(unit(50, 8)))
    changed = np.full_like(arrays[name], wrong) if isinstance(arrays[name], np.ndarray) else wrong
    with pytest.raises(structures.Damaged):
        compiled.walk(compiled.Links(**{**arrays, name: changed}), unit(1, 8)[0], 10, 5)


def test_codes_of_other_nodes_are_damage() -> None:
    arrays = arrays_of(made(unit(50, 8)))
    for codes in (arrays["codes"][:-1], np.append(arrays["codes"], np.uint8(0))):
        with pytest.raises(structures.Damaged):
            compiled.Links(**{**arrays, "codes": codes})


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["links", "begins", "codes", "span"]))
def test_noise_ends_in_an_answer_or_as_damage(seed: int, name: str) -> None:
    random = np.random.default_rng(seed)
    arrays = arrays_of(made(unit(40, 8), 4))
    changed = arrays[name].copy()
    at = random.integers(0, len(changed), random.integers(1, len(changed)))
    changed[at] = np.frombuffer(random.bytes(changed.itemsize * len(at)), changed.dtype)
    if name == "links" and seed % 2:
        changed %= 60
    try:
        found = compiled.walk(compiled.Links(**{**arrays, name: changed}), unit(1, 8)[0], 20, 10)
    except structures.Damaged:
        return
    assert len(found) <= 10
    assert ((found >= 0) & (found < 40)).all()


def test_a_file_whose_links_lead_out_of_it_is_corrupt(tmp_path: Path) -> None:
    vectors = unit(600, 16)
    file = tmp_path / "japanese.faiss"
    ef, recall = write_graph(file, vectors, np.arange(600))
    assert recall > 0.9
    report, japanese = DenseReport(("flat", "hnsw"), (0, ef)), np.ones(600, dtype=np.bool_)
    write_vectors(tmp_path / "vectors.npy", [vectors], vectors.shape)
    assert len(VectorIndex(tmp_path / "vectors.npy", tmp_path, report, japanese).search(vectors[0], 20)[0]) == 20
    links = arrays_of(faiss.read_index(str(file)))["links"].tobytes()
    content = file.read_bytes()
    assert content.count(links) == 1
    file.write_bytes(content.replace(links, np.full(len(links) // 4, 600, np.int32).tobytes()))
    with pytest.raises(IndexCorrupt) as raised:
        VectorIndex(tmp_path / "vectors.npy", tmp_path, report, japanese)
    assert raised.value.file == str(file)
