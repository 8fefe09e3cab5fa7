"""What is disclosed of an article, level by level, what each level costs, and how much of it a budget takes.

======  ========  ==================================================================
level   name      what it shows
======  ========  ==================================================================
0       title     title and category
1       snippet   the sentences that answer; without a question, how the section begins
2       section   the section, with the sections below it
3       article   the article
4       related   the article, related articles, and the way to a person
======  ========  ==================================================================

Frozen and plain, each with a ``to_dict`` as ``schema.json`` describes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from kbsearch.display import brief, disclosure_html, disclosure_line, view_html, view_line
from kbsearch.model import JSON_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kbsearch.forms import Form
    from kbsearch.model import Lines

__all__ = [
    "LEVELS",
    "PRESETS",
    "Budget",
    "Cost",
    "Disclosed",
    "Disclosure",
    "Level",
    "LevelName",
    "Preset",
    "Related",
    "View",
    "level_number",
    "levels_of",
]

LEVELS: Final = ("title", "snippet", "section", "article", "related")

LevelName = Literal["title", "snippet", "section", "article", "related"]
Preset = Literal["voice", "sms", "chat", "web", "email", "llm"]
Unit = Literal["characters", "tokens"]


class Cost(NamedTuple):
    """Characters, and tokens of the index's encoder without what every text of its has (prefix, end)."""

    characters: int
    tokens: int

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.characters - other.characters, self.tokens - other.tokens)

    def to_dict(self) -> dict[str, int]:
        """As JSON."""
        return {"characters": self.characters, "tokens": self.tokens}


class Level(NamedTuple):
    """What a level of a hit or a view costs in Markdown, and what the next one adds to that; None for the last."""

    level: int
    cost: Cost
    adds: Cost | None

    def __repr__(self) -> str:
        more = "" if self.adds is None else f", the next {self.adds.characters:+,}"
        said = f"{self.cost.characters:,} characters, {self.cost.tokens:,} tokens"
        return f"<Level {self.level} {self.name}: {said}{more}>"

    @property
    def name(self) -> str:
        """One of :data:`LEVELS`."""
        return LEVELS[self.level]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        adds = None if self.adds is None else self.adds.to_dict()
        return {"level": self.level, "name": self.name, **self.cost.to_dict(), "next_adds": adds}


@dataclass(frozen=True, slots=True)
class Related:
    """Another article that a reader may want, or the one that says how to reach a person."""

    article_id: str
    title: str

    def to_dict(self) -> dict[str, str]:
        """As JSON; the id of an article is its handle."""
        return {"handle": self.article_id, "title": self.title}


@dataclass(frozen=True, slots=True)
class View:
    """An article opened at a level.

    Attributes
    ----------
    handle
        Opens it again.
    level
        0 to 4, see the module.
    form
        That of ``text``.
    text
        What is shown.
    cost
        Of ``text`` as it is here.
    levels
        What every level costs, in Markdown.
    moved_from
        The handle that was asked for where another one leads there now, else None.
    related, contact
        At level 4: related articles, the likeliest first, and the article that says how to reach a person; else empty
        and None.
    generation
        Name of the published state that this is from.
    """

    handle: str
    level: int
    form: Form
    article_id: str
    section_id: str
    title: str
    category: str
    heading: str
    lang: str
    text: str
    cost: Cost
    levels: tuple[Level, ...]
    path: str
    lines: Lines
    moved_from: str | None
    related: tuple[Related, ...]
    contact: Related | None
    generation: str

    def __repr__(self) -> str:
        return view_line(self)

    def _repr_html_(self) -> str:
        return view_html(self)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        plain = ("handle", "level", "form", "article_id", "section_id", "title", "category", "heading", "lang", "text")
        return {
            "version": JSON_VERSION,
            **{name: getattr(self, name) for name in plain},
            "cost": self.cost.to_dict(),
            "levels": [level.to_dict() for level in self.levels],
            "path": self.path,
            "lines": list(self.lines),
            "moved_from": self.moved_from,
            "related": [other.to_dict() for other in self.related],
            "contact": None if self.contact is None else self.contact.to_dict(),
            "generation": self.generation,
        }


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be shown, and how.

    Attributes
    ----------
    amount, unit
        At most so many characters or tokens, everything included.
    form
        Of the text.
    most
        At most so many articles.
    deepest
        Highest level that an article is shown at.
    """

    amount: int
    unit: Unit = "characters"
    form: Form = "text"
    most: int = 5
    deepest: int = 3


PRESETS: Final[dict[str, Budget]] = {
    "voice": Budget(160, "characters", "speech", 1, 1),
    "sms": Budget(140, "characters", "text", 1, 1),
    "chat": Budget(600, "characters", "markdown", 3, 2),
    "web": Budget(1_500, "characters", "html", 5, 2),
    "email": Budget(3_000, "characters", "text", 4, 3),
    "llm": Budget(8_000, "tokens", "markdown", 10, 3),
}


class Disclosed(NamedTuple):
    """What a disclosure says of one article: its text in the form of the disclosure, and what that costs."""

    handle: str
    article_id: str
    title: str
    level: int
    text: str
    cost: Cost

    def __repr__(self) -> str:
        return f"<Disclosed {brief(self.handle, 80)}: level {self.level}, {self.cost.characters:,} characters>"

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        plain = {"handle": self.handle, "article_id": self.article_id, "title": self.title, "level": self.level}
        return {**plain, "text": self.text, "cost": self.cost.to_dict()}


@dataclass(frozen=True, slots=True)
class Disclosure:
    """An answer that fits a budget.

    Attributes
    ----------
    text
        All parts, ready to be sent; never longer than the budget.
    parts
        What it is made of, in the order of the hits.
    cost
        Of ``text``.
    left_out
        Handles of the hits that there was no room for.
    """

    budget: Budget
    text: str
    parts: tuple[Disclosed, ...]
    cost: Cost
    left_out: tuple[str, ...]

    def __repr__(self) -> str:
        return disclosure_line(self)

    def _repr_html_(self) -> str:
        return disclosure_html(self)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "budget": {"amount": self.budget.amount, "unit": self.budget.unit, "form": self.budget.form},
            "text": self.text,
            "parts": [part.to_dict() for part in self.parts],
            "cost": self.cost.to_dict(),
            "left_out": list(self.left_out),
        }


def levels_of(sizes: Sequence[tuple[int, int]]) -> tuple[Level, ...]:
    """The levels by their characters and tokens, from the title on."""
    costs = [Cost(*size) for size in sizes]
    adds = [*(after - before for before, after in pairwise(costs)), None]
    return tuple([Level(number, cost, more) for number, (cost, more) in enumerate(zip(costs, adds, strict=True))])


def level_number(level: int | str) -> int | None:
    """0 to 4 for a number, its digit or a name of :data:`LEVELS`; None for anything else."""
    if isinstance(level, str):
        return LEVELS.index(level) if level in LEVELS else int(level) if level in "01234" and len(level) == 1 else None
    return level if isinstance(level, int) and not isinstance(level, bool) and 0 <= level < len(LEVELS) else None
