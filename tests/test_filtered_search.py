"""Filters of a search by words alone: who takes part is decided before the ranking, and changes no score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from conftest import FAKE, FakeEncoder, write_articles

from kbsearch import embed
from kbsearch.builder import build
from kbsearch.filters import parse_filter
from kbsearch.pooling import candidates
from kbsearch.query import prepare
from kbsearch.rank import BASELINES
from kbsearch.search import KnowledgeBase

if TYPE_CHECKING:
    from pathlib import Path

    from kbsearch.rank import Mode

pytestmark = pytest.mark.usefixtures("fake_encoder")

BY_WORDS: Final[tuple[Mode, ...]] = ("lexical", "words", "grams")


def article(text: str, **front: str) -> str:
    return "---\n" + "".join(f"{name}: {value}\n" for name, value in front.items()) + f"---\n\n{text}\n"


SHELF: Final = {
    "0.md": article(
        "# 返品\n\n返品の話。\n\n## 返品の箱\n\n返品の箱の話。",
        lang="ja", kind="faq", category="shop/returns", tags="[送料, 返品]",
    ),
    "1.md": article("# 返品の手順\n\n返品の話。", lang="ja", kind="guide", category="shop", tags="[期間]"),
    "2.md": article(
        "# 返品 policy\n\nA 返品 story.", lang="en", kind="faq", category="shopping", tags="[Returns policy]"
    ),
    "3.md": article("# 返品 guide\n\nA 返品 story.", lang="en", kind="guide", category="お店/返品"),
    "4.md": article("# 期間\n\n期間の話。", lang="ja", kind="faq", tags="[送料]"),
    "5.md": article("# 返品の草稿\n\n返品の話。", lang="ja", kind="faq", tags="[送料]", status="draft"),
}  # fmt: skip


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    folder = tmp_path_factory.mktemp("shelf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embed._loaded, (FAKE, None), FakeEncoder())
        build(write_articles(folder / "articles", SHELF), folder / "index", encoder=FAKE)
    return KnowledgeBase.open(folder / "index")


CASES: Final[list[tuple[dict[str, Any] | None, str]]] = [
    (None, "0123"),
    ({}, "0123"),
    ({"lang": "ja"}, "01"),
    ({"lang": "en"}, "23"),
    ({"lang": ["ja", "en"]}, "0123"),
    ({"lang": "fr"}, ""),
    ({"kind": "guide"}, "13"),
    ({"category": "shop"}, "01"),
    ({"category": "shop/returns"}, "0"),
    ({"category": "お店"}, "3"),
    ({"category": "returns"}, ""),
    ({"category": ["shop/returns", "shopping"]}, "02"),
    ({"tags": "送料"}, "0"),
    ({"tags": ["送料", "期間"]}, "01"),
    ({"tags": "Returns policy"}, "2"),
    ({"tags": "returns"}, ""),
    ({"lang": "ja", "kind": "guide"}, "1"),
    ({"lang": "en", "category": "shop"}, ""),
    ({"lang": "ja", "kind": "faq", "category": "shop", "tags": "返品"}, "0"),
]


def row_scores(kb: KnowledgeBase, where: dict[str, Any] | None, without: tuple[int, ...] = ()) -> dict[int, Any]:
    """BM25 of the rows under consideration, words and grams."""
    query = prepare(kb.snapshot, "返品", "lexical")
    found = candidates(kb.snapshot, query, parse_filter(where), 100, "lexical", without=without)
    return dict(zip(found.rows.tolist(), zip(found.words.tolist(), found.grams.tolist(), strict=True), strict=True))


@pytest.mark.parametrize("mode", BY_WORDS)
@pytest.mark.parametrize(("where", "expected"), CASES, ids=str)
def test_a_filter_takes_alternatives_of_a_field_and_demands_all_fields(
    shelf: KnowledgeBase, where: dict[str, Any] | None, expected: str, mode: Mode
) -> None:
    assert mode == "lexical" or mode in BASELINES
    found = shelf.ranking("返品", 10, mode=mode, filter=where)
    assert sorted(found.article_ids) == list(expected)
    if mode == "lexical":
        hits = shelf.search("返品", 10, mode=mode, filter=where).hits
        assert [hit.article_id for hit in hits] == list(found.article_ids)


@pytest.mark.parametrize(("where", "expected"), CASES, ids=str)
def test_a_filter_changes_no_score_of_a_row(shelf: KnowledgeBase, where: dict[str, Any] | None, expected: str) -> None:
    every, filtered = row_scores(shelf, None), row_scores(shelf, where)
    article_of = shelf.snapshot.article_of_row
    names = {row: shelf.snapshot.article_ids[article_of[row]] for row in every}
    assert filtered == {row: scores for row, scores in every.items() if names[row] in expected}
    assert sum(name == "0" for name in names.values()) == 2


@pytest.mark.parametrize(
    ("where", "excluded", "expected"),
    [
        (None, ("0",), "123"),
        (None, ("0", "2"), "13"),
        ({"lang": "ja"}, ("1",), "0"),
        ({"lang": "ja"}, ("0", "1"), ""),
        (None, ("4",), "0123"),
    ],
)
def test_excluded_articles_take_no_part(
    shelf: KnowledgeBase, where: dict[str, Any] | None, excluded: tuple[str, ...], expected: str
) -> None:
    ids = list(shelf.snapshot.article_ids)
    every, found = row_scores(shelf, None), row_scores(shelf, where, tuple(ids.index(name) for name in excluded))
    assert {ids[shelf.snapshot.article_of_row[row]] for row in found} == set(expected)
    assert found.items() <= every.items()


def test_an_article_that_is_not_published_is_in_no_answer(shelf: KnowledgeBase) -> None:
    for where in (None, {"tags": "送料"}, {"lang": "ja", "kind": "faq"}):
        assert "5" not in shelf.ranking("返品の草稿", 10, mode="lexical", filter=where).article_ids


def test_the_rows_that_may_answer_are_those_of_the_articles_that_may(shelf: KnowledgeBase) -> None:
    snapshot = shelf.snapshot
    ids = np.array(snapshot.article_ids)[snapshot.article_of_row]
    assert snapshot.admitted_rows(parse_filter(None), ()) is None
    for where, excluded, expected in (
        ({"lang": "ja"}, (), "014"), ({"lang": "fr"}, (), ""), (None, (0, 3), "124"), ({"tags": "送料"}, (0,), "4"),
    ):  # fmt: skip
        rows = snapshot.admitted_rows(parse_filter(where), excluded)
        assert rows is not None
        assert rows.dtype == np.bool_
        np.testing.assert_array_equal(rows, np.isin(ids, list(expected)))
        assert snapshot.admitted_rows(parse_filter(where), excluded) is rows, "remembered"


def test_the_worst_match_of_thousands_is_found_where_it_alone_is_admitted(tmp_path: Path) -> None:
    """Two thousand rows of which each answers better, and one in another language."""
    crowd = {f"{number}.md": article("# 送料\n\n送料の送料。", lang="ja") for number in range(2000)}
    crowd["z.md"] = article("# Guide\n\nOf many things, one of which is 送料." + " And more." * 30, lang="en")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embed._loaded, (FAKE, None), FakeEncoder())
        build(write_articles(tmp_path / "articles", crowd), tmp_path / "index", encoder=FAKE)
    kb = KnowledgeBase.open(tmp_path / "index")
    for mode in BY_WORDS:
        assert kb.ranking("送料", 1, mode=mode).article_ids != ("z",)
        assert list(kb.ranking("送料", 1, mode=mode, filter={"lang": "en"}).article_ids) == ["z"]
