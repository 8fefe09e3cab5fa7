"""Texts to vectors in the background of a build, while the caller's thread cuts and writes the same texts.

The encoder's library lets go of the interpreter's lock, so the rest of a build costs next to nothing beside it. What is
encoded goes into the journal batch by batch: a killed build loses one batch at most.

Use: ``with Encoding(texts, encoder, known, journal) as encoding: …; vectors = encoding.finish(tell)``.

Never: call the caller's progress from another thread than the caller's.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from kbsearch.journal import Journal
    from kbsearch.model import Encoder, FloatArray, Progress

__all__ = ["Encoding", "encode_texts"]

_AT_ONCE: Final = 512  # texts between two entries in the journal: what a killed build can lose
_LOOK: Final = 0.1  # seconds between two looks at how far it is


class _StoppedError(Exception):
    """The build has ended before the encoding has."""


class Encoding:
    """Encodes what is not known yet, from now on; see the module.

    Parameters
    ----------
    texts
        By their keys.
    encoder, journal
        The journal is written by the background only, until :meth:`finish`.
    known
        Vectors that need not be encoded again, by key.

    Attributes
    ----------
    new
        How many texts are not known.
    """

    def __init__(
        self, texts: Mapping[str, str], encoder: Encoder, known: Mapping[str, FloatArray], journal: Journal
    ) -> None:
        self._known: dict[str, FloatArray] = {**known, **journal.known}
        self._missing = [(key, text) for key, text in texts.items() if key not in self._known]
        self._missing.sort(key=lambda item: len(item[1]))  # texts of one length share a batch without padding
        self._encoder, self._journal = encoder, journal
        self._done, self._stopped = 0, False
        self.new = len(self._missing)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="kbsearch-build")
        self._running = self._pool.submit(self._run)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped = True
        self._pool.shutdown()

    def finish(self, tell: Progress) -> dict[str, FloatArray]:
        """Wait for the end; the vectors of all texts (and of others) by key.

        Raises what the encoder or the disk raised.
        """
        while not wait([self._running], _LOOK).done:
            tell("encode", self._done, self.new)
        self._running.result()
        if self.new:
            tell("encode", self._done, self.new)
        return self._known

    def _run(self) -> None:
        for start in range(0, self.new, _AT_ONCE):
            keys, batch = zip(*self._missing[start : start + _AT_ONCE], strict=True)
            encoded = self._encoder.encode_passages(batch, self._count)
            self._journal.append(keys, encoded)
            self._known.update(zip(keys, encoded, strict=True))

    def _count(self, finished: int) -> None:
        self._done += finished
        if self._stopped:
            raise _StoppedError


def encode_texts(
    texts: Mapping[str, str],
    encoder: Encoder,
    known: Mapping[str, FloatArray],
    journal: Journal,
    tell: Progress,
) -> tuple[dict[str, FloatArray], int]:
    """The same at once: vectors by key of all texts (and of others), and how many of them are new."""
    with Encoding(texts, encoder, known, journal) as encoding:
        return encoding.finish(tell), encoding.new
