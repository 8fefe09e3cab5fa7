"""Reference that the code writes itself: each function gives Markdown, which ``{kbsearch} NAME`` puts into a page.

Never: say by hand what can be asked. What is not here and stands in the reference is compared with the code by
``tests/test_docs_site.py``.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import typer.main

from kbsearch import errors, filters, forms, model, rank, results, scaffold, schema, views
from kbsearch.cli.commands import app
from kbsearch.config import Settings
from kbsearch.store import Files
from kbsearch.views import PRESETS

__all__ = [
    "TABLES",
    "commands",
    "error_classes",
    "error_tree",
    "first_sentence",
    "index_files",
    "init_file",
    "json_keys",
    "presets",
    "settings",
    "types",
]


def commands() -> str:
    """Every command with its arguments and options, as ``--help`` has them."""
    group: Any = typer.main.get_command(app)
    parts = []
    for name, command in group.commands.items():
        context = command.make_context(name, [], resilient_parsing=True)
        usage = " ".join(["kbsearch", *command.get_usage(context).split()[1:]])
        rows = [parameter.get_help_record(context) for parameter in command.params]
        rows = [(re.sub(r"<(?:list\[)?(\w+)(?:\]| range)>", r"<\1>", written), told) for written, told in rows]
        parts += [
            f"## kbsearch {name}",
            "",
            command.help,
            "",
            f"`{usage}`",
            "",
            "| option | what it does |",
            "|---|---|",
        ]
        parts += [f"| `{_cell(written)}` | {_cell(_prose(told))} |" for written, told in rows]
        parts.append("")
    return "\n".join(parts)


def presets() -> str:
    """The budgets that have a name."""
    rows = [
        f"| `{name}` | {budget.amount:,} {budget.unit} | `{budget.form}` | {budget.most} | {budget.deepest} |"
        for name, budget in PRESETS.items()
    ]
    return "\n".join(
        ["| preset | amount | form | at most so many articles | deepest level |", "|---|---|---|---:|---:|", *rows]
    )


def error_classes() -> list[type[errors.KbSearchError]]:
    """Every error by its exit code, parents before what is below them."""
    found = [getattr(errors, name) for name in errors.__all__]
    return sorted(found, key=lambda kind: (kind.exit_code, len(kind.__mro__)))


def error_tree() -> str:
    """Errors with the exit code of the command line and the HTTP status that suits a server."""
    rows = [
        f"| {{py:class}}`~kbsearch.{kind.__name__}` | {kind.exit_code} | {kind.http_status} "
        f"| {_cell(_prose(first_sentence(kind)))} |"
        for kind in error_classes()
    ]
    return "\n".join(["| error | exit code | HTTP status | when |", "|---|---:|---:|---|", *rows])


def settings() -> str:
    """Settings of the command line with their variables and defaults."""
    shown = [each for each in fields(Settings) if each.name != "file"]
    defaults = Settings()
    rows = []
    for each in shown:
        value = getattr(defaults, each.name)
        default = (
            "`{}`".format(", ".join(f"{w.name} = {getattr(value, w.name)}" for w in fields(value)))
            if each.name == "weights"
            else (f"`{value}`" if value else "none")
        )
        rows.append(f"| `{each.name}` | `KBSEARCH_{each.name.upper()}` | {default} |")
    return "\n".join(["| in `kbsearch.toml` | in the environment | default |", "|---|---|---|", *rows])


def init_file() -> str:
    """What ``kbsearch init`` writes as ``kbsearch.toml``."""
    return f"```toml\n{scaffold._TOML}```"  # noqa: SLF001 - shown as it is


def json_keys() -> str:
    """Every document and part of the JSON, by its schema."""
    parts = []
    for name, described in schema()["$defs"].items():
        needed = described.get("required", ())
        parts += [f"## {name}", "", described.get("description", ""), ""]
        rows = [
            f"| `{key}` | {_cell(_json_type(value))} | {'' if key in needed else 'sometimes'} "
            f"| {_cell(value.get('description', ''))} |"
            for key, value in described.get("properties", {}).items()
        ]
        parts += ["| key | type | | what it is |", "|---|---|---|---|", *rows, ""] if rows else []
    return "\n".join(parts)


def _json_type(described: dict[str, Any]) -> str:
    """What may stand there: ``text or null``, a list of a part that has a table of its own."""
    if "$ref" in described:
        name = described["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in described or "enum" in described:
        return ", ".join(f"`{value}`" for value in described.get("enum", [described.get("const")]))
    if "anyOf" in described or "oneOf" in described:
        return " or ".join(_json_type(one) for one in described.get("anyOf") or described["oneOf"])
    kinds = described.get("type", "anything")
    if kinds == "array":
        return f"list of {_json_type(described['items'])}" if isinstance(described.get("items"), dict) else "list"
    names = {"string": "text", "boolean": "true or false"}
    return " or ".join(names.get(kind, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def types() -> str:
    """Names of types that stand in signatures."""
    named = {
        "DayLike": filters.DayLike, "FilterLike": filters.FilterLike, "Form": forms.Form,
        "LanguagesLike": filters.LanguagesLike, "LevelName": views.LevelName, "Lines": model.Lines, "Mode": rank.Mode,
        "Outcome": results.Outcome, "Preset": views.Preset, "Progress": model.Progress,
    }  # fmt: skip
    rows = [f"| `{name}` | `{_cell(_type_text(kind))}` |" for name, kind in named.items()]
    return "\n".join(["| name | is |", "|---|---|", *rows])


def _type_text(kind: object) -> str:
    """A type as one would write it."""
    return re.sub(r"\b(?:[a-z]+\.)+(?=[A-Za-z])", "", str(kind)).replace("NoneType", "None")


def index_files() -> str:
    """The files of a generation, as the one module that knows them describes them."""
    files, rows = Files(Path()), []
    for name, member in vars(Files).items():
        if isinstance(member, property):
            told = " ".join(inspect.cleandoc(member.__doc__ or "").split())
            rows.append(
                f"| `{getattr(files, name) if name != 'delta' else files.delta.folder}` | {_cell(_prose(told))} |"
            )
    return "\n".join(["| below the generation | what it holds |", "|---|---|", *rows])


def first_sentence(kind: type) -> str:
    """First line of a docstring."""
    return inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]


def _prose(text: str) -> str:
    """Docstring markup as Markdown."""
    text = re.sub(r":\w+:`~?([^`]*)`", lambda match: f"`{match[1]}`", text)
    return text.replace("``", "`")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


TABLES: Final = {
    "commands": commands,
    "errors": error_tree,
    "files": index_files,
    "init": init_file,
    "json": json_keys,
    "presets": presets,
    "settings": settings,
    "types": types,
}
