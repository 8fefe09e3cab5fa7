"""A procedure and its steps, as values: what ``KnowledgeBase.steps`` gives and the command line walks.

Use::

    procedure = kb.steps("shop/returns/how-to-return.ja")
    for step in procedure:
        print(step.number, step.total, step.text, [warning.text for warning in step.warnings])

A step is made of parts in the order in which they are written: text, code, pictures, warnings, notes, and lists of
steps below it. Its properties pick from them.

Never: number steps as somebody wrote them; ``1. 1. 1.`` is counted, and the first is always 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kbsearch.display import brief, procedure_html
from kbsearch.errors import BadQuery
from kbsearch.model import JSON_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kbsearch.model import Lines

__all__ = ["Part", "PartKind", "Picture", "Procedure", "ProcedureRef", "Step"]

PartKind = Literal["text", "code", "picture", "warning", "note", "steps"]
"""``warning`` is what can go wrong (注意, 重要, 危険), ``note`` what is good to know (メモ, ヒント, ※)."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: what it shows in words, ``""`` if nobody wrote it, and its path as the article gives it."""

    alt: str
    path: str

    def to_dict(self) -> dict[str, str]:
        """The picture as JSON."""
        return {"alt": self.alt, "path": self.path}


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a step, or of what stands before or behind the steps.

    Attributes
    ----------
    text
        Plain text; of a picture its alternative text, of ``steps`` nothing.
    label
        The word above a warning or a note as the article has it (``注意``, ``Important``), ``""`` for none.
    pictures
        Those inside the part; a ``picture`` has exactly one.
    steps
        The steps below, of a part ``steps``.
    """

    kind: PartKind
    text: str
    label: str = ""
    pictures: tuple[Picture, ...] = ()
    steps: tuple[Step, ...] = ()

    def __repr__(self) -> str:
        below = f"{len(self.steps)} below" if self.kind == "steps" else brief(self.text)
        return f"<Part {self.kind}: {below}>"

    def to_dict(self) -> dict[str, Any]:
        """The part as JSON; of ``steps`` only how many, for a step gives those below it under ``substeps``."""
        if self.kind == "steps":
            return {"kind": self.kind, "count": len(self.steps)}
        pictures = [picture.to_dict() for picture in self.pictures]
        return {
            "kind": self.kind,
            "text": self.text,
            **({"label": self.label} if self.label else {}),
            **({"pictures": pictures} if pictures else {}),
        }


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes
    ----------
    number, total
        Step ``number`` of ``total``, from 1.
    title
        Of a step that is a heading, without its number; else ``""``.
    lines
        Where it stands in the file.
    markdown
        Those lines.
    restriction
        To whom or when it applies, as the article says it (``管理者のみ``, ``optional``); ``""``: to everybody.
    ordered
        False for a point of a bullet list below a step, which has no place in an order.
    """

    number: int
    total: int
    title: str
    parts: tuple[Part, ...]
    markdown: str
    lines: Lines
    restriction: str = ""
    ordered: bool = True

    def __repr__(self) -> str:
        return f"<Step {self.number}/{self.total}: {brief(self.text)}>"

    @property
    def back(self) -> int | None:
        """Number of the step before, None at the first."""
        return self.number - 1 if self.number > 1 else None

    @property
    def next(self) -> int | None:
        """Number of the step behind, None at the last."""
        return self.number + 1 if self.number < self.total else None

    @property
    def text(self) -> str:
        """What is to be done, as plain text: without the warnings, notes, pictures and steps below, which follow."""
        told = [part.text for part in self.parts if part.kind in {"text", "code"}]
        return "\n".join(filter(None, [self.title, *told]))

    @property
    def warnings(self) -> tuple[Part, ...]:
        """What can go wrong in this step."""
        return _of_kind(self.parts, "warning")

    @property
    def notes(self) -> tuple[Part, ...]:
        """What is good to know in this step."""
        return _of_kind(self.parts, "note")

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Its pictures in their order; those of the steps below are theirs."""
        return tuple(picture for part in self.parts for picture in part.pictures)

    @property
    def substeps(self) -> tuple[Step, ...]:
        """The steps below it, of all its lists."""
        return tuple(step for part in self.parts for step in part.steps)

    def to_dict(self) -> dict[str, Any]:
        """The step as JSON. ``parts`` says in which order the rest is written."""
        return {
            "number": self.number,
            "total": self.total,
            "back": self.back,
            "next": self.next,
            "title": self.title,
            "text": self.text,
            "restriction": self.restriction,
            "ordered": self.ordered,
            "warnings": [{"label": part.label, "text": part.text} for part in self.warnings],
            "notes": [{"label": part.label, "text": part.text} for part in self.notes],
            "pictures": [picture.to_dict() for picture in self.pictures],
            "substeps": [step.to_dict() for step in self.substeps],
            "parts": [part.to_dict() for part in self.parts],
            "lines": list(self.lines),
            "markdown": self.markdown,
        }


@dataclass(frozen=True, slots=True)
class ProcedureRef:
    """Another procedure of the article: ``kb.steps(handle, number)`` opens it."""

    handle: str
    number: int
    title: str
    total: int
    lines: Lines

    def to_dict(self) -> dict[str, Any]:
        """The reference as JSON."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "lines": list(self.lines)}


@dataclass(frozen=True, slots=True)
class Procedure:
    """Steps in their order, with what belongs to them.

    Attributes
    ----------
    handle, number
        ``kb.steps(handle, number)`` gives it again.
    title
        What it is about: the heading above it, or the article's title.
    intro
        The line that leads to the first step.
    before
        What stands before the first step: what is needed, conditions.
    after
        What stands behind the last step: the result, what holds for all of it.
    others
        The other procedures of the article.
    start
        The step at which a reader comes in: the one that was asked for by the handle of its heading, else 1.
    """

    handle: str
    number: int
    title: str
    article_id: str
    path: str
    lang: str
    lines: Lines
    steps: tuple[Step, ...]
    intro: str = ""
    before: tuple[Part, ...] = ()
    after: tuple[Part, ...] = ()
    others: tuple[ProcedureRef, ...] = ()
    start: int = 1

    def __repr__(self) -> str:
        noun = "step" if len(self.steps) == 1 else "steps"
        return f"<Procedure {self.handle}: {brief(self.title)}, {len(self.steps)} {noun}>"

    def _repr_html_(self) -> str:
        return procedure_html(self)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def step(self, number: int) -> Step:
        """Step ``number``, from 1.

        Raises
        ------
        BadQuery
            There is no such step.
        """
        if not 1 <= number <= len(self.steps):
            raise BadQuery(f"There is no step {number}: the steps of “{self.title}” are 1 to {len(self.steps)}.")
        return self.steps[number - 1]

    @property
    def warnings(self) -> tuple[Part, ...]:
        """What can go wrong in all of it: a warning behind the last step is to be read before the first."""
        return _of_kind((*self.before, *self.after), "warning")

    def to_dict(self) -> dict[str, Any]:
        """The procedure as JSON."""
        plain = ("handle", "number", "title", "article_id", "path", "lang", "intro", "start")
        return {
            "version": JSON_VERSION,
            **{name: getattr(self, name) for name in plain},
            "lines": list(self.lines),
            "total": len(self.steps),
            "warnings": [{"label": part.label, "text": part.text} for part in self.warnings],
            "before": [part.to_dict() for part in self.before],
            "steps": [step.to_dict() for step in self.steps],
            "after": [part.to_dict() for part in self.after],
            "others": [other.to_dict() for other in self.others],
        }


def _of_kind(parts: tuple[Part, ...], kind: PartKind) -> tuple[Part, ...]:
    return tuple(part for part in parts if part.kind == kind)
