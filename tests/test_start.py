"""The short way of a search: what it reads, what it prints, how it ends. Typer and rich are the oracles."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from kbsearch import embed, render, text
from kbsearch.cli import commands
from kbsearch.cli.output import PIPED_WIDTH
from kbsearch.cli.shortcut import read_search
from kbsearch.embed import e5
from kbsearch.errors import EncoderUnavailable
from kbsearch.results import Hit, Reason, SearchResult

MAIN = (sys.executable, "-c", "from kbsearch.cli import main; main()")


# Reading


def read_by_typer(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> dict[str, Any] | None:
    """What the command ``search`` would answer, None when it is not called."""
    asked: list[dict[str, Any]] = []

    def note(question: str, **options: Any) -> None:
        asked.append({"question": question, **options})

    monkeypatch.setattr(commands, "answer_question", note)
    CliRunner().invoke(commands.app, arguments)
    return asked[0] if asked else None


def comparable(asked: dict[str, Any] | None) -> dict[str, Any] | None:
    """Lists and tuples of a filter mean the same."""
    return asked and {**asked, "given": {name: list(values) for name, values in asked["given"].items()}}


ORDINARY = [
    ["search", "返品"],
    ["search", "返品", "-k", "3"],
    ["search", "-k", "007", "返品の 送料", "--json"],
    ["search", "q", "--mode", "lexical", "--explain"],
    ["search", "q", "--lang", "ja", "--lang", "en", "--category", "shop/returns", "--tag", "a b", "--kind", "faq"],
    ["search", "q", "-i", "indexes/nowhere", "--snippet-chars", "40"],
    ["search", "q", "--index", "tests", "--mode", "dense"],
    ["search", "q", "-k", "1", "-k", "2", "--mode", "dense", "--mode", "hybrid"],
    ["search", "q", "--audience", "担当者", "--audience", "admin", "--product", "a b", "--product-version", "1.10"],
    ["search", "q", "--prefer-lang", "ja", "--prefer-lang", "en", "--as-of", "2025-12-01", "--as-of", "someday"],
]
UNUSUAL = [
    [],
    ["--help"],
    ["status"],
    ["search"],
    ["search", ""],
    ["search", "--help"],
    ["search", "two", "questions"],
    ["search", "q", "--mode", "magic"],
    ["search", "q", "--mode"],
    ["search", "q", "-k", "0"],
    ["search", "q", "-k", "-1"],
    ["search", "q", "-k", "three"],
    ["search", "q", "-k", "３"],
    ["search", "q", "-k3"],
    ["search", "q", "--json=yes"],
    ["search", "q", "--mode=lexical"],
    ["search", "q", "--frobnicate"],
    ["search", "q", "--queries", "f", "--json"],
    ["search", "--", "-q"],
    ["search", "-"],
    ["search", "q", "--lang", ""],
    ["search", "half \ud83d"],
]


@pytest.mark.parametrize("arguments", ORDINARY)
def test_an_ordinary_search_is_read_as_typer_reads_it(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    asked = read_search(arguments)
    assert asked is not None
    assert comparable(asked) == comparable(read_by_typer(monkeypatch, arguments))


@pytest.mark.parametrize("arguments", UNUSUAL)
def test_everything_else_is_left_to_typer(arguments: list[str]) -> None:
    assert read_search(arguments) is None


@given(
    st.lists(
        st.sampled_from(
            ["q", "-k", "3", "0", "--mode", "lexical", "x", "--lang", "ja", "--json", "--explain", "-i", "nowhere",
             "--snippet-chars", "--tag", "-", "--", "-5", "--kind", "--category", "--help", "--json=1", "-x",
             "--prefer-lang", "--as-of", "--audience", "--product", "--product-version"]
        ),
        max_size=6,
    )
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_whatever_is_read_typer_reads_the_same(words: list[str]) -> None:
    asked = read_search(["search", *words])
    if asked is not None:
        with pytest.MonkeyPatch.context() as patch:
            assert comparable(asked) == comparable(read_by_typer(patch, ["search", *words]))


def test_an_index_that_may_not_be_read_is_left_to_typer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert read_search(["search", "q", "-i", "tests"]) is None


def test_every_option_of_a_search_is_known() -> None:
    """A new one goes here: into the short way, or into the list of those that are Typer's."""
    from typer.main import get_command

    search = get_command(commands.app).commands["search"]  # type: ignore[attr-defined]
    names = {name for parameter in search.params for name in parameter.opts if name.startswith("-")}
    typers = {
        name for name in names if all(read_search(["search", "q", name, *v]) is None for v in ([], ["1"], ["dense"]))
    }
    assert typers == {"--queries"}


# Printing


def printed_by_rich(result: SearchResult) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=PIPED_WIDTH, force_terminal=False).print(render.search_result(result), highlight=False)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def hit(title: str, snippet: str, heading: str = "", reasons: tuple[Reason, ...] = ()) -> Hit:
    marks = ((0, 1), (2, 4)) if len(snippet) > 4 else ()
    return Hit(
        rank=1, article_id="a", section_id="a", title=title, heading=heading, snippet=snippet, marks=marks, score=0.5,
        parts={"words": 1.0, "dense": 0.8}, path="shop/返品.md", lines=(3, 4), passages=(), reasons=reasons,
    )  # fmt: skip


def answer(*hits: Hit, understood: str | None = None) -> SearchResult:
    return SearchResult(
        query="q",
        hits=hits,
        outcome="choose",
        confidence=0.5,
        understood=understood,
        took_ms=1.0,
        generation="gen",
        stages={},
    )


WORDS = st.text(
    st.one_of(
        st.sampled_from("返品の送料は誰が払いますかー。、「」　 aあ\n"), st.characters(exclude_categories=["Cs"])
    ),
    max_size=700,
)


@given(title=WORDS, snippet=WORDS, heading=WORDS)
@settings(max_examples=150, deadline=None)
@example(title="長" * 130, snippet="word " * 60 + "返品" * 200 + " end " + "x" * 500, heading="")
@example(title="a", snippet="あ" * 118 + "  " + "い" * 3 + "\n" + " " * 300 + "b", heading="h")
@example(title="", snippet="👩‍👩‍👧 ❤️ " * 60, heading="é" * 300)
def test_plain_text_is_what_rich_prints(title: str, snippet: str, heading: str) -> None:
    result = answer(hit(title, snippet, heading), hit("t", snippet), understood=title)
    plain = render.plain_search_result(result, PIPED_WIDTH)
    if plain is not None:
        assert [line.rstrip() for line in plain.splitlines()] == printed_by_rich(result)


@pytest.mark.parametrize(
    "result", [answer(), answer(hit("返品", "送料は無料です。", "手順", (Reason("f", 1.0, 0.5),)))]
)
def test_an_ordinary_answer_needs_no_rich(result: SearchResult) -> None:
    plain = render.plain_search_result(result, PIPED_WIDTH)
    assert plain is not None
    assert [line.rstrip() for line in plain.splitlines()] == printed_by_rich(result)


def test_who_wants_colours_in_a_pipe_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert render.plain_search_result(answer(), PIPED_WIDTH) is None


# The encoder beside


def test_a_failure_beside_is_told_to_who_asks(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The thread says nothing; the first vector raises what it would have raised without it."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no such operator")

    encoder = e5.load()
    monkeypatch.setattr("onnxruntime.InferenceSession", refuse)
    monkeypatch.setattr(e5, "converted", lambda **_: encoder._source)
    encoder.open_beside()
    for thread in threading.enumerate():
        if thread.name == "kbsearch-open":
            thread.join(20)
    with pytest.raises(EncoderUnavailable, match=r"cannot be opened .*no such operator"):
        encoder.encode_query("返品")
    assert encoder.count_tokens("返品") > 2
    assert capfd.readouterr() == ("", "")


def test_what_was_opened_beside_is_used() -> None:
    encoder = e5.load()
    encoder.open_beside()
    expected = e5.load().encode_query("返品の送料")
    assert (encoder.encode_query("返品の送料") == expected).all()


@pytest.mark.parametrize("name", ["fake", "sentence-transformers:", "no such encoder"])
def test_only_the_default_encoder_is_opened_ahead(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(embed, "load_encoder", pytest.fail)
    embed.warm_up(name)


# The end


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an article and its index, by the default encoder."""
    folder = tmp_path_factory.mktemp("centre")
    (folder / "articles").mkdir()
    (folder / "articles" / "a.md").write_text("---\ntitle: 返品の送料\nlang: ja\n---\n\n当店が負担します。\n", "utf-8")
    subprocess.run([*MAIN, "build"], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("more", [[], ["--mode=hybrid"]])
def test_an_encoder_that_is_not_there_ends_a_search_with_its_own_error(centre: Path, more: list[str]) -> None:
    """Both when the command line is read the short way and when Typer reads it."""
    (centre / "in the way").write_text("")
    environment = {**os.environ, "KBSEARCH_CACHE": str(centre / "in the way")}
    done = subprocess.run(
        [*MAIN, "search", "返品", *more], cwd=centre, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (EncoderUnavailable.exit_code, "")
    assert done.stderr.startswith("error: The encoder “e5-small” is not available")
    assert done.stderr.count("\n") == 1


def heeds_interrupts() -> None:
    """Who runs the tests in the background of a shell has told everything below to ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_ends_a_search_without_a_word(centre: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "KBSEARCH_CACHE": str(tmp_path)}
    with subprocess.Popen(
        [*MAIN, "search", "返品"], cwd=centre, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=heeds_interrupts,  # noqa: PLW1509 - no other thread is at work
    ) as process:  # fmt: skip
        while process.poll() is None and not any(tmp_path.iterdir()):
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)  # in the midst of the first conversion
        assert process.communicate(timeout=30) == (b"", b"")
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
@pytest.mark.parametrize("more", [[], ["--mode=hybrid"]])
def test_output_that_cannot_be_written_is_no_success(centre: Path, more: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*MAIN, "search", "返品", *more],
            cwd=centre,
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 120  # the interpreter's own
    assert b"No space left on device" in done.stderr


# The fingerprint


@pytest.mark.parametrize(
    ("distribution", "module"),
    [("SudachiPy", "sudachipy"), ("SudachiDict-core", "sudachidict_core"), ("PyStemmer", "Stemmer")],
)
def test_a_version_is_what_its_metadata_say(distribution: str, module: str) -> None:
    assert text._version(distribution, module) == metadata.version(distribution)


def test_a_version_in_doubt_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two folders of metadata, as a broken installation leaves them, and none at all."""
    (tmp_path / "twice").mkdir()
    (tmp_path / "twice" / "__init__.py").write_text("")
    (tmp_path / "alone.py").write_text("")
    for version in ("1.0", "2.0"):
        (tmp_path / f"Twice-{version}.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(metadata, "version", lambda name: f"looked up {name}")
    assert text._version("twice", "twice") == "looked up twice"
    assert text._version("Alone", "alone") == "looked up Alone"
    assert text._version("missing", "no_such_module") == "looked up missing"
