"""Blocks as plain text, and how they are packed into passages."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbsearch.errors import ArticleError
from kbsearch.markdown import parse_article
from kbsearch.markdown.language import estimate_tokens

if TYPE_CHECKING:
    from kbsearch.model import Article, Passage

JAPANESE = "これは返品の手順を説明する文です。"


def parse(text: str, lang: str = "ja", max_tokens: int = 480, target_tokens: int = 256) -> Article:
    raw = f"---\ntitle: 題\nlang: {lang}\n---\n{text}".encode()
    return parse_article(raw, "a.md", max_tokens=max_tokens, target_tokens=target_tokens)[0]


def plain(text: str, lang: str = "ja") -> str:
    return "\n".join(passage.text for passage in parse(text, lang).passages)


def size(passage: Passage) -> int:
    return estimate_tokens(f"{passage.title}\n{' > '.join(passage.headings)}\n{passage.text}")


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("一行目の\n二行目", "一行目の二行目"),
        ("first\nsecond", "first second"),
        ("日本語の\nAPI\nです", "日本語の API です"),
        ("一行目  \n二行目", "一行目\n二行目"),
        ("一行目<br>二行目", "一行目\n二行目"),
        ("[リンク](x.md)と![図の説明](i.png)と`kb  a`", "リンクと図の説明とkb  a"),
        ("**「14日」**以内", "「14日」以内"),
        ("a&nbsp;&amp;&苍产蝉辫;b", "a & b"),
        ("<span onclick='x()'>見える</span><script>見えない()</script><!-- 見えない -->", "見える"),
        ("<div>\n<p>一</p>\n<ul><li>二</li></ul><style>p{}</style>\n</div>", "一\n二"),
        ("<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>", "a | b\n1 | 2"),
        ("3. 三\n4. 四\n   - 中\n\n     続き", "3. 三\n4. 四\n  - 中\n    続き"),
        ("1. 一\n1. 二\n   1. 中\n   1. 中\n1. 三", "1. 一\n2. 二\n  1. 中\n  2. 中\n3. 三"),
        ("7. 七\n7. 八\n9. 九", "7. 七\n8. 八\n9. 九"),  # as CommonMark shows it
        ("- [ ] 未\n- [x] 済", "- [ ] 未\n- [x] 済"),
        ("| 地域 | 料金 |\n|---|--:|\n| 本州 | `500`円 |", "地域 | 料金\n本州 | 500円"),
        ("```python\n# 注\n  x = 1\n```", "# 注\n  x = 1"),
        ("    indented\n\n本文", "indented\n本文"),
        ("> 引用\n> です", "引用です"),
        ("> [!WARNING]\n> 熱いです", "注意: 熱いです"),
        ("> [!NOTE] \n>\n> - 一", "メモ: - 一"),
        ("::: warning 高温\n熱いです\n:::", "注意: 高温\n熱いです"),
        ("::: tip\n便利です\n:::", "ヒント: 便利です"),
        ("::: 補足 由来\n古い話\n:::", "由来\n古い話"),
        ('::: zone pivot="x"\n本文\n:::', "本文"),
        ("> [!WARNING]\n> 注意：熱いです", "注意：熱いです"),
        (':::image type="content" source="a.png" alt-text="画面の図":::', "画面の図"),
        ("送料は500円[^1]です。\n\n次。\n\n[^1]: 沖縄を除く。", "送料は500円です。\n沖縄を除く。\n次。"),
        ("本文^[小さな注]です。", "本文です。\n小さな注"),
        ("本文\n\n[^9]: 使われない注", "本文\n使われない注"),
        ("~~旧価格~~ 新価格", "旧価格 新価格"),
        ("ゼロ\u200b幅", "ゼロ幅"),
    ],
)
def test_blocks_become_plain_text(markdown: str, text: str) -> None:
    assert plain(markdown) == text


@pytest.mark.parametrize(
    ("markdown", "text"), [("> [!CAUTION]\n> Hot", "Caution: Hot"), (":::message alert\nHot\n:::", "Warning: Hot")]
)
def test_labels_are_spelt_in_the_language_of_the_article(markdown: str, text: str) -> None:
    assert plain(markdown, "en") == text


def test_whole_blocks_are_packed_up_to_the_target() -> None:
    text = "\n\n".join(f"{number}番目の段落です。" + JAPANESE * 4 for number in range(6))
    passages = parse(text, target_tokens=180).passages
    assert [passage.text.count("番目") for passage in passages] == [2, 2, 2]
    assert [passage.lines for passage in passages] == [(5, 7), (9, 11), (13, 15)]


def test_a_block_between_target_and_maximum_stays_whole() -> None:
    text = "\n".join(f"{number}. {JAPANESE}" for number in range(1, 9))
    (passage,) = parse(text, target_tokens=60, max_tokens=300).passages
    assert passage.text == text


def test_a_list_that_is_too_large_is_split_between_items_that_keep_their_numbers() -> None:
    text = "\n".join(f"{number}. {JAPANESE}\n   - 補足{number}" for number in range(1, 9))
    passages = parse(text, target_tokens=100, max_tokens=100).passages
    assert [passage.text.split(" ")[0] for passage in passages] == ["1.", "5."]
    assert [passage.lines for passage in passages] == [(5, 12), (13, 20)]
    assert all("補足" in passage.text for passage in passages)


def test_a_table_that_is_too_large_repeats_its_head() -> None:
    rows = "".join(f"| 地域{number} | {JAPANESE} |\n" for number in range(1, 10))
    passages = parse(f"| 地域 | 説明 |\n|---|---|\n{rows}", target_tokens=100, max_tokens=100).passages
    assert [passage.text.split("\n")[0] for passage in passages] == ["地域 | 説明"] * len(passages)
    assert [passage.lines for passage in passages] == [(5, 10), (11, 14), (15, 15)]
    assert "\n".join(passage.text for passage in passages).count(JAPANESE) == 9


def test_a_line_that_introduces_a_list_stays_with_it() -> None:
    text = JAPANESE * 3 + "\n\n手順は次のとおりです：\n\n- " + "\n- ".join([JAPANESE] * 4)
    passages = parse(text, target_tokens=100, max_tokens=200).passages
    assert [passage.text[:6] for passage in passages] == ["これは返品の", "手順は次のと"]


@pytest.mark.parametrize(
    "restriction", ["ただし、食品は除きます。", "※ 食品は対象外です。", "> [!WARNING]\n> 食品は送れません。"]
)
@pytest.mark.parametrize(
    "before", [JAPANESE, f"- {JAPANESE}\n- {JAPANESE}", f"| 商品 | 期限 |\n|--|--|\n| 鍋 | {JAPANESE} |"]
)
def test_a_restriction_stays_with_what_it_restricts(before: str, restriction: str) -> None:
    """However much stands in front of both."""
    words = restriction.rpartition("> ")[2]
    for many in range(1, 40):
        text = "\n\n".join([*["前の段落です。"] * many, before, restriction, *[JAPANESE] * 12])
        passages = [passage.text for passage in parse(text).passages]
        [own] = [passage for passage in passages if words in passage]
        assert JAPANESE in own.partition(words)[0].rpartition("前の段落です。")[2], many
        assert sum(passage.count("前の段落です。") for passage in passages) == many


def test_a_restriction_that_does_not_fit_with_what_it_restricts_stands_alone() -> None:
    text = f"{JAPANESE * 20}\n\nただし、{JAPANESE * 20}"
    assert [size(passage) <= 480 for passage in parse(text).passages] == [True] * len(parse(text).passages)
    assert "".join(passage.text for passage in parse(text).passages).count("ただし、") == 1


def test_a_sentence_that_restricts_is_not_torn_from_the_one_before_it() -> None:
    for many in range(1, 40):
        text = "前の文です。" * many + "返品できます。" + "ただし、食品は除きます。" + JAPANESE * 20
        own = next(passage.text for passage in parse(text, max_tokens=300).passages if "ただし" in passage.text)
        assert "返品できます。ただし、" in own, many


def test_the_head_of_a_table_is_repeated_before_a_row_with_its_restriction() -> None:
    rows = "\n".join(f"| 品{each} | {JAPANESE} |" for each in range(30))
    for many in range(10, 30):
        table = "\n".join(rows.split("\n")[:many])
        passages = parse(f"| 商品 | 期限 |\n|--|--|\n{table}\n\n※ 食品は除きます。").passages
        assert all(passage.text.startswith("商品 | 期限\n") for passage in passages), many
        assert passages[-1].text.endswith(f"品{many - 1} | {JAPANESE}\n※ 食品は除きます。")


def test_a_code_fence_is_never_cut() -> None:
    code = "\n".join(f"line_{number} = {number}" for number in range(200))
    passages = parse(f"前。\n\n```\n{code}\n```\n\n後。", max_tokens=100, target_tokens=60).passages
    assert [passage.text for passage in passages] == ["前。", code, "後。"]


def test_a_paragraph_that_is_too_large_is_cut_at_the_ends_of_sentences() -> None:
    text = "「返品できますか。」と聞かれます。" * 20
    passages = parse(text, max_tokens=80, target_tokens=80).passages
    assert "".join(passage.text for passage in passages) == text
    assert all(passage.text.startswith("「") for passage in passages)
    assert all(passage.text.endswith("ます。") for passage in passages)


def test_an_english_paragraph_keeps_its_spaces() -> None:
    text = "Send it back within 14 days. Version 2.0 is e.g. fine. " * 12
    passages = parse(text, "en", max_tokens=80, target_tokens=80).passages
    assert " ".join(passage.text for passage in passages) == text.strip()


def test_a_sentence_without_end_is_cut_as_a_last_resort() -> None:
    passages = parse("あ" * 1000, max_tokens=100, target_tokens=100).passages
    assert "".join(passage.text for passage in passages) == "あ" * 1000


def test_a_large_warning_is_cut_between_its_blocks_and_named_once() -> None:
    text = "> [!WARNING]\n" + "".join(f"> {number}。{JAPANESE * 3}\n>\n" for number in range(4))
    passages = parse(text, max_tokens=80, target_tokens=80).passages
    assert [passage.text.startswith("注意: ") for passage in passages] == [True, False, False, False]


def test_a_small_remainder_joins_the_passage_before_it() -> None:
    text = "\n\n".join([JAPANESE * 5, JAPANESE * 5, "以上。"])
    passages = parse(text, target_tokens=90).passages
    assert [passage.text.endswith("以上。") for passage in passages] == [False, True]


def test_a_heading_alone_has_no_passage_unless_there_is_no_other() -> None:
    assert [passage.section for passage in parse("## 送料\n\n### 国内\n\n無料。\n").passages] == [1]
    (passage,) = parse("## 送料\n").passages
    assert (passage.text, passage.headings, passage.lines) == ("題", ("送料",), (5, 5))
    (passage,) = parse("").passages
    assert passage.text == "題"


def test_a_heading_longer_than_the_encoder_reads_is_cut_in_the_passage_only() -> None:
    article = parse(f"## {'長' * 1000}\n\n本文です。\n", max_tokens=200)
    assert len(article.sections[0].heading) == 1000
    assert article.passages[0].text == "本文です。"
    assert size(article.passages[0]) <= 200


def test_a_short_section_is_counted_once() -> None:
    counted: list[str] = []

    def count(text: str) -> int:
        counted.append(text)
        return len(text)

    parse_article("# 題\n\n## 送料\n\n無料。\n\n- 離島も\n".encode(), "a.md", count_tokens=count)
    assert counted == ["", "題\n送料\n無料。\n- 離島も"]


@pytest.mark.parametrize(
    "text",
    [
        ">" * 10_000 + " x",
        "[" * 10_000,
        "![" * 10_000,
        "- " * 10_000 + "x",
        "<details><summary>q?</summary>\n\n" * 3_000,
        "x <script>" * 3_000,
        "<div>\n" + "<!-- " * 10_000,
        "<div " + '<a "' * 10_000,
        "::: warning\n" * 3_000,
        "*a " * 10_000,
        "|a" * 1_000 + "\n" + "|-" * 1_000 + "\n" + "|1\n" * 100,
        "[^1]: " * 3_000,
    ],
)
def test_pathological_nesting_ends_in_seconds(text: str) -> None:
    started = time.monotonic()
    try:
        assert parse(text).passages
    finally:
        assert time.monotonic() - started < 20


PIECES = st.sampled_from(
    [
        *(
            "# ",
            "## ",
            "\n",
            "\n\n",
            "- ",
            "1. ",
            "  ",
            "    ",
            "> ",
            "[!NOTE]\n",
            "```\n",
            "::: warning 題\n",
            "\n:::\n",
        ),
        *("<details><summary>", "</summary>", "</details>", "<h2 id='x'>", "</h2>", "<script>", "</script>", "<br>"),
        *("<!--", "-->", "Q. ", "A. ", "Ｑ：", "答：", "返品できますか？", "はい。", "word", "One. Two", "term?\n: "),
        *(
            "[^1]",
            "[^1]: ",
            "^[",
            "]",
            "**",
            "`",
            "&#13;",
            "&苍产蝉辫;",
            "\\",
            "---\n",
            "title: x\n",
            "===\n",
            "\t",
            "\x0b",
        ),
        *(
            "\x85",
            "\u2028",
            "\ufeff",
            "\ufffd",
            "\r",
            "\r\n",
            "{#a}",
            "{#section}",
            "𠮷",
            "|",
            "| a | b |\n",
            "|---|---|\n",
        ),
        "a" * 300,
        "語" * 300,
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join) | st.text())
def test_any_text_is_an_article_in_order_or_an_article_error(text: str) -> None:
    raw = text.encode("utf-8", "replace")
    try:
        article, found = parse_article(raw, "a.md", max_tokens=200, target_tokens=100)
    except ArticleError:
        return
    count = len(raw.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    anchors = [section.anchor for section in article.sections]
    starts = [section.lines[0] for section in article.sections]
    assert len(set(anchors)) == len(anchors)
    assert starts == sorted(starts)
    assert all(1 <= section.lines[0] <= section.lines[1] <= count for section in article.sections)
    assert [passage.section for passage in article.passages] == sorted(passage.section for passage in article.passages)
    for passage in article.passages:
        first, last = article.sections[passage.section].lines
        assert first <= passage.lines[0] <= passage.lines[1] <= last
        assert passage.text.strip()
        assert size(passage) <= 200 or any(sign in text for sign in ("```", "    ", "\t"))
    assert all(0 <= warning.line <= count for warning in found)


@settings(max_examples=100, deadline=None)
@given(st.binary())
def test_any_bytes_raise_nothing_but_an_article_error(raw: bytes) -> None:
    with contextlib.suppress(ArticleError):
        assert parse_article(raw, "a.md")[0].passages


WORDS = st.lists(st.text("あいうえ亜返品abcdeXYZ0189", min_size=1, max_size=12), min_size=1, max_size=60)


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=6), st.integers(40, 300))
def test_every_word_of_a_paragraph_is_in_a_passage(paragraphs: list[list[str]], limit: int) -> None:
    article = parse("\n\n".join("語 " + " ".join(words) for words in paragraphs), max_tokens=limit, target_tokens=limit)
    found = {word for passage in article.passages for word in passage.text.split()}
    assert found == {"語"}.union(*paragraphs)
    assert all(size(passage) <= limit for passage in article.passages)


def test_the_sample_articles_are_read_without_an_error() -> None:
    root = Path(__file__).parent.parent / "articles"
    for file in sorted(root.rglob("*.md")):
        article, found = parse_article(file.read_bytes(), file.relative_to(root).as_posix())
        assert article.passages
        assert not [warning for warning in found if warning.code in {"no-title", "unknown-value", "broken-utf8"}]
