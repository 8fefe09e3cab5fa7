"""Checks that need more than one article: ids that two claim, translations without a source or older than it.

Their warnings are made anew in each build, because a change in another file can cause or cure them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from kbsearch.model import ArticleWarning

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

__all__ = ["CODES", "Version", "check_translations", "distinct_ids", "translation_groups"]

CODES: Final = frozenset({"duplicate-id", "unknown-translation", "stale-translation"})
"""Codes of the warnings that come from here."""


class Version(Protocol):
    """What is compared of an article."""

    @property
    def id(self) -> str:
        """As in :class:`kbsearch.model.Article`, here and below."""

    @property
    def path(self) -> str: ...  # noqa: D102

    @property
    def updated(self) -> dt.date | None: ...  # noqa: D102

    @property
    def translation_of(self) -> str | None: ...  # noqa: D102


AnyVersion = TypeVar("AnyVersion", bound=Version)


def distinct_ids(articles: Sequence[AnyVersion]) -> tuple[list[AnyVersion], list[ArticleWarning]]:
    """The first article of each id, by path; the others are left out with a warning."""
    first: dict[str, AnyVersion] = {}
    warnings = []
    for article in articles:
        if article.id in first:
            message = f"the id “{article.id}” is already that of {first[article.id].path}; this file is left out"
            warnings.append(ArticleWarning(article.path, 1, "duplicate-id", message, fatal=True))
        else:
            first[article.id] = article
    return list(first.values()), warnings


def translation_groups(articles: Sequence[Version]) -> list[int]:
    """For each article the number of the one that it, and what translates it, is a version of; its own without any."""
    number = {article.id: place for place, article in enumerate(articles)}
    source = [
        place if article.translation_of is None else number.get(article.translation_of, place)
        for place, article in enumerate(articles)
    ]
    groups = []
    for place in range(len(articles)):
        root, seen = place, {place}
        while source[root] != root and source[root] not in seen:  # a circle ends where it is entered again
            root = source[root]
            seen.add(root)
        groups.append(root if source[root] == root else min(seen))
    return groups


def check_translations(articles: Sequence[Version]) -> list[ArticleWarning]:
    """Translations whose source is missing, or newer than they are."""
    by_id = {article.id: article for article in articles}
    warnings = []
    for article in articles:
        if article.translation_of is None:
            continue
        source = by_id.get(article.translation_of)
        if source is None:
            message = f"translation_of names “{article.translation_of}”, and no article has this id"
            warnings.append(ArticleWarning(article.path, 1, "unknown-translation", message))
        elif article.updated is not None and source.updated is not None and article.updated < source.updated:
            message = f"this translation is of {article.updated}, its source {source.path} of {source.updated}"
            warnings.append(ArticleWarning(article.path, 1, "stale-translation", message))
    return warnings
