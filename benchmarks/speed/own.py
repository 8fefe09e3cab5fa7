"""What is measured of kbsearch alone: stages, questions with real encoding, the encoder, an edit, the machine's limits.

Use: ``python -m speed.own BUNDLE SECONDS ARTICLES`` prints JSON; :func:`measure_own` runs that in a process.

Never: build into the bundle's index; the copy is made of hard links, and a generation is never changed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kbsearch.builder import build
from kbsearch.embed import load_encoder, text_key
from kbsearch.encoding import encode_texts
from kbsearch.journal import Journal
from kbsearch.known import Known
from kbsearch.search import KnowledgeBase
from speed.bundle import Bundle
from speed.limits import measure_limits
from speed.prepare import texts_of
from speed.remote import environment
from speed.stats import latencies, percentiles, rate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kbsearch.model import Encoder
    from kbsearch.results import SearchResult

__all__ = ["measure_own"]

STAGES: Final = ("analyse", "encode", "lexical", "dense", "rank", "fetch", "snippet")
_THREADS: Final = (1, 2, 8)
_SAMPLE: Final = 200
_SETTLED: Final = 4.0
"""Seconds; a link is a change to its file, and what has changed a moment ago is read again."""
_ENCODED_UP_TO: Final = 10_000
"""Passages; more take longer than all other measurements together."""


def measure_own(bundle: Bundle, seconds: float, articles: Path) -> dict[str, Any]:
    """All of it, in a process of its own."""
    command = [sys.executable, "-m", "speed.own", str(bundle.folder), str(seconds), str(articles)]
    out = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, check=True).stdout
    found: dict[str, Any] = json.loads(out)
    return found


def _encoded(bundle: Bundle, seconds: float) -> dict[str, Any]:
    """Questions with their encoding, one by one and by several threads, and the time of each stage."""
    kb = KnowledgeBase.open(bundle.index)
    encoder = kb.snapshot.encoder
    # The snapshot remembers the vectors of late questions; each of these is to be encoded.
    kb.snapshot.encode = encoder.encode_query  # type: ignore[method-assign]
    texts = [asked.text for asked in bundle.questions]
    kb.search(texts[0])
    results: list[SearchResult] = []
    found = {"search": percentiles(latencies(lambda text: results.append(kb.search(text)), texts))}
    encoding = percentiles(latencies(encoder.encode_query, texts))
    rates = {str(threads): rate(kb.search, texts, threads, seconds) for threads in _THREADS}
    return {**found, "encode alone": encoding, "rate": rates, "stages": _stages(results)}


def _stages(results: list[SearchResult]) -> dict[str, dict[str, float]] | None:
    """Percentiles of each stage; None while kbsearch does not tell them."""
    samples: dict[str, list[float]] = defaultdict(list)
    for result in results:
        for stage, milliseconds in (getattr(result, "stages", None) or {}).items():
            samples[stage].append(milliseconds)
    names = [*(stage for stage in STAGES if stage in samples), *(stage for stage in samples if stage not in STAGES)]
    return {stage: percentiles(samples[stage]) for stage in names} or None


def _encoder_rate(bundle: Bundle) -> dict[str, float]:
    """Passages a second of the encoder alone, on passages spread over the corpus."""
    kb = KnowledgeBase.open(bundle.index)
    rows = sorted({place * bundle.passages // _SAMPLE for place in range(_SAMPLE)})
    shown = kb.snapshot.content.passage_rows(rows)
    texts = ["\n".join([shown[row].title, *shown[row].headings[-1:], shown[row].text]) for row in rows]
    encoder = load_encoder()
    encoder.encode_passages(texts[:8])
    start = time.perf_counter()
    encoder.encode_passages(texts)
    return {"passages a second": round(len(texts) / (time.perf_counter() - start), 1), "sample": len(texts)}


def _encoded_build(bundle: Bundle, articles: Path) -> dict[str, Any] | None:
    """A whole build with its encoding, and the encoder alone on the same texts; None where that takes too long."""
    if bundle.passages > _ENCODED_UP_TO:
        return None
    place, encoder = bundle.folder / "encoded", load_encoder()
    texts = list({text_key(text): text for text in texts_of(articles, encoder)}.items())
    shutil.rmtree(place, ignore_errors=True)
    try:
        alone = _encoding_alone(place / "journal", encoder, dict(texts[::2]))
        total = build(articles, place / "index", full=True).timings["total"]
        alone += _encoding_alone(place / "journal", encoder, dict(texts[1::2]))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return {
        "texts": len(texts), "seconds": round(total, 2), "encoder alone": round(alone, 2),
        "share of the encoder": round(alone / total, 4),
    }  # fmt: skip


def _encoding_alone(file: Path, encoder: Encoder, texts: Mapping[str, str]) -> float:
    """Seconds. Half of the texts before the build and half behind it: the machine is not equally fast for long."""
    file.parent.mkdir(exist_ok=True)
    journal = Journal(file, "of this measurement", encoder.dimension)
    start = time.perf_counter()
    encode_texts(texts, encoder, Known(encoder.dimension, [journal.known]), journal, lambda *_: None)
    return time.perf_counter() - start


def _edited_build(bundle: Bundle, articles: Path) -> dict[str, Any]:
    """Change one article and build again, after a build that found nothing changed."""
    place = bundle.folder / "edited"
    shutil.rmtree(place, ignore_errors=True)
    try:
        _linked(bundle.index, place / "index")
        _linked(articles, place / "articles")
        time.sleep(_SETTLED)
        build(place / "articles", place / "index")  # notes which files it has read, as every build does
        changed = max((place / "articles").rglob("*.md"))
        text = changed.read_text("utf-8")
        changed.unlink()  # the name is a link; the corpus keeps its file
        changed.write_text(text + "\n本日、内容を見直しました。\n", "utf-8")
        report = build(place / "articles", place / "index")
    finally:
        shutil.rmtree(place, ignore_errors=True)
    timings = {stage: round(seconds, 4) for stage, seconds in report.timings.items()}
    return {
        "timings": timings,
        "without encoding": round(timings["total"] - timings.get("encode", 0.0), 4),
        "encoded": report.counts["encoded"],
        "changed": len(report.changed),
    }


def _linked(source: Path, target: Path) -> None:
    def link(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:  # another disk
            shutil.copyfile(one, other)

    shutil.copytree(source, target, copy_function=link)


def main() -> None:
    """Measure all and print it."""
    bundle, seconds, articles = Bundle(Path(sys.argv[1])), float(sys.argv[2]), Path(sys.argv[3])
    found = {
        "encoded": _encoded(bundle, seconds),
        "encoder": _encoder_rate(bundle),
        "encoded build": _encoded_build(bundle, articles),
        "edited": _edited_build(bundle, articles),
        "limits": measure_limits(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
