"""Headings, anchors and the shapes of question/answer units."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from kbsearch.markdown import parse_article
from kbsearch.markdown.slug import Slugger, slugify

if TYPE_CHECKING:
    from collections.abc import Callable

    from kbsearch.model import Article

Unit = tuple[str, str, tuple[int, int]]


def parse(text: str, path: str = "a.md", front: str = "") -> Article:
    return parse_article((f"---\n{front}\n---\n{text}" if front else text).encode(), path)[0]


def outline(article: Article) -> list[tuple[str, tuple[str, ...], tuple[int, int]]]:
    return [(section.anchor, section.headings, section.lines) for section in article.sections]


def units(text: str, path: str = "a.md") -> list[Unit]:
    """Question, answer and lines of every unit."""
    article = parse(text, path)
    answers = dict.fromkeys(range(len(article.sections)), "")
    for passage in article.passages:
        answers[passage.section] += passage.text
    return [
        (section.heading, answers[number], section.lines)
        for number, section in enumerate(article.sections)
        if section.kind == "qa"
    ]


def test_sections_follow_the_headings_and_the_title_is_none() -> None:
    article = parse(
        "# 返品\n\nはじめに。\n\n## 期限\n\n14日。\n\n### 例外\n\n食品。\n\n送料\n----\n\n無料。\n", front="title: 返品"
    )
    assert outline(article) == [
        ("", (), (6, 6)),
        ("期限", ("期限",), (8, 10)),
        ("例外", ("期限", "例外"), (12, 14)),
        ("送料", ("送料",), (16, 19)),
    ]
    assert [section.level for section in article.sections] == [0, 2, 3, 2]
    assert article.sections[3].markdown == "送料\n----\n\n無料。"


def test_a_heading_that_differs_from_the_title_is_a_section() -> None:
    assert outline(parse("# 返品について\n\n本文\n", front="title: 返品")) == [
        ("返品について", ("返品について",), (4, 6))
    ]


def test_width_and_case_do_not_tell_a_title_from_its_heading() -> None:
    assert outline(parse("# FAQ の使い方\n\n本文\n", front="title: ＦＡＱ　の使い方")) == [("", (), (6, 6))]


def test_only_headings_at_the_top_level_open_sections() -> None:
    text = "本文\n\n```\n# コード\n```\n\n> # 引用\n\n- # 項目\n\n::: note\n# 枠\n:::\n\n## 本当の見出し\n"
    assert [section.heading for section in parse(text).sections] == ["", "本当の見出し"]


def test_a_heading_is_plain_text() -> None:
    assert parse("x\n\n## **太字** と [`kb`](u) <b>*x*</b> ![図](i.png)\n").sections[1].heading == "太字 と kb x 図"


def test_a_heading_in_html_is_a_heading_with_its_id() -> None:
    article = parse('本文\n\n<h2 id="limit">期限</h2>\n\n14日。\n')
    assert outline(article)[1] == ("limit", ("期限",), (3, 5))


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("返品・交換 の期限", "返品交換-の期限"),
        ("Hello, World!", "hello-world"),
        ("a  b - c_d", "a--b---c_d"),
        ("よくある質問（FAQ）", "よくある質問faq"),
        ("デバイス", "デバイス"),
        ("C++ & C#", "c--c"),
        ("🎉", "section"),
        ("Ä É", "ä-é"),
    ],
)
def test_anchors_follow_the_rule_of_github(heading: str, anchor: str) -> None:
    assert slugify(heading) == anchor


def test_equal_headings_get_numbers_that_never_meet_a_natural_one() -> None:
    slugger = Slugger()
    assert [slugger.claim(each) for each in ["x", "x-1", "x", "x", "x-1"]] == ["x", "x-1", "x-2", "x-3", "x-1-1"]


def test_an_explicit_id_is_kept_even_if_an_earlier_heading_would_have_it() -> None:
    article = parse("本文\n\n## limit\n\n## 期限 {#limit}\n\n14日。\n", front="title: 返品")
    assert [(section.anchor, section.heading) for section in article.sections[1:]] == [
        ("limit-1", "limit"),
        ("limit", "期限"),
    ]


def test_levels_may_jump() -> None:
    article = parse("本文\n\n# A\n\n###### B\n\n## C\n\n#\n\n### D\n", front="title: 題")
    assert [section.headings for section in article.sections[1:]] == [("A",), ("A", "B"), ("A", "C"), (), ("D",)]


def test_a_question_heading_is_a_unit() -> None:
    text = (
        "# 案内\n\n## 返品できますか？\n\nはい。\n\n## Q2. 送料は\n\nA. 無料です。\n\n- 離島も\n\n"
        "## 交換できますか\n\nはい。\n"
    )
    assert units(text) == [
        ("返品できますか？", "はい。", (3, 5)),
        ("送料は", "無料です。\n- 離島も", (7, 11)),
        ("交換できますか", "はい。", (13, 15)),
    ]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Q. 送料は？", "A. 無料です。"),
        ("Q: 送料は？", "A: 無料です。"),
        ("Q1: 送料は？", "A1: 無料です。"),
        ("**Q.** 送料は？", "**A.** 無料です。"),
        ("**Q. 送料は？**", "A. 無料です。"),
        ("Ｑ：送料は？", "Ａ：無料です。"),
        ("Ｑ１．送料は？", "Ａ１．無料です。"),
        ("問：送料は？", "答：無料です。"),
        ("【質問】送料は？", "【回答】無料です。"),
        ("■Q. 送料は？", "■A. 無料です。"),
        ("◆ 質問：送料は？", "◇ 回答：無料です。"),
        ("Q 送料は？", "A 無料です。"),
        ("Ｑ　送料は？", "Ａ　無料です。"),
        ("> Q. 送料は？", "> A. 無料です。"),
    ],
)
@pytest.mark.parametrize("between", ["\n", "\n\n"])
def test_marked_paragraphs_are_a_unit(question: str, answer: str, between: str) -> None:
    last = 2 + between.count("\n")
    text = f"# 送料\n{question}{between}{answer}\n"
    assert units(text) == [("送料は？", "無料です。", (2, last))]


def test_an_answer_runs_to_the_next_question_or_heading() -> None:
    text = (
        "# 案内\n\nQ. 一つ目\n\nA. 答え。\n\n- 項目\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "Q. 二つ目\nA. 答え。\n\n## 次\n\n本文\n"
    )
    assert units(text) == [
        ("一つ目", "答え。\n- 項目\na | b\n1 | 2", (3, 11)),
        ("二つ目", "答え。", (13, 14)),
    ]


def test_questions_and_answers_may_be_list_items() -> None:
    text = "# 案内\n\n- Q: 送料は？\n- A: 無料です。\n- Q: 期限は？\n\n  A: 14日です。\n"
    assert units(text) == [("送料は？", "無料です。", (3, 4)), ("期限は？", "14日です。", (5, 7))]


def test_bold_questions_are_units_where_there_are_several() -> None:
    text = "# 案内\n\n**送料は？**\n\n無料です。\n\n**期限は？**\n\n14日です。\n"
    assert units(text) == [("送料は？", "無料です。", (3, 5)), ("期限は？", "14日です。", (7, 9))]


def test_a_definition_list_of_questions_is_units() -> None:
    text = "# 案内\n\n送料は？\n: 無料です。\n\n期限は？\n: 14日です。\n\n    延長できます。\n"
    assert units(text) == [("送料は？", "無料です。", (3, 4)), ("期限は？", "14日です。\n延長できます。", (6, 9))]


def test_a_bold_line_that_asks_has_its_answer_on_the_next_lines() -> None:
    text = "# 案内\n\n**送料は？**\n無料です。\n離島もです。\n\n**期限は？**  \n14日です。\n**交換は？**\n30日です。\n"
    assert units(text) == [
        ("送料は？", "無料です。離島もです。", (3, 5)),
        ("期限は？", "14日です。", (7, 8)),
        ("交換は？", "30日です。", (9, 10)),
    ]
    assert units("# 案内\n\n**送料は？**\n無料です。\n\n**注意**\n割れ物です。\n") == [], "one alone may be emphasis"


def test_a_quoted_question_is_answered_in_the_quotation_or_right_below() -> None:
    text = "# 案内\n\n> Q. 送料は？\n\nA. 無料です。\n\n> ご利用の声\n\nよかったです。\n"
    assert units(text) == [("送料は？", "無料です。\nご利用の声\nよかったです。", (3, 9))]
    text = "# 案内\n\n前書き。\n\n> 質問：送料は？\n> 回答：500円です。\n>\n> 離島も。\n\nこのように書きます。\n"
    assert units(text) == [("送料は？", "500円です。\n離島も。", (5, 8))]
    assert [passage.text for passage in parse(text).passages][:2] == ["前書き。", "このように書きます。"]
    for quoted in ("> Q 社の話。\n>\n> 続き。", "> Q. 送料は？\n\n本文。"):
        assert units(f"# 案内\n\n{quoted}\n") == []


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("## 値はどこに入力しますか？\n\nA 列に値を入力します。", "A 列に値を入力します。"),
        ("## 何を押しますか？\n\n・A ボタン\n・B ボタン", "・A ボタン・B ボタン"),
        ("## 何がありますか？\n\n■A：東館\n■B：西館", "■A：東館 ■B：西館"),
        ("## 案内\n\nQ 値は品質です。\n\nA 値は精度です。", "Q 値は品質です。\nA 値は精度です。"),
        ("## Q 値の計算\n\n割ります。", "割ります。"),
        ("## 案内\n\n■Q. 送料の話\n\n本文。", "■Q. 送料の話\n本文。"),
        ("## 案内\n\n聞かれたら\n**これは何ですか？**\nと答えます。\n\n次に\n**いつですか？**\nと聞きます。",
         "聞かれたらこれは何ですか？と答えます。\n次にいつですか？と聞きます。"),
    ],
)  # fmt: skip
def test_what_only_looks_like_a_marker_stays(text: str, kept: str) -> None:
    article = parse(f"前書き。\n\n{text}\n", front="title: 題")
    assert article.passages[-1].text == kept
    assert article.sections[-1].heading in text.split("\n", maxsplit=1)[0]


def test_a_section_named_after_a_company_answers_nothing() -> None:
    article = parse("## どの会社ですか？\n\n### A 社\n\n東京。\n\n### B 社\n\n大阪。\n", front="title: 題")
    assert [section.heading for section in article.sections if section.level] == ["どの会社ですか？", "A 社", "B 社"]


def test_spaced_markers_need_a_question_and_take_any_answer() -> None:
    text = "# 案内\n\nQ 送料は\n  いくらですか？\nA 500円です。\n\nＱ　支払いは？\n\nＡ　PayPay も使えます。\n"
    assert units(text) == [
        ("送料はいくらですか？", "500円です。", (3, 5)),
        ("支払いは？", "PayPay も使えます。", (7, 9)),
    ]


def test_questions_with_bullets_need_no_marked_answer_where_another_one_has_it() -> None:
    text = "# 案内\n\n■Q. 送料は？\n\n無料です。\n\n■Q. 期限は？\n\n■A. 14日です。\n"
    assert units(text) == [("送料は？", "無料です。", (3, 5)), ("期限は？", "14日です。", (7, 9))]


def test_lines_that_speak_to_a_tool_do_not_move_the_bold_ones() -> None:
    text = "# t\n\n本文\n[!INCLUDE [x](y.md)]\n**重要**\n\n[!INCLUDE [x](y.md)]\n**送料は？**\nはい。\n"
    assert [passage.text for passage in parse(text).passages] == ["本文重要\n送料は？はい。"]


@pytest.mark.parametrize(
    ("head", "first"),
    [
        ("| 質問 | 回答 |", "| 送料 | 無料です。 |"),
        ("| Q | A |", "| 送料 | 無料です。 |"),
        ("|No.|ご質問|答え|", "|1|送料|無料です。|"),
    ],
)
def test_a_table_of_questions_and_answers_is_units(head: str, first: str) -> None:
    """However they are worded. The source of each is a question with its answer, for a row says nothing by itself."""
    line = "|---" * head.count("|", 1) + "|"
    text = f"# 案内\n\n前書き。\n\n{head}\n{line}\n{first}\n\n後書き。\n"
    article = parse(text)
    assert units(text) == [("送料", "無料です。", (7, 7))]
    assert article.sections[1].markdown == "**送料**\n\n無料です。"
    assert [passage.text for passage in article.passages if not passage.headings] == ["前書き。", "後書き。"]


def test_what_else_a_table_of_questions_says_goes_with_the_answer() -> None:
    text = "# Help\n\n| Area | Question | Answer |\n|---|---|---|\n| Shop | Fees? | None. |\n| | Hours? | 9 to 5. |\n"
    assert units(text) == [("Fees?", "None.\nArea: Shop", (5, 5)), ("Hours?", "9 to 5.", (6, 6))]


def test_no_cell_of_a_table_of_questions_is_lost() -> None:
    """Numbers of a column that counts nothing, pipes in cells, rows that go on with the answer above, ragged rows."""
    table = (
        "| **質問** | 回答 | 電話番号 |\n|---|---|---|\n| 解約は？ | [電話](tel:0) で | 0120123456 |\n"
        "|  | 夜間は休みです |\n| A \\| B の違いは | `x \\| y` です |  |\n"
    )
    article = parse(f"# 案内\n\n{table}")
    assert units(f"# 案内\n\n{table}") == [
        ("解約は？", "電話 で\n電話番号: 0120123456\n夜間は休みです", (5, 6)),
        ("A | B の違いは", "x | y です", (7, 7)),
    ]
    assert [section.markdown for section in article.sections if section.kind == "qa"] == [
        "**解約は？**\n\n[電話](tel:0) で\n\n電話番号: 0120123456\n\n夜間は休みです",
        "**A | B の違いは**\n\n`x | y` です",
    ]


def test_other_tables_stay_tables() -> None:
    for head in ("質問数 | 件数", "Q1 | Q2", "品目 | 回答", "質問 | 質問"):
        assert units(f"# 表\n\n| {head} |\n|---|---|\n| a | b |\n") == []
    assert units("# 部品\n\n| 型番 | Q | A |\n|---|---|---|\n| X1 | 抵抗 | 2 |\n") == []
    assert units("# 値\n\n| Q | A |\n|---|---|\n| 10 | 2 |\n| 0.7 | 3 |\n") == []


def test_an_html_list_of_questions_is_units() -> None:
    text = (
        "# 案内\n\n<dl>\n<dt>送料は<b>？</b></dt>\n<dd>無料<br>です。</dd>\n"
        "<dt>期限は？\n<dd><p>14日です。</p>\n<dd>延長できます。\n</dl>\n"
    )
    assert units(text) == [("送料は？", "無料\nです。", (4, 5)), ("期限は？", "14日です。\n延長できます。", (6, 8))]


@pytest.mark.parametrize(
    "text",
    [
        "<dl><dt>返品</dt><dd>送り返すこと。</dd></dl>",
        "<dl><dt>送料は？</dt><dd><dl><dt>国内</dt><dd>無料</dd></dl></dd></dl>",
        "<dl>\n</dl>",
        "<dl>\n<dt>送料は？</dt>\n<dd>500円</dd>\n</dl>\n<p>この段落は重要です。</p>",
        "<dl>\n<p>平日のみ</p>\n<dt>送料は？</dt>\n<dd>500円</dd>\n</dl>",
        "<dl>\n<dt>送料は？</dt>\n<dd>\n\n500円です。\n\n</dd>\n</dl>",
        "<dl>\n<dt>送料は？</dt>\n<dd>500円です。",
        "<dlx><dt>送料は？</dt></dlx>",
        "<div><dt>送料は？</dt></div>",
    ],
)
def test_an_html_list_of_something_else_stays_as_it_is(text: str) -> None:
    article = parse(f"# 用語\n\n前書き。\n\n{text}\n")
    assert [section.kind for section in article.sections] == ["section"]
    shown = "".join(passage.text for passage in article.passages)
    assert all(word in shown for word in re.findall("[ぁ-んァ-ヶ一-龠0-9]+", text))


def test_two_terms_of_an_html_list_may_have_one_answer() -> None:
    text = "# 案内\n\n<dl>\n<dt>送料は？</dt>\n<dt>配送料は？</dt>\n<dd>無料です。</dd>\n</dl>\n"
    assert units(text) == [("送料は？ / 配送料は？", "無料です。", (4, 6))]


@pytest.mark.parametrize(
    "shape",
    [
        lambda n: "<dl>\n" + "<dt>送料は？</dt>\n<dd>無料です。</dd>\n" * n + "</dl>\n",
        lambda n: "**送料は？**\n無料です。\n" * n,
        lambda n: "■Q. 送料は？\n■A. 無料です。\n" * n,
        lambda n: "Q 送料は？\nQ 送料は\n" * n,
        lambda n: "| " + "長い" * n + " | 質問 | 回答 |\n|---|---|---|\n" + "| x | 送料は | 無料 |\n" * n,
    ],
    ids=["dl", "bold", "bullets", "spaces", "table"],
)
def test_long_pages_of_questions_are_read_in_time_that_grows_with_them(shape: Callable[[int], str]) -> None:
    def seconds(n: int) -> float:
        raw, start = f"# 案内\n\n{shape(n)}".encode(), time.process_time()
        article, _ = parse_article(raw, "a.md")
        assert sum(len(section.markdown) for section in article.sections) < 3 * len(raw)
        return time.process_time() - start

    seconds(100)
    assert seconds(8_000) < 40 * max(seconds(1_000), 0.02)


def test_a_glossary_is_no_faq() -> None:
    article = parse("# 用語\n\n返品\n: 送り返すこと。\n\n交換\n: 取り替えること。\n")
    assert units("# 用語\n\n返品\n: 送り返すこと。\n") == []
    assert article.passages[0].text == "返品\n送り返すこと。\n交換\n取り替えること。"


def test_details_are_units_with_their_markdown() -> None:
    text = (
        "# 案内\n\n<details>\n<summary>送料は<b>？</b></summary>\n\n**無料**です。\n\n- 離島も\n\n</details>\n\n"
        "<details><summary>期限</summary><p>14日<br>です。</p><script>x()</script></details>\n\n終わりに。\n"
    )
    assert units(text) == [("送料は？", "無料です。\n- 離島も", (3, 10)), ("期限", "14日\nです。", (12, 12))]
    assert parse(text).passages[0].text == "終わりに。"


def test_a_single_box_that_does_not_ask_is_an_aside() -> None:
    article = parse("# 案内\n\n前。\n\n<details><summary>詳しく</summary>\n\n中。\n\n</details>\n\n後。\n")
    assert [passage.text for passage in article.passages] == ["前。\n詳しく\n中。\n後。"]


def test_a_box_that_is_not_closed_swallows_no_heading() -> None:
    article = parse("# 案内\n\n<details><summary>詳しく</summary>\n\n中。\n\n## 次\n\n後。\n")
    assert [section.heading for section in article.sections] == ["", "次"]


def test_markers_without_a_partner_are_text() -> None:
    assert units("# 売上\n\nQ1. 第1四半期は好調。\n\n次の段落。\n\nA. 添付資料\n") == []


@pytest.mark.parametrize("heading", ["### A. はい。", "### 回答\n\nはい。"])
def test_a_heading_may_hold_the_answer(heading: str) -> None:
    assert [unit[:2] for unit in units(f"# 案内\n\n## Q. できますか？\n\n{heading}\n")] == [("できますか？", "はい。")]


def test_text_between_units_stays_with_its_section() -> None:
    article = parse("## 送料\n\n前。\n\n無料？\n: はい。\n\n後。\n", front="title: 案内")
    assert [(section.kind, section.headings, section.lines) for section in article.sections] == [
        ("section", ("送料",), (4, 11)),
        ("qa", ("送料", "無料？"), (8, 9)),
    ]
    assert [(passage.section, passage.text) for passage in article.passages] == [
        (0, "前。"),
        (0, "後。"),
        (1, "はい。"),
    ]


@pytest.mark.parametrize(
    ("text", "path", "kind"),
    [
        ("Q. a?\nA. b\n\nQ. c?\nA. d\n", "a.md", "faq"),
        ("Q. a?\nA. b\n", "a.md", "guide"),
        ("A long guide about many things.\n\nQ. a?\nA. b\n\nQ. c?\nA. d\n", "a.md", "guide"),
        ("本文\n", "shop/faq.ja.md", "faq"),
        ("本文\n", "faq/returns.md", "faq"),
        ("本文\n", "よくある質問/送料.md", "faq"),
    ],
)
def test_the_kind_is_told_by_the_text_or_the_name(text: str, path: str, kind: str) -> None:
    assert parse(text, path).kind == kind


def test_a_question_without_an_answer_is_reported() -> None:
    found = parse_article("# 案内\n\n## 送料は？\n\n## 期限は？\n\n14日。\n".encode(), "a.md")[1]
    assert [(warning.line, warning.code) for warning in found] == [(3, "faq-without-answer")]


def test_an_english_faq_reads_like_a_japanese_one() -> None:
    text = "# Help\n\n## Can I return it?\n\nYes, within\n14 days.\n\nQ: Who pays?\nA: We do.\n"
    assert units(text) == [("Can I return it?", "Yes, within 14 days.", (3, 6)), ("Who pays?", "We do.", (8, 9))]


def test_a_maze_of_ten_thousand_headings_takes_linear_time() -> None:
    text = "".join("#" * (1 + number * 7 % 6) + " 同じ見出し\n\n本文\n\n" for number in range(10_000))
    started = time.monotonic()
    article = parse(text)
    assert time.monotonic() - started < 20
    assert len({section.anchor for section in article.sections}) == len(article.sections) > 9_000


def test_an_answer_may_follow_the_question_without_a_marker() -> None:
    text = "Q：キャンセルできますか？\n発送前ならできます。\n手数料はかかりません。\n\nQ：変更できますか？\nA：はい。\n"
    article, warnings = parse_article(text.encode(), "faq/a.ja.md")
    assert [section.heading for section in article.sections] == ["キャンセルできますか？", "変更できますか？"]
    assert [passage.text for passage in article.passages] == [
        "発送前ならできます。手数料はかかりません。",
        "はい。",
    ]
    assert [warning.code for warning in warnings] == ["no-title"]


def test_a_question_without_an_answer_is_still_found() -> None:
    article, warnings = parse_article("# 質問\n\n## 空の質問ですか？\n\n## 次は？\n\nはい。\n".encode(), "a.ja.md")
    assert [passage.text for passage in article.passages] == ["空の質問ですか？", "はい。"]
    assert [(warning.line, warning.code) for warning in warnings] == [(3, "faq-without-answer")]


def test_in_a_declared_faq_a_heading_with_text_is_a_question_however_it_is_worded() -> None:
    text = "---\nkind: faq\n---\n# 困ったとき\n\n## ログイン\n\n### ログインできない場合\n\n再設定します。\n"
    article, _ = parse_article(text.encode(), "a.ja.md")
    assert [(section.heading, section.kind) for section in article.sections] == [
        ("ログイン", "section"),
        ("ログインできない場合", "qa"),
    ]
