"""What one writes in an afternoon: BM25 from a package, FAISS, reciprocal rank fusion.

``naive`` is the stack of every first attempt (rank-bm25, a flat index); ``bm25s+faiss`` the fast version of it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from speed.bundle import DEPTH
from speed.systems.base import RRF_K, fused
from speed.systems.raw import Dense
from speed.systems.tuning import GRAPH_BEYOND

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from speed.bundle import Asked, Bundle

__all__ = ["Bm25sFaiss", "Naive"]

PAGE = 10


class _Scripted:
    """The fusion; subclasses score the terms."""

    exact: Callable[[Asked], Sequence[Any]] | None = None

    def __init__(self, *, graph: bool = False) -> None:
        self._dense = Dense(graph=graph)
        self.settings: dict[str, Any] = {"rows a leg": DEPTH, "RRF k": RRF_K, **self._dense.settings}
        self.ways: Mapping[str, Callable[[Asked], Sequence[Any]]] = {"search": self._search}
        self.dense: Callable[[Asked, int], Sequence[int]] | None = lambda asked, k: self._dense.search(asked.vector, k)

    def _search(self, asked: Asked) -> list[int]:
        return fused([self._lexical(asked), self._dense.search(asked.vector, DEPTH)], PAGE)

    def _lexical(self, asked: Asked) -> list[int]:
        raise NotImplementedError


class Naive(_Scripted):
    """rank-bm25 over all passages, and all cosines. rank-bm25 has no file, so opening makes its index again."""

    def build(self, bundle: Bundle, folder: Path) -> None:
        """The dense index, and once the BM25 object for its time."""
        from rank_bm25 import BM25Okapi

        BM25Okapi(list(bundle.documents()))
        self._dense.build(bundle, folder)

    def open(self, bundle: Bundle, folder: Path) -> None:
        """Read and make both."""
        from rank_bm25 import BM25Okapi

        self._bm25 = BM25Okapi(list(bundle.documents()))
        self._dense.open(folder)

    def _lexical(self, asked: Asked) -> list[int]:
        scores = self._bm25.get_scores(list(asked.terms))
        best: list[int] = np.argsort(-scores, kind="stable")[:DEPTH].tolist()
        return best


class Bm25sFaiss(_Scripted):
    """bm25s with its scores computed at build time; FAISS flat or with a graph, where kbsearch would take one."""

    def build(self, bundle: Bundle, folder: Path) -> None:
        """Both indexes."""
        import bm25s

        vocabulary: dict[str, int] = {}
        ids = [[vocabulary.setdefault(term, len(vocabulary)) for term in terms] for terms in bundle.documents()]
        retriever = bm25s.BM25(k1=1.2, b=0.75)
        retriever.index(bm25s.tokenization.Tokenized(ids=ids, vocab=vocabulary), show_progress=False)
        retriever.save(str(folder / "bm25s"), show_progress=False)
        graph = bundle.passages > GRAPH_BEYOND
        (folder / "graph.json").write_text(json.dumps(graph), "utf-8")
        Dense(graph=graph).build(bundle, folder)

    def open(self, bundle: Bundle, folder: Path) -> None:  # noqa: ARG002 - as all systems
        """Open both."""
        import bm25s

        self._retriever = bm25s.BM25.load(str(folder / "bm25s"), mmap=True)
        self._dense = Dense(graph=json.loads((folder / "graph.json").read_text("utf-8")))
        self._dense.open(folder)
        self.settings |= self._dense.settings

    def _lexical(self, asked: Asked) -> list[int]:
        terms = [term for term in asked.terms if term in self._retriever.vocab_dict]
        if not terms:
            return []
        k = min(DEPTH, self._retriever.scores["num_docs"])
        rows: list[int] = self._retriever.retrieve([terms], k=k, show_progress=False, n_threads=0)[0][0].tolist()
        return rows
