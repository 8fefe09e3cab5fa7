"""Words that mean the same in one knowledge base, from a file that its editors write.

::

    # one group a line, or one way only
    返品, 返却, 送り返す
    無線LAN, Wi-Fi
    スマホ => スマートフォン, 携帯電話

In a group each phrase stands for every other; left of an arrow (``=>`` or ``⇒``) it stands for those on its right.
Commas may be full-width, ``#`` begins a comment. The format is that of Solr and Elasticsearch.

A phrase is found in a question by its terms, as the analyser cuts them, so that spelling variants of it are found too;
where the analyser cuts the question elsewhere, a Japanese phrase is also found by its letters, but not inside other
words: パス is not in パスワード, nor 京都 in 東京都.

Use: ``rules = parse_synonyms(text, file)`` at build time; ``Synonyms(rules).wordings(question)`` for each question.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kbsearch.errors import ConfigError
from kbsearch.text import Analysis, Span, analyse, hiragana, japanese_share, normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["MAX_WORDINGS", "Rules", "Synonyms", "parse_synonyms", "read_synonyms"]

Rules = dict[str, tuple[str, ...]]
"""For each phrase what it may be replaced by."""

MAX_WORDINGS: Final = 3
"""So many further wordings of one question at most: each is searched for and encoded."""

FILE_NAME: Final = "synonyms.txt"
MAX_BYTES: Final = 5_000_000

_ARROW: Final = re.compile(r"\s*(?:=>|->|⇒|→)\s*")
_WIDE_SIGNS: Final = str.maketrans("＃＝＞", "#=>")
_COMMENT: Final = re.compile(r"(?:^|\s)#.*")  # C# is a word
_COMMA: Final = re.compile(r"\s*[,、，]\s*")
_ONE_WORD: Final = re.compile("[ァ-ヺー]{2}|[a-z0-9]{2}")
_ONE_WORD_OR_TERM: Final = re.compile(_ONE_WORD.pattern + "|[々一-鿿]{2}")
_MAX_PHRASE: Final = 100
_LEAST_LETTERS: Final = 2


def parse_synonyms(text: str, source: Path | str) -> Rules:
    """Read the rules of a file.

    Raises
    ------
    ConfigError
        Names the file and the line that is no rule.
    """
    rules: dict[str, list[str]] = defaultdict(list)
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        line = _COMMENT.sub("", raw.translate(_WIDE_SIGNS)).strip()
        if not line:
            continue
        sides = [_phrases(side, f"{source}:{number}") for side in _ARROW.split(line)]
        if len(sides) == 1 and len(set(sides[0])) > 1:
            pairs = [(phrase, other) for phrase in sides[0] for other in sides[0] if other != phrase]
        elif len(sides) == 2 and sides[0] and sides[1]:  # noqa: PLR2004 - left and right
            pairs = [(phrase, other) for phrase in sides[0] for other in sides[1] if other != phrase]
        else:
            raise ConfigError(
                f"{source}:{number}", "expected “返品, 返却” (a group) or “スマホ => スマートフォン” (one way)"
            )
        for phrase, other in pairs:
            if other not in rules[phrase]:
                rules[phrase].append(other)
    return {phrase: tuple(others) for phrase, others in rules.items()}


def read_synonyms(articles: Path, given: Path | str | None) -> Rules:
    """The rules of a given file, else of ``synonyms.txt`` in the folder of articles, else none.

    Raises
    ------
    ConfigError
        For a file that cannot be read or holds no rules; names the line where there is one.
    """
    file = articles / FILE_NAME if given is None else Path(given)
    try:
        raw = file.read_bytes()
    except OSError as error:
        if given is None and not _is_there(file):
            return {}
        raise ConfigError(file, f"cannot read the synonyms: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(file, f"synonyms of more than {MAX_BYTES:,} bytes")
    try:
        return parse_synonyms(raw.decode("utf-8"), file)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{file}:{line}", "this is not UTF-8") from error


def _is_there(file: Path) -> bool:
    """Whether a file can be seen; what is wrong with its folder is said when that is listed."""
    try:
        return file.exists() or file.is_symlink()
    except OSError:
        return False


def _phrases(side: str, place: str) -> list[str]:
    phrases = [phrase for phrase in _COMMA.split(side.strip()) if phrase]
    for phrase in phrases:
        if len(phrase) > _MAX_PHRASE:
            raise ConfigError(place, f"“{phrase[:20]}…” is longer than {_MAX_PHRASE} characters")
        analysis = analyse(phrase)
        if not (analysis.words.terms or analysis.grams.terms):
            raise ConfigError(place, f"“{phrase}” holds no word")
    return phrases


class Synonyms:
    """The rules, ready for questions; immutable, shared between threads."""

    def __init__(self, rules: Mapping[str, Iterable[str]]) -> None:
        self._others = {phrase: tuple(others) for phrase, others in rules.items()}
        self._by_term: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
        self._by_letters: list[tuple[str, str]] = []
        for phrase in self._others:
            terms = analyse(phrase).words.terms
            if terms:
                self._by_term[terms[0]].append((terms, phrase))
            letters = _folded(normalise(phrase)[0])
            if len(letters) >= _LEAST_LETTERS and japanese_share(phrase) > 0:
                self._by_letters.append((letters, phrase))

    @property
    def phrases(self) -> int:
        """For how many phrases there are others."""
        return len(self._others)

    def wordings(self, question: str) -> list[str]:
        """The question with each phrase of a rule replaced: by the first of its others, by the second, and so on."""
        if not self._others:
            return []
        places = self._found(question, analyse(question))
        count = min(max((len(self._others[phrase]) for _, phrase in places), default=0), MAX_WORDINGS)
        return [self._replaced(question, places, turn) for turn in range(count)]

    def _found(self, question: str, analysis: Analysis) -> list[tuple[Span, str]]:
        """Places of phrases, left to right, the longest of those that overlap."""
        terms, spans = analysis.words.terms, analysis.words.spans
        found: list[tuple[Span, str]] = []
        for start, term in enumerate(terms):
            for wanted, phrase in self._by_term.get(term, ()):
                if terms[start : start + len(wanted)] == wanted:
                    found.append(((spans[start][0], spans[start + len(wanted) - 1][1]), phrase))
        normal, origin = normalise(question)
        folded, inner = _folded(normal), {place for start, end in spans for place in range(start + 1, end)}
        for letters, phrase in self._by_letters:
            place = folded.find(letters)
            while place >= 0:
                end = place + len(letters)
                span = (place, end) if origin is None else (origin[place][0], origin[end - 1][1])
                edges = ((place, span[0]), (end, span[1]))
                if not any(_goes_on(normal, edge, in_term=original in inner) for edge, original in edges):
                    found.append((span, phrase))
                place = folded.find(letters, end)
        found.sort(key=lambda item: (item[0][0] - item[0][1], item[0][0], item[1]))
        chosen: list[tuple[Span, str]] = []
        taken = bytearray(len(question))
        for (first, last), phrase in found:
            if not any(taken[first:last]):
                taken[first:last] = b"\1" * (last - first)
                chosen.append(((first, last), phrase))
        return sorted(chosen)

    def _replaced(self, question: str, places: list[tuple[Span, str]], turn: int) -> str:
        parts: list[str] = []
        done = 0
        for (start, end), phrase in places:
            others = self._others[phrase]
            other = others[turn % len(others)]
            spaced = f" {other} " if other.isascii() and not other.isspace() else other
            parts += [question[done:start], spaced]
            done = end
        return "".join([*parts, question[done:]]).strip()


def _goes_on(normal: str, place: int, *, in_term: bool) -> bool:
    """Whether a word goes on across a place; one in kanji only if the analyser does not cut there."""
    return place > 0 and (_ONE_WORD if not in_term else _ONE_WORD_OR_TERM).match(normal, place - 1) is not None


def _folded(normal: str) -> str:
    """Character by character, so that places stay."""
    return hiragana(normal)
