"""The statistics by hand, by properties that they must have, and against scikit-learn."""

from __future__ import annotations

import itertools
import math
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbsearch.measures import (
    auroc,
    bootstrap_interval,
    confidence_figures,
    coverage_at_precision,
    expected_calibration_error,
    paired_difference,
    reliability,
    rounded,
    threshold_at_precision,
)

if TYPE_CHECKING:
    from random import Random

# Few different values, so that ties are common.
SCORED = st.lists(st.tuples(st.integers(0, 5).map(lambda tenth: tenth / 5), st.booleans()), min_size=1, max_size=60)


def test_nan_is_none_in_json() -> None:
    assert (rounded(math.nan), rounded(0.123456), rounded(np.float64(0.123456), 2)) == (None, 0.1235, 0.12)


# Intervals


def test_an_interval_of_one_question_or_of_equal_ones_has_no_width() -> None:
    assert bootstrap_interval([0.4]) == (0.4, 0.4)
    assert bootstrap_interval([1.0, 1.0, 1.0]) == (1, 1)
    assert all(math.isnan(end) for end in bootstrap_interval([]))


def test_an_interval_is_that_of_theory_for_many_questions() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.2, 2000)
    low, high = bootstrap_interval(values)
    width = 1.96 * values.std() / math.sqrt(len(values))
    assert low == pytest.approx(values.mean() - width, abs=width / 5)
    assert high == pytest.approx(values.mean() + width, abs=width / 5)


def test_an_interval_is_the_same_each_time_and_wider_for_a_higher_level() -> None:
    values = [0.0, 0.3, 0.5, 1.0, 1.0]
    assert bootstrap_interval(values) == bootstrap_interval(values)
    narrow, wide = bootstrap_interval(values, level=0.5), bootstrap_interval(values, level=0.99)
    assert wide[0] <= narrow[0] < narrow[1] <= wide[1]
    assert bootstrap_interval(values, resamples=1)[0] == bootstrap_interval(values, resamples=1)[1]


def test_four_thousand_questions_cost_well_under_a_second() -> None:
    values = np.random.default_rng(0).random(4000)
    started = time.process_time()
    bootstrap_interval(values)
    paired_difference(values, values[::-1])
    assert time.process_time() - started < 1


# Paired differences


def test_identical_answers_differ_in_nothing() -> None:
    found = paired_difference([0.1, 0.5, 1.0], [0.1, 0.5, 1.0])
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert (found.wins, found.ties, found.losses) == (0, 3, 0)


def test_the_p_value_is_that_of_all_flips() -> None:
    """Seven questions have 128 ways to flip; chance tries them often enough to find the share."""
    a, b = np.array([1, 1, 0.5, 1, 0.3, 0, 1]), np.array([0.5, 0.2, 0.6, 0.1, 0.1, 0.4, 0.7])
    difference = a - b
    flips = [abs(np.dot(signs, difference)) for signs in itertools.product((-1, 1), repeat=7)]
    exact = np.mean(np.array(flips) >= abs(difference.sum()) - 1e-9)
    found = paired_difference(a, b)
    assert found.p == pytest.approx(exact, abs=0.015)
    assert found.difference == pytest.approx(difference.mean())
    assert found.low < found.difference < found.high
    assert (found.wins, found.ties, found.losses) == (5, 0, 2)


def test_a_great_difference_has_a_small_p_that_is_not_0() -> None:
    found = paired_difference(np.ones(100), np.zeros(100))
    assert found.p == pytest.approx(1 / 10_001)
    assert (found.low, found.high) == (1, 1)


def test_sides_changed_give_the_opposite() -> None:
    a, b = np.random.default_rng(3).random((2, 50))
    there, back = paired_difference(a, b), paired_difference(b, a)
    assert there.difference == -back.difference
    assert (there.wins, there.losses, there.p) == (back.losses, back.wins, back.p)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=0.01)


def test_no_question_is_no_error() -> None:
    found = paired_difference([], [])
    assert math.isnan(found.p)
    assert (found.wins, found.ties, found.losses) == (0, 0, 0)


# Confidence


def test_auroc_by_hand() -> None:
    assert auroc([0.9, 0.8, 0.3], [1, 1, 0]) == 1
    assert auroc([0.1, 0.2], [1, 0]) == 0
    assert auroc([0.5, 0.5, 0.5], [1, 0, 1]) == 0.5
    assert auroc([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 1]) == pytest.approx((1 + 0.5 + 0) / 3)
    for labels in ([], [1, 1], [0]):
        assert math.isnan(auroc([0.5] * len(labels), labels))


@settings(max_examples=200, deadline=None)
@given(SCORED)
def test_auroc_is_that_of_scikit_learn(scored: list[tuple[float, bool]]) -> None:
    from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

    scores, labels = zip(*scored, strict=True)
    if len(set(labels)) == 2:
        assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    else:
        assert math.isnan(auroc(scores, labels))


def test_calibration_by_hand() -> None:
    probabilities, labels = [0.9, 0.1, 0.8, 0.2], [1, 0, 0, 0]
    assert reliability(probabilities, labels, 2) == [
        pytest.approx((0.15, 0.0, 2)),
        pytest.approx((0.85, 0.5, 2)),
    ]
    assert expected_calibration_error(probabilities, labels, 2) == pytest.approx((0.15 + 0.35) / 2)
    assert expected_calibration_error([1.0, 0.0], [1, 0]) == 0
    assert expected_calibration_error([1.0], [0]) == 1
    assert reliability([], []) == []
    assert math.isnan(expected_calibration_error([], []))


def test_bins_have_equal_mass() -> None:
    probabilities = np.linspace(0, 1, 104) ** 3
    sizes = [part.n for part in reliability(probabilities, np.ones(104))]
    assert (len(sizes), sum(sizes), max(sizes) - min(sizes)) == (10, 104, 1)


@settings(max_examples=100, deadline=None)
@given(SCORED, st.integers(1, 12), st.randoms())
def test_calibration_does_not_depend_on_the_order(scored: list[tuple[float, bool]], bins: int, random: Random) -> None:
    probabilities, labels = zip(*scored, strict=True)
    first = expected_calibration_error(probabilities, labels, bins)
    random.shuffle(scored)
    probabilities, labels = zip(*scored, strict=True)
    assert first == pytest.approx(expected_calibration_error(probabilities, labels, bins))
    assert 0 <= first <= 1


def test_ties_are_as_good_as_their_share() -> None:
    """Half of them is right and says so: nothing to blame, in whatever bins they fall."""
    assert expected_calibration_error([0.5] * 40, [1] * 20 + [0] * 20) == pytest.approx(0)


def test_the_bins_are_those_of_scikit_learn() -> None:
    from sklearn.calibration import calibration_curve  # type: ignore[import-untyped]

    random = np.random.default_rng(7)
    probabilities = random.random(50)
    labels = random.random(50) < probabilities
    came_true, said = calibration_curve(labels, probabilities, n_bins=5, strategy="quantile")
    found = reliability(probabilities, labels, 5)
    assert [part.n for part in found] == [10] * 5
    assert [part.confidence for part in found] == pytest.approx(list(said))
    assert [part.correct for part in found] == pytest.approx(list(came_true))


def test_coverage_by_hand() -> None:
    confidence, correct = [0.9, 0.8, 0.7, 0.6, 0.5], [True, True, False, True, True]
    assert coverage_at_precision(confidence, correct, 1.0) == 2 / 5
    assert coverage_at_precision(confidence, correct, 0.75) == 1  # four of five, the dip before does not matter
    assert threshold_at_precision(confidence, correct, 1.0) == 0.8
    assert coverage_at_precision([0.9, 0.1], [False, True], 0.95) == 0
    assert math.isnan(threshold_at_precision([0.9, 0.1], [False, True], 0.95))


def test_unanswerable_questions_count_as_wrong_answers_only() -> None:
    confidence, correct = [0.9, 0.8, 0.7, 0.6], [True, False, True, False]
    answerable = [True, False, True, True]
    assert coverage_at_precision(confidence, correct, 1.0, answerable) == 1 / 3
    assert coverage_at_precision(confidence, correct, 0.66, answerable) == 2 / 3
    assert coverage_at_precision(confidence, [True] * 4, 1.0, answerable) == 1 / 3  # none of them can be right


def test_equal_confidences_are_answered_together() -> None:
    assert coverage_at_precision([0.9, 0.5, 0.5], [True, True, False], 0.9) == 1 / 3
    assert coverage_at_precision([0.5, 0.5], [True, False], 0.95) == 0
    assert coverage_at_precision([0.5, 0.5], [True, False], 0.5) == 1


def test_nineteen_of_twenty_are_95_percent() -> None:
    assert coverage_at_precision(np.linspace(1, 0.5, 20), [True] * 19 + [False], 0.95) == 1


def test_coverage_without_an_answerable_question_is_nothing() -> None:
    assert math.isnan(coverage_at_precision([], [], 0.95))
    assert math.isnan(coverage_at_precision([0.5], [False], 0.95, [False]))


@settings(max_examples=200, deadline=None)
@given(SCORED, st.sampled_from([0.5, 0.9, 0.95]), st.data())
def test_coverage_is_that_of_the_best_of_all_thresholds(
    scored: list[tuple[float, bool]], precision: float, data: st.DataObject
) -> None:
    confidence, right = (np.array(column) for column in zip(*scored, strict=True))
    known = np.array(data.draw(st.lists(st.booleans(), min_size=len(scored), max_size=len(scored))))
    best = 0.0
    for threshold in confidence:
        answered = confidence >= threshold
        if (right & known)[answered].mean() >= precision - 1e-12 and known.any():
            best = max(best, known[answered].sum() / known.sum())
    found = coverage_at_precision(confidence, right, precision, known)
    assert found == pytest.approx(best) if known.any() else math.isnan(found)
    threshold = threshold_at_precision(confidence, right, precision, known)
    if known.any() and best:
        assert known[confidence >= threshold].sum() / known.sum() == pytest.approx(best)
        assert (right & known)[confidence >= threshold].mean() >= precision - 1e-12


def test_the_figures_stand_together() -> None:
    found = confidence_figures([0.9, 0.6, 0.3], [True, False, True], [True, True, False])
    assert found == pytest.approx(
        {
            "answerable": 2, "unanswerable": 1, "mean_confidence": 0.6, "share_correct": 1 / 3, "auroc": 1,
            "auroc_correct": 1, "ece": 1 / 3, "coverage95": 0.5, "coverage90": 0.5, "threshold95": 0.9,
            "threshold90": 0.9,
        }
    )  # fmt: skip
    nothing = confidence_figures([], [], [])
    assert (nothing["answerable"], nothing["unanswerable"]) == (0, 0)
    assert all(math.isnan(value) for value in nothing.values() if isinstance(value, float))
