"""Filters as developers write them: ``{"lang": "ja", "category": "shop/returns", "tags": ["送料"]}``.

Values of one field are alternatives, fields must all match, a category covers what is below it. One
:class:`~kbsearch.model.Filter` gives both legs the same rows.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from kbsearch.errors import BadQuery
from kbsearch.model import Filter

__all__ = ["FilterLike", "parse_filter"]

FilterLike = Filter | Mapping[str, str | Iterable[str]] | None

_KINDS: Final = frozenset({"faq", "guide"})
_FIELDS: Final = {"lang": "lang", "category": "category", "tag": "tags", "tags": "tags", "kind": "kind"}


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
        given = {"lang": given.lang, "category": given.category, "tags": given.tags, "kind": given.kind}
    if not isinstance(given, Mapping):
        raise BadQuery(f"A filter is a mapping such as {{'lang': 'ja'}}, not {type(given).__name__}.")
    values: dict[str, tuple[str, ...]] = {}
    for key, value in given.items():
        if key not in _FIELDS:
            raise BadQuery(f"There is no filter “{key}”. Known are: lang, category, tags, kind.")
        texts = tuple(text for text in (_clean(key, text) for text in _texts(key, value)) if text)
        if texts and values.get(_FIELDS[key]):
            raise BadQuery("“tag” and “tags” are one filter; give one of them.")
        values[_FIELDS[key]] = texts or values.get(_FIELDS[key], ())
        if key == "kind" and (unknown := set(values["kind"]) - _KINDS):
            raise BadQuery(f"There is no kind “{min(unknown)}”. Known are: {', '.join(sorted(_KINDS))}.")
    return Filter(**values)


def _texts(key: str, value: object) -> tuple[str, ...]:
    items = (value,) if isinstance(value, str) or value is None else value
    if not isinstance(items, Iterable):
        raise BadQuery(f"The filter “{key}” takes a text or a list of texts, not {value!r}.")
    texts = tuple("" if item is None else item for item in items)
    for item in texts:
        if not isinstance(item, str):
            raise BadQuery(f"The filter “{key}” takes texts, not {item!r}.")
        if not item.isascii() and any("\ud800" <= char <= "\udfff" for char in item):
            raise BadQuery(f"The filter “{key}” has half a character in {item!a}.")
    return texts


def _clean(key: str, text: str) -> str:
    """The value as front matter is read: ``ja-JP`` is ``ja``, ``/shop/ returns/`` is ``shop/returns``."""
    text = " ".join(unicodedata.normalize("NFC", text).split())
    if key == "lang":
        return text.lower().replace("_", "-").partition("-")[0]
    if key == "category":
        return "/".join(part.strip() for part in text.split("/") if part.strip())
    return text.lower() if key == "kind" else text
