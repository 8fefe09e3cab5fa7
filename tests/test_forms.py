"""A line with its marks, and the Markdown of a section, in every form: nothing of the text may act as markup."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from kbsearch.forms import FORMS, as_speech, render_line, speak, without_controls
from kbsearch.markdown import write
from kbsearch.results import Note, Piece, Snippet

SOURCE = """## 返品の送料 {#fee}

お客様負担です。[返品フォーム](https://example.com/return)か<b>電話</b>で。

::: warning
**着払い**は受け取れません。
:::

| サイズ | 送料 |
|---|---|
| 60 | 600円 |

1. 開く
2. [閉じる](close.md)

<div onclick="x()">生の<script>alert(1)</script>HTML</div>
"""


def test_marks_are_shown_in_each_form() -> None:
    text, marks = "返品の送料は<b>お客様</b>負担 & 600円", ((0, 2), (3, 5))
    assert render_line(text, marks, "text") == text
    assert render_line(text, marks, "html") == (
        "<mark>返品</mark>の<mark>送料</mark>は&lt;b&gt;お客様&lt;/b&gt;負担 &amp; 600円"
    )
    assert render_line(text, marks, "ansi") == ("\x1b[1m返品\x1b[22mの\x1b[1m送料\x1b[22mは<b>お客様</b>負担 & 600円")
    assert render_line(text, marks, "markdown") == r"**返品**の**送料**は\<b\>お客様\</b\>負担 \& 600円"


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=60))
def test_no_text_acts_as_markup(text: str) -> None:
    line = " ".join(text.split())
    assert html.unescape(re.sub(r"</?mark>", "", render_line(line, (), "html"))) == line
    tokens = (
        MarkdownIt("commonmark", {"html": True})
        .enable(["table", "strikethrough"])
        .parseInline(render_line(line, (), "markdown"))[0]
        .children
    )
    assert "".join(token.content for token in tokens or ()) == line
    assert {token.type for token in tokens or ()} <= {"text", "text_special"}


def test_a_terminal_is_not_steered_by_a_text() -> None:
    assert render_line("注意\x1b[2J\x07 \u202e逆", (), "ansi") == "注意[2J 逆"
    assert without_controls("a\x9b31mb\nc") == "a31mb\nc"
    assert write("注意\x1b]0;title\x07です。", "ansi", "ja") == "注意 ]0;title です。"


@pytest.mark.parametrize(
    ("text", "japanese", "spoken"),
    [
        ("- 60 | 600円（税込み） … 詳しくは https://example.com/a", True, "60、600円税込み。詳しくは"),
        ("電話は9～12時、2〜5営業日です。", True, "電話は9～12時、2から5営業日です。"),
        ("Takes 2–5 days. … See [1] (or not)", False, "Takes 2 to 5 days. See 1 or not"),
    ],
)
def test_speech_has_nothing_that_a_voice_stumbles_over(text: str, japanese: bool, spoken: str) -> None:  # noqa: FBT001
    assert as_speech(text, is_japanese=japanese) == spoken


def test_lines_are_read_as_sentences() -> None:
    assert speak(["1. 開く", "", "- 押します。", "本当ですか？"], is_japanese=True) == "1.開く。押します。本当ですか？"
    assert speak(["Open it", "Press it."], is_japanese=False) == "Open it. Press it."
    curly = Snippet("Forgotten?", (), (Piece(0, 0, 9, (), "Forgotten your “password”?\nEnter it."),))
    assert curly.render("speech") == "Forgotten your password? Enter it."
    snippet = Snippet("開く 閉じる", (), (Piece(0, 0, 6, (), "開く\n閉じる"),), (Note("warning"),))
    assert snippet.render("speech") == "開く。閉じる。"


def test_a_section_as_text_spells_its_links_out() -> None:
    text = write(SOURCE, "text", "ja")
    assert "返品フォーム (https://example.com/return)か電話で。" in text
    assert text.startswith("返品の送料\n")
    assert "注意: 着払いは受け取れません。" in text
    assert "{#fee}" not in text
    assert "close.md" not in text
    assert "https" not in write(SOURCE, "speech", "ja")


def test_a_section_as_html_keeps_its_links_and_no_script() -> None:
    page = write(SOURCE, "html", "ja")
    assert '<a href="https://example.com/return">返品フォーム</a>' in page
    assert "<table>" in page
    assert '<h2 id="fee">返品の送料</h2>' in page
    assert not re.search(r"<script|<div onclick|<b>", page)
    assert "javascript:" not in write("[x](javascript:alert(1))", "html", "en").replace("(javascript:alert(1))", "")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("source", ["", "\n\n", "# ", "```\nopen", "> [!WARNING]\n> 熱い", "[^1]\n\n[^1]: 注"])
def test_any_markdown_has_every_form(form: str, source: str) -> None:
    assert isinstance(write(source, form, "ja"), str)  # type: ignore[arg-type]
