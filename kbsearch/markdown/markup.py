"""HTML inside Markdown → what a reader would see of it. Nothing is executed, nothing is fetched.

Use: :func:`scan` cuts a piece of HTML into tags and texts in one pass; :func:`visible_text` is what remains.

Never: use a regular expression that can run away; a page of ten megabytes without one closing bracket is read in
linear time.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Tag", "inline_html", "scan", "visible_text"]

_NAME = re.compile(r"</?([A-Za-z][A-Za-z0-9-]*)")
_UNQUOTED = re.compile(r"[^\"'<>]*")
_ATTRIBUTE = re.compile(r"""([a-zA-Z-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_SPACES = re.compile(r"[ \t]+")
_INVISIBLE = {"script", "style", "template", "head", "iframe", "object", "svg"}
_BREAKING = {
    *("address", "article", "aside", "blockquote", "br", "caption", "center", "dd", "details", "dialog", "div", "dl"),
    *("dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr"),
    *("li", "main", "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul"),
}
_CELLS = {"td", "th"}


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag: its lower-case name, whether it closes, its source, and the offset of it in the HTML."""

    name: str
    closing: bool
    source: str
    offset: int

    def attribute(self, name: str) -> str:
        """Value of an attribute with its entities decoded, ``""`` if it is not there."""
        for match in _ATTRIBUTE.finditer(self.source):
            if match[1].lower() == name:
                return html.unescape(match[2] or match[3] or match[4] or "")
        return ""


def scan(source: str) -> Iterator[Tag | str]:
    """Tags and the texts between them; comments, instructions, scripts and styles are left out."""
    position, text_from, length = 0, 0, len(source)
    hopeless: set[str] = set()
    while position < length:
        start = source.find("<", position)
        if start < 0:
            break
        end, tag = _construct(source, start, hopeless)
        if end == start:
            position = start + 1
            continue
        if text_from < start:
            yield html.unescape(source[text_from:start])
        if tag:
            yield tag
            if tag.name in _INVISIBLE and not tag.closing:
                end = _skip_invisible(source, tag, end, hopeless)
        position = text_from = end
    if text_from < length:
        yield html.unescape(source[text_from:])


def _construct(source: str, start: int, hopeless: set[str]) -> tuple[int, Tag | None]:
    """End of the tag or comment that begins at ``start`` (``start`` itself if none does) and the tag."""
    for opening, closing in (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"), ("<!", ">")):
        if source.startswith(opening, start):
            end = _find(source, closing, start + len(opening), hopeless)
            return (end + len(closing), None) if end >= 0 else (start, None)
    name = _NAME.match(source, start)
    if not name:
        return start, None
    position = name.end()
    while True:
        run = _UNQUOTED.match(source, position)
        position = run.end() if run else position
        char = source[position : position + 1]
        if char == ">":
            tag = Tag(name[1].lower(), source[start + 1] == "/", source[start : position + 1], start)
            return position + 1, tag
        if char not in ('"', "'"):
            return start, None
        position = _find(source, char, position + 1, hopeless) + 1
        if position == 0:
            return start, None


def _find(source: str, wanted: str, start: int, hopeless: set[str]) -> int:
    """Like ``str.find``, but a sign that was once not found to the end is not looked for again."""
    found = -1 if wanted in hopeless else source.find(wanted, start)
    if found < 0:
        hopeless.add(wanted)
    return found


def _skip_invisible(source: str, tag: Tag, position: int, hopeless: set[str]) -> int:
    """Where the content of ``<script>`` and its like ends: before its closing tag, else at the end of the source."""
    while tag.source[-2:] != "/>":
        closing = _find(source, "</", position, hopeless)
        if closing < 0:
            return len(source)
        if source[closing + 2 : closing + 2 + len(tag.name)].lower() == tag.name:
            return closing
        position = closing + 2
    return position


def visible_text(source: str) -> str:
    """What a reader sees of a piece of HTML: lines for blocks, `` | `` between cells, ``alt`` for images."""
    parts: list[str] = []
    for piece in scan(source):
        if isinstance(piece, str):
            parts.append(piece.replace("\n", " "))
        elif piece.name in _CELLS and piece.closing:
            parts.append(" | ")
        elif piece.name in _BREAKING:
            parts.append("\n")
        elif piece.name == "img":
            parts.append(piece.attribute("alt"))
    rows = (_SPACES.sub(" ", row).strip().strip(" |") for row in "".join(parts).split("\n"))
    return "\n".join(row for row in rows if row)


def inline_html(source: str) -> str:
    """Text that one inline tag stands for: a line break, the text of an image, else nothing."""
    for piece in scan(source):
        if isinstance(piece, Tag) and piece.name == "br":
            return "\n"
        if isinstance(piece, Tag) and piece.name == "img":
            return piece.attribute("alt")
    return ""
