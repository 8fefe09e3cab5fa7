"""Which words the rows hold, how often, and how they are read: the entries of :mod:`kbsearch.vocabulary`.

Words are the terms of the word stream (dictionary forms), Latin words as they are spelt, and katakana words whole, as
the text has them. A word with a kanji or katakana also stands under its reading, a verb under the readings of its
stems, since a question holds 払い or 払って and the dictionary form is 払う. Nouns in a row in a title, heading or
alias also stand there as one, with the reading that they have together: 請求書 is せいきゅうしょ, and 書 alone is ふみ.

Use: ``words = WordList()``, ``words.add(row)`` for each row as it comes, then ``words.entries()``.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from kbsearch.text import morphemes, normalise
from kbsearch.vocabulary import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kbsearch.rows import Analysed

__all__ = ["WordList"]

_KATAKANA_WORD: Final = re.compile(r"[ァ-ヺー]{3,}")
_LATIN_WORD: Final = re.compile(r"[a-z]{2,}")
_WRITTEN: Final = re.compile(r"[ァ-ヺ一-鿿々]")  # a reading differs from the spelling
_NOUNS: Final = frozenset({"名詞", "接尾辞", "接頭辞", "形状詞"})
_REMEMBERED: Final = 5_000  # titles and headings: they come again and again
_MIN_LONG: Final = 4  # a last prolonged mark is also left out from here on, as in サーバ

# Endings of a verb's dictionary form and those of its stems: 払う → 払い, 払わ, 払え, 払っ.
_STEMS: Final = {
    "う": "いわえっ", "く": "きかけい", "ぐ": "ぎがげい", "す": "しさせ", "つ": "ちたてっ", "ぬ": "になねん",
    "ぶ": "びばべん", "む": "みまめん", "る": "りられっ",
}  # fmt: skip
_ONE_STEM: Final = frozenset("いきぎしちにひびみりえけげせてねへべめれ")  # 変える drops its る
_ONLY_FIVE: Final = frozenset("りっ")  # 切る (五段) is 切り and 切っ, but 着る (一段) is 着, never 着っ
_IRREGULAR: Final = "カ行変格"  # 来る is き and こ, never くっ


class WordList:
    """Counts words, row by row; what it holds grows with the words, not with the rows."""

    def __init__(self) -> None:
        self._words: Counter[str] = Counter()
        self._spelt: Counter[str] = Counter()
        self._compounds: Counter[tuple[str, str]] = Counter()
        self._remembered: dict[str, _Head] = {}

    def add(self, analysed: Analysed) -> None:
        """Count the words of a row."""
        passage, alias = analysed.row.passage, analysed.row.alias
        self._words.update(set(analysed.words.split()))
        spelt = set(filter(_LATIN_WORD.fullmatch, filter(str.isascii, set(analysed.grams.split()))))
        spelt.update(_katakana_words(passage.text))
        for text in (passage.title, *passage.headings, alias):
            spelt.update(self._head(text).katakana)
        self._spelt.update(spelt)
        for text in {passage.title, *passage.headings[-1:], alias} - {""}:
            self._compounds.update(self._head(text).compounds)

    def entries(self) -> Iterator[Entry]:
        """Entries for all rows; a word has the number of rows that hold it."""
        words, spelt, readings = self._words, self._spelt, self._compounds.copy()
        yield from (Entry("term", word, passages) for word, passages in words.items())
        yield from (Entry("spelling", word, passages) for word, passages in spelt.items())
        for word, passages in (words | spelt).items():
            for pair in _readings(word):
                readings[pair] = max(readings[pair], passages)
        yield from (Entry("reading", reading, passages, spelling) for (spelling, reading), passages in readings.items())

    def _head(self, text: str) -> _Head:
        head = self._remembered.get(text)
        if head is None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            head = self._remembered[text] = _Head(_katakana_words(text), tuple(_compounds(text)))
        return head


class _Head(NamedTuple):
    """What there is in a title, a heading or an alias."""

    katakana: tuple[str, ...]
    compounds: tuple[tuple[str, str], ...]


def _katakana_words(text: str) -> tuple[str, ...]:
    return () if text.isascii() else tuple(_KATAKANA_WORD.findall(normalise(text)[0]))


def _compounds(text: str) -> Iterator[tuple[str, str]]:
    """Nouns that stand in a row, as one, with their reading; single ones too."""
    spelling = reading = ""
    end = 0
    for piece in morphemes(normalise(text)[0]):
        noun = piece.kind[0] in _NOUNS and bool(piece.reading)
        if not noun or piece.start != end:
            if _WRITTEN.search(spelling):
                yield spelling, reading
            spelling = reading = ""
        if noun:
            spelling, reading = spelling + piece.surface, reading + piece.reading
        end = piece.end
    if _WRITTEN.search(spelling):
        yield spelling, reading


def _readings(word: str) -> Iterator[tuple[str, str]]:
    pieces = morphemes(word) if _WRITTEN.search(word) else ()
    if not pieces or any(not piece.reading for piece in pieces) or pieces[-1].end - pieces[0].start != len(word):
        return
    reading = "".join(piece.reading for piece in pieces)
    yield word, reading
    if reading.endswith("ー") and len(reading) >= _MIN_LONG:
        yield word, reading[:-1]
    if pieces[-1].kind[0] == "動詞" and word[-1] == reading[-1] in _STEMS and _IRREGULAR not in pieces[-1].kind:
        stem, sound = word[:-1], reading[:-1]
        one = any("一段" in kind for kind in pieces[-1].kind)
        for ending in _STEMS[word[-1]]:
            if not (one and ending in _ONLY_FIVE):
                yield stem + ending, sound + ending
        if one and sound and sound[-1] in _ONE_STEM:
            yield stem, sound
