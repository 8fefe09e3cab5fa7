"""Reading what a generation knows of its articles.

Use: :class:`Content` from any thread; each thread gets a connection of its own.

Never: a query that grows with the corpus for each question. What a filter or a day admits is asked once and remembered.
"""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import threading
from contextlib import contextmanager
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from kbsearch.content.tables import CONTACT, ROWS, VIEW, VIEWED, VIEWS
from kbsearch.errors import IndexCorrupt
from kbsearch.model import Article, ArticleWarning, Filter, Passage, PassageRow, Section, name_section
from kbsearch.paging import read_sparsely
from kbsearch.scope import SCOPES, or_everyone
from kbsearch.shown import ShownRows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from kbsearch.handles import Entry

__all__ = ["Content", "Head", "head_of"]

_RECENT: Final = 20_000
_RECENT_CHARACTERS: Final = 4_000_000  # some ten thousand passages
_MAPPED: Final = 1 << 40  # SQLite maps as much as there is, up to its own limit
_VALUES_AT_ONCE: Final = 900  # SQLite takes at least 999 in one statement

_ARTICLES: Final = "SELECT a.*, s.markdown FROM articles a JOIN sources s ON s.article = a.number"
_HEADS: Final = "SELECT number, id, path, title, lang, status, updated, translation_of, category, {sizes} FROM articles"
_SIZED_HEADS: Final = _HEADS.format(sizes="title_tokens, chars, tokens")
_BARE_HEADS: Final = _HEADS.format(sizes="0, 0, 0")  # of an older format, too


class Head(NamedTuple):
    """An article in short. ``size``: characters and tokens of its Markdown."""

    number: int
    id: str
    path: str
    title: str
    lang: str
    status: str
    updated: dt.date | None
    translation_of: str | None
    category: str = ""
    title_tokens: int = 0
    size: tuple[int, int] = (0, 0)


def head_of(article: Article) -> Head:
    """The same of an article that has no number yet, without sizes."""
    return Head(
        -1, article.id, article.path, article.title, article.lang, article.status, article.updated,
        article.translation_of, article.category,
    )  # fmt: skip


class Content:
    """An open content file, and what a delta changes of it; immutable, shared between threads.

    Parameters
    ----------
    file, delta
        The databases.
    check_present
        Called before a file is opened.
    is_scarce
        Whether memory does not hold the index (:mod:`kbsearch.paging`).

    Raises
    ------
    IndexCorrupt
        From any method, when SQLite finds the file damaged.
    """

    def __init__(
        self,
        file: Path,
        check_present: Callable[[], None] = lambda: None,
        delta: Path | None = None,
        *,
        is_scarce: bool = False,
    ) -> None:
        self._file = file
        self._delta = None if delta is None else _uri(delta)
        self._row_files = [part.with_suffix(ROWS) for part in (file, delta) if part is not None]
        self._check_present, self._is_scarce = check_present, is_scarce
        self._uri = _uri(file)
        self._local = threading.local()
        self._recent: dict[int, Head] = {}
        self._recent_rows: dict[int, PassageRow] = {}
        self._recent_characters = 0

    def articles(self) -> list[Article]:
        """Every article with its sections and passages, in order of number."""
        return [self._article(row) for row in self._all(f"{_ARTICLES} ORDER BY number")]

    def article_by_id(self, article_id: str) -> Article | None:
        """One article, whatever its status."""
        rows = self._all(f"{_ARTICLES} WHERE id = ?", article_id) if _is_text(article_id) else ()
        with self._as_corrupt():
            return self._article(rows[0]) if rows else None

    def article_ids(self) -> list[str]:
        """Ids of all articles by number; ``""`` for a number whose article counts no more."""
        found = self._all("SELECT number, id FROM articles ORDER BY number")
        ids = [""] * (found[-1][0] + 1 if found else 0)
        for number, article_id in found:
            ids[number] = article_id
        return ids

    def served_ids(self, day: dt.date | None = None) -> list[str]:
        """Ids of the published articles, in order of number; with a day only those that are valid on it."""
        found = self._all("SELECT id, valid_from, valid_until FROM articles WHERE status = 'published' ORDER BY number")
        today = "" if day is None else day.isoformat()
        return [
            article_id
            for article_id, first, last in found
            if not today or ((first is None or first <= today) and (last is None or today <= last))
        ]

    def is_served(self, article_id: str, day: dt.date) -> bool:
        """Whether an article is published, and valid on a day."""
        sql = "SELECT 1 FROM articles WHERE id = ? AND status = 'published'"
        valid = "COALESCE(valid_from, '') <= ? AND COALESCE(valid_until, '9999-12-31') >= ?"
        return bool(self._all(f"{sql} AND {valid}", article_id, day.isoformat(), day.isoformat()))

    def validity(self) -> list[tuple[int, str | None, str | None]]:
        """(number, first day, last day) of the published articles that have either."""
        return self._all(
            "SELECT number, valid_from, valid_until FROM articles "
            "WHERE status = 'published' AND (valid_from IS NOT NULL OR valid_until IS NOT NULL)"
        )

    def articles_matching(self, where: Filter) -> set[int]:
        """Numbers of the articles that a filter admits."""
        fields = {"lang": where.lang, "kind": where.kind, "category": where.category, "tag": where.tags}
        fields |= {field: or_everyone(getattr(where, field)) for field in SCOPES}
        admitted: set[int] | None = None
        for field, values in fields.items():
            if values:
                sql = "SELECT article FROM facets WHERE field = ? AND value IN (%s)"
                numbers = {row[0] for row in self._of_many(sql, [text for text in values if _is_text(text)], field)}
                admitted = numbers if admitted is None else admitted & numbers
        return set() if admitted is None else admitted

    def contacts(self) -> list[tuple[str, int]]:
        """Language and number of the articles that say how to reach a person (``contact: true``), in order of path."""
        return self._all("SELECT value, article FROM facets WHERE field = ? ORDER BY article", CONTACT)

    def rows_of_sections(self, article: int, sections: Sequence[int]) -> list[int]:
        """Rows of the passages of some sections of an article, ascending."""
        sql = "SELECT row FROM passages WHERE article = ? AND alias = '' AND section IN (%s)"
        return sorted(row for (row,) in self._of_many(sql, sections, article))

    def facet(self, field: str) -> list[tuple[str, int]]:
        """Values of ``lang``, ``kind``, ``category`` or ``tag`` with the number of articles, most first.

        Also of the fields of :data:`kbsearch.scope.SCOPES`, folded.
        """
        return self._all("SELECT value, COUNT(*) FROM facets WHERE field = ? GROUP BY value ORDER BY 2 DESC, 1", field)

    def statuses(self) -> dict[str, int]:
        """Number of articles of each status."""
        return dict(self._all("SELECT status, COUNT(*) FROM articles GROUP BY status ORDER BY status"))

    def passage_rows(self, rows: Collection[int]) -> Mapping[int, PassageRow]:
        """What is shown of the given rows, and perhaps of others; those of most questions are the same few thousand."""
        recent = self._recent_rows
        missing = [row for row in rows if row not in recent]
        if missing:
            found = self._read_rows(missing)
            characters = sum(len(passage.text) for passage in found)
            if self._recent_characters + characters > _RECENT_CHARACTERS or len(recent) > _RECENT:
                recent = {row: recent[row] for row in rows if row in recent}
                self._recent_characters = sum(len(passage.text) for passage in recent.values())
                self._recent_rows = recent  # from here on another thread may write into it
            self._recent_characters += characters  # two threads at once may lose some, which does not matter
            recent.update({passage.row: passage for passage in found})
        return recent

    def _read_rows(self, rows: Collection[int]) -> list[PassageRow]:
        found = [(int(row), *self._rows[int(row)]) for row in rows]
        heads = self.heads_of({article for _, article, *_ in found})
        handles = self.handles_by_address
        passages = []
        with self._as_corrupt():
            for row, article, lines, size, anchor, headings, text in found:
                head = heads[article]
                section_id = name_section(head.id, anchor)
                passages.append(
                    PassageRow(
                        row, article, head.id, head.path, head.title, section_id, _headings(headings), text, lines,
                        size, handles.get(section_id, section_id),
                    )
                )  # fmt: skip
        return passages

    @cached_property
    def _rows(self) -> ShownRows:
        self._check_present()  # a path may lead to another index by now
        rows = ShownRows(*self._row_files)
        if self._is_scarce:
            read_sparsely(self._file.parent)
        return rows

    def heads_of(self, articles: Collection[int]) -> Mapping[int, Head]:
        """Articles in short, by number, and perhaps others; those that were asked for lately are not read again."""
        recent = self._recent
        missing = [number for number in articles if number not in recent]
        if missing:
            if len(recent) > _RECENT:
                recent = self._recent = {number: recent[number] for number in articles if number in recent}
            found = self._of_many(f"{_SIZED_HEADS} WHERE number IN (%s)", missing)
            recent.update({head.number: head for head in self._as_heads(found)})
        return recent

    def heads(self) -> list[Head]:
        """Every article in short, in order of number; without sizes."""
        return self._as_heads(self._all(f"{_BARE_HEADS} ORDER BY 1"))

    def _as_heads(self, found: Sequence[tuple[Any, ...]]) -> list[Head]:
        with self._as_corrupt():
            return [
                Head(number, name, path, title, lang, status, _date(updated), source, category, title_tokens, (c, t))
                for number, name, path, title, lang, status, updated, source, category, title_tokens, c, t in found
            ]

    def rows_of(self, articles: Sequence[int]) -> list[tuple[int, str]]:
        """(row, vector key) of the rows of some articles, ascending."""
        return sorted(self._of_many("SELECT row, vector_key FROM passages WHERE article IN (%s)", articles))

    def vector_keys(self) -> list[tuple[int, str]]:
        """(row, which text was encoded for it), ascending: what the next build need not encode again."""
        return self._all("SELECT row, vector_key FROM passages ORDER BY row")

    def files(self) -> dict[str, str]:
        """SHA-256 of every file that was read, by path."""
        return dict(self._all("SELECT path, sha256 FROM files"))

    def warnings(self) -> list[ArticleWarning]:
        """What the build had to say, in order of path and line."""
        rows = self._all("SELECT path, line, code, message, fatal FROM warnings ORDER BY path, line, code, message")
        return [ArticleWarning(path, line, code, message, bool(fatal)) for path, line, code, message, fatal in rows]

    def record(self) -> list[Entry]:
        """What is known of names of sections; see :mod:`kbsearch.handles`."""
        return self._entries(self._all("SELECT * FROM handles ORDER BY handle"))

    def entry(self, handle: str) -> Entry | None:
        """The same of one name."""
        found = self._entries(self._all("SELECT * FROM handles WHERE handle = ?", handle)) if _is_text(handle) else []
        return found[0] if found else None

    @cached_property
    def handles_by_address(self) -> dict[str, str]:
        """Handles of the sections that have another one than their address; a small part of all."""
        found = self._all("SELECT article, anchor, handle FROM handles WHERE article IS NOT NULL AND anchor <> ''")
        return {name_section(article, anchor): handle for article, anchor, handle in found}

    def heading_at(self, article_id: str, anchor: str) -> tuple[str, str] | None:
        """Title and heading of a section, or of the article for the anchor ``""``; None where there is none."""
        if not (_is_text(article_id) and _is_text(anchor)):
            return None
        sql = "SELECT a.title, s.heading FROM articles a JOIN sections s ON s.article = a.number WHERE a.id = ?"
        found = (
            self._all(f"{sql} AND s.anchor = ?", article_id, anchor)
            if anchor
            else self._all("SELECT title, '' FROM articles WHERE id = ?", article_id)
        )
        return tuple(found[0]) if found else None

    def _entries(self, rows: list[Any]) -> list[Entry]:
        from kbsearch.handles import Entry  # which a search does without

        with self._as_corrupt():
            return [
                Entry(
                    handle, None if article is None else (article, anchor),
                    tuple((name, float(share)) for name, share in json.loads(successors)),
                    bool(moved), since, title, heading, sketch,
                )
                for handle, article, anchor, successors, moved, since, title, heading, sketch in rows
            ]  # fmt: skip

    def versions(self) -> list[tuple[str, str, str]]:
        """(path, id, SHA-256) of every article."""
        return self._all("SELECT path, id, sha256 FROM articles ORDER BY path")

    def pages(self, paths: Collection[str] | None = None) -> Iterator[tuple[str, str, str, tuple[Section, ...]]]:
        """(id, path, title, sections) of the articles of some files, or of all, in order of path."""
        found = self._all("SELECT number, id, path, title FROM articles ORDER BY path")
        for number, article_id, path, title in found:
            if paths is None or path in paths:
                yield article_id, path, title, self._sections(number)

    def _sections(self, number: int) -> tuple[Section, ...]:
        sql = "SELECT anchor, heading, headings, level, kind, first, last, markdown FROM sections WHERE article = ?"
        rows = self._all(f"{sql} ORDER BY ordinal", number)
        with self._as_corrupt():
            return tuple(
                Section(anchor, heading, tuple(json.loads(headings)), level, kind, (first, last), markdown)
                for anchor, heading, headings, level, kind, first, last, markdown in rows
            )

    def sections_saying(self, markdown: Collection[str]) -> Iterator[tuple[str, str, str]]:
        """(id of the article, anchor, Markdown) of the sections whose source is one of some. Reads all of them."""
        sql = "SELECT a.id, s.anchor, s.markdown FROM sections s JOIN articles a ON a.number = s.article"
        with self._as_corrupt():
            for article_id, anchor, text in self._connection().execute(f"{sql} ORDER BY a.number, s.ordinal"):
                if text in markdown:
                    yield article_id, anchor, text

    def check(self) -> None:
        """Let SQLite look at every page, and read every row."""
        if (answer := self._all("PRAGMA integrity_check")[0][0]) != "ok":
            raise IndexCorrupt(self._file, "a sound database", str(answer).splitlines()[0])
        for (row,) in self._all("SELECT row FROM passages"):
            self._rows[row]

    def _article(self, row: tuple[object, ...]) -> Article:
        number, *values = row
        (
            article_id, path, sha256, title, lang, kind, category, tags, aliases, audience, product, version, status,
            *dates, source, meta, _title_tokens, _chars, _tokens, text,
        ) = values  # fmt: skip
        sections = self._sections(int(str(number)))
        passages = self._passages(int(str(number)), is_served=status == "published")
        valid_from, valid_until, updated, review_by = (_date(value) for value in dates)
        return Article(
            id=str(article_id), path=str(path), sha256=str(sha256), title=str(title), lang=str(lang), kind=str(kind),
            category=str(category), tags=tuple(json.loads(str(tags))), aliases=tuple(json.loads(str(aliases))),
            status=str(status), valid_from=valid_from, valid_until=valid_until, updated=updated, review_by=review_by,
            translation_of=None if source is None else str(source),
            sections=sections,
            passages=tuple(
                Passage(section, str(title), sections[section].headings, passage_text, (first, last))
                for section, passage_text, first, last in passages
            ),
            markdown=str(text), meta=json.loads(str(meta)),
            audience=tuple(json.loads(str(audience))), product=tuple(json.loads(str(product))),
            version=tuple(json.loads(str(version))),
        )  # fmt: skip

    def _passages(self, number: int, *, is_served: bool) -> list[tuple[int, str, int, int]]:
        """Section, text, and first and last line of each passage of an article."""
        if not is_served:
            return self._all(
                "SELECT section, text, first, last FROM unserved WHERE article = ? ORDER BY ordinal", number
            )
        sql = "SELECT row, section FROM passages WHERE article = ? AND alias = '' ORDER BY row"
        found = [(section, self._rows[row]) for row, section in self._all(sql, number)]
        return [(section, shown.text, *shown.lines) for section, shown in found]

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
            if self._delta is not None:
                connection.execute("ATTACH ? AS delta", (self._delta,))
                views = [VIEW.format(table=t, article="number" if t == "articles" else "article") for t in VIEWED]
                connection.executescript(VIEWS + "".join(views))
            if not self._is_scarce:  # else one call for each page reads that page only
                connection.execute(f"PRAGMA mmap_size = {_MAPPED}")
            self._local.connection = connection
        return connection

    @contextmanager
    def _as_corrupt(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, ValueError, TypeError, KeyError) as error:  # also from reading what a row holds
            raise IndexCorrupt(self._file, "a sound database", str(error)) from error


def _uri(file: Path) -> str:
    return f"file:{quote(str(file.resolve()))}?mode=ro&immutable=1"


@lru_cache(maxsize=4096)
def _headings(stored: str) -> tuple[str, ...]:
    return tuple(json.loads(stored))


def _is_text(value: str) -> bool:
    """False with half of a surrogate pair, which no file holds and SQLite does not take."""
    return not any("\ud800" <= char <= "\udfff" for char in value)


def _date(value: object) -> dt.date | None:
    return None if value is None else dt.date.fromisoformat(str(value))
