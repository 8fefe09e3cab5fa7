"""What a text costs in tokens of an encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Meter"]


class Meter:
    """Counts the tokens of a text by itself, without what every text of the encoder has (prefix, end)."""

    def __init__(self, count: Callable[[str], int]) -> None:
        self.count = count
        self._base = count("")

    def cost(self, text: str) -> int:
        """Tokens that ``text`` adds to another."""
        return max(0, self.count(text) - self._base) if text else 0
