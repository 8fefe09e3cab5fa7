"""What the parser has to know about scripts: which characters are CJK, which language a text is in, how long it is.

Use: :func:`join_lines` for soft breaks, :func:`guess_language` for a whole article, :func:`estimate_tokens`
where no encoder is at hand.

Never: guess the language of a short text such as a query; a handful of characters says nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["QUESTION_MARKS", "ends_as_question", "estimate_tokens", "guess_language", "is_cjk", "join_lines"]

QUESTION_MARKS = ("?", "？")
_POLITE_QUESTIONS = ("ですか", "ますか", "でしょうか", "ませんか", "ましたか", "でしたか")
_CLOSERS = "」』）)】]\"”'’*_ 　。"

_KANA = re.compile("[ぁ-ゖァ-ヺｦ-ﾟ]")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_HANGUL = re.compile("[가-힣]")
_LETTER = re.compile(r"[^\W\d_]")

_KANA_SHARE = 0.03  # menus full of Latin product names still hold more kana than that
_HAN_SHARE = 0.5
_LONG_TEXT = 50


def is_cjk(char: str) -> bool:
    """Whether ``char`` is written without spaces around it: kana, kanji, ideographic and full-width signs."""
    return (
        "\u3000" <= char <= "\u30ff"
        or "\u31f0" <= char <= "\u4dbf"
        or "\u4e00" <= char <= "\u9fff"
        or "\uf900" <= char <= "\ufaff"
        or "\uff00" <= char <= "\uffef"
        or "\U00020000" <= char <= "\U0003ffff"
    )


def join_lines(rows: Iterable[str]) -> str:
    r"""Rows of one paragraph as one text: no space between two CJK characters, else one; ``\n`` stays a break."""
    parts: list[str] = []
    for row in rows:
        last = parts[-1][-1] if parts else "\n"
        if last != "\n" and row and not (is_cjk(last) and is_cjk(row[0])):
            parts.append(" ")
        if row:
            parts.append(row)
    return "".join(parts)


def ends_as_question(text: str) -> bool:
    """Whether a heading or a term asks: it ends in ``?`` or ``？``, or politely without a mark (``…ますか``)."""
    stem = text.rstrip(_CLOSERS)
    return stem.endswith(QUESTION_MARKS) or stem.endswith(_POLITE_QUESTIONS)


def guess_language(text: str) -> str:
    """Language of a long text by its script: ``ja``, ``zh``, ``ko``, else ``en``."""
    letters = len(_LETTER.findall(text)) or 1
    if len(_KANA.findall(text)) / letters > _KANA_SHARE:
        return "ja"
    if len(_HANGUL.findall(text)) / letters > _KANA_SHARE:
        return "ko"
    if len(_HAN.findall(text)) / letters > _HAN_SHARE:
        # Without any kana: a long text is Chinese, a short one is a Japanese heading or two.
        return "zh" if letters > _LONG_TEXT else "ja"
    return "en"


def estimate_tokens(text: str) -> int:
    """Cautious number of subword tokens: one per non-ASCII character, one per three ASCII characters."""
    ascii_length = len(text.encode("ascii", "ignore"))
    return len(text) - ascii_length + -(-ascii_length // 3)
