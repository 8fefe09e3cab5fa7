"""Retrieval quality: judged questions against an index, each query type and language by itself.

``queries.jsonl`` has a question a line (``id``, ``text``, and if known ``lang``, ``type``, ``filter``); ``qrels.tsv``
has a header and then ``query_id``, ``article_id``, ``score`` separated by tabs, a score of 1 or more for an article
that answers. Questions without a judged article are counted and left out of the figures.

Metrics, for a ranking of distinct articles and gains g = 2^score − 1:

- nDCG@10 = Σ g(i) / log2(i + 1) over ranks 1 to 10, divided by that of the best possible order (Järvelin & Kekäläinen
  2002; gains as in Burges et al. 2005)
- MRR@10 = 1 / rank of the first article that answers, 0 beyond rank 10
- recall@k = share of the answering articles among the first k
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kbsearch.errors import ConfigError
from kbsearch.rank import MODES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from kbsearch.rank import Mode
    from kbsearch.search import KnowledgeBase

__all__ = ["METRICS", "Evaluation", "JudgedQuery", "evaluate", "read_judgements", "score_ranking"]

METRICS: Final = ("nDCG@10", "MRR@10", "recall@1", "recall@5", "recall@10", "recall@100")

_DEPTH = 100
_TOP = 10
_MAX_SCORE_DIGITS = 2  # gains are powers of two


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A question and the articles that answer it; ``relevant`` maps article id to a score of 1 or more."""

    id: str
    text: str
    lang: str
    type: str
    filter: Mapping[str, Any]
    relevant: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Mean metrics: ``table[(type, lang)][leg][metric]``, and how many questions each row stands on."""

    questions: Mapping[tuple[str, str], int]
    unjudged: int
    table: Mapping[tuple[str, str], Mapping[str, Mapping[str, float]]]

    def to_dict(self) -> dict[str, Any]:
        """The evaluation as JSON."""
        rows = [
            {
                "type": query_type,
                "lang": lang,
                "questions": self.questions[query_type, lang],
                "legs": {
                    leg: {name: round(value, 4) for name, value in metrics.items()} for leg, metrics in legs.items()
                },
            }
            for (query_type, lang), legs in self.table.items()
        ]
        return {"version": 1, "unjudged": self.unjudged, "rows": rows}


def read_judgements(queries: Path, qrels: Path) -> list[JudgedQuery]:
    """Read both files.

    Raises
    ------
    ConfigError
        Names the file and the line that cannot be read.
    """
    relevant: dict[str, dict[str, int]] = defaultdict(dict)
    for number, line in enumerate(_lines(qrels), start=1):
        cells = line.split("\t")
        if not line.strip() or (number == 1 and not cells[-1].strip().isdecimal() and len(cells) > 1):
            continue  # a header, where there is one
        if len(cells) != 3 or not cells[2].strip().isdecimal():  # noqa: PLR2004 - the columns named above
            raise ConfigError(f"{qrels}:{number}", "expected query_id, article_id and a whole score, tab-separated")
        if len(cells[2].strip()) > _MAX_SCORE_DIGITS:
            raise ConfigError(f"{qrels}:{number}", "a score is a small whole number, such as 1 or 2")
        if (score := int(cells[2])) > 0:
            relevant[cells[0]][cells[1]] = score
    found = []
    for number, line in enumerate(_lines(queries), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            text, query_id = str(entry["text"]), str(entry["id"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError(f"{queries}:{number}", f"expected a JSON object with id and text ({error})") from error
        where = entry.get("filter") or {}
        if not isinstance(where, dict):
            raise ConfigError(f"{queries}:{number}", '“filter” is an object such as {"lang": "ja"}')
        query_type, lang = str(entry.get("type", "question")), str(entry.get("lang", ""))
        found.append(JudgedQuery(query_id, text, lang, query_type, where, relevant[query_id]))
    return found


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
) -> Evaluation:
    """Ask every judged question in every mode; ``progress(done, total)`` counts questions."""
    judged = [query for query in queries if query.relevant]
    sums: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    questions: dict[tuple[str, str], int] = defaultdict(int)
    for done, query in enumerate(judged, start=1):
        key = (query.type, query.lang)
        questions[key] += 1
        for mode in modes:
            ranking = kb.ranking(query.text, _DEPTH, filter=query.filter, mode=mode)
            totals = sums.setdefault(key, {}).setdefault(mode, dict.fromkeys(METRICS, 0.0))
            for name, value in score_ranking(ranking, query.relevant).items():
                totals[name] += value
        if progress is not None:
            progress(done, len(judged))
    table = {
        key: {leg: {name: value / questions[key] for name, value in totals.items()} for leg, totals in legs.items()}
        for key, legs in sums.items()
    }
    return Evaluation(dict(questions), len(queries) - len(judged), table)


def _dcg(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:_TOP], start=1))


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(file, f"cannot read the file: {error}") from error
