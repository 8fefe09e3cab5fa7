"""Who may be answered with: unpublished and out-of-date articles never, a filter's articles always, in both legs."""

from __future__ import annotations

import datetime as dt
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import pytest
from conftest import FAKE, write_articles

from kbsearch.builder import build
from kbsearch.errors import IndexCorrupt, NotFound
from kbsearch.rank import MODES
from kbsearch.search import KnowledgeBase

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STATES: Final = {
    "published": "",
    "draft": "status: draft\n",
    "archived": "status: archived\n",
    "unknown-status": "status: maybe\n",
    "expired": "valid_until: 2001-02-03\n",
    "early": "valid_from: 2999-12-31\n",
    "current": "valid_from: 2001-02-03\nvalid_until: 2999-12-31\n",
}
SERVED: Final = {"published", "current"}


def state_article(front: str) -> str:
    return f"---\nid: {{name}}\nlang: ja\n{front}---\n\n# 送料のご案内\n\n送料は無料です。\n\n## 例外\n\n離島の送料。\n"


@pytest.fixture
def states(tmp_path: Path, fake_encoder: Any) -> KnowledgeBase:
    """Seven articles that differ in nothing but whether they are served."""
    assert fake_encoder
    texts = {f"{name}.md": state_article(front).format(name=name) for name, front in STATES.items()}
    build(write_articles(tmp_path / "articles", texts), tmp_path / "index", encoder=FAKE)
    return KnowledgeBase.open(tmp_path / "index")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("where", [None, {"lang": "ja"}, {"kind": "guide"}])
def test_only_served_articles_are_found(states: KnowledgeBase, mode: Any, where: Any) -> None:
    """Drafts, archived, expired and not yet valid articles are in no answer of either leg, with and without filter."""
    for question in ("送料", "送料は無料です", "離島"):
        assert {hit.article_id for hit in states.search(question, 50, mode=mode, filter=where).hits} == SERVED
        assert set(states.ranking(question, 50, mode=mode, filter=where).article_ids) == SERVED


@pytest.mark.parametrize("name", sorted(STATES))
def test_only_served_articles_are_shown(states: KnowledgeBase, name: str) -> None:
    """``article`` and ``section`` know the same articles as a search does, and suggest no others."""
    if name in SERVED:
        assert states.article(name).title == "送料のご案内"
        assert states.section(f"{name}#例外").heading == "例外"
        return
    for ask in (lambda: states.article(name), lambda: states.section(f"{name}#例外"), lambda: states.section(name)):
        with pytest.raises(NotFound) as caught:
            ask()
        assert not set(caught.value.near) & (STATES.keys() - SERVED)


def test_a_mistyped_id_suggests_only_what_is_served(states: KnowledgeBase) -> None:
    for name in STATES:
        with pytest.raises(NotFound) as caught:
            states.article(name + "x")
        assert set(caught.value.near) == ({name} if name in SERVED else set()), name


def on_day(monkeypatch: pytest.MonkeyPatch, day: dt.date) -> None:
    """Make it be a day wherever kbsearch asks."""
    found = 0
    for name, module in list(sys.modules.items()):
        for clock in ("today", "_today"):
            if name.startswith("kbsearch.") and callable(getattr(module, clock, None)):
                monkeypatch.setattr(module, clock, lambda: day)
                found += 1
    assert found


def test_an_article_is_served_from_its_first_day_to_its_last(
    tmp_path: Path, fake_encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both days included; one open index follows the calendar without a build."""
    assert fake_encoder
    front = "valid_from: 2030-04-10\nvalid_until: 2030-04-12\n"
    texts = {"sale.md": state_article(front).format(name="sale"), "other.md": state_article("").format(name="other")}
    build(write_articles(tmp_path / "articles", texts), tmp_path / "index", encoder=FAKE)
    kb = KnowledgeBase.open(tmp_path / "index")
    for day in (9, 10, 11, 12, 13, 9):
        on_day(monkeypatch, dt.date(2030, 4, day))
        valid = 10 <= day <= 12
        for mode in MODES:
            found = {hit.article_id for hit in kb.search("送料", mode=mode, filter={"lang": "ja"}).hits}
            assert found == ({"sale", "other"} if valid else {"other"}), (day, mode)
        if valid:
            assert kb.article("sale")
        else:
            with pytest.raises(NotFound):
                kb.article("sale")


CROWD: Final = 500


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    """Five hundred articles that answer better than the few that a filter asks for."""
    from conftest import FakeEncoder

    from kbsearch import embed

    folder = tmp_path_factory.mktemp("crowd")
    front = "lang: ja\nkind: faq\ncategory: shop/cards\ntags: [人気]\n"
    texts = {f"crowd/{number}.md": f"---\n{front}---\n\n# 送料\n\n送料{number}。\n" for number in range(CROWD)}
    body = (
        "# 手引き\n\n"
        + "この長い文章の終わりに、一度だけ送料という言葉が出てきます。" * 1
        + "ほかの話が続きます。" * 20
    )
    texts |= {
        "few/deep.md": f"---\nlang: en\nkind: guide\ncategory: shop/returns/abroad\ntags: [稀, Rare]\n---\n\n{body}\n",
        "few/other.md": f"---\nlang: fr\nkind: guide\ncategory: shop/returnsx\ntags: [別]\n---\n\n{body}\n",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embed._loaded, (FAKE, None), FakeEncoder())
        build(write_articles(folder / "articles", texts), folder / "index", encoder=FAKE)
        kb = KnowledgeBase.open(folder / "index")
        kb.search("送料")  # the encoder is kept with the snapshot
    return kb


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"category": "shop/returns/abroad"}, {"few/deep"}),
        ({"category": "shop/returns"}, {"few/deep"}),
        ({"category": " /shop//returns/ "}, {"few/deep"}),
        ({"tags": "稀"}, {"few/deep"}),
        ({"tags": ["稀", "別"]}, {"few/deep", "few/other"}),
        ({"tag": "別"}, {"few/other"}),
        ({"lang": "en"}, {"few/deep"}),
        ({"lang": "EN"}, {"few/deep"}),
        ({"lang": ["en", "fr"]}, {"few/deep", "few/other"}),
        ({"kind": "guide"}, {"few/deep", "few/other"}),
        ({"kind": "guide", "lang": "fr"}, {"few/other"}),
        ({"category": ["shop/returns", "shop/returnsx"], "lang": ["ja", "en"]}, {"few/deep"}),
        ({"kind": "faq", "lang": "en"}, set()),
        ({"category": "shop/ret"}, set()),
        ({"category": "returns"}, set()),
        ({"tags": "nothing"}, set()),
    ],
)
def test_a_filter_works_before_the_ranking(crowd: KnowledgeBase, mode: Any, where: Any, expected: set[str]) -> None:
    """The few articles of a filter are found, and alone, though five hundred others answer better."""
    unfiltered = [hit.article_id for hit in crowd.search("送料", 5, mode=mode).hits]
    assert all(found.startswith("crowd/") for found in unfiltered), "the others do answer better"
    assert {hit.article_id for hit in crowd.search("送料", 10, mode=mode, filter=where).hits} == expected
    assert len(crowd.search("送料", 1, mode=mode, filter=where).hits) == min(1, len(expected))
    assert set(crowd.ranking("送料", 10, mode=mode, filter=where).article_ids) == expected


@pytest.mark.parametrize("mode", MODES)
def test_a_category_covers_what_is_below_it(crowd: KnowledgeBase, mode: Any) -> None:
    """The whole subtree, and nothing that merely begins with the same letters."""
    hits = crowd.search("送料", CROWD + 10, mode=mode, filter={"category": "shop"}).hits
    assert len(hits) == CROWD + 2
    hits = crowd.search("送料", CROWD + 10, mode=mode, filter={"category": ["shop/returns", "shop/cards"]}).hits
    assert {hit.article_id for hit in hits} == {f"crowd/{number}" for number in range(CROWD)} | {"few/deep"}


def test_out_of_date_articles_do_not_crowd_out_the_others(tmp_path: Path, fake_encoder: Any) -> None:
    """Five hundred expired articles that match better leave the place to the one that is valid."""
    assert fake_encoder
    texts = {
        f"{number}.md": f"---\nvalid_until: 2001-01-01\n---\n\n# 送料\n\n送料{number}。\n" for number in range(CROWD)
    }
    texts["valid.md"] = "# 手引き\n\n送料のほかにも多くのことが書いてあります。\n"
    build(write_articles(tmp_path / "articles", texts), tmp_path / "index", encoder=FAKE)
    kb = KnowledgeBase.open(tmp_path / "index")
    for mode in MODES:
        assert [hit.article_id for hit in kb.search("送料", 1, mode=mode).hits] == ["valid"]
        assert [hit.article_id for hit in kb.search("送料", 9, mode=mode, filter={"lang": "ja"}).hits] == ["valid"]
    assert kb.status().out_of_date == CROWD


def test_changing_an_article_s_state_takes_effect_with_the_next_build(
    articles: Path, index: Path, rebuild: Callable[[], Any]
) -> None:
    """Archived: gone from every answer; published again: back, without encoding anything anew."""
    file = articles / "shop/returns.ja.md"
    text = file.read_text("utf-8")
    for status, served in (("archived", False), ("published", True), ("draft", False), ("Published", True)):
        file.write_text(text.replace("---\n", f"---\nstatus: {status}\n", 1), "utf-8")
        rebuild()
        kb = KnowledgeBase.open(index)
        for mode in MODES:
            assert ("returns" in kb.ranking("返品の送料", mode=mode).article_ids) is served
        if served:
            assert kb.article("returns")
        else:
            with pytest.raises(NotFound):
                kb.article("returns")


def test_one_long_article_does_not_push_the_others_off_the_page(tmp_path: Path, fake_encoder: Any) -> None:
    """Two hundred passages of one article fill the pool of each leg; twelve others still answer, in every mode."""
    assert fake_encoder
    texts = {f"o{number:02d}.md": f"# 案内{number}\n\n返品について。\n" for number in range(12)}
    texts["long.md"] = "# 返品\n\n" + "".join(f"## 返品{n}\n\n返品の返品は返品{n}。\n\n" for n in range(200))
    build(write_articles(tmp_path / "articles", texts), tmp_path / "index", encoder=FAKE)
    kb = KnowledgeBase.open(tmp_path / "index")
    for mode in MODES:
        assert len(kb.search("返品", 10, mode=mode).hits) == 10
        assert len(kb.search("返品", 50, mode=mode).hits) == 13
        scores = [hit.score for hit in kb.search("返品", 50, mode=mode).hits]
        assert scores == sorted(scores, reverse=True)


def test_a_short_page_is_the_beginning_of_a_long_one(kb_index: Path, fake_encoder: Any) -> None:
    assert fake_encoder
    kb = KnowledgeBase.open(kb_index)
    for mode in MODES:
        for question in ("返品の送料", "password", "お届け"):
            long = kb.ranking(question, 12, mode=mode).article_ids
            for k in (1, 3, 7):
                assert kb.ranking(question, k, mode=mode).article_ids == long[:k]


def test_an_open_index_never_answers_from_another_that_took_its_place(tmp_path: Path, fake_encoder: Any) -> None:
    """Deleted and built anew under the same names: nothing of both is mixed.

    The old object shows what it holds open, and a new thread, which would have to open the database, says so.
    """
    assert fake_encoder
    build(write_articles(tmp_path / "a", {"x.md": "# 返品\n\n公開\n"}), tmp_path / "index", encoder=FAKE)
    kb = KnowledgeBase.open(tmp_path / "index")
    assert kb.search("返品", mode="lexical").hits[0].article_id == "x"
    shutil.rmtree(tmp_path / "index")
    build(write_articles(tmp_path / "b", {"secret.md": "# 返品\n\n社外秘\n"}), tmp_path / "index", encoder=FAKE)
    with ThreadPoolExecutor(1) as other:
        hit = other.submit(kb.search, "返品", mode="lexical").result().hits[0]
        assert (hit.article_id, hit.snippet) == ("x", "公開")
        with pytest.raises(IndexCorrupt):
            other.submit(kb.article, "x").result()
        with pytest.raises(IndexCorrupt):
            other.submit(kb.article, "secret").result()
    assert kb.reload()
    assert kb.search("返品", mode="lexical").hits[0].article_id == "secret"


def test_a_section_is_shown_with_the_sections_below_it(tmp_path: Path, fake_encoder: Any) -> None:
    assert fake_encoder
    text = "# 送料\n\n## 送料はいくらですか？\n\n550円。\n\n### 離島の場合\n\n1200円。\n\n## 支払い\n\nカード。\n"
    build(write_articles(tmp_path / "a", {"x.md": text}), tmp_path / "index", encoder=FAKE)
    view = KnowledgeBase.open(tmp_path / "index").section("x#送料はいくらですか")
    assert view.markdown == "## 送料はいくらですか？\n\n550円。\n\n### 離島の場合\n\n1200円。"
    assert view.lines == (3, 9)
