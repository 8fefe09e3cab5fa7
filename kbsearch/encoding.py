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
    more
        Other texts, with the vectors that do for them.

    Attributes
    ----------
    new, more
        How many of ``texts``, and of the others, are not known; what is in both counts once, as one of ``texts``.
    """

    def __init__(
        self,
        texts: Mapping[str, str],
        encoder: Encoder,
        known: Known,
        journal: Journal,
        more: tuple[Mapping[str, str], Known] | None = None,
    ) -> None:
        missing = [key for key in texts if key not in known]
        self.new, self.more = len(missing), 0
        self._sources = [texts]
        if more is not None:
            wanted = set(missing)
            missing += [key for key in more[0] if key not in more[1] and key not in wanted]
            self.more = len(missing) - self.new
            self._sources.append(more[0])
        missing.sort(key=lambda key: len(self._text(key)))  # texts of one length share a batch without padding
        self._missing, self._encoder, self._journal = missing, encoder, journal
        self._done, self._stopped, self._all = 0, False, len(missing)
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
            tell("encode", self._done, self._all)
        self._running.result()
        if self._all:
            tell("encode", self._done, self._all)
        self._sources, self._missing = [], []

    def _run(self) -> None:
        for start in range(0, self._all, _AT_ONCE):
            keys = self._missing[start : start + _AT_ONCE]
            encoded = self._encoder.encode_passages([self._text(key) for key in keys], self._count)
            self._journal.append(keys, encoded)

    def _text(self, key: str) -> str:
        return next(text for texts in self._sources if (text := texts.get(key)) is not None)

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
    more: tuple[Mapping[str, str], Known] | None = None,
) -> tuple[int, int]:
    """The same at once; returns how many of the texts are new, and how many of the others."""
    with Encoding(texts, encoder, known, journal, more) as encoding:
        encoding.finish(tell)
        return encoding.new, encoding.more
