"""The comparison of snippets: the rules, what counts as shown, and the figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import snippets
from snippet_rules import RULES, beginning, ceiling, centred, densest, flat, qmd, shows, terms_of
from snippets import Case, Outcome

from kbsearch import KnowledgeBase, build

ROOT = Path(__file__).parents[1]
LINES = [
    "Parcels leave at noon.",
    "Returns are free.",
    "We pay the postage of broken cups.",
    "Ask by phone.",
    "Or write.",
]
TEXT = "\n".join(LINES)


def test_a_snippet_shows_an_answer_whatever_its_width_and_white_space() -> None:
    assert shows("残高は…  １００ﾎﾟｲﾝﾄから\n使えます", ["100ポイントから 使えます"])
    assert shows("the fee is 330 yen", ["another", "fee is 330"])
    assert not shows("the fee is 330", ["fee is 330 yen"])
    assert not shows("anything", [])


@pytest.mark.parametrize("chars", [1, 7, 40, 120, 1000])
@pytest.mark.parametrize("name", list(RULES))
def test_no_rule_shows_more_than_it_may_or_what_is_not_there(name: str, chars: int) -> None:
    for text in (TEXT, "返品の送料は\nお客様の負担です。", "", "   \n  "):
        for question in ("postage of a cup", "送料はいくら", "?"):
            found = RULES[name](text, terms_of(question), chars)
            assert len(found) <= chars
            assert flat(found) == found
            if len(flat(text)) <= chars and name != "qmd":
                assert found == flat(text)
            assert found.removesuffix("...").rstrip(".") in flat(text)


def test_the_beginning_is_the_beginning() -> None:
    assert beginning("一行目\n二行目", terms_of("二"), 5) == "一行目 二"


def test_the_densest_window_counts_each_term_once_and_takes_the_earliest_of_equals() -> None:
    text = "cup cup cup cup, and then a lot of other words: the cup and its postage, once more postage and cup"
    found = densest(text, terms_of("cup postage"), 22)
    assert found.endswith("cup and its postage")
    assert densest(text, terms_of("nothing"), 7) == text[:7]


def test_what_the_centred_window_has_stands_in_its_middle() -> None:
    text = "a" * 40 + " postage " + "b" * 40
    found = centred(text, terms_of("postage"), 27)
    assert found == "a" * 9 + " postage " + "b" * 9
    assert densest(text, terms_of("postage"), 27).endswith("postage")
    assert centred("postage " + "b" * 40, terms_of("postage"), 27).startswith("postage")


def test_qmd_takes_the_first_of_the_best_lines_with_its_neighbours() -> None:
    assert qmd(TEXT, terms_of("postage of cups"), 200) == " ".join(LINES[1:5])
    assert qmd(TEXT, terms_of("nothing"), 200) == " ".join(LINES[:3])
    assert qmd(TEXT, terms_of("parcel"), 20) == "Parcels leave at ..."


def test_the_ceiling_is_whole_sentences_with_the_answer() -> None:
    assert ceiling(TEXT, ["the postage"], 40) == "We pay the postage of broken cups."
    assert ceiling(TEXT, ["free. We pay"], 60) == "Returns are free. We pay the postage of broken cups."
    assert ceiling(TEXT, ["free. We pay"], 50) == ""
    assert ceiling(TEXT, ["the postage"], 20) == ""
    assert ceiling(TEXT, ["no such words"], 200) == ""


def _case(name: str, lang: str = "en", kind: str = "faq") -> Case:
    return Case(name, "who pays", lang, kind, frozenset(["a"]), ("we pay",), {})


def _found(name: str, rank: int, ours: str, **of: Any) -> Outcome:
    flags = dict.fromkeys(snippets.SYSTEMS, False) | {snippets.OURS: ours == "shown", "ceiling": True}
    return Outcome(_case(name, **of), rank, 0.02, ours, passage=True, shown=flags, article={**flags, "beginning": True})


def test_shares_are_of_the_cases_in_which_the_article_is_found() -> None:
    outcomes = [
        _found("1", 1, "shown"),
        _found("2", 3, "missed"),
        Outcome(_case("3"), 0, 0.04),
        _found("4", 1, "shown", lang="ja"),
    ]
    report = snippets.figures(outcomes)
    rows = {(row["lang"], row["kind"]): row for row in report["rows"]}
    assert list(rows) == [("en", "all"), ("en", "faq"), ("ja", "all"), ("ja", "faq"), ("all", "all")]
    english = rows["en", "faq"]
    assert (english["questions"], english["found"], english["first"]) == (3, 2, 1)
    assert (english["shown"]["kbsearch"], english["shown"]["qmd"], english["article"]["beginning"]) == (0.5, 0, 1)
    assert rows["all", "all"]["shown"]["kbsearch"] == round(2 / 3, 4)
    assert report["milliseconds a hit"] == 0.02
    assert [outcome.case.id for outcome in snippets.missed(outcomes)] == ["2"]


def test_the_tables_have_a_cell_for_every_head() -> None:
    outcomes = [_found("1", 1, "shown"), Outcome(_case("2", lang="ja"), 0, 0.04)]
    lines = snippets.tables({"chars": 120, **snippets.figures(outcomes)})
    first, second = [[line for line in part if line.startswith("|")] for part in _parts(lines)[:2]]
    assert len({line.count("|") for line in first}) == len({line.count("|") for line in second}) == 1
    assert "| en | faq | 1 | 1 | 1 | 100.0% | 100.0% | 0.0% |" in first[3]
    assert "| ja | all | 1 | 0 | 0 | – |" in first[4]
    assert lines[-1] == "120 characters; a snippet takes 30 µs (median)."


def _parts(lines: list[str]) -> list[list[str]]:
    text = "\n".join(lines)
    return [part.split("\n") for part in text.split("\n\n")]


def test_a_smaller_sample_is_the_same_every_time_and_in_order() -> None:
    cases = [_case(str(number)) for number in range(50)]
    chosen = snippets.limited(cases, 8)
    assert chosen == snippets.limited(cases, 8)
    assert [int(case.id) for case in chosen] == sorted(int(case.id) for case in chosen)
    assert len(chosen) == 8
    assert snippets.limited(cases, 10**9) == cases


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A knowledge base of two articles with questions whose answers are marked."""
    (tmp_path / "articles").mkdir()
    (tmp_path / "articles" / "postage.en.md").write_text(
        "# Return postage\n\nWe pay it. Parcels leave at noon.\n", "utf-8"
    )
    (tmp_path / "articles" / "hours.ja.md").write_text("# 営業時間\n\n9時に開きます。水曜日は休みです。\n", "utf-8")
    entries = [
        {"id": "1", "text": "who pays the return postage", "lang": "en", "answers": ["We pay it", "nobody"]},
        {"id": "2", "text": "休みは何曜日", "lang": "ja", "answers": ["水曜日"]},
        {"id": "3", "text": "no answers", "lang": "en"},
        {"id": "4", "text": "no article", "lang": "en", "answers": ["none"]},
    ]
    (tmp_path / "queries.jsonl").write_text("".join(f"{json.dumps(entry)}\n" for entry in entries), "utf-8")
    (tmp_path / "qrels.tsv").write_text(
        "query_id\tarticle_id\tscore\n1\tpostage.en\t1\n2\thours.ja\t1\n3\thours.ja\t1\n"
    )
    return tmp_path


def test_every_system_is_judged_on_the_passage_that_is_shown(folder: Path) -> None:
    cases = snippets.read_spans(folder)
    assert [(case.id, case.answers) for case in cases] == [("1", ("We pay it", "nobody")), ("2", ("水曜日",))]
    build(folder / "articles", folder / "index")
    outcomes = snippets.measure(KnowledgeBase.open(folder / "index"), folder / "articles", cases, 120)
    for outcome in outcomes:
        assert (outcome.rank, outcome.passage) == (1, True)
        assert outcome.shown == dict.fromkeys(snippets.SYSTEMS, True)
        assert outcome.article == dict.fromkeys(snippets.SYSTEMS[1:], True)
        assert outcome.milliseconds > 0
    short = snippets.measure(KnowledgeBase.open(folder / "index"), folder / "articles", cases[1:], 8)
    assert short[0].shown["beginning"] is False


def test_the_command_prints_json_and_writes_one_report_a_set(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(snippets, "RESULTS", tmp_path / "snippets.json")
    (tmp_path / "snippets.json").write_text('{"another": {"questions": 3}}', "utf-8")
    build(folder / "articles", folder / "index")
    snippets.main(["--spans", str(folder), "--index", str(folder / "index"), "--json", "--write", "--missed", "2"])
    report = json.loads(capsys.readouterr().out)
    written = json.loads((tmp_path / "snippets.json").read_text("utf-8"))
    assert written == {"another": {"questions": 3}, folder.name: report}
    assert report["questions"] == 2
    assert {"commit", "machine", "python", "versions", "chars", "rows"} <= report.keys()


def test_the_make_target_runs_it_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.snippets", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--spans KB_FOLDER" in done.stdout
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "bench-snippets: $(VENV)/.installed-test\n\t$(BIN)/python -m benchmarks.snippets --write\n" in makefile
