"""How sure an answer is: the head of a ranking by hand, probabilities, the outcomes at their thresholds."""

from __future__ import annotations

import json
import math
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import head_features

from kbsearch.confidence import (
    ANSWER_AT,
    CHOOSE_AT,
    HEAD_NAMES,
    Calibration,
    Confidence,
    outcome_of,
)
from kbsearch.features import NAMES
from kbsearch.learned import open_models, shipped_models

if TYPE_CHECKING:
    from kbsearch.results import Outcome


def articles(**columns: list[float]) -> np.ndarray:
    """Features of some articles; those not given are 0."""
    found = np.zeros((len(next(iter(columns.values()))), len(NAMES)), dtype=np.float32)
    for name, values in columns.items():
        found[:, NAMES.index(name)] = values
    return found


def head_of(features: np.ndarray, scores: list[float]) -> dict[str, float]:
    head = head_features(features, np.array(scores, dtype=np.float32))
    assert head.dtype == np.float32
    assert head.shape == (len(HEAD_NAMES),)
    return dict(zip(HEAD_NAMES, head.tolist(), strict=True))


# The head of a ranking

LEADS: Final = ("cosine_lead", "words_lead", "grams_lead", "title_cosine_lead")


def test_the_head_of_three_articles() -> None:
    """The second of them is the first of the ranking, the third the second."""
    features = articles(
        cosine=[1.0, 3.0, 2.5],
        words=[0.5, 0.75, 0.25],
        grams=[0.125, 0.5, 0.75],
        title_cosine=[0.0, 4.0, 1.0],
        heading_grams=[0.5, 0.0, 0.25],
    )
    head = head_of(features, [0.5, 2.0, 1.25])
    assert {name: head[name] for name in NAMES} == dict(zip(NAMES, features[1].tolist(), strict=True))
    assert (head["score"], head["lead"], head["lead_fifth"]) == (2, 0.75, 1.5)
    assert head["lead_crowd"] == 2 - (0.5 + 2 + 1.25) / 3
    assert [head[name] for name in LEADS] == [0.5, 0.5, -0.25, 3]
    assert head["cosine_crowd"] == 0
    assert head["heading_best"] == 0.5


def test_an_article_alone_leads_over_nobody() -> None:
    features = articles(cosine=[3.0], words=[0.5], grams=[0.25], title_cosine=[1.0], heading_grams=[0.75])
    head = head_of(features, [-1.5])
    assert {name: head[name] for name in NAMES} == dict(zip(NAMES, features[0].tolist(), strict=True))
    assert head["score"] == -1.5
    assert {head[name] for name in (*LEADS, "lead", "lead_fifth", "lead_crowd", "cosine_crowd")} == {0}
    assert head["heading_best"] == 0.75


def test_the_fifth_and_the_crowd_of_a_full_pool() -> None:
    """Scores 12 to 1, and the cosines the other way round: the crowd of the cosines is that of the highest ones."""
    scores = [float(score) for score in range(12, 0, -1)]
    head = head_of(articles(cosine=scores[::-1]), scores)
    assert (head["score"], head["lead"], head["lead_fifth"]) == (12, 1, 12 - 8)
    assert head["lead_crowd"] == 12 - (12 + 3) / 2
    assert head["cosine_crowd"] == (12 + 3) / 2 - 6.5
    assert head["cosine_lead"] == -1


def test_of_equal_scores_the_earlier_article_is_the_first() -> None:
    head = head_of(articles(cosine=[1.0, 2.0, 3.0]), [0.5, 1.0, 1.0])
    assert (head["cosine"], head["lead"], head["cosine_lead"]) == (2, 0, -1)


# Probabilities

values = st.floats(-1e3, 1e3)
calibrations = st.builds(
    Calibration, slope=st.floats(0.05, 5).map(lambda x: round(x, 6)), shift=st.floats(-5, 5).map(lambda x: round(x, 6))
)


@given(calibrations, values, values)
def test_a_probability_rises_with_the_log_odds(calibration: Calibration, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert calibration.probability(low) <= calibration.probability(high)


@given(calibrations, st.floats(allow_nan=False))
def test_a_probability_is_never_quite_0_or_1_however_extreme_the_log_odds(
    calibration: Calibration, log_odds: float
) -> None:
    assert 0 < calibration.probability(log_odds) < 1


def test_probabilities_by_hand() -> None:
    assert Calibration().probability(0) == 0.5
    assert Calibration().probability(math.log(3)) == pytest.approx(0.75)
    assert Calibration(slope=2, shift=-1).probability(0.5) == 0.5
    assert Calibration(slope=2, shift=-1).probability(0.5 + math.log(3)) == pytest.approx(0.9)


@given(calibrations, calibrations, st.floats(-6, 6))
def test_a_calibration_is_what_lies_beyond_the_typical_one_and_the_typical_one(
    fitted: Calibration, typical: Calibration, log_odds: float
) -> None:
    before = fitted.beyond(typical)
    between = before.slope * log_odds + before.shift
    assert typical.probability(between) == pytest.approx(fitted.probability(log_odds), abs=1e-4)


def test_nothing_lies_beyond_a_calibration_itself() -> None:
    assert Calibration(0.651, -0.5162).beyond(Calibration(0.651, -0.5162)) == Calibration()
    assert Calibration(3, 1).beyond(Calibration(2, 0.5)) == Calibration(1.5, 0.25)
    assert Calibration(3, 1).beyond(Calibration()) == Calibration(3, 1)


# Outcomes


@pytest.mark.parametrize(
    ("first", "few", "outcome"),
    [
        (1.0, 1.0, "answer"),
        (ANSWER_AT, 0.0, "answer"),
        (math.nextafter(ANSWER_AT, 0), 1.0, "choose"),
        (math.nextafter(ANSWER_AT, 0), 0.0, "choose"),
        (CHOOSE_AT, 0.0, "choose"),
        (0.0, CHOOSE_AT, "choose"),
        (math.nextafter(CHOOSE_AT, 0), math.nextafter(CHOOSE_AT, 0), "hand_over"),
        (0.0, 1.0, "choose"),
        (0.0, 0.0, "hand_over"),
    ],
)
def test_the_outcome_at_and_around_its_thresholds(first: float, few: float, outcome: Outcome) -> None:
    assert outcome_of(first, few) == outcome


def test_the_thresholds_are_those_that_the_documentation_names() -> None:
    assert (ANSWER_AT, CHOOSE_AT) == (0.8, 0.5)


# The shipped models


def model_text(name: str) -> str:
    return resources.files("kbsearch").joinpath(name).read_text("utf-8")


def test_the_shipped_models_load_and_know_what_is_typical() -> None:
    confidence = shipped_models().confidence
    assert confidence.typical.keys() == {"first", "few"}
    named: dict[str, Any] = json.loads(model_text("confidence.json"))["typical"]
    for head, calibration in confidence.typical.items():
        assert named[head] == {"slope": calibration.slope, "shift": calibration.shift}
        assert 0.1 < calibration.slope < 10
        assert abs(calibration.shift) < 5


def test_a_model_that_knows_nothing_typical_corrects_nothing() -> None:
    model = json.loads(model_text("confidence.json"))
    del model["typical"]
    assert Confidence(model).typical == {"first": Calibration(), "few": Calibration()}


def test_a_model_of_other_features_is_refused() -> None:
    model = json.loads(model_text("confidence.json"))
    model["few"]["features"] = model["few"]["features"][:-1]
    with pytest.raises(AssertionError, match="other features"):
        Confidence(model)


@given(st.lists(st.floats(-6, 6, width=32), min_size=len(HEAD_NAMES), max_size=len(HEAD_NAMES)))
def test_any_head_has_log_odds_of_both_kinds(head: list[float]) -> None:
    first, few = shipped_models().confidence.log_odds(np.array(head, dtype=np.float32))
    assert math.isfinite(first)
    assert math.isfinite(few)


def test_models_are_told_apart_by_their_texts() -> None:
    ranker, confidence = model_text("ranker.json"), model_text("confidence.json")
    shipped = shipped_models()
    assert shipped is shipped_models()
    assert open_models(ranker, confidence).fingerprint == shipped.fingerprint
    assert open_models(ranker, confidence + "\n").fingerprint != shipped.fingerprint
    assert open_models(ranker + " ", confidence).fingerprint != shipped.fingerprint
