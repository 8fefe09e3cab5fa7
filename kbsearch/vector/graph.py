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

from kbsearch.errors import IndexCorrupt
from kbsearch.native import walk
from kbsearch.structures import Damaged, Links
from kbsearch.vector.files import blocks_of
from kbsearch.vector.recall import AT, Neighbours, least_reach, spread_sample

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray

__all__ = ["EF_CONSTRUCTION", "LINKS", "Graph", "write_graph"]

LINKS: Final = 32
EF_CONSTRUCTION: Final = 200
_EFS: Final = (128, 160, 192, 256, 384, 512, 640, 768)
_RECALL: Final = 0.98  # of the best hundred of passages; of questions, which are harder, it is that of the best ten
_SPARE: Final = 16  # proposals beyond those wanted: codes put them in another order than vectors do
_TRAINING: Final = 50_000
_MOST_NEIGHBOURS: Final = 1024  # where a filter wants more, a comparison with all costs no more
_SPARE_SHARE: Final = 1.5


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
    written, wanted = Graph(file, len(rows), vectors.shape[1], 0), min(AT + _SPARE, len(rows))

    def walks(questions: FloatArray, ef: int) -> RowArray:
        found = np.full((len(questions), wanted), -1, dtype=np.int64)
        for places, question in zip(found, questions, strict=True):
            some = written.walk(question, ef, wanted)
            places[: len(some)] = some
        return found

    return least_reach(Neighbours.of(vectors, rows), walks, _EFS, _RECALL)


class Graph:
    """An open graph; immutable, memory-mapped, shared between threads.

    Raises
    ------
    IndexCorrupt
        When the file is no graph of so many vectors.
    """

    def __init__(self, file: Path, size: int, dimension: int, ef: int) -> None:
        try:
            self._graph: Any = faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)
            self._codes = faiss.downcast_index(self._graph.storage)
        except (RuntimeError, AttributeError) as error:
            raise IndexCorrupt(file, "an HNSW graph", str(error).splitlines()[0]) from error
        found = self._graph.ntotal, self._graph.d
        kinds = isinstance(self._graph, faiss.IndexHNSWSQ), isinstance(self._codes, faiss.IndexScalarQuantizer)
        if not all(kinds) or found != (size, dimension):
            raise IndexCorrupt(file, f"{size} nodes of {dimension} numbers", f"{found[0]} of {found[1]}")
        self._ef = ef
        self._file = file
        made = self._graph.hnsw
        span = _held(self._codes.sq.trained)[dimension:]  # behind the least value of each dimension
        links, begins, level_links = _held(made.neighbors), _held(made.offsets), made.cum_nneighbor_per_level.at(1)
        try:
            self._links = Links(
                _held(self._codes.codes), span, links, begins, level_links, made.entry_point, made.max_level
            )
        except Damaged as error:
            raise IndexCorrupt(file, "a code for each node", str(error)) from error

    def places(self, query: FloatArray, limit: int, allowed: float, *, thorough: bool) -> RowArray | None:
        """Nodes near ``query``, more than ``limit`` where a share of them only is ``allowed``; None: compare all.

        When not ``thorough`` it walks half of the way.
        """
        wanted = limit if allowed == 1 else int(_SPARE_SHARE * limit / allowed)
        return None if wanted > _MOST_NEIGHBOURS else self.walk(query, self._ef if thorough else self._ef // 2, wanted)

    def walk(self, query: FloatArray, ef: int, k: int) -> RowArray:
        """The k nodes nearest to ``query`` that a walk finds which keeps the best ``ef``, best first by their codes."""
        try:
            return walk(self._links, query, ef, k)
        except Damaged as error:
            raise IndexCorrupt(self._file, "links that lead to nodes", str(error)) from error

    def scan(self, query: FloatArray, limit: int, bits: np.ndarray | None) -> RowArray:
        """The same without walking: every code is compared, but those whose bit in ``bits`` is 0."""
        parameters = None if bits is None else faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))
        found: RowArray = self._codes.search(query[np.newaxis], limit, params=parameters)[1][0]
        return found


def _held(vector: Any) -> NDArray[Any]:
    """What a vector of FAISS holds, where it lies: to be kept no longer than the index that has it."""
    found: NDArray[Any] = faiss.rev_swig_ptr(vector.data(), vector.size())
    return found
