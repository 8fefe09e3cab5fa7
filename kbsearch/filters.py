"""Filters as developers write them: ``{"lang": "ja", "category": "shop/returns", "tags": ["送料"]}``.

Values of one field are alternatives, fields must all match, a category covers what is below it, and an article that
does not say its ``audience``, ``product`` or ``version`` is for every one of them. One
:class:`~kbsearch.model.Filter` gives both legs the same rows.

What else a caller asks for in words of their own is read here too: languages in order of preference, and a day.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Final

from kbsearch.errors import BadQuery
from kbsearch.model import Filter
from kbsearch.scope import SCOPES, fold

__all__ = ["DayLike", "FilterLike", "LanguagesLike", "parse_day", "parse_filter", "parse_languages"]

FilterLike = Filter | Mapping[str, str | Iterable[str]] | None
LanguagesLike = str | Iterable[str] | None
DayLike = dt.date | str | None

_KINDS: Final = frozenset({"faq", "guide"})
_NAMES: Final = tuple(field.name for field in fields(Filter))
_FIELDS: Final = {**{name: name for name in _NAMES}, "tag": "tags"}


def parse_filter(given: FilterLike) -> Filter:
    """Read a filter.

    Raises
    ------
    BadQuery
        For an unknown field or a value that is no text; the message names what is allowed.
    """
    if given is None:
        return Filter()
    if isinstance(given, Filter):  # made by hand, it may hold anything
        given = {name: getattr(given, name) for name in _NAMES}
    if not isinstance(given, Mapping):
        raise BadQuery(f"A filter is a mapping such as {{'lang': 'ja'}}, not {type(given).__name__}.")
    values: dict[str, tuple[str, ...]] = {}
    for key, value in given.items():
        if key not in _FIELDS:
            raise BadQuery(f"There is no filter “{key}”. Known are: {', '.join(_NAMES)}.")
        texts = tuple(text for text in (_clean(key, text) for text in _texts(key, value)) if text)
        if texts and values.get(_FIELDS[key]):
            raise BadQuery("“tag” and “tags” are one filter; give one of them.")
        values[_FIELDS[key]] = texts or values.get(_FIELDS[key], ())
        if key == "kind" and (unknown := set(values["kind"]) - _KINDS):
            raise BadQuery(f"There is no kind “{min(unknown)}”. Known are: {', '.join(sorted(_KINDS))}.")
    return Filter(**values)


def parse_languages(given: LanguagesLike) -> tuple[str, ...]:
    """Read the languages that somebody prefers, the first one most: ``"ja-JP"`` is ``("ja",)``; nothing for none.

    Raises
    ------
    BadQuery
        For what is no text or list of texts, and for a text that is no language.
    """
    languages = [language for text in _texts("prefer_lang", given) if (language := _clean("lang", text))]
    for language in languages:
        if not (language.isascii() and language.isalpha()):
            raise BadQuery(f"“{language}” in prefer_lang is no language such as ja or en.")
    return tuple(dict.fromkeys(languages))


def parse_day(given: DayLike) -> dt.date | None:
    """Read a day: a date, a datetime (its day), or either as ISO text such as ``2025-12-01``; None for None.

    Raises
    ------
    BadQuery
        For anything else.
    """
    if given is None:
        return None
    if isinstance(given, dt.date):
        return dt.date(given.year, given.month, given.day)
    if not isinstance(given, str):
        raise BadQuery(f"as_of takes a date or a text such as 2025-12-01, not {given!r}.")
    try:
        return dt.datetime.fromisoformat(given.strip()).date()
    except ValueError as error:
        raise BadQuery(f"“{given[:40]}” in as_of is no day such as 2025-12-01.") from error


def _texts(key: str, value: object) -> tuple[str, ...]:
    items = (value,) if isinstance(value, str) or value is None else value
    if not isinstance(items, Iterable):
        raise BadQuery(f"{_asked(key)} takes a text or a list of texts, not {value!r}.")
    texts = tuple("" if item is None else item for item in items)
    for item in texts:
        if not isinstance(item, str):
            raise BadQuery(f"{_asked(key)} takes texts, not {item!r}.")
        if not item.isascii() and any("\ud800" <= char <= "\udfff" for char in item):
            raise BadQuery(f"{_asked(key)} has half a character in {item!a}.")
    return texts


def _asked(key: str) -> str:
    return f"The filter “{key}”" if key in _FIELDS else key


def _clean(key: str, text: str) -> str:
    """The value as front matter is read: ``ja-JP`` is ``ja``, ``/shop/ returns/`` is ``shop/returns``."""
    if key in SCOPES:
        return fold(text)
    text = " ".join(unicodedata.normalize("NFC", text).split())
    if key == "lang":
        return text.lower().replace("_", "-").partition("-")[0]
    if key == "category":
        return "/".join(part.strip() for part in text.split("/") if part.strip())
    return text.lower() if key == "kind" else text
