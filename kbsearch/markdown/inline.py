"""Inline tokens of one paragraph, heading or cell → plain text, row by row as in the source.

Use: :func:`rows_of`; join with :func:`kbsearch.markdown.language.join_lines` or :func:`text_of` where the rows do not
matter. Links become their text, images their alternative text, code stays as it is, tags go.

Never: look at Markdown source. Everything here works on tokens.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kbsearch.markdown.language import join_lines
from kbsearch.markdown.markup import Tag, inline_html, scan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markdown_it.token import Token

__all__ = ["rows_of", "text_of", "tidy"]

_INVISIBLE = {"script", "style"}
_BREAKS = {"softbreak": "\r", "hardbreak": "\n\r"}
_ADDRESSES = ("http://", "https://", "mailto:", "tel:")
# Characters without a shape of their own, and controls that no reader sees.
_UNSEEN = {ord(char): "" for char in "\u200b\u200c\u200e\u200f\u2060\ufeff\u00ad"}
_UNSEEN |= dict.fromkeys((*range(0x0A), *range(0x0B, 0x20), 0x7F, 0x85, 0xA0, 0x2028, 0x2029), " ")
_SPACES = re.compile("[ \t]{2,}")


def tidy(text: str) -> str:
    """Text without invisible characters, with single spaces."""
    text = text.translate(_UNSEEN)
    return _SPACES.sub(" ", text) if "  " in text or "\t" in text else text


def text_of(token: Token) -> str:
    """Plain text of an inline token on one line."""
    return " ".join(join_lines(rows_of(token)).split("\n")).strip()


def rows_of(token: Token, on_footnote: Callable[[int], None] | None = None, *, spells_links: bool = False) -> list[str]:
    r"""Plain text of an inline token, one string for each source line; one that ends in a hard break ends in ``\n``.

    ``on_footnote`` is told the number of each footnote that is referred to. With ``spells_links`` the address of a link
    that leads out of the knowledge base stands in brackets behind its text.
    """
    parts: list[str] = []
    _collect(token.children or (), parts, on_footnote, spells_links=spells_links)
    text = _without_stray_stars("".join(parts))
    rows = text.split("\r")
    return [row.strip(" ") if row.endswith("\n") else row.strip() for row in rows] if len(rows) > 1 else [text.strip()]


def _collect(
    children: Sequence[Token],
    parts: list[str],
    on_footnote: Callable[[int], None] | None,
    *,
    spells_links: bool = False,
) -> None:
    r"""Append the text of the tokens; ``\r``, which no decoded file holds, stands for the end of a source line."""
    hidden_until = -1
    links: list[tuple[str, int]] = []
    closers = _last_closers(children)
    for index, child in enumerate(children):
        if index < hidden_until:
            continue
        match child.type:
            case "text" | "text_special":
                parts.append(tidy(child.content))
            case "code_inline":
                parts.append(child.content)
            case "softbreak" | "hardbreak":
                parts.append(_BREAKS[child.type])
            case "image":
                _collect(child.children or (), parts, on_footnote)
            case "link_open" | "link_close" if spells_links:
                _spell(child, links, parts)
            case "html_inline":
                parts.append(inline_html(child.content))
                hidden_until = _end_of_invisible(children, index, closers)
            case "footnote_ref" if on_footnote:
                on_footnote(int(child.meta["id"]))
            case _:
                pass


def _spell(token: Token, links: list[tuple[str, int]], parts: list[str]) -> None:
    """At the end of a link, append its address, where the text does not say it already.

    ``links`` are those that are open: address, and where in the parts its text begins.
    """
    if token.nesting == 1:
        links.append((str(token.attrs.get("href", "")), len(parts)))
    elif links:
        address, begin = links.pop()
        bare = address.removeprefix("mailto:").removeprefix("tel:")
        if address.lower().startswith(_ADDRESSES) and bare not in "".join(parts[begin:]):
            parts.append(f" ({bare})")


def _last_closers(children: Sequence[Token]) -> dict[str, int]:
    """Index of the last ``</script>`` and ``</style>``: behind it nothing needs to be looked for."""
    return {
        name: index
        for index, child in enumerate(children)
        if child.type == "html_inline"
        for name in _INVISIBLE
        if child.content.lower().startswith(f"</{name}")
    }


def _end_of_invisible(children: Sequence[Token], start: int, closers: dict[str, int]) -> int:
    """Index of the tag that closes the script or style opened at ``start``; -1 if there is nothing to hide."""
    tag = next(scan(children[start].content), None)
    if not isinstance(tag, Tag) or tag.closing or closers.get(tag.name, -1) < start:
        return -1
    closing = f"</{tag.name}"
    for index in range(start + 1, len(children)):
        if children[index].type == "html_inline" and children[index].content.lower().startswith(closing):
            return index
    return -1


def _without_stray_stars(text: str) -> str:
    """Drop pairs of ``**`` that CommonMark leaves standing beside Japanese brackets, as in ``**「返品」**は``."""
    count = text.count("**")
    return text.replace("**", "") if count and count % 2 == 0 and "***" not in text else text
