"""How much of nDCG@10 is kept when questions are written as people write them, on sets the models have not seen.

Use: ``python benchmarks/perturbed.py DATA_DIR SET:TYPE …``, after ``train_ranker.py`` and ``train_confidence.py`` on
the same folder. What ``kbsearch eval --perturb`` does, with the models left out; written to
``benchmarks/results/perturbed.md``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from train_confidence import left_out_models
from train_ranker import ROOT, family_of

from kbsearch import KnowledgeBase, build
from kbsearch.comparison import perturb
from kbsearch.evaluate import evaluate, read_judgements
from kbsearch.perturb import PERTURBATIONS, variants

RESULTS = ROOT / "benchmarks" / "results" / "perturbed.md"


def main() -> None:
    """Perturb the questions of each set and type, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("sets", nargs="+", metavar="SET:TYPE")
    options = parser.parse_args()
    lines = ["| set | type | lang | kind | n | clean | rewritten | kept |", "|---|---|---|---|---:|---:|---:|---:|"]
    for chosen in options.sets:
        name, _, kind = chosen.partition(":")
        lines += [row_of(name, row) for row in measure(options.data / name, kind)]
    RESULTS.write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))


def measure(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Rows of one set and type, by language."""
    models = left_out_models(family_of(folder.name))
    index = ROOT / "indexes" / "bench" / folder.name
    build(folder / "articles", index, models=models)
    kb = KnowledgeBase(index, models)
    judged = read_judgements(folder / "queries.jsonl", folder / "qrels.tsv")
    evaluation = evaluate(kb, [query for query in judged if query.type == kind], ["hybrid"])
    rows = perturb(kb, evaluation, ["hybrid"], PERTURBATIONS, variants)
    return [row for row in rows if row["type"] == kind]


def row_of(name: str, row: dict[str, Any]) -> str:
    """A line of the table."""
    kept = f"{row['kept']:.1%}" if row["kept"] is not None else "–"
    figures = f"{row['clean']:.3f} | {row['perturbed']:.3f} | {kept}"
    return f"| {name} | {row['type']} | {row['lang']} | {row['kind']} | {row['questions']} | {figures} |"


if __name__ == "__main__":
    main()
