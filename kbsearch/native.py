"""The compiled inner loops (the folder ``core``): arrays in, arrays out.

The library is built when kbsearch is installed (``hatch_build.py``) and loaded when the first question needs it. Calls
let go of the interpreter's lock, so that several threads may search at once.

Use: the functions below, with C-contiguous arrays of the dtypes that they name; a wrong one is an ``AssertionError``,
damage that the library found in a file is a :class:`Damaged`.

Never: keep a pointer longer than the array that it points into; each structure here holds its arrays.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from kbsearch.errors import NativeMissing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray

__all__ = [
    "ASCII",
    "FEATURES",
    "GRAM",
    "HEAD",
    "LIBRARY",
    "MATCH",
    "PER_ROW",
    "PIECE",
    "ROW",
    "TEXT",
    "WINDOW",
    "Asked",
    "Asking",
    "Codes",
    "Corpus",
    "Damaged",
    "Forest",
    "Judged",
    "Scale",
    "Tokens",
    "Way",
    "best",
    "describe",
    "dots",
    "features",
    "judge",
    "matches",
    "nearest",
    "opened",
    "pool",
    "trees",
    "usable_cores",
    "windows",
]

LIBRARY: Final = Path(__file__).with_name("_core.so")
VERSION: Final = 2
FEATURES: Final = 33
HEAD: Final = 43
PER_ROW: Final = 15
"""Numbers that describe a row: BM25 of words and of grams, cosine, 6 shares of the question and 6 of the row."""
TEXT, ROW, PIECE = 8, 8, 2
"""Numbers in a record of a text, of a row and of a part of a row; see ``core/core.h``."""
GRAM: Final = 1
"""Flag of a term of the gram stream."""
ASCII: Final = 2
"""Flag of a term in Latin letters or digits."""
MATCH: Final = np.dtype([("start", np.int32), ("end", np.int32), ("term", np.int32)])
"""First and one-past-last character of a place, and the place of its term in the question."""
WINDOW: Final = np.dtype(
    [("start", np.int32), ("end", np.int32), ("before", np.int32), ("after", np.int32), ("marks", np.int64)]
)
"""First and one-past-last character, whether something of its first and last sentence is cut, the end of its marks."""

_MARKS_PER_ROW: Final = 64
_MOST_MARKS: Final = 100_000
_LONGEST_VECTOR: Final = 16_384  # a sum of its codes times 16-bit steps fits into 32 bits then
_F32, _F64 = np.dtype(np.float32), np.dtype(np.float64)
_I8, _I32, _I64 = np.dtype(np.int8), np.dtype(np.int32), np.dtype(np.int64)
_U32, _U8 = np.dtype(np.uint32), np.dtype(np.uint8)
_BOOL = np.dtype(np.bool_)
_FIELDS: Final = 6
_NO_MEMORY: Final = -2
_SCRATCH: Final = 8
_Address = ctypes.c_void_p
_Long = ctypes.c_int64


class Damaged(Exception):
    """An array that came from a file leads out of another one."""


class Tokens(ctypes.Structure):
    """``kb_tokens``: the open arrays of :mod:`kbsearch.tokens`, which says what they are."""

    _ARRAYS: Final = {
        "ids": np.uint32, "starts": np.uint16, "lengths": np.uint8, "sentences": np.uint16, "texts": np.uint32,
        "rows": np.uint32, "parts": np.uint32,
    }  # fmt: skip
    _COUNTS: Final = ("n_tokens", "n_places", "n_texts", "n_rows", "n_parts")
    _fields_ = (*((name, _Address) for name in _ARRAYS), *((name, _Long) for name in _COUNTS))

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        super().__init__(*(_address(arrays[name], np.dtype(dtype)) for name, dtype in self._ARRAYS.items()))
        self._arrays = arrays
        self.n_tokens, self.n_places = len(arrays["ids"]), len(arrays["sentences"])
        self.n_texts, self.n_rows = len(arrays["texts"]) // TEXT, len(arrays["rows"]) // ROW
        self.n_parts = len(arrays["parts"]) // PIECE
        sizes = {
            "starts": self.n_tokens, "lengths": self.n_tokens, "texts": TEXT * self.n_texts, "rows": ROW * self.n_rows,
            "parts": PIECE * self.n_parts,
        }  # fmt: skip
        for name, size in sizes.items():
            if len(arrays[name]) != size:
                raise Damaged(f"{name}: {len(arrays[name])} values, not {size}")


class Asked(ctypes.Structure):
    """``kb_question``: the distinct terms of a question.

    Parameters
    ----------
    ids
        uint32, shape (n,).
    idf, boost
        float32, shape (n,). ``boost`` is how often BM25 counts a term, 0 for one that it leaves out.
    flags
        uint8, shape (n,): ``GRAM``, ``ASCII``.
    mean_lengths
        Of a row, in words and in grams.
    """

    _fields_ = (
        ("ids", _Address), ("idf", _Address), ("boost", _Address), ("flags", _Address), ("n", _Long),
        ("mean_length", ctypes.c_float * 2), ("k1", ctypes.c_float), ("b", ctypes.c_float),
    )  # fmt: skip

    def __init__(
        self,
        ids: NDArray[np.uint32],
        idf: FloatArray,
        boost: FloatArray,
        flags: NDArray[np.uint8],
        mean_lengths: tuple[float, float],
        k1: float,
        b: float,
    ) -> None:
        addresses = (
            _address(ids, _U32), _address(idf, _F32), _address(boost, _F32), _address(flags, _U8)
        )  # fmt: skip
        super().__init__(*addresses, len(ids), mean_lengths, k1, b)
        if not len(ids) == len(idf) == len(boost) == len(flags):
            raise AssertionError("the arrays of a question have one length")
        self._arrays = (ids, idf, boost, flags)
        self.idfs = idf


class Scale(ctypes.Structure):
    """``kb_scale``: the question and its corpus in :func:`features`; pairs are of other scripts, then of Japanese."""

    _fields_ = (
        ("words_ceiling", ctypes.c_float), ("grams_ceiling", ctypes.c_float),
        ("cosine_mean", ctypes.c_float), ("cosine_spread", ctypes.c_float),
        ("title_mean", ctypes.c_float), ("title_spread", ctypes.c_float),
        ("background_mean", ctypes.c_float * 2), ("background_spread", ctypes.c_float * 2),
        ("japanese", ctypes.c_float), ("asks_japanese", ctypes.c_int32), ("terms", ctypes.c_float),
    )  # fmt: skip


class Part(ctypes.Structure):
    """``kb_part``."""

    _fields_ = (
        ("tokens", ctypes.POINTER(Tokens)), ("vectors", _Address), ("titles", _Address), ("rows", _Long),
        ("articles", _Long),
    )  # fmt: skip


class Corpus(ctypes.Structure):
    """``kb_corpus``: all that a question is compared with.

    Parameters
    ----------
    parts
        The index itself and, where there is one, its delta: terms, vectors and titles' vectors, the latter two float32
        of shape (rows, width) and (articles, width), or None where only words are asked for.
    article_of_row, japanese, group
        int32 (rows,), bool (articles,) and int32 (articles,), of all parts.
    samples
        Codes of passages that stand for all, int8 of shape (n, width), of other scripts and Japanese; and their step.
    cosines, title_cosines
        Mean and spread between passages and between titles of the corpus.
    """

    _fields_ = (
        ("parts", Part * 2), ("width", _Long), ("article_of_row", _Address), ("japanese", _Address),
        ("group", _Address), ("rows", _Long), ("articles", _Long), ("samples", _Address * 2), ("sampled", _Long * 2),
        ("sample_step", ctypes.c_float), ("cosine_mean", ctypes.c_float), ("cosine_spread", ctypes.c_float),
        ("title_mean", ctypes.c_float), ("title_spread", ctypes.c_float),
    )  # fmt: skip

    def __init__(
        self,
        parts: Sequence[tuple[Tokens, FloatArray | None, FloatArray | None]],
        article_of_row: NDArray[np.int32],
        japanese: NDArray[np.bool_],
        group: NDArray[np.int32],
        samples: tuple[NDArray[np.int8], NDArray[np.int8], float] | None = None,
        cosines: tuple[float, float] = (0, 1),
        title_cosines: tuple[float, float] = (0, 1),
    ) -> None:
        super().__init__()
        self._held = (parts, article_of_row, japanese, group, samples)
        rows = articles = 0
        for place, (tokens, vectors, titles) in enumerate(parts):
            part = self.parts[place]
            part.tokens, part.rows = ctypes.pointer(tokens), tokens.n_rows
            rows += tokens.n_rows
            if vectors is None or titles is None:
                continue
            self.width = vectors.shape[1]
            if len(vectors) != tokens.n_rows or titles.shape[1:] != vectors.shape[1:]:
                raise AssertionError("a vector for each row, of one length")
            part.vectors, part.titles = _address(vectors, _F32), _address(titles, _F32)
            part.articles = len(titles)
            articles += len(titles)
        self.rows, self.articles = len(article_of_row), len(japanese)
        if rows != self.rows or articles not in {0, self.articles} or len(group) != self.articles:
            raise AssertionError("an article for each row, and a script and a group for each article")
        self.article_of_row, self.japanese = _address(article_of_row, _I32), _address(japanese, _BOOL)
        self.group = _address(group, _I32)
        if samples is not None:
            *both, self.sample_step = samples
            for script, codes in enumerate(both):
                if codes.shape[1] != self.width:
                    raise AssertionError("samples are as long as vectors")
                self.samples[script], self.sampled[script] = _address(codes, _I8), len(codes)
        self.cosine_mean, self.cosine_spread = cosines
        self.title_mean, self.title_spread = title_cosines


class Way(ctypes.Structure):
    """``kb_way``: one way to put a question; ``units`` are what its BM25 is multiplied by."""

    _fields_ = (
        ("terms", ctypes.POINTER(Asked)), ("vector", _Address), ("words_unit", ctypes.c_float),
        ("grams_unit", ctypes.c_float),
    )  # fmt: skip

    def __init__(self, terms: Asked, vector: FloatArray | None, units: tuple[float, float] = (1, 1)) -> None:
        super().__init__(ctypes.pointer(terms), None if vector is None else _address(vector, _F32), *units)
        self.held = (terms, vector)


class Asking(ctypes.Structure):
    """``kb_asking``: what a question is to its corpus, beside its ways."""

    _fields_ = (
        ("words_ceiling", ctypes.c_float), ("grams_ceiling", ctypes.c_float), ("japanese", ctypes.c_float),
        ("asks_japanese", ctypes.c_int32), ("terms", ctypes.c_float), ("untitled", _Long),
    )  # fmt: skip


class Forest(ctypes.Structure):
    """``kb_forest``: boosted trees, see :mod:`kbsearch.trees`, which has checked them.

    Parameters
    ----------
    feature, threshold, mask
        int32, float32 and uint32 of shape (trees, nodes).
    value
        float64 of shape (trees, leaves).
    width
        Number of features.
    """

    _fields_ = (
        ("feature", _Address), ("threshold", _Address), ("mask", _Address), ("value", _Address), ("trees", _Long),
        ("nodes", _Long), ("leaves", _Long), ("width", _Long),
    )  # fmt: skip

    def __init__(
        self,
        feature: NDArray[np.int32],
        threshold: FloatArray,
        mask: NDArray[np.uint32],
        value: NDArray[np.float64],
        width: int,
    ) -> None:
        addresses = _address(feature, _I32), _address(threshold, _F32), _address(mask, _U32), _address(value, _F64)
        super().__init__(*addresses, *feature.shape, value.shape[1], width)
        if not feature.shape == threshold.shape == mask.shape or len(value) != len(feature):
            raise AssertionError("the arrays of a forest have one shape")
        self._held = (feature, threshold, mask, value)


class _Models(ctypes.Structure):
    _fields_ = tuple((name, ctypes.POINTER(Forest)) for name in ("ranker", "first", "few"))


class Codes(ctypes.Structure):
    """``kb_codes``: rows as 8-bit codes; a row is about ``centre + step * code``, ``errors`` says how far from it.

    ``codes``: int8, shape (n, width); ``errors``: float32, shape (n,); ``centre``: float32, shape (width,).
    """

    _fields_ = (
        ("codes", _Address), ("errors", _Address), ("centre", _Address), ("step", ctypes.c_float), ("n", _Long),
    )  # fmt: skip

    def __init__(self, codes: NDArray[np.int8], errors: FloatArray, centre: FloatArray, step: float) -> None:
        super().__init__(_address(codes, _I8), _address(errors, _F32), _address(centre, _F32), step, len(codes))
        if len(errors) != len(codes) or centre.shape != codes.shape[1:] or len(centre) > _LONGEST_VECTOR:
            raise Damaged("codes of another shape")
        self.held = (codes, errors, centre)


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
    order: RowArray
    head: FloatArray
    log_odds: tuple[float, float] | None


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe(tokens: Tokens, asked: Asked, rows: RowArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """BM25 of words and of grams, shape (n,), and what is shared, shape (n, 6) and (n, 6); all float32.

    See :meth:`kbsearch.tokens.TokenIndex.describe`.
    """
    n = len(rows)
    words, grams = np.empty(n, np.float32), np.empty(n, np.float32)
    cover, reverse = np.empty((n, _FIELDS), np.float32), np.empty((n, _FIELDS), np.float32)
    _check(
        _library().kb_describe(
            tokens, asked, _address(rows, _I64), n, words.ctypes.data, grams.ctypes.data, cover.ctypes.data,
            reverse.ctypes.data,
        )
    )  # fmt: skip
    return words, grams, cover, reverse


def matches(tokens: Tokens, asked: Asked, rows: RowArray, room: int) -> tuple[NDArray[Any], RowArray]:
    """Places of the question's terms in the bodies of rows, at most ``room``, dtype ``MATCH``; where each row's end.

    In the order of the rows, then of the places.
    """
    found, ends = np.empty(room, MATCH), np.empty(len(rows), np.int64)
    count = _library().kb_matches(
        tokens, asked, _address(rows, _I64), len(rows), found.ctypes.data, room, ends.ctypes.data
    )
    _check(count)
    return found[:count], ends


def windows(
    tokens: Tokens, asked: Asked, rows: RowArray, limit: int, room: int
) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """What is shown of the bodies of rows, see :mod:`kbsearch.snippet`: dtype ``WINDOW``, and all marks, shape (m, 2).

    ``limit`` is the number of characters, ``room`` what is left of it beside two ellipses.
    """
    shown, space = np.empty(len(rows), WINDOW), _MARKS_PER_ROW * (len(rows) + 1)
    while True:
        marks = np.empty((space, 2), np.int32)
        count = _library().kb_windows(
            tokens, asked, _address(rows, _I64), len(rows), limit, room, shown.ctypes.data, marks.ctypes.data, space
        )
        _check(count)
        if count < space or space > _MOST_MARKS:
            return shown, marks[:count]
        space *= 8


def dots(matrix: FloatArray, rows: RowArray, vector: FloatArray) -> FloatArray:
    """Inner products of rows of a matrix with a vector, float32 of shape (n,); equal rows give equal products."""
    products = np.empty(len(rows), np.float32)
    if vector.shape != matrix.shape[1:]:
        raise AssertionError(f"a vector of {matrix.shape[1]} numbers, not {vector.shape}")
    _check(
        _library().kb_dots(
            _address(matrix, _F32), len(matrix), matrix.shape[1], _address(rows, _I64), len(rows),
            _address(vector, _F32), products.ctypes.data,
        )
    )  # fmt: skip
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
    _check(
        _library().kb_features(
            n, m, _address(group, _I64), *(_address(values, _F32) for values in of_rows),
            _address(titles, _F32), _address(japanese, _BOOL), ctypes.byref(scale), scratch.ctypes.data,
            found.ctypes.data,
        )
    )  # fmt: skip
    return found


def trees(forest: Forest, given: FloatArray) -> NDArray[np.float64]:
    """Sum of all trees for each row of ``given``, float32 of shape (m, width): float64, shape (m,)."""
    scores = np.empty(len(given), np.float64)
    if given.shape[1] != forest.width:
        raise AssertionError(f"{forest.width} features, not {given.shape[1]}")
    _check(_library().kb_trees(forest, _address(given, _F32), len(given), scores.ctypes.data))
    return scores


def best(matrix: FloatArray, rows: RowArray, vector: FloatArray, k: int) -> tuple[RowArray, FloatArray]:
    """The k rows with the greatest inner products, and these: product descending, row ascending."""
    found, scores = np.empty(k, np.int64), np.empty(k, np.float32)
    if vector.shape != matrix.shape[1:]:
        raise AssertionError(f"a vector of {matrix.shape[1]} numbers, not {vector.shape}")
    count = _library().kb_best(
        _address(matrix, _F32), len(matrix), matrix.shape[1], _address(rows, _I64), len(rows), _address(vector, _F32),
        k, found.ctypes.data, scores.ctypes.data,
    )  # fmt: skip
    _check(count)
    return found[:count], scores[:count]


def nearest(
    codes: Codes, rows: RowArray, allowed: NDArray[np.bool_] | None, matrix: FloatArray, vector: FloatArray, k: int
) -> tuple[RowArray, FloatArray]:
    """As :func:`best` of all ``rows``, ascending, that are ``allowed``, with the help of their codes.

    ``vector`` has length 1, and so have the rows; at least k rows are allowed.
    """
    found, scores = np.empty(k, np.int64), np.empty(k, np.float32)
    wrong = allowed is not None and allowed.shape != rows.shape
    if wrong or len(rows) != codes.n or not vector.shape == matrix.shape[1:] == codes.held[0].shape[1:]:
        raise AssertionError("a code for each row, and vectors of one length")
    count = _library().kb_nearest(
        codes, _address(rows, _I64), None if allowed is None else _address(allowed, _BOOL), _address(matrix, _F32),
        len(matrix), matrix.shape[1], _address(vector, _F32), k, found.ctypes.data, scores.ctypes.data,
    )  # fmt: skip
    _check(count)
    return found[:count], scores[:count]


def pool(corpus: Corpus, ways: Sequence[Way], proposals: RowArray) -> tuple[RowArray, FloatArray]:
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
    count = _library().kb_pool(
        corpus, (Way * len(ways))(*ways), len(ways), rows.ctypes.data, len(rows), scores.ctypes.data
    )
    _check(count)
    return rows[:count], scores[: PER_ROW * count]


def judge(
    corpus: Corpus,
    ways: Sequence[Way],
    asking: Asking,
    rows: RowArray,
    scores: FloatArray,
    models: tuple[Forest | None, Forest | None, Forest | None] = (None, None, None),
) -> Judged:
    """The articles of a pool as :func:`pool` describes its rows, and their order.

    ``models`` are the ranking and the two of the confidence. The first way has a vector.
    """
    n, ranker = len(rows), models[0]
    if len(scores) != PER_ROW * n or not ways or not ways[0].vector:
        raise AssertionError("a question with a vector, and all numbers of each row")
    # One block for what has to be filled: an address costs a microsecond.
    whole, real = np.empty(3 * n + 1, np.int64), np.empty((FEATURES + 2) * n + HEAD, np.float32)
    odds = np.zeros(2, np.float64)
    at, there = whole.ctypes.data, real.ctypes.data
    head = there + 4 * (FEATURES + 2) * n
    m = _library().kb_judge(
        corpus, (Way * len(ways))(*ways), len(ways), asking, _address(rows, _I64), n, _address(scores, _F32),
        _Models(*(None if forest is None else ctypes.pointer(forest) for forest in models)), at, at + 8 * n,
        there, there + 4 * FEATURES * n, there + 4 * (FEATURES + 1) * n, at + 8 * (2 * n + 1), head, odds.ctypes.data,
    )  # fmt: skip
    _check(m)
    ranked = 0 if ranker is None else m
    return Judged(
        whole[:m], whole[n : n + m + 1] if n else np.zeros(1, np.int64), real[: FEATURES * m].reshape(m, FEATURES),
        real[FEATURES * n :][:ranked], real[(FEATURES + 1) * n :][:ranked], whole[2 * n + 1 :][:ranked],
        real[(FEATURES + 2) * n :], (float(odds[0]), float(odds[1])) if ranked and models[1] is not None else None,
    )  # fmt: skip


def _address(array: NDArray[Any], dtype: np.dtype[Any]) -> int:
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise AssertionError(f"a contiguous array of {dtype}, not of {array.dtype}")
    address: int = array.ctypes.data
    return address


def _check(answer: int) -> None:
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
    library.kb_describe.argtypes = (tokens, asked, _Address, _Long, *(_Address,) * 4)
    library.kb_matches.argtypes = (tokens, asked, _Address, _Long, _Address, _Long, _Address)
    library.kb_matches.restype = _Long
    library.kb_dots.argtypes = (_Address, _Long, _Long, _Address, _Long, _Address, _Address)
    library.kb_features.argtypes = (_Long, _Long, *(_Address,) * 8, ctypes.POINTER(Scale), *(_Address,) * 2)
    library.kb_trees.argtypes = (ctypes.POINTER(Forest), _Address, _Long, _Address)
    library.kb_best.argtypes = (_Address, _Long, _Long, _Address, _Long, _Address, _Long, _Address, _Address)
    library.kb_nearest.argtypes = (
        ctypes.POINTER(Codes), _Address, _Address, _Address, _Long, _Long, _Address, _Long, _Address, _Address,
    )  # fmt: skip
    corpus, ways = ctypes.POINTER(Corpus), ctypes.POINTER(Way)
    library.kb_pool.argtypes = (corpus, ways, _Long, _Address, _Long, _Address)
    library.kb_judge.argtypes = (
        corpus, ways, _Long, ctypes.POINTER(Asking), _Address, _Long, _Address, ctypes.POINTER(_Models),
        *(_Address,) * 8,
    )  # fmt: skip
    library.kb_windows.argtypes = (tokens, asked, _Address, *(_Long,) * 3, _Address, _Address, _Long)
    for name in ("kb_best", "kb_nearest", "kb_pool", "kb_judge", "kb_windows"):
        getattr(library, name).restype = _Long
    return library
