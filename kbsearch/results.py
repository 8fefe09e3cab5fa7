"""What kbsearch gives back: hits, views of articles, the report of a build.

Frozen and plain, with a ``to_dict`` where the command line prints JSON. The JSON carries a version of its own in
``JSON_VERSION``: keys are added under the same version, never renamed or removed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kbsearch.model import Article, ArticleWarning, Lines

__all__ = [
    "JSON_VERSION",
    "BuildReport",
    "Hit",
    "PassageHit",
    "SearchResult",
    "SectionView",
    "Snippet",
    "Status",
    "article_to_dict",
]

JSON_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Snippet:
    """A short text from a passage and the places in it that matched.

    ``marks`` are (first, one past last) character offsets into ``text``, ascending, not touching each other.
    """

    text: str
    marks: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class PassageHit:
    """One passage that answers, with its scores.

    ``parts`` has the score of every leg that ran: ``words`` and ``grams`` (BM25, 0 and up) and ``dense``
    (cosine, −1 to 1).
    """

    section_id: str
    heading: str
    headings: tuple[str, ...]
    text: str
    lines: Lines
    score: float
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Hit:
    """One article of the answer, shown by its best passage.

    Attributes
    ----------
    rank
        1 for the best.
    snippet
        Plain text; ``marks`` are the matched places in it, as in :class:`Snippet`.
    score
        Comparable within one answer: descending by rank.
    path, lines
        The file below the articles folder, and the passage's place in it.
    passages
        The best passages of the article, best first; the first is the one shown.
    """

    rank: int
    article_id: str
    section_id: str
    title: str
    heading: str
    snippet: str
    marks: tuple[tuple[int, int], ...]
    score: float
    parts: Mapping[str, float]
    path: str
    lines: Lines
    passages: tuple[PassageHit, ...]

    def to_dict(self) -> dict[str, Any]:
        """The hit as one entry of ``hits`` in the JSON of a search."""
        return {
            "rank": self.rank,
            "article_id": self.article_id,
            "section_id": self.section_id,
            "title": self.title,
            "heading": self.heading,
            "snippet": self.snippet,
            "marks": [list(mark) for mark in self.marks],
            "score": round(self.score, 6),
            "parts": {name: round(value, 6) for name, value in self.parts.items()},
            "path": self.path,
            "lines": list(self.lines),
        }


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer to one question: distinct articles, best first.

    ``generation`` names the published state of the index that answered; ``took_ms`` is wall time.
    """

    query: str
    hits: tuple[Hit, ...]
    took_ms: float
    generation: str

    def to_dict(self, query_id: str | None = None) -> dict[str, Any]:
        """The answer as JSON of one question or of one line of a batch."""
        return {
            "id": query_id,
            "query": self.query,
            "hits": [hit.to_dict() for hit in self.hits],
            "took_ms": round(self.took_ms, 3),
            "generation": self.generation,
            "version": JSON_VERSION,
        }


@dataclass(frozen=True, slots=True)
class SectionView:
    """One section of an article, as Markdown, with where it stands."""

    section_id: str
    article_id: str
    title: str
    heading: str
    headings: tuple[str, ...]
    kind: str
    markdown: str
    path: str
    lines: Lines

    def to_dict(self) -> dict[str, Any]:
        """The section as JSON."""
        return {
            "version": JSON_VERSION,
            **{name: getattr(self, name) for name in self.__slots__},
            "headings": list(self.headings),
            "lines": list(self.lines),
        }


def article_to_dict(article: Article) -> dict[str, Any]:
    """A served article as JSON: front matter, sections with their ids, Markdown."""
    days = ("valid_from", "valid_until", "updated", "review_by")
    plain = ("id", "path", "title", "lang", "kind", "category", "status", "translation_of", "markdown")
    return {
        "version": JSON_VERSION,
        **{name: getattr(article, name) for name in plain},
        **{name: None if (day := getattr(article, name)) is None else day.isoformat() for name in days},
        "tags": list(article.tags),
        "aliases": list(article.aliases),
        "meta": dict(article.meta),
        "sections": [
            {
                "anchor": section.anchor,
                "heading": section.heading,
                "level": section.level,
                "kind": section.kind,
                "lines": list(section.lines),
            }
            for section in article.sections
        ],
    }


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did.

    Attributes
    ----------
    generation
        The published generation; the former one when ``published`` is false, because nothing had changed.
    added, changed, removed, unchanged
        Paths of source files below the articles folder, sorted; a renamed file is one removed and one added.
    warnings
        Of all files, also of unchanged ones, in order of path and line. A ``fatal`` one left its file out.
    counts
        ``articles``, ``served`` (published articles), ``passages`` (rows, aliases included), ``encoded`` (vectors
        computed now) and ``reused`` (vectors taken over).
    timings
        Seconds of wall time by stage, and ``total``.
    """

    index: str
    generation: str
    published: bool
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    warnings: tuple[ArticleWarning, ...]
    counts: Mapping[str, int]
    timings: Mapping[str, float] = field(default_factory=dict)

    @property
    def faulty(self) -> tuple[ArticleWarning, ...]:
        """The warnings that left a file out of the index."""
        return tuple(warning for warning in self.warnings if warning.fatal)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "version": JSON_VERSION,
            "index": self.index,
            "generation": self.generation,
            "published": self.published,
            "added": list(self.added),
            "changed": list(self.changed),
            "removed": list(self.removed),
            "unchanged": len(self.unchanged),
            "warnings": [
                {"path": w.path, "line": w.line, "code": w.code, "message": w.message, "fatal": w.fatal}
                for w in self.warnings
            ],
            "counts": dict(self.counts),
            "timings": {name: round(seconds, 3) for name, seconds in self.timings.items()},
        }


@dataclass(frozen=True, slots=True)
class Status:
    """What an index holds, for ``kbsearch status``."""

    index: str
    generation: str
    counts: Mapping[str, int]
    statuses: Mapping[str, int]
    out_of_date: int
    languages: Mapping[str, int]
    kinds: Mapping[str, int]
    categories: Mapping[str, int]
    encoder: str
    dense: Mapping[str, Any]
    fingerprints: Mapping[str, str]
    bytes: int
    warnings: tuple[ArticleWarning, ...]

    def to_dict(self) -> dict[str, Any]:
        """The status as JSON; warnings by number only."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "warnings"}
        plain = {name: dict(value) if hasattr(value, "items") else value for name, value in values.items()}
        return {"version": JSON_VERSION, **plain, "warnings": len(self.warnings)}
