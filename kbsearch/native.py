"""The compiled inner loops (``core.c``): arrays in, arrays out.

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
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kbsearch.errors import NativeMissing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray

__all__ = [
    "ASCII",
    "FEATURES",
    "GRAM",
    "LIBRARY",
    "MATCH",
    "Asked",
    "Damaged",
    "Scale",
    "Tokens",
    "describe",
    "dots",
    "features",
    "matches",
    "opened",
    "trees",
    "usable_cores",
]

LIBRARY: Final = Path(__file__).with_name("_core.so")
VERSION: Final = 1
FEATURES: Final = 33
GRAM: Final = 1
"""Flag of a term of the gram stream."""
ASCII: Final = 2
"""Flag of a term in Latin letters or digits."""
MATCH: Final = np.dtype([("start", np.int32), ("end", np.int32), ("term", np.int32)])
"""First and one-past-last character of a place, and the place of its term in the question."""

_F32, _F64 = np.dtype(np.float32), np.dtype(np.float64)
_I32, _I64, _U32, _U8 = np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.uint32), np.dtype(np.uint8)
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
        "ids": np.uint32, "starts": np.uint16, "lengths": np.uint8, "ends": np.int64, "distinct": np.uint32,
        "part_ends": np.int64, "part_texts": np.uint32, "part_weights": np.uint32, "slots": np.uint32,
        "bodies": np.uint32, "row_lengths": np.uint32,
    }  # fmt: skip
    _fields_ = (*((name, _Address) for name in _ARRAYS), *((n, _Long) for n in ("tokens", "texts", "parts", "rows")))

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        super().__init__(*(_address(arrays[name], np.dtype(dtype)) for name, dtype in self._ARRAYS.items()))
        self._arrays = arrays
        self.tokens, self.texts = len(arrays["ids"]), len(arrays["distinct"]) // 2
        self.parts, self.rows = len(arrays["part_texts"]), len(arrays["bodies"])
        sizes = {
            "starts": self.tokens, "lengths": self.tokens, "ends": 2 * self.texts + 1, "distinct": 2 * self.texts,
            "part_ends": self.rows + 1, "part_weights": self.parts, "slots": 3 * self.rows,
            "row_lengths": 2 * self.rows,
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


def trees(
    feature: NDArray[np.int32],
    threshold: FloatArray,
    value: NDArray[np.float64],
    children: NDArray[np.int32],
    shape: tuple[int, int, int],
    given: FloatArray,
) -> NDArray[np.float64]:
    """Sum of all trees for each row of ``given``, float64 of shape (m,).

    ``shape`` is the number of trees, the nodes of each and the greatest depth; what the arrays hold must have been
    checked. See :mod:`kbsearch.trees`.
    """
    scores = np.empty(len(given), np.float64)
    _library().kb_trees(
        _address(feature, _I32), _address(threshold, _F32), _address(value, _F64),
        _address(children, _I32), *shape, _address(given, _F32), len(given), given.shape[1],
        scores.ctypes.data,
    )  # fmt: skip
    return scores


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
    library.kb_trees.argtypes = (*(_Address,) * 4, *(_Long,) * 3, _Address, _Long, _Long, _Address)
    library.kb_trees.restype = None
    return library
