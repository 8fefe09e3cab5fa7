"""The vectors of sentences: encoded once, and only where they are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import ARTICLES, FAKE, FakeEncoder, answers, files_of, write_articles

from kbsearch import builder, embed
from kbsearch.builder import build
from kbsearch.quotable import MOST_ROWS
from kbsearch.search import KnowledgeBase
from kbsearch.store import Store

if TYPE_CHECKING:
    from pathlib import Path


LONG = """---
title: 保証
---

一年間です。ただし、電池は除きます。箱は要りません。

| 商品 | 期間 |
|------|------|
| 鍋   | 1年  |
"""


@pytest.fixture
def small_deltas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kbsearch.delta.FEWEST_PASSAGES", 0)
    monkeypatch.setattr("kbsearch.delta.MOST_CHANGED", 0.9)


def has_delta(index: Path) -> bool:
    generation = Store(index).open()
    generation.close()
    return "delta" in generation.manifest


def sentences_of(encoder: FakeEncoder) -> list[str]:
    """The last line of what was encoded: the sentence, if it is one."""
    return sorted(text.split("\n")[-1] for text in encoder.encoded)


def snippet_of(kb: KnowledgeBase, question: str, limit: int) -> str:
    """What is shown of the guarantee."""
    hits = kb.search(question, k=20, snippet_chars=limit).hits
    return next(hit.snippet for hit in hits if hit.article_id == "guarantee")


def test_a_sentence_is_encoded_with_the_title_and_the_headings_above_it(
    tmp_path: Path, fake_encoder: FakeEncoder
) -> None:
    text = "---\ntitle: 返品\n---\n\n## 送料\n\n当店が払います。着払いで送ります。\n"
    report = build(write_articles(tmp_path / "articles", {"a.md": text}), tmp_path / "index", encoder=FAKE)
    assert report.counts["sentences"] == 2
    assert {"返品\n送料\n当店が払います。", "返品\n送料\n着払いで送ります。"} <= set(fake_encoder.encoded)


def test_only_sentences_that_changed_are_encoded(articles: Path, index: Path, fake_encoder: FakeEncoder) -> None:
    write_articles(articles, {"guarantee.md": LONG})
    assert build(articles, index, encoder=FAKE).counts["sentences"] == 5
    fake_encoder.encoded.clear()
    write_articles(articles, {"guarantee.md": LONG.replace("箱は要りません。", "箱も要ります。")})
    report = build(articles, index, encoder=FAKE)
    assert (report.counts["encoded"], report.counts["sentences"]) == (1, 1)
    assert "箱も要ります。" in sentences_of(fake_encoder)


@pytest.mark.usefixtures("small_deltas")
def test_of_a_delta_too(articles: Path, index: Path, fake_encoder: FakeEncoder) -> None:
    write_articles(articles, {"guarantee.md": LONG})
    build(articles, index, encoder=FAKE, full=True)
    for place, new in enumerate(("箱も要ります。", "袋も要ります。")):
        fake_encoder.encoded.clear()
        write_articles(articles, {"guarantee.md": LONG.replace("箱は要りません。", new)})
        report = build(articles, index, encoder=FAKE)
        assert has_delta(index), place
        assert (report.counts["encoded"], report.counts["sentences"]) == (1, 1)
        assert new in sentences_of(fake_encoder)
        files = files_of(index)
        assert len(np.load(files.delta.quotes / "codes.npy")) == 5
        assert snippet_of(KnowledgeBase.open(index), "保証に箱も袋も要りますか", 12) == new


def test_without_sentences_snippets_are_chosen_by_words(
    articles: Path, tmp_path: Path, fake_encoder: FakeEncoder
) -> None:
    write_articles(articles, {"guarantee.md": LONG})
    report = build(articles, tmp_path / "words", encoder=FAKE, sentences=False)
    assert report.counts["sentences"] == 0
    assert report.counts["encoded"] == len(fake_encoder.encoded)
    assert not (files_of(tmp_path / "words").quotes / "codes.npy").exists()
    kb = KnowledgeBase.open(tmp_path / "words")
    assert all(hit["snippet"] for _, _, hits in answers(kb) for hit in hits)
    assert "箱は要りません。" in snippet_of(kb, "保証の箱", 20)
    assert not build(articles, tmp_path / "words", encoder=FAKE, sentences=False).published
    assert build(articles, tmp_path / "words", encoder=FAKE).counts["sentences"] > 5
    assert (files_of(tmp_path / "words").quotes / "codes.npy").exists()


@pytest.mark.usefixtures("small_deltas")
def test_a_delta_has_vectors_of_sentences_if_its_base_has(
    articles: Path, tmp_path: Path, fake_encoder: FakeEncoder
) -> None:
    assert fake_encoder
    for wanted in (False, True):
        index = tmp_path / str(wanted)
        write_articles(articles, {"guarantee.md": LONG})
        build(articles, index, encoder=FAKE, sentences=wanted)
        write_articles(articles, {"guarantee.md": LONG.replace("箱は要りません。", "袋も要ります。")})
        report = build(articles, index, encoder=FAKE, sentences=wanted)
        assert has_delta(index)
        assert report.counts["sentences"] == wanted
        assert (files_of(index).delta.quotes / "codes.npy").exists() is wanted
        assert "袋も要ります。" in snippet_of(KnowledgeBase.open(index), "保証に袋も要りますか", 20)


def test_of_very_many_passages_sentences_are_encoded_only_when_it_is_asked_for(
    articles: Path, tmp_path: Path, fake_encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fake_encoder
    assert MOST_ROWS == 200_000
    passages = build(articles, tmp_path / "all", encoder=FAKE).counts["passages"]
    for most, sentences, expected in ((passages, None, True), (passages - 1, None, False), (passages - 1, True, True)):
        monkeypatch.setattr(builder, "MOST_ROWS", most)
        index = tmp_path / f"{most} {sentences}"
        assert (build(articles, index, encoder=FAKE, sentences=sentences).counts["sentences"] > 0) is expected
        assert (files_of(index).quotes / "codes.npy").exists() is expected
        assert KnowledgeBase.open(index).search("返品の送料").hits[0].snippet


def test_another_encoder_encodes_every_sentence_again(
    articles: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = FakeEncoder(fingerprint="fake/2", dimension=16)
    monkeypatch.setitem(embed._loaded, (FAKE, None), other)
    report = build(articles, index, encoder=FAKE)
    assert report.counts["sentences"] + report.counts["encoded"] == len(other.encoded)
    assert np.load(files_of(index).quotes / "codes.npy").shape[1] == 16


def test_an_alias_is_quoted_as_what_it_leads_to(index: Path) -> None:
    kb = KnowledgeBase.open(index)
    for question in ("着払いで送ってよいですか", "返送料はどちらの負担ですか"):
        [hit, *_] = kb.search(question, k=1, snippet_chars=30).hits
        assert hit.article_id == "returns"
        assert hit.snippet in ARTICLES["shop/returns.ja.md"].replace("\n", " ") or " … " in hit.snippet
