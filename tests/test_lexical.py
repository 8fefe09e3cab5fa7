"""The lexical leg against BM25 written by hand and against rank-bm25; filters, ties, damage."""

from __future__ import annotations

import math
import shutil
import tempfile
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from kbsearch import lexical
from kbsearch.errors import IndexCorrupt
from kbsearch.lexical import LexicalIndex, LexicalRow, quantised_length, write_lexical
from kbsearch.model import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kbsearch.lexical import Stream
    from kbsearch.model import FloatArray, RowArray

    MakeIndex = Callable[..., LexicalIndex]


def row(
    words: str,
    grams: str = "",
    *,
    article: int = 0,
    lang: str = "ja",
    kind: str = "faq",
    categories: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
) -> LexicalRow:
    return LexicalRow(words, grams, article, lang, kind, categories, tags)


@pytest.fixture
def make(tmp_path: Path) -> MakeIndex:
    """Write rows, or texts of the words stream, and open them."""

    def index(*rows: LexicalRow | str) -> LexicalIndex:
        write_lexical(tmp_path / "lexical", [row(given) if isinstance(given, str) else given for given in rows])
        return LexicalIndex(tmp_path / "lexical")

    return index


def found(answer: tuple[RowArray, FloatArray]) -> list[int]:
    rows: list[int] = answer[0].tolist()
    return rows


def every_score(index: LexicalIndex, terms: Sequence[str]) -> FloatArray:
    """BM25 of each row in the words stream, 0 where no term occurs."""
    rows, scores = index.search("words", terms, index.rows)
    every = np.zeros(index.rows, dtype=np.float32)
    every[rows] = scores
    return every


def ceiling(index: LexicalIndex, terms: Sequence[str]) -> float:
    return index.asked("words", terms).ceiling


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


def test_a_weight_is_a_repetition(make: MakeIndex) -> None:
    """BM25F: three times in the field counts as tf = 3 before saturation."""
    index = make("返品 返品 返品", "返品 送料 期間", "支払い 方法 変更")
    idf = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    scores = every_score(index, ["返品"])
    assert float(scores[0] / scores[1]) == pytest.approx((3 / (3 + 1.2)) / (1 / (1 + 1.2)), rel=1e-6)
    assert index.idf("words", "返品") == pytest.approx(idf, rel=1e-12)


def test_the_streams_are_apart(make: MakeIndex) -> None:
    index = make(row("返品", "送料"), row("送料", "返品"))
    assert found(index.search("words", ["返品"], 10)) == [0]
    assert found(index.search("grams", ["返品"], 10)) == [1]


# The length as one byte keeps it


def test_quantised_length_is_lucene_s_small_float() -> None:
    """Against the 256 values that the byte can mean, from Lucene's definition of ``byte4ToInt``."""

    def meaning(byte: int) -> int:
        if byte < 24:
            return byte
        bits, shift = (byte - 24) & 7, ((byte - 24) >> 3) - 1
        return 24 + (bits if shift == -1 else (bits | 8) << shift)

    table = [meaning(byte) for byte in range(256)]
    assert table[:44] == [*range(40), 40, 42, 44, 46]
    assert all(low < high for low, high in pairwise(table))
    lengths = [*range(5000), *(value + off for value in table for off in (-1, 0, 1) if value + off >= 0)]
    assert [quantised_length(n) for n in lengths] == [table[bisect_right(table, n) - 1] for n in lengths]


@pytest.mark.parametrize("length", [1, 39, 40, 41, 47, 55, 56, 100, 1000])
def test_tantivy_stores_the_length_so(make: MakeIndex, length: int) -> None:
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


@settings(max_examples=25, deadline=None)
@given(
    documents=st.lists(st.lists(st.sampled_from(VOCABULARY[:6]), min_size=1, max_size=60), min_size=1, max_size=12),
    terms=st.lists(st.sampled_from([*VOCABULARY[:6], "unknown"]), min_size=1, max_size=6),
    k=st.integers(1, 15),
)
def test_any_small_corpus_ranks_as_rank_bm25_ranks_it(documents: list[list[str]], terms: list[str], k: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_lexical(Path(folder) / "lexical", [row(" ".join(document)) for document in documents])
        index = LexicalIndex(Path(folder) / "lexical")
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


def test_several_segments_are_one_ranking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexical, "_HEAP_BYTES", 15_000_000)
    rows = [row("送料 " + " ".join(f"word{number}x{place}" for place in range(150))) for number in range(2500)]
    write_lexical(tmp_path / "lexical", rows)
    assert len(list((tmp_path / "lexical").glob("*.idx"))) > 1
    index = LexicalIndex(tmp_path / "lexical")
    assert found(index.search("words", ["送料"], 300)) == list(range(300))
    assert found(index.search("words", ["word2400x7", "送料"], 3)) == [2400, 0, 1]
    assert len(set(every_score(index, ["送料"]).tolist())) == 1


def test_k_may_be_more_than_there_is_and_more_than_memory_holds(make: MakeIndex) -> None:
    index = make("返品", "送料", "返品 送料")
    for k in (3, 4, 10**6, 10**12, 2**62):
        assert found(index.search("words", ["返品"], k)) == [0, 2]


@pytest.mark.parametrize("k", [0, -1])
def test_no_row_is_wanted(make: MakeIndex, k: int) -> None:
    assert found(make("返品").search("words", ["返品"], k)) == []


# What is no hit


def test_an_unknown_word_has_no_hit(make: MakeIndex) -> None:
    index = make("返品 送料", "期間")
    assert found(index.search("words", ["宇宙"], 10)) == []
    assert found(index.search("words", ["宇宙", "期間"], 10)) == [1]


def test_no_hit_scores_zero(make: MakeIndex) -> None:
    index = make("返品", "返品", "返品", "送料")
    rows, scores = index.search("words", ["返品"], 10, Filter(lang=("ja",)))
    assert rows.tolist() == [0, 1, 2]
    assert (scores > 0).all()


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


# What a question could score


def test_the_ceiling_is_the_idf_mass(make: MakeIndex) -> None:
    index = make("返品 送料", "返品", "期間")
    once = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    twice = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    assert ceiling(index, ["返品", "送料", "送料"]) == pytest.approx((twice + 2 * once) * 2.2)


@pytest.mark.parametrize("text", ["返品", "返品 " * 2_000_000, "返品 " * 50 + "外 " * 50])
def test_no_score_is_above_the_ceiling(make: MakeIndex, text: str) -> None:
    index = make(text, *["外"] * 9)
    assert 0 < every_score(index, ["返品"])[0] <= ceiling(index, ["返品"])


# Long questions


def test_a_question_of_more_than_64_terms_is_asked_by_its_rarest(make: MakeIndex) -> None:
    """100 terms are in one row each and 返品 in all: the commonest is left out, and so are unknown ones."""
    index = make(*[f"返品 t{number}" for number in range(100)])
    terms = ["返品", *(f"t{number}" for number in range(100)), *(f"unknown{number}" for number in range(500))]
    rows, scores = index.search("words", terms, 200)
    assert sorted(rows.tolist()) == sorted(sorted(range(100), key=lambda number: f"t{number}")[:64])
    assert set(scores.tolist()) == {every_score(index, ["t0"])[0]}
    assert scores.max() <= ceiling(index, terms)


def test_64_terms_are_all_asked(make: MakeIndex) -> None:
    index = make(*[f"返品 t{number}" for number in range(63)])
    assert len(found(index.search("words", ["返品", *(f"t{number}" for number in range(63))], 100))) == 63
    expected = every_score(index, ["返品"])[0] + every_score(index, ["t0"])[0]
    terms = ["返品", *(f"t{number}" for number in range(63))]
    assert every_score(index, terms)[0] == pytest.approx(expected, rel=1e-6)


def test_a_thousand_unknown_terms_have_no_hit(make: MakeIndex) -> None:
    index = make("返品")
    terms = [f"unknown{number}" for number in range(1000)]
    assert found(index.search("words", terms, 10)) == []
    assert ceiling(index, terms) == 0


# Filters


SHELF = [
    row("返品", article=0, lang="ja", kind="faq", categories=("shop", "shop/returns"), tags=("送料", "返品")),
    row("返品", article=0, lang="ja", kind="faq", categories=("shop", "shop/returns"), tags=("送料", "返品")),
    row("返品", article=1, lang="ja", kind="guide", categories=("shop",), tags=("期間",)),
    row("返品", article=2, lang="en", kind="faq", categories=("shopping",), tags=("Returns policy",)),
    row("返品", article=3, lang="en", kind="guide", categories=("お店", "お店/返品"), tags=()),
    row("期間", article=4, lang="ja", kind="faq", categories=(), tags=("送料",)),
]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> LexicalIndex:
    folder = tmp_path_factory.mktemp("shelf") / "lexical"
    write_lexical(folder, SHELF)
    return LexicalIndex(folder)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (None, [0, 1, 2, 3, 4]),
        (Filter(), [0, 1, 2, 3, 4]),
        (Filter(lang=("ja",)), [0, 1, 2]),
        (Filter(lang=("en",)), [3, 4]),
        (Filter(lang=("ja", "en")), [0, 1, 2, 3, 4]),
        (Filter(lang=("fr",)), []),
        (Filter(kind=("guide",)), [2, 4]),
        (Filter(category=("shop",)), [0, 1, 2]),
        (Filter(category=("shop/returns",)), [0, 1]),
        (Filter(category=("お店",)), [4]),
        (Filter(category=("returns",)), []),
        (Filter(category=("shop/returns", "shopping")), [0, 1, 3]),
        (Filter(tags=("送料",)), [0, 1]),
        (Filter(tags=("送料", "期間")), [0, 1, 2]),
        (Filter(tags=("Returns policy",)), [3]),
        (Filter(tags=("returns",)), []),
        (Filter(lang=("ja",), kind=("guide",)), [2]),
        (Filter(lang=("en",), category=("shop",)), []),
        (Filter(lang=("ja",), kind=("faq",), category=("shop",), tags=("返品",)), [0, 1]),
    ],
)
def test_a_filter_takes_alternatives_of_a_field_and_demands_all_fields(
    shelf: LexicalIndex, where: Filter | None, expected: list[int]
) -> None:
    assert found(shelf.search("words", ["返品"], 10, where)) == expected


@pytest.mark.parametrize(
    ("where", "excluded", "expected"),
    [
        (None, (0,), [2, 3, 4]),
        (None, (0, 3), [2, 3]),
        (Filter(lang=("ja",)), (1,), [0, 1]),
        (Filter(lang=("ja",)), (0, 1), []),
        (None, (99,), [0, 1, 2, 3, 4]),
    ],
)
def test_excluded_articles_take_no_part(
    shelf: LexicalIndex, where: Filter | None, excluded: tuple[int, ...], expected: list[int]
) -> None:
    assert found(shelf.search("words", ["返品"], 10, where, excluded)) == expected


def test_a_filter_works_before_ranking_and_changes_no_score(make: MakeIndex) -> None:
    """One row of ten thousand in another language, the worst match of all, is found with k = 1."""
    index = make(*[row("送料 送料")] * 3000, row("送料 " + "外 " * 30, lang="en"), *[row("送料 送料")] * 3000)
    rows, scores = index.search("words", ["送料"], 1, Filter(lang=("en",)))
    assert rows.tolist() == [3000]
    assert scores[0] == every_score(index, ["送料"])[3000]


# Files


def test_the_folder_is_not_written_after_it_was_made(tmp_path: Path) -> None:
    folder = tmp_path / "lexical"
    write_lexical(folder, SHELF)
    assert not list(folder.glob("*.lock"))
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    folder.chmod(0o555)
    try:
        index = LexicalIndex(folder)
        assert found(index.search("words", ["期間"], 3)) == [5]
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    finally:
        folder.chmod(0o755)


def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spare = tmp_path / "tmp"
    spare.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spare))
    write_lexical(tmp_path / "lexical", SHELF)
    index = LexicalIndex(tmp_path / "lexical")
    assert found(index.search("words", ["期間"], 3)) == [5]
    assert list(spare.iterdir()) == []


def test_an_open_index_outlives_its_folder(tmp_path: Path) -> None:
    """The collector may remove a generation that a reader still has open."""
    write_lexical(tmp_path / "lexical", SHELF)
    index = LexicalIndex(tmp_path / "lexical")
    shutil.rmtree(tmp_path / "lexical")
    assert found(index.search("words", ["期間"], 3)) == [5]
    assert every_score(index, ["期間"])[5] > 0


def _answer(folder: Path) -> None:
    index = LexicalIndex(folder)
    streams: tuple[Stream, ...] = ("words", "grams")
    for stream in streams:
        index.search(stream, ["返品", "期間"], 10, Filter(lang=("ja",), category=("shop",), tags=("送料",)), [3])
        index.asked(stream, ["返品", *(f"t{number}" for number in range(70))])


@pytest.mark.parametrize("suffix", ["meta.json", ".term", ".idx", ".fast", ".fieldnorm", ".store"])
@pytest.mark.parametrize("damage", ["missing", "empty", "half"])
def test_a_damaged_file_is_reported_as_damage(tmp_path: Path, suffix: str, damage: str) -> None:
    folder = tmp_path / "lexical"
    write_lexical(folder, SHELF)
    file = next(file for file in folder.iterdir() if file.name.endswith(suffix))
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(b"" if damage == "empty" else content[: len(content) // 2])
    with pytest.raises(IndexCorrupt) as raised:
        _answer(folder)
    assert raised.value.file == str(folder)


def test_a_changed_byte_is_reported_as_damage_or_harmless(tmp_path: Path) -> None:
    """Sums are the store's to check; here no byte may end in anything but an answer or IndexCorrupt."""
    folder = tmp_path / "lexical"
    write_lexical(folder, SHELF)
    random = np.random.default_rng(7)
    reported = 0
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        count = min(150 if file.suffix == ".fast" else 10, len(content))  # row numbers are there
        for place in random.choice(len(content), size=count, replace=False).tolist():
            file.unlink()  # an index opened before has the old one mapped
            file.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
            try:
                _answer(folder)
            except IndexCorrupt:
                reported += 1
        file.write_bytes(content)
    assert reported > 10


def test_a_missing_folder_is_damage(tmp_path: Path) -> None:
    with pytest.raises(IndexCorrupt):
        LexicalIndex(tmp_path / "nowhere")


def test_an_existing_folder_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "lexical").mkdir()
    with pytest.raises(FileExistsError):
        write_lexical(tmp_path / "lexical", SHELF)


def test_eight_threads_get_the_same_answers(make: MakeIndex) -> None:
    index = make(*[f"返品 t{number % 7}" for number in range(200)])
    questions = [["返品"], ["t3", "返品"], ["t6"], ["宇宙"]]
    expected = [found(index.search("words", terms, 30)) for terms in questions]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda terms: found(index.search("words", terms, 30)), questions * 50))
    assert answers == expected * 50
