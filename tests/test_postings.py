"""The compiled part of the lexical leg: its four functions against plain Python, what they refuse, and noise."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import best_sums, postings_of
from terms import Row, Text, ask, opened

from kbsearch import native, structures
from kbsearch.bm25 import STREAMS, term_id

if TYPE_CHECKING:
    from kbsearch.tokens import TokenIndex

ROOT = Path(__file__).parent.parent

ROW_TERMS: Final = ["返品", "送料", "期間", "wifi", "reset", "order"]
PARTS: Final = st.tuples(
    st.lists(st.sampled_from(ROW_TERMS), max_size=8), st.lists(st.sampled_from(ROW_TERMS), max_size=8)
)
ROWS_OF_TERMS: Final = st.lists(
    st.builds(
        lambda body, title, weights: Row(
            Text.of(*map(" ".join, body)), Text.of(*map(" ".join, title)), weights=(*weights, 0, 0)
        ),
        PARTS, PARTS, st.tuples(st.integers(0, 5), st.integers(0, 3) | st.just(70_000)),
    ),
    max_size=9,
)  # fmt: skip


def tables(size: int) -> native.TermTables:
    return native.TermTables(*(np.zeros(size, np.uint32) for _ in range(4)))


def filled(tokens: TokenIndex, size: int = 256) -> tuple[structures.Postings, list[np.ndarray]]:
    """The postings of an index by the two functions that make them, without what lexical.py adds but the order."""
    counted = tables(size)
    terms = native.count_terms(tokens.opened[0], counted)
    seats = np.flatnonzero(counted.rows)
    assert len(seats) == terms
    seats = seats[np.argsort(counted.ids[seats])]
    firsts = [np.append(0, np.cumsum(each[seats], dtype=np.int64)) for each in (counted.rows, counted.blocks)]
    following = tables(size)[:2]
    for table, first in zip(following, firsts, strict=True):
        table[seats] = first[:-1]
    entries, posts = np.zeros(2 * firsts[1][-1] + 2, np.uint32), np.zeros(firsts[0][-1], np.uint32)
    counted.last[:] = 0
    means = np.array(tokens.mean_lengths, np.float32)
    native.fill_postings(tokens.opened[0], counted, (following[0], following[1]), entries, posts, (means, 1.2, 0.75))
    entries[-2] = len(posts)
    columns = {
        "terms": np.column_stack([np.append(counted.ids[seats], 0), firsts[1]]).astype(np.uint32).ravel(),
        "entries": entries, "posts": posts,
    }  # fmt: skip
    return structures.Postings(columns, tokens.rows), list(columns.values())


def held_by(tokens: TokenIndex) -> list[list[dict[int, int]]]:
    return [[tokens.counts(row, stream) for stream in STREAMS] for row in range(tokens.rows)]


@settings(max_examples=100, deadline=None)
@given(ROWS_OF_TERMS)
def test_terms_are_counted_and_postings_filled_as_plain_python_does(rows: list[Row]) -> None:
    tokens = opened(rows)
    held = held_by(tokens)
    frequencies = Counter(term for streams in held for counts in streams for term in counts)
    counted = tables(64)
    assert native.count_terms(tokens.opened[0], counted) == len(frequencies)
    taken = np.flatnonzero(counted.rows)
    assert dict(zip(counted.ids[taken].tolist(), counted.rows[taken].tolist(), strict=True)) == frequencies
    assert counted.blocks[taken].tolist() == [1] * len(frequencies)
    lengths = tokens._columns["rows"].reshape(len(rows), 8)[:, 2:4].tolist()
    expected = postings_of(held, lengths, tokens.mean_lengths)
    assert [column.tolist() for column in filled(tokens)[1]] == list(expected)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_a_table_that_has_no_room_says_its_size(size: int) -> None:
    tokens = opened([Row(Text.of(" ".join(f"t{number}" for number in range(7))))])
    assert native.count_terms(tokens.opened[0], tables(size)) == size
    assert native.count_terms(tokens.opened[0], tables(16)) == 7


@settings(max_examples=60, deadline=None)
@given(ROWS_OF_TERMS.filter(len), st.lists(st.sampled_from([*ROW_TERMS, "unknown"]), max_size=9))
def test_frequencies_are_those_of_plain_python(rows: list[Row], terms: list[str]) -> None:
    postings, _ = filled(opened(rows))
    for stream in STREAMS:
        ids = np.array([term_id(stream, term) for term in terms], np.uint32)
        found = native.frequencies(postings, ids)
        assert found.dtype == np.int64
        held = [row.held(stream).keys() if any(row.weights) else () for row in rows]
        assert found.tolist() == [sum(term in each for each in held) for term in terms]


@settings(max_examples=150, deadline=None)
@given(
    both=st.tuples(ROWS_OF_TERMS.filter(len), ROWS_OF_TERMS.filter(len)),
    asked=st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from([*ROW_TERMS, "unknown"]), st.floats(1e-6, 12)),
            st.dictionaries(st.sampled_from([*ROW_TERMS, "unknown"]), st.floats(1e-6, 12)),
        ),
        max_size=3,
    ),
    streams=st.sampled_from([(), (0,), (1,), (0, 1)]),
    limits=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    boost=st.integers(1, 3),
    data=st.data(),
)  # fmt: skip
def test_the_rows_that_are_proposed_are_those_of_plain_python(
    both: tuple[list[Row], list[Row]], asked: list[tuple[dict[str, float], dict[str, float]]],
    streams: tuple[int, ...], limits: tuple[int, int], boost: int, data: st.DataObject,
) -> None:  # fmt: skip
    """Of an index and its delta, of several questions, with their sums and whoever is allowed."""
    tokens = [opened(rows) for rows in both]
    parts = [filled(each)[0] for each in tokens]
    questions = [
        ask(tokens[0], words, grams, (dict.fromkeys(words, boost), dict.fromkeys(grams, 1))) for words, grams in asked
    ]
    n, most = len(both[0]), len(both[0]) + len(both[1])
    allowed = data.draw(st.none() | st.lists(st.booleans(), min_size=most, max_size=most))
    mask = None if allowed is None else np.array(allowed, np.bool_)
    rows, sums = native.Proposals(structures.Lexicon(parts), questions, streams, limits, mask).found()
    assert (rows.dtype, sums.dtype) == (np.dtype(np.int64), np.dtype(np.uint32))
    expected = []
    for question, stream in product(questions, streams):
        for part, first, k in ((0, 0, limits[0]), (1, n, limits[1])):
            own = None if allowed is None else allowed[first : first + len(both[part])]
            best = best_sums(parts[part], question, stream, own, k)
            expected += [(row + first, -total) for total, row in best]
    assert sorted(zip(rows.tolist(), sums.tolist(), strict=True)) == sorted(expected)


SHELF: Final = [Row(Text.of("返品 送料", "返品")), Row(Text.of("送料 期間", "送料"))]


def test_tables_are_of_one_size_a_power_of_two() -> None:
    tokens = opened(SHELF)
    for sizes in ((0, 0, 0, 0), (3, 3, 3, 3), (48, 48, 48, 48), (16, 16, 16, 8), (8, 16, 16, 16), (16, 16, 32, 16)):
        odd = native.TermTables(*(np.zeros(size, np.uint32) for size in sizes))
        with pytest.raises(AssertionError, match="power of two"):
            native.count_terms(tokens.opened[0], odd)
    wrong: Any
    for wrong in (np.zeros(16, np.int32), np.zeros(16, np.uint64), np.zeros(32, np.uint32)[::2]):
        with pytest.raises(AssertionError):
            native.count_terms(tokens.opened[0], tables(16)._replace(blocks=wrong))


def fill(**other: Any) -> None:
    """Fill the postings of two rows, with something else in place of what fits."""
    tokens, counted = opened(SHELF), tables(16)
    terms = native.count_terms(tokens.opened[0], counted)
    seats = np.flatnonzero(counted.rows)
    posts = int(counted.rows.sum())
    counted.last[:] = 0
    following = tables(16)[:2]
    following[0][seats] = np.cumsum(counted.rows[seats]) - counted.rows[seats]
    following[1][seats] = np.arange(terms)
    given_: dict[str, Any] = {
        "tables": counted, "posts_next": following[0], "entries_next": following[1],
        "entries": np.zeros(2 * terms + 2, np.uint32), "posts": np.zeros(posts, np.uint32),
        "means": np.array(tokens.mean_lengths, np.float32),
    }  # fmt: skip
    for name, change in other.items():
        given_[name] = change(given_[name])
    native.fill_postings(
        tokens.opened[0], given_["tables"], (given_["posts_next"], given_["entries_next"]), given_["entries"],
        given_["posts"], (given_["means"], 1.2, 0.75),
    )  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        {"posts_next": lambda array: array[:8].copy()},
        {"entries_next": lambda array: np.append(array, array)},
        {"posts_next": lambda array: array.astype(np.int64)},
        {"entries": lambda array: array.astype(np.uint64)},
        {"posts": lambda array: np.repeat(array, 2)[::2]},
        {"means": lambda array: array[:1]},
        {"means": lambda array: array.astype(np.float64)},
        {"tables": lambda tables: tables._replace(rows=tables.rows[:8].copy())},
    ],
)
def test_postings_are_filled_into_arrays_that_fit(other: dict[str, Any]) -> None:
    fill()
    with pytest.raises(AssertionError):
        fill(**other)


@pytest.mark.parametrize(
    "other",
    [
        {"posts": lambda array: array[:-1].copy()},
        {"posts": lambda array: array[:0].copy()},
        {"entries": lambda array: array[:-2].copy()},
        {"entries": lambda array: array[:2].copy()},
        {"entries": lambda array: array[:0].copy()},
        {"posts_next": lambda array: array + np.uint32(2**32 - 1)},
        {"posts_next": lambda array: np.full_like(array, 2**32 - 1)},
        {"entries_next": lambda array: np.full_like(array, 2**32 - 1)},
        {"tables": lambda tables: tables._replace(rows=np.zeros_like(tables.rows))},
    ],
)
def test_postings_that_are_more_than_there_is_room_for_are_damage(other: dict[str, Any]) -> None:
    """The tokens may have changed since they were counted."""
    with pytest.raises(structures.Damaged):
        fill(**other)


def test_scratch_that_was_not_emptied_is_damage() -> None:
    for block in (1, 2, 2**32 - 1):
        changed: Any = {"tables": lambda tables, block=block: tables._replace(last=np.full(16, block, np.uint32))}
        if block == 1:  # the first block, as count_terms leaves it
            with pytest.raises(structures.Damaged):
                fill(**changed)
        else:
            fill(**changed)


def test_a_mask_has_a_yes_or_no_for_each_row() -> None:
    tokens = opened(SHELF)
    lexicon = structures.Lexicon([filled(tokens)[0]])
    asked = [ask(tokens, {"送料": 1.0}, {}, ({"送料": 1}, {}))]
    assert sorted(native.Proposals(lexicon, asked, [0], (5, 0), np.ones(2, np.bool_)).found()[0].tolist()) == [0, 1]
    wrong: Any
    for wrong in (np.ones(1, np.bool_), np.ones(3, np.bool_), np.ones(2, np.uint8), np.ones(4, np.bool_)[::2]):
        with pytest.raises(AssertionError):
            native.Proposals(lexicon, asked, [0], (5, 0), wrong).found()


@pytest.mark.parametrize("limits", [(-5, 10), (10, -5), (-1, -1), (-(2**62), 2)])
def test_a_limit_below_none_is_none(limits: tuple[int, int]) -> None:
    tokens = opened([Row(Text.of("送料"))] * 9)
    lexicon = structures.Lexicon([filled(tokens)[0], filled(tokens)[0]])
    asked = [ask(tokens, {"送料": 1.0}, {}, ({"送料": 1}, {}))]
    rows, _ = native.Proposals(lexicon, asked, [0], limits, None).found()
    expected = [*range(min(9, max(limits[0], 0))), *range(9, 9 + min(9, max(limits[1], 0)))]
    assert sorted(rows.tolist()) == expected


def test_more_terms_than_are_asked_are_refused() -> None:
    terms = [f"t{number}" for number in range(65)]
    tokens = opened([Row(Text.of(" ".join(terms)))])
    lexicon = structures.Lexicon([filled(tokens)[0]])
    for n in (64, 65):
        idfs = dict.fromkeys(terms[:n], 1.0)
        asked = [ask(tokens, idfs, {}, (dict.fromkeys(idfs, 1), {}))]
        if n == 64:
            assert native.Proposals(lexicon, asked, [0], (5, 0), None).found()[0].tolist() == [0]
        else:
            with pytest.raises(structures.Damaged):
                native.Proposals(lexicon, asked, [0], (5, 0), None).found()


@pytest.mark.parametrize(("terms", "entries"), [(0, 2), (1, 2), (3, 2), (5, 4), (2, 0), (2, 3), (4, 5)])
def test_postings_of_odd_sizes_are_damage(terms: int, entries: int) -> None:
    columns = {"terms": np.zeros(terms, np.uint32), "entries": np.zeros(entries, np.uint32)}
    with pytest.raises(structures.Damaged):
        structures.Postings({**columns, "posts": np.zeros(3, np.uint32)}, 3)


def test_postings_are_of_32_bits() -> None:
    columns = {name: np.zeros(2, np.uint32) for name in ("terms", "entries", "posts")}
    for name in columns:
        wrong: Any = {**columns, name: np.zeros(2, np.int64)}
        with pytest.raises(AssertionError):
            structures.Postings(wrong, 3)


NOISE = """
import sys
import numpy as np
from kbsearch import native, structures

random = np.random.default_rng(int(sys.argv[1]))
U32 = np.uint32


def noise(n, most):
    \"\"\"Numbers of any size, most of them small, and some of them in order.\"\"\"
    kind = random.integers(5)
    high = [2, most + 2, 1 << 16, 1 << 20, 1 << 32][kind]
    found = random.integers(0, high, n, dtype=np.uint64).astype(U32)
    if random.random() < 0.5:
        found.sort()
    odd = random.random(n) < random.choice([0, 0.05])
    found[odd] = random.choice(np.array([0, 1, 2**14, 2**16 - 1, 2**31, 2**32 - 1], np.uint64).astype(U32), odd.sum())
    return found


def postings(rows):
    n_terms, n_entries, n_posts = (int(random.integers(0, most)) for most in (12, 12, 300))
    terms, entries = np.empty((n_terms + 1, 2), U32), np.empty((n_entries + 1, 2), U32)
    terms[:, 0], terms[:, 1] = noise(n_terms + 1, 1 << 32), noise(n_terms + 1, n_entries)
    entries[:, 0] = noise(n_entries + 1, n_posts)
    entries[:, 1] = noise(n_entries + 1, 4) << U32(16) if random.random() < 0.5 else noise(n_entries + 1, 1 << 32)
    if random.random() < 0.7:
        entries[:, 1] |= U32(random.integers(0, 65536))
    posts = noise(n_posts, 1 << 16)
    if random.random() < 0.7:
        posts = np.sort(random.integers(0, max(1, min(rows, 8192)), n_posts).astype(U32) << U32(16) | U32(9))
    return structures.Postings({"terms": terms.ravel(), "entries": entries.ravel(), "posts": posts}, rows), terms


def question(known):
    n = int(random.integers(0, 9))
    ids = random.choice(known, n) if random.random() < 0.8 else noise(n, 1 << 32)
    numbers = random.random(n).astype(np.float32) * np.float32(random.choice([1e-6, 1, 9]))
    boosts = random.integers(0, 3, n).astype(np.float32)
    flags = random.integers(0, 4, n).astype(np.uint8)
    return structures.Asked(ids.astype(U32), numbers, boosts, flags, (9, 9), 1.2, 0.75)


outcomes = [0, 0]
for _ in range(int(sys.argv[2])):
    sizes = [int(random.choice([0, 1, 63, 64, 300, 8191, 8192, 8193, 20000])) for _ in range(random.integers(1, 3))]
    parts, known = zip(*map(postings, sizes))
    asked = [question(np.concatenate(known)[:, 0]) for _ in range(3)]
    allowed = None if random.random() < 0.5 else random.random(sum(sizes)) < 0.5
    limits = tuple(random.integers(0, 40, 2).tolist())
    for call in (
        lambda: native.Proposals(structures.Lexicon(parts), asked, [0, 1], limits, allowed).found(),
        lambda: native.frequencies(parts[0], np.concatenate(known)[:, 0].copy()),
    ):
        try:
            found = call()
        except structures.Damaged:
            outcomes[0] += 1
            continue
        outcomes[1] += 1
        if isinstance(found, tuple):
            rows = found[0].tolist()
            assert all(0 <= row < sum(sizes) for row in rows)
            assert allowed is None or all(allowed[row] for row in rows)
            assert len(rows) <= 6 * sum(limits)
        else:
            assert all(0 <= n <= sizes[0] for n in found.tolist())
assert min(outcomes) > int(sys.argv[2]) / 5, outcomes

for _ in range(int(sys.argv[2]) // 4):
    n = int(random.integers(1, 30))
    arrays = {"ids": noise(n, 9), "starts": np.zeros(n, np.uint16), "lengths": np.zeros(n, np.uint8)}
    texts, rows = noise(8 * int(random.integers(0, 6)), n), noise(8 * int(random.integers(0, 6)), 4)
    texts.reshape(-1, 8)[:, 1] = 0 if random.random() < 0.9 else 2**32 - 1
    if random.random() < 0.5:
        texts.reshape(-1, 8)[:, 4:6] = texts.reshape(-1, 8)[:, 2:4]
    parts = noise(2 * int(random.integers(0, 6)), 4)
    tokens = structures.Tokens({**arrays, "texts": texts, "rows": rows, "parts": parts})
    tables = native.TermTables(*(np.zeros(64, U32) for _ in range(4)))
    try:
        count = native.count_terms(tokens, tables)
    except (structures.Damaged, MemoryError):
        continue
    assert count <= 64
    if count < 64:
        tables.last[:] = 0
        following = noise(64, 20), noise(64, 9)
        entries, posts = np.zeros(2 * int(random.integers(0, 9)), U32), np.zeros(int(random.integers(0, 30)), U32)
        try:
            native.fill_postings(tokens, tables, following, entries, posts, (np.ones(2, np.float32), 1.2, 0.75))
        except structures.Damaged:
            continue
print("done")
"""


@pytest.mark.parametrize("seed", range(3))
def test_postings_that_are_noise_are_damage_or_an_answer(seed: int) -> None:
    """In a process of its own, which a place outside of an array would end."""
    ended = subprocess.run(
        [sys.executable, "-c", NOISE, str(seed), "3000"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended.stderr
