"""What a session and a notebook show: short, in line, and nothing that an article could do harm with."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from conftest import FAKE, FakeEncoder, write_articles
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from kbsearch import Hit, KnowledgeBase, SearchResult, build, embed
from kbsearch.display import brief, width

if TYPE_CHECKING:
    from collections.abc import Iterator

NASTY = """---
title: <script>alert("返品")</script>の送料
lang: ja
category: 店"><img src=x onerror=alert(1)>
contact: true
---

返品の送料は<script>alert(1)</script>当店が負担します。<img src="https://evil.example/a.png" onerror="alert(2)">
\x1b[31m赤い\x1b[0m返品の \u202egnp.exe\u202c と [リンク](javascript:alert(3))
と ![返品の図](https://evil.example/b.png "t")。

| 返品 | 送料 |
| --- | --- |
| <b onclick=alert(4)>食品</b> | 500円 |

## 返品の<i onmouseover=alert(5)>手順

始める前に読んでください。

1. 返品の<style>*{display:none}</style>画面を開きます。

   ![<svg onload=alert(6)>](javascript:alert(7))

   > **注意**: <iframe src="https://evil.example"></iframe>送料を払わないでください。
   - 小さな手順です。
   - もう一つです。
2. 返品を押します。

   ```html
   <script>alert(8)</script>
   ```

> **メモ**: 終わりです。

## 交換の手順

1. 画面を開きます。
2. 押します。
"""
LONG_TITLE = "返品についてのたいへん長い長い長い長い長い題名の記事です"
LONG = f"---\ntitle: {LONG_TITLE}\nlang: ja\n---\n\n" + "返品の送料についての長い文章です。" * 400
TRANSLATED = "---\ntitle: Return shipping\nlang: en\ntranslation_of: long.ja\n---\n\nWe pay for 返品.\n"
ALLOWED = {
    "div", "p", "b", "br", "span", "code", "ol", "ul", "li", "mark", "pre", "hr", "style", "table", "thead", "tbody",
    "tr", "th", "td", "h1", "h2", "h3", "article", "a", "blockquote", "em", "strong", "section",
}  # fmt: skip
VOID = {"br", "hr"}


class Reader(HTMLParser):
    """Elements, attributes and visible text; complains about what is not closed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] != "style":
            self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    folder = tmp_path_factory.mktemp("display")
    write_articles(folder / "articles", {"nasty.ja.md": NASTY, "long.ja.md": LONG, "long.en.md": TRANSLATED})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embed._loaded, (FAKE, None), FakeEncoder())
        build(folder / "articles", folder / "index", encoder=FAKE)
        yield KnowledgeBase.open(folder / "index")


@pytest.fixture(scope="module")
def shown(kb: KnowledgeBase) -> dict[str, Any]:
    """Everything that has a look of its own."""
    result = kb.search("返品の送料", budget="chat", prefer_lang="fr")
    html = kb.search("返品の送料", budget="web")
    hit = next(hit for hit in result.hits if hit.article_id == "nasty.ja")
    assert result.disclosure is not None
    assert html.disclosure is not None
    found = {
        "result": result, "html result": html, "hit": hit, "disclosure": result.disclosure,
        "html disclosure": html.disclosure, "procedure": kb.steps("nasty.ja"), "none": kb.search(""),
        "handed over": kb.search("天気", budget="sms"),
    }  # fmt: skip
    for level in range(5):
        for form in ("markdown", "text", "html", "ansi", "speech"):
            found[f"level {level} {form}"] = kb.open("nasty.ja", level, form=form)
    return found


# One line


@given(
    st.text(alphabet=st.one_of(st.sampled_from("返品ｶﾞがx é…👩\u200d\x1b\u202e\n\t "), st.characters())),
    st.integers(2, 50),
)
def test_a_line_keeps_its_width_and_has_no_control_characters(text: str, cells: int) -> None:
    line = brief(text, cells)
    assert width(line) <= cells
    assert re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]", line) is None


@given(st.text("返品の送料abc ー。、（）ｶﾅé가中", max_size=80))
def test_widths_are_those_of_a_terminal(text: str) -> None:
    assert width(text) == cell_len(text)


def test_a_short_text_stays_whole_and_a_long_one_says_so() -> None:
    assert brief("返品の送料", 10) == "返品の送料"
    assert brief("返品の送料", 9) == "返品の送…"
    assert brief("a\n b\tc") == "a b c"


def test_each_result_is_shown_in_a_short_line(kb: KnowledgeBase, shown: dict[str, Any]) -> None:
    hit = next(hit for hit in shown["result"].hits if hit.article_id == "long.ja")
    view, article = kb.open("long.ja", "article"), kb.article("long.ja")
    short = [
        hit, view, article, article.sections[0], article.passages[0], kb.section("long.ja"), kb.steps("nasty.ja"),
        kb.status(), hit.levels[2], *hit.pieces, *hit.passages, shown["disclosure"], shown["disclosure"].parts[0],
        *kb.steps("nasty.ja").steps, *kb.steps("nasty.ja").steps[0].parts,
    ]  # fmt: skip
    for value in short:
        assert len(repr(value)) < 400, repr(value)
        assert "\n" not in repr(value)
        assert "\x1b" not in repr(value)
    assert repr(hit.levels[0]).startswith("<Level 0 title: ")
    assert repr(view) == f"<View long.ja: {LONG_TITLE[:19]}…, level 3, 6,800 characters of markdown>"
    assert repr(hit.passages[0]).startswith("<PassageHit long.ja, score ")
    assert "of passage" in repr(hit.pieces[0])


def test_an_answer_is_a_small_table_in_line(shown: dict[str, Any]) -> None:
    result: SearchResult = shown["result"]
    head, *rows = repr(result).split("\n")
    assert head.startswith("<SearchResult “返品の送料”: ")
    assert head.endswith(f"{result.generation}>")
    assert len(rows) == len(result.hits)
    places = {cell_len(row[: row.index(hit.section_id)]) for row, hit in zip(rows, result.hits, strict=True)}
    assert len(places) == 1
    assert repr(shown["none"]).count("\n") == 0
    assert "0 hits" in repr(shown["none"])


def test_a_long_answer_says_how_many_more(shown: dict[str, Any]) -> None:
    result: SearchResult = shown["result"]
    long = SearchResult("q", result.hits[:1] * 13, "choose", None, "返品", 1.0, "gen", {})
    lines = repr(long).split("\n")
    assert lines[0] == "<SearchResult “q”: understood as “返品”, choose, 13 hits, 1.0 ms, gen>"
    assert lines[-1].strip() == "… 3 more"
    assert len(lines) == 12


# HTML


def test_the_html_is_whole_and_holds_nothing_active(shown: dict[str, Any]) -> None:
    for name, value in shown.items():
        page = value._repr_html_()
        reader = read(page)
        assert reader.tags <= ALLOWED, (name, reader.tags - ALLOWED)
        for attribute, text in reader.attributes:
            assert attribute in {"class", "value", "lang", "href", "title", "data-handle", "start"}, (name, attribute)
            assert not text.lower().strip().startswith(("javascript:", "data:", "vbscript:")), (name, text)
        assert re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", page) is None, name
        assert page.count("<style>") == 1, name
        page.encode()


def test_nothing_is_loaded_from_elsewhere(shown: dict[str, Any]) -> None:
    for value in shown.values():
        assert re.search(r"(?i)\b(src|srcset|poster|background)\s*=\s*[\"']|url\(|@import", value._repr_html_()) is None


def test_what_an_article_says_is_there_as_text(shown: dict[str, Any]) -> None:
    title = '<script>alert("返品")</script>の送料'
    for name in ("result", "hit", "level 0 html", "level 3 markdown"):
        assert title in read(shown[name]._repr_html_()).text, name
    said = read(shown["procedure"]._repr_html_()).text
    for part in (
        "始める前に",
        "画面を開きます",
        "注意",
        "小さな手順",
        "<script>alert(8)</script>",
        "終わりです",
        "交換の手順",
    ):
        assert part in said


def test_what_matched_is_marked_and_articles_say_their_language(shown: dict[str, Any]) -> None:
    hit: Hit = shown["hit"]
    page = hit._repr_html_()
    first, last = hit.marks[0]
    assert f"<mark>{hit.snippet[first:last]}</mark>" in page
    assert page.count("<mark>") == len(hit.marks)
    assert 'lang="ja"' in page
    assert "no version in fr" in shown["result"]._repr_html_()


def test_a_picture_of_a_page_is_its_words(shown: dict[str, Any]) -> None:
    assert "[返品の図]" in read(shown["level 3 html"]._repr_html_()).text
