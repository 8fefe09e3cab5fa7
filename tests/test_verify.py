"""``verify`` passes a sound index and catches a leg that is wrong in any of the ways a leg can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kbsearch.errors import IndexCorrupt
from kbsearch.search import KnowledgeBase
from kbsearch.verify import check_files, check_ranking

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kbsearch.model import FloatArray, RowArray

    Answer = tuple[RowArray, FloatArray]

pytestmark = pytest.mark.usefixtures("fake_encoder")


class Wrong:
    """A leg whose answers are spoilt."""

    def __init__(self, leg: Any, spoil: Callable[[RowArray, FloatArray], Answer], **facts: Any) -> None:
        self._leg, self._spoil = leg, spoil
        self.__dict__.update(facts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._leg, name)

    def search(self, *arguments: Any) -> Answer:
        return self._spoil(*self._leg.search(*arguments))


@pytest.fixture
def kb(kb_index: Path) -> KnowledgeBase:
    return KnowledgeBase.open(kb_index)


def best_missing(rows: RowArray, scores: FloatArray) -> Answer:
    return rows[1:], scores[1:]


def worst_missing(rows: RowArray, scores: FloatArray) -> Answer:
    return rows[:-1], scores[:-1]


def nothing(rows: RowArray, scores: FloatArray) -> Answer:
    return rows[:0], scores[:0]


def one_row_many_times(rows: RowArray, scores: FloatArray) -> Answer:
    return np.repeat(rows[:1], len(rows)), np.repeat(scores[:1], len(rows))


def backwards(rows: RowArray, scores: FloatArray) -> Answer:
    return rows[::-1], scores[::-1]


def two_swapped(rows: RowArray, scores: FloatArray) -> Answer:
    order = np.arange(len(rows))
    order[:2] = order[:2][::-1]
    return rows[order], scores[order]


def higher_scores(rows: RowArray, scores: FloatArray) -> Answer:
    return rows, scores * np.float32(1.001)


def the_row_before(rows: RowArray, scores: FloatArray) -> Answer:
    return np.maximum(rows - 1, 0), scores


def equal_scores(rows: RowArray, scores: FloatArray) -> Answer:
    return np.sort(rows), np.full_like(scores, scores.mean() if len(scores) else 0)


WRONG_ROWS = [best_missing, worst_missing, nothing, one_row_many_times, the_row_before]
SPOILS = [*WRONG_ROWS, backwards, two_swapped, higher_scores, equal_scores]


def test_a_sound_index_agrees_with_its_oracles(kb: KnowledgeBase) -> None:
    told: list[tuple[int, int]] = []
    report = check_ranking(kb, lambda done, total: told.append((done, total)))
    assert report.questions == len(told) > 10
    assert told[-1] == (report.questions, report.questions)
    assert report.agreement == {"words": 1.0, "grams": 1.0, "dense": 1.0}
    assert set(report.error) == set(report.agreement)
    assert all(0 <= error < 1e-5 for error in report.error.values())


@pytest.mark.parametrize("spoil", WRONG_ROWS)
def test_a_wrong_lexical_leg_is_caught(kb: KnowledgeBase, spoil: Callable[[RowArray, FloatArray], Answer]) -> None:
    """It proposes rows; what they score is looked up forwards."""
    wrong: Any = Wrong(kb.snapshot.lexical, spoil)
    kb.snapshot.lexical = wrong
    with pytest.raises(IndexCorrupt):
        check_ranking(kb)


def one_percent_more(scores: FloatArray) -> FloatArray:
    return scores * np.float32(1.01)


def one_score_for_all(scores: FloatArray) -> FloatArray:
    return np.full_like(scores, scores.mean() if len(scores) else 0)


def those_of_the_neighbour(scores: FloatArray) -> FloatArray:
    return np.roll(scores, 1)


@pytest.mark.parametrize("stream", [0, 1])
@pytest.mark.parametrize("spoil", [one_percent_more, one_score_for_all, those_of_the_neighbour])
def test_wrong_scores_of_words_or_grams_are_caught(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch, stream: int, spoil: Callable[[FloatArray], FloatArray]
) -> None:
    describe = kb.snapshot.tokens.describe

    def spoilt(*asked: Any) -> tuple[FloatArray, ...]:
        found = list(describe(*asked))
        found[stream] = spoil(found[stream])
        return tuple(found)

    monkeypatch.setattr(kb.snapshot.tokens, "describe", spoilt)
    with pytest.raises(IndexCorrupt):
        check_ranking(kb)


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_wrong_dense_leg_is_caught(kb: KnowledgeBase, spoil: Callable[[RowArray, FloatArray], Answer]) -> None:
    kb.snapshot.__dict__["vectors"] = Wrong(kb.snapshot.vectors, spoil)
    with pytest.raises(IndexCorrupt):
        check_ranking(kb)


def test_a_graph_may_miss_a_row_and_the_report_says_so(kb: KnowledgeBase) -> None:
    kb.snapshot.__dict__["vectors"] = Wrong(kb.snapshot.vectors, best_missing, approximate=True)
    report = check_ranking(kb)
    assert 0.5 < report.agreement["dense"] < 1
    assert report.agreement["words"] == 1


@pytest.mark.parametrize("spoil", [higher_scores, the_row_before])
def test_a_graph_may_not_score_wrongly(kb: KnowledgeBase, spoil: Callable[[RowArray, FloatArray], Answer]) -> None:
    kb.snapshot.__dict__["vectors"] = Wrong(kb.snapshot.vectors, spoil, approximate=True)
    with pytest.raises(IndexCorrupt):
        check_ranking(kb)


def test_stored_terms_that_are_not_the_index_s_are_caught(kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle counts the terms of each row: one word more in one row shows."""
    counts = kb.snapshot.tokens.counts

    def altered(row: int, stream: str) -> dict[int, int]:
        found: dict[int, int] = counts(row, stream)
        return found if row else {**found, next(iter(found)): found[next(iter(found))] + 1}

    monkeypatch.setattr(kb.snapshot.tokens, "counts", altered)
    with pytest.raises(IndexCorrupt):
        check_ranking(kb)


def test_a_sound_index_has_no_damaged_file(kb: KnowledgeBase) -> None:
    assert check_files(kb) == []


def test_one_changed_byte_in_any_file_is_found(index: Path) -> None:
    generation = index / (index / "CURRENT").read_text("utf-8").strip()
    kb = KnowledgeBase.open(index)
    files = [file for file in sorted(generation.rglob("*")) if file.is_file() and file.name != "manifest.json"]
    assert len(files) > 5
    for file in files:
        content = file.read_bytes()
        place = len(content) // 2
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert [error.file for error in check_files(kb)] == [str(file)]
        file.write_bytes(content)
    assert check_files(kb) == []
