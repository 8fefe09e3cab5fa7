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

from kbsearch.known import InFile

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
        Where the vectors stand in it, by the hexadecimal SHA-256 of their text.
    """

    def __init__(self, file: Path, fingerprint: str, dimension: int) -> None:
        self._file = file
        self._header = f"kbsearch vectors {dimension} {fingerprint}\n".encode()
        self._record = _KEY_BYTES + 4 * dimension + _CRC_BYTES
        self.known = InFile(file, len(self._header) + _KEY_BYTES, self._record, {})
        self._records = 0
        self._fits = self._load()

    def append(self, keys: Sequence[str], vectors: FloatArray) -> None:
        """Remember vectors, float32 of shape (len(keys), dimension), of the texts with these keys."""
        if not self._fits:
            self._file.write_bytes(self._header)
            self._fits = True
        end = len(self._header) + self._records * self._record
        with self._file.open("r+b") as target:
            target.truncate(end)
            target.seek(end)
            for key, vector in zip(keys, vectors, strict=True):
                record = bytes.fromhex(key) + vector.astype("<f4").tobytes()
                target.write(record + zlib.crc32(record).to_bytes(_CRC_BYTES, "little"))
        for key in keys:  # on disk by now
            self.known.places[key] = self._records
            self._records += 1

    def discard(self) -> None:
        """Remove the file: what it held is published."""
        self._file.unlink(missing_ok=True)
        self.known.places.clear()
        self._records, self._fits = 0, False

    def _load(self) -> bool:
        """Read the keys of what is sound; returns whether there is a journal for this encoder."""
        try:
            source = self._file.open("rb")
        except FileNotFoundError:
            return False
        with source:
            if source.read(len(self._header)) != self._header:
                return False
            while len(record := source.read(self._record)) == self._record:
                if zlib.crc32(record[:-_CRC_BYTES]) != int.from_bytes(record[-_CRC_BYTES:], "little"):
                    break
                self.known.places[record[:_KEY_BYTES].hex()] = self._records
                self._records += 1
        return True
