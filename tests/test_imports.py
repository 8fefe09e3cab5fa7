"""What each command loads: a start is mostly imports, so a new one is noticed here."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

CONVERTERS = {"onnx", "sentence_transformers", "torch", "transformers"}
BUILDERS = {"markdown_it", "mdit_py_plugins", "rank_bm25", "yaml", "kbsearch.builder", "kbsearch.markdown"}
READERS = {"typer", "pydantic", "click", "kbsearch.cli.commands"}
PRINTERS = {"rich.console", "rich.text", "pygments"}
SLOW = {"concurrent.futures", "email", "importlib.metadata", "importlib.resources"}

PROGRAM = """
import os, sys
os._exit = sys.exit  # how a search ends
sys.argv[0] = "kbsearch"
from kbsearch.cli import main
try:
    main()
finally:
    sys.stderr.write(" ".join(sys.modules))
"""


def loaded_by(folder: Path, *arguments: str) -> set[str]:
    """Names of all modules that a command has loaded at its end; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an article and its index, by the default encoder."""
    folder = tmp_path_factory.mktemp("centre")
    (folder / "articles").mkdir()
    (folder / "articles" / "returns.md").write_text(
        "---\ntitle: 返品の送料\nlang: ja\n---\n\n当店が負担します。\n", "utf-8"
    )
    assert "onnxruntime" in loaded_by(folder, "build")
    return folder


def test_help_loads_nothing_of_a_search(tmp_path: Path) -> None:
    loaded = loaded_by(tmp_path, "--help")
    assert loaded & {"numpy", "pydantic", "rich", "kbsearch.search", *CONVERTERS, *BUILDERS} == set()


def test_a_search_loads_nothing_that_cuts_or_opens_articles(centre: Path) -> None:
    loaded = loaded_by(centre, "search", "返品の送料", "--mode", "lexical")
    others = {"units", "sentences", "restrictions", "disclosing", "opening", "places", "handles", "forms"}
    assert loaded & {f"kbsearch.{name}" for name in others} == set()
    assert "kbsearch.disclosing" in loaded_by(centre, "search", "返品の送料", "--mode", "lexical", "--budget", "sms")


def test_a_lexical_search_loads_no_encoder_and_no_vectors(centre: Path) -> None:
    loaded = loaded_by(centre, "search", "返品の送料", "--mode", "lexical")
    assert loaded & {"faiss", "onnxruntime", "kbsearch.embed.e5"} == set()
    assert loaded & (CONVERTERS | BUILDERS | READERS | PRINTERS | SLOW) == set()


def test_a_word_that_is_not_known_loads_the_tokenizer_only(centre: Path) -> None:
    loaded = loaded_by(centre, "search", "ぐにょぐにょのそうりょう", "--mode", "lexical")
    assert "kbsearch.embed.tokenizer" in loaded
    assert loaded & {"faiss", "onnxruntime"} == set()


def test_a_search_loads_what_it_needs(centre: Path) -> None:
    loaded = loaded_by(centre, "search", "返品の送料")
    assert loaded & (CONVERTERS | BUILDERS | READERS | PRINTERS) == set()
    assert "onnxruntime" in loaded


def test_json_is_printed_without_rich(centre: Path) -> None:
    assert "rich" not in loaded_by(centre, "search", "返品の送料", "--json")


def test_what_typer_reads_is_answered_the_same(centre: Path) -> None:
    def answer(*arguments: str) -> tuple[str, list[str]]:
        done = subprocess.run(
            [sys.executable, "-c", "from kbsearch.cli import main; main()", *arguments],
            cwd=centre, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = json.loads(done.stdout)
        return found["query"], [hit["score"] for hit in found["hits"]]

    assert answer("search", "返品", "--json", "--mode=hybrid") == answer("search", "返品", "--json")
