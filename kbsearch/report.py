"""The whole evaluation of an index: the table, what the confidence is worth, comparisons, values that must be kept.

Use: ``make_report(kb, queries, Plan(...))`` is everything that ``kbsearch eval --json`` prints;
:mod:`kbsearch.scoreboard` shows it.

Never: print, or decide the exit code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kbsearch.comparison import compare, perturb
from kbsearch.evaluate import METRICS, Evaluation, Record, evaluate, trust
from kbsearch.judgements import JudgedQuery, doubts, sample, withhold
from kbsearch.measures import rounded
from kbsearch.rank import MODES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kbsearch.model import Progress
    from kbsearch.rank import Mode
    from kbsearch.search import KnowledgeBase

__all__ = ["DEMANDABLE", "Demand", "Plan", "make_report", "worst"]

_TRUST: Final = ("auroc", "coverage95", "coverage90", "ece")
DEMANDABLE: Final = (*METRICS, *_TRUST)
"""Figures for which a value can be demanded."""

_EQUAL: Final = 1e-9  # a mean is not under a value because of its last bit


@dataclass(frozen=True, slots=True)
class Demand:
    """A value that a figure must keep: at least so much, or of ``ece`` at most. ``type`` is None for all questions."""

    metric: str
    value: float
    type: str | None = None

    @classmethod
    def parse(cls, text: str) -> Demand:
        """Read ``METRIC=VALUE`` or ``TYPE:METRIC=VALUE``; the case of the metric does not matter.

        Raises
        ------
        ValueError
            Says what can be demanded.
        """
        left, _, right = text.rpartition("=")
        query_type, _, name = left.rpartition(":")
        metric = {known.casefold(): known for known in DEMANDABLE}.get(name.strip().casefold())
        if metric is None:
            raise ValueError(f"“{text}” is not METRIC=VALUE or TYPE:METRIC=VALUE. METRIC is {', '.join(DEMANDABLE)}.")
        try:
            value = float(right)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"“{right}” in “{text}” is no number. METRIC is {', '.join(DEMANDABLE)}.")
        return cls(metric, value, query_type.strip() or None)

    def check(self, evaluation: Evaluation, mode: Mode) -> dict[str, Any]:
        """Whether an evaluation keeps the value, as JSON; ``reason`` is empty when it does."""
        found = self._figure(evaluation, mode)
        name = f"{self.type}:{self.metric}" if self.type else self.metric
        excess = found - self.value if self.metric == "ece" else self.value - found
        reason = ""
        if math.isnan(found):
            reason = f"{name} cannot be computed: {self._why(evaluation)}"
        elif excess > _EQUAL:
            direction = "over" if self.metric == "ece" else "under"
            reason = f"{name} is {found:.4f}, {excess:.4f} {direction} {self.value:g}"
        return {
            "type": self.type,
            "metric": self.metric,
            "value": self.value,
            "found": rounded(found, 6),
            "failed": bool(reason),
            "reason": reason,
        }

    def _chosen(self, records: Sequence[Record]) -> list[Record]:
        return [record for record in records if self.type in {None, record.query.type}]

    def _figure(self, evaluation: Evaluation, mode: Mode) -> float:
        if self.metric in _TRUST:
            return float(trust(self._chosen(evaluation.records))[self.metric])
        values = [record.answers[mode].metrics[self.metric] for record in self._chosen(evaluation.answerable)]
        return math.fsum(values) / len(values) if values else math.nan

    def _why(self, evaluation: Evaluation) -> str:
        chosen = self._chosen(evaluation.records)
        if not chosen:
            return f"no question of type “{self.type}” can be used" if self.type else "no question can be used"
        if not any(record.query.relevant for record in chosen):
            return "none of its questions is answerable"
        if not any("hybrid" in record.answers for record in chosen):
            return "mode hybrid was not asked"
        return "none of its questions is unanswerable; see --holes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure besides the table.

    Attributes
    ----------
    modes
        Which to ask; the first one is compared, listed and held to ``demands``.
    limit
        At most so many questions of each type and language.
    holes
        Share of the articles to withhold, 0 for none.
    seed
        Of ``limit`` and ``holes``.
    perturb
        Modes in which rewritten questions are asked; empty for none.
    against, against_mode
        What to compare with: another index, another mode of the same one, or both.
    worst
        How many questions to list.
    demands
        Values to keep.
    served
        Ids of the articles that can be found, to warn of judged ones that cannot; without them nobody looks.
    """

    modes: Sequence[Mode] = MODES
    limit: int | None = None
    holes: float = 0.0
    seed: int = 0
    perturb: Sequence[Mode] = ()
    against: KnowledgeBase | None = None
    against_mode: Mode | None = None
    worst: int = 0
    demands: Sequence[Demand] = ()
    served: Collection[str] | None = None


def make_report(
    kb: KnowledgeBase, queries: Sequence[JudgedQuery], plan: Plan, progress: Progress | None = None
) -> dict[str, Any]:
    """Measure all that was planned, as JSON."""
    tell = progress or (lambda _stage, _done, _total: None)
    if plan.limit is not None:
        queries = sample(queries, plan.limit, plan.seed)
    warnings = [] if plan.served is None else doubts(queries, plan.served)
    queries, hidden = withhold(queries, plan.holes, plan.seed) if plan.holes else (queries, frozenset[str]())
    lead = plan.modes[0]
    found = evaluate(kb, queries, plan.modes, lambda done, total: tell("evaluate", done, total), without=hidden)
    result = found.to_dict() | {
        "mode": lead,
        "generation": kb.generation,
        "limit": plan.limit,
        "seed": plan.seed,
        "warnings": warnings,
        "holes": {"share": plan.holes, "withheld": sorted(hidden)} if plan.holes else None,
    }
    if plan.perturb:
        from kbsearch.perturb import PERTURBATIONS, variants

        def rewritten(done: int, total: int) -> None:
            tell("Rewriting questions", done, total)

        result["perturbations"] = perturb(kb, found, plan.perturb, PERTURBATIONS, variants, rewritten, hidden)
    if plan.against is not None or plan.against_mode is not None:
        result["comparison"] = _against(kb, found, plan, hidden, tell)
    if plan.worst:
        result["worst"] = [record.to_dict([lead]) for record in worst(found, lead, plan.worst)]
    if plan.demands:
        result["fail_under"] = [demand.check(found, lead) for demand in plan.demands]
    return result


def worst(evaluation: Evaluation, mode: Mode, number: int) -> list[Record]:
    """The answerable questions with the lowest nDCG@10; among equals, the more confident comes first."""

    def badness(record: Record) -> tuple[float, float]:
        answer = record.answers[mode]
        return answer.metrics[METRICS[0]], -answer.confidence

    return sorted(evaluation.answerable, key=badness)[:number]


def _against(kb: KnowledgeBase, ours: Evaluation, plan: Plan, hidden: frozenset[str], tell: Progress) -> dict[str, Any]:
    """Ask the other side, unless it is a mode that was asked already."""
    mode, other, theirs = plan.modes[0], plan.against_mode or plan.modes[0], ours
    if plan.against is not None or other not in plan.modes:
        theirs = evaluate(
            plan.against or kb,
            [record.query for record in ours.answerable],
            [other],
            lambda done, total: tell("Asking the other side", done, total),
            without=hidden,
        )
    side = {"against_generation": (plan.against or kb).generation}
    return compare(ours, theirs, mode, other, plan.worst) | side
