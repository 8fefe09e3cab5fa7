"""An evaluation compared with another: of another index or mode, or of the same questions written worse.

Use: ``compare(ours, theirs, mode, other)`` on two evaluations of the same questions; ``perturb(kb, evaluation, …)``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from kbsearch.evaluate import ALL, METRICS, Evaluation, Record, score_ranking, strata, totals
from kbsearch.measures import paired_difference, rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from kbsearch.rank import Mode
    from kbsearch.search import KnowledgeBase

__all__ = ["compare", "perturb"]

_COMPARED: Final = METRICS[:2]
_MAIN: Final = METRICS[0]
_TOP: Final = 10


def compare(ours: Evaluation, theirs: Evaluation, mode: Mode, other: Mode, number: int = 0) -> dict[str, Any]:
    """Two evaluations of the same questions, question by question; a difference above 0 speaks for ``ours``.

    Parameters
    ----------
    ours, theirs
        Each was asked the same answerable questions.
    mode, other
        The mode of ours, and that of theirs.
    number
        How many questions to list of those that ``ours`` ranks lower, the most first.

    Returns
    -------
    dict
        ``rows`` by type, language and in total, as :func:`kbsearch.measures.paired_difference` gives them for each
        metric, and ``lost``.
    """
    pairs = list(zip(ours.answerable, theirs.answerable, strict=True))
    partner = {id(record): other_record.answers[other] for record, other_record in pairs}
    rows = []
    for key, records in (strata(ours.answerable) | totals(ours.answerable)).items():
        metrics = {}
        for name in _COMPARED:
            first = [record.answers[mode].metrics[name] for record in records]
            second = [partner[id(record)].metrics[name] for record in records]
            paired = paired_difference(first, second)._asdict()
            metrics[name] = {
                part: rounded(value) if isinstance(value, float) else value for part, value in paired.items()
            }
        rows.append({"type": key[0], "lang": key[1], "questions": len(records), "metrics": metrics})

    def gain(record: Record) -> float:
        return record.answers[mode].metrics[_MAIN] - partner[id(record)].metrics[_MAIN]

    lost = sorted((record for record in ours.answerable if gain(record) < 0), key=gain)[:number]
    listed = [{**record.to_dict([mode]), "against": partner[id(record)].to_dict()} for record in lost]
    return {"mode": mode, "against_mode": other, "rows": rows, "lost": listed}


def perturb(
    kb: KnowledgeBase,
    evaluation: Evaluation,
    modes: Sequence[Mode],
    kinds: Sequence[str],
    variants: Callable[[str], Mapping[str, str]],
    progress: Callable[[int, int], None] | None = None,
    without: Collection[str] = (),
) -> list[dict[str, Any]]:
    """How much of nDCG@10 is kept when the same questions are written differently.

    Parameters
    ----------
    kb, evaluation, without
        The index, what it was asked, and what was hidden from it.
    modes
        Of those that were asked.
    kinds, variants
        Names of all kinds, in the order of the rows, and what gives those that a question has; a kind counts on the
        questions that have it.
    progress
        ``progress(done, total)`` counts questions.

    Returns
    -------
    list
        A row for each mode, kind, type and language, and totals: how many ``questions``, the mean nDCG@10 as they are
        (``clean``) and as variants (``perturbed``), and ``kept``, the ratio of both.
    """
    asked, hidden = evaluation.answerable, frozenset(without)
    scores: dict[tuple[str, Mode], dict[int, float]] = {(kind, mode): {} for mode in modes for kind in kinds}
    for done, record in enumerate(asked, start=1):
        query = record.query
        for kind, text in variants(query.text).items():
            for mode in modes:
                ranking = kb.ranking(text, _TOP, filter=query.filter, mode=mode, without=hidden)
                score = score_ranking(ranking.article_ids, query.relevant)[_MAIN]
                scores[kind, mode][id(record)] = score
        if progress is not None:
            progress(done, len(asked))
    rows = []
    for (kind, mode), found in scores.items():
        touched = [record for record in asked if id(record) in found]
        for key, records in _groups(touched).items():
            clean = math.fsum(record.answers[mode].metrics[_MAIN] for record in records) / len(records)
            perturbed = math.fsum(found[id(record)] for record in records) / len(records)
            rows.append(
                {
                    "kind": kind,
                    "mode": mode,
                    "type": key[0],
                    "lang": key[1],
                    "questions": len(records),
                    "clean": rounded(clean),
                    "perturbed": rounded(perturbed),
                    "kept": rounded(perturbed / clean if clean else math.nan),
                }
            )
    return rows


def _groups(records: list[Record]) -> dict[tuple[str, str], list[Record]]:
    """Types and languages, totals, and always the whole."""
    return strata(records) | totals(records) | {(ALL, ALL): records} if records else {}
