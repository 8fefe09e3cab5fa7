"""Vectors in 8-bit codes, each with a scale of its own: a fourth of the bytes, and exact enough to compare texts.

On disk, in a folder: ``codes.npy``, int8 of shape (vectors, dimension); ``scales.npy``, float32; ``keys.npy``, the
SHA-256 of what was encoded, by which the next build finds its vector (:class:`InCodes`).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kbsearch.arrays import map_sound_array
from kbsearch.errors import IndexCorrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray

__all__ = ["InCodes", "open_coded", "write_coded"]

_LEVELS: Final = 127
_SCALE_BITS: Final = 16
_KEY_BYTES: Final = 32


def write_coded(folder: Path, keys: Sequence[str], blocks: Iterable[FloatArray], dimension: int) -> None:
    """Write vectors in their order, given some at a time; ``keys`` are hexadecimal SHA-256.

    Raises
    ------
    OSError
        When the disk does not take them.
    """
    digests = np.frombuffer(bytes.fromhex("".join(keys)), np.uint8).reshape(len(keys), _KEY_BYTES)
    np.save(folder / "keys.npy", digests)
    codes = np.lib.format.open_memmap(folder / "codes.npy", "w+", np.int8, (len(keys), dimension))
    scales, done = np.empty(len(keys), np.float32), 0
    for block in blocks:
        scale = _short(np.abs(block).max(axis=1, initial=np.finfo(np.float32).tiny) / np.float32(_LEVELS))
        scales[done : done + len(block)] = scale
        codes[done : done + len(block)] = np.rint(block / scale[:, np.newaxis])
        done += len(block)
    codes.flush()
    np.save(folder / "scales.npy", scales)


def open_coded(folder: Path, dimension: int) -> tuple[NDArray[np.int8], FloatArray]:
    """Map codes and scales.

    Raises
    ------
    IndexCorrupt
        When the folder holds something else.
    """
    codes, scales = _mapped(folder, dimension)
    return np.asarray(codes), np.asarray(scales)


class InCodes:
    """What a folder keeps, for :class:`kbsearch.known.Known`.

    Parameters
    ----------
    folder, dimension
        Where they are, and how long each is.
    wanted
        Only those with these numbers: a build after a few edits has no use for a million keys.

    Raises
    ------
    IndexCorrupt
        When the folder holds something else. One without vectors knows no key.
    """

    def __init__(self, folder: Path, dimension: int, wanted: Iterable[int] | None = None) -> None:
        self._file, self._dimension = folder / "codes.npy", dimension
        self.places: dict[str, int] = {}
        if not self._file.exists():
            return
        codes, scales = _mapped(folder, dimension)
        keys = map_sound_array(folder / "keys.npy", "keys")
        _check(folder / "keys.npy", keys, np.uint8, (len(codes), _KEY_BYTES))
        self._first, self._scales = codes.offset, np.array(scales)
        for place in range(len(keys)) if wanted is None else wanted:
            if place >= len(keys):
                raise IndexCorrupt(folder, f"at least {place + 1} vectors", str(len(keys)))
            self.places[keys[place].tobytes().hex()] = place

    @contextmanager
    def opened(self) -> Iterator[Callable[[int, FloatArray], None]]:
        """As :meth:`kbsearch.known.InFile.opened`."""
        codes = np.empty(self._dimension, np.int8)
        with self._file.open("rb", buffering=0) as source:

            def read(place: int, vector: FloatArray) -> None:
                source.seek(self._first + place * self._dimension)
                if source.readinto(codes.data) != codes.nbytes:
                    raise IndexCorrupt(self._file, f"a vector in place {place}", "its end")
                np.multiply(codes, self._scales[place], out=vector)

            yield read


def _mapped(folder: Path, dimension: int) -> tuple[np.memmap[Any, Any], np.memmap[Any, Any]]:
    codes, scales = (map_sound_array(folder / f"{name}.npy", name) for name in ("codes", "scales"))
    _check(folder / "codes.npy", codes, np.int8, (len(codes) if codes.ndim else 0, dimension))
    _check(folder / "scales.npy", scales, np.float32, (len(codes),))
    return codes, scales


def _check(file: Path, found: NDArray[Any], dtype: type, shape: tuple[int, ...]) -> None:
    if found.shape != shape or found.dtype != dtype or not found.flags.c_contiguous or not found.flags.aligned:
        raise IndexCorrupt(file, f"{np.dtype(dtype)} of shape {shape}", f"{found.dtype} of shape {found.shape}")


def _short(scales: FloatArray) -> FloatArray:
    """Scales rounded up to 16 significant bits.

    Then a code times its scale is exact, and what a build reads back and writes again is the same, bit for bit.
    """
    mantissas, exponents = np.frexp(scales)
    short: FloatArray = np.ldexp(np.ceil(np.ldexp(mantissas, _SCALE_BITS)), exponents - _SCALE_BITS)
    return short
