"""The JSON is what ``kbsearch/schema.json`` says: every key of every command is in it, and it says nothing else."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import FAKE, FakeEncoder
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

import kbsearch
from kbsearch import embed
from kbsearch.cli.commands import app
from kbsearch.confidence import outcome_of
from kbsearch.features import NAMES
from kbsearch.forms import FORMS
from kbsearch.laps import STAGES
from kbsearch.model import JSON_VERSION
from kbsearch.overviews import article_to_dict
from kbsearch.rank import BASELINES, MODES
from kbsearch.report import DEMANDABLE
from kbsearch.scope import SCOPES
from kbsearch.views import LEVELS, PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parent.parent
SCHEMA = kbsearch.schema()
DEFS = SCHEMA["$defs"]
KEYS = Path(__file__).parent / "data" / f"json-{JSON_VERSION}.txt"

QUESTIONS = (
    "返品の送料は誰が払いますか",
    "How do I return an item?",
    "VPNのpassword resetができない",
    "henpinnnosouryou",
    "返品の手順を教えてください",
    "領収書は発行できますか",
    "今日の天気は",
    "？",
    "",
)
GUIDE = """---
title: 図のある手順
lang: ja
kind: guide
review_by: 2030-01-01
shelf: 3
---

## 設定する

始める前に、電源を入れてください。

1. 画面を開きます。

   ![画面の図](screen.png)
   - **管理者のみ**: 許可します。
   - 一覧から選びます。

   > **注意**: 電源を切らないでください。

   > **メモ**: 数分かかります。
2. 押します。

   ```sh
   kb-admin reset
   ```

> **注意**: 終わったら保存してください。

## 元に戻す

1. 画面を開きます。
2. 「戻す」を押します。
"""
BROKEN = "---\ntitle: [\n---\n\n本文\n"
GONE = "shop/returns/exchange.ja"
LINES = (
    {
        "id": "a",
        "text": "返品",
        "filter": {"lang": "ja", "category": ["shop/returns"], "tags": "返品", "kind": ["faq"]},
    },
    {"id": 2, "text": "identity", "filter": {"audience": "agent", "product": "shop", "version": ["1.10"]}},
    {"text": "password", "filter": {"kind": ["faq", "guide"]}},
    {"id": None, "text": "送料", "filter": None},
)
BAD_LINES = ("not json", json.dumps({"id": "x", "text": 3}), json.dumps({"id": "y", "text": "a", "filter": {"b": 1}}))


# What is printed


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The sample articles and one with everything that steps can have; indexed with the fake encoder."""
    folder = tmp_path_factory.mktemp("schema")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embed._loaded, (FAKE, None), FakeEncoder())
        patch.chdir(folder)
        patch.setenv("KBSEARCH_ENCODER", FAKE)
        shutil.copytree(ROOT / "articles", folder / "articles")
        (folder / "articles" / "guide.md").write_text(GUIDE, "utf-8")
        yield folder


def lines_of(*arguments: str, stdin: str = "", code: int = 0) -> list[Any]:
    """What a command prints, line by line."""
    done = CliRunner().invoke(app, [*arguments, "--json"], input=stdin)
    if code == 0 and done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def printed(centre: Path) -> list[tuple[str, Any]]:
    """Documents of all kinds, each with the name of its definition."""
    found: list[tuple[str, Any]] = [("buildReport", line) for line in lines_of("build", code=3)]
    (centre / "articles" / "broken.md").write_text(BROKEN, "utf-8")
    (centre / "articles" / "guide.md").write_text(GUIDE.replace("## 元に戻す", "## やり直す"), "utf-8")
    (centre / "articles" / "shop" / "returns" / "exchange.ja.md").unlink()
    found += [("buildReport", line) for _ in range(2) for line in lines_of("build", code=3)]
    found += [("status", line) for line in lines_of("status")]
    kb = kbsearch.KnowledgeBase.open("indexes/help")
    found += [("place", kb.resolve(handle).to_dict()) for handle in ("guide", "guide#元に戻す", GONE)]
    found += [("verification", line) for exact in ((), ("--exact",)) for line in lines_of("verify", *exact)]
    found += searches()
    shown = ("shop/returns/how-to-return.ja", "guide", "guide#設定する", "shop/returns/policy.en")
    for handle in shown:
        found += [("section" if "#" in handle else "article", line) for line in lines_of("show", handle)]
        for level in LEVELS:
            for form in FORMS:
                options = ("--level", level, "--form", form, "--question", "返品")
                found += [("view", line) for line in lines_of("show", handle, *options)]
    for handle in ("shop/returns/how-to-return.ja", "guide", "guide#設定する"):
        found += [("procedure", line) for line in lines_of("steps", handle)]
        found += [("step", line) for line in lines_of("steps", handle, "--step", "1")]
    judged = str(ROOT / "articles" / "queries.jsonl")
    found += [("evaluation", line) for line in lines_of("eval", judged, "--limit", "2")]
    more = "--holes .3 --perturb --worst 2 --mode hybrid --against indexes/help --against-mode words"
    demands = ("--fail-under", "nDCG@10=.99", "--fail-under", "typo:ece=.9")
    found += [("evaluation", line) for line in lines_of("eval", judged, "--limit", "1", *more.split(), *demands)]
    worse = ("--mode", "words", "--against-mode", "hybrid", "--worst", "9")
    found += [("evaluation", line) for line in lines_of("eval", judged, "--limit", "2", *worse)]
    return found


def searches() -> list[tuple[str, Any]]:
    """Answers of the command line: one by one, and a batch."""
    found: list[tuple[str, Any]] = []
    for question in filter(None, QUESTIONS):
        for mode in MODES:
            found += [("searchResult", line) for line in lines_of("search", question, "--mode", mode)]
        for budget in PRESETS:
            found += [("searchResult", line) for line in lines_of("search", question, "--budget", budget)]
        found += [("searchResult", line) for line in lines_of("search", question, "--explain", "-k", "2")]
    asked = "\n".join([*(json.dumps(line, ensure_ascii=False) for line in LINES), *BAD_LINES])
    answers = lines_of("search", "--queries", "-", stdin=asked, code=2)
    assert len(answers) == len(LINES) + len(BAD_LINES)
    found += [("batchError" if "error" in line else "searchResult", line) for line in answers]
    return found + [("batchQuestion", line) for line in LINES]


def strict(schema: Any) -> Any:
    """The same, but a key that it does not name is an error."""
    if isinstance(schema, dict):
        closed = {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else {}
        return {**closed, **{key: strict(value) for key, value in schema.items()}}
    return [strict(value) for value in schema] if isinstance(schema, list) else schema


STRICT = strict(SCHEMA)


def validator(name: str, schema: Any = STRICT) -> Draft202012Validator:
    """Of one definition."""
    return Draft202012Validator({"$defs": schema["$defs"], "$ref": f"#/$defs/{name}"})


def complaints(name: str, document: Any, schema: Any = STRICT) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator(name, schema).iter_errors(document)]


def test_every_document_is_as_the_schema_says_and_has_no_other_key(printed: list[tuple[str, Any]]) -> None:
    assert len(printed) > 200
    assert [(name, complaints(name, document)) for name, document in printed if complaints(name, document)] == []


def test_a_document_is_of_one_kind_alone(printed: list[tuple[str, Any]]) -> None:
    named = [branch["$ref"].rpartition("/")[2] for branch in SCHEMA["anyOf"]]
    checks = {name: validator(name) for name in named}
    for name, document in printed:
        if name != "batchQuestion":
            assert [kind for kind, check in checks.items() if check.is_valid(document)] == [name]
    assert {name for name, _ in printed} == {*named, "batchQuestion"}


def test_what_python_gives_is_what_is_printed(printed: list[tuple[str, Any]]) -> None:
    kb = kbsearch.KnowledgeBase.open("indexes/help")
    documents: list[tuple[str, Any]] = [
        ("status", kb.status().to_dict()),
        ("article", article_to_dict(kb.article("guide"))),
        ("section", kb.section("guide#設定する").to_dict()),
        ("procedure", kb.steps("guide").to_dict()),
        ("view", kb.open("guide", 4).to_dict()),
    ]
    documents += [
        ("searchResult", kb.search(question, 3, explain=True, budget=budget).to_dict(query_id))
        for question in QUESTIONS
        for query_id, budget in ((None, None), ("q", 700), ("q", kbsearch.Budget(90, "tokens", "markdown")))
    ]
    assert [complaints(name, document) for name, document in documents if complaints(name, document)] == []
    plain = [json.loads(json.dumps(document)) for _, document in documents]
    assert plain == [document for _, document in documents]  # no tuples, no numbers as keys: as it will be read
    assert printed


def test_the_parts_of_an_answer_are_described_by_themselves(printed: list[tuple[str, Any]]) -> None:
    assert printed
    kb = kbsearch.KnowledgeBase.open("indexes/help")
    result = kb.search("返品の手順を教えてください", 3, budget="web")
    assert result.disclosure is not None
    hits = [hit for question in QUESTIONS for hit in kb.search(question).hits]
    parts: list[tuple[str, Any]] = [
        *(("hit", hit.to_dict()) for hit in hits),
        ("disclosure", result.disclosure.to_dict()),
        *(("disclosed", part.to_dict()) for part in result.disclosure.parts),
        *(("level", level.to_dict()) for hit in hits for level in hit.levels),
        *(("cost", level.cost.to_dict()) for hit in hits for level in hit.levels),
        *(("piece", piece.to_dict()) for hit in hits for piece in hit.pieces),
        *(("note", note.to_dict()) for hit in hits for note in hit.notes),
        *(("step", step.to_dict()) for step in kb.steps("guide")),
        *(("part", part.to_dict()) for step in kb.steps("guide") for part in step.parts),
        *(("picture", picture.to_dict()) for step in kb.steps("guide") for picture in step.pictures),
        *(("procedureRef", ref.to_dict()) for ref in kb.steps("guide").others),
        *(("related", other.to_dict()) for other in kb.open("guide", 4).related),
    ]
    assert [complaints(name, part) for name, part in parts if complaints(name, part)] == []
    assert {name for name, _ in parts} == {
        "hit", "disclosure", "disclosed", "level", "cost", "piece", "note", "step", "part", "picture", "procedureRef",
        "related",
    }  # fmt: skip


# What is described


def children(schema: Mapping[str, Any]) -> Iterator[Any]:
    """The schemas inside one."""
    yield from schema.get("anyOf", ())
    yield from (schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict))


def keys_of(name: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """``hit.title`` of each key, with ``?`` behind what is not always there, and its schema."""
    for key, value in schema.get("properties", {}).items():
        yield f"{name}.{key}{'' if key in schema.get('required', ()) else '?'}", value
        yield from keys_of(f"{name}.{key}", value)
    for child in children(schema):
        yield from keys_of(name, child)


def seen_in(name: str, schema: Mapping[str, Any], value: Any) -> Iterator[str]:
    """``hit.title`` of each described key that a document has."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        yield from seen_in(name, DEFS[name], value)
    for branch in schema.get("anyOf", ()):
        if Draft202012Validator({**branch, "$defs": DEFS}).is_valid(value):
            yield from seen_in(name, branch, value)
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        for item in value:
            yield from seen_in(name, schema["items"], item)
    if isinstance(value, dict):
        described = schema.get("properties", {})
        for key, inner in value.items():
            if key in described:
                yield f"{name}.{key}"
                yield from seen_in(f"{name}.{key}", described[key], inner)
            elif isinstance(schema.get("additionalProperties"), dict):
                yield from seen_in(name, schema["additionalProperties"], inner)


DESCRIBED = [found for name, schema in DEFS.items() for found in keys_of(name, schema)]


def test_every_described_key_is_printed_by_some_command(printed: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, document in printed:
        seen.update(seen_in(name, DEFS[name], document))
    assert sorted({key.rstrip("?") for key, _ in DESCRIBED} - seen) == []


def test_every_key_and_every_definition_is_explained() -> None:
    def explained(schema: Mapping[str, Any]) -> bool:
        named = str(schema.get("$ref", "")).rpartition("/")[2]
        return bool(schema.get("description") or (named and DEFS[named].get("description")))

    assert [key for key, schema in DESCRIBED if not explained(schema)] == []
    assert [name for name, schema in DEFS.items() if not explained(schema)] == []


def test_the_schema_is_one_and_carries_the_version() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"].endswith("2020-12/schema")
    assert (SCHEMA["version"], SCHEMA["$id"]) == (JSON_VERSION, f"urn:kbsearch:json:{JSON_VERSION}")
    for branch in SCHEMA["anyOf"]:
        described = DEFS[branch["$ref"].rpartition("/")[2]]
        assert described["properties"]["version"]["const"] == JSON_VERSION
    used = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(SCHEMA)))
    assert used ^ set(DEFS) == {"batchQuestion"}  # which is read, not printed


def test_no_key_is_renamed_or_removed_under_one_version() -> None:
    """The file lists every key, with ``?`` behind those that are not always there.

    A key that is new, or always there now, is written into it. One that is gone, renamed, or no longer always there
    breaks who reads it: then JSON_VERSION goes up, ``$id`` and ``version`` of the schema with it, and there is a new
    file.
    """
    assert "\n".join(sorted(key for key, _ in DESCRIBED)) == KEYS.read_text("utf-8").strip()


def test_the_words_that_it_lists_are_those_of_the_code() -> None:
    result, hit = DEFS["searchResult"]["properties"], DEFS["hit"]["properties"]
    assert set(result["outcome"]["enum"]) == {outcome_of(*odds) for odds in ((0.9, 0.9), (0.3, 0.7), (0.1, 0.1))}
    assert tuple(result["stages"]["properties"]) == STAGES
    assert set(DEFS["view"]["properties"]["form"]["enum"]) == set(FORMS)
    assert tuple(DEFS["level"]["properties"]["name"]["enum"]) == LEVELS
    assert set(DEFS["evaluation"]["properties"]["mode"]["enum"]) == {*MODES, *BASELINES}
    assert set(DEFS["demand"]["properties"]["metric"]["enum"]) == set(DEMANDABLE)
    assert set(SCOPES) <= set(DEFS["filter"]["properties"])
    assert set(hit["parts"]["properties"]) == {"words", "grams", "dense"}
    assert "version" not in NAMES  # the reason that is no feature


@pytest.mark.parametrize("key", ["rank", "snippet", "levels"])
def test_a_key_that_is_missing_is_noticed(printed: list[tuple[str, Any]], key: str) -> None:
    hit = next(document["hits"][0] for name, document in printed if name == "searchResult" and document["hits"])
    assert complaints("hit", hit, SCHEMA) == []
    assert complaints("hit", {name: value for name, value in hit.items() if name != key}, SCHEMA)


def test_a_reader_may_meet_keys_that_are_newer_but_a_test_may_not(printed: list[tuple[str, Any]]) -> None:
    name, document = next(entry for entry in printed if entry[0] == "status")
    newer = {**document, "colour": "red"}
    assert complaints(name, newer, SCHEMA) == []
    assert complaints(name, newer)
    deeper = {**document, "counts": {**document["counts"], "colour": 1}}
    assert complaints(name, deeper)


def test_the_answer_that_the_documents_show_is_one() -> None:
    page = (ROOT / "docs" / "reference" / "json.md").read_text("utf-8")
    shown = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    assert complaints("searchResult", json.loads(shown[1])) == []


def test_the_command_prints_the_file() -> None:
    done = CliRunner().invoke(app, ["schema"])
    assert json.loads(done.stdout) == SCHEMA
    assert kbsearch.schema() is not kbsearch.schema()
