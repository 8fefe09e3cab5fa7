"""Texts to vectors in the background of a build, while the caller's thread cuts and writes the same texts.

The encoder's library lets go of the interpreter's lock, so the rest of a build costs next to nothing beside it. What is
encoded goes into the journal batch by batch: a killed build loses one batch at most.

Use: ``with Encoding(texts, encoder, known, journal) as encoding: …; encoding.finish(tell); known.stacked(keys)``.

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
    from kbsearch.known import Known
    from kbsearch.model import Encoder, Progress

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
        By their keys. Asked for when their turn comes, so they need not all be there at once.
    encoder, journal
        The journal is written by the background only, until :meth:`finish`.
    known
        Vectors that need not be encoded again; the journal is a part of it.

    Attributes
    ----------
    new
        How many texts are not known.
    """

    def __init__(self, texts: Mapping[str, str], encoder: Encoder, known: Known, journal: Journal) -> None:
        self._missing = [key for key in texts if key not in known]
        self._missing.sort(key=lambda key: len(texts[key]))  # texts of one length share a batch without padding
        self._texts, self._encoder, self._journal = texts, encoder, journal
        self._done, self._stopped = 0, False
        self.new = len(self._missing)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="kbsearch-build")
        self._running = self._pool.submit(self._run)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped = True
        self._pool.shutdown()

    def finish(self, tell: Progress) -> None:
        """Wait for the end: what was known then has the vectors of all texts.

        Raises what the encoder or the disk raised.
        """
        while not wait([self._running], _LOOK).done:
            tell("encode", self._done, self.new)
        self._running.result()
        if self.new:
            tell("encode", self._done, self.new)
        self._texts, self._missing = {}, []

    def _run(self) -> None:
        for start in range(0, self.new, _AT_ONCE):
            keys = self._missing[start : start + _AT_ONCE]
            encoded = self._encoder.encode_passages([self._texts[key] for key in keys], self._count)
            self._journal.append(keys, encoded)

    def _count(self, finished: int) -> None:
        self._done += finished
        if self._stopped:
            raise _StoppedError


def encode_texts(
    texts: Mapping[str, str],
    encoder: Encoder,
    known: Known,
    journal: Journal,
    tell: Progress,
) -> int:
    """The same at once; returns how many of the texts are new."""
    with Encoding(texts, encoder, known, journal) as encoding:
        encoding.finish(tell)
        return encoding.new
