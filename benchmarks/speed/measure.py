"""Measure the systems on one bundle, in turns, so that a noisy moment of the machine hits all of them alike.

Each is built in one process and asked in another. Questions go round in blocks: a block to each way of each system,
then the next. A system that fails at anything is noted with its reason and left out of the rest.

Use: ``measure(bundle, ["kbsearch", "tantivy"], Plan())``.

Never: let two systems work at the same time.
"""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from speed.bundle import folder_bytes
from speed.remote import Failed, Remote
from speed.stats import percentiles, quiet
from speed.systems import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speed.bundle import Bundle

__all__ = ["Plan", "measure", "versions"]

_BLOCK: Final = 25
_APART: Final = 2  # blocks between two ways of one system: none finds what another has just warmed
_FEW: Final = 10  # questions to see how slow a way is
_SLOW: Final = 500.0  # milliseconds; such a way is not warmed up further
_TOGETHER_UP_TO: Final = 200_000  # passages; beyond, memory does not hold all systems at once
_BUILD_WITHIN: Final = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure. ``seconds`` bound one way's latencies, ``rate_seconds`` one rate."""

    rounds: int = 4
    seconds: float = 30.0
    rate_seconds: float = 3.0
    threads: tuple[int, ...] = (1, 2, 8)
    rebuild: bool = False


def measure(bundle: Bundle, names: Sequence[str], plan: Plan) -> dict[str, dict[str, Any]]:
    """Everything that is measured of all systems alike, by system; ``skipped`` says why there is no figure."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        _say(f"build: {name}")
        found[name] = _built(bundle, name, plan)
    able = [name for name in names if "skipped" not in found[name]]
    if bundle.passages <= _TOGETHER_UP_TO:
        groups = [able]
    else:  # what is compared as a ratio stays together
        core = [name for name in able if name in {"kbsearch", "tantivy", "faiss-flat", "faiss-hnsw"}]
        groups = [core, *([name] for name in able if name not in core)]
    for group in groups:
        if group:
            _ask_group(bundle, group, plan, found)
    return found


def versions(names: Sequence[str]) -> dict[str, str]:
    """Of the packages that these systems need; raises PackageNotFoundError."""
    packages = sorted({package for name in names for package in SYSTEMS[name].packages})
    return {package: metadata.version(package) for package in packages}


def _built(bundle: Bundle, name: str, plan: Plan) -> dict[str, Any]:
    entry = SYSTEMS[name]
    if bundle.passages > entry.limit:
        return {"skipped": f"of no use beyond {entry.limit:,} passages"}
    try:
        packages = versions([name])
    except metadata.PackageNotFoundError as error:
        return {"skipped": f"not installed: {error.name}"}
    if name == "kbsearch":
        return {"build": _own_build(bundle)}
    folder = bundle.folder / "systems" / name
    note = folder.with_name(f"{name}.json")
    if note.exists() and not plan.rebuild:
        stored: dict[str, Any] = json.loads(note.read_text("utf-8"))
        if stored["packages"] == packages and stored["inputs"] == bundle.about["inputs"]:
            return {"build": stored["build"]}
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with Remote(bundle, name) as worker:
            build = worker("build", within=_BUILD_WITHIN)
    except Failed as error:
        return {"skipped": str(error)}
    build |= {"bytes": folder_bytes(folder), "bytes a passage": round(folder_bytes(folder) / bundle.passages, 1)}
    note.write_text(json.dumps({"packages": packages, "inputs": bundle.about["inputs"], "build": build}), "utf-8")
    return {"build": build}


def _own_build(bundle: Bundle) -> dict[str, Any]:
    """kbsearch's, without encoding: the others were given the vectors."""
    timings = bundle.about["build"]["timings"]
    current = bundle.index / (bundle.index / "CURRENT").read_text("utf-8").strip()
    size = folder_bytes(current)
    return {
        "seconds": round(timings["total"] - timings["encode"], 3),
        "bytes": size,
        "bytes a passage": round(size / bundle.passages, 1),
        "timings": {stage: round(seconds, 3) for stage, seconds in timings.items()},
    }


def _ask_group(bundle: Bundle, names: Sequence[str], plan: Plan, found: dict[str, dict[str, Any]]) -> None:
    with ExitStack() as stack:
        workers = {}
        for name in names:
            _say(f"open: {name}")
            worker = stack.enter_context(Remote(bundle, name))
            try:
                opened = worker("open")
            except Failed as error:
                found[name]["skipped"] = str(error)
                continue
            workers[name] = worker
            found[name] |= {
                "open seconds": opened["seconds"],
                "memory": {"empty": opened["empty"], "rest": opened["rest"]},
                "settings": opened["settings"],
                "ways": dict.fromkeys(opened["ways"]),
            }
        _latencies(bundle, workers, plan, found)
        for threads in plan.threads:
            _say(f"rate of {threads} threads")
            for name, answer in _all(workers, found, "rate", threads=threads, seconds=plan.rate_seconds).items():
                found[name].setdefault("rate", {})[str(threads)] = answer
        for name, answer in _all(workers, found, "memory").items():
            found[name]["memory"]["load"] = answer
        _say("recall")
        for what in ("recall", "agreement"):
            for name, answer in _all(workers, found, what).items():
                found[name][what] = answer


def _all(workers: dict[str, Remote], found: dict[str, dict[str, Any]], do: str, **values: Any) -> dict[str, Any]:
    """One command to every worker in turn; one that fails is left out from then on."""
    answers = {}
    for name, worker in list(workers.items()):
        try:
            answers[name] = worker(do, **values)
        except Failed as error:
            _drop(workers, found, name, error)
    return answers


def _drop(workers: dict[str, Remote], found: dict[str, dict[str, Any]], name: str, error: Failed) -> None:
    found[name]["skipped"] = str(error)
    del workers[name]


def _latencies(bundle: Bundle, workers: dict[str, Remote], plan: Plan, found: dict[str, dict[str, Any]]) -> None:
    """Warm up, then blocks in turns. A slow way is asked fewer questions, so that all take bearable time."""
    count = len(bundle.questions)
    blocks = [(first, min(first + _BLOCK, count)) for first in range(0, count, _BLOCK)]
    limits = _warmed(workers, plan, found, count)
    samples: dict[tuple[str, str], list[tuple[int, float]]] = {key: [] for key in limits}
    for turn in range(plan.rounds):
        _say(f"latencies, round {turn + 1} of {plan.rounds}")
        for place in range(len(blocks)):
            for name, worker in list(workers.items()):
                try:
                    for number, way in enumerate(found[name]["ways"]):
                        if len(samples[name, way]) < limits[name, way]:
                            first, last = blocks[(place + _APART * number) % len(blocks)]
                            answer = worker("ask", way=way, first=first, last=last)
                            samples[name, way] += zip(range(first, last), answer, strict=True)
                except Failed as error:
                    _drop(workers, found, name, error)
    for (name, way), sample in samples.items():
        times = [milliseconds for _, milliseconds in sample]
        found[name]["ways"][way] = {**percentiles(times), "quiet": quiet(sample), "asked": len(sample)}


def _warmed(
    workers: dict[str, Remote], plan: Plan, found: dict[str, dict[str, Any]], count: int
) -> dict[tuple[str, str], int]:
    """Warm up every way of every system; returns how many questions its time allows."""
    limits: dict[tuple[str, str], int] = {}
    for name, worker in list(workers.items()):
        _say(f"warm up: {name}")
        for way in found[name]["ways"]:
            try:
                warm = worker("ask", way=way, first=0, last=min(_FEW, count))
                if max(warm) < _SLOW:
                    warm = worker("ask", way=way, first=0, last=min(2 * _BLOCK, count))
            except Failed as error:
                _drop(workers, found, name, error)
                break
            limits[name, way] = max(int(plan.seconds * 1000 / percentiles(warm)["p50"]), 2 * _BLOCK)
    return limits


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
