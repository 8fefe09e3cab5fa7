"""Retrieval quality of every leg and fusion on a folder of judged sets, in one table.

Use: ``python benchmarks/quality.py DATA_DIR [--sets NAME …] [--limit N] [--out FILE]``. Each subfolder of DATA_DIR with
``articles/``, ``queries.jsonl`` and ``qrels.tsv`` is a set; its index is kept in ``indexes/bench/NAME``, so that a
second run encodes nothing. Systems, on the same passages, terms and vectors:

- words, grams, dense: one leg alone, an article by its best passage
- naive: rank-bm25 over words and an exact scan, reciprocal rank fusion of passages, k = 60 (the stack everybody builds)
- rrf, minmax: the baselines of ``kbsearch eval --baselines``: reciprocal rank fusion of words, grams and dense, k = 60,
  and min-max normalised dense and lexical scores, half each; both by article
- hybrid: what ``kbsearch search`` does, with the models that have not seen the set or its twin where
  ``train_ranker.py`` and ``train_confidence.py`` have left them (the shipped ones were trained on all); the table says

Figures on sets that a setting was tuned on are development figures.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import subprocess
import sys
from collections import defaultdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rank_bm25 import BM25Okapi
from train_confidence import confidence_file, left_out_models
from train_ranker import family_of

from kbsearch import KnowledgeBase, build
from kbsearch.bm25 import term_id
from kbsearch.evaluate import JudgedQuery, read_judgements, score_ranking
from kbsearch.filters import parse_filter
from kbsearch.learned import shipped_models
from kbsearch.rank import BASELINES, MODES

if TYPE_CHECKING:
    from kbsearch.query import Wording

ROOT = Path(__file__).parent.parent
POOL = 100
DEPTH = 10  # all metrics end there
RRF_K = 60
ENOUGH = 100
METRICS = ("nDCG@10", "MRR@10", "recall@10")
SYSTEMS = ("words", "grams", "dense", "naive", "rrf", "minmax", "hybrid")

Key = tuple[str, str, str]
"""Set, query type, language."""


def main() -> None:
    """Measure every set and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="*", default=None)
    parser.add_argument("--limit", type=int, default=10**9, help="questions a query type, chosen by a fixed seed")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "quality")
    options = parser.parse_args()
    table: dict[Key, dict[str, dict[str, float]]] = {}
    counts: dict[Key, int] = {}
    for folder in sorted(path for path in options.data.iterdir() if (path / "queries.jsonl").exists()):
        if options.sets is None or folder.name in options.sets:
            measure(folder, options.limit, table, counts)
    write(options.out, table, counts)


def measure(folder: Path, limit: int, table: dict[Key, dict[str, dict[str, float]]], counts: dict[Key, int]) -> None:
    """Add one set to the table."""
    index = ROOT / "indexes" / "bench" / folder.name
    family = family_of(folder.name)
    models = left_out_models(family) if confidence_file(family).exists() else shipped_models()
    report = build(folder / "articles", index, models=models)
    print(f"{folder.name}: {report.counts}", file=sys.stderr)
    kb = KnowledgeBase(index, models)
    naive = Naive(kb)
    by_type: dict[Key, list[JudgedQuery]] = defaultdict(list)
    for query in read_judgements(folder / "queries.jsonl", folder / "qrels.tsv"):
        if query.relevant:
            by_type[folder.name, query.type, query.lang].append(query)
    for key, queries in by_type.items():
        chosen = random.Random(0).sample(queries, min(limit, len(queries)))  # noqa: S311 - a sample, no secret
        sums: dict[str, dict[str, float]] = {system: dict.fromkeys(METRICS, 0.0) for system in SYSTEMS}
        for query in chosen:
            for system, ranking in rankings(kb, naive, query).items():
                scores = score_ranking(ranking, query.relevant)
                for metric in METRICS:
                    sums[system][metric] += scores[metric]
        counts[key] = len(chosen)
        table[key] = {
            system: {metric: value / len(chosen) for metric, value in totals.items()} for system, totals in sums.items()
        }
        print(key, {system: round(values["nDCG@10"], 3) for system, values in table[key].items()}, file=sys.stderr)


def rankings(kb: KnowledgeBase, naive: Naive, query: JudgedQuery) -> dict[str, tuple[str, ...]]:
    """The ranking of each system for one question."""
    snapshot = kb.snapshot
    asked = kb.prepare(query.text).wordings[-1]
    articles = snapshot.admitted_articles(parse_filter(query.filter), snapshot.out_of_date_today())
    mask = articles[snapshot.article_of_row]
    found = {"naive": tuple(snapshot.article_ids[number] for number in naive.ranking(asked, mask))}
    for mode in (*MODES, *BASELINES):
        if mode in SYSTEMS:
            found[mode] = kb.ranking(query.text, DEPTH, filter=query.filter, mode=mode).article_ids
    return found


class Naive:
    """rank-bm25 over words and an exact scan of the vectors, fused by reciprocal rank."""

    def __init__(self, kb: KnowledgeBase) -> None:
        tokens = kb.snapshot.tokens
        counts = [tokens.counts(row, "words") for row in range(tokens.rows)]
        self._bm25 = BM25Okapi([[term for term, count in row.items() for _ in range(count)] for row in counts])
        self._vectors = kb.snapshot.vectors.vectors
        self._articles = kb.snapshot.article_of_row

    def ranking(self, query: Wording, mask: np.ndarray | None) -> list[int]:
        """Article numbers, best first."""
        if query.vector is None:
            return []
        fused: dict[int, float] = defaultdict(float)
        asked = [term_id("words", term) for term in query.words]
        for scores in (self._bm25.get_scores(asked), self._vectors @ query.vector):
            allowed = scores if mask is None else np.where(mask, scores, -np.inf)
            for rank, row in enumerate(np.argsort(-allowed, kind="stable")[:POOL]):
                if np.isfinite(allowed[row]):
                    fused[int(row)] += 1 / (RRF_K + rank + 1)
        best = sorted(fused, key=lambda row: (-fused[row], row))
        return list(dict.fromkeys(int(self._articles[row]) for row in best))


def write(out: Path, table: dict[Key, dict[str, dict[str, float]]], counts: dict[Key, int]) -> None:
    """``out.json`` with everything, ``out.md`` with nDCG@10; also to standard output."""
    lines = [
        "| set | type | lang | n | " + " | ".join(SYSTEMS) + " | hybrid − best leg | hybrid − rrf |",
        "|---|---|---|---:|" + "---:|" * (len(SYSTEMS) + 2),
    ]
    margins = []
    for key, systems in sorted(table.items()):
        values = [systems[system]["nDCG@10"] for system in SYSTEMS]
        best = max(systems[leg]["nDCG@10"] for leg in ("words", "grams", "dense"))
        cells = " | ".join(f"**{value:.3f}**" if value == max(values) else f"{value:.3f}" for value in values)
        over = values[-1] - best, values[-1] - systems["rrf"]["nDCG@10"]
        lines.append(f"| {' | '.join(key)} | {counts[key]} | {cells} | {over[0]:+.3f} | {over[1]:+.3f} |")
        if counts[key] >= ENOUGH:
            margins.append(over)
    means = np.mean(margins, axis=0) if margins else (0.0, 0.0)
    seen = "not seen" if all(confidence_file(family_of(key[0])).exists() for key in table) else "SEEN"
    summary = f"{len(margins)} types of at least {ENOUGH} questions: hybrid is {means[0]:+.4f} above the best leg and "
    summary += f"{means[1]:+.4f} above RRF in the mean. Its models have {seen} the set in training."
    lines += ["", summary]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    about = {
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("faiss-cpu", "onnxruntime", "SudachiPy")},
    }
    rows = [
        {"set": key[0], "type": key[1], "lang": key[2], "questions": counts[key], "systems": systems}
        for key, systems in sorted(table.items())
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".md").write_text("nDCG@10\n\n" + "\n".join(lines) + "\n", "utf-8")
    out.with_suffix(".json").write_text(
        json.dumps({**about, "rows": rows}, ensure_ascii=False, indent=1) + "\n", "utf-8"
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
