"""The sample knowledge base: it is what seed and README promise, and the index answers its questions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kbsearch import KnowledgeBase, build
from kbsearch.evaluate import evaluate, read_judgements

if TYPE_CHECKING:
    from kbsearch import BuildReport
    from kbsearch.evaluate import Evaluation

ARTICLES = Path(__file__).parent.parent / "articles"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> BuildReport:
    """A build of the sample articles with the real encoder."""
    return build(ARTICLES, tmp_path_factory.mktemp("sample") / "help")


@pytest.fixture(scope="module")
def kb(report: BuildReport) -> KnowledgeBase:
    return KnowledgeBase.open(report.index)


@pytest.fixture(scope="module")
def evaluation(kb: KnowledgeBase) -> Evaluation:
    return evaluate(kb, read_judgements(ARTICLES / "queries.jsonl", ARTICLES / "qrels.tsv"))


def test_at_least_60_articles_and_half_of_them_japanese(kb: KnowledgeBase) -> None:
    languages = kb.status().languages
    assert sum(languages.values()) >= 60
    assert languages["ja"] * 2 >= sum(languages.values())


def test_no_article_is_left_out_and_every_warning_is_one_of_the_odd_cases(report: BuildReport) -> None:
    assert not report.faulty
    assert {warning.code for warning in report.warnings} == {"damaged-text", "stale-translation"}
    damaged = {warning.path for warning in report.warnings if warning.code == "damaged-text"}
    assert damaged == {"shop/points/use.ja.md", "handbook/knowledge-base/pasted-text.ja.md"}


def test_the_odd_cases_are_there(kb: KnowledgeBase) -> None:
    articles = kb.snapshot.content.articles()
    assert {"draft", "archived", "published"} == {article.status for article in articles}
    assert any(article.valid_until and article.valid_until.year == 2026 for article in articles)
    assert any(article.valid_from and article.valid_from.year == 2027 for article in articles)


def test_the_damaged_article_is_found_by_the_word_that_was_damaged(kb: KnowledgeBase) -> None:
    hits = kb.search("ポイントの使い方", k=3, filter={"lang": "ja"}).hits
    assert "shop/points/use.ja" in [hit.article_id for hit in hits]
    assert all("苍产蝉辫" not in hit.snippet for hit in hits)


def test_at_least_120_questions_20_of_them_without_an_answer() -> None:
    judged = read_judgements(ARTICLES / "queries.jsonl", ARTICLES / "qrels.tsv")
    assert len(judged) >= 120
    assert sum(not query.relevant for query in judged) >= 20
    assert len({query.id for query in judged}) == len(judged)


def test_every_judged_article_is_served(kb: KnowledgeBase) -> None:
    for query in read_judgements(ARTICLES / "queries.jsonl", ARTICLES / "qrels.tsv"):
        for article_id in query.relevant:
            assert kb.article(article_id).status == "published"


def test_hybrid_ranks_better_than_either_leg(evaluation: Evaluation) -> None:
    total = sum(evaluation.questions.values())
    means = {
        leg: sum(evaluation.questions[key] * legs[leg]["nDCG@10"] for key, legs in evaluation.table.items()) / total
        for leg in ("lexical", "dense", "hybrid")
    }
    assert means["hybrid"] >= max(means["lexical"], means["dense"]) + 0.02


def test_the_lines_of_a_hit_hold_its_text(kb: KnowledgeBase) -> None:
    """An editor who opens the file at the line sees the words of the snippet's best sentence."""
    for line in (ARTICLES / "queries.jsonl").read_text("utf-8").splitlines()[::7]:
        for hit in kb.search(json.loads(line)["text"], k=2).hits:
            rows = (ARTICLES / hit.path).read_text("utf-8").split("\n")
            source = "".join(rows[hit.lines[0] - 1 : hit.lines[1]])
            parts = [[word for word in re.split(r"\W+", piece.text) if len(word) > 1] for piece in hit.pieces]
            assert any(sum(word in source for word in words) >= len(words) / 2 for words in parts), hit


def test_a_second_build_without_a_change_publishes_nothing(report: BuildReport) -> None:
    again = build(ARTICLES, report.index)
    assert (again.published, again.generation) == (False, report.generation)
    assert len(again.unchanged) == len(report.added)
    assert again.warnings == report.warnings
