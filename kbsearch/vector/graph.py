"""A graph over many vectors: HNSW (Malkov & Yashunin 2018) over their 8-bit codes.

FAISS builds it and keeps it in a file; the walk is ours (``core/walk.c``), over the same arrays where they lie. It
finds what FAISS's finds in less than half of the time, because it asks for the codes of neighbours some rows ahead. A
walk through the graph reads a vector for each neighbour that it looks at, from all over the memory: with 8-bit codes
(Jégou et al., FAISS's scalar quantiser) that is a quarter of the bytes, and the whole graph takes 656 bytes a passage
instead of 1,808. What the walk proposes is scored exactly afterwards, so the codes cost no accuracy but at the edge of
a pool. How far it walks (``ef``) is chosen when the graph is built: the least that finds ``_RECALL`` of the exact
neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import faiss
import numpy as np

from kbsearch.columns import soundly
from kbsearch.errors import IndexCorrupt
from kbsearch.vector.compiled import Links, walk
from kbsearch.vector.files import blocks_of
from kbsearch.vector.recall import AT, Neighbours, least_reach, spread_sample

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray

__all__ = ["EF_CONSTRUCTION", "LINKS", "open_graph", "write_graph"]

LINKS: Final = 32
EF_CONSTRUCTION: Final = 200
_EFS: Final = (128, 160, 192, 256, 384, 512, 640, 768)
_RECALL: Final = 0.98  # of the best hundred of passages; of questions, which are harder, it is that of the best ten
_SPARE: Final = 16  # proposals beyond those wanted: codes put them in another order than vectors do
_TRAINING: Final = 50_000


def write_graph(file: Path, vectors: FloatArray, rows: RowArray) -> tuple[int, float]:
    """Write the graph of some ``rows`` of ``vectors``; returns its ``ef`` and the recall@100 that it has with it.

    The recall is the share of the exact top 100 that the walk proposes, over passages asked as questions, spread over
    the corpus.
    """
    graph = faiss.IndexHNSWSQ(vectors.shape[1], faiss.ScalarQuantizer.QT_8bit, LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = EF_CONSTRUCTION
    graph.train(vectors[spread_sample(rows, _TRAINING)])
    for block in blocks_of(vectors, rows):
        graph.add(block)
    faiss.write_index(graph, str(file))
    written, wanted = open_graph(file, len(rows), vectors.shape[1]), min(AT + _SPARE, len(rows))

    def walks(questions: FloatArray, ef: int) -> RowArray:
        found = np.full((len(questions), wanted), -1, dtype=np.int64)
        for places, question in zip(found, questions, strict=True):
            some = walk(written, question, ef, wanted)
            places[: len(some)] = some
        return found

    return least_reach(Neighbours.of(vectors, rows), walks, _EFS, _RECALL)


def open_graph(file: Path, size: int, dimension: int) -> Links:
    """A graph of ``size`` rows of so many dimensions, memory-mapped.

    Raises
    ------
    IndexCorrupt
        When the file is no graph of so many vectors.
    """
    try:
        graph: Any = faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)
        codes = faiss.downcast_index(graph.storage)
    except (RuntimeError, AttributeError) as error:
        raise IndexCorrupt(file, "an HNSW graph", str(error).splitlines()[0]) from error
    found = graph.ntotal, graph.d
    kinds = isinstance(graph, faiss.IndexHNSWSQ), isinstance(codes, faiss.IndexScalarQuantizer)
    if not all(kinds) or found != (size, dimension):
        raise IndexCorrupt(file, f"{size} nodes of {dimension} numbers", f"{found[0]} of {found[1]}")
    made = graph.hnsw
    span = _held(codes.sq.trained)[dimension:]  # behind the least value of each dimension
    arrays = _held(codes.codes), span, _held(made.neighbors), _held(made.offsets)
    beginning = made.cum_nneighbor_per_level.at(1), made.entry_point, made.max_level
    links = soundly(file, "a code for each node", Links, *arrays, *beginning)
    links.owner = graph
    return links


def _held(vector: Any) -> NDArray[Any]:
    """What a vector of FAISS holds, where it lies: to be kept no longer than the index that has it."""
    found: NDArray[Any] = faiss.rev_swig_ptr(vector.data(), vector.size())
    return found
