"""Boosted trees: a small model by hand arithmetic, the shipped ones against a walk and their own explanation."""

from __future__ import annotations

import json
import math
from importlib import resources
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbsearch.confidence import HEAD_NAMES
from kbsearch.features import NAMES
from kbsearch.ranker import Ranker
from kbsearch.trees import Trees

# Is a at most 0.5? Then -1. Else, is b at most 2? Then 0.5, else 1.5. And a tree that is one leaf.
BRANCHING: Final[dict[str, list[Any]]] = {
    "feature": [0, 0, 1, 0, 0],
    "threshold": [0.5, 0, 2, 0, 0],
    "left": [1, 1, 3, 3, 4],
    "right": [2, 1, 4, 3, 4],
    "value": [0.125, -1, 0.75, 0.5, 1.5],
}
LEAF: Final = {"feature": [0], "threshold": [0], "left": [0], "right": [0], "value": [0.25]}
SMALL: Final = {"features": ["a", "b"], "depth": 2, "trees": [BRANCHING, LEAF]}
ROOTS: Final = 0.125 + 0.25


def rows(*values: tuple[float, ...]) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def small() -> Trees:
    return Trees(SMALL, ["a", "b"])


def test_a_score_is_the_sum_of_the_leaves_that_a_row_comes_to() -> None:
    found = small().score(rows((0, 0), (0, 9), (1, 1), (1, 3)))
    assert found.tolist() == [-1 + 0.25, -1 + 0.25, 0.5 + 0.25, 1.5 + 0.25]
    assert found.dtype == np.float64


def test_a_row_exactly_on_a_threshold_goes_left() -> None:
    above = np.nextafter(np.float32(0.5), np.float32(1))
    assert small().score(rows((0.5, 9), (above, 2), (above, np.nextafter(np.float32(2), np.float32(3))))).tolist() == [
        -0.75, 0.75, 1.75,
    ]  # fmt: skip


def test_each_step_gives_its_feature_what_it_moves() -> None:
    added = small().contributions(rows((0, 0), (1, 1), (1, 3)))
    assert added.tolist() == [[-1.125, 0], [0.625, -0.25], [0.625, 0.75]]
    assert (ROOTS + added.sum(axis=1)).tolist() == [-0.75, 0.75, 1.75]


def test_a_feature_that_is_asked_twice_gets_both_steps() -> None:
    """A chain of three questions about a: up to 1, up to 2, up to 3; a leaf is reached at each depth."""
    chain = {
        "feature": [0, 0, 0, 0, 0, 0, 0],
        "threshold": [1, 0, 2, 0, 3, 0, 0],
        "left": [1, 1, 3, 3, 5, 5, 6],
        "right": [2, 1, 4, 3, 6, 5, 6],
        "value": [0, 1, 4, 2, 16, 8, 32],
    }
    trees = Trees({"features": ["a"], "depth": 3, "trees": [chain, LEAF]}, ["a"])
    asked = rows((1,), (2,), (3,), (4,))
    assert trees.score(asked).tolist() == [1.25, 2.25, 8.25, 32.25]
    assert trees.contributions(asked).tolist() == [[1], [2], [8], [32]]


def test_no_row_has_no_score() -> None:
    nothing = np.empty((0, 2), dtype=np.float32)
    assert small().score(nothing).shape == (0,)
    assert small().contributions(nothing).shape == (0, 2)


@pytest.mark.parametrize("names", [["b", "a"], ["a"], ["a", "b", "c"], ["a", "B"], []])
def test_other_features_than_those_of_the_model_are_refused(names: list[str]) -> None:
    with pytest.raises(AssertionError, match="other features"):
        Trees(SMALL, names)


@pytest.mark.parametrize("wrong", [{"feature": [2]}, {"feature": [-1]}, {"left": [1]}, {"right": [-1]}])
def test_a_tree_that_leads_out_of_its_model_is_refused(wrong: dict[str, list[int]]) -> None:
    with pytest.raises(AssertionError, match="not there"):
        Trees({"features": ["a", "b"], "depth": 1, "trees": [{**LEAF, **wrong}]}, ["a", "b"])


@pytest.mark.parametrize("node", [0, 2])
@pytest.mark.parametrize(("name", "wrong"), [("feature", 2), ("feature", -1), ("left", 5), ("right", 5), ("left", -1)])
def test_a_question_that_leads_out_of_its_model_is_refused(node: int, name: str, wrong: int) -> None:
    values = list(BRANCHING[name])
    values[node] = wrong
    with pytest.raises(AssertionError, match="not there"):
        Trees({**SMALL, "trees": [LEAF, {**BRANCHING, name: values}]}, ["a", "b"])


@pytest.mark.parametrize("wrong", [{"left": [1, 1, 0, 3, 4]}, {"right": [2, 1, 2, 3, 4]}, {"left": [0, 1, 3, 3, 4]}])
def test_a_tree_that_leads_back_is_refused(wrong: dict[str, list[int]]) -> None:
    with pytest.raises(AssertionError, match="back to one above"):
        Trees({**SMALL, "trees": [LEAF, {**BRANCHING, **wrong}]}, ["a", "b"])


def chain(leaves: int, side: str) -> dict[str, Any]:
    """A tree that is all questions on one side: is a at most 0, 1, 2 ...? Each leaf has another value."""
    tree: dict[str, Any] = {"feature": [], "threshold": [], "left": [], "right": [], "value": []}
    for step in range(leaves - 1):
        question, leaf = 2 * step, 2 * step + 1
        tree["feature"] += [0, 0]
        tree["threshold"] += [step if side == "right" else leaves - 2 - step, 0]
        tree["value"] += [0, 2.0**step]
        tree[side] += [leaf + 1, leaf]
        tree["left" if side == "right" else "right"] += [leaf, leaf]
        assert question + 1 == leaf
    for name, last in (("feature", 0), ("threshold", 0), ("left", 2 * leaves - 2), ("right", 2 * leaves - 2)):
        tree[name].append(last)
    tree["value"].append(2.0**leaves)
    return tree


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("leaves", [2, 8, 31, 32])
def test_a_tree_has_up_to_thirty_two_leaves_and_each_is_reached(leaves: int, side: str) -> None:
    model = {"features": ["a"], "depth": 31, "trees": [chain(leaves, side)]}
    asked = rows(*((value,) for value in range(-1, leaves + 1)))
    scores = Trees(model, ["a"]).score(asked).tolist()
    assert scores == [walked(model, row) for row in asked.tolist()]
    assert len(set(scores)) == leaves


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("leaves", [33, 64, 100])
def test_a_tree_of_more_leaves_is_refused(leaves: int, side: str) -> None:
    with pytest.raises(AssertionError, match=r"leaves|node"):
        Trees({"features": ["a"], "depth": 100, "trees": [LEAF, chain(leaves, side)]}, ["a"])


def test_a_full_tree_of_five_questions_comes_to_each_of_its_leaves() -> None:
    """A bit of the answer from each of five features, the first one asked first."""
    inner, size = 31, 63
    tree: dict[str, list[Any]] = {
        "feature": [(node + 1).bit_length() - 1 if node < inner else 0 for node in range(size)],
        "threshold": [0.5] * size,
        "left": [2 * node + 1 if node < inner else node for node in range(size)],
        "right": [2 * node + 2 if node < inner else node for node in range(size)],
        "value": [float(node - inner) for node in range(size)],
    }
    names = list("abcde")
    asked = np.array([[number >> (4 - bit) & 1 for bit in range(5)] for number in range(32)], dtype=np.float32)
    trees = Trees({"features": names, "depth": 5, "trees": [tree]}, names)
    assert trees.score(asked).tolist() == list(range(32))
    assert (tree["value"][0] + trees.contributions(asked).sum(axis=1)).tolist() == list(range(32))


def test_small_trees_beside_large_ones_add_only_their_own_leaves() -> None:
    """A question that is not there, where a tree has fewer than its neighbour, takes no leaf away."""
    model = {"features": ["a"], "depth": 31, "trees": [LEAF, chain(32, "left"), chain(2, "right"), LEAF]}
    asked = rows((-1,), (0,), (5,), (99,), (math.inf,), (-math.inf,), (math.nan,))
    assert Trees(model, ["a"]).score(asked).tolist() == [walked(model, row) for row in asked.tolist()]


# Any trees


def walked(model: dict[str, Any], values: list[float]) -> float:
    total = 0.0
    for tree in model["trees"]:
        node = 0
        while tree["left"][node] != node:
            goes_left = values[tree["feature"][node]] <= tree["threshold"][node]
            node = tree["left"][node] if goes_left else tree["right"][node]
        total += tree["value"][node]
    return total


THRESHOLDS: Final = (
    0.0, -0.0, 0.5, 0.1, -0.1, 1 / 3, 1e-46, -1e-46, 1e-40, 3.5e38, -3.5e38, math.inf, 16_777_217.0, 2.0**-149,
)  # fmt: skip
"""Some are a float32, others lie between two, beyond the greatest or below the least."""

WIDTH: Final = 3


@st.composite
def grown(draw: st.DrawFn) -> dict[str, Any]:
    """A tree of any shape, as deep as six questions, of at most 32 leaves."""
    tree: dict[str, Any] = {"feature": [], "threshold": [], "left": [], "right": [], "value": []}
    questions = 0

    def grow(depth: int) -> int:
        nonlocal questions
        node = len(tree["value"])
        asks = depth < 6 and questions < 31 and draw(st.booleans())
        questions += asks
        tree["feature"].append(draw(st.integers(0, WIDTH - 1)) if asks else 0)
        tree["threshold"].append(draw(st.sampled_from(THRESHOLDS) | st.floats(-2, 2)) if asks else 0)
        tree["value"].append(draw(st.floats(-3, 3)))
        for side in ("left", "right"):
            tree[side].append(node)
        if asks:
            tree["left"][node] = grow(depth + 1)
            tree["right"][node] = grow(depth + 1)
        return node

    grow(0)
    return tree


def near(threshold: float) -> list[float]:
    """The float32 at a threshold and those beside it."""
    with np.errstate(over="ignore"):
        here = np.float32(threshold)
    infinity = np.float32(np.inf)
    return [float(here), float(np.nextafter(here, -infinity)), float(np.nextafter(here, infinity))]


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("m", [0, 1, 15, 16, 17, 100])
@settings(max_examples=40, deadline=None)
@given(trees=st.lists(grown(), min_size=1, max_size=12), seed=st.integers(0, 2**32 - 1))
def test_the_score_of_any_trees_is_what_a_walk_gives_to_the_last_bit(
    m: int, trees: list[dict[str, Any]], seed: int
) -> None:
    names = list("abc")
    model = {"features": names, "depth": 6, "trees": trees}
    telling = [value for tree in trees for threshold in tree["threshold"] for value in near(threshold)]
    asked = np.random.default_rng(seed).choice([*telling, math.inf, -math.inf, math.nan], (m, WIDTH))
    asked = asked.astype(np.float32)
    assert Trees(model, names).score(asked).tolist() == [walked(model, row) for row in asked.tolist()]


def test_features_may_be_columns_of_a_wider_array() -> None:
    wide = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert small().score(wide[:, 1:3]).tolist() == small().score(rows((1, 2), (5, 6), (9, 10))).tolist()


# The shipped models


def model_file(name: str, part: str = "") -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(resources.files("kbsearch").joinpath(name).read_text("utf-8"))
    return loaded[part] if part else loaded


MODELS: Final = {
    "ranker": (model_file("ranker.json"), NAMES),
    "first": (model_file("confidence.json", "first"), HEAD_NAMES),
    "few": (model_file("confidence.json", "few"), HEAD_NAMES),
}
OPEN: Final = {name: Trees(*given) for name, given in MODELS.items()}
WIDEST: Final = max(len(names) for _, names in MODELS.values())

features = st.lists(
    st.lists(st.floats(-6, 6, width=32), min_size=WIDEST, max_size=WIDEST), min_size=1, max_size=4
)  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
@given(values=features)
def test_contributions_and_the_values_of_the_roots_sum_to_the_score(name: str, values: list[list[float]]) -> None:
    model, names = MODELS[name]
    asked = rows(*map(tuple, values))[:, : len(names)]
    score, added = OPEN[name].score(asked), OPEN[name].contributions(asked)
    assert score.tolist() == pytest.approx([walked(model, row) for row in asked.tolist()], abs=1e-9)
    roots = sum(tree["value"][0] for tree in model["trees"])
    assert (roots + added.sum(axis=1)).tolist() == pytest.approx(score.tolist(), abs=1e-9)


@given(values=features)
def test_the_explanation_of_the_ranking_holds_what_breaks_its_ties(values: list[list[float]]) -> None:
    model, names = MODELS["ranker"]
    asked = rows(*map(tuple, values))[:, : len(names)]
    ranker, roots = Ranker(model), sum(tree["value"][0] for tree in model["trees"])
    assert (roots + ranker.contributions(asked).sum(axis=1)).tolist() == pytest.approx(
        ranker.score(asked).tolist(), abs=1e-5
    )


@pytest.mark.parametrize("name", MODELS)
@given(values=features)
def test_a_row_scores_the_same_alone_as_among_others(name: str, values: list[list[float]]) -> None:
    asked = rows(*map(tuple, values))[:, : len(MODELS[name][1])]
    assert [OPEN[name].score(asked[place : place + 1])[0] for place in range(len(asked))] == OPEN[name].score(
        asked
    ).tolist()


@pytest.mark.parametrize("name", MODELS)
def test_the_depth_that_a_shipped_model_names_is_that_of_its_deepest_tree(name: str) -> None:
    def depth(tree: dict[str, Any], node: int = 0) -> int:
        if tree["left"][node] == node:
            return 0
        return 1 + max(depth(tree, tree["left"][node]), depth(tree, tree["right"][node]))

    model = MODELS[name][0]
    assert model["depth"] == max(map(depth, model["trees"]))


@pytest.mark.parametrize("name", MODELS)
def test_a_leaf_of_a_shipped_model_is_its_own_child_on_both_sides(name: str) -> None:
    for tree in MODELS[name][0]["trees"]:
        leaves = [node for node, left in enumerate(tree["left"]) if left == node]
        assert [tree["right"][node] for node in leaves] == leaves
        assert len(leaves) == len(tree["left"]) // 2 + 1
