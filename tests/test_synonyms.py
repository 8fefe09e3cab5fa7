"""Words that mean the same: the file that editors write, phrases found in a question, what a build makes of it."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import ARTICLES, FAKE, FakeEncoder, write_articles
from hypothesis import given
from hypothesis import strategies as st

from kbsearch.builder import build
from kbsearch.config import FILE_NAME
from kbsearch.errors import ConfigError, IndexCorrupt
from kbsearch.query import MAX_QUERY_CHARS, prepare
from kbsearch.quotes import QuoteIndex
from kbsearch.rank import MODES
from kbsearch.search import KnowledgeBase
from kbsearch.store import Store
from kbsearch.synonyms import FILE_NAME as SYNONYMS
from kbsearch.synonyms import MAX_WORDINGS, Synonyms, parse_synonyms

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import RunKbsearch

    from kbsearch.overviews import BuildReport


# The file


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", {}),
        ("返品, 返却\n", {"返品": ("返却",), "返却": ("返品",)}),
        ("C#, シーシャープ # ours", {"C#": ("シーシャープ",), "シーシャープ": ("C#",)}),
        ("＃ 退会\n退会 ＝＞ 解約", {"退会": ("解約",)}),
        ("退会 -> 解約", {"退会": ("解約",)}),
        (
            "返品, 返却, 送り返す",
            {"返品": ("返却", "送り返す"), "返却": ("返品", "送り返す"), "送り返す": ("返品", "返却")},
        ),
        ("スマホ => スマートフォン, 携帯電話", {"スマホ": ("スマートフォン", "携帯電話")}),
        ("スマホ, ケータイ => 携帯電話", {"スマホ": ("携帯電話",), "ケータイ": ("携帯電話",)}),
        ("スマホ⇒携帯電話", {"スマホ": ("携帯電話",)}),
        ("スマホ→携帯電話", {"スマホ": ("携帯電話",)}),
        ("返品，返却", {"返品": ("返却",), "返却": ("返品",)}),
        ("返品、返却", {"返品": ("返却",), "返却": ("返品",)}),
        ("  返品\t,  返却  ", {"返品": ("返却",), "返却": ("返品",)}),
        ("返品, 返却,", {"返品": ("返却",), "返却": ("返品",)}),
        ("無線 LAN, wi-fi", {"無線 LAN": ("wi-fi",), "wi-fi": ("無線 LAN",)}),
        ("# すべて\n\n   \n返品, 返却 # 同じ意味\n", {"返品": ("返却",), "返却": ("返品",)}),
        ("\ufeff返品, 返却", {"返品": ("返却",), "返却": ("返品",)}),
        ("返品, 返却\r\nスマホ => 携帯\r\n", {"返品": ("返却",), "返却": ("返品",), "スマホ": ("携帯",)}),
        ("返品, 返却\n返品 => 返送\n返却, 返品", {"返品": ("返却", "返送"), "返却": ("返品",)}),
        ("返品 => 返品, 返却", {"返品": ("返却",)}),
    ],
)
def test_the_format(text: str, rules: dict[str, tuple[str, ...]]) -> None:
    assert parse_synonyms(text, "synonyms.txt") == rules


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("返品 =>", "expected “返品, 返却” (a group)"),
        ("=> 返品", "expected"),
        ("=>", "expected"),
        ("返品", "expected"),
        (",", "expected"),
        ("スマホ => 携帯 => 電話", "expected"),
        ("返品, ！？", "“！？” holds no word"),
        ("返品 => …", "“…” holds no word"),
        ("返品, " + "長" * 101, f"“{'長' * 20}…” is longer than 100 characters"),
    ],
)
def test_an_error_names_the_file_and_the_line(line: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_synonyms(f"# 見出し\n\n返品, 返却\n{line}\n", "kb/synonyms.txt")
    assert raised.value.source == "kb/synonyms.txt:4"
    assert says in str(raised.value)


def test_a_phrase_of_a_hundred_characters_is_short_enough() -> None:
    assert parse_synonyms(f"返品, {'長' * 100}", "f").keys() == {"返品", "長" * 100}


# A question


def asked(text: str, question: str) -> list[str]:
    return Synonyms(parse_synonyms(text, "f")).wordings(question)


@pytest.mark.parametrize(
    ("rules", "question", "wordings"),
    [
        ("返品, 返却", "返却の送料は？", ["返品の送料は？"]),
        ("返品, 返却", "返品を返却する", ["返却を返品する"]),
        ("返品, 返却", "返却返却", ["返品返品"]),
        ("返品, 返却", "交換の送料は？", []),
        ("返品, 返却", "", []),
        ("", "返却の送料は？", []),
        # One way only
        ("スマホ => 携帯電話", "スマホを変える", ["携帯電話を変える"]),
        ("スマホ => 携帯電話", "携帯電話を変える", []),
        # Each of the others in turn
        ("返品, 返却, 返送", "返品の送料", ["返却の送料", "返送の送料"]),
        ("返品, 返却, 返送\n送料, 運賃", "返品の送料", ["返却の運賃", "返送の運賃"]),
        # Spelling variants, widths and capitals
        ("払い戻し, 返金", "払戻しの期限", ["返金の期限"]),
        ("パス, 通行証", "ﾊﾟｽの期限", ["通行証の期限"]),
        ("Wi-Fi => 無線LAN", "ＷＩ－ＦＩの設定", ["無線LANの設定"]),
        ("無線LAN => Wi-Fi", "無線lanの設定", ["Wi-Fi の設定"]),
        ("login => サインイン", "Logins fail", ["サインイン fail"]),
        # Cut elsewhere in the question than by itself
        ("ログイン => サインイン", "ろぐいんできない", ["サインインできない"]),
        # Not inside other words
        ("art => painting", "start the car", []),
        ("art => painting", "The art of it", ["The  painting  of it"]),
        ("パス => 通行証", "パスワードを忘れた", []),
        ("パス => 通行証", "パスワードとパス", ["パスワードと通行証"]),
        ("Sサイズ => 小さい", "XSサイズはありますか", []),
        ("Sサイズ => 小さい", "Sサイズはありますか", ["小さいはありますか"]),
        ("京都 => 洛中", "東京都の天気", []),
        ("京都 => 洛中", "東京都から京都へ", ["東京都から洛中へ"]),
        # The longest
        ("ログイン, サインイン\nログイン画面 => 入口", "ログイン画面とログイン", ["入口とサインイン"]),
        ("無線 => 電波\n無線LAN => Wi-Fi", "無線LANの設定", ["Wi-Fi の設定"]),
        ("password reset => 再設定\npassword => 合言葉", "password reset fails", ["再設定 fails"]),
    ],
)
def test_wordings(rules: str, question: str, wordings: list[str]) -> None:
    assert asked(rules, question) == wordings


def test_there_are_no_more_than_so_many_wordings() -> None:
    others = ["携帯", "電話", "端末", "機種", "本体"]
    assert asked(f"スマホ => {', '.join(others)}", "スマホの色") == [f"{other}の色" for other in others[:MAX_WORDINGS]]


questions = st.text(st.sampled_from("返品却送料のはパスワードａrt Wi-fi。？\u3099\uff9e"), max_size=30)


@given(questions)
def test_any_question_has_wordings_that_keep_what_is_no_phrase(question: str) -> None:
    found = asked("返品, 返却\nパス => 通行証\nart, painting\nWi-Fi, 無線LAN", question)
    assert len(found) <= 1
    for wording in found:
        assert wording != question
        assert [char for char in wording if char in "送料の？。"] == [char for char in question if char in "送料の？。"]


def test_ten_thousand_rules_are_loaded_and_a_question_is_answered(
    articles: Path, index: Path, fake_encoder: FakeEncoder
) -> None:
    """In a second or two, and a question of ten thousand characters full of phrases as well."""
    assert fake_encoder
    lines = [f"用語{number}番, 言葉{number}番" for number in range(9_999)]
    write_articles(articles, {SYNONYMS: "\n".join([*lines, "返却, 返品"])})
    started = time.perf_counter()
    assert build(articles, index, encoder=FAKE).published
    kb = KnowledgeBase.open(index)
    assert kb.search("返却の送料は誰が払いますか").hits[0].article_id == "returns"
    assert time.perf_counter() - started < 30
    started = time.perf_counter()
    query = kb.prepare("返却と用語77番、" * 1_100)
    assert time.perf_counter() - started < 30
    assert query.wordings[1].text.startswith("返品と言葉77番、返品と")
    assert max(len(way.text) for way in query.wordings) <= MAX_QUERY_CHARS


# A build


@pytest.fixture
def grown(articles: Path, rebuild: Callable[[], BuildReport]) -> Callable[[str | bytes | None], BuildReport]:
    """Write, or remove, the synonyms of the test's own articles and build."""

    def grow(text: str | bytes | None) -> BuildReport:
        if text is None:
            (articles / SYNONYMS).unlink()
        else:
            write_articles(articles, {SYNONYMS: text})
        return rebuild()

    return grow


def found(index: Path, question: str, **options: Any) -> list[str]:
    return [hit.article_id for hit in KnowledgeBase.open(index).search(question, **options).hits]


def test_the_file_in_the_folder_of_articles_is_taken_up_by_itself(
    index: Path, grown: Callable[[str | bytes | None], BuildReport]
) -> None:
    """返却 stands in no article; each mode then finds by it what it finds by 返品."""
    assert found(index, "返却", mode="lexical") == []
    before = found(index, "返品", mode="lexical")
    report = grown("返品, 返却\n")
    assert report.published
    assert report.warnings == ()
    assert found(index, "返却", mode="lexical") == before
    assert "shop/deadline" in before
    for mode in MODES:
        assert found(index, "返却の期限", mode=mode) == found(index, "返品の期限", mode=mode)


def test_a_phrase_counts_as_much_as_the_one_it_stands_for(
    index: Path, grown: Callable[[str | bytes | None], BuildReport]
) -> None:
    grown("返却 => 返品\n")
    kb = KnowledgeBase.open(index)
    query = kb.prepare("返却の送料")
    assert [way.text for way in query.wordings] == ["返却の送料", "返品の送料"]
    assert query.understood is None
    assert all(way.vector is not None for way in query.wordings)
    one, other = (kb.search(question, mode="lexical").hits[0] for question in ("返却の送料", "返品の送料"))
    assert one.article_id == other.article_id == "returns"
    assert "返品" in [one.snippet[start:end] for start, end in one.marks]


def test_a_changed_file_of_synonyms_alone_publishes_and_encodes_nothing(
    index: Path, grown: Callable[[str | bytes | None], BuildReport], fake_encoder: FakeEncoder
) -> None:
    fake_encoder.encoded.clear()
    generations = [KnowledgeBase.open(index).generation]
    for text in ("返品, 返却\n", "返品, 返却, 突き返す\n", None):
        report = grown(text)
        assert report.published
        assert (report.added, report.changed, report.removed) == ((), (), ())
        generations.append(report.generation)
        assert bool(found(index, "突き返す", mode="lexical")) is (text is not None and "突き返す" in text)
    assert len(set(generations)) == 4
    assert fake_encoder.encoded == []


def test_the_same_rules_in_other_words_publish_nothing(
    grown: Callable[[str | bytes | None], BuildReport], rebuild: Callable[[], BuildReport]
) -> None:
    assert grown("返品, 返却\n").published
    assert not rebuild().published
    assert not grown("\ufeff# 同じ\r\n返品、返却 # ここも\r\n").published


@pytest.mark.parametrize(
    ("raw", "line", "says"),
    [
        ("返品, 返却\nスマホ =>\n".encode(), 2, "expected"),
        ("返品, 返却\nスマホ => 携帯".encode("shift_jis"), 1, "this is not UTF-8"),
        ("返品, 返却\n".encode() + b"\xff\xfe", 2, "this is not UTF-8"),
    ],
)
def test_a_wrong_file_stops_the_build_and_leaves_the_index(
    articles: Path, index: Path, grown: Callable[[str | bytes | None], BuildReport], raw: bytes, line: int, says: str
) -> None:
    before = KnowledgeBase.open(index).generation
    with pytest.raises(ConfigError) as raised:
        grown(raw)
    assert raised.value.source == f"{articles / SYNONYMS}:{line}"
    assert says in str(raised.value)
    assert KnowledgeBase.open(index).generation == before


def test_a_file_that_was_named_must_be_there(articles: Path, index: Path, fake_encoder: FakeEncoder) -> None:
    assert fake_encoder
    with pytest.raises(ConfigError, match="cannot read the synonyms") as raised:
        build(articles, index, encoder=FAKE, synonyms=articles / "missing.txt")
    assert raised.value.source == str(articles / "missing.txt")


def test_a_file_that_was_named_takes_the_place_of_that_in_the_folder(
    articles: Path, index: Path, tmp_path: Path, fake_encoder: FakeEncoder
) -> None:
    assert fake_encoder
    write_articles(articles, {SYNONYMS: "返品, 返却\n"})
    (tmp_path / "mine.txt").write_text("返品, 返送\n", "utf-8")
    assert build(articles, index, encoder=FAKE, synonyms=tmp_path / "mine.txt").published
    assert found(index, "返却", mode="lexical") == []
    assert "shop/deadline" in found(index, "返送", mode="lexical")


def test_a_build_with_synonyms_over_others_is_that_of_an_empty_folder(
    articles: Path, index: Path, grown: Callable[[str | bytes | None], BuildReport], tmp_path: Path
) -> None:
    grown("返品, 返却\n")
    build(articles, tmp_path / "fresh", encoder=FAKE)
    now, fresh = (Store(folder).open() for folder in (index, tmp_path / "fresh"))
    assert now.files.synonyms.read_bytes() == fresh.files.synonyms.read_bytes()
    assert now.manifest["fingerprints"] == fresh.manifest["fingerprints"]
    assert now.manifest["calibration"] == fresh.manifest["calibration"]
    now.close()
    fresh.close()


# The command line


@pytest.fixture
def centre(kb_articles: Path, tmp_path: Path) -> Path:
    shutil.copytree(kb_articles, tmp_path / "articles")
    (tmp_path / "mine.txt").write_text("返品, 返却\n", "utf-8")
    (tmp_path / "wrong.txt").write_text("返品\n", "utf-8")
    return tmp_path


def hits(kbsearch: RunKbsearch, question: str) -> int:
    answer = kbsearch("search", question, "--mode", "lexical", "--json")
    assert answer.returncode == 0, answer.stderr
    return len(json.loads(answer.stdout)["hits"])


def test_the_option_the_variable_and_the_setting_name_the_file(centre: Path, kbsearch: RunKbsearch) -> None:
    """An option wins over the environment, that over kbsearch.toml."""
    settings = centre / FILE_NAME
    ways: list[tuple[str, list[str], dict[str, str]]] = [
        ("", ["--synonyms", "mine.txt"], {"KBSEARCH_SYNONYMS": "wrong.txt"}),
        ('synonyms = "wrong.txt"\n', [], {"KBSEARCH_SYNONYMS": "mine.txt"}),
        ('synonyms = "mine.txt"\n', [], {}),
    ]
    for text, options, environment in ways:
        settings.write_text(text, "utf-8")
        assert kbsearch("build", "--full").returncode == (13 if "wrong" in text else 0)
        built = kbsearch("build", *options, **environment)
        assert built.returncode == 0, built.stderr
        assert hits(kbsearch, "返却") > 0
        shutil.rmtree(centre / "indexes")


def test_a_wrong_file_is_named_with_its_line_on_the_command_line(centre: Path, kbsearch: RunKbsearch) -> None:
    built = kbsearch("build", "--synonyms", "wrong.txt")
    assert built.returncode == 13
    assert "wrong.txt:1" in built.stderr
    assert "Traceback" not in built.stderr
    assert not (centre / "indexes" / "help" / "CURRENT").exists()


# A damaged index


@pytest.mark.parametrize("damage", [b"{", b"[1, 2, 3]", b"{\xff}", b'{"a": 1}', b"null"])
def test_damaged_rules_are_damage_of_the_index(
    index: Path, grown: Callable[[str | bytes | None], BuildReport], damage: bytes
) -> None:
    grown("返品, 返却\n")
    kb = KnowledgeBase.open(index)
    file = kb.snapshot.generation.files.synonyms
    file.write_bytes(damage.ljust(file.stat().st_size))
    with pytest.raises(IndexCorrupt, match=r"synonyms\.json"):
        kb.search("返品")
    with pytest.raises(IndexCorrupt, match=r"synonyms\.json"):
        kb.ranking("返品")


def test_rules_of_another_size_are_refused_when_the_index_is_opened(index: Path) -> None:
    file = KnowledgeBase.open(index).snapshot.generation.files.synonyms
    assert json.loads(file.read_text("utf-8")) == {}
    file.write_text('{"返品": ["返却"]}', "utf-8")
    with pytest.raises(IndexCorrupt, match=r"synonyms\.json"):
        KnowledgeBase.open(index)


def test_without_rules_a_question_has_one_wording(index: Path) -> None:
    assert ARTICLES
    assert len(prepare(KnowledgeBase.open(index).snapshot, "返却の送料", "hybrid").wordings) == 1


def test_sentences_are_chosen_by_what_all_wordings_mean(
    tmp_path: Path, fake_encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fake_encoder.name == FAKE
    page = "# お支払い\n\n## 領収書はもらえますか？\n\n履歴から発行します。\n"
    write_articles(tmp_path / "articles", {"faq.md": page, "synonyms.txt": "領収書, レシート\n"})
    build(tmp_path / "articles", tmp_path / "index", encoder=FAKE)
    asked: list[Any] = []
    quote = QuoteIndex.quote

    def noted(index: QuoteIndex, tokens: Any, terms: Any, vector: Any, *others: Any, **options: Any) -> Any:
        asked.append(vector)
        return quote(index, tokens, terms, vector, *others, **options)

    monkeypatch.setattr(QuoteIndex, "quote", noted)
    kb = KnowledgeBase.open(tmp_path / "index")
    kb.search("レシートはもらえますか")
    mean = sum(fake_encoder.encode_query(f"{word}はもらえますか") for word in ("レシート", "領収書"))
    np.testing.assert_allclose(asked[0], mean / np.linalg.norm(mean), atol=1e-6)
    kb.search("発行はできますか")
    np.testing.assert_array_equal(asked[1], fake_encoder.encode_query("発行はできますか"))
    kb.search("レシート", mode="lexical")
    assert asked[2] is None
