"""BM25 as kbsearch counts it: constants, idf, document length, and the number by which a term is known.

Okapi BM25 (Robertson & Zaragoza 2009, "The probabilistic relevance framework", eq. 3.15) with Lucene's idf, which is
never negative, and the document length as Lucene's one byte keeps it. Title, headings, aliases and body are one field
with the terms of each part repeated by its weight: BM25F as weighted term frequencies before saturation (Robertson,
Zaragoza & Taylor 2004, "Simple BM25 extension to multiple weighted fields", eq. 4).
"""

from __future__ import annotations

import math
import zlib
from typing import Final, Literal

__all__ = ["BM25_B", "BM25_K1", "STREAMS", "Stream", "idf", "quantised_length", "term_id"]

Stream = Literal["words", "grams"]
STREAMS: Final[tuple[Stream, Stream]] = ("words", "grams")

BM25_K1: Final = 1.2
BM25_B: Final = 0.75

_GRAM: Final = 1 << 16  # in the middle: terms are looked up by their lowest bits, and spread evenly by their highest


def term_id(stream: str, term: str) -> int:
    """The number by which a term of a stream is known: CRC-32, from 0 to 2³² - 1, with a bit that tells the stream.

    A word and a gram never share a number, so that the rows of the one are not those of the other.
    """
    number = zlib.crc32(f"{stream[0]}{term}".encode("utf-8", "surrogatepass"))
    return number | _GRAM if stream == "grams" else number & ~_GRAM


def idf(rows: int, n: int) -> float:
    """ln(1 + (rows - n + .5) / (n + .5)) of a term that n of so many rows hold: greater than 0."""
    return math.log(1 + (rows - n + 0.5) / (n + 0.5))


def quantised_length(length: int) -> int:
    """The document length that BM25 sees: ``length`` rounded down as Lucene's ``SmallFloat.intToByte4`` keeps it.

    Lengths below 40 are exact; above, they keep the top four bits.
    """
    free = 24  # values that are stored as they are before the float part begins
    if length < free:
        return length
    rest = length - free
    bits = rest.bit_length()
    kept = 4
    if bits <= kept:
        return length
    shift = bits - kept
    return free + ((rest >> shift) << shift)
