"""Rows under consideration: which are proposed, and what they score where a question has several wordings."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import FAKE, write_articles
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kbsearch import native
from kbsearch.bm25 import STREAMS
from kbsearch.builder import build
from kbsearch.model import Filter
from kbsearch.pooling import POOL, ByWords, candidates, scored
from kbsearch.query import Query, prepare
from kbsearch.search import KnowledgeBase

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kbsearch.model import FloatArray
    from kbsearch.rank import Candidates, Mode, Overlap
    from kbsearch.structures import Asked, Lexicon

pytestmark = pytest.mark.usefixtures("fake_encoder")

QUESTIONS = ("返品の送料は誰が払いますか", "返送料", "着払い password", "reset my password", "？", "宇宙旅行")


@pytest.fixture
def kb(kb_index: Path) -> KnowledgeBase:
    return KnowledgeBase.open(kb_index)


def asked(kb: KnowledgeBase, *texts: str) -> Query:
    """One question in so many wordings."""
    return Query(texts[0], tuple(kb.prepare(text).wordings[0] for text in texts))


def of_all_rows(kb: KnowledgeBase, *texts: str) -> Candidates:
    return scored(kb.snapshot, asked(kb, *texts), np.arange(kb.snapshot.tokens.rows))


def shared(found: Candidates) -> Overlap:
    assert found.overlap is not None
    return found.overlap


@pytest.mark.parametrize("question", QUESTIONS)
def test_rows_score_as_the_lexical_leg_and_the_vectors_have_them(kb: KnowledgeBase, question: str) -> None:
    snapshot, way = kb.snapshot, kb.prepare(question).wordings[0]
    found = of_all_rows(kb, question)
    for scores, (rows, expected) in (
        (found.words, snapshot.lexical.search("words", way.words, 100)),
        (found.grams, snapshot.lexical.search("grams", way.grams, 100)),
    ):
        assert np.flatnonzero(scores).tolist() == sorted(rows.tolist())
        np.testing.assert_allclose(scores[rows], expected, rtol=2e-5)
    if way.vector is not None:
        np.testing.assert_allclose(found.dense, snapshot.vectors.vectors @ way.vector, atol=1e-6)
    assert found.words_ceiling == snapshot.lexical.asked(way.words, ()).words_ceiling
    assert found.grams_ceiling == snapshot.lexical.asked((), way.grams).grams_ceiling


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.permutations(QUESTIONS[:4]).flatmap(lambda order: st.integers(2, 4).map(lambda n: order[:n])))
def test_of_several_wordings_a_row_has_those_that_it_matches_best(kb: KnowledgeBase, texts: list[str]) -> None:
    """BM25 as a share of what each wording could score, in the units of the first."""
    found, alone = of_all_rows(kb, *texts), [of_all_rows(kb, text) for text in texts]
    first = alone[0]
    words = np.max([way.words / way.words_ceiling * first.words_ceiling for way in alone], axis=0)
    grams = np.max([way.grams / way.grams_ceiling * first.grams_ceiling for way in alone], axis=0)
    np.testing.assert_allclose(found.words, words, rtol=1e-5)
    np.testing.assert_allclose(found.grams, grams, rtol=1e-5)
    assert found.dense.tolist() == np.max([way.dense for way in alone], axis=0).tolist()
    assert (found.words_ceiling, found.grams_ceiling) == (first.words_ceiling, first.grams_ceiling)
    for share in ("cover", "reverse"):
        best = np.max([getattr(shared(way), share) for way in alone], axis=0)
        assert getattr(shared(found), share).tolist() == best.tolist()


def test_a_wording_beside_one_without_a_term_scores_nothing(kb: KnowledgeBase) -> None:
    """There are no units to bring its BM25 to; what it shares with the fields still counts."""
    found = of_all_rows(kb, "？", "返品の送料")
    assert not found.words.any()
    assert not found.grams.any()
    assert shared(found).cover.any()


def test_candidates_ascend_and_are_distinct(kb: KnowledgeBase) -> None:
    rows = candidates(kb.snapshot, asked(kb, *QUESTIONS), Filter(), 100).rows.tolist()
    assert rows == sorted(set(rows))


@pytest.mark.parametrize(("question", "mine"), [("返品の送料の話", "ja"), ("password of the returns", "en")])
def test_passages_in_the_other_script_are_proposed_beside_a_pool_of_ones_own(
    tmp_path: Path, question: str, mine: str
) -> None:
    """Each script has two hundred passages, and the best hundred are of the question's own."""
    texts = {
        **{f"{n}.ja.md": f"# 返品の送料の話{n}\n\n返品の送料の話、その{n}。\n" for n in range(200)},
        **{
            f"{n}.en.md": f"# The password of returns {n}\n\nThe password of the returns, no. {n}.\n"
            for n in range(200)
        },
    }
    build(write_articles(tmp_path / "articles", texts), tmp_path / "index", encoder=FAKE)
    kb = KnowledgeBase.open(tmp_path / "index")
    rows = candidates(kb.snapshot, asked(kb, question), Filter(), 100, "dense").rows
    names = [kb.snapshot.article_ids[number] for number in kb.snapshot.article_of_row[rows]]
    languages = [name.rpartition(".")[2] for name in names]
    assert (languages.count(mine), len(languages)) == (100, 125)


# Words and grams, looked for beside the dense leg


def test_what_goes_wrong_beside_is_an_error_of_the_question(kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = kb.ranking(QUESTIONS[0])
    with monkeypatch.context() as patched:
        patched.setattr(native.Proposals, "found", failing)
        with pytest.raises(ValueError, match="a flipped byte"):
            kb.search(QUESTIONS[0])
    with monkeypatch.context() as patched:  # the proposals are under way, and nobody asks for them any more
        patched.setattr(kb.snapshot.vectors, "search_scripts", failing)
        for _ in range(50):
            with pytest.raises(ValueError, match="a flipped byte"):
                kb.search(QUESTIONS[0])
    assert kb.ranking(QUESTIONS[0]) == expected


def failing(*_: Any, **__: Any) -> Any:
    raise ValueError("a flipped byte")


@pytest.mark.parametrize(
    ("mode", "streams"),
    [
        ("words", ["words"]),
        ("grams", ["grams"]),
        ("lexical", ["words", "grams"]),
        ("hybrid", ["words", "grams"]),
        ("dense", None),
    ],
)
def test_all_wordings_are_asked_at_once_in_the_streams_of_the_mode(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch, mode: Mode, streams: list[str] | None
) -> None:
    make, asked = native.Proposals, list[tuple[int, list[str]]]()

    def noted(lexicon: Lexicon, questions: Sequence[Asked], of: Sequence[int], *rest: Any) -> native.Proposals:
        asked.append((len(questions), [STREAMS[stream] for stream in of]))
        return make(lexicon, questions, of, *rest)

    monkeypatch.setattr(native, "Proposals", noted)
    query = kb.prepare(QUESTIONS[0], mode)
    candidates(kb.snapshot, query, Filter(), 100, mode)
    assert asked == ([] if streams is None else [(len(query.wordings), streams)])


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
@pytest.mark.parametrize("where", [Filter(), Filter(lang=("ja",))])
def test_what_is_begun_ahead_gives_the_same_candidates(kb: KnowledgeBase, mode: Mode, where: Filter) -> None:
    for question in QUESTIONS:
        ahead = ByWords(kb.snapshot, where, mode, POOL)
        query = prepare(kb.snapshot, question, mode, by_words=ahead)
        found = candidates(kb.snapshot, query, where, POOL, mode, by_words=ahead)
        expected = candidates(kb.snapshot, query, where, POOL, mode)
        for name in ("rows", "words", "grams", "dense"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_words_that_nobody_has_begun_to_look_for_are_no_empty_answer(kb: KnowledgeBase) -> None:
    with pytest.raises(AssertionError, match="once it is prepared"):
        candidates(
            kb.snapshot, kb.prepare("返品"), Filter(), POOL, by_words=ByWords(kb.snapshot, Filter(), "hybrid", POOL)
        )


@pytest.mark.parametrize("ask", ["search", "ranking"])
def test_words_are_looked_for_while_the_question_is_encoded(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch, ask: str
) -> None:
    begin, encode, steps = native.Proposals.begin, kb.snapshot.encode, list[str]()

    def noted_begin(proposals: native.Proposals) -> None:
        steps.append("words")
        begin(proposals)

    def noted_encode(text: str) -> FloatArray:
        steps.append("encoding")
        return encode(text)

    monkeypatch.setattr(native.Proposals, "begin", noted_begin)
    monkeypatch.setattr(kb.snapshot, "encode", noted_encode)
    getattr(kb, ask)("返送料")
    assert steps[:2] == ["words", "encoding"]
    assert steps.count("words") == 1


def test_a_process_that_was_forked_off_has_a_helper_of_its_own(kb: KnowledgeBase) -> None:
    expected = kb.ranking(QUESTIONS[0])
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if kb.ranking(QUESTIONS[0]) == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
