"""The dense leg in the compiled part (``core/near.c``, ``scan.c``, ``walk.c``): what is open of a leg, and asking it.

Each structure holds the arrays that it points into, and has looked at their sizes. A wrong one is an
``AssertionError``; one that came from a file is :class:`kbsearch.structures.Damaged`.

Never: keep a pointer to an array without the array.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch import native
from kbsearch.structures import BOOL, F32, I8, I32, I64, U8, U64, Address, Damaged, Long, address, place

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray

__all__ = ["Allowed", "Codes", "Dense", "Links", "Nibbles", "Script", "near", "walk"]

VERSION: Final = 3
_LONGEST_VECTOR: Final = 16_384  # a sum of its codes times 16-bit steps fits into 32 bits then


class Codes(ctypes.Structure):
    """``kb_codes``: rows as 8-bit codes; a row is about ``centre + steps * code``, ``errors`` says how far from it.

    ``codes``: int8, shape (n, width); ``errors``: float32, shape (n,); ``centre``, ``steps``: float32, shape (width,).
    """

    _fields_ = (
        *((name, Address) for name in ("codes", "errors", "centre", "steps")),
        ("farthest", ctypes.c_float), ("n", Long),
    )  # fmt: skip

    def __init__(self, codes: NDArray[np.int8], errors: FloatArray, centre: FloatArray, steps: FloatArray) -> None:
        floats = [address(array, F32) for array in (errors, centre, steps)]
        super().__init__(address(codes, I8), *floats, float(errors.max(initial=0)), len(codes))
        shapes = errors.shape, centre.shape, steps.shape
        if shapes != (codes.shape[:1], codes.shape[1:], codes.shape[1:]) or len(centre) > _LONGEST_VECTOR:
            raise Damaged("codes of another shape")
        self.width = len(centre)
        self.held = (codes, errors, centre, steps)


class Nibbles(ctypes.Structure):
    """``kb_nibbles``: rows as 4-bit codes, see :mod:`kbsearch.vector.scan`.

    ``codes``: uint8, shape (n, half); ``steps``: float32, shape (width,), where half is that of width, rounded up.
    """

    _fields_ = (("codes", Address), ("steps", Address), ("n", Long), ("half", Long))

    def __init__(self, codes: NDArray[np.uint8], steps: FloatArray) -> None:
        self.width = len(steps)
        padded = np.append(steps, np.zeros(self.width % 2, np.float32))
        super().__init__(address(codes, U8), address(padded, F32), *codes.shape)
        if 2 * codes.shape[1] != len(padded) or len(padded) > _LONGEST_VECTOR:
            raise Damaged("codes of another shape")
        self.held = (codes, padded)


class Links(ctypes.Structure):
    """``kb_graph``: nodes with their codes and their neighbours, as FAISS has made them.

    Parameters
    ----------
    codes
        uint8, shape (n * width,).
    span
        float32, shape (width,): what 255 steps of each dimension's code are worth.
    links, begins
        int32 of any alignment, and where those of each node begin: uint64, shape (n + 1,).
    level_links, entry, top
        Links of a node on the lowest level, the node to begin with, and its level.
    """

    _fields_ = (
        *((name, Address) for name in ("codes", "span", "links", "begins")),
        *((name, Long) for name in ("n", "width", "n_links", "level_links", "entry", "top")),
    )

    def __init__(
        self,
        codes: NDArray[np.uint8],
        span: FloatArray,
        links: NDArray[np.int32],
        begins: NDArray[np.uint64],
        level_links: int,
        entry: int,
        top: int,
    ) -> None:
        n, width = len(begins) - 1, len(span)
        addresses = address(codes, U8), address(span, F32), address(links, I32), address(begins, U64)
        super().__init__(*addresses, n, width, len(links), level_links, entry, top)
        if n < 1 or len(codes) != n * width or not 0 < width <= _LONGEST_VECTOR:
            raise Damaged("a code for each node")
        self.owner: object = None  # of memory that the arrays do not own
        self.held = (codes, span, links, begins)


Derived = Codes | Nibbles | Links


class Script(ctypes.Structure):
    """``kb_script``: the rows of one script, and what leads to those near a question; without, each is compared.

    Parameters
    ----------
    rows
        int64, shape (n,).
    derived
        Over their vectors, in their order.
    reach
        How many rows :class:`Nibbles` lead to for a hundred that are wanted, or how far a walk goes.
    few
        Rows that are compared one by one sooner than by the codes of a graph.
    """

    _fields_ = (
        ("rows", Address), ("codes", ctypes.POINTER(Codes)), ("nibbles", ctypes.POINTER(Nibbles)),
        ("graph", ctypes.POINTER(Links)), ("n", Long), ("reach", Long), ("few", Long),
    )  # fmt: skip

    def __init__(self, rows: RowArray, derived: Derived | None = None, reach: int = 0, few: int = 0) -> None:
        if derived is not None and derived.n != len(rows):
            raise AssertionError(f"a code for each of {len(rows)} rows, not {derived.n}")
        kinds = Codes, Nibbles, Links
        pointers = [ctypes.pointer(derived) if isinstance(derived, kind) else None for kind in kinds]
        super().__init__(address(rows, I64), *pointers, len(rows), reach, few)
        self.derived = derived
        self.held = rows

    @property
    def is_approximate(self) -> bool:
        """Whether a row may be missed."""
        return isinstance(self.derived, Nibbles | Links)


class Dense(ctypes.Structure):
    """``kb_dense``: the rows of two scripts with their ``vectors``, float32 of shape (height, width)."""

    _fields_ = (("scripts", Script * 2), ("matrix", Address), ("height", Long), ("width", Long))

    def __init__(self, scripts: tuple[Script, Script], vectors: FloatArray) -> None:
        super().__init__((Script * 2)(*scripts), address(vectors, F32), *vectors.shape)
        if any(script.derived and script.derived.width != vectors.shape[1] for script in scripts):
            raise AssertionError("codes and vectors of one length")
        self.sizes = [script.n for script in scripts]
        self.held = (scripts, vectors)


class Allowed(ctypes.Structure):
    """``kb_allowed``: which rows of a script may answer, and how many they are. ``mask``: bool, shape (n,)."""

    _fields_ = (("rows", Address), ("count", Long))

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        super().__init__(address(mask, BOOL), int(np.count_nonzero(mask)))
        self.held = mask


def near(
    dense: Dense, vector: FloatArray, k: int, allowed: tuple[Allowed, Allowed] | None = None, own: int = -1
) -> tuple[tuple[RowArray, FloatArray], tuple[RowArray, FloatArray]]:
    """The best k rows of each script with their exact cosines: score descending, row ascending.

    Where not every row is compared, one in some hundred may be missed, of those far down more than of the first; fewer
    are looked at in the script that is not the ``own`` one, unless that is -1. ``vector`` has length 1.
    """
    if vector.shape != (dense.width,):
        raise AssertionError(f"a vector of {dense.width} numbers, not {vector.shape}")
    if allowed is not None and [one.held.shape for one in allowed] != [(size,) for size in dense.sizes]:
        raise AssertionError("a yes or no for each row")
    k = max(min(k, max(dense.sizes)), 0)
    rows, scores = np.empty(2 * k + 2, np.int64), np.empty(2 * k, np.float32)
    at = place(rows)
    native.check(
        _library().kb_near(
            dense, address(vector, F32), k, None if allowed is None else (Allowed * 2)(*allowed), own, at,
            place(scores), at + 16 * k,
        )
    )  # fmt: skip
    others, japanese = rows[2 * k :].tolist()
    return (rows[:others], scores[:others]), (rows[k : k + japanese], scores[k : k + japanese])


def walk(links: Links, vector: FloatArray, reach: int, k: int) -> RowArray:
    """The k nodes nearest to a vector by their codes, best first, that a walk finds which keeps ``reach`` of them."""
    found = np.empty(max(min(k, links.n), 0), np.int64)
    if len(vector) != links.width:
        raise AssertionError(f"a vector of {links.width} numbers, not {len(vector)}")
    count = _library().kb_walk(links, address(vector, F32), reach, len(found), place(found))
    native.check(count)
    return found[:count]


@cache
def _library() -> ctypes.CDLL:
    library = native.opened("kb_near_version", VERSION)
    library.kb_near.argtypes = (
        ctypes.POINTER(Dense), Address, Long, ctypes.POINTER(Allowed), Long, *(Address,) * 3,
    )  # fmt: skip
    library.kb_walk.argtypes = (ctypes.POINTER(Links), Address, Long, Long, Address)
    library.kb_near.restype = library.kb_walk.restype = Long
    return library
