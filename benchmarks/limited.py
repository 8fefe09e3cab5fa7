"""What a question costs where memory does not hold the index, as in a container that may have so much and no more.

Use: ``python -m benchmarks.limited indexes/bench/synthetic-1000000`` on what ``benchmarks.run`` left there, inside of a
limit that somebody else sets: ``docker run --memory``, ``systemd-run --scope --property MemoryMax=2500M``, or a control
group made by hand. The page cache counts against such a limit; so what is measured is what a machine of that size does.

The files are put out of the page cache first. Half of the questions are asked three times: from the disk alone, and
then as what was asked before; the other half once, as what nobody asked so far. Vectors of questions are given.

Never: set the limit here; that takes rights which a benchmark should not ask for.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.path.insert(0, str(Path(__file__).parent))  # so that `-m benchmarks.limited` finds its neighbours

from speed.bundle import Bundle, folder_bytes
from speed.stats import percentiles

from kbsearch import KnowledgeBase
from kbsearch.paging import memory_limit

if TYPE_CHECKING:
    from collections.abc import Sequence

_GIGABYTE: Final = 1e9


def main(arguments: Sequence[str] | None = None) -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    bundle = Bundle(parser.parse_args(arguments).bundle)
    forget(bundle.index)
    kb = KnowledgeBase.open(bundle.index)
    vectors = {question.text: question.vector for question in bundle.questions}
    kb.snapshot.encode = vectors.__getitem__  # type: ignore[method-assign, assignment]
    texts = list(vectors)
    kb.search(texts[0])  # opens everything
    half = len(texts) // 2
    limit = memory_limit() or 0
    print(f"{bundle.passages:,} passages, {folder_bytes(bundle.index) / _GIGABYTE:.1f} GB of files, ", end="")
    print(f"{limit / _GIGABYTE:.1f} GB of memory")
    print("| questions | p50 ms | p95 ms | p99 ms |\n|---|---:|---:|---:|")
    for name, some in (
        ("the first ones, from the disk", texts[:half]),
        ("the same, once more", texts[:half]),
        ("and once more", texts[:half]),
        ("others, asked by nobody so far", texts[half:]),
    ):
        took = percentiles([milliseconds(kb, text) for text in some])
        print(f"| {name} | {' | '.join(f'{value:.1f}' for value in took.values())} |")


def forget(folder: Path) -> None:
    """Put the files of a folder out of the page cache, as far as nobody else holds them."""
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def milliseconds(kb: KnowledgeBase, text: str) -> float:
    """What one question takes."""
    start = time.perf_counter()
    kb.search(text)
    return (time.perf_counter() - start) * 1e3


if __name__ == "__main__":
    main()
