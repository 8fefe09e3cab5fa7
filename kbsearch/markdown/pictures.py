"""The pictures of a piece of Markdown: what they show in words, and where they lie.

Use: :func:`pictures_of` for an inline token, :func:`html_pictures` for a block of HTML. Each gives the row of the text
in which a picture stands, its alternative text and its path.

Never: open a picture, or check that it is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from kbsearch.markdown.inline import text_of
from kbsearch.markdown.markup import Tag, scan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from markdown_it.token import Token

__all__ = ["html_pictures", "pictures_of"]

_Found = tuple[int, str, str]


def pictures_of(token: Token, rows: Sequence[str]) -> tuple[_Found, ...]:
    """Pictures of an inline token whose text is ``rows``."""
    return (*_inline(token), *_included(rows))


def html_pictures(source: str) -> tuple[_Found, ...]:
    """Pictures of a block of HTML, all in row 0: its rows are not those of the source."""
    return tuple((0, alt, path) for alt, path in _tags(source))


def _inline(token: Token) -> Iterator[_Found]:
    row = 0
    for child in token.children or ():
        if child.type in {"softbreak", "hardbreak"}:
            row += 1
        elif child.type == "image":
            yield row, text_of(child), _as_written(str(child.attrs.get("src", "")))
        elif child.type == "html_inline":
            for alt, path in _tags(child.content):
                yield row, alt, path


def _included(rows: Sequence[str]) -> Iterator[_Found]:
    """Lines such as ``:::image source="x.png" alt-text="…":::`` of a documentation generator."""
    for number, row in enumerate(rows):
        if row.startswith(":::image"):
            tag = Tag("img", closing=False, source=row, offset=0)
            yield number, tag.attribute("alt-text"), tag.attribute("source")


def _tags(source: str) -> Iterator[tuple[str, str]]:
    for piece in scan(source):
        if isinstance(piece, Tag) and piece.name == "img" and not piece.closing:
            yield piece.attribute("alt"), piece.attribute("src")


def _as_written(path: str) -> str:
    """A path below the articles without the escapes that the parser puts in; an address of the web keeps them."""
    return path if "://" in path else unquote(path)
