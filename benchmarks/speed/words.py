"""Content words for made articles: frequencies as language has them, and ever new words, as Heaps' law wants.

Ranks are drawn from a Zipf-Mandelbrot law. The head of the list are words of the repository's own articles, in order of
their frequency; behind it words are made from their rank: kanji pairs, compounds, katakana, English pseudo-words,
product names with digits. A larger corpus draws further down and so has more words.

Use: ``words = Words("ja")``, ``words.draw(generator, 1000)``.

Never: keep state that depends on what was drawn before; a rank is the same word in every corpus.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["LANGUAGES", "Words", "draw_ranks", "words_of"]

LANGUAGES: Final = ("ja", "en")
ARTICLES: Final = Path(__file__).parents[2] / "articles"

EXPONENT: Final = 1.3  # of content words; function words come from the patterns of sentences
OFFSET: Final = 12.0
RANKS: Final = 5e7
_WORD: Final = {
    "ja": re.compile(r"[一-龠々]{2,4}|[ァ-ヴー]{3,10}"),
    "en": re.compile(r"(?<![A-Za-z])[a-z]{4,12}(?![A-Za-z])"),
}
_FUNCTION: Final = frozenset(
    re.findall(
        r"\w+",
        "that this with from have your will when what which they them then than there here into only also does were "
        "been more most some such each very over after before about these those their would could should",
    )
)
_KANA: Final = tuple("アイウエオカキクケコサシスセソタチテトナニネノハヒフヘホマミメモラリルレロ")
_VOICED: Final = tuple("ガグゲジダデドバビブベボパピプポ")
_LONGER: Final = re.findall(r"\w+", "シャ シュ ショ チェ ティ フィ リュ ラン リン ロン ター リー クス ット")
_SYLLABLES: Final = (*_KANA, *_VOICED, *_LONGER)
_ONSETS: Final = (*"bcdfghlmnprstv", *re.findall(r"\w+", "br cl cr dr fl gr pl sc sp st str tr th"))
_VOWELS: Final = (*"aeiou", "ai", "ea", "ee", "io", "ou")
_CODAS: Final = ("", "", "n", "r", "l", "s", "t", "m", "ck", "nd", "nt", "st")
_ENDINGS: Final = ("", "", "ing", "er", "tion", "ment", "al", "ity", "ance", "or")


def draw_ranks(generator: np.random.Generator, count: int, *, exponent: float = EXPONENT) -> NDArray[np.int64]:
    """Ranks from 0 up with frequencies as ``(rank + OFFSET) ** -exponent``, int64 of shape (count,)."""
    power = 1 - exponent
    low, high = OFFSET**power, (RANKS + OFFSET) ** power
    drawn = (low + generator.random(count) * (high - low)) ** (1 / power) - OFFSET
    ranks: NDArray[np.int64] = drawn.astype(np.int64)
    return ranks


class Words:
    """The content words of one language, by rank."""

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self._make = {"ja": self._japanese, "en": self._english}[lang]

    @cached_property
    def head(self) -> tuple[str, ...]:
        """Words of the repository's own articles, most frequent first."""
        counts: Counter[str] = Counter()
        for file in sorted(ARTICLES.rglob(f"*.{self.lang}.md")):
            counts.update(_WORD[self.lang].findall(file.read_text("utf-8")))
        found = [word for word in counts if word not in _FUNCTION and _is_ordinary(word)]
        return tuple(sorted(found, key=lambda word: (-counts[word], word)))

    def draw(self, generator: np.random.Generator, count: int) -> list[str]:
        """So many words, as a text has them."""
        return self.of_ranks(draw_ranks(generator, count))

    def of_ranks(self, ranks: NDArray[np.int64]) -> list[str]:
        """The words of these ranks."""
        distinct, places = np.unique(ranks, return_inverse=True)
        words = np.array([self.word(int(rank)) for rank in distinct], dtype=object)
        found: list[str] = words[places].tolist()
        return found

    def word(self, rank: int) -> str:
        """The word of one rank."""
        return self.head[rank] if rank < len(self.head) else self._make(_Dice(rank))

    @cached_property
    def _pairs(self) -> tuple[str, ...]:
        """Kanji pairs as Japanese has them: what stands in the articles."""
        found = {word[at : at + 2] for word in self.head if word[0] >= "一" for at in (0, len(word) - 2)}
        return tuple(sorted(found))

    def _japanese(self, dice: _Dice) -> str:
        kind = dice.below(100)
        if kind < 45:  # noqa: PLR2004 - shares of the kinds, in percent
            return dice.of(self._pairs) + dice.of(self._pairs)
        if kind < 65:  # noqa: PLR2004
            return dice.of(self._pairs) + dice.of(_SUFFIXES)
        if kind < 90:  # noqa: PLR2004
            return "".join(dice.of(_SYLLABLES) for _ in range(2 + dice.below(3)))
        return _product(dice)

    def _english(self, dice: _Dice) -> str:
        if dice.below(100) < 8:  # noqa: PLR2004
            return _product(dice)
        parts = [dice.of(_ONSETS) + dice.of(_VOWELS) + dice.of(_CODAS) for _ in range(1 + dice.below(2))]
        return "".join(parts) + dice.of(_ONSETS) + dice.of(_VOWELS) + dice.of(_ENDINGS)


def _is_ordinary(word: str) -> bool:
    """Whether Japanese or English is written so: some articles hold simplified Chinese, to test its detection."""
    try:
        word.encode("shift_jis")
    except UnicodeEncodeError:
        return False
    return True


_SUFFIXES: Final = tuple("的性化中用式型部費料率法品書者機器員力度数所")


def _product(dice: _Dice) -> str:
    """A name such as ``RX-204`` or ``Tela 30``."""
    letters = "".join(dice.of(_LETTERS) for _ in range(2 + dice.below(2)))
    return f"{letters}-{1 + dice.below(9999)}"


_LETTERS: Final = tuple("ABCDEFGHKLMNPRSTVXZ")


class _Dice:
    """Numbers that follow from a rank alone (SplitMix64)."""

    def __init__(self, rank: int) -> None:
        self._state = rank

    def below(self, limit: int) -> int:
        mask = (1 << 64) - 1
        self._state = (self._state + 0x9E3779B97F4A7C15) & mask
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & mask
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
        return (mixed ^ (mixed >> 31)) % limit

    def of(self, values: Sequence[str]) -> str:
        return values[self.below(len(values))]


@cache
def words_of(lang: str) -> Words:
    """The words of a language, made once in a process."""
    return Words(lang)
