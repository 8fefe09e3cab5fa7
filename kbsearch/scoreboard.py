"""How an evaluation is shown: tables and lists from the JSON of a report.

Use: ``scoreboard(report, metrics)`` is all of it; the other functions are its parts.

Never: measure anything here; what the JSON does not say is not shown.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Console, ConsoleOptions, Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "comparison_table",
    "confidence_view",
    "evaluation_table",
    "perturbation_view",
    "question_list",
    "scoreboard",
]

_NONE: Final = "–"
_WORDS: Final = (
    "AUROC answer: questions that have an answer against those that have none.",
    "AUROC right: a right first article against a wrong one, where something answers.",
    "Coverage: share of what has an answer that gets one, 95% (90%) of answers right.",
)


def scoreboard(report: Mapping[str, Any], metrics: Iterable[str]) -> RenderableType:
    """A report from top to bottom; what was not asked for is not there."""
    mode = str(report["mode"])
    parts: list[RenderableType] = []
    if report["rows"]:
        parts.append(evaluation_table(report["rows"], metrics, report["totals"]))
    parts.append(_notes(report))
    if report["confidence"]:
        parts.append(confidence_view(report["confidence"]))
    if "perturbations" in report:
        parts.append(perturbation_view(report["perturbations"]))
    if "comparison" in report:
        parts.append(comparison_table(report["comparison"]))
        if report["comparison"]["lost"]:
            parts.append(_headed("Questions that lost most", question_list(report["comparison"]["lost"], mode)))
    if report.get("worst"):
        parts.append(_headed(f"Questions with the lowest nDCG@10, {mode}", question_list(report["worst"], mode)))
    return _spaced(parts)


def evaluation_table(
    rows: Iterable[Mapping[str, Any]], metrics: Iterable[str], totals: Sequence[Mapping[str, Any]] = ()
) -> Table:
    """One line for each query type, language and leg; the best leg of each metric in bold.

    ``rows`` and ``totals`` are those of ``Evaluation.to_dict()``. What stands in ``intervals`` is shown by half its
    width.
    """
    names = list(metrics)
    table = _table("type", "lang", "n>", "leg", *(f"{name}>" for name in _short(names)))
    for row in [*rows, *totals]:
        legs, ends = row["legs"], row.get("intervals", {})
        best = {name: max(values[name] for values in legs.values()) for name in names}
        for number, (leg, values) in enumerate(legs.items()):
            lead = _group(row, row["questions"]) if number == 0 else [Text()] * 3
            cells = [
                _mean(values[name], ends.get(leg, {}).get(name), best=values[name] == best[name]) for name in names
            ]
            table.add_row(*lead, Text(leg), *cells, end_section=number == len(legs) - 1 > 0)
    return table


def confidence_view(confidence: Mapping[str, Any]) -> RenderableType:
    """What the confidence is worth: figures by group, then what it says against what happens."""
    whole = confidence["rows"][0]
    table = _table(
        "type", "lang", "n>", "no\nanswer>", "first\nright>", "AUROC\nanswer>", "AUROC\nright>", "ECE>",
        "coverage\nat 95%>", "coverage\nat 90%>",
    )  # fmt: skip
    for row in confidence["rows"]:
        counts = row["answerable"] + row["unanswerable"], row["unanswerable"]
        figures = [Text(_number(row[name])) for name in ("share_correct", "auroc", "auroc_correct", "ece")]
        shares = [Text(_percent(row[name])) for name in ("coverage95", "coverage90")]
        table.add_row(*_group(row, *counts), *figures, *shares)
    bins = confidence["reliability"]
    strip = Table(box=None, pad_edge=False, padding=(0, 1), show_header=False)
    strip.add_column(no_wrap=True)
    for _ in bins:
        strip.add_column(justify="right", no_wrap=True)
    strip.add_row("confidence", *(_number(part["confidence"], 2) for part in bins))
    strip.add_row("right", *(Text(_number(part["correct"], 2), style="bold") for part in bins))
    strip.add_row("questions", *(f"{part['questions']:,}" for part in bins), style="dim")
    words = Text("\n".join(_WORDS), style="dim")
    advice = [_advice(whole, percent) for percent in ("95", "90") if whole["answerable"]]
    title = "Confidence: is the first article right, does any article answer?"
    return _headed(title, table, words, Text(), *advice, Text(), strip)


def perturbation_view(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Each way of rewriting: nDCG@10 before and after, then what is kept of it by type and language."""
    if not rows:
        return _headed("Rewritten questions", Text("No question has a variant.\n"))
    parts: list[RenderableType] = []
    for mode, found in groupby(rows, key=lambda row: str(row["mode"])):
        parts += _perturbed_mode(mode, list(found))
    return _spaced(parts)


def comparison_table(comparison: Mapping[str, Any]) -> RenderableType:
    """Two sides, question by question; a difference that chance does not explain (p < 0.05) in bold."""
    table = _table("type", "lang", "n>", "metric", "this>", "other>", "diff>", "95% interval", "p>", "w/t/l>")
    for row in comparison["rows"]:
        for number, (name, paired) in enumerate(row["metrics"].items()):
            lead = _group(row, row["questions"]) if number == 0 else [Text()] * 3
            colour = "green" if paired["difference"] > 0 else "red"
            style = f"bold {colour}" if paired["p"] < 0.05 else ""  # noqa: PLR2004 - as the docstring says
            table.add_row(
                *lead, name, _number(paired["mean_a"]), _number(paired["mean_b"]),
                Text(_signed(paired["difference"]), style=style),
                Text(f"{_signed(paired['low'])} … {_signed(paired['high'])}"),
                Text(_number(paired["p"]).replace("0.000", "<.001"), style=style),
                "/".join(f"{paired[part]:,}" for part in ("wins", "ties", "losses")),
                end_section=number == len(row["metrics"]) - 1 > 0,
            )  # fmt: skip
    other = f"{comparison['against_mode']}, {comparison['against_generation']}"
    title = f"Compared: this ({comparison['mode']}) − other ({other})"
    return _headed(title, table if comparison["rows"] else Text("No question is answerable."))


def question_list(questions: Iterable[Mapping[str, Any]], mode: str) -> RenderableType:
    """Questions with what was expected and what came first; an article that answers has a tick."""
    parts: list[RenderableType] = []
    for number, question in enumerate(questions, start=1):
        answer = question["answers"][mode]
        facts = [question["type"], question["lang"], question["id"], f"nDCG@10 {_number(answer['metrics']['nDCG@10'])}"]
        if "against" in question:
            facts[-1] += f", other {_number(question['against']['metrics']['nDCG@10'])}"
        if mode == "hybrid":
            facts.append(f"confidence {_number(answer['confidence'], 2)}")
        lines = Table.grid(padding=(0, 2, 0, 0))
        lines.add_column(style="dim", no_wrap=True)
        lines.add_column(overflow="fold")
        lines.add_row("expected", _ids(question["expected"], ()))
        lines.add_row("found", _ids(answer["first"], question["expected"]))
        if "against" in question:
            lines.add_row("other", _ids(question["against"]["first"], question["expected"]))
        body = Group(Text(question["text"], style="bold"), Text(" · ".join(filter(None, facts)), style="dim"), lines)
        item = Table.grid(padding=(0, 1, 0, 0))
        item.add_column(style="bold cyan", no_wrap=True)
        item.add_column(overflow="fold")
        item.add_row(f"{number}.", body)
        parts.append(item)
    return _spaced(parts)


class _Matrix:
    """What is kept, by type and language and kind of variant; in as many tables as the width of the screen needs."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.kinds = list(dict.fromkeys(str(row["kind"]) for row in rows))
        groups = {(row["type"], row["lang"]): row for row in rows}
        self.groups = dict(sorted(groups.items(), key=lambda group: group[0][0] == "all"))
        self.kept = {(row["type"], row["lang"], row["kind"]): row["kept"] for row in rows}

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        lead = sum(2 + max(4, *(Text(str(key[part])).cell_len for key in self.groups)) for part in (0, 1))
        left = list(self.kinds)
        while left:
            shown, width = [left.pop(0)], lead
            while left and width + sum(map(_heading_width, [*shown, left[0]])) <= options.max_width:
                shown.append(left.pop(0))
            table = _table("type", "lang", *("\n".join(kind.split()) + ">" for kind in shown))
            for (query_type, lang), row in self.groups.items():
                if any((query_type, lang, kind) in self.kept for kind in shown):
                    kept = [Text(_percent(self.kept.get((query_type, lang, kind)))) for kind in shown]
                    table.add_row(*_group(row), *kept)
            yield table


def _perturbed_mode(mode: str, rows: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    table = _table("kind", "n>", "nDCG@10>", "rewritten>", "kept>")
    for row in rows:
        if (row["type"], row["lang"]) == ("all", "all"):
            figures = [_number(row["clean"]), _number(row["perturbed"]), _percent(row["kept"])]
            table.add_row(Text(row["kind"]), f"{row['questions']:,}", *figures)
    parts: list[RenderableType] = [_headed(f"Rewritten questions, {mode}", table)]
    parts_of = [row for row in rows if (row["type"], row["lang"]) != ("all", "all")]
    if len({(row["type"], row["lang"]) for row in parts_of}) > 1:
        parts += [Text("Kept of nDCG@10, by type and language", style="dim"), _Matrix(parts_of)]
    return parts


def _notes(report: Mapping[str, Any]) -> RenderableType:
    lines = []
    if report["rows"]:
        lines.append("± is half of the 95% bootstrap interval; “all” weighs every question equally.")
    else:
        lines.append("No question is answerable: nothing to measure.")
    if report["holes"]:
        withheld, share = len(report["holes"]["withheld"]), report["holes"]["share"]
        lines.append(
            f"Withheld articles: {withheld:,} ({share:.0%} of the judged ones). "
            f"Questions without an answer: {report['unanswerable']:,}."
        )
    if report["unjudged"]:
        lines.append(f"Questions without a judged article, left out: {report['unjudged']:,}.")
    return Text("\n".join(lines), style="dim")


def _advice(whole: Mapping[str, Any], percent: str) -> Text:
    share, threshold = whole[f"coverage{percent}"], whole[f"threshold{percent}"]
    if threshold is None:
        return Text(f"No threshold makes {percent}% of the answers right.")
    got = f"{_percent(share)} of the answerable get one"
    return Text(f"At confidence ≥ {threshold:.3f}, {percent}% of answers are right; {got}.")


def _spaced(parts: Iterable[RenderableType]) -> Group:
    """With an empty line between one and the next."""
    return Group(*[line for part in parts for line in (Text(), part)][1:])


def _headed(title: str, *parts: RenderableType) -> Group:
    return Group(Text(title, style="bold"), *parts)


def _table(*columns: str) -> Table:
    """Columns whose name ends in > are numbers; on a narrow screen the first one gives way."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for place, name in enumerate(columns):
        justify: JustifyMethod = "right" if name.endswith(">") else "left"
        table.add_column(name.rstrip(">"), justify=justify, no_wrap=place > 0, overflow="fold")
    return table


def _group(row: Mapping[str, Any], *counts: int) -> list[Text]:
    style = "italic" if row["type"] == "all" else ""
    return [Text(str(row["type"]), style=style), Text(str(row["lang"])), *(Text(f"{count:,}") for count in counts)]


def _short(names: Sequence[str]) -> list[str]:
    """``recall@1``, then ``@5``: a name that was said is not said again."""
    found: list[str] = []
    for place, name in enumerate(names):
        head, _, cut = name.partition("@")
        before, after = (names[other].partition("@")[0] == head for other in (place - 1, (place + 1) % len(names)))
        found.append(f"@{cut}" if before and place else f"{head}\n@{cut}" if after else name)
    return found


def _mean(value: float, ends: Sequence[float] | None, *, best: bool) -> Text:
    text = Text(f"{value:.3f}", style="bold" if best else "")
    if ends is not None:
        text.append(f" ±{(ends[1] - ends[0]) / 2:.3f}".replace("±0", "±"), style="dim not bold")
    return text


def _number(value: float | None, digits: int = 3) -> str:
    return _NONE if value is None else f"{value:.{digits}f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("0.", ".")


def _percent(value: float | None) -> str:
    if value is None:
        return _NONE
    return f"{value:.1%}" if 0 < value < 0.1 else f"{value:.0%}"  # noqa: PLR2004 - two digits that mean something


def _ids(ids: Iterable[str], right: Iterable[str]) -> Text:
    known, text = set(right), Text()
    for name in ids:
        text.append(", " if text else "")
        text.append(f"✓ {name}" if name in known else name, style="green" if name in known else "")
    return text or Text("nothing", style="dim")


def _heading_width(kind: str) -> int:
    return 2 + max(4, *(len(word) for word in kind.split()))
