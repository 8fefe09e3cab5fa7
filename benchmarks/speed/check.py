"""Has a ratio become worse? Absolute times are the machine's; ratios within one run are ours.

They are taken of the quiet times, which other work on the machine hardly touches.

Use: ``regressions(now, before)``; an empty list is good.

Never: compare results of different sizes or corpora; :func:`comparable` says whether they may be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TOLERANCES", "Ratio", "comparable", "ratios", "regressions"]

TOLERANCES: Final = {"time": 0.35, "memory": 0.15, "size": 0.05, "rate": 0.50}
"""How much worse a ratio may be, as a share of what it was. Quiet times vary by 10 to 20% between runs, more on
a busy machine; rates of several threads vary with whatever else wants the cores."""

_FLOOR: Final = 0.02  # recall and agreement may fall by so much


class Ratio(NamedTuple):
    """A figure that means the same on every machine. ``kind`` names its tolerance; some are better when larger."""

    value: float
    kind: str
    larger_is_better: bool = False


def ratios(result: Mapping[str, Any]) -> dict[str, Ratio]:
    """What can be compared of a result; what it does not have is left out."""
    systems: Mapping[str, Any] = result.get("systems", {})
    found: dict[str, Ratio] = {}
    dense = _dense_reference(systems)
    for way in ("search", "ranking"):
        mine = _time(systems, "kbsearch", way)
        raw = (_time(systems, "tantivy"), _time(systems, dense))
        if mine and raw[0] and raw[1]:
            found[f"{way} / (tantivy + {dense})"] = Ratio(mine / (raw[0] + raw[1]), "time")
    lexical = _time(systems, "kbsearch", "search, lexical")
    if lexical and (raw_lexical := _time(systems, "tantivy")):
        found["search, lexical / tantivy"] = Ratio(lexical / raw_lexical, "time")
    mine = _time(systems, "kbsearch", "leg: dense")
    if mine and (raw_dense := _time(systems, dense)):
        found[f"leg: dense / {dense}"] = Ratio(mine / raw_dense, "time")
    for state, commands in result.get("cold", {}).items():
        for command, figures in commands.items():
            if command not in {"nothing", "import numpy"} and state == "warm":
                found[f"cold start: {command} / import numpy"] = Ratio(figures["quiet"], "time")
    _add_own(result, systems.get("kbsearch", {}), found)
    held = [systems.get(name, {}).get("memory", {}).get("load", {}).get("rss") for name in ("kbsearch", "faiss-flat")]
    if held[0] and held[1]:
        found["memory under load / faiss-flat's"] = Ratio(held[0] / held[1], "memory")
    return found


def _add_own(result: Mapping[str, Any], own: Mapping[str, Any], found: dict[str, Ratio]) -> None:
    """Ratios of kbsearch to itself."""
    dimension = result.get("corpus", {}).get("dimension")
    if dimension and "bytes a passage" in own.get("build", {}):
        found["index / its vectors"] = Ratio(own["build"]["bytes a passage"] / (4 * dimension), "size")
    rate = own.get("rate", {})
    if rate.get("1") and rate.get("8"):
        found["rate of 8 threads / of 1"] = Ratio(rate["8"] / rate["1"], "rate", larger_is_better=True)
    whole = (result.get("own") or {}).get("encoded build")
    if whole:
        found["build / encoder alone"] = Ratio(1 / whole["share of the encoder"], "time")
    for name, value in (own.get("recall") or {}).items():
        found[name] = Ratio(value, "recall", larger_is_better=True)


def comparable(now: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether two results are of the same corpus and size."""
    return bool(now.get("corpus", {}).get("key") == before.get("corpus", {}).get("key"))


def regressions(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """A line for each ratio that is worse by more than its tolerance, or that cannot be measured any more."""
    mine, theirs = ratios(now), ratios(before)
    lines = []
    for name, was in theirs.items():
        if name not in mine:
            lines.append(f"{name}: was {was.value:.3f}, is not there any more")
            continue
        value = mine[name].value
        if was.kind == "recall":
            limit = was.value - _FLOOR
        else:
            tolerance = TOLERANCES[was.kind]
            limit = was.value / (1 + tolerance) if was.larger_is_better else was.value * (1 + tolerance)
        if value < limit if was.larger_is_better else value > limit:
            lines.append(f"{name}: {value:.3f}, was {was.value:.3f}; {limit:.3f} is the limit")
    return lines


def _time(systems: Mapping[str, Any], name: str, way: str = "search") -> float | None:
    figures = (systems.get(name, {}).get("ways") or {}).get(way) or {}
    value: float | None = figures.get("quiet", figures.get("p50"))
    return value


def _dense_reference(systems: Mapping[str, Any]) -> str:
    """The raw index that kbsearch's dense leg rests on at this size."""
    kinds = systems.get("kbsearch", {}).get("settings", {}).get("dense", {}).get("kinds", ())
    return "faiss-flat" if set(kinds) <= {"flat", "sq8"} else "faiss-hnsw"
