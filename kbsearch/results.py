"""What kbsearch gives back: hits, views of articles, the report of a build.

Frozen and plain, with a ``to_dict`` where the command line prints JSON. The JSON carries a version of its own in
``JSON_VERSION``: keys are added under the same version, never renamed or removed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from kbsearch.handles import name_section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kbsearch.model import Article, ArticleWarning, Lines

__all__ = [
    "JSON_VERSION",
    "BuildReport",
    "Hit",
    "Outcome",
    "PassageHit",
    "Ranking",
    "Reason",
    "SearchResult",
    "SectionView",
    "Snippet",
    "Status",
    "article_to_dict",
]

JSON_VERSION: Final = 1

Outcome = Literal["answer", "choose", "hand_over"]
"""What to do with an answer: show its first article, let the customer choose among the first few, or ask a person."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """A short text from a passage and the places in it that matched.

    ``marks`` are (first, one past last) character offsets into ``text``, ascending, not touching each other.
    """

    text: str
    marks: tuple[tuple[int, int], ...] = ()


class PassageHit(NamedTuple):
    """One passage that answers, with its scores. A question makes some twenty of them.

    ``parts`` has the score of every leg that ran: ``words`` and ``grams`` (BM25, 0 and up) and ``dense``
    (cosine, −1 to 1). ``handle`` is as in :class:`Hit`.
    """

    section_id: str
    heading: str
    headings: tuple[str, ...]
    text: str
    lines: Lines
    score: float
    parts: Mapping[str, float]
    handle: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """What one feature adds to the score of an article.

    ``feature`` is a name of :data:`kbsearch.features.NAMES`, ``value`` what it is for this article, ``contribution``
    what that adds to its log-odds, beside what every article gets; the contributions of an article and that common part
    sum to the log-odds of its score. An article with a translation may also have the reason ``version``: what it gains
    or loses because the one in the question's language takes the better place of both.
    """

    feature: str
    value: float
    contribution: float


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
    reasons
        Why it stands where it stands, the strongest first; empty unless it was asked to explain.
    handle
        The section's name that stays when its heading changes: what a link should hold. ``section_id`` is its address
        in the page as it is now; most often both are the same.
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
    reasons: tuple[Reason, ...] = ()
    handle: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The hit as one entry of ``hits`` in the JSON of a search; ``reasons`` only where it was asked to explain."""
        reasons = [
            {"feature": why.feature, "value": round(why.value, 4), "contribution": round(why.contribution, 4)}
            for why in self.reasons
        ]
        return {
            "rank": self.rank,
            "article_id": self.article_id,
            "section_id": self.section_id,
            "handle": self.handle or self.section_id,
            "title": self.title,
            "heading": self.heading,
            "snippet": self.snippet,
            "marks": [list(mark) for mark in self.marks],
            "score": round(self.score, 6),
            "parts": {name: round(value, 6) for name, value in self.parts.items()},
            "path": self.path,
            "lines": list(self.lines),
            **({"reasons": reasons} if reasons else {}),
        }


@dataclass(frozen=True, slots=True)
class Ranking:
    """An answer without anything to show: ids of distinct articles, best first.

    ``outcome`` and ``confidence`` as in :class:`SearchResult`.
    """

    article_ids: tuple[str, ...]
    outcome: Outcome
    confidence: float | None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer to one question: distinct articles, best first.

    Attributes
    ----------
    outcome
        ``"answer"``: the first hit is likely the answer, show it. ``"choose"``: the answer is likely among the first
        five. ``"hand_over"``: it is more likely than not in none of them, offer a person.
    confidence
        Probability that the first hit answers, 0 to 1; 0 without a hit. None in the modes of one leg alone, which
        cannot tell: then the outcome is ``"choose"`` as long as there is a hit.
    understood
        The question as it was asked of the index when that differs in spelling from what was typed
        (``henpinn`` → ``返品``), else None.
    took_ms
        Wall time.
    generation
        Name of the published state of the index that answered.
    stages
        Where that time went: milliseconds by the names of :data:`kbsearch.laps.STAGES`.
    """

    query: str
    hits: tuple[Hit, ...]
    outcome: Outcome
    confidence: float | None
    understood: str | None
    took_ms: float
    generation: str
    stages: Mapping[str, float]

    def to_dict(self, query_id: str | None = None) -> dict[str, Any]:
        """The answer as JSON of one question or of one line of a batch."""
        return {
            "id": query_id,
            "query": self.query,
            "outcome": self.outcome,
            "confidence": None if self.confidence is None else round(self.confidence, 4),
            "understood": self.understood,
            "hits": [hit.to_dict() for hit in self.hits],
            "took_ms": round(self.took_ms, 3),
            "stages": {stage: round(ms, 3) for stage, ms in self.stages.items()},
            "generation": self.generation,
            "version": JSON_VERSION,
        }


@dataclass(frozen=True, slots=True)
class SectionView:
    """One section of an article, as Markdown, with where it stands.

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
    handle: str = ""
    moved_from: str | None = None

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

    ``handles`` are those of sections that have another one than their address, by that.
    """
    handles = handles or {}
    addresses = [name_section(article.id, section.anchor) for section in article.sections]
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
        ``articles``, ``served`` (published articles), ``passages`` (rows, aliases included), ``encoded`` (vectors
        computed now) and ``reused`` (vectors taken over).
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
    calibration: Mapping[str, Any]
    fingerprints: Mapping[str, str]
    bytes: int
    warnings: tuple[ArticleWarning, ...]
    handles: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The status as JSON; warnings by number only."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "warnings"}
        plain = {name: dict(value) if hasattr(value, "items") else value for name, value in values.items()}
        return {"version": JSON_VERSION, **plain, "warnings": len(self.warnings)}
