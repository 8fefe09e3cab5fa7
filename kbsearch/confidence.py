"""How sure the answer is: the probability that the first article answers, and that one of the first few does.

Two models of boosted trees look at the head of a ranking (its best article in the features of
:mod:`kbsearch.features`, its lead over those behind it) and give log-odds; they are ``confidence.json`` beside this
file, written by ``benchmarks/train_confidence.py`` from questions of several knowledge bases, a share of whose articles
was withheld, so that they have seen what a question without an answer looks like. A :class:`Calibration`, which a build
measures on its own articles, then turns log-odds into probabilities (Platt 1999, "Probabilistic Outputs for Support
Vector Machines").

The outcome follows from both: ``answer`` when the first article is likely enough to show it alone, ``choose`` when the
answer is more likely than not among the first few, else ``hand_over`` to a person.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kbsearch.features import NAMES
from kbsearch.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kbsearch.model import FloatArray
    from kbsearch.results import Outcome

__all__ = [
    "ANSWER_AT",
    "CHOICES",
    "CHOOSE_AT",
    "HEAD_NAMES",
    "Calibration",
    "Confidence",
    "outcome_of",
]

CHOICES: Final = 5
"""Among so many articles a customer may choose."""

ANSWER_AT: Final = 0.8
"""From this probability of the first article on it is the answer."""

CHOOSE_AT: Final = 0.5
"""From this probability of the first few articles on they are worth choosing from."""

_LEADS: Final = ("cosine", "words", "grams", "title_cosine")
_UTMOST: Final = 30.0  # log-odds; a float that is nearer to 1 is 1

HEAD_NAMES: Final = (
    *NAMES,  # of the first article
    "score",  # of the ranking model
    "lead",  # of that score over the second's
    "lead_fifth",
    "lead_crowd",  # over the mean of the first ten
    *(f"{name}_lead" for name in _LEADS),  # of the first over the second
    "cosine_crowd",  # mean of the ten highest cosines, above that of the pool
    "heading_best",  # what the best heading of the pool covers of the question's grams
)


@dataclass(frozen=True, slots=True)
class Calibration:
    """p = 1 / (1 + exp(−(slope · log-odds + shift))); the default leaves the shipped model's probabilities."""

    slope: float = 1.0
    shift: float = 0.0

    def probability(self, log_odds: float) -> float:
        """Between 0 and 1, never quite either, rising with the log-odds."""
        log_odds = self.slope * log_odds + self.shift
        return 1 / (1 + math.exp(-max(-_UTMOST, min(_UTMOST, log_odds))))

    def beyond(self, other: Calibration) -> Calibration:
        """What has to come before ``other`` to make both together this one."""
        return Calibration(round(self.slope / other.slope, 6), round((self.shift - other.shift) / other.slope, 6))


class Confidence:
    """The open models; immutable, shared between threads.

    Parameters
    ----------
    model
        ``first`` and ``few``, each as in :mod:`kbsearch.trees`, and ``typical``: the calibrations that knowledge bases
        find in the mean when they question their own articles.

    Attributes
    ----------
    typical
        Of both heads; see :mod:`kbsearch.calibration`.
    forests
        For :func:`kbsearch.native.judge`, which gives the same log-odds as :meth:`log_odds`.
    """

    def __init__(self, model: Mapping[str, Any]) -> None:
        self._first = Trees(model["first"], HEAD_NAMES)
        self._few = Trees(model["few"], HEAD_NAMES)
        self.forests = self._first.forest, self._few.forest
        typical = model.get("typical", {})
        self.typical = {head: Calibration(**typical.get(head, {})) for head in ("first", "few")}

    def log_odds(self, head: FloatArray) -> tuple[float, float]:
        """That the first article answers, and that one of the first ``CHOICES`` does.

        ``head``: float32, shape (len(HEAD_NAMES),), as :func:`kbsearch.native.judge` describes a ranking.
        """
        return float(self._first.score(head[np.newaxis])[0]), float(self._few.score(head[np.newaxis])[0])


def outcome_of(first: float, few: float) -> Outcome:
    """What to do with an answer of these probabilities."""
    if first >= ANSWER_AT:
        return "answer"
    return "choose" if max(first, few) >= CHOOSE_AT else "hand_over"
