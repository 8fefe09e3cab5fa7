"""How much of one text is in another: sets of hashed character n-grams (shingles), and a sample of them to keep.

Three characters where a shingle begins with kana, kanji or hangul, six elsewhere: about as rare in either writing, and
no word need be found first. Width, case, blanks and punctuation do not count. Of a set, the members with the least
hashes are a fair sample (Broder, On the resemblance and containment of documents, 1997): which they are depends on the
shingle alone, so samples of two texts can be compared.

Use: ``shingle_sets([fold(text), …])``, ``overlap(one, other)``; ``Sample(sets).shared(others)`` for many against many.

Never: change the hash; samples are stored in the index.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence, Sized

    from numpy.typing import NDArray

__all__ = ["Sample", "Shingles", "fold", "likeness", "overlap", "shingle_sets"]

Shingles: TypeAlias = "NDArray[np.uint32]"
"""Distinct hashes, ascending."""

_NO_LETTER: Final = re.compile(r"[\W_]+")
_WIDE: Final = 0x2E80  # from here on a character is nearly a word
_FEW, _MANY = 3, 6
_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)
_OTHER: Final = np.uint64(0xC2B2AE3D27D4EB4F)
_HALF: Final = np.uint64(32)
_TOGETHER: Final = 500_000  # characters that are hashed, and shingles that are looked up, at once


def fold(text: str) -> str:
    """The letters and digits of a text, without differences that a reader does not see."""
    return _NO_LETTER.sub("", unicodedata.normalize("NFKC", text).casefold())


def shingle_sets(folded: Sequence[str]) -> list[Shingles]:
    """The shingles of each folded text; none where it is shorter than one."""
    return [shingles for first, last in _blocks(folded) for shingles in _sets(folded[first:last])]


def _blocks(parts: Sequence[Sized]) -> Iterator[tuple[int, int]]:
    """First and one-past-last place of as many parts as are looked at together, at least one."""
    first = 0
    while first < len(parts):
        last, size = first, 0
        while last < len(parts) and (last == first or size + len(parts[last]) <= _TOGETHER):
            size += len(parts[last])
            last += 1
        yield first, last
        first = last


def _sets(folded: Sequence[str]) -> list[Shingles]:
    lengths = np.array([len(text) for text in folded], dtype=np.int64)
    ends = np.cumsum(lengths + 1) - 1
    joined = "\0".join(folded) + "\0" * _MANY
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    mixed = (codes + np.uint64(1)) * _FACTOR
    mixed ^= mixed >> _HALF
    size = len(codes) - _MANY
    triple = (mixed[:-2] * _FACTOR + mixed[1:-1]) * _OTHER + mixed[2:]
    triple ^= triple >> _HALF
    wide = codes[:size] >= _WIDE
    hashes = np.where(wide, triple[:size], triple[:size] * _FACTOR + triple[_FEW : size + _FEW]) * _OTHER
    kept = (hashes >> _HALF).astype(np.uint32)
    end_of = np.repeat(ends, lengths + 1)[:size]
    whole = np.arange(size) + np.where(wide, _FEW, _MANY) <= end_of
    return [
        np.unique(kept[end - length : end][whole[end - length : end]])
        for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)
    ]


def overlap(one: Shingles, other: Shingles) -> int:
    """How many shingles two sets share."""
    return len(np.intersect1d(one, other, assume_unique=True))


def likeness(one: str, other: str) -> float:
    """Of two short folded texts, 0 to 1: what they share of their pairs of characters (Dice)."""
    if one == other:
        return 1.0
    pairs, others = ({first + second for first, second in pairwise(text)} for text in (one, other))
    return 2 * len(pairs & others) / max(1, len(pairs) + len(others))


class Sample:
    """Up to ``size`` shingles of each of many sets, to be found in others; those in more than ``common`` sets left out.

    Attributes
    ----------
    sizes
        How many of each set are looked for, int64.
    """

    def __init__(self, sets: Sequence[Shingles], size: int, common: int | None = None) -> None:
        some = [shingles[:size] for shingles in sets]
        hashes = np.concatenate([np.empty(0, dtype=np.uint32), *some])
        owners = np.repeat(np.arange(len(some)), [len(each) for each in some])
        order = np.argsort(hashes, kind="stable")
        hashes, owners = hashes[order], owners[order]
        if common is not None and len(hashes):
            _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
            rare = counts[inverse] <= common
            hashes, owners = hashes[rare], owners[rare]
        self._hashes, self._owners = hashes, owners
        self.sizes = np.bincount(owners, minlength=len(some))

    def shared(self, others: Sequence[Shingles], least: float = 0.0) -> Iterator[tuple[int, int, int]]:
        """(number of a set, number of another, how many of the first one's sample are in the other), where any are.

        ``least`` is the share of the sample below which that is of no interest.
        """
        if not len(self._hashes):
            return
        for first, last in _blocks(others):
            yield from self._shared(first, others[first:last], least)

    def _shared(self, first: int, others: Sequence[Shingles], least: float) -> Iterator[tuple[int, int, int]]:
        asked = np.concatenate(others)
        of = np.repeat(np.arange(first, first + len(others)), [len(each) for each in others])
        left = np.searchsorted(self._hashes, asked, "left")
        number = np.searchsorted(self._hashes, asked, "right") - left
        found = number > 0
        left, number, of = left[found], number[found], of[found]
        within = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
        owners = self._owners[np.repeat(left, number) + within]
        keys, counts = np.unique(owners * (first + len(others)) + np.repeat(of, number), return_counts=True)
        enough = counts >= least * self.sizes[keys // (first + len(others))]
        keys, counts = keys[enough], counts[enough]
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
            yield *divmod(key, first + len(others)), count
