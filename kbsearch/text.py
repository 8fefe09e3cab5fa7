"""The one analyser: text in, two token streams out, each token with its span in the *original* text.

Words
    Japanese runs go through SudachiPy (split mode A) and are named by their ``normalized_form``, without particles,
    auxiliaries and symbols; other words are lower-cased, and ASCII words are stemmed (Snowball English).
Grams
    Character bigrams of kana and kanji runs, with katakana folded to hiragana, the prolonged sound mark at the end of a
    word dropped and iteration marks written out; other words as they are, lower-cased, and joined across a hyphen.

Use: ``analyse(text)`` at build time, for questions and for highlights alike. The language of a text is never guessed:
a run of Japanese script is Japanese, whatever surrounds it.

Never: change what comes out without raising ``VERSION``. An index remembers :func:`fingerprint` and is refused by
an analyser that would cut its words in another way.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import Stemmer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sudachipy import Dictionary, MorphemeList, Tokenizer
    from sudachipy import Morpheme as SudachiMorpheme

__all__ = [
    "VERSION",
    "Analysis",
    "Morpheme",
    "Span",
    "Tokens",
    "analyse",
    "fingerprint",
    "hiragana",
    "japanese_share",
    "morphemes",
    "normalise",
]

VERSION = 3

Span = tuple[int, int]
"""First and one-past-last character of a token in the original text."""

_JA = (
    "\u3005-\u3007\u3041-\u3096\u309d\u309e\u30a1-\u30fa\u30fc-\u30fe"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_RUN = re.compile(
    rf"(?P<ja>[{_JA}][{_JA}・]*)"  # a middle dot separates words of one katakana term: ソフト・ウェア
    rf"|(?P<number>\d+(?:,\d{{3}})+(?!\d)(?:(?![{_JA}])[^\W_])*)"  # 1,000 is one number, 1000, and 1,000GB is 1000GB
    rf"|(?P<word>(?:(?![{_JA}])[^\W_])+(?:'(?:(?![{_JA}])[^\W_])+)*)"
)
# A cluster is what NFKC may compose: a base with the marks behind it, half-width voicing marks and jamo included.
# Not more than 30 of them (UAX #15, stream-safe text): Python sorts the marks of one base in quadratic time.
_CLUSTER = re.compile(
    r".[\u0300-\u036f\u1160-\u11ff\u20d0-\u20ff\u3099-\u309c\ufe00-\ufe0f\uff9e\uff9f\U000e0100-\U000e01ef]{0,30}",
    re.DOTALL,
)
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef]"
)
_LONG_MARK_LOOKALIKES = re.compile("(?<=[\u30a1-\u30fa])[―−─](?=[\u30a1-\u30fa]|\\b|$)")
_LOOKALIKES = str.maketrans("’ʼ＇゛゜", "'''\u3099\u309a")  # か゛, with a voicing mark that stands alone, is が

_REMEMBERED, _REMEMBERED_CHARS = 32, 256
_SUDACHI_CHARS = 8_000  # SudachiPy refuses an input of more than 49,149 bytes; four bytes a character at most
_SKIPPED_POS = frozenset({"助詞", "助動詞", "補助記号", "空白", "記号"})
_SKIPPED_FORMS = frozenset({"御", "為る", "居る", "有る"})  # honorific prefix and the emptiest verbs
_CLOSING = frozenset("」』）)]】》〉”\"'")  # a word may follow them without a break
_MIN_LONG_KANA = 4  # サーバー loses its last mark, キー and コピー keep theirs
_LETTERS_OR_DIGITS = re.compile("[a-z]+|[0-9][0-9,]*")
_MAX_TERM_CHARS = 64  # an address or a base64 line is no word; its head is enough to find it by
_KATA_TO_HIRA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)} | {0x30FD: 0x309D, 0x30FE: 0x309E}


@dataclass(frozen=True, slots=True)
class Tokens:
    """One stream: ``terms[i]`` was read from ``text[spans[i][0]:spans[i][1]]`` of the original text."""

    terms: tuple[str, ...]
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Analysis:
    """Both streams of one text."""

    words: Tokens
    grams: Tokens


@dataclass(frozen=True, slots=True)
class Morpheme:
    """A piece of a Japanese run as the dictionary reads it.

    ``surface`` is ``text[start:end]`` of the normalised text. ``reading`` is in hiragana, ``""`` when the dictionary
    has none. ``form`` is the normalised form that names the word. ``content`` is False for particles, auxiliaries and
    the like, which are no term; ``kind`` is the part of speech, in the dictionary's own Japanese words. ``listed`` is
    False for what the dictionary does not have.
    """

    surface: str
    start: int
    end: int
    reading: str
    form: str
    kind: tuple[str, ...]
    content: bool
    listed: bool = True


def morphemes(normal: str) -> tuple[Morpheme, ...]:
    """Read the Japanese runs of a text that :func:`normalise` gave; other characters are in no morpheme."""
    found: list[Morpheme] = []
    for match in _RUN.finditer(normal):
        if match.lastgroup == "ja":
            found += _japanese_morphemes(match.group(), match.start(), _lead(normal, match.start()))
    return tuple(found)


def hiragana(text: str) -> str:
    """Katakana as hiragana, character by character; everything else as it is."""
    return text.translate(_KATA_TO_HIRA)


def analyse(text: str) -> Analysis:
    """Cut a text into words and grams.

    Parameters
    ----------
    text
        Any string, of any length; linear in it.

    Returns
    -------
    Analysis
        Spans ascend by their start and slice the original ``text``. A term holds no white space.
    """
    normal, origin = normalise(text)
    words: list[tuple[str, int, int]] = []
    grams: list[tuple[str, int, int]] = []
    for match in _RUN.finditer(normal):
        run, start = match.group(), match.start()
        if match.lastgroup == "ja":
            words.extend(_japanese_words(run, start, _lead(normal, start)))
            grams.extend(_bigrams(run, start))
        elif match.lastgroup == "number":
            number = run.replace(",", "")
            words.append((_stem(number), start, match.end()))
            grams.append((number[:_MAX_TERM_CHARS], start, match.end()))
            grams.extend(_parts(run, start))
        else:
            words.append((_stem(run), start, match.end()))
            grams.append((run[:_MAX_TERM_CHARS], start, match.end()))
            grams.extend(_parts(run, start))
    grams.extend(_joined(normal, grams))
    grams.sort(key=lambda gram: (gram[1], gram[2]))
    return Analysis(_tokens(words, origin), _tokens(grams, origin))


@cache
def fingerprint() -> str:
    """Name everything that decides how text is cut: this module's version, the dictionary, the stemmer."""
    parts = {
        "analyser": str(VERSION),
        "sudachipy": _version("SudachiPy", "sudachipy"),
        "sudachidict-core": _version("SudachiDict-core", "sudachidict_core"),
        "pystemmer": _version("PyStemmer", "Stemmer"),
    }
    return " ".join(f"{name}/{version}" for name, version in parts.items())


def _version(distribution: str, module: str) -> str:
    """Version of what is installed, by the name of the folder of metadata beside its module.

    ``importlib.metadata`` takes 5 ms to be imported and a millisecond a question. It is asked where that folder is
    missing, or where there are two.
    """
    spec = find_spec(module)
    place = spec and next(iter(spec.submodule_search_locations or ()), spec.origin)
    name = distribution.lower().replace("-", "_")
    found = [
        version
        for folder in (Path(place).parent.glob("*-*.dist-info") if place else ())
        for other, _, version in [folder.name.removesuffix(".dist-info").partition("-")]
        if other.lower() == name
    ]
    if len(found) == 1:
        return found[0]
    from importlib import metadata

    return metadata.version(distribution)


def normalise(text: str) -> tuple[str, list[Span] | None]:
    """NFKC and lower case, without invisible characters.

    Returns
    -------
    normal
        The normalised text.
    origin
        ``origin[i]`` is the span of ``text`` from which character ``i`` of ``normal`` came; ``None`` where both
        have the same places.
    """
    if text.isascii():
        return text.lower(), None
    lowered = text.translate(_LOOKALIKES).lower()
    if len(lowered) == len(text) and unicodedata.is_normalized("NFKC", lowered) and not _INVISIBLE.search(lowered):
        return _LONG_MARK_LOOKALIKES.sub("ー", lowered), None
    pieces: list[str] = []
    origin: list[Span] = []
    for cluster in _CLUSTER.finditer(text):
        raw = cluster.group()
        piece = raw
        if not raw.isascii():
            piece = _INVISIBLE.sub("", unicodedata.normalize("NFKC", raw.translate(_LOOKALIKES)))
        piece = piece.lower()
        pieces.append(piece)
        origin.extend([cluster.span()] * len(piece))
    return _LONG_MARK_LOOKALIKES.sub("ー", "".join(pieces)), origin


def japanese_share(text: str) -> float:
    """Share of the letters and digits of a text that are kana or kanji, 0 to 1; 0 for a text without any."""
    normal = normalise(text)[0]
    japanese = sum(len(match.group()) for match in _RUN.finditer(normal) if match.lastgroup == "ja")
    return japanese / (sum(char.isalnum() for char in normal) or 1)


def _tokens(found: list[tuple[str, int, int]], origin: list[Span] | None) -> Tokens:
    terms = tuple(term for term, _, _ in found)
    if origin is None:
        return Tokens(terms, tuple((start, end) for _, start, end in found))
    return Tokens(terms, tuple((origin[start][0], origin[end - 1][1]) for _, start, end in found))


def _lead(normal: str, start: int) -> str:
    """What SudachiPy reads before a run that follows a word: 「で」 behind ``PDF`` is a particle, alone a word."""
    before = normal[start - 1 : start]
    return "」" if before.isalnum() or before in _CLOSING else ""


def _japanese_words(run: str, offset: int, lead: str) -> Iterator[tuple[str, int, int]]:
    for morpheme, shift in _read(run, offset, lead):
        if morpheme.part_of_speech()[0] in _SKIPPED_POS:
            continue  # the lead, too
        form = "".join(morpheme.normalized_form().lower().split())
        if form and form not in _SKIPPED_FORMS:
            yield form[:_MAX_TERM_CHARS], shift + morpheme.begin(), shift + morpheme.end()


def _japanese_morphemes(run: str, offset: int, lead: str) -> Iterator[Morpheme]:
    for morpheme, shift in _read(run, offset, lead):
        start, end = shift + morpheme.begin(), shift + morpheme.end()
        if start < offset:
            continue  # the lead
        kind = tuple(morpheme.part_of_speech())
        form = "".join(morpheme.normalized_form().lower().split())
        content = bool(form) and kind[0] not in _SKIPPED_POS and form not in _SKIPPED_FORMS
        yield Morpheme(
            morpheme.surface(),
            start,
            end,
            hiragana(morpheme.reading_form()),
            form,
            kind,
            content,
            not morpheme.is_oov(),
        )


def _read(run: str, offset: int, lead: str) -> Iterator[tuple[SudachiMorpheme, int]]:
    """SudachiPy's morphemes, the lead's included, each with what its places lack to those of the text."""
    for base in range(0, len(run), _SUDACHI_CHARS):
        for morpheme in _local.read(lead + run[base : base + _SUDACHI_CHARS]):
            yield morpheme, offset + base - len(lead)
        lead = ""


def _bigrams(run: str, offset: int) -> Iterator[tuple[str, int, int]]:
    folded = _fold_run(run)
    if len(folded) == 1:
        char, place = folded[0]
        yield char, offset + place, offset + place + 1
    for (first, start), (second, end) in pairwise(folded):
        yield first + second, offset + start, offset + end + 1


def _fold_run(run: str) -> list[tuple[str, int]]:
    """Characters of a run with their places: spelling variants of one word fold to the same characters."""
    folded: list[tuple[str, int]] = []
    script, length = "", 0  # of the kana word that ends here
    for place, char in enumerate(run):
        now = script if char == "ー" else _kana_script(char)
        length = length + 1 if now == script else 1
        script = now
        if char == "・":
            continue
        if char == "ー" and script and length >= _MIN_LONG_KANA and not _goes_on(run, place + 1, script):
            continue
        folded.append((_fold_char(char, folded), place))
    return folded


def _fold_char(char: str, before: list[tuple[str, int]]) -> str:
    if char in "々ゝヽゞヾ" and before:
        repeated = before[-1][0]
        return unicodedata.normalize("NFC", repeated + "\u3099")[0] if char in "ゞヾ" else repeated
    return char.translate(_KATA_TO_HIRA)


def _kana_script(char: str) -> str:
    if "\u30a1" <= char <= "\u30fc":
        return "katakana"
    return "hiragana" if "\u3041" <= char <= "\u3096" else ""


def _goes_on(run: str, place: int, script: str) -> bool:
    """Whether the kana word before ``place`` has more of it there."""
    return place < len(run) and run[place] != "・" and (run[place] == "ー" or _kana_script(run[place]) == script)


def _parts(run: str, offset: int) -> list[tuple[str, int, int]]:
    """``iPhone15`` and ``500GB`` are also written with a space: letters and digits count apart as well."""
    parts = list(_LETTERS_OR_DIGITS.finditer(run)) if run.isascii() and len(run) <= _MAX_TERM_CHARS else []
    return (
        [(part.group().replace(",", ""), offset + part.start(), offset + part.end()) for part in parts]
        if len(parts) > 1
        else []
    )


def _joined(normal: str, grams: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """``wi-fi`` is asked for as ``wifi``: neighbours with one hyphen between them also count as one word."""
    return [
        (left[0] + right[0], left[1], right[2])
        for left, right in pairwise(grams)
        if right[1] - left[2] == 1 and normal[left[2]] in "-‐‑" and left[0].isascii() and right[0].isascii()
    ]


def _stem(word: str) -> str:
    if not word.isascii():
        return word[:_MAX_TERM_CHARS]
    stemmed: str = _local.stemmer().stemWord(word[:_MAX_TERM_CHARS])
    return stemmed


class _PerThread(threading.local):
    """SudachiPy's and Snowball's objects keep scratch memory: one of each for every thread."""

    def __init__(self) -> None:
        self._tokenizer: Tokenizer | None = None
        self._stemmer: Stemmer.Stemmer | None = None
        self._read: dict[str, MorphemeList] = {}

    def tokenizer(self) -> Tokenizer:
        if self._tokenizer is None:
            from sudachipy import SplitMode

            self._tokenizer = _dictionary().tokenizer(mode=SplitMode.A)
        return self._tokenizer

    def read(self, text: str) -> MorphemeList:
        """The morphemes of a text; a question is read for its slips and again for its terms."""
        if len(text) > _REMEMBERED_CHARS:
            return self.tokenizer().tokenize(text)
        found = self._read.get(text)
        if found is None:
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            found = self._read[text] = self.tokenizer().tokenize(text)
        return found

    def stemmer(self) -> Stemmer.Stemmer:
        if self._stemmer is None:
            self._stemmer = Stemmer.Stemmer("english", 20_000)
        return self._stemmer


_local = _PerThread()
_dictionary_lock = threading.Lock()


def _dictionary() -> Dictionary:
    with _dictionary_lock:
        return _open_dictionary()


@cache
def _open_dictionary() -> Dictionary:
    """Open on the first Japanese word: a question in English never pays for it."""
    from sudachipy import Dictionary

    return Dictionary()
