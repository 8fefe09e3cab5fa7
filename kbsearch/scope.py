"""For whom an article is: front matter fields that narrow down who it concerns.

``audience``, ``product`` and ``version`` have several values each, or none: an article that says nothing is for
everyone, so a filter by one of these fields admits it beside the articles that name one of the filter's values.

Use: :func:`fold` for one value, whoever wrote it; :func:`scope_terms` for what the content indexes.

Never: read a value as a number. ``1.10`` and ``1.1`` are two versions of a product.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kbsearch.model import Article

__all__ = ["EVERYONE", "SCOPES", "fold", "or_everyone", "scope_terms"]

SCOPES: Final = ("audience", "product", "version")
"""Names of the fields: of the front matter, of :class:`kbsearch.model.Article` and of a filter."""

EVERYONE: Final = "*"
"""What an article without the field is indexed as."""


def fold(text: str) -> str:
    """A value as it is compared: widths, letter case and blanks at the ends or in a row make no difference."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def or_everyone(values: Iterable[str]) -> tuple[str, ...]:
    """What a filter by these folded values admits; nothing for none."""
    wanted = tuple(values)
    return (*wanted, EVERYONE) if wanted else ()


def scope_terms(article: Article) -> tuple[tuple[str, str], ...]:
    """(field, folded value) of each field, each pair once, in order."""
    terms: list[tuple[str, str]] = []
    for field in SCOPES:
        values = {fold(value) for value in getattr(article, field)} - {""}
        terms += [(field, value) for value in sorted(values) or [EVERYONE]]
    return tuple(terms)
