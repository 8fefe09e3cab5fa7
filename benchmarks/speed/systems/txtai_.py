"""txtai: its hybrid index with external vectors, BM25 terms over a whitespace tokenizer, its own convex fusion.

Up to 5,000 passages txtai scans, beyond it takes FAISS's IVF, with a sixteenth of the cells looked at by default. The
graph of FAISS can be named in its settings but not its efSearch, so IVF it is. How many cells are looked at is chosen
when it is built: the fewest, in steps of two, with the recall of the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from speed.bundle import DEPTH
from speed.systems.tuning import least

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from speed.bundle import Asked, Bundle

__all__ = ["Txtai"]

PAGE = 10


class Txtai:
    """See the module."""

    def __init__(self) -> None:
        self.ways: Mapping[str, Callable[[Asked], Sequence[Any]]] = {"search": self._search}
        self.dense: Callable[[Asked, int], Sequence[int]] | None = self._nearest
        self.exact: Callable[[Asked], Sequence[Any]] | None = None
        self.settings: dict[str, Any] = {"rows a leg": DEPTH, "fusion": "convex, half each"}

    def build(self, bundle: Bundle, folder: Path) -> None:
        """Index rows in order; the transform gives their vectors in the same order."""
        from txtai import Embeddings

        vectors, start = bundle.vectors, 0

        def transform(texts: Sequence[str]) -> NDArray[np.float32]:
            nonlocal start
            start += len(texts)
            return vectors[start - len(texts) : start]

        embeddings = Embeddings(
            {
                "method": "external",
                "transform": transform,
                "backend": "faiss",
                "faiss": {"nprobe": 1},
                "content": False,
                "scoring": {
                    "method": "bm25",
                    "terms": True,
                    "normalize": True,
                    "tokenizer": {"whitespace": True, "lowercase": False, "emoji": False},
                },
            }
        )
        embeddings.index((row, line, None) for row, line in enumerate(bundle.lines()))
        self._embeddings = embeddings
        cells = getattr(embeddings.ann.backend, "nlist", 1)
        steps = [2**step for step in range(cells.bit_length()) if 2**step < cells]
        embeddings.config["faiss"]["nprobe"] = least([*steps, cells], bundle, self._nearest)
        embeddings.config.pop("transform")  # a closure cannot be stored
        embeddings.save(str(folder))
        embeddings.close()

    def open(self, bundle: Bundle, folder: Path) -> None:
        """Load it, with the vectors of the questions."""
        from txtai import Embeddings

        table = {" ".join(asked.terms): asked.vector for asked in bundle.questions}

        def transform(texts: Sequence[str]) -> Any:
            return [table[text] for text in texts]

        self._embeddings = Embeddings()
        self._embeddings.load(str(folder))
        self._embeddings.model.transform = transform
        self.settings["nprobe"] = self._embeddings.config["faiss"]["nprobe"]
        self.settings["components"] = self._embeddings.config.get("build", {}).get("settings")

    def _search(self, asked: Asked) -> list[int]:
        return [row for row, _ in self._embeddings.search(" ".join(asked.terms), PAGE)]

    def _nearest(self, asked: Asked, k: int, probes: int = 0) -> list[int]:
        if probes:
            self._embeddings.config["faiss"]["nprobe"] = probes
        return [row for row, _ in self._embeddings.ann.search(asked.vector[None], k)[0]]
