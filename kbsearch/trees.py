"""Boosted decision trees: what the learned models of the package are made of.

A model is JSON: ``features`` (names, in order), ``depth`` (of the deepest tree) and ``trees``. A tree is lists by node:
the feature it asks, the threshold up to which it goes left, the two children, and its value: at a leaf what the tree
adds, inside the mean over the training examples that came by. A leaf is its own child on both sides.

Never: evaluate a model with other features than those it names.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from kbsearch import native, structures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray

__all__ = ["Trees"]

_MOST_LEAVES: Final = 32
_ALL: Final = 0xFFFFFFFF


class Trees:
    """An open model; immutable, shared between threads.

    Parameters
    ----------
    model
        The object of the JSON file.
    names
        The features that it will be given, in order.

    Attributes
    ----------
    forest
        The same trees as the compiled part walks them.
    """

    def __init__(self, model: Mapping[str, Any], names: Sequence[str]) -> None:
        if tuple(model["features"]) != tuple(names):
            raise AssertionError("the model was trained on other features")
        self._trees, self._depth = model["trees"], int(model["depth"])
        self.forest = _forest(self._trees, len(names))

    def score(self, features: FloatArray) -> NDArray[np.float64]:
        """The sum of all trees for each row: float64, shape (m,), of features of shape (m, len(names))."""
        return native.trees(self.forest, np.ascontiguousarray(features, dtype=np.float32))

    def contributions(self, features: FloatArray) -> NDArray[np.float64]:
        """What each feature adds to the score of each row, float64, shape (m, len(names)).

        A step of a tree moves its mean; the step's feature gets the difference (Saabas 2014). Together with the means
        at the roots, which are the same for every row, they sum to the score.
        """
        added = np.zeros(features.shape, dtype=np.float64)
        feature, value = self._nodes.feature, self._nodes.value
        for before, after in pairwise(self._path(features)):
            rows = np.repeat(np.arange(len(features)), before.shape[1])
            np.add.at(added, (rows, feature[before].ravel()), (value[after] - value[before]).ravel())
        return added

    @cached_property
    def _nodes(self) -> _Nodes:
        return _Nodes.of(self._trees)

    def _path(self, features: FloatArray) -> list[NDArray[np.int64]]:
        """Where each row stands in each tree, from the roots to the leaves; each of shape (m, trees)."""
        nodes, wide = self._nodes, features.astype(np.float64)
        row = np.arange(len(wide))[:, np.newaxis] * wide.shape[1]
        flat = wide.ravel()
        node = np.broadcast_to(nodes.root, (len(wide), len(nodes.root)))
        path = [node]
        for _ in range(self._depth):
            left = flat.take(row + nodes.feature.take(node)) <= nodes.threshold.take(node)
            node = nodes.child.take(2 * node + left)
            path.append(node)
        return path


class _Nodes(NamedTuple):
    """One table for all trees, so that a step of a walk is one look-up: node n of tree t stands at t * width + n.

    ``child`` has the right and the left one of each.
    """

    root: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    value: NDArray[np.float64]
    child: NDArray[np.int64]

    @classmethod
    def of(cls, trees: Sequence[Mapping[str, Sequence[float]]]) -> _Nodes:
        width = max(len(tree["feature"]) for tree in trees)
        root = np.arange(len(trees)) * width
        children = np.stack([_padded(trees, "right", width), _padded(trees, "left", width)], axis=-1)
        return cls(
            root, _padded(trees, "feature", width).astype(np.int64).ravel(),
            _padded(trees, "threshold", width).ravel(), _padded(trees, "value", width).ravel(),
            (children.astype(np.int64) + root[:, np.newaxis, np.newaxis]).ravel(),
        )  # fmt: skip


def _forest(trees: Sequence[Mapping[str, Sequence[float]]], width: int) -> structures.Forest:
    """Lay trees out as ``kb_trees`` asks them: all questions of a tree at once.

    Leaves are numbered from left to right. A question has the mask of the leaves that are left when its answer is no,
    which are all but those to its left; what all masks leave begins with the leaf where the row ends.
    """
    found = [_questions(tree, width) for tree in trees]
    nodes = max(1, *(len(asked) for asked, _ in found))
    leaves = max(len(values) for _, values in found)
    # A question that is not there is always answered with yes.
    asked = [question for of, _ in found for question in (*of, *[(0, np.inf, _ALL)] * (nodes - len(of)))]
    feature, limit, mask = zip(*asked, strict=True)
    value = [[*values, *[0.0] * (leaves - len(values))] for _, values in found]
    # For float32 numbers, to be at most a limit is to be at most the next float32 below it.
    exact = np.array(limit, np.float64)
    rounded = exact.astype(np.float32)
    threshold = np.where(rounded > exact, np.nextafter(rounded, np.float32(-np.inf)), rounded)
    shape = len(trees), nodes
    return structures.Forest(
        np.array(feature, np.int32).reshape(shape), threshold.reshape(shape), np.array(mask, np.uint32).reshape(shape),
        np.array(value, np.float64), width,
    )  # fmt: skip


def _questions(tree: Mapping[str, Sequence[float]], width: int) -> tuple[list[tuple[int, float, int]], list[float]]:
    """Feature, limit and mask of each inner node, and the values of the leaves from left to right."""
    asked: list[tuple[int, float, int]] = []
    values: list[float] = []
    lefts, rights, features, limits, value = (tree[name] for name in ("left", "right", "feature", "threshold", "value"))
    size = len(features)

    def walk(node: int, above: int) -> None:
        if not 0 <= node < size or above > _MOST_LEAVES:
            raise AssertionError("a tree leads to a node that is not there, or back to one above")
        feature, left, right = int(features[node]), int(lefts[node]), int(rights[node])
        if not 0 <= feature < width:
            raise AssertionError("a tree asks for a feature that is not there")
        first, place = len(values), len(asked)
        if left == node == right:
            if first == _MOST_LEAVES:
                raise AssertionError(f"a tree of more than the {_MOST_LEAVES} leaves that fit into a mask")
            values.append(value[node])
            return
        asked.append((feature, limits[node], _ALL))
        walk(left, above + 1)
        asked[place] = (feature, limits[node], _ALL & ~((1 << len(values)) - (1 << first)))
        walk(right, above + 1)

    walk(0, 0)
    return asked, values


def _padded(trees: Sequence[Mapping[str, Sequence[float]]], name: str, width: int) -> NDArray[np.float64]:
    return np.array([[*tree[name], *[0] * (width - len(tree[name]))] for tree in trees], dtype=np.float64)
