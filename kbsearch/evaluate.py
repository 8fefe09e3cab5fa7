"""Retrieval quality: judged questions against an index, each query type and language by itself.

Use: ``evaluate(kb, read_judgements(queries, qrels))``; ``to_dict()`` of what comes back is the whole report.

Questions of the type ``unanswerable`` test the confidence of mode hybrid; other questions without a judged article are
counted and left out of the figures.

Metrics, for a ranking of distinct articles and gains g = 2^score − 1:

- nDCG@10 = Σ g(i) / log2(i + 1) over ranks 1 to 10, divided by that of the best possible order (Järvelin & Kekäläinen
  2002; gains as in Burges et al. 2005)
- MRR@10 = 1 / rank of the first article that answers, 0 beyond rank 10
- recall@k = share of the answering articles among the first k

Means weigh questions equally, those over several types and languages too.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kbsearch.judgements import JudgedQuery, read_judgements
from kbsearch.measures import bootstrap_interval, confidence_figures, reliability, rounded
from kbsearch.model import JSON_VERSION
from kbsearch.rank import MODES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from kbsearch.rank import Mode
    from kbsearch.search import KnowledgeBase

__all__ = [
    "ALL",
    "METRICS",
    "Answer",
    "Evaluation",
    "JudgedQuery",
    "Record",
    "evaluate",
    "read_judgements",
    "score_ranking",
    "strata",
    "totals",
    "trust",
]

METRICS: Final = ("nDCG@10", "MRR@10", "recall@1", "recall@5", "recall@10", "recall@100")
ALL: Final = "all"
"""Stands for every type, or every language, in a total."""

_DEPTH = 100
_TOP = 10
_SHOWN = 3
_FEWEST = 30  # questions on which a figure about confidence can stand


@dataclass(frozen=True, slots=True)
class Answer:
    """What one mode said: its metrics (none for an unanswerable question) and its first articles.

    ``confidence`` is that of :class:`kbsearch.results.Ranking`, ``correct`` whether the first article answers.
    """

    metrics: Mapping[str, float]
    first: tuple[str, ...]
    confidence: float
    correct: bool

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON."""
        return {
            "metrics": {name: rounded(value) for name, value in self.metrics.items()},
            "first": list(self.first),
            "confidence": rounded(self.confidence, 6),
            "correct": self.correct,
        }


@dataclass(frozen=True, slots=True)
class Record:
    """A question with the answer of each mode that was asked; an unanswerable one is asked in mode hybrid only."""

    query: JudgedQuery
    answers: Mapping[Mode, Answer]

    def to_dict(self, modes: Collection[Mode] = MODES) -> dict[str, Any]:
        """The question and its answers as JSON."""
        query = self.query
        return {
            "id": query.id,
            "text": query.text,
            "type": query.type,
            "lang": query.lang,
            "answerable": bool(query.relevant),
            "expected": dict(query.relevant),
            "answers": {mode: answer.to_dict() for mode, answer in self.answers.items() if mode in modes},
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Every question with its answers, and how many questions were left out because nobody judged them."""

    records: tuple[Record, ...]
    unjudged: int

    @property
    def answerable(self) -> list[Record]:
        """The questions that the metrics stand on."""
        return [record for record in self.records if record.query.relevant]

    @property
    def questions(self) -> dict[tuple[str, str], int]:
        """How many answerable questions there are of each type and language."""
        return {key: len(records) for key, records in strata(self.answerable).items()}

    @property
    def table(self) -> dict[tuple[str, str], dict[str, dict[str, float]]]:
        """Mean metrics: ``table[type, lang][leg][metric]``."""
        return {key: _means(records) for key, records in strata(self.answerable).items()}

    def to_dict(self) -> dict[str, Any]:
        """The evaluation as JSON; ``rows`` are types and languages by themselves, ``totals`` go over several."""
        return {
            "version": JSON_VERSION,
            "unjudged": self.unjudged,
            "unanswerable": len(self.records) - len(self.answerable),
            "rows": [_row(key, records) for key, records in strata(self.answerable).items()],
            "totals": [_row(key, records) for key, records in totals(self.answerable).items()],
            "confidence": _confidence(self.records),
            "records": [record.to_dict() for record in self.records],
        }


def strata(records: Iterable[Record]) -> dict[tuple[str, str], list[Record]]:
    """The questions of each type and language, in the order of the file."""
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        found[record.query.type, record.query.lang].append(record)
    return dict(found)


def totals(records: Sequence[Record]) -> dict[tuple[str, str], list[Record]]:
    """The questions of each language with several types, then those of all languages, where that is more."""
    found: dict[tuple[str, str], list[Record]] = {}
    keys = list(strata(records))
    for lang in dict.fromkeys(lang for _, lang in keys):
        if sum(other == lang for _, other in keys) > 1:
            found[ALL, lang] = [record for record in records if record.query.lang == lang]
    if len({lang for _, lang in keys}) > 1:
        found[ALL, ALL] = list(records)
    return found


def trust(records: Iterable[Record]) -> dict[str, Any]:
    """What the confidence of mode hybrid is worth on some questions: :func:`kbsearch.measures.confidence_figures`."""
    return confidence_figures(*_confidences(records))


def score_ranking(ranking: Sequence[str], relevant: Mapping[str, int]) -> dict[str, float]:
    """All metrics of one ranking, best article first; see the module for the formulas."""
    gains = [2 ** relevant.get(article, 0) - 1 for article in ranking]
    ideal = sorted((2**score - 1 for score in relevant.values()), reverse=True)
    first = next((rank for rank, gain in enumerate(gains[:_TOP], start=1) if gain), None)
    scores = {"nDCG@10": _dcg(gains) / _dcg(ideal), "MRR@10": 1 / first if first else 0.0}
    for k in (1, 5, 10, 100):
        scores[f"recall@{k}"] = sum(gain > 0 for gain in gains[:k]) / len(relevant)
    return scores


def evaluate(
    kb: KnowledgeBase,
    queries: Sequence[JudgedQuery],
    modes: Sequence[Mode] = MODES,
    progress: Callable[[int, int], None] | None = None,
    *,
    without: Collection[str] = (),
) -> Evaluation:
    """Ask every judged question in every mode, and the unanswerable ones in mode hybrid.

    Parameters
    ----------
    kb
        The index to ask.
    queries
        As :func:`read_judgements` gives them.
    modes
        Which to ask.
    progress
        ``progress(done, total)`` counts questions.
    without
        Ids of articles that take no part; see :func:`kbsearch.judgements.withhold`.
    """
    asked = [query for query in queries if query.relevant or query.unanswerable]
    hidden, records = frozenset(without), []
    for done, query in enumerate(asked, start=1):
        chosen = [mode for mode in modes if query.relevant or mode == "hybrid"]
        records.append(Record(query, {mode: _answer(kb, query, mode, hidden) for mode in chosen}))
        if progress is not None:
            progress(done, len(asked))
    return Evaluation(tuple(records), len(queries) - len(asked))


def _answer(kb: KnowledgeBase, query: JudgedQuery, mode: Mode, hidden: frozenset[str]) -> Answer:
    ranking = kb.ranking(query.text, _DEPTH, filter=query.filter, mode=mode, without=hidden)
    ids = ranking.article_ids
    metrics = score_ranking(ids, query.relevant) if query.relevant else {}
    return Answer(metrics, ids[:_SHOWN], ranking.confidence or 0.0, bool(ids) and ids[0] in query.relevant)


def _means(records: Sequence[Record]) -> dict[str, dict[str, float]]:
    return {
        mode: {
            name: math.fsum(record.answers[mode].metrics[name] for record in records) / len(records)
            for name in METRICS
        }
        for mode in records[0].answers
    }  # fmt: skip


def _row(key: tuple[str, str], records: Sequence[Record]) -> dict[str, Any]:
    means, name = _means(records), METRICS[0]
    ends = {
        mode: bootstrap_interval([record.answers[mode].metrics[name] for record in records])
        for mode in records[0].answers
    }  # fmt: skip
    return {
        "type": key[0],
        "lang": key[1],
        "questions": len(records),
        "legs": {leg: {metric: rounded(value) for metric, value in values.items()} for leg, values in means.items()},
        "intervals": {leg: {name: [rounded(end) for end in both]} for leg, both in ends.items()},
    }


def _confidences(records: Iterable[Record]) -> tuple[list[float], list[bool], list[bool]]:
    """Confidence, correct and answerable of what mode hybrid was asked."""
    asked = [(record.answers["hybrid"], record.query) for record in records if "hybrid" in record.answers]
    return (
        [answer.confidence for answer, _ in asked],
        [answer.correct for answer, _ in asked],
        [bool(query.relevant) for _, query in asked],
    )


def _confidence(records: Sequence[Record]) -> dict[str, Any] | None:
    """The whole first, then what is great enough; None when mode hybrid was not asked."""
    confidence, correct, _ = _confidences(records)
    if not confidence:
        return None
    parts = totals(records) | strata(records)
    parts = {key: part for key, part in parts.items() if _FEWEST <= len(part) < len(records)}
    rows = [
        {"type": key[0], "lang": key[1]}
        | {name: rounded(value, 6) if isinstance(value, float) else value for name, value in trust(part).items()}
        for key, part in ({(ALL, ALL): records} | parts).items()
    ]
    bins = reliability(confidence, correct)
    return {
        "mode": "hybrid",
        "rows": rows,
        "reliability": [
            {"confidence": rounded(part.confidence), "correct": rounded(part.correct), "questions": part.n}
            for part in bins
        ],
    }


def _dcg(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:_TOP], start=1))
