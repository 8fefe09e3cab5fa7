"""Text that was damaged on its way into the file: found and named, and repaired where there is no doubt.

Use: :func:`repair` on the source before it is parsed, :func:`find_damage` for what an editor should look at.

Never: change a line's number, or guess what a character may have been.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from kbsearch.model import ArticleWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["find_damage", "repair"]

_MAX_WARNINGS = 20
# The bytes of two ASCII letters with their high bits set, read as GBK, become one of these.
_HANZI = "补产肠诲别蹿驳丑颈箩办濒尘苍辞辫辩谤蝉迟耻惫飞虫测锄"
_LETTERS = str.maketrans(_HANZI, "abcdefghijklmnopqrstuvwxyz")
_ENTITY = re.compile(f"&([{_HANZI}]{{2,8}});")
_IDEOGRAPH = re.compile("[\u4e00-\u9fff]")
_MIXED_WIDTH = re.compile("[A-Za-z][Ａ-Ｚａ-ｚ]|[Ａ-Ｚａ-ｚ][A-Za-z]|[0-9][０-９]|[０-９][0-9]")
_REPLACEMENT = "\ufffd"


def repair(text: str) -> str:
    """Text with entities such as ``&苍产蝉辫;`` turned back into ``&nbsp;``."""
    return _ENTITY.sub(_entity, text) if "&" in text and ";" in text else text


def _entity(match: re.Match[str]) -> str:
    entity = f"&{match[1].translate(_LETTERS)};"
    return entity if html.unescape(entity) != entity else match[0]


def find_damage(text: str, path: str, lang: str, *, is_replaced: bool) -> list[ArticleWarning]:
    """Warnings, at most twenty and a count.

    Parameters
    ----------
    text
        The whole file, as it was decoded.
    is_replaced
        Whether U+FFFD stands for bytes that were reported already.
    """
    foreign = _simplified(text) if lang == "ja" else frozenset()
    is_mixed = not text.isascii()
    signs = [_REPLACEMENT] if _REPLACEMENT in text and not is_replaced else []
    if not (foreign or signs or is_mixed):
        return []
    found = [
        ArticleWarning(path, number, "damaged-text", message)
        for number, line in enumerate(text.split("\n"), start=1)
        if not line.isascii()
        for message in _damage_of(line, foreign, signs)
    ]
    if len(found) > _MAX_WARNINGS:
        more = len(found) - _MAX_WARNINGS
        rest = ArticleWarning(path, found[_MAX_WARNINGS].line, "damaged-text", f"{more} more places like these")
        return [*found[:_MAX_WARNINGS], rest]
    return found


def _damage_of(line: str, foreign: frozenset[str], signs: list[str]) -> Iterator[str]:
    for match in _ENTITY.finditer(line):
        if _entity(match) != match[0]:
            yield f"“{match[0]}” was {_entity(match)} before a wrong conversion"
    line = _ENTITY.sub("", line)
    if signs and _REPLACEMENT in line:
        yield "U+FFFD stands where a character was lost"
    if foreign and (here := foreign.intersection(line)):
        names = ", ".join(f"“{char}” (U+{ord(char):04X})" for char in sorted(here, key=line.index))
        yield f"simplified Chinese in a Japanese article: {names}"
    mixed = _MIXED_WIDTH.search(line)
    if mixed:
        yield f"full-width and half-width in one word: “{line[max(0, mixed.start() - 5) : mixed.end() + 5].strip()}”"


def _simplified(text: str) -> frozenset[str]:
    """Ideographs that mainland China writes and Japan does not: in GB 2312, in no Japanese standard."""
    return frozenset(
        char
        for char in set(_IDEOGRAPH.findall(text))
        if not _encodes(char, "cp932") and not _encodes(char, "euc_jis_2004") and _encodes(char, "gb2312")
    )


def _encodes(char: str, encoding: str) -> bool:
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
