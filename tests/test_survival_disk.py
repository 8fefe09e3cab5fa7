"""Full disks and read-only disks, for real: small file systems where we may mount them, limits and rights elsewhere.

Run as a script, this file works through the sizes of a small disk, or reads an index on a read-only one.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from conftest import (
    FAKE,
    WITHOUT_ROOT_RIGHTS,
    FakeEncoder,
    answers,
    answers_of,
    leftovers,
    write_articles,
)

from kbsearch import embed
from kbsearch.builder import build
from kbsearch.errors import IndexNotFound, IndexUnwritable
from kbsearch.search import KnowledgeBase
from kbsearch.store import Store
from kbsearch.verify import check_files, check_ranking

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from conftest import RunKbsearch

OWN_MOUNTS: Final = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-rm")


def may_mount() -> bool:
    """Whether we may mount something where nobody else sees it."""
    try:
        return not subprocess.run(
            [*OWN_MOUNTS, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
        ).returncode
    except OSError:
        return False


MAY_MOUNT: Final = may_mount()


@pytest.fixture
def edited(articles: Path) -> Path:
    """The articles with some more of them."""
    new = {f"new/{number}.md": f"# 新しい記事{number}\n\n返品とpasswordの話、その{number}。\n" for number in range(12)}
    return write_articles(articles, new)


def try_build(articles: Path, index: Path, before: list[Any], after: list[Any]) -> str:
    """Build where it may fail: the answers are those of before or after, and which they are is told."""
    try:
        build(articles, index, encoder=FAKE)
    except IndexUnwritable:
        assert answers_of(index) in (before, after)
        assert check_files(KnowledgeBase.open(index)) == []
        return "failed"
    assert answers_of(index) == after
    assert check_files(KnowledgeBase.open(index)) == [], "a short write went unnoticed"
    return "built"


def test_a_limit_on_the_size_of_files(edited: Path, index: Path, tmp_path: Path) -> None:
    """Wherever a file may grow no further: IndexUnwritable, the old index answers, and later the build succeeds."""
    before = answers_of(index)
    build(edited, tmp_path / "fresh", encoder=FAKE)
    after = answers_of(tmp_path / "fresh")
    ends = []
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (20, 100, 300, 1000, 3000, 5000, 20_000, 60_000, 200_000):
        target = Path(shutil.copytree(index, tmp_path / f"limit-{limit}"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            ends.append(try_build(edited, target, before, after))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        build(edited, target, encoder=FAKE)
        assert answers_of(target) == after
        assert leftovers(target) == set()
    assert ends[0] == "failed"
    assert ends[-1] == "built"
    assert ends == sorted(ends, reverse=True)


def test_a_short_write_that_numpy_does_not_report(tmp_path: Path) -> None:
    """The end of an array that did not fit on the disk: noticed before it is published, with checksums and all."""
    store = Store(tmp_path / "index")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def publish_what_fits() -> None:
        with store.writing() as draft:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
            try:
                np.save(draft.files.vectors, np.zeros(1000, dtype=np.float32))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            assert draft.files.vectors.stat().st_size == 4096
            draft.publish({})

    with pytest.raises(IndexUnwritable, match=r"vectors\.npy|space left"):
        publish_what_fits()
    with pytest.raises(IndexNotFound):
        store.open()


@pytest.mark.parametrize("what", ["size", "nr_inodes"] if MAY_MOUNT else [])
def test_a_disk_that_is_full(edited: Path, index: Path, what: str) -> None:
    """For every size of a small disk: IndexUnwritable or a whole new index, and with more room the build succeeds."""
    done = subprocess.run(
        [*OWN_MOUNTS, sys.executable, __file__, "sweep", edited, index, what],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout)
    assert ends[0] == "failed"
    assert ends[-1] == "built"
    assert ends.count("failed") >= 5


def test_the_command_line_on_a_full_disk(edited: Path, index: Path, kbsearch: RunKbsearch) -> None:
    """Exit code 24 and one sentence; the question that was answered before is answered the same."""
    expected = json.loads(kbsearch("search", "返品の送料", "-i", index, "--json").stdout)["hits"]
    limited = ("sh", "-c", 'ulimit -f 2; exec "$@"', "sh")
    built = kbsearch("build", edited, "-i", index, wrapper=limited)
    assert built.returncode == 24
    assert str(index) in built.stderr
    assert len(built.stderr.strip().splitlines()) == 1
    found = kbsearch("search", "返品の送料", "-i", index, "--json", wrapper=limited)
    assert json.loads(found.stdout)["hits"] == expected


READ_ONLY_MOUNT: Final = (
    *OWN_MOUNTS, "sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
)  # fmt: skip


@pytest.mark.parametrize("means", ["rights", "mount"] if MAY_MOUNT else ["rights"])
def test_an_index_on_a_read_only_disk(articles: Path, index: Path, means: str, kbsearch: RunKbsearch) -> None:
    """Open, search, show, status and verify work; a build ends with 24 and changes nothing."""
    expected = answers_of(index)
    wrapper: Sequence[str] = [*READ_ONLY_MOUNT[:-1], READ_ONLY_MOUNT[-1], str(index)]
    if means == "rights":
        wrapper = WITHOUT_ROOT_RIGHTS
        for path in [index, *index.rglob("*")]:
            path.chmod(path.stat().st_mode & ~0o222)
    try:
        done = subprocess.run(
            [*wrapper, sys.executable, __file__, "read", index], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == json.loads(json.dumps(expected))
        for command in (["search", "返品"], ["show", "returns"], ["status"], ["verify", "--exact"]):
            run = kbsearch(*command, "-i", index, wrapper=wrapper)
            assert run.returncode == 0, run.stderr
            assert run.stdout
            assert run.stderr == ""
        write_articles(articles, {"new.md": "# 新着\n"})
        before = sorted(path.name for path in index.iterdir())
        for folder in (articles, index.parent / "nowhere"):
            built = kbsearch("build", folder, "-i", index, wrapper=wrapper)
            assert built.returncode == (24 if folder.exists() else 13), built.stderr
        assert sorted(path.name for path in index.iterdir()) == before
    finally:
        for path in [index, *index.rglob("*")]:
            path.chmod(path.stat().st_mode | 0o200)
    assert answers_of(index) == expected


@pytest.mark.parametrize("means", ["mount"] if MAY_MOUNT else [])
def test_a_machine_without_any_writable_disk(index: Path, kbsearch: RunKbsearch, means: str) -> None:
    """As in a read-only container: nothing but the shared memory takes a file, and a question is answered."""
    assert means == "mount"
    script = 'for each in / /tmp /var/tmp; do mount -o remount,ro,bind "$each" 2>/dev/null; done; exec "$@"'
    wrapper = (*OWN_MOUNTS, "sh", "-c", script, "sh")
    proof = subprocess.run([*wrapper, "touch", index / "x"], capture_output=True, text=True, check=False)
    assert "Read-only" in proof.stderr
    found = kbsearch("search", "返品の送料", "-i", index, "--json", wrapper=wrapper)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["hits"]


def _sweep(articles: Path, index: Path, what: str) -> None:
    """Build on disks of growing size until it succeeds; prints how each build ended."""
    disk = index.parent / "disk"
    disk.mkdir()
    before = answers_of(index)
    build(articles, index.parent / "fresh", encoder=FAKE)
    after = answers_of(index.parent / "fresh")
    files = [path for path in index.rglob("*") if path.is_file()]
    used = sum(-(-path.stat().st_size // 4096) * 4096 for path in files)
    number = sum(1 for _ in index.rglob("*")) + 3
    steps = range(used + 4096, used + 1_000_000, 12288) if what == "size" else range(number, number + 100, 2)
    ends: list[str] = []
    while "built" not in ends[-2:]:
        _mount(disk, f"{what}={steps[len(ends)]}")
        target = Path(shutil.copytree(index, disk / "index"))
        ends.append(try_build(articles, target, before, after))
        _mount(disk, "remount,size=100m,nr_inodes=10000")
        build(articles, target, encoder=FAKE)
        assert answers_of(target) == after
        assert leftovers(target) == set()
        subprocess.run(["umount", "-l", disk], check=True)
    sys.stdout.write(json.dumps(ends))


def _mount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)


def _read(index: Path) -> None:
    """Read everything of an index whose disk really is read-only; prints its answers."""
    for attempt in ((index / "x").touch, lambda: (index / "CURRENT").open("a")):
        try:
            attempt()
        except OSError as error:
            if error.errno in (errno.EROFS, errno.EACCES):
                continue
        raise AssertionError("this disk can be written")
    kb = KnowledgeBase.open(index)
    assert check_files(kb) == []
    check_ranking(kb)
    assert kb.article("returns").title == "返品の送料"
    assert kb.section("returns#お客様都合の場合").heading
    assert kb.status().counts["articles"] == 12
    assert not kb.reload()
    sys.stdout.write(json.dumps(answers(kb)))


if __name__ == "__main__":
    embed._loaded[FAKE, None] = FakeEncoder()
    verbs: dict[str, Callable[..., None]] = {"sweep": _sweep, "read": _read}
    verbs[sys.argv[1]](*map(Path, sys.argv[2:4]), *sys.argv[4:])
