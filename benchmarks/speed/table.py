"""Results as Markdown.

Use: ``markdown(results)``.

Never: compute here what the JSON does not hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from speed.check import ratios

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["markdown"]

_MB = 1_000_000
_TIMES = ("p50", "p95", "p99", "quiet")


def markdown(results: Sequence[Mapping[str, Any]]) -> str:
    """A document with a chapter for each result."""
    about = (
        "Made by `python -m benchmarks.report` from the JSON files beside it. Compare within one table: its rows were "
        "measured in turns, in one run, on the same passages, vectors and terms. Times are milliseconds a question; "
        "tantivy and faiss are one leg of a search, the others the whole. “Top 10 kept” compares with exact vectors. "
        "“Quiet” is the median of each question's least time in all rounds: what other work on the machine hardly "
        "touches.\n"
    )
    return "\n".join(["# Speed\n", about, *(_chapter(result) for result in results)])


def _chapter(result: Mapping[str, Any]) -> str:
    corpus, machine = result["corpus"], result["machine"]
    name = "quick run" if result["name"] == "quick" else f"{corpus['passages']:,} passages"
    vectors = (
        "kbsearch's own" if corpus["key"]["real vectors"] else "made (their answers mean nothing, their speed does)"
    )
    about = (
        f"{corpus['passages']:,} passages in {corpus['articles']:,} articles ({corpus['key']['corpus']}), "
        f"{corpus['questions']} questions; vectors: {vectors}. {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory'] / 1e9:.0f} GB, {machine['system']}; {result['date']}, {result['commit']}, "
        f"load {result['load']} when it began.\n"
    )
    lines = [
        f"## {name}\n",
        about,
        *_systems(result["systems"]),
        *_ways(result["systems"].get("kbsearch", {})),
        *_own(result),
        *_cold(result.get("cold", {})),
        "",
        "Ratios that `--check` watches:\n",
        *_table(("ratio", "value"), ([name, f"{ratio.value:.2f}"] for name, ratio in ratios(result).items())),
    ]
    return "\n".join(lines) + "\n"


def _systems(systems: Mapping[str, Any]) -> list[str]:
    heads = (
        "system", *_TIMES, "q/s, 1 thread", "2", "8", "recall@10", "@100", "top 10 kept", "build, s",
        "bytes a passage", "RSS at rest, MB", "under load", "of it own",
    )  # fmt: skip
    rows, notes = [], []
    for name, found in systems.items():
        if "skipped" in found:
            notes.append(f"- {name}: {found['skipped']}")
            continue
        way = next(iter(found["ways"].values()))
        recall, rate = found.get("recall") or {}, found["rate"]
        rows.append(
            [
                name, *(_ms(way[key]) for key in _TIMES), *(f"{rate[key]:,.0f}" for key in rate),
                _share(recall.get("recall@10")), _share(recall.get("recall@100")), _share(found.get("agreement")),
                f"{found['build']['seconds']:,.1f}", f"{found['build']['bytes a passage']:,.0f}",
                *(f"{found['memory'][state]['rss'] / _MB:,.0f}" for state in ("rest", "load")),
                f"{found['memory']['load'].get('anonymous', 0) / _MB:,.0f}",
            ]
        )  # fmt: skip
    lines = _table(heads, rows)
    return [*lines, "", "Without figures:\n", *notes, ""] if notes else [*lines, ""]


def _ways(own: Mapping[str, Any]) -> list[str]:
    if not own.get("ways"):
        return []
    rows = [[name, *(_ms(way[key]) for key in _TIMES)] for name, way in own["ways"].items()]
    return ["kbsearch, the vector of the question given:\n", *_table(("", *_TIMES), rows), ""]


def _own(result: Mapping[str, Any]) -> list[str]:
    own = result.get("own")
    if not own:
        return []
    encoded, edited, build = own["encoded"], own["edited"], result["systems"].get("kbsearch", {}).get("build", {})
    rows = [["search, question encoded", *(_ms(encoded["search"][key]) for key in ("p50", "p95", "p99"))]]
    rows += [["encoding alone", *(_ms(encoded["encode alone"][key]) for key in ("p50", "p95", "p99"))]]
    for stage, figures in (encoded.get("stages") or {}).items():
        rows.append([f"stage: {stage}", *(_ms(figures[key]) for key in ("p50", "p95", "p99"))])
    rates = ", ".join(f"{rate:,.0f} at {threads}" for threads, rate in encoded["rate"].items())
    passages = result["corpus"]["passages"]
    lines = ["kbsearch, the question encoded each time:\n", *_table(("", "p50", "p95", "p99"), rows), ""]
    lines.append(f"Questions a second by threads: {rates}.")
    if build.get("seconds"):
        per_second = own["encoder"]["passages a second"]
        total, rest = edited["timings"]["total"], edited["without encoding"]
        lines.append(
            f"The encoder alone: {per_second:,.1f} passages a second; a build without encoding: "
            f"{passages / build['seconds']:,.0f} passages a second. One article changed: {total:.2f} s, {rest:.2f} s "
            f"of it without encoding ({edited['encoded']} texts were encoded)."
        )
    if whole := own.get("encoded build"):
        lines.append(
            f"A whole build with its encoding: {whole['seconds']:,.1f} s, of which the encoder alone takes "
            f"{whole['share of the encoder']:.1%} for the same {whole['texts']:,} texts."
        )
    if limits := own.get("limits"):
        lines.append(
            f"One core reads vectors in order at {limits['memory, GB a second']} GB a second from memory and "
            f"{limits['cache, GB a second']} from its cache, and one from anywhere in "
            f"{limits['a row from anywhere, us']} µs."
        )
    return [*lines, ""]


def _cold(cold: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for state, commands in cold.items():
        label = "Cold start, files cached" if state == "warm" else "Cold start, page cache emptied"
        rows = [
            [
                f"`{name}`",
                f"{found['p50']:.0f}",
                f"{found['least']:.0f}",
                f"{found['multiple']:.2f}×",
                f"{found['quiet']:.2f}×",
            ]
            for name, found in commands.items()
        ]
        lines += [
            f"{label} (whole processes):\n",
            *_table(("", "p50, ms", "least", "p50 of import numpy", "least of least"), rows),
            "",
        ]
    return lines


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
