"""Vectors of a build that is not published yet, so that a killed build need not encode again what it had.

A header line, then records of equal size: SHA-256 of the text (32 bytes), the vector (float32, little-endian), CRC-32
of both. A torn or damaged record ends the journal; nothing before it is lost.

Use: ``journal = Journal(file, fingerprint, dimension)``, ``journal.known``, ``journal.append(keys, vectors)``, and
``journal.discard()`` after publishing.

Never: share one between two writers; the store's lock sees to that.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kbsearch.model import FloatArray

__all__ = ["Journal"]

_KEY_BYTES = 32
_CRC_BYTES = 4


class Journal:
    """An append-only file of vectors for one encoder.

    Parameters
    ----------
    file
        Made when something is appended first. One written for another encoder is replaced.
    fingerprint, dimension
        Of the encoder.

    Attributes
    ----------
    known
        float32 vectors of shape (dimension,) by the hexadecimal SHA-256 of their text.
    """

    def __init__(self, file: Path, fingerprint: str, dimension: int) -> None:
        self._file = file
        self._header = f"kbsearch vectors {dimension} {fingerprint}\n".encode()
        self._dimension = dimension
        self.known: dict[str, FloatArray] = {}
        self._end = self._load()

    def append(self, keys: Sequence[str], vectors: FloatArray) -> None:
        """Remember vectors, float32 of shape (len(keys), dimension), of the texts with these keys."""
        if self._end == 0:
            self._file.write_bytes(self._header)
            self._end = len(self._header)
        with self._file.open("r+b") as target:
            target.truncate(self._end)
            target.seek(self._end)
            for key, vector in zip(keys, vectors, strict=True):
                record = bytes.fromhex(key) + vector.astype("<f4").tobytes()
                target.write(record + zlib.crc32(record).to_bytes(_CRC_BYTES, "little"))
                self.known[key] = vector
            self._end = target.tell()

    def discard(self) -> None:
        """Remove the file: what it held is published."""
        self._file.unlink(missing_ok=True)
        self._end = 0

    def _load(self) -> int:
        """Read what is sound; returns where the next record goes, 0 when there is no journal for this encoder."""
        try:
            data = self._file.read_bytes()
        except FileNotFoundError:
            return 0
        if not data.startswith(self._header):
            return 0
        size = _KEY_BYTES + 4 * self._dimension
        end = len(self._header)
        while len(data) - end >= size + _CRC_BYTES:
            record = data[end : end + size]
            if zlib.crc32(record) != int.from_bytes(data[end + size : end + size + _CRC_BYTES], "little"):
                break
            vector = np.frombuffer(record, dtype="<f4", offset=_KEY_BYTES).astype(np.float32)
            self.known[record[:_KEY_BYTES].hex()] = vector
            end += size + _CRC_BYTES
        return end
