"""From the rows that the legs propose to the order of their articles: the compiled part against numpy, step by step."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import Question, article_features, background, head_features, own_language_first
from terms import ask, bodies

from kbsearch import native, structures
from kbsearch.confidence import HEAD_NAMES
from kbsearch.features import JAPANESE_QUESTION, NAMES
from kbsearch.learned import shipped_models
from kbsearch.rank import Candidates, Overlap, rank
from kbsearch.text import analyse
from kbsearch.tokens import TokenIndex, TokenWriter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kbsearch.model import FloatArray

WIDTH = 24
WORDS = ["返品", "送料", "請求", "password", "reset", "配送", "3日", "無料", "error"]


def units(random: np.random.Generator, n: int) -> FloatArray:
    found = random.standard_normal((n, WIDTH)).astype(np.float32) + np.float32(0.7)
    lengths: FloatArray = np.linalg.norm(found, axis=1, keepdims=True)
    unit: FloatArray = found / lengths
    return unit


def index_of(random: np.random.Generator, rows: int) -> TokenIndex:
    """Rows of a few words each."""
    with tempfile.TemporaryDirectory() as folder:
        with TokenWriter(Path(folder) / "tokens") as writer:
            for _ in range(rows):
                texts = [" ".join(random.choice(WORDS, int(random.integers(0, size)))) for size in (9, 4, 3, 2)]
                for text in texts:
                    found = analyse(text)
                    words, grams = (found.words.terms, found.words.spans), (found.grams.terms, found.grams.spans)
                    writer.add_text(text, words, grams)
                writer.add_row(texts[0], (texts[1], texts[2], texts[3]), zip(texts, (1, 3, 2, 3), strict=True))
        return TokenIndex(Path(folder) / "tokens", rows)


def headings(random: np.random.Generator, rows: int) -> structures.Headings:
    """Of each row one of a few, or none; rows of one section stand together."""
    count = int(random.integers(1, 6))
    codes = random.integers(-127, 128, (count, WIDTH)).astype(np.int8)
    scales = (1 / np.linalg.norm(codes.astype(np.float64), axis=1)).astype(np.float32)
    return structures.Headings(codes, scales, np.sort(random.integers(-1, count, rows)).astype(np.int32))


class Shelf:
    """Two parts with rows, articles and versions of articles."""

    def __init__(self, seed: int, rows: tuple[int, int], samples: int = 40) -> None:
        self.random = random = np.random.default_rng(seed)
        self.tokens = [index_of(random, n) for n in rows if n]
        self.vectors = [units(random, n) for n in rows if n]
        numbers: list[NDArray[np.int32]] = []
        counts: list[int] = []
        for n in rows:
            if n:
                own = np.cumsum(random.random(n) < 0.6).astype(np.int32)
                own -= own[0]
                numbers.append(own + sum(counts))
                counts.append(int(own[-1]) + 1)
        self.article_of_row = np.concatenate(numbers)
        self.articles = sum(counts)
        self.titles = [units(random, n) for n in counts]
        self.headings = [headings(random, n) for n in rows if n]
        self.japanese = random.random(self.articles) < 0.5
        self.group = random.integers(0, max(1, self.articles * 2 // 3), self.articles).astype(np.int32)
        self.samples = [units(random, samples), units(random, samples)]
        step = float(max(np.abs(sample).max(initial=0) for sample in self.samples)) / 127 or 1.0
        codes = [np.rint(sample / np.float32(step)).astype(np.int8) for sample in self.samples]
        self.corpus = structures.Corpus(
            [
                (tokens.opened[0], vectors, titles, headings)
                for tokens, vectors, titles, headings in zip(
                    self.tokens, self.vectors, self.titles, self.headings, strict=True
                )
            ],
            self.article_of_row, self.japanese, self.group, (codes[0], codes[1], step), (0.3, 0.1), (0.25, 0.2),
        )  # fmt: skip

    def heading_cosine(self, row: int, ways: structures.Ways, withheld: int) -> np.float32:
        """The greatest of the ways; nothing where there is no heading."""
        part = int(row >= len(self.vectors[0]))
        codes, scales, of_row = self.headings[part].held
        number = int(of_row[row - part * len(self.vectors[0])])
        if number < 0 or (part, number) == (0, withheld):
            return np.float32(-np.inf)
        vectors = [way.held[1] for way in ways if way.held[1] is not None]
        matrix, first = codes.astype(np.float32), np.array([number])
        products = [native.dots(matrix, first, vector)[0] * scales[number] for vector in vectors]
        return np.float32(max(products))

    def ask(self, *questions: str, vectors: bool = True) -> structures.Ways:
        ways = []
        for number, question in enumerate(questions):
            found = analyse(question)
            words, grams = ({term: 1.0 + len(term) for term in terms.terms} for terms in (found.words, found.grams))
            asked = ask(self.tokens[0], words, grams, (dict.fromkeys(words, 1), dict.fromkeys(grams, 2)))
            vector = units(self.random, 1)[0] if vectors else None
            ways.append(structures.Way(asked, vector, (1.0, 1.0) if number == 0 else (0.5, 1.5)))
        return structures.Ways(ways)


def split(scores: FloatArray, n: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    words, grams, dense, cover, reverse = np.split(scores, [n, 2 * n, 3 * n, 9 * n])
    return words, grams, dense, cover.reshape(n, 6), reverse.reshape(n, 6)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 30), st.integers(0, 10)),
    st.lists(st.sampled_from(["返品 送料 請求", "reset password 送料", "", "無料 無料 error"]), min_size=1, max_size=3),
    st.booleans(),
)  # fmt: skip
def test_a_row_has_the_best_of_all_ways(seed: int, rows: tuple[int, int], questions: list[str], vectors: bool) -> None:  # noqa: FBT001
    shelf = Shelf(seed, rows)
    ways = shelf.ask(*questions, vectors=vectors)
    proposals = shelf.random.integers(0, sum(rows), int(shelf.random.integers(0, 60)))
    found, scores = native.pool(shelf.corpus, ways, proposals)
    expected = np.unique(proposals)
    assert found.tolist() == expected.tolist()
    n = len(found)
    best: list[Any] = [np.zeros(n), np.zeros(n), np.full(n, -np.inf), np.zeros((n, 6)), np.zeros((n, 6))]
    for number, way in enumerate(ways):
        asked, vector = way.held
        for row, at in zip(expected.tolist(), range(n), strict=True):
            part, own = (0, row) if row < rows[0] else (1, row - rows[0])
            words, grams, cover, reverse = shelf.tokens[part].describe(asked, np.array([own]))
            unit = (1.0, 1.0) if number == 0 else (0.5, 1.5)
            cosine = native.dots(shelf.vectors[part], np.array([own]), vector)[0] if vector is not None else 0
            values = (words[0] * np.float32(unit[0]), grams[0] * np.float32(unit[1]), cosine, cover[0], reverse[0])
            for measure, value in zip(best, values, strict=True):
                measure[at] = np.maximum(measure[at], value)
    for measure, value in zip(split(scores, n), best, strict=True):
        np.testing.assert_array_equal(measure, value.astype(np.float32))


@pytest.mark.parametrize("row", [-1, 7, 2**40])
def test_a_proposal_that_is_no_row_is_damage(row: int) -> None:
    shelf = Shelf(1, (7, 0))
    with pytest.raises(structures.Damaged):
        native.pool(shelf.corpus, shelf.ask("返品"), np.array([3, row]))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(st.integers(1, 60), st.integers(0, 12)), st.sampled_from([0, 20, 40]))
def test_articles_are_judged_as_numpy_judges_them(seed: int, rows: tuple[int, int], samples: int) -> None:
    shelf = Shelf(seed, rows, samples)
    random, models = shelf.random, shipped_models()
    ways = shelf.ask("返品 送料", "password 返品")
    found, scores = native.pool(shelf.corpus, ways, np.flatnonzero(random.random(sum(rows)) < 0.8))
    n, untitled = len(found), int(random.choice([-1, 0]))
    withheld = int(random.choice([-1, *shelf.headings[0].held[2]]))
    japanese = float(random.choice([0.0, 0.2, 0.21, 1.0]))
    asking = structures.Asking(
        12.5, 0.0, japanese, japanese > JAPANESE_QUESTION, float(np.log1p(7)), untitled, withheld
    )
    judged = native.judge(shelf.corpus, ways, asking, structures.Pooled(found, scores, (12.5, 0.0)), models.forests)

    words, grams, dense, cover, reverse = split(scores, n)
    pooled = Candidates(found, words, grams, dense, 12.5, 0.0, Overlap(cover, reverse))
    titles = np.concatenate(shelf.titles)

    def title_cosines(numbers: Any) -> FloatArray:
        ways_of = [native.dots(titles, numbers, way.held[1]) for way in ways if way.held[1] is not None]
        cosines: FloatArray = np.max(ways_of, axis=0) if len(numbers) else np.empty(0, np.float32)
        cosines[numbers == untitled] = 0.25
        for row in found:
            own = shelf.heading_cosine(int(row), ways, withheld)
            at = numbers == shelf.article_of_row[row]
            cosines[at] = np.maximum(cosines[at], own)
        return cosines

    backgrounds = [background(sample, ways[0].held[1], (0.3, 0.1)) for sample in shelf.samples]
    question = Question(japanese, 7, (0.3, 0.1), (0.25, 0.2), (backgrounds[0], backgrounds[1]))
    numbers, features = article_features(pooled, shelf.article_of_row[found], title_cosines, shelf.japanese, question)
    assert judged.numbers.tolist() == numbers.tolist()
    assert np.diff(judged.begins).tolist() == [int((shelf.article_of_row[found] == number).sum()) for number in numbers]
    of_language = [NAMES.index(name) for name in ("cosine_language", "cosine_language_gap")]
    others = np.delete(np.arange(len(NAMES)), of_language)
    np.testing.assert_array_equal(judged.features[:, others], features[:, others])
    np.testing.assert_allclose(judged.features[:, of_language], features[:, of_language], atol=0.05)  # of 8-bit codes
    if not n:
        assert judged.log_odds is None or judged.order.tolist() == []
        return
    raw = models.ranker.score(judged.features)
    np.testing.assert_array_equal(judged.raw, raw)
    ordered, first = own_language_first(
        shelf.group[numbers], shelf.japanese[numbers], raw, asks_japanese=japanese > JAPANESE_QUESTION
    )
    np.testing.assert_array_equal(judged.scores, ordered)
    np.testing.assert_allclose(judged.chances, 1 / (1 + np.exp(-ordered.astype(np.float64))), rtol=1e-6)
    assert judged.order.tolist() == np.lexsort((numbers, -ordered)).tolist()
    head = head_features(judged.features[first], ordered[first])
    assert judged.head.shape == (len(HEAD_NAMES),) == (structures.HEAD,)
    np.testing.assert_allclose(judged.head, head, rtol=1e-5, atol=1e-5)
    assert judged.log_odds == models.confidence.log_odds(judged.head)


@pytest.mark.parametrize("rows", [(400, 0), (300, 100), (10, 390)])
def test_a_pool_that_two_cores_share_has_the_numbers_of_its_rows_in_small_pools(rows: tuple[int, int]) -> None:
    shelf = Shelf(4, rows)
    ways, every = shelf.ask("返品 送料", "password 返品"), np.arange(400)
    small = [native.pool(shelf.corpus, ways, every[first : first + 40])[1] for first in range(0, 400, 40)]
    expected = [np.concatenate(parts) for parts in zip(*(split(scores, 40) for scores in small), strict=True)]
    for _ in range(50):
        found, scores = native.pool(shelf.corpus, ways, shelf.random.permutation(every))
        assert found.tolist() == every.tolist()
        for numbers, others in zip(split(scores, 400), expected, strict=True):
            np.testing.assert_array_equal(numbers, others)


@pytest.mark.parametrize("row", [400, -1])
def test_a_row_outside_of_a_shared_pool_is_damage(row: int) -> None:
    shelf = Shelf(4, (400, 0))
    with pytest.raises(structures.Damaged):
        native.pool(shelf.corpus, shelf.ask("返品"), np.append(np.arange(300), row))


def test_without_models_articles_are_described_only() -> None:
    shelf = Shelf(2, (20, 5))
    ways = shelf.ask("送料")
    rows, scores = native.pool(shelf.corpus, ways, np.arange(25))
    asking = structures.Asking(1, 1, 1, 1, 1, -1, -1)
    pooled = structures.Pooled(rows, scores, (1.0, 1.0))
    bare = native.judge(shelf.corpus, ways, asking, pooled, structures.Models())
    ranked = native.judge(shelf.corpus, ways, asking, pooled, shipped_models().forests)
    np.testing.assert_array_equal(bare.features, ranked.features)
    assert (bare.log_odds, len(bare.order), len(bare.raw)) == (None, 0, 0)
    assert len(ranked.order) == len(ranked.numbers)


def test_a_question_without_a_vector_is_not_judged() -> None:
    shelf = Shelf(3, (4, 0))
    ways = shelf.ask("送料", vectors=False)
    rows, scores = native.pool(shelf.corpus, ways, np.arange(4))
    with pytest.raises(AssertionError, match="vector"):
        native.judge(
            shelf.corpus, ways, structures.Asking(1, 1, 1, 1, 1, -1, -1), structures.Pooled(rows, scores, (1.0, 1.0)),
            structures.Models(),
        )  # fmt: skip


def test_arrays_that_do_not_fit_each_other_make_no_corpus() -> None:
    shelf = Shelf(4, (6, 0))
    part = (shelf.tokens[0].opened[0], shelf.vectors[0], shelf.titles[0], shelf.headings[0])
    for article_of_row, japanese, group in (
        (shelf.article_of_row[:-1], shelf.japanese, shelf.group),
        (shelf.article_of_row, shelf.japanese[:-1], shelf.group[:-1]),
        (shelf.article_of_row, shelf.japanese, shelf.group[:-1]),
    ):
        with pytest.raises(AssertionError):
            structures.Corpus([part], article_of_row, japanese, group)
    with pytest.raises(AssertionError):
        structures.Corpus([(part[0], part[1][:-1], *part[2:])], shelf.article_of_row, shelf.japanese, shelf.group)
    codes, scales, of_row = part[3].held
    for wrong in (
        structures.Headings(codes, scales, of_row[:-1]),
        structures.Headings(codes[:, :-1].copy(), scales, of_row),
    ):
        with pytest.raises(AssertionError):
            structures.Corpus([(*part[:3], wrong)], shelf.article_of_row, shelf.japanese, shelf.group)
    with pytest.raises(structures.Damaged):
        structures.Headings(codes, scales[:-1], of_row)


@pytest.mark.parametrize(("number", "scale"), [(-2, 1), (10**6, 1), (0, np.nan), (0, np.inf)])
def test_a_heading_that_is_none_is_damage(number: int, scale: float) -> None:
    shelf = Shelf(5, (6, 0))
    ways, headings = shelf.ask("送料"), shelf.headings[0]
    of_row, scales = headings.held[2], headings.held[1]
    of_row[:], scales[:] = number, scale
    rows, scores = native.pool(shelf.corpus, ways, np.arange(6))
    pooled = structures.Pooled(rows, scores, (1.0, 1.0))
    with pytest.raises(structures.Damaged):
        native.judge(shelf.corpus, ways, structures.Asking(1, 1, 1, 1, 1, -1, -1), pooled, structures.Models())


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(st.integers(1, 40), st.integers(0, 12)), st.integers(1, 5), st.booleans())
def test_the_best_rows_of_an_article_are_shown_each_with_another_text(
    seed: int,
    rows: tuple[int, int],
    most: int,
    is_given: bool,  # noqa: FBT001
) -> None:
    """Of the six best; of equals the lower row. Aliases show the text of a passage again."""
    shelf = Shelf(seed, rows)
    found, scores = native.pool(
        shelf.corpus, shelf.ask("返品 送料"), np.flatnonzero(shelf.random.random(sum(rows)) < 0.8)
    )
    n = len(found)
    words, grams, dense, *_ = split(scores, n)
    ceilings = (float(words.max(initial=0)), float(shelf.random.choice([0.0, 9.0])))
    fused = rank(Candidates(found, words, grams, dense, *ceilings), "hybrid")
    own = np.round(fused, 1) if is_given else None  # with ties
    numbers = shelf.article_of_row[found]
    begins = np.append(np.flatnonzero(np.diff(numbers, prepend=-1)), n)
    places = shelf.random.permutation(len(begins) - 1)[: int(shelf.random.integers(0, 9))]
    pooled = structures.Pooled(found, scores, ceilings)
    best, of_best, ends = native.best_rows(shelf.corpus, pooled, own, begins, places, most)
    assert best.tolist() == np.concatenate([np.empty(0, int), *np.split(best, ends)]).tolist()
    compared = fused if own is None else own
    assert of_best == compared[best].tolist()
    texts = [bodies(tokens, range(n_rows)) for tokens, n_rows in zip(shelf.tokens, rows, strict=False)]
    for place, shown in zip(places.tolist(), np.split(best, ends)[:-1], strict=True):
        expected: dict[int, int] = {}
        inside = range(begins[place], begins[place + 1])
        for at in sorted(inside, key=compared.__getitem__, reverse=True)[:6]:
            row = int(found[at])
            expected.setdefault(texts[0][row] if row < rows[0] else texts[1][row - rows[0]], at)
        assert shown.tolist() == list(expected.values())[:most]


@pytest.mark.parametrize("row", [-1, 7, 2**40])
def test_the_text_of_a_row_that_is_none_is_damage(row: int) -> None:
    shelf, none = Shelf(1, (7, 0)), np.zeros(structures.PER_ROW, np.float32)
    pooled = structures.Pooled(np.array([row]), none, (1.0, 1.0))
    with pytest.raises(structures.Damaged):
        native.best_rows(shelf.corpus, pooled, None, np.array([0, 1]), np.array([0]), 3)
    with pytest.raises(structures.Damaged):
        native.best_rows(shelf.corpus, pooled, None, np.array([0, 2]), np.array([0]), 3)  # there is one row
    with pytest.raises(AssertionError, match="places of 1 articles"):
        native.best_rows(shelf.corpus, pooled, None, np.array([0, 1]), np.array([1]), 3)
