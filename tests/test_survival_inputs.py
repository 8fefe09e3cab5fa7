"""Articles that are no articles: each is reported with its file, the rest is served, and the exit code says so."""

from __future__ import annotations

import errno
import os
import time
import tracemalloc
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import pytest
from conftest import ARTICLES, FAKE, WITHOUT_ROOT_RIGHTS, answers, answers_of, write_articles

from kbsearch import builder
from kbsearch.builder import build
from kbsearch.errors import ConfigError, NotFound
from kbsearch.search import KnowledgeBase
from kbsearch.sources import scan

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import RunKbsearch

    from kbsearch.overviews import BuildReport

HUGE: Final = 50_000_000


def sparse(file: Path) -> None:
    with file.open("wb") as target:
        target.truncate(HUGE)


def yaml_bomb() -> str:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))
    return f"---\ntitle: 爆弾\na0: &a0 [lol, lol, lol]\n{levels}\n---\n\n本文。\n"


BAD: dict[str, tuple[Callable[[Path], Any], int, str]] = {
    # name: how it comes to be, the line that is reported (0 for the whole file), words of the message
    "huge.md": (sparse, 0, "50,000,000 bytes"),
    "empty.md": (lambda file: file.write_bytes(b""), 0, "empty"),
    "blank.md": (lambda file: file.write_bytes(b" \n\t\n\xef\xbb\xbf"), 0, ""),
    "nul.md": (lambda file: file.write_bytes(b"# Title\n\nfine\nnot\0fine\n"), 4, "NUL"),
    "bomb.md": (lambda file: file.write_text(yaml_bomb()), 4, "aliases"),
    "tabs.md": (lambda file: file.write_text("---\ntitle: x\n\tlang: ja\n---\ntext\n"), 3, "front matter"),
    "open.md": (lambda file: file.write_text("---\ntitle: never closed\n\ntext\n"), 1, "not closed"),
    "date.md": (lambda file: file.write_text("---\ntitle: x\nvalid_from: soon\n---\ntext\n"), 3, "valid_from"),
    "half-title.md": (lambda file: file.write_text('---\ntitle: "half \\ud800"\n---\ntext\n'), 2, ""),
    "half-owner.md": (lambda file: file.write_text('---\ntitle: x\nowner: ["\\udfff"]\n---\ntext\n'), 3, ""),
    "half-key.md": (lambda file: file.write_text('---\ntitle: x\n"\\ud83d": 1\n---\ntext\n'), 3, ""),
    "itself.md": (lambda file: file.symlink_to(file.name), 0, os.strerror(errno.ELOOP)),
    "dangling.md": (lambda file: file.symlink_to("nowhere"), 0, os.strerror(errno.ENOENT)),
    "pipe.md": (os.mkfifo, 0, "no regular file"),
    "device.md": (lambda file: file.symlink_to("/dev/zero"), 0, "no regular file"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_file_is_reported_and_the_rest_is_served(
    articles: Path, index: Path, rebuild: Callable[[], BuildReport], name: str
) -> None:
    """A fatal warning names the file, and the line where there is one; it is there again in the next build."""
    expected = answers_of(index)
    make, line, words = BAD[name]
    make(articles / name)
    report = rebuild()
    assert [(w.path, w.line, w.fatal) for w in report.warnings] == [(name, line, True)]
    assert words in report.warnings[0].message
    assert str(articles) not in report.warnings[0].message
    assert answers_of(index) == expected
    assert KnowledgeBase.open(index).status().warnings == report.warnings
    again = rebuild()
    assert not again.published
    assert again.warnings == report.warnings
    (articles / name).unlink()
    write_articles(articles, {name: "# 直った記事\n\n読めます。\n"})
    assert rebuild().warnings == ()
    assert KnowledgeBase.open(index).article(name.removesuffix(".md")).title == "直った記事"


def test_the_command_line_ends_with_3_and_names_file_and_line(
    articles: Path, index: Path, kbsearch: RunKbsearch
) -> None:
    """All bad files in one build: one line each on standard error, exit code 3, also when nothing else changed."""
    for name, (make, _, _) in BAD.items():
        make(articles / name)
    write_articles(articles, {"new.md": "# 新着\n\n新しいお知らせ。\n"})
    for _ in range(2):
        built = kbsearch("build", articles, "-i", index)
        assert built.returncode == 3, built.stderr
        for name, (_, line, _) in BAD.items():
            place = f"{name}:{line}" if line else name
            assert sum(place in said for said in built.stderr.splitlines()) == 1, place
        assert "Traceback" not in built.stderr
    assert kbsearch("search", "新しいお知らせ", "-i", index).returncode == 0


def test_broken_utf_8_is_read_with_a_warning_for_its_line(
    articles: Path, index: Path, rebuild: Callable[[], BuildReport]
) -> None:
    """The letter that is lost is marked; the words around it are found."""
    text = "# 壊れた記事\n\n一行目\n配達X員の制服\n"
    write_articles(articles, {"broken.md": text.encode().replace(b"X", b"\xff")})
    report = rebuild()
    assert [(w.path, w.line, w.code, w.fatal) for w in report.warnings] == [("broken.md", 4, "broken-utf8", False)]
    assert KnowledgeBase.open(index).search("制服", mode="lexical").hits[0].article_id == "broken"


def test_a_huge_file_is_not_read(tmp_path: Path, fake_encoder: Any) -> None:
    """Fifty megabytes among the articles cost no memory."""
    assert fake_encoder
    articles = write_articles(tmp_path / "articles", {"a.md": "# a\n\ntext\n"})
    sparse(articles / "huge.md")
    tracemalloc.start()
    try:
        build(articles, tmp_path / "index", encoder=FAKE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < HUGE / 2


def test_a_maze_of_ten_thousand_headings_is_indexed_in_linear_time(tmp_path: Path, fake_encoder: Any) -> None:
    """And its last corner is found. Five times the headings take five times as long, not twenty-five times."""
    assert fake_encoder

    def seconds_for(corners: int) -> float:
        maze = "".join(f"{'#' * (2 + number % 5)} 角{number}\n\n道{number}\n\n" for number in range(corners))
        articles = write_articles(tmp_path / f"{corners}", {"maze.md": "# 迷路\n\n" + maze, **ARTICLES})
        started = time.process_time()  # whatever else the machine has to do
        build(articles, tmp_path / f"index-{corners}", encoder=FAKE)
        return time.process_time() - started

    few, many = seconds_for(2_000), seconds_for(10_000)
    assert many < 10 * few
    best = KnowledgeBase.open(tmp_path / "index-10000").search("角9999", mode="lexical").hits[0]
    assert best.section_id == "maze#角9999"


def test_links_are_followed_and_loops_end(articles: Path, index: Path, rebuild: Callable[[], BuildReport]) -> None:
    """A link to a folder above, to a folder beside and to a file: no file twice, no endless walk, a warning each."""
    expected = answers_of(index)
    (articles / "shop/up").symlink_to("..")
    (articles / "shop/aside").symlink_to("../account", target_is_directory=True)
    (articles / "endless").symlink_to("endless")
    outside = write_articles(articles.parent / "outside", {"far.md": "# 遠くの記事\n\n灯台。\n"})
    (articles / "linked").symlink_to(outside)
    report = rebuild()
    found = [(w.path, w.code, w.fatal) for w in report.warnings]
    assert found == [("shop/aside", "repeated-folder", False), ("shop/up", "repeated-folder", False)]
    assert report.added == ("linked/far.md",)
    kb = KnowledgeBase.open(index)
    assert kb.search("灯台", mode="lexical").hits[0].article_id == "linked/far"
    (articles / "linked").unlink()
    report = rebuild()
    assert report.removed == ("linked/far.md",)
    assert answers_of(index) == expected


def test_only_a_note_about_a_folder_changes(articles: Path, rebuild: Callable[[], BuildReport], index: Path) -> None:
    """What the walk itself finds is told by every build, and no longer once it is gone."""
    assert KnowledgeBase.open(index).status().warnings == ()
    os.mkfifo(articles / "pipe.md")
    assert [w.path for w in rebuild().faulty] == ["pipe.md"]
    assert [w.path for w in KnowledgeBase.open(index).status().warnings] == ["pipe.md"]
    again = rebuild()
    assert ([w.path for w in again.faulty], again.published) == (["pipe.md"], False)
    (articles / "pipe.md").unlink()
    assert rebuild().warnings == ()
    assert KnowledgeBase.open(index).status().warnings == ()


def test_a_folder_and_a_file_that_may_not_be_read(articles: Path, index: Path, kbsearch: RunKbsearch) -> None:
    """Without the right to read them: a warning for each, exit code 3; a folder that may not be entered likewise."""
    (articles / "tools").chmod(0o000)
    (articles / "account").chmod(0o444)
    (articles / "shop/FAQ.md").chmod(0o000)
    denied = os.strerror(errno.EACCES)
    try:
        built = kbsearch("build", articles, "-i", index, wrapper=WITHOUT_ROOT_RIGHTS)
        folder = kbsearch("build", articles / "tools/inside", "-i", index, wrapper=WITHOUT_ROOT_RIGHTS)
    finally:
        for name in ("tools", "account", "shop/FAQ.md"):
            (articles / name).chmod(0o755)
    assert built.returncode == 3, built.stderr
    for name in ("tools", "account/2fa.md", "shop/FAQ.md"):
        assert any(name in line and denied in line for line in built.stderr.splitlines()), built.stderr
    kb = KnowledgeBase.open(index)
    assert kb.search("配送日数", mode="lexical").hits[0].article_id == "shop/delivery"
    assert set(kb.snapshot.content.article_ids()) == {"returns", "returns-en", "shop/deadline", "shop/delivery"}
    assert folder.returncode == 13, folder.stderr
    assert "Traceback" not in folder.stderr


def test_a_name_that_is_no_text(articles: Path, index: Path, rebuild: Callable[[], BuildReport]) -> None:
    """A file name in another encoding is reported in a form that can be printed."""
    expected = answers_of(index)
    (Path(os.fsdecode(os.fsencode(articles) + b"/\x83t\x83@.md"))).write_text("# 本文\n")
    folder = Path(os.fsdecode(os.fsencode(articles) + b"/\xff\xfe"))
    write_articles(folder, {"inside.md": "# 本文\n"})
    report = rebuild()
    assert len(report.faulty) == len(report.warnings) == 2
    for warning in report.warnings:
        assert warning.path.encode()
        assert "rename" in warning.message
    assert answers_of(index) == expected


def test_two_names_that_look_the_same(articles: Path, index: Path, rebuild: Callable[[], BuildReport]) -> None:
    """ガ written with one character and with two: the first is served, the other is reported, each by its own text."""
    composed, parts = "ガイド.md", unicodedata.normalize("NFD", "ガイド.md")
    write_articles(articles, {composed: "# 合成\n\n一文字の濁点。\n", parts: "# 分解\n\n二文字の濁点。\n"})
    report = rebuild()
    assert len(report.faulty) == len(report.warnings) == 1
    assert KnowledgeBase.open(index).article("ガイド").title == "合成"
    assert not rebuild().published
    (articles / composed).unlink()
    assert rebuild().changed == ("ガイド.md",)
    assert KnowledgeBase.open(index).article("ガイド").title == "分解"


def test_of_two_articles_with_one_id_the_first_is_served_until_it_goes(
    articles: Path, index: Path, rebuild: Callable[[], BuildReport], kbsearch: RunKbsearch
) -> None:
    """The warning names both files and the id; when the first is removed, the second is served by the next build."""
    write_articles(articles, {"zz/copy.md": "---\nid: returns\n---\n\n# 写し\n\n写しの本文。\n"})
    report = rebuild()
    assert [(w.path, w.code, w.fatal) for w in report.warnings] == [("zz/copy.md", "duplicate-id", True)]
    assert "returns" in report.warnings[0].message
    assert "shop/returns.ja.md" in report.warnings[0].message
    assert KnowledgeBase.open(index).article("returns").title == "返品の送料"
    assert kbsearch("build", articles, "-i", index).returncode == 3
    (articles / "shop/returns.ja.md").unlink()
    report = rebuild()
    assert report.removed == ("shop/returns.ja.md",)
    assert report.faulty == ()
    assert KnowledgeBase.open(index).article("returns").title == "写し"
    assert KnowledgeBase.open(index).search("写しの本文", mode="lexical").hits[0].article_id == "returns"
    write_articles(articles, {"shop/returns.ja.md": ARTICLES["shop/returns.ja.md"]})
    assert [w.path for w in rebuild().faulty] == ["zz/copy.md"]
    assert KnowledgeBase.open(index).article("returns").title == "返品の送料"


def test_a_file_that_vanishes_while_it_is_read(
    articles: Path, index: Path, rebuild: Callable[[], BuildReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listed and gone: a warning, the rest is served; when it is back with the same text, it is served again."""
    file = articles / "new.md"
    text = "# 消える記事\n\n幻の本文。\n"
    file.write_text(text, "utf-8")
    parse = builder._parse_all

    def after_the_scan(*arguments: Any) -> Any:
        file.unlink()
        return parse(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(builder, "_parse_all", after_the_scan)
        report = rebuild()
    assert [(w.path, w.fatal) for w in report.warnings] == [("new.md", True)]
    with pytest.raises(NotFound):
        KnowledgeBase.open(index).article("new")
    file.write_text(text, "utf-8")
    report = rebuild()
    assert report.published
    assert report.warnings == ()
    assert KnowledgeBase.open(index).search("幻の本文", mode="lexical").hits[0].article_id == "new"


def test_a_file_that_changes_while_it_is_read(
    articles: Path, index: Path, rebuild: Callable[[], BuildReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is served is what a later build compares with: going back to the first text is a change."""
    file = articles / "new.md"
    file.write_text("# 一\n\n最初の本文。\n", "utf-8")
    parse = builder._parse_all

    def after_the_scan(*arguments: Any) -> Any:
        file.write_text("# 二\n\n次の本文。\n", "utf-8")
        return parse(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(builder, "_parse_all", after_the_scan)
        rebuild()
    assert KnowledgeBase.open(index).article("new").title == "二"
    file.write_text("# 一\n\n最初の本文。\n", "utf-8")
    assert rebuild().changed == ("new.md",)
    assert KnowledgeBase.open(index).article("new").title == "一"


def test_a_folder_that_vanishes_while_it_is_listed(articles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk goes on with the others."""
    scandir = os.scandir

    def gone(path: Any) -> Any:
        if str(path) == str(articles):
            listing = list(scandir(path))
            for file in (articles / "tools").iterdir():
                file.unlink()
            (articles / "tools").rmdir()
            return _Listing(listing)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", gone)
    sources, warnings = scan(articles)
    assert {source.path.partition("/")[0] for source in sources} == {"shop", "account"}
    assert [(w.path, w.fatal) for w in warnings] == [("tools", True)]


class _Listing(list[Any]):
    """What ``os.scandir`` gives, from a list."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_folder_without_an_article_and_no_folder(tmp_path: Path, kbsearch: RunKbsearch, fake_encoder: Any) -> None:
    """No article: an empty index that answers nothing. No folder: ConfigError, exit code 13, and no index is made."""
    assert fake_encoder
    empty = write_articles(tmp_path / "empty", {"readme.txt": "no article", ".hidden.md": "# hidden", "x.MD5": "x"})
    report = build(empty, tmp_path / "index", encoder=FAKE)
    assert (report.published, report.counts["articles"]) == (True, 0)
    assert [warning.code for warning in report.warnings] == ["no-articles"]
    kb = KnowledgeBase.open(tmp_path / "index")
    assert all(hits == [] for _, _, hits in answers(kb))
    assert kbsearch("verify", "--exact", "-i", tmp_path / "index").returncode == 0
    for missing in (tmp_path / "missing", empty / "readme.txt"):
        with pytest.raises(ConfigError, match="no such folder"):
            build(missing, tmp_path / "other", encoder=FAKE)
        failed = kbsearch("build", missing, "-i", tmp_path / "other")
        assert failed.returncode == 13
        assert str(missing) in failed.stderr
    assert not (tmp_path / "other").exists()
    assert kbsearch("search", "x", "-i", tmp_path / "other").returncode == 20


def test_an_unknown_encoder_touches_nothing(articles: Path, tmp_path: Path, kbsearch: RunKbsearch) -> None:
    failed = kbsearch("build", articles, "-i", tmp_path / "other", "--encoder", "nonsense")
    assert failed.returncode == 30
    assert "nonsense" in failed.stderr
    assert not (tmp_path / "other").exists()
