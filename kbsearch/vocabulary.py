"""The words of a knowledge base: how they are spelt, how they are read aloud, in how many passages they stand.

One memory-mapped trie (marisa). Its keys are terms (of the word stream), spellings (as the text has them) and readings,
told apart by their first character. Behind each stands the number of passages, behind a reading the spelling too:
きかん is 期間 as well as 機関. :mod:`kbsearch.wording` looks up here what a question with a slip
may have meant.

marisa believes what it maps: a changed byte inside a trie may end the process. So a checksum stands behind the trie,
and is compared before the trie is opened.

Use: :func:`write_vocabulary` once, then :class:`Vocabulary` from as many threads as you like.

Never: decide here whether a question is wrong.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import marisa_trie

from kbsearch.errors import IndexCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Entry", "Vocabulary", "write_vocabulary"]

_PREFIX: Final = {"term": "t", "spelling": "s", "reading": "r"}
_COUNT = struct.Struct("<I")
_MAX_KEY_CHARS: Final = 32
_NO_KEY: Final = re.compile("[\0\ud800-\udfff]")  # the trie has no lone surrogates, and ends a key at a NUL
_SEAL: Final = struct.Struct("<4sI")  # behind the trie, where marisa does not look
_SEAL_NAME: Final = b"crc1"
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with the number of passages that hold it; ``spelling`` is what a reading is written as."""

    kind: Literal["term", "spelling", "reading"]
    key: str
    passages: int
    spelling: str = ""


def write_vocabulary(file: Path, entries: Iterable[Entry]) -> None:
    """Write the vocabulary of a knowledge base; the same entries give the same bytes, in whatever order they come."""
    items = {
        (_PREFIX[entry.kind] + entry.key, _COUNT.pack(entry.passages) + entry.spelling.encode("utf-8", "surrogatepass"))
        for entry in entries
        if len(entry.key) <= _MAX_KEY_CHARS and not _NO_KEY.search(entry.key)
    }
    trie = marisa_trie.BytesTrie(sorted(items)).tobytes()
    with file.open("wb") as target:
        target.write(trie + _SEAL.pack(_SEAL_NAME, zlib.crc32(trie)))


class Vocabulary:
    """An open vocabulary; immutable, shared between threads. With a delta it knows the words of both.

    Raises
    ------
    IndexCorrupt
        When the file is no trie, or was changed since it was written.
    """

    def __init__(self, file: Path, delta: Vocabulary | None = None) -> None:
        self._delta = delta
        self._trie = marisa_trie.BytesTrie()
        try:
            _check_seal(file)
            self._trie.mmap(str(file))
        except OSError as error:
            raise IndexCorrupt(file, "a vocabulary", error.strerror or "none") from error
        except (RuntimeError, ValueError) as error:  # marisa's message names a line of its own source
            raise IndexCorrupt(file, "a vocabulary", "no trie") from error

    def knows(self, term: str) -> bool:
        """Whether a term of the word stream occurs."""
        return _key("term", term) in self._trie or (self._delta is not None and self._delta.knows(term))

    def passages(self, spelling: str) -> int:
        """In how many passages a Latin or katakana word stands in this spelling; 0 for an unknown one."""
        found = self._trie.get(_key("spelling", spelling))
        own = int(_COUNT.unpack_from(found[0])[0]) if found else 0
        return own if self._delta is None else own + self._delta.passages(spelling)

    def spelt(self, spellings: Iterable[str]) -> list[tuple[str, int]]:
        """Those of some Latin or katakana words that are known, each with its passages: :meth:`passages` of many."""
        get, prefix = self._trie.get, _PREFIX["spelling"]
        found = [(word, get(prefix + word)) for word in spellings if not _NO_KEY.search(word)]
        known = [(word, int(_COUNT.unpack_from(values[0])[0])) for word, values in found if values]
        if self._delta is not None:
            added = Counter(dict(known))
            added.update(dict(self._delta.spelt([word for word, _ in found])))
            known = list(added.items())
        return known

    def read_as(self, reading: str) -> str:
        """The most frequent spelling of a reading, ``""`` when there is none."""
        return _most_frequent(self._readings(_key("reading", reading)))[0]

    def _readings(self, key: str) -> list[bytes]:
        own: list[bytes] = self._trie.get(key, [])
        return own if self._delta is None else own + self._delta._readings(key)  # noqa: SLF001 - one of us

    def read_from(self, kana: str) -> list[tuple[str, str, int]]:
        """Readings with which ``kana`` begins, shortest first, with their most frequent spelling and its passages."""
        return [
            (key[1:], *_most_frequent(self._readings(key)))
            for key in self._reading_keys(_key("reading", kana[:_MAX_KEY_CHARS]))
        ]

    def _reading_keys(self, start: str) -> list[str]:
        own: list[str] = self._trie.prefixes(start)
        if self._delta is None:
            return own
        return sorted({*own, *self._delta._reading_keys(start)}, key=len)  # noqa: SLF001 - one of us


def _key(kind: str, word: str) -> str:
    """A key of the trie; what no key holds becomes a character that no text holds."""
    return _PREFIX[kind] + _NO_KEY.sub("\uffff", word)


def _check_seal(file: Path) -> None:
    """Compare the trie with its checksum."""
    left, checksum = file.stat().st_size - _SEAL.size, 0
    with file.open("rb") as source:
        while left > 0 and (chunk := source.read(min(left, _CHUNK))):
            left, checksum = left - len(chunk), zlib.crc32(chunk, checksum)
        seal = source.read()
    if seal != _SEAL.pack(_SEAL_NAME, checksum):
        raise IndexCorrupt(file, "a vocabulary with its checksum", "another one")


def _most_frequent(values: Iterable[bytes]) -> tuple[str, int]:
    found = [(_COUNT.unpack_from(value)[0], value[_COUNT.size :].decode("utf-8", "surrogatepass")) for value in values]
    count, spelling = max(found, default=(0, ""), key=lambda item: (item[0], item[1]))
    return spelling, count
