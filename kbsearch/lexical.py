"""The lexical leg: BM25 over words and over grams. tantivy lives here and nowhere else.

A passage is one document with two fields, ``words`` and ``grams``. Title, headings, aliases and body are one field with
the terms of each part repeated by its weight: BM25F as weighted term frequencies before saturation (Robertson, Zaragoza
& Taylor 2004, "Simple BM25 extension to multiple weighted fields", eq. 4), which costs one posting list a term however
many parts there are.

Scores are tantivy's BM25: k1 = 1.2, b = .75, idf = ln(1 + (N - n + .5) / (n + .5)), document length rounded down to one
of 256 steps (Lucene's small float). ``kbsearch verify --exact`` and the tests recompute them with rank-bm25.

Use: :func:`write_lexical` once, then :class:`LexicalIndex` from as many threads as you like. Filters work before
ranking.

Never: let a document or an order of tantivy's out of here; rows only. A folder is never written after it was made.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
import tantivy

from kbsearch.errors import IndexCorrupt
from kbsearch.scope import SCOPES, or_everyone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kbsearch.model import Filter, FloatArray, RowArray

    _Hits = Sequence[tuple[float, tantivy.DocAddress]]

__all__ = [
    "BM25_B",
    "BM25_K1",
    "AskedTerms",
    "LexicalDelta",
    "LexicalIndex",
    "LexicalRow",
    "Stream",
    "quantised_length",
    "write_lexical",
]

Stream = Literal["words", "grams"]

BM25_K1: Final = 1.2
BM25_B: Final = 0.75
MAX_TERMS: Final = 64
"""A longer question is asked by its rarest terms only: the common ones cost most and say least."""

_HEAP_BYTES = 512_000_000  # one segment for some 300,000 passages; rows stay in order inside a segment
_TIE_MARGIN = 16
_SPARE_OF_BASE: Final = 4  # with a delta, some have another place than by the mean length of the base: a quarter more
_TIMES_OF_DELTA: Final = 4  # a few articles can be far longer or shorter than all others
_REMEMBERED: Final = 64
_MOST_KNOWN: Final = 20_000  # terms; 15 MB
_NO_ROWS: Final = np.empty(0, dtype=np.int64)
_NO_SCORES: Final = np.empty(0, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class LexicalRow:
    """What the leg knows of one passage; ``words`` and ``grams`` are terms joined by one space.

    ``scope`` is what :func:`kbsearch.scope.scope_terms` gives.
    """

    words: str
    grams: str
    article: int
    lang: str
    kind: str
    categories: tuple[str, ...]
    tags: tuple[str, ...]
    scope: tuple[tuple[str, str], ...] = ()


def write_lexical(folder: Path, rows: Iterable[LexicalRow]) -> None:
    """Write the index of ``rows``, numbered from 0 as they come, into a new folder.

    Raises
    ------
    OSError
        When the disk does not take it.
    """
    folder.mkdir()
    with _as_failed_write(folder):
        index = tantivy.Index(_schema(), path=str(folder))
        writer = index.writer(heap_size=_HEAP_BYTES, num_threads=1)  # one thread keeps documents in the order of rows
    try:
        for number, row in enumerate(rows):  # which may be made only now: its errors are no failed write
            document = _document(number, row)
            with _as_failed_write(folder):
                writer.add_document(document)
        with _as_failed_write(folder):
            writer.commit()
            writer.wait_merging_threads()
    finally:
        del writer  # its thread ends before anybody removes the folder
    for lock in folder.glob(".tantivy-*.lock"):
        lock.unlink()


@contextmanager
def _as_failed_write(folder: Path) -> Iterator[None]:
    """Tantivy reports it as ValueError."""
    try:
        yield
    except ValueError as error:
        raise OSError(f"{folder.name}: {error}") from error


def _document(number: int, row: LexicalRow) -> tantivy.Document:
    document = tantivy.Document()
    document.add_text("words", row.words)
    document.add_text("grams", row.grams)
    document.add_unsigned("row", number)
    document.add_unsigned("article", row.article)
    document.add_text("lang", row.lang)
    document.add_text("kind", row.kind)
    for category in row.categories:
        document.add_text("category", category)
    for tag in row.tags:
        document.add_text("tag", tag)
    for field, value in row.scope:
        document.add_text(field, value)
    return document


class AskedTerms(NamedTuple):
    """The terms of a question in one stream, ready to be looked for.

    ``idfs`` has each distinct term, ``boosts`` those that are asked for, and how often each counts; ``ceiling`` is the
    most that BM25 can give to these: every term saturated, Σ idf · (k1 + 1). ``in_added`` is the query for a delta.
    """

    query: tantivy.Query | None
    ceiling: float
    idfs: Mapping[str, float]
    boosts: Mapping[str, int]
    in_added: tantivy.Query | None = None


class _Known(NamedTuple):
    """In how many rows a term stands, its idf, its query, and how often one occurrence counts here and in a delta.

    Each index knows its own idf only, where that of both together is to count.
    """

    n: int
    idf: float
    query: tantivy.Query
    own: float
    added: float


class LexicalDelta(NamedTuple):
    """What adds to an index and takes from it: ``added`` holds rows numbered from ``first_row`` on.

    ``removed`` are the articles of the index beside it that count no more, ``removed_rows`` how many rows they have,
    and ``removed_in`` in how many of these a term of a stream stands.
    """

    added: LexicalIndex
    first_row: int
    removed: tuple[int, ...]
    removed_rows: int
    removed_in: Callable[[Stream, str], int]


class LexicalIndex:
    """An open lexical leg; immutable, shared between threads.

    Parameters
    ----------
    folder
        As :func:`write_lexical` left it. It may be on a read-only disk.
    delta
        What changed since. All figures (rows, frequencies, idf) are then those of both together.

    Raises
    ------
    IndexCorrupt
        When tantivy cannot read it.
    """

    def __init__(self, folder: Path, delta: LexicalDelta | None = None) -> None:
        self._folder = folder
        self._delta = delta
        self._schema = _schema()
        with _as_corrupt(folder):
            self._searcher = _open_searcher(folder)
        self._documents: int = self._searcher.num_docs
        self.rows: int = self._documents
        if delta is not None:
            self.rows += delta.added.rows - delta.removed_rows
        # A question is looked up by its legs, its features and its snippets: its terms are prepared once.
        self._remembered: dict[tuple[str, tuple[str, ...]], AskedTerms] = {}
        self._terms: dict[tuple[str, str], _Known] = {}

    def search(
        self, stream: Stream, terms: Sequence[str], k: int, where: Filter | None = None, excluded: Sequence[int] = ()
    ) -> tuple[RowArray, FloatArray]:
        """Rank passages by BM25.

        Parameters
        ----------
        stream
            Which field, ``"words"`` or ``"grams"``.
        terms
            Analysed terms of the question; a repeated term counts as often.
        k
            At most so many rows.
        where
            Only rows that match it take part.
        excluded
            Article numbers that take no part.

        Returns
        -------
        rows : int64, shape (n,), n ≤ k
        scores : float32, shape (n,)
            Greater than 0, descending; equal scores by ascending row. With a delta, those of each in that order, more
            than k, their scores with the mean length of their own index: proposals, to be scored by
            :class:`kbsearch.tokens.TokenIndex`.
        """
        asked = self.asked(stream, terms)
        query = asked.query
        if query is None or k <= 0:
            return _NO_ROWS, _NO_SCORES
        if self._delta is None:
            return self._found(query, k, where, excluded)
        rows, scores = self._found(query, k + k // _SPARE_OF_BASE, where, (*excluded, *self._delta.removed))
        added, in_added = self._delta.added, asked.in_added or query
        more, more_scores = added._found(in_added, _TIMES_OF_DELTA * k, where, excluded)  # noqa: SLF001 - one of us
        return np.concatenate([rows, more + self._delta.first_row]), np.concatenate([scores, more_scores])

    def propose(
        self, stream: Stream, terms: Sequence[str], k: int, where: Filter | None = None, excluded: Sequence[int] = ()
    ) -> RowArray:
        """The rows of :meth:`search` in any order, for who scores them anyway: int64, shape (n,)."""
        if self._delta is not None:
            return self.search(stream, terms, k, where, excluded)[0]
        query = self.asked(stream, terms).query
        if query is None or k <= 0 or self._documents == 0:
            return _NO_ROWS
        with _as_corrupt(self._folder):
            query, k = self._restricted(query, where, excluded), min(k, self._documents)
            hits = self._hits(query, k + _TIE_MARGIN)
            if len(hits) <= k or hits[k][0] < hits[k - 1][0]:
                return self._rows_of(hits[:k])
            return self._first(query, hits, k)[0]  # a tie at the edge

    def _found(
        self, query: tantivy.Query, k: int, where: Filter | None, excluded: Sequence[int]
    ) -> tuple[RowArray, FloatArray]:
        if self._documents == 0:
            return _NO_ROWS, _NO_SCORES
        with _as_corrupt(self._folder):
            return self._top(self._restricted(query, where, excluded), k)

    def asked(self, stream: Stream, terms: Sequence[str]) -> AskedTerms:
        """Terms as they are looked for; a repeated one counts as often."""
        key = (stream, tuple(terms))
        asked = self._remembered.get(key)
        if asked is None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            asked = self._remembered[key] = self._ask(*key)
        return asked

    def idf(self, stream: Stream, term: str) -> float:
        """ln(1 + (N - n + .5) / (n + .5)) of one term; the greatest possible for an unknown one."""
        return self._known(stream, term).idf

    def _known(self, stream: Stream, term: str) -> _Known:
        """What every question with this term needs; most terms of a question come again in others."""
        found = self._terms.get((stream, term))
        if found is None:
            if len(self._terms) >= _MOST_KNOWN:
                self._terms.clear()
            found = self._terms[stream, term] = self._know(stream, term)
        return found

    def _know(self, stream: Stream, term: str) -> _Known:
        with _as_corrupt(self._folder):
            own = n = self._searcher.doc_freq(stream, term)
        query = tantivy.Query.term_query(self._schema, stream, term, index_option="freq")
        if self._delta is None:
            return _Known(n, _idf(self.rows, n), query, 1.0, 1.0)
        delta = self._delta
        added = delta.added._known(stream, term)  # noqa: SLF001 - one of us
        n = max(n - delta.removed_in(stream, term), 0) + added.n  # ids may collide
        idf = _idf(self.rows, n)
        return _Known(n, idf, query, idf / _idf(self._documents, own), idf / added.idf)

    def _ask(self, stream: Stream, terms: tuple[str, ...]) -> AskedTerms:
        counts = Counter(terms)
        known = {term: self._known(stream, term) for term in counts}
        idfs = {term: found.idf for term, found in known.items()}
        chosen: Iterable[str] = counts
        if len(counts) > MAX_TERMS:
            chosen = sorted((term for term in counts if known[term].n), key=lambda term: (known[term].n, term))[
                :MAX_TERMS
            ]
        boosts = {term: counts[term] for term in chosen}
        ceiling = sum(count * idfs[term] * (BM25_K1 + 1) for term, count in boosts.items())
        own = _either([(known[term].query, count * known[term].own) for term, count in boosts.items()])
        if self._delta is None:
            return AskedTerms(own, ceiling, idfs, boosts)
        added = _either([(known[term].query, count * known[term].added) for term, count in boosts.items()])
        return AskedTerms(own, ceiling, idfs, boosts, added)

    def _restricted(self, query: tantivy.Query, where: Filter | None, excluded: Sequence[int]) -> tantivy.Query:
        clauses = [(tantivy.Occur.Must, query)]
        fields = {} if where is None else {"lang": where.lang, "kind": where.kind, "category": where.category}
        if where is not None:
            fields["tag"] = where.tags
            fields |= {field: or_everyone(getattr(where, field)) for field in SCOPES}
        for field, values in fields.items():
            if values:
                terms = tantivy.Query.term_set_query(self._schema, field, list(values))
                clauses.append((tantivy.Occur.Must, tantivy.Query.const_score_query(terms, 0.0)))
        if excluded:
            articles = tantivy.Query.term_set_query(self._schema, "article", list(excluded))
            clauses.append((tantivy.Occur.MustNot, articles))
        return query if len(clauses) == 1 else tantivy.Query.boolean_query(clauses)

    def _top(self, query: tantivy.Query, k: int) -> tuple[RowArray, FloatArray]:
        """The k best in the total order."""
        k = min(k, self._documents)  # tantivy sets aside room for as many as it is asked for, and aborts without
        return self._first(query, self._hits(query, k + _TIE_MARGIN), k)

    def _hits(self, query: tantivy.Query, limit: int) -> _Hits:
        found: _Hits = self._searcher.search(query, limit=min(limit, self._documents), count=False).hits
        return found

    def _first(self, query: tantivy.Query, hits: _Hits, k: int) -> tuple[RowArray, FloatArray]:
        """The k best of ``hits``; asks for more until the k-th is told apart from what was not fetched."""
        limit = k + _TIE_MARGIN
        while limit < self._documents and len(hits) == limit and hits[-1][0] == hits[k - 1][0]:
            limit *= 4
            hits = self._hits(query, limit)
        rows, scores = self._rows_of(hits), np.array([score for score, _ in hits], dtype=np.float32)
        order = np.lexsort((rows, -scores))[:k]
        rows, scores = rows[order], scores[order]
        positive = scores > 0
        return (rows, scores) if positive.all() else (rows[positive], scores[positive])

    def _rows_of(self, hits: _Hits) -> RowArray:
        if not hits:
            return _NO_ROWS
        numbers = self._searcher.fast_field_values("row", [address for _, address in hits])
        if None in numbers:
            raise ValueError("a document without its row")
        return np.array(numbers, dtype=np.int64)


def _either(parts: Sequence[tuple[tantivy.Query, float]]) -> tantivy.Query | None:
    """Any of some terms, each as often as it counts."""
    if not parts:
        return None
    boost, should = tantivy.Query.boost_query, tantivy.Occur.Should
    return tantivy.Query.boolean_query(
        [(should, query if count == 1 else boost(query, float(count))) for query, count in parts]
    )


def _idf(rows: int, n: int) -> float:
    return math.log(1 + (rows - n + 0.5) / (n + 0.5))


def quantised_length(length: int) -> int:
    """The document length that BM25 sees: ``length`` rounded down as its one byte stores it.

    Lengths below 40 are exact; above, they keep the top four bits (Lucene's ``SmallFloat.intToByte4``).
    """
    free = 24  # values that are stored as they are before the float part begins
    if length < free:
        return length
    rest = length - free
    bits = rest.bit_length()
    kept = 4
    if bits <= kept:
        return length
    shift = bits - kept
    return free + ((rest >> shift) << shift)


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    for stream in ("words", "grams"):
        builder.add_text_field(stream, tokenizer_name="whitespace", index_option="freq")
    for number in ("row", "article"):
        builder.add_unsigned_field(number, indexed=True, fast=True)
    for field in ("lang", "kind", "category", "tag", *SCOPES):
        builder.add_text_field(field, tokenizer_name="raw", index_option="basic")
    return builder.build()


def _open_searcher(folder: Path) -> tantivy.Searcher:
    """Open through a folder of links: tantivy wants to create a lock file, and ours may be read-only."""
    view = _temporary_folder()
    try:
        for file in folder.iterdir():
            (view / file.name).symlink_to(file.resolve())
        index = tantivy.Index.open(str(view))
        index.config_reader(reload_policy="manual", num_warmers=0)  # no thread that watches the folder
        return index.searcher()
    finally:
        shutil.rmtree(view, ignore_errors=True)  # the segment files stay mapped


def _temporary_folder() -> Path:
    """Anywhere that can be written, be it memory: a machine may have no writable disk at all."""
    try:
        return Path(tempfile.mkdtemp(prefix="kbsearch-"))
    except FileNotFoundError:
        return Path(tempfile.mkdtemp(prefix="kbsearch-", dir="/dev/shm"))


@contextmanager
def _as_corrupt(folder: Path) -> Iterator[None]:
    """Tantivy reports damage as ValueError, as OSError, or as a Rust panic, which is a BaseException."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, ValueError | OSError) or type(error).__name__ == "PanicException":
            raise IndexCorrupt(
                folder, "a readable lexical index", str(error).splitlines()[0] if str(error) else "none"
            ) from error
        raise
