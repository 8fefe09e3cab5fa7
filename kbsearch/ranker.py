"""The learned ranking: boosted trees over the features of :mod:`kbsearch.features`, evaluated with numpy.

The model is ``ranker.json`` beside this file, written by ``benchmarks/train_ranker.py``: 120 shallow trees, which
rise with the cosine, with BM25 and with what title, heading and alias cover of the question (LambdaMART: Burges 2010,
"From RankNet to LambdaRank to LambdaMART"). A tree is lists by node: the feature it asks, the threshold up to which it
goes left, the children, and the value of a leaf.

Never: read a model whose features this installation does not know by the same names and order.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from kbsearch.features import NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kbsearch.model import FloatArray

__all__ = ["Ranker", "shipped_ranker"]


# Trees are steps, and two articles often stand on the same one: then the better match in plain measures goes first.
_TIE_BREAKERS = [NAMES.index(name) for name in ("cosine", "words", "grams")]
_TIE_WEIGHT = 1e-3


class Ranker:
    """An open model; immutable, shared between threads.

    Parameters
    ----------
    model
        The object of the JSON file: ``features`` (names, in order), ``depth`` (of the deepest tree) and ``trees``.
    """

    def __init__(self, model: Mapping[str, Any]) -> None:
        if tuple(model["features"]) != NAMES:
            raise AssertionError("the model was trained on other features")
        trees = model["trees"]
        width = max(len(tree["feature"]) for tree in trees)
        self._depth = int(model["depth"])
        self._feature = _padded(trees, "feature", width).astype(np.int64)
        self._threshold = _padded(trees, "threshold", width)
        self._left = _padded(trees, "left", width).astype(np.int64)
        self._right = _padded(trees, "right", width).astype(np.int64)
        self._value = _padded(trees, "value", width)

    def score(self, features: FloatArray) -> FloatArray:
        """Score articles, float32 of shape (m,), higher is better; any real number.

        ``features``: float32, shape (m, len(NAMES)).
        """
        m, count = len(features), len(self._feature)
        if m == 0:
            return np.empty(0, dtype=np.float32)
        wide = features.astype(np.float64)
        node = np.zeros((m, count), dtype=np.int64)
        tree = np.arange(count)
        article = np.arange(m)[:, np.newaxis]
        for _ in range(self._depth):  # a leaf is its own child on both sides
            goes_left = wide[article, self._feature[tree, node]] <= self._threshold[tree, node]
            node = np.where(goes_left, self._left[tree, node], self._right[tree, node])
        total = self._value[tree, node].sum(axis=1) + wide[:, _TIE_BREAKERS].sum(axis=1) * _TIE_WEIGHT
        scores: FloatArray = total.astype(np.float32)
        return scores


@cache
def shipped_ranker() -> Ranker:
    """The model that comes with the package."""
    text = resources.files("kbsearch").joinpath("ranker.json").read_text("utf-8")
    return Ranker(json.loads(text))


def _padded(trees: list[dict[str, list[float]]], name: str, width: int) -> np.ndarray:
    return np.array([tree[name] + [0] * (width - len(tree[name])) for tree in trees], dtype=np.float64)
