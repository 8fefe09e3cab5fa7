"""The systems that are compared: one class each, found by name in :data:`SYSTEMS`.

Use: ``SYSTEMS["tantivy"].load()()`` gives a :class:`speed.systems.base.System`.

Never: import an engine to list them.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from speed.systems.base import System

__all__ = ["SYSTEMS", "Entry"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a system's class is, which packages it needs, and up to how many passages it is of any use."""

    module: str
    name: str
    packages: tuple[str, ...]
    limit: int = 10**9
    hybrid: bool = True

    def load(self) -> Callable[[], System]:
        """The class."""
        return cast("Callable[[], System]", getattr(import_module(f"speed.systems.{self.module}"), self.name))


SYSTEMS: Final = {
    "kbsearch": Entry("kb", "KbSearch", ("kbsearch",)),
    "tantivy": Entry("raw", "Tantivy", ("tantivy",), hybrid=False),
    "faiss-flat": Entry("raw", "FaissFlat", ("faiss-cpu",), hybrid=False),
    "faiss-hnsw": Entry("raw", "FaissHnsw", ("faiss-cpu",), hybrid=False),
    "bm25s+faiss": Entry("scripted", "Bm25sFaiss", ("bm25s", "faiss-cpu")),
    "naive": Entry("scripted", "Naive", ("rank-bm25", "faiss-cpu"), limit=100_000),
    "txtai": Entry("txtai_", "Txtai", ("txtai", "faiss-cpu")),
    "lancedb": Entry("lancedb_", "LanceDb", ("lancedb",)),
    "qdrant-edge": Entry("qdrant", "QdrantEdge", ("qdrant-edge-py",)),
    "milvus-lite": Entry("milvus", "MilvusLite", ("pymilvus", "milvus-lite")),
}
"""In the order in which they are shown; kbsearch and what it rests on come first."""
