"""Cold start: whole processes of the command line, as multiples of ``python -c "import numpy"``.

The commands take turns, so a noisy moment hits all alike. Where the machine lets us, they are started once more with
an empty page cache.

Use: ``measure_cold(index, rounds=9)``.

Never: give the milliseconds without the multiple; they are the machine's more than ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from speed.stats import percentiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["BASE", "measure_cold"]

BASE: Final = "import numpy"
_DROP: Final = Path("/proc/sys/vm/drop_caches")


def measure_cold(index: Path, question: str, *, rounds: int, drop: bool) -> dict[str, Any]:
    """Milliseconds (p50, least) of each command, and their multiples of BASE (``quiet``: least by least).

    ``dropped`` is the same with an empty page cache.
    """
    kbsearch = str(Path(sys.executable).with_name("kbsearch"))
    commands = {
        "nothing": [sys.executable, "-c", "pass"],
        BASE: [sys.executable, "-c", "import numpy"],
        "--help": [kbsearch, "--help"],
        "search --mode lexical": [kbsearch, "search", question, "-i", str(index), "--mode", "lexical"],
        "search": [kbsearch, "search", question, "-i", str(index)],
    }
    warm = _in_turns(commands, rounds + 1, drop=False)
    found: dict[str, Any] = {"warm": _multiples({name: times[1:] for name, times in warm.items()})}
    if drop and _can_drop():
        found["dropped"] = _multiples(_in_turns(commands, 3, drop=True))
    return found


def _in_turns(commands: Mapping[str, Sequence[str]], rounds: int, *, drop: bool) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in commands}
    environment = {**os.environ, "NO_COLOR": "1"}
    for _ in range(rounds):
        for name, command in commands.items():
            if drop:
                _can_drop()
            start = time.perf_counter()
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
            times[name].append((time.perf_counter() - start) * 1000)
    return times


def _multiples(times: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    base = percentiles(times[BASE])["p50"]
    return {
        name: {
            "p50": percentiles(sample)["p50"],
            "least": round(min(sample), 3),
            "multiple": round(percentiles(sample)["p50"] / base, 3),
            "quiet": round(min(sample) / min(times[BASE]), 3),
        }
        for name, sample in times.items()
    }


def _can_drop() -> bool:
    """Empty the page cache, if this process may."""
    try:
        os.sync()
        _DROP.write_text("1", "ascii")
    except OSError:
        return False
    return True
