"""What kbsearch says of a section, an article, an index or a build as a whole.

Frozen and plain, as :mod:`kbsearch.results`, whose version of the JSON they share. A search does without them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kbsearch.display import brief
from kbsearch.model import JSON_VERSION, iso_day, name_section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kbsearch.model import Article, ArticleWarning, Lines

__all__ = ["BuildReport", "SectionView", "Status", "article_to_dict"]


@dataclass(frozen=True, slots=True)
class SectionView:
    """One section of an article, as Markdown, with where it stands and the published state that it came from.

    ``handle`` is its name that stays; ``moved_from`` the name that it was asked by, when that is a former one.
    """

    section_id: str
    article_id: str
    title: str
    heading: str
    headings: tuple[str, ...]
    kind: str
    markdown: str
    path: str
    lines: Lines
    generation: str = field(default="", compare=False)
    handle: str = ""
    moved_from: str | None = None

    def __repr__(self) -> str:
        return f"<SectionView {brief(self.section_id, 80)}: {len(self.markdown):,} characters>"

    def to_dict(self) -> dict[str, Any]:
        """The section as JSON."""
        return {
            "version": JSON_VERSION,
            **{name: getattr(self, name) for name in self.__slots__},
            "headings": list(self.headings),
            "lines": list(self.lines),
        }


def article_to_dict(article: Article, handles: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A served article as JSON: front matter, sections with their ids, Markdown.

    The versions of the product that it is for are ``product_version``: ``version`` is that of the JSON. ``handles``
    are those of sections that have another one than their address, by that.
    """
    handles = handles or {}
    addresses = [name_section(article.id, section.anchor) for section in article.sections]
    days = ("valid_from", "valid_until", "updated", "review_by")
    plain = ("id", "path", "title", "lang", "kind", "category", "status", "translation_of", "markdown")
    return {
        "version": JSON_VERSION,
        **{name: getattr(article, name) for name in plain},
        **{name: iso_day(getattr(article, name)) for name in days},
        "generation": article.generation,
        "audience": list(article.audience),
        "product": list(article.product),
        "product_version": list(article.version),
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
                "handle": handles.get(address, address),
            }
            for section, address in zip(article.sections, addresses, strict=True)
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
        ``articles``, ``served`` (published articles), ``passages`` (rows, aliases included), ``encoded`` (vectors of
        passages, titles and headings computed now), ``reused`` (vectors of passages taken over) and ``sentences``
        (vectors of sentences computed now).
    calibration
        How the confidence was calibrated: ``basis`` (``"own"``, or ``"shipped"`` when the articles gave too few
        questions), ``questions`` and more; see :mod:`kbsearch.calibration`.
    timings
        Seconds of wall time by stage, and ``total``.
    handles
        How many names of sections do not say where the section is: ``reworded`` ones are at another anchor, ``moved``
        ones go by another name, ``gone`` ones are no more; see :mod:`kbsearch.handles`.
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
    calibration: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    handles: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        names = ("added", "changed", "removed", "unchanged", "warnings")
        said = ", ".join(f"{len(getattr(self, name)):,} {name}" for name in names)
        return f"<BuildReport {self.index} {self.generation}: {said}>"

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
            "calibration": dict(self.calibration),
            "timings": {name: round(seconds, 3) for name, seconds in self.timings.items()},
            "handles": dict(self.handles),
        }


@dataclass(frozen=True, slots=True)
class Status:
    """What an index holds, for ``kbsearch status``; ``synonyms``: phrases that others stand for, too."""

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
    calibration: Mapping[str, Any]
    fingerprints: Mapping[str, str]
    bytes: int
    warnings: tuple[ArticleWarning, ...]
    handles: Mapping[str, int] = field(default_factory=dict)
    synonyms: int = 0

    def __repr__(self) -> str:
        held = ", ".join(f"{number:,} {name}" for name, number in self.counts.items())
        return f"<Status {self.index} {self.generation}: {held}, {len(self.warnings):,} warnings>"

    def to_dict(self) -> dict[str, Any]:
        """The status as JSON; warnings by number only."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "warnings"}
        plain = {name: dict(value) if hasattr(value, "items") else value for name, value in values.items()}
        return {"version": JSON_VERSION, **plain, "warnings": len(self.warnings)}
