"""What BM25 is made of: idf, the length that it sees, and the numbers of terms."""

from __future__ import annotations

import math
import zlib
from bisect import bisect_right
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbsearch.bm25 import STREAMS, idf, quantised_length, term_id


def byte_lengths() -> list[int]:
    """The 256 lengths that a byte can mean, from Lucene's definition of ``byte4ToInt``."""

    def meaning(byte: int) -> int:
        if byte < 24:
            return byte
        bits, shift = (byte - 24) & 7, ((byte - 24) >> 3) - 1
        return 24 + (bits if shift == -1 else (bits | 8) << shift)

    return [meaning(byte) for byte in range(256)]


def test_quantised_length_is_lucene_s_small_float() -> None:
    table = byte_lengths()
    assert table[:44] == [*range(40), 40, 42, 44, 46]
    assert all(low < high for low, high in pairwise(table))
    lengths = [*range(5000), *(value + off for value in table for off in (-1, 0, 1) if value + off >= 0)]
    assert [quantised_length(n) for n in lengths] == [table[bisect_right(table, n) - 1] for n in lengths]


@given(st.integers(0, 2**31 - 1))
def test_a_length_is_rounded_down_by_an_eighth_at_most_and_stays_as_it_is_then(length: int) -> None:
    kept = quantised_length(length)
    assert kept <= length <= kept + kept // 8
    assert quantised_length(kept) == kept


@pytest.mark.parametrize(
    ("rows", "n", "expected"),
    [
        (3, 2, math.log(1 + 1.5 / 2.5)),
        (3, 1, math.log(1 + 2.5 / 1.5)),
        (10, 0, math.log(1 + 10.5 / 0.5)),
        (1, 1, math.log(1 + 0.5 / 1.5)),
        (0, 0, math.log(2)),
    ],
)
def test_idf_by_hand(rows: int, n: int, expected: float) -> None:
    assert idf(rows, n) == pytest.approx(expected, rel=1e-12)


@given(st.integers(0, 10**7).flatmap(lambda rows: st.tuples(st.just(rows), st.integers(0, rows))))
def test_idf_is_above_zero_and_falls_with_the_rows_that_hold_the_term(given_: tuple[int, int]) -> None:
    rows, n = given_
    assert idf(rows, n) > 0
    assert n == rows or idf(rows, n) > idf(rows, n + 1)


def test_the_number_of_a_term_is_its_crc_with_its_stream() -> None:
    """It is in the files of an index: another one is another format."""
    assert term_id("words", "返品") == zlib.crc32("w返品".encode()) & ~0x10000
    assert term_id("grams", "返品") == zlib.crc32("g返品".encode()) | 0x10000
    assert {term_id(stream, "") for stream in STREAMS} == {zlib.crc32(b"w") & ~0x10000, zlib.crc32(b"g") | 0x10000}


@given(st.text() | st.just("\ud800"), st.text())
def test_any_text_has_a_number_of_32_bits_and_no_word_has_that_of_a_gram(word: str, gram: str) -> None:
    numbers = term_id("words", word), term_id("grams", gram)
    assert all(0 <= number < 2**32 for number in numbers)
    assert [number >> 16 & 1 for number in numbers] == [0, 1]
