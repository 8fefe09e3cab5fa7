"""Vectors for corpora that are too large to encode: new ones around real ones, in the real ones' own directions.

A made vector is ``mean + √(1 - a²) · (real - mean) + a · noise``, normalised; the noise has the covariance of the real
vectors. So mean and covariance stay as they are, whatever ``a``, and with them the mean cosine and how fast the
spectrum decays; ``a`` says how much one made vector has of one real one. Questions are made near their passage, as far
from it as real questions are from theirs.

Use: ``maker = VectorMaker(real)``, ``maker.passages(generator, 1000)``, ``maker.near(generator, vectors, cosine)``.

Never: draw the conclusion that a system answers well here; only its speed and its recall against exact search count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["VectorMaker", "normalised"]

NOISE: Final = 0.75
"""Two vectors made around one real vector have a centred cosine of 1 - NOISE² = .44 in the mean."""


def normalised(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows of length 1, float32."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return unit


class VectorMaker:
    """Makes vectors like the given ones, float32 of shape (n, dimension), rows of length 1."""

    def __init__(self, real: NDArray[np.float32]) -> None:
        self._mean = real.mean(axis=0).astype(np.float32)
        self._centred = (real - self._mean).astype(np.float32)
        _, spread, directions = np.linalg.svd(self._centred, full_matrices=False)
        self._axes = (directions * (spread / np.sqrt(max(len(real) - 1, 1)))[:, np.newaxis]).astype(np.float32)

    def passages(self, generator: np.random.Generator, count: int) -> NDArray[np.float32]:
        """Vectors of so many new passages."""
        chosen = self._centred[generator.integers(len(self._centred), size=count)]
        kept = np.float32(np.sqrt(1 - NOISE**2))
        return normalised(self._mean + kept * chosen + np.float32(NOISE) * self._noise(generator, count))

    def near(self, generator: np.random.Generator, vectors: NDArray[np.float32], cosine: float) -> NDArray[np.float32]:
        """A vector near each of the given ones, with about that cosine in the mean."""
        noise = self._noise(generator, len(vectors))
        low, high = 0.0, 1.0
        for _ in range(30):  # the mean cosine falls as the share of noise grows
            share = (low + high) / 2
            made = self._mixed(vectors, noise, share)
            low, high = (share, high) if float(np.vecdot(made, vectors).mean()) > cosine else (low, share)
        return self._mixed(vectors, noise, (low + high) / 2)

    def _mixed(self, vectors: NDArray[np.float32], noise: NDArray[np.float32], share: float) -> NDArray[np.float32]:
        kept = np.float32(np.sqrt(1 - share**2))
        return normalised(self._mean + kept * (vectors - self._mean) + np.float32(share) * noise)

    def _noise(self, generator: np.random.Generator, count: int) -> NDArray[np.float32]:
        drawn = generator.standard_normal((count, len(self._axes)), dtype=np.float32)
        noise: NDArray[np.float32] = drawn @ self._axes
        return noise
