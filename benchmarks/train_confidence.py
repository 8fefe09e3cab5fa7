"""Train the models of confidence on a folder of judged sets, and say honestly how far they can be believed.

Use: ``python benchmarks/train_confidence.py DATA_DIR [--write]``, after ``train_ranker.py`` on the same folder, whose
left-out rankings it scores with. Each question is asked of its whole knowledge base and, several times, of one with a
share of the judged articles withheld, so that some questions have lost their answer; questions of the other sets are
asked too and have none. Every set is left out in turn and measured by models that have not seen it; with ``--write``,
models of all sets then go into ``kbsearch/confidence.json``.

Written to ``benchmarks/results/confidence-left-out.md``: AUROC of the confidence, of questions with an answer against
those that have lost it and against those of other sets; coverage at 95% precision with nothing
withheld; expected calibration error with a share withheld, as shipped, before a build calibrates on its own articles.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
from train_ranker import QUESTIONS_A_TYPE, ROOT, family_of, flatten, left_out_file, script_flags, strangers

from kbsearch import KnowledgeBase, build, structures
from kbsearch.confidence import CHOICES, HEAD_NAMES, Confidence
from kbsearch.evaluate import read_judgements
from kbsearch.features import NAMES
from kbsearch.filters import parse_filter
from kbsearch.judgements import sample, withhold
from kbsearch.learned import Models, open_models
from kbsearch.measures import auroc, coverage_at_precision, expected_calibration_error
from kbsearch.pooling import candidates
from kbsearch.query import Query, prepare
from kbsearch.ranker import Ranker
from kbsearch.retrieve import judged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from kbsearch.model import FloatArray

RESULTS = ROOT / "benchmarks" / "results" / "confidence-left-out.md"
MODEL = ROOT / "kbsearch" / "confidence.json"
POOL = 100
WITHHELD = 0.3
SEEDS = (None, 0, 1, 2, 3)  # None withholds nothing
FOREIGN = 150
FOREIGN_WEIGHT = 2.0
WHOLE_WEIGHT = 4.0  # of a question with nothing withheld: most customers ask what is answered
RISING = {*NAMES[:1], *NAMES[3:5], *NAMES[7:13], "title_cosine", "lead", "cosine_lead", "words_lead", "grams_lead"}
PARAMETERS = {
    "objective": "binary",
    "num_leaves": 5,
    "max_depth": 4,
    "learning_rate": 0.05,
    "min_data_in_leaf": 100,
    "lambda_l2": 5.0,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "monotone_constraints": [int(name in RISING) for name in HEAD_NAMES],
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
TREES = 160
HEADS = ("first", "few")


@dataclass(frozen=True, slots=True)
class Example:
    """One question asked: what the head of its ranking looks like, and whether it answers.

    ``run`` is the seed by which articles were withheld, ``"foreign"`` for a question of another set.
    """

    set: str
    kind: str
    run: int | str | None
    head: FloatArray
    answerable: bool
    first: bool
    few: bool


def main() -> None:
    """Leave out each set in turn, then write the models of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", action="store_true", help="write kbsearch/confidence.json from all sets")
    options = parser.parse_args()
    folders = sorted(path for path in options.data.iterdir() if (path / "queries.jsonl").exists())
    examples = []
    for folder in folders:
        examples += list(read_set(folder, strangers(folder, folders)))
        print(f"asked {folder.name}", file=sys.stderr)
    lines = [
        "| set left out | questions | AUROC withheld | AUROC foreign | AUROC right | coverage at 95% | ECE |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for family in sorted({family_of(example.set) for example in examples}):
        model = train([example for example in examples if family_of(example.set) != family])
        confidence_file(family).write_text(json.dumps(model), "utf-8")
        confidence = Confidence(model)
        names = sorted({example.set for example in examples if family_of(example.set) == family})
        lines += [measure(name, [e for e in examples if e.set == name], confidence) for name in names]
    text = "\n".join(lines)
    print(text)
    RESULTS.write_text(text + "\n", "utf-8")
    typical = questioned(folders)
    if options.write:
        MODEL.write_text(
            json.dumps(train(examples) | {"typical": typical}, separators=(",", ":")).replace(
                '{"feature"', '\n{"feature"'
            )
            + "\n"
        )


def confidence_file(family: str) -> Path:
    """Where the model of confidence is kept that has not seen a family of sets."""
    return left_out_file(family).with_name(f"confidence-{family}.json")


def left_out_models(family: str) -> Models:
    """The models that have not seen a family of sets."""
    return open_models(*(file.read_text("utf-8") for file in (left_out_file(family), confidence_file(family))))


def questioned(folders: Sequence[Path]) -> dict[str, dict[str, float]]:
    """What builds find when they question their own articles, in the mean over the sets where they can.

    A text that is asked with itself withheld is harder to answer than what customers ask, everywhere; a build is to
    learn from its own articles only by how much they differ from that.
    """
    found: dict[str, list[tuple[float, float]]] = {head: [] for head in HEADS}
    for folder in folders:
        index = ROOT / "indexes" / "bench" / folder.name
        build(folder / "articles", index, models=left_out_models(family_of(folder.name)))
        calibration = KnowledgeBase.open(index).snapshot.generation.manifest["calibration"]
        if calibration["basis"] == "own":
            for head in HEADS:
                found[head].append((calibration["asked"][head]["slope"], calibration["asked"][head]["shift"]))
        print(f"questioned {folder.name}", file=sys.stderr)
    means = {head: np.mean(pairs, axis=0) for head, pairs in found.items()}
    return {head: {"slope": round(float(a), 4), "shift": round(float(b), 4)} for head, (a, b) in means.items()}


def read_set(folder: Path, foreign: Sequence[str]) -> Iterator[Example]:
    """Ask every question, in every run."""
    kb = KnowledgeBase.open(ROOT / "indexes" / "bench" / folder.name)
    snapshot = kb.snapshot
    ranker = Ranker(json.loads(left_out_file(family_of(folder.name)).read_text("utf-8")))
    number = {name: place for place, name in enumerate(snapshot.article_ids)}
    flags = script_flags(folder / "queries.jsonl")
    prepared: dict[str, Query] = {}

    def ask(text: str, where: Any, hidden: tuple[int, ...], relevant: Mapping[str, int], about: dict[str, Any]) -> Any:
        if text not in prepared:
            prepared[text] = prepare(snapshot, text, "hybrid")
        query = prepared[text]
        pooled = candidates(snapshot, query, where, POOL, without=hidden)
        if len(pooled.rows) == 0:
            return None
        ranking = judged(snapshot, query, pooled, structures.Models(ranker.forest))
        first = [snapshot.article_ids[int(number)] for number in ranking.numbers[ranking.order[:CHOICES]]]
        found = [name in relevant for name in first]
        return Example(
            folder.name, head=ranking.head, answerable=bool(relevant),
            first=found[0], few=any(found), **about,
        )  # fmt: skip

    queries = read_judgements(folder / "queries.jsonl", folder / "qrels.tsv")
    answered = sample([query for query in queries if query.relevant], QUESTIONS_A_TYPE)
    strange = [query.text for query in queries if query.unanswerable][:QUESTIONS_A_TYPE]
    strange += random.Random(0).sample(list(foreign), FOREIGN)  # noqa: S311 - a sample, no secret
    for run in SEEDS:
        asked_now, withheld = (answered, frozenset()) if run is None else withhold(answered, WITHHELD, run)
        hidden = tuple(sorted(number[name] for name in withheld if name in number))
        for query in asked_now:
            kind = f"{query.type}{flags.get(query.id, '')} {query.lang}"
            where = parse_filter(query.filter)
            if (found := ask(query.text, where, hidden, query.relevant, {"kind": kind, "run": run})) is not None:
                yield found
    for text in strange:
        if (found := ask(text, parse_filter(None), (), {}, {"kind": "foreign", "run": "foreign"})) is not None:
            yield found


def train(examples: Sequence[Example]) -> dict[str, Any]:
    """Both models of the examples, as the JSON of :class:`Confidence`; every set and type weighs the same."""
    count = Counter((example.set, example.kind) for example in examples)
    weights = np.array(
        [
            (FOREIGN_WEIGHT if example.run == "foreign" else WHOLE_WEIGHT if example.run is None else 1.0)
            / np.sqrt(count[example.set, example.kind])
            for example in examples
        ]
    )
    heads = np.array([example.head for example in examples])
    model: dict[str, Any] = {}
    for name in HEADS:
        labels = np.array([getattr(example, name) for example in examples], dtype=np.int64)
        data = lightgbm.Dataset(heads, labels, weight=weights / weights.mean())
        booster = lightgbm.train(PARAMETERS, data, TREES)
        trees = [flatten(tree["tree_structure"]) for tree in booster.dump_model()["tree_info"]]
        model[name] = {"features": list(HEAD_NAMES), "depth": PARAMETERS["max_depth"], "trees": trees}
    return model


def measure(name: str, examples: Sequence[Example], confidence: Confidence) -> str:
    """A row of the table."""
    sure = {id(example): 1 / (1 + np.exp(-confidence.log_odds(example.head)[0])) for example in examples}

    def columns(run: Collection[int | str | None]) -> tuple[Any, Any, Any]:
        chosen = [example for example in examples if example.run in run]
        return (
            np.array([sure[id(example)] for example in chosen]),
            np.array([example.first for example in chosen]),
            np.array([example.answerable for example in chosen]),
        )

    p, first, answerable = columns(set(SEEDS) - {None})
    whole, whole_first, whole_answerable = columns({None})
    mixed, _, mixed_answerable = columns({None, "foreign"})
    figures = [
        auroc(p, answerable),
        auroc(mixed, mixed_answerable),
        auroc(p[answerable], first[answerable]),
        coverage_at_precision(whole, whole_first, 0.95, whole_answerable),
        expected_calibration_error(p, first),
    ]
    return f"| {name} | {len(p)} | " + " | ".join(f"{figure:.3f}" for figure in figures) + " |"


if __name__ == "__main__":
    main()
