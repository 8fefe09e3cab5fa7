"""BM25 as sparse vectors, for engines that take those: a passage has saturated term frequencies, a question the idfs.

Their inner product is BM25 (k1 = 1.2, b = .75) over the same terms as everybody's.

Use: ``model = SparseModel.fit(bundle)`` at build time, ``save``, and ``SparseModel.load`` where questions are asked.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final, Self

import marisa_trie
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from speed.bundle import Bundle

__all__ = ["SparseModel"]

_K1: Final = 1.2
_B: Final = 0.75


class SparseModel:
    """Terms by number and how many passages have each. The terms are a trie, or a million passages' would be heavy."""

    def __init__(self, terms: marisa_trie.Trie, counts: NDArray[np.int32], passages: int, mean_length: float) -> None:
        self._terms, self._counts = terms, counts
        self._passages, self._mean_length = passages, mean_length

    @classmethod
    def fit(cls, bundle: Bundle) -> Self:
        """Read all passages once."""
        found: Counter[str] = Counter()
        passages = length = 0
        for document in bundle.documents():
            found.update(set(document))
            passages, length = passages + 1, length + len(document)
        terms = marisa_trie.Trie(found.keys())
        counts = np.zeros(len(terms), dtype=np.int32)
        for term, count in found.items():
            counts[terms[term]] = count
        return cls(terms, counts, passages, length / max(passages, 1))

    def save(self, folder: Path) -> None:
        """Write into a folder."""
        self._terms.save(str(folder / "terms.marisa"))
        np.savez(folder / "terms.npz", counts=self._counts, about=[self._passages, self._mean_length])

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read from a folder."""
        terms = marisa_trie.Trie()
        terms.load(str(folder / "terms.marisa"))
        with np.load(folder / "terms.npz") as stored:
            passages, mean_length = stored["about"]
            return cls(terms, stored["counts"], int(passages), float(mean_length))

    def passage(self, terms: Iterable[str]) -> dict[int, float]:
        """Weight by term number."""
        counts = Counter(terms)
        norm = _K1 * (1 - _B + _B * counts.total() / self._mean_length)
        return {self._terms[term]: n * (_K1 + 1) / (n + norm) for term, n in counts.items()}

    def question(self, terms: Sequence[str]) -> dict[int, float]:
        """Weight by term number; unknown terms have none."""
        weights: dict[int, float] = {}
        for term, repeated in Counter(terms).items():
            if term in self._terms:
                number = self._terms[term]
                n = int(self._counts[number])
                weights[number] = repeated * math.log(1 + (self._passages - n + 0.5) / (n + 0.5))
        return weights
