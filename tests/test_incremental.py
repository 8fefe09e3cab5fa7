"""An incremental build reports exactly what changed, computes only that, and answers as a full build does."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pytest
from conftest import ARTICLES, FAKE, QUESTIONS, FakeEncoder, answers, answers_of, leftovers, write_articles

from kbsearch.builder import build
from kbsearch.model import Weights
from kbsearch.search import KnowledgeBase
from kbsearch.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kbsearch.overviews import BuildReport

Folder = dict[str, str]

PASSAGES: Final = 18
"""Of the shared articles, aliases included."""

TITLES: Final = 12
HEADINGS: Final = 5
"""Each has a vector of its own."""

FILTERS: Final = ({"lang": "ja"}, {"category": "shop"}, {"tags": ["返品", "login"]}, {"kind": "faq", "lang": "en"})


def everything(index: Path) -> dict[str, Any]:
    """All that an index holds and says."""
    generation = Store(index).open()
    with closing(sqlite3.connect(generation.files.content)) as content:
        names = [row[0] for row in content.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
        tables = {name: sorted(content.execute(f"SELECT * FROM {name}"), key=repr) for name in names}  # noqa: S608
    manifest = {name: value for name, value in generation.manifest.items() if name not in ("files", "checksum")}
    kb = KnowledgeBase.open(index)
    found = {
        "tables": tables,
        "arrays": {
            file.relative_to(generation.files.folder).as_posix(): file.read_bytes()
            for file in generation.files.folder.rglob("*")
            if file.suffix in {".npy", ".rows"}
        },
        "manifest": manifest,
        "answers": answers(kb),
        "filtered": [answers(kb, QUESTIONS[:2], filter=where) for where in FILTERS],
        "articles": [kb.article(article_id) for article_id in kb.snapshot.content.served_ids()],
    }
    kb.snapshot.generation.close()
    generation.close()
    return found


def equal_to_fresh(articles: Path, index: Path) -> None:
    """Compare an index with a full build of the same articles, part by part; only one of them remembers names."""
    fresh = index.parent / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    build(articles, fresh, encoder=FAKE)
    now, then = everything(index), everything(fresh)
    for found in (now, then):
        del found["tables"]["handles"], found["manifest"]["handles"]
        for _, _, hits in [*found["answers"], *(answer for some in found["filtered"] for answer in some)]:
            for hit in hits:
                del hit["handle"]
    for part, value in then.items():
        assert now[part] == value, part


def differences(before: Folder, after: Folder) -> dict[str, tuple[str, ...]]:
    """What a build report should say."""
    common = before.keys() & after.keys()
    return {
        "added": tuple(sorted(after.keys() - before.keys())),
        "removed": tuple(sorted(before.keys() - after.keys())),
        "changed": tuple(sorted(path for path in common if before[path] != after[path])),
        "unchanged": tuple(sorted(path for path in common if before[path] == after[path])),
    }


def told(report: BuildReport) -> dict[str, tuple[str, ...]]:
    return {name: getattr(report, name) for name in ("added", "removed", "changed", "unchanged")}


def a_day_of_edits(folder: Folder, chance: random.Random, day: int) -> Folder:
    """Some edits as an editor makes them; a file may be hit more than once."""
    folder = dict(folder)
    for number in range(chance.randint(1, 4)):
        path = chance.choice(sorted(folder))
        match chance.randrange(9):
            case 0:
                folder[f"day{day}/{number}.md"] = f"# 新着{day}-{number}\n\n返品の話。\n\n## Next\n\npassword\n"
            case 1:
                folder[path] += f"\n\n## 追記{day}\n\nログインの追記です。\n"
            case 2:
                folder.pop(path)
            case 3:
                folder[f"moved/{day}-{number}.md"] = folder.pop(path)
            case 4:
                folder[path] = folder[path].replace("---\n", "---\nstatus: archived\n", 1)
            case 5:
                folder[path] = folder[path].replace("---\n", f"---\naliases: [別名{day}, error 809]\n", 1)
            case 6:
                other = chance.choice(sorted(folder))
                folder[path], folder[other] = folder[other], folder[path]
            case 7:
                folder[f"twin/{day}-{number}.md"] = folder[path]
            case _:
                folder[path] = folder[path].replace("lang: ja", "lang: en").replace("category: shop", "category: kb/x")
    return folder


@pytest.mark.parametrize("seed", [1, 2])
def test_edits_of_many_days_are_told_exactly_and_answer_as_a_full_build(
    tmp_path: Path, fake_encoder: FakeEncoder, seed: int
) -> None:
    """Added, changed, removed, renamed, archived and doubled articles: exact report, nothing encoded twice, equal."""
    chance = random.Random(seed)  # noqa: S311 - repeatable
    articles, index = tmp_path / "articles", tmp_path / "index"
    before: Folder = {}
    after: Folder = dict(ARTICLES)
    for day in range(7):
        shutil.rmtree(articles, ignore_errors=True)
        write_articles(articles, after)
        fake_encoder.encoded.clear()
        report = build(articles, index, encoder=FAKE)
        assert told(report) == differences(before, after)
        assert report.published is (before != after)
        computed = report.counts["encoded"] + report.counts["sentences"]
        assert computed == len(fake_encoder.encoded) == len(set(fake_encoder.encoded))
        equal_to_fresh(articles, index)
        assert leftovers(index) == set()
        before, after = after, a_day_of_edits(after, chance, day)


def test_a_build_without_a_change_publishes_nothing(
    articles: Path, index: Path, rebuild: Callable[[], BuildReport], fake_encoder: FakeEncoder
) -> None:
    """Also after files were only touched, copied back or listed in another order: same generation, same files."""

    def state() -> list[tuple[str, int, int]]:
        return sorted((str(path), path.stat().st_ino, path.stat().st_mtime_ns) for path in index.glob("gen-*/**/*"))

    before, first = state(), KnowledgeBase.open(index).generation
    fake_encoder.encoded.clear()
    for file in articles.rglob("*.md"):
        text = file.read_bytes()
        file.unlink()
        file.write_bytes(text)
        os.utime(file, (1, 1))
    for _ in range(2):
        report = rebuild()
        assert not report.published
        assert report.generation == first
        assert (report.added, report.changed, report.removed) == ((), (), ())
        assert report.unchanged == tuple(sorted(ARTICLES))
        assert report.counts == {
            "articles": 12, "served": 11, "passages": PASSAGES, "encoded": 0, "reused": PASSAGES, "sentences": 0,
        }  # fmt: skip
    assert state() == before
    assert fake_encoder.encoded == []
    assert leftovers(index) == set()


def test_a_renamed_file_is_one_removed_and_one_added_and_costs_no_vector(
    articles: Path, index: Path, rebuild: Callable[[], BuildReport], fake_encoder: FakeEncoder
) -> None:
    fake_encoder.encoded.clear()
    (articles / "tools/vpn.md").rename(articles / "tools/remote.md")
    report = rebuild()
    assert (report.added, report.removed, report.changed) == (("tools/remote.md",), ("tools/vpn.md",), ())
    assert report.counts["encoded"] == 0
    assert fake_encoder.encoded == []
    assert KnowledgeBase.open(index).search("error 809", mode="lexical").hits[0].article_id == "tools/remote"
    equal_to_fresh(articles, index)


def test_only_changed_passages_are_encoded(
    articles: Path, index: Path, rebuild: Callable[[], BuildReport], fake_encoder: FakeEncoder
) -> None:
    """One changed section of one article costs one vector, and one for each sentence that changed."""
    fake_encoder.encoded.clear()
    file = articles / "shop/returns.ja.md"
    file.write_text(file.read_text("utf-8").replace("再発送は無料です", "再発送は500円です"), "utf-8")
    report = rebuild()
    assert report.changed == ("shop/returns.ja.md",)
    assert (report.counts["encoded"], report.counts["sentences"]) == (1, 1)
    assert len(fake_encoder.encoded) == 2
    assert all("500円" in text for text in fake_encoder.encoded)
    equal_to_fresh(articles, index)


def test_a_title_changes_every_row_that_carries_it(
    articles: Path, index: Path, rebuild: Callable[[], BuildReport]
) -> None:
    """Terms and vectors kept from before must not outlive the title that they came from; it has a vector itself."""
    file = articles / "shop/returns.ja.md"
    file.write_text(file.read_text("utf-8").replace("title: 返品の送料", "title: 返送にかかる費用"), "utf-8")
    assert rebuild().counts["encoded"] == 3
    equal_to_fresh(articles, index)
    best = KnowledgeBase.open(index).search("返送にかかる費用", mode="lexical").hits[0]
    assert (best.article_id, best.title) == ("returns", "返送にかかる費用")


def test_a_line_that_becomes_a_heading_weighs_as_one(
    articles: Path, index: Path, rebuild: Callable[[], BuildReport]
) -> None:
    """The encoder reads the same words in the same order; they count otherwise, and the heading by itself is new."""
    write_articles(articles, {"new.md": "---\ntitle: 手引き\n---\n\n梱包材\n\n紙を使います。\n"})
    assert rebuild().counts["encoded"] == 2, "the passage, the title"
    write_articles(articles, {"new.md": "---\ntitle: 手引き\n---\n\n## 梱包材\n\n紙を使います。\n"})
    assert rebuild().counts["encoded"] == 1
    equal_to_fresh(articles, index)


def test_an_alias_that_moves_to_another_article_goes_with_it(
    articles: Path, index: Path, rebuild: Callable[[], BuildReport]
) -> None:
    """The same words under another article are another row, though their vector is kept."""
    alias = "aliases: [ログインできない]\n"
    write_articles(
        articles,
        {
            "account/password.ja.md": ARTICLES["account/password.ja.md"].replace(alias, ""),
            "account/leave.md": ARTICLES["account/leave.md"].replace("---\n", "---\n" + alias, 1),
        },
    )
    assert rebuild().counts["encoded"] == 0
    assert KnowledgeBase.open(index).search("ログインできない", mode="lexical").hits[0].article_id == "account/leave"
    equal_to_fresh(articles, index)


def test_a_full_build_over_an_index_answers_as_a_new_one(
    articles: Path, index: Path, fake_encoder: FakeEncoder
) -> None:
    fake_encoder.encoded.clear()
    report = build(articles, index, encoder=FAKE, full=True)
    assert report.published
    assert report.counts["encoded"] == PASSAGES + TITLES + HEADINGS
    assert report.counts["encoded"] + report.counts["sentences"] == len(fake_encoder.encoded)
    assert report.counts["sentences"] > 5
    equal_to_fresh(articles, index)
    assert leftovers(index) == set()


def test_other_weights_or_languages_are_taken_up(articles: Path, index: Path, fake_encoder: FakeEncoder) -> None:
    """A changed setting publishes anew without an edited file, tells no file as changed, and is undone likewise."""
    expected = everything(index)
    fake_encoder.encoded.clear()
    for options in ({"weights": Weights(title=0, alias=1)}, {"languages": ("de",)}):
        report = build(articles, index, encoder=FAKE, **options)
        assert report.published
        assert (report.added, report.changed, report.removed) == ((), (), ())
        assert everything(index) != expected
        assert not build(articles, index, encoder=FAKE, **options).published
    assert build(articles, index, encoder=FAKE).published
    found = everything(index)
    assert found == expected
    assert fake_encoder.encoded == []


def test_a_note_about_two_articles_follows_either(
    articles: Path, rebuild: Callable[[], BuildReport], fake_encoder: FakeEncoder
) -> None:
    """The translation without a source is reported when the source goes, although its own file did not change."""
    assert fake_encoder
    (articles / "shop/returns.ja.md").unlink()
    assert [(w.path, w.code) for w in rebuild().warnings] == [("shop/returns.en.md", "unknown-translation")]
    assert [w.code for w in rebuild().warnings] == ["unknown-translation"], "also when nothing changed"
    write_articles(articles, {"shop/returns.ja.md": ARTICLES["shop/returns.ja.md"]})
    assert rebuild().warnings == ()


def test_everything_may_go_and_come_back(articles: Path, index: Path, rebuild: Callable[[], BuildReport]) -> None:
    """A folder without any article is an index without an answer, not an error."""
    expected = everything(index)
    shutil.rmtree(articles)
    articles.mkdir()
    report = rebuild()
    assert report.published
    assert report.removed == tuple(sorted(ARTICLES))
    assert set(report.counts.values()) == {0}
    assert all(hits == [] for _, _, hits in answers_of(index))
    assert all(hits == [] for _, _, hits in answers(KnowledgeBase.open(index), filter={"lang": "ja"}))
    assert KnowledgeBase.open(index).status().counts["articles"] == 0
    assert not rebuild().published
    write_articles(articles, ARTICLES)
    assert rebuild().added == tuple(sorted(ARTICLES))
    assert everything(index) == expected


def test_the_default_encoder_gives_an_incremental_build_the_vectors_of_a_full_one(tmp_path: Path) -> None:
    """Bit for bit: a vector does not depend on what was encoded beside it."""
    articles = write_articles(tmp_path / "articles", {path: ARTICLES[path] for path in sorted(ARTICLES)[:3]})
    build(articles, tmp_path / "index")
    write_articles(articles, {path: ARTICLES[path] for path in sorted(ARTICLES)[2:6]})
    report = build(articles, tmp_path / "index")
    build(articles, tmp_path / "fresh")
    assert report.counts["reused"] > 0
    assert 0 < report.counts["encoded"] < report.counts["passages"] + report.counts["articles"]
    now, fresh = everything(tmp_path / "index"), everything(tmp_path / "fresh")
    assert now["arrays"]["vectors.npy"] == fresh["arrays"]["vectors.npy"]
    assert now == fresh


def test_a_full_build_takes_nothing_over_and_still_says_what_changed(articles: Path, index: Path) -> None:
    write_articles(articles, {"new.md": "# 新着\n\n入荷しました。\n"})
    report = build(articles, index, encoder=FAKE, full=True)
    assert (report.added, report.changed, report.removed) == (("new.md",), (), ())
    assert len(report.unchanged) == len(ARTICLES)
    assert report.counts["reused"] == 0
    assert build(articles, index, encoder=FAKE, full=True).published, "--full publishes even without a change"


def test_an_empty_folder_empties_an_index_and_says_so(articles: Path, index: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong").mkdir()
    report = build(tmp_path / "wrong", index, encoder=FAKE)
    assert len(report.removed) == len(ARTICLES)
    assert [(warning.path, warning.code) for warning in report.warnings] == [(str(tmp_path / "wrong"), "no-articles")]
    assert KnowledgeBase.open(index).search("返品").hits == ()
    assert build(articles, index, encoder=FAKE).warnings == ()
