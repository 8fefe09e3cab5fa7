"""Read the command line of an ordinary search without Typer, whose imports take as long as the search.

Use: ``read_search(arguments)`` gives what :func:`kbsearch.cli.answering.answer_question` takes, or None. None is for
everything that is not a plain search with known options and sound values: Typer reads that, and complains about it.
So there is no message and no rule here that Typer does not have; a test compares what both understand.

Never: accept what Typer would refuse, or read a value in another way.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

__all__ = ["read_search"]

_LISTS: Final = {
    "--lang": "lang", "--category": "category", "--tag": "tags", "--kind": "kind", "--audience": "audience",
    "--product": "product", "--product-version": "version", "--prefer-lang": "prefer_lang",
}  # fmt: skip
_NUMBERS: Final = {"-k": "k", "--snippet-chars": "snippet_chars"}
_FLAGS: Final = {"--explain": "explain", "--json": "as_json"}
_MODES: Final = ("hybrid", "lexical", "dense")
_MAX_DIGITS: Final = 9


def read_search(arguments: list[str]) -> dict[str, Any] | None:
    """What is asked, or None if that is for Typer to say."""
    if arguments[:1] != ["search"] or not all(map(_is_plain, arguments)):
        return None
    lists: dict[str, list[str]] = {name: [] for name in _LISTS.values()}
    asked: dict[str, Any] = {
        "index": None, "k": 5, "mode": "hybrid", "snippet_chars": 160, "explain": False, "as_of": None, "budget": None,
        "as_json": False,
    }  # fmt: skip
    questions = []
    rest = iter(arguments[1:])
    for argument in rest:
        if not argument.startswith("-"):
            questions.append(argument)
        elif argument in _FLAGS:
            asked[_FLAGS[argument]] = True
        else:
            value = next(rest, "-")
            if value.startswith("-"):
                return None
            if argument in _LISTS:
                lists[_LISTS[argument]].append(value)
            elif (found := _read_option(argument, value)) is not None:
                asked |= found
            else:
                return None
    prefer = lists.pop("prefer_lang")
    return {"question": questions[0], "given": lists, "prefer_lang": prefer, **asked} if len(questions) == 1 else None


def _read_option(name: str, value: str) -> dict[str, Any] | None:
    if name in _NUMBERS and _is_number(value):
        return {_NUMBERS[name]: int(value)}
    if name == "--mode" and value in _MODES:
        return {"mode": value}
    if name in {"-i", "--index"} and _is_readable(value):
        return {"index": Path(value)}
    texts = {"--as-of": "as_of", "--budget": "budget"}
    return {texts[name]: value} if name in texts else None


def _is_plain(argument: str) -> bool:
    """Whether it has a character and no half ones, which a shell gives in the place of bytes that are no text."""
    return bool(argument) and not any("\ud800" <= char <= "\udfff" for char in argument)


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) <= _MAX_DIGITS and int(value) > 0


def _is_readable(path: str) -> bool:
    """A folder that is not there is no matter of reading the command line."""
    return not os.path.lexists(path) or os.access(path, os.R_OK)
