"""The compiled parts of the default encoder (``core/pieces.c``): words to piece ids, ids to embedded rows.

Use: ``Pieces(edges, scores, unknown).segment("▁word▁word")`` and ``Rows(table, places, norm, epsilon).embed(ids)``.
Calls let go of the interpreter's lock and may come from several threads at once.

Never: change an array that one of these holds; the compiled functions work on it where it lies.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kbsearch import native
from kbsearch.structures import F32, I32, Address, Damaged, Long, address, place

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kbsearch.model import FloatArray

__all__ = ["Pieces", "Rows"]

VERSION: Final = 1
BLOCK_BYTES: Final = 18
BLOCK_WEIGHTS: Final = 32
NO_LIMIT: Final = 1 << 62
_U64: Final = np.dtype(np.uint64)


class Pieces(ctypes.Structure):
    """``kb_pieces``: the trie that :mod:`kbsearch.embed.tokenizer` writes.

    Parameters
    ----------
    edges
        uint64, shape (n,).
    scores
        float32, shape (pieces,). The root of the trie is node ``pieces``.
    unknown
        The score of a character that no piece covers.
    """

    _fields_ = (
        ("edges", Address), ("scores", Address), ("size", Long), ("pieces", Long), ("unknown", ctypes.c_double)
    )  # fmt: skip

    def __init__(self, edges: NDArray[np.uint64], scores: FloatArray, unknown: float) -> None:
        super().__init__(address(edges, _U64), address(scores, F32), len(edges), len(scores), unknown)
        self._arrays = edges, scores

    def segment(self, text: str, limit: int = NO_LIMIT) -> NDArray[np.int32]:
        """Ids of the pieces of all words of ``text``, each begun by ``▁``: int32 of shape (n,).

        Stops behind the word that reaches ``limit``.
        """
        n = len(text)
        best, back, ids = np.empty(n + 1), np.empty(2 * n + 2, np.int32), np.empty(n, np.int32)
        count = _library().kb_segment(
            self, text.encode("utf-32-le", "surrogatepass"), n, limit, place(best), place(back),
            place(ids),
        )  # fmt: skip
        return ids[:count]


class Rows(ctypes.Structure):
    """``kb_rows``: the embeddings of words and places, and the layer-norm behind them.

    Parameters
    ----------
    table
        Shape (height, blocks), items of 18 bytes: see :mod:`kbsearch.embed.packed`.
    places
        float32, shape (longest text, 32 * blocks).
    norm
        Weights and bias, float32, shape (2, 32 * blocks).
    epsilon
        Added to the variance.
    """

    _fields_ = (
        ("table", Address), ("places", Address), ("weight", Address), ("bias", Address),
        ("height", Long), ("blocks", Long), ("epsilon", ctypes.c_float),
    )  # fmt: skip

    def __init__(self, table: NDArray[Any], places: FloatArray, norm: FloatArray, epsilon: float) -> None:
        height, blocks = table.shape
        self.width, self.longest = BLOCK_WEIGHTS * blocks, len(places)
        if table.itemsize != BLOCK_BYTES or places.shape[1:] != (self.width,) or norm.shape != (2, self.width):
            raise ValueError(f"embeddings of {table.shape}, {places.shape} and {norm.shape}")
        words, norms = address(table, table.dtype), address(norm, F32)
        bias = norms + norm.strides[0]
        super().__init__(words, address(places, F32), norms, bias, height, blocks, epsilon)
        self._arrays = table, places, norm

    def embed(self, ids: NDArray[np.int32]) -> FloatArray:
        """Embedded rows of a text, after the layer-norm: float32 of shape (n, 32 * blocks).

        Raises
        ------
        Damaged
            An id is none of the table's.
        """
        n = len(ids)
        if n > self.longest:
            raise AssertionError(f"{n} tokens, and places for {self.longest}")
        rows, squares = np.empty((n, self.width), np.float32), np.empty(self.width, np.float32)
        if _library().kb_embed(self, address(ids, I32), n, place(squares), place(rows)):
            raise Damaged("a token that the table of words does not have")
        return rows


@cache
def _library() -> ctypes.CDLL:
    library = native.opened("kb_embed_version", VERSION)
    library.kb_segment.argtypes = (ctypes.POINTER(Pieces), ctypes.c_char_p, Long, Long, *(Address,) * 3)
    library.kb_segment.restype = Long
    library.kb_embed.argtypes = (ctypes.POINTER(Rows), Address, Long, Address, Address)
    return library
