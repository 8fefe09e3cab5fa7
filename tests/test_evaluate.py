"""The metrics against hand arithmetic and trec_eval; the files of judgements; the table and all that is made of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from kbsearch.comparison import compare, perturb
from kbsearch.errors import ConfigError
from kbsearch.evaluate import METRICS, JudgedQuery, evaluate, read_judgements, score_ranking
from kbsearch.judgements import doubts, sample, withhold
from kbsearch.report import DEMANDABLE, Demand, Plan, make_report, worst
from kbsearch.results import Ranking
from kbsearch.search import KnowledgeBase

if TYPE_CHECKING:
    from collections.abc import Collection
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


def test_judged_articles_that_cannot_be_found_are_told(files: tuple[Path, Path]) -> None:
    queries = read_judgements(*files)
    assert doubts(queries, ["returns", "deadline", "password-en", "other"]) == []
    assert doubts(queries, ["password-en"]) == [
        "2 of 3 judged articles cannot be found here, which lowers the figures of 1 question: deadline, returns"
    ]
    many = [replace(queries[0], relevant={f"記事{n}": 1 for n in range(7)}), queries[1]]
    assert doubts(many, [])[0].endswith("of 2 questions: password-en, 記事0, 記事1, 記事2, 記事3 and 3 more")


def test_questions_with_one_id_are_told(files: tuple[Path, Path]) -> None:
    files[0].write_text(QUERIES + '{"id": "q1", "text": "送料"}\n{"id": "q1", "text": "着払い"}\n', "utf-8")
    queries = read_judgements(*files)
    assert doubts(queries, ["returns", "deadline", "password-en"]) == [
        "1 id is that of several questions, which share their judgements: q1"
    ]


# The evaluation


class Ranked:
    """Answers from a table, always as confident as it is told; remembers what it was asked."""

    generation = "gen-000001"

    def __init__(self, rankings: dict[tuple[str, str], list[str]], confidence: dict[str, float] | None = None) -> None:
        self.rankings, self.confidence = rankings, confidence or {}
        self.asked: list[tuple[str, int, Any, str]] = []

    def ranking(self, question: str, k: int, *, filter: Any, mode: str, without: Collection[str] = ()) -> Ranking:  # noqa: A002 - as the real one
        self.asked.append((question, k, filter, mode))
        found = [name for name in self.rankings.get((question, mode), ()) if name not in without]
        return Ranking(tuple(found[:k]), "choose", self.confidence.get(question, 0.5))


def base(**answers: Any) -> KnowledgeBase:
    """An index that answers in mode hybrid, by question: its articles, or them and its confidence."""
    rankings, confidence = {}, {}
    for question, answer in answers.items():
        ids, confidence[question] = answer if isinstance(answer, tuple) else (answer, 0.5)
        rankings[question, "hybrid"] = ids
    return cast("KnowledgeBase", Ranked(rankings, confidence))


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
    answer = {"metrics": metrics, "first": ["x", "a"], "confidence": 0.5, "correct": False}
    assert found == {
        "version": 1,
        "unjudged": 1,
        "unanswerable": 0,
        "rows": [row | {"intervals": {"lexical": {"nDCG@10": [0.6309, 0.6309]}}}],
        "totals": [],
        "confidence": None,
        "records": [
            {
                "id": "q1", "text": "q1", "type": "question", "lang": "ja", "answerable": True, "expected": {"a": 1},
                "answers": {"lexical": answer},
            }
        ],
    }  # fmt: skip
    assert json.loads(json.dumps(found)) == found


def test_totals_weigh_questions_equally_and_stand_only_where_they_say_more() -> None:
    kb = base(q1=["a"], q2=["a"], q3=["a"], q4=["x"])
    queries = [judged(name, a=1) for name in ("q1", "q2", "q3")] + [judged("q4", "typo", a=1)]
    found = evaluate(kb, queries, ["hybrid"]).to_dict()
    assert [(row["type"], row["lang"], row["questions"]) for row in found["totals"]] == [("all", "ja", 4)]
    assert found["totals"][0]["legs"]["hybrid"]["nDCG@10"] == 0.75
    assert found["totals"][0]["intervals"]["hybrid"]["nDCG@10"] == [0.25, 1.0]
    queries.append(judged("q5", "typo", "en", a=1))
    keys = [(row["type"], row["lang"]) for row in evaluate(kb, queries, ["hybrid"]).to_dict()["totals"]]
    assert keys == [("all", "ja"), ("all", "all")]
    assert evaluate(kb, queries[:1], ["hybrid"]).to_dict()["totals"] == []


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


# Confidence


def test_confidence_is_measured_on_answerable_and_unanswerable_questions() -> None:
    kb = base(q1=(["a"], 0.9), q2=(["x", "a"], 0.6), none=(["x"], 0.3), unknown=(["x"], 0.99))
    queries = [judged("q1", a=1), judged("q2", a=1), judged("none", "unanswerable"), judged("unknown")]
    evaluation = evaluate(kb, queries, ["hybrid"])
    found = evaluation.to_dict()
    assert (found["unjudged"], found["unanswerable"]) == (1, 1)
    assert [row["type"] for row in found["rows"]] == ["question"]
    (whole,) = found["confidence"]["rows"]
    assert whole == pytest.approx(
        {
            "type": "all", "lang": "all", "answerable": 2, "unanswerable": 1, "mean_confidence": 0.6,
            "share_correct": 1 / 3, "auroc": 1, "auroc_correct": 1, "ece": (0.1 + 0.6 + 0.3) / 3,
            "coverage95": 0.5, "coverage90": 0.5, "threshold95": 0.9, "threshold90": 0.9,
        },
        abs=1e-6,
    )  # fmt: skip
    assert [part["questions"] for part in found["confidence"]["reliability"]] == [1, 1, 1]
    assert evaluation.records[2].answers["hybrid"].metrics == {}


def test_an_unanswerable_question_is_asked_in_mode_hybrid_only() -> None:
    kb = Ranked({})
    queries = [judged("q", a=1), judged("none", "unanswerable")]
    evaluate(cast("KnowledgeBase", kb), queries)
    assert [(question, mode) for question, _, _, mode in kb.asked] == [
        ("q", "hybrid"), ("q", "lexical"), ("q", "dense"), ("none", "hybrid"),
    ]  # fmt: skip
    found = evaluate(cast("KnowledgeBase", kb), queries, ["dense"]).to_dict()
    assert (found["unanswerable"], found["confidence"]) == (1, None)


def test_confidence_of_a_group_needs_thirty_questions() -> None:
    queries = [judged(f"q{number}", "typo", a=1) for number in range(30)] + [judged("p", a=1)]
    rows = evaluate(cast("KnowledgeBase", Ranked({})), queries, ["hybrid"]).to_dict()["confidence"]["rows"]
    assert [(row["type"], row["lang"], row["answerable"]) for row in rows] == [("all", "all", 31), ("typo", "ja", 30)]
    assert rows[0]["auroc"] is None


# Samples and holes


def test_a_sample_takes_so_many_of_each_type_and_language_and_keeps_the_unjudged() -> None:
    queries = [
        judged(f"{kind}{lang}{number}", kind, lang, a=1) for number in range(9) for kind in "ab" for lang in "xy"
    ]
    queries += [judged("rest", "a", "x"), judged("none", "unanswerable")]
    few, more = sample(queries, 2), sample(queries, 5)
    assert len(few) == 4 * 2 + 2
    assert len(more) == 4 * 5 + 2
    assert {query.id for query in few} <= {query.id for query in more}
    assert [query for query in queries if query in more] == more
    assert sample(queries, 2) == few != sample(queries, 2, seed=1)
    assert sample(queries, 99) == queries
    assert sample([], 1) == []


def test_what_has_lost_every_article_is_unanswerable_and_the_rest_keeps_what_is_left() -> None:
    scores: list[Any] = [{f"a{number}": 2, f"b{number}": 1} for number in range(20)]
    queries = [judged(f"q{number}", **relevant) for number, relevant in enumerate(scores)]
    queries += [judged("none", "unanswerable"), judged("unknown")]
    changed, hidden = withhold(queries, 0.4)
    assert len(hidden) == 16
    for before, after in zip(queries, changed, strict=True):
        left = {name: score for name, score in before.relevant.items() if name not in hidden}
        assert after.relevant == left
        assert after.withheld == (bool(before.relevant) and not left)
        assert after.unanswerable == (after.withheld or before.id == "none")
    assert {after.withheld for after in changed} == {True, False}
    assert withhold(queries, 0.4) == (changed, hidden)
    assert hidden < withhold(queries, 0.8)[1]
    assert hidden != withhold(queries, 0.4, seed=1)[1]


def test_withholding_everything_or_nothing_is_no_error() -> None:
    changed, hidden = withhold([judged("q", a=1)], 0.3)
    assert (hidden, changed[0].unanswerable) == (frozenset({"a"}), True)
    assert withhold([judged("q")], 0.3) == ([judged("q")], frozenset())


def test_hidden_articles_are_not_found() -> None:
    kb = base(q1=["a", "b"], q2=["a"])
    report = make_report(kb, [judged("q1", a=1, b=1), judged("q2", a=1)], Plan(modes=["hybrid"], holes=0.5))
    (gone,) = report["holes"]["withheld"]
    left = {"a": "b", "b": "a"}[gone]
    assert report["records"][0]["answers"]["hybrid"]["first"] == [left]
    assert report["records"][0]["expected"] == {left: 1}
    assert report["unanswerable"] == (1 if gone == "a" else 0)


# Rewritten questions


def test_a_kind_of_variant_is_measured_on_the_questions_that_have_it() -> None:
    kb = base(q1=["a"], Q1=["x", "a"], q2=["b"], q3=["c"], Q3=["c"])
    queries = [judged("q1", a=1), judged("q2", b=1), judged("q3", "typo", "en", c=1)]
    evaluation = evaluate(kb, queries, ["hybrid"])
    told: list[tuple[int, int]] = []
    rows = perturb(
        kb, evaluation, ["hybrid"], ("never", "upper"),
        lambda text: {} if text == "q2" else {"upper": text.upper()},
        lambda done, total: told.append((done, total)),
    )  # fmt: skip
    second = round(1 / math.log2(3), 4)
    keys = ("kind", "mode", "type", "lang", "questions", "clean", "perturbed", "kept")
    assert [tuple(row[key] for key in keys) for row in rows] == [
        ("upper", "hybrid", "question", "ja", 1, 1, second, second),
        ("upper", "hybrid", "typo", "en", 1, 1, 1, 1),
        ("upper", "hybrid", "all", "all", 2, 1, round((1 + second) / 2, 4), round((1 + second) / 2, 4)),
    ]
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_nothing_is_kept_of_nothing() -> None:
    kb = base(q1=["x"])
    evaluation = evaluate(kb, [judged("q1", a=1)], ["hybrid"])
    rows = perturb(kb, evaluation, ["hybrid"], ("same",), lambda text: {"same": text})
    assert {(row["clean"], row["kept"]) for row in rows} == {(0, None)}


# Comparison


def test_two_sides_are_compared_question_by_question() -> None:
    ours = base(q1=["a"], q2=["x", "a"], q3=["a"], q4=["x"])
    theirs = base(q1=["a"], q2=["a"], q3=["x", "a"], q4=["a"])
    queries = [judged(f"q{number}", "typo" if number == 4 else "question", a=1) for number in (1, 2, 3, 4)]
    sides = [evaluate(kb, queries, ["hybrid"]) for kb in (ours, theirs)]
    found = compare(sides[0], sides[1], "hybrid", "hybrid", 1)
    keys = [(row["type"], row["lang"], row["questions"]) for row in found["rows"]]
    assert keys == [("question", "ja", 3), ("typo", "ja", 1), ("all", "ja", 4)]
    paired = found["rows"][-1]["metrics"]["MRR@10"]
    assert (paired["mean_a"], paired["mean_b"], paired["difference"]) == (0.625, 0.875, -0.25)
    assert (paired["wins"], paired["ties"], paired["losses"]) == (1, 1, 2)
    assert [record["id"] for record in found["lost"]] == ["q4"]
    assert found["lost"][0]["against"]["first"] == ["a"]


def test_a_side_against_itself_differs_in_nothing() -> None:
    kb = base(q1=["a"], q2=["x", "a"])
    plan = Plan(modes=["hybrid"], against=kb, worst=5)
    found = make_report(kb, [judged("q1", a=1), judged("q2", a=1)], plan)["comparison"]
    for paired in found["rows"][0]["metrics"].values():
        assert (paired["difference"], paired["low"], paired["high"], paired["p"]) == (0, 0, 0, 1)
        assert (paired["wins"], paired["ties"], paired["losses"]) == (0, 2, 0)
    assert found["lost"] == []


def test_a_mode_that_was_asked_is_not_asked_again() -> None:
    kb = Ranked({("q", "hybrid"): ["a"]})
    plan = Plan(against_mode="dense")
    report = make_report(cast("KnowledgeBase", kb), [judged("q", a=1)], plan)
    assert len(kb.asked) == 3
    assert report["comparison"]["rows"][0]["metrics"]["nDCG@10"]["difference"] == 1


# The worst, and what must be kept


def test_the_worst_come_first_and_among_equals_the_more_confident() -> None:
    kb = base(q1=["a"], q2=(["x"], 0.2), q3=(["x"], 0.8), q4=["x", "a"])
    queries = [judged(f"q{number}", a=1) for number in (1, 2, 3, 4)]
    evaluation = evaluate(kb, queries, ["hybrid"])
    assert [record.query.id for record in worst(evaluation, "hybrid", 3)] == ["q3", "q2", "q4"]
    assert len(worst(evaluation, "hybrid", 9)) == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nDCG@10=0.9", Demand("nDCG@10", 0.9)),
        ("ndcg@10=.9", Demand("nDCG@10", 0.9)),
        ("typo:MRR@10=1", Demand("MRR@10", 1, "typo")),
        ("a:b:ECE=0.05", Demand("ece", 0.05, "a:b")),
        ("AUROC = 0.8", Demand("auroc", 0.8)),
    ],
)
def test_a_demand_is_read(text: str, expected: Demand) -> None:
    assert Demand.parse(text) == expected


@pytest.mark.parametrize("text", ["", "nDCG@10", "nDCG@10=", "nDCG@10=high", "nDCG@10=nan", "f1=0.3", "=1", "typo:=1"])
def test_a_demand_that_cannot_be_read_names_what_can(text: str) -> None:
    with pytest.raises(ValueError, match="coverage95") as raised:
        Demand.parse(text)
    assert all(name in str(raised.value) for name in DEMANDABLE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nDCG@10=0.75", ""),
        ("nDCG@10=0.8", "nDCG@10 is 0.7500, 0.0500 under 0.8"),
        ("typo:recall@1=0.5", "typo:recall@1 is 0.0000, 0.5000 under 0.5"),
        ("question:recall@1=1", ""),
        ("ece=0.4", "ece is 0.6250, 0.2250 over 0.4"),
        ("ece=0.7", ""),
        ("coverage95=0.1", "coverage95 is 0.0000, 0.1000 under 0.1"),
        ("auroc=0.5", "auroc cannot be computed: none of its questions is unanswerable; see --holes"),
        ("polite:nDCG@10=0", "polite:nDCG@10 cannot be computed: no question of type “polite” can be used"),
    ],
)
def test_a_demand_is_checked(text: str, reason: str) -> None:
    kb = base(q1=(["a"], 0.5), q2=(["a"], 0.5), q3=(["a"], 0.5), q4=(["x"], 1.0))
    queries = [judged(f"q{number}", "typo" if number == 4 else "question", a=1) for number in (1, 2, 3, 4)]
    found = Demand.parse(text).check(evaluate(kb, queries, ["hybrid"]), "hybrid")
    assert (found["reason"], found["failed"]) == (reason, bool(reason))


def test_a_demand_says_why_there_is_no_figure() -> None:
    queries, kb = [judged("q", a=1), judged("none", "unanswerable")], base()
    lexical = evaluate(kb, queries, ["lexical"])
    assert "mode hybrid was not asked" in Demand("ece", 1).check(lexical, "lexical")["reason"]
    nothing = evaluate(kb, queries[1:], ["hybrid"])
    assert "none of its questions is answerable" in Demand("MRR@10", 0).check(nothing, "hybrid")["reason"]
    assert "no question can be used" in Demand("MRR@10", 0).check(evaluate(kb, []), "hybrid")["reason"]


def test_a_report_without_a_question_is_still_a_report() -> None:
    plan = Plan(limit=3, holes=0.5, worst=2, against_mode="dense", perturb=["hybrid"], demands=[Demand("ece", 1)])
    report = make_report(base(), [], plan)
    assert report["rows"] == report["totals"] == report["worst"] == report["perturbations"] == []
    assert report["comparison"]["rows"] == []
    assert report["confidence"] is None
    assert report["fail_under"][0]["failed"]
