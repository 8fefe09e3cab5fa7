"""Markdown → a tree of typed blocks that know their lines in the file and their plain text.

Use: :func:`read_blocks` for a whole body; :meth:`Block.text` for the plain text of any part of the tree.

Never: cut or reorder. What becomes a section, a unit or a passage is decided by others; here every word is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from mdit_py_plugins.container import container_plugin
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.footnote import footnote_plugin

from kbsearch.markdown.footnotes import Footnotes
from kbsearch.markdown.inline import rows_of
from kbsearch.markdown.language import join_lines
from kbsearch.markdown.markup import visible_text
from kbsearch.markdown.notes import alert_label, container_label, include_text
from kbsearch.markdown.pictures import html_pictures, pictures_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.token import Token

    from kbsearch.model import Lines

__all__ = ["Block", "read_blocks"]

# Deep enough for any list that a person writes, shallow enough for Python's stack.
_MAX_NESTING = 40
_CONTAINERS = {
    "blockquote_open": "quote",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "list_item_open": "item",
    "container_note_open": "note",
    "table_open": "table",
    "tr_open": "row",
    "dl_open": "definitions",
    "dt_open": "term",
    "dd_open": "definition",
    "paragraph_open": "paragraph",
    "heading_open": "heading",
}


@dataclass(slots=True)
class Block:
    """One block.

    Attributes
    ----------
    kind
        ``paragraph``, ``heading``, ``list``, ``item``, ``table``, ``row``, ``definitions``, ``term``,
        ``definition``, ``quote``, ``note``, ``details``, ``html`` or ``code``.
    rows
        Own text, one string for each source line; the cells of a row, joined, are one string.
    level
        1 to 6 of a heading, else 0.
    mark
        What stands before the text: ``"- "`` or ``"3. "`` of an item, ``"注意: "`` of a note; the summary of
        ``details``; the source of ``html``; ``"strong"`` for a paragraph in bold.
    pictures
        The row, the alternative text and the path of each picture in the block's own text; only where they are asked
        for, because a search needs the texts alone.
    bold
        Which rows of a paragraph are in bold from their first to their last character.
    cells
        Of a row of a table.
    """

    kind: str
    lines: Lines
    rows: list[str] = field(default_factory=list)
    children: list[Block] = field(default_factory=list)
    level: int = 0
    mark: str = ""
    pictures: tuple[tuple[int, str, str], ...] = ()
    bold: tuple[int, ...] = ()
    cells: tuple[str, ...] = ()

    def text(self) -> str:
        """Plain text of the block with everything inside it."""
        if self.kind == "code":
            return "\n".join(self.rows)
        own = join_lines(self.rows).rstrip("\n")
        if not self.children:
            return self.mark + own if self.kind in {"item", "note"} and own else own
        below = "\n".join(text for text in (child.text() for child in self.children) if text)
        match self.kind:
            case "item":
                return self.mark + below.replace("\n", "\n  ") if below else ""
            case "note":
                return below if below.startswith(self.mark.rstrip(": ：") or "\0") else self.mark + below
            case "details":
                return f"{self.mark}\n{below}".strip("\n")
            case _:
                return below


def _accepts_container(params: str, _markup: str) -> bool:
    """``::: warning 題`` opens a container; ``:::image …:::`` on one line is an extension of another tool."""
    return bool(params.strip()) and not params.rstrip().endswith(":::")


_PARSER = MarkdownIt("commonmark", {"html": True, "maxNesting": _MAX_NESTING}).enable(["table", "strikethrough"])
_PARSER.use(footnote_plugin, move_to_end=False).use(deflist_plugin)
_PARSER.use(container_plugin, "note", validate=_accepts_container)


def read_blocks(
    body: str, offset: int, lang: str, *, pictures: bool = False, spells_links: bool = False
) -> list[Block]:
    """Top-level blocks of a body.

    Parameters
    ----------
    body
        Markdown without front matter.
    offset
        Number of lines of the file before the body.
    lang
        Language in which the labels of warnings and notes are spelt.
    pictures
        Whether blocks tell their pictures, and those that hold nothing else stay, too.
    spells_links
        See :func:`kbsearch.markdown.inline.rows_of`.
    """
    environment: dict[str, object] = {}
    # The container rule looks one character beyond the last line; an empty line at the end keeps it inside.
    body = body.rstrip(" \t\n")
    tokens = _PARSER.parse(f"{body}\n\n", environment)
    last_line = offset + body.count("\n") + 1
    footnotes = Footnotes(tokens, environment)
    builder = _Builder(offset, last_line, lang, footnotes, pictures=pictures, spells_links=spells_links)
    for token in tokens:
        builder.take(token)
    return builder.top


class _Builder:
    """Turns the flat stream of tokens into the tree."""

    def __init__(
        self, offset: int, last_line: int, lang: str, footnotes: Footnotes, *, pictures: bool, spells_links: bool
    ) -> None:
        self.top: list[Block] = []
        self._offset = offset
        self._last_line = last_line
        self._lang = lang
        self._footnotes = footnotes
        self._spells_links = spells_links
        self._tells_pictures = pictures
        self._stack: list[Block] = []
        self._notes: list[str] = []
        self._muted = 0  # depth inside footnotes that are told elsewhere

    def take(self, token: Token) -> None:
        """Read the next token."""
        if token.type in {"footnote_reference_open", "footnote_reference_close"}:
            if self._muted:
                self._muted += token.nesting
            elif token.nesting == 1 and self._footnotes.is_used(token.meta["label"]):
                self._muted = 1
        elif self._muted:
            return
        elif token.type in _CONTAINERS:
            self._stack.append(self._open(token))
        elif token.nesting == -1 and token.type.removesuffix("_close") + "_open" in _CONTAINERS:
            self._close(is_fenced=token.type == "container_note_close")
        elif token.type == "inline":
            self._add_rows(token)
        elif token.type in {"fence", "code_block"}:
            self._append(Block("code", self._lines(token), token.content.rstrip("\n").split("\n")))
        elif token.type == "html_block":
            rows = [f"{row}\n" for row in visible_text(token.content).split("\n")]
            first, last = self._lines(token)
            # A comment that is not closed takes the empty lines behind it too.
            last = min(last, first + token.content.rstrip(" \t\n").count("\n"))
            seen = html_pictures(token.content) if self._tells_pictures else ()
            self._append(Block("html", (first, last), rows, mark=token.content, pictures=seen))

    def _lines(self, token: Token) -> Lines:
        first, end = token.map or (0, 0)
        # A fence that is not closed ends with the file, not with the line that was added for the parser.
        last = min(max(end, first + 1) + self._offset, self._last_line)
        return min(first + 1 + self._offset, last), last

    def _open(self, token: Token) -> Block:
        block = Block(_CONTAINERS[token.type], self._lines(token))
        match block.kind:
            case "heading":
                block.level = int(token.tag[1:])
            case "item":
                block.mark = f"{self._number(token.info)}. " if token.info else "- "
            case "note":
                block.mark, title = container_label(token.info, self._lang)
                if block.mark == "details":
                    block.kind, block.mark = "details", title
                elif title:
                    block.children.append(Block("paragraph", (block.lines[0], block.lines[0]), [title]))
        return block

    def _number(self, written: str) -> str:
        """The number that a reader sees: CommonMark counts on from the first one, whatever the others are."""
        items = self._stack[-1].children if self._stack else []
        return str(int(items[0].mark.rstrip(". ")) + len(items)) if items else written

    def _add_rows(self, token: Token) -> None:
        if not self._stack:
            return
        block = self._stack[-1]
        rows = rows_of(token, self._note, spells_links=self._spells_links)
        if self._tells_pictures:
            block.pictures += pictures_of(token, rows)
        if block.kind == "row":
            block.rows.append(" ".join(join_lines(rows).split("\n")).strip())
        elif block.kind in {"heading", "term"}:
            block.rows = [" ".join(join_lines(rows).split("\n")).strip()]
        else:
            block.rows = include_text(rows, keep_empty=self._tells_pictures)
            if block.kind == "paragraph":
                bold = _bold_rows(token)
                block.mark = "strong" if _is_strong(token.children or ()) else block.mark
                if len(bold) == len(rows) == len(block.rows):  # else some speak to a tool
                    block.bold = tuple(place for place, is_bold in enumerate(bold) if is_bold)

    def _note(self, number: int) -> None:
        text = self._footnotes.take(number)
        if text:
            self._notes.append(text)

    def _close(self, *, is_fenced: bool) -> None:
        block = self._stack.pop()
        if block.kind == "row":
            block.cells, block.rows = tuple(block.rows), [" | ".join(block.rows)]
        elif block.kind == "quote":
            _make_alert(block, self._lang)
        if is_fenced:
            # The map of a container leaves out the line that closes it.
            block.lines = (block.lines[0], min(block.lines[1] + 1, self._last_line))
        elif block.children:
            # The map of another block may count empty lines behind it.
            block.lines = (block.lines[0], max(block.lines[0], block.children[-1].lines[1]))
        self._append(block)

    def _append(self, block: Block) -> None:
        if self._stack:
            self._stack[-1].children.append(block)
            return
        if block.kind == "heading" or block.children or any(block.rows) or block.pictures:
            self.top.append(block)
        for note in self._notes:
            end = (block.lines[1], block.lines[1])
            self.top.append(Block("paragraph", end, [f"{row}\n" for row in note.split("\n")]))
        self._notes = []


def _bold_rows(token: Token) -> list[bool]:
    """Whether each row of a paragraph is bold from its first to its last character."""
    rows: list[list[Token]] = [[]]
    for child in token.children or ():
        if child.type in {"softbreak", "hardbreak"}:
            rows.append([])
        else:
            rows[-1].append(child)
    return [_is_strong(row) for row in rows]


def _is_strong(tokens: Sequence[Token]) -> bool:
    """Whether what stands in these is bold from its first to its last character, as a question often is."""
    children = [child for child in tokens if child.type != "text" or child.content.strip()]
    types = [child.type for child in children]
    ends = types[:1] == ["strong_open"] and types[-1] == "strong_close"
    return ends and types.index("strong_close") == len(types) - 1


def _make_alert(quote: Block, lang: str) -> None:
    """Turn ``> [!NOTE]`` into a note."""
    first = quote.children[0] if quote.children else None
    if not first or first.kind != "paragraph" or not first.rows:
        return
    label = alert_label(first.rows[0], lang)
    if label is None:
        return
    quote.kind, quote.mark = "note", label
    first.rows = first.rows[1:]
    if not first.rows:
        del quote.children[0]
