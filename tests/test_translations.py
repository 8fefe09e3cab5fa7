"""Versions of one article in several languages: which are one, and which of them stands first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from conftest import write_articles

from kbsearch.builder import build
from kbsearch.crosscheck import translation_groups
from kbsearch.rank import BASELINES, MODES
from kbsearch.search import KnowledgeBase

if TYPE_CHECKING:
    from pathlib import Path

    from kbsearch.model import Article


def groups(*links: tuple[str, str | None]) -> list[int]:
    articles = [SimpleNamespace(id=name, translation_of=source) for name, source in links]
    return translation_groups(cast("list[Article]", articles))


def test_a_translation_has_the_number_of_its_source() -> None:
    assert groups(("返品", None), ("returns", "返品"), ("retours", "返品"), ("送料", None)) == [0, 0, 0, 3]
    assert groups(("returns", "返品"), ("返品", None)) == [1, 1]


def test_a_translation_of_a_translation_is_one_of_the_source() -> None:
    assert groups(("a", "b"), ("b", "c"), ("c", None)) == [2, 2, 2]


def test_a_source_that_is_missing_or_turns_in_a_circle_leaves_whole_groups() -> None:
    assert groups(("a", "nowhere"), ("b", "a")) == [0, 0]
    assert groups(("a", "a"), ("b", None)) == [0, 1]
    assert groups(("a", "b"), ("b", "a"), ("c", "a")) == [0, 0, 0]


PAIRS = {
    "返品": (
        "返品の送料",
        "不良品の返品の送料は当店が負担します。",
        "Return shipping",
        "We pay your postage.",
    ),
    "領収書": (
        "領収書の発行",
        "マイページから領収書を発行できます。",
        "Invoices",
        "Print it on your account page.",
    ),
    "退会": ("退会の手続き", "アカウントの画面で退会できます。", "Leaving us", "Close the account on its page."),
}


@pytest.fixture(scope="module")
def bilingual(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    """Three articles in two languages, and one without a translation in each; the default encoder."""
    folder: Path = tmp_path_factory.mktemp("bilingual")
    files = {}
    for name, (title, text, english, translation) in PAIRS.items():
        files[f"{name}.ja.md"] = f"---\nid: {name}\ntitle: {title}\n---\n\n{text}\n"
        files[f"{name}.en.md"] = f"---\nid: {name}-en\ntitle: {english}\ntranslation_of: {name}\n---\n\n{translation}\n"
    files["warranty.en.md"] = "---\ntitle: Warranty\n---\n\nOur kettles carry a warranty of three years.\n"
    files["配送.ja.md"] = "---\ntitle: 配送日数\n---\n\nご注文から三日でお届けします。\n"
    build(write_articles(folder / "articles", files), folder / "index")
    return KnowledgeBase.open(folder / "index")


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("返品の送料は誰が払いますか", "返品"),
        ("Who pays for the postage of a return?", "返品-en"),
        ("領収書がほしい", "領収書"),
        ("Where do I get an invoice?", "領収書-en"),
    ],
)
def test_the_version_in_the_language_of_the_question_stands_first_and_the_other_behind_it(
    bilingual: KnowledgeBase, question: str, first: str
) -> None:
    other = first.removesuffix("-en") if first.endswith("-en") else f"{first}-en"
    assert bilingual.ranking(question).article_ids[:2] == (first, other)
    hits = bilingual.search(question).hits
    assert hits[0].article_id == first
    assert [version.article_id for version in hits[0].versions] == [other]
    assert other not in {hit.article_id for hit in hits}


def test_an_article_that_exists_in_one_language_only_answers_in_the_other(bilingual: KnowledgeBase) -> None:
    assert "warranty.en" in bilingual.ranking("ケトルの保証期間は何年ですか", k=3).article_ids
    assert "配送.ja" in bilingual.ranking("How many days does delivery take?", k=3).article_ids


def test_a_translation_beside_its_source_does_not_make_the_answer_unsure(bilingual: KnowledgeBase) -> None:
    question = "返品の送料は誰が払いますか"
    alone = bilingual.ranking(question, without=["返品-en"]).confidence
    together = bilingual.ranking(question).confidence
    assert alone is not None
    assert together == pytest.approx(alone, abs=0.1)


@pytest.mark.parametrize("mode", [*MODES, *BASELINES])
def test_every_ranking_has_each_article_once(bilingual: KnowledgeBase, mode: Any) -> None:
    found = bilingual.ranking("返品 return", 20, mode=mode).article_ids
    assert len(set(found)) == len(found)
    assert found
