"""Writing what a generation knows of its articles: a database, and what is shown of each row beside it.

Use: ``write_content(file, files, articles, rows, warnings)``.

Never: keep more of an article than its turn needs; there may be hundreds of thousands.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kbsearch.content.tables import CONTACT, ROWS, SCHEMA
from kbsearch.excerpts import JOINT, excerpt
from kbsearch.model import iso_day
from kbsearch.scope import SCOPES, scope_terms
from kbsearch.shown import Shown, ShownWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from kbsearch.handles import Entry
    from kbsearch.model import Article, ArticleWarning, Passage

__all__ = ["Amended", "SourceFile", "StoredPassage", "section_sizes", "write_content"]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that was read, whether or not it became an article. ``path`` is relative to the articles folder."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A row as it was indexed.

    ``alias`` is the other wording of the question that this row stands for; such a row shows its article's first
    passage and is no passage of the article. ``vector_key`` names the text that was encoded.
    """

    article: int
    passage: Passage
    alias: str
    vector_key: str


@dataclass(frozen=True, slots=True)
class Amended:
    """What a delta adds to, and what it takes away.

    The numbers of its first article and row, those of the articles that count no more, and the paths of files that are
    other ones now, or gone.
    """

    first_article: int = 0
    first_row: int = 0
    removed: tuple[int, ...] = ()
    removed_files: tuple[str, ...] = ()


def write_content(
    file: Path,
    files: Iterable[SourceFile],
    articles: Sequence[Article],
    rows: Iterable[StoredPassage],
    warnings: Iterable[ArticleWarning],
    amended: Amended | None = None,
    cost_of: Callable[[str], int] = len,
    record: Iterable[Entry] = (),
) -> None:
    """Write a new content file. Rows are numbered as they come, from 0 or behind what is amended; articles likewise.

    ``cost_of`` says how many tokens it takes to show a text; see :mod:`kbsearch.views`. ``record`` is that of the whole
    knowledge base, also beside what is amended.

    Raises
    ------
    OSError
        When the disk does not take it.
    """
    try:
        connection = sqlite3.connect(file, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise OSError(f"{file.name}: {error}") from error
    try:
        connection.execute("PRAGMA journal_mode = OFF")  # a file that fails half-way is thrown away whole
        connection.execute("PRAGMA synchronous = OFF")  # the store syncs it
        connection.executescript(SCHEMA)
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO files VALUES (?, ?)", ((source.path, source.sha256) for source in files))
        connection.executemany(
            "INSERT INTO warnings VALUES (?, ?, ?, ?, ?)",
            ((w.path, w.line, w.code, w.message, int(w.fatal)) for w in warnings),
        )
        connection.executemany("INSERT INTO handles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_entry_values, record))
        amended = amended or Amended()
        sizes: list[list[tuple[int, int]]] = []
        for number, article in enumerate(articles, start=amended.first_article):
            sizes.append(section_sizes(article, cost_of))
            _write_article(connection, number, article, cost_of)
        connection.executemany("INSERT INTO removed VALUES (?)", ((number,) for number in amended.removed))
        connection.executemany("INSERT INTO removed_files VALUES (?)", ((path,) for path in amended.removed_files))
        with ShownWriter(file.with_suffix(ROWS)) as shown:
            values = _passage_values(rows, articles, amended, sizes, shown)
            connection.executemany("INSERT INTO passages VALUES (?, ?, ?, ?, ?)", values)
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:  # a full disk, most often
        raise OSError(f"{file.name}: {error}") from error
    finally:
        connection.close()


def _entry_values(entry: Entry) -> tuple[object, ...]:
    article, anchor = entry.address or (None, None)
    return (
        entry.handle, article, anchor, _json(entry.successors), int(entry.moved), entry.since, entry.title,
        entry.heading, entry.sketch,
    )  # fmt: skip


def _passage_values(
    rows: Iterable[StoredPassage],
    articles: Sequence[Article],
    amended: Amended,
    sizes: Sequence[Sequence[tuple[int, int]]],
    shown: ShownWriter,
) -> Iterator[tuple[object, ...]]:
    """What the database knows of each row; what is shown of it is written down besides."""
    for number, row in enumerate(rows, start=amended.first_row):
        passage, article = row.passage, amended.first_article + row.article
        section = articles[row.article].sections[passage.section]
        size, headings = sizes[row.article][passage.section], _json(section.headings)
        shown.add(Shown(article, passage.lines, size, section.anchor, headings, passage.text))
        yield number, article, passage.section, row.alias, row.vector_key


def _write_article(
    connection: sqlite3.Connection,
    number: int,
    article: Article,
    cost_of: Callable[[str], int],
) -> None:
    shown = article.markdown.strip("\n")
    connection.execute(
        f"INSERT INTO articles VALUES ({', '.join('?' * 23)})",  # noqa: S608 - only question marks
        (
            number, article.id, article.path, article.sha256, article.title, article.lang, article.kind,
            article.category, _json(article.tags), _json(article.aliases),
            *(_json(getattr(article, field)) for field in SCOPES), article.status,
            *map(iso_day, (article.valid_from, article.valid_until, article.updated, article.review_by)),
            article.translation_of, _json(article.meta), cost_of(article.title),
            len(shown), cost_of(shown),
        ),
    )  # fmt: skip
    connection.execute("INSERT INTO sources VALUES (?, ?)", (number, _copy(article.markdown)))
    connection.executemany(
        "INSERT INTO sections VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (number, i, s.anchor, s.heading, _json(s.headings), s.level, s.kind, *s.lines, _copy(s.markdown))
            for i, s in enumerate(article.sections)
        ),
    )
    if article.status != "published":
        connection.executemany(
            "INSERT INTO unserved VALUES (?, ?, ?, ?, ?, ?)",
            ((number, i, p.section, p.text, *p.lines) for i, p in enumerate(article.passages)),
        )
    facets = {("lang", article.lang), ("kind", article.kind)}
    facets |= {("tag", tag) for tag in article.tags}
    facets |= {("category", category) for category in _category_path(article.category)}
    facets |= set(scope_terms(article))
    if str(article.meta.get("contact", "")).lower() in {"true", "yes"}:
        facets.add((CONTACT, article.lang))
    connection.executemany(
        "INSERT INTO facets VALUES (?, ?, ?)", ((field, value, number) for field, value in sorted(facets))
    )


def section_sizes(article: Article, cost_of: Callable[[str], int]) -> list[tuple[int, int]]:
    """Characters and tokens of what opening each section shows: itself and what stands below it."""
    sections = article.sections
    tokens = [cost_of(section.markdown) for section in sections]
    shown = [excerpt(sections, place).places for place in range(len(sections))]
    return [
        (
            sum(len(sections[place].markdown) for place in places) + len(JOINT) * (len(places) - 1),
            sum(tokens[place] for place in places),
        )
        for places in shown
    ]


def _copy(text: str) -> str:
    """Another object: sqlite3 leaves the UTF-8 form in the one that it is given, for as long as that lives."""
    return text[:-1] + text[-1:]


def _category_path(category: str) -> tuple[str, ...]:
    """A category with everything above it: ``a/b/c`` → ``a``, ``a/b``, ``a/b/c``; nothing for ``""``."""
    parts = category.split("/") if category else []
    return tuple("/".join(parts[: depth + 1]) for depth in range(len(parts)))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
