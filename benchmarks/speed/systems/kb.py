"""kbsearch itself, on the index that :mod:`speed.prepare` built.

The vector of a question comes from the bundle, as it does for every system; the encoder is there all the same, as it
is for a user, and counts in memory. Encoding is measured apart, in :mod:`speed.own`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kbsearch.embed import load_encoder
from kbsearch.search import KnowledgeBase
from speed.bundle import DEPTH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from kbsearch.model import Encoder, FloatArray
    from speed.bundle import Asked, Bundle

__all__ = ["KbSearch", "TableEncoder", "table_of"]

PAGE = 10


class TableEncoder:
    """The default encoder, but questions are looked up."""

    def __init__(self, encoder: Encoder, table: Mapping[str, FloatArray]) -> None:
        self._encoder, self._table = encoder, table
        self.name, self.fingerprint = encoder.name, encoder.fingerprint
        self.dimension, self.max_tokens = encoder.dimension, encoder.max_tokens
        self.count_tokens, self.encode_passages = encoder.count_tokens, encoder.encode_passages

    def encode_query(self, text: str) -> FloatArray:
        """The vector that belongs to the text."""
        found = self._table.get(text)
        return self._encoder.encode_query(text) if found is None else found


def table_of(bundle: Bundle) -> dict[str, FloatArray]:
    """Vectors of all wordings in which kbsearch asks the questions."""
    return {
        wording: asked.vector
        for stored, asked in zip(bundle.stored_questions, bundle.questions, strict=True)
        for wording in stored["wordings"]
    }


class KbSearch:
    """The whole search, the ranking without snippets, and each leg alone."""

    def __init__(self) -> None:
        self.ways: Mapping[str, Callable[[Asked], Sequence[Any]]] = {}
        self.dense: Callable[[Asked, int], Sequence[int]] | None = None
        self.exact: Callable[[Asked], Sequence[Any]] | None = None
        self.settings: dict[str, Any] = {"k": PAGE}

    def build(self, bundle: Bundle, folder: Path) -> None:
        """Nothing: the bundle has its index."""

    def open(self, bundle: Bundle, folder: Path) -> None:  # noqa: ARG002 - the index is the bundle's
        """Open the index, and once more with an exact dense leg."""
        table = table_of(bundle)
        self.kb = kb = self._opened(bundle, table)
        snapshot = kb.snapshot
        lexical = snapshot.lexical
        self.settings["dense"] = snapshot.generation.manifest["dense"]
        self.ways = {
            "search": lambda asked: [hit.article_id for hit in kb.search(asked.text, PAGE).hits],
            "ranking": lambda asked: kb.ranking(asked.text, PAGE).article_ids,
            "search, lexical": lambda asked: [hit.article_id for hit in kb.search(asked.text, mode="lexical").hits],
            "leg: words": lambda asked: lexical.search("words", asked.words, DEPTH)[0].tolist(),
            "leg: grams": lambda asked: lexical.search("grams", asked.grams, DEPTH)[0].tolist(),
            "leg: dense": lambda asked: snapshot.vectors.search(asked.vector, DEPTH)[0].tolist(),
        }
        self.dense = lambda asked, k: snapshot.vectors.search(asked.vector, k)[0].tolist()
        if snapshot.vectors.approximate:
            self._bundle, self._table = bundle, table
            self._exact_kb: KnowledgeBase | None = None
            self.exact = self._search_exactly

    def _search_exactly(self, asked: Asked) -> list[str]:
        if self._exact_kb is None:  # late, so that the memory at rest is that of one
            self._exact_kb = self._opened(self._bundle, self._table)
            self._exact_kb.snapshot.vectors = self._exact_kb.snapshot.vectors.exact()
        return [hit.article_id for hit in self._exact_kb.search(asked.text, PAGE).hits]

    @staticmethod
    def _opened(bundle: Bundle, table: Mapping[str, FloatArray]) -> KnowledgeBase:
        kb = KnowledgeBase.open(bundle.index)
        kb.snapshot.encoder = TableEncoder(load_encoder(), table)
        return kb
