"""The passages of a hit: like a tuple, read when somebody looks, and then free of the index."""

from __future__ import annotations

import copy
import gc
import pickle
import shutil
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kbsearch.builder import build
from kbsearch.render import plain_search_result
from kbsearch.results import PassageHit, Passages
from kbsearch.search import KnowledgeBase

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import FakeEncoder

    from kbsearch.results import Hit

QUESTION = "返品の送料は誰が払いますか"


@pytest.fixture
def hit(index: Path) -> Hit:
    return KnowledgeBase.open(index).search(QUESTION).hits[0]


def test_they_are_like_a_tuple(hit: Hit) -> None:
    every = tuple(hit.passages)
    assert len(hit.passages) == len(every) > 0
    assert (hit.passages[0], hit.passages[-1], hit.passages[:1]) == (every[0], every[-1], every[:1])
    assert hit.passages == every
    assert every == hit.passages
    assert every[0] in hit.passages
    assert all(isinstance(passage, PassageHit) and passage.text for passage in every)


def test_a_hit_can_be_copied_and_kept_in_a_file(hit: Hit) -> None:
    thawed = pickle.loads(pickle.dumps(hit))  # noqa: S301 - our own
    for other in (thawed, copy.deepcopy(hit), replace(hit)):
        assert other == hit
        assert tuple(other.passages) == tuple(hit.passages)
    assert isinstance(thawed.passages, tuple)


def test_they_say_that_they_were_not_read(hit: Hit) -> None:
    assert repr(hit.passages) == f"<Passages: {len(hit.passages)}, not read yet>"
    assert hit.passages[0].heading in repr(hit.passages[0])
    assert repr(hit.passages).startswith("(<PassageHit")


def test_they_are_read_once() -> None:
    asked: list[int] = []
    one = PassageHit("a#b", "b", ("b",), "返品", (1, 2), 0.5, {})

    def read() -> tuple[PassageHit, ...]:
        asked.append(1)
        return (one,)

    passages = Passages(1, read)
    assert len(passages) == 1
    assert asked == []
    assert [passages[0], *passages, *passages[:5]] == [one] * 3
    assert asked == [1]


def test_they_are_of_the_generation_that_answered(articles: Path, index: Path, fake_encoder: FakeEncoder) -> None:
    kb = KnowledgeBase.open(index)
    expected, hits = tuple(kb.search(QUESTION).hits[0].passages), kb.search(QUESTION).hits
    for file in articles.rglob("*.md"):
        file.write_text("# 休業日\n\n土日はお休みです。\n", encoding="utf-8")
    build(articles, index, encoder=fake_encoder.name)
    assert kb.reload()
    shutil.rmtree(index)
    assert tuple(hits[0].passages) == expected


def test_who_has_read_them_lets_the_index_go(index: Path) -> None:
    kb = KnowledgeBase.open(index)
    hit, snapshot = kb.search(QUESTION, k=1).hits[0], weakref.ref(kb.snapshot)
    del kb
    gc.collect()
    assert snapshot() is not None
    tuple(hit.passages)
    gc.collect()
    assert snapshot() is None


def test_the_screen_names_the_section_that_is_quoted(hit: Hit, index: Path) -> None:
    result = KnowledgeBase.open(index).search(QUESTION, k=1)
    first, second = (
        hit.passages[0],
        hit.passages[0]._replace(section_id="returns#x", headings=("上", "下"), heading="下"),
    )
    about_second = replace(hit, passages=(first, second), section_id="returns#x", heading="下")
    gone = replace(hit, passages=(first,), section_id="returns#y", heading="別")
    for shown, path in ((about_second, f"{hit.title} › 上 › 下\n"), (gone, f"{hit.title} › 別\n")):
        assert path in (plain_search_result(replace(result, hits=(shown,)), 100) or "")
