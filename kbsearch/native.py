"""The compiled inner loops (the folder ``core``): arrays in, arrays out.

The library is built when kbsearch is installed (``hatch_build.py``) and loaded when the first question needs it. Calls
let go of the interpreter's lock, so that several threads may search at once.

Use: the functions below, with C-contiguous arrays of the dtypes that they name; a wrong one is an ``AssertionError``,
damage that the library found in a file is a :class:`kbsearch.structures.Damaged`.

Never: keep a pointer longer than the array that it points into; each structure (:mod:`kbsearch.structures`) holds its
arrays.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from kbsearch.bm25 import STREAMS
from kbsearch.errors import NativeMissing
from kbsearch.structures import (
    BOOL,
    F32,
    FEATURES,
    HEAD,
    I64,
    MARK,
    MATCH,
    PER_ROW,
    QUOTE,
    SPAN,
    SPANS,
    U32,
    Address,
    Asked,
    Asking,
    Corpus,
    Damaged,
    Forest,
    Lexicon,
    Long,
    Models,
    Pooled,
    Postings,
    Proposal,
    Quotes,
    Quoting,
    Scale,
    Tokens,
    Way,
    Ways,
    address,
    place,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ctypes import Array

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray

__all__ = [
    "LIBRARY",
    "Judged",
    "Proposals",
    "TermTables",
    "best_rows",
    "check",
    "count_terms",
    "crowd",
    "describe",
    "dots",
    "features",
    "fill_postings",
    "frequencies",
    "judge",
    "matches",
    "opened",
    "pool",
    "quote_articles",
    "trees",
    "usable_cores",
]

LIBRARY: Final = Path(__file__).with_name("_core.so")
VERSION: Final = 10

_MARKS_PER_ROW: Final = 64
_MOST_MARKS: Final = 100_000
_FIELDS: Final = 6
_NO_MEMORY: Final = -2
_SCRATCH: Final = 8


class Judged(NamedTuple):
    """The articles of a pool, m of them, ascending.

    Attributes
    ----------
    numbers : int64, shape (m,)
    begins : int64, shape (m + 1,)
        Where the rows of each article begin in the pool, and where the last ones end.
    features : float32, shape (m, FEATURES)
    raw, scores : float32, shape (m,)
        Of the ranking, and the same with the versions of one article in their order; empty without a ranker.
    chances : float32, shape (m,)
        The probabilities of ``scores``.
    order : int64, shape (m,)
        Places of the articles from best to worst.
    head : float32, shape (HEAD,)
        The head of the ranking, see :mod:`kbsearch.confidence`.
    log_odds
        That the first article answers, and that one of the first few does; None without models to ask.
    """

    numbers: RowArray
    begins: RowArray
    features: FloatArray
    raw: FloatArray
    scores: FloatArray
    chances: FloatArray
    order: RowArray
    head: FloatArray
    log_odds: tuple[float, float] | None


class TermTables(NamedTuple):
    """Of each term, at the place to which its number leads: its number, its rows, and their blocks; and scratch.

    uint32, shape (size,), size a power of two; where no row is counted, the place is free.
    """

    ids: NDArray[np.uint32]
    rows: NDArray[np.uint32]
    blocks: NDArray[np.uint32]
    last: NDArray[np.uint32]


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def crowd(is_crowded: bool) -> None:  # noqa: FBT001 - what is told, not how
    """Say whether more than one question is under way: then none has a second core for itself."""
    with suppress(NativeMissing):  # no question comes as far as to need a core
        _brief().kb_crowd(is_crowded)


@cache
def _brief() -> ctypes.PyDLL:
    """Calls that keep the interpreter's lock: they take microseconds, and getting it back may take milliseconds."""
    library = _library()
    brief = ctypes.PyDLL(library._name, handle=library._handle)  # noqa: SLF001 - there is no other way
    brief.kb_crowd.argtypes, brief.kb_crowd.restype = (ctypes.c_int32,), None
    for name in ("kb_begin_proposal", "kb_best_rows"):
        own, other = getattr(brief, name), getattr(library, name)
        own.argtypes, own.restype = other.argtypes, other.restype
    return brief


def describe(tokens: Tokens, asked: Asked, rows: RowArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """BM25 of words and of grams, shape (n,), and what is shared, shape (n, 6) and (n, 6); all float32.

    See :meth:`kbsearch.tokens.TokenIndex.describe`.
    """
    n = len(rows)
    words, grams = np.empty(n, np.float32), np.empty(n, np.float32)
    cover, reverse = np.empty((n, _FIELDS), np.float32), np.empty((n, _FIELDS), np.float32)
    check(
        _library().kb_describe(
            tokens,
            asked,
            address(rows, I64),
            n,
            place(words),
            place(grams),
            place(cover),
            place(reverse),
        )
    )
    return words, grams, cover, reverse


def matches(tokens: Tokens, asked: Asked, rows: RowArray, room: int) -> tuple[NDArray[Any], RowArray]:
    """Places of the question's terms in the bodies of rows, at most ``room``, dtype ``MATCH``; where each row's end.

    In the order of the rows, then of the places.
    """
    found, ends = np.empty(room, MATCH), np.empty(len(rows), np.int64)
    count = _library().kb_matches(tokens, asked, address(rows, I64), len(rows), place(found), room, place(ends))
    check(count)
    return found[:count], ends


def quote_articles(
    tokens: Tokens,
    quotes: Quotes,
    asked: Asked,
    vector: FloatArray | None,
    rows: RowArray,
    ends: RowArray,
    how: Array[Quoting],
    which: bytes,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """What to quote of n articles, see :mod:`kbsearch.quotes`.

    Parameters
    ----------
    rows, ends
        The rows of all articles, best first in each, and where those of each end.
    how, which
        Ways to quote, and the place of each article's among them.

    Returns
    -------
    quotes : QUOTE, shape (n,)
    spans : SPAN, of all articles one after another
    marks : MARK, shape (m,)
    """
    n, space = len(ends), _MARKS_PER_ROW * (len(rows) + 1)
    found, spans = np.zeros(n, QUOTE), np.empty(n * SPANS, SPAN)
    if vector is not None and quotes.codes and len(vector) != quotes.width:
        raise AssertionError(f"a vector of {quotes.width} numbers, not {len(vector)}")
    if len(which) != n or max(which, default=0) >= len(how):
        raise AssertionError("one of the ways to quote for each article")
    while True:
        marks = np.empty(space, MARK)
        count = _library().kb_quote_articles(
            tokens, quotes, asked, None if vector is None else address(vector, F32), address(rows, I64),
            address(ends, I64), n, how, which, place(found), place(spans), place(marks), space,
        )  # fmt: skip
        check(count)
        if count < space or space > _MOST_MARKS:
            return found, spans[: found["spans"][-1] if n else 0], marks[:count]
        space *= 8


def dots(matrix: FloatArray, rows: RowArray, vector: FloatArray) -> FloatArray:
    """Inner products of rows of a matrix with a vector, float32 of shape (n,); equal rows give equal products."""
    products = np.empty(len(rows), np.float32)
    if vector.shape != matrix.shape[1:]:
        raise AssertionError(f"a vector of {matrix.shape[1]} numbers, not {vector.shape}")
    check(
        _library().kb_dots(
            address(matrix, F32),
            len(matrix),
            matrix.shape[1],
            address(rows, I64),
            len(rows),
            address(vector, F32),
            place(products),
        )
    )
    return products


def features(
    group: RowArray,
    of_rows: tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray],
    titles: FloatArray,
    japanese: NDArray[np.bool_],
    scale: Scale,
) -> FloatArray:
    """Features of m articles from those of their n rows: float32, shape (m, FEATURES).

    ``group`` is the place of each row's article among the m; ``of_rows`` are words, grams and cosines, shape (n,), and
    what is shared, shape (n, 6); ``titles`` and ``japanese`` are of the articles, shape (m,). See
    :mod:`kbsearch.features`.
    """
    n, m = len(group), len(titles)
    found, scratch = np.empty((m, FEATURES), np.float32), np.empty(_SCRATCH * m, np.float32)
    if any(len(values) != n for values in of_rows) or m != len(japanese):
        raise AssertionError("one value for each row and one for each article")
    check(
        _library().kb_features(
            n,
            m,
            address(group, I64),
            *(address(values, F32) for values in of_rows),
            address(titles, F32),
            address(japanese, BOOL),
            ctypes.byref(scale),
            place(scratch),
            place(found),
        )
    )
    return found


def trees(forest: Forest, given: FloatArray) -> NDArray[np.float64]:
    """Sum of all trees for each row of ``given``, float32 of shape (m, width): float64, shape (m,)."""
    scores = np.empty(len(given), np.float64)
    if given.shape[1] != forest.width:
        raise AssertionError(f"{forest.width} features, not {given.shape[1]}")
    check(_library().kb_trees(forest, address(given, F32), len(given), place(scores)))
    return scores


def count_terms(tokens: Tokens, tables: TermTables) -> int:
    """Count the rows of each term in empty tables; how many terms there are, or the size when there is no room."""
    size = _size_of(tables)
    count: int = _library().kb_count_terms(tokens, *(address(table, U32) for table in tables), size)
    check(count)
    return count


def fill_postings(
    tokens: Tokens,
    tables: TermTables,
    following: tuple[NDArray[np.uint32], NDArray[np.uint32]],
    entries: NDArray[np.uint32],
    posts: NDArray[np.uint32],
    bm25: tuple[FloatArray, float, float],
) -> None:
    """Write the postings of :mod:`kbsearch.lexical`.

    Parameters
    ----------
    tables
        As :func:`count_terms` left them, the scratch empty again.
    following
        The first posting and the first entry of the term at each place; used up.
    entries, posts
        To be filled: two numbers an entry, the last one not touched, and one a posting.
    bm25
        Mean lengths of a row in words and grams, float32, k1 and b.
    """
    size, (means, k1, b) = _size_of(tables), bm25
    if any(len(table) != size for table in following) or len(means) != len(STREAMS):
        raise AssertionError("a posting and an entry for each place, and a length for each stream")
    check(
        _library().kb_fill_postings(
            tokens, address(tables.ids, U32), address(tables.rows, U32), address(tables.last, U32), size,
            *(address(table, U32) for table in following), address(entries, U32), max(len(entries) // 2 - 1, 0),
            address(posts, U32), len(posts), address(means, F32), k1, b,
        )
    )  # fmt: skip


def _size_of(tables: TermTables) -> int:
    size = len(tables.ids)
    if any(len(table) != size for table in tables) or size & (size - 1) or not size:
        raise AssertionError("tables of one size, a power of two")
    return size


def frequencies(postings: Postings, ids: NDArray[np.uint32]) -> RowArray:
    """In how many rows each term stands: int64, shape (n,)."""
    rows = np.empty(len(ids), np.int64)
    check(_library().kb_frequencies(postings, address(ids, U32), len(ids), place(rows)))
    return rows


class Proposals:
    """The best rows of each question in each stream (0 words, 1 grams), at most so many of each part.

    Parameters
    ----------
    lexicon, questions, streams
        What is asked, and of what.
    limits
        Rows of the first part and of the second.
    allowed
        Which rows of all parts take part, bool; all without it.
    """

    def __init__(
        self,
        lexicon: Lexicon,
        questions: Sequence[Asked],
        streams: Sequence[int],
        limits: tuple[int, int],
        allowed: NDArray[np.bool_] | None,
    ) -> None:
        self._begun = self._given = False
        if allowed is not None and len(allowed) != lexicon.rows:
            raise AssertionError(f"a yes or no for each of {lexicon.rows} rows, not {len(allowed)}")
        room = sum(max(limit, 0) for limit in limits) * len(questions) * len(streams)
        self._rows, self._sums = np.empty(room, np.int64), np.empty(room, np.uint32)
        asked = (ctypes.POINTER(Asked) * len(questions))(*map(ctypes.pointer, questions))
        self._held = lexicon, questions, asked, allowed
        self._open = Proposal(
            ctypes.pointer(lexicon), ctypes.addressof(asked), len(questions), sum(1 << stream for stream in streams),
            None if allowed is None else address(allowed, BOOL), limits, place(self._rows), place(self._sums),
        )  # fmt: skip

    def begin(self) -> None:
        """Let another core look for them, where one is idle, until they are asked for."""
        self._begun = True  # before it is, lest an interruption between the two leaves it to itself
        _brief().kb_begin_proposal(self._open)

    def found(self) -> tuple[RowArray, NDArray[np.uint32]]:
        """Rows in any order, int64 of shape (n,), and their sums, uint32; to be asked for once.

        A sum is in units of 2⁻²⁴ of what the heaviest of the question's terms can give that the part knows.
        """
        if self._given:
            raise AssertionError("proposals are given once")
        self._given = True
        count = _library().kb_end_proposal(self._open)
        self._begun = False
        check(count)
        return self._rows[:count], self._sums[:count]

    def __del__(self) -> None:
        if self._begun:  # somebody may be writing into these arrays
            _library().kb_drop_proposal(self._open)


def pool(corpus: Corpus, ways: Ways, proposals: RowArray) -> tuple[RowArray, FloatArray]:
    """Compare the proposals, in any order, with a question in all its ways; of each measure a row has the best.

    Returns
    -------
    rows : int64, shape (n,)
        The distinct proposals, ascending.
    scores : float32, shape (PER_ROW * n,)
        Words, grams and cosines, n each, then the shares of :func:`describe`, 6 n each.
    """
    rows = np.array(proposals, np.int64)
    scores = np.empty(PER_ROW * len(rows), np.float32)
    count = _library().kb_pool(corpus, ways.array, len(ways), place(rows), len(rows), place(scores))
    check(count)
    return rows[:count], scores[: PER_ROW * count]


def judge(
    corpus: Corpus,
    ways: Ways,
    asking: Asking,
    pooled: Pooled,
    models: Models,
) -> Judged:
    """The articles of a pool, and their order. The first way has a vector."""
    n = pooled.n
    if not ways or not ways[0].vector:
        raise AssertionError("a question with a vector")
    # One block for what has to be filled: an address costs a microsecond.
    whole, real = np.empty(3 * n + 1, np.int64), np.empty((FEATURES + 3) * n + HEAD, np.float32)
    odds = (ctypes.c_double * 2)()
    at, there = place(whole), place(real)
    of_articles = [there + 4 * (FEATURES + column) * n for column in range(4)]  # and the head behind them
    m = _library().kb_judge(
        corpus, ways.array, len(ways), asking, pooled, models, at, at + 8 * n, there, *of_articles[:3],
        at + 8 * (2 * n + 1), of_articles[3], odds,
    )  # fmt: skip
    check(m)
    ranked = m if models.is_ranking else 0
    return Judged(
        whole[:m],
        whole[n : n + m + 1] if n else np.zeros(1, np.int64),
        real[: FEATURES * m].reshape(m, FEATURES),
        real[FEATURES * n :][:ranked],
        real[(FEATURES + 1) * n :][:ranked],
        real[(FEATURES + 2) * n :][:ranked],
        whole[2 * n + 1 :][:ranked],
        real[(FEATURES + 3) * n :],
        (odds[0], odds[1]) if ranked and models.is_confident else None,
    )


def best_rows(
    corpus: Corpus, pooled: Pooled, scores: FloatArray | None, begins: RowArray, places: RowArray, most: int
) -> tuple[RowArray, list[float], list[int]]:
    """The best rows of some articles of a pool, each of one with another text.

    Parameters
    ----------
    scores
        Of the rows, float32 of shape (n,); without, those of :func:`kbsearch.rank.rank` in the mode ``hybrid``.
    begins, places
        Where the rows of each article of the pool begin and the last ones end, and which articles are wanted.
    most
        Rows of an article.

    Returns
    -------
    rows
        Places in the pool, int64, one article behind the other, score descending.
    scores, ends
        Of these rows; and where those of each article end.
    """
    k = len(places)
    wanted = places.tolist()  # NumPy takes ten times as long over so few
    if k and not 0 <= min(wanted) <= max(wanted) < len(begins) - 1:
        raise AssertionError(f"places of {len(begins) - 1} articles")
    found, ends, best = np.empty(k * most, np.int64), np.empty(k, np.int64), np.empty(k * most, np.float32)
    if scores is not None and len(scores) != pooled.n:
        raise AssertionError("one score for each row")
    count = _brief().kb_best_rows(
        corpus, pooled, None if scores is None else address(scores, F32), address(begins, I64), address(places, I64), k,
        most, place(found), place(best), place(ends),
    )  # fmt: skip
    check(count)
    return found[:count], best[:count].tolist(), ends.tolist()


def check(answer: int) -> None:
    """Raise what a negative answer means: :class:`Damaged`, or that there is no memory."""
    if answer == _NO_MEMORY:
        raise MemoryError
    if answer < 0:
        raise Damaged("a place outside of the file")


def opened(version: str, wanted: int) -> ctypes.CDLL:
    """The library, if its function ``version`` gives what is ``wanted``: each C file has a version of its own.

    Raises
    ------
    NativeMissing
        It is not there, or is an older or newer one.
    """
    try:
        library = ctypes.CDLL(str(LIBRARY))
        found = library[version]()
    except (OSError, AttributeError) as error:
        raise NativeMissing(str(LIBRARY), str(error)) from error
    if found != wanted:
        raise NativeMissing(str(LIBRARY), f"it is of version {found}, not {wanted}")
    return library


@cache
def _library() -> ctypes.CDLL:
    library = opened("kb_version", VERSION)
    tokens, asked = ctypes.POINTER(Tokens), ctypes.POINTER(Asked)
    library.kb_describe.argtypes = (tokens, asked, Address, Long, *(Address,) * 4)
    library.kb_matches.argtypes = (tokens, asked, Address, Long, Address, Long, Address)
    library.kb_matches.restype = Long
    library.kb_dots.argtypes = (Address, Long, Long, Address, Long, Address, Address)
    library.kb_features.argtypes = (Long, Long, *(Address,) * 8, ctypes.POINTER(Scale), *(Address,) * 2)
    library.kb_trees.argtypes = (ctypes.POINTER(Forest), Address, Long, Address)
    corpus, ways = ctypes.POINTER(Corpus), ctypes.POINTER(Way)
    library.kb_pool.argtypes = (corpus, ways, Long, Address, Long, Address)
    library.kb_judge.argtypes = (
        corpus, ways, Long, ctypes.POINTER(Asking), ctypes.POINTER(Pooled), ctypes.POINTER(Models), *(Address,) * 9,
    )  # fmt: skip
    library.kb_best_rows.argtypes = (corpus, ctypes.POINTER(Pooled), *(Address,) * 3, Long, Long, *(Address,) * 3)
    postings = ctypes.POINTER(Postings)
    library.kb_count_terms.argtypes = (tokens, *(Address,) * 4, Long)
    library.kb_fill_postings.argtypes = (
        tokens, *(Address,) * 3, Long, *(Address,) * 3, Long, Address, Long, Address, *(ctypes.c_float,) * 2,
    )  # fmt: skip
    library.kb_frequencies.argtypes = (postings, Address, Long, Address)
    library.kb_begin_proposal.argtypes = (ctypes.POINTER(Proposal),)
    library.kb_begin_proposal.restype = library.kb_drop_proposal.restype = None
    library.kb_drop_proposal.argtypes = (ctypes.POINTER(Proposal),)
    library.kb_end_proposal.argtypes = (ctypes.POINTER(Proposal),)
    library.kb_quote_articles.argtypes = (
        tokens, ctypes.POINTER(Quotes), asked, *(Address,) * 3, Long, ctypes.POINTER(Quoting), ctypes.c_char_p,
        *(Address,) * 3, Long,
    )  # fmt: skip
    counting = "pool", "judge", "best_rows", "quote_articles", "count_terms", "end_proposal"
    for name in counting:
        library[f"kb_{name}"].restype = Long
    return library
