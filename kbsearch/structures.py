"""The structures of the compiled part (``core/core.h``): what is open, and what is asked.

Each holds the arrays that it points into, and has looked at their sizes. A wrong one is an ``AssertionError``; one that
came from a file is :class:`Damaged`.

Never: keep a pointer to an array without the array.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray

__all__ = [
    "ASCII",
    "FEATURES",
    "GRAM",
    "HEAD",
    "MATCH",
    "PER_ROW",
    "PIECE",
    "QUOTE",
    "ROW",
    "SPAN",
    "SPANS",
    "TEXT",
    "UNIT",
    "Address",
    "Asked",
    "Asking",
    "Corpus",
    "Damaged",
    "Forest",
    "Lexicon",
    "Long",
    "Models",
    "Postings",
    "Quotes",
    "Quoting",
    "Scale",
    "Tokens",
    "Way",
    "address",
    "place",
]

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
UNIT: Final = 6
"""Numbers of a unit: first and one-past-last character, flags, number of a step, number of steps, tokens."""
QUOTE: Final = np.dtype(
    [("row", np.int64), ("spans", np.int64), ("marks", np.int64)]
    + [(name, np.int32) for name in ("notes", "first", "last", "steps", "total", "tokens")]
)
"""Row of the best sentence, ends of the spans and of the marks, notes, steps shown, tokens; see ``core/core.h``."""
SPAN: Final = np.dtype([("row", np.int64), *((name, np.int32) for name in ("start", "end", "before", "after"))])
"""Row, first and one-past-last character, and whether something of its first and last sentence is cut."""
MARK: Final = np.dtype([("row", np.int32), ("start", np.int32), ("end", np.int32)])
"""Row, first and one-past-last character."""
SPANS: Final = 32
"""At most so many spans of an article."""

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
I8, I32, I64 = np.dtype(np.int8), np.dtype(np.int32), np.dtype(np.int64)
U64, U32, U16, U8 = np.dtype(np.uint64), np.dtype(np.uint32), np.dtype(np.uint16), np.dtype(np.uint8)
BOOL = np.dtype(np.bool_)
Address = ctypes.c_void_p
_addressof, _from_buffer = ctypes.addressof, ctypes.c_char.from_buffer
Long = ctypes.c_int64


class Damaged(Exception):
    """An array that came from a file leads out of another one."""


class Tokens(ctypes.Structure):
    """``kb_tokens``: the open arrays of :mod:`kbsearch.tokens`, which says what they are."""

    _ARRAYS: Final = {
        "ids": np.uint32, "starts": np.uint16, "lengths": np.uint8, "texts": np.uint32, "rows": np.uint32,
        "parts": np.uint32,
    }  # fmt: skip
    _COUNTS: Final = ("n_tokens", "n_texts", "n_rows", "n_parts")
    _fields_ = (*((name, Address) for name in _ARRAYS), *((name, Long) for name in _COUNTS))

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        super().__init__(*(address(arrays[name], np.dtype(dtype)) for name, dtype in self._ARRAYS.items()))
        self._arrays = arrays
        self.n_tokens = len(arrays["ids"])
        self.n_texts, self.n_rows = len(arrays["texts"]) // TEXT, len(arrays["rows"]) // ROW
        self.n_parts = len(arrays["parts"]) // PIECE
        sizes = {
            "starts": self.n_tokens, "lengths": self.n_tokens, "texts": TEXT * self.n_texts, "rows": ROW * self.n_rows,
            "parts": PIECE * self.n_parts,
        }  # fmt: skip
        for name, size in sizes.items():
            if len(arrays[name]) != size:
                raise Damaged(f"{name}: {len(arrays[name])} values, not {size}")


class Postings(ctypes.Structure):
    """``kb_postings``: the open arrays of :mod:`kbsearch.lexical`, which says what they are; all uint32."""

    _ARRAYS: Final = ("terms", "entries", "posts")
    _COUNTS: Final = ("n_terms", "n_entries", "n_posts", "n_rows")
    _fields_ = (*((name, Address) for name in _ARRAYS), *((name, Long) for name in _COUNTS))

    def __init__(self, arrays: dict[str, NDArray[Any]], rows: int) -> None:
        super().__init__(*(address(arrays[name], U32) for name in self._ARRAYS))
        self._arrays = arrays
        self.n_terms, self.n_entries = len(arrays["terms"]) // 2 - 1, len(arrays["entries"]) // 2 - 1
        self.n_posts, self.n_rows = len(arrays["posts"]), rows
        for name, count in (("terms", self.n_terms), ("entries", self.n_entries)):
            if count < 0 or len(arrays[name]) != 2 * (count + 1):
                raise Damaged(f"{name}: {len(arrays[name])} values, not two each and two more")


class Lexicon(ctypes.Structure):
    """``kb_lexicon``: the postings of an index and, where there is one, of its delta."""

    _fields_ = (("parts", ctypes.POINTER(Postings) * 2),)

    def __init__(self, parts: Sequence[Postings]) -> None:
        super().__init__()
        self._held = parts
        for place, part in enumerate(parts):
            self.parts[place] = ctypes.pointer(part)
        self.rows: int = sum(part.n_rows for part in parts)


class Proposal(ctypes.Structure):
    """``kb_proposal``: what to propose rows for, and the room for them; see :class:`kbsearch.native.Proposals`."""

    _fields_ = (
        ("lexicon", ctypes.POINTER(Lexicon)), ("questions", Address), ("n", Long), ("streams", ctypes.c_int32),
        ("allowed", Address), ("k", Long * 2), ("rows", Address), ("scores", Address), ("job", Long * 4),
    )  # fmt: skip


class Quotes(ctypes.Structure):
    """``kb_quotes``: the open arrays of :mod:`kbsearch.quotes`, which says what they are."""

    _fields_ = (
        *((name, Address) for name in ("units", "rows", "codes", "scales")),
        *((name, Long) for name in ("n_units", "n_rows", "width")),
    )

    def __init__(
        self,
        units: NDArray[np.uint16],
        rows: NDArray[np.uint32],
        vectors: tuple[NDArray[np.int8], FloatArray] | None,
    ) -> None:
        super().__init__(address(units, U16), address(rows, U32))
        self._arrays = (units, rows, vectors)
        self.n_units, self.n_rows = len(units) // UNIT, len(rows) // 2
        if len(units) % UNIT or len(rows) % 2:
            raise Damaged(f"{UNIT} numbers a unit and 2 a row")
        if vectors is not None:
            codes, scales = vectors
            if not len(codes) == len(scales) == self.n_units:
                raise Damaged(f"{len(codes)} vectors and {len(scales)} scales of {self.n_units} units")
            self.codes, self.scales, self.width = address(codes, I8), address(scales, F32), codes.shape[1]


class Quoting(ctypes.Structure):
    """``kb_quoting``: how to quote; see :mod:`kbsearch.quotes`."""

    _fields_ = (
        *((name, Long) for name in ("limit", "room", "steps_note", "restriction_note", "warning_note")),
        *((name, ctypes.c_int32) for name in ("says_notes", "pieces")),
        *((name, ctypes.c_float) for name in ("words", "cosine", "rank", "beside", "near", "asks", "leads", "step")),
        *((name, ctypes.c_float) for name in ("row", "tiny", "dangling", "tied", "numbers", "rules")),
        ("whole", ctypes.c_int32),
    )


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
        ("ids", Address), ("idf", Address), ("boost", Address), ("flags", Address), ("n", Long),
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
            address(ids, U32), address(idf, F32), address(boost, F32), address(flags, U8)
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


class Headings(ctypes.Structure):
    """``kb_headings``: the open arrays of :mod:`kbsearch.headings`, which says what they are.

    Attributes
    ----------
    matrix
        The codes, int8 of shape (n, width).
    numbers
        Of each row's heading, int32, shape (rows,).
    """

    _fields_ = (
        ("codes", Address), ("scales", Address), ("of_row", Address), ("n", Long), ("rows", Long), ("width", Long),
    )  # fmt: skip

    def __init__(self, codes: NDArray[np.int8], scales: FloatArray, of_row: NDArray[np.int32]) -> None:
        super().__init__(address(codes, I8), address(scales, F32), address(of_row, I32))
        self.n, self.rows, self.width = len(codes), len(of_row), codes.shape[1]
        self.matrix, self.numbers, self.held = codes, of_row, (codes, scales, of_row)
        if len(scales) != self.n:
            raise Damaged(f"{self.n} vectors and {len(scales)} scales of headings")


class Part(ctypes.Structure):
    """``kb_part``."""

    _fields_ = (
        ("tokens", ctypes.POINTER(Tokens)), ("vectors", Address), ("titles", Address),
        ("headings", ctypes.POINTER(Headings)), ("rows", Long), ("articles", Long),
    )  # fmt: skip


class Corpus(ctypes.Structure):
    """``kb_corpus``: all that a question is compared with.

    Parameters
    ----------
    parts
        The index itself and, where there is one, its delta: terms, vectors, titles' vectors and headings. Vectors are
        float32 of shape (rows, width) and (articles, width); all but the terms are None where only words are asked for.
    article_of_row, japanese, group
        int32 (rows,), bool (articles,) and int32 (articles,), of all parts.
    samples
        Codes of passages that stand for all, int8 of shape (n, width), of other scripts and Japanese; and their step.
    cosines, title_cosines
        Mean and spread between passages and between titles of the corpus.
    """

    _fields_ = (
        ("parts", Part * 2), ("width", Long), ("article_of_row", Address), ("japanese", Address),
        ("group", Address), ("rows", Long), ("articles", Long), ("samples", Address * 2), ("sampled", Long * 2),
        ("sample_step", ctypes.c_float), ("cosine_mean", ctypes.c_float), ("cosine_spread", ctypes.c_float),
        ("title_mean", ctypes.c_float), ("title_spread", ctypes.c_float),
    )  # fmt: skip

    def __init__(
        self,
        parts: Sequence[tuple[Tokens, FloatArray | None, FloatArray | None, Headings | None]],
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
        for place, (tokens, vectors, titles, headings) in enumerate(parts):
            part = self.parts[place]
            part.tokens, part.rows = ctypes.pointer(tokens), tokens.n_rows
            rows += tokens.n_rows
            if vectors is None or titles is None or headings is None:
                continue
            self.width = vectors.shape[1]
            if len(vectors) != tokens.n_rows or titles.shape[1:] != vectors.shape[1:]:
                raise AssertionError("a vector for each row, of one length")
            part.vectors, part.titles = address(vectors, F32), address(titles, F32)
            part.articles = len(titles)
            articles += len(titles)
            if (headings.rows, headings.width) != (tokens.n_rows, self.width):
                raise AssertionError("a heading or none for each row, with vectors as long as those of the rows")
            part.headings = ctypes.pointer(headings)
        self.rows, self.articles = len(article_of_row), len(japanese)
        if rows != self.rows or articles not in {0, self.articles} or len(group) != self.articles:
            raise AssertionError("an article for each row, and a script and a group for each article")
        self.article_of_row, self.japanese = address(article_of_row, I32), address(japanese, BOOL)
        self.group = address(group, I32)
        if samples is not None:
            *both, self.sample_step = samples
            for script, codes in enumerate(both):
                if codes.shape[1] != self.width:
                    raise AssertionError("samples are as long as vectors")
                self.samples[script], self.sampled[script] = address(codes, I8), len(codes)
        self.cosine_mean, self.cosine_spread = cosines
        self.title_mean, self.title_spread = title_cosines


class Way(ctypes.Structure):
    """``kb_way``: one way to put a question; ``units`` are what its BM25 is multiplied by."""

    _fields_ = (
        ("terms", ctypes.POINTER(Asked)), ("vector", Address), ("words_unit", ctypes.c_float),
        ("grams_unit", ctypes.c_float),
    )  # fmt: skip

    def __init__(self, terms: Asked, vector: FloatArray | None, units: tuple[float, float] = (1, 1)) -> None:
        super().__init__(ctypes.pointer(terms), None if vector is None else address(vector, F32), *units)
        self.held = (terms, vector)


class Ways(tuple[Way, ...]):  # noqa: SLOT001 - a tuple has no slots
    """All ways to put a question; ``array`` has them one behind another."""

    array: ctypes.Array[Way]

    def __new__(cls, ways: Iterable[Way]) -> Self:
        """Keep them, and what they point to."""
        self = super().__new__(cls, ways)
        self.array = (Way * len(self))(*self)
        return self


class Asking(ctypes.Structure):
    """``kb_asking``: what a question is to its corpus, beside its ways."""

    _fields_ = (
        ("words_ceiling", ctypes.c_float), ("grams_ceiling", ctypes.c_float), ("japanese", ctypes.c_float),
        ("asks_japanese", ctypes.c_int32), ("terms", ctypes.c_float), ("untitled", Long), ("withheld", Long),
    )  # fmt: skip


class Pooled(ctypes.Structure):
    """``kb_pooled``: a pool as :func:`kbsearch.native.pool` gives it, and the most that words and grams could score.

    Parameters
    ----------
    rows
        int64, ascending, shape (n,).
    scores
        float32, shape (PER_ROW * n,).
    ceilings
        Of words and of grams.
    """

    _fields_ = (
        ("rows", Address), ("scores", Address), ("n", Long),
        ("words_ceiling", ctypes.c_float), ("grams_ceiling", ctypes.c_float),
    )  # fmt: skip

    def __init__(self, rows: RowArray, scores: FloatArray, ceilings: tuple[float, float]) -> None:
        super().__init__(address(rows, I64), address(scores, F32), len(rows), *ceilings)
        self._held = rows, scores
        if len(scores) != PER_ROW * len(rows):
            raise AssertionError("all numbers of each row")


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
        ("feature", Address), ("threshold", Address), ("mask", Address), ("value", Address), ("trees", Long),
        ("nodes", Long), ("leaves", Long), ("width", Long),
    )  # fmt: skip

    def __init__(
        self,
        feature: NDArray[np.int32],
        threshold: FloatArray,
        mask: NDArray[np.uint32],
        value: NDArray[np.float64],
        width: int,
    ) -> None:
        addresses = address(feature, I32), address(threshold, F32), address(mask, U32), address(value, F64)
        super().__init__(*addresses, *feature.shape, value.shape[1], width)
        if not feature.shape == threshold.shape == mask.shape or len(value) != len(feature):
            raise AssertionError("the arrays of a forest have one shape")
        self._held = (feature, threshold, mask, value)


class Models(ctypes.Structure):
    """``kb_models``: the ranking and the two of the confidence, or the ranking alone, or none."""

    _fields_ = tuple((name, ctypes.POINTER(Forest)) for name in ("ranker", "first", "few"))

    def __init__(self, ranker: Forest | None = None, confidence: tuple[Forest, Forest] | None = None) -> None:
        forests = ranker, *(confidence or (None, None))
        super().__init__(*(None if forest is None else ctypes.pointer(forest) for forest in forests))
        self._held = forests
        self.is_ranking, self.is_confident = ranker is not None, ranker is not None and confidence is not None


def address(array: NDArray[Any], dtype: np.dtype[Any]) -> int:
    """Where an array begins that is contiguous and of the dtype."""
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise AssertionError(f"a contiguous array of {dtype}, not of {array.dtype}")
    return place(array)


def place(array: NDArray[Any]) -> int:
    """Where an array begins."""
    if array.flags.writeable and array.size:
        return _addressof(_from_buffer(array))  # type: ignore[arg-type] # a quarter of the time of what NumPy offers
    found: int = array.ctypes.data
    return found
