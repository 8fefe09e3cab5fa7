"""Open an index for a command, and answer a question with it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kbsearch.cli.output import PIPED_WIDTH, print_json, print_lines, say, show
from kbsearch.config import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kbsearch.search import KnowledgeBase

__all__ = ["answer_question", "open_index", "settle"]


def answer_question(
    question: str,
    *,
    index: Path | None,
    given: Mapping[str, Sequence[str]],
    as_json: bool,
    mode: str,
    **options: Any,
) -> None:
    """Print the answer; ``given`` is the filter, ``options`` are those of :meth:`KnowledgeBase.search`."""
    kb = open_index(index, mode)
    result = kb.search(question, filter=given, mode=mode, **options)  # type: ignore[arg-type]
    if as_json:
        print_json(result.to_dict())
        return
    if result.disclosure is not None:
        print_lines(result.disclosure.text)
        used, budget = result.disclosure.cost, result.disclosure.budget
        spent = used.characters if budget.unit == "characters" else used.tokens
        left = f", {len(result.disclosure.left_out)} left out" if result.disclosure.left_out else ""
        say(f"{spent:,} of {budget.amount:,} {budget.unit} · {len(result.disclosure.parts)} shown{left}")
        return
    from kbsearch import render

    plain = None if sys.stdout.isatty() else render.plain_search_result(result, PIPED_WIDTH)
    if plain is None:
        show(render.search_result(result))
    else:
        print_lines(plain)


def open_index(index: Path | None, mode: str | None = None) -> KnowledgeBase:
    """The index that the settings name, with the encoder under way if a question in this mode needs it."""
    folder = settle(index=index).index
    if mode not in {None, "lexical"}:
        _warm_up(folder)
    from kbsearch.search import KnowledgeBase

    return KnowledgeBase.open(folder)


def _warm_up(folder: Path) -> None:
    """Before the rest is imported: that takes as long as opening the encoder, which can go on beside it."""
    from kbsearch.embed import warm_up
    from kbsearch.store import Store

    generation = Store(folder).open()
    name = generation.manifest["encoder"]["name"]
    generation.close()
    warm_up(name)


def settle(**options: Any) -> Settings:
    """Settings, with options from the command line."""
    return load_settings(options, os.environ, Path.cwd())
