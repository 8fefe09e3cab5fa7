"""The lexical leg against BM25 written by hand and against rank-bm25: order, ties, questions, deltas."""

from __future__ import annotations

import math
import tempfile
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from legs import ceiling, every_score, found, leg_of, ranks_as_all, row_of
from rank_bm25 import BM25Okapi
from terms import Row, Text

from kbsearch import lexical
from kbsearch.bm25 import STREAMS, quantised_length, term_id
from kbsearch.lexical import MAX_TERMS, LexicalDelta, LexicalIndex
from kbsearch.tokens import TokenDelta, TokenIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kbsearch.bm25 import Stream
    from kbsearch.model import FloatArray

    MakeIndex = Callable[..., LexicalIndex]


@pytest.fixture
def make(tmp_path: Path) -> MakeIndex:
    return lambda *rows: leg_of(tmp_path, rows)


# BM25 by hand


def test_scores_are_bm25_by_hand(make: MakeIndex) -> None:
    """N = 3, lengths 2, 4 and 3; 返品 is in two rows, 送料 in one."""
    index = make("返品 送料", "返品 返品 返品 期間", "支払い 方法 変更")
    mean = (2 + 4 + 3) / 3
    idf = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    first = idf * 1 * (1.2 + 1) / (1 + 1.2 * (1 - 0.75 + 0.75 * 2 / mean))
    second = idf * 3 * (1.2 + 1) / (3 + 1.2 * (1 - 0.75 + 0.75 * 4 / mean))
    rows, scores = index.search("words", ["返品"], 10)
    assert rows.tolist() == [1, 0]
    assert scores.tolist() == pytest.approx([second, first], rel=1e-6)


def test_terms_add_up_and_a_repeated_term_counts_as_often(make: MakeIndex) -> None:
    index = make("返品 送料", "返品 期間", "支払い")
    returns, shipping = (every_score(index, [term]) for term in ("返品", "送料"))
    both = every_score(index, ["返品", "送料"])
    twice = every_score(index, ["返品", "送料", "返品"])
    np.testing.assert_allclose(both, returns + shipping, rtol=1e-6)
    np.testing.assert_allclose(twice, 2 * returns + shipping, rtol=1e-6)


def test_a_term_that_is_repeated_decides_who_comes_first(make: MakeIndex) -> None:
    """Also among the rows that are proposed: a repetition is a weight there."""
    index = make(*["返品 外"] * 40, *["送料 外"] * 40)
    assert set(index.propose([index.asked(["返品", "送料", "送料"], ()).terms], ["words"], 40).tolist()) == {
        *range(40, 80)
    }
    assert found(index.search("words", ["返品", "返品", "送料"], 40)) == list(range(40))


def test_a_weight_is_a_repetition(make: MakeIndex) -> None:
    """BM25F: three times in the field counts as tf = 3 before saturation."""
    index = make(Row(Text.of(), Text.of("返品")), "返品 送料 期間", "支払い 方法 変更")
    idf = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    scores = every_score(index, ["返品"])
    assert float(scores[0] / scores[1]) == pytest.approx((3 / (3 + 1.2)) / (1 / (1 + 1.2)), rel=1e-6)
    assert index.idf("words", "返品") == pytest.approx(idf, rel=1e-12)


def test_the_streams_are_apart(make: MakeIndex) -> None:
    index = make(Row(Text.of("返品", "送料")), Row(Text.of("送料", "返品")))
    assert found(index.search("words", ["返品"], 10)) == [0]
    assert found(index.search("grams", ["返品"], 10)) == [1]


@pytest.mark.parametrize("length", [1, 39, 40, 41, 47, 55, 56, 100, 1000])
def test_a_length_counts_as_one_byte_keeps_it(make: MakeIndex, length: int) -> None:
    index = make(" ".join(["返品", *["外"] * (length - 1)]), "返品")
    mean = (length + 1) / 2
    idf = math.log(1 + (2 - 2 + 0.5) / (2 + 0.5))
    expected = [idf * 2.2 / (1 + 1.2 * (1 - 0.75 + 0.75 * quantised_length(n) / mean)) for n in (length, 1)]
    assert every_score(index, ["返品"]).tolist() == pytest.approx(expected, rel=1e-6)


# rank-bm25 as the oracle


VOCABULARY = [*"返品送料期間払い方法変更", "サーバー", "password", "reset", "order"]


def oracle(documents: Sequence[Sequence[str]], terms: Sequence[str]) -> FloatArray:
    """BM25Okapi with Lucene's idf and stored lengths."""
    model = BM25Okapi([list(document) for document in documents], k1=1.2, b=0.75)
    model.doc_len = [quantised_length(len(document)) for document in documents]
    n = len(documents)
    held = {term: sum(term in document for document in documents) for term in terms}
    model.idf = {term: math.log(1 + (n - f + 0.5) / (f + 0.5)) for term, f in held.items()}
    scores: FloatArray = model.get_scores(list(terms))
    return scores


def agree(index: LexicalIndex, expected: FloatArray, terms: Sequence[str], k: int) -> None:
    rows, scores = index.search("words", terms, k)
    assert len(set(rows.tolist())) == len(rows) == min(k, int((expected > 0).sum()))
    np.testing.assert_allclose(scores, expected[rows], rtol=2e-5)
    np.testing.assert_allclose(scores, np.sort(expected)[::-1][: len(rows)], rtol=2e-5)
    np.testing.assert_array_equal(np.lexsort((rows, -scores)), np.arange(len(rows)))


@pytest.mark.parametrize("seed", range(5))
def test_a_random_corpus_ranks_as_rank_bm25_ranks_it(make: MakeIndex, seed: int) -> None:
    random = np.random.default_rng(seed)
    share = random.dirichlet(np.full(len(VOCABULARY), 0.5))
    documents = [random.choice(VOCABULARY, size=random.integers(1, 300), p=share).tolist() for _ in range(120)]
    index = make(*map(" ".join, documents))
    for _ in range(20):
        terms = random.choice([*VOCABULARY, "unknown"], size=random.integers(1, 8)).tolist()
        agree(index, oracle(documents, terms), terms, int(random.integers(1, 150)))


@settings(max_examples=60, deadline=None)
@given(
    documents=st.lists(st.lists(st.sampled_from(VOCABULARY[:6]), min_size=1, max_size=60), min_size=1, max_size=12),
    terms=st.lists(st.sampled_from([*VOCABULARY[:6], "unknown"]), min_size=1, max_size=6),
    k=st.integers(1, 15),
)
def test_any_small_corpus_ranks_as_rank_bm25_ranks_it(documents: list[list[str]], terms: list[str], k: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        index = leg_of(Path(folder), map(" ".join, documents))
    expected = oracle(documents, terms)
    agree(index, expected, terms, k)
    assert every_score(index, terms).max() <= ceiling(index, terms)


# The total order, and its edges


def test_equal_scores_stand_in_the_order_of_rows(make: MakeIndex) -> None:
    index = make(*["返品 送料"] * 500)
    assert found(index.search("words", ["送料"], 7)) == [0, 1, 2, 3, 4, 5, 6]


def test_a_tie_across_the_edge_of_k_keeps_its_first_rows(make: MakeIndex) -> None:
    """Rows 3, 103, 203 … are better; the others all tie."""
    index = make(*["送料 送料" if number % 100 == 3 else "送料 返品" for number in range(400)])
    better = [3, 103, 203, 303]
    others = [number for number in range(400) if number not in better]
    for k in (1, 4, 5, 20, 100, 399, 400, 1000):
        assert found(index.search("words", ["送料"], k)) == (better + others)[:k]


def test_k_may_be_more_than_there_is_and_more_than_memory_holds(make: MakeIndex) -> None:
    index = make("返品", "送料", "返品 送料")
    for k in (3, 4, 10**6, 10**12, 2**62):
        assert found(index.search("words", ["返品"], k)) == [0, 2]


@pytest.mark.parametrize("k", [0, -1, -3, -100])
@pytest.mark.parametrize("rows", [1, 3, 100])
def test_no_row_is_wanted(make: MakeIndex, k: int, rows: int) -> None:
    index = make(*["返品"] * rows)
    assert found(index.search("words", ["返品"], k)) == []
    assert index.propose([index.asked(["返品"], ()).terms], STREAMS, k).tolist() == []


# What is no hit


def test_an_unknown_word_has_no_hit(make: MakeIndex) -> None:
    index = make("返品 送料", "期間")
    assert found(index.search("words", ["宇宙"], 10)) == []
    assert found(index.search("words", ["宇宙", "期間"], 10)) == [1]


def test_no_hit_scores_zero(make: MakeIndex) -> None:
    index = make("返品", "返品", "返品", "送料")
    rows, scores = index.search("words", ["返品"], 10, np.ones(4, np.bool_))
    assert rows.tolist() == [0, 1, 2]
    assert (scores > 0).all()


def test_a_word_is_not_found_where_a_gram_of_the_same_checksum_is(make: MakeIndex) -> None:
    word, gram = "保住会保", "交変領"
    assert zlib.crc32(f"w{word}".encode()) == zlib.crc32(f"g{gram}".encode())
    index = make(*[Row(Text.of("x", gram))] * 60, Row(Text.of(f"{word} x x x x", "y")))
    assert index.idf("words", word) == pytest.approx(math.log(1 + (61 - 1 + 0.5) / (1 + 0.5)))
    for k in (1, 5, 100):
        assert found(index.search("words", [word], k)) == [60]
        assert found(index.search("grams", [gram], k)) == list(range(60))[:k]
    assert index.propose([index.asked([word], ()).terms], ["words"], 9).tolist() == [60]


def test_no_terms_have_no_hit(make: MakeIndex) -> None:
    index = make("返品", "送料")
    assert found(index.search("words", [], 10)) == []
    assert ceiling(index, []) == 0


def test_an_empty_index_has_no_hit(make: MakeIndex) -> None:
    index = make()
    assert index.rows == 0
    assert found(index.search("words", ["返品"], 10)) == []
    assert ceiling(index, ["返品"]) >= 0


def test_a_row_without_terms_is_counted_and_never_found(make: MakeIndex) -> None:
    index = make("", "返品")
    assert index.rows == 2
    assert found(index.search("words", ["返品"], 10)) == [1]


@pytest.mark.parametrize("term", ["\ud800", "\0", "a" * 64, "𠮷", "か\u3099"])
def test_a_term_may_be_anything(make: MakeIndex, term: str) -> None:
    index = make(Row(Text("odd", ((term, (0, 1)),), ((term, (0, 1)),))), "返品")
    assert found(index.search("words", [term], 10)) == found(index.search("grams", [term], 10)) == [0]


# What a question could score


def test_the_ceiling_is_the_idf_mass(make: MakeIndex) -> None:
    index = make("返品 送料", "返品", "期間")
    once = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    twice = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    assert ceiling(index, ["返品", "送料", "送料"]) == pytest.approx((twice + 2 * once) * 2.2)
    none = math.log(1 + 3.5 / 0.5)
    assert index.asked((), ["返品"]).grams_ceiling == pytest.approx(none * 2.2)


@pytest.mark.parametrize("weight", [1, 50, 2_000_000])
def test_no_score_is_above_the_ceiling(make: MakeIndex, weight: int) -> None:
    index = make(Row(Text.of("返品"), weights=(weight, 0, 0, 0)), *["外"] * 9)
    assert 0 < every_score(index, ["返品"])[0] <= ceiling(index, ["返品"])


# What is asked


def test_a_question_is_its_distinct_terms_with_their_idf(make: MakeIndex) -> None:
    index = make(Row(Text.of("返品 wifi", "wi")), "返品")
    asked = index.asked(["返品", "wifi", "返品"], ["wi", "品の"]).terms
    expected = [
        term_id("words", "返品"), term_id("words", "wifi"), term_id("grams", "wi"), term_id("grams", "品の"),
    ]  # fmt: skip
    ids, _, boosts, flags = asked._arrays
    assert ids.tolist() == expected
    assert boosts.tolist() == [2, 1, 1, 1]
    assert flags.tolist() == [0, 2, 3, 1]
    idfs = [
        index.idf("words", "返品"),
        index.idf("words", "wifi"),
        index.idf("grams", "wi"),
        index.idf("grams", "品の"),
    ]
    assert asked.idfs.tolist() == pytest.approx(idfs, rel=1e-6)


def test_a_question_of_more_than_64_terms_is_asked_by_its_rarest(make: MakeIndex) -> None:
    """100 terms are in one row each and 返品 in all: the commonest is left out, and so are unknown ones."""
    index = make(*[f"返品 t{number}" for number in range(100)])
    terms = ["返品", *(f"t{number}" for number in range(100)), *(f"unknown{number}" for number in range(500))]
    rows, scores = index.search("words", terms, 200)
    assert sorted(rows.tolist()) == sorted(sorted(range(100), key=lambda number: f"t{number}")[:MAX_TERMS])
    assert set(scores.tolist()) == {every_score(index, ["t0"])[0]}
    assert scores.max() <= ceiling(index, terms)


def test_64_terms_are_all_asked(make: MakeIndex) -> None:
    index = make(*[f"返品 t{number}" for number in range(63)])
    assert len(found(index.search("words", ["返品", *(f"t{number}" for number in range(63))], 100))) == 63
    expected = every_score(index, ["返品"])[0] + every_score(index, ["t0"])[0]
    terms = ["返品", *(f"t{number}" for number in range(63))]
    assert every_score(index, terms)[0] == pytest.approx(expected, rel=1e-6)


def test_64_terms_of_each_stream_are_all_asked(make: MakeIndex) -> None:
    terms = [f"t{number}" for number in range(64)]
    index = make(Row(Text.of(" ".join(terms), " ".join(terms))), *[Row(Text.of(term, term)) for term in terms])
    asked = index.asked(terms, terms).terms
    assert index.propose([asked], STREAMS, 1).tolist() == [0, 0]
    assert len(index.propose([asked], STREAMS, 100)) == 130
    assert found(index.search("words", terms, 2)) == [0, 1]


def test_a_thousand_unknown_terms_have_no_hit(make: MakeIndex) -> None:
    index = make("返品")
    terms = [f"unknown{number}" for number in range(1000)]
    assert found(index.search("words", terms, 10)) == []
    assert ceiling(index, terms) == 0


def test_several_questions_in_several_streams_are_asked_at_once(make: MakeIndex) -> None:
    random = np.random.default_rng(1)
    index = make(*[Row(Text.of(*(" ".join(random.choice(VOCABULARY, 9)) for _ in STREAMS))) for _ in range(300)])
    asked = [index.asked(*(random.choice(VOCABULARY, 4).tolist() for _ in STREAMS)).terms for _ in range(5)]
    cases: tuple[tuple[Stream, ...], ...] = ((), ("words",), ("grams",), STREAMS)
    for streams in cases:
        alone = [row for one in asked for stream in streams for row in index.propose([one], [stream], 30).tolist()]
        assert sorted(index.propose(asked, streams, 30).tolist()) == sorted(alone)
        assert len(alone) == 5 * 30 * len(streams)
    assert index.propose([], STREAMS, 30).tolist() == []


def test_eight_threads_get_the_same_answers(make: MakeIndex) -> None:
    index = make(*[f"返品 t{number % 7}" for number in range(200)])
    questions = [["返品"], ["t3", "返品"], ["t6"], ["宇宙"]]
    expected = [found(index.search("words", terms, 30)) for terms in questions]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda terms: found(index.search("words", terms, 30)), questions * 50))
    assert answers == expected * 50


def test_the_terms_that_are_remembered_are_forgotten_before_they_are_too_many(
    make: MakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lexical, "_MOST_KNOWN", 10)
    index = make(*[f"返品 t{number}" for number in range(50)])
    for number in range(50):
        assert found(index.search("words", [f"t{number}", "返品"], 1)) == [number]
        assert len(index._terms["words"]) <= 12


# A delta


def with_delta(folder: Path, base: Sequence[Row], added: Sequence[Row], removed: set[int]) -> LexicalIndex:
    """An index, with rows behind it and rows that count no more."""
    gone = [base[number] for number in removed]
    counts = Counter(term_id(stream, term) for row in gone for stream in STREAMS for term in row.held(stream))
    mask = np.zeros(len(base), np.bool_)
    mask[list(removed)] = True
    leg_of(folder / "base", base)
    more = leg_of(folder / "added", added)
    lengths = [sum(row.held(stream).total() for row in gone) for stream in STREAMS]
    tokens_delta = TokenDelta(more._tokens, len(removed), (lengths[0], lengths[1]))
    tokens = TokenIndex(folder / "base" / "tokens", len(base), tokens_delta)
    delta = LexicalDelta(more, mask, lambda term: counts[term])
    return LexicalIndex(folder / "base" / "lexical", tokens, delta)


@st.composite
def deltas(draw: st.DrawFn) -> tuple[list[Row], list[Row], set[int]]:
    texts = st.lists(st.sampled_from(VOCABULARY[:6]), max_size=30).map(" ".join)
    rows = st.lists(st.builds(lambda words, grams: Row(Text.of(words, grams)), texts, texts), max_size=9)
    base = draw(rows.filter(len))
    return base, draw(rows), draw(st.sets(st.integers(0, len(base) - 1)))


@settings(max_examples=60, deadline=None)
@given(
    given_=deltas(),
    terms=st.lists(st.sampled_from([*VOCABULARY[:6], "unknown"]), min_size=1, max_size=6),
    k=st.integers(1, 20),
)
def test_an_index_with_a_delta_answers_as_one_of_the_rows_that_count(
    given_: tuple[list[Row], list[Row], set[int]], terms: list[str], k: int
) -> None:
    base, added, removed = given_
    kept = [number for number in range(len(base) + len(added)) if number not in removed]
    with tempfile.TemporaryDirectory() as folder:
        index = with_delta(Path(folder) / "delta", base, added, removed)
        whole = leg_of(Path(folder) / "whole", [[*base, *added][number] for number in kept])
    assert index.rows == whole.rows == len(kept)
    for stream in STREAMS:
        assert [index.idf(stream, term) for term in terms] == [whole.idf(stream, term) for term in terms]
        rows, scores = index.search(stream, terms, k)
        expected_rows, expected = whole.search(stream, terms, k)
        assert rows.tolist() == [kept[row] for row in expected_rows.tolist()]
        assert scores.tolist() == expected.tolist()
    words, grams = index.asked(terms, terms)[1:]
    assert (words, grams) == whole.asked(terms, terms)[1:]


@pytest.mark.parametrize("seed", range(3))
def test_a_delta_of_some_hundred_rows_is_one_ranking_with_its_index(tmp_path: Path, seed: int) -> None:
    """A tenth is removed, a twentieth is new, and some of that is longer than what was there."""
    random = np.random.default_rng(seed)

    def drawn(n: int, most: int) -> list[Row]:
        texts = [random.choice(VOCABULARY, size=random.integers(1, most)).tolist() for _ in range(n)]
        return [Row(Text.of(" ".join(text), " ".join(text[::2]))) for text in texts]

    base, added = drawn(1200, 20), [*drawn(50, 20), *drawn(10, 90)]
    removed = set(random.choice(1200, 120, replace=False).tolist())
    index = with_delta(tmp_path, base, added, removed)
    assert index.rows == 1200 - 120 + 60
    admitted = np.asarray(index._served) & (random.random(1260) < 0.4)
    for _ in range(12):
        terms = random.choice([*VOCABULARY, "unknown"], size=random.integers(1, 8)).tolist()
        stream: Stream = "grams" if random.random() < 0.5 else "words"
        ranks_as_all(index, stream, terms, (1, 10, 100, 1260))
        ranks_as_all(index, stream, terms, (1, 10, 100), admitted)


def test_a_delta_proposes_more_and_never_a_row_that_is_removed(tmp_path: Path) -> None:
    base, added = [row_of("返品 送料")] * 300, [row_of("返品 期間")] * 300
    index = with_delta(tmp_path, base, added, set(range(0, 300, 2)))
    rows = index.propose([index.asked(["返品"], ()).terms], ["words"], 40)
    assert rows.tolist() != []
    assert set(rows.tolist()) >= {*range(1, 80, 2), *range(300, 340)}
    assert not set(rows.tolist()) & set(range(0, 300, 2))
    assert found(index.search("words", ["返品"], 200)) == [*range(1, 300, 2), *range(300, 350)]
    assert found(index.search("words", ["返品"], 3, np.arange(600) >= 450)) == [450, 451, 452]


def test_a_delta_counts_the_rows_of_a_term_of_both(tmp_path: Path) -> None:
    base, added = [row_of(text) for text in ("返品", "返品 送料", "期間")], [row_of("返品"), row_of("送料 新着")]
    index = with_delta(tmp_path, base, added, {1})

    def expected(n: int) -> float:
        return math.log(1 + (4 - n + 0.5) / (n + 0.5))

    assert index.rows == 4
    for term, n in {"返品": 2, "送料": 1, "期間": 1, "新着": 1, "無い": 0}.items():
        assert index.idf("words", term) == pytest.approx(expected(n), rel=1e-12)


def test_all_of_an_index_may_be_removed_and_all_of_it_new(tmp_path: Path) -> None:
    rows = [row_of("返品"), row_of("送料")]
    index = with_delta(tmp_path / "new", rows, rows, {0, 1})
    assert found(index.search("words", ["返品"], 9)) == [2]
    index = with_delta(tmp_path / "none", rows, [], {0, 1})
    assert (index.rows, found(index.search("words", ["返品"], 9))) == (0, [])


def test_a_term_that_nobody_knows_takes_no_weight_from_the_others(make: MakeIndex) -> None:
    """Repeated so often it would leave the others no bit: a commoner term would count as much as a rarer one."""
    index = make(*["期間"] * 6, *["送料"] * 5, *["返品"] * 50)
    asked = index.asked((*["宇宙"] * 500_000, "期間", "送料"), ())
    assert sorted(index.propose([asked.terms], ("words",), 5).tolist()) == [6, 7, 8, 9, 10]
