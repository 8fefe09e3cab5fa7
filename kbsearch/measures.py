"""Statistics of an evaluation: how sure a mean is, whether two differ, and what a confidence is worth.

Use: arrays of one number for each question in, plain numbers out; see each function for its formula and source.

Never: raise for an empty array. What cannot be computed is nan; ``rounded`` makes None of it for JSON. All chance comes
from fixed seeds, so the same numbers give the same answer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "PairedDifference",
    "ReliabilityBin",
    "auroc",
    "bootstrap_interval",
    "confidence_figures",
    "coverage_at_precision",
    "expected_calibration_error",
    "paired_difference",
    "reliability",
    "rounded",
    "threshold_at_precision",
]

_CHUNK = 100  # resamples at a time: 4,000 questions then stay in the cache
_EQUAL = 1e-9  # sums of the same numbers in another order differ by less


class ReliabilityBin(NamedTuple):
    """Questions of like confidence: its mean, the share that was right, and how many there are."""

    confidence: float
    correct: float
    n: int


class PairedDifference(NamedTuple):
    """Two ways of answering the same questions.

    ``difference`` is ``mean_a`` − ``mean_b``, ``low`` and ``high`` its interval, ``p`` the chance of a difference at
    least so great if it did not matter which is which; a wins, ties and loses so many questions.
    """

    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p: float
    wins: int
    ties: int
    losses: int


def rounded(value: float, digits: int = 4) -> float | None:
    """A number as JSON has it: rounded, None for nan."""
    return None if math.isnan(value) else round(float(value), digits)


def bootstrap_interval(
    values: ArrayLike, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean (Efron & Tibshirani 1993, chapter 13).

    Parameters
    ----------
    values
        Shape (n,), one number for each question.
    resamples
        How often n of the n questions are drawn with replacement.
    level
        Share of the resampled means between the two ends, in (0, 1).
    seed
        Of the draws.

    Returns
    -------
    tuple
        Both ends; equal for one question or equal values, nan for none.
    """
    data = np.asarray(values, dtype=np.float64)
    if len(data) == 0:
        return math.nan, math.nan
    if data.min() == data.max():
        return float(data[0]), float(data[0])
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    for start in range(0, resamples, _CHUNK):
        part = means[start : start + _CHUNK]
        part[:] = data[random.integers(0, len(data), size=(len(part), len(data)), dtype=np.int32)].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(
    a: ArrayLike, b: ArrayLike, resamples: int = 1000, permutations: int = 10_000, seed: int = 0
) -> PairedDifference:
    """Compare two ways of answering the same questions, question by question.

    The interval is the bootstrap of the differences d = a − b. The p-value is the two-sided randomisation test, which
    for retrieval agrees with theory best (Smucker, Allan & Carterette 2007): signs of d are flipped at random, and
    p = (1 + #{|mean of flipped d| ≥ |mean of d|}) / (1 + permutations), so it is never 0.

    Parameters
    ----------
    a, b
        Shape (n,), the same question at the same place.
    resamples, permutations, seed
        Of the bootstrap, of the test, of both.

    Returns
    -------
    PairedDifference
        For identical answers the difference is 0 and p is 1; without questions the numbers are nan.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if len(first) == 0:
        return PairedDifference(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, 0, 0, 0)
    difference = first - second
    difference[np.abs(difference) < _EQUAL] = 0
    low, high = bootstrap_interval(difference, resamples, seed=seed)
    wins, losses = int((difference > 0).sum()), int((difference < 0).sum())
    return PairedDifference(
        float(first.mean()), float(second.mean()), float(difference.mean()), low, high,
        _flip_test(difference[difference != 0], permutations, seed), wins, len(first) - wins - losses, losses,
    )  # fmt: skip


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, a tie counted half.

    By the rank sum U / (n₊ n₋) (Mann & Whitney 1947; Hanley & McNeil 1982).

    Parameters
    ----------
    scores
        Shape (n,), any scale, higher for positive.
    labels
        Shape (n,), true or 1 for positive.

    Returns
    -------
    float
        0 to 1, 0.5 for chance; nan without a positive or without a negative.
    """
    data, positive = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    right, wrong = int(positive.sum()), int((~positive).sum())
    if not right or not wrong:
        return math.nan
    _, place, counts = np.unique(data, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # the mean rank of each group of equals
    return float((ranks[positive].sum() - right * (right + 1) / 2) / (right * wrong))


def reliability(probabilities: ArrayLike, labels: ArrayLike, bins: int = 10) -> list[ReliabilityBin]:
    """What a probability says against what happens, in bins of equally many questions.

    Parameters
    ----------
    probabilities
        Shape (n,), 0 to 1.
    labels
        Shape (n,), true or 1 where it came true.
    bins
        How many; no more than there are questions. Sizes differ by one at most.

    Returns
    -------
    list
        Confidence ascending; empty without questions. Where equal probabilities fall into two bins, both get the mean
        of their labels, so that the order of the questions does not matter.
    """
    data, came_true = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if len(data) == 0:
        return []
    _, place, counts = np.unique(data, return_inverse=True, return_counts=True)
    share = (np.bincount(place, weights=came_true) / counts)[place]
    parts = np.array_split(np.argsort(data, kind="stable"), min(bins, len(data)))
    return [ReliabilityBin(float(data[part].mean()), float(share[part].mean()), len(part)) for part in parts]


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike, bins: int = 10) -> float:
    """ECE = Σ n_b/n · |mean probability of b − share that came true in b| over the bins b of :func:`reliability`.

    Bins of equal mass as in Nguyen & O'Connor 2015; 0 to 1, 0 is best; nan without questions.
    """
    found = reliability(probabilities, labels, bins)
    total = sum(part.n for part in found)
    return sum(part.n / total * abs(part.confidence - part.correct) for part in found) if found else math.nan


def coverage_at_precision(
    confidence: ArrayLike, correct: ArrayLike, precision: float, answerable: ArrayLike | None = None
) -> float:
    """The greatest share of answerable questions that can be answered with the wanted precision.

    Answered is what has confidence ≥ t, for the best t; equal confidences are answered together. Of all that is
    answered, at least the share ``precision`` must be right (risk and coverage: El-Yaniv & Wiener 2010).

    Parameters
    ----------
    confidence
        Shape (n,), any scale.
    correct
        Shape (n,), true where the answer is right. An unanswerable question has no right answer.
    precision
        Wanted share of right answers, 0 to 1.
    answerable
        Shape (n,); all are, when it is left out.

    Returns
    -------
    float
        0 to 1; 0 when no t is precise enough, nan without an answerable question.
    """
    return _best_cut(confidence, correct, precision, answerable)[0]


def threshold_at_precision(
    confidence: ArrayLike, correct: ArrayLike, precision: float, answerable: ArrayLike | None = None
) -> float:
    """The confidence t of :func:`coverage_at_precision`, the highest that reaches it; nan where there is none."""
    return _best_cut(confidence, correct, precision, answerable)[1]


def confidence_figures(confidence: ArrayLike, correct: ArrayLike, answerable: ArrayLike) -> dict[str, Any]:
    """All of the above that says what a confidence is worth, by name; every array of shape (n,)."""
    scores, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=bool)
    known = np.asarray(answerable, dtype=bool)
    right = right & known
    return {
        "answerable": int(known.sum()),
        "unanswerable": int((~known).sum()),
        "mean_confidence": float(scores.mean()) if len(scores) else math.nan,
        "share_correct": float(right.mean()) if len(right) else math.nan,
        "auroc": auroc(scores, known),
        "auroc_correct": auroc(scores[known], right[known]),
        "ece": expected_calibration_error(scores, right),
        "coverage95": coverage_at_precision(scores, right, 0.95, known),
        "coverage90": coverage_at_precision(scores, right, 0.90, known),
        "threshold95": threshold_at_precision(scores, right, 0.95, known),
        "threshold90": threshold_at_precision(scores, right, 0.90, known),
    }


def _best_cut(
    confidence: ArrayLike, correct: ArrayLike, precision: float, answerable: ArrayLike | None
) -> tuple[float, float]:
    scores, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=bool)
    known = np.ones(len(scores), dtype=bool) if answerable is None else np.asarray(answerable, dtype=bool)
    if not known.any():
        return math.nan, math.nan
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits, reached = np.cumsum((right & known)[order])[ends], np.cumsum(known[order])[ends]
    precise = np.flatnonzero(hits >= precision * (ends + 1) - _EQUAL)
    if len(precise) == 0 or reached[precise[-1]] == 0:
        return 0.0, math.nan
    best = precise[np.argmax(reached[precise])]  # the first of equals: the highest threshold
    return float(reached[best] / known.sum()), float(ranked[ends[best]])


def _flip_test(difference: NDArray[np.float64], permutations: int, seed: int) -> float:
    """Ties, which no flip changes, are left out beforehand."""
    if len(difference) == 0:
        return 1.0
    random = np.random.default_rng(seed)
    observed, extreme = abs(difference.sum()) - _EQUAL, 0
    for start in range(0, permutations, _CHUNK):
        rows = min(_CHUNK, permutations - start)
        bits = np.unpackbits(random.integers(0, 256, size=(rows, len(difference) // 8 + 1), dtype=np.uint8), axis=1)
        signs = bits[:, : len(difference)].astype(np.float64) * 2 - 1
        extreme += int((np.abs(signs @ difference) >= observed).sum())
    return (1 + extreme) / (1 + permutations)
