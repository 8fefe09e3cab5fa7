"""What a question with a slip may have meant: kana for kanji, さーばー for サーバー, henpinn, a mistyped word.

Only what the knowledge base does not know is touched, and only in favour of words that it does know, so that a question
which is spelt as the articles are stays as it is.

- A run of hiragana is read as the cheapest chain of the dictionary's morphemes and of readings of known words (Viterbi
  over the lattice of both); it is rewritten where a known word wins. ``へんぴんの送料`` becomes ``返品の送料``.
- A Latin word that no passage holds is first taken for Japanese typed with the input method off (``henpinn``), then
  for a slip of one key: one character too many, too few, another, or two exchanged (Damerau 1964).
- A katakana word that no passage holds is taken for another way of writing a known word, then for a slip.

A word that everybody writes as it stands is no slip, whether the articles have it or not. Which words these are the
encoder's tokenizer knows, whose pieces were learnt from the writing of millions: ``ください`` and ``under`` are one
piece of it, ``せいきゅう`` and ``callendar`` are several.

Use: ``mended = mend(question, vocabulary, pieces)``; None when there is nothing to mend.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kbsearch.text import analyse, hiragana, morphemes, normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from kbsearch.text import Morpheme, Span
    from kbsearch.vocabulary import Vocabulary

__all__ = ["mend"]

_SUSPECT: Final = re.compile(
    r"(?P<hiragana>[ぁ-ゖー]{3,})|(?P<katakana>[ァ-ヺー]{3,})|(?P<latin>[a-z]+(?:['-]+[a-z]+)*-*)"
)
_MOST_SOUND: Final = 20_000  # runs
_MAX_RUN: Final = 60  # a longer run is no slip, and the lattice grows with it
_MAX_SUSPECTS: Final = 12
_MAX_TRIED: Final = 300  # runs that are looked at: a question of thousands of characters is mended at its beginning
_MAX_KNOWN: Final = 32  # no word of a vocabulary is longer
_LEAST_TYPO: Final = 4
_LEAST_LATIN: Final = 3
_SHORT_LATIN: Final = 5  # soap is one key from swap, and dear from year
_LEAST_WHOLE: Final = 3
_LEAST_WORD: Final = 3
_WRITTEN: Final = re.compile("[一-鿿]")
_LEAST_INSIDE: Final = 3
_LATIN: Final = re.compile("[a-z]+")

# Costs of the pieces of a run. What counts is their order: few pieces, known words, no short ones.
_PARTICLE_COST: Final = 0.4
_COMMON_COST: Final = {2: 1.0}
_LONG_COMMON_COST: Final = 0.6
_FUNCTION_COST: Final = 0.8
_KNOWN_COST: Final = 1.0
_SHORT_READING: Final = {1: 4.0, 2: 1.5, 3: 0.4}
_PER_FREQUENCY: Final = 0.04
_STRANGE_COST: Final = 2.0
_STRANGE_CHAR_COST: Final = 0.7
_GAP_COST: Final = 3.0

_PARTICLES: Final = frozenset("のをはがにへでともやかなねよしてただばずんうい")
_BEHIND_A_STEM: Final = frozenset("たてち")  # 払っ is a stem only here: くっつく is no 繰っつく
_MAX_COMMON: Final = 8
# Keys as they are pressed, from kya to ttsu and n': anything else is no Japanese. There is one way only to match a
# text: nn as one piece or as two would take exponential time on a row of n.
_ROMAJI: Final = re.compile(
    r"(?:(?:([kstcpgzjdbfmr])(?=\1|ch))?"
    r"(?:(?:[kgnhbpmrsztjdcfv]y|[sctd]h|ts|[kstnhfmyrwgzjdbpvclx]|[lx][tyw])?[aiueo]-*|n'|n(?![aiueoy])))*"
)
_ASCII: Final = "abcdefghijklmnopqrstuvwxyz"
_KATAKANA: Final = "".join(map(chr, range(0x30A1, 0x30F5))) + "ー"


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of a kana run. ``spelling`` is what takes its place, ``""`` where it stays."""

    end: int
    cost: float
    spelling: str = ""
    strange: bool = False


@dataclass(frozen=True, slots=True)
class _Kept:
    """Words of a run that are no slips.

    No word begins or ends inside a longer one that the dictionary reads there (あした is no 足た), nor takes the place
    of one that it names otherwise (きのう is 昨日, no 機能). Of kana that nobody typed the dictionary makes what it
    can, and nothing is kept.
    """

    inside: frozenset[int]
    named: dict[tuple[int, int], str]

    @classmethod
    def of(cls, read: Sequence[tuple[int, int, Morpheme]]) -> _Kept:
        words = [(start, end, m) for start, end, m in read if m.content and m.listed and end - start >= _LEAST_WORD]
        inside = frozenset(place for start, end, _ in words for place in range(start + 1, end))
        return cls(inside, {(start, end): m.form for start, end, m in words if _WRITTEN.search(m.form)})

    def allows(self, start: int, end: int, spelling: str) -> bool:
        """Whether a spelling may take the place from ``start`` to ``end``."""
        if start in self.inside or end in self.inside:
            return False
        return self.named.get((start, end), spelling) in {spelling, *_words(spelling)}


def mend(
    question: str, vocabulary: Vocabulary, pieces: Callable[[str], int], sound: set[Hashable] | None = None
) -> str | None:
    """The question as it may have been meant, or None when there is nothing to mend.

    Parameters
    ----------
    question
        Any text; what is not rewritten stays as it is, capitals and widths included.
    vocabulary
        Words of the knowledge base.
    pieces
        How many pieces the encoder's tokenizer cuts a word into.
    sound
        Remembers, from one question of this vocabulary to the next, the runs in which there is nothing to mend: most
        questions are made of the same ones (``ができないとき``, ``where``).
    """
    sound = set() if sound is None else sound
    if len(sound) > _MOST_SOUND:
        sound.clear()
    normal, origin = normalise(question)
    read: tuple[Morpheme, ...] | None = None
    mended: list[str] = []
    done = suspects = tried = 0
    for match in _SUSPECT.finditer(normal):
        if suspects >= _MAX_SUSPECTS or tried >= _MAX_TRIED:
            break
        if len(match.group()) > _MAX_RUN * (1 + (match.lastgroup == "latin")):
            continue
        if origin is not None and _is_torn(origin, *match.span()):
            continue
        tried += 1
        start, end = match.span() if origin is None else (origin[match.start()][0], origin[match.end() - 1][1])
        if match.lastgroup == "hiragana":
            read = morphemes(normal) if read is None else read
            found = _mend_hiragana(match.start(), match.group(), vocabulary, pieces, read, sound)
        else:
            found = _mend_word(match, vocabulary, pieces, question[start:end], sound)
        if found is not None and found != match.group():
            mended += [question[done:start], _cased(found, question[start:end])]
            done = end
            suspects += 1
    return "".join([*mended, question[done:]]) if mended else None


def _is_torn(origin: list[Span], start: int, end: int) -> bool:
    """Whether the character from which a run begins or ends gave more than the run: ㏂ is a.m."""
    return (start > 0 and origin[start - 1] == origin[start]) or (end < len(origin) and origin[end] == origin[end - 1])


def _mend_hiragana(
    start: int,
    run: str,
    vocabulary: Vocabulary,
    pieces: Callable[[str], int],
    read: tuple[Morpheme, ...],
    sound: set[Hashable],
) -> str | None:
    """Behind a kanji the run begins with the rest of its word, which stays: 代わって is no 割って."""
    rest = max((m.end - start for m in read if m.start < start < m.end), default=0)
    inside = _inside(read, start + rest, start + len(run))
    asked = run, rest, tuple([(first, last, m.form, m.kind[0], m.listed) for first, last, m in inside])
    if asked in sound:
        return None
    found = _read_kana(run[rest:], vocabulary, pieces, inside)
    if found is None:
        sound.add(asked)
        return None
    return run[:rest] + found


def _inside(read: tuple[Morpheme, ...], start: int, end: int) -> list[tuple[int, int, Morpheme]]:
    """Morphemes that lie in a run, with their places in it."""
    return [(m.start - start, m.end - start, m) for m in read if start <= m.start and m.end <= end]


def _read_kana(
    run: str,
    vocabulary: Vocabulary,
    pieces: Callable[[str], int],
    read: list[tuple[int, int, Morpheme]],
    *,
    whole: bool = False,
) -> str | None:
    """A run of hiragana with known words in their spelling; None when the run is better left alone.

    With ``whole``, every part of the run must be a known word or a function word, and one known word no short one.
    """
    chain = _cheapest(run, vocabulary, pieces, read, _Kept.of(() if whole else read))
    if not any(piece.spelling and piece.end - start > 1 for start, piece in chain):
        return None
    if whole and (
        any(piece.strange for _, piece in chain)
        or not any(piece.spelling and piece.end - start >= _LEAST_WHOLE for start, piece in chain)
    ):
        return None
    return "".join(piece.spelling or run[start : piece.end] for start, piece in chain)


def _cheapest(
    run: str,
    vocabulary: Vocabulary,
    pieces: Callable[[str], int],
    read: list[tuple[int, int, Morpheme]],
    kept: _Kept,
) -> list[tuple[int, _Piece]]:
    """The cheapest chain of pieces, each with its start."""
    nowhere: tuple[float, int, _Piece | None] = (math.inf, -1, None)
    best = [(0.0, -1, None), *[nowhere] * len(run)]
    by_start: dict[int, list[tuple[int, Morpheme]]] = {}
    for start, end, morpheme in read:
        by_start.setdefault(start, []).append((end, morpheme))
    for place in range(len(run)):
        cost = best[place][0]
        if math.isinf(cost):
            continue
        for piece in _edges(run, place, vocabulary, pieces, by_start.get(place, [])):
            if piece.spelling and not kept.allows(place, piece.end, piece.spelling):
                continue
            if cost + piece.cost < best[piece.end][0]:
                best[piece.end] = (cost + piece.cost, place, piece)
    chain: list[tuple[int, _Piece]] = []
    place = len(run)
    while place > 0:
        _, before, last = best[place]
        if last is None:
            return []
        chain.append((before, last))
        place = before
    return chain[::-1]


def _edges(
    run: str, place: int, vocabulary: Vocabulary, pieces: Callable[[str], int], read: list[tuple[int, Morpheme]]
) -> Iterator[_Piece]:
    """All that can stand at a place of a run."""
    yield _Piece(place + 1, _GAP_COST, strange=True)
    if run[place] in _PARTICLES:
        yield _Piece(place + 1, _PARTICLE_COST)
    for end in range(place + 2, min(place + _MAX_COMMON, len(run)) + 1):
        if pieces(run[place:end]) == 1:
            yield _Piece(end, _COMMON_COST.get(end - place, _LONG_COMMON_COST))
    for end, morpheme in read:
        length = end - place
        if not morpheme.content:
            yield _Piece(end, _FUNCTION_COST)
        elif vocabulary.knows(morpheme.form):
            spelling = morpheme.form if morpheme.kind[0] == "名詞" and pieces(morpheme.surface) > 1 else ""
            yield _Piece(end, _KNOWN_COST + _SHORT_READING.get(length, 0.0) / 2, spelling)
        else:
            yield _Piece(end, _STRANGE_COST + _STRANGE_CHAR_COST * length, strange=True)
    for reading, spelling, passages in vocabulary.read_from(run[place:]):
        cut = reading[-1:] == "っ" and run[place + len(reading) :][:1] not in _BEHIND_A_STEM
        if spelling != reading and not cut and pieces(reading) > 1:
            cost = _KNOWN_COST + _SHORT_READING.get(len(reading), 0.0) - _PER_FREQUENCY * math.log(1 + passages)
            yield _Piece(place + len(reading), cost, spelling)


def _mend_word(
    match: re.Match[str], vocabulary: Vocabulary, pieces: Callable[[str], int], typed: str, sound: set[Hashable]
) -> str | None:
    """In katakana or in Latin letters."""
    word = match.group()
    if word in sound:
        return None
    if match.lastgroup == "latin":
        return _mend_latin(word, vocabulary, pieces, typed, sound) if len(word) >= _LEAST_LATIN else None
    found = _mend_katakana(word, vocabulary, pieces)
    if found is None:
        sound.add(word)
    return found


def _mend_katakana(run: str, vocabulary: Vocabulary, pieces: Callable[[str], int]) -> str | None:
    if vocabulary.passages(run) or all(vocabulary.knows(word) for word in _words(run)) or pieces(run) == 1:
        return None
    read = morphemes(run)
    if len(read) == 1 and read[0].listed:
        return None  # ドライヤー is no slip for ドライバー
    kana = hiragana(run)
    return (
        vocabulary.read_as(kana)
        or _one_slip(run, _KATAKANA, vocabulary)
        or _read_kana(kana, vocabulary, pieces, [], whole=True)
    )


def _mend_latin(
    word: str, vocabulary: Vocabulary, pieces: Callable[[str], int], typed: str, sound: set[Hashable]
) -> str | None:
    """``typed`` is the word with its capitals: Suica is no romaji, and PayPay and iPhone are written with care."""
    parts = _LATIN.findall(word)
    strange = [part for part in parts if not _is_known(part, vocabulary) and pieces(part) > 1]
    if not strange:
        sound.add(word)  # whatever its capitals are
        return None
    found = None if typed.istitle() else _from_romaji(word, vocabulary, pieces)
    if found is not None:
        return found
    if not typed.isupper() and not typed[1:].islower():
        return None
    mended = {part: _one_slip(part, _ASCII, vocabulary) or part for part in strange}
    return _LATIN.sub(lambda match: mended.get(match.group(), match.group()), word)


def _is_known(word: str, vocabulary: Vocabulary) -> bool:
    return bool(vocabulary.passages(word)) or all(vocabulary.knows(term) for term in _words(word))


def _from_romaji(word: str, vocabulary: Vocabulary, pieces: Callable[[str], int]) -> str | None:
    """What was typed with the input method off; a known Latin word may stand in it (``fluentddesa-bisuwo``)."""
    if _ROMAJI.fullmatch(word):
        kana = _kana_of(word)
        return _read_kana(kana, vocabulary, pieces, _inside(morphemes(kana), 0, len(kana)), whole=True)
    for length in range(min(len(word) - _LEAST_LATIN, _MAX_KNOWN), _LEAST_INSIDE - 1, -1):
        for start in range(len(word) - length + 1):
            inner, outer = word[start : start + length], (word[:start], word[start + length :])
            if inner.isalpha() and vocabulary.passages(inner) and all(map(_ROMAJI.fullmatch, outer)):
                left, right = (part and _from_romaji(part, vocabulary, pieces) for part in outer)
                if left is not None and right is not None:
                    return f"{left}{inner}{right}"
    return None


def _cased(found: str, before: str) -> str:
    """With the capitals of what it takes the place of."""
    if not found.isascii():
        return found
    if before.isupper():
        return found.upper()
    return found[:1].upper() + found[1:] if before[:1].isupper() else found


def _words(run: str) -> tuple[str, ...]:
    return analyse(run).words.terms or (run,)


def _one_slip(word: str, alphabet: str, vocabulary: Vocabulary) -> str | None:
    """The most frequent known word that is one slip away; the first letter is seldom the wrong one."""
    if len(word) > _MAX_KNOWN + 1:
        return None
    near = _neighbours(word, alphabet) if len(word) >= _LEAST_TYPO else _with_one_more(word, "ー")
    if len(word) <= _SHORT_LATIN and word.isascii():
        near = {other for other in near if _is_near_short(word, other)}
    near = {other for other in near if len(other) >= _LEAST_LATIN}
    known = [(count, other) for other, count in vocabulary.spelt(near)]
    return max(known, key=lambda item: (item[1][0] == word[0], item[0], item[1]))[1] if known else None


def _is_near_short(word: str, other: str) -> bool:
    """A short English word has many neighbours: of these only such as begin alike, of a shorter one none by chance."""
    if other[0] != word[0]:
        return False
    return len(word) > _LEAST_TYPO or len(other) > len(word) or sorted(other) == sorted(word)


def _with_one_more(word: str, alphabet: str) -> set[str]:
    return {word[:place] + char + word[place:] for place in range(len(word) + 1) for char in alphabet} - {word}


def _neighbours(word: str, alphabet: str) -> set[str]:
    cuts = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    near = {left + right[1:] for left, right in cuts if right}
    near |= {left + right[1] + right[0] + right[2:] for left, right in cuts if len(right) > 1}
    near |= {left + char + right[1:] for left, right in cuts if right for char in alphabet}
    return (near | _with_one_more(word, alphabet)) - {word}


def _kana_of(romaji: str) -> str:
    from jaconv import alphabet2kana  # only a question that needs it pays for its tables

    # As an input method reads the keys: kinnyuu is きんゆう, we is うぇ.
    kana: str = alphabet2kana(re.sub("nn(?=y)", "n'", romaji).replace("we", "uxe").replace("wi", "uxi"))
    return kana
