"""What the sentences of a passage are to each other."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbsearch import units as module
from kbsearch.restrictions import restricts
from kbsearch.units import (
    AGAIN,
    ASKS,
    BEFORE_TIED,
    BEFORE_WARNING,
    DANGLING,
    FIRST,
    HEAD,
    INSIDE,
    ITEM,
    LEADS,
    NUMBERS,
    ROW,
    RULES,
    STEP,
    TIED,
    WARNS,
    units_of_section,
)
from kbsearch.wants import wants_number, wants_rule

NAMES: Final = {
    getattr(module, name): name for name in module.__all__ if name.isupper() and name not in {"VERSION", "Unit"}
}
SHAPES: Final = STEP | ITEM | INSIDE | ROW | HEAD

PIECES = [
    "返品", "できます。", "ただし、", "なお、", "これは", "※ ", "注意: ", "1. ", "2. ", "10. ", "① ", "- ", "  ", "\n",
    "\n", " | ", "a | b\n", "？", "Except ", "It is. ", "Warning: ", "次の手順：", "30日", "（", "）", "\ud800", "🙂",
]  # fmt: skip
TEXTS = st.text() | st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


def told(*texts: str, above: tuple[str, ...] = (), only: int = 0xFFFF) -> list[list[tuple[str, int]]]:
    """The units of the passages of a section, with those of their flags that are looked at."""
    found = units_of_section(texts, above)
    return [[(text[u.start : u.end], u.flags & only) for u in own] for text, own in zip(texts, found, strict=True)]


def steps(*texts: str) -> list[list[tuple[int, int]]]:
    """Number and total of each step."""
    return [[(unit.number, unit.total) for unit in own if unit.flags & STEP] for own in units_of_section(texts)]


def flags_of(sentence: str, before: str = "返品できます。") -> int:
    """Flags of a sentence behind another one."""
    [own] = units_of_section([f"{before}\n{sentence}"])
    return own[1].flags


# Shapes


def test_a_list_has_beginnings_and_what_is_inside() -> None:
    text = "手順です。\n1. 開く。押す。\n  詳しく。\n  - 中。\n2. 閉じる。\n- 別。続き。\n終わり。"
    assert told(text, only=SHAPES) == [
        [
            ("手順です。", 0), ("1. 開く。", STEP), ("押す。", INSIDE), ("詳しく。", INSIDE), ("- 中。", INSIDE),
            ("2. 閉じる。", STEP), ("- 別。", ITEM), ("続き。", INSIDE), ("終わり。", 0),
        ]
    ]  # fmt: skip


def test_a_table_has_a_head_and_rows_and_a_row_is_one_unit() -> None:
    text = "表です。\n商品 | 期限\n衣類 | 30日です。延長できます。\n食品 | 不可\n\n以上です。"
    assert told(text, only=SHAPES) == [
        [
            ("表です。", 0), ("商品 | 期限", HEAD), ("衣類 | 30日です。延長できます。", ROW), ("食品 | 不可", ROW),
            ("以上です。", 0),
        ]
    ]  # fmt: skip


def test_of_a_very_long_row_a_sentence_is_a_unit() -> None:
    long = "衣類 | " + "長い説明が続きます。" * 20
    [own] = told(f"商品 | 期限\n{long}\n食品 | 不可", only=SHAPES)
    assert [flags for _, flags in own] == [HEAD, ROW, *[ROW | INSIDE] * 19, ROW]


def test_a_row_that_names_warnings_is_none() -> None:
    assert [flags for _, flags in told("種類 | 色\nWarning | 黄\n注意 | 黄", only=WARNS)[0]] == [0, 0, 0]


def test_two_tables_have_two_heads() -> None:
    assert [flags for _, flags in told("a | b\n1 | 2\nx\nc | d\n3 | 4", only=SHAPES)[0]] == [HEAD, ROW, 0, HEAD, ROW]


def test_an_item_goes_on_in_the_next_passage() -> None:
    assert told("1. 開く。", "  続きです。\n2. 押す。", only=SHAPES)[1] == [("続きです。", INSIDE), ("2. 押す。", STEP)]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["1. a\n2. b\n3. c"], [[(1, 3), (2, 3), (3, 3)]]),
        (["１．a\n２．b", "3) c"], [[(1, 3), (2, 3)], [(3, 3)]]),
        (["① a\n② b"], [[(1, 2), (2, 2)]]),
        (["1. a\n2. b\n1. c"], [[(1, 2), (2, 2), (1, 1)]]),
        (["1. a\n2. b\n間の文。\n3. c"], [[(1, 3), (2, 3), (3, 3)]]),  # it goes on behind a paragraph
        (["1. a\n2. b\n間の文。\n5. c"], [[(1, 2), (2, 2), (5, 5)]]),
        (["1. a\n2. b\n4. d"], [[(1, 3), (2, 3), (3, 3)]]),  # by their places, where a number is missing
        (["3. c\n4. d"], [[(3, 4), (4, 4)]]),
        (["1. a\n※ 注\n注意: 危険\n  中\n2. b"], [[(1, 2), (2, 2)]]),
        (["- a\n  1. x\n  2. y\n- b"], [[(1, 2), (2, 2)]]),
        (["1. a\n  1. x\n  2. y\n2. b"], [[(1, 2), (2, 2)]]),
        (["2026.5.1 から", "3.5%です。"], [[], []]),
    ],
)
def test_steps_are_counted_in_their_list(texts: list[str], expected: list[list[tuple[int, int]]]) -> None:
    assert steps(*texts) == expected


# Restrictions


@pytest.mark.parametrize(
    "sentence",
    [
        "ただし、食品は除きます。", "但し書きの商品は別です。", "なお、離島は7日かかります。", "※ 一部地域を除く",
        "（※未開封に限ります）", "・※お酒は対象外です。", "注：会員だけです。", "ご注意：返金はできません。",
        "未開封の商品に限ります。", "一部の商品を除きます。", "送料は含まれません。", "定期便は対象外です。",
        "Except food.", "Unless you have opened it, you can return it.", "However, food is excluded.",
        "Only if it is unopened.", "But not on Sundays.", "Note: not for food.", "Please note that food is excluded.",
        "This does not apply to food.", "Gift cards are not included.", "Food is excluded.",
    ],
)  # fmt: skip
def test_a_restriction_belongs_to_what_stands_before_it(sentence: str) -> None:
    assert restricts(sentence)
    assert flags_of(sentence) & TIED
    assert not units_of_section([sentence])[0][0].flags & TIED  # there is nothing before it


@pytest.mark.parametrize(
    "sentence",
    [
        "ただいま準備中です。", "ただちにご連絡ください。", "なおすには時間がかかります。", "なおさら便利です。",
        "注文する。", "返品できます。", "Button colours vary.", "Notebooks are in stock.", "Exceptional service.",
        "Butter is sold here.",
    ],
)  # fmt: skip
def test_what_only_begins_like_a_restriction_is_none(sentence: str) -> None:
    assert not restricts(sentence)


def test_what_the_next_passage_begins_with_is_told() -> None:
    (first, second) = told("返品できます。", "ただし、食品は除きます。\n次。")
    assert first[-1][1] & BEFORE_TIED
    assert second[0][1] & TIED
    [[(_, flags)], _] = told("返品できます。", "注意: 割れ物です。")
    assert flags & BEFORE_WARNING
    assert not told("返品できます。", "別の話です。")[0][0][1] & (BEFORE_TIED | BEFORE_WARNING)


def test_a_section_begins_anew() -> None:
    found = told("", "ただし、です。", "ただし、です。")
    assert found[0] == []
    assert found[1][0][1] & (FIRST | TIED) == FIRST
    assert found[2][0][1] & (FIRST | TIED) == TIED


# Words


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("これは無料です。", DANGLING), ("その場合は連絡します。", DANGLING), ("この度はありがとうございます。", 0),
        ("この記事では手順を説明します。", 0), ("その他の方法もあります。", 0), ("This page lists them.", 0),
        ("そのため、使えません。", DANGLING), ("This is free.", DANGLING), ("They arrive in two days.", DANGLING),
        ("Thistles grow.", 0), ("返品は無料です。", 0), ("If not, call us.", DANGLING), ("Items arrive.", 0),
        ("必要なもの：", LEADS), ("You need:", LEADS), ("手順です。", 0),
        ("注意: 熱くなります。", WARNS), ("【ご注意】", WARNS), ("⚠ 警告: 感電します。", WARNS),
        ("Warning: hot.", WARNS),
        ("重要な書類です。", 0), ("Important: read this.", WARNS), ("注意深く読む。", 0),
        ("返品できますか？", ASKS), ("いつ届きますか。", ASKS), ("Can I return it?", ASKS), ("届きます。", 0),
        ("3日かかります。", NUMBERS), ("三日かかります。", NUMBERS), ("It takes two days.", NUMBERS), ("すぐです。", 0),
        ("変更できません。", RULES), ("はい、可能です。", RULES), ("You can cancel.", RULES), ("送料です。", 0),
    ],
)  # fmt: skip
def test_words_say_what_a_sentence_is(sentence: str, expected: int) -> None:
    looked_at = DANGLING | LEADS | WARNS | ASKS | NUMBERS | RULES
    found = flags_of(sentence) & (expected or looked_at)
    assert found == expected, [name for flag, name in NAMES.items() if flags_of(sentence) & flag]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("次の手順で進みます。", LEADS), ("以下のものをご用意のうえ、窓口にお越しください。", LEADS),
        ("必要なもの", LEADS),
        ("条件を次に示します。", LEADS), ("次の営業日に発送します。", 0), ("返品できます。", 0), ("本当ですか？", 0),
        ("Do the following steps.", LEADS), ("Bring one of these.", LEADS), ("Roles", LEADS), ("It is free.", 0),
    ],
)  # fmt: skip
def test_a_sentence_before_a_list_introduces_it_by_its_words(sentence: str, expected: int) -> None:
    for listed in ("- 箱", "1. 開く。", "商品 | 期限\n鍋 | 1年"):
        assert told(f"{sentence}\n{listed}", only=LEADS)[0][0] == (sentence, expected)
    assert told(f"{sentence}\n別の文。", only=LEADS)[0][0] == (sentence, 0)


def test_the_number_of_a_step_is_no_number() -> None:
    assert not flags_of("1. 開く。") & NUMBERS
    assert flags_of("1. 3回押す。") & NUMBERS


def test_the_question_again_is_known_by_its_words_and_by_its_place() -> None:
    above = ("FAQ", "返品できますか？")
    assert [flags for _, flags in told("Q1. 返品できますか\nはい。", above=above, only=AGAIN)[0]] == [AGAIN, 0]
    assert [flags for _, flags in told("返したいのですが、よいですか？\nはい。", above=above, only=AGAIN)[0]] == [
        AGAIN,
        0,
    ]
    assert [flags for _, flags in told("はい。ほかにご質問はありますか？", above=above, only=AGAIN)[0]] == [0, 0]
    assert [flags for _, flags in told("箱はありますか？\nはい。", above=("返品の箱",), only=AGAIN)[0]] == [0, 0]
    assert told("返品の箱", above=("返品の 箱！",), only=AGAIN) == [[("返品の箱", AGAIN)]]
    assert told("- 返品の箱\n1. 箱", above=("返品の箱", "箱"), only=AGAIN) == [[("- 返品の箱", 0), ("1. 箱", 0)]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("いいえ。お届け後はできません。", [DANGLING | LEADS, 0]),
        ("Sorry, no. It has left us.", [DANGLING | LEADS, DANGLING]),
        ("無料です。手数料もかかりません。", [DANGLING | LEADS, 0]), ("はい。", [DANGLING]), ("Yes.", [DANGLING]),
        ("はい、マイページの注文履歴から発送の前日まで変更できます。ほかの文。", [0, 0]),
        ("No, each order has to be changed by itself. Another one.", [0, 0]),
        ("返品できますか？\nはい。箱に入れます。", [0, LEADS, 0]), ("- はい。\n- 箱。", [0, 0]),
        ("1. Yes.\n2. No.", [0, 0]),
        ("料金：\n- 無料です。", [LEADS, 0]), ("１つ。別の文。", [DANGLING | LEADS, 0]),
    ],
)  # fmt: skip
def test_a_bare_reply_to_a_heading_that_asks_says_nothing_by_itself(text: str, expected: list[int]) -> None:
    assert [flags for _, flags in told(text, above=("FAQ", "返品できますか？"), only=DANGLING | LEADS)[0]] == expected
    plain = told(text, above=("FAQ", "返品"), only=DANGLING | LEADS)[0]
    assert plain[0][1] == (LEADS if "：" in text else 0)


def test_a_title_that_asks_makes_no_reply_of_what_stands_below_a_heading() -> None:
    text = "14 days. Contact us in time."
    assert told(text, above=("How can we help?", "Deadline"), only=DANGLING | LEADS)[0][0][1] == 0
    assert told(text, above=("How can we help?",), only=DANGLING | LEADS)[0][0][1] == DANGLING | LEADS


def test_a_bare_reply_in_the_next_passage_of_a_section_is_none() -> None:
    assert told("いいえ。", "はい。別の文。", above=("できますか？",), only=DANGLING | LEADS) == [
        [("いいえ。", DANGLING)], [("はい。", 0), ("別の文。", 0)],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("question", "number", "rule"),
    [
        ("何日で届きますか", True, True), ("送料はいくら？", True, False), ("返品できますか？", False, True),
        ("パスワードを忘れた", False, False), ("How long is it?", True, False), ("Can I return it?", False, True),
        ("When do you open?", True, False), ("期限はありますか", True, True), ("my parcel is broken", False, False),
    ],
)  # fmt: skip
def test_a_question_wants_a_number_or_a_rule(question: str, number: bool, rule: bool) -> None:  # noqa: FBT001
    assert (wants_number(question), wants_rule(question)) == (number, rule)


# Any text


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, max_size=4))
def test_units_hold_all_but_white_space_and_fit_into_their_columns(texts: list[str]) -> None:
    found = units_of_section(texts)
    assert len(found) == len(texts)
    for text, own in zip(texts, found, strict=True):
        assert all(left.end <= right.start for left, right in pairwise(own))
        assert "".join("".join(text[unit.start : unit.end].split()) for unit in own) == "".join(text.split())
        assert all(text[left.end : right.start].strip() == "" for left, right in pairwise(own))
        for unit in own:
            assert unit.start < unit.end
            assert max(unit.flags, unit.number, unit.total) <= 0xFFFF
            assert (unit.flags & (STEP | ITEM | HEAD | ROW)).bit_count() <= 1
            assert (unit.total >= unit.number >= 0) if unit.flags & STEP else unit.number == unit.total == 0
    flat = [unit for own in found for unit in own]
    assert [unit.flags & FIRST for unit in flat] == [FIRST, *[0] * (len(flat) - 1)][: len(flat)]


@pytest.mark.parametrize(
    "one", [*PIECES, "返品できます。", "a. ", "?", "following ", "以下の", "x | y\n", "1. a\n", "ただし"]
)
def test_a_text_of_one_kind_takes_no_longer_than_another(one: str) -> None:
    for repeated in (one, f"{one}x", f"x{one}", f"{one} "):
        text = (repeated * 20_000)[:20_000]
        began = time.process_time()
        units_of_section([text], ["何ですか？"])
        assert time.process_time() - began < 1, repeated
