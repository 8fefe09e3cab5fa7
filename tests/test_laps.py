"""Where the time of a question goes: stages with names, that add up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from kbsearch.laps import STAGES, Laps
from kbsearch.search import KnowledgeBase

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("fake_encoder")


def test_the_pieces_of_a_stage_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second of lexical, a quarter of dense, and an eighth of lexical again."""
    now = iter([100.0, 100.5, 100.75, 100.875])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    laps = Laps()
    for stage in ("lexical", "dense", "lexical"):
        laps.end(stage)
    assert laps.stages == {**dict.fromkeys(STAGES, 0.0), "lexical": 625.0, "dense": 250.0}
    assert laps.total == 875.0


@pytest.mark.parametrize("mode", ["hybrid", "lexical", "dense"])
def test_the_stages_of_a_search_add_up_to_the_time_it_took(kb_index: Path, mode: str) -> None:
    kb = KnowledgeBase.open(kb_index)
    result = kb.search("返品の送料", mode=mode, explain=True)  # type: ignore[arg-type]
    assert tuple(result.stages) == STAGES == ("analyse", "encode", "lexical", "dense", "rank", "fetch", "snippet")
    assert min(result.stages.values()) >= 0
    assert 0 < sum(result.stages.values()) <= result.took_ms  # the rest is checking, and waiting for a turn


def test_an_answer_without_a_hit_has_its_stages_too(kb_index: Path) -> None:
    assert tuple(KnowledgeBase.open(kb_index).search("？！").stages) == STAGES


def test_the_json_has_the_stages_in_milliseconds(kb_index: Path) -> None:
    result = KnowledgeBase.open(kb_index).search("返品の送料")
    assert result.to_dict()["stages"] == {stage: round(ms, 3) for stage, ms in result.stages.items()}
