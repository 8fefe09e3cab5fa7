"""``kbsearch eval`` as a person and as a program meet it: every option, the exit codes, screens of several widths."""

from __future__ import annotations

import io
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from kbsearch.evaluate import METRICS
from kbsearch.scoreboard import scoreboard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import RunKbsearch

    Eval = Callable[..., tuple[int, str, str]]

LONG = "たいへん初歩的な質問で恐縮ですが、購入した商品を返品するときの送料はどちらが負担するのか教えてください。" * 2
QUESTIONS = [
    ("returns-1", "返品の送料は誰が払いますか", "paraphrase", "ja", "returns"),
    ("returns-2", LONG, "polite", "ja", "account/2fa"),
    ("password-1", "パスワードを忘れた", "paraphrase", "ja", "password"),
    ("password-2", "reset my password", "paraphrase", "en", "password-en"),
    ("vpn-1", "VPN client", "curt", "en", "tools/vpn"),
    ("space-1", "宇宙旅行の予約", "unanswerable", "ja", ""),
    ("space-2", "book a flight to mars", "unanswerable", "en", ""),
    ("unknown-1", "何かありますか", "paraphrase", "ja", ""),
]


@pytest.fixture
def run(kb_index: Path, tmp_path: Path, kbsearch: RunKbsearch) -> Eval:
    """Evaluate the small help centre; gives exit code, standard output and standard error."""
    shutil.copytree(kb_index, tmp_path / "index")
    lines = [{"id": name, "text": text, "type": kind, "lang": lang} for name, text, kind, lang, _ in QUESTIONS]
    (tmp_path / "q.jsonl").write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    rows = [f"{name}\t{article}\t1" for name, _, _, _, article in QUESTIONS if article]
    (tmp_path / "qrels.tsv").write_text("\n".join(["query_id\tarticle_id\tscore", *rows]), "utf-8")

    def evaluate(*arguments: str, queries: str = "q.jsonl") -> tuple[int, str, str]:
        done = kbsearch("eval", queries, "-i", "index", *arguments)
        return done.returncode, done.stdout, done.stderr

    return evaluate


def test_a_judged_article_that_is_not_there_is_told_on_screen_and_in_the_json(run: Eval, tmp_path: Path) -> None:
    with (tmp_path / "qrels.tsv").open("a", encoding="utf-8") as file:
        file.write("\npassword-1\t改名した記事\t1\n")
    warning = "1 of 6 judged articles cannot be found here, which lowers the figures of 1 question: 改名した記事"
    assert run("--mode", "lexical")[2].splitlines()[-1] == f"warning: {warning}"
    code, output, errors = run("--mode", "lexical", "--json")
    assert (code, json.loads(output)["warnings"], errors) == (0, [warning], f"warning: {warning}\n")


@pytest.fixture
def report(run: Eval) -> dict[str, Any]:
    """Everything there is."""
    code, output, errors = run(
        "--json", "--perturb", "--against-mode", "lexical", "--worst", "2", "--holes", "0.2", "--seed", "3",
        "--fail-under", "nDCG@10=0",
    )  # fmt: skip
    assert (code, errors) == (0, "")
    found: dict[str, Any] = json.loads(output)
    return found


def test_the_json_has_everything(report: dict[str, Any]) -> None:
    assert report["version"] == 1
    assert (report["mode"], report["seed"], report["limit"]) == ("hybrid", 3, None)
    assert report["unjudged"] == 1
    assert len(report["holes"]["withheld"]) == 1
    assert report["unanswerable"] == 3
    assert len(report["records"]) == 7
    assert sum(row["questions"] for row in report["rows"]) == 4
    assert report["totals"][-1]["questions"] == 4
    assert set(report["rows"][0]["legs"]) == {"hybrid", "lexical", "dense"}
    assert {row["kind"] for row in report["perturbations"]} >= {"polite", "typo"}
    assert {row["mode"] for row in report["perturbations"]} == {"hybrid"}
    assert report["comparison"]["against_mode"] == "lexical"
    assert [record["answers"].keys() for record in report["worst"]] == [{"hybrid"}, {"hybrid"}]
    assert report["fail_under"][0]["failed"] is False
    whole = report["confidence"]["rows"][0]
    assert (whole["answerable"], whole["unanswerable"]) == (4, 3)
    assert 0 <= whole["auroc"] <= 1


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_screen_has_everything_and_cuts_nothing_off(report: dict[str, Any], width: int) -> None:
    text = io.StringIO()
    Console(file=text, width=width).print(scoreboard(report, METRICS))
    screen = text.getvalue()
    assert max(cell_len(line.rstrip()) for line in screen.splitlines()) <= width
    for part in (
        "paraphrase",
        "±",
        "AUROC",
        "Rewritten",
        "katakana",
        "Compared",
        "lowest nDCG@10",
        "returns-2",
        "expected",
    ):
        assert part in screen
    assert "account/2fa" in screen
    assert screen.count("…") == sum(len(row["metrics"]) for row in report["comparison"]["rows"])  # intervals, no more
    flat = "".join(line.strip() for line in screen.splitlines())
    assert LONG in flat  # a long Japanese question is broken, not cut, and begins beside its number
    assert "2. たいへん" in flat or "1. たいへん" in flat


def test_what_a_text_says_in_brackets_is_no_style(report: dict[str, Any]) -> None:
    for question in report["worst"]:
        question["text"], question["type"] = "[bold]返品[/bold]", "[red]"
    text = io.StringIO()
    Console(file=text, width=100).print(scoreboard(report, METRICS))
    assert "[bold]返品[/bold]" in text.getvalue()
    assert "[red] · " in text.getvalue()


def test_a_person_sees_tables_and_notes(run: Eval) -> None:
    code, screen, errors = run()
    assert (code, errors) == (0, "")
    assert "Questions without a judged article, left out: 1." in screen
    assert "AUROC" in screen.split("Confidence:")[1]
    assert "Rewritten" not in screen
    assert "Compared" not in screen
    assert "lowest" not in screen


def test_questions_without_a_judgement_are_said_to_be_all_there_is(run: Eval, tmp_path: Path) -> None:
    (tmp_path / "qrels.tsv").write_text("query_id\tarticle_id\tscore\n", "utf-8")
    code, screen, _ = run("--mode", "lexical", "--worst", "3", "--against-mode", "dense")
    assert code == 0
    assert "nothing to measure" in screen
    assert "without a judged article, left out: 6." in screen
    assert "No question is answerable." in screen
    code, screen, _ = run("--perturb", "--json")
    assert json.loads(screen)["confidence"]["rows"][0]["auroc"] is None


def test_an_empty_file_is_no_error(run: Eval, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text("", "utf-8")
    code, screen, _ = run("--perturb", "--holes", "0.5", "--limit", "1")
    assert code == 0
    assert "nothing to measure" in screen
    assert "No question has a variant." in screen


def test_a_limit_is_for_each_type_and_language(run: Eval) -> None:
    found = json.loads(run("--limit", "1", "--json", "--mode", "lexical")[1])
    assert [row["questions"] for row in found["rows"]] == [1] * len(found["rows"]) == [1] * 4
    assert found["unanswerable"] == 2
    assert found["unjudged"] == 1


def test_another_index_is_compared(run: Eval, kb_index: Path, tmp_path: Path) -> None:
    shutil.copytree(kb_index, tmp_path / "other")
    code, output, _ = run("--against", "other", "--json", "--mode", "dense", "--mode", "lexical")
    found = json.loads(output)["comparison"]
    assert code == 0
    assert (found["mode"], found["against_mode"]) == ("dense", "dense")  # the first that was named
    assert {row["metrics"]["nDCG@10"]["p"] for row in found["rows"]} == {1.0}
    code, output, _ = run("--against", "other", "--against-mode", "dense", "--json")
    assert json.loads(output)["comparison"]["against_mode"] == "dense"


def test_an_index_to_compare_with_must_be_there(run: Eval) -> None:
    code, output, errors = run("--against", "nowhere")
    assert (code, output) == (20, "")
    assert "There is no index at nowhere" in errors


def test_the_modes_that_are_asked_are_the_ones_that_are_perturbed(run: Eval) -> None:
    _, output, _ = run("--mode", "lexical", "--perturb", "--json")
    assert {row["mode"] for row in json.loads(output)["perturbations"]} == {"lexical"}


def test_a_value_that_is_not_kept_is_exit_code_4_and_said(run: Eval) -> None:
    code, output, errors = run("--fail-under", "ndcg@10=1.5", "--fail-under", "recall@100=0", "--json")
    assert code == 4
    assert errors.startswith("failed: nDCG@10 is ")
    assert "under 1.5" in errors
    assert len(errors.splitlines()) == 1
    assert [kept["failed"] for kept in json.loads(output)["fail_under"]] == [True, False]
    code, _, errors = run("--fail-under", "polite:auroc=0.5")
    assert code == 4
    assert "polite:auroc cannot be computed" in errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fail-under", "f1=0.5"], "coverage95"),
        (["--fail-under", "nDCG@10=high"], "coverage95"),
        (["--holes", "0"], "between 0 and 1"),
        (["--holes", "1"], "between 0 and 1"),
        (["--holes", "nan"], "between 0 and 1"),
        (["--holes", "x"], "--holes"),
        (["--limit", "0"], "--limit"),
        (["--worst", "-1"], "--worst"),
        (["--seed", "-1"], "--seed"),
        (["--against-mode", "magic"], "--against-mode"),
    ],
)
def test_wrong_use_is_exit_code_2(run: Eval, arguments: list[str], said: str) -> None:
    code, output, errors = run(*arguments)
    assert (code, output) == (2, "")
    assert said in errors
    assert "Traceback" not in errors
