"""A file of questions: one answer for each, in order, whatever the lines are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from kbsearch.batch import answer_lines
from kbsearch.errors import BadQuery, EncoderUnavailable
from kbsearch.results import SearchResult
from kbsearch.search import KnowledgeBase

if TYPE_CHECKING:
    from pathlib import Path


UNTIMED = {"took_ms": 0.0, "stages": {}}


class Remembering:
    """Answers nothing; remembers what it was asked."""

    generation = "gen-000001"

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def search(self, question: str, **options: Any) -> SearchResult:
        if question == "refused":
            raise BadQuery("There is no filter “x”.")
        if question == "broken":
            raise EncoderUnavailable("e5-small", "it is gone", "Install it.")
        self.asked.append((question, options))
        return SearchResult(question, (), "choose", 0.25, "返品", 1.5, "gen-000001", {"encode": 1.25})


def run(lines: list[str], given: dict[str, Any] | None = None, **options: Any) -> tuple[list[Any], Remembering]:
    kb = Remembering()
    return list(answer_lines(cast("KnowledgeBase", kb), lines, given or {}, options)), kb


def line(**entry: Any) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"


def answer(query_id: Any, query: str) -> dict[str, Any]:
    judged = {"outcome": "choose", "confidence": 0.25, "understood": "返品"}
    return {
        "id": query_id, "query": query, **judged,
        "hits": [], "took_ms": 1.5, "stages": {"encode": 1.25}, "generation": "gen-000001", "version": 1,
    }  # fmt: skip


def test_each_line_is_answered_in_order() -> None:
    answers, _ = run([line(id="b", text="返品"), line(id="a", text="password"), line(id=3, text="返品 password")])
    assert answers == [answer("b", "返品"), answer("a", "password"), answer(3, "返品 password")]


def test_a_line_without_an_id_is_answered_without_one() -> None:
    assert run([line(text="返品")])[0] == [answer(None, "返品")]


def test_a_line_may_say_what_its_reader_prefers_and_which_day_it_is() -> None:
    lines = [
        line(text="a", prefer_lang="ja", as_of="2025-12-01"), line(text="b"), line(text="c", prefer_lang=["en", "ja"]),
        line(text="d", prefer_lang=None, as_of=None, k=99, mode="dense"),
    ]  # fmt: skip
    _, kb = run(lines, prefer_lang="en", as_of=None, k=3)
    asked = [(options["prefer_lang"], options["as_of"], options["k"]) for _, options in kb.asked]
    assert asked == [("ja", "2025-12-01", 3), ("en", None, 3), (["en", "ja"], None, 3), ("en", None, 3)]
    assert all("mode" not in options for _, options in kb.asked), "what else is asked is one thing for all"


def test_blank_lines_are_passed_over() -> None:
    answers, _ = run(["\n", line(id="a", text="返品"), "", "  \t\r\n", line(id="b", text="送料").rstrip("\n")])
    assert answers == [answer("a", "返品"), answer("b", "送料")]
    assert run([])[0] == []


@pytest.mark.parametrize(
    ("bad", "query_id", "query", "says"),
    [
        ("{not json", None, None, "this is no JSON"),
        ("[" * 100_000, None, None, "this is no JSON"),
        ('["a"]', None, None, "expected an object with a “text”"),
        ('"返品"', None, None, "expected an object with a “text”"),
        ("null", None, None, "expected an object with a “text”"),
        ('{"id": "x"}', "x", None, "expected an object with a “text”"),
        ('{"id": "x", "text": 3}', "x", 3, "expected an object with a “text”"),
        ('{"id": "x", "text": "返品", "filter": "ja"}', "x", "返品", "“filter” is an object"),
        ('{"id": "x", "text": "返品", "filter": ["ja"]}', "x", "返品", "“filter” is an object"),
        ('{"id": "x", "text": "refused"}', "x", "refused", "There is no filter “x”."),
    ],
)
def test_a_bad_line_is_answered_by_its_error_and_the_next_is_taken(
    bad: str, query_id: Any, query: Any, says: str
) -> None:
    answers, _ = run([line(id="a", text="返品"), "\n", bad, line(id="b", text="送料")])
    assert [answers[0], answers[2]] == [answer("a", "返品"), answer("b", "送料")]
    error = answers[1].pop("error")
    unjudged = {"outcome": "hand_over", "confidence": None, "understood": None}
    assert answers[1] == {**answer(query_id, ""), **unjudged, "query": query, "hits": [], **UNTIMED}
    assert error.startswith("line 3: ")  # blank lines count
    assert says in error


def test_an_error_that_is_not_the_line_s_ends_the_batch() -> None:
    with pytest.raises(EncoderUnavailable):
        run([line(text="broken")])


def test_a_line_s_filter_replaces_the_fields_that_it_names() -> None:
    given = {"lang": ("ja",), "category": ("shop",)}
    _, kb = run([line(text="a"), line(text="b", filter={"lang": "en"}), line(text="c", filter={"tags": ["x"]})], given)
    assert [options["filter"] for _, options in kb.asked] == [
        {"lang": ("ja",), "category": ("shop",)},
        {"lang": "en", "category": ("shop",)},
        {"lang": ("ja",), "category": ("shop",), "tags": ["x"]},
    ]


@pytest.mark.parametrize("nothing", [None, {}])
def test_an_empty_filter_of_a_line_changes_nothing(nothing: Any) -> None:
    assert run([line(text="a", filter=nothing)], {"lang": ("ja",)})[1].asked[0][1]["filter"] == {"lang": ("ja",)}


def test_options_are_passed_on() -> None:
    assert run([line(text="a")], k=3, mode="lexical")[1].asked == [("a", {"filter": {}, "k": 3, "mode": "lexical"})]


def test_an_answer_comes_before_the_next_line_is_read() -> None:
    """So that a program may ask and read in turn."""
    taken: list[int] = []

    def lines() -> Any:
        for number in range(3):
            taken.append(number)
            yield line(text=str(number))

    answers = answer_lines(cast("KnowledgeBase", Remembering()), lines(), {}, {})
    next(answers)
    assert taken == [0]


@pytest.mark.usefixtures("fake_encoder")
def test_a_line_is_answered_as_a_single_question_is(kb_index: Path) -> None:
    kb = KnowledgeBase.open(kb_index)
    lines = [
        line(id="1", text="返品の送料は誰が払いますか", filter={"lang": "ja"}),
        line(id="2", text="reset password", filter={"colour": "red"}),
        line(id="3", text="half a character \ud83d").encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
        '{"id": "4", "text": "half a character \\ud83d 返品"}',
    ]
    answers = list(answer_lines(kb, lines, {"lang": ("en",)}, {"k": 2}))
    assert [found["id"] for found in answers] == ["1", "2", "3", "4"]
    single = kb.search("返品の送料は誰が払いますか", 2, filter={"lang": "ja"}).to_dict("1")
    assert {**answers[0], **UNTIMED} == {**single, **UNTIMED}
    assert answers[0]["hits"][0]["article_id"] == "returns"
    assert "colour" in answers[1]["error"]
