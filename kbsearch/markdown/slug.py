"""Heading → anchor, by the rule that GitHub (and the ``github-slugger`` package) uses, so that links work in both.

Use: one :class:`Slugger` per article; claim explicit ids first, they are promises.

Never: give one anchor twice.
"""

from __future__ import annotations

import unicodedata

__all__ = ["Slugger", "slugify"]

_KEPT_CATEGORIES = ("L", "M", "Nd", "Nl", "Pc")
_NAMELESS = "section"  # a heading without a letter; "" is the anchor of the lead


def slugify(text: str) -> str:
    """Lower case, letters, marks, digits, ``_`` and ``-`` kept, each space a ``-``, everything else dropped."""
    kept = (
        "-" if char == " " else char
        for char in unicodedata.normalize("NFC", text).lower()
        if char in " -" or unicodedata.category(char).startswith(_KEPT_CATEGORIES)
    )
    return "".join(kept) or _NAMELESS


class Slugger:
    """Anchors of one article."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def claim(self, wanted: str) -> str:
        """``wanted`` itself the first time, then ``wanted-1``, ``wanted-2``, passing over anchors already given."""
        anchor = wanted
        while anchor in self._seen:
            # The count stays with the wanted name, so that ten thousand equal headings take linear time.
            self._seen[wanted] += 1
            anchor = f"{wanted}-{self._seen[wanted]}"
        self._seen[anchor] = 0
        return anchor
