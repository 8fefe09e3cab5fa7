"""Deltas share their base's files, and survive damage, kills, failing disks, readers and the collector.

Run as a script, this file is a row of builds, each killed before another of its steps.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from conftest import ARTICLES, FAKE, FakeEncoder, answers, answers_of, leftovers, write_articles

from kbsearch import delta, embed
from kbsearch.builder import build
from kbsearch.errors import IndexCorrupt, IndexUnwritable
from kbsearch.rank import MODES
from kbsearch.search import KnowledgeBase
from kbsearch.store import Store
from kbsearch.verify import check_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import RunKbsearch

    from kbsearch.rank import Mode

NEW: Final = {"new/0.md": "---\ntitle: 新着の返品\nlang: ja\n---\n\n返品とpasswordの話。\n"}
CHANGED: Final = {"shop/deadline.md": ARTICLES["shop/deadline.md"].replace("14日", "20日")}
EVERY: Final = 7
"""Of so many steps of a build one fails."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dozen articles are enough for a delta."""
    monkeypatch.setattr("kbsearch.delta.FEWEST_PASSAGES", 0)
    monkeypatch.setattr("kbsearch.delta.MOST_CHANGED", 0.9)


@pytest.fixture
def amended(articles: Path, index: Path) -> Path:
    """An index with a delta."""
    write_articles(articles, NEW | CHANGED)
    build(articles, index, encoder=FAKE)
    return index


def folder_of(index: Path) -> Path:
    """Of the generation in force."""
    return index / (index / "CURRENT").read_text().strip()


def files_of(folder: Path) -> dict[str, Path]:
    """All files of a generation by name, but its manifest."""
    found = {str(file.relative_to(folder)): file for file in sorted(folder.rglob("*")) if file.is_file()}
    return {name: file for name, file in found.items() if name != "manifest.json"}


def has_delta(index: Path) -> bool:
    return (folder_of(index) / "delta").is_dir()


def whole(articles: Path, index: Path) -> list[Any]:
    """What a whole build of the articles says when one leg is asked."""
    target = index.parent / "whole"
    shutil.rmtree(target, ignore_errors=True)
    build(articles, target, encoder=FAKE)
    return said_by(target)


def said_by(index: Path) -> list[Any]:
    """Titles, snippets and scores, equal scores by id."""
    kb = KnowledgeBase.open(index)
    found = [
        sorted((-hit.score, hit.article_id, hit.snippet) for hit in kb.search(question, mode=mode).hits)
        for question in ("返品の期限", "新着 password", "返品の送料は誰が払いますか")
        for mode in ("lexical", "dense")
    ]
    kb.snapshot.generation.close()
    return [found, kb.status().warnings, kb.status().counts]


def flip(file: Path, offset: int) -> None:
    """Change a byte; links to the file keep what it was."""
    data = bytearray(file.read_bytes())
    data[offset] ^= 0xFF
    file.unlink()
    file.write_bytes(data)


@pytest.mark.parametrize("means", ["link", "copy"])
def test_the_files_of_the_base_are_the_same_files(
    articles: Path, index: Path, kbsearch: RunKbsearch, monkeypatch: pytest.MonkeyPatch, means: str
) -> None:
    """Linked, or, on a disk without links, copied and synced; with the checksums of their build, and sound."""
    synced: list[str] = []
    links = means == "link"
    if not links:
        fsync = os.fsync

        def noted(descriptor: int) -> None:
            synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
            fsync(descriptor)

        def refused(*_: Any) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(Path, "hardlink_to", refused)
        monkeypatch.setattr(os, "fsync", noted)
    base = folder_of(index)
    sealed = Store(index).open().manifest["files"]
    for round_ in range(2):
        write_articles(articles, {"new.md": f"# 新着{round_}\n\n返品の話。\n"})
        build(articles, index, encoder=FAKE)
        now, manifest = files_of(folder_of(index)), Store(index).open().manifest
        for name, file in files_of(base).items():
            assert file.samefile(now[name]) is links
            assert file.read_bytes() == now[name].read_bytes()
            assert manifest["files"][name] == sealed[name]
            assert links or file.name in synced
        assert now.keys() == manifest["files"].keys()
        assert any(name.startswith("delta/") for name in now)
    assert said_by(index) == whole(articles, index)
    for options in ([], ["--exact"]):
        done = kbsearch("verify", "-i", index, *options)
        assert done.returncode == 0, done.stderr


def test_a_damaged_file_of_the_base_stays_known_as_damaged_until_it_is_made_anew(articles: Path, amended: Path) -> None:
    """Whichever file: a build after it ends well, reports no damage as sound, and a full one heals it."""
    pristine, folder = amended.parent / "pristine", folder_of(amended)
    shutil.copytree(amended, pristine)
    names = [name for name in files_of(folder) if not name.startswith("delta/")]
    edits = {"new/0.md": NEW["new/0.md"] + "\n追記。\n", "shop/delivery.md": "# 配送日数\n\n翌日です。\n"}
    write_articles(articles, edits)
    expected = whole(articles, amended)
    for number, name in enumerate(names):
        shutil.rmtree(amended)
        shutil.copytree(pristine, amended)
        size = (folder / name).stat().st_size
        flip(folder / name, (0, size // 2, size - 1)[number % 3])
        build(articles, amended, encoder=FAKE)
        if has_delta(amended):
            known = Store(amended).open().damage()
            assert [str(each.file) for each in known] == [str(folder_of(amended) / name)]
            build(articles, amended, encoder=FAKE, full=bool(number % 2))  # without a change it is healed, too
        assert Store(amended).open().damage() == [], name
        assert said_by(amended) == expected, name


def test_a_damaged_delta_is_not_carried_over(articles: Path, amended: Path) -> None:
    """Its vectors would get a checksum of their own in the next one: all is made anew."""
    write_articles(articles, {"newer.md": "# 最新\n\n送料の話。\n"})
    expected, folder = whole(articles, amended), folder_of(amended)
    pristine = amended.parent / "pristine"
    shutil.copytree(amended, pristine)
    for name, file in files_of(folder).items():
        if name.startswith("delta/"):
            shutil.rmtree(amended)
            shutil.copytree(pristine, amended)
            flip(folder / name, file.stat().st_size - 1)
            build(articles, amended, encoder=FAKE)
            assert Store(amended).open().damage() == [], name
            assert said_by(amended) == expected, name


def test_a_search_on_a_flipped_byte_of_a_delta_answers_or_raises_an_error_of_ours(amended: Path) -> None:
    """Whichever byte of whichever file: no foreign error, no crash, no hang; and verify names the file."""
    chance, flips = random.Random(3), []  # noqa: S311 - repeatable
    for name, file in files_of(folder_of(amended)).items():
        if name.startswith("delta/"):
            size = file.stat().st_size
            some = {chance.randrange(size) for _ in range(3)} | {0, size - 1}
            flips += [[f"{folder_of(amended).name}/{name}", at, chance.choice([0xFF, 1, 16])] for at in sorted(some)]
    listed = amended.parent / "flips.json"
    listed.write_text(json.dumps(flips))
    script = Path(__file__).with_name("test_survival_damage.py")
    done = subprocess.run(
        [sys.executable, script, amended, listed], capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(outcomes) == len(flips) > 100
    assert [each for each in outcomes if each["search"] not in {"answered", "IndexCorrupt"}] == []
    assert [each for each in outcomes if each["named"] != each["file"]] == []


# Builds that end before their time.

STEPS: Final = ("fsync", "rename", "replace", "mkdir", "link", "chmod", "write", "ftruncate", "unlink", "open")


class Fault:
    """Acts instead of the n-th call of any function that changes the disk."""

    def __init__(self, number: int, act: Callable[[], None]) -> None:
        self.left, self.act, self.fired = number, act, ""

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for name in STEPS:
            patch.setattr(os, name, self._wrap(name, getattr(os, name)))
        patch.setattr(np, "save", self._wrap("save", np.save))
        for name in ("write_texts", "write_dense"):
            patch.setattr(delta, name, self._wrap(name, vars(delta)[name]))

    def _wrap(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            reads = name == "open" and not arguments[1] & (os.O_WRONLY | os.O_RDWR)
            if not reads and not self.fired:
                self.left -= 1
                if self.left == 0:
                    self.fired = name
                    self.act()
            return original(*arguments, **options)

        return call


def fail() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_build_that_fails_before_any_step_leaves_the_old_state(articles: Path, amended: Path) -> None:
    """IndexUnwritable, or a whole new state; the next build succeeds and leaves nothing behind."""
    before = said_by(amended)
    pristine = amended.parent / "pristine"
    shutil.copytree(amended, pristine)
    write_articles(articles, {"newer.md": "# 最新\n\n送料の話。\n"})
    after, ends, number = whole(articles, amended), [], 1
    while True:
        shutil.rmtree(amended)
        shutil.copytree(pristine, amended)
        fault, failed = Fault(number, fail), False
        with pytest.MonkeyPatch.context() as patch:
            fault.install(patch)
            try:
                build(articles, amended, encoder=FAKE)
            except IndexUnwritable:
                failed = True
        said = said_by(amended)
        assert said in ((before, after) if failed else (after,)), (number, fault.fired)
        build(articles, amended, encoder=FAKE)
        assert has_delta(amended)
        assert said_by(amended) == after
        assert leftovers(amended) == set()
        ends.append(f"{fault.fired} {'old' if said == before else 'new'}")
        if not fault.fired:
            break
        number += EVERY if number > 1 else 1
    assert len(ends) > 20
    assert {end.split()[-1] for end in ends} == {"old", "new"}
    assert ends[-1] == " new", "the last round meets no fault"


def test_a_build_killed_before_any_step_leaves_the_old_state(articles: Path, amended: Path) -> None:
    """And the next one takes it from there, as if nothing had been."""
    before = said_by(amended)
    write_articles(articles, {"newer.md": "# 最新\n\n送料の話。\n"})
    after = whole(articles, amended)
    done = subprocess.run(
        [sys.executable, __file__, articles, amended], capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    killed = [Path(line) for line in done.stdout.splitlines()]
    assert len(killed) > 20
    ends = []
    for index in killed:
        said = said_by(index)
        assert said in (before, after), index.name
        build(articles, index, encoder=FAKE)
        assert has_delta(index)
        assert said_by(index) == after, index.name
        assert leftovers(index) == set()
        ends.append(said == after)
    assert 0 < sum(ends) < len(ends), "kills must fall on both sides of the moment of publishing"
    assert ends == sorted(ends)


def _kill_before_each_step(articles: Path, index: Path) -> None:
    """Fork a build for every few of its steps; prints the index that each left."""
    delta.FEWEST_PASSAGES, delta.MOST_CHANGED = 0, 0.9  # type: ignore[misc]
    embed._loaded[FAKE, None] = FakeEncoder()
    number, killed = 1, True
    while killed:
        target = Path(shutil.copytree(index, index.with_name(f"killed-{number:04d}")))
        child = os.fork()
        if child == 0:
            Fault(number, lambda: os.kill(os.getpid(), signal.SIGKILL)).install(pytest.MonkeyPatch())
            build(articles, target, encoder=FAKE)
            os._exit(0)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{target}\n")
        number += EVERY


# Readers.


def edition(folder: Path, number: int) -> Path:
    """The n-th edition of three of eight articles; all eight answer."""
    text = "# 手引き{each}\n\nこの手引きは第{number}版です。\n"
    return write_articles(folder, {f"{each}.md": text.format(each=each, number=number) for each in (1, 4, 6)})


def edition_of(kb: KnowledgeBase, mode: Mode = "hybrid") -> int:
    """The edition that an index answers with; every answer must be complete and of one edition."""
    hits = kb.search("手引きは第何版ですか", k=50, mode=mode).hits
    assert len(hits) == 8, mode
    found = [re.search(r"第(\d+)版", hit.passages[0].text) for hit in hits]
    seen = {int(match[1]) for match in found if match}
    assert len(seen - {100}) == 1, f"editions {seen} in one answer"
    return min(seen)


def test_threads_search_while_deltas_are_published(tmp_path: Path, fake_encoder: FakeEncoder) -> None:
    """Each answer is of one state; who reloads gets each in its turn; who does not stays where he was."""
    assert fake_encoder
    base = {f"{each}.md": f"# 手引き{each}\n\nこの手引きは第100版です。\n" for each in range(8)}
    articles, index = write_articles(tmp_path / "articles", base), tmp_path / "index"
    build(edition(articles, 0), index, encoder=FAKE)
    kb, held, stop = KnowledgeBase.open(index), KnowledgeBase.open(index), threading.Event()

    def read(_: int) -> list[int]:
        seen = []
        while not stop.wait(0.02):  # the build has to come to its turn, too
            seen += [edition_of(kb, mode) for mode in MODES]
        return seen

    with ThreadPoolExecutor(8) as pool, contextlib.ExitStack() as ending:
        ending.callback(stop.set)
        reading = [pool.submit(read, number) for number in range(8)]
        for number in range(1, 6):
            build(edition(articles, number), index, encoder=FAKE)
            assert has_delta(index)
            assert kb.reload()
            assert edition_of(held) == 0
    for done in reading:
        seen = done.result()
        assert seen == sorted(seen)
    assert len({number for done in reading for number in done.result()}) >= 3, "they were there while builds published"
    assert edition_of(kb) == 5
    assert edition_of(held) == 0, "parts that are opened only now, too"
    assert held.reload()
    assert edition_of(held) == 5


def test_the_collector_takes_old_generations_and_leaves_the_files_that_newer_ones_share(
    articles: Path, index: Path
) -> None:
    """A held base outlives its deltas' collection; without a reader only the last two stay, whole."""
    reader = KnowledgeBase.open(index)
    before = answers(reader)

    def publish(number: int) -> list[str]:
        write_articles(articles, {"new.md": f"# 新着{number}\n\n返品のお知らせ{number}です。\n"})
        assert build(articles, index, encoder=FAKE).generation == f"gen-{number:06d}"
        assert has_delta(index)
        return sorted(path.name for path in index.glob("gen-*"))

    publish(2)
    publish(3)
    assert publish(4) == ["gen-000001", "gen-000003", "gen-000004"]
    assert answers(reader) == before
    assert reader.reload()
    gc.collect()
    assert publish(5) == ["gen-000004", "gen-000005"]
    assert check_files(KnowledgeBase.open(index)) == []
    assert said_by(index) == whole(articles, index)
    shutil.rmtree(index / "gen-000004")
    assert answers_of(index)
    assert check_files(KnowledgeBase.open(index)) == []


def test_damage_under_an_open_reader_of_a_delta_is_an_error_of_ours(amended: Path) -> None:
    kb = KnowledgeBase.open(amended)
    shutil.rmtree(folder_of(amended) / "delta")
    with pytest.raises(IndexCorrupt, match="delta"):
        kb.search("返品")


if __name__ == "__main__":
    _kill_before_each_step(Path(sys.argv[1]), Path(sys.argv[2]))
