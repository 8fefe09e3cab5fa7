"""What a caller may do with an answer: outcome, confidence, the question as it was understood, and the reasons."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import pytest
from conftest import QUESTIONS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from kbsearch import render
from kbsearch.batch import answer_lines
from kbsearch.confidence import outcome_of
from kbsearch.errors import BadQuery, IndexIncompatible
from kbsearch.features import NAMES
from kbsearch.rank import MODES
from kbsearch.results import Hit, Reason, SearchResult
from kbsearch.retrieve import VERSION
from kbsearch.search import KnowledgeBase

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import RunKbsearch

    from kbsearch.results import Outcome

pytestmark = pytest.mark.usefixtures("fake_encoder")

SLIP: Final = "へんぴんの送料"
MEANT: Final = "返品の送料"
UNTIMED: Final[dict[str, Any]] = {"took_ms": 0, "stages": {}}


@pytest.fixture
def kb(kb_index: Path) -> KnowledgeBase:
    return KnowledgeBase.open(kb_index)


def shifted(kb: KnowledgeBase, first: float, few: float) -> KnowledgeBase:
    """The knowledge base with calibrations that say the same of every question."""
    given = {
        name: {"slope": 0.0, "shift": math.log(p / (1 - p))} for name, p in (("first", first), ("few", few))
    }  # fmt: skip
    manifest = {**kb.snapshot.generation.manifest, "calibration": given}
    kb.snapshot.generation.manifest = manifest
    return kb


# Outcome and confidence


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_carries_outcome_and_confidence(kb: KnowledgeBase, question: str) -> None:
    result = kb.search(question)
    assert result.hits
    assert result.confidence is not None
    assert 0 < result.confidence < 1
    assert (result.outcome == "answer") is (result.confidence >= 0.8)


@pytest.mark.parametrize(
    ("first", "few", "outcome"),
    [
        (0.9, 0.95, "answer"),
        (0.81, 0.1, "answer"),
        (0.79, 0.1, "choose"),
        (0.1, 0.51, "choose"),
        (0.1, 0.49, "hand_over"),
    ],
)
def test_the_outcome_follows_from_both_probabilities(
    kb: KnowledgeBase, first: float, few: float, outcome: Outcome
) -> None:
    result = shifted(kb, first, few).search(MEANT)
    assert result.outcome == outcome == outcome_of(first, few)
    assert result.confidence == pytest.approx(first)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("question", [*QUESTIONS, SLIP, "zzzz", "？！"])
def test_a_ranking_is_as_sure_as_the_answer(kb: KnowledgeBase, question: str, mode: Any) -> None:
    result, ranking = kb.search(question, 3, mode=mode), kb.ranking(question, 3, mode=mode, versions="one")
    assert (ranking.outcome, ranking.confidence) == (result.outcome, result.confidence)
    assert ranking.article_ids == tuple(hit.article_id for hit in result.hits)
    every = kb.ranking(question, 3, mode=mode)
    assert (every.outcome, every.confidence, every.generation) == (result.outcome, result.confidence, result.generation)


def test_articles_that_are_withheld_do_not_make_an_answer_sure(kb: KnowledgeBase) -> None:
    """Of the question that one article answers word by word."""
    full, less = (
        kb.ranking("パスワードを忘れたとき", without=without) for without in ((), ("password", "password-en"))
    )
    assert full.article_ids[0] == "password"
    assert "password" not in less.article_ids
    assert full.confidence is not None
    assert less.confidence is not None
    assert less.confidence < full.confidence


@pytest.mark.parametrize("question", [MEANT, "password reset", SLIP])
def test_confidence_does_not_depend_on_how_many_are_wanted(kb: KnowledgeBase, question: str) -> None:
    said = {(found.outcome, found.confidence) for found in (kb.search(question, k) for k in (1, 2, 5, 10, 1000))}
    assert len(said) == 1


@pytest.mark.parametrize("mode", ["lexical", "dense"])
def test_one_leg_alone_cannot_tell_how_sure_it_is(kb: KnowledgeBase, mode: Any) -> None:
    result = kb.search(MEANT, mode=mode)
    assert result.hits
    assert (result.outcome, result.confidence) == ("choose", None)
    nothing = kb.search("？！", mode=mode)
    assert nothing.hits == ()
    assert (nothing.outcome, nothing.confidence) == ("hand_over", None)


@pytest.mark.parametrize(("question", "where"), [("？！", None), (MEANT, {"lang": "fr"}), ("", None)])
def test_no_hit_is_handed_over_for_certain(kb: KnowledgeBase, question: str, where: Any) -> None:
    result = kb.search(question, filter=where)
    assert result.hits == ()
    assert (result.outcome, result.confidence) == ("hand_over", 0.0)


def test_an_index_of_no_article_hands_everything_over(tmp_path: Path) -> None:
    from conftest import FAKE

    from kbsearch.builder import build

    (tmp_path / "articles").mkdir()
    build(tmp_path / "articles", tmp_path / "index", encoder=FAKE)
    result = KnowledgeBase.open(tmp_path / "index").search(MEANT)
    assert (result.hits, result.outcome, result.confidence) == ((), "hand_over", 0.0)


# The question as it was understood


def test_a_slip_is_told_and_answered_as_what_was_meant(kb: KnowledgeBase) -> None:
    result = kb.search(SLIP)
    assert (result.query, result.understood) == (SLIP, MEANT)
    assert result.hits[0].article_id == kb.search(MEANT).hits[0].article_id == "returns"


def test_the_question_as_it_was_typed_is_asked_too(kb: KnowledgeBase) -> None:
    assert [way.text for way in kb.prepare(SLIP).wordings] == [MEANT, SLIP]


@pytest.mark.parametrize("question", [*QUESTIONS, MEANT, "", "？！"])
def test_a_clean_question_is_understood_as_it_stands(kb: KnowledgeBase, question: str) -> None:
    assert kb.search(question).understood is None


def test_courtesy_is_no_slip(kb: KnowledgeBase) -> None:
    """What is understood differs in spelling from what was typed, not in politeness."""
    assert kb.search(f"お世話になっております。{MEANT}について教えてください。").understood is None


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_understands(kb: KnowledgeBase, mode: Any) -> None:
    assert kb.search(SLIP, mode=mode).understood == MEANT


# Reasons


def roots() -> float:
    """What every article gets."""
    model = json.loads(resources.files("kbsearch").joinpath("ranker.json").read_text("utf-8"))
    return float(sum(tree["value"][0] for tree in model["trees"]))


@pytest.mark.parametrize("question", [*QUESTIONS, SLIP])
def test_reasons_and_the_common_part_sum_to_the_log_odds_of_the_score(kb: KnowledgeBase, question: str) -> None:
    result = kb.search(question, explain=True)
    assert result.hits
    for hit in result.hits:
        log_odds = roots() + sum(why.contribution for why in hit.reasons)
        assert hit.score == pytest.approx(1 / (1 + math.exp(-log_odds)), abs=1e-6)


def test_reasons_are_features_the_strongest_first(kb: KnowledgeBase) -> None:
    for hit in kb.search(MEANT, explain=True).hits:
        names = [why.feature for why in hit.reasons]
        assert len(set(names)) == len(names)
        assert set(names) <= {*NAMES, VERSION}
        strengths = [abs(why.contribution) for why in hit.reasons]
        assert strengths == sorted(strengths, reverse=True)
        assert min(strengths) > 0


def test_what_an_article_has_by_its_translation_is_a_reason_of_its_own(kb: KnowledgeBase) -> None:
    """返品の送料 and its translation, asked in one language with words of the other."""
    gained = [
        (hit.article_id, why.contribution)
        for question in (MEANT, "return shipping", "着払い postage", "We pay 返品")
        for hit in kb.search(question, explain=True).hits
        for why in hit.reasons
        if why.feature == VERSION
    ]
    assert {name for name, _ in gained} <= {"returns", "returns-en"}
    assert all(contribution > 0 for _, contribution in gained)
    assert gained, "a version in the question's language that is the worse match"


def test_a_reason_says_what_its_feature_is_for_the_article(kb: KnowledgeBase) -> None:
    """All terms of 返品の送料 stand in the title of that name, and it is Japanese."""
    first = kb.search(MEANT, explain=True).hits[0]
    assert first.article_id == "returns"
    values = {why.feature: why.value for why in first.reasons}
    expected = {"title_words": 1.0, "title_grams": 1.0, "question_japanese": 1.0, "same_script": 1.0, "words_gap": 0.0}
    known = {name: value for name, value in expected.items() if name in values}
    assert known
    assert {name: values[name] for name in known} == known


@pytest.mark.parametrize("mode", MODES)
def test_without_being_asked_there_are_no_reasons(kb: KnowledgeBase, mode: Any) -> None:
    assert {hit.reasons for hit in kb.search(MEANT, mode=mode).hits} == {()}


@pytest.mark.parametrize("mode", ["lexical", "dense"])
def test_one_leg_alone_has_no_reasons(kb: KnowledgeBase, mode: Any) -> None:
    assert {hit.reasons for hit in kb.search(MEANT, mode=mode, explain=True).hits} == {()}


@pytest.mark.parametrize("question", [*QUESTIONS, "？！"])
def test_to_explain_changes_nothing_else(kb: KnowledgeBase, question: str) -> None:
    plain, explained = kb.search(question), kb.search(question, explain=True)
    bare = tuple(replace(hit, reasons=()) for hit in explained.hits)
    assert replace(explained, hits=bare, **UNTIMED) == replace(plain, **UNTIMED)


@given(st.text(st.sampled_from("返品送料のへんぴんpassword reset？。"), max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_any_question_is_judged(kb: KnowledgeBase, question: str) -> None:
    result = kb.search(question, explain=True)
    assert result.confidence is not None
    assert 0 <= result.confidence < 1
    assert (result.confidence == 0) is (result.hits == ())
    assert result.understood != question


# JSON


def test_one_question_as_json(kb: KnowledgeBase) -> None:
    result = kb.search(SLIP)
    found = result.to_dict()
    assert result.confidence is not None
    assert (found["outcome"], found["understood"]) == (result.outcome, MEANT)
    assert found["confidence"] == round(result.confidence, 4)
    assert all("reasons" not in hit for hit in found["hits"])
    lexical = kb.search(MEANT, mode="lexical").to_dict()
    assert (lexical["outcome"], lexical["confidence"], lexical["understood"]) == ("choose", None, None)


def test_reasons_as_json(kb: KnowledgeBase) -> None:
    result = kb.search(MEANT, explain=True)
    for hit, found in zip(result.hits, result.to_dict()["hits"], strict=True):
        assert found["reasons"] == [
            {"feature": why.feature, "value": round(why.value, 4), "contribution": round(why.contribution, 4)}
            for why in hit.reasons
        ]
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False)) == result.to_dict()


def test_the_lines_of_a_batch_are_judged_and_its_errors_handed_over(kb: KnowledgeBase) -> None:
    lines = [f'{{"id": 1, "text": "{SLIP}"}}', '{"id": 2}', '{"id": 3, "text": "？！"}']
    slip, error, nothing = answer_lines(kb, lines, {}, {"k": 2})
    single = kb.search(SLIP, 2).to_dict(1)  # type: ignore[arg-type]
    assert {**slip, **UNTIMED} == {**single, **UNTIMED}
    assert "expected an object with a “text”" in error["error"]
    assert (error["outcome"], error["confidence"], error["understood"]) == ("hand_over", None, None)
    assert (nothing["outcome"], nothing["confidence"], nothing["understood"]) == ("hand_over", 0.0, None)
    assert "error" not in nothing


# The screen


def screen(result: SearchResult) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=200).print(render.search_result(result), highlight=False)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


HIT: Final = Hit(
    rank=1, article_id="returns", section_id="returns", title=MEANT, heading="", snippet="当店が負担します。", marks=(),
    score=0.9, parts={"words": 1.0, "grams": 2.0, "dense": 0.5}, path="returns.md", lines=(9, 9), passages=(),
)  # fmt: skip


def result_of(outcome: Outcome, confidence: float | None, understood: str | None = None, *hits: Hit) -> SearchResult:
    return SearchResult(SLIP, hits, outcome, confidence, understood, 1.5, "gen-000001", {})


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        ("answer", "Answer. The first is right with a probability of 84%."),
        ("choose", "One of these may answer. The first is right with a probability of 84%."),
        (
            "hand_over",
            "Probably no article answers this: hand it over to a person. The first is right with a probability of 84%.",
        ),
    ],
)
def test_the_screen_says_the_outcome(outcome: Outcome, line: str) -> None:
    assert screen(result_of(outcome, 0.84, None, HIT))[0] == line


def test_the_screen_says_what_was_understood_first() -> None:
    assert screen(result_of("choose", 0.5, MEANT, HIT))[0] == "understood as 返品の送料"


def test_the_screen_says_nothing_of_what_one_leg_cannot_tell() -> None:
    assert screen(result_of("choose", None, None, HIT))[0] == "1. 返品の送料"


def test_the_screen_lists_the_strongest_reasons_and_sums_up_the_others() -> None:
    names = NAMES[:10]
    reasons = tuple(Reason(name, place / 4, 1 - place / 8) for place, name in enumerate(names))
    lines = [line.strip() for line in screen(result_of("answer", 0.9, None, replace(HIT, reasons=reasons)))]
    first = lines.index("+1.00  cosine is 0.00")
    expected = [f"{1 - place / 8:+.2f}  {name} is {place / 4:.2f}" for place, name in enumerate(names[:8])]
    assert lines[first : first + 9] == [*expected, "-0.12  2 other features"]


# The command line


def test_the_command_line_prints_outcome_understood_and_reasons(kb_index: Path, kbsearch: RunKbsearch) -> None:
    plain = kbsearch("search", SLIP, "--index", kb_index)
    assert plain.returncode == 0, plain.stderr
    lines = plain.stdout.splitlines()
    assert lines[0] == f"understood as {MEANT}"
    assert "The first is right with a probability of " in lines[1]
    assert " features" not in plain.stdout
    explained = kbsearch("search", SLIP, "--index", kb_index, "--explain").stdout
    assert "other features" in explained
    assert any(f"  {name} is " in explained for name in NAMES)
    assert "probability" not in kbsearch("search", MEANT, "--index", kb_index, "--mode", "lexical").stdout


def test_the_json_of_the_command_line_has_them(kb_index: Path, kb: KnowledgeBase, kbsearch: RunKbsearch) -> None:
    found = json.loads(kbsearch("search", SLIP, "--index", kb_index, "--json", "--explain").stdout)
    expected = kb.search(SLIP, 5, explain=True).to_dict()
    assert {**found, **UNTIMED} == {**expected, **UNTIMED}
    assert found["understood"] == MEANT
    assert found["hits"][0]["reasons"]
    assert "reasons" not in json.loads(kbsearch("search", SLIP, "--index", kb_index, "--json").stdout)["hits"][0]


def test_a_batch_on_the_command_line_may_be_explained(kb_index: Path, kbsearch: RunKbsearch) -> None:
    stdin = f'{{"id": "a", "text": "{SLIP}"}}\n{{"id": "b"}}\n'
    answer = kbsearch("search", "--queries", "-", "--json", "--explain", "--index", kb_index, stdin=stdin)
    good, bad = (json.loads(line) for line in answer.stdout.splitlines())
    assert (good["understood"], bad["understood"]) == (MEANT, None)
    assert good["hits"][0]["reasons"]
    assert (bad["outcome"], bad["confidence"]) == ("hand_over", None)
    assert answer.returncode == 12


def test_a_probability_is_rounded_down_so_that_it_does_not_contradict_the_outcome() -> None:
    hit = Hit(1, "a", "a", "返品", "", "返品", (), 0.9, {}, "a.md", (1, 1), ())
    result = SearchResult("返品", (hit,), "choose", 0.7999, None, 1.0, "gen-000001", {})
    screen = io.StringIO()
    Console(file=screen, width=120).print(render.search_result(result))
    assert "79%" in screen.getvalue()


def test_articles_to_leave_out_are_a_list_and_no_text(kb: KnowledgeBase) -> None:
    with pytest.raises(BadQuery, match="list of article ids"):
        kb.ranking("返品の送料", without="returns")
    assert "returns" not in kb.ranking("返品の送料", without=["returns"]).article_ids


def test_a_lexical_question_with_a_slip_needs_no_encoder_that_fits(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def foreign(_self: object, _word: str) -> int:
        raise IndexIncompatible("encoder", "another", "this one")

    monkeypatch.setattr("kbsearch.snapshot.Snapshot.pieces", foreign)
    assert kb.search("へんぴんの送料", mode="lexical").understood is None
    with pytest.raises(IndexIncompatible):
        kb.search("へんぴんの送料")
