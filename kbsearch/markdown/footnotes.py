"""Footnotes: defined somewhere in a file, told where they are referred to.

Use: one :class:`Footnotes` per article, made from its tokens before the blocks are built.

Never: tell a footnote twice. Ten thousand references to one long note would be a very long text.
"""

from __future__ import annotations

from markdown_it.token import Token

from kbsearch.markdown.inline import rows_of, text_of
from kbsearch.markdown.language import join_lines

__all__ = ["Footnotes"]


class Footnotes:
    """The footnotes of an article; each is told once, at its first reference."""

    def __init__(self, tokens: list[Token], environment: dict[str, object]) -> None:
        notes = environment.get("footnotes")
        found = notes if isinstance(notes, dict) else {}
        self._numbers: dict[str, int] = found.get("refs", {})
        self._texts: dict[int, str] = {}
        for number, note in found.get("list", {}).items():
            if "tokens" in note:
                self._texts[number] = text_of(Token("inline", "", 0, children=note["tokens"]))
        self._define(tokens)

    def _define(self, tokens: list[Token]) -> None:
        opened: list[tuple[str, list[str]]] = []
        for token in tokens:
            if token.type == "footnote_reference_open":
                opened.append((token.meta["label"], []))
            elif token.type == "footnote_reference_close":
                label, rows = opened.pop()
                if self.is_used(label):
                    self._texts[self._numbers[f":{label}"]] = "\n".join(rows)
            elif opened and token.type == "inline":
                opened[-1][1].append(join_lines(rows_of(token)))
            elif opened and token.content:
                opened[-1][1].append(token.content.rstrip("\n"))

    def is_used(self, label: str) -> bool:
        """Whether the text refers to the footnote; else it stays where it is defined."""
        return self._numbers.get(f":{label}", -1) >= 0

    def take(self, number: int) -> str:
        """Text of a footnote the first time, then ``""``."""
        return self._texts.pop(number, "")
