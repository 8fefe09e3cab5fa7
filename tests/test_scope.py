"""``audience``, ``product`` and ``version``: for whom an article is; one that does not say is for everyone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from conftest import FAKE, FakeEncoder, write_articles
from hypothesis import given
from hypothesis import strategies as st

from kbsearch import embed, render
from kbsearch.builder import build
from kbsearch.errors import ArticleError, BadQuery
from kbsearch.filters import parse_filter
from kbsearch.markdown import parse_article
from kbsearch.model import Filter
from kbsearch.overviews import article_to_dict
from kbsearch.rank import MODES
from kbsearch.scope import SCOPES, fold, scope_terms
from kbsearch.search import KnowledgeBase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import RunKbsearch

    from kbsearch.model import Article

# Front matter


def parse(front: str) -> Article:
    return parse_article(f"---\n{front}\n---\n\n本文です。\n".encode(), "a.md")[0]


@pytest.mark.parametrize("field", SCOPES)
@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("", ()),
        ("[]", ()),
        ("null", ()),
        ("担当者", ("担当者",)),
        ("[担当者, Admin]", ("担当者", "Admin")),
        ("担当者、管理者, Admin", ("担当者", "管理者", "Admin")),
        ("\n  - 担当者\n  - 担当者", ("担当者",)),
        ("  会員  様 ", ("会員 様",)),
        ("['Acme, Inc.']", ("Acme, Inc.",)),
    ],
)
def test_a_scope_is_a_text_or_a_list(field: str, written: str, values: tuple[str, ...]) -> None:
    article = parse(f"{field}: {written}")
    assert getattr(article, field) == values
    assert field not in article.meta


@pytest.mark.parametrize(
    "written", ["1.10", "1.1", "2", "2.0", "1_000", "0x1F", "2025-12-01", "yes", "1.10-beta", "１．１０"]
)
def test_a_version_stays_as_it_is_written(written: str) -> None:
    """YAML would read 1.10 as the number 1.1, and yes as true."""
    assert parse(f"version: {written}").version == (written,)
    assert parse(f"version: [{written}, x]").version == (written, "x")


@pytest.mark.parametrize("field", SCOPES)
@pytest.mark.parametrize("written", ["{a: 1}", "[[a]]", "[{a: 1}]"])
def test_what_is_no_list_of_texts_leaves_the_article_out(field: str, written: str) -> None:
    """Better hidden than shown to everyone by mistake."""
    with pytest.raises(ArticleError, match=f"“{field}” is not a list of texts"):
        parse(f"{field}: {written}")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Admin", "ADMIN"),
        ("ＡＤＭＩＮ", "admin"),
        (" 会員\u3000様 ", "会員 様"),
        ("ﾌﾟﾛ", "プロ"),
        ("か\u3099", "が"),
        ("Straße", "STRASSE"),
    ],
)
def test_widths_and_letter_case_make_no_difference(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@given(st.text())
def test_what_is_folded_stays_so(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_versions_are_texts_and_no_numbers() -> None:
    assert len({fold(version) for version in ("1.1", "1.10", "1.1.0", "v1.1")}) == 4


def test_an_article_that_says_nothing_is_for_everyone_and_one_that_does_is_not() -> None:
    assert scope_terms(parse("version: [２.0, 2.0, 1.10]")) == (
        ("audience", "*"), ("product", "*"), ("version", "1.10"), ("version", "2.0"),
    )  # fmt: skip


# Filters

FRONTS = {
    "全員": "",
    "担当": "audience: [担当者]",
    "管理": "audience: [Admin, 担当者]",
    "旧版": "product: Kettle\nversion: 1.10",
    "新版": "product: [Kettle, Toaster]\nversion: [2.0, '2.1']",
    "内部": "audience: 担当者\nproduct: Toaster",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The same text under every front matter."""
    folder = tmp_path_factory.mktemp("scopes")
    texts = {
        f"{name}.ja.md": f"---\nid: {name}\n{front}\n---\n\n# 送料のご案内\n\n送料は無料です。\n"
        for name, front in FRONTS.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embed._loaded, (FAKE, None), FakeEncoder())
        build(write_articles(folder / "articles", texts), folder / "index", encoder=FAKE)
        yield folder


@pytest.fixture(scope="module")
def kb(folder: Path) -> KnowledgeBase:
    return KnowledgeBase.open(folder / "index")


WHERE: list[tuple[dict[str, Any], str]] = [
    ({}, "全員 担当 管理 旧版 新版 内部"),
    ({"audience": "お客様"}, "全員 旧版 新版"),
    ({"audience": "担当者"}, "全員 担当 管理 旧版 新版 内部"),
    ({"audience": "ＡＤＭＩＮ"}, "全員 管理 旧版 新版"),
    ({"audience": ["admin", "担当者"]}, "全員 担当 管理 旧版 新版 内部"),
    ({"audience": "*"}, "全員 旧版 新版"),
    ({"product": "kettle"}, "全員 担当 管理 旧版 新版"),
    ({"product": "Toaster"}, "全員 担当 管理 新版 内部"),
    ({"product": "toaster", "audience": "お客様"}, "全員 新版"),
    ({"version": "1.10"}, "全員 担当 管理 旧版 内部"),
    ({"version": "1.1"}, "全員 担当 管理 内部"),
    ({"version": ["2.1", "1.10"]}, "全員 担当 管理 旧版 新版 内部"),
    ({"version": "2.0", "product": "Toaster", "audience": "担当者", "lang": "ja"}, "全員 担当 管理 新版 内部"),
    ({"audience": "お客様", "lang": "en"}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("where", "names"), WHERE)
@pytest.mark.parametrize("mode", MODES)
def test_a_filter_admits_what_names_one_of_its_values_and_what_names_none(
    kb: KnowledgeBase, where: dict[str, Any], names: str, mode: Any
) -> None:
    assert {hit.article_id for hit in kb.search("送料", 50, mode=mode, filter=where).hits} == set(names.split())
    assert set(kb.ranking("送料", 50, mode=mode, filter=where).article_ids) == set(names.split())


def test_filters_are_read_folded() -> None:
    loose: dict[str, Any] = {"audience": " ＡＤＭＩＮ", "version": ["1.10", None, " "]}
    assert parse_filter(loose) == Filter(audience=("admin",), version=("1.10",))
    assert parse_filter(Filter(product=("Kettle",))) == Filter(product=("kettle",))
    nothing: dict[str, Any] = {"audience": [], "product": "", "version": None}
    assert not parse_filter(nothing)
    for field in SCOPES:
        assert Filter(**{field: ("a",)})
        with pytest.raises(BadQuery, match=f"“{field}” takes"):
            parse_filter({field: 1.1})  # type: ignore[dict-item]
    with pytest.raises(BadQuery, match="Known are: lang, category, tags, kind, audience, product, version"):
        parse_filter({"versions": "1"})


def test_what_is_served_says_for_whom_it_is(kb: KnowledgeBase) -> None:
    article = kb.article("新版")
    assert (article.audience, article.product, article.version) == ((), ("Kettle", "Toaster"), ("2.0", "2.1"))
    said = article_to_dict(article)
    assert (said["audience"], said["product"], said["product_version"]) == ([], ["Kettle", "Toaster"], ["2.0", "2.1"])
    assert said["version"] == 1, "that of the JSON"
    assert dict(kb.snapshot.content.facet("audience")) == {"*": 3, "担当者": 3, "admin": 1}


def test_a_person_reads_for_whom_an_article_is(kb: KnowledgeBase) -> None:
    from rich.console import Console

    console = Console(width=240, force_terminal=True, color_system=None)
    with console.capture() as shown:
        console.print(render.article_view(kb.article("新版")))
        console.print(render.article_view(kb.article("管理")))
    assert "product Kettle, Toaster · version 2.0, 2.1" in shown.get()
    assert "audience Admin, 担当者" in shown.get()


def test_a_delta_is_filtered_like_its_base(
    tmp_path: Path, fake_encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fake_encoder
    monkeypatch.setattr("kbsearch.delta.FEWEST_PASSAGES", 1)
    monkeypatch.setattr("kbsearch.delta.MOST_CHANGED", 0.5)
    texts = {f"{n}.md": f"---\nlang: ja\naudience: 担当者\n---\n\n# 送料{n}\n\n送料です。\n" for n in range(8)}
    folder = write_articles(tmp_path / "articles", texts)
    build(folder, tmp_path / "index", encoder=FAKE)
    changes = {
        "0.md": "# 送料\n\n送料です。\n",
        "1.md": "---\naudience: お客様\nversion: 1.10\n---\n\n# 送料\n\n送料です。\n",
    }
    build(write_articles(folder, changes), tmp_path / "index", encoder=FAKE)
    kb = KnowledgeBase.open(tmp_path / "index")
    assert "delta" in kb.snapshot.generation.manifest
    for mode in MODES:

        def asked(mode: Any = mode, **where: str) -> set[str]:
            return set(kb.ranking("送料", 50, mode=mode, filter=where).article_ids)

        assert asked(audience="お客様") == {"0", "1"}
        assert asked(audience="担当者") == {"0", *"234567"}
        assert asked(version="1.10") == {"0", *"1234567"}
        assert asked(version="1.1") == {"0", *"234567"}
    assert kb.article("1").version == ("1.10",)


# From outside


def test_the_command_line_filters_both_ways_and_line_by_line(folder: Path, kbsearch: RunKbsearch) -> None:
    def ids(*arguments: str, stdin: str = "") -> list[set[str]]:
        done = kbsearch("search", *arguments, "-k", "9", "--json", "-i", folder / "index", stdin=stdin)
        assert done.returncode == 0, done.stderr
        return [{hit["article_id"] for hit in json.loads(line)["hits"]} for line in done.stdout.splitlines()]

    options = ["--audience", "お客様", "--product", "kettle", "--product-version", "1.10"]
    assert ids("送料", *options) == ids("送料", *options, "--mode=hybrid") == [{"全員", "旧版"}]
    lines = [{"text": "送料"}, {"text": "送料", "filter": {"version": "2.0", "audience": ["担当者"]}}]
    said = ids("--queries", "-", *options, stdin="\n".join(map(json.dumps, lines)))
    assert said == [{"全員", "旧版"}, {"全員", "担当", "管理", "新版"}]
