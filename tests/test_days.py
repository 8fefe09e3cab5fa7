"""``as_of``: what is valid is judged on the day that is asked for, on an index that stays as it is."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest
from conftest import FAKE, FakeEncoder, write_articles

from kbsearch import embed
from kbsearch.builder import build
from kbsearch.errors import BadQuery, NotFound
from kbsearch.filters import parse_day
from kbsearch.rank import MODES
from kbsearch.search import KnowledgeBase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import RunKbsearch

FRONTS = {
    "いつも": "",
    "夏から": "valid_from: 2025-06-01\n",
    "夏まで": "valid_until: 2025-08-31\n",
    "夏だけ": "valid_from: 2025-06-01\nvalid_until: 2025-08-31\n",
    "一日": "valid_from: 2025-08-31\nvalid_until: 2025-08-31\n",
    "下書き": "status: draft\nvalid_from: 2025-06-01\nvalid_until: 2025-08-31\n",
    "保管": "status: archived\n",
}
DAYS = {
    "2025-05-31": {"いつも", "夏まで"},
    "2025-06-01": {"いつも", "夏から", "夏まで", "夏だけ"},
    "2025-07-15": {"いつも", "夏から", "夏まで", "夏だけ"},
    "2025-08-30": {"いつも", "夏から", "夏まで", "夏だけ"},
    "2025-08-31": {"いつも", "夏から", "夏まで", "夏だけ", "一日"},
    "2025-09-01": {"いつも", "夏から"},
    "0001-01-01": {"いつも", "夏まで"},
    "9999-12-31": {"いつも", "夏から"},
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The same text under every front matter, and one article without the words that are asked."""
    folder = tmp_path_factory.mktemp("days")
    texts = {
        f"{name}.ja.md": f"---\nid: {name}\n{front}---\n\n# 送料のご案内\n\n送料は無料です。\n\n## 例外\n\n離島。\n"
        for name, front in FRONTS.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embed._loaded, (FAKE, None), FakeEncoder())
        build(write_articles(folder / "articles", texts), folder / "index", encoder=FAKE)
        yield folder / "index"


@pytest.fixture(scope="module")
def kb(index: Path) -> KnowledgeBase:
    return KnowledgeBase.open(index)


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("where", [None, {"lang": "ja"}])
def test_what_is_valid_on_a_day_answers_as_of_it(kb: KnowledgeBase, day: str, mode: Any, where: Any) -> None:
    """Both ends included; drafts and archived articles on no day."""
    for as_of in (day, dt.date.fromisoformat(day), dt.datetime.fromisoformat(f"{day}T23:59:59")):
        hits = kb.search("送料", 50, mode=mode, filter=where, as_of=as_of, explain=True).hits
        assert {hit.article_id for hit in hits} == DAYS[day]
        for versions in ("all", "one"):
            ranking = kb.ranking("送料", 50, mode=mode, filter=where, as_of=as_of, versions=versions)
            assert set(ranking.article_ids) == DAYS[day]


def test_days_in_any_order_do_not_disturb_each_other(kb: KnowledgeBase) -> None:
    """What is remembered of a day is kept by the day: the same object is asked back and forth."""
    for day in [*DAYS, *reversed(DAYS), *sorted(DAYS, key=lambda day: day[::-1])]:
        for where in (None, {"lang": "ja"}):
            found = kb.ranking("送料", 50, filter=where, as_of=day).article_ids
            assert (day, set(found)) == (day, DAYS[day])


@pytest.mark.parametrize("day", DAYS)
def test_articles_and_sections_are_shown_as_of_a_day(kb: KnowledgeBase, day: str) -> None:
    for name in FRONTS:
        if name in DAYS[day]:
            assert kb.article(name, as_of=day).id == name
            assert kb.section(f"{name}#例外", as_of=day).heading == "例外"
            continue
        for ask in (kb.article, kb.section):
            with pytest.raises(NotFound) as caught:
                ask(name, as_of=day)
            assert set(caught.value.near) <= DAYS[day]


@pytest.mark.parametrize("mode", MODES)
def test_midnight_passes_over_an_open_index(kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch, mode: Any) -> None:
    """What is asked without a day follows the calendar; what is asked with one does not."""
    for day in sorted(DAYS):
        monkeypatch.setattr("kbsearch.search.today", lambda day=day: dt.date.fromisoformat(day))
        assert {hit.article_id for hit in kb.search("送料", 50, mode=mode, filter={"lang": "ja"}).hits} == DAYS[day]
        assert set(kb.ranking("送料", 50, mode=mode).article_ids) == DAYS[day]
        assert set(kb.ranking("送料", 50, mode=mode, as_of="2025-07-15").article_ids) == DAYS["2025-07-15"]
        assert ("夏から" in DAYS[day]) == (day >= "2025-06-01")
        if "夏から" in DAYS[day]:
            assert kb.article("夏から").id == "夏から"
        else:
            with pytest.raises(NotFound):
                kb.article("夏から")


def test_a_question_is_answered_by_one_day_even_if_midnight_passes_meanwhile(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = iter(["2025-08-31", "2025-09-01", "2025-09-02", "2025-09-03"])
    monkeypatch.setattr("kbsearch.search.today", lambda: dt.date.fromisoformat(next(days)))
    assert {hit.article_id for hit in kb.search("送料", 50, explain=True).hits} == DAYS["2025-08-31"]


@pytest.mark.parametrize(
    ("given", "day"),
    [
        (None, None),
        ("2025-12-01", dt.date(2025, 12, 1)),
        (" 2025-12-01\n", dt.date(2025, 12, 1)),
        ("20251201", dt.date(2025, 12, 1)),
        ("2025-12-01T23:30:00+09:00", dt.date(2025, 12, 1)),
        (dt.date(2024, 2, 29), dt.date(2024, 2, 29)),
        (dt.datetime(2024, 2, 29, 23, 59, tzinfo=dt.UTC), dt.date(2024, 2, 29)),
    ],
)
def test_a_day_is_read(given: Any, day: dt.date | None) -> None:
    assert parse_day(given) == day
    assert type(parse_day(given)) is type(day)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "  ",
        "2025-13-01",
        "2025-02-29",
        "12/01/2025",
        "昨日",
        "tomorrow",
        "\ud83d",
        20251201,
        1.5,
        True,
        ["2025-12-01"],
    ],
)
def test_what_is_no_day_is_a_bad_query_that_says_so(kb: KnowledgeBase, wrong: Any) -> None:
    for ask in (
        lambda: kb.search("送料", as_of=wrong),
        lambda: kb.ranking("送料", as_of=wrong),
        lambda: kb.article("いつも", as_of=wrong),
        lambda: kb.section("いつも#例外", as_of=wrong),
    ):
        with pytest.raises(BadQuery, match=r"as_of.* such as 2025-12-01"):
            ask()


def test_the_command_line_replays_a_day(index: Path, kbsearch: RunKbsearch) -> None:
    for form in (["--as-of", "2025-08-31"], ["--as-of=2025-08-31"]):
        said = json.loads(kbsearch("search", "送料", "-k", "9", "-i", index, "--json", *form).stdout)
        assert {hit["article_id"] for hit in said["hits"]} == DAYS["2025-08-31"]
        shown = kbsearch("show", "一日", "-i", index, "--json", *form)
        assert json.loads(shown.stdout)["id"] == "一日"
        section = kbsearch("show", "一日#例外", "-i", index, "--json", *form)
        assert json.loads(section.stdout)["heading"] == "例外"
    assert kbsearch("show", "一日", "-i", index, "--as-of", "2025-09-01").returncode == NotFound.exit_code
    lines = kbsearch(
        "search",
        "--queries",
        "-",
        "-k",
        "9",
        "-i",
        index,
        "--json",
        "--as-of",
        "2025-05-31",
        stdin='{"text": "送料"}\n',
    )
    assert {hit["article_id"] for hit in json.loads(lines.stdout)["hits"]} == DAYS["2025-05-31"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "送料", "--as-of", "someday"],
        ["search", "送料", "--as-of=someday"],
        ["search", "--queries", "-", "--json", "--as-of", "someday"],
        ["show", "いつも", "--as-of", "someday"],
        ["show", "いつも#例外", "--as-of", "someday"],
    ],
)
def test_a_day_that_is_none_ends_a_command_with_its_error(
    index: Path, kbsearch: RunKbsearch, arguments: list[str]
) -> None:
    done = kbsearch(*arguments, "-i", index, stdin='{"text": "送料"}\n')
    assert (done.returncode, done.stdout) == (BadQuery.exit_code, "")
    assert done.stderr == "error: “someday” in as_of is no day such as 2025-12-01.\n"


# The generation


def test_every_response_names_the_generation_it_came_from(
    tmp_path: Path, fake_encoder: FakeEncoder, kbsearch: RunKbsearch
) -> None:
    assert fake_encoder
    folder = write_articles(
        tmp_path / "articles", {"返品.md": "# 返品の送料\n\n当店が負担します。\n\n## 例外\n\n離島。\n"}
    )
    for text in ("", "\n追記です。\n"):
        (folder / "返品.md").write_text((folder / "返品.md").read_text("utf-8") + text, "utf-8")
        name = build(folder, tmp_path / "index", encoder=FAKE, full=True).generation
    assert name == "gen-000002"
    kb = KnowledgeBase.open(tmp_path / "index")
    said = (
        kb.search("返品"),
        kb.ranking("返品"),
        kb.article("返品"),
        kb.section("返品#例外"),
        kb.section("返品"),
        kb.status(),
    )
    assert {response.generation for response in said} == {name}
    (tmp_path / "q.jsonl").write_text('{"id": "q", "text": "返品"}\n', "utf-8")
    (tmp_path / "q.tsv").write_text("query_id\tarticle_id\tscore\nq\t返品\t1\n", "utf-8")
    for command in (
        ["search", "返品"],
        ["search", "返品", "--mode=lexical"],
        ["search", "--queries", "-"],
        ["show", "返品"],
        ["show", "返品#例外"],
        ["status"],
        ["verify"],
        ["eval", "q.jsonl", "q.tsv"],
        ["build", "articles"],
    ):
        done = kbsearch(*command, "-i", "index", "--json", stdin='{"text": "返品"}\n{"text": 3}\n')
        lines = done.stdout.splitlines()
        assert len(lines) == (2 if "--queries" in command else 1), done.stderr
        assert [json.loads(line)["generation"] for line in lines] == [name] * len(lines)


def test_an_article_from_a_file_has_no_generation_and_is_equal_to_the_served_one(
    index: Path, kb: KnowledgeBase
) -> None:
    from kbsearch.markdown import parse_article

    file = index.parent / "articles" / "いつも.ja.md"
    article, _ = parse_article(file.read_bytes(), "いつも.ja.md")
    assert article.generation == ""
    assert kb.article("いつも") == article
