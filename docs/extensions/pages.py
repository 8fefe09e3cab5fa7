"""What the pages need of Sphinx: reference from the code, the repository's own documents, Japanese pages in Japanese.

* The directive ``{kbsearch} NAME`` puts a table of :mod:`tables` into a page.
* ARCHITECTURE, CHANGELOG and benchmarks/README become pages of the site, from the files themselves, so that no figure
  is copied by hand. Pages link to the files, as a reader of the repository needs it, and the links are turned here.
* A page below ``ja/`` says ``lang="ja"``, for fonts, screen readers and search engines.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pygments.lexer import using
from pygments.lexers.data import YamlLexer
from pygments.lexers.markup import MarkdownLexer
from sphinx.util.docutils import SphinxDirective
from tables import TABLES, first_sentence

from kbsearch import errors

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

ROOT: Final = Path(__file__).parent.parent.parent
TAKEN: Final = {
    "../../ARCHITECTURE.md": "/generated/architecture.md",
    "../../CHANGELOG.md": "/generated/changelog.md",
    "../../benchmarks/README.md": "/generated/benchmarks/README.md",
}
"""Link in a page → page of the site."""

_TO_CODE: Final = re.compile(r"\[(`[^`\]]+`)\]\(kbsearch/[^)]*\)")


class Generated(SphinxDirective):
    """``{kbsearch} commands``: Markdown that the code writes."""

    required_arguments = 1
    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        """Put it into the page."""
        name = self.arguments[0]
        if name not in TABLES:
            raise self.error(f"there is no table “{name}”; known are {', '.join(TABLES)}")
        return self.parse_text_to_nodes(TABLES[name](), allow_section_headings=True)


def take_documents(app: Sphinx) -> None:
    """Copy the repository's documents among the sources, in a folder that git ignores."""
    folder = Path(app.srcdir) / "generated"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "benchmarks").mkdir(parents=True)
    for name in ("architecture", "changelog"):
        text = (ROOT / f"{name.upper()}.md").read_text("utf-8")
        (folder / f"{name}.md").write_text(_TO_CODE.sub(r"\1", text), "utf-8")
    shutil.copy(ROOT / "benchmarks" / "README.md", folder / "benchmarks")
    shutil.copytree(ROOT / "benchmarks" / "results", folder / "benchmarks" / "results")
    for page in (folder / "benchmarks" / "results").glob("*.md"):  # linked, and in no menu
        page.write_text("---\norphan: true\n---\n\n" + page.read_text("utf-8"), "utf-8")


def turn_links(_app: Sphinx, docname: str, source: list[str]) -> None:
    """Links to these documents lead to their pages."""
    if not docname.startswith("generated/"):
        for link, page in TAKEN.items():
            source[0] = re.sub(rf"\]\((?:\.\./)*{re.escape(link.removeprefix('../../'))}", f"]({page}", source[0])


def set_language(_app: Sphinx, pagename: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Of a page, for its ``<html lang>``."""
    if pagename.startswith("ja/"):
        context["language"] = "ja"


class ArticleLexer(MarkdownLexer):
    """Markdown with front matter, which is YAML and no heading."""

    tokens: ClassVar[dict[str, list[Any]]] = {
        **MarkdownLexer.tokens,
        "root": [(r"\A---\n(?s:.*?)\n---\n", using(YamlLexer)), *MarkdownLexer.tokens["root"]],
    }


def say_when(_app: Sphinx, _kind: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    """An error under *Raises* that is only named is described by its own docstring."""
    if "Raises" not in lines:
        return
    start = lines.index("Raises") + 2
    end = next((place for place in range(start, len(lines)) if not lines[place]), len(lines))
    told: list[str] = []
    for line, after in zip(lines[start:end], [*lines[start + 1 : end], ""], strict=True):
        if line.startswith(" ") or after.startswith(" "):
            told.append(line)
        else:
            for name in line.split(", "):
                told += [name, f"    {first_sentence(getattr(errors, name))}"]
    lines[start:end] = told


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("kbsearch", Generated)
    app.add_lexer("markdown", ArticleLexer)
    app.connect("builder-inited", take_documents)
    app.connect("source-read", turn_links)
    app.connect("html-page-context", set_language)
    app.connect("autodoc-process-docstring", say_when, priority=400)  # napoleon comes at 500
    return {"parallel_read_safe": True}
