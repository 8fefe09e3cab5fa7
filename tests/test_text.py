"""The analyser: spans, spelling variants that must meet, sizes and junk that it must survive."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kbsearch.text import VERSION, Tokens, analyse, fingerprint, normalise

PIECES = [
    "返品", "の", "送料", "サーバー", "ｻｰﾊﾞｰ", "引落し", "お問い合わせ", "か\u3099", "か゛",
    "ー", "々", "ゞ", "・", "。", "𠮷",
    "Wi-Fi", "e‑mail", "don’t", "ＡＢＣ", "１，０００", "1,000GB", "3.5", "ﬁ", "①", "㍻", "İ", "ß", "각", "ก็", "ﷺ",
    "\u200b", "\u00ad", "\ufeff", "\u0301", "\u0323", "\ud800", "\udfff", "\x00",
    " ", "　", "\n", "\u2028", "👩‍👩‍👧", "_", "'", "-", ",",
]  # fmt: skip
TEXTS = st.one_of(st.text(), st.text(st.characters()), st.lists(st.sampled_from(PIECES), max_size=30).map("".join))


def words(text: str) -> list[str]:
    return list(analyse(text).words.terms)


def grams(text: str) -> list[str]:
    return list(analyse(text).grams.terms)


def shown(text: str, tokens: Tokens) -> list[tuple[str, str]]:
    """Each term with the part of the text that it was read from."""
    return [(term, text[start:end]) for term, (start, end) in zip(tokens.terms, tokens.spans, strict=True)]


# Spans


@settings(max_examples=400, deadline=None)
@given(TEXTS)
@example("".join(PIECES))
@example("\U0003ffff\U00030000々々")
def test_spans_lie_in_the_text_ascend_and_are_not_empty_and_terms_hold_no_white_space(text: str) -> None:
    analysis = analyse(text)
    for tokens in (analysis.words, analysis.grams):
        assert len(tokens.terms) == len(tokens.spans)
        assert all(0 <= start < end <= len(text) for start, end in tokens.spans)
        assert all(left[0] <= right[0] for left, right in pairwise(tokens.spans))
        assert all(term and not any(char.isspace() for char in term) for term in tokens.terms)
        assert all(len(term) <= 2 * 64 for term in tokens.terms)  # two joined across a hyphen


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_every_character_of_the_normal_text_knows_where_it_came_from(text: str) -> None:
    normal, origin = normalise(text)
    if origin is None:
        assert len(normal) == len(text)
    else:
        assert len(origin) == len(normal)
        assert all(0 <= start < end <= len(text) for start, end in origin)
        assert all(left <= right for left, right in pairwise(origin))


def test_japanese_words_are_named_by_their_dictionary_form_and_point_at_what_was_written() -> None:
    text = "返品の送料は誰が払いますか"
    assert shown(text, analyse(text).words) == [("返品", "返品"), ("送料", "送料"), ("誰", "誰"), ("払う", "払い")]


def test_japanese_grams_are_the_pairs_of_neighbouring_characters() -> None:
    text = "送料は？無料"
    assert shown(text, analyse(text).grams) == [("送料", "送料"), ("料は", "料は"), ("無料", "無料")]


def test_english_words_are_stemmed_and_point_at_what_was_written() -> None:
    text = "Returning orders, refunds!"
    assert shown(text, analyse(text).words) == [("return", "Returning"), ("order", "orders"), ("refund", "refunds")]
    assert grams(text) == ["returning", "orders", "refunds"]


def test_a_mixed_text_is_cut_where_the_script_changes() -> None:
    text = "iPhone15の充電はUSB-Cで"
    found = analyse(text)
    assert shown(text, found.words) == [("iphone15", "iPhone15"), ("充電", "充電"), ("usb", "USB"), ("c", "C")]
    assert shown(text, found.grams) == [
        ("iphone", "iPhone"), ("iphone15", "iPhone15"), ("15", "15"),
        ("の充", "の充"), ("充電", "充電"), ("電は", "電は"),
        ("usb", "USB"), ("usbc", "USB-C"), ("c", "C"), ("で", "で"),
    ]  # fmt: skip


def test_a_span_covers_all_the_characters_that_became_one() -> None:
    text = "ﾊﾟｽﾜｰﾄﾞとか\u3099ぎ"
    assert shown(text, analyse(text).grams) == [
        ("ぱす", "ﾊﾟｽ"), ("すわ", "ｽﾜ"), ("わー", "ﾜｰ"), ("ーど", "ｰﾄﾞ"),
        ("どと", "ﾄﾞと"), ("とが", "とか\u3099"), ("がぎ", "か\u3099ぎ"),
    ]  # fmt: skip


def test_characters_that_one_became_share_its_span() -> None:
    text = "約½です"
    assert shown(text, analyse(text).words) == [("約", "約"), ("1", "½"), ("2", "½")]


# Variants that must meet: the same words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ｻｰﾊﾞｰ", "サーバー"),
        ("サーバ", "サーバー"),
        ("コンピュータ", "コンピューター"),
        ("ユーザ―", "ユーザー"),
        ("ユーザ−", "ユーザー"),
        ("ユーザ─登録", "ユーザー登録"),
        ("引落し", "引き落とし"),
        ("問合せ", "お問い合わせ"),
        ("お問合せ", "問い合わせ"),
        ("申込み", "お申し込み"),
        ("か\u3099っこう", "がっこう"),
        ("カ゛ソリン", "ガソリン"),
        ("払う", "払った"),
        ("ヴァイオリン", "バイオリン"),
        ("人人", "人々"),
        ("㌔", "キロ"),
        ("ﾊﾟｽﾜｰﾄﾞ", "パス\u200bワード"),
        ("ＡＢＣ", "abc"),
        ("１，０００円", "1000円"),
        ("1,000円", "1000円"),
        ("1,234,567", "1234567"),
        ("1,000GB", "1000GB"),
        ("①", "1"),
        ("ﬁle", "file"),
        ("pass\u00adword", "password"),
        ("\ufeffpass\u200bword", "password"),
        ("don’t", "don't"),
        ("donʼt", "don't"),
        ("don＇t", "don't"),
        ("cafe\u0301", "café"),
        ("passwords", "Password"),
        ("returned", "returning"),
        ("customer’s", "customers"),
    ],
)
def test_two_ways_to_write_a_word_give_the_same_words(one: str, other: str) -> None:
    assert words(one) == words(other) != []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ｻｰﾊﾞｰ", "サーバー"),
        ("サーバ", "サーバー"),
        ("さーばー", "サーバー"),
        ("さーば", "サーバー"),
        ("サーバーの設定", "サーバの設定"),
        ("サーバー・ルーム", "サーバ・ルーム"),
        ("ユーザ―", "ユーザー"),
        ("ソフト・ウェア", "ソフトウェア"),
        ("人々", "人人"),
        ("こゝろ", "こころ"),
        ("すゞめ", "すずめ"),
        ("バナヽ", "バナナ"),
        ("かヾみ", "かがみ"),
        ("ごみ", "ゴミ"),
        ("か\u3099ぎ", "がぎ"),
        ("か゛ぎ", "がぎ"),
        ("は゜す", "ぱす"),
        ("ハﾟス", "パス"),
        ("パス\u200bワード", "パスワード"),
        ("ＡＢＣ", "abc"),
        ("１，０００", "1000"),
        ("1,000GB", "1000gb"),
        ("don’t", "don't"),
    ],
)
def test_two_ways_to_write_a_word_give_the_same_grams(one: str, other: str) -> None:
    assert grams(one) == grams(other) != []


@pytest.mark.parametrize(
    ("hyphened", "joined"),
    [("e-mail", "email"), ("E‑mail", "email"), ("Wi‐Fi", "wifi"), ("ｅ－ｍａｉｌ", "email"), ("COVID-19", "covid19")],
)
def test_a_hyphened_word_is_also_found_joined(hyphened: str, joined: str) -> None:
    found = analyse(hyphened)
    assert (joined, hyphened) in shown(hyphened, found.grams)
    assert joined in grams(joined)


def test_only_a_single_hyphen_joins() -> None:
    assert grams("wi--fi") == ["wi", "fi"]
    assert grams("wi - fi") == ["wi", "fi"]
    assert grams("送料-無料") == ["送料", "無料"]


# Variants that must not meet


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("キー", "キ"),
        ("コピー", "コピ"),
        ("ビル", "ビール"),
        ("おばさん", "おばあさん"),
        ("は", "ば"),
        ("12,34", "1234"),
        ("1,0000", "10000"),
    ],
)
def test_different_words_stay_different(one: str, other: str) -> None:
    assert words(one) != words(other) or grams(one) != grams(other)
    assert grams(one) != grams(other)


# What is left out


@pytest.mark.parametrize(
    "text", ["の", "を", "は", "です", "ます", "、。！？", "「」", "！？…", "—–", "\u200b", "_", "・", "　", "", "👍"]
)
def test_particles_auxiliaries_and_symbols_are_no_words(text: str) -> None:
    assert words(text) == []


@pytest.mark.parametrize("text", ["、。！？", "「」", "・", "_ _", "\u200b\ufeff", "\ud800", "\u0301", "👍🏽", ""])
def test_a_text_without_letter_or_digit_has_no_token(text: str) -> None:
    assert analyse(text) == analyse("")
    assert grams(text) == []


@pytest.mark.parametrize("particle", ["で", "が", "は", "を", "に", "の", "から", "まで", "より", "や", "へ", "でも"])
@pytest.mark.parametrize("word", ["PDF", "15", "「設定」", "（OK）", "x\u200b"])
def test_a_particle_behind_a_word_in_another_script_is_no_word(word: str, particle: str) -> None:
    assert words(f"{word}{particle}送信") == [*words(word), "送信"]
    assert words(f"{word}{particle}") == words(word)


def test_what_follows_another_script_keeps_its_place() -> None:
    text = "（PDF）から15日で返品"
    assert shown(text, analyse(text).words) == [("pdf", "PDF"), ("15", "15"), ("日", "日"), ("返品", "返品")]


def test_the_emptiest_verbs_and_the_honorific_prefix_are_no_words() -> None:
    assert words("御確認をしています") == ["確認"]
    assert words("ご利用") == ["利用"]


def test_a_single_character_between_others_is_its_own_gram() -> None:
    assert grams("鍵") == ["鍵"]
    assert grams("A鍵B") == ["a", "鍵", "b"]


# Size


UNITS = [
    "返品の送料は", "サ", "あ", "ー", "々", "𠮷", "ア―", "ア・", "ﾊﾞ", "か\u3099", "a", "a ", "a-", "a'", "1", "1,000",
    ",000", "ﷺ", "Ａ", "\u200b", "\ud800", " ",
]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_two_hundred_thousand_characters_are_analysed_in_a_moment(unit: str) -> None:
    text = (unit * 200_000)[:200_000]
    began = time.perf_counter()
    analysis = analyse(text)
    assert time.perf_counter() - began < 10
    for tokens in (analysis.words, analysis.grams):
        assert all(end <= len(text) for _, end in tokens.spans)
        assert all(len(term) <= 2 * 64 for term in tokens.terms)


@pytest.mark.parametrize("marks", ["\u0301", "\u0301\u0323", "\u3099", "\ufe0f", "\u200d", "\u20dd", "\uff9e"])
def test_ten_thousand_marks_on_one_letter_are_analysed_in_a_moment(marks: str) -> None:
    text = "a" + marks * (10_000 // len(marks)) + "b か" + marks * 100
    began = time.perf_counter()
    found = analyse(text).words.terms
    assert time.perf_counter() - began < 1
    assert found[0][0] in "aá" or unicodedata.normalize("NFD", found[0])[0] == "a"


def test_two_hundred_thousand_marks_out_of_order_are_analysed_in_a_moment() -> None:
    """Python sorts the marks of one letter in quadratic time: a minute for these."""
    text = "a" + "\u0301" * 100_000 + "\u0323" * 100_000
    began = time.perf_counter()
    analyse(text)
    assert time.perf_counter() - began < 10


def test_the_time_grows_as_the_text_does() -> None:
    """Eight times the text takes about eight times as long; a quadratic analyser would take 64 times."""
    for unit in (
        "返品の送料は誰が払いますか。",
        "How do I reset my password? ",
        "a\u0301\u0323",
        "a" + "\u0301" * 500 + "\u0323" * 500,
    ):
        small, large = (unit * 20_000)[:20_000], (unit * 160_000)[:160_000]
        analyse(small)
        quick = min(_seconds(small) for _ in range(3))
        assert min(_seconds(large) for _ in range(2)) < 24 * max(quick, 0.002)


def _seconds(text: str) -> float:
    began = time.perf_counter()
    analyse(text)
    return time.perf_counter() - began


def test_a_cut_between_two_pieces_for_the_dictionary_loses_no_place() -> None:
    """SudachiPy takes about 49,000 bytes at once: what follows a long run is found where it stands."""
    text = "あ" * 20_000 + "送料"
    found = analyse(text)
    assert shown(text, found.grams)[-1] == ("送料", "送料")
    assert found.words.spans[-1][1] == len(text)


def test_a_word_without_end_is_cut_to_its_head() -> None:
    assert words("x" * 200_000) == ["x" * 64]
    assert words("1" + ",000" * 50_000) == [("1" + "000" * 50)[:64]]
    assert grams("1" + ",000" * 50_000) == [("1" + "000" * 50)[:64]]


# The same everywhere


MIXED = "返品の送料は誰が払いますか？ｻｰﾊﾞｰのe-mail設定、don’t 1,000円 か\u3099 引落し"


def test_eight_threads_get_the_same_result() -> None:
    texts = [MIXED, MIXED[::-1], "パスワードを忘れた場合", "Resetting passwords"]
    expected = [analyse(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(analyse, texts * 100))
    assert found == expected * 100


def test_the_hash_seed_changes_nothing() -> None:
    program = f"from kbsearch.text import analyse, fingerprint; print(ascii(analyse({MIXED!r})), fingerprint())"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            capture_output=True, check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }  # fmt: skip
    assert outputs == {f"{analyse(MIXED)!a} {fingerprint()}\n".encode()}


def test_the_fingerprint_is_stable_and_names_all_that_decides() -> None:
    assert fingerprint() == fingerprint()
    assert f"analyser/{VERSION}" in fingerprint()
    for package in ("SudachiDict-core", "SudachiPy", "PyStemmer"):
        assert f"{package.lower()}/{metadata.version(package)}" in fingerprint()


@pytest.mark.parametrize(
    ("apart", "together"), [("iPhone 15", "iPhone15"), ("５００ GB", "500GB"), ("1,000 GB", "1000GB")]
)
def test_letters_and_digits_meet_with_and_without_a_space(apart: str, together: str) -> None:
    assert set(grams(apart)) <= set(grams(together))


def test_the_terms_of_this_version_are_pinned() -> None:
    """What comes out changes only with VERSION: raise it, then change these terms."""
    assert VERSION == 3
    text = "さーばーの引落し、Wi-Fi"
    assert words(text) == ["ばあ", "引き落とし", "wi", "fi"]
    assert grams(text) == ["さー", "ーば", "ばー", "ーの", "の引", "引落", "落し", "wi", "wifi", "fi"]
