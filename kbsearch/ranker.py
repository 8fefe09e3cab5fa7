"""The learned ranking: boosted trees over the features of :mod:`kbsearch.features`.

The model is ``ranker.json`` beside this file, written by ``benchmarks/train_ranker.py``: 160 shallow trees, which
rise with the cosine, with BM25 and with what title, heading and alias cover of the question (LambdaMART: Burges 2010,
"From RankNet to LambdaRank to LambdaMART").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kbsearch.features import NAMES
from kbsearch.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray

__all__ = ["Ranker"]


# Trees are steps, and two articles often stand on the same one: then the better match in plain measures goes first.
_TIE_BREAKERS: Final = [NAMES.index(name) for name in ("cosine", "words", "grams")]
_TIE_WEIGHT: Final = 1e-3


class Ranker:
    """An open model; immutable, shared between threads.

    Parameters
    ----------
    model
        See :mod:`kbsearch.trees`.

    Attributes
    ----------
    forest
        For :func:`kbsearch.native.judge`, which scores as :meth:`score` does.
    """

    def __init__(self, model: Mapping[str, Any]) -> None:
        self._trees = Trees(model, NAMES)
        self.forest = self._trees.forest

    def score(self, features: FloatArray) -> FloatArray:
        """Score articles, float32 of shape (m,), higher is better; any real number.

        ``features``: float32, shape (m, len(NAMES)).
        """
        if len(features) == 0:
            return np.empty(0, dtype=np.float32)
        ties = features[:, _TIE_BREAKERS].astype(np.float64).sum(axis=1) * _TIE_WEIGHT
        scores: FloatArray = (self._trees.score(features) + ties).astype(np.float32)
        return scores

    def contributions(self, features: FloatArray) -> NDArray[np.float64]:
        """What each feature adds to each score, float64 of shape (m, len(NAMES)); see :mod:`kbsearch.trees`."""
        added = self._trees.contributions(features)
        added[:, _TIE_BREAKERS] += features[:, _TIE_BREAKERS] * _TIE_WEIGHT
        return added
