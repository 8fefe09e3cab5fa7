"""The command line of the suite: which sizes, which systems, what to do with the results.

Use: ``python -m benchmarks.run --quick``, ``python -m benchmarks.run --size 10000 100000``, ``… --quick --check``.

Never: overwrite a result by a run that is only to be checked.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from speed import results
from speed.check import comparable, ratios, regressions
from speed.cold import measure_cold
from speed.machine import about
from speed.measure import Plan, measure
from speed.report import report
from speed.systems import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speed.prepare import Wanted

__all__ = ["main"]

_PLACE: Final = Path(__file__).parents[2] / "indexes" / "bench"
QUICK: Final = 2000
REAL_UP_TO: Final = 10_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; returns 0, or 1 when kbsearch failed or ``--check`` finds a ratio that is worse."""
    options = _parser().parse_args(arguments)
    from speed.prepare import Wanted  # kbsearch is wanted only now: --help is quick

    real = QUICK if options.quick else REAL_UP_TO
    sizes = options.size or ([] if options.articles else [QUICK if options.quick else REAL_UP_TO])
    wanted = [Wanted(_PLACE / f"synthetic-{size}", size, options.questions, real) for size in sizes]
    if options.articles:
        folder = options.articles.resolve()
        wanted.append(Wanted(_PLACE / f"own-{folder.name}", 0, options.questions, real, folder))
    worse = 0
    for one in wanted:
        name = _name(one, quick=options.quick)
        result = {"name": name, **about(), **_measured(one, options)}
        if failed := result["systems"].get("kbsearch", {}).get("skipped"):
            print(f"{name}: kbsearch failed, nothing was written: {failed}")
            worse += 1
        elif options.check:
            worse += _checked(result, name, options.results)
        else:
            print(f"wrote {results.write(options.results, name, result)}")
    if not options.check:
        for file in report(options.results):
            print(f"wrote {file}")
    return 1 if worse else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.run", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--size", type=int, nargs="+", default=[], help="passages of the made corpora")
    parser.add_argument("--articles", type=Path, help="a folder of articles of your own, besides or instead")
    parser.add_argument(
        "--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), metavar="SYSTEM", help=", ".join(SYSTEMS)
    )
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} passages and short measurements")
    parser.add_argument(
        "--check", action="store_true", help="compare ratios with the last committed result; write nothing"
    )
    parser.add_argument("--rebuild", action="store_true", help="build every index again")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    return parser


def _name(wanted: Wanted, *, quick: bool) -> str:
    """Of the result's file."""
    if wanted.articles:
        return wanted.folder.name
    return "quick" if quick and wanted.size == QUICK else str(wanted.size)


def _measured(wanted: Wanted, options: argparse.Namespace) -> dict[str, Any]:
    from speed.own import measure_own
    from speed.prepare import prepare

    bundle = prepare(wanted, rebuild=options.rebuild)
    quick: bool = options.quick
    plan = Plan(5, 12.0, 1.0, rebuild=options.rebuild) if quick else Plan(rebuild=options.rebuild)
    systems = measure(bundle, options.systems, plan)
    found: dict[str, Any] = {
        "corpus": {key: value for key, value in bundle.about.items() if key != "build"},
        "systems": systems,
    }
    if "kbsearch" in systems and "skipped" not in systems["kbsearch"]:
        print("kbsearch alone", file=sys.stderr)
        found["own"] = measure_own(bundle, plan.rate_seconds, wanted.articles or wanted.folder / "articles")
        question = bundle.questions[0].text
        found["cold"] = measure_cold(bundle.index, question, rounds=7 if quick else 15, drop=not quick)
    return found


def _checked(result: dict[str, Any], name: str, folder: Path) -> int:
    """Print how the ratios stand against the last result; returns how many are worse."""
    before = results.committed(folder, name)
    if before is None or not comparable(result, before):
        print(f"{name}: there is no result of the same corpus to compare with; run without --check and commit it")
        return 1
    then = ratios(before)
    print(f"{name}: now, and at {before['commit']} of {before['date']}")
    for label, ratio in ratios(result).items():
        was = f"{then[label].value:9.3f}" if label in then else "        –"
        print(f"  {ratio.value:9.3f} {was}  {label}")
    worse = regressions(result, before)
    for line in worse:
        print(f"WORSE  {line}")
    if worse and result["load"] > (result["machine"]["cores"] or 1) / 2:
        print(f"The machine was busy when this began (load {result['load']}): run it again before you believe it.")
    return len(worse)
