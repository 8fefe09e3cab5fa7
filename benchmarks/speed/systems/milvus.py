"""Milvus Lite: a collection in a file, dense HNSW and sparse BM25 vectors, hybrid search with its RRFRanker.

Its server runs in threads of the same process, and every question goes through gRPC, as for its users.
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

__all__ = ["MilvusLite"]

PAGE = 10
AT_ONCE = 1000
NAME = "passages"


class MilvusLite:
    """See the module."""

    def __init__(self) -> None:
        self.ways: Mapping[str, Callable[[Asked], Sequence[Any]]] = {"search": self._search}
        self.dense: Callable[[Asked, int], Sequence[int]] | None = self._nearest
        self.exact: Callable[[Asked], Sequence[Any]] | None = None
        self.settings: dict[str, Any] = {
            "M": LINKS,
            "efConstruction": EF_CONSTRUCTION,
            "sparse": "SPARSE_INVERTED_INDEX, IP",
            "rows a leg": DEPTH,
            "fusion": f"RRFRanker({RRF_K})",
        }

    def build(self, bundle: Bundle, folder: Path) -> None:
        """Insert in batches, flush, index."""
        from pymilvus import DataType, MilvusClient

        model = SparseModel.fit(bundle)
        model.save(folder)
        client = MilvusClient(str(folder / "milvus.db"))
        schema = client.create_schema(auto_id=False)
        schema.add_field("row", DataType.INT64, is_primary=True)
        schema.add_field("dense", DataType.FLOAT_VECTOR, dim=bundle.vectors.shape[1])
        schema.add_field("terms", DataType.SPARSE_FLOAT_VECTOR)
        indexes = client.prepare_index_params()
        graph = {"M": self.settings["M"], "efConstruction": self.settings["efConstruction"]}
        indexes.add_index("dense", index_type="HNSW", metric_type="IP", params=graph)
        indexes.add_index("terms", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
        client.create_collection(NAME, schema=schema)
        documents, vectors = bundle.documents(), bundle.vectors
        for start in range(0, bundle.passages, AT_ONCE):
            batch = [
                {"row": row, "dense": vectors[row], "terms": model.passage(terms)}
                for row, terms in enumerate(islice(documents, AT_ONCE), start=start)
            ]
            client.insert(NAME, batch)
        client.flush(NAME)
        client.create_index(NAME, indexes)
        client.load_collection(NAME)
        self._client = client
        store(folder, least(EFS, bundle, self._nearest))
        client.close()

    def open(self, bundle: Bundle, folder: Path) -> None:  # noqa: ARG002 - as all systems
        """Start the server and load the collection."""
        from pymilvus import AnnSearchRequest, MilvusClient, RRFRanker

        self._request, self._ranker = AnnSearchRequest, RRFRanker(RRF_K)
        self._model = SparseModel.load(folder)
        self._client = MilvusClient(str(folder / "milvus.db"))
        self._client.load_collection(NAME)
        self._ef = self.settings["ef"] = stored(folder)

    def _search(self, asked: Asked) -> list[int]:
        requests = [self._request([asked.vector], "dense", self._near(self._ef), DEPTH)]
        weights = self._model.question(asked.terms)
        if weights:
            requests.append(self._request([weights], "terms", {"metric_type": "IP"}, DEPTH))
        found = self._client.hybrid_search(NAME, requests, self._ranker, limit=PAGE)
        return [hit["row"] for hit in found[0]]

    def _nearest(self, asked: Asked, k: int, ef: int = 0) -> list[int]:
        near = self._near(ef or self._ef)
        found = self._client.search(NAME, [asked.vector], anns_field="dense", search_params=near, limit=k)
        return [hit["row"] for hit in found[0]]

    @staticmethod
    def _near(ef: int) -> dict[str, Any]:
        return {"metric_type": "IP", "params": {"ef": ef}}
