"""The Markdown of a section or an article in another form: plain text, to be read aloud, or HTML.

Use: ``write(markdown, "text", "ja")``.

Never: let HTML of the source through; what a writer put in by hand is shown as text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from mdit_py_plugins.container import container_plugin
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.footnote import footnote_plugin

from kbsearch.forms import as_speech, without_controls
from kbsearch.markdown.blocks import read_blocks
from kbsearch.markdown.damage import repair
from kbsearch.markdown.details import group_details
from kbsearch.markdown.markup import visible_text
from kbsearch.markdown.sections import heading_text, same_text, split_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

    from kbsearch.forms import Form
    from kbsearch.markdown.blocks import Block

__all__ = ["below_title", "write"]

_HEAD = 4_000  # characters of an article among which its title is looked for

_MAX_NESTING = 40
_PARSER = MarkdownIt("commonmark", {"html": True, "maxNesting": _MAX_NESTING}).enable(["table", "strikethrough"])
_PARSER.use(footnote_plugin).use(deflist_plugin)
_PARSER.use(container_plugin, "note", validate=lambda params, _markup: bool(params.strip()))


def write(markdown: str, form: Form, lang: str, *, is_titled: bool = False) -> str:
    """Write Markdown in a form; ``ansi`` is plain text without control characters, ``markdown`` stays as it is.

    ``is_titled``: the title stands above it, as an ``h3`` in HTML, and the headings are below that.

    Links that lead out are spelt out in ``text``, kept in ``html``, and only their words are read in ``speech``.
    """
    if form == "markdown":
        return markdown
    if form == "html":
        return _html(markdown, is_titled=is_titled)
    blocks = group_details(read_blocks(repair(markdown), 0, lang, spells_links=form != "speech"))
    lines = "\n".join(text for text in map(_text, blocks) if text)
    if form == "speech":
        spoken = (as_speech(line, is_japanese=lang == "ja") for line in lines.split("\n"))
        return "\n".join(line for line in spoken if line)
    return without_controls(lines) if form == "ansi" else lines


def below_title(markdown: str, title: str, lang: str) -> str:
    """An article without the heading that is its title, as :func:`kbsearch.markdown.sections.cut_sections` knows it.

    As it is where that stands below other text, or is written in HTML.
    """
    blocks = read_blocks(repair(markdown[:_HEAD]), 0, lang)
    first = next((block for block in blocks if block.text().strip()), None)
    if first is None or first.kind != "heading" or first.level != 1 or not same_text(heading_text(first), title):
        return markdown
    rows, (begin, end) = markdown.split("\n"), first.lines
    if not (rows[begin - 1].lstrip().startswith("#") or rows[end - 1].strip().strip("=") == ""):
        return markdown
    return "\n".join([*rows[: begin - 1], *rows[end:]]).strip("\n")


def _text(block: Block) -> str:
    return heading_text(block) if block.kind == "heading" else block.text()


def _html(markdown: str, *, is_titled: bool) -> str:
    tokens = list(_shown(_PARSER.parse(f"{repair(markdown)}\n\n", {})))
    for token in tokens if is_titled else ():
        if token.type in {"heading_open", "heading_close"}:  # an article's own begin with the second level
            token.tag = f"h{min(max(int(token.tag[1:]), 2) + 2, 6)}"
    rendered: str = _PARSER.renderer.render(tokens, _PARSER.options, {})
    return rendered.strip()


def _shown(tokens: list[Token]) -> Iterator[Token]:
    """Tokens without HTML of the source: a block becomes what a reader would see of it, a tag in a line goes.

    The explicit id of a heading becomes its ``id``.
    """
    heading: Token | None = None
    for token in tokens:
        if heading is not None and token.children:
            last = token.children[-1]
            last.content, explicit_id = split_id(last.content)
            if explicit_id:
                heading.attrSet("id", explicit_id)
        heading = token if token.type == "heading_open" else None
        if token.type == "html_block":
            token.type, token.content = "text", visible_text(token.content)
        if token.children:
            token.children = [child for child in token.children if child.type != "html_inline"]
        yield token
