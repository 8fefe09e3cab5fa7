"""The lexical leg: which rows hold a question's words and grams best, by BM25 (:mod:`kbsearch.bm25`).

It is the tokens of :mod:`kbsearch.tokens` turned round: for each term the rows that hold it, and what it is worth in
each, a share of the most that BM25 can give, in 16 bits. ``core/invert.c`` builds it, and ``core/postings.c`` finds the
best rows without looking at all that hold a common term. Its sums decide which rows are proposed; scores are those of
the tokens.

On disk: ``terms.npy``, two uint32 a term, ascending: its number, and its first entry; ``entries.npy``, two uint32 for
each block of 8,192 rows that has the term: its first posting, and in the upper half the block, in the lower the most
that the term is worth there; ``posts.npy``, one uint32 a posting: the row's place in the block, and what the term is
worth. Behind the last term and the last entry stands one more, so that each ends where the next begins.

Use: :func:`write_lexical` in a build, then :class:`LexicalIndex` from as many threads as you like. Filters work before
ranking.
"""

from __future__ import annotations

from collections import Counter
from operator import mul
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from kbsearch import native, structures
from kbsearch.bm25 import BM25_B, BM25_K1, STREAMS, Stream, idf, term_id
from kbsearch.columns import FITTING, INSIDE, load_column, save_column, soundly

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray
    from kbsearch.tokens import TokenIndex

__all__ = ["MAX_TERMS", "Asked", "LexicalDelta", "LexicalIndex", "write_lexical"]

MAX_TERMS: Final = 64  # as core/postings.c has it
"""A longer question is asked by its rarest terms only: the common ones cost most and say least."""

_COLUMNS: Final = ("terms", "entries", "posts")
_MOST_POSTS: Final = 1 << 32
_MOST_ROWS: Final = 1 << 29  # 65,536 blocks
_FIRST_ROOM: Final = 1 << 16  # places in the table of terms; more when they are taken
_TIE_MARGIN: Final = 16
_ROUNDING: Final = 2 * 258  # of two sums, in their units, for each term: two roundings by half of 256, and two by 1
_SPARE_OF_BASE: Final = 4  # with a delta, some have another place than by the mean length of the base: a quarter more
_TIMES_OF_DELTA: Final = 4  # a few articles can be far longer or shorter than all others
_MOST_KNOWN: Final = 20_000  # terms
_NO_ROWS: Final = np.empty(0, dtype=np.int64)
_NO_SCORES: Final = np.empty(0, dtype=np.float32)


def write_lexical(folder: Path, tokens: TokenIndex, mean_lengths: tuple[float, float] | None = None) -> None:
    """Write the index of the rows of ``tokens`` into a new folder.

    ``mean_lengths`` are those of a row in words and in grams where it is ranked with others, by default its own.

    Raises
    ------
    OSError
        When the disk does not take it.
    """
    folder.mkdir()
    opened = tokens.opened[0]
    tables = _tables(opened)
    seats = np.flatnonzero(tables.rows)
    seats = seats[np.argsort(tables.ids[seats])]
    n_posts, n_entries = int(tables.rows[seats].sum(dtype=np.int64)), int(tables.blocks[seats].sum(dtype=np.int64))
    if n_posts >= _MOST_POSTS or opened.n_rows > _MOST_ROWS:
        raise OverflowError(
            f"{n_posts:,} pairs of a term and one of {opened.n_rows:,} passages are more than an index holds"
        )
    first_posts, first_entries = (_firsts(counts[seats]) for counts in (tables.rows, tables.blocks))
    terms = np.zeros((len(seats) + 1, 2), np.uint32)
    terms[:-1, 0], terms[:, 1] = tables.ids[seats], first_entries
    save_column(folder / "terms.npy", terms.ravel())
    next_post, next_entry = (np.zeros(len(tables.ids), np.uint32) for _ in range(2))
    next_post[seats], next_entry[seats] = first_posts[:-1], first_entries[:-1]
    entries = np.zeros(2 * (n_entries + 1), np.uint32)
    entries[-2] = n_posts
    posts = np.empty(n_posts, np.uint32)  # not a mapped file: a full disk would end the process
    tables.last[:] = 0
    means = np.array(mean_lengths or tokens.mean_lengths, np.float32)
    native.fill_postings(opened, tables, (next_post, next_entry), entries, posts, (means, BM25_K1, BM25_B))
    save_column(folder / "entries.npy", entries)
    save_column(folder / "posts.npy", posts)


def _tables(tokens: structures.Tokens) -> native.TermTables:
    room = _FIRST_ROOM
    while True:  # nearly all terms come early, so that one that is too small soon shows
        tables = native.TermTables(*(np.zeros(room, np.uint32) for _ in range(4)))
        if native.count_terms(tokens, tables) < room:
            return tables
        room *= 4


def _firsts(counts: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Where each of some runs begins that stand one behind the other, and where the last ends."""
    found: NDArray[np.uint32] = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.uint32)
    return found


class Asked(NamedTuple):
    """A wording, ready to be looked for and to be compared with rows.

    The ceilings are the most that BM25 can give to its words and its grams: every term saturated, Σ idf · (k1 + 1).
    """

    terms: structures.Asked
    words_ceiling: float
    grams_ceiling: float


class _Known(NamedTuple):
    """A term's number, in how many rows it stands, and its idf."""

    id: int
    n: int
    idf: float


class LexicalDelta(NamedTuple):
    """What adds to an index and takes from it: the rows of ``added`` come behind those of the index.

    ``removed`` are the rows of the index that count no more, bool, shape (rows,), and ``removed_in`` says in how many
    of these the term of a number stands.
    """

    added: LexicalIndex
    removed: NDArray[np.bool_]
    removed_in: Callable[[int], int]


class LexicalIndex:
    """An open lexical leg; immutable, shared between threads.

    Parameters
    ----------
    folder
        As :func:`write_lexical` left it.
    tokens
        What it was written of, with the same delta.
    delta
        What changed since. All figures (rows, frequencies, idf) are then those of both together.

    Raises
    ------
    IndexCorrupt
        When it is something else; also from any method, when a place leads out of a file.

    Attributes
    ----------
    rows
        How many count.
    """

    def __init__(self, folder: Path, tokens: TokenIndex, delta: LexicalDelta | None = None) -> None:
        self._folder, self._tokens, self._delta = folder, tokens, delta
        columns: dict[str, NDArray[Any]] = {name: load_column(folder / f"{name}.npy", np.uint32) for name in _COLUMNS}
        self._open = soundly(folder, FITTING, structures.Postings, columns, tokens.opened[0].n_rows)
        self.rows: int = self._open.n_rows
        self._served: NDArray[np.bool_] | None = None
        parts = [self._open]
        if delta is not None:
            parts.append(delta.added._open)  # noqa: SLF001 - one of us
            self.rows += delta.added.rows - int(np.count_nonzero(delta.removed))
            self._served = np.concatenate([~delta.removed, np.ones(delta.added.rows, np.bool_)])
        self._lexicon = structures.Lexicon(parts)
        # Most terms of a question come again in others.
        self._terms: dict[Stream, dict[str, _Known]] = {stream: {} for stream in STREAMS}

    def asked(self, words: Sequence[str], grams: Sequence[str]) -> Asked:
        """The terms of a question as they are looked for; a repeated one counts as often.

        Of more than ``MAX_TERMS`` of a stream only the rarest are looked for.
        """
        ids: list[int] = []
        idfs: list[float] = []
        boosts: list[int] = []
        flags: list[int] = []
        ceilings: list[float] = []
        for stream, terms, gram in zip(STREAMS, (words, grams), (0, structures.GRAM), strict=True):
            known = self._known(stream, terms)
            counts: Mapping[str, int] = dict.fromkeys(terms, 1)
            if len(counts) < len(terms):
                counts = Counter(terms)
            if len(counts) > MAX_TERMS:
                held = [term for term in counts if known[term].n]
                chosen = set(sorted(held, key=lambda term: (known[term].n, term))[:MAX_TERMS])
                counts = {term: count if term in chosen else 0 for term, count in counts.items()}
            some = [known[term] for term in counts]
            own = [term.idf for term in some]
            ids += [term.id for term in some]
            idfs += own
            boosts += counts.values()
            flags += [gram | structures.ASCII if term.isascii() else gram for term in counts]
            ceilings.append(sum(map(mul, counts.values(), own)))
        terms_asked = structures.Asked(
            np.array(ids, np.uint32), np.array(idfs, np.float32), np.array(boosts, np.float32),
            np.array(flags, np.uint8), self._tokens.mean_lengths, BM25_K1, BM25_B,
        )  # fmt: skip
        return Asked(terms_asked, *(ceiling * (BM25_K1 + 1) for ceiling in ceilings))

    def idf(self, stream: Stream, term: str) -> float:
        """ln(1 + (N - n + .5) / (n + .5)) of one term; the greatest possible for an unknown one."""
        return self._known(stream, [term])[term].idf

    def _known(self, stream: Stream, terms: Collection[str]) -> Mapping[str, _Known]:
        known = self._terms[stream]
        missing = [term for term in dict.fromkeys(terms) if term not in known]
        if missing:
            if len(known) > _MOST_KNOWN:  # another one: who reads in the old one goes on
                known = self._terms[stream] = {term: known[term] for term in terms if term in known}
            ids = [term_id(stream, term) for term in missing]
            for term, number, n in zip(missing, ids, self._frequencies(ids), strict=True):
                known[term] = _Known(number, n, idf(self.rows, n))
        return known

    def _frequencies(self, ids: Sequence[int]) -> list[int]:
        """In how many rows each term stands."""
        held = soundly(self._folder, INSIDE, native.frequencies, self._open, np.array(ids, np.uint32))
        own: list[int] = held.tolist()
        if self._delta is None:
            return own
        added, gone = self._delta.added._frequencies(ids), map(self._delta.removed_in, ids)  # noqa: SLF001 - one of us
        return [max(n - less, 0) + more for n, less, more in zip(own, gone, added, strict=True)]  # numbers may collide

    def search(
        self, stream: Stream, terms: Sequence[str], k: int, admitted: NDArray[np.bool_] | None = None
    ) -> tuple[RowArray, FloatArray]:
        """Rank passages by BM25.

        Parameters
        ----------
        stream
            Which terms of a row, ``"words"`` or ``"grams"``.
        terms
            Analysed terms of the question; a repeated term counts as often.
        k
            At most so many rows.
        admitted
            Rows that take part, bool, shape (all rows of the index and its delta,); by default those that count.

        Returns
        -------
        rows : int64, shape (n,), n ≤ k
        scores : float32, shape (n,)
            Greater than 0, descending; equal scores by ascending row.

        The postings of a base keep the mean lengths that they were written with. With a delta, a quarter more of its
        rows are scored; one can still be missed where the delta's rows are some thirty times as long.
        """
        gram = stream == "grams"
        asked = self.asked((), terms).terms if gram else self.asked(terms, ()).terms
        k = min(max(k, 0), self._lexicon.rows)
        rows = self._surely(asked, stream, k, admitted) if k else _NO_ROWS
        if not len(rows):
            return _NO_ROWS, _NO_SCORES
        rows.sort()
        scores = self._tokens.describe(asked, rows)[gram]
        order = np.lexsort((rows, -scores))[:k]
        return rows[order], scores[order]

    def _surely(self, asked: structures.Asked, stream: Stream, k: int, admitted: NDArray[np.bool_] | None) -> RowArray:
        """Rows among which the k best are, whatever was rounded in the postings."""
        more, error = _TIE_MARGIN, _ROUNDING * min(asked.n, MAX_TERMS)
        while True:
            limits = self._limits(min(k + more, self._lexicon.rows))
            rows, scores = self._found(self._proposals([asked], (stream,), limits, admitted))
            if self._delta is not None or len(rows) < limits[0] or k + more >= self._lexicon.rows:
                return rows
            worst = np.sort(scores)[::-1]
            if int(worst[k - 1]) - int(worst[-1]) > error:
                return rows
            more *= 4

    def propose(
        self,
        questions: Sequence[structures.Asked],
        streams: Sequence[Stream],
        k: int,
        admitted: NDArray[np.bool_] | None = None,
    ) -> RowArray:
        """The rows of :meth:`search` of each question in each stream, in any order: int64, shape (n,).

        For who scores them anyway: where rows differ by the rounding of the postings only, others may be among them,
        and with a delta there are more.
        """
        return self._found(self._proposals(questions, streams, self._limits(k), admitted))[0]

    def propose_later(
        self,
        questions: Sequence[structures.Asked],
        streams: Sequence[Stream],
        k: int,
        admitted: NDArray[np.bool_] | None = None,
    ) -> Callable[[], RowArray]:
        """Gives the same; another core, where one is idle, looks for them meanwhile."""
        proposals = self._proposals(questions, streams, self._limits(k), admitted)
        proposals.begin()
        return lambda: self._found(proposals)[0]

    def _limits(self, k: int) -> tuple[int, int]:
        """How many rows of the index and of its delta to look for."""
        return (k, 0) if self._delta is None else (k + k // _SPARE_OF_BASE, _TIMES_OF_DELTA * k)

    def _proposals(
        self,
        questions: Sequence[structures.Asked],
        streams: Sequence[Stream],
        limits: tuple[int, int],
        admitted: NDArray[np.bool_] | None,
    ) -> native.Proposals:
        allowed = self._served if admitted is None else admitted
        numbers = [STREAMS.index(stream) for stream in streams]
        return native.Proposals(self._lexicon, questions, numbers, limits, allowed)

    def _found(self, proposals: native.Proposals) -> tuple[RowArray, NDArray[np.uint32]]:
        return soundly(self._folder, INSIDE, proposals.found)
