"""Builds that are killed, and builds that meet: the old index answers until the new one is whole.

Run as a script, this file is a build in slow motion that announces each of its steps on standard output.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from conftest import ARTICLES, FAKE, FakeEncoder, answers, answers_of, leftovers, write_articles

from kbsearch import embed, encoding, writing
from kbsearch.builder import build
from kbsearch.errors import IndexLocked
from kbsearch.journal import Journal
from kbsearch.search import KnowledgeBase
from kbsearch.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conftest import RunKbsearch

    from kbsearch.model import FloatArray
    from kbsearch.overviews import BuildReport

KILLS: Final = 24
STEP_SECONDS: Final = 0.004
TEXTS_AT_ONCE: Final = 3
WAIT: Final = "wait"
"""Makes a slow build wait for a line on standard input before it encodes."""
LINGER: Final = "linger"
"""Makes it wait when it is done."""


@pytest.fixture
def edited(articles: Path) -> Path:
    """The articles after an editor's day: some changed, some new, one gone."""
    new = {f"new/{number}.md": f"# 新しい記事{number}\n\n返品とpasswordの話、その{number}。\n" for number in range(20)}
    write_articles(articles, new)
    write_articles(articles, {"shop/deadline.md": ARTICLES["shop/deadline.md"].replace("14日", "20日")})
    (articles / "tools/vpn.md").unlink()
    return articles


@dataclass(frozen=True)
class Killed:
    """What a build had announced when it was killed, and the index that it left."""

    index: Path
    steps: list[str]
    moment: str


def computed(report: BuildReport) -> int:
    """Vectors of passages, titles and sentences."""
    return report.counts["encoded"] + report.counts["sentences"]


def slow_build(articles: Path, index: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, __file__, articles, index, *options],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip


def kill_at(step: int, articles: Path, index: Path, delay: float) -> Killed:
    """Kill a slow build ``delay`` seconds after it announced its n-th step."""
    with slow_build(articles, index, LINGER) as process:
        assert process.stdout is not None
        steps = [process.stdout.readline().strip() for _ in range(step)]
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        steps += process.stdout.read().splitlines()
    assert process.returncode == -signal.SIGKILL
    return Killed(index, steps, steps[step - 1])


def test_a_build_killed_at_any_moment_leaves_a_whole_index_and_the_next_one_goes_on(
    edited: Path, index: Path, tmp_path: Path, fake_encoder: FakeEncoder
) -> None:
    """Killed in every stage: the old index answers the same, the next build is as a full one, and nothing stays."""
    before = answers_of(index)
    build(edited, tmp_path / "fresh", encoder=FAKE)
    after = answers_of(tmp_path / "fresh")
    assert before != after
    rehearsal = Path(shutil.copytree(index, tmp_path / "rehearsal"))
    whole = subprocess.run([sys.executable, __file__, edited, rehearsal], capture_output=True, text=True, check=True)
    steps = whole.stdout.splitlines()
    assert answers_of(rehearsal) == after

    chance = random.Random(8)  # noqa: S311 - repeatable
    indexes = [Path(shutil.copytree(index, tmp_path / f"killed-{number}")) for number in range(KILLS)]
    readers = [KnowledgeBase.open(path) for path in indexes]
    spread = [1 + round(number * (len(steps) - 2) / (KILLS - 1)) for number in range(KILLS)]
    # Three texts are encoded, three are kept, and so on: an even step could meet the same of both each time.
    moments = [min(moment + chance.randrange(4), len(steps) - 1) for moment in spread]
    with ThreadPoolExecutor(4) as pool:
        killed = list(
            pool.map(
                lambda number: kill_at(moments[number], edited, indexes[number], chance.random() * STEP_SECONDS),
                range(KILLS),
            )
        )
    stages = {each.moment.split()[0] for each in killed}
    assert {"encode", "sync", "kept"} <= stages, stages

    published = 0
    for reader, each in zip(readers, killed, strict=True):
        replaced = Store(each.index).open().name != reader.generation
        published += replaced
        assert answers(reader) == before, f"an open reader, killed at {each.moment}"
        assert answers_of(each.index) == (after if replaced else before), each.moment
        fake_encoder.encoded.clear()
        report = build(edited, each.index, encoder=FAKE)
        assert answers_of(each.index) == after, each.moment
        assert report.published is not replaced
        assert leftovers(each.index) == set(), each.moment
        kept = {step.removeprefix("kept ") for step in each.steps if step.startswith("kept ")}
        again = kept & {_key(text) for text in fake_encoder.encoded}
        assert not again, "a vector in the journal was computed once more"
        assert computed(report) == len(set(fake_encoder.encoded))
    assert 0 < published < KILLS, "kills must fall on both sides of the moment of publishing"


def test_kill_after_kill_loses_no_vector_that_was_kept(
    edited: Path, index: Path, tmp_path: Path, fake_encoder: FakeEncoder
) -> None:
    """Builds killed one after the other advance together: no text is encoded twice, and the last has little to do."""
    before = answers_of(index)
    undisturbed = Path(shutil.copytree(index, tmp_path / "undisturbed"))
    missing = computed(build(edited, undisturbed, encoder=FAKE))
    fake_encoder.encoded.clear()
    kept: list[str] = []
    for _ in range(3):
        with slow_build(edited, index, LINGER) as process:
            assert process.stdout is not None
            fresh = 0
            for line in process.stdout:
                if line.startswith("kept "):
                    kept.append(line.split()[1])
                    fresh += 1
                if fresh == 2 * TEXTS_AT_ONCE:
                    break
            process.kill()
            kept += [line.split()[1] for line in process.stdout.read().splitlines() if line.startswith("kept ")]
        assert answers_of(index) == before
    assert len(kept) >= 3 * 2 * TEXTS_AT_ONCE
    assert len(kept) == len(set(kept))
    rest = computed(build(edited, index, encoder=FAKE))
    assert rest == len(fake_encoder.encoded)
    unannounced = missing - len(kept) - rest  # kept between an announcement and the kill
    assert 0 <= unannounced <= 3 * TEXTS_AT_ONCE
    assert leftovers(index) == set()


def test_a_torn_or_foreign_journal_costs_time_and_nothing_else(
    edited: Path, index: Path, tmp_path: Path, fake_encoder: FakeEncoder
) -> None:
    """Whatever stands in the journal, the next build succeeds, uses what is sound, and removes it."""
    build(edited, tmp_path / "fresh", encoder=FAKE)
    after = answers_of(tmp_path / "fresh")
    text = next(text for text in fake_encoder.encoded if "その7" in text)
    file = Store(index).journal
    Journal(file, "fake/1", fake_encoder.dimension).append([_key(text)], fake_encoder.encode_passages(["another text"]))
    sound = file.read_bytes()

    def answers_with(journal: bytes, name: str) -> list[Any]:
        target = Path(shutil.copytree(index, tmp_path / name))
        Store(target).journal.write_bytes(journal)
        build(edited, target, encoder=FAKE)
        assert leftovers(target) == set()
        return answers_of(target)

    assert answers_with(sound, "sound") != after, "a sound record is believed"
    flipped = sound[:-40] + bytes([sound[-40] ^ 1]) + sound[-39:]
    torn = [sound[:cut] for cut in (0, 1, 20, len(sound) - 1)]
    for number, junk in enumerate([*torn, flipped, sound.replace(b"fake/1", b"fake/2"), b"\xff" * 100_000]):
        assert answers_with(junk, f"junk-{number}") == after


def test_of_two_builds_at_once_one_is_refused_with_the_other_s_name(
    edited: Path, index: Path, tmp_path: Path, kbsearch: RunKbsearch
) -> None:
    """While a build runs, another gets IndexLocked with its process number (exit code 23), and the first finishes."""
    first = slow_build(edited, index, WAIT)
    assert first.stdout is not None
    for line in first.stdout:
        if line.startswith("encode"):
            break
    with pytest.raises(IndexLocked) as caught:
        build(edited, index, encoder=FAKE)
    second = kbsearch("build", edited, "-i", index)
    first.communicate("go on\n", timeout=60)
    assert first.returncode == 0
    assert f"process {first.pid} " in caught.value.owner
    assert second.returncode == 23
    assert str(first.pid) in second.stderr
    assert "Traceback" not in second.stderr
    build(edited, tmp_path / "fresh", encoder=FAKE)
    assert answers_of(index) == answers_of(tmp_path / "fresh")
    assert not build(edited, index, encoder=FAKE).published, "the lock is free again"
    assert leftovers(index) == set()


def test_many_builds_started_together_end_well_or_locked(edited: Path, index: Path, tmp_path: Path) -> None:
    """Of six builds started together each ends with 0 or 23, at least one with 0, and the index is whole."""
    script = "import sys; sys.argv[0] = 'kbsearch'; from conftest import *; from kbsearch.cli import main; "
    script += "embed._loaded[FAKE, None] = FakeEncoder(); main()"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", script, "build", str(edited), "-i", str(index), "--encoder", FAKE]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) for _ in range(6)
    ]
    ends = [(process.communicate(timeout=60)[1].decode(), process.returncode) for process in started]
    codes = [code for _, code in ends]
    assert set(codes) <= {0, 23}, ends
    assert 0 in codes
    build(edited, tmp_path / "fresh", encoder=FAKE)
    assert answers_of(index) == answers_of(tmp_path / "fresh")
    assert leftovers(index) == set()


@pytest.mark.parametrize("stage", ["write_content", "write_vectors"])
def test_an_interrupt_leaves_nothing_half_written(
    edited: Path, index: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """Ctrl-C in the middle of writing: no draft stays, the old index answers, vectors are kept for the next build."""
    before = answers_of(index)

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writing, stage, interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(edited, index, encoder=FAKE)
    assert leftovers(index) <= {Store(index).journal.name}
    assert answers_of(index) == before
    again = build(edited, index, encoder=FAKE).counts["encoded"]
    assert again == 0 or stage == "write_content", "texts are encoded while that is written"
    assert leftovers(index) == set()


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# The build in slow motion.


class SlowEncoder(FakeEncoder):
    """Announces what it encodes, one text at a time."""

    def encode_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> FloatArray:
        for _ in texts:
            _announce("encode")
        if WAIT in sys.argv and not self.encoded:
            sys.stdin.readline()
        return super().encode_passages(texts, progress)


_one_at_a_time = threading.Lock()  # texts are encoded while the others are written


def _announce(step: str) -> None:
    with _one_at_a_time:
        sys.stdout.write(step + "\n")
        sys.stdout.flush()
    time.sleep(STEP_SECONDS)


def _slow(owner: Any, name: str, step: str) -> None:
    original = getattr(owner, name)

    def announced(*arguments: Any, **options: Any) -> Any:
        _announce(step)
        result = original(*arguments, **options)
        _announce(f"{step} done")
        return result

    setattr(owner, name, announced)


def _keep_aloud() -> None:
    append = Journal.append

    def aloud(self: Journal, keys: Sequence[str], vectors: FloatArray) -> None:
        append(self, keys, vectors)
        for key in keys:
            _announce(f"kept {key}")

    Journal.append = aloud  # type: ignore[method-assign]


@contextlib.contextmanager
def _slow_motion() -> Iterator[None]:
    embed._loaded[FAKE, None] = SlowEncoder()
    vars(encoding)["_AT_ONCE"] = TEXTS_AT_ONCE
    _keep_aloud()
    for name in ("write_lexical", "write_vectors", "write_content"):
        _slow(writing, name, f"write {name}")
    for owner, name, step in (
        (os, "fsync", "sync"),
        (os, "rename", "rename"),
        (os, "replace", "replace"),
        (os, "mkdir", "mkdir"),
        (shutil, "rmtree", "remove"),
    ):
        _slow(owner, name, step)
    yield


if __name__ == "__main__":
    with _slow_motion():
        build(sys.argv[1], sys.argv[2], encoder=FAKE)
    if LINGER in sys.argv:
        sys.stdin.readline()
