"""Warnings, notes and other boxes: what their kind is called, and what tool-specific lines say to a reader.

Three dialects are known: ``::: warning`` containers, ``> [!WARNING]`` alerts, and single lines such as
``:::image alt-text="…":::`` of documentation generators.

Never: invent a label. A box of an unknown kind keeps its title and gets none.
"""

from __future__ import annotations

from kbsearch.markdown.markup import Tag

__all__ = ["alert_label", "container_label", "include_text", "kind_name", "warns"]

_JAPANESE = {
    "note": "メモ",
    "info": "情報",
    "tip": "ヒント",
    "important": "重要",
    "warning": "注意",
    "caution": "注意",
    "danger": "危険",
}
_SYNONYMS = {
    "message": "note",
    "alert": "warning",
    "hint": "tip",
    "attention": "caution",
    "warn": "warning",
    "error": "danger",
}
_WARNING = ("important", "warning", "caution", "danger")
_TOOL_SIGNS = ("[!include", "[!div", "[!video", "[!code")


def _label(name: str, lang: str) -> str:
    name = _SYNONYMS.get(name, name)
    if name not in _JAPANESE:
        return ""
    return f"{_JAPANESE[name]}: " if lang == "ja" else f"{name.capitalize()}: "


def kind_name(word: str) -> str:
    """Name of a kind of box by a word for it, as a class of HTML has it: ``alert`` is ``warning``; ``""`` for none."""
    name = _SYNONYMS.get(word.lower(), word.lower())
    return name if name in _JAPANESE else ""


def warns(label: str) -> bool:
    """Whether a label or a name of a kind speaks of what can go wrong."""
    word = label.rstrip(": ：").lower()
    return kind_name(word) in _WARNING or word in {_JAPANESE[name] for name in _WARNING}


def container_label(info: str, lang: str) -> tuple[str, str]:
    """Label and title of ``::: warning 題``; the label ``"details"`` stands for a box that opens on a click."""
    name, _, title = info.strip().strip("{}").partition(" ")
    name = name.lower().lstrip(".")
    if name == "details":
        return name, title.strip()
    label = _label(name, lang)
    # Zenn writes ``:::message alert``.
    if name == "message" and title.strip() == "alert":
        return _label("warning", lang), ""
    # ``key="value"`` speaks to a tool.
    return label, "" if "=" in title else title.strip()


def alert_label(row: str, lang: str) -> str | None:
    """Label of ``[!NOTE]``, ``""`` for a box without a kind, None if the row is ordinary text."""
    row = row.strip()
    if not (row.startswith("[!") and row.endswith("]")) or "[" in row[1:]:
        return None
    name = row[2:-1].split(" ", 1)[0].lower()
    if not name.isascii() or not name.isalpha():
        return None
    return _label(name, lang)


def include_text(rows: list[str], *, keep_empty: bool = False) -> list[str]:
    """Rows without the lines that speak to a tool; an image among them leaves its alternative text.

    ``keep_empty`` leaves an empty row in the place of such a line, so that rows can be counted.
    """
    if not any(row.startswith((":::", "[!")) for row in rows):
        return rows
    return [text for text in map(_reader_text, rows) if text or keep_empty]


def _reader_text(row: str) -> str:
    if row.startswith(":::"):
        if row.startswith(":::image"):
            return Tag("img", closing=False, source=row, offset=0).attribute("alt-text")
        return "" if not row.strip(": ") or row.rstrip().endswith(":::") else row
    return "" if row.lower().startswith(_TOOL_SIGNS) else row
