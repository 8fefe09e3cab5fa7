"""Guides as steps: what is a step, what belongs to it, and what is no procedure at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from walks import kinds, samples, texts, walk

from kbsearch.errors import BadQuery, NoSteps, NotFound
from kbsearch.markdown import procedure_of
from kbsearch.search import KnowledgeBase

if TYPE_CHECKING:
    from pathlib import Path


# Shapes


def test_a_numbered_list_is_a_procedure_with_its_lines() -> None:
    found = walk(
        "---\ntitle: 退会\nlang: ja\n---\n# 退会\n\n1. マイページを開きます。\n2. 「退会」を押します。\n"
        "3. 確認します。\n"
    )
    assert texts(found) == ["マイページを開きます。", "「退会」を押します。", "確認します。"]
    assert [(step.number, step.total, step.back, step.next) for step in found] == [
        (1, 3, None, 2),
        (2, 3, 1, 3),
        (3, 3, 2, None),
    ]
    assert [step.lines for step in found] == [(7, 7), (8, 8), (9, 9)]
    assert found.step(2).markdown == "2. 「退会」を押します。"
    assert (found.handle, found.number, found.title, found.lines, found.others) == ("a", 1, "退会", (7, 9), ())


@pytest.mark.parametrize(
    "marks",
    [
        ["1. ", "2. ", "3. "],
        ["1) ", "2) ", "3) "],
        ["1. ", "1. ", "1. "],
        ["0. ", "1. ", "2. "],
        ["4. ", "5. ", "6. "],
        ["１．", "２．", "３．"],
        ["1．", "2．", "3．"],
        ["１）", "２）", "３）"],
        ["（1）", "（2）", "（3）"],
        ["【１】", "【２】", "【３】"],
        ["①", "②", "③"],
        ["① ", "② ", "③ "],
        ["1.", "2.", "3."],
        ["1、", "2、", "3、"],
        ["手順1 ", "手順2 ", "手順3 "],
        ["手順１：", "手順２：", "手順３："],
        ["手順①：", "手順②：", "手順③："],
        ["手順一 ", "手順二 ", "手順三 "],
        ["ステップ 1. ", "ステップ 2. ", "ステップ 3. "],
        ["STEP1 ", "STEP2 ", "STEP3 "],
        ["Step 1: ", "Step 2: ", "Step 3: "],
    ],
    ids="".join,
)
@pytest.mark.parametrize("between", ["\n", "\n\n"])
def test_numbers_may_be_written_in_many_ways(marks: list[str], between: str) -> None:
    told = ["「設定」を開きます。", "機種を選びます。", "保存します。"]
    found = walk(f"# 設定\n\n{between.join(mark + text for mark, text in zip(marks, told, strict=True))}\n")
    assert texts(found) == told
    far = len(between)
    assert [step.lines for step in found] == [(3, 3), (3 + far, 3 + far), (3 + 2 * far, 3 + 2 * far)]


def test_rows_of_a_paragraph_before_the_first_number_lead_to_it() -> None:
    found = walk("# 設定\n\n次の手順で行います。\n①開く\n②押す\n続けて押す\n")
    assert (texts(found), found.intro) == (["開く", "押す続けて押す"], "次の手順で行います。")
    assert [step.lines for step in found] == [(4, 4), (5, 6)]


@pytest.mark.parametrize(
    "text",
    [
        "1.5倍の大きさで印刷します。\n2.0倍にはできません。",
        "10:30に始めます。\n11:30に終わります。",
        "①は有料です。",
        "2026. あの年のことです。",
        "3つの方法があります。",
    ],
)
def test_a_number_alone_makes_no_step(text: str) -> None:
    with pytest.raises(NoSteps):
        walk(f"# 案内\n\n前置きです。\n\n{text}\n")


def test_a_list_goes_on_behind_a_picture_a_note_and_a_paragraph() -> None:
    text = (
        "# 接続\n\n1. 電源を入れます。\n2. 線をつなぎます。\n\n![差し込む口](port.png)\n\n3. 待ちます。\n\n"
        "> [!WARNING]\n> 抜かないでください。\n\nランプが緑になります。\n\n4. 設定を開きます。\n"
    )
    found = walk(text)
    assert [kinds(step) for step in found] == [
        [("text", "電源を入れます。")],
        [("text", "線をつなぎます。"), ("picture", "差し込む口")],
        [("text", "待ちます。"), ("warning", "抜かないでください。"), ("text", "ランプが緑になります。")],
        [("text", "設定を開きます。")],
    ]
    assert [step.lines for step in found] == [(3, 3), (4, 6), (8, 13), (15, 15)]
    assert found.after == ()


def test_lists_that_begin_again_by_mistake_are_one() -> None:
    text = "# 接続\n\n" + "".join(f"1. {name}を押します。\n\n![{name}]({name}.png)\n\n" for name in "甲乙丙")
    found = walk(text + "以上です。\n")
    assert texts(found) == ["甲を押します。", "乙を押します。", "丙を押します。"]
    assert [[picture.path for picture in step.pictures] for step in found] == [["甲.png"], ["乙.png"], ["丙.png"]]
    assert [part.text for part in found.after] == ["以上です。"]


def test_a_list_goes_on_where_one_number_has_lost_its_space() -> None:
    assert texts(walk("# 接続\n\n1. 開きます。\n\n2.押します。\n\n3. 閉じます。\n")) == [
        "開きます。",
        "押します。",
        "閉じます。",
    ]


def test_circled_numbers_between_two_numbers_are_below_the_first() -> None:
    found = walk("# 設定\n\n1. 設定します。\n\n①開きます。\n②押します。\n\n2. 保存します。\n")
    assert texts(found) == ["設定します。", "保存します。"]
    assert [step.text for step in found.step(1).substeps] == ["開きます。", "押します。"]


def test_two_lists_are_two_procedures() -> None:
    text = (
        "# 接続\n\n## 方法\n\n**Windowsの場合**\n\n1. 開きます。\n2. 押します。\n\n終わりです。\n\n"
        "**Macの場合**\n\n次の手順で:\n\n1. 選びます。\n"
    )
    first, second = walk(text, "方法"), walk(text, "方法", 2)
    assert (first.title, texts(first), first.number) == ("Windowsの場合", ["開きます。", "押します。"], 1)
    assert (second.title, texts(second), second.number) == ("Macの場合", ["選びます。"], 2)
    assert ([part.text for part in first.after], second.intro) == (["終わりです。"], "次の手順で:")
    assert [(ref.handle, ref.number, ref.title, ref.total) for ref in first.others] == [("a#方法", 2, "Macの場合", 1)]
    with pytest.raises(BadQuery, match="2 procedures"):
        walk(text, "方法", 3)


def test_lists_inside_a_list_are_steps_below() -> None:
    text = (
        "# 返品\n\n1. 商品を選びます。\n   1. 開きます。\n   2. 押します。\n2. 送ります。\n   - 箱に入れる\n"
        "   - 送り状を貼る\n\n   最後に封をします。\n"
    )
    found = walk(text)
    assert [(step.text, len(step.substeps)) for step in found] == [
        ("商品を選びます。", 2),
        ("送ります。\n最後に封をします。", 2),
    ]
    below = [(s.number, s.total, s.ordered, s.text, s.lines) for step in found for s in step.substeps]
    assert below == [
        (1, 2, True, "開きます。", (4, 4)),
        (2, 2, True, "押します。", (5, 5)),
        (1, 2, False, "箱に入れる", (7, 7)),
        (2, 2, False, "送り状を貼る", (8, 8)),
    ]
    assert [part.kind for part in found.step(2).parts] == ["text", "steps", "text"]


def test_points_that_are_indented_too_little_belong_to_the_step_above() -> None:
    found = walk("# 返品\n\n1. 商品を選びます。\n\n - 複数でもかまいません。\n\n2. 送ります。\n")
    assert [step.text for step in found.step(1).substeps] == ["複数でもかまいません。"]
    assert len(found) == 2


# Headings


@pytest.mark.parametrize(
    "marks", [["手順1 ", "手順2 "], ["ステップ 1：", "ステップ 2："], ["Step 1: ", "Step 2: "], ["1. ", "2. "]]
)
def test_headings_may_be_steps(marks: list[str]) -> None:
    text = (
        f"# カーテンの採寸\n\n始める前に読んでください。\n\n## {marks[0]}幅を測る\n\n1. 端に当てます。\n"
        f"2. 読みます。\n\n### 補足\n\n両端です。\n\n"
        f"## {marks[1]}丈を測る\n\n下まで測ります。\n\n## 納期\n\n10日です。\n"
    )
    found = walk(text)
    assert [(step.title, step.lines) for step in found] == [("幅を測る", (5, 12)), ("丈を測る", (14, 16))]
    assert [step.text for step in found.step(1).substeps] == ["端に当てます。", "読みます。"]
    assert found.step(1).text == "幅を測る\n補足\n両端です。"
    assert found.step(2).text == "丈を測る\n下まで測ります。"
    assert [part.text for part in found.before] == ["始める前に読んでください。"]
    assert (found.handle, found.title, found.others) == ("a", "カーテンの採寸", ())


def test_a_step_that_is_a_heading_can_be_opened_by_itself() -> None:
    text = "# 採寸\n\n## 手順1 幅を測る\n\n1. 当てます。\n\n## 手順2 丈を測る\n\n下まで測ります。\n"
    assert texts(walk(text, "手順1-幅を測る")) == ["当てます。"]
    whole = walk(text, "手順2-丈を測る")
    assert (len(whole), whole.start, whole.step(whole.start).title) == (2, 2, "丈を測る")


@pytest.mark.parametrize(
    "text",
    [
        "# 規約\n\n## 1. 目的\n\nこれは目的です。\n\n## 2. 定義\n\nこれは定義です。\n",
        "# Guide\n\n## 1. Overview\n\nText.\n\n## 2. Prices\n\nText.\n",
        "# 質問\n\n## 1. 返品できますか？\n\nはい。\n\n## 2. 交換できますか？\n\nはい。\n",
        "# 版\n\n## 1.1 追加する\n\nx\n\n## 1.2 削除する\n\nx\n",
        "# 案内\n\n## 手順1 開く\n\nx\n\n## 手順3 押す\n\nx\n",
    ],
)
def test_numbered_chapters_and_questions_are_no_steps(text: str) -> None:
    with pytest.raises(NoSteps):
        walk(text)


def test_a_list_that_names_the_headings_behind_it_is_no_procedure_of_its_own() -> None:
    text = (
        "# 導入\n\n## Installation\n\n1. Download the agent\n2. Run it\n\n### 1. Download the agent\n\n"
        "Get it.\n\n### 2. Run it\n\nStart it.\n"
    )
    found = walk(text)
    assert ([step.title for step in found], found.others) == (["Download the agent", "Run it"], ())
    assert [part.text for part in found.before] == ["1. Download the agent\n2. Run it"]


# What is no procedure


def test_a_bullet_list_counts_only_where_the_text_leads_to_it() -> None:
    points = "- 電源を切ります。\n- 線を抜きます。\n"
    assert texts(walk(f"# 掃除\n\n次の手順で掃除してください。\n\n{points}")) == ["電源を切ります。", "線を抜きます。"]
    assert texts(walk(f"# Cleaning\n\nFollow these steps:\n\n{points}")) == ["電源を切ります。", "線を抜きます。"]
    assert len(walk(f"# 掃除\n\n## 手順\n\n{points}")) == 2
    with pytest.raises(NoSteps):
        walk(f"# 掃除\n\n次の点に気を付けてください。\n\n{points}")


@pytest.mark.parametrize(
    "text",
    [
        "# 返品できない商品\n\n次の商品は返品できません。\n\n1. 名入れの商品\n2. 食品\n",
        "# 対応\n\n## 守ること\n\n1. 二度お尋ねしない。\n2. 手放さない。\n",
        "# Items we cannot take back\n\n1. goods made to order\n2. food, including tea\n",
        "# Work\n\n## Rules\n\n1. Never cut the customer off.\n2. Do not ask twice.\n",
    ],
)
def test_a_numbered_list_of_things_or_rules_is_no_procedure(text: str) -> None:
    with pytest.raises(NoSteps):
        walk(text)


@pytest.mark.parametrize(
    ("text", "anchor", "found"),
    [
        ("# 案内\n\n本文です。\n", None, "plain text"),
        ("# 案内\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", None, "a table"),
        ("# 案内\n\n- 箱\n- 紙\n", None, "a list of things"),
        ("# 案内\n\n## 返品できますか？\n\nはい。\n", "返品できますか", "a question with its answer"),
        ("# 案内\n\n## 甲\n\nはい。\n\n## 乙\n\nはい。\n", None, "an article of 2 sections, none of which tells steps"),
    ],
)
def test_what_has_no_steps_says_what_it_is(text: str, anchor: str | None, found: str) -> None:
    with pytest.raises(NoSteps, match=found) as raised:
        walk(text, anchor)
    assert isinstance(raised.value, NotFound)
    assert (raised.value.found, raised.value.near) == (found, ())


def test_what_has_no_steps_names_those_of_its_article() -> None:
    with pytest.raises(NoSteps, match="This article has steps in a#申し込み") as raised:
        walk("# 案内\n\n## 料金\n\n無料です。\n\n## 申し込み\n\n1. 開きます。\n", "料金")
    assert raised.value.near == ("a#申し込み",)


# Around the steps


def test_what_is_needed_comes_before_and_the_result_behind() -> None:
    text = (
        "# 返品する\n\n14日以内です。\n\n## 料金\n\n無料です。\n\n## 準備するもの\n\n- 箱\n- 紙\n\n## 手順\n\n"
        "順に進めます。\n\n1. 開きます。\n2. 送ります。\n\nお疲れさまでした。\n\n## 完了後\n\n"
        "メールが届きます。\n\n## 連絡先\n\n電話\n"
    )
    found = walk(text)
    assert [part.text for part in found.before] == ["14日以内です。", "- 箱\n- 紙"]
    assert [part.text for part in found.after] == ["お疲れさまでした。", "メールが届きます。"]
    assert (found.intro, found.title, found.handle) == ("順に進めます。", "返品する", "a#手順")


def test_an_article_gives_the_first_and_names_the_others() -> None:
    text = "# 引き継ぎ\n\n## 検索から\n\n1. 読みます。\n\n## ボットから\n\n1. 止めます。\n2. 直します。\n"
    found = walk(text)
    assert (found.handle, [ref.to_dict() for ref in found.others]) == (
        "a#検索から",
        [{"handle": "a#ボットから", "number": 1, "title": "ボットから", "total": 2, "lines": [9, 10]}],
    )
    assert texts(walk(text, "ボットから")) == ["止めます。", "直します。"]
    assert texts(walk(text, number=2)) == ["止めます。", "直します。"]


def test_every_reference_opens_what_it_names() -> None:
    for article in samples():
        places = {section.anchor: place for place, section in enumerate(article.sections)}
        try:
            first = procedure_of(article)
        except NoSteps:
            continue
        for ref in first.others:
            anchor = ref.handle.partition("#")[2]
            other = procedure_of(article, places[anchor] if anchor else None, ref.number)
            assert (other.handle, other.number, other.title, len(other)) == (
                ref.handle,
                ref.number,
                ref.title,
                ref.total,
            )


def test_steps_in_an_answer_and_in_a_box() -> None:
    text = "# FAQ\n\nQ. 返品できますか\nA. できます。\n\n1. 開きます。\n2. 送ります。\n\nQ. 交換は\nA. いいえ。\n"
    assert texts(walk(text, "返品できますか")) == ["開きます。", "送ります。"]
    with pytest.raises(NoSteps):
        walk(text, "交換は")
    box = "# 案内\n\n前。\n\n<details><summary>詳しい手順</summary>\n\n1. 開きます。\n2. 送ります。\n\n</details>\n"
    assert texts(walk(box)) == ["開きます。", "送ります。"]
    points = "# 案内\n\n- Windows\n\n  1. 開きます。\n  2. 押します。\n- Mac\n\n  1. 選びます。\n"
    assert [len(walk(points, number=number)) for number in (1, 2)] == [2, 1]


@pytest.mark.parametrize("front", ["", "---\ntitle: 題\n---\n", "---\ntitle: 題\n\n\n---\n\n\n"])
def test_lines_are_those_of_the_file(front: str) -> None:
    source = (
        f"{front}同じ\n\n同じ\n\n## 同じ\n\n同じ\n\n## 手順\n\n"
        "1. 開きます。\n\n   ```\n   x\n   ```\n2. 送ります。\n\n\n## 同じ\n\n同じ\n"
    )
    rows = source.split("\n")
    found = walk(source, "手順")
    assert len(found) == 2
    for step in found:
        assert step.markdown == "\n".join(rows[step.lines[0] - 1 : step.lines[1]])
    assert found.step(1).markdown.startswith("1. 開きます。")
    assert found.step(1).markdown.endswith("```")


def test_the_knowledge_base_gives_steps_by_handle(index: Path) -> None:
    kb = KnowledgeBase.open(index)
    assert texts(kb.steps("account/leave"))[0] == "マイページを開きます。"
    with pytest.raises(NoSteps, match="it is a table"):
        kb.steps("shop/deadline")
    with pytest.raises(NotFound, match="account/leave"):
        kb.steps("account/leaf")
    with pytest.raises(NotFound):
        kb.steps("tools/old-printer")  # a draft
    with pytest.raises(BadQuery):
        kb.steps("account/leave", 2)
