"""Boosted decision trees: what the learned models of the package are made of.

A model is JSON: ``features`` (names, in order), ``depth`` (of the deepest tree) and ``trees``. A tree is lists by node:
the feature it asks, the threshold up to which it goes left, the two children, and its value: at a leaf what the tree
adds, inside the mean over the training examples that came by. A leaf is its own child on both sides.

Never: evaluate a model with other features than those it names.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from kbsearch import native

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray

__all__ = ["Trees"]


class Trees:
    """An open model; immutable, shared between threads.

    Parameters
    ----------
    model
        The object of the JSON file.
    names
        The features that it will be given, in order.
    """

    def __init__(self, model: Mapping[str, Any], names: Sequence[str]) -> None:
        if tuple(model["features"]) != tuple(names):
            raise AssertionError("the model was trained on other features")
        trees = model["trees"]
        width = max(len(tree["feature"]) for tree in trees)
        self._depth = int(model["depth"])
        # One table for all trees, so that a step of the walk is one look-up: node n of tree t stands at t * width + n.
        self._root = np.arange(len(trees)) * width
        self._feature = _padded(trees, "feature", width).astype(np.int64).ravel()
        self._threshold = _padded(trees, "threshold", width).ravel()
        self._value = _padded(trees, "value", width).ravel()
        children = np.stack([_padded(trees, "right", width), _padded(trees, "left", width)], axis=-1)
        self._child = (children.astype(np.int64) + self._root[:, np.newaxis, np.newaxis]).ravel()  # right, left
        self._shape = (len(trees), width, self._depth)
        if not (self._feature.min() >= 0 and self._feature.max() < len(names)):
            raise AssertionError("a tree asks for a feature that is not there")
        if not (children.min() >= 0 and children.max() < width):
            raise AssertionError("a tree leads to a node that is not there")
        self._features32, self._child32 = self._feature.astype(np.int32), self._child.astype(np.int32)
        # For float32 numbers, to be at most a threshold is to be at most the next float32 below it.
        rounded = self._threshold.astype(np.float32)
        self._threshold32 = np.where(rounded > self._threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded)

    def score(self, features: FloatArray) -> NDArray[np.float64]:
        """The sum of all trees for each row: float64, shape (m,), of features of shape (m, len(names))."""
        features = np.ascontiguousarray(features, dtype=np.float32)
        return native.trees(self._features32, self._threshold32, self._value, self._child32, self._shape, features)

    def contributions(self, features: FloatArray) -> NDArray[np.float64]:
        """What each feature adds to the score of each row, float64, shape (m, len(names)).

        A step of a tree moves its mean; the step's feature gets the difference (Saabas 2014). Together with the means
        at the roots, which are the same for every row, they sum to the score.
        """
        added = np.zeros(features.shape, dtype=np.float64)
        for before, after in pairwise(self._nodes(features)):
            rows = np.repeat(np.arange(len(features)), before.shape[1])
            step = self._value[after] - self._value[before]
            np.add.at(added, (rows, self._feature[before].ravel()), step.ravel())
        return added

    def _nodes(self, features: FloatArray) -> list[NDArray[np.int64]]:
        """Where each row stands in each tree, from the roots to the leaves; each of shape (m, trees)."""
        wide = features.astype(np.float64)
        row = np.arange(len(wide))[:, np.newaxis] * wide.shape[1]
        flat = wide.ravel()
        node = np.broadcast_to(self._root, (len(wide), len(self._root)))
        path = [node]
        for _ in range(self._depth):
            left = flat.take(row + self._feature.take(node)) <= self._threshold.take(node)
            node = self._child.take(2 * node + left)
            path.append(node)
        return path


def _padded(trees: list[dict[str, list[float]]], name: str, width: int) -> NDArray[np.float64]:
    return np.array([tree[name] + [0] * (width - len(tree[name])) for tree in trees], dtype=np.float64)
