"""Vectors in 8-bit codes, each with a scale of its own: a fourth of the bytes, and exact enough to compare texts.

On disk, in a folder: ``codes.npy``, int8 of shape (vectors, dimension); ``scales.npy``, float32; ``keys.npy``, the
SHA-256 of what was encoded, by which the next build finds its vector (:class:`kbsearch.known.InCodes`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kbsearch.arrays import map_sound_array
from kbsearch.errors import IndexCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray

__all__ = ["open_coded", "write_coded"]

_LEVELS: Final = 127
_SCALE_BITS: Final = 16


def write_coded(folder: Path, keys: Sequence[str], blocks: Iterable[FloatArray], dimension: int) -> None:
    """Write vectors in their order, given some at a time; ``keys`` are hexadecimal SHA-256.

    Raises
    ------
    OSError
        When the disk does not take them.
    """
    digests = np.frombuffer(bytes.fromhex("".join(keys)), np.uint8).reshape(len(keys), 32)
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
    codes, scales = (map_sound_array(folder / f"{name}.npy", name) for name in ("codes", "scales"))
    _check(folder / "codes.npy", codes, np.int8, (len(codes) if codes.ndim else 0, dimension))
    _check(folder / "scales.npy", scales, np.float32, (len(codes),))
    return np.asarray(codes), np.asarray(scales)


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
