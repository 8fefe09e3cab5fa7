"""Damaged files and indexes of another version: noticed, named, and repaired by the next build.

Run as a script, this file reads a list of damages and tells what becomes of a search on each; every one is tried in a
process of its own, so that a crash or a hang is an outcome like any other.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from conftest import FAKE, FakeEncoder, answers, answers_of, leftovers, write_articles

from kbsearch import embed, rows
from kbsearch.builder import build
from kbsearch.errors import IndexCorrupt, IndexIncompatible, KbSearchError
from kbsearch.search import KnowledgeBase
from kbsearch.store import FORMAT, _checksum
from kbsearch.text import Analysis, analyse
from kbsearch.verify import check_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import RunKbsearch

SPREAD: Final = 8
"""Offsets in each file besides its first and last byte."""

SECONDS: Final = 20

TITLES: Final = 12
HEADINGS: Final = 5
"""Of the shared articles; each has a vector beside those of the passages."""


def files_of(index: Path) -> list[Path]:
    """Every file that a reader may meet, sorted."""
    return sorted(file for file in index.rglob("*") if file.is_file() and file.name not in {"LOCK", "stamps.json"})


def flip(file: Path, offset: int, mask: int = 0xFF) -> None:
    data = bytearray(file.read_bytes())
    data[offset] ^= mask
    file.write_bytes(data)


@pytest.fixture(scope="module")
def outcomes(kb_index: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What became of a search for each of some hundred flipped bytes."""
    chance = random.Random(6)  # noqa: S311 - repeatable
    flips = []
    for file in files_of(kb_index):
        size = file.stat().st_size
        some = {chance.randrange(size) for _ in range(SPREAD)} | {0, size - 1}
        flips += [[str(file.relative_to(kb_index)), at, chance.choice([0xFF, 1, 2, 16])] for at in sorted(some)]
    listed = tmp_path_factory.mktemp("flips") / "flips.json"
    listed.write_text(json.dumps(flips))
    done = subprocess.run(
        [sys.executable, __file__, kb_index, listed], capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_search_on_a_flipped_byte_answers_or_raises_an_error_of_ours(outcomes: list[dict[str, Any]]) -> None:
    """Whichever byte of whichever file is changed: no foreign error, no crash, no hang."""
    assert len(outcomes) > 100
    wrong = [each for each in outcomes if each["search"] not in {"answered", "IndexCorrupt", "IndexIncompatible"}]
    assert wrong == []
    assert {each["search"] for each in outcomes} >= {"answered", "IndexCorrupt"}


def test_verify_names_the_file_with_the_flipped_byte(outcomes: list[dict[str, Any]], kb_index: Path) -> None:
    """A flipped byte in any file of a generation is found by its checksum, or when the index is opened."""
    tried = {each["file"] for each in outcomes}
    assert tried == {str(file.relative_to(kb_index)) for file in files_of(kb_index)}
    missed = [
        each
        for each in outcomes
        if each["named"] != each["file"] and each["file"] != "CURRENT" and each["opened"] != "IndexIncompatible"
    ]
    assert missed == []
    assert sum(each["opened"] == "IndexIncompatible" for each in outcomes) <= 2, "only the version itself"


def test_verify_on_the_command_line_ends_with_21_and_names_the_file(index: Path, kbsearch: RunKbsearch) -> None:
    assert kbsearch("verify", "-i", index).returncode == 0
    damaged = index / "gen-000001" / "vectors.npy"
    flip(damaged, -1)
    verified = kbsearch("verify", "-i", index)
    assert verified.returncode == 21
    assert str(damaged) in verified.stderr
    assert "kbsearch build" in verified.stderr
    damaged.write_bytes(damaged.read_bytes()[:-1])
    opened = kbsearch("search", "返品", "-i", index)
    assert opened.returncode == 21
    assert str(damaged) in opened.stderr


def test_a_missing_short_or_long_file_is_noticed_on_opening(index: Path) -> None:
    """Every file of a generation is missed when the index is opened, and named."""
    for file in files_of(index):
        data = file.read_bytes()
        if file.name == "CURRENT":
            continue
        for damaged in (None, b"", data[:-1], data[: len(data) // 2], data + b"\0"):
            file.unlink()
            if damaged is not None:
                file.write_bytes(damaged)
            if file.name == "manifest.json" and damaged == data[:-1]:
                continue  # a line end that carries nothing
            with pytest.raises(IndexCorrupt) as caught:
                KnowledgeBase.open(index)
            assert caught.value.file == str(file)
            assert caught.value.expected
            assert caught.value.found
            file.write_bytes(data)
    assert answers_of(index)


def test_a_build_repairs_a_flipped_byte_in_any_file_and_carries_nothing_over(
    articles: Path, index: Path, tmp_path: Path, rebuild: Callable[[], Any]
) -> None:
    """An incremental build on a damaged index answers as a fresh one: no damaged vector or text gets a new checksum."""
    generation = 1
    for name in sorted(str(file.relative_to(index / "gen-000001")) for file in files_of(index / "gen-000001")):
        parts = sorted((index / f"gen-{generation:06d}").rglob(f"*{Path(name).suffix}"))
        damaged = next(path for path in parts if path.name == Path(name).name or path.parent.name == "lexical")
        flip(damaged, damaged.stat().st_size // 2)
        report = rebuild()
        generation += 1
        assert report.published, "a damaged index is not up to date"
        assert report.generation == f"gen-{generation:06d}"
        assert check_files(KnowledgeBase.open(index)) == []
    build(articles, tmp_path / "fresh", encoder=FAKE)
    assert answers_of(index) == answers_of(tmp_path / "fresh")
    kb, fresh = KnowledgeBase.open(index), KnowledgeBase.open(tmp_path / "fresh")
    assert kb.snapshot.vectors.vectors.tobytes() == fresh.snapshot.vectors.vectors.tobytes()


@pytest.mark.parametrize(
    "pointer", [b"", b"\xff\xff", b"gen-000009\n", b"gen-000000\n", b"../gen-000001\n", b"gen-" + b"9" * 5000, None]
)
def test_a_build_repairs_a_damaged_pointer(index: Path, rebuild: Callable[[], Any], pointer: bytes | None) -> None:
    """Whatever CURRENT says, a search raises an error of ours and a build brings everything back."""
    expected = answers_of(index)
    (index / "CURRENT").unlink()
    if pointer is not None:
        (index / "CURRENT").write_bytes(pointer)
    with pytest.raises(KbSearchError):
        KnowledgeBase.open(index)
    rebuild()
    assert answers_of(index) == expected
    rebuild()
    assert leftovers(index) == set()


def change_manifest(index: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Write a manifest as another installation might have written it, its checksum included."""
    file = next(index.glob("gen-*/manifest.json"))
    manifest = json.loads(file.read_text("utf-8"))
    change(manifest)
    if "checksum" in manifest:
        manifest["checksum"] = _checksum(manifest)
    file.write_text(json.dumps(manifest, ensure_ascii=False), "utf-8")


def repaired(index: Path, expected: list[Any], rebuild: Callable[[], Any]) -> None:
    assert rebuild().published
    assert answers_of(index) == expected
    assert not rebuild().published
    assert leftovers(index) == set()


@pytest.mark.parametrize("version", [FORMAT + 1, FORMAT - 1, "two", None])
def test_an_index_of_another_format_is_refused_and_rebuilt(
    index: Path, rebuild: Callable[[], Any], kbsearch: RunKbsearch, version: Any
) -> None:
    """IndexIncompatible with both versions, exit code 22, whatever else stands in such a manifest."""
    expected = answers_of(index)

    def change(manifest: dict[str, Any]) -> None:
        manifest.clear()
        manifest.update({"format": version, "something": ["else"]})

    change_manifest(index, change)
    with pytest.raises(IndexIncompatible) as caught:
        KnowledgeBase.open(index)
    assert (caught.value.what, caught.value.found, caught.value.wanted) == ("format", str(version), str(FORMAT))
    if version == FORMAT + 1:
        refused = kbsearch("search", "返品", "-i", index)
        assert refused.returncode == 22
        assert "kbsearch build" in refused.stderr
    repaired(index, expected, rebuild)


def test_an_index_of_another_analyser_is_refused_and_rebuilt(
    index: Path, rebuild: Callable[[], Any], fake_encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IndexIncompatible names both analysers; the next build cuts all words again and encodes nothing again."""
    expected = answers_of(index)
    here: list[str] = []
    change_manifest(index, lambda manifest: here.append(manifest["fingerprints"].pop("analyser")))
    change_manifest(index, lambda manifest: manifest["fingerprints"].update(analyser="analyser/0"))
    with pytest.raises(IndexIncompatible, match="analyser/0") as caught:
        KnowledgeBase.open(index)
    assert (caught.value.found, caught.value.wanted) == ("analyser/0", here[0])
    fake_encoder.encoded.clear()
    cut: list[str] = []

    def counted(text: str) -> Analysis:
        cut.append(text)
        return analyse(text)

    monkeypatch.setattr(rows, "analyse", counted)
    assert rebuild().published
    assert any("着払い" in text for text in cut), "the words of unchanged articles, too"
    assert answers_of(index) == expected
    assert fake_encoder.encoded == []
    assert not rebuild().published


@pytest.mark.parametrize("dimension", [32, 16])
def test_an_index_of_another_encoder_is_refused_where_vectors_count_and_rebuilt(
    index: Path, rebuild: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, dimension: int
) -> None:
    """IndexIncompatible in the modes hybrid and dense; the lexical mode, which needs no encoder, goes on."""
    other = FakeEncoder(fingerprint="fake/2", dimension=dimension)
    monkeypatch.setitem(embed._loaded, (FAKE, None), other)
    kb = KnowledgeBase.open(index)
    for mode in ("hybrid", "dense"):
        with pytest.raises(IndexIncompatible) as caught:
            kb.search("返品の送料", mode=mode)
        assert (caught.value.what, caught.value.found, caught.value.wanted) == ("encoder", "fake/1", "fake/2")
    assert kb.search("返品の送料", mode="lexical").hits
    report = rebuild()
    assert report.published
    assert report.counts["encoded"] == report.counts["passages"] + TITLES + HEADINGS
    assert report.counts["encoded"] + report.counts["sentences"] == len(other.encoded)
    assert report.counts["reused"] == 0
    assert KnowledgeBase.open(index).search("返品の送料", mode="dense").hits


def test_the_same_encoder_under_another_name_is_taken_up(
    articles: Path, index: Path, fake_encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model whose folder was moved: the next build remembers the new name, and encodes nothing again."""
    expected = answers_of(index)
    monkeypatch.delitem(embed._loaded, (FAKE, None))
    monkeypatch.setitem(embed._loaded, ("moved", None), fake_encoder)
    with pytest.raises(KbSearchError):
        answers_of(index)
    fake_encoder.encoded.clear()
    assert build(articles, index, encoder="moved").published
    assert answers_of(index) == expected
    assert fake_encoder.encoded == []
    assert not build(articles, index, encoder="moved").published


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.pop("checksum"),
        lambda manifest: manifest.update(files={}, checksum="0"),
        lambda manifest: manifest["counts"].update(articles=1) or manifest.update(format=FORMAT, checksum=None),
    ],
)
def test_a_manifest_without_its_checksum_is_damaged(
    index: Path, change: Callable[[dict[str, Any]], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest that somebody edited by hand is not believed."""
    monkeypatch.setitem(globals(), "_checksum", lambda manifest: manifest["checksum"])
    change_manifest(index, change)
    with pytest.raises(IndexCorrupt, match=r"manifest\.json"):
        KnowledgeBase.open(index)


def test_damage_under_an_open_reader_is_an_error_of_ours_too(
    articles: Path, index: Path, rebuild: Callable[[], Any]
) -> None:
    """Files that are deleted or emptied under an open index: it goes on or says so, and a reload recovers."""
    kb = KnowledgeBase.open(index)
    for file in files_of(index / "gen-000001"):
        if file.suffix in {".sqlite", ".npy"}:
            file.unlink()
    try:
        answers(kb)
    except KbSearchError as error:
        assert str(index) in str(error)  # noqa: PT017 - either outcome will do
    write_articles(articles, {"new.md": "# 新着\n"})
    rebuild()
    assert kb.reload()
    assert answers(kb) == answers_of(index)


# One flipped byte after the other, each in a process of its own.


def _try(index: Path, pipe: int) -> None:
    """Tell what becomes of opening, searching and verifying."""
    told = {"opened": "well", "search": "answered", "named": ""}
    try:
        kb = KnowledgeBase.open(index)
    except KbSearchError as error:
        told |= {"opened": type(error).__name__, "search": type(error).__name__, "named": getattr(error, "file", "")}
    else:
        told["named"] = next((error.file for error in check_files(kb)), "")
        try:
            answers(kb, ["返品の送料", "password"])
            answers(kb, ["返品の送料"], filter={"lang": "ja", "tags": "返品"})
            kb.article("returns")
            kb.section("returns#お客様都合の場合")
            kb.status()
        except KbSearchError as error:
            told["search"] = type(error).__name__
        except BaseException as error:  # noqa: BLE001 - an outcome
            told["search"] = f"{type(error).__name__}: {error}"
    told["named"] = os.path.relpath(told["named"], index) if told["named"] else ""
    os.write(pipe, json.dumps(told).encode())


def _try_all(index: Path, flips: list[tuple[str, int, int]]) -> None:
    import shutil
    import tempfile

    import faiss  # noqa: F401 - loaded once, before forking

    embed._loaded[FAKE, None] = FakeEncoder()
    analyse("返品")  # load the dictionary before forking
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(index, Path(folder) / "index"))
        for name, offset, mask in flips:
            flip(copy / name, offset, mask)
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                signal.alarm(SECONDS)
                _try(copy, writing)
                os._exit(0)
            os.close(writing)
            with os.fdopen(reading, "rb") as pipe:
                said = pipe.read()
            _, status = os.waitpid(child, 0)
            told = json.loads(said) if said else dict.fromkeys(("opened", "search", "named"), f"ended by {status}")
            sys.stdout.write(json.dumps({"file": name, "offset": offset, "mask": mask, **told}) + "\n")
            sys.stdout.flush()
            flip(copy / name, offset, mask)


if __name__ == "__main__":
    _try_all(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
