"""Versions of one article in several languages are one result, in the reader's language, and say what they are."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import FAKE, FakeEncoder, write_articles
from hypothesis import given
from hypothesis import strategies as st

from kbsearch import embed, render
from kbsearch.builder import build
from kbsearch.errors import BadQuery
from kbsearch.families import Families
from kbsearch.filters import parse_languages
from kbsearch.model import Filter
from kbsearch.rank import BASELINES, MODES
from kbsearch.search import KnowledgeBase
from kbsearch.versions import Reader, reader_of

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import RunKbsearch

    from kbsearch.results import Hit

# Who reads


def reader(text: str, prefer: tuple[str, ...] = (), **where: tuple[str, ...]) -> Reader:
    from kbsearch.features import JAPANESE_QUESTION
    from kbsearch.text import japanese_share

    return reader_of(prefer, Filter(**where), text, asks_japanese=japanese_share(text) > JAPANESE_QUESTION)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("返品の送料は誰が払いますか", "ja"),
        ("送料", "ja"),
        ("ﾊﾟｽﾜｰﾄﾞ", "ja"),
        ("Google Workspace Enterprise Plusの料金", "ja"),
        ("E-809 エラー", "ja"),
        ("Who pays for the postage of a return?", "en"),
        ("refund", "en"),
        ("Refund?", "en"),
        ("“Forgot password”", "en"),
        ("error 809", "en"),
        ("ＴＲＡＣＫＩＮＧ ＮＵＭＢＥＲ", "en"),
        ("What does 熨斗 mean on the envelope?", "en"),
        ("don't", "en"),
    ],
)
def test_kana_and_kanji_ask_in_japanese_and_words_in_latin_letters_in_english(text: str, language: str) -> None:
    assert reader(text) == Reader((language,), guessed=True)


@pytest.mark.parametrize(
    "text",
    ["E-809", "0120-123-456", "VPN", "iPhone 15", "PayPay", "kb-admin", "config.yml", "2FA", "Wi-Fi", "?", "요금"],
)
def test_names_numbers_and_other_scripts_tell_no_language(text: str) -> None:
    assert reader(text) == Reader(guessed=True)
    assert reader(text).lacks("ja") is None


def test_who_says_a_language_is_asked_no_more() -> None:
    assert reader("返品", ("en", "ja")) == Reader(("en", "ja"))
    assert reader("返品", ("en",), lang=("ja",)) == Reader(("en",))


def test_who_filters_by_language_does_not_miss_another() -> None:
    assert reader("返品", lang=("en",)) == Reader()
    assert reader("返品", lang=("en", "ja")) == Reader(("ja",), guessed=True)
    assert reader("refund", lang=("fr",)) == Reader(("en",), guessed=True), "a few words may be French"


def test_words_in_latin_letters_may_be_of_any_language_written_so_and_a_wish_is_meant() -> None:
    assert [Reader(("en",), guessed=True).lacks(lang) for lang in ("en", "fr", "ja", "ko")] == [None, None, "en", "en"]
    assert [Reader(("en",)).lacks(lang) for lang in ("en", "fr", "ja")] == [None, "en", "en"]
    assert Reader(("ja", "en")).lacks("en") == "ja"


@pytest.mark.parametrize(
    ("given", "languages"),
    [(None, ()), ("", ()), ([], ()), ("ja", ("ja",)), ("ja-JP", ("ja",)), (["JA", "en_US", "ja"], ("ja", "en"))],
)
def test_languages_are_read_as_in_front_matter(given: Any, languages: tuple[str, ...]) -> None:
    assert parse_languages(given) == languages


@pytest.mark.parametrize("wrong", [3, ["ja", 3], "日本語", "j a", "\ud83d", {"ja": 1}.values()])
def test_what_is_no_language_is_a_bad_query_that_says_so(wrong: Any) -> None:
    with pytest.raises(BadQuery, match="prefer_lang"):
        parse_languages(wrong)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_a_family_is_all_that_have_its_number(roots: list[int]) -> None:
    group = np.array([min(root, len(roots) - 1) for root in roots], dtype=np.int32)
    families = Families(group)
    for number in range(len(group)):
        assert families.of(number) == [other for other in range(len(group)) if group[other] == group[number]]


# One result


def article(title: str, text: str, **front: str) -> str:
    lines = "".join(f"{name}: {value}\n" for name, value in front.items())
    return f"---\ntitle: {title}\n{lines}---\n\n{text}\n"


LONG = "\n\n".join(f"## Topic {n}\n\nSomething else about matter number {n}." for n in range(60))
TEXTS = {
    "返品.ja.md": article("返品の送料", "不良品の返品の送料は当店が負担します。", updated="2025-03-02"),
    "返品.en.md": article(
        "Return shipping", f"{LONG}\n\n## Postage\n\nWe pay the postage of damaged goods.\n\n{LONG}",
        translation_of="返品.ja", updated="2025-01-10",
    ),
    "領収書.ja.md": article("領収書の発行", "マイページから発行できます。番号はE-809です。", updated="2025-01-01"),
    "領収書.en.md": article(
        "Invoices", "Print your invoice. Its number is E-809.", translation_of="領収書.ja", updated="2025-02-02"
    ),
    "領収書.fr.md": article("Factures", "Imprimez votre facture.", translation_of="領収書.en", updated="2024-12-31"),
    "退会.ja.md": article("退会の手続き", "アカウントの画面で退会できます。", status="draft", updated="2025-09-09"),
    "退会.en.md": article(
        "Leaving us", "Close the account on its page.", translation_of="退会.ja", updated="2025-01-01"
    ),
    "特典.ja.md": article("会員の特典", "会員の特典は送料無料です。", valid_until="2025-06-30", updated="2025-05-05"),
    "特典.en.md": article(
        "Benefits of members", "Members have free shipping.", translation_of="特典.ja", updated="2025-01-01"
    ),
    "保証.ja.md": article("保証の期間", "保証の期間は三年です。"),
    "warranty.en.md": article("Warranty of kettles", "Our kettles carry a warranty of three years."),
}  # fmt: skip
OWNERS = {name.partition(".")[0] for name in TEXTS}


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    """Six articles, four of them in several languages; the default encoder, which knows both."""
    folder: Path = tmp_path_factory.mktemp("versions")
    build(write_articles(folder / "articles", TEXTS), folder / "index")
    return KnowledgeBase.open(folder / "index")


def found(kb: KnowledgeBase, question: str, name: str, **options: Any) -> Hit:
    """The one hit of an article, in whichever version."""
    (hit,) = (hit for hit in kb.search(question, **options).hits if hit.article_id.partition(".")[0] == name)
    return hit


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "question", ["返品の送料", "return shipping", "E-809", "領収書 invoice facture", "会員 member"]
)
@pytest.mark.parametrize("prefer", [None, "ja", ["fr", "en"]])
def test_every_article_is_one_hit(kb: KnowledgeBase, mode: Any, question: str, prefer: Any) -> None:
    result = kb.search(question, 20, mode=mode, prefer_lang=prefer)
    names = [hit.article_id.partition(".")[0] for hit in result.hits]
    assert len(set(names)) == len(names)
    assert [hit.rank for hit in result.hits] == list(range(1, len(names) + 1))
    scores = [hit.score for hit in result.hits]
    assert scores == sorted(scores, reverse=True)
    for hit in result.hits:
        assert hit.lang == hit.article_id.rpartition(".")[2]
        assert hit.article_id not in {version.article_id for version in hit.versions}
        assert {version.article_id.partition(".")[0] for version in hit.versions} <= {names[hit.rank - 1]}


@pytest.mark.parametrize(
    ("question", "prefer", "shown"),
    [
        ("返品の送料は誰が払いますか", None, "返品.ja"),
        ("返品の送料は誰が払いますか", "en", "返品.en"),
        ("返品の送料は誰が払いますか", ["fr", "en"], "返品.en"),
        ("Who pays for return shipping?", None, "返品.en"),
        ("Who pays for return shipping?", "ja", "返品.ja"),
        ("Where do I get an invoice?", None, "領収書.en"),
        ("Où imprimer ma facture ?", None, "領収書.fr"),
        ("領収書がほしい", ["de", "fr"], "領収書.fr"),
    ],
)
def test_the_version_of_the_reader_s_language_is_shown_and_the_others_named(
    kb: KnowledgeBase, question: str, prefer: Any, shown: str
) -> None:
    hit = kb.search(question, prefer_lang=prefer).hits[0]
    assert hit.article_id == shown
    family = {path.removesuffix(".md") for path in TEXTS if path.startswith(shown.partition(".")[0])}
    assert {version.article_id for version in hit.versions} == family - {shown}
    assert [version.lang for version in hit.versions] == [v.article_id.rpartition(".")[2] for v in hit.versions]
    assert all(TEXTS[f"{v.article_id}.md"].startswith(f"---\ntitle: {v.title}\n") for v in hit.versions)


def test_an_identifier_shows_the_version_that_ranks_better(kb: KnowledgeBase) -> None:
    """Which of them that is, the scores without regard to languages say: those with the reason “version” taken off."""
    hit = kb.search("E-809", explain=True).hits[0]
    assert hit.article_id in {"領収書.ja", "領収書.en"}
    assert not hit.is_fallback
    gained = sum(why.contribution for why in hit.reasons if why.feature == "version")
    assert gained == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("mode", [*MODES, *BASELINES])
def test_a_ranking_of_one_version_is_what_a_search_shows(kb: KnowledgeBase, mode: Any) -> None:
    for question in ("返品の送料", "free shipping", "E-809"):
        ranking = kb.ranking(question, 10, mode=mode, versions="one", prefer_lang="en")
        assert len({name.partition(".")[0] for name in ranking.article_ids}) == len(ranking.article_ids)
        if mode in MODES:
            hits = kb.search(question, 10, mode=mode, prefer_lang="en").hits
            assert ranking.article_ids == tuple(hit.article_id for hit in hits)


def test_the_best_passage_of_a_version_that_nobody_found_says_what_was_asked(kb: KnowledgeBase) -> None:
    """The English one has 121 sections; its words are not those of the question, so meaning finds the one."""
    hit = found(kb, "不良品の返品の送料は当店が負担しますか", "返品", prefer_lang="en")
    assert (hit.article_id, hit.heading) == ("返品.en", "Postage")
    assert hit.snippet == "We pay the postage of damaged goods."
    article = kb.article("返品.en")
    lines = article.markdown.split("\n")
    assert any("postage of damaged goods" in line for line in lines)
    assert hit.path == "返品.en.md"


@pytest.mark.parametrize("mode", MODES)
def test_a_shown_version_without_a_row_in_the_pool_has_rows_of_its_own(
    kb: KnowledgeBase, mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("search", "retrieve"):
        monkeypatch.setattr(f"kbsearch.{module}.POOL", 1)
    monkeypatch.setattr("kbsearch.pooling._FOREIGN_POOL", 0)
    hits = kb.search("領収書の発行", 5, mode=mode, prefer_lang="fr").hits
    assert hits[0].article_id == "領収書.fr"
    assert hits[0].passages[0].text == "Imprimez votre facture."
    assert hits[0].score == kb.search("領収書の発行", 5, mode=mode).hits[0].score


def test_a_page_is_filled_with_articles_not_with_versions(tmp_path: Path, fake_encoder: FakeEncoder) -> None:
    """Forty articles in three languages: a page of thirty has thirty, as when each had one version."""
    assert fake_encoder
    texts = {}
    for n in range(40):
        for lang in ("ja", "en", "fr"):
            source = {} if lang == "ja" else {"translation_of": f"{n}.ja"}
            texts[f"{n}.{lang}.md"] = article(f"送料 {lang} {n}", f"送料 shipping {n}。" * 3, **source)
    build(write_articles(tmp_path / "articles", texts), tmp_path / "index", encoder=FAKE)
    kb = KnowledgeBase.open(tmp_path / "index")
    for mode in MODES:
        for k in (1, 7, 30, 40, 100):
            hits = kb.search("送料の shipping", k, mode=mode).hits
            assert len({hit.article_id.partition(".")[0] for hit in hits}) == len(hits) == min(k, 40)
            assert {hit.lang for hit in hits} == {"ja"}
            assert {len(hit.versions) for hit in hits} == {2}
            assert [hit.article_id for hit in hits[:7]] == [
                h.article_id for h in kb.search("送料の shipping", 7, mode=mode).hits[:k]
            ]


# What is a version that day, for that reader


def test_a_draft_is_no_version(kb: KnowledgeBase) -> None:
    hit = found(kb, "退会するにはどうすればよいですか", "退会")
    assert (hit.article_id, hit.versions, hit.wanted_lang) == ("退会.en", (), "ja")


def test_a_version_counts_on_the_days_on_which_it_is_valid(kb: KnowledgeBase) -> None:
    last = found(kb, "会員の特典", "特典", as_of="2025-06-30")
    assert (last.article_id, last.is_fallback, [v.lang for v in last.versions]) == ("特典.ja", False, ["en"])
    after = found(kb, "会員の特典", "特典", as_of="2025-07-01")
    assert (after.article_id, after.is_fallback, after.versions) == ("特典.en", True, ())


def test_a_filter_by_language_shows_that_language_and_calls_nothing_a_fallback(kb: KnowledgeBase) -> None:
    hits = kb.search("返品の送料", 10, filter={"lang": "en"}).hits
    assert {hit.lang for hit in hits} == {"en"}
    assert not any(hit.is_fallback or hit.versions for hit in hits)
    two = found(kb, "領収書の発行", "領収書", filter={"lang": ["fr", "en"]})
    assert {two.lang, *(version.lang for version in two.versions)} == {"en", "fr"}


def test_a_version_that_is_withheld_is_none(kb: KnowledgeBase) -> None:
    ids = kb.ranking("返品の送料", 10, versions="one", without=["返品.ja"]).article_ids
    assert "返品.en" in ids
    assert "返品.ja" not in ids


# What is said of it


@pytest.mark.parametrize(
    ("question", "name", "prefer", "wanted"),
    [
        ("ケトルの保証期間", "warranty", None, "ja"),
        ("How long is the warranty?", "保証", None, "en"),
        ("ケトルの保証期間", "warranty", "en", None),
        ("How long is the warranty?", "warranty", None, None),
        ("How long is the warranty?", "warranty", ["fr", "en"], "fr"),
        ("返品の送料", "返品", None, None),
        ("返品の送料", "返品", "ko", "ko"),
        ("E-809", "保証", None, None),
    ],
)
def test_a_fallback_is_an_article_without_a_version_in_the_reader_s_language(
    kb: KnowledgeBase, question: str, name: str, prefer: Any, wanted: str | None
) -> None:
    hit = found(kb, question, name, prefer_lang=prefer, k=20)
    assert (hit.is_fallback, hit.wanted_lang) == (wanted is not None, wanted)


def test_a_translation_that_is_older_than_its_source_says_since_when(kb: KnowledgeBase) -> None:
    english = found(kb, "Who pays for return shipping?", "返品")
    assert (english.outdated, english.updated, english.stale_since) == (
        True, dt.date(2025, 1, 10), dt.date(2025, 3, 2),
    )  # fmt: skip
    source = found(kb, "返品の送料", "返品")
    assert (source.outdated, source.updated, source.stale_since) == (False, dt.date(2025, 3, 2), None)
    assert not found(kb, "Where do I get an invoice?", "領収書").outdated


def test_a_translation_of_a_translation_is_compared_with_both(kb: KnowledgeBase) -> None:
    assert found(kb, "facture", "領収書", prefer_lang="fr").stale_since == dt.date(2025, 2, 2)


def test_a_source_that_is_not_served_outdates_nothing(kb: KnowledgeBase) -> None:
    """Neither a draft, nor what is not valid that day; one that only the filter hides does."""
    assert not found(kb, "Leaving us", "退会").outdated
    assert found(kb, "Benefits of members", "特典", as_of="2025-06-30").outdated
    assert not found(kb, "Benefits of members", "特典", as_of="2025-07-01").outdated
    assert found(kb, "Return shipping", "返品", filter={"lang": "en"}).outdated


def test_the_json_of_a_hit_has_it_all(kb: KnowledgeBase) -> None:
    said = found(kb, "返品の送料", "返品", prefer_lang=["ko", "en"]).to_dict()
    assert (said["article_id"], said["lang"], said["is_fallback"], said["wanted_lang"]) == ("返品.en", "en", True, "ko")
    assert said["versions"] == [{"lang": "ja", "article_id": "返品.ja", "title": "返品の送料"}]
    assert (said["outdated"], said["updated"], said["stale_since"]) == (True, "2025-01-10", "2025-03-02")
    plain = found(kb, "保証の期間", "保証").to_dict()
    assert (plain["lang"], plain["is_fallback"], plain["wanted_lang"], plain["versions"]) == ("ja", False, None, [])
    assert (plain["outdated"], plain["updated"], plain["stale_since"]) == (False, None, None)


@pytest.mark.parametrize(
    ("question", "prefer", "label"),
    [
        ("ケトルの保証期間", None, "（英語版のみ）"),
        ("How long is the warranty?", None, "(in Japanese only)"),
        ("領収書の発行", "ko", "(not in Korean; this is in"),
        ("return shipping", None, "translation older than its source (2025-01-10 < 2025-03-02)"),
        ("返品の送料", None, "also en 返品.en"),
    ],
)
def test_a_person_reads_it_in_a_terminal_and_in_a_pipe(
    kb: KnowledgeBase, question: str, prefer: Any, label: str
) -> None:
    from rich.console import Console

    result = kb.search(question, 20, prefer_lang=prefer)
    plain = render.plain_search_result(result, 240)
    console = Console(width=240, force_terminal=True, color_system=None)
    with console.capture() as terminal:
        console.print(render.search_result(result))
    assert plain is not None
    assert label in plain
    assert label in terminal.get()


def test_japanese_translations_are_warned_of_in_japanese(tmp_path: Path, fake_encoder: FakeEncoder) -> None:
    assert fake_encoder
    texts = {
        "a.md": article("Return shipping", "We pay.", lang="en", updated="2025-03-02"),
        "b.md": article("返品の送料", "当店が負担します。", lang="ja", translation_of="a", updated="2025-01-10"),
        "c.md": article("Versandkosten", "Wir zahlen.", lang="de"),
        "d.md": article("Verzendkosten", "Wij betalen.", lang="nl", translation_of="c"),
        "e.md": article("Leveringsomkostninger", "Vi betaler.", lang="da"),
    }
    build(write_articles(tmp_path / "articles", texts), tmp_path / "index", encoder=FAKE)
    plain = render.plain_search_result(KnowledgeBase.open(tmp_path / "index").search("返品の送料", 9), 240) or ""
    assert "翻訳が原文より古い（2025-01-10 < 2025-03-02）" in plain
    assert "（日本語版なし、" in plain
    assert "（da版のみ）" in plain


# From outside


def test_the_command_line_takes_a_language_both_ways(index: Path, kbsearch: RunKbsearch) -> None:
    import json

    for more in (["--prefer-lang", "en"], ["--prefer-lang=en"], ["--prefer-lang", "fr", "--prefer-lang", "en"]):
        done = kbsearch("search", "返品の送料", "-i", index, "--json", *more)
        first = json.loads(done.stdout)["hits"][0]
        assert (first["article_id"], first["versions"][0]["article_id"]) == ("returns-en", "returns")
    batch = kbsearch(
        "search", "--queries", "-", "--json", "--prefer-lang", "en", "-i", index, stdin='{"text": "返品の送料"}\n'
    )
    assert json.loads(batch.stdout)["hits"][0]["article_id"] == "returns-en"
    for more in (["--prefer-lang", "日本語"], ["--prefer-lang=日本語"], ["--queries", "-", "--prefer-lang", "日本語"]):
        question = [] if "--queries" in more else ["返品"]
        wrong = kbsearch("search", *question, "-i", index, "--json", *more, stdin='{"text": "返品"}\n')
        assert (wrong.returncode, wrong.stdout) == (12, "")
        assert "“日本語” in prefer_lang is no language such as ja or en" in wrong.stderr


def test_a_wrong_number_of_versions_is_a_bad_query(kb: KnowledgeBase) -> None:
    with pytest.raises(BadQuery, match="versions"):
        kb.ranking("返品", versions="some")  # type: ignore[arg-type]


def test_versions_that_a_delta_changed_are_those_of_now(
    tmp_path: Path, fake_encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The translation is edited, so it stands behind the base; then it goes."""
    assert fake_encoder
    monkeypatch.setattr("kbsearch.delta.FEWEST_PASSAGES", 1)
    monkeypatch.setattr("kbsearch.delta.MOST_CHANGED", 0.5)
    texts = {
        **{f"{n}.md": article(f"記事{n}", "ほかの話です。", lang="ja") for n in range(20)},
        "r.ja.md": article("返品の送料", "当店が負担します。", updated="2025-01-01"),
        "r.en.md": article("Return shipping", "We pay.", translation_of="r.ja", updated="2025-01-02"),
    }
    folder = write_articles(tmp_path / "articles", texts)
    build(folder, tmp_path / "index", encoder=FAKE)
    kb = KnowledgeBase.open(tmp_path / "index")
    write_articles(
        folder, {"r.en.md": article("Shipping of returns", "We do.", translation_of="r.ja", updated="2024-12-31")}
    )
    build(folder, tmp_path / "index", encoder=FAKE)
    assert kb.reload()
    assert "delta" in kb.snapshot.generation.manifest
    hit = kb.search("返品の送料", prefer_lang="en").hits[0]
    assert (hit.article_id, hit.title, hit.stale_since) == ("r.en", "Shipping of returns", dt.date(2025, 1, 1))
    assert [version.title for version in kb.search("返品の送料").hits[0].versions] == ["Shipping of returns"]
    (folder / "r.en.md").unlink()
    build(folder, tmp_path / "index", encoder=FAKE)
    assert kb.reload()
    hit = kb.search("返品の送料", prefer_lang="en").hits[0]
    assert (hit.article_id, hit.versions, hit.wanted_lang) == ("r.ja", (), "en")


def test_the_fake_encoder_is_not_kept_for_other_tests() -> None:
    assert (FAKE, None) not in embed._loaded
