"""Variants of questions: what each kind changes, what it leaves alone, and that the same seed gives the same."""

from __future__ import annotations

import re
import time
import unicodedata

import jaconv
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kbsearch.perturb import _HEPBURN, _KUNREI, PERTURBATIONS, _keys, variants
from kbsearch.text import morphemes

PIECES = [
    "返品", "送料", "の", "を", "は", "サーバー", "ｻｰﾊﾞｰ", "お問い合わせ", "受け取る", "申込", "届きません", "ない",
    "か", "何日", "３日", "。", "？", "」", "、", "・", "か\u3099ぎ", "人々", "〇", "ー", "ッ", "𠮷", "龘",
    "password ", "Wi-Fi ", "C++", "don’t ", "how ", "1,000円", "ß", "ﷺ", " ", "\n", "　", "\u200b", "\ud800", "\0",
    "👍", "{}", "%s", "…",
]  # fmt: skip
TEXTS = st.one_of(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.text(max_size=40))


def drawn(kind: str, question: str) -> set[str]:
    """Everything that a kind makes of a question, over many seeds."""
    return {made for seed in range(200) if (made := variants(question, seed).get(kind)) is not None}


# Each kind


@pytest.mark.parametrize(
    ("kind", "question", "expected"),
    [
        ("kana word", "返品について", {"へんぴんについて"}),
        ("kana word", "返品の送料", {"へんぴんの送料", "返品のそうりょう"}),
        ("kana word", "利用料金", {"りよう料金", "利用りょうきん", "りようりょうきん"}),  # a compound in part or whole
        ("kana word", "請求書です", {"せいきゅうしょです"}),  # never せいきゅう書: they are converted together
        ("kana word", "申し込んだ", {"もうしこんだ"}),
        ("kana word", "届いた", {"とどいた"}),
        ("kana word", "再発行", {"さいはっこう"}),
        (
            "kana word",
            "３日と何日と何時と日",
            set(),
        ),  # the number decides how a counter is read, and one kana is too short
        ("kana word", "サーバーとパスワード", set()),
        ("katakana as hiragana", "サーバーを借りる", {"さーばーを借りる"}),
        ("katakana as hiragana", "ｻｰﾊﾞｰを借りる", {"さーばーを借りる"}),
        ("katakana as hiragana", "ログとサーバー", {"ログとさーばー"}),
        ("half width", "サーバーの料金", {"ｻｰﾊﾞｰの料金"}),
        ("half width", "ｻｰﾊﾞｰの料金", set()),
        ("half width", "料金", set()),
        ("full width", "PDFを3枚", {"ＰＤＦを３枚"}),
        ("full width", "ＰＤＦ", set()),
        ("long vowel dropped", "サーバーの料金", {"サーバの料金"}),
        ("long vowel dropped", "ユーザー", {"ユーザ"}),
        ("long vowel dropped", "コピーとメールとサーバー", {"コピーとメールとサーバ"}),
        ("long vowel dropped", "スケール", {"スケル"}),
        ("long vowel dropped", "コピー", set()),
        ("okurigana", "引き落とし日", {"引落し日", "引落日"}),
        ("okurigana", "申し込みの期限", {"申込みの期限", "申込の期限"}),
        ("okurigana", "取り消し", {"取消し", "取消"}),
        ("okurigana", "支払い方法", {"支払方法"}),
        ("okurigana", "手続き", {"手続"}),
        ("okurigana", "打ち合わせ", {"打合せ", "打合わせ", "打ち合せ"}),
        ("okurigana", "切り替え", {"切替え", "切替"}),
        ("okurigana", "見積もりをください", {"見積りをください", "見積をください"}),
        ("okurigana", "受け取る", {"受取る"}),
        ("okurigana", "申し込んだ", {"申込んだ"}),
        ("okurigana", "申込書", {"申し込み書"}),
        ("okurigana", "振込先", {"振り込み先"}),
        ("okurigana", "問合せ先", {"問い合わせ先"}),
        ("okurigana", "食べ物と見直しと思い出と送り先", set()),  # 食物 is another word, 見直 and 思出 are none
        ("okurigana", "使い始める", set()),
        ("keywords", "返品の送料はいくらですか", {"返品 送料 いくら"}),
        ("keywords", "送料無料になる条件", {"送料無料 条件"}),
        ("keywords", "AWSの料金を確認したい", {"AWS 料金 確認"}),
        ("keywords", "お金を戻してほしい", {"お金 戻す"}),
        ("keywords", "商品が届きません", {"商品 届きません"}),
        ("keywords", "データが表示されなかった", {"データ 表示されない"}),
        ("keywords", "荷物が届いていない", {"荷物 届いていない"}),
        ("keywords", "解約方法を教えてください", {"解約方法"}),
        ("keywords", "受け取りの期限、延ばせる？", {"受け取り 期限 延ばせる"}),
        ("keywords", "返品", set()),
        ("keywords", "How do I reset my password?", {"reset password"}),
        ("keywords", "who are you?", set()),
        ("wrong IME", "料金を", {"ryoukinnを"}),
        ("wrong IME", "返品", {"henpinn"}),
        ("wrong IME", "サーバー", {"sa-ba-"}),
        ("wrong IME", "ファイルが", {"fairuが"}),
        ("wrong IME", "クレジット", {"kurejitto", "kurezitto"}),
        ("wrong IME", "行った", {"itta"}),  # with its ending, in one go
        ("wrong IME", "翻訳", {"honnyaku"}),
        ("wrong IME whole", "返品は、どこへ？", {"henpinha,dokohe?"}),
        ("wrong IME whole", "PDFを開けない", {"PDFwoakenai"}),
        ("wrong IME whole", "社", {"sya", "sha"}),
        ("wrong IME whole", "返品" * 21, set()),
        ("wrong IME whole", "reset", set()),
    ],
)
def test_makes_exactly_these_variants(kind: str, question: str, expected: set[str]) -> None:
    assert drawn(kind, question) == expected


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("返品の送料", "恐れ入りますが、返品の送料を教えていただけますでしょうか。"),
        ("料金を確認する", "すみません、料金を確認する方法がわからないので教えてください。"),
        ("プランを変更", "お世話になっております。プランを変更する方法について教えていただけますでしょうか。"),
        ("エラーが出る", "お世話になっております。エラーが出るのですが、どうすればよいでしょうか。"),
        ("解約したい", "お世話になっております。解約したいのですが、どうすればよいでしょうか。"),
        ("解約したいのですが", "お世話になっております。解約したいのですが、どうすればよいでしょうか。"),
        (
            "クーポンは何枚使える",
            "お忙しいところ恐れ入ります。クーポンは何枚使えるのでしょうか。ご教示いただけますと幸いです。",
        ),
        ("どこにあるか見たい", "恐れ入ります。どこにあるか見たいのですが、教えていただけますでしょうか。"),
        ("解約できますか", "お忙しいところ恐れ入ります。解約できますか。ご教示いただけますと幸いです。"),
        ("解約できる？", "お忙しいところ恐れ入ります。解約できる?ご教示いただけますと幸いです。"),
        ("商品が届きません。", "お世話になっております。商品が届きません。どうぞよろしくお願いいたします。"),
        ("解約は", "「解約は」について知りたいのですが、どうすればよいでしょうか。"),
        ("How do I cancel?", "Hello, could you please tell me: How do I cancel? Thank you in advance!"),
        ("how do I cancel", "Hello, could you please tell me: how do I cancel? Thank you in advance!"),
        ("Cancellation", "Hi, could you please help me with this? Cancellation. Many thanks."),
    ],
)
def test_polite_frames_fit_the_grammar_of_the_question(question: str, expected: str) -> None:
    assert expected in drawn("polite", question)


def test_a_question_that_is_a_sentence_is_never_put_inside_another() -> None:
    assert all("解約できますか。" in made for made in drawn("polite", "解約できますか"))


@pytest.mark.parametrize(
    ("question", "some", "never"),
    [
        (
            "password を忘れた",
            {"passwrod を忘れた", "pasword を忘れた", "passsword を忘れた", "passwird を忘れた"},
            "assword を忘れた",
        ),
        ("サーバー", {"サバー", "サーハー", "サーパー", "サーバ"}, "サバーー"),
        ("チケット", {"チケツト", "チケッド", "チゲット", "チケト"}, "ヂケット"),
    ],
)
def test_a_typing_mistake_is_one_and_spares_the_first_letter(question: str, some: set[str], never: str) -> None:
    made = drawn("typo", question)
    assert some <= made
    assert never not in made
    assert {word[0] for word in made} == {question[0]}


def test_there_is_no_typing_mistake_in_kanji_or_short_words() -> None:
    assert drawn("typo", "返品の送料とPDFとコピー") == set()


# What is typed with the IME off


@given(st.lists(st.sampled_from([*_KUNREI, "っ", "ん"]), min_size=1, max_size=8).map("".join))
@example("こんやく")
@example("こんにゃく")
@example("まっちゃ")
@example("ほんをよんだ")
@example("っ")
@settings(max_examples=500, deadline=None)
def test_keys_read_back_as_the_same_kana(kana: str) -> None:
    kana = re.sub("ん+", "ん", kana)
    for table in (_KUNREI, _HEPBURN):
        keys = _keys(kana, table)
        assert keys.isascii()
        # an IME reads nny as んy; jaconv joins the second n to the y unless told
        assert jaconv.alphabet2kana(re.sub("(?<!n)nn(?=y)", "n'", keys)) == kana


@pytest.mark.parametrize("question", ["返品の送料を確認したい", "結婚式の引き出物を学校へ", "十分な雑誌", "金融の翻訳"])
def test_keys_of_real_readings_read_back(question: str) -> None:
    for part in morphemes(question):
        for table in (_KUNREI, _HEPBURN):
            assert jaconv.alphabet2kana(_keys(part.reading, table).replace("nny", "n'y")) == part.reading


# All kinds together


def test_names_come_in_their_order() -> None:
    made = variants("サーバーの支払い方法とPDFを教えてください")
    assert list(made) == [name for name in PERTURBATIONS if name in made]
    assert set(made) == set(PERTURBATIONS)


def test_the_same_seed_gives_the_same_variants_everywhere() -> None:
    """Written out: a change of the draw changes the figures that people compare."""
    assert variants("サーバーの支払い方法とPDFの保存") == {
        "kana word": "サーバーのしはらいほうほうとPDFの保存",
        "katakana as hiragana": "さーばーの支払い方法とPDFの保存",
        "half width": "ｻｰﾊﾞｰの支払い方法とPDFの保存",
        "full width": "サーバーの支払い方法とＰＤＦの保存",
        "long vowel dropped": "サーバの支払い方法とPDFの保存",
        "okurigana": "サーバーの支払方法とPDFの保存",
        "polite": "すみません、サーバーの支払い方法とPDFの保存がわからないので教えてください。",
        "keywords": "サーバー 支払い方法 PDF 保存",
        "typo": "サバーの支払い方法とPDFの保存",
        "wrong IME": "サーバーの支払いhouhouとPDFの保存",
        "wrong IME whole": "sa-ba-nosiharaihouhoutoPDFnohozonn",
    }


def test_another_seed_makes_other_choices() -> None:
    assert len(drawn("kana word", "返品の送料と交換の手数料")) > 2


@pytest.mark.parametrize("question", ["", " ", "\n", "👍", "😢👍", "。？", "---", "…"])
def test_without_letters_there_is_nothing_to_vary(question: str) -> None:
    assert variants(question) == {}


def test_digits_alone_have_a_full_width_form_only() -> None:
    assert variants("2024") == {"full width": "２０２４"}


def test_what_is_not_touched_keeps_its_case_and_its_symbols() -> None:
    assert variants("AzureのIDが👍")["wrong IME whole"] == "AzurenoIDga👍"


@pytest.mark.parametrize(
    "unit", ["返品の送料とサーバーの引き落とし。", "龘", "ー", "サ", "password ", "引き", "ん", "a'"]
)
def test_ten_thousand_characters_take_seconds_at_most(unit: str) -> None:
    began = time.monotonic()
    variants((unit * 10_000)[:10_000])
    assert time.monotonic() - began < 10


@given(TEXTS, st.integers())
@example("\ud800返品", 0)
@example("{}を{0}", 0)
@settings(max_examples=300, deadline=None)
def test_any_text_is_varied_alike_twice_and_never_into_itself(question: str, seed: int) -> None:
    made = variants(question, seed)
    assert made == variants(question, seed)
    assert set(made) <= set(PERTURBATIONS)
    for variant in made.values():
        assert variant not in ("", question, unicodedata.normalize("NFKC", question))
