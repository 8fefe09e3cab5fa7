"""The encoder works in the background of a build; what it says, and how it fails, comes out in the caller's thread."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

import pytest
from conftest import FAKE, FakeEncoder, answers_of, write_articles

from kbsearch import embed, encoding
from kbsearch.builder import build
from kbsearch.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from kbsearch.model import FloatArray

TEXTS: Final = 40
AT_ONCE: Final = 4


class HinderedEncoder(FakeEncoder):
    """Takes its time for each text, and calls ``before`` with the number of texts that it has encoded."""

    def __init__(self, seconds: float, before: Callable[[int], None] = lambda _: None) -> None:
        super().__init__()
        self.seconds, self.before = seconds, before

    def encode_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> FloatArray:
        for text in texts:
            self.before(len(self.encoded))
            time.sleep(self.seconds)
            super().encode_passages([text], progress)
        return FakeEncoder().encode_passages(texts)


@pytest.fixture(params=["whole", "delta"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Either kind of build, in small batches."""
    monkeypatch.setattr(encoding, "_AT_ONCE", AT_ONCE)
    monkeypatch.setattr("kbsearch.delta.FEWEST_PASSAGES", 0 if request.param == "delta" else 10_000)
    monkeypatch.setattr("kbsearch.delta.MOST_CHANGED", 9)
    return str(request.param)


@pytest.fixture
def edited(articles: Path) -> Path:
    """Articles with many texts that are new: bodies and titles."""
    new = {f"new/{each}.md": f"# 新着{each}\n\n返品の話、その{each}。\n" for each in range(TEXTS // 2)}
    return write_articles(articles, new)


def use(monkeypatch: pytest.MonkeyPatch, encoder: FakeEncoder) -> None:
    monkeypatch.setitem(embed._loaded, (FAKE, None), encoder)


def is_delta(index: Path) -> bool:
    return "delta" in Store(index).open().manifest


def test_progress_comes_from_the_caller_s_thread_and_ends_at_its_total(
    edited: Path, index: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never backwards, never beyond the total, in any stage."""
    use(monkeypatch, HinderedEncoder(0.02))
    told: dict[str, list[tuple[int, int]]] = {}
    threads = set()

    def tell(stage: str, done: int, total: int) -> None:
        threads.add(threading.get_ident())
        told.setdefault(stage, []).append((done, total))

    report = build(edited, index, encoder=FAKE, progress=tell)
    assert is_delta(index) is (kind == "delta")
    assert threads == {threading.get_ident()}
    assert report.counts["encoded"] == TEXTS
    assert {"scan", "parse", "analyse", "encode"} <= told.keys()
    assert len({done for done, _ in told["encode"]}) > 2, "it is told while it goes on"
    for stage, steps in told.items():
        assert steps == sorted(steps), stage
        assert steps[-1][0] == steps[-1][1] == max(total for _, total in steps), stage


@pytest.mark.parametrize("error", [RuntimeError("out of order"), TimeoutError("too slow"), OSError("no such device")])
def test_what_the_encoder_raises_comes_out_and_the_next_build_encodes_only_the_rest(
    edited: Path, index: Path, kind: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    before = answers_of(index)

    def broken(encoded: int) -> None:
        if encoded >= 3 * AT_ONCE + 1:
            raise error

    use(monkeypatch, HinderedEncoder(0, broken))
    with pytest.raises(Exception, match=str(error)) as caught:
        build(edited, index, encoder=FAKE)
    assert error in (caught.value, caught.value.__cause__)
    assert Store(index).journal.exists()
    assert answers_of(index) == before
    sound = FakeEncoder()
    use(monkeypatch, sound)
    assert build(edited, index, encoder=FAKE).counts["encoded"] == TEXTS - 3 * AT_ONCE == len(sound.encoded)
    assert is_delta(index) is (kind == "delta")
    assert not Store(index).journal.exists()


def test_an_interrupt_ends_a_build_that_encodes(
    edited: Path, index: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the text under way, not with all that are left; what was finished before is not encoded again."""
    assert kind
    encoder = HinderedEncoder(0.3)
    use(monkeypatch, encoder)

    def tell(stage: str, done: int, _: int) -> None:
        if stage == "encode" and done > AT_ONCE:
            raise KeyboardInterrupt

    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        build(edited, index, encoder=FAKE, progress=tell)
    assert time.perf_counter() - start < 0.3 * TEXTS / 2
    assert len(encoder.encoded) <= AT_ONCE + 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("kbsearch-build")]
    assert sorted(path.name for path in index.iterdir()) == [
        "CURRENT", "LOCK", "encoded.journal", "gen-000001", "stamps.json",
    ]  # fmt: skip
    sound = FakeEncoder()
    use(monkeypatch, sound)
    assert build(edited, index, encoder=FAKE).counts["encoded"] == TEXTS - AT_ONCE
