"""Levels, what they cost, handles that open them, and budgets: in Python and on the command line."""

from __future__ import annotations

import datetime as dt
import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import FAKE, answers, write_articles

from kbsearch.builder import build
from kbsearch.content import Head
from kbsearch.disclosing import parse_budget
from kbsearch.errors import BadQuery, NotFound
from kbsearch.excerpts import excerpt
from kbsearch.forms import FORMS
from kbsearch.markdown import below_title
from kbsearch.model import Section
from kbsearch.related import SHOWN, Titled, load_related, write_related
from kbsearch.search import KnowledgeBase
from kbsearch.views import LEVELS, PRESETS, Budget, Cost, level_number

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import FakeEncoder, RunKbsearch

    from kbsearch.forms import Form

QUESTIONS = (
    "返品の送料は誰が払いますか",
    "配送は何日かかる",
    "password reset link",
    "領収書 発行",
    "unknown words",
    "",
)
DAY = dt.date(2026, 11, 22)

GUIDE = """---
title: 返品の手順
lang: ja
---
はじめに、返品できるかどうかを確かめてください。

## 送料

お客様のご負担です。ただし、不良品は当店が負担します。

### 離島の場合

離島への送料は1,000円です。

## 手順

1. 箱に入れます。
2. 送り状を貼ります。
3. 集荷を頼みます。
"""


@pytest.fixture
def kb(index: Path) -> KnowledgeBase:
    return KnowledgeBase.open(index)


@pytest.fixture
def guides(tmp_path: Path, fake_encoder: FakeEncoder) -> KnowledgeBase:
    """Three guides, one of which says how to reach a person."""
    assert fake_encoder.name == FAKE
    contact = "---\ntitle: お問い合わせの窓口\nlang: ja\ncontact: true\n---\n電話かチャットでどうぞ。\n"
    exchange = "---\ntitle: 交換の手順\nlang: ja\n---\n同じ商品と交換します。\n"
    files = {"return.md": GUIDE, "contact.md": contact, "exchange.md": exchange}
    build(write_articles(tmp_path / "guides", files), tmp_path / "guides-index", encoder=FAKE)
    return KnowledgeBase.open(tmp_path / "guides-index")


# Levels


@pytest.mark.parametrize(("given", "number"), [(0, 0), ("4", 4), ("article", 3), ("section", 2)])
def test_a_level_has_a_number_and_a_name(given: int | str, number: int) -> None:
    assert level_number(given) == number


@pytest.mark.parametrize("given", [5, -1, "5", "", "Article", "01", True, "３"])
def test_what_is_no_level_is_none(given: int | str) -> None:
    assert level_number(given) is None


def test_each_level_shows_more_and_says_what_it_costs(guides: KnowledgeBase, fake_encoder: FakeEncoder) -> None:
    views = [guides.open("return#送料", level) for level in range(5)]
    title, snippet, section, article, related = (view.text for view in views)
    assert title == "返品の手順"
    assert snippet == "お客様のご負担です。ただし、不良品は当店が負担します。 … 離島への送料は1,000円です。"
    assert section.startswith("## 送料")
    assert section.endswith("離島への送料は1,000円です。")
    assert article == GUIDE.partition("---\n")[2].partition("---\n")[2].strip("\n")
    assert related.startswith(article)
    assert "## 関連する記事\n\n- " in related
    assert "- 交換の手順（exchange）" in related
    assert related.endswith("## お問い合わせ\n\n- お問い合わせの窓口（contact）")
    for view in views:
        none = fake_encoder.count_tokens("")
        assert view.cost == (len(view.text), fake_encoder.count_tokens(view.text) - none)
        assert [level.name for level in view.levels] == list(LEVELS)
        for level, following in pairwise(view.levels):
            assert level.adds == following.cost - level.cost
        assert view.levels[-1].adds is None
        assert view.generation == guides.generation
    assert views[0].levels[2].cost == views[2].cost  # what is said of a level is what it costs
    assert views[0].levels[3].cost.tokens == views[3].cost.tokens
    assert views[0].levels[1].cost.characters == views[1].cost.characters
    assert (views[4].contact, [other.article_id for other in views[4].related]) == (
        views[4].contact, ["exchange", "contact"],
    )  # fmt: skip
    listed = "\n".join(f"- {other.title}（{other.article_id}）" for other in views[4].related)
    adds = views[0].levels[3].adds
    assert adds == (len(listed), fake_encoder.count_tokens(listed) - fake_encoder.count_tokens(""))
    assert views[4].contact is not None
    assert views[4].contact.article_id == "contact"


def test_a_level_by_its_name_and_a_question(guides: KnowledgeBase) -> None:
    view = guides.open("return", "snippet", question="集荷は誰に頼みますか")
    assert view.level == 1
    assert view.text.startswith("はじめに")
    assert "頼みます" in guides.open("return#手順", 1, question="集荷").text


@pytest.mark.parametrize("form", FORMS)
def test_every_level_has_every_form(guides: KnowledgeBase, form: Form) -> None:
    for level in range(5):
        view = guides.open("return#手順", level, form=form)
        assert view.text
        assert view.form == form
        assert json.loads(json.dumps(view.to_dict()))["cost"] == view.cost.to_dict()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"level": 7}, "There is no level 7"),
        ({"level": "page"}, "There is no level 'page'"),
        ({"form": "pdf"}, "There is no form “pdf”"),
        ({"snippet_chars": 0}, "snippet_chars"),
    ],
)
def test_a_wrong_way_to_open_is_said(guides: KnowledgeBase, arguments: dict[str, object], error: str) -> None:
    with pytest.raises(BadQuery, match=error):
        guides.open("return", **arguments)  # type: ignore[arg-type]


def test_what_is_not_there_is_not_opened(guides: KnowledgeBase) -> None:
    with pytest.raises(NotFound, match="return#手順"):
        guides.open("return#手引")


def test_open_of_the_class_opens_an_index(index: Path) -> None:
    assert KnowledgeBase.open(index).generation == KnowledgeBase.open_index(index).generation


def test_an_excerpt_has_what_stands_below_once() -> None:
    def section(level: int, first: int, last: int, kind: str = "section") -> Section:
        return Section(f"a{first}", "見出し", (), level, kind, (first, last), f"本文{first}")

    sections = [section(2, 1, 9), section(3, 4, 6, "qa"), section(3, 10, 12), section(2, 13, 14), section(3, 15, 15)]
    assert excerpt(sections, 0) == ((0, 2), 12)  # a unit inside its lines is in it already
    assert excerpt(sections, 3) == ((3, 4), 15)
    assert excerpt(sections, 1) == ((1,), 6)
    assert excerpt(sections, 0).markdown(sections) == "本文1\n\n本文10"


# What a hit says


def test_a_hit_says_what_each_level_costs(kb: KnowledgeBase) -> None:
    hit = kb.search("返品の送料は誰が払いますか").hits[0]
    for level in hit.levels[1:4]:
        assert level.cost.characters == len(kb.open(hit.section_id, level.level, question=hit.snippet).text) or (
            level.level == 1
        )
    assert hit.levels[1].cost.characters == len(hit.snippet)
    assert hit.levels[0].cost.characters == len(kb.open(hit.section_id, 0).text)


def test_pieces_lead_to_the_passage(kb: KnowledgeBase) -> None:
    for question in QUESTIONS[:4]:
        for hit in kb.search(question, snippet_chars=60).hits:
            for piece in hit.pieces:
                passage = hit.passages[piece.passage].text
                assert passage[piece.start : piece.end] == piece.text
                assert all(piece.start <= first < last <= piece.end for first, last in piece.marks)
            shown = [hit.snippet[first:last] for first, last in hit.marks]
            marked = [hit.passages[p.passage].text[first:last] for p in hit.pieces for first, last in p.marks]
            assert shown == [" ".join(text.split()) for text in marked][: len(shown)]


# Related articles


def heads(*titles: str, lang: str = "ja", status: str = "published") -> list[Head]:
    return [Head(n, f"a{n}", f"{n}.md", title, lang, status, None, None) for n, title in enumerate(titles)]


def vectors(*angles: float) -> np.ndarray:
    return np.array([[np.cos(a), np.sin(a)] for a in angles], dtype=np.float32)


def test_the_nearest_titles_are_related(tmp_path: Path) -> None:
    own = heads("返品", "交換", "配送", "Return", "下書き")
    own[3] = own[3]._replace(lang="en")
    own[4] = own[4]._replace(status="draft")
    titled = Titled(own, vectors(0, 0.1, 0.5, 0, 0), np.arange(5, dtype=np.int32))
    write_related(tmp_path / "related.npy", titled, len)
    found = load_related(tmp_path / "related.npy", 5)
    assert found[0, :3].tolist() == [1, 2, -1]
    assert found[2, :3].tolist() == [1, 0, -1]
    assert (found[3:, :8] == -1).all()  # another language, a draft
    assert found[0, 8] == len("- 交換（a1）\n- 配送（a2）")


def test_versions_of_one_article_are_not_related(tmp_path: Path) -> None:
    titled = Titled(heads("返品", "返品の", "配送"), vectors(0, 0.1, 0.5), np.array([0, 0, 2], np.int32))
    write_related(tmp_path / "related.npy", titled, len)
    assert load_related(tmp_path / "related.npy", 3)[:, 0].tolist() == [2, 2, 1]


def test_a_delta_gives_what_a_whole_build_would(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    angles = random.random(60).tolist()
    before = Titled(heads(*map(str, range(50))), vectors(*angles[:50]), np.arange(50, dtype=np.int32))
    write_related(tmp_path / "base.npy", before, len)
    after_heads = heads(*map(str, range(60)))
    for gone in (3, 17, 40):
        after_heads[gone] = after_heads[gone]._replace(title="")
    after = Titled(after_heads, vectors(*angles), np.arange(60, dtype=np.int32))
    write_related(tmp_path / "delta.npy", after, len, (tmp_path / "base.npy", before.groups))
    write_related(tmp_path / "whole.npy", after, len)
    kept = [n for n in range(60) if n not in {3, 17, 40}]
    delta, whole = (load_related(tmp_path / f"{name}.npy", 60) for name in ("delta", "whole"))
    assert np.array_equal(delta[kept], whole[kept])
    assert not np.isin(delta[kept, :8], [3, 17, 40]).any()
    assert SHOWN <= 8


# Budgets


@pytest.mark.parametrize("amount", [1, 5, 60, 140, 600, 3_000])
@pytest.mark.parametrize("unit", ["characters", "tokens"])
@pytest.mark.parametrize("form", FORMS)
def test_a_budget_is_never_exceeded(
    guides: KnowledgeBase, fake_encoder: FakeEncoder, amount: int, unit: str, form: str
) -> None:
    for question in QUESTIONS:
        found = guides.search(question, budget=Budget(amount, unit, form)).disclosure  # type: ignore[arg-type]
        assert found is not None
        size = (
            len(found.text)
            if unit == "characters"
            else fake_encoder.count_tokens(found.text) - fake_encoder.count_tokens("")
        )
        assert size <= amount
        assert found.cost.characters == len(found.text)
        assert json.loads(json.dumps(found.to_dict()))["cost"] == found.cost.to_dict()
        for part in found.parts:
            assert part.text in found.text


def test_more_is_said_of_the_sure_hit(kb: KnowledgeBase) -> None:
    found = kb.search("返品の送料は誰が払いますか", budget=Budget(400, form="markdown")).disclosure
    assert found is not None
    levels = [part.level for part in found.parts]
    assert levels[0] == max(levels)
    assert len(found.parts) > 1


def test_a_larger_budget_shows_no_less(kb: KnowledgeBase) -> None:
    deepest = [-1, -1]
    for amount in (60, 120, 240, 480, 960, 1_920):
        found = kb.search("返品の送料は誰が払いますか", budget=amount).disclosure
        assert found is not None
        now = [found.parts[0].level, len(found.parts)] if found.parts else [-1, 0]
        assert now >= deepest
        deepest = now


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_a_form_of_their_own(guides: KnowledgeBase, name: str) -> None:
    found = guides.search("返品の送料は誰が払いますか", budget=name).disclosure
    assert found is not None
    assert found.budget == PRESETS[name]
    assert found.text
    assert len(found.parts) <= found.budget.most + 1  # the way to a person


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("most", [1, 5])
def test_a_title_is_said_once(tmp_path: Path, fake_encoder: FakeEncoder, form: Form, most: int) -> None:
    assert fake_encoder.name == FAKE
    files = {
        "atx.md": "# 返品の送料\n\nお客様のご負担です。\n\n## 離島\n\n1,000円です。\n",
        "setext.md": "---\nlang: en\n---\n\nReturn postage\n===\n\nYou pay for the parcel.\n",
        "other.md": "---\ntitle: 交換\n---\n\n# 交換の手順\n\n箱に入れます。\n",
        "id.md": "# パスワードの再設定 {#post}\n\nリンクを押します。\n",
        "case.md": "---\ntitle: Vpn Setup\n---\n\n<!-- by hand -->\n\n# VPN **setup**\n\nInstall the client.\n",
        "sharp.md": "# Learning C#\n\nBegin with a variable.\n",
        "table.md": "# 支払いの質問\n\n| 質問 | 回答 |\n|---|---|\n| 分割はできますか | 三回までです |\n",
    }
    build(write_articles(tmp_path / "titled", files), tmp_path / "titled-index", encoder=FAKE)
    kb = KnowledgeBase.open(tmp_path / "titled-index")
    for question, title, inside in (
        ("返品の送料", "返品の送料", "お客様のご負担です"),
        ("return postage", "Return postage", "You pay for the parcel"),
        ("交換の手順", "交換の手順", "箱に入れます"),
        ("パスワードの再設定", "パスワードの再設定", "リンクを押します"),
        ("vpn setup", "setup", "Install the client"),
        ("learning C#", "Learning C", "Begin with a variable"),
        ("支払いの質問", "支払いの質問", "三回まで"),
    ):
        found = kb.search(question, budget=Budget(900, form=form, most=most))
        assert found.disclosure is not None
        first = found.disclosure.parts[0]
        said = re.sub(r"{#.*?}|<!--.*?-->", "", first.text.replace(first.handle, "").replace("Setup", "setup"))
        assert (said.count(title), said.count(inside)) == (1, 1), said


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("# 送料\n\n当店です。", "当店です。"),
        ("送料\n===\n当店です。", "当店です。"),
        ("# 送料 #\n\n## 離島 {#a}\n", "## 離島 {#a}"),
        ("# 配送\n\n# 送料\n", None),
        ("はじめに。\n\n# 送料\n", None),
        ("- 一覧\n\n# 送料\n", None),
        ("## 送料\n\n当店です。", None),
        ("<h1>送料</h1><p>当店です。</p>", None),
        ("> # 送料\n\n当店です。", None),
        ("", None),
        ("# 送料", ""),
        ("# 送料" + "x" * 9_000, None),
    ],
)
def test_only_the_title_itself_is_left_out(source: str, kept: str | None) -> None:
    assert below_title(source, "送料", "ja") == (source if kept is None else kept)


def test_headings_with_an_id_are_well_formed(tmp_path: Path, fake_encoder: FakeEncoder) -> None:
    assert fake_encoder.name == FAKE
    text = "---\ntitle: 送料\n---\n\nはじめに。\n\n# 章 {#one}\n\n## 離島 {#rito}\n\n1,000円です。\n"
    build(write_articles(tmp_path / "ids", {"a.md": text}), tmp_path / "ids-index", encoder=FAKE)
    found = KnowledgeBase.open(tmp_path / "ids-index").search("送料", budget=Budget(900, form="html")).disclosure
    assert found is not None
    assert re.findall(r"</?h\d(?: id=[^>]+)?>", found.text) == [
        "</h3>", '<h4 id="one">', "</h4>", '<h4 id="rito">', "</h4>",
    ]  # fmt: skip


def test_headings_in_html_are_below_the_title(guides: KnowledgeBase) -> None:
    found = guides.search("返品の手順", budget=Budget(900, form="html", most=1)).disclosure
    assert found is not None
    assert re.findall(r"<h\d[^>]*>[^<]*", found.text) == [
        '<h3 data-handle="return#手順">返品の手順',
        "<h4>送料",
        "<h5>離島の場合",
        "<h4>手順",
    ]


def test_what_is_unlikely_ends_with_the_way_to_a_person(guides: KnowledgeBase) -> None:
    result = guides.search("zzz qqq", budget=600)
    assert result.outcome == "hand_over"
    assert result.disclosure is not None
    assert result.disclosure.text.endswith("Contact us: お問い合わせの窓口 (contact)")
    assert all(part.level <= 1 for part in result.disclosure.parts)
    spoken = guides.search("ぬるぽ", budget="voice").disclosure
    assert spoken is not None
    assert spoken.text.endswith("お問い合わせ:お問い合わせの窓口")


def test_without_a_budget_there_is_no_disclosure(kb: KnowledgeBase) -> None:
    result = kb.search("返品")
    assert result.disclosure is None
    assert "disclosure" not in result.to_dict()


@pytest.mark.parametrize(
    ("given", "budget"),
    [
        (1200, Budget(1200)),
        ("1200", Budget(1200)),
        (" 1200 characters ", Budget(1200)),
        ("8000 tokens", Budget(8000, "tokens")),
        ("1token", Budget(1, "tokens")),
        ("sms", PRESETS["sms"]),
    ],
)
def test_a_budget_is_read(given: int | str, budget: Budget) -> None:
    assert parse_budget(given) == budget


@pytest.mark.parametrize(
    "given",
    [
        0, -1, True, "pager", "", "１２００円", "8000 words", 1.5, Budget(10, "pages"),  # type: ignore[arg-type]
        Budget(10, form="pdf"),  # type: ignore[arg-type]
        Budget(0), Budget(10, most=0), Budget(10, deepest=4), "9999999999",
    ],
)  # fmt: skip
def test_what_is_no_budget_is_said(given: object) -> None:
    with pytest.raises(BadQuery, match=r"budget|Budget|form"):
        parse_budget(given)  # type: ignore[arg-type]


def test_costs_are_subtracted_part_by_part() -> None:
    assert Cost(10, 4) - Cost(3, 1) == Cost(7, 3)


# Command line


def test_show_opens_a_level(kbsearch: RunKbsearch, kb_index: Path) -> None:
    told = kbsearch("show", "returns", "--index", kb_index, "--level", "section", "--form", "text")
    assert (told.returncode, told.stdout) == (0, "不良品の返品の送料は当店が負担します。着払いでお送りください。\n")
    assert told.stderr.startswith("section 31 characters, ")
    assert "article +" in told.stderr
    one = kbsearch("show", "returns", "--index", kb_index, "--level", "1", "--json")
    assert json.loads(one.stdout)["levels"][1]["name"] == "snippet"
    wrong = kbsearch("show", "returns", "--index", kb_index, "--level", "9")
    assert (wrong.returncode, "There is no level" in wrong.stderr) == (BadQuery.exit_code, True)


def test_search_fills_a_budget(kbsearch: RunKbsearch, kb_index: Path) -> None:
    told = kbsearch("search", "返品の送料", "--index", kb_index, "--budget", "sms")
    assert told.returncode == 0
    assert 0 < len(told.stdout.rstrip("\n")) <= 140
    assert " of 140 characters · 1 shown" in told.stderr
    both = kbsearch("search", "返品の送料", "--index", kb_index, "--budget", "300 tokens", "--json")
    assert json.loads(both.stdout)["disclosure"]["budget"] == {"amount": 300, "unit": "tokens", "form": "text"}
    wrong = kbsearch("search", "返品の送料", "--index", kb_index, "--budget", "pager")
    assert (wrong.returncode, "voice, sms, chat" in wrong.stderr) == (BadQuery.exit_code, True)


def test_answers_have_no_surprise_beside(kb: KnowledgeBase) -> None:
    """A budget changes nothing of the hits."""
    plain = answers(kb)
    assert [said[:2] for said in answers(kb, budget="chat")] == [said[:2] for said in plain]
    assert answers(kb, budget="chat") == plain


def test_a_budget_shows_no_part_of_a_sentence(tmp_path: Path, fake_encoder: FakeEncoder) -> None:
    assert fake_encoder.name == FAKE
    long = "返品の送料は、お客様のご都合による場合と不良品の場合とで異なり、前者はお客様、後者は当店が負担します。"
    text = f"---\ntitle: 返品の送料\nlang: ja\n---\n{long}短い文です。\n"
    build(write_articles(tmp_path / "one", {"a.md": text}), tmp_path / "one-index", encoder=FAKE)
    kb = KnowledgeBase.open(tmp_path / "one-index")
    for amount, shown in ((20, "返品の送料\n短い文です。"), (100, long), (5, "返品の送料"), (4, "")):
        found = kb.search("返品の送料は誰が", budget=amount).disclosure
        assert found is not None
        assert shown in found.text
        assert "…" not in found.text
        assert len(found.text) <= amount
    assert "…" in kb.search("返品の送料は誰が", snippet_chars=20).hits[0].snippet


def test_equal_titles_are_related_in_the_order_of_their_paths(tmp_path: Path) -> None:
    own = heads("返品", "交換", "交換", "交換")
    own[1], own[3] = own[1]._replace(path="z.md"), own[3]._replace(path="0.md")
    titled = Titled(own, vectors(0, 0.5, 0.5, 0.5), np.arange(4, dtype=np.int32))
    write_related(tmp_path / "related.npy", titled, len)
    assert load_related(tmp_path / "related.npy", 4)[0, :3].tolist() == [3, 2, 1]
