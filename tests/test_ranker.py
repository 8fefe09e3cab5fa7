"""The learned ranking: features against arithmetic and against numpy, trees against a walk by hand."""

from __future__ import annotations

import json
import math
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracles import Question, article_features

from kbsearch.features import JAPANESE_QUESTION, NAMES
from kbsearch.learned import shipped_models
from kbsearch.rank import Candidates, Overlap
from kbsearch.ranker import Ranker

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray

MATCHES = [name for name in NAMES[:13] if name != "cosine_second"]


def pool(words: list[float], dense: list[float]) -> Candidates:
    """Rows that share nothing with the question in their title, heading and alias."""
    values, none = np.array(words, dtype=np.float32), np.zeros((len(words), 6), dtype=np.float32)
    return Candidates(
        np.arange(len(words)), values, values / np.float32(2), np.array(dense, dtype=np.float32), 10.0, 5.0,
        Overlap(none, none),
    )  # fmt: skip


def titles(**cosines: float) -> Callable[[RowArray], FloatArray]:
    """Cosines of the titles by the number of the article, as ``a4=.75``."""
    return lambda numbers: np.array([cosines[f"a{number}"] for number in numbers], dtype=np.float32)


def test_an_article_has_the_best_of_its_rows_in_each_measure() -> None:
    """Article 4 has the rows 1 and 2; its words come from one and its cosine from the other."""
    backgrounds = ((0.6, 0.1), (0.75, 0.05))  # article 4 is in English
    question = Question(1.0, distinct_grams=7, cosines=(0.8, 0.05), title_cosines=(0.7, 0.1), backgrounds=backgrounds)
    articles, japanese = np.array([1, 4, 4], dtype=np.int32), np.array([True] * 4 + [False])
    found, features = article_features(
        pool([2, 5, 1], [0.85, 0.82, 0.90]), articles, titles(a1=0.95, a4=0.75), japanese, question
    )
    assert found.tolist() == [1, 4]
    row = dict(zip(NAMES, features[1].tolist(), strict=True))
    assert row["cosine"] == pytest.approx((0.90 - 0.8) / 0.05, rel=1e-4)
    assert row["cosine_second"] == pytest.approx((0.82 - 0.90) / 0.05, rel=1e-4)
    assert (row["words"], row["grams"]) == (pytest.approx(5 / 10), pytest.approx(2.5 / 5))
    assert (row["cosine_gap"], row["words_gap"]) == (0, 0)
    assert (row["words_standing"], row["cosine_standing"]) == (pytest.approx(1 / 10), pytest.approx(1 / 10))
    assert (row["same_script"], row["question_terms"]) == (0, pytest.approx(math.log(1 + 7)))
    assert (row["title_cosine"], row["title_cosine_gap"]) == (pytest.approx(0.5, rel=1e-4), pytest.approx(-2, rel=1e-4))
    other = dict(zip(NAMES, features[0].tolist(), strict=True))
    assert (row["cosine_language"], row["cosine_language_gap"]) == (pytest.approx(3, rel=1e-4), 0)
    assert other["cosine_language"] == pytest.approx(2, rel=1e-4)
    assert other["cosine_language_gap"] == pytest.approx(-1, rel=1e-4)
    assert (other["title_cosine"], other["title_cosine_gap"]) == (pytest.approx(2.5, rel=1e-4), 0)
    assert other["words_gap"] == pytest.approx(2 / 10 - 5 / 10)
    assert (other["same_script"], other["cosine_second"]) == (1, 0)


QUESTION = Question(0.0, 0, (0.8, 0.05), (0.7, 0.1), ((0.8, 0.05), (0.8, 0.05)))


def test_an_empty_pool_has_no_features_and_no_scores() -> None:
    nothing, japanese = np.array([], dtype=np.int32), np.array([True])
    found, features = article_features(pool([], []), nothing, titles(), japanese, QUESTION)
    assert (found.shape, features.shape) == ((0,), (0, len(NAMES)))
    assert shipped_models().ranker.score(features).shape == (0,)


def by_numpy(  # column by column, every array at once
    pooled: Candidates, articles: NDArray[np.int32], titles: FloatArray, japanese: NDArray[np.bool_], question: Question
) -> FloatArray:
    """The features as they were computed before there was a compiled part."""

    def in_spreads(cosines: FloatArray, statistics: tuple[float, float]) -> FloatArray:
        scaled: FloatArray = (cosines - np.float32(statistics[0])) / np.float32(statistics[1])
        return scaled

    def standing(values: FloatArray) -> FloatArray:
        places = np.empty(len(values), dtype=np.float32)
        places[np.argsort(-values, kind="stable")] = 1 / (10 + np.arange(len(values)))
        return places

    overlap = pooled.overlap
    assert overlap is not None
    starts = np.flatnonzero(np.diff(articles, prepend=-1))
    numbers, lengths = articles[starts], np.diff(starts, append=len(articles))
    cosines, titles = in_spreads(pooled.dense, question.cosines), in_spreads(titles, question.title_cosines)
    of_rows = np.column_stack(
        [
            cosines, pooled.words / np.float32(pooled.words_ceiling or 1),
            pooled.grams / np.float32(pooled.grams_ceiling or 1), overlap.cover, overlap.reverse,
        ]
    )  # fmt: skip
    best = np.maximum.reduceat(of_rows, starts, axis=0)
    cosine, words, grams = best[:, 0], best[:, 1], best[:, 2]
    falling = np.lexsort((-cosines, np.repeat(np.arange(len(starts)), lengths)))
    second = cosines[falling[starts + np.minimum(lengths - 1, 1)]]
    mean, spread = np.array(question.backgrounds, dtype=np.float32)[japanese[numbers].astype(np.int64)].T
    in_language = (np.maximum.reduceat(pooled.dense, starts) - mean) / spread
    columns = [
        cosine, cosine - cosine.max(), second - cosine, words, grams, words - words.max(), grams - grams.max(),
        *best[:, 3:].T, standing(words), standing(grams), standing(cosine),
        japanese[numbers] == (question.japanese > JAPANESE_QUESTION), question.japanese,
        np.log1p(question.distinct_grams), words.max(), grams.max(), cosine.max(), cosine.std(),
        titles, titles - titles.max(), in_language, in_language - in_language.max(),
    ]  # fmt: skip
    return np.column_stack([np.broadcast_to(column, len(numbers)) for column in columns]).astype(np.float32)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), sizes=st.lists(st.integers(1, 4), min_size=1, max_size=9), seed=st.integers(0, 2**32 - 1))
@example(data=None, sizes=[1], seed=0)
@example(data=None, sizes=[7], seed=1)
@example(data=None, sizes=[1] * 200, seed=2)
def test_features_are_those_of_numpy(data: st.DataObject | None, sizes: list[int], seed: int) -> None:
    """Articles of so many rows each. Few different values make many ties."""
    random, n, m = np.random.default_rng(seed), sum(sizes), len(sizes)
    steps = 1000 if data is None else data.draw(st.sampled_from([1, 2, 5, 1000]))
    ceilings = (12.5, 31.0) if data is None else data.draw(st.sampled_from([(12.5, 31.0), (0.0, 31.0), (0.0, 0.0)]))

    def shares(*shape: int) -> FloatArray:
        found: FloatArray = (random.integers(0, steps + 1, shape) / np.float32(steps)).astype(np.float32)
        return found

    pooled = Candidates(
        np.arange(n), shares(n) * np.float32(ceilings[0]), shares(n) * np.float32(ceilings[1]),
        shares(n) - np.float32(0.5), *ceilings, Overlap(shares(n, 6), shares(n, 6)),
    )  # fmt: skip
    numbers = np.sort(random.choice(m + 5, m, replace=False)).astype(np.int32)
    articles, of_titles, japanese = np.repeat(numbers, sizes), shares(m), random.random(m + 5) < 0.5
    question = Question(
        float(random.choice([0.0, 0.2, 0.21, 1.0])), int(random.integers(0, 60)), (0.8, 0.05), (0.7, 0.1),
        ((0.6, 0.1), (0.75, 0.05)),
    )  # fmt: skip
    found, features = article_features(pooled, articles, lambda _: of_titles, japanese, question)
    assert found.tolist() == numbers.tolist()
    np.testing.assert_allclose(
        features, by_numpy(pooled, articles, of_titles, japanese, question), rtol=1e-5, atol=1e-5
    )


def model_file() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(resources.files("kbsearch").joinpath("ranker.json").read_text("utf-8"))
    return loaded


@given(st.lists(st.floats(-5, 5, width=32), min_size=len(NAMES), max_size=len(NAMES)))
def test_the_trees_give_what_a_walk_by_hand_gives(values: list[float]) -> None:
    total = 0.0
    for tree in model_file()["trees"]:
        node = 0
        while tree["left"][node] != node:
            goes_left = values[tree["feature"][node]] <= tree["threshold"][node]
            node = tree["left"][node] if goes_left else tree["right"][node]
        total += tree["value"][node]
    total += 1e-3 * sum(values[NAMES.index(name)] for name in ("cosine", "words", "grams"))
    score = float(shipped_models().ranker.score(np.array([values], dtype=np.float32))[0])
    assert score == pytest.approx(total, abs=1e-4)


@given(
    st.lists(st.floats(-1, 1, width=32), min_size=len(NAMES), max_size=len(NAMES)),
    st.sampled_from(MATCHES),
    st.floats(0, 3, width=32),
)
def test_a_better_match_never_scores_lower(values: list[float], name: str, gain: float) -> None:
    better = list(values)
    better[NAMES.index(name)] += gain
    low, high = shipped_models().ranker.score(np.array([values, better], dtype=np.float32))
    assert high >= low - 1e-6


def test_a_model_of_other_features_is_refused() -> None:
    with pytest.raises(AssertionError, match="other features"):
        Ranker({**model_file(), "features": ["cosine"]})


def test_the_model_file_can_be_read_by_a_person() -> None:
    text = resources.files("kbsearch").joinpath("ranker.json").read_text("utf-8")
    assert len(text) < 200_000
    assert max(map(len, text.splitlines())) < 2_000
