"""The command line as a person and as a program meet it: real processes, exit codes, what is on which stream."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kbsearch.cli.commands import ModeName
from kbsearch.rank import MODES

ARTICLE = """---
title: 返品の送料
lang: ja
category: shop/returns
tags: [返品]
aliases: [返送料はどちらの負担ですか]
---

不良品の返品の送料は当店が負担します。

## お客様都合の場合

お客様のご負担です。ただし、交換の再発送は無料です。
"""
ENGLISH = """---
title: Reset your password
lang: en
---

Open the sign-in page and choose “Forgot password”. The link works for 30 minutes.
"""


def run(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run kbsearch in a folder, as from a shell without settings of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KBSEARCH_I")}
    return subprocess.run(
        [sys.executable, "-c", "from kbsearch.cli import main; main()", *arguments],
        cwd=folder, input=stdin, capture_output=True, text=True, encoding="utf-8", env=environment, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def help_centre(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two articles and their index in the default place."""
    folder = tmp_path_factory.mktemp("centre")
    (folder / "articles").mkdir()
    (folder / "articles" / "返品.md").write_text(ARTICLE, "utf-8")
    (folder / "articles" / "password.md").write_text(ENGLISH, "utf-8")
    built = run(folder, "build")
    assert built.returncode == 0, built.stderr
    assert "added" in built.stdout
    assert "published gen-000001" in built.stdout
    return folder


def test_search_prints_title_snippet_and_place(help_centre: Path) -> None:
    answer = run(help_centre, "search", "返送料は誰の負担？")
    assert answer.returncode == 0
    assert answer.stderr == ""
    assert "1. 返品の送料" in answer.stdout
    assert "返品.md:9" in answer.stdout


def test_search_json_has_the_promised_keys_and_distinct_articles(help_centre: Path) -> None:
    answer = json.loads(run(help_centre, "search", "パスワードを忘れた", "--json").stdout)
    assert {"id", "query", "outcome", "confidence", "understood", "hits", "took_ms"} <= answer.keys()
    first = answer["hits"][0]
    keys = {"rank", "article_id", "section_id", "title", "heading", "snippet", "score", "parts", "path", "lines"}
    assert keys <= first.keys()
    assert first["article_id"] == "password"
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2]
    assert len({hit["article_id"] for hit in answer["hits"]}) == 2
    assert first["parts"].keys() == {"words", "grams", "dense"}


def test_filters_and_modes_reach_the_search(help_centre: Path) -> None:
    only_english = json.loads(run(help_centre, "search", "返品", "--lang", "en", "--json").stdout)
    assert [hit["article_id"] for hit in only_english["hits"]] == ["password"]
    by_category = json.loads(run(help_centre, "search", "password", "--category", "shop", "--json").stdout)
    assert [hit["article_id"] for hit in by_category["hits"]] == ["返品"]
    lexical = json.loads(run(help_centre, "search", "password", "--mode", "lexical", "--json").stdout)
    assert [hit["article_id"] for hit in lexical["hits"]] == ["password"]
    assert lexical["hits"][0]["parts"].keys() == {"words", "grams"}
    assert json.loads(run(help_centre, "search", "返品", "--tag", "送料", "--json").stdout)["hits"] == []


def test_no_hit_is_exit_code_0(help_centre: Path) -> None:
    answer = run(help_centre, "search", "zzzz", "--mode", "lexical")
    assert answer.returncode == 0
    assert "No article matches" in answer.stdout


def test_a_batch_answers_line_by_line_from_a_file_and_from_standard_input(help_centre: Path) -> None:
    lines = [
        {"id": "b", "text": "送料"},
        {"id": "a", "text": "password", "filter": {"lang": "en"}},
    ]
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    (help_centre / "questions.jsonl").write_text(text, "utf-8")
    from_file = run(help_centre, "search", "--queries", "questions.jsonl", "--json", "-k", "1")
    from_pipe = run(help_centre, "search", "--queries", "-", "--json", "-k", "1", stdin=text)
    assert from_file.returncode == from_pipe.returncode == 0
    for output in (from_file.stdout, from_pipe.stdout):
        answers = [json.loads(line) for line in output.splitlines()]
        assert [answer["id"] for answer in answers] == ["b", "a"]
        assert [answer["hits"][0]["article_id"] for answer in answers] == ["返品", "password"]


def test_a_bad_line_of_a_batch_is_answered_by_an_error_and_the_rest_goes_on(help_centre: Path) -> None:
    answer = run(help_centre, "search", "--queries", "-", "--json", stdin='nonsense\n{"id": 2, "text": "送料"}\n')
    bad, good = (json.loads(line) for line in answer.stdout.splitlines())
    assert "line 1" in bad["error"]
    assert good["hits"]
    assert answer.returncode == 12


def test_half_a_character_in_a_question_does_not_end_the_batch(help_centre: Path) -> None:
    answer = run(help_centre, "search", "--queries", "-", "--json", stdin='{"id": 1, "text": "送料\\ud83d"}\n' * 2)
    assert [json.loads(line)["query"] for line in answer.stdout.splitlines()] == ["送料\ud83d"] * 2
    assert answer.returncode == 0


def test_show_prints_an_article_and_a_section(help_centre: Path) -> None:
    assert "不良品の返品" in run(help_centre, "show", "返品").stdout
    section = run(help_centre, "show", "返品#お客様都合の場合")
    assert "お客様のご負担です" in section.stdout
    assert "不良品の返品" not in section.stdout
    as_json = json.loads(run(help_centre, "show", "返品#お客様都合の場合", "--json").stdout)
    assert as_json["lines"] == [11, 13]
    missing = run(help_centre, "show", "返品#お客様都合")
    assert missing.returncode == 14
    assert "Did you mean 返品#お客様都合の場合" in missing.stderr


def test_verify_tells_of_a_converted_encoder_that_was_changed(
    help_centre: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kbsearch.embed.convert import cache_folder

    shutil.copytree(cache_folder(), tmp_path / "cache" / cache_folder().name)
    monkeypatch.setenv("KBSEARCH_CACHE", str(tmp_path / "cache"))
    sound = run(help_centre, "verify")
    assert (sound.returncode, sound.stderr) == (0, "")
    body = cache_folder() / "body.onnx"
    raw = bytearray(body.read_bytes())
    raw[len(raw) // 2] ^= 1
    body.write_bytes(raw)
    changed = run(help_centre, "verify")
    assert changed.returncode == 0, "the index is what its build wrote"
    assert changed.stderr.startswith(f"warning: {body} was changed since it was converted.")
    assert len(json.loads(run(help_centre, "verify", "--json").stdout)["warnings"]) == 1


def test_status_and_verify_read_the_index(help_centre: Path) -> None:
    status = json.loads(run(help_centre, "status", "--json").stdout)
    assert status["languages"] == {"en": 1, "ja": 1}
    assert status["synonyms"] == 0
    assert status["counts"]["articles"] == 2
    verified = run(help_centre, "verify", "--exact")
    assert verified.returncode == 0
    assert "words: 100.00%" in verified.stdout


def test_eval_prints_a_table_and_json(help_centre: Path) -> None:
    (help_centre / "q.jsonl").write_text('{"id": "q1", "text": "返品の送料", "type": "curt", "lang": "ja"}\n', "utf-8")
    (help_centre / "r.tsv").write_text("query_id\tarticle_id\tscore\nq1\t返品\t1\n", "utf-8")
    table = run(help_centre, "eval", "q.jsonl", "r.tsv")
    assert "nDCG@10" in table.stdout
    row = json.loads(run(help_centre, "eval", "q.jsonl", "r.tsv", "--json").stdout)["rows"][0]
    assert (row["type"], row["lang"], row["questions"]) == ("curt", "ja", 1)
    assert row["legs"].keys() == {"lexical", "dense", "hybrid"}
    assert row["legs"]["hybrid"]["MRR@10"] == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["search"], 2),
        (["search", "q", "--queries", "f", "--json"], 2),
        (["search", "--queries", "questions.jsonl"], 2),
        (["search", "--queries", "missing.jsonl", "--json"], 2),
        (["search", "q", "--mode", "magic"], 2),
        (["search", "q", "-k", "0"], 2),
        (["frobnicate"], 2),
        (["search", "q", "-i", "nowhere"], 20),
        (["show", "nowhere"], 14),
        (["build", "nowhere"], 13),
        (["build", "--encoder", "magic"], 30),
        (["eval", "missing.jsonl"], 2),
    ],
)
def test_wrong_use_has_its_exit_code_and_says_so_on_standard_error(
    help_centre: Path, arguments: list[str], code: int
) -> None:
    answer = run(help_centre, *arguments)
    assert answer.returncode == code, answer.stderr
    assert answer.stderr.strip()
    assert answer.stdout == ""
    assert "Traceback" not in answer.stderr


def test_a_faulty_article_is_named_with_its_line_and_makes_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "articles").mkdir()
    (tmp_path / "articles" / "good.md").write_text(ENGLISH, "utf-8")
    (tmp_path / "articles" / "bad.md").write_text("---\ntitle: x\ntags: {a: 1}\n---\ntext\n", "utf-8")
    built = run(tmp_path, "build")
    assert built.returncode == 3
    assert "bad.md:3" in built.stderr
    assert run(tmp_path, "search", "password").stdout.splitlines()[2] == "1. Reset your password"
    assert json.loads(run(tmp_path, "build", "--json").stdout)["published"] is False


def test_init_writes_a_project_that_builds_and_answers(tmp_path: Path) -> None:
    assert run(tmp_path, "init", "centre").returncode == 0
    deep = tmp_path / "centre" / "articles" / "returns"
    assert run(deep, "build").returncode == 0  # kbsearch.toml is found upward
    assert (tmp_path / "centre" / "indexes" / "help" / "CURRENT").exists()
    assert "返品の送料はだれが払いますか" in run(deep, "search", "着払いで返していいですか").stdout
    again = run(tmp_path, "init", "centre")
    assert again.returncode == 13
    assert "already there" in again.stderr


def test_a_reader_that_closes_the_pipe_ends_the_command_quietly(help_centre: Path) -> None:
    questions = "\n".join(json.dumps({"id": n, "text": "送料"}) for n in range(2000))
    (help_centre / "many.jsonl").write_text(questions, "utf-8")
    command = (
        f"{sys.executable} -c 'from kbsearch.cli import main; main()' "
        "search --queries many.jsonl --json --mode lexical | head -1"
    )
    answer = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
        cwd=help_centre,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stderr == ""
    assert answer.returncode == 128 + signal.SIGPIPE


def test_the_modes_of_the_command_line_are_those_of_the_ranking() -> None:
    assert tuple(mode.value for mode in ModeName) == MODES


def test_help_and_version_answer() -> None:
    assert "build" in run(Path.cwd(), "--help").stdout
    assert run(Path.cwd(), "--version").stdout.startswith("kbsearch ")
