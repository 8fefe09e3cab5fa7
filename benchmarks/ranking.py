"""What ranking costs on top of the legs: the time of each stage of a query, snippets and encoder left out.

Use: ``python benchmarks/ranking.py INDEX QUERIES [--limit N]``, INDEX a built index and QUERIES a ``queries.jsonl``.
Every question goes through the stages one by one, warm, on one thread; the medians are written to
``benchmarks/results/ranking-cost.md`` with their ratio to the legs of the same run. Look at the ratios: the machine is
never quiet.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from kbsearch import KnowledgeBase
from kbsearch.confidence import head_features
from kbsearch.learned import shipped_models
from kbsearch.model import Filter
from kbsearch.retrieve import POOL, candidates, describe, prepare

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent / "results" / "ranking-cost.md"
WARM_UP = 20

Value = TypeVar("Value")


def main() -> None:
    """Time the stages and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--limit", type=int, default=400)
    options = parser.parse_args()
    texts = [json.loads(line)["text"] for line in options.queries.read_text("utf-8").splitlines()][: options.limit]
    snapshot, models = KnowledgeBase.open(options.index).snapshot, shipped_models()
    seconds: dict[str, list[float]] = defaultdict(list)
    sizes: list[tuple[int, int]] = []

    def timed(stage: str, run: Callable[[], Value]) -> Value:
        start = time.perf_counter()
        found = run()
        seconds[stage].append(time.perf_counter() - start)
        return found

    for text in texts:
        query = prepare(snapshot, text, "hybrid")
        way = query.wordings[0]
        vector = way.vector
        if vector is None or len(query.wordings) > 1:
            continue  # one wording, so that a stage means the same for all
        timed("legs", lambda way=way, vector=vector: [  # type: ignore[misc]
            snapshot.lexical.search("words", way.words, POOL), snapshot.lexical.search("grams", way.grams, POOL),
            snapshot.vectors.search(vector, POOL),
        ])  # fmt: skip
        pool = timed("legs and cross-scoring", lambda query=query: candidates(snapshot, query, Filter(), POOL))  # type: ignore[misc]
        articles, features = timed("features", lambda query=query, pool=pool: describe(snapshot, query, pool))  # type: ignore[misc]
        scores = timed("ranking model", lambda features=features: models.ranker.score(features))  # type: ignore[misc]
        timed(
            "confidence",
            lambda features=features, scores=scores: models.confidence.log_odds(head_features(features, scores)),  # type: ignore[misc]
        )
        sizes.append((len(pool.rows), len(articles)))
    medians = {stage: float(np.median(values[WARM_UP:])) * 1000 for stage, values in seconds.items()}
    medians["cross-scoring"] = medians.pop("legs and cross-scoring") - medians["legs"]
    on_top = sum(medians[stage] for stage in ("features", "ranking model", "confidence"))
    rows, found = np.median(sizes[WARM_UP:], axis=0)
    lines = [
        f"{len(sizes)} questions, {snapshot.lexical.rows} passages, pools of {rows:.0f} rows in {found:.0f} articles.",
        "",
        "| stage | p50 ms | of the legs |",
        "|---|---:|---:|",
    ]
    order = ("legs", "cross-scoring", "features", "ranking model", "confidence")
    lines += [f"| {stage} | {medians[stage]:.2f} | {medians[stage] / medians['legs']:.2f} |" for stage in order]
    lines.append(f"| features, model and confidence together | {on_top:.2f} | {on_top / medians['legs']:.2f} |")
    RESULTS.write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
