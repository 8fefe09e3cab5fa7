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


def write_graph(file: Path, vectors: FloatArray) -> tuple[int, float]:
    """Write the graph of ``vectors``; returns its ``ef`` and the recall@100 that it has with it.

    The recall is the share of the exact top 100 that the walk proposes, over passages asked as questions, spread over
    the corpus.
    """
    graph = faiss.IndexHNSWSQ(vectors.shape[1], faiss.ScalarQuantizer.QT_8bit, LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = EF_CONSTRUCTION
    graph.train(vectors[np.linspace(0, len(vectors) - 1, min(len(vectors), _TRAINING), dtype=np.int64)])
    graph.add(vectors)
    faiss.write_index(graph, str(file))
    return _measured(graph, vectors)


def _measured(graph: faiss.Index, vectors: FloatArray) -> tuple[int, float]:
    sample = vectors[np.linspace(0, len(vectors) - 1, min(_SAMPLE, len(vectors)), dtype=np.int64)]
    at = min(_RECALL_AT, len(vectors))
    scores = sample @ vectors.T
    exact = np.argpartition(scores, len(vectors) - at, axis=1)[:, -at:]
    ef, recall = 0, 0.0
    for ef in _EFS:
        wanted = min(at + _SPARE, len(vectors))
        _, found = graph.search(sample, wanted, params=faiss.SearchParametersHNSW(efSearch=max(ef, wanted)))
        hits = sum(len(np.intersect1d(best, rows)) for best, rows in zip(exact, found, strict=True))
        recall = round(hits / exact.size, 4)
        if recall >= _RECALL:
            break
    return ef, recall


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
