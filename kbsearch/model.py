"""The value types that the floors hand to each other, and the protocols that a bottom layer implements.

Frozen, slotted, without logic beyond a derived name: whoever holds one may share it between threads.
Lines are 1-based, inclusive and counted in the file (front matter included). Rows are the 0-based numbers of
passages inside one generation; they never leave the library, ids do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    import datetime as dt

    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "JSON_VERSION",
    "Article",
    "ArticleWarning",
    "Encoder",
    "Filter",
    "FloatArray",
    "Lines",
    "Passage",
    "PassageRow",
    "Progress",
    "RowArray",
    "Section",
    "Weights",
    "iso_day",
    "name_section",
]

JSON_VERSION: Final = 1
"""Of everything that is printed as JSON: keys are added under the same version, never renamed or removed."""

FloatArray: TypeAlias = "NDArray[np.float32]"  # as texts: the command line starts without NumPy
RowArray: TypeAlias = "NDArray[np.int64]"
Lines = tuple[int, int]
"""First and last line of a block in its file: 1-based, inclusive."""

Progress = Callable[[str, int, int], None]
"""``progress(stage, done, total)``: called often, must be cheap, must not raise."""


@dataclass(frozen=True, slots=True)
class ArticleWarning:
    """Something an editor should look at; the article is indexed all the same (``fatal``: it is not).

    ``code`` is stable and short (``"damaged-text"``, ``"duplicate-id"``, …); ``line`` is 0 for the whole file.
    """

    path: str
    line: int
    code: str
    message: str
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands below it up to the next heading, or one question/answer unit of an FAQ page.

    Attributes
    ----------
    anchor
        Unique in the article; ``""`` for the lead, the part before the first heading.
    heading
        Plain text; the question for a unit; ``""`` for the lead.
    headings
        The path of headings from the outermost to this one, this one included.
    level
        0 for the lead, 1 to 6 as in Markdown; a unit without a heading of its own is one below its section.
    kind
        ``"section"`` or ``"qa"``.
    markdown
        The source of the section, heading line included.
    """

    anchor: str
    heading: str
    headings: tuple[str, ...]
    level: int
    kind: str
    lines: Lines
    markdown: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Passage:
    """The unit that is indexed and ranked: whole blocks of one section that fit the encoder.

    Attributes
    ----------
    section
        Index into ``Article.sections``.
    title, headings
        Context carried into the index and the encoder; see ``Section.headings``.
    text
        Plain text of the blocks, separated by newlines; table cells by ``" | "``, list markers kept.
    """

    section: int
    title: str
    headings: tuple[str, ...]
    text: str = field(repr=False)
    lines: Lines


@dataclass(frozen=True, slots=True)
class Article:
    """One Markdown file.

    Attributes
    ----------
    id
        Front matter ``id``, else the path below the articles folder without its suffix, with ``/``.
    lang
        BCP 47 primary tag in lower case (``ja``, ``en``, …).
    kind
        ``"faq"`` or ``"guide"``.
    category
        Slash-separated path, ``""`` for none.
    status
        ``"published"``, ``"draft"`` or ``"archived"``. Only published articles are served.
    valid_from, valid_until
        First and last day on which it is served.
    meta
        Front matter keys that kbsearch does not know, as they were read (strings, numbers, lists).
    audience, product, version
        For whom it is, as written; empty for everyone. See :mod:`kbsearch.scope`.
    generation
        Name of the published state that gave it; ``""`` for one that was read from its file.
    """

    id: str
    path: str
    sha256: str
    title: str
    lang: str
    kind: str
    category: str
    tags: tuple[str, ...]
    aliases: tuple[str, ...]
    status: str
    valid_from: dt.date | None
    valid_until: dt.date | None
    updated: dt.date | None
    review_by: dt.date | None
    translation_of: str | None
    sections: tuple[Section, ...] = field(repr=False)
    passages: tuple[Passage, ...] = field(repr=False)
    markdown: str = field(repr=False)
    meta: Mapping[str, object] = field(default_factory=dict)
    audience: tuple[str, ...] = ()
    product: tuple[str, ...] = ()
    version: tuple[str, ...] = ()
    generation: str = field(default="", compare=False)


def iso_day(day: dt.date | None) -> str | None:
    """A day as JSON has it."""
    return None if day is None else day.isoformat()


def name_section(article_id: str, anchor: str) -> str:
    """``article#anchor``; the article's id alone for its lead."""
    return f"{article_id}#{anchor}" if anchor else article_id


class Encoder(Protocol):
    """Texts to unit vectors. Safe to share between threads.

    ``fingerprint`` changes whenever the same text could give another vector: model file, quantisation,
    prefixes, tokenizer, pooling.
    """

    @property
    def name(self) -> str:
        """As given to ``--encoder``, so that an index can open its encoder again."""

    @property
    def fingerprint(self) -> str:
        """See the class; short and readable."""

    @property
    def dimension(self) -> int:
        """Length of every vector."""

    @property
    def max_tokens(self) -> int:
        """Longest input in tokens, prefix and special tokens included; more is cut off at the end."""

    def count_tokens(self, text: str) -> int:
        """Tokens that ``text`` takes as a passage, prefix and special tokens included."""

    def encode_query(self, text: str) -> FloatArray:
        """One question, as float32 of shape ``(dimension,)`` and length 1."""

    def encode_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> FloatArray:
        """Passages, as float32 of shape ``(len(texts), dimension)``, each row of length 1, in the given order.

        ``progress(n)`` is called with the number of texts finished since the last call.
        """


@dataclass(frozen=True, slots=True)
class Filter:
    """Which articles may answer. Values of one field are alternatives, fields must all match; empty means any.

    ``category`` holds subtrees: ``shop`` covers ``shop/returns``. ``audience``, ``product`` and ``version`` also admit
    the articles that say nothing about theirs; see :mod:`kbsearch.scope`.
    """

    lang: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()
    product: tuple[str, ...] = ()
    version: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        scoped = self.audience or self.product or self.version
        return bool(self.lang or self.category or self.tags or self.kind or scoped)


class PassageRow(NamedTuple):
    """One row as it is shown: a passage with what stands above it. A question makes some thirty of them.

    ``section_size``: characters and tokens of what opening its section shows.
    """

    row: int
    article: int
    article_id: str
    path: str
    title: str
    section_id: str
    headings: tuple[str, ...]
    text: str
    lines: Lines
    section_size: tuple[int, int] = (0, 0)
    handle: str = ""

    @property
    def heading(self) -> str:
        """Of its section; ``""`` for the lead."""
        return self.headings[-1] if self.headings else ""


@dataclass(frozen=True, slots=True)
class Weights:
    """How often the terms of each part of a passage count in the lexical leg: whole numbers, 0 leaves a part out."""

    title: int = 3
    heading: int = 2
    alias: int = 3
    body: int = 1
