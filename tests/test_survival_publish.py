"""Readers during publishes, the collector, and a disk that fails before each step of publishing.

Run as a script, this file is a reader that searches until it is told to stop.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from conftest import FAKE, FakeEncoder, answers, answers_of, leftovers, write_articles

from kbsearch import embed, lexical, writing
from kbsearch.builder import build
from kbsearch.errors import IndexCorrupt, IndexUnwritable, KbSearchError
from kbsearch.journal import Journal
from kbsearch.search import KnowledgeBase
from kbsearch.store import Store
from kbsearch.tokens import TokenWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PUBLISHES: Final = 10
SIZE: Final = 8


def edition(folder: Path, number: int) -> Path:
    """The n-th edition of a folder in which every article names its edition."""
    text = "# 手引き{each}\n\nこの手引きは第{number}版です。Edition for everybody.\n"
    return write_articles(folder, {f"{each}.md": text.format(each=each, number=number) for each in range(SIZE)})


def edition_of(kb: KnowledgeBase) -> int:
    """The edition that an index answers with; every answer must be complete and of one edition."""
    seen = set()
    for mode in ("hybrid", "lexical", "dense"):
        hits = kb.search("手引きは第何版ですか", k=50, mode=mode).hits
        assert len(hits) == SIZE, f"{mode}: {len(hits)} of {SIZE} articles"
        found = [re.search(r"第(\d+)版", hit.passages[0].text) for hit in hits]
        seen |= {int(match[1]) for match in found if match}
    assert len(seen) == 1, f"editions {seen} in one answer"
    return seen.pop()


class Reader:
    """Searches in the newest state that can be opened and in one that is reloaded, again and again."""

    def __init__(self, index: Path) -> None:
        self.index = index
        self.held = KnowledgeBase.open(index)
        self.last = edition_of(self.held)
        self.editions: list[int] = []
        self.reloads = 0

    def step(self) -> None:
        self.editions.append(edition_of(KnowledgeBase.open(self.index)))
        generation = self.held.generation
        if self.held.reload():
            self.reloads += 1
            assert self.held.generation > generation
        else:
            assert self.held.generation == generation
        now = edition_of(self.held)
        assert now >= self.last, "an index never goes back"
        self.last = now


@pytest.mark.usefixtures("fake_encoder")
def test_readers_never_see_an_error_or_half_an_answer_while_builds_publish(tmp_path: Path) -> None:
    """Two threads and a process search during ten publishes: every answer is complete and of one edition."""
    index = tmp_path / "index"
    build(edition(tmp_path / "articles", 0), index, encoder=FAKE)
    untouched = KnowledgeBase.open(index)
    process = subprocess.Popen(
        [sys.executable, __file__, index], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    done = threading.Event()
    errors: list[BaseException] = []
    readers = [Reader(index) for _ in range(2)]

    def read(reader: Reader) -> None:
        try:
            while not done.is_set():
                reader.step()
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=read, args=(reader,)) for reader in readers]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, PUBLISHES + 1):
            assert build(edition(tmp_path / "articles", number), index, encoder=FAKE).published
    finally:
        done.set()
        for thread in threads:
            thread.join()
        said, _ = process.communicate("stop\n", timeout=60)
    assert errors == []
    assert process.returncode == 0
    report = json.loads(said)
    for editions, reloads in [(reader.editions, reader.reloads) for reader in readers] + [tuple(report.values())]:
        assert len(editions) >= PUBLISHES
        assert len(set(editions)) >= 3, "the readers were there while builds published"
        assert editions == sorted(editions)
        assert 1 <= reloads <= PUBLISHES
    assert edition_of(untouched) == 0, "opened before all builds, its parts read only now"
    assert untouched.reload()
    assert edition_of(untouched) == PUBLISHES


def test_the_collector_keeps_two_generations_and_what_somebody_reads(
    articles: Path, index: Path, rebuild: Callable[[], Any]
) -> None:
    """A held generation outlives any number of builds, goes with the first build after its reader, and no other."""
    reader = KnowledgeBase.open(index)
    before = [hit.article_id for hit in reader.search("返品の送料").hits]

    def publish(number: int) -> list[str]:
        write_articles(articles, {"new.md": f"# 新着{number}\n\nお知らせ{number}です。\n"})
        assert rebuild().generation == f"gen-{number:06d}"
        return sorted(path.name for path in index.glob("gen-*"))

    assert publish(2) == ["gen-000001", "gen-000002"]
    assert publish(3) == ["gen-000001", "gen-000002", "gen-000003"]
    assert publish(4) == ["gen-000001", "gen-000003", "gen-000004"]
    assert [hit.article_id for hit in reader.search("返品の送料").hits] == before
    assert reader.reload()
    gc.collect()
    assert publish(5) == ["gen-000004", "gen-000005"]
    assert reader.generation == "gen-000004"


def test_a_reader_in_another_process_is_seen_and_a_killed_one_forgotten(tmp_path: Path, fake_encoder: Any) -> None:
    """Another process's hold on a generation counts as one of ours, and ends with the process, however it ends."""
    assert fake_encoder
    index = tmp_path / "index"
    build(edition(tmp_path / "articles", 1), index, encoder=FAKE)
    process = subprocess.Popen(
        [sys.executable, __file__, index, "hold"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    for number in range(2, 5):
        build(edition(tmp_path / "articles", number), index, encoder=FAKE)
    assert (index / "gen-000001").is_dir()
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    build(edition(tmp_path / "articles", 5), index, encoder=FAKE)
    assert sorted(path.name for path in index.glob("gen-*")) == ["gen-000004", "gen-000005"]


def test_reload_says_whether_there_was_anything(articles: Path, index: Path, rebuild: Callable[[], Any]) -> None:
    """True exactly when something newer was published; a damaged newer one raises and the old goes on answering."""
    kb = KnowledgeBase.open(index)
    before = answers(kb)
    assert not kb.reload()
    assert not rebuild().published
    assert not kb.reload()
    write_articles(articles, {"new.md": "# 返品の新しい決まり\n\n返品は不要です。\n"})
    assert rebuild().published
    assert answers(kb) == before
    assert kb.reload()
    assert answers(kb) != before
    assert not kb.reload()
    newer = answers(kb)
    write_articles(articles, {"new.md": "# 返品の決まり、改訂\n\n返品は有料です。\n"})
    newest = index / rebuild().generation
    (newest / "content.sqlite").write_bytes(b"short")
    with pytest.raises(IndexCorrupt):
        kb.reload()
    assert answers(kb) == newer


def test_reload_takes_up_an_index_that_was_deleted_and_built_anew(articles: Path, index: Path) -> None:
    """The first generation of a new index has the name of the first of the old one, and is another."""
    kb = KnowledgeBase.open(index)
    shutil.rmtree(index)
    write_articles(articles, {"new.md": "# 返品の新しい決まり\n\n返品は不要です。\n"})
    assert build(articles, index, encoder=FAKE).generation == kb.generation
    assert kb.reload()
    assert answers(kb) == answers_of(index)


def test_a_reloaded_knowledge_base_lets_its_old_generation_go(
    articles: Path, index: Path, rebuild: Callable[[], Any]
) -> None:
    """Without waiting for the garbage collector: a server that reloads must not fill the disk with old states."""
    gc.collect()
    gc.disable()
    try:
        kb = KnowledgeBase.open(index)
        for number in range(4):
            answers(kb, ["返品"], filter={"lang": "ja"})
            write_articles(articles, {"new.md": f"# 新着{number}\n\nお知らせ{number}です。\n"})
            rebuild()
            assert kb.reload()
        write_articles(articles, {"new.md": "# 新着\n\nお知らせです。\n"})
        rebuild()
        assert leftovers(index) == set()
    finally:
        gc.enable()


def test_an_index_is_read_from_any_working_folder(index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A path is relative to where the process was when it opened the index, also for parts that are opened later."""
    expected = answers_of(index)
    monkeypatch.chdir(index.parent)
    kb = KnowledgeBase.open(index.name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert answers(kb) == expected


def test_other_people_s_files_beside_an_index_are_left_alone(
    articles: Path, index: Path, rebuild: Callable[[], Any]
) -> None:
    """Only what has exactly a name of ours is swept away, whatever else somebody keeps in the folder."""
    theirs = ["tmp-notes", "tmp-notes.txt", "CURRENT.bak", "gen-2024", "gen-plan.md", "log"]
    for name in theirs:
        (index / name).mkdir() if "." not in name else (index / name).write_text("mine")
    for name in [f"tmp-{'0' * 32}", f"CURRENT.{'a' * 32}", "gen-000009"]:
        (index / name).mkdir() if not name.startswith("CURRENT") else (index / name).write_text("gen-000009\n")
    for number in range(3):
        write_articles(articles, {"new.md": f"# 新着{number}\n"})
        rebuild()
    kept = {"CURRENT", "LOCK", "stamps.json", "gen-000003", "gen-000004", *theirs}
    assert {path.name for path in index.iterdir()} == kept


def test_every_file_of_an_index_is_readable_by_whom_the_umask_admits(
    articles: Path, tmp_path: Path, fake_encoder: FakeEncoder
) -> None:
    """An index built by one user serves another: no file has narrower rights than the rest."""
    assert fake_encoder
    former = os.umask(0o022)
    try:
        build(articles, tmp_path / "open", encoder=FAKE)
        os.umask(0o077)
        build(articles, tmp_path / "closed", encoder=FAKE)
    finally:
        os.umask(former)
    for name, wanted in (("open", 0o644), ("closed", 0o600)):
        modes = {file.stat().st_mode & 0o777 for file in (tmp_path / name).glob("gen-*/**/*") if file.is_file()}
        assert modes == {wanted}


def test_everything_is_on_the_disk_before_it_is_pointed_to(
    articles: Path, index: Path, rebuild: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut loses nothing that CURRENT names: every file and folder is synced before the step that shows it."""
    steps: list[tuple[str, str]] = []
    fsync, rename, replace = os.fsync, os.rename, os.replace

    def synced(descriptor: int) -> None:
        steps.append(("sync", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
        fsync(descriptor)

    def moved(source: Any, target: Any) -> None:
        steps.append(("rename", str(target)))
        rename(source, target)

    def replaced(source: Any, target: Any) -> None:
        steps.append(("replace", str(target)))
        replace(source, target)

    for name, spy in (("fsync", synced), ("rename", moved), ("replace", replaced)):
        monkeypatch.setattr(os, name, spy)
    write_articles(articles, {"new.md": "# 新着\n"})
    generation = index / rebuild().generation
    shown, pointed = steps.index(("rename", str(generation))), steps.index(("replace", str(index / "CURRENT")))
    draft = Path(steps[0][1])
    while draft.parent != index:
        draft = draft.parent
    before = {path for step, path in steps[:shown] if step == "sync"}
    parts = list(generation.rglob("*"))
    assert len(parts) > 10
    assert {str(draft), *(str(draft / path.relative_to(generation)) for path in parts)} <= before
    assert ("sync", str(index)) in steps[shown:pointed]
    assert any(path.startswith(str(index / "CURRENT.")) for _, path in steps[shown:pointed])
    assert ("sync", str(index)) in steps[pointed:]


# A disk that fails.

STEPS: Final = ("fsync", "rename", "replace", "mkdir", "chmod", "write", "ftruncate", "unlink", "open")


class Fault:
    """Makes the n-th call of any function that changes the disk fail, once."""

    def __init__(self, number: int, code: int) -> None:
        self.left, self.code = number, code
        self.fired = ""

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for name in STEPS:
            patch.setattr(os, name, self._wrap(name, getattr(os, name)))
        patch.setattr(Path, "open", self._wrap("Path.open", Path.open))

    def _wrap(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            reads = (name == "open" and not arguments[1] & (os.O_WRONLY | os.O_RDWR)) or (
                name == "Path.open" and not set("wa+") & set("".join(map(str, arguments[1:])))
            )
            if not reads and not self.fired:
                self.left -= 1
                if self.left == 0:
                    self.fired = name
                    raise OSError(self.code, os.strerror(self.code))
            return original(*arguments, **options)

        return call


def publish_plain(store: Store, text: str) -> None:
    """Publish a generation of two small files."""
    with store.writing() as draft:
        draft.files.content.write_text(text)
        draft.files.vocabulary.write_bytes(text.encode() * 1000)
        draft.publish({"text": text})


def plain(store: Store) -> str:
    """Read it, checking all of it."""
    generation = store.open()
    assert generation.damage() == []
    text = generation.files.content.read_text()
    assert generation.manifest["text"] == text
    assert generation.files.vocabulary.read_bytes() == text.encode() * 1000
    generation.close()
    return text


def faults(code: int) -> Iterator[Fault]:
    """One fault for each step, until a build comes through without meeting it."""
    number = 1
    while True:
        fault = Fault(number, code)
        yield fault
        if not fault.fired:
            return
        number += 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES])
def test_a_disk_that_fails_before_any_step_of_publishing(tmp_path: Path, code: int) -> None:
    """IndexUnwritable; one of the two states is there, whole; the next writer succeeds and leaves nothing behind."""
    seen: list[str] = []
    for number, fault in enumerate(faults(code)):
        store = Store(tmp_path / str(number))
        for text in ("oldest", "older", "old"):
            publish_plain(store, text)
        reader = store.open()
        failed: IndexUnwritable | None = None
        with pytest.MonkeyPatch.context() as patch:
            fault.install(patch)
            try:
                publish_plain(store, "new")
            except IndexUnwritable as error:
                failed = error
        pointed = (store.root / "CURRENT").read_text().strip()
        state = "old" if pointed == reader.name else "new"
        assert plain(store) == state, fault.fired
        assert failed or state == "new", f"{fault.fired} failed and nobody was told"
        assert failed is None or (os.strerror(code) in str(failed) and failed.path == str(store.root))
        assert reader.files.content.read_text() == "old"
        reader.close()
        publish_plain(store, "next")
        assert plain(store) == "next"
        assert leftovers(store.root) == set(), fault.fired
        seen.append(f"{fault.fired} {state}")
    assert len(seen) > 15
    before = {"mkdir old", "write old", "Path.open old", "fsync old", "rename old", "replace old"}
    assert {*before, "fsync new"} <= set(seen)
    assert seen[-1] == " new", "the last round meets no fault"


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (writing, "write_lexical"),
        (lexical, "save_column"),
        (writing, "write_vectors"),
        (writing, "write_graphs"),
        (writing, "write_content"),
        (TokenWriter, "add_row"),
        (np, "save"),
        (Journal, "append"),
        (os, "fsync"),
        (os, "rename"),
        (os, "replace"),
    ],
)
def test_a_full_disk_at_any_stage_of_a_build(
    articles: Path, index: Path, rebuild: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    """IndexUnwritable; the old index answers the same; the next build succeeds and leaves nothing behind."""
    before = answers_of(index)
    write_articles(articles, {"new.md": "# 返品の新しい決まり\n\n返品は不要です。\n"})

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, full)
        with pytest.raises(IndexUnwritable, match="No space left"):
            rebuild()
    assert answers_of(index) == before
    assert rebuild().published
    assert answers_of(index) != before
    assert leftovers(index) == set()


def test_what_is_no_index_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    """Any junk in place of an index raises an error of ours, not one of the system's."""
    raised = {}
    for name, make in {
        "nothing": lambda _: None,
        "file": lambda path: path.write_text("x"),
        "empty folder": lambda path: path.mkdir(),
        "pointer to nothing": lambda path: (path.mkdir(), (path / "CURRENT").write_text("gen-000001\n")),
        "pointer to a file": lambda path: (
            path.mkdir(), (path / "CURRENT").write_text("gen-000001\n"), (path / "gen-000001").write_text("x")
        ),
        "pointer out of it": lambda path: (path.mkdir(), (path / "CURRENT").write_text("../../etc\n")),
        "pointer is a folder": lambda path: (path / "CURRENT").mkdir(parents=True),
        "binary pointer": lambda path: (path.mkdir(), (path / "CURRENT").write_bytes(b"\xff\0\xfe")),
    }.items():  # fmt: skip
        make(tmp_path / name)  # type: ignore[no-untyped-call]
        with pytest.raises(KbSearchError) as caught:
            KnowledgeBase.open(tmp_path / name)
        raised[name] = type(caught.value).__name__
    absent = {"nothing", "file", "empty folder"}
    assert raised == {name: "IndexNotFound" if name in absent else "IndexCorrupt" for name in raised}


def _read_until_told(index: Path) -> None:
    embed._loaded[FAKE, None] = FakeEncoder()
    reader = Reader(index)
    told = threading.Event()

    def listen() -> None:
        sys.stdin.readline()
        told.set()

    threading.Thread(target=listen, daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not told.is_set():
        told.wait() if "hold" in sys.argv else reader.step()
    sys.stdout.write(json.dumps({"editions": reader.editions, "reloads": reader.reloads}))


if __name__ == "__main__":
    _read_until_told(Path(sys.argv[1]))
