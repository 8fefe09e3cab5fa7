"""Text to token ids as multilingual-e5-small wants them: a Unigram model over a memory-mapped trie.

Use: ``Tokenizer.load(folder)`` opens what :func:`write` left there; ``tokenizer.ids(text)`` gives the ids of
``<s> text </s>``. Opening costs nothing, because the trie is used where it lies and nothing is built.

The recipe is sentencepiece's: normalise (NFKC with a few exceptions, white space to one space), put ``▁`` before each
word, and take of all ways to cut a word into pieces the one with the highest sum of scores (Viterbi; Kudo 2018,
arXiv:1804.10959). A character that no piece covers costs the worst score less 10, and neighbours of that kind
become one ``<unk>``. The cutting is compiled (:mod:`kbsearch.embed.pieces`).

The trie is a hash table of its edges, 64 bits each: parent in the bits from 41, character from 20, child from 0. A
node that ends a piece has the piece's number, the root and the others have numbers behind. The key of an edge is what
stands above its child; ``hash`` is the upper half of the low 64 bits of the key times an odd constant. The edge lies at
``hash * size >> 32``, or at the first free place behind.

Never: give ``<s>``, ``<mask>`` and their like a meaning when they stand in a text; they are characters there.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from typing import TYPE_CHECKING

import numpy as np

from kbsearch.embed.pieces import NO_LIMIT, Pieces

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray

__all__ = ["Tokenizer", "normalise", "write"]

BOS, PAD, EOS, UNK = 0, 1, 2, 3
FILES = ("pieces.trie", "pieces.scores")
UNKNOWN_PENALTY = 10.0
WORD = "▁"
ROOM = 4 / 3
"""Places for each edge. A look-up that fails meets a free one after 7 on the average, others end after 1."""

FREE = np.uint64(0xFFFFFFFFFFFFFFFF)
FACTOR = np.uint64(0x9E3779B97F4A7C15)
NODES = 1 << 20

# The model was trained with NFKC as sentencepiece has it ("nmt_nfkc"). It differs from Unicode's in these:
# most control characters vanish, and invisible ones separate words. The full-width tilde, which Japanese
# writes as a wave, stays as it is (see `normalise`).
VANISH = [*range(0x01, 0x09), 0x0B, *range(0x0E, 0x20), 0x7F, 0x8F, 0x9F]
SEPARATE = [0x09, 0x0A, 0x0C, 0x0D, 0x1680, *range(0x200B, 0x2010), 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD]
CHARACTERS = {**dict.fromkeys(VANISH, ""), **dict.fromkeys(SEPARATE, " ")}
TRANSLATED = re.compile(f"[{re.escape(''.join(chr(c) for c in CHARACTERS if c in VANISH or not chr(c).isspace()))}]")
"""White space that is to separate does so anyhow, and most texts hold no other of :data:`CHARACTERS`."""

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
    if TRANSLATED.search(text):
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
    """Write the trie of ``pieces`` and ``scores``, float32 of shape ``(len(pieces),)``.

    The first four pieces and the last are special and left out.
    """
    first, last = UNK + 1, len(pieces) - 1
    _hashed(_edges(pieces[first:last], np.arange(first, last), len(pieces))).tofile(folder / FILES[0])
    kept = np.zeros(len(pieces), np.float32)
    kept[first:last] = scores[first:last]
    kept.tofile(folder / FILES[1])


def _edges(pieces: Sequence[str], numbers: NDArray[np.int64], root: int) -> NDArray[np.uint64]:
    """Edges of the trie, in no order; ``numbers`` are the nodes that the pieces end at."""
    lengths = np.array([len(piece) for piece in pieces])
    longest = int(lengths.max())
    letters = np.array(pieces, f"<U{longest}").view(np.uint32).reshape(-1, longest).astype(np.uint64)
    parents, behind = np.full(len(pieces), root, np.uint64), root + 1
    found: list[NDArray[np.uint64]] = []
    for depth in range(longest):
        here = np.flatnonzero(lengths > depth)
        keys, place = np.unique(parents[here] << np.uint64(21) | letters[here, depth], return_inverse=True)
        ends = lengths[here] == depth + 1
        children = np.zeros(len(keys), np.uint64)
        children[place[ends]] = numbers[here[ends]]
        inner = np.flatnonzero(children == 0)
        children[inner] = np.arange(behind, behind + len(inner))
        behind += len(inner)
        parents[here] = children[place]
        found.append(keys << np.uint64(20) | children)
    if behind > NODES:
        raise ValueError(f"a trie of {behind} nodes, and 20 bits for their numbers")
    return np.concatenate(found)


def _hashed(edges: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Edges in their places: each goes on to the next place as long as another one has the one before."""
    table = np.full(int(len(edges) * ROOM) + 1, FREE)
    places = ((edges >> np.uint64(20)) * FACTOR >> np.uint64(32)) * np.uint64(len(table)) >> np.uint64(32)
    while len(edges):
        free = np.flatnonzero(table[places] == FREE)
        _, first = np.unique(places[free], return_index=True)
        table[places[free[first]]] = edges[free[first]]
        left = np.ones(len(edges), bool)
        left[free[first]] = False
        edges, places = edges[left], (places[left] + np.uint64(1)) % np.uint64(len(table))
    return table


class Tokenizer:
    """Safe to share between threads: nothing in it changes.

    Parameters
    ----------
    edges, scores
        See :meth:`load`.
    """

    def __init__(self, edges: NDArray[np.uint64], scores: FloatArray) -> None:
        self._pieces = Pieces(edges, scores, float(scores.min()) - UNKNOWN_PENALTY)

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Open the files that :func:`write` left in ``folder``."""
        return cls(np.memmap(folder / FILES[0], np.uint64, "r"), np.memmap(folder / FILES[1], np.float32, "r"))

    def ids(self, text: str, limit: int = NO_LIMIT) -> NDArray[np.int32]:
        """Token ids of ``text`` between ``<s>`` and ``</s>``; at most ``limit``, 2 or more, cut off at the end."""
        words = normalise(text)
        if not words:
            return np.array([BOS, EOS], np.int32)
        pieces = self._pieces.segment(WORD + WORD.join(words), limit)[: limit - 2]
        ids = np.empty(len(pieces) + 2, np.int32)
        ids[0], ids[1:-1], ids[-1] = BOS, pieces, EOS
        return ids
