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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kbsearch.model import Filter, FloatArray, RowArray

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
_NO_ROWS: Final = np.empty(0, dtype=np.int64)
_NO_SCORES: Final = np.empty(0, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class LexicalRow:
    """What the leg knows of one passage; ``words`` and ``grams`` are terms joined by one space."""

    words: str
    grams: str
    article: int
    lang: str
    kind: str
    categories: tuple[str, ...]
    tags: tuple[str, ...]


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
        return _idf(self.rows, self._doc_freqs(stream, (term,))[term])

    def _doc_freqs(self, stream: Stream, terms: Iterable[str]) -> dict[str, int]:
        """In how many rows each term stands."""
        with _as_corrupt(self._folder):
            ask = self._searcher.doc_freq
            found = {term: ask(stream, term) for term in terms}
        if self._delta is not None:
            added = self._delta.added._doc_freqs(stream, found)  # noqa: SLF001 - one of us
            gone = {term: self._delta.removed_in(stream, term) for term in found}
            found = {term: max(n - gone[term], 0) + added[term] for term, n in found.items()}  # ids may collide
        return found

    def _chosen(self, counts: Mapping[str, int], known: Mapping[str, int]) -> list[tuple[str, int]]:
        if len(counts) <= MAX_TERMS:
            return list(counts.items())
        rarest = sorted((term for term in counts if known[term]), key=lambda term: (known[term], term))
        return [(term, counts[term]) for term in rarest[:MAX_TERMS]]

    def _ask(self, stream: Stream, terms: tuple[str, ...]) -> AskedTerms:
        counts = Counter(terms)
        known = self._doc_freqs(stream, counts)
        idfs = {term: _idf(self.rows, n) for term, n in known.items()}
        chosen = self._chosen(counts, known)
        ceiling = sum(count * idfs[term] * (BM25_K1 + 1) for term, count in chosen)
        if self._delta is None:
            return AskedTerms(self._query(stream, chosen), ceiling, idfs, dict(chosen))
        own = self._weighed(stream, chosen, idfs)
        added = self._delta.added._weighed(stream, chosen, idfs)  # noqa: SLF001 - one of us
        return AskedTerms(own, ceiling, idfs, dict(chosen), added)

    def _weighed(
        self, stream: Stream, chosen: Sequence[tuple[str, int]], idfs: Mapping[str, float]
    ) -> tantivy.Query | None:
        """Terms that count by these idf where their own would be those of this index alone."""
        with _as_corrupt(self._folder):
            own = {term: _idf(self._documents, self._searcher.doc_freq(stream, term)) for term, _ in chosen}
        return self._query(stream, [(term, count * idfs[term] / own[term]) for term, count in chosen])

    def _query(self, stream: Stream, chosen: Sequence[tuple[str, float]]) -> tantivy.Query | None:
        parts = []
        for term, count in chosen:
            query = tantivy.Query.term_query(self._schema, stream, term, index_option="freq")
            if count != 1:
                query = tantivy.Query.boost_query(query, float(count))
            parts.append((tantivy.Occur.Should, query))
        return tantivy.Query.boolean_query(parts) if parts else None

    def _restricted(self, query: tantivy.Query, where: Filter | None, excluded: Sequence[int]) -> tantivy.Query:
        clauses = [(tantivy.Occur.Must, query)]
        fields = {} if where is None else {"lang": where.lang, "kind": where.kind, "category": where.category}
        if where is not None:
            fields["tag"] = where.tags
        for field, values in fields.items():
            if values:
                terms = tantivy.Query.term_set_query(self._schema, field, list(values))
                clauses.append((tantivy.Occur.Must, tantivy.Query.const_score_query(terms, 0.0)))
        if excluded:
            articles = tantivy.Query.term_set_query(self._schema, "article", list(excluded))
            clauses.append((tantivy.Occur.MustNot, articles))
        return query if len(clauses) == 1 else tantivy.Query.boolean_query(clauses)

    def _top(self, query: tantivy.Query, k: int) -> tuple[RowArray, FloatArray]:
        """The k best in the total order; fetches more until the k-th is told apart from what was not fetched."""
        k = min(
            k, self._documents
        )  # tantivy sets aside room for as many as it is asked for, and aborts when there is none
        limit = min(k + _TIE_MARGIN, self._documents)
        while True:
            rows, scores = self._fetch(query, limit)
            if len(rows) < limit or scores[-1] < scores[k - 1] or limit >= self._documents:
                break
            limit = min(limit * 4, self._documents)
        order = np.lexsort((rows, -scores))[:k]
        return rows[order], scores[order]

    def _fetch(self, query: tantivy.Query, limit: int) -> tuple[RowArray, FloatArray]:
        hits = self._searcher.search(query, limit=limit, count=False).hits
        if not hits:
            return _NO_ROWS, _NO_SCORES
        numbers = self._searcher.fast_field_values("row", [address for _, address in hits])
        if None in numbers:
            raise ValueError("a document without its row")
        rows = np.array(numbers, dtype=np.int64)
        scores = np.array([score for score, _ in hits], dtype=np.float32)
        positive = scores > 0
        return (rows, scores) if positive.all() else (rows[positive], scores[positive])


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
    for field in ("lang", "kind", "category", "tag"):
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
