"""The dense leg: inner products of unit vectors. FAISS lives here and nowhere else.

``vectors.npy`` is the truth: float32, shape ``(passages, dimension)``, C order, memory-mapped. Up to ``FLAT_LIMIT``
passages every question is compared with all of them (``IndexFlatIP``); beyond, a derived HNSW graph (Malkov & Yashunin
2018) proposes candidates, which are then scored exactly against ``vectors.npy``, and the graph's recall is measured
when it is built. A graph walks to the question's neighbourhood whatever a filter says: when too few rows there may
answer (a question in Japanese, a filter for English), the rows that may are scanned exactly instead.

What FAISS leaves to us: it lists ties in its own order, pads a short answer with −1, and does not notice a flipped
byte. :meth:`VectorIndex.search` answers in the total order (score descending, row ascending), drops the padding, and
the store's checksums cover the files.

Never: normalise here. An encoder gives unit vectors, and cosine is the inner product.
"""

from __future__ import annotations

from dataclasses import dataclass
from tokenize import TokenError
from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch.errors import IndexCorrupt

if TYPE_CHECKING:
    from pathlib import Path

    import faiss
    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray

__all__ = [
    "FLAT_LIMIT",
    "DenseReport",
    "VectorIndex",
    "cosine_statistics",
    "map_vectors",
    "write_graph",
    "write_vectors",
]

FLAT_LIMIT: Final = 50_000
"""Passages up to which an exact scan is fast enough: about 7 ms a question at 384 dimensions on one core."""

_HNSW_LINKS = 32
_EF_CONSTRUCTION = 200
_EF_SEARCH = 256
_TIE_MARGIN = 16
_RECALL_SAMPLE = 200
_RECALL_AT = 100
_EF_FILTERED = 1024  # neighbours to look at under a filter; where a page needs more, an exact scan costs no more
_COSINE_SAMPLE: Final = 400
_FEW_PASSAGES: Final = 30
_USUAL_COSINES: Final = (0.82, 0.03)
_LEAST_SPREAD: Final = 0.005
_NO_ROWS: Final = np.empty(0, dtype=np.int64)
_NO_SCORES: Final = np.empty(0, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class DenseReport:
    """What the manifest says of the leg: ``kind`` is ``"flat"`` or ``"hnsw"``; recall is against the exact scan."""

    kind: str
    recall_at_100: float


def write_vectors(file: Path, vectors: FloatArray) -> None:
    """Write the truth. ``vectors``: float32, shape (passages, dimension), rows of length 1."""
    if vectors.dtype != np.float32 or vectors.ndim != 2:  # noqa: PLR2004 - a matrix
        raise AssertionError(f"vectors must be a float32 matrix, not {vectors.dtype} {vectors.shape}")
    with file.open("wb") as target:
        np.save(target, np.ascontiguousarray(vectors), allow_pickle=False)


def write_graph(file: Path, vectors: FloatArray) -> DenseReport:
    """Write the derived index of ``vectors`` into ``file``, or nothing when an exact scan is enough."""
    if len(vectors) <= FLAT_LIMIT:
        return DenseReport("flat", 1.0)
    import faiss

    graph = faiss.IndexHNSWFlat(vectors.shape[1], _HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = _EF_CONSTRUCTION
    graph.hnsw.efSearch = _EF_SEARCH
    graph.add(vectors)
    recall = _measured_recall(graph, vectors)
    graph.storage = None  # vectors.npy has them; put back when the graph is opened
    faiss.write_index(graph, str(file), faiss.IO_FLAG_SKIP_STORAGE)
    return DenseReport("hnsw", recall)


def cosine_statistics(vectors: FloatArray) -> tuple[float, float]:
    """Mean and standard deviation of the cosine between passages that have nothing to do with each other.

    Taken over pairs spread evenly over the corpus. Encoders put them anywhere between 0 and 0.9, so a cosine says
    something only in these units. Fewer than ``_FEW_PASSAGES`` are too few to measure: then the default encoder's
    usual figures.
    """
    if len(vectors) < _FEW_PASSAGES:
        return _USUAL_COSINES
    some = vectors[np.linspace(0, len(vectors) - 1, min(len(vectors), _COSINE_SAMPLE), dtype=np.int64)]
    cosines = some @ some.T
    apart = cosines[np.triu_indices(len(some), k=1)].astype(np.float64)
    return round(float(apart.mean()), 6), round(max(float(apart.std()), _LEAST_SPREAD), 6)


class VectorIndex:
    """An open dense leg; immutable, shared between threads.

    Parameters
    ----------
    vectors_file, graph_file
        As :func:`write_vectors` and :func:`write_graph` left them; ``graph_file`` may be missing for a flat leg.
    report
        From the manifest.

    Raises
    ------
    IndexCorrupt
        When a file is not what was written.
    """

    def __init__(self, vectors_file: Path, graph_file: Path, report: DenseReport) -> None:
        self.vectors: FloatArray = map_vectors(vectors_file)
        self._flat = _exact(self.vectors)
        self._graph = _open_graph(graph_file, self._flat) if report.kind == "hnsw" else None

    @property
    def rows(self) -> int:
        """Number of passages."""
        return len(self.vectors)

    @property
    def approximate(self) -> bool:
        """Whether a search may miss a row: true for a graph, false for an exact scan."""
        return self._graph is not None

    def search(self, query: FloatArray, k: int, mask: NDArray[np.bool_] | None = None) -> tuple[RowArray, FloatArray]:
        """Rank passages by cosine.

        Parameters
        ----------
        query
            float32, shape (dimension,), length 1.
        k
            At most so many rows.
        mask
            bool, shape (rows,): only rows with True take part.

        Returns
        -------
        rows : int64, shape (n,), n ≤ k
        scores : float32, shape (n,), in [-1, 1]
            Descending; equal scores by ascending row.
        """
        allowed = self.rows if mask is None else int(np.count_nonzero(mask))
        k = min(k, allowed)
        if k <= 0:
            return _NO_ROWS, _NO_SCORES
        limit = min(k + _TIE_MARGIN, allowed)
        while True:
            rows, scores = self._candidates(query, limit, mask)
            if len(rows) < limit or limit == allowed or scores.min() < np.partition(scores, -k)[-k]:
                return _best(rows, scores, k)
            limit = min(limit * 4, allowed)  # a tie across the edge: look further

    def score(self, query: FloatArray, rows: RowArray) -> FloatArray:
        """Exact cosines of the given rows, float32 in their order; equal vectors score equally.

        A matrix product does not give that: BLAS sums the rows of one block in another order than those left over.
        """
        scores: FloatArray = np.vecdot(self.vectors[rows], query)
        return scores

    def _candidates(self, query: FloatArray, limit: int, mask: NDArray[np.bool_] | None) -> tuple[RowArray, FloatArray]:
        """The best ``limit`` rows or more, in any order: from the graph if it finds so many that may answer."""
        if self._graph is not None and limit <= _EF_FILTERED:
            rows = self._neighbours(self._graph, query, limit if mask is None else _EF_FILTERED)
            rows = rows if mask is None else rows[mask[rows]]
            if len(rows) >= limit:
                return rows, self.score(query, rows)
        return self._scan(query, limit, mask)

    def _neighbours(self, graph: faiss.Index, query: FloatArray, limit: int) -> RowArray:
        """Rows that the graph proposes, ascending."""
        import faiss

        parameters = faiss.SearchParametersHNSW(efSearch=max(_EF_SEARCH, limit))
        _, rows = graph.search(query[np.newaxis], min(limit, self.rows), params=parameters)
        found: RowArray = np.sort(rows[0][rows[0] >= 0])
        return found

    def _scan(self, query: FloatArray, limit: int, mask: NDArray[np.bool_] | None) -> tuple[RowArray, FloatArray]:
        import faiss

        parameters = None
        if mask is not None:
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little")))
        scores, rows = self._flat.search(query[np.newaxis], limit, params=parameters)
        found = rows[0] >= 0
        return rows[0][found], scores[0][found]


def _exact(vectors: FloatArray) -> faiss.Index:
    import faiss

    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    return flat


def _open_graph(file: Path, storage: faiss.Index) -> faiss.Index:
    """The graph over vectors in ``storage``, which must live as long: FAISS holds a bare pointer to it."""
    import faiss

    try:
        graph = faiss.read_index(str(file), faiss.IO_FLAG_SKIP_STORAGE)
    except RuntimeError as error:
        raise IndexCorrupt(file, "an HNSW graph", str(error).splitlines()[0]) from error
    if graph.ntotal != storage.ntotal:
        raise IndexCorrupt(file, f"{storage.ntotal} nodes", f"{graph.ntotal}")
    graph.storage = storage
    graph.own_fields = False
    return graph


def _best(rows: RowArray, scores: FloatArray, k: int) -> tuple[RowArray, FloatArray]:
    order = np.lexsort((rows, -scores))[:k]
    return rows[order].astype(np.int64, copy=False), scores[order]


def map_vectors(file: Path) -> FloatArray:
    """Vectors as :func:`write_vectors` left them, memory-mapped; float32, shape (n, dimension).

    Raises
    ------
    IndexCorrupt
        When the file is anything else.
    """
    try:
        vectors = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError, TokenError) as error:  # NumPy reads the header as Python
        raise IndexCorrupt(file, "a float32 matrix", (str(error).splitlines() or ["none"])[0]) from error
    if vectors.ndim != 2 or vectors.dtype != np.float32:  # noqa: PLR2004 - a matrix
        raise IndexCorrupt(file, "a float32 matrix", f"{vectors.dtype} of {vectors.ndim} dimensions")
    size, promised = file.stat().st_size, vectors.offset + vectors.nbytes
    if size != promised or not vectors.flags.c_contiguous:
        raise IndexCorrupt(file, f"{promised} bytes in C order, as its header says", f"{size} bytes")
    return np.asarray(vectors)


def _measured_recall(graph: faiss.Index, vectors: FloatArray) -> float:
    """Share of the exact top 100 that the graph finds, over passages asked as questions, spread over the corpus."""
    sample = vectors[np.linspace(0, len(vectors) - 1, _RECALL_SAMPLE, dtype=np.int64)]
    _, found = graph.search(sample, _RECALL_AT)
    exact = sample @ vectors.T
    hits = 0
    for scores, rows in zip(exact, found, strict=True):
        best = np.argpartition(scores, -_RECALL_AT)[-_RECALL_AT:]
        hits += len(np.intersect1d(best, rows, assume_unique=False))
    return round(hits / (_RECALL_SAMPLE * _RECALL_AT), 4)
