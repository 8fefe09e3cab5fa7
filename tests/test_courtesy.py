"""What is asked behind the politeness: what goes, what stays, and junk of any size."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kbsearch.courtesy import without_courtesy

JAPANESE = [
    ("こんにちは。返品の送料は誰が払いますか。", "返品の送料は誰が払いますか。"),
    (
        "いつもお世話になっております。返品の送料は誰が払いますか。よろしくお願いいたします。",
        "返品の送料は誰が払いますか。",
    ),
    ("はじめまして。ログインできません。ご教示いただけますと幸いです。", "ログインできません。"),
    ("すみません、パスワードを忘れました。", "パスワードを忘れました。"),
    ("何度もすみません。返品したいです", "返品したいです"),
    ("夜分に失礼いたします。配送日を変えたいです。", "配送日を変えたいです。"),
    ("質問です。ギフト包装はできますか？", "ギフト包装はできますか？"),
    ("ありがとうございます。注文を取り消せますか", "注文を取り消せますか"),
    ("お聞きしたいのですが、領収書は出ますか", "領収書は出ますか"),
    ("お手数をおかけしますが、配送先を変更してください", "配送先を変更してください"),
    ("送料はいくらですか。お手数をおかけしますが、よろしくお願いいたします。", "送料はいくらですか。"),
    ("送料はいくらですか。お手数をおかけして申し訳ありません。", "送料はいくらですか。"),
    ("ご確認のほどよろしくお願いいたします。注文番号12の件です", "注文番号12の件です"),
    ("お忙しいところ恐れ入りますが、請求書の再発行の方法を教えていただけますでしょうか。", "請求書の再発行の方法"),
    ("すみませんが、パスワードの再設定について教えてください。", "パスワードの再設定"),
    ("返品の期限について詳しく教えてください！", "返品の期限"),
    ("配送日数について知りたいです", "配送日数"),
    ("領収書の宛名についてお聞きしたいのですが", "領収書の宛名"),
    ("ギフト包装の料金をご案内いただけますか。", "ギフト包装の料金"),
    ("解約の手順を説明してほしい", "解約の手順"),
    ("送料を教えてもらえると助かります", "送料"),
]

CLOSED = [
    "の方法を教えてください",
    "の方法を教えてください。",
    "の方法を教えて下さい！",
    "の方法を教えていただけますか？",
    "の方法を教えていただけませんでしょうか。",
    "の方法をご教示ください。",
    "の方法について教えてほしいです",
    "の方法が知りたい",
    "の方法を知りたいのですが",
    "の方法についてお伺いしたいと思います。",
]

ENGLISH = [
    ("Hello, could you please tell me how to reset my password? Thank you in advance!", "how to reset my password?"),
    ("Hi there, how do I return an item?", "how do I return an item?"),
    ("hello how do I return an item", "how do I return an item"),
    ("Good morning. Can you tell me about delivery times?", "delivery times?"),
    ("I would like to know how to cancel my order. Thanks!", "how to cancel my order."),
    ("Dear team, I have a question. Where is my invoice? Best regards", "Where is my invoice?"),
    ("Please tell me how to change the address.", "how to change the address."),
    ("I'm wondering about gift wrapping", "gift wrapping"),
    ("Sorry to bother you, but where is my parcel?", "where is my parcel?"),
    ("Sorry but where is my parcel?", "where is my parcel?"),
    ("Excuse me, could you explain the return policy?", "the return policy?"),
    ("Would you be so kind as to explain the warranty?", "the warranty?"),
    ("Can you explain to me how returns work?", "how returns work?"),
    ("Where is my invoice? Looking forward to hearing from you.", "Where is my invoice?"),
    ("WHERE IS MY INVOICE? THANK YOU VERY MUCH", "WHERE IS MY INVOICE?"),
    ("My order is lost. Please help.", "My order is lost."),
]

WHOLE = [
    "定期便について知りたいのですが、いつ解約できますか",
    "領収書について伺いたいのですが宛名は変更できますか？",
    "支払い方法を聞きたいのですが、PayPayは使えますか",
    "電話番号を教えてください、急いでいます",
    "",
    "?",
    "。",
    "教えてください",
    "教えてください。",
    "ご案内ください",
    "ありがとうございます",
    "すみません、",
    "こんにちは。よろしくお願いします。",
    "お詫びの書き方",
    "お礼のメールの書き方",
    "すみませんの言い換え",
    "「ありがとうございます」の英語",
    "お世話になっておりますの使い方",
    "よろしくお願いしますと書くべきですか",
    "お客様に電話番号を教えてくださいと言われた",
    "返品の送料は誰が払いますか",
    "できますか？できませんか？",
    "送料について",
    "Thank you",
    "Thanks!",
    "Hello",
    "please",
    "Can you tell me",
    "Can you help me?",
    "How do I apologise to a customer?",
    "How to say thank you to a customer",
    "Is sorry enough?",
    "Sorry message wording",
    "dear customer template",
    "help menu",
    "history of my orders",
    ".NET framework",
    "v1.2.3 の設定",
    "file.txt の保存",
    "1.000,50 EUR",
]


@pytest.mark.parametrize(("question", "bare"), JAPANESE)
def test_japanese_courtesy_goes_and_the_question_stays(question: str, bare: str) -> None:
    assert without_courtesy(question) == bare


@pytest.mark.parametrize(("question", "bare"), ENGLISH)
def test_english_courtesy_goes_and_the_question_stays(question: str, bare: str) -> None:
    assert without_courtesy(question) == bare


@pytest.mark.parametrize("question", WHOLE)
def test_a_question_about_courtesy_or_of_nothing_else_stays_whole(question: str) -> None:
    assert without_courtesy(question) == question


@pytest.mark.parametrize("closing", CLOSED)
def test_what_closes_a_question_goes_up_to_what_is_asked(closing: str) -> None:
    assert without_courtesy(f"返品{closing}") == "返品の方法"


def test_of_several_polite_sentences_those_stay_that_say_something() -> None:
    question = (
        "いつもお世話になっております。先週注文した鍋が届きません。"
        "お忙しいところ恐れ入りますが、ご確認をお願いいたします。"
        "また、領収書の宛名を変える方法を教えていただけますでしょうか。何卒よろしくお願い申し上げます。"
    )
    bare = without_courtesy(question)
    assert "先週注文した鍋が届きません。" in bare
    assert bare.endswith("領収書の宛名を変える方法")
    assert "お世話" not in bare
    assert "何卒" not in bare


def test_no_question_is_lost_between_two_requests() -> None:
    """Only the last sentence is closed: the one before it asks for something, too."""
    assert without_courtesy("返品について教えてください。交換について教えてください。") == (
        "返品について教えてください。交換"
    )
    assert without_courtesy("返品を知りたいのですが。交換は？") == "返品を知りたいのですが。交換は？"


def test_an_apology_does_not_take_the_question_behind_it_along() -> None:
    question = "ログインできません。お手数をおかけして恐縮ですが、パスワードの再設定の方法を教えてください。"
    assert without_courtesy(question).endswith("パスワードの再設定の方法")


def test_lines_are_sentences() -> None:
    assert without_courtesy("お世話になっております。\n返品の期限は？\nよろしくお願いします") == "返品の期限は？"
    assert without_courtesy("Hello\n\nWhere is my order\n\nThanks") == "Where is my order"


@pytest.mark.parametrize("question", [*(bare for _, bare in JAPANESE), *(bare for _, bare in ENGLISH), *WHOLE])
def test_what_is_bare_stays_as_it_is(question: str) -> None:
    assert without_courtesy(question) == question


PIECES = [
    "すみません", "教えてください", "について", "知りたい", "お手数をおかけして", "よろしくお願いします", "返品", "の",
    "、", "。", "？", "\n", " ", "　", ".", ",", "!", "'", "\ud800", "\0", "İ", "１", "ﾄﾞ",
    "hello", "sorry", "dear", "please", "could you", "tell me", "about", "thank you", "order",
]  # fmt: skip
TEXTS = st.one_of(st.text(), st.text(st.characters()), st.lists(st.sampled_from(PIECES), max_size=25).map("".join))


@settings(max_examples=600, deadline=None)
@given(TEXTS)
@example("".join(PIECES))
@example("\ud800。\ud800")
def test_something_of_the_question_stays_and_nothing_is_added(question: str) -> None:
    bare = without_courtesy(question)
    assert bare == question or sum(char.isalnum() for char in bare) > 1
    rest = iter(question)
    assert all(char in rest for char in bare), "a part of the question, in its order"


HOSTILE = [
    "すみません、" * 20_000,
    "すみません。" * 20_000,
    "a. " * 30_000,
    " " * 50_000 + "x",
    "x" + " " * 100_000 + "y",
    "." * 100_000,
    "a." * 50_000,
    "。" * 100_000,
    "\n" * 100_000 + "x",
    "hello, " * 15_000 + "x",
    "hello " * 15_000 + "x",
    "sorry" + "," * 100_000 + "x",
    "dear " * 20_000,
    "could you " + "please " * 15_000,
    "'a" * 50_000,
    "について" * 25_000,
    "教えてください " * 12_000 + "x",
    "教えてください" + "、" * 100_000,
    "知りたい" + " " * 100_000 + "x",
    ("知りたい" + " " * 100) * 1000 + "x",
    "お手数をおかけして" * 10_000,
    "質問です" + "が" * 100_000,
    "お忙しいところ" * 15_000,
    "いつも" * 30_000,
]


@pytest.mark.parametrize("question", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hundred_thousand_characters_take_a_moment(question: str) -> None:
    began = time.perf_counter()
    bare = without_courtesy(question)
    assert time.perf_counter() - began < 5
    assert bare
