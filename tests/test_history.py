"""Two hundred edits of the sample articles, a build after each: every name that was given out leads where it should.

``tests/history.py`` makes the edits and keeps the truth. Run as a script, with a seed and how many edits each build is
to find, this file prints what came out.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FAKE, FakeEncoder
from history import PLAN, History

from kbsearch import KnowledgeBase, build, builder, delta, embed, store

SAMPLE = Path(__file__).parent.parent / "articles"
EDITS = 200
HARD = ("retranslate", "rewrite")
"""Edits that replace more than half of a text."""


def no_calibration(job: Any, *_: object) -> dict[str, Any]:
    """Nobody asks these indexes how sure they are; it would take most of the time."""
    with job.draft.files.probes.open("wb") as target:
        np.savez(target, keys=np.array([], dtype="U64"), vectors=np.empty((0, 32), dtype=np.float32))
    return {}


def year(folder: Path, seed: int, each: int = 1) -> History:
    """A year, with deltas and whole builds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embed._loaded, (FAKE, None), FakeEncoder())
        patch.setattr(delta, "FEWEST_PASSAGES", 0)
        patch.setattr(delta, "MOST_CHANGED", 0.2)
        patch.setattr(store, "_sync", lambda _: None)
        patch.setattr(builder._Job, "_calibrate", no_calibration)
        shutil.copytree(SAMPLE, folder / "articles")
        found = History(folder / "articles", seed)

        def rebuild() -> KnowledgeBase:
            build(folder / "articles", folder / "index", encoder=FAKE)
            return KnowledgeBase.open(folder / "index")

        found.run(EDITS, rebuild, each)
        return found


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """One year."""
    return year(tmp_path_factory.mktemp("year"), seed=1)


def test_the_history_holds_every_kind_of_edit(history: History) -> None:
    assert sum(history.done.values()) == EDITS
    assert set(history.done) == set(PLAN)
    assert len(history.names) > 300
    assert sum(history.asked.values()) > 2000


@pytest.mark.parametrize("kind", sorted(set(PLAN) - set(HARD)))
def test_names_lead_to_their_sections_or_to_where_their_text_went(history: History, kind: str) -> None:
    assert [each for each in history.wrong if each.kind == kind] == []


def test_what_was_not_edited_keeps_its_names(history: History) -> None:
    assert [each for each in history.wrong if each.kind == "untouched"] == []


def test_no_name_is_given_to_two_sections(history: History) -> None:
    assert [each for each in history.wrong if each.kind == "given twice"] == []


def test_most_of_what_is_written_anew_keeps_its_names(history: History) -> None:
    asked = sum(history.asked[kind] for kind in HARD)
    assert asked > 50
    assert sum(each.kind in HARD for each in history.wrong) <= 0.15 * asked


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        sys.stdout.write(year(Path(scratch), *map(int, sys.argv[1:])).report() + "\n")
