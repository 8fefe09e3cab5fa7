"""A step from inside: its text, warnings, pictures and restriction, and what a program gets of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from walks import article_of, kinds, texts, walk

from kbsearch.errors import BadQuery
from kbsearch.markdown.stepwords import find_restriction, is_action, read_marker, read_notice

# Warnings


@pytest.mark.parametrize(
    ("written", "kind", "label", "told"),
    [
        ("> [!WARNING]\n> 熱くなります。", "warning", "注意", "熱くなります。"),
        ("> [!IMPORTANT]\n> 熱くなります。", "warning", "重要", "熱くなります。"),
        ("> [!NOTE]\n> 熱くなります。", "note", "メモ", "熱くなります。"),
        ("> **注意:** 熱くなります。", "warning", "注意", "熱くなります。"),
        ("> **注意**\n>\n> 熱くなります。", "warning", "注意", "熱くなります。"),
        ("::: danger\n熱くなります。\n:::", "warning", "危険", "熱くなります。"),
        ("::: tip\n熱くなります。\n:::", "note", "ヒント", "熱くなります。"),
        ("注意：熱くなります。", "warning", "注意", "熱くなります。"),
        ("【ご注意】熱くなります。", "warning", "ご注意", "熱くなります。"),
        ("**警告** : 熱くなります。", "warning", "警告", "熱くなります。"),
        ("Warning: 熱くなります。", "warning", "Warning", "熱くなります。"),
        ("ただし、熱くなります。", "warning", "", "ただし、熱くなります。"),
        ("※ 熱くなります。", "note", "", "※ 熱くなります。"),
        ("補足：熱くなります。", "note", "補足", "熱くなります。"),
        ('<div class="alert">熱くなります。</div>', "warning", "", "熱くなります。"),
        ('<p class="note">熱くなります。</p>', "note", "", "熱くなります。"),
    ],
)
@pytest.mark.parametrize("indent", ["   ", ""])
def test_a_warning_belongs_to_the_step_above_it(written: str, kind: str, label: str, told: str, indent: str) -> None:
    box = "\n".join(indent + row for row in written.split("\n"))
    found = walk(f"# 接続\n\n1. 電源を入れます。\n\n{box}\n\n2. 待ちます。\n")
    (_, part) = found.step(1).parts
    assert (part.kind, part.label, part.text) == (kind, label, told)
    assert (found.step(1).warnings, found.step(1).notes) == (((part,), ()) if kind == "warning" else ((), (part,)))
    assert texts(found) == ["電源を入れます。", "待ちます。"]


def test_a_row_of_a_step_may_warn() -> None:
    found = walk("# 接続\n\n1. 電源を入れます。\n   注意：熱くなります。\n   触らないでください。\n2. 待ちます。\n")
    assert kinds(found.step(1)) == [("text", "電源を入れます。"), ("warning", "熱くなります。触らないでください。")]


def test_a_step_that_begins_with_the_word_stays_a_step() -> None:
    found = walk("# 接続\n\n1. 注意：電源を切ります。\n2. 待ちます。\n")
    assert texts(found) == ["注意：電源を切ります。", "待ちます。"]


def test_a_warning_before_or_behind_the_steps_is_about_all_of_them() -> None:
    text = (
        "# 接続\n\n> [!CAUTION]\n> 濡れた手で触らない。\n\n次の手順で:\n\n1. 入れます。\n2. 待ちます。\n\n"
        "::: warning\n保証が切れます。\n:::\n"
    )
    found = walk(text)
    assert [part.text for part in found.warnings] == ["濡れた手で触らない。", "保証が切れます。"]
    assert [step.warnings for step in found] == [(), ()]
    assert found.intro == "次の手順で:"


def test_a_notice_needs_a_sign_behind_its_word() -> None:
    assert read_notice("注意してボタンを押します。") is None
    assert read_notice("Notes are kept for a year.") is None
    assert read_notice("重要なお知らせを読みます。") is None


# Pictures


def test_pictures_keep_their_words_and_paths_in_order() -> None:
    text = (
        "# 接続\n\n1. 「設定」![歯車](img/歯車.png)を押します。\n   ![画面の図](a%20b.png)\n2. 見ます。\n\n"
        '   <img src="x.png" alt="ランプ">\n\n   ![](y.png)\n\n   :::image source="z.png" alt-text="口の位置":::\n'
    )
    found = walk(text)
    assert [(p.alt, p.path) for p in found.step(1).pictures] == [("歯車", "img/歯車.png"), ("画面の図", "a b.png")]
    assert kinds(found.step(1)) == [("text", "「設定」歯車を押します。"), ("picture", "画面の図")]
    assert [(p.alt, p.path) for p in found.step(2).pictures] == [
        ("ランプ", "x.png"),
        ("", "y.png"),
        ("口の位置", "z.png"),
    ]
    assert found.step(2).text == "見ます。"


def test_pictures_change_nothing_for_a_search() -> None:
    article = article_of("# 題\n\n![](x.png)\n\n<img src=y.png>\n\n## 甲\n\n本文![図](z.png)です。\n")
    assert [section.heading for section in article.sections] == ["甲"]
    assert [passage.text for passage in article.passages] == ["本文図です。"]


# Restrictions


@pytest.mark.parametrize(
    ("text", "restriction"),
    [
        ("アカウントを削除します（管理者のみ）。", "管理者のみ"),
        ("【法人会員限定】請求書を選びます。", "法人会員限定"),
        ("管理者のみ：権限を変えます。", "管理者のみ"),
        ("在庫がない場合: 返金を選びます。", "在庫がない場合"),
        ("写真を添えます（任意）。", "任意"),
        ("特典を有効にする (グローバル管理者が必要です)", "グローバル管理者が必要です"),
        ("Delete the account (admins only).", "admins only"),
        ("Add a message (optional).", "optional"),
        ("カードのみ使えます。", ""),
        ("保証書（1年間有効）を開きます。", ""),
        ("メール（届いたもの）だけを開きます。", ""),
        ("Choose only one size.", ""),
    ],
)
def test_a_restriction_is_read_only_where_it_is_one(text: str, restriction: str) -> None:
    assert find_restriction(text) == restriction
    assert walk(f"# 設定\n\n## 手順\n\n1. {text}\n").step(1).restriction == restriction


# Values


def test_a_procedure_is_plain_json_and_readable() -> None:
    found = walk(
        "# 接続\n\n1. 入れます。\n   1. 押します。\n\n   ![図](a.png)\n2. 待ちます。\n\n> [!NOTE]\n> 朝だけ。\n"
    )
    data: dict[str, Any] = json.loads(json.dumps(found.to_dict(), ensure_ascii=False))
    assert (data["version"], data["total"], data["handle"], data["start"]) == (1, 2, "a", 1)
    first = data["steps"][0]
    assert first["parts"] == [
        {"kind": "text", "text": "入れます。"},
        {"kind": "steps", "count": 1},
        {"kind": "picture", "text": "図", "pictures": [{"alt": "図", "path": "a.png"}]},
    ]
    assert (first["back"], first["next"], first["substeps"][0]["text"]) == (None, 2, "押します。")
    assert data["after"] == [{"kind": "note", "text": "朝だけ。", "label": "メモ"}]
    assert repr(found) == "<Procedure a: 接続, 2 steps>"
    assert repr(found.step(1)) == "<Step 1/2: 入れます。>"
    assert [step.number for step in found] == [1, 2]


@pytest.mark.parametrize("number", [0, -1, 3])
def test_a_step_that_is_not_there_is_a_clear_error(number: int) -> None:
    with pytest.raises(BadQuery, match="the steps of “接続” are 1 to 2"):
        walk("# 接続\n\n1. 入れます。\n2. 待ちます。\n").step(number)


# Words


@pytest.mark.parametrize(
    ("text", "acts"),
    [
        ("「保存」を押します。", True),
        ("幅を測る", True),
        ("「次へ」をクリック", True),
        ("**打ち間違い**: 表記ゆれ対策に回す。", True),
        ("名入れの商品", False),
        ("二度お尋ねしない。", False),
        ("お茶や調味料などの食品", False),
        ("Open the box", True),
        ("We send you a label.", True),
        ("engraved goods", False),
        ("", False),
    ],
)
def test_what_tells_an_action(text: str, acts: bool) -> None:  # noqa: FBT001 - a column of the table
    assert is_action(text) is acts


def test_no_number_of_any_shape_is_misread() -> None:
    for number in range(1, 21):
        circled = chr(0x2460 + number - 1)
        for text in (f"{number}. x", f"（{number}）x", f"{circled}x", f"手順{number} x", f"Step {number}: x"):
            marker = read_marker(text)
            assert marker is not None
            assert (marker.number, text[marker.length :]) == (number, "x")
