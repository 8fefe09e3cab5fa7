"""What a generation knows of its articles. SQLite lives here and nowhere else.

The file is written once by :func:`write_content` and then opened read-only and immutable, so that it needs no lock, no
journal and no writable disk. Article numbers are 0-based in order of path; rows are as in every other part of the
generation.

Use: :class:`Content` from any thread; each thread gets a connection of its own.

Never: a query that grows with the corpus for each question. What a filter or a day admits is asked once and remembered.
"""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from kbsearch.errors import IndexCorrupt
from kbsearch.model import Article, ArticleWarning, Filter, Passage, PassageRow, Section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["Content", "SourceFile", "StoredPassage", "category_path", "name_section", "write_content"]

_VALUES_AT_ONCE: Final = 900  # SQLite takes at least 999 in one statement

_SCHEMA: Final = """
CREATE TABLE files (path TEXT PRIMARY KEY, sha256 TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE warnings (path TEXT, line INTEGER, code TEXT, message TEXT, fatal INTEGER);
CREATE TABLE articles (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, path TEXT NOT NULL, sha256 TEXT NOT NULL, title TEXT NOT NULL,
    lang TEXT NOT NULL, kind TEXT NOT NULL, category TEXT NOT NULL, tags TEXT NOT NULL, aliases TEXT NOT NULL,
    status TEXT NOT NULL, valid_from TEXT, valid_until TEXT, updated TEXT, review_by TEXT, translation_of TEXT,
    meta TEXT NOT NULL, markdown TEXT NOT NULL);
CREATE TABLE sections (
    article INTEGER, ordinal INTEGER, anchor TEXT, heading TEXT, headings TEXT, level INTEGER, kind TEXT,
    first INTEGER, last INTEGER, markdown TEXT, PRIMARY KEY (article, ordinal)) WITHOUT ROWID;
CREATE TABLE passages (
    row INTEGER PRIMARY KEY, article INTEGER, section INTEGER, text TEXT, first INTEGER, last INTEGER,
    alias TEXT, vector_key TEXT, terms_key TEXT, words TEXT, grams TEXT);
CREATE INDEX passages_of_article ON passages (article);
CREATE TABLE unserved (
    article INTEGER, ordinal INTEGER, section INTEGER, text TEXT, first INTEGER, last INTEGER,
    PRIMARY KEY (article, ordinal)) WITHOUT ROWID;
CREATE TABLE facets (field TEXT, value TEXT, article INTEGER, PRIMARY KEY (field, value, article)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that was read, whether or not it became an article. ``path`` is relative to the articles folder."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A row as it was indexed.

    ``alias`` is the other wording of the question that this row stands for; such a row shows its article's first
    passage and is no passage of the article. ``vector_key`` names the text that was encoded, ``terms_key`` what its
    terms came from; terms are joined by one
    space.
    """

    article: int
    passage: Passage
    alias: str
    vector_key: str
    terms_key: str
    words: str
    grams: str


def write_content(
    file: Path,
    files: Iterable[SourceFile],
    articles: Sequence[Article],
    rows: Iterable[StoredPassage],
    warnings: Iterable[ArticleWarning],
) -> None:
    """Write a new content file. Rows are numbered from 0 as they come; articles likewise.

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
        connection.executescript(_SCHEMA)
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO files VALUES (?, ?)", ((source.path, source.sha256) for source in files))
        connection.executemany(
            "INSERT INTO warnings VALUES (?, ?, ?, ?, ?)",
            ((w.path, w.line, w.code, w.message, int(w.fatal)) for w in warnings),
        )
        for number, article in enumerate(articles):
            _write_article(connection, number, article)
        connection.executemany("INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _passage_values(rows))
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:  # a full disk, most often
        raise OSError(f"{file.name}: {error}") from error
    finally:
        connection.close()


def _passage_values(rows: Iterable[StoredPassage]) -> Iterator[tuple[object, ...]]:
    for number, row in enumerate(rows):
        passage = row.passage
        yield (
            number, row.article, passage.section, passage.text, *passage.lines,
            row.alias, row.vector_key, row.terms_key, row.words, row.grams,
        )  # fmt: skip


def _write_article(connection: sqlite3.Connection, number: int, article: Article) -> None:
    connection.execute(
        f"INSERT INTO articles VALUES ({', '.join('?' * 18)})",  # noqa: S608 - only question marks
        (
            number, article.id, article.path, article.sha256, article.title, article.lang, article.kind,
            article.category, _json(article.tags), _json(article.aliases), article.status,
            _iso(article.valid_from), _iso(article.valid_until), _iso(article.updated), _iso(article.review_by),
            article.translation_of, _json(article.meta), article.markdown,
        ),
    )  # fmt: skip
    connection.executemany(
        "INSERT INTO sections VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (number, i, s.anchor, s.heading, _json(s.headings), s.level, s.kind, *s.lines, s.markdown)
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
    facets |= {("category", category) for category in category_path(article.category)}
    connection.executemany(
        "INSERT INTO facets VALUES (?, ?, ?)", ((field, value, number) for field, value in sorted(facets))
    )


def category_path(category: str) -> tuple[str, ...]:
    """A category with everything above it: ``a/b/c`` → ``a``, ``a/b``, ``a/b/c``; nothing for ``""``."""
    parts = category.split("/") if category else []
    return tuple("/".join(parts[: depth + 1]) for depth in range(len(parts)))


class Content:
    """An open content file; immutable, shared between threads.

    Raises
    ------
    IndexCorrupt
        From any method, when SQLite finds the file damaged.
    """

    def __init__(self, file: Path, check_present: Callable[[], None] = lambda: None) -> None:
        self._file = file
        self._check_present = check_present
        self._uri = f"file:{quote(str(file.resolve()))}?mode=ro&immutable=1"
        self._local = threading.local()

    def articles(self) -> list[Article]:
        """Every article with its sections and passages, in order of number."""
        return [self._article(row) for row in self._all("SELECT * FROM articles ORDER BY number")]

    def article_by_id(self, article_id: str) -> Article | None:
        """One article, whatever its status."""
        rows = self._all("SELECT * FROM articles WHERE id = ?", article_id) if _is_text(article_id) else ()
        with self._as_corrupt():
            return self._article(rows[0]) if rows else None

    def article_ids(self) -> list[str]:
        """Ids of all articles, in order of number."""
        return [row[0] for row in self._all("SELECT id FROM articles ORDER BY number")]

    def served_ids(self, day: dt.date | None = None) -> list[str]:
        """Ids of the published articles, in order of number; with a day only those that are valid on it."""
        found = self._all("SELECT id, valid_from, valid_until FROM articles WHERE status = 'published' ORDER BY number")
        today = "" if day is None else day.isoformat()
        return [
            article_id
            for article_id, first, last in found
            if not today or ((first is None or first <= today) and (last is None or today <= last))
        ]

    def validity(self) -> list[tuple[int, str | None, str | None]]:
        """(number, first day, last day) of the published articles that have either."""
        return self._all(
            "SELECT number, valid_from, valid_until FROM articles "
            "WHERE status = 'published' AND (valid_from IS NOT NULL OR valid_until IS NOT NULL)"
        )

    def articles_matching(self, where: Filter) -> set[int]:
        """Numbers of the articles that a filter admits."""
        fields = {"lang": where.lang, "kind": where.kind, "category": where.category, "tag": where.tags}
        admitted: set[int] | None = None
        for field, values in fields.items():
            if values:
                sql = "SELECT article FROM facets WHERE field = ? AND value IN (%s)"
                numbers = {row[0] for row in self._of_many(sql, [text for text in values if _is_text(text)], field)}
                admitted = numbers if admitted is None else admitted & numbers
        return set() if admitted is None else admitted

    def facet(self, field: str) -> list[tuple[str, int]]:
        """Values of ``lang``, ``kind``, ``category`` or ``tag`` with the number of articles, most first."""
        return self._all("SELECT value, COUNT(*) FROM facets WHERE field = ? GROUP BY value ORDER BY 2 DESC, 1", field)

    def statuses(self) -> dict[str, int]:
        """Number of articles of each status."""
        return dict(self._all("SELECT status, COUNT(*) FROM articles GROUP BY status ORDER BY status"))

    def passage_rows(self, rows: Sequence[int]) -> dict[int, PassageRow]:
        """What is shown of the given rows."""
        found = self._of_many(
            "SELECT p.row, p.article, a.id, a.path, a.title, s.anchor, s.headings, p.text, p.first, p.last "
            "FROM passages p JOIN articles a ON a.number = p.article "
            "JOIN sections s ON s.article = p.article AND s.ordinal = p.section WHERE p.row IN (%s)",
            [int(row) for row in rows],
        )
        with self._as_corrupt():
            shown = {
                row: PassageRow(
                    row, article, article_id, path, title, name_section(article_id, anchor),
                    tuple(json.loads(headings)), text, (first, last),
                )
                for row, article, article_id, path, title, anchor, headings, text, first, last in found
            }  # fmt: skip
        if missing := set(map(int, rows)) - shown.keys():
            raise IndexCorrupt(self._file, f"a passage in row {min(missing)}", "none")
        return shown

    def terms(self, stream: str) -> list[list[str]]:
        """Terms of every row as they were indexed, in order of row: what the oracle of ``verify`` counts."""
        column = {"words": "words", "grams": "grams"}[stream]
        return [row[0].split() for row in self._all(f"SELECT {column} FROM passages ORDER BY row")]  # noqa: S608

    def analysed(self) -> list[tuple[str, str, str, str]]:
        """(vector key, terms key, words, grams) of every row, in order: what the next build need not compute again."""
        return self._all("SELECT vector_key, terms_key, words, grams FROM passages ORDER BY row")

    def files(self) -> dict[str, str]:
        """SHA-256 of every file that was read, by path."""
        return dict(self._all("SELECT path, sha256 FROM files"))

    def warnings(self) -> list[ArticleWarning]:
        """What the build had to say, in order of path and line."""
        rows = self._all("SELECT path, line, code, message, fatal FROM warnings ORDER BY path, line, code, message")
        return [ArticleWarning(path, line, code, message, bool(fatal)) for path, line, code, message, fatal in rows]

    def check(self) -> None:
        """Let SQLite look at every page."""
        if (answer := self._all("PRAGMA integrity_check")[0][0]) != "ok":
            raise IndexCorrupt(self._file, "a sound database", str(answer).splitlines()[0])

    def _article(self, row: tuple[object, ...]) -> Article:
        number, *values = row
        (article_id, path, sha256, title, lang, kind, category, tags, aliases, status, *dates, source, meta, text) = (
            values
        )
        sections = self._all("SELECT * FROM sections WHERE article = ? ORDER BY ordinal", number)
        passages = self._all(
            "SELECT section, text, first, last FROM passages WHERE article = ? AND alias = '' ORDER BY row"
            if status == "published"
            else "SELECT section, text, first, last FROM unserved WHERE article = ? ORDER BY ordinal",
            number,
        )
        paths = [tuple(json.loads(headings)) for _, _, _, _, headings, *_ in sections]
        valid_from, valid_until, updated, review_by = (_date(value) for value in dates)
        return Article(
            id=str(article_id), path=str(path), sha256=str(sha256), title=str(title), lang=str(lang), kind=str(kind),
            category=str(category), tags=tuple(json.loads(str(tags))), aliases=tuple(json.loads(str(aliases))),
            status=str(status), valid_from=valid_from, valid_until=valid_until, updated=updated, review_by=review_by,
            translation_of=None if source is None else str(source),
            sections=tuple(
                Section(anchor, heading, headings, level, section_kind, (first, last), markdown)
                for headings, (_, _, anchor, heading, _, level, section_kind, first, last, markdown)
                in zip(paths, sections, strict=True)
            ),
            passages=tuple(
                Passage(section, str(title), paths[section], passage_text, (first, last))
                for section, passage_text, first, last in passages
            ),
            markdown=str(text), meta=json.loads(str(meta)),
        )  # fmt: skip

    def _of_many(self, sql: str, values: Sequence[object], *first: object) -> list[Any]:
        """Rows of a statement with any number of values in place of ``%s``."""
        found = []
        for start in range(0, len(values), _VALUES_AT_ONCE):
            some = values[start : start + _VALUES_AT_ONCE]
            found.extend(self._all(sql % ", ".join("?" * len(some)), *first, *some))
        return found

    def _all(self, sql: str, *values: object) -> list[Any]:
        with self._as_corrupt():
            return self._connection().execute(sql, values).fetchall()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            self._check_present()  # a path may lead to another index by now
            connection = sqlite3.connect(self._uri, uri=True, check_same_thread=False)
            self._local.connection = connection
        return connection

    @contextmanager
    def _as_corrupt(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:  # also from reading what a row holds
            raise IndexCorrupt(self._file, "a sound database", str(error)) from error


def name_section(article_id: str, anchor: str) -> str:
    """``article#anchor``; the article's id alone for its lead."""
    return f"{article_id}#{anchor}" if anchor else article_id


def _is_text(value: str) -> bool:
    """False with half of a surrogate pair, which no file holds and SQLite does not take."""
    return not any("\ud800" <= char <= "\udfff" for char in value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _iso(day: dt.date | None) -> str | None:
    return None if day is None else day.isoformat()


def _date(value: object) -> dt.date | None:
    return None if value is None else dt.date.fromisoformat(str(value))
