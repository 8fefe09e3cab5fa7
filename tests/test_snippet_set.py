"""The judgements of snippets: enough of them, in both languages, and each says words that its article has."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kbsearch.markdown import parse_article
from kbsearch.sources import scan

if TYPE_CHECKING:
    from kbsearch.model import Article

ARTICLES = Path(__file__).parent.parent / "articles"
KINDS = {"prose", "faq", "steps", "table", "list", "note"}
MARKED = re.compile(r"(?:注意|ご注意|警告|危険|重要|メモ|ヒント|補足|※|Note|Warning|Caution|Important|Tip)")
LINES = (ARTICLES / "snippets.jsonl").read_text("utf-8").splitlines()
JUDGEMENTS: list[dict[str, Any]] = [json.loads(line) for line in LINES]


@pytest.fixture(scope="module")
def articles() -> dict[str, Article]:
    """The sample articles by id, as they are read with the estimate of tokens."""
    parsed = [
        parse_article(file.read_bytes(), file.relative_to(ARTICLES).as_posix()) for file in ARTICLES.rglob("*.md")
    ]
    return {article.id: article for article, _ in parsed}


def flat(text: str) -> str:
    return " ".join(text.split())


def bare(text: str) -> str:
    """Letters and digits alone, so that a copy with another full stop is a copy."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).casefold())


def texts(article: Article, anchor: str | None = None) -> list[str]:
    """Passages of an article, or of one section of it, each on one line."""
    chosen = [part for part in article.passages if anchor is None or article.sections[part.section].anchor == anchor]
    return [flat(part.text) for part in chosen]


def line_of(judgement: dict[str, Any], article: Article) -> str:
    """The line of the plain text that holds the answer; no answer goes on behind a line's end."""
    lines = [line for part in article.passages for line in part.text.split("\n")]
    return next(line for line in lines if judgement["answer"] in flat(line))


def test_there_are_enough_of_every_kind_in_both_languages() -> None:
    assert len(JUDGEMENTS) >= 150
    languages = Counter(judgement["lang"] for judgement in JUDGEMENTS)
    assert languages.keys() == {"ja", "en"}
    assert 0.5 <= languages["ja"] / len(JUDGEMENTS) <= 0.7
    cells = Counter((judgement["lang"], judgement["kind"]) for judgement in JUDGEMENTS)
    assert cells.keys() == {(lang, kind) for lang in languages for kind in KINDS}
    assert min(cells.values()) >= 10


def test_ids_and_questions_are_unique_and_none_is_asked_in_the_other_set() -> None:
    assert len({judgement["id"] for judgement in JUDGEMENTS}) == len(JUDGEMENTS)
    other = [json.loads(line)["text"] for line in (ARTICLES / "queries.jsonl").read_text("utf-8").splitlines()]
    asked = Counter(bare(text) for text in [*other, *(judgement["text"] for judgement in JUDGEMENTS)])
    assert [text for judgement in JUDGEMENTS if asked[bare(text := judgement["text"])] > 1] == []


def test_an_entry_has_the_keys_that_are_read_and_no_other() -> None:
    needed = {"id", "text", "lang", "article", "section", "answer", "kind"}
    for judgement in JUDGEMENTS:
        assert needed <= judgement.keys() <= {*needed, "also"}, judgement["id"]
        assert all(value == value.strip() for name, value in judgement.items() if name != "also"), judgement["id"]


def test_every_article_is_served_on_any_day_and_in_the_language_of_the_question(articles: dict[str, Article]) -> None:
    for judgement in JUDGEMENTS:
        article = articles[judgement["article"]]
        assert (article.status, article.lang) == ("published", judgement["lang"]), judgement["id"]
        assert article.valid_from is None, judgement["id"]
        assert article.valid_until is None or article.valid_until.year == 2099, judgement["id"]
    collections = Counter(articles[judgement["article"]].path.split("/")[0] for judgement in JUDGEMENTS)
    assert collections.keys() == {"shop", "handbook"}
    assert min(collections.values()) >= 50


def test_the_answer_stands_in_a_passage_of_its_section_and_fits_a_snippet(articles: dict[str, Article]) -> None:
    for judgement in JUDGEMENTS:
        article, answer = articles[judgement["article"]], judgement["answer"]
        assert answer == flat(answer)
        assert 4 <= len(answer) <= 80, judgement["id"]
        assert any(answer in text for text in texts(article, judgement["section"])), judgement["id"]
        for other in judgement.get("also", ()):
            assert 4 <= len(other) <= 80, judgement["id"]
            assert any(other in text for text in texts(article)), judgement["id"]


def test_an_answer_stands_once_in_its_article(articles: dict[str, Article]) -> None:
    """Else it could be shown by a passage that is about something else."""
    for judgement in JUDGEMENTS:
        whole = "\n".join(texts(articles[judgement["article"]]))
        assert whole.count(judgement["answer"]) == 1, judgement["id"]


def test_the_kind_is_what_the_answer_stands_in(articles: dict[str, Article]) -> None:
    for judgement in JUDGEMENTS:
        article, kind = articles[judgement["article"]], judgement["kind"]
        section = next(section for section in article.sections if section.anchor == judgement["section"])
        line = line_of(judgement, article)
        if kind in {"faq", "prose"}:
            assert section.kind == ("qa" if kind == "faq" else "section"), judgement["id"]
        assert (kind == "table") == (" | " in line), judgement["id"]
        if kind == "note":
            assert MARKED.match(line), judgement["id"]


def test_no_question_is_a_heading_or_an_alias(articles: dict[str, Article]) -> None:
    known = {
        bare(text)
        for article in articles.values()
        for text in (article.title, *article.aliases, *(section.heading for section in article.sections))
    }
    assert [judgement["text"] for judgement in JUDGEMENTS if bare(judgement["text"]) in known] == []


def test_many_answers_are_behind_the_beginning_of_their_passage(articles: dict[str, Article]) -> None:
    """Else the first 120 characters would do for a snippet."""
    behind = 0
    for judgement in JUDGEMENTS:
        found = [
            text for text in texts(articles[judgement["article"]], judgement["section"]) if judgement["answer"] in text
        ]
        behind += found[0].index(judgement["answer"]) + len(judgement["answer"]) > 120
    assert behind >= len(JUDGEMENTS) / 3


def test_a_build_reads_none_of_the_judgements() -> None:
    sources, _ = scan(ARTICLES)
    assert {Path(source.path).suffix for source in sources} == {".md"}
