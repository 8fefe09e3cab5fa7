"""A name that was given out stays: it leads to its section, or says where that went, through builds of every kind."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from conftest import FAKE, RunKbsearch, write_articles
from hypothesis import given, settings
from hypothesis import strategies as st
from test_compat import DATA
from test_lineage import BOX, CALL, DEADLINE, POSTAGE, REFUND, page

from kbsearch import Gone, KnowledgeBase, NotFound, build, delta
from kbsearch.handles import Change, Entry, Record, Removed, updated
from kbsearch.inheritance import inherited
from kbsearch.model import name_section
from kbsearch.overviews import article_to_dict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import FakeEncoder

    from kbsearch.overviews import BuildReport


class Desk:
    """A folder of articles and its index."""

    def __init__(self, folder: Path) -> None:
        self.articles, self.index = folder / "articles", folder / "index"
        self.articles.mkdir()

    def write(self, path: str, *parts: tuple[str, str], front: str = "") -> None:
        """Write an article of sections."""
        body = "\n\n".join(f"## {heading}\n\n{text}" if heading else text for heading, text in parts)
        write_articles(self.articles, {path: f"---\ntitle: {path}\n{front}---\n\n{body}\n"})

    def build(self, **options: Any) -> BuildReport:
        """Bring the index up to date."""
        return build(self.articles, self.index, encoder=FAKE, **options)

    def open(self) -> KnowledgeBase:
        """The index as it is."""
        return KnowledgeBase.open(self.index)

    def record(self) -> list[Entry]:
        """What its generation knows of names."""
        return self.open().snapshot.content.record()

    def leads(self, *names: str) -> list[str]:
        """Where names lead: an address, or the first successor in brackets."""
        kb, found = self.open(), []
        for name in names:
            place = kb.resolve(name)
            after = [f"{other.why} {other.section_id}" for other in place.successors[:1]]
            found.append(place.section_id if place.state == "live" else f"({', '.join(after)})")
        return found


@pytest.fixture
def desk(tmp_path: Path, fake_encoder: FakeEncoder) -> Desk:
    assert fake_encoder
    return Desk(tmp_path)


@pytest.fixture(params=["whole", "delta", "full"])
def rebuild(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, desk: Desk) -> Callable[[], BuildReport]:
    """The three ways in which a build comes about."""
    if request.param == "delta":
        monkeypatch.setattr(delta, "FEWEST_PASSAGES", 0)
        monkeypatch.setattr(delta, "MOST_CHANGED", 100)
    return lambda: desk.build(full=request.param == "full")


# What a link meets


def test_a_handle_stays_when_its_heading_is_reworded_again_and_again(
    desk: Desk, rebuild: Callable[[], BuildReport]
) -> None:
    """Every address that the section had on the way leads to it as well."""
    for heading in ("送料", "配送料", "運賃", "送料"):
        desk.write("a.md", (heading, POSTAGE), ("期限", DEADLINE))
        rebuild()
        kb = desk.open()
        view = kb.section("a#送料")
        assert (view.handle, view.section_id, view.heading, view.moved_from) == (
            "a#送料",
            f"a#{heading}",
            heading,
            None,
        )
        hits = kb.search("返品の送料は当店が負担", k=1).hits
        shown = next(passage for passage in hits[0].passages if passage.heading == heading)
        assert (shown.handle, shown.section_id) == ("a#送料", f"a#{heading}")
        assert hits[0].to_dict()["handle"] == hits[0].handle == hits[0].passages[0].handle
    assert desk.leads("a#配送料", "a#運賃", "a#期限") == ["a#送料", "a#送料", "a#期限"]
    assert desk.open().section("a#運賃").moved_from == "a#運賃"


def test_a_new_section_under_an_old_heading_gets_another_handle(desk: Desk, rebuild: Callable[[], BuildReport]) -> None:
    desk.write("a.md", ("送料", POSTAGE))
    rebuild()
    desk.write("a.md", ("送料（旧）", POSTAGE))
    rebuild()
    desk.write("a.md", ("送料（旧）", POSTAGE), ("送料", DEADLINE))
    rebuild()
    kb = desk.open()
    assert desk.leads("a#送料", "a#送料-2") == ["a#送料旧", "a#送料"]
    assert kb.section("a#送料-2").handle == "a#送料-2"
    stored = article_to_dict(kb.article("a"), kb.snapshot.content.handles_by_address)
    assert [section["handle"] for section in stored["sections"]] == ["a#送料", "a#送料-2"]


def test_what_moves_to_another_article_is_found_there_and_back(desk: Desk, rebuild: Callable[[], BuildReport]) -> None:
    desk.write("a.md", ("送料", POSTAGE), ("期限", DEADLINE))
    desk.write("b.md", ("Box", BOX))
    rebuild()
    before = desk.record()
    desk.write("a.md", ("期限", DEADLINE))
    desk.write("b.md", ("Box", BOX), ("送料のこと", POSTAGE))
    rebuild()
    place = desk.open().resolve("a#送料")
    assert (place.state, place.handle, place.moved_from) == ("live", "b#送料のこと", "a#送料")
    desk.write("a.md", ("送料", POSTAGE), ("期限", DEADLINE))
    desk.write("b.md", ("Box", BOX))
    rebuild()
    assert before == []
    assert desk.leads("a#送料", "b#送料のこと") == ["a#送料", "a#送料"]
    assert desk.open().section("b#送料のこと").handle == "a#送料"


def test_a_renamed_article_is_opened_by_its_old_names(desk: Desk, rebuild: Callable[[], BuildReport]) -> None:
    """Three names one after the other; a new article in the first one's place has its id, and says who had it."""
    desk.write("other.md", ("Box", BOX))
    for old, new in ((None, "a"), ("a", "b"), ("b", "c")):
        if old is not None:
            (desk.articles / f"{old}.md").unlink()
        desk.write(f"{new}.md", ("", CALL), ("送料", POSTAGE))
        rebuild()
    assert desk.leads("a", "b", "c", "a#送料", "b#送料") == ["c", "c", "c", "c#送料", "c#送料"]
    assert desk.open().article("a").id == "c"
    desk.write("a.md", ("", REFUND), ("送料", DEADLINE))
    rebuild()
    place = desk.open().resolve("a")
    assert (place.article_id, place.moved_from, [after.handle for after in place.successors]) == ("a", None, ["c"])
    assert desk.leads("a#送料", "a#送料-2") == ["c#送料", "a#送料"]


def test_a_removed_section_says_where_its_text_went(
    desk: Desk, rebuild: Callable[[], BuildReport], kbsearch: RunKbsearch
) -> None:
    desk.write("a.md", ("送料", POSTAGE), ("期限", DEADLINE), ("Call", CALL))
    desk.write("b.md", ("返金", REFUND))
    rebuild()
    desk.write("a.md", ("Call", CALL))
    desk.write("b.md", ("返金", f"{REFUND}\n\n{POSTAGE}"))
    rebuild()
    kb = desk.open()
    place = kb.resolve("a#送料")
    assert (place.state, place.section_id, place.heading) == ("gone", "", "送料")
    assert [(after.handle, after.why, after.share) for after in place.successors] == [("b#返金", "text", 1.0)]
    assert desk.leads("a#期限") == ["(article a)"]
    with pytest.raises(Gone, match="100%") as caught:
        kb.section("a#送料")
    assert (caught.value.successors, caught.value.exit_code) == (("b#返金",), NotFound.exit_code)
    shown = kbsearch("show", "a#送料", "-i", desk.index)
    assert shown.returncode == NotFound.exit_code
    assert "b#返金" in shown.stderr
    assert kb.resolve("a#期限").to_dict()["successors"][0]["why"] == "article"
    # The successor moves on, and then is removed as well.
    desk.write("b.md", ("Box", BOX))
    desk.write("c.md", ("返金", f"{REFUND}\n\n{POSTAGE}"))
    rebuild()
    assert desk.leads("a#送料", "b#返金") == ["(text c#返金)", "c#返金"]
    (desk.articles / "c.md").unlink()
    rebuild()
    assert desk.leads("a#送料", "b#返金") == ["(article a)", "()"]


def test_what_comes_back_has_its_names_again(desk: Desk, rebuild: Callable[[], BuildReport]) -> None:
    """A section, an article, and all of them after a build of the wrong folder."""
    desk.write("a.md", ("送料", POSTAGE), ("期限", DEADLINE))
    desk.write("b.md", ("", CALL), ("注意", "なし。"), ("Box", BOX))
    rebuild()
    desk.write("a.md", ("料金", POSTAGE), ("期限", DEADLINE))
    rebuild()
    record, all_names = desk.record(), ["a#送料", "a#料金", "a#期限", "b", "b#注意", "b#box"]
    assert [entry.handle for entry in record] == ["a#送料"]
    kept = shutil.copytree(desk.articles, desk.articles.with_name("kept"))
    for path in desk.articles.iterdir():
        path.unlink()
    rebuild()
    assert desk.leads(*all_names[:1], *all_names[2:]) == ["()"] * 5
    shutil.copytree(kept, desk.articles, dirs_exist_ok=True)
    rebuild()
    assert desk.leads(*all_names) == ["a#料金", "a#料金", "a#期限", "b", "b#注意", "b#box"]
    assert [replace(entry, since="") for entry in desk.record() if entry.address] == [
        replace(entry, since="") for entry in record
    ]


def test_what_was_copied_first_and_removed_later_is_found(desk: Desk, rebuild: Callable[[], BuildReport]) -> None:
    desk.write("a.md", ("送料", POSTAGE), ("期限", DEADLINE))
    rebuild()
    desk.write("b.md", ("送料", POSTAGE), ("Box", BOX))
    rebuild()
    desk.write("a.md", ("期限", DEADLINE))
    rebuild()
    assert desk.leads("a#送料") == ["(text b#送料)"]


def test_an_article_that_becomes_a_section_is_found_there(desk: Desk, rebuild: Callable[[], BuildReport]) -> None:
    desk.write("q.md", ("", POSTAGE))
    desk.write("faq.md", ("期限", DEADLINE))
    desk.write("ja.md", ("", REFUND))
    desk.write("en.md", ("", CALL), front="lang: en\ntranslation_of: ja\n")
    rebuild()
    (desk.articles / "q.md").unlink()
    (desk.articles / "en.md").unlink()
    desk.write("faq.md", ("期限", DEADLINE), ("送料は？", POSTAGE))
    rebuild()
    assert desk.leads("q", "en") == ["faq#送料は", "(translation ja)"]
    assert desk.open().article("q").id == "faq"


def test_an_id_that_the_author_wrote_is_the_handle(desk: Desk, rebuild: Callable[[], BuildReport]) -> None:
    desk.write("a.md", ("送料", POSTAGE), ("期限", DEADLINE))
    rebuild()
    desk.write("a.md", ("送料 {#fee}", POSTAGE), ("期限", DEADLINE))
    rebuild()
    assert desk.leads("a#送料", "a#fee") == ["a#fee", "a#fee"]
    assert desk.open().resolve("a#送料").handle == "a#fee"
    desk.write("a.md", ("送料", POSTAGE), ("期限 {#fee}", DEADLINE))
    rebuild()
    assert desk.leads("a#fee", "a#期限", "a#送料") == ["a#fee", "a#fee", "a#送料"]
    assert desk.open().section("a#fee").heading == "期限"


def test_a_name_that_never_was_is_not_found(desk: Desk) -> None:
    desk.write("a.md", ("送料", POSTAGE))
    desk.write("draft.md", ("期限", DEADLINE), front="status: draft\n")
    desk.build()
    kb = desk.open()
    for name in ("a#期限", "b", "b#送料", "draft", "draft#期限", "", "#", "\ud800", "a#\ud800"):
        with pytest.raises(NotFound) as caught:
            kb.resolve(name)
        assert not isinstance(caught.value, Gone)
        assert not any(near.startswith("draft") for near in caught.value.near)
    with pytest.raises(NotFound, match="Did you mean a#送料"):
        kb.resolve("a#送科")


def test_what_customers_may_not_see_is_no_successor(desk: Desk) -> None:
    desk.write("a.md", ("送料", POSTAGE), ("期限", DEADLINE))
    desk.write("b.md", ("Box", BOX), front="status: draft\n")
    desk.build()
    desk.write("a.md", ("期限", DEADLINE))
    desk.write("b.md", ("Box", f"{BOX}\n\n{POSTAGE}"), front="status: draft\n")
    desk.build()
    assert desk.leads("a#送料") == ["(article a)"]


def test_the_command_line_says_that_something_moved(desk: Desk, kbsearch: RunKbsearch) -> None:
    desk.write("a.md", ("送料", POSTAGE), ("期限", DEADLINE))
    desk.write("b.md", ("Box", BOX))
    desk.build()
    desk.write("a.md", ("期限", DEADLINE))
    desk.write("b.md", ("Box", BOX), ("送料", POSTAGE))
    (desk.articles / "b.md").rename(desk.articles / "c.md")
    report = desk.build()
    assert report.handles == desk.open().status().handles == {"reworded": 0, "moved": 3, "gone": 0}
    shown = kbsearch("show", "a#送料", "-i", desk.index)
    assert shown.stderr == "note: “a#送料” is now “c#送料”\n"
    assert "c#送料" in shown.stdout
    found = json.loads(kbsearch("show", "a#送料", "-i", desk.index, "--json").stdout)
    assert (found["moved_from"], found["handle"], found["section_id"]) == ("a#送料", "c#送料", "c#送料")
    article = json.loads(kbsearch("show", "b", "-i", desk.index, "--json").stdout)
    assert (article["id"], article["moved_from"]) == ("c", "b")
    assert "3 under another name" in kbsearch("status", "-i", desk.index).stdout


# What the record survives


def test_a_build_of_the_same_files_changes_no_name(desk: Desk) -> None:
    desk.write("a.md", ("送料", POSTAGE), ("期限", DEADLINE))
    desk.build()
    desk.write("a.md", ("料金", POSTAGE))
    desk.build()
    record = desk.record()
    assert len(record) == 2
    assert not desk.build().published
    assert desk.build(full=True).published
    assert desk.record() == record


def test_the_record_of_a_damaged_index_is_that_of_the_generation_before(desk: Desk) -> None:
    for heading in ("送料", "料金", "運賃"):
        desk.write("a.md", (heading, POSTAGE), ("期限", DEADLINE))
        name = desk.build().generation
    with (desk.index / name / "content.sqlite").open("r+b") as file:
        file.seek(5000)
        file.write(b"damage" * 100)
    desk.write("a.md", ("運賃表", POSTAGE), ("期限", DEADLINE))
    desk.build()
    assert desk.leads("a#送料", "a#料金", "a#運賃表") == ["a#運賃表"] * 3


def test_a_build_on_an_index_without_a_record_follows_its_sections(desk: Desk) -> None:
    """An older format knows its articles, if no names: what was edited since is followed from there."""
    shutil.copytree(DATA / "index-format-4", desk.index)
    write_articles(desk.articles, {
        "konbini.md": "---\ntitle: 返品の送料\n---\n\n不良品の返品の送料は当店が負担します。\n",
        "password.en.md": '---\ntitle: Reset your password\n---\n\nChoose "Forgot password" on the sign-in page.\n',
    })  # fmt: skip
    desk.build()
    assert desk.leads("返品.ja", "password.en") == ["konbini", "password.en"]


def test_a_record_that_leads_in_a_circle_ends(desk: Desk) -> None:
    """Only damage does that: a chain is followed once."""
    desk.write("a.md", ("送料", POSTAGE))
    name = desk.build().generation
    rows = [("a#x", '[["a#y", 1.0]]', 1), ("a#y", '[["a#x", 1.0]]', 1), ("a#z", '[["a#z", 0.9], ["a#x", 0.5]]', 0)]
    with sqlite3.connect(desk.index / name / "content.sqlite") as connection:
        connection.executemany("INSERT INTO handles VALUES (?, NULL, NULL, ?, ?, 'gen-000001', '', '', x'')", rows)
    kb = desk.open()
    assert [kb.resolve(name).state for name, *_ in rows] == ["gone"] * 3
    record = Record(kb.snapshot.content.record())
    assert record.followed("a#x") in {"a#x", "a#y"}


# The record by itself


def test_only_what_differs_has_a_row() -> None:
    old = [page("a", ("送料", POSTAGE), ("期限", DEADLINE)), page("b", ("Box", BOX))]
    new = [page("a", ("送料", POSTAGE + "以上。"), ("期限", DEADLINE)), page("b", ("Box", BOX))]
    assert len(inherited(Record(), old, new, "gen-000002")) == 0
    assert Record().counts() == {"reworded": 0, "moved": 0, "gone": 0}


def test_a_free_name_is_found_past_those_that_were_ever_given() -> None:
    taken = [Entry("a#x", None, (("b#x", 1.0),), moved=True), Entry("a#x-2", None)]
    change = Change(now={("a", "x"): ("", ""), ("a", "x-3"): ("", "")}, present=frozenset({"a"}))
    found = updated(Record(taken), change, "gen-000002")
    assert found.handle_of("a", "x") == "a#x-4"
    assert found.handle_of("a", "x-3") == "a#x-3"


def test_a_removed_name_names_each_successor_once() -> None:
    gone = Removed("t", "h", ((("a", "y"), 0.6), (("a", "z"), 0.5), (("a", "y"), 0.3)))
    change = Change(
        was={("a", "x"): ("t", "h"), ("a", "y"): ("t", ""), ("a", "z"): ("t", "")},
        now={("a", "y"): ("t", ""), ("a", "z"): ("t", "")},
        pairs={("a", "y"): ("a", "y"), ("a", "z"): ("a", "z")},
        removed={("a", "x"): gone},
        articles={"a": ("a", "")},
        present=frozenset({"a"}),
    )
    (row,) = updated(Record(), change, "gen-000002")
    assert row == Entry("a#x", None, (("a#y", 0.6), ("a#z", 0.5)), since="gen-000002", title="t", heading="h")
    assert row.settled


TEXTS = ["".join(chr(0x4E00 + (97 * number + 31 * step * step) % 5000) for step in range(60)) for number in range(40)]
"""Forty texts with nothing in common: whatever becomes of them, nobody can take one for another."""

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "reword", "move", "back", "rename", "delete"]),
        st.integers(0, 99), st.integers(0, 99),
    ),
    max_size=30,
)  # fmt: skip
HEADINGS = ("送料", "期限", "Box", "注意")


class Year:
    """Articles by id, their sections by number of text and heading; headings are few, so that names collide."""

    def __init__(self) -> None:
        self.articles: dict[str, list[list[Any]]] = {"a": [[0, "送料"], [1, "期限"]], "b": [[2, "送料"]]}
        self.away: list[list[Any]] = []
        self.next = 3
        self.record = Record()
        self.owners: dict[str, int] = {}

    def edit(self, kind: str, one: int, other: int) -> None:
        """Do something, if there is anything to do it to."""
        names = sorted(self.articles)
        article = self.articles[names[one % len(names)]] if names else []
        # A heading that was removed comes back as the same section: that is tested elsewhere.
        free = [heading for heading in HEADINGS if heading not in {gone for _, gone in self.away}]
        if kind == "add" and names and free and self.next < len(TEXTS):
            article.insert(other % (len(article) + 1), [self.next, free[other % len(free)]])
            self.next += 1
        elif kind == "back" and names and self.away:
            article.append(self.away.pop(other % len(self.away)))
        elif kind == "rename" and names:
            self.articles[f"n{len(self.owners)}x{other}"] = self.articles.pop(names[one % len(names)])
        elif kind == "delete" and len(names) > 1:
            self.away += self.articles.pop(names[one % len(names)])
        elif article:
            part = article[other % len(article)]
            if kind == "reword":
                part[1] = HEADINGS[(one + other) % 4]
            elif kind in {"remove", "move"}:
                article.remove(part)
                (self.away if kind == "remove" else self.articles[names[other % len(names)]]).append(part)

    def pages(self) -> list[Any]:
        """The articles as they are."""
        return [page(name, *((heading, TEXTS[n]) for n, heading in parts)) for name, parts in self.articles.items()]

    def check(self) -> None:
        """Every name ever seen leads to the section that had it first, and a live section has one handle."""
        places = {}
        for now, parts in zip(self.pages(), self.articles.values(), strict=True):
            for section, (number, _) in zip(now.sections, parts, strict=True):
                places[number] = now.id, section.anchor
        handles = {number: self.record.handle_of(*address) for number, address in places.items()}
        assert len(set(handles.values())) == len(handles)
        for name, number in self.owners.items():
            assert self.record.address_of(name) == places.get(number), name
        for number, handle in handles.items():
            assert self.owners.setdefault(handle, number) == number, handle
            self.owners.setdefault(name_section(*places[number]), number)


@settings(max_examples=60, deadline=None)
@given(EDITS)
def test_no_name_is_ever_given_to_another_section(edits: list[tuple[str, int, int]]) -> None:
    """Whatever an editor does, a build after each edit."""
    year = Year()
    year.check()
    for step, (kind, one, other) in enumerate(edits, start=2):
        before = year.pages()
        year.edit(kind, one, other)
        after = year.pages()
        year.record = inherited(year.record, before, after, f"gen-{step:06d}")
        year.check()
        again = inherited(year.record, after, after, "gen-999999")
        assert list(again) == list(year.record)


@settings(max_examples=8, deadline=None)
@given(st.lists(EDITS.filter(bool), min_size=2, max_size=4))
def test_deltas_and_whole_builds_keep_the_same_record(
    tmp_path_factory: pytest.TempPathFactory, builds: list[list[tuple[str, int, int]]]
) -> None:
    folder = tmp_path_factory.mktemp("both")
    year, records = Year(), []
    with pytest.MonkeyPatch.context() as patch:
        from conftest import FakeEncoder

        from kbsearch import embed

        patch.setitem(embed._loaded, (FAKE, None), FakeEncoder())
        patch.setattr(delta, "FEWEST_PASSAGES", 0)
        patch.setattr(delta, "MOST_CHANGED", 100)
        for edits in [[], *builds]:
            for edit in edits:
                year.edit(*edit)
            shutil.rmtree(folder / "articles", ignore_errors=True)
            texts = {
                f"{name}.md": "".join(f"## {heading}\n\n{TEXTS[n]}\n\n" for n, heading in parts) or "-"
                for name, parts in year.articles.items()
            }
            write_articles(folder / "articles", texts)
            for full in (False, True):
                build(folder / "articles", folder / f"index{full}", encoder=FAKE, full=full)
            records = [
                [
                    replace(entry, since="")
                    for entry in KnowledgeBase.open(folder / f"index{full}").snapshot.content.record()
                ]
                for full in (False, True)
            ]
            assert records[0] == records[1]
