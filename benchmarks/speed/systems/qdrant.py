"""Qdrant Edge: a shard in the process, dense HNSW and sparse BM25 vectors, fused by its own reciprocal rank fusion.

M and ef_construct are kbsearch's. The graph is made by ``optimize()`` for segments beyond
``indexing_threshold`` (Qdrant's default, 10,000 kB of vectors); smaller ones it scans, as it does for its users.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from speed.bundle import DEPTH
from speed.systems.base import RRF_K
from speed.systems.sparse import SparseModel
from speed.systems.tuning import EF_CONSTRUCTION, EFS, LINKS, least, store, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from speed.bundle import Asked, Bundle

__all__ = ["QdrantEdge"]

PAGE = 10
AT_ONCE = 1000


class QdrantEdge:
    """See the module."""

    def __init__(self) -> None:
        self.ways: Mapping[str, Callable[[Asked], Sequence[Any]]] = {"search": self._search}
        self.dense: Callable[[Asked, int], Sequence[int]] | None = self._nearest
        self.exact: Callable[[Asked], Sequence[Any]] | None = lambda asked: self._search(asked, exact=True)
        self.settings: dict[str, Any] = {
            "m": LINKS,
            "ef_construct": EF_CONSTRUCTION,
            "prefetch": DEPTH,
            "fusion": f"RRF k={RRF_K}",
        }

    def build(self, bundle: Bundle, folder: Path) -> None:
        """Insert in batches, then optimise."""
        import qdrant_edge as q

        model = SparseModel.fit(bundle)
        model.save(folder)
        graph = q.HnswIndexConfig(
            m=self.settings["m"], ef_construct=self.settings["ef_construct"], full_scan_threshold=10_000
        )
        dense = q.EdgeVectorParams(size=bundle.vectors.shape[1], distance=q.Distance.Dot, hnsw_config=graph)
        config = q.EdgeConfig(
            vectors={"dense": dense}, sparse_vectors={"terms": q.EdgeSparseVectorParams()}, hnsw_config=graph
        )
        shard_folder = folder / "shard"
        shard_folder.mkdir()
        shard = q.EdgeShard.create(str(shard_folder), config)
        documents, vectors = bundle.documents(), bundle.vectors
        for start in range(0, bundle.passages, AT_ONCE):
            points = []
            for row, terms in enumerate(islice(documents, AT_ONCE), start=start):
                weights = model.passage(terms)
                sparse = q.SparseVector(indices=list(weights), values=list(weights.values()))
                points.append(q.Point(row, {"dense": vectors[row].tolist(), "terms": sparse}, {}))
            shard.update(q.UpdateOperation.upsert_points(points))
        shard.optimize()
        shard.flush()
        self._q, self._shard = q, shard
        store(folder, least(EFS, bundle, self._nearest))
        shard.close()

    def open(self, bundle: Bundle, folder: Path) -> None:  # noqa: ARG002 - as all systems
        """Load the shard."""
        import qdrant_edge as q

        self._q = q
        self._model = SparseModel.load(folder)
        self._shard = q.EdgeShard.load(str(folder / "shard"))
        self._ef = self.settings["hnsw_ef"] = stored(folder)

    def _search(self, asked: Asked, *, exact: bool = False) -> list[int]:
        q, weights = self._q, self._model.question(asked.terms)
        near = q.Query.Nearest(asked.vector.tolist(), using="dense")
        how = q.SearchParams(exact=True) if exact else q.SearchParams(hnsw_ef=self._ef)
        prefetches = [q.Prefetch(limit=DEPTH, query=near, params=how)]
        if weights:
            sparse = q.SparseVector(indices=list(weights), values=list(weights.values()))
            prefetches.append(q.Prefetch(limit=DEPTH, query=q.Query.Nearest(sparse, using="terms")))
        request = q.QueryRequest(limit=PAGE, prefetches=prefetches, query=q.Fusion.Rrf(k=RRF_K))
        return [point.id for point in self._shard.query(request)]

    def _nearest(self, asked: Asked, k: int, ef: int = 0) -> list[int]:
        q = self._q
        near = q.Query.Nearest(asked.vector.tolist(), using="dense")
        how = q.SearchParams(hnsw_ef=ef or self._ef)
        return [point.id for point in self._shard.query(q.QueryRequest(limit=k, query=near, params=how))]
