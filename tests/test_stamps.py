"""A file that the file system vouches for is not read again; any change to it is noticed."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest
from conftest import FAKE

from kbsearch import builder, sources
from kbsearch import stamps as stamps_module
from kbsearch.builder import build
from kbsearch.search import KnowledgeBase
from kbsearch.sources import scan
from kbsearch.stamps import Stamps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kbsearch.sources import Source

pytestmark = pytest.mark.usefixtures("fake_encoder")

LATER = 10_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    articles = tmp_path / "articles"
    (articles / "返品").mkdir(parents=True)
    (articles / "返品" / "手順.md").write_text("# 返品の手順\n\n箱に入れて送ります。\n", "utf-8")
    (articles / "login.md").write_text("# Sign in\n\nOpen the page and type the code.\n", "utf-8")
    return articles


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The clock ten seconds on, and which files were read since this was last asked."""
    paths: list[str] = []
    plain, now = sources.read_source, time.time_ns

    def counted(source: Source, limit: int) -> tuple[bytes, str]:
        paths.append(source.path)
        return plain(source, limit)

    def since() -> list[str]:
        found = list(paths)
        paths.clear()
        return found

    monkeypatch.setattr(builder, "read_source", counted)
    monkeypatch.setattr(time, "time_ns", lambda: now() + LATER)
    return since


def test_files_that_did_not_change_are_not_read(folder: Path, tmp_path: Path, read: Callable[[], list[str]]) -> None:
    index = tmp_path / "index"
    build(folder, index, encoder=FAKE)
    read()
    report = build(folder, index, encoder=FAKE)
    assert (report.published, report.unchanged, read()) == (False, ("login.md", "返品/手順.md"), [])
    (folder / "new.md").write_text("# 送料\n\n送料は無料です。\n", "utf-8")
    report = build(folder, index, encoder=FAKE)
    assert (report.added, report.changed, report.removed) == (("new.md",), (), ())
    assert set(read()) == {"new.md"}  # to be hashed and to be parsed
    assert KnowledgeBase.open(index).article("new").title == "送料"


def test_a_change_of_the_same_size_with_the_old_time_is_noticed(
    folder: Path, tmp_path: Path, read: Callable[[], list[str]]
) -> None:
    index, file = tmp_path / "index", folder / "返品" / "手順.md"
    build(folder, index, encoder=FAKE)
    before = file.stat()
    file.write_bytes(file.read_bytes().replace("箱".encode(), "袋".encode()))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    read()
    assert build(folder, index, encoder=FAKE).changed == ("返品/手順.md",)
    assert set(read()) == {"返品/手順.md"}
    assert "袋に入れて" in KnowledgeBase.open(index).article("返品/手順").markdown


def test_another_file_of_the_same_content_and_times_is_read(
    folder: Path, tmp_path: Path, read: Callable[[], list[str]]
) -> None:
    index, file = tmp_path / "index", folder / "login.md"
    build(folder, index, encoder=FAKE)
    other = folder.parent / "other"
    other.write_bytes(file.read_bytes())
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)
    read()
    assert build(folder, index, encoder=FAKE).published is False
    assert read() == ["login.md"]


def test_what_changed_a_moment_ago_is_read_again(folder: Path, tmp_path: Path) -> None:
    [login, returns] = scan(folder)[0]
    file, newest = tmp_path / "stamps.json", returns.stamp.changed
    for now, known in ((newest + 2_000_000_000, None), (newest - LATER, None), (newest + LATER, "a" * 64)):
        stamps = Stamps(file, folder, now)
        assert stamps.sha256(returns) is None
        stamps.note(returns, "a" * 64)
        stamps.save({returns.path: "a" * 64})
        assert Stamps(file, folder, now).sha256(returns) == known
    assert Stamps(file, folder, 0).sha256(login) is None


def test_a_full_build_reads_all_files(folder: Path, tmp_path: Path, read: Callable[[], list[str]]) -> None:
    index = tmp_path / "index"
    build(folder, index, encoder=FAKE)
    read()
    build(folder, index, encoder=FAKE, full=True)
    assert set(read()) == {"login.md", "返品/手順.md"}
    assert build(folder, index, encoder=FAKE).published is False
    assert read() == []


@pytest.mark.parametrize(
    "damage",
    [
        b"", b"{", b"[]", b"7", b"{}", b'{"files": 7}', b'{"files": {"login.md": 7}}', b'{"files": {"login.md": []}}',
        b'{"files": {"login.md": [1, 2]}}', b'{"files": {"login.md": [[1], {"a": 2}, "b"]}}', b"\xff\xfe",
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_damaged_memory_is_forgotten(
    folder: Path, tmp_path: Path, read: Callable[[], list[str]], damage: bytes
) -> None:
    index = tmp_path / "index"
    build(folder, index, encoder=FAKE)
    whole = (index / "stamps.json").read_bytes()
    (index / "stamps.json").write_bytes(damage)
    read()
    assert build(folder, index, encoder=FAKE).published is False
    assert set(read()) == {"login.md", "返品/手順.md"}
    assert (index / "stamps.json").read_bytes() == whole


def test_a_wrong_hash_in_the_memory_costs_a_build_and_nothing_else(
    folder: Path, tmp_path: Path, read: Callable[[], list[str]]
) -> None:
    index = tmp_path / "index"
    build(folder, index, encoder=FAKE)
    stamps = index / "stamps.json"
    found = json.loads(stamps.read_bytes())
    found["files"]["login.md"][-1] = "0" * 64
    stamps.write_text(json.dumps(found), "utf-8")
    read()
    assert build(folder, index, encoder=FAKE).changed == ("login.md",)
    assert "login.md" in read()  # read to be parsed: what it says is indexed under its own hash
    assert KnowledgeBase.open(index).snapshot.content.files()["login.md"] != "0" * 64
    assert build(folder, index, encoder=FAKE).published is False, "and it is forgotten"
    assert read() == ["login.md"]
    assert build(folder, index, encoder=FAKE).published is False
    assert read() == []


def test_nothing_is_remembered_of_a_folder_that_cannot_be_written(
    folder: Path, tmp_path: Path, read: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image may give the files of two versions the same times."""
    index = tmp_path / "index"
    build(folder, index, encoder=FAKE)
    read()
    monkeypatch.setattr(stamps_module, "_is_read_only", lambda _: True)
    assert build(folder, index, encoder=FAKE).published is False
    assert set(read()) == {"login.md", "返品/手順.md"}


def test_a_disk_that_does_not_take_the_memory_stops_nothing(
    folder: Path, tmp_path: Path, read: Callable[[], list[str]]
) -> None:
    index = tmp_path / "index"
    (index / "stamps.new").mkdir(parents=True)
    assert build(folder, index, encoder=FAKE).published
    assert not (index / "stamps.json").exists()
    assert read()
