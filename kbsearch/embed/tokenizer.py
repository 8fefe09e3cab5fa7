"""Text to token ids as multilingual-e5-small wants them: a Unigram model over a memory-mapped trie.

Use: ``Tokenizer.load(folder)`` opens what :func:`write` left there; ``tokenizer.ids(text)`` gives the ids of
``<s> text </s>``. Opening costs a millisecond, because the trie is used where it lies and nothing is built.

The recipe is sentencepiece's: normalise (NFKC with a few exceptions, white space to one space), put ``▁`` before each
word, and take of all ways to cut a word into pieces the one with the highest sum of scores (Viterbi; Kudo 2018,
arXiv:1804.10959). A character that no piece covers costs the worst score less 10, and neighbours of that kind
become one ``<unk>``.

Never: give ``<s>``, ``<mask>`` and their like a meaning when they stand in a text; they are characters there.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import marisa_trie
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kbsearch.model import FloatArray

__all__ = ["Tokenizer", "normalise", "write"]

BOS, PAD, EOS, UNK = 0, 1, 2, 3
FILES = ("pieces.marisa", "pieces.ids", "pieces.scores")
UNKNOWN_PENALTY = 10.0
LONGEST_PIECE = 16
LONGEST_CACHED = 24
"""Words of more characters are mostly unspaced Japanese: they hardly come twice."""

# The model was trained with NFKC as sentencepiece has it ("nmt_nfkc"). It differs from Unicode's in these:
# most control characters vanish, and invisible ones separate words. The full-width tilde, which Japanese
# writes as a wave, stays as it is (see `normalise`).
VANISH = [*range(0x01, 0x09), 0x0B, *range(0x0E, 0x20), 0x7F, 0x8F, 0x9F]
SEPARATE = [0x09, 0x0A, 0x0C, 0x0D, 0x1680, *range(0x200B, 0x2010), 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD]
CHARACTERS = {**dict.fromkeys(VANISH, ""), **dict.fromkeys(SEPARATE, " ")}
SURROGATES = re.compile("[\ud800-\udfff]")
TILDE = "～"
LONG_RUN = re.compile("(?:[^\\w\\s]|[ﾞﾟ]){64,}")
"""May hold a long run of combining marks: these are no word characters, save the half-width voicing marks."""


def normalise(text: str) -> list[str]:
    """Words of ``text`` as the model knows them, without the leading ``▁``; whatever separates them is gone.

    Lone surrogates, which no file can hold, count as the replacement character: they separate words.
    """
    if not text.isascii():
        text = SURROGATES.sub(" ", text)
    text = text.translate(CHARACTERS)
    if not text.isascii():
        text = TILDE.join(unicodedata.normalize("NFKC", LONG_RUN.sub(_ordered, part)) for part in text.split(TILDE))
    return text.split()


def _ordered(run: re.Match[str]) -> str:
    """Decompose a run and put its combining marks in canonical order, which changes nothing of what NFKC gives.

    Left to itself, ``unicodedata.normalize`` takes the square of a run's length: 5 s for 100,000 marks.
    """
    characters = [part for character in run[0] for part in unicodedata.normalize("NFKD", character)]
    groups = itertools.groupby(characters, lambda character: unicodedata.combining(character) > 0)
    return "".join("".join(sorted(group, key=unicodedata.combining) if marks else group) for marks, group in groups)


def write(folder: Path, pieces: Sequence[str], scores: FloatArray) -> None:
    """Write the trie of ``pieces`` and, in the order of its keys, their ids (int32) and scores (float64).

    ``scores`` has shape ``(len(pieces),)``. The first four pieces and the last are special and left out.
    """
    ids = {piece: number for number, piece in enumerate(pieces) if UNK < number < len(pieces) - 1}
    trie = marisa_trie.Trie(ids)
    order = np.empty(len(trie), np.int32)
    for piece, key in trie.items():
        order[key] = ids[piece]
    trie.save(str(folder / FILES[0]))
    order.tofile(folder / FILES[1])
    scores[order].astype(np.float64).tofile(folder / FILES[2])


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """The trie, and by its keys: piece id and score. Memory views, because they index faster than arrays."""

    trie: marisa_trie.Trie
    ids: memoryview
    scores: memoryview
    unknown: float


class Tokenizer:
    """Safe to share between threads: the trie is read-only and the cache is a locked one.

    Parameters
    ----------
    vocabulary
        See :meth:`load`.
    cached
        How many words to remember with their ids; 0 for none.
    """

    def __init__(self, vocabulary: _Vocabulary, cached: int = 50_000) -> None:
        self._vocabulary = vocabulary
        self._cached = lru_cache(maxsize=cached)(self._segment)

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Open the files that :func:`write` left in ``folder``."""
        trie = marisa_trie.Trie()
        trie.mmap(str(folder / FILES[0]))
        ids = np.fromfile(folder / FILES[1], np.int32)
        scores = np.fromfile(folder / FILES[2], np.float64)
        if not len(trie) == len(ids) == len(scores):
            raise ValueError(f"the vocabulary in {folder} has parts of different lengths")
        return cls(_Vocabulary(trie, ids.data, scores.data, float(scores.min()) - UNKNOWN_PENALTY))

    def ids(self, text: str, limit: int | None = None) -> list[int]:
        """Token ids of ``text`` between ``<s>`` and ``</s>``; at most ``limit`` of them, cut off at the end."""
        ids = [BOS]
        for word in normalise(text):
            ids += self._cached(word) if len(word) <= LONGEST_CACHED else self._segment(word)
            if limit is not None and len(ids) >= limit:
                del ids[limit - 1 :]
                break
        ids.append(EOS)
        return ids

    def _segment(self, word: str) -> tuple[int, ...]:
        """Ids of the best cut of ``▁word``."""
        vocabulary = self._vocabulary
        word = "▁" + word
        size = len(word)
        best = [-1e30] * (size + 1)
        best[0] = 0.0
        piece = [UNK] * (size + 1)
        start = [0] * (size + 1)
        prefixes, scores = vocabulary.trie.iter_prefixes_with_ids, vocabulary.scores
        # 1. Forward: the best way to reach each position. No piece is longer than LONGEST_PIECE characters.
        for i in range(size):
            reached = best[i]
            single = False
            for prefix, key in prefixes(word[i : i + LONGEST_PIECE]):
                end = i + len(prefix)
                score = reached + scores[key]
                single = single or end == i + 1
                if score > best[end]:
                    best[end], piece[end], start[end] = score, key, i
            if not single and reached + vocabulary.unknown > best[i + 1]:
                best[i + 1], piece[i + 1], start[i + 1] = reached + vocabulary.unknown, -1, i
        # 2. Backward: read the pieces off.
        ids: list[int] = []
        at = size
        while at > 0:
            key = piece[at]
            if key >= 0:
                ids.append(vocabulary.ids[key])
            elif not ids or ids[-1] != UNK:
                ids.append(UNK)
            at = start[at]
        return tuple(reversed(ids))
