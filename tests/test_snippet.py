"""What a snippet shows of a text, its marks and its notes; and what every snippet of the sample articles keeps."""

from __future__ import annotations

import json
import re
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from conftest import FAKE, FakeEncoder
from hypothesis import example, given, settings
from hypothesis import strategies as st
from terms import ask

from kbsearch import embed
from kbsearch.builder import build
from kbsearch.quotes import Quotation, Quoted, QuoteIndex, QuoteWriter
from kbsearch.results import Note, Snippet
from kbsearch.search import KnowledgeBase
from kbsearch.snippet import make_snippet, note_sizes, says_notes
from kbsearch.text import analyse
from kbsearch.tokens import TokenIndex, TokenWriter
from kbsearch.units import AGAIN, DANGLING, HEAD, INSIDE, ROW, STEP, TIED, WARNS, units_of_section

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kbsearch.model import Article
    from kbsearch.units import Unit

Weights = dict[str, float]

SAMPLE: Final = Path(__file__).parent.parent / "articles"
LIMITS: Final = (40, 60, 80, 120, 160, 400)
PIECES = [
    "返品", "送料", "の", "サーバー", "ｻｰﾊﾞｰ", "お問い合わせ", "払います", "。", "！？", "」", "、", "か\u3099ぎ",
    "人々", "𠮷", "password ", "Wi-Fi", "e‑mail ", "don’t ", "1,000円", "3.5 ", "resets", ". ", "? ", " ", "  ", "\n",
    "\n\n", "\r\n", "a | b\n", "- ", "　", "\u200b", "\ud800", "👍", "👨\u200d👩", "ただし、", "これは", "1. ", "2. ",
    "注意: ", "x" * 70, "あ" * 90, "…",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
QUESTIONS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


def terms(question: str) -> tuple[Weights, Weights]:
    found = analyse(question)
    return dict.fromkeys(found.words.terms, 1.0), dict.fromkeys(found.grams.terms, 1.0)


class Indexed:
    """The passages of a section, ready to be quoted by words alone."""

    def __init__(self, *texts: str) -> None:
        self.texts = dict(enumerate(texts))
        with tempfile.TemporaryDirectory() as folder:
            with TokenWriter(Path(folder) / "tokens") as writer:
                for text in texts:
                    found = analyse(text)
                    words, grams = (found.words.terms, found.words.spans), (found.grams.terms, found.grams.spans)
                    writer.add_text(text, words, grams)
                    writer.add_row(text, (text, text, text), [(text, 1)])
            quotes = QuoteWriter(Path(folder) / "quotes")
            for own in units_of_section(texts):
                quotes.add(own)
            quotes.close()
            self._tokens = TokenIndex(Path(folder) / "tokens", len(texts))
            self._quotes = QuoteIndex(Path(folder) / "quotes", len(texts), 1.0, 1)

    def cut(self, words: Mapping[str, float], grams: Mapping[str, float], limit: int, *, japanese: bool) -> Snippet:
        asked = ask(self._tokens, words, grams)
        notes = [note_sizes(is_japanese=japanese)] if says_notes(limit) else None
        rows = [list(self.texts)[:3]]
        [quotation] = self._quotes.quote(self._tokens.opened, asked, None, rows, limit, notes)
        return make_snippet(quotation, self.texts, limit, is_japanese=japanese)


def cut_snippet(text: str, words: Mapping[str, float], grams: Mapping[str, float], limit: int = 160) -> Snippet:
    return Indexed(text).cut(words, grams, limit, japanese=True)


def snip(text: str, question: str, limit: int = 160) -> tuple[str, list[str]]:
    """The snippet with the texts that it marks."""
    snippet = cut_snippet(text, *terms(question), limit)
    return snippet.text, [snippet.text[start:end] for start, end in snippet.marks]


# Which sentences


def test_the_japanese_sentence_that_answers_is_shown() -> None:
    text = "当店は年中無休です。お問い合わせは電話でも承ります。返品の送料はお客様のご負担です。期限は14日以内です。"
    answer = "返品の送料はお客様のご負担です。"
    assert snip(text, "返品の送料は誰が払いますか", 16) == (answer, ["返品", "送料"])
    shown = snip(text, "返品の送料は誰が払いますか", 40)[0]
    assert shown in {f"お問い合わせは電話でも承ります。{answer}", f"{answer}期限は14日以内です。"}


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
    text = "返品と送料の話です。" + "ほかの話です。" * 5 + "鑑定書は再発行します。"
    words = {"返品": 0.5, "送料": 0.5, "鑑定": 4.0}
    assert cut_snippet(text, words, {}, 12).text == "鑑定書は再発行します。"


def test_distinct_terms_outweigh_one_that_is_repeated() -> None:
    text = "送料、送料、送料、送料です。ほかの話ですよ。返品の送料の話です。"
    assert snip(text, "返品の送料", 14) == ("返品の送料の話です。", ["返品", "送料"])


def test_without_a_match_the_beginning_is_shown() -> None:
    assert snip("最初の文です。別の文です。最後の文です。", "宇宙旅行", 14) == ("最初の文です。別の文です。", [])
    assert cut_snippet("最初の文。別の文。", {}, {}, 6).text == "最初の文。"


def test_whole_sentences_are_shown_as_far_as_they_fit() -> None:
    text = "送料は無料です。別の文です。また別の文です。"
    shown = [snip(text, "送料", limit)[0] for limit in (8, 13, 14, 21, 22)]
    assert shown == [text[:8], text[:8], text[:14], text[:14], text]


def test_sentences_that_do_not_follow_each_other_are_joined_by_an_ellipsis() -> None:
    text = "返品は無料です。" + "ほかの話が長く長く長く続きます。" * 3 + "送料は330円です。"
    assert snip(text, "返品 送料", 30)[0] == "返品は無料です。 … 送料は330円です。"


def test_lines_are_joined_by_one_space() -> None:
    assert snip("一行目\n\n  二行目\t三", "二行目", 40)[0] == "一行目 二行目 三"


# What belongs to a sentence


def test_a_snippet_does_not_end_before_a_restriction() -> None:
    text = "返品の送料は無料です。ただし、食品は対象外です。なお、離島は別です。期限は14日です。"
    assert snip(text, "返品の送料", 34)[0] == "返品の送料は無料です。ただし、食品は対象外です。なお、離島は別です。"
    assert snip(text, "返品の送料", 33)[0] == "返品の送料は無料です。ただし、食品は対象外です。（条件あり）"
    assert snip(text, "返品の送料", 25)[0] == "返品の送料は無料です。ただし、食品は対象外です。…"
    assert snip(text, "返品の送料", 12)[0] == "返品の送料は無料です。…"
    assert snip(text, "返品の送料", 11)[0] == "返品の送料は無料です。"
    long = "返品の送料は無料です。ただし、" + "とても長い名前の" * 6 + "食品は対象外です。"
    shown = cut_snippet(long, *terms("返品の送料"), 40)
    assert (shown.text, shown.notes) == ("返品の送料は無料です。（条件あり）", (Note("restriction"),))


def test_an_english_restriction_belongs_to_its_sentence() -> None:
    text = "You can return it. Unless you have opened it, of course, which nobody is supposed to do before. Thanks."
    shown = Indexed(text).cut(*terms("return"), 60, japanese=False)
    assert (shown.text, shown.notes) == ("You can return it. (conditions apply)", (Note("restriction"),))


def test_steps_are_whole_or_counted() -> None:
    text = "1. 画面を開きます。\n2. 退会を選びます。\n3. 理由を書きます。\n4. 確認を押します。"
    assert snip(text, "退会", 50)[0] == text.replace("\n", " ")
    shown = cut_snippet(text, *terms("退会"), 40)
    assert shown.text == "1. 画面を開きます。 2. 退会を選びます。（手順1〜2/4）"
    assert shown.notes == (Note("steps", 1, 2, 2, 4),)
    assert snip(text, "開く 確認", 40)[0] == "1. 画面を開きます。 … 4. 確認を押します。（手順1…4/4）"
    english = Indexed("1. Open it now.\n2. Choose leave.\n3. Say why, in your own long words.").cut(
        *terms("leave"), 50, japanese=False
    )
    assert english.text == "1. Open it now. 2. Choose leave. (steps 1–2 of 3)"


def test_a_row_is_shown_with_the_head_of_its_table() -> None:
    text = "商品 | 期限\n衣類 | 30日\n家具 | 7日\n食品 | 不可"
    assert snip(text, "食品の返品", 17)[0] == "商品 | 期限 … 食品 | 不可"
    assert snip(text, "食品の返品", 16)[0] == "食品 | 不可"


def test_a_warning_that_follows_is_said() -> None:
    text = (
        "電源を入れます。\n\n注意: 湿った手で触らないでください。感電することがあり、とても危険ですのでお控えください。"
    )
    shown = cut_snippet(text, *terms("電源を入れる"), 40)
    assert Note("warning") not in shown.notes
    shown = cut_snippet(
        "電源のスイッチは右側の奥のほうにあります。" + "ほかの話です。" * 3 + text, *terms("電源 スイッチ 右側"), 40
    )
    assert shown.notes == (Note("warning"),)
    assert shown.text.endswith("（注意あり）")


def test_a_pronoun_is_shown_with_what_it_stands_for() -> None:
    text = "保証書は箱の底に入っています。これは再発行できません。お問い合わせください。"
    assert snip(text, "再発行", 27)[0] == "保証書は箱の底に入っています。これは再発行できません。"
    assert snip(text, "再発行", 20)[0] == "これは再発行できません。"


def test_a_table_of_two_passages_and_a_restriction_in_the_next_one() -> None:
    shown = Indexed("返品の送料は無料です。", "ただし、食品は対象外です。").cut(*terms("返品の送料"), 60, japanese=True)
    assert (shown.text, shown.notes) == ("返品の送料は無料です。 … ただし、食品は対象外です。", ())
    assert [piece[:3] for piece in shown.pieces] == [(0, 0, 11), (1, 0, 13)]


# A sentence longer than the limit


def test_a_long_japanese_sentence_is_cut_around_its_match() -> None:
    shown, marked = snip("あ" * 300 + "返品の送料" + "い" * 300, "返品の送料", 39)
    assert marked == ["返品", "送料"]
    assert shown.startswith("…")
    assert shown.endswith("…")
    assert 30 < len(shown) <= 39


def test_a_long_sentence_is_cut_where_most_of_the_question_is() -> None:
    text = "password " + "x " * 200 + "reset your password now " + "y " * 200
    assert snip(text, "reset the password", 40)[1] == ["reset", "password"]


def test_a_long_sentence_is_cut_where_most_distinct_terms_are() -> None:
    text = "送料、" * 5 + "あ" * 200 + "返品と送料" + "い" * 200
    assert snip(text, "返品の送料", 20)[1] == ["返品", "送料"]


def test_a_cut_at_the_beginning_or_the_end_has_one_ellipsis() -> None:
    words = "password " + "xxxx yyyy " * 40
    assert snip(words, "password", 20)[0] == "password xxxx yyyy…"
    assert snip("xxxx yyyy " * 40 + "password", "password", 20)[0] == "…xxxx yyyy password"
    assert snip("xxxx yyyy " * 40 + "password", "password", 19)[0] == "…yyyy password"


def test_a_cut_leaves_room_for_what_is_to_be_said() -> None:
    long = "返品の送料は" + "とても長い名前の人でも、" * 30 + "無料です。ただし、食品は対象外です。"
    shown, _ = snip(long, "返品の送料", 60)
    assert re.fullmatch("返品の送料は.*…（条件あり）", shown)
    assert len(shown) <= 60


@pytest.mark.parametrize("limit", range(1, 30))
def test_a_cut_shows_a_word_whole_or_not_at_all(limit: int) -> None:
    for place in range(12):
        text = "z" * place + " password " + "word " * 20
        shown, marked = snip(text, "password", limit)
        assert len(shown) <= limit
        assert marked in ([], ["password"])
        assert marked or limit < len("password") + 2 + 2 + place  # ellipses, and a quarter of the room in front
        if limit > 14:
            assert set(shown.strip("…").split()) <= {"z" * place, "password", "word"}


def test_a_cut_does_not_split_what_is_read_as_one_character() -> None:
    for one in ("👨\u200d👩\u200d👧", "か\u3099", "ｶﾞ", "e\u0301", "👍\U0001f3fd", "\ud83d\ude00"):
        for limit in range(3, 14):
            shown, _ = snip(one * 60, "返品", limit)
            assert re.fullmatch(f"(?:{one})+…?", shown) or len(one) > limit - 2, (one, limit, shown)


def test_a_huge_text_is_cut_in_a_moment() -> None:
    for text in ("送料" * 100_000, "password " * 100_000, "a\n" * 100_000, '?"' * 100_000, "返品 a. " * 50_000):
        index, asked = Indexed(text), terms("送料 password a 返品")
        for limit in (10, 160, 20_000):
            began = time.process_time()
            assert len(index.cut(*asked, limit, japanese=True).text) <= limit
            assert time.process_time() - began < 1


# Writing it down


def quotation(*spans: Quoted, marks: Sequence[tuple[int, int, int]] = (), notes: int = 0) -> Quotation:
    return Quotation(0, spans, tuple(marks), notes, (2, 3, 2, 7), 1)


def span(start: int, end: int) -> Quoted:
    return Quoted(0, start, end, cut_before=False, cut_after=False)


def test_marks_move_with_the_text() -> None:
    text = "  返品\n\n  送料 です。"
    found = make_snippet(quotation(span(2, 14), marks=[(0, 2, 4), (0, 8, 10)]), {0: text}, 50, is_japanese=True)
    assert (found.text, found.marks) == ("返品 送料 です。", ((0, 2), (3, 5)))
    assert found.pieces[0].marks == ((2, 4), (8, 10))


def test_a_mark_of_one_character_is_none() -> None:
    spans = [span(0, 9)]
    found = make_snippet(
        quotation(*spans, marks=[(0, 0, 2), (0, 3, 5), (0, 6, 8)]), {0: "か\u3099、ｶﾞ、返品。"}, 50, is_japanese=True
    )
    assert [found.text[start:end] for start, end in found.marks] == ["返品"]


def test_notes_are_said_as_far_as_there_is_room() -> None:
    spans, text = [span(0, 10)], {0: "返品の送料は無料だ。"}

    def said(notes: int, limit: int, *, is_japanese: bool = True) -> str:
        return make_snippet(quotation(*spans, notes=notes), text, limit, is_japanese=is_japanese).text[10:]

    assert said(7, 100) == "（条件あり）（注意あり）（手順2〜3/7）"
    assert said(7, 100, is_japanese=False) == " (conditions apply) (with a warning) (steps 2–3 of 7)"
    assert said(7, 24) == "（条件あり）（注意あり）"
    assert said(7, 16) == "（条件あり）"
    assert [said(1, limit) for limit in (16, 15, 11, 10)] == ["（条件あり）", "…", "…", ""]
    assert [said(1, limit, is_japanese=False) for limit in (12, 11)] == [" …", ""]
    assert said(0, 100) == ""


def test_nothing_quoted_is_an_empty_snippet() -> None:
    assert make_snippet(quotation(), {}, 100, is_japanese=True) == Snippet("")


def test_a_span_beyond_the_text_is_cut_off() -> None:
    """Of a damaged index."""
    found = make_snippet(
        quotation(span(2, 900), marks=[(0, 3, 5), (0, 700, 800)]), {0: "返品の送料"}, 50,
        is_japanese=True,
    )  # fmt: skip
    assert (found.text, found.marks) == ("の送料", ((1, 3),))


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
        ("残高は1,000円です", "1000", ["1,000"]),
        ("返品返品", "返品", ["返品返品"]),
        ("これはテストです", "これはです", ["これ"]),
        ("ますます増えます", "行きます", []),
        ("password", "pass", []),
        ("パスワード", "ワード", ["パスワード"]),  # most of the word
        ("鍵を回す", "鍵", []),  # a lone character
    ],
)
def test_the_places_that_matched_are_marked(text: str, question: str, expected: list[str]) -> None:
    assert snip(text, question)[1] == expected


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=3), question=QUESTIONS, limit=st.integers(1, 500))
@example(texts=[""], question="返品", limit=1)
@example(texts=["\ud800" * 50], question="\ud800", limit=3)
@example(texts=["a  b   c" * 40], question="b", limit=7)
def test_a_snippet_keeps_its_promises(texts: list[str], question: str, limit: int) -> None:
    snippet = Indexed(*texts).cut(*terms(question), limit, japanese=True)
    shown = snippet.text
    assert len(shown) <= limit
    assert not re.search(r"[\r\n\t]|  ", shown)
    assert bool(shown) == any(text.strip() for text in texts)
    assert all(0 <= start < end <= len(shown) for start, end in snippet.marks)
    assert all(left[1] < right[0] for left, right in pairwise(snippet.marks))
    assert sum(len(piece.marks) for piece in snippet.pieces) == len(snippet.marks)
    texts_of_marks = [shown[start:end] for start, end in snippet.marks]
    places = [(piece.passage, mark) for piece in snippet.pieces for mark in piece.marks]
    assert texts_of_marks == [" ".join(texts[row][start:end].split()) for row, (start, end) in places]
    for start, end in snippet.marks:
        for inside, outside in ((shown[start], shown[start - 1 : start]), (shown[end - 1], shown[end : end + 1])):
            assert not (inside.isascii() and outside.isascii() and inside.isalnum() and outside.isalnum())


@settings(max_examples=100, deadline=None)
@given(text=st.text(), limit=st.integers(1, 500))
def test_any_text_has_a_snippet(text: str, limit: int) -> None:
    snippet = cut_snippet(text, *terms(text), limit)
    assert len(snippet.text) <= limit
    assert all(0 <= start < end <= len(snippet.text) for start, end in snippet.marks)


# Every article


@dataclass(frozen=True)
class Quotable:
    """An article with the rows of its passages and the units of each."""

    rows: tuple[int, ...]
    texts: dict[int, str]
    units: dict[int, list[Unit]]
    sections: dict[int, int]
    is_japanese: bool

    def behind(self, row: int, place: int) -> tuple[int, int, Unit] | None:
        """The next unit of the section."""
        if place + 1 < len(self.units[row]):
            return row, place + 1, self.units[row][place + 1]
        following = self.units.get(row + 1) if self.sections.get(row + 1) == self.sections[row] else None
        return (row + 1, 0, following[0]) if following else None


def quotable(article: Article, first: int) -> Quotable:
    units: dict[int, list[Unit]] = {}
    sections = {first + place: passage.section for place, passage in enumerate(article.passages)}
    for section in dict.fromkeys(sections.values()):
        rows = [row for row, other in sections.items() if other == section]
        above = (article.title, *article.sections[section].headings)
        found = units_of_section([article.passages[row - first].text for row in rows], above)
        units |= dict(zip(rows, found, strict=True))
    texts = {row: article.passages[row - first].text for row in sections}
    return Quotable(tuple(sections), texts, units, sections, article.lang == "ja")


def broken_promises(article: Quotable, snippet: Snippet, limit: int, rows: Sequence[int]) -> list[str]:
    """What a snippet of some rows of an article does not keep."""
    wrong = [] if len(snippet.text) <= limit else ["longer than the limit"]
    shown: set[tuple[int, int]] = set()
    for piece in snippet.pieces:
        inside = [
            (place, unit)
            for place, unit in enumerate(article.units[article.rows[piece.passage]])
            if unit.start < piece.end and piece.start < unit.end
        ]
        is_whole = inside[0][1].start == piece.start and inside[-1][1].end == piece.end
        is_long = len(inside) == 1 and inside[0][1].end - inside[0][1].start > limit
        wrong += [] if is_whole or is_long else ["a broken unit"]
        shown |= {(article.rows[piece.passage], place) for place, _ in inside}
    for place in shown:
        wrong += _unexplained(article, snippet, shown, place, limit - len(snippet.text))
    again = {(row, place) for row, place in shown if article.units[row][place].flags & AGAIN}
    pointed_to = {(row, place - 1) for row, place in shown if article.units[row][place].flags & DANGLING}
    if again - pointed_to and any(not unit.flags & (AGAIN | HEAD) for row in rows for unit in article.units[row]):
        wrong.append("the question again")
    return wrong + _broken_steps(article, snippet, shown) + _wrong_marks(snippet)


def _unexplained(
    article: Quotable, snippet: Snippet, shown: set[tuple[int, int]], at: tuple[int, int], room: int
) -> list[str]:
    """What belongs to a unit and is neither shown nor told."""
    (row, place), wrong, kinds = at, list[str](), {note.kind for note in snippet.notes}
    own = article.units[row]
    behind = article.behind(row, place)
    if behind and behind[2].flags & TIED and behind[:2] not in shown and "restriction" not in kinds:
        wrong.append("ends before a restriction")
    warnings = [(row, other) for other, unit in enumerate(own) if other > place and unit.flags & WARNS]
    if not shown.issuperset(warnings) and "warning" not in kinds:
        wrong.append("a warning is not told")
    head = place
    while head and own[head].flags & ROW:
        head -= 1
    if own[place].flags & ROW and own[head].flags & HEAD and (row, head) not in shown:
        wrong += ["no head"] if own[head].end - own[head].start + len(" … ") <= room else []
    if own[place].flags & DANGLING and place and (row, place - 1) not in shown:
        most_notes = 60  # that the other one may need
        wrong += ["a dangling pronoun"] if own[place - 1].end - own[place - 1].start + most_notes <= room else []
    return wrong


def _wrong_marks(snippet: Snippet) -> list[str]:
    text = snippet.text
    outside = [mark for mark in snippet.marks if not 0 <= mark[0] < mark[1] - 1 < len(text)]
    half = re.compile(r"[A-Za-z0-9]{2}|.[\u3099\u309aﾞﾟ\u0300-\u036f]")
    edges = [text[max(0, edge - 1) : edge + 1] for mark in snippet.marks for edge in mark]
    wrong = ["a mark outside, or of one character"] if outside else []
    return wrong + [f"half a word is marked: {edge}" for edge in edges if half.fullmatch(edge)]


def _broken_steps(article: Quotable, snippet: Snippet, shown: set[tuple[int, int]]) -> list[str]:
    """Lists that are shown in part without a note of it."""
    lists: list[list[tuple[int, int]]] = []
    for row, own in article.units.items():
        for place, unit in enumerate(own):
            if unit.flags & STEP:
                before = article.units[lists[-1][-1][0]][lists[-1][-1][1]] if lists else None
                if not before or unit.number <= before.number or unit.total != before.total:
                    lists.append([])
                lists[-1].append((row, place))
    begun = set()
    for row, place in shown:
        first = place
        while first and article.units[row][first].flags & INSIDE:
            first -= 1
        begun.add((row, first))
    partial = [steps for steps in lists if 0 < len(begun.intersection(steps)) < len(steps)]
    told = [note for note in snippet.notes if note.kind == "steps"]
    if len(partial) > 1 or (partial and not told):
        return ["part of a list without a note"]
    wrong = []
    for steps, note in zip(partial, told, strict=False):
        numbers = [article.units[row][place].number for row, place in steps if (row, place) in begun]
        if (note.first, note.last, note.shown) != (numbers[0], numbers[-1], len(numbers)):
            wrong.append("another number of steps than is shown")
    return wrong


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    """The sample articles, with an encoder that costs nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embed._loaded, (FAKE, None), FakeEncoder())
        index = tmp_path_factory.mktemp("snippets") / "index"
        build(SAMPLE, index, encoder=FAKE)
        found = KnowledgeBase.open(index)
        assert found.snapshot.encoder
    return found


def test_every_snippet_of_every_article_keeps_its_promises(kb: KnowledgeBase) -> None:
    """Each article is asked by its own title and headings and by questions about something else."""
    snapshot, broken, asked_for = kb.snapshot, list[tuple[str, str, int, str]](), 0
    first = dict[int, int]()
    for row, article in enumerate(snapshot.article_of_row.tolist()):
        first.setdefault(article, row)
    lines = (SAMPLE / "queries.jsonl").read_text("utf-8").splitlines()
    others = [json.loads(line)["text"] for line in lines]
    for number, article in enumerate(snapshot.content.articles()):
        if number not in first:  # a draft
            continue
        page = quotable(article, first[number])
        own = [article.title, *(section.heading for section in article.sections if section.heading)]
        for place, question in enumerate([*own[:4], *others[number % 7 :: 40][:3]]):
            query = kb.prepare(question)
            wording = query.wordings[0]
            asked = snapshot.asked(wording.words, wording.grams).terms
            limit = LIMITS[(number + place) % len(LIMITS)] + number % 9
            for rows in {tuple(page.rows[:3]), tuple(reversed(page.rows[-2:]))}:
                sizes = [note_sizes(is_japanese=page.is_japanese)] if says_notes(limit) else None
                [found] = snapshot.quotes.quote(
                    snapshot.tokens.opened, asked, wording.vector, [list(rows)], limit, sizes
                )
                snippet = make_snippet(found, page.texts, limit, is_japanese=page.is_japanese)
                asked_for += 1
                assert snippet.text
                broken += [
                    (article.id, question, limit, f"{what}: {snippet}")
                    for what in broken_promises(page, snippet, limit, rows)
                ]
    assert asked_for > 1000
    assert broken == []


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 39, 40, 41, 120, 400])
def test_a_search_keeps_the_limit(kb: KnowledgeBase, limit: int) -> None:
    lines = (SAMPLE / "queries.jsonl").read_text("utf-8").splitlines()
    for place, line in enumerate(lines[::9]):
        mode = ("hybrid", "lexical", "dense")[place % 3]
        for hit in kb.search(json.loads(line)["text"], mode=mode, snippet_chars=limit).hits:  # type: ignore[arg-type]
            assert 0 < len(hit.snippet) <= limit
            assert all(0 <= start < end - 1 < len(hit.snippet) for start, end in hit.marks)
