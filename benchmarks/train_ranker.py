"""Train the ranking model on a folder of judged sets, and say honestly how good it is.

Use: ``python benchmarks/train_ranker.py DATA_DIR [--write]``. Each subfolder of DATA_DIR is a set as for
``quality.py``. First every set is left out in turn (with its ``-untitled`` twin, which is the same text) and measured
by a model that has not seen it: those are the figures to quote, and those models are kept for ``train_confidence.py``
and ``quality.py``. With ``--write``, a model of all sets then goes into
``kbsearch/ranker.json``; a figure of that one on these sets means nothing.

Training is LambdaMART (LightGBM) with monotone constraints. Every query type weighs the same whatever its number of
questions. Few sets ask in another language than their articles', so such questions are also made: the meaning (the
vector) of a real question with the words of a question in the other script, which match by chance only, as those of a
translation would. In the sets most titles are good, so the training also sees questions whose titles say nothing: the
title cosines of their pool are dealt out anew, lest the model trust a title more than what stands below it.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import random
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np

from kbsearch import KnowledgeBase, build
from kbsearch.confidence import HEAD_NAMES
from kbsearch.evaluate import read_judgements, score_ranking
from kbsearch.features import NAMES
from kbsearch.filters import parse_filter
from kbsearch.learned import Models, open_models
from kbsearch.model import Filter
from kbsearch.pooling import candidates
from kbsearch.query import Query, prepare
from kbsearch.rank import order
from kbsearch.ranker import Ranker
from kbsearch.retrieve import judged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kbsearch.model import FloatArray, RowArray
    from kbsearch.snapshot import Snapshot

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "ranker-left-out.md"
MODEL = ROOT / "kbsearch" / "ranker.json"
POOL = 100
QUESTIONS_A_TYPE = 400
MADE_A_TYPE = 150
MADE = "made xling"
OPEN = "open"  # asked of all languages, with the article in the question's own withheld
OPEN_WEIGHT = 0.6  # most customers ask in a language that answers; more of this costs them more than it gives
BAD_TITLES = 0.4  # share of the questions that are also seen with the titles exchanged
TREES = 160
DEPTH = 4
RISING = {name for name in NAMES[:13] if name != "cosine_second"} | {
    "title_cosine",
    "title_cosine_gap",
    "cosine_language",
    "cosine_language_gap",
    "words_standing",
    "grams_standing",
    "cosine_standing",
}
PARAMETERS = {
    "objective": "lambdarank",
    "num_leaves": 8,
    "max_depth": DEPTH,
    "learning_rate": 0.06,
    "min_data_in_leaf": 100,
    "lambda_l2": 5.0,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambdarank_truncation_level": 20,
    "monotone_constraints": [int(name in RISING) for name in NAMES],
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


@dataclass(frozen=True, slots=True)
class Example:
    """One question: its set, type and language, the features of its pool, and what answers it."""

    set: str
    kind: str
    ids: tuple[str, ...]
    numbers: RowArray
    features: FloatArray
    relevant: Mapping[str, int]

    @property
    def labels(self) -> list[int]:
        """1 for an article that answers."""
        return [int(article in self.relevant) for article in self.ids]


def main() -> None:
    """Leave out each set in turn, then write the model of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", action="store_true", help="write kbsearch/ranker.json from all sets")
    options = parser.parse_args()
    folders = sorted(path for path in options.data.iterdir() if (path / "queries.jsonl").exists())
    examples = [example for folder in folders for example in read_set(folder, strangers(folder, folders))]
    table: dict[tuple[str, str], dict[str, float]] = {}
    for family in sorted({family_of(example.set) for example in examples}):
        seen = [example for example in examples if family_of(example.set) != family]
        model = train(seen)
        left_out_file(family).parent.mkdir(parents=True, exist_ok=True)
        left_out_file(family).write_text(json.dumps(model), "utf-8")
        table |= measure([example for example in examples if family_of(example.set) == family], Ranker(model))
        print(f"measured {family}", file=sys.stderr)
    text = report(table, Counter((example.set, example.kind) for example in examples))
    print(text)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(text + "\n", "utf-8")
    if options.write:
        MODEL.write_text(
            json.dumps(train(examples), separators=(",", ":")).replace('{"feature"', '\n{"feature"') + "\n"
        )


def left_out_file(family: str) -> Path:
    """Where the ranking model is kept that has not seen a family of sets."""
    return ROOT / "indexes" / "bench" / "left-out" / f"ranker-{family}.json"


def family_of(name: str) -> str:
    """A set and its twin without titles are one."""
    return name.removesuffix("-untitled")


def blank_models() -> Models:
    """Models that know nothing, to build with while there are none for the present features."""
    leaf = {"feature": [0], "threshold": [0], "left": [0], "right": [0], "value": [0]}
    ranker = {"features": list(NAMES), "depth": 1, "trees": [leaf]}
    head = {"features": list(HEAD_NAMES), "depth": 1, "trees": [leaf]}
    return open_models(json.dumps(ranker), json.dumps({"first": head, "few": head}))


def strangers(folder: Path, folders: Sequence[Path]) -> list[str]:
    """Questions of other sets, for their words."""
    texts = [
        query.text
        for other in folders
        if family_of(other.name) != family_of(folder.name)
        for query in read_judgements(other / "queries.jsonl", other / "qrels.tsv")
    ]
    random.Random(0).shuffle(texts)  # noqa: S311 - a sample, no secret
    return texts


def read_set(folder: Path, foreign: Sequence[str]) -> Iterator[Example]:
    """Build the set's index where needed, and describe the pool of every question."""
    index = ROOT / "indexes" / "bench" / folder.name
    build(folder / "articles", index, models=blank_models())
    kb = KnowledgeBase(index, blank_models())
    snapshot = kb.snapshot
    others = itertools.cycle(foreign)
    asked: Counter[str] = Counter()
    flags = script_flags(folder / "queries.jsonl")
    for query in read_judgements(folder / "queries.jsonl", folder / "qrels.tsv"):
        kind = f"{query.type}{flags.get(query.id, '')} {query.lang}"
        asked[kind] += 1
        if not query.relevant or asked[kind] > QUESTIONS_A_TYPE:
            continue
        where = parse_filter(query.filter)
        prepared = prepare(snapshot, query.text, "hybrid")
        yield example(snapshot, folder.name, kind, prepared, where, query.relevant)
        hidden = tuple(number for number, name in enumerate(snapshot.article_ids) if name in twins(query.relevant))
        if query.type == "xling" and query.filter and hidden:
            yield example(snapshot, folder.name, f"{OPEN} {kind}", prepared, Filter(), query.relevant, hidden)
        if asked[kind] <= MADE_A_TYPE and not query.type.startswith("x"):
            words = next(words for words in others if is_japanese(words) != is_japanese(query.text))
            stranger = prepare(snapshot, words, "lexical").wordings[0]
            way = dataclasses.replace(stranger, vector=prepared.wordings[0].vector)
            made = Query(words, (way,))
            yield example(snapshot, folder.name, f"{MADE} {query.lang}", made, where, query.relevant)


def twins(relevant: Mapping[str, int]) -> set[str]:
    """Ids of the articles in the other language, in sets that keep them as ``ja/…`` and ``en/…``."""
    other = {"ja": "en", "en": "ja"}
    return {f"{other[name[:2]]}{name[2:]}" for name in relevant if name[:3] in {"ja/", "en/"}}


def example(
    snapshot: Snapshot,
    name: str,
    kind: str,
    query: Query,
    where: Filter,
    relevant: Mapping[str, int],
    without: tuple[int, ...] = (),
) -> Example:
    """Describe the pool of one question."""
    pooled = candidates(snapshot, query, where, POOL, without=without)
    found = judged(snapshot, query, pooled)
    ids = tuple(snapshot.article_ids[int(number)] for number in found.numbers)
    return Example(name, kind, ids, found.numbers, found.features, relevant)


def is_japanese(text: str) -> bool:
    """Whether there is a kana or kanji in it."""
    return any(char >= "\u3041" for char in text)


def script_flags(file: Path) -> dict[str, str]:
    """Marks questions that share no Latin word with their article: the honest part of the cross-language ones."""
    entries = [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
    return {entry["id"]: "/nolatin" for entry in entries if entry.get("shared_latin") is False}


def train(examples: Sequence[Example]) -> dict[str, Any]:
    """A model of the examples, as the JSON of :class:`Ranker`."""
    rng = np.random.default_rng(0)
    examples = [*examples, *(titles_exchanged(example, rng) for example in examples if rng.random() < BAD_TITLES)]
    usable = [example for example in examples if any(example.labels)]
    count = Counter((example.set, example.kind) for example in usable)
    weights = [
        (OPEN_WEIGHT if example.kind.startswith(OPEN) else 1) / np.sqrt(count[example.set, example.kind])
        for example in usable
    ]
    data = lightgbm.Dataset(
        np.concatenate([example.features for example in usable]),
        np.concatenate([example.labels for example in usable]),
        group=[len(example.ids) for example in usable],
        weight=np.concatenate(
            [np.full(len(example.ids), weight) for example, weight in zip(usable, weights, strict=True)]
        )
        / np.mean(weights),
    )
    booster = lightgbm.train(PARAMETERS, data, TREES)
    trees = [flatten(tree["tree_structure"]) for tree in booster.dump_model()["tree_info"]]
    return {"features": list(NAMES), "depth": DEPTH, "trees": trees}


def titles_exchanged(example: Example, rng: np.random.Generator) -> Example:
    """The same question where titles are no help."""
    features = example.features.copy()
    cosine, gap = NAMES.index("title_cosine"), NAMES.index("title_cosine_gap")
    features[:, cosine] = rng.permutation(features[:, cosine])
    features[:, gap] = features[:, cosine] - features[:, cosine].max(initial=-np.inf)
    return dataclasses.replace(example, features=features)


def flatten(root: dict[str, Any]) -> dict[str, list[float]]:
    """A tree as lists by node; a leaf is its own child."""
    tree: dict[str, list[float]] = {"feature": [], "threshold": [], "left": [], "right": [], "value": []}

    def add(node: dict[str, Any]) -> int:
        place = len(tree["feature"])
        is_leaf = "leaf_value" in node
        tree["feature"].append(0 if is_leaf else int(node["split_feature"]))
        tree["threshold"].append(0.0 if is_leaf else float(node["threshold"]))
        tree["value"].append(round(float(node["leaf_value" if is_leaf else "internal_value"]), 6))
        tree["left"].append(place)
        tree["right"].append(place)
        if not is_leaf:
            tree["left"][place] = add(node["left_child"])
            tree["right"][place] = add(node["right_child"])
        return place

    add(root)
    return tree


def measure(examples: Sequence[Example], ranker: Ranker) -> dict[tuple[str, str], dict[str, float]]:
    """Mean nDCG@10 of each leg and of the model, by set and type."""
    columns = {"words": NAMES.index("words"), "grams": NAMES.index("grams"), "dense": NAMES.index("cosine")}
    found: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for example in examples:
        scores = {leg: example.features[:, column] for leg, column in columns.items()}
        scores["model"] = ranker.score(example.features)
        for system, values in scores.items():
            ranking = [example.ids[place] for place in order(example.numbers, values)]
            found[example.set, example.kind][system].append(score_ranking(ranking, example.relevant)["nDCG@10"])
    return {key: {name: float(np.mean(values)) for name, values in row.items()} for key, row in found.items()}


def report(table: Mapping[tuple[str, str], Mapping[str, float]], counts: Mapping[tuple[str, str], int]) -> str:
    """The table of sets left out, as Markdown: mean nDCG@10."""
    lines = [
        "| set left out | type | n | words | grams | dense | model | model − best leg |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    margins = []
    for key, row in sorted(table.items()):
        best = max(row["words"], row["grams"], row["dense"])
        cells = " | ".join(f"{row[name]:.3f}" for name in ("words", "grams", "dense", "model"))
        lines.append(f"| {key[0]} | {key[1]} | {counts[key]} | {cells} | {row['model'] - best:+.3f} |")
        if counts[key] >= 100 and not key[1].startswith((MADE, OPEN)):  # noqa: PLR2004 - fewer say little
            margins.append((row["model"] - best, row["model"]))
    means = np.mean(margins, axis=0)
    lines += [
        "",
        f"{len(margins)} types with 100 questions: margin {means[0]:+.4f}, nDCG@10 {means[1]:.4f} in the mean.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
