"""The lexical leg over several blocks of rows, against numpy and a comparison with every row; what is rounded there."""

from __future__ import annotations

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from legs import found, leg_of, ranks_as_all, whole_ranking
from terms import Row, Text

from kbsearch import native
from kbsearch.bm25 import STREAMS, quantised_length

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.lexical import LexicalIndex

BLOCK: Final = 8_192
"""Rows that the compiled part looks at together."""


@dataclass(frozen=True)
class Blocks:
    """Three blocks and the beginning of a fourth, of few different texts."""

    index: LexicalIndex
    texts: list[list[str]]
    of_row: NDArray[np.int64]

    def bm25(self, terms: Sequence[str]) -> NDArray[np.float64]:
        """BM25 of each row, by numpy."""
        lengths = np.array([len(text) for text in self.texts], np.float64)
        quantised = np.array([quantised_length(len(text)) for text in self.texts], np.float64)
        norm = 1.2 * (0.25 + 0.75 * quantised / lengths[self.of_row].mean())
        scores = np.zeros(len(self.texts))
        for term, count in Counter(terms).items():
            times = np.array([text.count(term) for text in self.texts], np.float64)
            n, rows = int((times > 0)[self.of_row].sum()), len(self.of_row)
            scores += count * math.log(1 + (rows - n + 0.5) / (n + 0.5)) * times * 2.2 / (times + norm)
        every: NDArray[np.float64] = scores[self.of_row]
        return every


ROWS: Final = 6 * BLOCK + 1000
ONLY: Final = {"first": 0, "middle": 40_000, "last": ROWS - 1, "edge": 2 * BLOCK - 1, "begin": 2 * BLOCK}
"""The one row of each of these terms."""
COMMON: Final = [f"c{number}" for number in range(6)]
RARE: Final = [f"r{number}" for number in range(6)]


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Blocks:
    """``all`` is in every row; ``c0`` to ``c5`` in many; ``r0`` to ``r5`` in ever fewer; ``second`` in one block."""
    random = np.random.default_rng(1)
    texts = []
    for _ in range(800):
        held = ["all", *(term for term in COMMON if random.random() < 0.4)]
        held += [term for place, term in enumerate(RARE) if random.random() < 0.2 / 3**place]
        texts.append([term for term in held for _ in range(random.integers(1, 5))] + ["x"] * random.integers(0, 50))
    of_row = random.integers(0, len(texts), ROWS)
    of_row[BLOCK + 5 : BLOCK + 5 + 700] = len(texts)
    of_row[-600:-300] = len(texts) + 1
    texts += [["all", "second", "x"], ["all", "c0", "r0", "x"]]
    for term, row in ONLY.items():
        of_row[row] = len(texts)
        texts.append(["all", term])
    made = [Row(Text.of(" ".join(text))) for text in texts]
    index = leg_of(tmp_path_factory.mktemp("blocks"), (made[number] for number in of_row.tolist()))
    return Blocks(index, texts, of_row)


QUESTIONS: Final = [
    ["all"], ["c0"], ["r5"], ["middle"], ["second"], ["all", "middle"], ["all", "c0", "c1", "r0"], ["c0", "second"],
    ["c0", "c1", "c2", "c3", "c4", "c5", "all"], ["r0", "r1", "r2", "r3", "r4", "r5", "c0", "all"],
    ["last", "first", "all"], ["edge", "begin", "c2", "all"], ["r3", "all", "all", "all", "unknown"],
    ["c3", "r4", "c3", "c3", "r1"], ["second", "last", "r5"], [*COMMON, *RARE, *ONLY, "all", "second", "unknown"],
]  # fmt: skip


@pytest.mark.parametrize("terms", QUESTIONS, ids=" ".join)
def test_several_blocks_are_one_ranking(blocks: Blocks, terms: list[str]) -> None:
    expected = blocks.bm25(terms)
    rows, scores = whole_ranking(blocks.index, "words", terms)
    np.testing.assert_allclose(scores, expected[rows], rtol=2e-5)
    assert len(rows) == np.count_nonzero(expected)
    ranks_as_all(blocks.index, "words", terms, (1, 2, 10, 100, 777, 5000, ROWS, ROWS + 1))


MASKS: Final[dict[str, Callable[[], NDArray[np.bool_]]]] = {
    "half": lambda: np.random.default_rng(2).random(ROWS) < 0.5,
    "one in a thousand": lambda: np.random.default_rng(3).random(ROWS) < 0.001,
    "one": lambda: np.arange(ROWS) == 40_000,
    "the last": lambda: np.arange(ROWS) == ROWS - 1,
    "the end": lambda: np.arange(ROWS) >= 6 * BLOCK,
    "no first block": lambda: np.arange(ROWS) >= BLOCK,
    "about an edge": lambda: np.abs(np.arange(ROWS) - BLOCK) < 20,
    "all": lambda: np.ones(ROWS, np.bool_),
    "none": lambda: np.zeros(ROWS, np.bool_),
}


@pytest.mark.parametrize("mask", MASKS)
def test_rows_are_admitted_before_they_are_ranked_and_keep_their_scores(blocks: Blocks, mask: str) -> None:
    admitted = MASKS[mask]()
    for terms in QUESTIONS:
        ranks_as_all(blocks.index, "words", terms, (1, 10, 500), admitted)
        rows, scores = blocks.index.search("words", terms, 10, admitted)
        assert admitted[rows].all()
        np.testing.assert_allclose(scores, blocks.bm25(terms)[rows], rtol=2e-5)


@pytest.mark.parametrize("seed", range(4))
def test_any_terms_of_several_blocks_are_found(blocks: Blocks, seed: int) -> None:
    random = np.random.default_rng(seed)
    every = [*COMMON, *RARE, *ONLY, "all", "second", "x"]
    for _ in range(15):
        terms = random.choice(every, size=random.integers(1, 12)).tolist()
        admitted = None if random.random() < 0.5 else random.random(ROWS) < random.choice([0.9, 0.1, 0.01])
        ranks_as_all(blocks.index, "words", terms, random.integers(1, 400, 3).tolist(), admitted)


def test_a_tie_over_all_blocks_keeps_its_first_rows(blocks: Blocks) -> None:
    """Every second row of a text that is in all blocks."""
    places = (np.flatnonzero(blocks.of_row == text) for text in range(len(blocks.texts)))
    of_text = next(rows for rows in places if set((rows // BLOCK).tolist()) == set(range(7)))
    admitted = np.zeros(ROWS, np.bool_)
    admitted[of_text[1::2]] = True
    for k in (1, 3, len(of_text) // 2 - 1, len(of_text)):
        assert found(blocks.index.search("words", ["all"], k, admitted)) == of_text[1::2][:k].tolist()


def test_a_row_of_one_term_that_is_worth_next_to_nothing_is_found(blocks: Blocks) -> None:
    """In 65,535 parts of what the one row of ``middle`` gets, the others get less than a half."""
    weights = [blocks.index.idf("words", term) for term in ("all", "middle")]
    assert 65_535 * weights[0] / weights[1] < 0.5
    rows = found(blocks.index.search("words", ["all", "middle"], ROWS))
    assert rows[0] == ONLY["middle"]
    assert len(rows) == ROWS
    assert found(blocks.index.search("words", ["all", "middle"], 1, np.arange(ROWS) == ROWS - 3)) == [ROWS - 3]


@pytest.mark.parametrize("terms", QUESTIONS, ids=" ".join)
def test_the_rows_that_are_proposed_are_those_of_the_search_but_for_the_rounding(
    blocks: Blocks, terms: list[str]
) -> None:
    counts, exact = Counter(terms), blocks.bm25(terms)
    heaviest = max(blocks.index.idf("words", term) * count for term, count in counts.items())
    rounding = len(counts) * 2 * 258 * heaviest * 2.2 / 2**24
    for k, mask in product((1, 20, 300), (None, "half", "one in a thousand")):
        admitted = None if mask is None else MASKS[mask]()
        rows = blocks.index.propose([blocks.index.asked(terms, ()).terms], ["words"], k, admitted)
        best, _ = blocks.index.search("words", terms, k, admitted)
        assert rows.dtype == np.int64
        assert len(set(rows.tolist())) == len(rows) == len(best)
        assert admitted is None or admitted[rows].all()
        np.testing.assert_allclose(np.sort(exact[rows]), np.sort(exact[best]), rtol=1e-5, atol=rounding)


# What is rounded in the postings


@pytest.fixture(scope="module")
def close(tmp_path_factory: pytest.TempPathFactory) -> LexicalIndex:
    """12,870 rows of eight of sixteen terms, nearly as rare as each other: sums lie far closer than the rounding."""
    terms = [f"t{number}" for number in range(16)]
    rows = [" ".join(chosen) for chosen in combinations(terms, 8)]
    extras = [f"{term} y y y y y y y y y y y y y y y" for number, term in enumerate(terms) for _ in range(number)]
    shuffled = np.random.default_rng(1).permutation([*rows, *extras]).tolist()
    return leg_of(tmp_path_factory.mktemp("close"), shuffled)


def test_the_rounding_costs_no_search_a_row(close: LexicalIndex) -> None:
    terms = [f"t{number}" for number in range(16)]
    _, scores = whole_ranking(close, "words", terms)
    heaviest = max(close.idf("words", term) for term in terms)
    in_between = np.abs(np.diff(scores[:12_000].astype(np.float64))) / (heaviest * 2.2 / 2**24)
    assert np.median(in_between) < 258 / 16
    ks = (1, 2, 3, 5, 10, 30, 100, 200, 500, 1001, 3000, 5002, 9000, 12_870, 20_000)
    ranks_as_all(close, "words", terms, ks)
    admitted = np.random.default_rng(2).random(close.rows) < 0.5
    ranks_as_all(close, "words", terms, ks, admitted)
    asked = close.asked(terms, ()).terms
    proposed = [set(close.propose([asked], ["words"], k).tolist()) for k in range(1, 6000, 150)]
    searched = [set(found(close.search("words", terms, k))) for k in range(1, 6000, 150)]
    assert proposed != searched, "the rounding does change who is proposed"


def test_rows_of_lengths_that_the_postings_do_not_tell_apart_stand_in_their_order(tmp_path: Path) -> None:
    """One giant row makes the mean so long that rows of 2 to 39 words are worth the same to 16 bits."""
    lengths = np.random.default_rng(1).integers(2, 40, 100).tolist()
    giant = Row(Text.of("y"), weights=(8_000_000, 0, 0, 0))
    index = leg_of(tmp_path, [*(" ".join(["返品", *["x"] * (length - 1)]) for length in lengths), giant])
    asked = index.asked(["返品"], ()).terms
    rows, sums = native.Proposals(index._lexicon, [asked], [0], (100, 0), None).found()
    assert len(rows) == 100
    assert len(set(sums.tolist())) < 0.7 * len(set(lengths))
    ranks_as_all(index, "words", ["返品"], range(1, 101))
    assert found(index.search("words", ["返品"], 1)) == [int(np.argmin(lengths))]
    assert len(index.propose([asked], ["words"], 17)) == 17


def test_several_questions_at_once_leave_nothing_behind_for_each_other(blocks: Blocks) -> None:
    asked = [blocks.index.asked(terms, ()).terms for terms in QUESTIONS]
    alone = [row for one in asked for row in blocks.index.propose([one], STREAMS, 50).tolist()]
    assert sorted(blocks.index.propose(asked, STREAMS, 50).tolist()) == sorted(alone)


def test_eight_threads_over_several_blocks_get_the_same_answers(blocks: Blocks) -> None:
    expected = [found(blocks.index.search("words", terms, 50)) for terms in QUESTIONS]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda terms: found(blocks.index.search("words", terms, 50)), QUESTIONS * 8))
    assert answers == expected * 8
