"""The terms of every row, forwards: against plain Python, against the lexical leg, and under damage.

Run as a script, this file reads damaged copies of a folder and tells what becomes of each; every one is tried in a
process of its own, so that a crash or a hang is an outcome like any other.
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from damage import column_of, tell_outcomes
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi
from terms import Row, Text, ask, bodies, opened, write

from kbsearch import tokens as tokens_module
from kbsearch.bm25 import STREAMS, quantised_length, term_id
from kbsearch.columns import load_column, save_column
from kbsearch.errors import IndexCorrupt
from kbsearch.lexical import MAX_TERMS, LexicalIndex, write_lexical
from kbsearch.tokens import SLOTS, TokenIndex, TokenWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from terms import Span

    from kbsearch.model import FloatArray

    Match = tuple[int, int, str]


def every(index: TokenIndex) -> np.ndarray:
    return np.arange(index.rows)


# Plain Python


def distinct(text: str, idf: float = 1.0) -> dict[str, float]:
    """Each term of a text in blanks, rarer and rarer."""
    return {term: idf + number for number, term in enumerate(dict.fromkeys(text.split()))}


def textbook(rows: Sequence[Row], stream: str, idfs: Mapping[str, float], boosts: Mapping[str, int]) -> list[float]:
    """BM25 of each row, term by term, with k1 = 1.2 and b = .75."""
    held = [row.held(stream) for row in rows]
    mean = sum(terms.total() for terms in held) / len(rows)
    scores = []
    for terms in held:
        length = 1 - 0.75 + 0.75 * quantised_length(terms.total()) / (mean or 1)
        found = [(idfs[term] * boost, terms[term]) for term, boost in boosts.items()]
        scores.append(sum(weight * tf * (1.2 + 1) / (tf + 1.2 * length) for weight, tf in found if tf))
    return scores


def shared(text: Text, stream: str, idfs: Mapping[str, float]) -> tuple[float, float]:
    """Cover and reverse of one slot, by sets."""
    held, total = set(text.terms(stream)), sum(idfs.values())
    mass = sum(idfs[term] for term in held & idfs.keys())
    return mass / total if total else 0.0, len(held & idfs.keys()) / max(1, len(held))


def matched(text: Text, words: Mapping[str, float], grams: Mapping[str, float]) -> list[Match]:
    """Places that matched: words, and grams where no matched word lies and two grams in a row agree."""
    found = [(start, end, term) for term, (start, end) in text.words if term in words]
    covered = {place for start, end, _ in found for place in range(start, end)}
    runs: list[list[Match]] = []
    for term, (start, end) in text.grams:
        if term in grams and covered.isdisjoint(range(start, end)):
            if not runs or start >= runs[-1][-1][1]:
                runs.append([])
            runs[-1].append((start, end, term))
    return sorted(found + [match for run in runs if len(run) > 1 or run[0][2].isascii() for match in run])


def places(index: TokenIndex, words: Mapping[str, float], grams: Mapping[str, float]) -> list[list[Match]]:
    """The same of each row, as the index has them, with the terms by their names."""
    names = [*words, *grams]
    asked = ask(index, words, grams, ({}, {}))
    found = index.matches(asked, every(index))
    assert all([place[:2] for place in row] == sorted(place[:2] for place in row) for row in found)
    return [sorted((start, end, names[term]) for start, end, term in row) for row in found]


TERMS: Final = ["返品", "送料", "の送", "期", "a", "b", "reset", "wifi"]

some_terms = st.lists(st.sampled_from(TERMS), max_size=9)
some_text = st.builds(lambda words, grams: Text.of(" ".join(words), " ".join(grams)), some_terms, some_terms)
some_row = st.builds(
    Row, some_text, some_text, some_text, some_text, st.tuples(*[st.integers(0, 3)] * 4)
)  # fmt: skip
some_idfs = st.dictionaries(st.sampled_from([*TERMS, "unknown"]), st.floats(0.05, 9))


# What a row scores


def test_bm25_by_hand() -> None:
    """Lengths 2, 4 and 3; 返品 stands three times in the second row."""
    index = opened([Row(Text.of("返品 送料")), Row(Text.of("返品 返品 返品 期間")), Row(Text.of("支払い 方法 変更"))])
    words, *_ = index.describe(ask(index, {"返品": 2.0}, {}, ({"返品": 1}, {})), every(index))
    first = 2.0 * 1 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 3))
    second = 2.0 * 3 * 2.2 / (3 + 1.2 * (0.25 + 0.75 * 4 / 3))
    assert words.tolist() == pytest.approx([first, second, 0], rel=1e-6)


def test_a_weight_is_a_repetition() -> None:
    """BM25F: a title of weight 3 counts as three times the body."""
    rows = [Row(Text.of("期間 送料"), Text.of("返品")), Row(Text.of("期間 送料 返品 返品 返品"))]
    index = opened(rows)
    words, *_ = index.describe(ask(index, {"返品": 2.0}, {}, ({"返品": 1}, {})), every(index))
    assert words[0] == words[1] > 0


def test_a_term_that_is_asked_twice_counts_twice() -> None:
    index = opened([Row(Text.of("返品 送料")), Row(Text.of("期間"))])
    once, twice = (ask(index, {"返品": 2.0}, {}, ({"返品": boost}, {})) for boost in (1, 2))
    assert index.describe(twice, every(index))[0][0] == 2 * index.describe(once, every(index))[0][0]


def test_a_term_that_bm25_leaves_out_is_still_compared_with_the_title() -> None:
    index = opened([Row(Text.of("返品"), Text.of("返品"))])
    words, _, cover, _ = index.describe(ask(index, {"返品": 2.0}, {}, ({}, {})), every(index))
    assert (words[0], cover[0, 0]) == (0, 1)


def test_words_and_grams_of_one_spelling_are_two_things() -> None:
    index = opened([Row(Text.of("返品", ""), Text.of("返品", ""))])
    words, grams, cover, _ = index.describe(ask(index, {}, {"返品": 1.0}, ({}, {"返品": 1})), every(index))
    assert (words.tolist(), grams.tolist(), cover.sum()) == ([0], [0], 0)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(some_row, min_size=1, max_size=5), words=some_idfs, grams=some_idfs, data=st.data())
def test_rows_are_described_as_the_textbook_and_plain_sets_do(
    rows: list[Row], words: dict[str, float], grams: dict[str, float], data: st.DataObject
) -> None:
    """Also rows asked for twice, and in any order."""
    asked = {"words": words, "grams": grams}
    boosts = [
        {term: data.draw(st.integers(1, 3)) for term in asked[stream] if data.draw(st.booleans())} for stream in STREAMS
    ]
    index = opened(rows)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=7))
    found = index.describe(ask(index, words, grams, (boosts[0], boosts[1])), np.array(chosen, dtype=np.int64))
    for place, (stream, boost) in enumerate(zip(STREAMS, boosts, strict=True)):
        expected = textbook(rows, stream, asked[stream], boost)
        np.testing.assert_allclose(found[place], [expected[row] for row in chosen], rtol=1e-5, atol=1e-6)
    for place, number in enumerate(chosen):
        row = rows[number]
        slots = [(text, stream) for text in (row.title, row.heading, row.alias) for stream in STREAMS]
        assert len(slots) == len(SLOTS)
        for slot, (text, stream) in enumerate(slots):
            cover, reverse = shared(text, stream, asked[stream])
            assert found[2][place, slot] == pytest.approx(cover, abs=1e-6)
            assert found[3][place, slot] == pytest.approx(reverse, abs=1e-6)


def test_no_row_has_no_description() -> None:
    index = opened([Row(Text.of("返品"))])
    asked = ask(index, {"返品": 1.0}, {}, ({"返品": 1}, {}))
    assert [part.shape for part in index.describe(asked, np.empty(0, np.int64))] == [(0,), (0,), (0, 6), (0, 6)]
    assert index.matches(asked, np.empty(0, np.int64)) == []


def test_a_question_without_a_term_has_nothing_in_common_with_a_row() -> None:
    index = opened([Row(Text.of("返品", "返品"), Text.of("返品", "返品"))])
    asked = ask(index, {}, {}, ({}, {}))
    assert [float(part.sum()) for part in index.describe(asked, every(index))] == [0, 0, 0, 0]
    assert index.matches(asked, every(index)) == [[]]


def test_an_index_without_a_row_is_one() -> None:
    index = opened([])
    assert (index.rows, index.mean_lengths) == (0, (0, 0))


@pytest.mark.parametrize("row", [3, 2**40, -1])
def test_a_row_that_is_not_there_is_damage(row: int) -> None:
    """Row numbers come from the files of the legs."""
    index = opened([Row(Text.of("返品"))] * 3)
    asked = ask(index, {"返品": 1.0}, {}, ({}, {}))
    for compare in (index.describe, index.matches):
        with pytest.raises(IndexCorrupt):
            compare(asked, np.array([0, row]))


# Beside the lexical leg


def oracle(documents: Sequence[Sequence[str]], terms: Sequence[str]) -> FloatArray:
    """BM25Okapi with Lucene's idf and stored lengths."""
    model = BM25Okapi([list(document) for document in documents], k1=1.2, b=0.75)
    model.doc_len = [quantised_length(len(document)) for document in documents]
    n = len(documents)
    held = {term: sum(term in document for document in documents) for term in terms}
    model.idf = {term: math.log(1 + (n - f + 0.5) / (f + 0.5)) for term, f in held.items()}
    scores: FloatArray = model.get_scores(list(terms))
    return scores


def beside(folder: Path, rows: Sequence[Row], asked: Mapping[Any, Sequence[str]]) -> None:
    """Every row has the score of the lexical leg's search and that of rank-bm25."""
    joined = write(folder / "tokens", rows)
    index = TokenIndex(folder / "tokens", len(rows))
    write_lexical(folder / "lexical", index)
    lexical = LexicalIndex(folder / "lexical", index)
    question = lexical.asked(asked["words"], asked["grams"]).terms
    found = index.describe(question, every(index))
    for place, stream in enumerate(STREAMS):
        hits, scores = lexical.search(stream, asked[stream], len(rows))
        searched = np.zeros(len(rows), dtype=np.float32)
        searched[hits] = scores
        np.testing.assert_allclose(found[place], searched, rtol=2e-5)
        if any(row[place] for row in joined):
            counts = Counter(asked[stream])
            held = {term: sum(term in row[place].split() for row in joined) for term in counts}
            rarest = sorted((term for term in counts if held[term]), key=lambda term: (held[term], term))[:MAX_TERMS]
            terms = [term for term in rarest for _ in range(counts[term])]
            expected = oracle([row[place].split() for row in joined], terms)
            np.testing.assert_allclose(found[place], expected, rtol=2e-5, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(some_row, min_size=1, max_size=8), words=some_terms, grams=some_terms)
def test_a_row_scores_as_the_leg_and_rank_bm25_score_it(rows: list[Row], words: list[str], grams: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        beside(Path(folder), rows, {"words": words, "grams": grams})


@pytest.mark.parametrize("seed", range(3))
def test_rows_of_a_random_corpus_score_as_the_leg_and_rank_bm25_score_them(tmp_path: Path, seed: int) -> None:
    chance = np.random.default_rng(seed)
    share = chance.dirichlet(np.full(len(TERMS), 0.5))

    def drawn(most: int) -> Text:
        words, grams = (" ".join(chance.choice(TERMS, size=chance.integers(0, most), p=share)) for _ in STREAMS)
        return Text.of(words, grams)

    rows = [Row(drawn(300), drawn(6), drawn(6), drawn(3)) for _ in range(80)]
    beside(tmp_path, rows, {stream: chance.choice([*TERMS, "unknown"], size=7).tolist() for stream in STREAMS})


def test_a_question_of_more_than_64_terms_is_scored_by_those_that_the_leg_asks(tmp_path: Path) -> None:
    rows = [Row(Text.of(f"返品 t{number}")) for number in range(100)]
    beside(tmp_path, rows, {"words": ["返品", *(f"t{number}" for number in range(100))], "grams": []})


# What a row holds


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(some_row, max_size=5))
def test_a_row_holds_the_terms_of_its_parts_as_often_as_they_weigh(rows: list[Row]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        joined = write(Path(folder) / "tokens", rows)
        index = TokenIndex(Path(folder) / "tokens", len(rows))
    for number, row in enumerate(rows):
        for stream, terms in zip(STREAMS, joined[number], strict=True):
            held = row.held(stream)
            assert Counter(terms.split()) == held
            assert index.counts(number, stream) == {term_id(stream, term): count for term, count in held.items()}


def test_a_text_that_many_rows_show_is_kept_once(tmp_path: Path) -> None:
    row = Row(Text.read("返品の送料は当店が負担します。"), Text.read("返品の送料"))
    write(tmp_path / "once", [row])
    write(tmp_path / "often", [row] * 50)
    sizes = [(tmp_path / name / "ids.npy").stat().st_size for name in ("once", "often")]
    assert sizes[0] == sizes[1]
    assert len(set(bodies(TokenIndex(tmp_path / "often", 50), range(50)))) == 1


def test_rows_of_different_texts_show_different_ones() -> None:
    index = opened([Row(Text.of("返品")), Row(Text.of("送料")), Row(Text.of("返品"), Text.of("送料"))])
    shown = bodies(index, range(3))
    assert shown[0] == shown[2] != shown[1]


def test_a_text_that_comes_again_after_many_others_is_the_same_text(tmp_path: Path) -> None:
    """A writer forgets the terms of long texts after a while; what it wrote stays."""
    long = [Row(Text.of(" ".join([f"t{number}"] * 100))) for number in range(60)]
    joined = write(tmp_path / "tokens", [*long, *long])
    index = TokenIndex(tmp_path / "tokens", 120)
    assert joined[:60] == joined[60:]
    assert bodies(index, range(60)) == bodies(index, range(60, 120))
    assert index.counts(7, "words") == index.counts(67, "words") == {term_id("words", "t7"): 100}


def test_the_memory_of_a_writer_may_be_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns are written piece by piece, and are the same files."""
    rows = [Row(Text.read(f"返品の送料{number}はお客様のご負担です。"), Text.read("返品")) for number in range(40)]
    write(tmp_path / "whole", rows)
    monkeypatch.setattr(tokens_module, "_BUFFER", 3)
    write(tmp_path / "pieces", rows)
    for file in (tmp_path / "whole").iterdir():
        assert file.read_bytes() == (tmp_path / "pieces" / file.name).read_bytes(), file.name


# Where the question's terms stand


def test_words_are_found_at_their_places() -> None:
    index = opened([Row(Text.read("着払いの送料。返品の送料は?"))])
    assert places(index, {"送料": 1.0, "返品": 2.0}, {}) == [[(4, 6, "送料"), (7, 9, "返品"), (10, 12, "送料")]]


def test_a_single_pair_of_characters_is_chance_and_two_are_not() -> None:
    index = opened([Row(Text.read("ますます増えます")), Row(Text.read("たのみました"))])
    assert places(index, {}, {"たの": 1.0, "のみ": 1.0, "えま": 1.0}) == [[], [(0, 2, "たの"), (1, 3, "のみ")]]


def test_a_single_word_in_latin_letters_is_no_chance() -> None:
    assert places(opened([Row(Text.read("the wifi here"))]), {}, {"wifi": 1.0}) == [[(4, 8, "wifi")]]


def test_no_gram_is_found_where_a_word_is() -> None:
    index = opened([Row(Text.read("返品の送料"))])
    grams = {"返品": 1.0, "品の": 1.0, "の送": 1.0, "送料": 1.0}
    assert places(index, {"返品": 1.0}, grams) == [[(0, 2, "返品"), (2, 4, "の送"), (3, 5, "送料")]]


def test_the_places_of_several_rows_stay_apart() -> None:
    index = opened([Row(Text.read(text)) for text in ("返品", "期間", "", "その返品")])
    assert places(index, {"返品": 1.0}, {}) == [[(0, 2, "返品")], [], [], [(2, 4, "返品")]]


PIECES = [
    "返品", "送料", "の", "サーバー", "ｻｰﾊﾞｰ", "お問い合わせ", "払います", "。", "！？", "」", "、", "か\u3099ぎ",
    "人々", "𠮷", "password ", "Wi-Fi", "e‑mail ", "don’t ", "1,000円", "3.5 ", "resets", "iPhone15", "㍿", " ", "\n",
    "　", "\u200b", "\ud800", "\0", "👍", "x" * 70, "あ" * 90, "…",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(TEXTS | st.text(max_size=40), min_size=1, max_size=3), question=TEXTS)
@example(texts=["\ud800" * 50, "\0", ""], question="\ud800\0")
def test_places_are_those_of_plain_python(texts: list[str], question: str) -> None:
    found = Text.read(question)
    words, grams = dict.fromkeys(found.terms("words"), 1.0), dict.fromkeys(found.terms("grams"), 1.0)
    rows = [Row(Text.read(text)) for text in texts]
    assert places(opened(rows), words, grams) == [matched(row.body, words, grams) for row in rows]


@st.composite
def placed_terms(draw: st.DrawFn) -> tuple[tuple[str, Span], ...]:
    """Terms on any places, in their order."""
    places = draw(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), max_size=30))
    return tuple((draw(st.sampled_from(TERMS)), (start, start + size)) for start, size in sorted(places))


@settings(max_examples=300, deadline=None)
@given(words=placed_terms(), grams=placed_terms(), asked=st.tuples(some_idfs, some_idfs))
def test_places_that_overlap_anyhow_are_those_of_plain_python(
    words: Any, grams: Any, asked: tuple[dict[str, float], dict[str, float]]
) -> None:
    body = Text("anything", words, grams)
    assert places(opened([Row(body)]), *asked) == [matched(body, *asked)]


@pytest.mark.parametrize("words", range(58, 70))
def test_no_place_is_lost_where_many_are(words: int) -> None:
    """So many words, a pair of characters by chance, and behind it what is none."""
    body = Text(
        "long",
        tuple(("送料", (2 * number, 2 * number + 2)) for number in range(words)),
        (("ます", (200, 202)), ("のみ", (300, 302)), ("みま", (301, 303)), ("wifi", (400, 404))),
    )
    asked: tuple[dict[str, float], dict[str, float]] = (
        {"送料": 1.0},
        {"ます": 1.0, "のみ": 1.0, "みま": 1.0, "wifi": 1.0},
    )
    row, other = Row(body), Row(Text.read("送料"))
    expected = matched(body, *asked)
    assert len(expected) == words + 3
    assert places(opened([row]), *asked) == [expected]
    assert places(opened([row, row, other]), *asked) == [expected, expected, [(0, 2, "送料")]]


# Long, and strange


def test_a_passage_of_300000_characters_has_its_first_places() -> None:
    text = "返品の送料は無料です。" * 27_300
    assert len(text) > 300_000
    body = Text.read(text)
    index = opened([Row(body), Row(Text.read("送料"))])
    asked: tuple[dict[str, float], dict[str, float]] = {"返品": 1.0, "送料": 1.0}, {"無料": 1.0, "料で": 1.0}
    first, second = places(index, *asked)
    assert len(first) == 4000, "enough to show"
    assert set(first) <= set(matched(body, *asked))
    assert [match for match in first if match[2] == "返品"][:3] == [(0, 2, "返品"), (11, 13, "返品"), (22, 24, "返品")]
    assert second == [(0, 2, "送料")]
    words, grams, *_ = index.describe(ask(index, *asked, ({"返品": 1}, {"無料": 1})), every(index))
    assert words[0] == pytest.approx(textbook([Row(body), Row(Text.read("送料"))], "words", asked[0], {"返品": 1})[0])
    assert grams[0] > 0


def test_a_question_of_10000_characters_is_compared_like_any_other() -> None:
    chance = random.Random(5)  # noqa: S311 - repeatable
    text = "".join(
        chr(chance.randrange(0x4E00, 0x9FFF)) if chance.random() < 0.7 else "返品の送料" for _ in range(4000)
    )
    question = Text.read(text[:10_000])
    words, grams = (dict.fromkeys(question.terms(stream), 1.5) for stream in STREAMS)
    assert len(grams) > 3000
    rows = [Row(Text.read(text[start : start + 300]), Text.read("返品の送料")) for start in (0, 2_000, 11_000)]
    index = opened(rows)
    assert places(index, words, grams) == [matched(row.body, words, grams) for row in rows]
    boosts = dict.fromkeys(words, 1), dict.fromkeys(grams, 1)
    found = index.describe(ask(index, words, grams, boosts), every(index))
    np.testing.assert_allclose(found[0], textbook(rows, "words", words, boosts[0]), rtol=1e-5)
    np.testing.assert_allclose(found[1], textbook(rows, "grams", grams, boosts[1]), rtol=1e-5)


@pytest.mark.parametrize(
    ("question", "body", "by_words", "by_grams"),
    [
        ("a", "返す a。", [(3, 4, "a")], [(3, 4, "a")]),
        ("鍵", "鍵", [(0, 1, "鍵")], []),  # one kanji alone is chance
        ("。", "返す a。", [], []),
    ],
)
def test_a_question_of_one_character_is_compared_like_any_other(
    question: str, body: str, by_words: list[Match], by_grams: list[Match]
) -> None:
    read, index = Text.read(question), opened([Row(Text.read(body))])
    assert places(index, dict.fromkeys(read.terms("words"), 1.0), {}) == [by_words]
    assert places(index, {}, dict.fromkeys(read.terms("grams"), 1.0)) == [by_grams]


def test_what_begins_beyond_65535_characters_is_counted_and_not_shown() -> None:
    text = "あ" * 70_000 + "返品の期間"
    index = opened([Row(Text.read(text))])
    asked = ask(index, {"返品": 1.0}, {}, ({"返品": 1}, {}))
    assert index.describe(asked, every(index))[0][0] > 0
    assert [start for row in index.matches(asked, every(index)) for start, *_ in row if start < 65_535] == []


@pytest.mark.parametrize("term", ["", "\ud800", "\0", "a" * 64, "𠮷", " "])
def test_a_term_may_be_anything(term: str) -> None:
    body = Text("any", ((term, (0, 1)),), ((term, (0, 1)),))
    index = opened([Row(body, body, body, body)])
    asked = ask(index, {term: 1.0}, {term: 1.0}, ({term: 1}, {term: 1}))
    words, grams, cover, reverse = index.describe(asked, every(index))
    assert words[0] > 0
    assert grams[0] > 0
    assert (cover == 1).all()
    assert (reverse == 1).all()


def test_a_span_of_more_than_255_characters_is_cut() -> None:
    body = Text("wide", (("a", (3, 1000)),), ())
    assert places(opened([Row(body)]), {"a": 1.0}, {}) == [[(3, 258, "a")]]


# Threads


def test_eight_threads_get_the_same_answers() -> None:
    chance = random.Random(4)  # noqa: S311 - repeatable
    bodies = ["".join(chance.choices(PIECES, k=30)) for _ in range(300)]
    index = opened([Row(Text.read(body), Text.read(body[:9])) for body in bodies])
    questions = [Text.read("".join(chance.choices(PIECES, k=6))) for _ in range(24)]
    asked = []
    for question in questions:
        idfs = [dict.fromkeys(question.terms(stream), 1.5) for stream in STREAMS]
        asked.append(ask(index, idfs[0], idfs[1], (dict.fromkeys(idfs[0], 1), dict.fromkeys(idfs[1], 1))))

    def answer(number: int) -> tuple[list[bytes], list[list[tuple[int, int, int]]]]:
        rows = every(index)[number % 7 :]
        described = index.describe(asked[number], rows)
        return [part.tobytes() for part in described], index.matches(asked[number], rows)

    expected = [answer(number) for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(answer, [*range(24)] * 20)) == expected * 20


# Files


def test_a_folder_that_is_there_is_not_written_into(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        TokenWriter(tmp_path)


def test_the_same_rows_are_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    for seed in ("0", "1", "4242"):
        subprocess.run(
            [sys.executable, __file__, "write", tmp_path / seed],
            env={**os.environ, "PYTHONHASHSEED": seed}, check=True,
        )  # fmt: skip
    folders = [tmp_path / seed for seed in ("0", "1", "4242")]
    assert len({b"".join(file.read_bytes() for file in sorted(folder.iterdir())) for folder in folders}) == 1


@pytest.mark.parametrize("rows", [0, 5, 7])
def test_another_number_of_rows_is_damage(tmp_path: Path, rows: int) -> None:
    write(tmp_path / "tokens", SHELF)
    with pytest.raises(IndexCorrupt, match=f"the terms of {rows} rows, found those of 6"):
        TokenIndex(tmp_path / "tokens", rows)


@pytest.mark.parametrize("damaged", [b"", b"nonsense", b"\x93NUMPY\x01\x00v\x00{'descr': '<u4', 'fo"])
def test_a_damaged_column_is_named(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "terms.npy").write_bytes(damaged)
    with pytest.raises(IndexCorrupt, match=r"terms\.npy"):
        load_column(tmp_path / "terms.npy", np.uint32)


def test_a_column_of_another_kind_or_length_is_refused(tmp_path: Path) -> None:
    save_column(tmp_path / "c.npy", np.array([1, 2, 3], dtype=np.int32))
    assert load_column(tmp_path / "c.npy", np.int32, 3).tolist() == [1, 2, 3]
    with pytest.raises(IndexCorrupt, match="int32"):
        load_column(tmp_path / "c.npy", np.int64, 3)
    with pytest.raises(IndexCorrupt, match="int32"):
        load_column(tmp_path / "c.npy", np.int32, 4)


def test_a_column_that_begins_at_an_odd_place_is_damage(tmp_path: Path) -> None:
    """A header that says to be a byte shorter than it is still reads as one."""
    save_column(tmp_path / "c.npy", np.array([1, 2, 3], dtype=np.uint32))
    content = (tmp_path / "c.npy").read_bytes()
    (tmp_path / "c.npy").write_bytes(content[:8] + bytes([content[8] - 1]) + content[9:])
    with pytest.raises(IndexCorrupt):
        load_column(tmp_path / "c.npy", np.uint32)


SHELF: Final = [
    replace(Row(Text.read(body), Text.read(title), Text.read(heading), Text.read(alias)), weights=(1, 3, number % 3, 2))
    for number, (body, title, heading, alias) in enumerate(
        [
            ("返品の送料は当店が負担します。着払いでお送りください。", "返品の送料", "", ""),
            ("お客様のご負担です。ただし、交換品の再発送は無料です。", "返品の送料", "お客様都合の場合", ""),
            ("返品の送料は当店が負担します。着払いでお送りください。", "返品の送料", "", "着払いで送る"),
            ("Open the sign-in page. The link works for 30 minutes.", "Reset your password", "", "login"),
            ("", "", "", ""),
            ("配送は3日です。" * 2000, "配送日数", "Wi-Fi 6E", ""),
        ]
    )
]
"""What is damaged below."""


def outcomes_of(kind: str, folder: Path) -> dict[str, Counter[str]]:
    """What became of reading for each damage, by column."""
    write(folder / "tokens", SHELF)
    done = subprocess.run(
        [sys.executable, __file__, kind, folder / "tokens"], capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr
    found = {name: Counter(outcomes) for name, outcomes in json.loads(done.stdout).items()}
    assert found.keys() == {file.stem for file in (folder / "tokens").iterdir()}
    return found


def unexpected(found: dict[str, Counter[str]], *expected: str) -> dict[str, set[str]]:
    return {name: odd for name, outcomes in found.items() if (odd := set(outcomes) - set(expected))}


def test_a_column_that_is_cut_short_is_damage(tmp_path: Path) -> None:
    found = outcomes_of("cut", tmp_path)
    assert unexpected(found, "IndexCorrupt") == {}
    assert min(outcomes.total() for outcomes in found.values()) > 16


def test_a_column_with_something_behind_it_answers_the_same(tmp_path: Path) -> None:
    """Whoever opens a generation has compared the sizes of its files."""
    assert unexpected(outcomes_of("lengthen", tmp_path), "answered the same") == {}


def test_a_column_of_one_value_more_or_less_is_damage(tmp_path: Path) -> None:
    found = outcomes_of("resize", tmp_path)
    assert unexpected(found, "IndexCorrupt") == {}


def test_whichever_byte_is_changed_it_is_damage_or_an_answer(tmp_path: Path) -> None:
    found = outcomes_of("flip", tmp_path)
    assert unexpected(found, "IndexCorrupt", "answered", "answered the same") == {}
    assert sum(outcomes["IndexCorrupt"] for outcomes in found.values()) > 200


def test_whichever_number_leads_elsewhere_it_is_damage_or_an_answer(tmp_path: Path) -> None:
    found = outcomes_of("lead elsewhere", tmp_path)
    assert unexpected(found, "IndexCorrupt", "answered", "answered the same") == {}
    for name in ("texts", "rows", "parts"):
        assert found[name]["IndexCorrupt"] > 0, name


# One damage after the other, each in a process of its own.

ODD_NUMBERS: Final = (
    0, 1, 7, 100, 65_535, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, -1, -(2**40), -(2**63)
)  # fmt: skip


def _read(folder: Path) -> str:
    """All that an index answers, as a text."""
    said: list[Any] = []
    index = TokenIndex(folder, len(SHELF))
    rows = every(index)
    for question in ("返品の送料は誰の負担ですか", "reset a password wifi", "配送は3日です"):
        asked = Text.read(question)
        idfs = [dict.fromkeys(asked.terms(stream), 1.5) for stream in STREAMS]
        terms = ask(index, idfs[0], idfs[1], (dict.fromkeys(idfs[0], 1), dict.fromkeys(idfs[1], 1)))
        said += [part.tolist() for part in index.describe(terms, rows)]
        said.append(index.matches(terms, rows))
    for row in range(len(SHELF)):
        said.append([sorted(index.counts(row, stream).items()) for stream in STREAMS])
    said.append(bodies(index, rows))
    return repr(said)


def _damaged(kind: str, file: Path) -> list[bytes]:
    """Damaged contents of a file."""
    content, chance = file.read_bytes(), random.Random(file.name)  # noqa: S311 - repeatable
    head, column = 128, np.load(file)
    header = range(head) if file.stem == "ids" else sorted(chance.sample(range(head), 16))  # of all columns alike
    if kind == "cut":
        sizes = [*header, *chance.sample(range(head, len(content)), min(16, len(content) - head)), len(content) - 1]
        return [content[:size] for size in sizes]
    if kind == "lengthen":
        return [content + b"\0", content + content]
    if kind == "resize":
        return [column_of(column[:-1]), column_of(np.append(column, column[-1:])), column_of(column[:0])]
    if kind == "flip":
        some = [*header, *chance.sample(range(head, len(content)), min(25, len(content) - head))]
        masks = [chance.choice([0xFF, 1, 2, 4, 8, 16, 32, 64, 128]) for _ in some]
        return [
            content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :] for at, mask in zip(some, masks, strict=True)
        ]
    found = []
    for place in chance.sample(range(len(column)), min(3, len(column))):
        for odd in ODD_NUMBERS:
            if np.iinfo(column.dtype).min <= odd <= np.iinfo(column.dtype).max:
                changed = column.copy()
                changed[place] = odd
                found.append(column_of(changed))
    every_odd = (0, np.iinfo(column.dtype).max, np.iinfo(column.dtype).max // 2 + 1)
    return [*found, *(column_of(np.full_like(column, odd)) for odd in every_odd)]


if __name__ == "__main__":
    kind_, folder_ = sys.argv[1], Path(sys.argv[2])
    if kind_ == "write":
        write(folder_, SHELF)
    else:
        tell_outcomes(partial(_read, folder_), sorted(folder_.iterdir()), partial(_damaged, kind_))
