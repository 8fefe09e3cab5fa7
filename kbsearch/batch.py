"""Thousands of questions in one process: JSON Lines in, JSON Lines out, one answer for each line, in order.

A line is ``{"id": …, "text": …, "filter"?: {…}, "prefer_lang"?: …, "as_of"?: …}``: who asks may read another language
than the one before. Its answer is that of a single question with the same ``id``. A line that cannot be read or asked
is answered by ``{"id", "query", "hits": [], "error"}``, and the next one is taken.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from kbsearch.errors import BadQuery
from kbsearch.results import SearchResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kbsearch.search import KnowledgeBase

__all__ = ["answer_lines"]

_OF_A_LINE: Final = ("prefer_lang", "as_of")
"""Arguments of a search that a line may give for itself."""


def answer_lines(
    kb: KnowledgeBase, lines: Iterable[str], given: Mapping[str, Any], options: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Answer each line that is not blank.

    Parameters
    ----------
    given
        Filter for every question; a line's own ``filter`` replaces the fields that it names.
    options
        Further arguments of :meth:`KnowledgeBase.search`; a line's own ``prefer_lang`` and ``as_of`` replace these.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        entry: dict[str, Any] = {}
        try:
            entry = _read(line)  # before it is checked: the complaint carries the id
            _check(entry)
            own = {name: entry[name] for name in _OF_A_LINE if entry.get(name) is not None}
            result = kb.search(entry["text"], filter={**given, **(entry.get("filter") or {})}, **{**options, **own})
        except BadQuery as error:
            text = str(entry.get("text") or "")
            empty = SearchResult(text, (), "hand_over", None, None, 0.0, kb.generation, {}).to_dict(entry.get("id"))
            yield {**empty, "query": entry.get("text"), "error": f"line {number}: {error}"}
        else:
            yield result.to_dict(entry.get("id"))


def _read(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line.removeprefix("\ufeff"))  # some spreadsheets begin a file with it
    except (ValueError, RecursionError) as error:
        raise BadQuery(f"this is no JSON ({error})") from error
    if not isinstance(entry, dict):
        raise BadQuery("expected an object with a “text”")
    return entry


def _check(entry: dict[str, Any]) -> None:
    if not isinstance(entry.get("text"), str):
        raise BadQuery("expected an object with a “text”")
    if not isinstance(entry.get("filter") or {}, dict):
        raise BadQuery('“filter” is an object such as {"lang": "ja"}')
