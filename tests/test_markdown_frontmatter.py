"""Files as editors and exports leave them: encodings, front matter, and what is refused."""

from __future__ import annotations

import datetime as dt
import hashlib
import time

import pytest

from kbsearch.errors import ArticleError
from kbsearch.markdown import MAX_BYTES, parse_article
from kbsearch.model import Article, ArticleWarning


def parse(text: str, path: str = "shop/返品.md", default_lang: str = "") -> Article:
    return parse_article(text.encode(), path, default_lang=default_lang)[0]


def warnings(raw: str | bytes, path: str = "a.md") -> list[tuple[int, str]]:
    found = parse_article(raw if isinstance(raw, bytes) else raw.encode(), path)[1]
    return [(warning.line, warning.code) for warning in found]


def refusal(raw: str | bytes) -> ArticleError:
    with pytest.raises(ArticleError) as caught:
        parse_article(raw if isinstance(raw, bytes) else raw.encode(), "a.md")
    return caught.value


def test_every_field_of_the_front_matter_is_read() -> None:
    article = parse(
        "---\nid: returns\ntitle: 返品と交換\nlang: ja-JP\nkind: FAQ\ncategory: /shop//returns/\n"
        "tags: [返品, 交換]\naliases: 返送\nstatus: Draft\nvalid_from: 2026-09-01\nvalid_until: 2026/9/30\n"
        "updated: 2026年8月1日\nreview_by: 2026-12-01T10:00:00\ntranslation_of: shop/returns.en\n"
        "owner: 佐藤\n---\n本文です。\n"
    )
    assert (article.id, article.title, article.lang, article.kind) == ("returns", "返品と交換", "ja", "faq")
    assert (article.category, article.tags, article.aliases) == ("shop/returns", ("返品", "交換"), ("返送",))
    assert (article.status, article.translation_of) == ("draft", "shop/returns.en")
    assert (article.valid_from, article.valid_until) == (dt.date(2026, 9, 1), dt.date(2026, 9, 30))
    assert (article.updated, article.review_by) == (dt.date(2026, 8, 1), dt.date(2026, 12, 1))
    assert article.meta == {"owner": "佐藤"}


def test_an_article_without_front_matter_gets_everything_from_its_path_and_text() -> None:
    article = parse("# 返品の期限\n\n商品の到着から14日以内です。\n", "shop/returns/期限.md")
    assert (article.id, article.title, article.lang) == ("shop/returns/期限", "返品の期限", "ja")
    assert (article.category, article.status, article.kind) == ("shop/returns", "published", "guide")
    assert (article.tags, article.meta, article.translation_of) == ((), {}, None)


def test_the_checksum_is_that_of_the_bytes() -> None:
    raw = "\ufeff# 題\r\n\r\n本文\r\n".encode()
    assert parse_article(raw, "a.md")[0].sha256 == hashlib.sha256(raw).hexdigest()


def test_scalars_stay_as_they_were_written() -> None:
    article = parse("---\nid: 007\ntitle: 2026-09-01\nlang: no\ntags: [1.10, yes]\n---\nTekst.\n")
    assert (article.id, article.title, article.lang, article.tags) == ("007", "2026-09-01", "no", ("1.10", "yes"))


def test_one_text_with_commas_is_a_list_of_tags() -> None:
    assert parse("---\ntags: 返品、交換, 送料\n---\n本文\n").tags == ("返品", "交換", "送料")


def test_unknown_fields_come_as_plain_values() -> None:
    article = parse(
        "---\nn: 3\nx: 1.5\nflag: true\ndays: [月, 2]\nwhen: 2026-09-01\nnothing:\nbox: {a: 1}\n---\n本文\n"
    )
    assert article.meta == {
        "n": 3,
        "x": 1.5,
        "flag": True,
        "days": ["月", 2],
        "when": "2026-09-01",
        "nothing": "",
        "box": ["a: 1"],
    }


@pytest.mark.parametrize(
    ("path", "default", "text", "lang"),
    [
        ("返品.ja.md", "en", "English text only.", "ja"),
        ("returns.md", "en", "返品できます。", "en"),
        ("returns.md", "", "商品は返品できます。", "ja"),
        ("returns.md", "", "You can return an item.", "en"),
        ("returns.zh-TW.md", "", "退貨", "zh"),
    ],
)
def test_the_language_comes_from_the_name_then_the_default_then_the_text(
    path: str, default: str, text: str, lang: str
) -> None:
    assert parse(text, path, default).lang == lang


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("## 小見出し\n\n# 大見出し\n", "大見出し"),
        ("## `kb` の[使い方](x.md)\n\n本文\n", "kb の使い方"),
        ("本文だけ。\n", "返品"),
    ],
)
def test_a_missing_title_is_the_first_h1_else_a_heading_else_the_file_name(text: str, title: str) -> None:
    assert parse(text, "shop/返品.ja.md").title == title


def test_only_a_title_from_the_file_name_is_worth_a_warning() -> None:
    assert warnings("本文だけ。\n") == [(1, "no-title")]
    assert warnings("## 見出し\n\n本文\n") == []


def test_an_unknown_status_hides_the_article_and_says_so() -> None:
    article, found = parse_article("---\ntitle: t\nkind: essay\nstatus: 公開\n---\n本文\n".encode(), "a.md")
    assert (article.status, article.kind) == ("draft", "guide")
    assert [(warning.line, warning.code) for warning in found] == [(3, "unknown-value"), (4, "unknown-value")]


@pytest.mark.parametrize(
    ("front", "line"),
    [
        ("title: t\nvalid_from: soon", 3),
        ("valid_from: 2026-02-30", 2),
        ("tags: {a: 1}", 2),
        ("tags: [[a]]", 2),
        ("title: [a, b]", 2),
        ("lang: 5", 2),
        ("valid_from: 2026-09-02\nvalid_until: 2026-09-01", 3),
        ("title: 'open\nkind: faq", 4),
        ("- a\n- b", 2),
        ("title: a\n  b: c", 3),
        ("a: &x [1]\nb: *x", 3),
        ("? [a]\n: b", 2),
        ("a: " + "[" * 5000, 2),
        ("a: 1\nb: \x07", 3),
    ],
)
def test_broken_front_matter_is_refused_with_its_line(front: str, line: int) -> None:
    assert refusal(f"---\n{front}\n---\n本文\n").line == line


def test_front_matter_that_never_ends_is_refused_but_a_rule_is_not() -> None:
    assert refusal("---\ntitle: t\n\n本文\n").line == 1
    assert parse("---\n\n本文です。\n").passages[0].text == "本文です。"


def test_an_alias_bomb_is_refused_at_once() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{name}: &{name} [*{before}, *{before}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    started = time.monotonic()
    assert "alias" in refusal(f"---\n{bomb}---\nx\n").reason
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" \n\t\n",
        b"\xef\xbb\xbf",
        b"\x89PNG\r\n\x1a\n\0\0",
        b"---\nkind: faq\n---\n",
        b"<!-- nothing -->\n",
        b"x" * (MAX_BYTES + 1),
        b"---\n" + b"a: 1\n" * 20_000 + b"---\nx",
    ],
)
def test_what_holds_no_text_or_too_much_is_refused(raw: bytes) -> None:
    assert refusal(raw).path == "a.md"


def test_a_binary_file_is_refused_with_the_line_of_its_first_nul() -> None:
    assert refusal(b"one\ntwo\n\0").line == 3


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_with_a_byte_order_mark_are_read_without_a_word(encoding: str) -> None:
    article, found = parse_article("# 返品\r\n\r\n到着から14日以内。\r\n".encode(encoding), "a.md")
    assert (article.title, article.passages[0].text, found) == ("返品", "到着から14日以内。", ())


@pytest.mark.parametrize(("encoding", "name"), [("cp932", "Shift_JIS"), ("euc_jp", "EUC-JP")])
def test_japanese_legacy_encodings_are_read_with_a_warning(encoding: str, name: str) -> None:
    text = "# 返品\n\n商品の到着から１４日以内にお申し込みください。カタカナも読めます。\n"
    article, (warning,) = parse_article(text.encode(encoding), "a.md")
    assert article.passages[0].text == "商品の到着から１４日以内にお申し込みください。カタカナも読めます。"
    assert (warning.line, warning.code) == (1, "not-utf8")
    assert name in warning.message


def test_a_broken_byte_costs_one_character_and_a_warning_with_its_line() -> None:
    raw = "# 返品\n\n一行目です。\n二行目".encode() + b"\xe3\x81" + "です。\n".encode()
    article, found = parse_article(raw, "a.md")
    assert article.passages[0].text == "一行目です。二行目\ufffdです。"
    assert [(warning.line, warning.code) for warning in found] == [(4, "broken-utf8")]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_are_those_of_the_file_whatever_ends_them(newline: str) -> None:
    article = parse(newline.join(["---", "title: 返品", "---", "", "## 期限", "", "14日以内。", ""]))
    assert [(section.lines, section.markdown) for section in article.sections] == [((5, 7), "## 期限\n\n14日以内。")]
    assert article.passages[0].lines == (7, 7)


def test_damage_is_named_with_its_line_and_its_character() -> None:
    text = "---\nlang: ja\n---\n# 返品\n\n顾客の&苍产蝉辫;声\n\n受付２0時\n\n欠けた\ufffd字\n"
    article, found = parse_article(text.encode(), "a.md")
    assert article.passages[0].text == "顾客の 声\n受付２0時\n欠けた\ufffd字"
    assert found == (
        ArticleWarning("a.md", 6, "damaged-text", "“&苍产蝉辫;” was &nbsp; before a wrong conversion"),
        ArticleWarning("a.md", 6, "damaged-text", "simplified Chinese in a Japanese article: “顾” (U+987E)"),
        ArticleWarning("a.md", 8, "damaged-text", "full-width and half-width in one word: “受付２0時”"),
        ArticleWarning("a.md", 10, "damaged-text", "U+FFFD stands where a character was lost"),
    )


def test_a_chinese_article_is_not_damaged_japanese() -> None:
    assert warnings("---\nlang: zh\n---\n# 顾客\n\n顾客服务\n") == []


def test_after_twenty_places_of_damage_only_their_number_is_told() -> None:
    found = parse_article(("# 題\n\n" + "これは顾客です。\n\n" * 30).encode(), "a.md")[1]
    assert len(found) == 21
    assert found[-1].message == "10 more places like these"


def test_front_matter_alone_is_an_article_that_is_found_by_its_title() -> None:
    article = parse("---\ntitle: 準備中\n---")
    assert [(passage.text, passage.lines) for passage in article.passages] == [("準備中", (3, 3))]
    assert [section.lines for section in article.sections] == [(3, 3)]


@pytest.mark.parametrize(
    "front",
    ["draft: true", "published: false", "status: published\ndraft: yes", "status: draft"],
)
@pytest.mark.parametrize("before", ["", "\n", "\n\n"])
def test_a_draft_is_a_draft_in_the_words_of_other_tools_and_below_empty_lines(front: str, before: str) -> None:
    text = f"{before}---\ntitle: 下書き\n{front}\n---\n\n秘密\n"
    article, _ = parse_article(text.encode(), "a.ja.md")
    assert (article.status, article.title) == ("draft", "下書き")
    assert article.sections[0].lines == (text.count("\n"), text.count("\n"))


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('+++\ntitle = "T"\ndraft = true\n+++\n秘密\n', 1, "TOML"),
        ("\n---\ntitle: T\nstatus: draft\nstatus: published\n---\n秘密\n", 5, "twice"),
        ("---\nid: 日本/#x\n---\n本文\n", 2, "#"),
    ],
)
def test_front_matter_that_could_show_what_is_hidden_is_refused(text: str, line: int, says: str) -> None:
    with pytest.raises(ArticleError, match=says) as raised:
        parse_article(text.encode(), "a.md")
    assert raised.value.line == line
