"""The pages of docs/: every block does what the page says, what they list is complete, and the site holds together."""

from __future__ import annotations

import ast
import html
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest
import typer.main
from following import BEGINS_WITH_SAMPLE, ROOT, Follower, blocks_of, copy_sample, make_tools, matches

import kbsearch
from kbsearch import KnowledgeBase, errors, forms, views
from kbsearch.cli.commands import app

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
NOT_OURS = {"_build", "generated"}
PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in DOCS.rglob("*.md")
    if path != DOCS / "README.md" and not NOT_OURS & set(path.relative_to(DOCS).parts)
)
NOT_RUN = {"tutorial/index.md": 1}
"""How many blocks of a page are not run: pip install."""


def text_of(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


@pytest.mark.parametrize("name", [name for name in PAGES if blocks_of(text_of(name))])
def test_every_block_of_a_page_does_what_it_says(
    name: str, sample: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("page")
    if BEGINS_WITH_SAMPLE in text_of(name):
        copy_sample(sample, folder)
    Follower(folder, make_tools(sample / "tools")).follow(text_of(name))


def test_hardly_any_block_is_not_run() -> None:
    counts = {name: sum(not block.is_run for block in blocks_of(text_of(name))) for name in PAGES}
    assert {name: count for name, count in counts.items() if count} == NOT_RUN


@pytest.mark.parametrize(
    ("shown", "printed", "is_so"),
    [
        ("a … c", "a b c", True),
        ("a … c", "a b d", False),
        ("a\n…\nc", "a\nc", True),
        ("a\n…\nc", "a\nb\nb\nc", True),
        ("a\n…", "b\na", False),
        ("a    b", " a b", False),
        ("a    b\n\nc", "a b\nc\n", True),
        ("1.5 of 20", "1.5 of 21", False),
    ],
)
def test_what_is_shown_is_compared(shown: str, printed: str, is_so: bool) -> None:  # noqa: FBT001
    assert matches(shown, printed) is is_so


def test_figures_may_differ_where_the_page_says_so() -> None:
    assert matches("all 60 0.795 ±.085 7.2%", "all 7 1.000 ±.000 100%", any_figure=True)
    assert not matches("all 60 0.795", "any 60 0.795", any_figure=True)


def test_a_page_that_says_something_false_fails(tmp_path: Path) -> None:
    follower = Follower(tmp_path, make_tools(tmp_path / "tools"))
    for page in (
        "```console\n$ kbsearch status\n```",  # there is no index
        "```console\n$ kbsearch status\n…\n$ echo $?\n0\n```",
        "```console\n$ echo 返品\n返金\n```",
        '```python\nprint("返品")\n```\n\n```output\n返金\n```',
        "```python\n1 / 0\n```",
        "```text\nnobody says what this is\n```",
    ):
        with pytest.raises(AssertionError, match=r"line [15]:"):
            follower.follow(page)


def test_a_file_of_a_page_is_written(tmp_path: Path) -> None:
    follower = Follower(tmp_path, make_tools(tmp_path / "tools"))
    follower.follow("`articles/a.ja.md`:\n\n```markdown\n返品\n```\n\n```console\n$ cat articles/a.ja.md\n返品\n```\n")
    assert (tmp_path / "articles" / "a.ja.md").read_text("utf-8") == "返品\n"


# What the reference lists, and the code has.


def test_every_field_of_the_front_matter_is_in_its_reference() -> None:
    asked = set()
    for file in ("markdown/metadata.py", "content/write.py"):
        source = (ROOT / "kbsearch" / file).read_text("utf-8")
        asked |= set(re.findall(r'(?:front\.(?:text|texts|date|line)|meta\.get)\("([a-z_]+)"', source))
        asked |= set(re.findall(r'_(?:choice|says)\(front, "([a-z_]+)"', source))
    assert len(asked) >= 17
    assert asked == set(re.findall(r"^\| `([a-z_]+)` \|", text_of("reference/front-matter.md"), re.MULTILINE))


def test_every_warning_of_a_build_is_in_its_reference() -> None:
    codes = set()
    for file in (ROOT / "kbsearch").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ArticleWarning" and len(node.args) > 2:
                codes |= {node.args[2].value} if isinstance(node.args[2], ast.Constant) else set()
    listed = re.findall(r"^\| `([a-z0-9-]+)` \| (?:yes|no)", text_of("reference/errors.md"), re.MULTILINE)
    assert codes == set(listed)


def test_every_error_has_its_remedy() -> None:
    page = text_of("how-to/errors.md")
    errors = [name for name in kbsearch.__all__ if isinstance(error := getattr(kbsearch, name), type)
              and issubclass(error, kbsearch.KbSearchError) and error is not kbsearch.KbSearchError]  # fmt: skip
    assert len(errors) >= 13
    assert [name for name in errors if f"**{name}** ({getattr(kbsearch, name).exit_code}" not in page] == []


# The site. Its tools come with the extra `docs`, which the extra `test` has.


class Page(HTMLParser):
    """What a page has to be found by, where it leads, and what it would load from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.lang = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag == "html":
            self.lang = values.get("lang", "")
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in {"script", "img", "iframe"} and "src" in values:
            self.loaded.append(values["src"])
        if tag == "link" and values.get("rel") in {"stylesheet", "preload", "icon"}:
            self.loaded.append(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without a warning."""
    pytest.importorskip("sphinx")
    pytest.importorskip("furo")
    pytest.importorskip("myst_parser")
    folder = tmp_path_factory.mktemp("site")
    options = ["--fail-on-warning", "--keep-going", "--fresh-env", "--quiet", "--doctree-dir", str(folder / "trees")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(DOCS), str(folder / "html")],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file.read_text("utf-8")) for file in site.rglob("*.html")}


def test_every_link_of_the_site_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    lost = []
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            found = target.is_file() and (
                not parts.fragment or target not in pages or unquote(parts.fragment) in pages[target].ids
            )
            lost += [] if found else [f"{file.relative_to(site)} → {link}"]
    assert len(pages) > 30
    assert lost == []


def test_the_site_loads_nothing_from_elsewhere(pages: dict[Path, Page]) -> None:
    loaded = {urlsplit(source).netloc for page in pages.values() for source in page.loaded}
    assert loaded == {""}


def test_japanese_pages_say_that_they_are_japanese(site: Path, pages: dict[Path, Page]) -> None:
    assert pages[site / "ja" / "index.html"].lang == "ja"
    assert pages[site / "index.html"].lang == "en"


def test_every_public_name_has_its_place_in_the_reference(site: Path, pages: dict[Path, Page]) -> None:
    ids = pages[site / "reference" / "api.html"].ids
    names = [f"kbsearch.{name}" for name in kbsearch.__all__]
    public = [name for name in vars(KnowledgeBase) if not name.startswith("_") and name not in {"open", "aopen"}]
    names += [f"kbsearch.KnowledgeBase.{name}" for name in public]
    assert [name for name in names if name not in ids] == []


def test_the_site_lists_every_command_option_form_and_preset(site: Path) -> None:
    shown = {
        name: html.unescape((site / "reference" / f"{name}.html").read_text("utf-8"))
        for name in ("cli", "api", "errors", "json")
    }
    command: Any = typer.main.get_command(app)
    for name, sub in command.commands.items():
        assert f"kbsearch {name}" in shown["cli"]
        options = [option for parameter in sub.params for option in parameter.opts if option.startswith("-")]
        assert [option for option in options if option not in shown["cli"]] == []
    assert [name for name in (*views.PRESETS, *forms.FORMS) if name not in shown["api"]] == []
    assert [name for name in errors.__all__ if name not in shown["errors"]] == []
    keys = {key for part in kbsearch.schema()["$defs"].values() for key in part.get("properties", ())}
    assert [key for key in keys if f">{key}<" not in shown["json"]] == []


def test_the_search_of_the_site_knows_japanese(site: Path) -> None:
    script = (site / "searchindex.js").read_text("utf-8")
    terms = json.loads(script.removeprefix("Search.setIndex(").removesuffix(")"))["terms"]
    assert {"返品", "送料", "confid"} <= terms.keys()
    asks = (site / "_static" / "language_data.js").read_text("utf-8")
    assert "function splitQuery" in asks
    assert "var EnglishStemmer" in asks
    assert "window.Stemmer = EnglishStemmer;" in asks
