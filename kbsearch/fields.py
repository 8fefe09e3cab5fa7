"""Which terms stand in the title, the last heading and the alias of each row, for the features of the ranking.

Two memory-mapped arrays: ``terms`` holds 32-bit hashes, ``offsets`` says where those of a slot begin. A row has six
slots: title, heading and alias, each as words and as grams. Two terms with one hash are taken for one; among the few
dozen of a slot that happens about once in a hundred million.

Use: :func:`pack_fields` once, then :meth:`FieldIndex.overlap` for the rows of a pool.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch.errors import IndexCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray

__all__ = ["SLOTS", "FieldIndex", "Overlap", "pack_fields"]

SLOTS: Final = ("title words", "title grams", "heading words", "heading grams", "alias words", "alias grams")
"""Order of the slots of a row; words at even places, grams at odd ones."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """What a question and the slots of some rows have in common; float32, shape (rows, 6), from 0 to 1.

    ``cover`` is the share of the question's idf mass that the slot holds, ``reverse`` the share of the slot's distinct
    terms that the question holds; both 0 for an empty slot.
    """

    cover: FloatArray
    reverse: FloatArray


def pack_fields(rows: Iterable[Sequence[Iterable[str]]]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The two arrays for the terms of each row's six slots, in the order of ``SLOTS``; repeated terms count once."""
    hashes: list[int] = []
    offsets = [0]
    memory: dict[tuple[str, str], int] = {}
    for slots in rows:
        for place, terms in enumerate(slots):
            stream = "wg"[place % 2]
            distinct = set()
            for term in terms:
                key = (stream, term)
                if key not in memory:
                    memory[key] = _hash(stream, term)
                distinct.add(memory[key])
            hashes.extend(sorted(distinct))
            offsets.append(len(hashes))
    return np.array(hashes, dtype=np.uint32), np.array(offsets, dtype=np.int64)


class FieldIndex:
    """The open arrays; immutable, shared between threads.

    Parameters
    ----------
    terms, offsets
        As :func:`pack_fields` gave them, or maps of the same.
    """

    def __init__(self, terms: NDArray[np.uint32], offsets: NDArray[np.int64]) -> None:
        self._terms = terms
        self._offsets = offsets

    def overlap(self, rows: RowArray, words: Mapping[str, float], grams: Mapping[str, float]) -> Overlap:
        """Compare a question with the slots of rows.

        Parameters
        ----------
        rows
            int64, shape (n,).
        words, grams
            Distinct terms of the question with their idf.

        Raises
        ------
        IndexCorrupt
            When the arrays do not fit each other.
        """
        slots = (rows[:, np.newaxis] * len(SLOTS) + np.arange(len(SLOTS))).ravel()
        starts = self._offsets[slots]
        lengths = self._offsets[slots + 1] - starts
        if len(slots) and (lengths.min() < 0 or starts.min() < 0 or (starts + lengths).max() > len(self._terms)):
            raise IndexCorrupt("columns/field_offsets.npy", "places inside the terms", "places outside")
        owner = np.repeat(np.arange(len(slots)), lengths)
        places = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + np.repeat(starts, lengths)
        asked, weights = _question(words, grams)
        if len(asked) == 0 or len(owner) == 0:
            empty = np.zeros((len(rows), len(SLOTS)), dtype=np.float32)
            return Overlap(empty, empty)
        found = self._terms[places]
        # Most terms of a slot are not asked for: those are sorted out by the low half of their hash, in one look-up.
        low = np.zeros(1 << 16, dtype=bool)
        low[asked & 0xFFFF] = True
        maybe = np.flatnonzero(low[found & 0xFFFF])
        found, owner = found[maybe], owner[maybe]
        match = np.minimum(np.searchsorted(asked, found), len(asked) - 1)
        hit = asked[match] == found
        mass = np.bincount(owner[hit], weights=weights[match[hit]], minlength=len(slots))
        shared = np.bincount(owner[hit], minlength=len(slots))
        totals = np.tile([sum(words.values()) or 1.0, sum(grams.values()) or 1.0], len(slots) // 2)
        shape = (len(rows), len(SLOTS))
        return Overlap(
            cover=(mass / totals).astype(np.float32).reshape(shape),
            reverse=(shared / np.maximum(lengths, 1)).astype(np.float32).reshape(shape),
        )


def _question(words: Mapping[str, float], grams: Mapping[str, float]) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    pairs = {_hash("w", term): idf for term, idf in words.items()} | {
        _hash("g", term): idf for term, idf in grams.items()
    }
    hashes = np.array(list(pairs), dtype=np.uint32)
    order = np.argsort(hashes)
    return hashes[order], np.array(list(pairs.values()))[order]


def _hash(stream: str, term: str) -> int:
    return zlib.crc32(f"{stream}{term}".encode("utf-8", "surrogatepass"))
