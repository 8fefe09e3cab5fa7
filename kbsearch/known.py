"""Vectors where they lie: found by the key of their text, and read from their file when they are wanted.

A million vectors are a gigabyte and a half. A build that goes on from the last one, or from one that was killed, needs
to know at once which texts have a vector, and the vector itself once, when it is written. So what is held in memory is
the place of each.

Use: ``known = Known(dimension, [InFile(...), InMemory(...)])``, ``key in known``, ``known.stacked(keys)``.

Never: map the files. What was read through a map counts as this process's memory until somebody else wants it.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

import numpy as np

from kbsearch.arrays import map_array
from kbsearch.errors import IndexCorrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Self

    from kbsearch.model import FloatArray

    _Read = Callable[[int, FloatArray], None]

__all__ = ["InFile", "InMemory", "Known"]

_BLOCK = 4096


class InFile:
    """Vectors at equal distances in a file that may still grow.

    Parameters
    ----------
    file
        Of float32, little-endian.
    first, distance
        Bytes before the first vector, and from one to the next.
    places
        The number of the vector of each key.
    """

    def __init__(self, file: Path, first: int, distance: int, places: dict[str, int]) -> None:
        self._file, self._first, self._distance = file, first, distance
        self.places = places

    @classmethod
    def matrix(cls, file: Path, places: dict[str, int], rows: int | None = None) -> Self:
        """The rows of a ``.npy`` file of two dimensions; ``rows`` is how many there must be.

        Raises
        ------
        IndexCorrupt
            When it is something else.
        """
        matrix = map_array(file)
        if matrix.ndim != 2 or matrix.dtype != np.float32 or not matrix.flags.c_contiguous:  # noqa: PLR2004 - a matrix
            raise IndexCorrupt(file, "a float32 matrix", f"{matrix.dtype} of {matrix.ndim} dimensions")
        if len(matrix) != (len(matrix) if rows is None else rows) or max(places.values(), default=-1) >= len(matrix):
            raise IndexCorrupt(file, f"{rows or len(places)} vectors", str(len(matrix)))
        return cls(file, matrix.offset, matrix.strides[0], places)

    @contextmanager
    def opened(self) -> Iterator[_Read]:
        """Give what reads a vector, by its place, into an array."""
        with self._file.open("rb", buffering=0) as source:

            def read(place: int, vector: FloatArray) -> None:
                source.seek(self._first + place * self._distance)
                if source.readinto(vector.data.cast("B")) != vector.nbytes:
                    raise IndexCorrupt(self._file, f"a vector in place {place}", "its end")

            yield read


class InMemory:
    """A few vectors, float32 of shape (len(keys), dimension), by their keys."""

    def __init__(self, keys: Sequence[str], vectors: FloatArray) -> None:
        self._vectors = vectors
        self.places: Mapping[str, int] = {key: place for place, key in enumerate(keys)}

    @contextmanager
    def opened(self) -> Iterator[_Read]:
        """As :meth:`InFile.opened`."""

        def read(place: int, vector: FloatArray) -> None:
            vector[:] = self._vectors[place]

        yield read


class Part(Protocol):
    """Some vectors that are there."""

    @property
    def places(self) -> Mapping[str, int]:
        """The number of the vector of each key."""

    def opened(self) -> AbstractContextManager[Callable[[int, FloatArray], None]]:
        """Give what reads a vector, by its place, into an array."""


class Known:
    """All vectors that a build need not compute, or has computed.

    Parameters
    ----------
    dimension
        Of every vector.
    parts
        Of those that know a key, the first is asked.
    """

    def __init__(self, dimension: int, parts: Sequence[Part]) -> None:
        self._dimension, self._parts = dimension, parts

    def __contains__(self, key: str) -> bool:
        return any(key in part.places for part in self._parts)

    def stacked(self, keys: Sequence[str]) -> FloatArray:
        """Vectors in the order of their keys, float32 of shape (len(keys), dimension).

        Raises
        ------
        KeyError
            For a text that has none.
        """
        vectors = np.empty((len(keys), self._dimension), dtype=np.float32)
        with ExitStack() as stack:
            parts = [(part.places, stack.enter_context(part.opened())) for part in self._parts if part.places]
            for row, key in enumerate(keys):
                for places, read in parts:
                    if (place := places.get(key)) is not None:
                        read(place, vectors[row])
                        break
                else:
                    raise KeyError(key)
        return vectors

    def blocks(self, keys: Sequence[str]) -> Iterator[FloatArray]:
        """The same, some thousand at a time: nobody has to hold them all."""
        for start in range(0, len(keys), _BLOCK):
            yield self.stacked(keys[start : start + _BLOCK])
