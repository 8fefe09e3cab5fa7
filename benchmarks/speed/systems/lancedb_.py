"""LanceDB: a table with a full-text index and hybrid search through its RRFReranker.

Its documentation advises against a vector index up to some 100,000 rows; beyond, IVF with HNSW and scalar quantisation,
whose best rows are compared exactly (``refine_factor``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from speed.bundle import DEPTH
from speed.systems.base import RRF_K
from speed.systems.tuning import EF_CONSTRUCTION, EFS, LINKS, least, store, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from speed.bundle import Asked, Bundle

__all__ = ["LanceDb"]

PAGE = 10
AT_ONCE = 10_000
NO_INDEX_UP_TO: Final = 100_000


class LanceDb:
    """See the module."""

    def __init__(self) -> None:
        self.ways: Mapping[str, Callable[[Asked], Sequence[Any]]] = {"search": self._search}
        self.dense: Callable[[Asked, int], Sequence[int]] | None = self._nearest
        self.exact: Callable[[Asked], Sequence[Any]] | None = None
        self.settings: dict[str, Any] = {"tokenizer": "whitespace", "fusion": f"RRFReranker K={RRF_K}", "rows": DEPTH}

    def build(self, bundle: Bundle, folder: Path) -> None:
        """One table, its full-text index and, beyond NO_INDEX_UP_TO, its vector index."""
        import lancedb
        import pyarrow as pa
        from lancedb.index import FTS, HnswSq

        vectors, width = bundle.vectors, bundle.vectors.shape[1]
        schema = pa.schema([("row", pa.int64()), ("terms", pa.string()), ("vector", pa.list_(pa.float32(), width))])

        def batches() -> Iterator[pa.RecordBatch]:
            lines = bundle.lines()
            for start in range(0, bundle.passages, AT_ONCE):
                last = min(start + AT_ONCE, bundle.passages)
                values = pa.array(vectors[start:last].reshape(-1))
                yield pa.RecordBatch.from_arrays(
                    [
                        pa.array(range(start, last), pa.int64()),
                        pa.array([next(lines) for _ in range(start, last)]),
                        pa.FixedSizeListArray.from_arrays(values, width),
                    ],
                    schema=schema,
                )

        reader = pa.RecordBatchReader.from_batches(schema, batches())
        table = lancedb.connect(str(folder)).create_table("passages", reader)
        words = FTS(
            base_tokenizer="whitespace", lower_case=False, stem=False, remove_stop_words=False, ascii_folding=False,
            with_position=False, max_token_length=None,
        )  # fmt: skip
        table.create_index("terms", config=words)
        if bundle.passages > NO_INDEX_UP_TO:
            graph = HnswSq(
                distance_type="dot",
                m=LINKS,
                ef_construction=EF_CONSTRUCTION,
            )
            table.create_index("vector", config=graph)
        table.optimize()
        self._table, self._indexed, self._ef = table, bundle.passages > NO_INDEX_UP_TO, EFS[0]
        store(folder, least(EFS, bundle, self._nearest))

    def open(self, bundle: Bundle, folder: Path) -> None:
        """Open the table."""
        import lancedb
        from lancedb.query import MatchQuery
        from lancedb.rerankers import RRFReranker

        self._match = MatchQuery
        self._table = lancedb.connect(str(folder)).open_table("passages")
        self._reranker = RRFReranker(K=RRF_K)
        self._indexed, self._ef = bundle.passages > NO_INDEX_UP_TO, stored(folder)
        self.settings["vector index"] = "none, as advised" if not self._indexed else "IVF_HNSW_SQ, refined"
        if self._indexed:
            self.settings["ef"] = self._ef
            self.exact = lambda asked: self._search(asked, exact=True)

    def _search(self, asked: Asked, *, exact: bool = False) -> list[int]:
        # The two legs give `limit` rows each, and the page is cut after they are fused.
        query = self._table.search(query_type="hybrid", vector_column_name="vector", fts_columns="terms")
        query = query.vector(asked.vector).text(self._match(" ".join(asked.terms), "terms"))
        query = query.distance_type("dot").rerank(self._reranker).limit(DEPTH).select(["row"])
        if exact:
            query = query.bypass_vector_index()
        elif self._indexed:
            query = query.ef(self._ef).refine_factor(2)
        rows: list[int] = query.to_arrow()["row"].to_pylist()[:PAGE]
        return rows

    def _nearest(self, asked: Asked, k: int, ef: int = 0) -> list[int]:
        query = self._table.search(asked.vector, vector_column_name="vector").distance_type("dot").limit(k)
        if self._indexed:
            query = query.ef(ef or self._ef).refine_factor(2)
        rows: list[int] = query.select(["row"]).to_arrow()["row"].to_pylist()
        return rows
