"""The database of a generation: its tables, and what a query sees in their place where there is a delta."""

from __future__ import annotations

from typing import Final

__all__ = ["CONTACT", "ROWS", "SCHEMA", "VIEW", "VIEWED", "VIEWS"]

CONTACT: Final = "contact"
"""Facet of the articles that say how to reach a person."""

ROWS: Final = ".rows"
"""Ends the name of the file beside the database that has what is shown of each row."""

SCHEMA: Final = """
CREATE TABLE files (path TEXT PRIMARY KEY, sha256 TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE warnings (path TEXT, line INTEGER, code TEXT, message TEXT, fatal INTEGER);
CREATE TABLE handles (
    handle TEXT PRIMARY KEY, article TEXT, anchor TEXT, successors TEXT NOT NULL, moved INTEGER NOT NULL,
    since TEXT NOT NULL, title TEXT NOT NULL, heading TEXT NOT NULL, sketch BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX handles_in_use ON handles (article, anchor, handle) WHERE article IS NOT NULL;
CREATE TABLE articles (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, path TEXT NOT NULL, sha256 TEXT NOT NULL, title TEXT NOT NULL,
    lang TEXT NOT NULL, kind TEXT NOT NULL, category TEXT NOT NULL, tags TEXT NOT NULL, aliases TEXT NOT NULL,
    audience TEXT NOT NULL, product TEXT NOT NULL, version TEXT NOT NULL, status TEXT NOT NULL, valid_from TEXT,
    valid_until TEXT, updated TEXT, review_by TEXT, translation_of TEXT, meta TEXT NOT NULL, title_tokens INTEGER,
    chars INTEGER, tokens INTEGER);
CREATE INDEX articles_in_time ON articles (number, valid_from, valid_until)
    WHERE status = 'published' AND (valid_from IS NOT NULL OR valid_until IS NOT NULL);
CREATE TABLE sources (article INTEGER PRIMARY KEY, markdown TEXT NOT NULL);
CREATE TABLE sections (
    article INTEGER, ordinal INTEGER, anchor TEXT, heading TEXT, headings TEXT, level INTEGER, kind TEXT,
    first INTEGER, last INTEGER, markdown TEXT, PRIMARY KEY (article, ordinal)) WITHOUT ROWID;
CREATE TABLE passages (
    row INTEGER PRIMARY KEY, article INTEGER, section INTEGER, alias TEXT, vector_key TEXT);
CREATE INDEX passages_of_article ON passages (article);
CREATE TABLE unserved (
    article INTEGER, ordinal INTEGER, section INTEGER, text TEXT, first INTEGER, last INTEGER,
    PRIMARY KEY (article, ordinal)) WITHOUT ROWID;
CREATE TABLE facets (field TEXT, value TEXT, article INTEGER, PRIMARY KEY (field, value, article)) WITHOUT ROWID;
CREATE TABLE removed (article INTEGER PRIMARY KEY);
CREATE TABLE removed_files (path TEXT PRIMARY KEY) WITHOUT ROWID;
"""

# With a delta, what every query sees under the names of the tables: both, but what the delta takes away. The warnings
# and the record of handles are all in the delta.
VIEWS: Final = """
CREATE TEMP VIEW files AS
    SELECT * FROM main.files WHERE path NOT IN (SELECT path FROM delta.removed_files) UNION ALL
    SELECT * FROM delta.files;
CREATE TEMP VIEW warnings AS SELECT * FROM delta.warnings;
CREATE TEMP VIEW handles AS SELECT * FROM delta.handles;
"""
VIEW: Final = """
CREATE TEMP VIEW {table} AS
    SELECT * FROM main.{table} WHERE {article} NOT IN (SELECT article FROM delta.removed) UNION ALL
    SELECT * FROM delta.{table};
"""
VIEWED: Final = ("articles", "sources", "sections", "passages", "unserved", "facets")
