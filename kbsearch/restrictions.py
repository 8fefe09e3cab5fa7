"""Sentences that restrict what stands before them: 「ただし…」, 「…を除きます」, “unless …”.

What is restricted is never shown without its restriction, and is not to be torn from it when an article is cut into
passages.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["begins_as_restriction", "restricts"]

_SHORT: Final = 60  # characters of a sentence that is nothing but a restriction

_RESTRICTION: Final = re.compile(
    r"(?:[-*・※（(\[]\s*)*(?:"
    r"ただし(?!い|く)|但し|ただ、|なお(?![すしさせりるっ])|もっとも、|とはいえ|例外|※|ご注意|注意|(?:注|メモ|備考)[:：]|ただ今のところ|しかし"
    r"|(?i:however\b|but\b|except\b|unless\b|only (?:if|when|for)\b|(?:please )?note(?: that|:)|exceptions?\b"
    r"|provided (?:that\b|you\b)|excluding\b|other than\b|otherwise\b|(?:this|that|it|these|they) (?:does|do|is|are) "
    r"(?:not|only)\b|not (?:for|valid|available)\b|does not (?:apply|include)\b))"
)
_RESTRICTED: Final = re.compile(
    r"(?:を除(?:く|きます)|に限(?:る|ります|られます)|(?:対象外|適用外|例外)(?:です|となります)?|含(?:み|まれ)ません|適用(?:され|し)ません)[）)]?。?$"
    r"|(?i:(?:\bnot (?:apply|included)|\bexcluded|\bexceptions?)\.?$)"
)


def begins_as_restriction(text: str) -> bool:
    """Whether the first words say that it restricts what stands before it."""
    return bool(_RESTRICTION.match(text))


def restricts(sentence: str) -> bool:
    """Whether a sentence restricts the one before it, by its first words or, when it is short, by its last."""
    return begins_as_restriction(sentence) or (len(sentence) <= _SHORT and bool(_RESTRICTED.search(sentence)))
