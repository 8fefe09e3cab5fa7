"""Sentences, the choice of the window, its marks and its length, from what the index keeps of a passage."""

from __future__ import annotations

import re
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracles import window_of

from kbsearch.results import Snippet
from kbsearch.sentences import MOST_CHARS, sentences
from kbsearch.snippet import make_snippet, room_of
from kbsearch.text import analyse
from kbsearch.tokens import TokenIndex, TokenWriter

if TYPE_CHECKING:
    from collections.abc import Mapping

Weights = dict[str, float]

PIECES = [
    "返品", "送料", "の", "サーバー", "ｻｰﾊﾞｰ", "お問い合わせ", "払います", "。", "！？", "」", "、", "か\u3099ぎ",
    "人々", "𠮷", "password ", "Wi-Fi", "e‑mail ", "don’t ", "1,000円", "3.5 ", "resets", ". ", "? ", " ", "  ", "\n",
    "\n\n", "\r\n", "| a | b |", "- ", "　", "\u200b", "\ud800", "👍", "x" * 70, "あ" * 90, "…",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
QUESTIONS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


def terms(question: str) -> tuple[Weights, Weights]:
    found = analyse(question)
    return dict.fromkeys(found.words.terms, 1.0), dict.fromkeys(found.grams.terms, 1.0)


def indexed(text: str) -> TokenIndex:
    """An index of this one passage."""
    found = analyse(text)
    words, grams = (found.words.terms, found.words.spans), (found.grams.terms, found.grams.spans)
    with tempfile.TemporaryDirectory() as folder:
        with TokenWriter(Path(folder) / "tokens") as writer:
            writer.add_text(text, words, grams, sentences(text))
            writer.add_row(text, (text, text, text), [(text, 1)])
        return TokenIndex(Path(folder) / "tokens", 1)


def cut_from(
    index: TokenIndex, text: str, words: Mapping[str, float], grams: Mapping[str, float], limit: int = 160
) -> Snippet:
    """As a search cuts it: from the sentences and the places that the index has."""
    asked = index.ask(words, grams, ({}, {}))
    window = index.windows(asked, np.array([0]), limit, room_of(limit))[0]
    matches = index.matches(asked, np.array([0]))[0]
    assert window == window_of(index.sentences(0), matches, asked.idfs.tolist(), limit)  # in every test of this file
    return make_snippet(text, window, limit)


def cut_snippet(text: str, words: Mapping[str, float], grams: Mapping[str, float], limit: int = 160) -> Snippet:
    return cut_from(indexed(text), text, words, grams, limit)


def snip(text: str, question: str, limit: int = 160) -> tuple[str, list[str]]:
    """The snippet with the texts that it marks."""
    snippet = cut_snippet(text, *terms(question), limit)
    return snippet.text, [snippet.text[start:end] for start, end in snippet.marks]


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


# Sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("返品できます。送料は無料です。", ["返品できます。", "送料は無料です。"]),
        ("本当ですか？はい！", ["本当ですか？", "はい！"]),
        ("え？！待って……。", ["え？！", "待って……。"]),
        ("「はい。」と答えた。", ["「はい。」", "と答えた。"]),
        ("（注。）次です。", ["（注。）", "次です。"]),
        ("税率は３．５％です．次です．", ["税率は３．５％です．", "次です．"]),
        ("税率は3.5%です。", ["税率は3.5%です。"]),
        ("終わりのない文", ["終わりのない文"]),
        ("It costs 3.5 dollars. Really?! Yes.", ["It costs 3.5 dollars.", "Really?!", "Yes."]),
        ('See "docs." Then go.', ['See "docs."', "Then go."]),
        ("Version 1.2.3 of kb.py runs.", ["Version 1.2.3 of kb.py runs."]),
        ("- 一つ目\n- 二つ目\n", ["- 一つ目", "- 二つ目"]),
        ("1. Open it.\n2. Press “Reset”.", ["1. Open it.", "2. Press “Reset”."]),
        ("衣類 | 30日\n食品 | 不可", ["衣類 | 30日", "食品 | 不可"]),
        ("a\r\n\r\n  b  \n", ["a", "b"]),
        ("", []),
        (" \n\t　\n", []),
        ("。", ["。"]),
    ],
)
def test_a_text_is_cut_into_its_sentences(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), TEXTS))
def test_sentences_hold_all_but_white_space_and_do_not_overlap(text: str) -> None:
    spans = sentences(text)
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    assert all(start < end and text[start:end] == text[start:end].strip() for start, end in spans)
    assert "".join("".join(text[start:end].split()) for start, end in spans) == "".join(text.split())


def test_of_a_giant_text_the_first_20000_characters_have_sentences() -> None:
    spans = sentences("返品できます。" * 10_000)
    assert (len(spans), spans[-1]) == (2858, (19_999, 20_000))
    assert spans[-1][1] == MOST_CHARS


# Which window


def test_the_japanese_sentence_that_answers_is_shown() -> None:
    text = "当店は年中無休です。お問い合わせは電話でも承ります。返品の送料はお客様のご負担です。期限は14日以内です。"
    answer = "返品の送料はお客様のご負担です。"
    assert snip(text, "返品の送料は誰が払いますか", 16) == (answer, ["返品", "送料"])
    assert snip(text, "返品の送料は誰が払いますか", 40) == (
        "お問い合わせは電話でも承ります。" + answer,
        ["返品", "送料"],
    )


def test_the_english_sentence_that_answers_is_shown() -> None:
    text = "Our shop never closes. Call us any time. To reset your password, open the sign-in page. It takes a minute."
    assert snip(text, "How do I reset a forgotten password?", 60) == (
        "To reset your password, open the sign-in page.",
        ["reset", "password"],
    )


def test_a_mixed_sentence_that_answers_is_shown() -> None:
    text = "まず電源を入れます。\nWi-Fiのpasswordは背面のシールにあります。\n最後に再起動します。"
    assert snip(text, "wifi パスワード password", 30) == (
        "Wi-Fiのpasswordは背面のシールにあります。",
        ["Wi-Fi", "password"],
    )


def test_a_rare_word_outweighs_common_ones() -> None:
    text = "返品と送料。" + "ほかの話です。" * 5 + "鑑定書の再発行。"
    words = {"返品": 0.5, "送料": 0.5, "鑑定": 4.0}
    assert cut_snippet(text, words, {}, 12).text == "鑑定書の再発行。"


def test_distinct_terms_outweigh_one_that_is_repeated() -> None:
    text = "送料、送料、送料、送料。ほかの話ですよ。返品の送料。"
    assert snip(text, "返品の送料", 12) == ("返品の送料。", ["返品", "送料"])


def test_of_equal_windows_the_first_is_shown() -> None:
    assert snip("送料は無料。間の文です。送料は有料。", "送料", 6) == ("送料は無料。", ["送料"])


def test_without_a_match_the_beginning_is_shown() -> None:
    assert snip("最初の文。次の文。最後の文。", "宇宙旅行", 9) == ("最初の文。次の文。", [])
    assert cut_snippet("最初の文。次の文。", {}, {}, 8) == Snippet("最初の文。")


def test_the_window_takes_whole_sentences_as_far_as_they_fit() -> None:
    text = "送料は無料。次の文。その次。"
    assert [snip(text, "送料", limit)[0] for limit in (6, 9, 10, 13, 14)] == [
        "送料は無料。", "送料は無料。", "送料は無料。次の文。", "送料は無料。次の文。", "送料は無料。次の文。その次。",
    ]  # fmt: skip


def test_a_table_row_and_a_list_item_are_shown_by_themselves() -> None:
    assert snip("商品 | 期限\n衣類 | 30日\n食品 | 不可", "食品の返品", 8) == ("食品 | 不可", ["食品"])
    assert snip("- 開く\n- 退会を選ぶ\n- 確認する", "退会", 7) == ("- 退会を選ぶ", ["退会"])


def test_lines_are_joined_by_one_space() -> None:
    assert snip("一行目\n\n  二行目\t三", "二行目", 40)[0] == "一行目 二行目 三"


# A sentence longer than the limit


def test_a_long_japanese_sentence_is_cut_around_its_match() -> None:
    shown, marked = snip("あ" * 300 + "返品の送料" + "い" * 300, "返品の送料", 40)
    assert shown == "…" + "あ" * 9 + "返品の送料" + "い" * 24 + "…"
    assert marked == ["返品", "送料"]


def test_a_long_sentence_is_cut_where_most_of_the_question_is() -> None:
    text = "password " + "x " * 200 + "reset your password now " + "y " * 200
    assert snip(text, "reset the password", 40)[1] == ["reset", "password"]


def test_a_long_sentence_is_cut_where_most_distinct_terms_are() -> None:
    text = "送料、" * 5 + "あ" * 200 + "返品と送料" + "い" * 200
    assert snip(text, "返品の送料", 20)[1] == ["返品", "送料"]


@pytest.mark.parametrize("limit", range(20, 45))
def test_a_cut_does_not_split_a_later_match(limit: int) -> None:
    shown, marked = snip("password " + "x" * 15 + " resetting " + "w" * 60, "password reset", limit)
    last = shown.rstrip("…").split(" ")[-1]
    assert marked == (["password", "resetting"] if "resetting" in shown else ["password"])
    assert last in ("", "resetting") or not "resetting".startswith(last)


def test_a_cut_at_the_beginning_or_the_end_has_one_ellipsis() -> None:
    long = "返品の送料" + "い" * 300
    assert snip(long, "返品", 20)[0] == "返品の送料" + "い" * 13 + "…"
    assert snip("い" * 300 + "返品の送料", "送料", 20)[0] == "…" + "い" * 13 + "返品の送料"


@pytest.mark.parametrize("limit", range(1, 30))
def test_a_cut_marks_a_word_whole_or_not_at_all(limit: int) -> None:
    for place in range(12):
        text = "z" * place + " password " + "w" * 60
        shown, marked = snip(text, "password", limit)
        assert len(shown) <= limit
        assert marked in ([], ["password"])
        assert marked or limit < len("password") + 2 + 2  # two ellipses, and a quarter of the room in front
        assert not re.search(r"passwor[^d]|passwor$", shown) or limit < 12


def test_a_huge_sentence_is_cut_in_a_moment() -> None:
    for text in (
        "送料" * 100_000,
        "password " * 100_000,
        "a\n" * 100_000,
        '?"' * 100_000,
        "." + '"' * 100_000,
        "返品 a. " * 50_000,
    ):
        index, asked = indexed(text), terms("送料 password a 返品")
        for limit in (10, 160, 20_000):
            began = time.perf_counter()
            assert len(cut_from(index, text, *asked, limit).text) <= limit
            assert time.perf_counter() - began < 1


# Marks


@pytest.mark.parametrize(
    ("text", "question", "expected"),
    [
        ("引落しの日", "引き落とし", ["引落し"]),
        ("ｻｰﾊﾞｰが止まる", "サーバ", ["ｻｰﾊﾞｰ"]),
        ("メールが届きません", "メール 届かない", ["メール", "届き"]),
        ("料金を払った人", "払う", ["払っ"]),
        ("Resetting passwords", "reset password", ["Resetting", "passwords"]),
        ("Set up Wi-Fi here", "wifi", ["Wi-Fi"]),
        ("ＡＢＣを選ぶ", "abc", ["ＡＢＣ"]),
        ("か\u3099ぎを回す", "がぎ 回す", ["ぎ", "回す"]),
        ("残高は1,000円です", "1000", ["1,000"]),
        ("返品返品", "返品", ["返品返品"]),
        ("これはテストです", "これはです", ["これ"]),
        ("ますます増えます", "行きます", []),
        ("password", "pass", []),
        ("パスワード", "ワード", ["ワード"]),
    ],
)
def test_the_places_that_matched_are_marked(text: str, question: str, expected: list[str]) -> None:
    assert snip(text, question)[1] == expected


def matched(text: str, words: Weights, grams: Weights) -> set[str]:
    """Every stretch of the text that the analyser reads as a term of the question, on one line."""
    found = analyse(text)
    spans = {
        span
        for tokens, wanted in ((found.words, words), (found.grams, grams))
        for term, span in zip(tokens.terms, tokens.spans, strict=True)
        if term in wanted
    }
    return {" ".join(text[start:end].split()) for start, end in spans}


@settings(max_examples=300, deadline=None)
@given(text=TEXTS, question=QUESTIONS, limit=st.integers(1, 500))
@example(text="", question="返品", limit=1)
@example(text="\ud800" * 50, question="\ud800", limit=3)
@example(text="a  b   c" * 40, question="b", limit=7)
def test_a_snippet_keeps_its_promises(text: str, question: str, limit: int) -> None:
    words, grams = terms(question)
    snippet = cut_snippet(text, words, grams, limit)
    shown = snippet.text
    assert len(shown) <= limit
    assert not re.search(r"[\r\n\t]|  ", shown)
    assert bool(shown) == bool(text.strip())
    line = " ".join(text.split())
    assert any(core in line for core in (shown, shown[1:], shown[:-1], shown[1:-1]))  # but for the ellipses
    assert all(0 <= start < end <= len(shown) for start, end in snippet.marks)
    assert all(left[1] < right[0] for left, right in pairwise(snippet.marks))
    surfaces = matched(text, words, grams)
    for start, end in snippet.marks:
        mark = shown[start:end]
        covered: set[int] = set()
        for surface in surfaces:
            for hit in re.finditer(f"(?={re.escape(surface)})", mark):
                covered.update(range(hit.start(), hit.start() + len(surface)))
        assert covered >= set(range(len(mark)))
        for inside, outside in ((mark[0], shown[start - 1 : start]), (mark[-1], shown[end : end + 1])):
            assert not (inside.isascii() and outside.isascii() and inside.isalpha() and outside.isalpha())
            assert not (inside.isascii() and outside.isascii() and inside.isdigit() and outside.isdigit())


@settings(max_examples=100, deadline=None)
@given(text=st.text(), limit=st.integers(1, 500))
def test_any_text_has_a_snippet(text: str, limit: int) -> None:
    words, grams = terms(text)
    snippet = cut_snippet(text, words, grams, limit)
    assert len(snippet.text) <= limit
    assert all(0 <= start < end <= len(snippet.text) for start, end in snippet.marks)


def test_a_list_marker_is_no_sentence_of_its_own() -> None:
    text = "1. ログイン画面を開きます。\n2. Choose Forgot. Then wait. 3. 押す\n- 項目"
    assert [text[start:end] for start, end in sentences(text)] == [
        "1. ログイン画面を開きます。",
        "2. Choose Forgot.",
        "Then wait.",
        "3. 押す",
        "- 項目",
    ]
