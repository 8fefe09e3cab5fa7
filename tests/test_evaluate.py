"""The metrics against hand arithmetic and trec_eval; the files of judgements; the table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from kbsearch.errors import ConfigError
from kbsearch.evaluate import METRICS, JudgedQuery, evaluate, read_judgements, score_ranking
from kbsearch.search import KnowledgeBase

if TYPE_CHECKING:
    from pathlib import Path

# Metrics


def test_a_perfect_ranking_has_one_everywhere() -> None:
    assert score_ranking(["a"], {"a": 1}) == dict.fromkeys(METRICS, 1.0)


def test_a_ranking_without_an_answer_has_zero_everywhere() -> None:
    assert score_ranking(["x", "y"], {"a": 1}) == dict.fromkeys(METRICS, 0.0)
    assert score_ranking([], {"a": 1}) == dict.fromkeys(METRICS, 0.0)


def test_the_metrics_by_hand() -> None:
    """Two answers of the same worth at the ranks 2 and 6; a third is not found."""
    ranking = ["x", "a", "x2", "x3", "x4", "b", "x5"]
    dcg = 1 / math.log2(2 + 1) + 1 / math.log2(6 + 1)
    ideal = 1 / math.log2(1 + 1) + 1 / math.log2(2 + 1) + 1 / math.log2(3 + 1)
    assert score_ranking(ranking, {"a": 1, "b": 1, "c": 1}) == pytest.approx(
        {
            "nDCG@10": dcg / ideal,
            "MRR@10": 1 / 2,
            "recall@1": 0 / 3,
            "recall@5": 1 / 3,
            "recall@10": 2 / 3,
            "recall@100": 2 / 3,
        }
    )


def test_gains_are_exponential_in_the_score() -> None:
    """Scores 3 and 1 have the gains 7 and 1; the better one stands second."""
    dcg = (2**1 - 1) / math.log2(1 + 1) + (2**3 - 1) / math.log2(2 + 1)
    ideal = (2**3 - 1) / math.log2(1 + 1) + (2**1 - 1) / math.log2(2 + 1)
    assert score_ranking(["b", "a"], {"a": 3, "b": 1})["nDCG@10"] == pytest.approx(dcg / ideal)


def test_ranks_beyond_the_tenth_count_for_recall_at_100_only() -> None:
    ranking = [*(f"x{number}" for number in range(10)), "a"]
    expected = dict.fromkeys(METRICS, 0.0) | {"recall@100": 1.0}
    assert score_ranking(ranking, {"a": 1}) == expected
    late = [*(f"x{number}" for number in range(100)), "a"]
    assert score_ranking(late, {"a": 1}) == dict.fromkeys(METRICS, 0.0)


def test_more_answers_than_ten_can_still_be_perfect_at_ten() -> None:
    relevant = {f"a{number}": 1 for number in range(12)}
    found = score_ranking(list(relevant), relevant)
    assert found["nDCG@10"] == 1
    assert found["recall@10"] == 10 / 12


ARTICLES = [f"article-{number}" for number in range(30)]


@settings(max_examples=150, deadline=None)
@given(
    ranking=st.lists(st.sampled_from(ARTICLES), unique=True, max_size=30),
    relevant=st.dictionaries(st.sampled_from(ARTICLES), st.integers(1, 4), min_size=1, max_size=15),
)
def test_the_metrics_are_those_of_trec_eval(ranking: list[str], relevant: dict[str, int]) -> None:
    """Its own gains are linear, so it is given 2^score - 1; its recip_rank has no cut, so it is given ten articles."""
    measures = {"ndcg_cut.10", "recall.1,5,10,100"}
    judge = pytrec_eval.RelevanceEvaluator({"q": {name: 2**score - 1 for name, score in relevant.items()}}, measures)
    run = {name: float(len(ranking) - place) for place, name in enumerate(ranking)}
    first = pytrec_eval.RelevanceEvaluator({"q": relevant}, {"recip_rank"})
    top = {name: float(10 - place) for place, name in enumerate(ranking[:10])}
    found = score_ranking(ranking, relevant)
    expected = judge.evaluate({"q": run}).get("q", {}) if run else {}
    reciprocal = first.evaluate({"q": top}).get("q", {}) if top else {}
    assert found == pytest.approx(
        {
            "nDCG@10": expected.get("ndcg_cut_10", 0.0),
            "MRR@10": reciprocal.get("recip_rank", 0.0),
            **{f"recall@{k}": expected.get(f"recall_{k}", 0.0) for k in (1, 5, 10, 100)},
        },
        abs=1e-6,
    )


# Files


QRELS = "query_id\tarticle_id\tscore\nq1\treturns\t2\nq1\tdeadline\t1\nq1\tbad\t0\nq2\tpassword-en\t1\n"
QUERIES = """{"id": "q1", "text": "返品の送料", "lang": "ja", "type": "keyword", "filter": {"lang": "ja"}}

{"id": "q2", "text": "reset password"}
{"id": "q3", "text": "宇宙旅行"}
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Judgements that can be read."""
    (tmp_path / "queries.jsonl").write_text(QUERIES, "utf-8")
    (tmp_path / "qrels.tsv").write_text(QRELS, "utf-8")
    return tmp_path / "queries.jsonl", tmp_path / "qrels.tsv"


def test_judgements_are_read(files: tuple[Path, Path]) -> None:
    assert read_judgements(*files) == [
        JudgedQuery("q1", "返品の送料", "ja", "keyword", {"lang": "ja"}, {"returns": 2, "deadline": 1}),
        JudgedQuery("q2", "reset password", "", "question", {}, {"password-en": 1}),
        JudgedQuery("q3", "宇宙旅行", "", "question", {}, {}),
    ]


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_files_from_other_programs_are_read(files: tuple[Path, Path], newline: str, mark: str) -> None:
    expected = read_judgements(*files)
    for file in files:
        file.write_bytes((mark + file.read_text("utf-8")).replace("\n", newline).encode())
    assert read_judgements(*files) == expected


@pytest.mark.parametrize(
    "line",
    [
        "this is no JSON",
        '["q9", "text"]',
        '"text"',
        "3",
        "null",
        '{"id": "q9"}',
        '{"text": "x"}',
        '{"id": "q9", "text": "x", "filter": "ja"}',
        '{"id": "q9", "text": "x", "filter": ["ja"]}',
        "[" * 100_000,
    ],
)
def test_a_bad_question_is_named_by_file_and_line(files: tuple[Path, Path], line: str) -> None:
    files[0].write_text(QUERIES + "\n" + line + "\n", "utf-8")
    with pytest.raises(ConfigError) as raised:
        read_judgements(*files)
    assert raised.value.source == f"{files[0]}:6"


@pytest.mark.parametrize(
    "line", ["q1 returns 1", "q1\treturns", "q1\treturns\tyes", "q1\treturns\t-1", "q1\tr\t1\tx", "q1\tr\t"]
)
def test_a_bad_judgement_is_named_by_file_and_line(files: tuple[Path, Path], line: str) -> None:
    files[1].write_text(QRELS + line + "\n", "utf-8")
    with pytest.raises(ConfigError) as raised:
        read_judgements(*files)
    assert raised.value.source == f"{files[1]}:6"


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_cannot_be_read_is_named(files: tuple[Path, Path], which: int) -> None:
    files[which].write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError) as raised:
        read_judgements(*files)
    assert raised.value.source == str(files[which])
    files[which].unlink()
    with pytest.raises(ConfigError) as raised:
        read_judgements(*files)
    assert raised.value.source == str(files[which])


# The evaluation


class Ranked:
    """Answers from a table; remembers what it was asked."""

    def __init__(self, rankings: dict[tuple[str, str], list[str]]) -> None:
        self.rankings, self.asked = rankings, list[tuple[str, int, Any, str]]()

    def ranking(self, question: str, k: int, *, filter: Any, mode: str) -> tuple[str, ...]:  # noqa: A002 - as the real one
        self.asked.append((question, k, filter, mode))
        return tuple(self.rankings.get((question, mode), ()))


def judged(query_id: str, query_type: str = "question", lang: str = "ja", **relevant: int) -> JudgedQuery:
    return JudgedQuery(query_id, query_id, lang, query_type, {"lang": lang}, relevant)


def test_types_and_languages_are_averaged_by_themselves_and_the_unjudged_are_counted() -> None:
    kb = Ranked({("q1", "lexical"): ["a"], ("q2", "lexical"): ["x", "a"], ("q3", "dense"): ["b"]})
    queries = [judged("q1", a=1), judged("q2", a=1), judged("q3", "keyword", "en", b=1), judged("q4")]
    told: list[tuple[int, int]] = []
    found = evaluate(
        cast("KnowledgeBase", kb), queries, ["lexical", "dense"], lambda done, total: told.append((done, total))
    )
    assert found.unjudged == 1
    assert found.questions == {("question", "ja"): 2, ("keyword", "en"): 1}
    assert found.table["question", "ja"]["lexical"] == pytest.approx(
        {
            "nDCG@10": (1 + 1 / math.log2(3)) / 2,
            "MRR@10": (1 + 1 / 2) / 2,
            "recall@1": 1 / 2,
            "recall@5": 1,
            "recall@10": 1,
            "recall@100": 1,
        }
    )
    assert found.table["question", "ja"]["dense"] == dict.fromkeys(METRICS, 0.0)
    assert found.table["keyword", "en"]["dense"] == dict.fromkeys(METRICS, 1.0)
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert kb.asked[:2] == [("q1", 100, {"lang": "ja"}, "lexical"), ("q1", 100, {"lang": "ja"}, "dense")]


def test_the_json_has_a_row_for_each_type_and_language() -> None:
    kb = Ranked({("q1", "lexical"): ["x", "a"]})
    found = evaluate(cast("KnowledgeBase", kb), [judged("q1", a=1), judged("q2")], ["lexical"]).to_dict()
    metrics = {"nDCG@10": 0.6309, "MRR@10": 0.5, "recall@1": 0, "recall@5": 1, "recall@10": 1, "recall@100": 1}
    row = {"type": "question", "lang": "ja", "questions": 1, "legs": {"lexical": metrics}}
    assert found == {"version": 1, "unjudged": 1, "rows": [row]}


def test_nothing_judged_is_an_empty_table() -> None:
    found = evaluate(cast("KnowledgeBase", Ranked({})), [judged("q1")])
    assert (found.unjudged, found.table, found.questions) == (1, {}, {})


@pytest.mark.usefixtures("fake_encoder")
def test_a_real_index_is_evaluated(kb_index: Path, files: tuple[Path, Path]) -> None:
    found = evaluate(KnowledgeBase.open(kb_index), read_judgements(*files))
    assert found.unjudged == 1
    assert list(found.table) == [("keyword", "ja"), ("question", "")]
    assert found.table["keyword", "ja"]["lexical"]["MRR@10"] == 1
    assert found.table["question", ""]["lexical"]["MRR@10"] == 1
    assert set(found.table["question", ""]) == {"hybrid", "lexical", "dense"}
