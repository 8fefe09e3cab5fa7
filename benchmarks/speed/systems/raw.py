"""The engines that kbsearch rests on, without anything around them: the least that its legs can cost.

tantivy answers both token streams, the best 100 rows of each, as kbsearch asks it; FAISS gives the best 100 rows, by a
scan or by a graph with kbsearch's own parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from speed.bundle import DEPTH
from speed.systems.tuning import EF_CONSTRUCTION, EFS, LINKS, least, store, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from speed.bundle import Asked, Bundle

__all__ = ["Dense", "FaissFlat", "FaissHnsw", "Tantivy"]

_HEAP_BYTES = 512_000_000


class Tantivy:
    """Two whitespace fields, one searcher."""

    dense = None
    exact = None

    def __init__(self) -> None:
        self.ways: Mapping[str, Callable[[Asked], Sequence[Any]]] = {"search": self._search}
        self.settings: dict[str, Any] = {"rows a stream": DEPTH}

    def build(self, bundle: Bundle, folder: Path) -> None:
        """Write one index, in order of row."""
        import tantivy

        index = tantivy.Index(self._schema(), path=str(folder))
        writer = index.writer(heap_size=_HEAP_BYTES, num_threads=1)
        for row, terms in enumerate(bundle.documents()):
            document = tantivy.Document()
            for stream in "wg":
                document.add_text(stream, " ".join(term for term in terms if term[0] == stream))
            document.add_unsigned("row", row)
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()

    def open(self, bundle: Bundle, folder: Path) -> None:  # noqa: ARG002 - as all systems
        """Open the searcher."""
        import tantivy

        self._tantivy = tantivy
        self._index = tantivy.Index.open(str(folder))
        self._index.config_reader(reload_policy="manual", num_warmers=0)
        self._fields = self._schema()
        self._searcher = self._index.searcher()

    def _search(self, asked: Asked) -> list[int]:
        rows: list[int] = []
        for stream in "wg":
            terms = dict.fromkeys(term for term in asked.terms if term[0] == stream)
            query = self._tantivy.Query
            parts = [
                (self._tantivy.Occur.Should, query.term_query(self._fields, stream, term, index_option="freq"))
                for term in terms
            ]
            if not parts:
                continue
            hits = self._searcher.search(query.boolean_query(parts), limit=DEPTH, count=False).hits
            numbers = self._searcher.fast_field_values("row", [address for _, address in hits])
            rows += [int(number) for number in numbers if number is not None]
        return rows

    def _schema(self) -> Any:
        import tantivy

        builder = tantivy.SchemaBuilder()
        for stream in "wg":
            builder.add_text_field(stream, tokenizer_name="whitespace", index_option="freq")
        builder.add_unsigned_field("row", fast=True)
        return builder.build()


class Dense:
    """A FAISS index of all vectors, flat or HNSW with kbsearch's parameters."""

    def __init__(self, *, graph: bool) -> None:
        self.graph = graph
        self.settings: dict[str, Any] = {"index": "IndexFlatIP"}
        if graph:
            self.settings = {"index": "IndexHNSWFlat", "M": LINKS, "efConstruction": EF_CONSTRUCTION}

    def build(self, bundle: Bundle, folder: Path) -> None:
        """Write the index."""
        import faiss

        vectors = bundle.vectors
        if self.graph:
            index = faiss.IndexHNSWFlat(vectors.shape[1], self.settings["M"], faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction = self.settings["efConstruction"]
        else:
            index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors))
        faiss.write_index(index, str(folder / "dense.faiss"))
        self._index = index
        if self.graph:
            store(folder, least(EFS, bundle, self._walked))

    def open(self, folder: Path) -> None:
        """Read it."""
        import faiss

        self._index = faiss.read_index(str(folder / "dense.faiss"))
        if self.graph:
            self._index.hnsw.efSearch = self.settings["efSearch"] = stored(folder)

    def search(self, question: NDArray[np.float32], k: int) -> list[int]:
        """The k best rows."""
        rows: list[int] = self._index.search(question[np.newaxis], k)[1][0].tolist()
        return rows

    def _walked(self, asked: Asked, k: int, ef: int) -> list[int]:
        self._index.hnsw.efSearch = ef
        return self.search(asked.vector, k)


class _Faiss:
    """A dense index as a system."""

    exact = None

    def __init__(self, *, graph: bool) -> None:
        self._dense = Dense(graph=graph)
        self.settings: dict[str, Any] = self._dense.settings
        self.ways: Mapping[str, Callable[[Asked], Sequence[Any]]] = {
            "search": lambda asked: self._dense.search(asked.vector, DEPTH)
        }
        self.dense: Callable[[Asked, int], Sequence[int]] | None = lambda asked, k: self._dense.search(asked.vector, k)

    def build(self, bundle: Bundle, folder: Path) -> None:
        """Write the index."""
        self._dense.build(bundle, folder)

    def open(self, bundle: Bundle, folder: Path) -> None:  # noqa: ARG002 - as all systems
        """Read it."""
        self._dense.open(folder)


class FaissFlat(_Faiss):
    """An exact scan."""

    def __init__(self) -> None:
        super().__init__(graph=False)


class FaissHnsw(_Faiss):
    """A graph."""

    def __init__(self) -> None:
        super().__init__(graph=True)
