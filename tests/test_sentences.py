"""Where sentences end, as the language ends them."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbsearch.sentences import MOST_CHARS, sentences

PIECES = [
    "返品", "できます", "。", "！？", "?", "!", ".", ". ", "．", "｡", "「", "」", "（", "）", "(", ")", "“", "”", '"',
    "と", "a", "A", "Mr.", "3.5", "No.", " ", "\n", "  ", "1. ", "- ", "①", "※", " | ", "・", "…", "🙂", "\ud800", "ｶﾞ",
]  # fmt: skip
TEXTS = st.text() | st.lists(st.sampled_from(PIECES), max_size=80).map("".join)


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("返品できます。送料は無料です。", ["返品できます。", "送料は無料です。"]),
        ("本当ですか？はい！", ["本当ですか？", "はい！"]),
        ("え？！待って……。", ["え？！", "待って……。"]),
        ("税率は３．５％です．次です．", ["税率は３．５％です．", "次です．"]),
        ("税率は3.5%です。", ["税率は3.5%です。"]),
        ("終わりのない文", ["終わりのない文"]),
        ("ﾎﾝｼﾞﾂ休業｡明日", ["ﾎﾝｼﾞﾂ休業｡", "明日"]),
        ("返品できますか?はい、できます。", ["返品できますか?", "はい、できます。"]),
        ("注意!!次に進みます。", ["注意!!", "次に進みます。"]),
        ("Yahoo!ショッピングで買えます。", ["Yahoo!ショッピングで買えます。"]),
        ("a\r\n\r\n  b  \n", ["a", "b"]),
        ("", []),
        (" \n\t　\n", []),
        ("。", ["。"]),
    ],
)
def test_a_japanese_text_is_cut_at_its_full_stops_and_marks(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("「はい。」と答えた。次。", ["「はい。」と答えた。", "次。"]),
        ("「はい。次に進む。」と出ます。", ["「はい。次に進む。」と出ます。"]),
        ("「はい。」\n「いいえ。」", ["「はい。」", "「いいえ。」"]),
        ("「はい。」それから押します。", ["「はい。」", "それから押します。"]),
        ("（注。）次です。", ["（注。）", "次です。"]),
        (
            "返品（未開封。ただし食品は除く。）は無料です。次。",
            ["返品（未開封。ただし食品は除く。）は無料です。", "次。"],
        ),
        ("「送信」を押す。「戻る」を押す。", ["「送信」を押す。", "「戻る」を押す。"]),
        ("「閉じない。次の文。", ["「閉じない。", "次の文。"]),
        ("早い！と評判の便です。お得！な品。", ["早い！と評判の便です。", "お得！な品。"]),
        ("できますか？とりあえず試す。", ["できますか？", "とりあえず試す。"]),
        ("『本。』は別売りです。", ["『本。』は別売りです。"]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("Press “OK. Go on.” and wait. Done.", ["Press “OK. Go on.” and wait.", "Done."]),
        ("It is free (see below. Thanks). Yes.", ["It is free (see below. Thanks).", "Yes."]),
        ('See "docs." Then go.', ['See "docs."', "Then go."]),
    ],
)
def test_what_is_quoted_or_in_brackets_does_not_end_a_sentence(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It costs 3.5 dollars. Really?! Yes.", ["It costs 3.5 dollars.", "Really?!", "Yes."]),
        ("Ask Mr. Smith. He knows No. 5 by heart.", ["Ask Mr. Smith.", "He knows No. 5 by heart."]),
        ("Use a card, e.g. Visa. Not cash.", ["Use a card, e.g. Visa.", "Not cash."]),
        ("We open at 9 a.m. on Monday. At 3 p.m. We rest.", ["We open at 9 a.m. on Monday.", "At 3 p.m.", "We rest."]),
        ("Sold by Seed Inc. in Japan. Bye.", ["Sold by Seed Inc. in Japan.", "Bye."]),
        ("Version 1.2.3 of kb.py runs.", ["Version 1.2.3 of kb.py runs."]),
        ("Wait... then go. Wait... Then go.", ["Wait... then go.", "Wait...", "Then go."]),
        ("Bags, etc. are fine. Bring tape, etc. We help.", ["Bags, etc. are fine.", "Bring tape, etc.", "We help."]),
        ("No. 5 is max. 3 kg. We say no. In 2 min. Then", ["No. 5 is max. 3 kg.", "We say no.", "In 2 min.", "Then"]),
        ("J. R. Smith has plan B. Then go.", ["J. R. Smith has plan B.", "Then go."]),
    ],
)  # fmt: skip
def test_an_english_abbreviation_does_not_end_a_sentence(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- 一つ目\n- 二つ目\n", ["- 一つ目", "- 二つ目"]),
        ("1. Open it.\n2. Press “Reset”.", ["1. Open it.", "2. Press “Reset”."]),
        ("衣類 | 30日\n食品 | 不可", ["衣類 | 30日", "食品 | 不可"]),
        ("１．開く。\n２．押す", ["１．開く。", "２．押す"]),
        ("① 開く\n② 押す。待つ。", ["① 開く", "② 押す。", "待つ。"]),
        ("2. Choose Forgot. Then wait. 3. 押す", ["2. Choose Forgot.", "Then wait.", "3. 押す"]),
        ("10) Sign in. Go.", ["10) Sign in.", "Go."]),
        ("Q1. 返品できますか。 A. はい。", ["Q1. 返品できますか。", "A. はい。"]),
    ],
)
def test_a_line_ends_a_sentence_and_the_marker_of_an_item_is_none(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_sentences_hold_all_but_white_space_and_do_not_overlap(text: str) -> None:
    spans = sentences(text)
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    assert all(start < end and text[start:end] == text[start:end].strip() for start, end in spans)
    assert all("\n" not in text[start:end] for start, end in spans)
    assert "".join("".join(text[start:end].split()) for start, end in spans) == "".join(text.split())


def test_of_a_giant_text_the_first_20000_characters_have_sentences() -> None:
    spans = sentences("返品できます。" * 10_000)
    assert (len(spans), spans[-1]) == (2858, (19_999, 20_000))
    assert spans[-1][1] == MOST_CHARS


@pytest.mark.parametrize("one", PIECES)
def test_a_text_of_one_kind_takes_no_longer_than_another(one: str) -> None:
    """Twice as long a text takes twice the time, whatever it repeats."""
    for repeated in (
        one,
        f"{one}x",
        f"x{one}",
        f"{one}あ",
        f"{one} ",
        f"{one * 3}a",
        f"あ!{one}",
        f".{one}",
        f"({one}",
    ):
        text = (repeated * MOST_CHARS)[:MOST_CHARS]
        began = time.process_time()
        sentences(text)
        assert time.process_time() - began < 0.5, repeated
