"""The ranking as a function: by hand, monotone, scale-free, total, and never NaN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kbsearch.rank import (
    _LEXICAL,
    _MIN_COSINE_SPREAD,
    MODES,
    Candidates,
    Mode,
    best_of_articles,
    order,
    rank,
)

if TYPE_CHECKING:
    from kbsearch.model import FloatArray

LEXICAL = float(_LEXICAL)


def pool(
    words: list[float],
    grams: list[float] | None = None,
    dense: list[float] | None = None,
    ceilings: tuple[float, float] = (10, 20),
) -> Candidates:
    n = len(words)
    return Candidates(
        rows=np.arange(n),
        words=np.array(words, dtype=np.float32),
        grams=np.array([0] * n if grams is None else grams, dtype=np.float32),
        dense=np.array([0] * n if dense is None else dense, dtype=np.float32),
        words_ceiling=ceilings[0],
        grams_ceiling=ceilings[1],
    )


def changed(candidates: Candidates, leg: str, place: int, value: float) -> Candidates:
    legs = {name: getattr(candidates, name).copy() for name in ("words", "grams", "dense")}
    legs[leg][place] = value
    return Candidates(
        candidates.rows, **legs, words_ceiling=candidates.words_ceiling, grams_ceiling=candidates.grams_ceiling
    )


@st.composite
def pools(draw: st.DrawFn, min_size: int = 1) -> Candidates:
    n = draw(st.integers(min_size, 12))
    share = hnp.arrays(np.float32, n, elements=st.floats(0, 1, width=32))
    cosine = hnp.arrays(np.float32, n, elements=st.floats(-1, 1, width=32))
    ceilings = draw(st.tuples(*[st.sampled_from([0, 0.5, 3, 40, 500])] * 2))
    return Candidates(
        np.arange(n) * 3, draw(share) * np.float32(ceilings[0]), draw(share) * np.float32(ceilings[1]), draw(cosine),
        ceilings[0], ceilings[1],
    )  # fmt: skip


# By hand


def test_the_lexical_mode_is_the_mean_share_of_both_streams() -> None:
    scores = rank(pool([10, 5, 0], [20, 0, 5]), "lexical")
    expected = [(1 + 1) / 2, (0.5**1.5 + 0) / 2, (0 + 0.25**1.5) / 2]
    assert scores.tolist() == pytest.approx(expected, rel=1e-6)


def test_the_dense_mode_is_the_cosine() -> None:
    assert rank(pool([10, 0], dense=[0.25, -0.5]), "dense").tolist() == [0.25, -0.5]


def test_the_hybrid_mode_adds_the_share_and_the_place_in_the_pool() -> None:
    scores = rank(pool([10, 5, 0], [20, 0, 0], dense=[0.7, 0.8, 0.9]), "hybrid")
    expected = [
        LEXICAL * 1 + (1 - LEXICAL) * 0,
        LEXICAL * (0.5**1.5) / 2 + (1 - LEXICAL) * 0.5,
        LEXICAL * 0 + (1 - LEXICAL) * 1,
    ]
    assert scores.tolist() == pytest.approx(expected, abs=1e-6)


def test_cosines_that_lie_close_together_have_little_say() -> None:
    """A spread of a tenth of the least is worth a tenth."""
    scores = rank(pool([0, 0], dense=[0.8, 0.8 + _MIN_COSINE_SPREAD / 10]), "hybrid")
    assert scores.tolist() == pytest.approx([0, (1 - LEXICAL) / 10], abs=1e-5)


def test_a_chance_word_weighs_less_than_its_share() -> None:
    assert rank(pool([1]), "lexical")[0] < 0.1 / 2


# Properties


@settings(max_examples=200, deadline=None)
@given(candidates=pools(2), data=st.data(), mode=st.sampled_from(["hybrid", "lexical"]))
def test_more_from_a_leg_never_moves_a_candidate_back(candidates: Candidates, data: st.DataObject, mode: Mode) -> None:
    leg = data.draw(st.sampled_from(["words", "grams", "dense"]))
    most = {"words": candidates.words_ceiling, "grams": candidates.grams_ceiling, "dense": 1.0}[leg]
    place = data.draw(st.integers(0, len(candidates.rows) - 1))
    value = float(getattr(candidates, leg)[place])
    better = changed(candidates, leg, place, data.draw(st.floats(value, max(value, most), allow_nan=False)))
    before, after = rank(candidates, mode), rank(better, mode)
    lead_before, lead_after = before[place] - before, after[place] - after
    assert (lead_after >= lead_before - 1e-5).all()


@settings(max_examples=100, deadline=None)
@given(candidates=pools(), factor=st.sampled_from([0.125, 3.0, 1000.0]), mode=st.sampled_from(MODES))
def test_the_size_of_bm25_scores_does_not_matter(candidates: Candidates, factor: float, mode: Mode) -> None:
    """A corpus ten times as large has larger idfs, and with them larger ceilings."""
    scaled = Candidates(
        candidates.rows, candidates.words * np.float32(factor), candidates.grams * np.float32(factor), candidates.dense,
        candidates.words_ceiling * factor, candidates.grams_ceiling * factor,
    )  # fmt: skip
    np.testing.assert_allclose(rank(scaled, mode), rank(candidates, mode), atol=1e-5)


@settings(max_examples=100, deadline=None)
@given(dense=st.lists(st.floats(0, 0.5, width=32), min_size=1, max_size=10), shift=st.sampled_from([-0.5, 0.25, 0.5]))
def test_the_level_of_the_cosines_does_not_matter(dense: list[float], shift: float) -> None:
    """E5 gives .7 to everything, other encoders .1."""
    words = [float(number) for number in range(len(dense))]
    low = rank(pool(words, dense=dense), "hybrid")
    np.testing.assert_allclose(rank(pool(words, dense=[value + shift for value in dense]), "hybrid"), low, atol=1e-4)


@settings(max_examples=200, deadline=None)
@given(candidates=pools(), mode=st.sampled_from(MODES))
def test_scores_are_finite_and_in_their_range(candidates: Candidates, mode: Mode) -> None:
    scores = rank(candidates, mode)
    assert scores.dtype == np.float32
    assert scores.shape == candidates.rows.shape
    assert np.isfinite(scores).all()
    low, high = (-1, 1) if mode == "dense" else (0, 1)
    assert ((scores >= low - 1e-6) & (scores <= high + 1e-6)).all()


@settings(max_examples=100, deadline=None)
@given(scores=hnp.arrays(np.float32, st.integers(0, 30), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])))
def test_the_order_is_total_score_descending_row_ascending(scores: FloatArray) -> None:
    rows = np.arange(len(scores)) * 5
    places = order(rows, scores).tolist()
    assert places == sorted(range(len(scores)), key=lambda place: (-float(scores[place]), int(rows[place])))


@settings(max_examples=50, deadline=None)
@given(candidates=pools(), data=st.data(), mode=st.sampled_from(MODES))
def test_the_ranking_does_not_depend_on_the_places_of_the_candidates(
    candidates: Candidates, data: st.DataObject, mode: Mode
) -> None:
    shuffle = np.array(data.draw(st.permutations(range(len(candidates.rows)))), dtype=np.int64)
    moved = Candidates(
        candidates.rows[shuffle], candidates.words[shuffle], candidates.grams[shuffle], candidates.dense[shuffle],
        candidates.words_ceiling, candidates.grams_ceiling,
    )  # fmt: skip
    assert rank(moved, mode).tolist() == rank(candidates, mode)[shuffle].tolist()
    best = candidates.rows[order(candidates.rows, rank(candidates, mode))]
    assert moved.rows[order(moved.rows, rank(moved, mode))].tolist() == best.tolist()


# Articles


def test_an_article_has_the_best_of_its_rows_from_each_leg() -> None:
    """Article 7 has a title that matches and a passage that means the same; article 2 has one row."""
    found = best_of_articles(
        pool([10, 0, 4], [0, 5, 3], [0.2, 0.9, -0.5], ceilings=(12, 6)), np.array([7, 7, 2], dtype=np.int32)
    )
    assert (found.rows.tolist(), found.rows.dtype) == ([2, 7], np.dtype(np.int64))
    assert (found.words.tolist(), found.grams.tolist()) == ([4, 10], [3, 5])
    assert found.dense.tolist() == pytest.approx([-0.5, 0.9])
    assert (found.words_ceiling, found.grams_ceiling) == (12, 6)
    assert {found.words.dtype, found.grams.dtype, found.dense.dtype} == {np.dtype(np.float32)}


@settings(max_examples=100, deadline=None)
@given(candidates=pools(), data=st.data())
def test_the_best_of_articles_is_a_maximum_by_article(candidates: Candidates, data: st.DataObject) -> None:
    n = len(candidates.rows)
    articles = data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    found = best_of_articles(candidates, np.array(articles, dtype=np.int32))
    assert found.rows.tolist() == sorted(set(articles))
    for leg in ("words", "grams", "dense"):
        scores = getattr(candidates, leg).tolist()
        expected = [
            max(s for s, a in zip(scores, articles, strict=True) if a == number) for number in sorted(set(articles))
        ]
        assert getattr(found, leg).tolist() == expected


def test_no_candidate_is_no_article() -> None:
    found = best_of_articles(pool([]), np.empty(0, dtype=np.int32))
    assert rank(found, "hybrid").tolist() == found.rows.tolist() == []


# Edges


@pytest.mark.parametrize("mode", MODES)
def test_no_candidate_has_no_score(mode: Mode) -> None:
    scores = rank(pool([]), mode)
    assert scores.tolist() == []
    assert order(np.arange(0), scores).tolist() == []


@pytest.mark.parametrize(("mode", "expected"), [("hybrid", LEXICAL / 2), ("lexical", 0.5), ("dense", 0.75)])
def test_one_candidate_has_a_score(mode: Mode, expected: float) -> None:
    """Alone in its pool, a cosine says nothing."""
    assert rank(pool([10], [0], [0.75]), mode).tolist() == pytest.approx([expected])


def test_without_a_term_the_dense_leg_decides() -> None:
    candidates = pool([0, 0, 0], dense=[0.1, 0.9, 0.5], ceilings=(0, 0))
    assert order(candidates.rows, rank(candidates, "hybrid")).tolist() == [1, 2, 0]
    assert rank(candidates, "lexical").tolist() == [0, 0, 0]


def test_with_equal_cosines_the_lexical_leg_decides() -> None:
    candidates = pool([1, 3, 2], dense=[0.8, 0.8, 0.8])
    assert order(candidates.rows, rank(candidates, "hybrid")).tolist() == [1, 2, 0]
    assert rank(candidates, "hybrid").tolist() == pytest.approx([LEXICAL * s for s in rank(candidates, "lexical")])


def test_twins_stand_in_the_order_of_rows() -> None:
    candidates = pool([2, 5, 5, 2], dense=[0.5, 0.8, 0.8, 0.5])
    for mode in MODES:
        assert order(candidates.rows, rank(candidates, mode)).tolist() == [1, 2, 0, 3]
