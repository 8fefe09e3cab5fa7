"""Whether the snippet of the right article shows the words that answer: kbsearch beside other rules, on the same cases.

Use: ``make bench-snippets``, or ``python -m benchmarks.snippets [--set FILE --articles DIR] [--spans KB_FOLDER]
[--chars 120] [--limit N] [--missed N] [--json] [--write]``. A set is a file of judgements such as
``articles/snippets.jsonl``: a question a line with the ``article`` that answers and the ``answer``, words of its plain
text (``also``: others that answer as well). ``--spans`` takes a folder with ``articles/``, ``qrels.tsv`` and a
``queries.jsonl`` whose questions have ``answers``.

Each question is asked once. ``first``: the right article comes first; ``found``: it is among the first ten. For these
every rule cuts the passage that kbsearch shows of it (``snippet_rules.py`` says how), and the shares are of them.
``passage`` says how often that passage holds the answer at all, ``ceiling`` how often whole sentences of so many
characters could show it. In a second table the other rules have the whole article to choose from, where kbsearch
chooses the passage by itself. ``--write`` leaves the figures in ``results/snippets.json``.

Never: count a case for one rule and not for another.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import random
import statistics
import sys
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).parent))  # so that `-m benchmarks.snippets` finds its neighbours

from snippet_rules import RULES, ceiling, shows, terms_of
from speed.machine import commit, cpu

from kbsearch import KnowledgeBase, build
from kbsearch.judgements import read_judgements
from kbsearch.markdown import parse_article

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

ROOT: Final = Path(__file__).parent.parent
RESULTS: Final = ROOT / "benchmarks" / "results" / "snippets.json"
DEPTH: Final = 10
OURS: Final = "kbsearch"
SYSTEMS: Final = (OURS, *RULES, "ceiling")
PACKAGES: Final = ("numpy", "onnxruntime", "SudachiPy")


@dataclass(frozen=True, slots=True)
class Case:
    """A question, the articles that answer it, and the words of theirs that do."""

    id: str
    text: str
    lang: str
    kind: str
    articles: frozenset[str]
    answers: tuple[str, ...]
    filter: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case.

    Attributes
    ----------
    rank
        Of the right article; 0 where it is not among the first ten, and then there is nothing below.
    milliseconds
        For the snippet of one hit.
    passage
        Whether the passage that is shown holds an answer.
    shown, article
        Which system shows an answer, given that passage or all of the article.
    """

    case: Case
    rank: int
    milliseconds: float
    snippet: str = ""
    passage: bool = False
    shown: Mapping[str, bool] = field(default_factory=dict)
    article: Mapping[str, bool] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> None:
    """Ask, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", type=Path, default=ROOT / "articles" / "snippets.jsonl")
    parser.add_argument("--articles", type=Path, default=ROOT / "articles")
    parser.add_argument("--spans", type=Path, metavar="KB_FOLDER")
    parser.add_argument("--index", type=Path, help="ask this one as it is; else one is built in indexes/bench")
    parser.add_argument("--chars", type=int, default=120)
    parser.add_argument("--limit", type=int, default=10**9, help="at most so many questions, chosen by a fixed seed")
    parser.add_argument("--missed", type=int, default=0, metavar="N", help="show so many that a whole sentence answers")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    name = options.spans.name if options.spans else "sample"
    articles = options.spans / "articles" if options.spans else options.articles
    cases = limited(read_spans(options.spans) if options.spans else read_set(options.set), options.limit)
    index = options.index
    if index is None:
        index = ROOT / "indexes" / "bench" / name
        build(articles, index)
    outcomes = measure(KnowledgeBase.open(index), articles, cases, options.chars)
    report = {**about(), "chars": options.chars, **figures(outcomes)}
    print(json.dumps(report, ensure_ascii=False, indent=1) if options.json else "\n".join(tables(report)))
    for outcome in missed(outcomes)[: options.missed]:
        print(f"\n{outcome.case.id}  {outcome.case.text}", file=sys.stderr)
        print(f"  + {outcome.case.answers[0]}\n  - {outcome.snippet}", file=sys.stderr)
    if options.write:
        write(RESULTS, name, report)


def read_set(file: Path) -> list[Case]:
    """Read the judgements of a file."""
    entries = [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
    return [
        Case(
            entry["id"],
            entry["text"],
            entry["lang"],
            entry["kind"],
            frozenset([entry["article"]]),
            (entry["answer"], *entry.get("also", ())),
            {},
        )
        for entry in entries
    ]


def read_spans(folder: Path) -> list[Case]:
    """Read the questions of a folder that have ``answers`` and a relevant article."""
    lines = (folder / "queries.jsonl").read_text("utf-8").splitlines()
    answers = {str(entry["id"]): entry.get("answers") for entry in map(json.loads, filter(str.strip, lines))}
    judged = read_judgements(folder / "queries.jsonl", folder / "qrels.tsv")
    return [
        Case(
            query.id,
            query.text,
            query.lang,
            query.type,
            frozenset(query.relevant),
            tuple(answers[query.id] or ()),
            query.filter,
        )
        for query in judged
        if query.relevant and answers[query.id]
    ]


def limited(cases: Sequence[Case], limit: int) -> list[Case]:
    """At most so many, in their order."""
    chosen = random.Random(0).sample(range(len(cases)), min(limit, len(cases)))  # noqa: S311 - a sample, no secret
    return [cases[place] for place in sorted(chosen)]


def measure(kb: KnowledgeBase, articles: Path, cases: Iterable[Case], chars: int) -> list[Outcome]:
    """Ask every question once and let each system cut what is shown."""
    text_of = plain_texts(articles)
    outcomes = []
    for case in cases:
        result = kb.search(case.text, DEPTH, filter=case.filter, snippet_chars=chars)
        took = result.stages["snippet"] / max(1, len(result.hits))
        hit = next((hit for hit in result.hits if hit.article_id in case.articles), None)
        if hit is None:
            outcomes.append(Outcome(case, 0, took))
            continue
        passage = hit.passages[0].text
        shown = {OURS: shows(hit.snippet, case.answers), **judge(case, passage, chars)}
        whole = judge(case, text_of(hit.path), chars)
        outcomes.append(Outcome(case, hit.rank, took, hit.snippet, shows(passage, case.answers), shown, whole))
    return outcomes


def judge(case: Case, text: str, chars: int) -> dict[str, bool]:
    """Which of the other rules shows the answer, given a text."""
    terms = terms_of(case.text)
    found = {name: shows(rule(text, terms, chars), case.answers) for name, rule in RULES.items()}
    return {**found, "ceiling": bool(ceiling(text, case.answers, chars))}


def plain_texts(articles: Path) -> Callable[[str], str]:
    """How the plain text of an article is read, by its path."""

    @cache
    def text(path: str) -> str:
        article, _ = parse_article((articles / path).read_bytes(), path)
        return "\n".join(passage.text for passage in article.passages)

    return text


def figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """All shares, for each language and kind, each language, and all."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        for key in ((outcome.case.lang, outcome.case.kind), (outcome.case.lang, "all"), ("all", "all")):
            groups.setdefault(key, []).append(outcome)
    return {
        "questions": len(outcomes),
        "milliseconds a hit": statistics.median(outcome.milliseconds for outcome in outcomes) if outcomes else None,
        "rows": [row(*key, groups[key]) for key in sorted(groups, key=lambda key: (key[0] == "all", key))],
    }


def row(lang: str, kind: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Shares of the outcomes in which the right article was found."""
    found = [outcome for outcome in outcomes if outcome.rank]
    return {
        "lang": lang,
        "kind": kind,
        "questions": len(outcomes),
        "found": len(found),
        "first": sum(outcome.rank == 1 for outcome in outcomes),
        "passage": share([outcome.passage for outcome in found]),
        "shown": {name: share([outcome.shown[name] for outcome in found]) for name in SYSTEMS},
        "article": {name: share([outcome.article[name] for outcome in found]) for name in SYSTEMS[1:]},
    }


def share(flags: Sequence[bool]) -> float | None:
    """Share of what is true; None of nothing."""
    return round(sum(flags) / len(flags), 4) if flags else None


def missed(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Those that whole sentences of the passage would have answered and the snippet does not."""
    return [outcome for outcome in outcomes if outcome.rank and outcome.shown["ceiling"] and not outcome.shown[OURS]]


def tables(report: Mapping[str, Any]) -> list[str]:
    """The figures as two tables and a line."""
    heads = ["lang", "kind", "n", "first", "found", "passage", *SYSTEMS]
    lines = [f"| {' | '.join(heads)} |", "|---|---|" + "---:|" * (len(heads) - 2)]
    for entry in report["rows"]:
        cells = [entry["lang"], entry["kind"], *(str(entry[name]) for name in ("questions", "first", "found"))]
        cells += [percent(value) for value in (entry["passage"], *entry["shown"].values())]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"| the whole article | {' | '.join(SYSTEMS[1:])} |", "|---|" + "---:|" * (len(SYSTEMS) - 1)]
    lines += [
        f"| {entry['lang']} | {' | '.join(percent(value) for value in entry['article'].values())} |"
        for entry in report["rows"]
        if entry["kind"] == "all"
    ]
    took = report["milliseconds a hit"]
    if took is not None:
        lines += ["", f"{report['chars']} characters; a snippet takes {1000 * took:.0f} µs (median)."]
    return lines


def percent(value: float | None) -> str:
    """A share as it is read."""
    return "–" if value is None else f"{value:.1%}"


def about() -> dict[str, Any]:
    """Day, commit, machine and versions."""
    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "commit": commit(),
        "machine": {"cpu": cpu(), "cores": os.cpu_count()},
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }


def write(file: Path, name: str, report: Mapping[str, Any]) -> None:
    """Put the report of one set in the place of its last one; those of other sets stay."""
    reports = json.loads(file.read_text("utf-8")) if file.exists() else {}
    reports[name] = report
    file.write_text(json.dumps(dict(sorted(reports.items())), ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
