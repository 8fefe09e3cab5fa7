"""An index that memory does not hold is read page by page, and answers the same."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from kbsearch import KnowledgeBase, build, paging
from kbsearch.columns import load_column, save_column
from kbsearch.paging import is_scarce, memory_limit, read_sparsely

linux = pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel")

ARTICLES = {
    "henpin.md": "# 返品の送料\n\n返品の送料は当店が負担します。ただし、お客様のご都合による返品を除きます。\n",
    "nyukai.md": "# 入会の手順\n\n1. 「入会」を押します。\n2. メールアドレスを入力します。\n",
    "parcel.md": "# Where is my parcel?\n\nThe carrier knows. Its number is in the e-mail that we sent you.\n",
}


def read_ahead(folder: Path) -> dict[str, bool]:
    """Whether the kernel reads each mapped file of a folder ahead, by name."""
    found, name = {}, ""
    for line in Path("/proc/self/smaps").read_text("utf-8").splitlines():
        first, *_, last = line.split(None, 5)
        if "-" in first:
            name = last if last.startswith(f"{folder}{os.sep}") else ""
        elif name and first == "VmFlags:":
            found[Path(name).name] = "rr" not in line.split()
    return found


@linux
def test_only_the_files_of_the_folder_are_no_longer_read_ahead(tmp_path: Path) -> None:
    inside, beside = tmp_path / "索引 1", tmp_path / "索引 12"
    columns = []
    for folder in (inside, beside):
        folder.mkdir()
        save_column(folder / f"{folder.name}.npy", np.arange(5_000, dtype=np.int64))
        columns.append(load_column(folder / f"{folder.name}.npy", np.int64))
    assert read_sparsely(inside) == 1
    assert read_ahead(inside) == {"索引 1.npy": False}
    assert read_ahead(beside) == {"索引 12.npy": True}
    assert [int(column[-1]) for column in columns] == [4_999, 4_999]


@linux
def test_links_and_line_ends_in_a_path_do_not_matter(tmp_path: Path) -> None:
    releases = tmp_path / "発行\n済み"
    releases.mkdir()
    (tmp_path / "current").symlink_to(releases)
    for name in ("a.npy", "b\u2028\x85\r.npy"):
        save_column(releases / name, np.arange(5_000, dtype=np.int64))
    columns = [load_column(file, np.int64) for file in sorted((tmp_path / "current").iterdir())]
    assert read_sparsely(tmp_path / "current") == len(columns) == 2


@linux
def test_nothing_mapped_is_nothing_to_do(tmp_path: Path) -> None:
    assert read_sparsely(tmp_path) == 0


def test_a_system_that_does_not_say_what_is_mapped_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "_MAPS", tmp_path / "none")
    assert read_sparsely(tmp_path) == 0


@linux
@pytest.mark.parametrize("scarce", [True, False])
def test_a_question_maps_every_file_as_memory_allows_and_answers_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, scarce: bool
) -> None:
    folder = tmp_path / "articles"
    folder.mkdir()
    for name, text in ARTICLES.items():
        (folder / name).write_text(text, "utf-8")
    for name in ("index", "other"):
        build(folder, tmp_path / name)
    questions = "返品の送料", "にゅうかいのてじゅん", "parcel number"
    usual = [KnowledgeBase.open(tmp_path / "other").search(question).to_dict()["hits"] for question in questions]
    monkeypatch.setattr("kbsearch.parts.is_scarce", lambda size: scarce and size > 10_000)
    kb = KnowledgeBase.open(tmp_path / "index")
    assert [kb.search(question).to_dict()["hits"] for question in questions] == usual
    found = read_ahead(kb.snapshot.generation.files.folder)
    large = {"vectors.npy", "title_vectors.npy", "ids.npy", "posts.npy", "codes.npy", "content.rows"}
    assert large <= set(found)
    assert {name for name in large if found[name]} == (set() if scarce else large)
    assert ("content.sqlite" in found) is not scarce


class Groups:
    """The files in which Linux says what control groups a process is in, and their limits."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._mount, self._groups = folder / "cgroup", folder / "groups"
        monkeypatch.setattr(paging, "_MOUNT", self._mount)
        monkeypatch.setattr(paging, "_CGROUPS", self._groups)

    def say(self, groups: str, limits: dict[str, str]) -> None:
        self._groups.write_text(groups, "utf-8")
        for place, limit in limits.items():
            (self._mount / place).parent.mkdir(parents=True, exist_ok=True)
            (self._mount / place).write_text(limit, "ascii")


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Groups:
    return Groups(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("lines", "limits"),
    [
        ("0::/box/kb\n", {"box/kb/memory.max": "max\n", "box/memory.max": "2000000\n"}),
        ("0::/\n", {"memory.max": "2000000\n"}),
        (
            "5:cpu,cpuacct:/other\n4:memory:/box\n",
            {"memory/box/memory.limit_in_bytes": "2000000\n", "memory/memory.limit_in_bytes": f"{(1 << 63) - 4096}\n"},
        ),
        ("4:memory:/host/path/unseen\n", {"memory/memory.limit_in_bytes": "2000000\n"}),
    ],
)
def test_the_least_limit_of_a_container_counts(groups: Groups, lines: str, limits: dict[str, str]) -> None:
    groups.say(lines, limits)
    assert memory_limit() == 2_000_000
    assert is_scarce(1_000_001)
    assert not is_scarce(1_000_000)


@pytest.mark.parametrize("lines", ["", "0::/\n", "no colon\n", "4:memory:/\n", "1:cpu:/box\n"])
def test_without_a_limit_the_machine_s_own_memory_counts(groups: Groups, lines: str) -> None:
    groups.say(lines, {"memory.max": "max\n", "memory/memory.limit_in_bytes": "lots\n", "box/memory.max": "5\n"})
    assert memory_limit() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.usefixtures("groups")
def test_a_machine_that_says_nothing_is_not_scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", lambda _: -1)
    assert memory_limit() is None
    assert not is_scarce(1 << 60)
