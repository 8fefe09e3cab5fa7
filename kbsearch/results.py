"""What kbsearch gives back to a question: hits and what is in them; :mod:`kbsearch.overviews` has the rest.

Frozen and plain, with a ``to_dict`` where the command line prints JSON. The JSON carries a version of its own in
``JSON_VERSION``: keys are added under the same version, never renamed or removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

from kbsearch.display import brief, hit_html, hit_line, result_html, result_lines
from kbsearch.model import JSON_VERSION, iso_day

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from kbsearch.forms import Form
    from kbsearch.model import Lines
    from kbsearch.views import Disclosure, Level

__all__ = [
    "JSON_VERSION",
    "Hit",
    "Note",
    "OtherVersion",
    "Outcome",
    "PassageHit",
    "Passages",
    "Piece",
    "Ranking",
    "Reason",
    "SearchResult",
    "Snippet",
]

Outcome = Literal["answer", "choose", "hand_over"]
"""What to do with an answer: show its first article, let the customer choose among the first few, or ask a person."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a snippet leaves out although it belongs to what it shows.

    Attributes
    ----------
    kind
        ``"steps"``: other steps of the list; ``"restriction"``: an exception or a condition; ``"warning"``: a warning
        that follows.
    first, last, shown, total
        Of steps: the first and the last that are shown, how many are, and how many there are.
    """

    kind: str
    first: int = 0
    last: int = 0
    shown: int = 0
    total: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The note as JSON."""
        steps = {"first": self.first, "last": self.last, "shown": self.shown, "total": self.total}
        return {"kind": self.kind, **(steps if self.kind == "steps" else {})}


class Piece(NamedTuple):
    """A part of a snippet as it stands in the article: ``text`` with its line ends.

    ``start``, ``end`` and ``marks`` are character offsets into the plain text of the passage that it is from:
    ``passage`` is its place among the hit's passages, 0 for the first.
    """

    passage: int
    start: int
    end: int
    marks: tuple[tuple[int, int], ...]
    text: str

    def __repr__(self) -> str:
        return f"<Piece {self.start}-{self.end} of passage {self.passage}: {brief(self.text)}>"

    def to_dict(self) -> dict[str, Any]:
        """The piece as JSON."""
        marks = [list(mark) for mark in self.marks]
        return {"passage": self.passage, "start": self.start, "end": self.end, "marks": marks, "text": self.text}


@dataclass(frozen=True, slots=True)
class Snippet:
    """The sentences of an article that answer, and the places in them that matched.

    Attributes
    ----------
    text
        On one line; parts that do not follow each other are joined by ``" … "``, notes stand in brackets at the end.
    marks
        (first, one past last) character offsets into ``text``, ascending, not touching each other.
    pieces
        The parts where they come from.
    notes
        What belongs to it and is left out.
    is_cut
        Whether it is a part of a sentence, because that alone is longer than was allowed.
    """

    text: str
    marks: tuple[tuple[int, int], ...] = ()
    pieces: tuple[Piece, ...] = ()
    notes: tuple[Note, ...] = ()
    is_cut: bool = False

    def __repr__(self) -> str:
        marks = "1 mark" if len(self.marks) == 1 else f"{len(self.marks)} marks"
        return f"<Snippet {len(self.text)} characters, {marks}: {brief(self.text)}>"

    def render(self, form: Form) -> str:
        """The snippet in a form; see :mod:`kbsearch.forms`."""
        from kbsearch.forms import reads_as_japanese, render_line, speak  # which a search does without

        if form == "speech":
            lines = [line for piece in self.pieces for line in piece.text.split("\n")]
            return speak(lines, is_japanese=reads_as_japanese(self.text))
        return render_line(self.text, self.marks, form)


class PassageHit(NamedTuple):
    """One passage that answers, with its scores.

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

    def __repr__(self) -> str:
        return f"<PassageHit {brief(self.section_id, 80)}, score {self.score:.2f}: {brief(self.text)}>"


class Passages(Sequence[PassageHit]):  # noqa: PLW1641 - a passage has no hash either
    """The best passages of an article, like a tuple of them; read from the index when somebody looks at one.

    Parameters
    ----------
    size
        How many there are.
    read
        Gives them. Until they are read this keeps the generation open that they are from, and reads from it whatever
        was published since; another thread than the one that searched finds them only while the index is where it
        was. ``tuple(passages)`` is free of all that.
    """

    __slots__ = ("_found", "_read", "_size")

    def __init__(self, size: int, read: Callable[[], tuple[PassageHit, ...]]) -> None:
        self._size = size
        self._read: Callable[[], tuple[PassageHit, ...]] | None = read
        self._found: tuple[PassageHit, ...] = ()

    def _all(self) -> tuple[PassageHit, ...]:
        read = self._read  # another thread may be here, too
        if read is not None:
            self._found = read()
            self._read = None
        return self._found

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, place: int) -> PassageHit: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[PassageHit, ...]: ...
    def __getitem__(self, place: int | slice) -> PassageHit | tuple[PassageHit, ...]:
        return self._all()[place]

    def __eq__(self, other: object) -> bool:
        return self._all() == (other._all() if isinstance(other, Passages) else other)

    def __repr__(self) -> str:
        return repr(self._found) if self._read is None else f"<Passages: {self._size}, not read yet>"

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (list(self._all()),)


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


class OtherVersion(NamedTuple):
    """A version of an article in another language, or another one in the same, that might have been shown."""

    lang: str
    article_id: str
    title: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One article of the answer, shown by the sentences of its best passages that answer.

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
        The best passages of the article, best first; read when they are looked at. The snippet is from the first few;
        ``section_id``, ``heading`` and ``lines`` are those of its best sentence's.
    reasons
        Why it stands where it stands, the strongest first; empty unless it was asked to explain. Of several versions of
        an article, those of the one that ranks best.
    lang
        The language of the version that is shown.
    versions
        The other versions that may answer.
    wanted_lang
        The language that was asked for, or is the question's, when no version that may answer is in it; else None.
        ``en`` of a question in Latin letters stands for all languages written so.
    updated
        Day of the front matter.
    stale_since
        Day of the last update of what this is a translation of, when it is after its own; else None.
    category
        Slash-separated path, ``""`` for none.
    pieces, notes
        Where the snippet comes from, and what it leaves out; see :class:`Snippet`.
    sizes
        Characters and tokens of each of its ``levels``, from the title on.
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
    passages: Sequence[PassageHit]
    reasons: tuple[Reason, ...] = ()
    lang: str = ""
    versions: tuple[OtherVersion, ...] = ()
    wanted_lang: str | None = None
    updated: dt.date | None = None
    stale_since: dt.date | None = None
    category: str = ""
    pieces: tuple[Piece, ...] = ()
    notes: tuple[Note, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    handle: str = ""

    def __repr__(self) -> str:
        return hit_line(self)

    def _repr_html_(self) -> str:
        return hit_html(self)

    def render(self, form: Form) -> str:
        """The snippet as ``text``, ``markdown``, ``html``, ``ansi`` or ``speech``; marked where the form can."""
        return Snippet(self.snippet, self.marks, self.pieces, self.notes).render(form)

    @property
    def levels(self) -> tuple[Level, ...]:
        """What showing more or less of the article costs; see :mod:`kbsearch.views`. Made when it is asked for."""
        from kbsearch.views import levels_of  # which a search does without

        return levels_of(self.sizes) if self.sizes else ()

    @property
    def is_fallback(self) -> bool:
        """Whether it is shown for want of a version in the reader's language."""
        return self.wanted_lang is not None

    @property
    def outdated(self) -> bool:
        """Whether it is a translation that is older than its source."""
        return self.stale_since is not None

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
            "lang": self.lang,
            "versions": [version._asdict() for version in self.versions],
            "is_fallback": self.is_fallback,
            "wanted_lang": self.wanted_lang,
            "outdated": self.outdated,
            "updated": iso_day(self.updated),
            "stale_since": iso_day(self.stale_since),
            "category": self.category,
            "notes": [note.to_dict() for note in self.notes],
            "pieces": [piece.to_dict() for piece in self.pieces],
            "levels": [level.to_dict() for level in self.levels],
            **({"reasons": reasons} if reasons else {}),
        }


@dataclass(frozen=True, slots=True)
class Ranking:
    """An answer without anything to show: ids of distinct articles, best first.

    ``outcome``, ``confidence`` and ``generation`` as in :class:`SearchResult`.
    """

    article_ids: tuple[str, ...]
    outcome: Outcome
    confidence: float | None
    generation: str = field(default="", compare=False)


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
    disclosure
        The answer within a budget, where one was given.
    """

    query: str
    hits: tuple[Hit, ...]
    outcome: Outcome
    confidence: float | None
    understood: str | None
    took_ms: float
    generation: str
    stages: Mapping[str, float]
    disclosure: Disclosure | None = None

    def __repr__(self) -> str:
        return result_lines(self)

    def _repr_html_(self) -> str:
        return result_html(self)

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
            **({} if self.disclosure is None else {"disclosure": self.disclosure.to_dict()}),
            "version": JSON_VERSION,
        }
