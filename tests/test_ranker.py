"""The learned ranking: fields against plain sets, features against arithmetic, trees against a walk by hand."""

from __future__ import annotations

import json
import math
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbsearch.columns import load_column, save_column
from kbsearch.errors import IndexCorrupt
from kbsearch.features import NAMES, Question, article_features
from kbsearch.fields import SLOTS, FieldIndex, Overlap, pack_fields
from kbsearch.learned import shipped_models
from kbsearch.rank import Candidates
from kbsearch.ranker import Ranker

if TYPE_CHECKING:
    from pathlib import Path

    from kbsearch.model import FloatArray

MATCHES = [name for name in NAMES[:13] if name != "cosine_second"]


def index_of(rows: list[list[list[str]]]) -> FieldIndex:
    return FieldIndex(*pack_fields(rows))


ROWS = [
    [["返品", "送料"], ["返品", "品の", "の送", "送料"], ["負担"], ["負担"], [], []],
    [[], [], [], [], ["返品", "返品", "着払い"], ["返品"]],
]


def test_cover_is_the_share_of_the_questions_idf_that_a_slot_holds() -> None:
    overlap = index_of(ROWS).overlap(np.array([0, 1]), {"返品": 3.0, "送料": 2.0, "円": 5.0}, {"返品": 4.0})
    assert overlap.cover[0].tolist() == pytest.approx([(3 + 2) / 10, 4 / 4, 0, 0, 0, 0])
    assert overlap.cover[1].tolist() == pytest.approx([0, 0, 0, 0, 3 / 10, 4 / 4])


def test_reverse_is_the_share_of_the_slots_distinct_terms_that_the_question_holds() -> None:
    overlap = index_of(ROWS).overlap(np.array([1, 0]), {"返品": 3.0, "送料": 2.0}, {"送料": 1.0})
    assert overlap.reverse[1].tolist() == pytest.approx([2 / 2, 1 / 4, 0, 0, 0, 0])
    assert overlap.reverse[0].tolist() == pytest.approx([0, 0, 0, 0, 1 / 2, 0])


def test_words_and_grams_of_one_spelling_are_two_things() -> None:
    overlap = index_of([[["返品"], [], [], [], [], []]]).overlap(np.array([0]), {}, {"返品": 1.0})
    assert overlap.cover.sum() == 0


terms = st.lists(st.sampled_from(["返品", "送料", "a", "b", "c", "d"]), max_size=4)


@given(rows=st.lists(st.lists(terms, min_size=6, max_size=6), min_size=1, max_size=5), words=terms, grams=terms)
def test_overlap_is_what_plain_sets_give(rows: list[list[list[str]]], words: list[str], grams: list[str]) -> None:
    asked = [{term: 1.0 + index for index, term in enumerate(sorted(set(side)))} for side in (words, grams)]
    chosen = np.arange(len(rows))[::-1].copy()
    overlap = index_of(rows).overlap(chosen, asked[0], asked[1])
    for place, row in enumerate(chosen):
        for slot in range(len(SLOTS)):
            idf, held = asked[slot % 2], set(rows[row][slot])
            cover = sum(idf[term] for term in held & idf.keys()) / (sum(idf.values()) or 1)
            reverse = len(held & idf.keys()) / max(1, len(held))
            assert overlap.cover[place, slot] == pytest.approx(cover)
            assert overlap.reverse[place, slot] == pytest.approx(reverse)


def test_offsets_that_do_not_fit_the_terms_are_damage() -> None:
    terms, offsets = pack_fields(ROWS)
    with pytest.raises(IndexCorrupt):
        FieldIndex(terms[:-1], offsets).overlap(np.array([0, 1]), {"返品": 1.0}, {})


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


def pool(words: list[float], dense: list[float]) -> Candidates:
    values = np.array(words, dtype=np.float32)
    return Candidates(
        np.arange(len(words)), values, values / np.float32(2), np.array(dense, dtype=np.float32), 10.0, 5.0
    )


def titles(*cosines: float) -> FloatArray:
    return np.array(cosines, dtype=np.float32)


def no_overlap(n: int) -> Overlap:
    return Overlap(np.zeros((n, 6), dtype=np.float32), np.zeros((n, 6), dtype=np.float32))


def test_an_article_has_the_best_of_its_rows_in_each_measure() -> None:
    """Article 4 has the rows 0 and 2; its words come from one and its cosine from the other."""
    backgrounds = ((0.6, 0.1), (0.75, 0.05))  # article 4 is in English
    question = Question(1.0, distinct_grams=7, cosines=(0.8, 0.05), title_cosines=(0.7, 0.1), backgrounds=backgrounds)
    articles, japanese = np.array([4, 1, 4], dtype=np.int32), np.array([True] * 4 + [False])
    found, features = article_features(
        pool([5, 2, 1], [0.82, 0.85, 0.90]), no_overlap(3), articles, titles(0.95, 0.75), japanese, question
    )
    assert found.tolist() == [1, 4]
    row = dict(zip(NAMES, features[1].tolist(), strict=True))
    assert row["cosine"] == pytest.approx((0.90 - 0.8) / 0.05, rel=1e-4)
    assert row["cosine_second"] == pytest.approx((0.82 - 0.90) / 0.05, rel=1e-4)
    assert (row["words"], row["grams"]) == (pytest.approx(5 / 10), pytest.approx(2.5 / 5))
    assert (row["cosine_gap"], row["words_gap"]) == (0, 0)
    assert (row["words_standing"], row["cosine_standing"]) == (pytest.approx(1 / 10), pytest.approx(1 / 10))
    assert (row["same_script"], row["question_terms"]) == (0, pytest.approx(math.log(1 + 7)))
    assert (row["title_cosine"], row["title_cosine_gap"]) == (pytest.approx(0.5, rel=1e-4), pytest.approx(-2, rel=1e-4))
    other = dict(zip(NAMES, features[0].tolist(), strict=True))
    assert (row["cosine_language"], row["cosine_language_gap"]) == (pytest.approx(3, rel=1e-4), 0)
    assert other["cosine_language"] == pytest.approx(2, rel=1e-4)
    assert other["cosine_language_gap"] == pytest.approx(-1, rel=1e-4)
    assert (other["title_cosine"], other["title_cosine_gap"]) == (pytest.approx(2.5, rel=1e-4), 0)
    assert other["words_gap"] == pytest.approx(2 / 10 - 5 / 10)
    assert (other["same_script"], other["cosine_second"]) == (1, 0)


def test_an_empty_pool_has_no_features_and_no_scores() -> None:
    question = Question(0.0, 0, (0.8, 0.05), (0.7, 0.1), ((0.8, 0.05), (0.8, 0.05)))
    nothing, japanese = np.array([], dtype=np.int32), np.array([True])
    found, features = article_features(pool([], []), no_overlap(0), nothing, titles(), japanese, question)
    assert (found.shape, features.shape) == ((0,), (0, len(NAMES)))
    assert shipped_models().ranker.score(features).shape == (0,)


def model_file() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(resources.files("kbsearch").joinpath("ranker.json").read_text("utf-8"))
    return loaded


@given(st.lists(st.floats(-5, 5, width=32), min_size=len(NAMES), max_size=len(NAMES)))
def test_the_trees_give_what_a_walk_by_hand_gives(values: list[float]) -> None:
    total = 0.0
    for tree in model_file()["trees"]:
        node = 0
        while tree["left"][node] != node:
            goes_left = values[tree["feature"][node]] <= tree["threshold"][node]
            node = tree["left"][node] if goes_left else tree["right"][node]
        total += tree["value"][node]
    total += 1e-3 * sum(values[NAMES.index(name)] for name in ("cosine", "words", "grams"))
    score = float(shipped_models().ranker.score(np.array([values], dtype=np.float32))[0])
    assert score == pytest.approx(total, abs=1e-4)


@given(
    st.lists(st.floats(-1, 1, width=32), min_size=len(NAMES), max_size=len(NAMES)),
    st.sampled_from(MATCHES),
    st.floats(0, 3, width=32),
)
def test_a_better_match_never_scores_lower(values: list[float], name: str, gain: float) -> None:
    better = list(values)
    better[NAMES.index(name)] += gain
    low, high = shipped_models().ranker.score(np.array([values, better], dtype=np.float32))
    assert high >= low - 1e-6


def test_a_model_of_other_features_is_refused() -> None:
    with pytest.raises(AssertionError, match="other features"):
        Ranker({**model_file(), "features": ["cosine"]})


def test_the_model_file_can_be_read_by_a_person() -> None:
    text = resources.files("kbsearch").joinpath("ranker.json").read_text("utf-8")
    assert len(text) < 200_000
    assert max(map(len, text.splitlines())) < 2_000
