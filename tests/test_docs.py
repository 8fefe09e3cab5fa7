"""The documents say what is true: every command and public name appears, and what they show runs."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from following import copy_sample
from markdown_it import MarkdownIt

import kbsearch
from kbsearch.cli.commands import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """Code blocks of the README in one language."""
    return [token.content for token in MarkdownIt().parse(README) if token.type == "fence" and token.info == language]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """A folder that sees the sample articles, with an index in the default place."""
    folder = tmp_path_factory.mktemp("readme")
    copy_sample(sample, folder)
    return folder


def test_every_public_name_is_in_the_reference() -> None:
    reference = (ROOT / "docs" / "reference" / "api.md").read_text("utf-8")
    assert [name for name in kbsearch.__all__ if not re.search(rf":: kbsearch\.{name}\n", reference)] == []


def test_every_command_is_in_the_readme() -> None:
    command: Any = typer.main.get_command(app)
    assert [name for name in command.commands if f"kbsearch {name}" not in README] == []
    assert [name for name in command.commands if not re.search(rf"^\| `{name}[ `]", README, re.MULTILINE)] == []


def test_every_link_of_the_readme_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", README)
    assert len(links) > 15
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_the_public_names_are_pinned_and_importable() -> None:
    assert kbsearch.__all__ == sorted(kbsearch.__all__)
    for name in kbsearch.__all__:
        assert getattr(kbsearch, name).__doc__
    assert dir(kbsearch) == kbsearch.__all__
    with pytest.raises(AttributeError):
        _ = kbsearch.nothing_of_ours


def test_the_python_blocks_run_one_after_the_other(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    names: dict[str, object] = {}
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        for block in blocks("python"):
            exec(compile(block, "README.md", "exec"), names)  # noqa: S102 - our own document
    assert "There is no filter “colour”" in output.getvalue()
    assert "returns" in output.getvalue()


def test_the_commands_of_the_readme_succeed(workplace: Path) -> None:
    lines = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]
    assert len(lines) >= 7
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "kbsearch"
        answer = subprocess.run(
            [sys.executable, "-c", "from kbsearch.cli import main; main()", *words[1:]],
            cwd=workplace, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert answer.returncode == 0, f"{line}\n{answer.stderr}"
        assert answer.stdout.strip()


def test_the_article_of_the_readme_is_read_as_it_says() -> None:
    from kbsearch.markdown import parse_article

    article, warnings = parse_article(blocks("markdown")[0].encode(), "returns/how-to.ja.md")
    assert warnings == ()
    assert (article.kind, article.category, article.tags) == ("guide", "returns", ("返品", "送料"))
    assert [section.kind for section in article.sections] == ["section", "qa"]


def test_the_counts_in_the_changelog_are_those_of_the_articles() -> None:
    articles = len(list((ROOT / "articles").rglob("*.md")))
    questions = len((ROOT / "articles" / "queries.jsonl").read_text("utf-8").splitlines())
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"{articles} articles with {questions} judged questions" in changelog


def test_every_module_is_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    for file in (ROOT / "kbsearch").glob("*"):
        if file.suffix == ".py" and file.stem != "__init__":
            assert f"`{file.stem}`" in text, file.name
        elif file.is_dir() and (file / "__init__.py").exists():
            assert f"`{file.name}/`" in text, file.name
