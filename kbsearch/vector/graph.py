"""A graph over many vectors: HNSW (Malkov & Yashunin 2018) over their 8-bit codes.

A walk through the graph reads a vector for each neighbour that it looks at, from all over the memory: with 8-bit codes
(Jégou et al., FAISS's scalar quantiser) that is a quarter of the bytes, and the whole graph takes 656 bytes a passage
instead of 1,808. What the walk proposes is scored exactly afterwards, so the codes cost no accuracy but at the edge of
a pool. How far it walks (``ef``) is chosen when the graph is built: the least that finds ``_RECALL`` of the exact
neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import faiss
import numpy as np

from kbsearch.errors import IndexCorrupt
from kbsearch.vector.files import read_vectors

if TYPE_CHECKING:
    from pathlib import Path

    from kbsearch.model import FloatArray, RowArray

__all__ = ["EF_CONSTRUCTION", "LINKS", "Graph", "write_graph"]

LINKS: Final = 32
EF_CONSTRUCTION: Final = 200
_EFS: Final = (128, 160, 192, 256, 384, 512)
_RECALL: Final = 0.97  # of the best hundred; of the best ten it is above .98 then, of questions too, which are harder
_RECALL_AT: Final = 100
_SPARE: Final = 16  # proposals beyond those wanted: codes put them in another order than vectors do
_SAMPLE: Final = 200
_TRAINING: Final = 50_000


def write_graph(file: Path, vectors_file: Path, rows: RowArray) -> tuple[int, float]:
    """Write the graph of some ``rows`` of vectors, ascending; returns its ``ef`` and its recall@100 with it.

    The recall is the share of the exact top 100 that the walk proposes, over passages asked as questions, spread over
    the corpus.
    """
    bounds = _bounds(vectors_file, _spread(rows, _TRAINING))
    graph = faiss.IndexHNSWSQ(bounds.shape[1], faiss.ScalarQuantizer.QT_8bit, LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = EF_CONSTRUCTION
    graph.train(bounds)
    for some in read_vectors(vectors_file, rows):
        graph.add(some)
    faiss.write_index(graph, str(file))
    return _measured(graph, vectors_file, rows)


def _spread(rows: RowArray, most: int) -> RowArray:
    """So many of the rows, from all over the corpus."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), most), dtype=np.int64)]


def _bounds(vectors_file: Path, rows: RowArray) -> FloatArray:
    """The least and the greatest value in each dimension: all that the codes are trained with."""
    bounds: FloatArray | None = None
    for some in read_vectors(vectors_file, rows):
        seen = some if bounds is None else np.concatenate([some, bounds])
        bounds = np.stack([seen.min(axis=0), seen.max(axis=0)])
    if bounds is None:
        raise AssertionError("a graph has vectors")
    return bounds


def _measured(graph: faiss.Index, vectors_file: Path, rows: RowArray) -> tuple[int, float]:
    sample = np.concatenate(list(read_vectors(vectors_file, _spread(rows, _SAMPLE))))
    at = min(_RECALL_AT, len(rows))
    exact = _nearest(sample, vectors_file, rows, at)
    ef, recall = 0, 0.0
    for ef in _EFS:
        wanted = min(at + _SPARE, len(rows))
        _, found = graph.search(sample, wanted, params=faiss.SearchParametersHNSW(efSearch=max(ef, wanted)))
        hits = sum(len(np.intersect1d(best, rows)) for best, rows in zip(exact, found, strict=True))
        recall = round(hits / exact.size, 4)
        if recall >= _RECALL:
            break
    return ef, recall


def _nearest(sample: FloatArray, vectors_file: Path, rows: RowArray, at: int) -> RowArray:
    """Places of the ``at`` nearest to each of a sample, in any order."""
    scores = np.empty((len(sample), 0), dtype=np.float32)
    places = np.empty((len(sample), 0), dtype=np.int64)
    first = 0
    for some in read_vectors(vectors_file, rows):
        scores = np.concatenate([scores, sample @ some.T], axis=1)
        here = np.broadcast_to(np.arange(first, first + len(some)), (len(sample), len(some)))
        places = np.concatenate([places, here], axis=1)
        first += len(some)
        best = np.argpartition(scores, max(scores.shape[1] - at, 0), axis=1)[:, -at:]
        scores, places = np.take_along_axis(scores, best, axis=1), np.take_along_axis(places, best, axis=1)
    return places


class Graph:
    """An open graph; immutable, memory-mapped, shared between threads.

    Raises
    ------
    IndexCorrupt
        When the file is no graph of so many vectors.
    """

    def __init__(self, file: Path, size: int, ef: int) -> None:
        try:
            self._graph: Any = faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)
            self._codes = faiss.downcast_index(self._graph.storage)
        except (RuntimeError, AttributeError) as error:
            raise IndexCorrupt(file, "an HNSW graph", str(error).splitlines()[0]) from error
        if not isinstance(self._graph, faiss.IndexHNSWSQ) or self._graph.ntotal != size:
            raise IndexCorrupt(file, f"{size} nodes", f"{self._graph.ntotal}")
        self._ef = ef

    def neighbours(self, query: FloatArray, limit: int, *, thorough: bool = True) -> RowArray:
        """At most ``limit`` nodes near ``query``, the nearest first; after half of the way when not ``thorough``."""
        parameters = faiss.SearchParametersHNSW(efSearch=max(self._ef if thorough else self._ef // 2, limit))
        return _found(self._graph.search(query[np.newaxis], limit, params=parameters))

    def scan(self, query: FloatArray, limit: int, bits: np.ndarray | None) -> RowArray:
        """The same without walking: every code is compared, but those whose bit in ``bits`` is 0."""
        parameters = None if bits is None else faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))
        return _found(self._codes.search(query[np.newaxis], limit, params=parameters))


def _found(answer: tuple[np.ndarray, np.ndarray]) -> RowArray:
    rows: RowArray = answer[1][0]
    return rows if rows[-1] >= 0 else rows[rows >= 0]
