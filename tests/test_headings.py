"""Headings by themselves: encoded once, kept in codes, and as good as a title to what stands below them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import FAKE, files_of, write_articles

from kbsearch.builder import build
from kbsearch.embed import text_key
from kbsearch.errors import IndexCorrupt
from kbsearch.features import NAMES
from kbsearch.headings import numbers_of, open_headings, write_headings
from kbsearch.known import InMemory, Known
from kbsearch.model import Filter
from kbsearch.pooling import candidates
from kbsearch.query import prepare
from kbsearch.retrieve import judged
from kbsearch.search import KnowledgeBase

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import FakeEncoder

    from kbsearch.native import Judged
    from kbsearch.snapshot import Snapshot

TITLE = NAMES.index("title_cosine")
FAQ = """---
title: よくある質問
lang: ja
aliases: [困ったとき]
---

はじめにお読みください。

## 返品の送料は誰が払いますか

当店です。

## 支払いの方法は

銀行振込です。

### ご注意

手数料がかかります。
"""
OTHER = "---\ntitle: 配送\nlang: ja\n---\n\n三日で届きます。\n\n## ご注意\n\n離島を除きます。\n"
HEADINGS = ("返品の送料は誰が払いますか", "支払いの方法は", "ご注意")


@pytest.fixture
def faq(tmp_path: Path, fake_encoder: FakeEncoder) -> Path:
    assert fake_encoder.name == FAKE
    articles = write_articles(tmp_path / "articles", {"faq.md": FAQ, "other.md": OTHER})
    build(articles, tmp_path / "index", encoder=FAKE)
    return tmp_path / "index"


def title_cosine(snapshot: Snapshot, found: Judged) -> float:
    """Of the FAQ, as it is before it is put in spreads."""
    about = snapshot.generation.manifest["title_cosines"]
    of_faq = found.numbers.tolist().index(snapshot.numbers["faq"])
    return float(found.features[of_faq, TITLE]) * float(about["spread"]) + float(about["mean"])


def test_each_heading_is_encoded_once(faq: Path, fake_encoder: FakeEncoder) -> None:
    assert [fake_encoder.encoded.count(heading) for heading in HEADINGS] == [1, 1, 1]
    rows = KnowledgeBase.open(faq).snapshot.content.passage_rows(range(7))
    headings = open_headings(files_of(faq).headings, 7, fake_encoder.dimension)
    codes, scales, of_row = headings.held
    assert [HEADINGS[number] if number >= 0 else "" for number in of_row] == [
        "" if rows[row].text.startswith("はじめに") else rows[row].heading for row in range(7)
    ]
    for number, heading in enumerate(HEADINGS):
        np.testing.assert_allclose(codes[number] * scales[number], fake_encoder.encode_query(heading), atol=0.005)


@pytest.mark.parametrize("heading", HEADINGS[:2])
def test_a_heading_counts_as_a_title(faq: Path, heading: str) -> None:
    snapshot = KnowledgeBase.open(faq).snapshot
    query = prepare(snapshot, heading, "hybrid")
    found = judged(snapshot, query, candidates(snapshot, query, Filter(), 100))
    assert title_cosine(snapshot, found) == pytest.approx(1, abs=0.005)


def test_a_heading_that_is_withheld_counts_no_more(faq: Path, fake_encoder: FakeEncoder) -> None:
    """As for the questions that a build asks its own articles."""
    snapshot = KnowledgeBase.open(faq).snapshot
    query = prepare(snapshot, HEADINGS[0], "hybrid")
    pooled = candidates(snapshot, query, Filter(), 100)
    found = judged(snapshot, query, pooled, withheld=0)
    vector = fake_encoder.encode_query(HEADINGS[0])
    rest = max(float(fake_encoder.encode_query(text) @ vector) for text in ("よくある質問", *HEADINGS[1:]))
    assert title_cosine(snapshot, found) == pytest.approx(rest, abs=0.005)


@pytest.mark.parametrize("small", [False, True])
def test_only_what_is_new_is_encoded(
    faq: Path, fake_encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch, *, small: bool
) -> None:
    if small:  # a delta
        monkeypatch.setattr("kbsearch.delta.FEWEST_PASSAGES", 0)
        monkeypatch.setattr("kbsearch.delta.MOST_CHANGED", 0.9)
    articles = faq.parent / "articles"
    for text, new in (
        (FAQ.replace("当店です。", "お客様です。"), []),
        (FAQ.replace("## 支払いの方法は", "## 支払いは"), ["支払いは"]),
        (FAQ, [] if small else ["支払いの方法は"]),  # a delta has it from its base
    ):
        fake_encoder.encoded.clear()
        write_articles(articles, {"faq.md": text})
        report = build(articles, faq, encoder=FAKE)
        assert (files_of(faq).delta.headings / "codes.npy").exists() is small
        assert [text for text in fake_encoder.encoded if text in {*HEADINGS, "支払いは"}] == new
        assert report.counts["reused"] >= 4
        kb = KnowledgeBase.open(faq)
        assert kb.search("返品の送料は誰が払いますか").hits[0].heading == HEADINGS[0]


def test_an_article_without_a_heading_has_none(tmp_path: Path, fake_encoder: FakeEncoder) -> None:
    write_headings(tmp_path / "headings", ["", "", ""], Known(fake_encoder.dimension, []), fake_encoder.dimension)
    headings = open_headings(tmp_path / "headings", 3, fake_encoder.dimension)
    assert (headings.n, headings.rows, headings.held[2].tolist()) == (0, 3, [-1, -1, -1])
    assert numbers_of(tmp_path / "headings", [0, 2]) == []


def spoil(name: str, edit: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def spoiled(folder: Path) -> None:
        np.save(folder / f"{name}.npy", edit(np.load(folder / f"{name}.npy")))

    return spoiled


@pytest.mark.parametrize(
    "damage",
    [
        spoil("rows", lambda rows: rows[:-1]),
        spoil("rows", lambda rows: rows.astype(np.int64)),
        spoil("codes", lambda codes: codes[:, :-1]),
        spoil("codes", lambda codes: codes.astype(np.int16)),
        spoil("codes", lambda codes: codes[0]),
        spoil("scales", lambda scales: scales[:-1]),
        lambda folder: (folder / "scales.npy").unlink(),
        lambda folder: (folder / "codes.npy").write_bytes(b"nothing"),
    ],
)
def test_damage_is_noticed(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    vectors = np.eye(2, 4, dtype=np.float32)
    known = Known(4, [InMemory([text_key("送料"), text_key("配送")], vectors)])
    write_headings(tmp_path / "headings", ["送料", "", "配送"], known, 4)
    assert numbers_of(tmp_path / "headings", [2]) == [1]
    damage(tmp_path / "headings")
    with pytest.raises(IndexCorrupt):
        open_headings(tmp_path / "headings", 3, 4)


def test_a_row_that_is_not_there_has_no_heading(tmp_path: Path) -> None:
    write_headings(tmp_path / "headings", [""], Known(4, []), 4)
    with pytest.raises(IndexCorrupt):
        numbers_of(tmp_path / "headings", [1])
