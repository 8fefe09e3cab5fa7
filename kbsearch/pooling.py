"""The rows under consideration: what the legs propose for a question, with the scores of all legs.

Use: ``candidates(snapshot, query, where, POOL, mode)``. :class:`ByWords` begins the lexical leg before the question is
encoded.

Never: fetch content here, or prefer one row to another; that is :mod:`kbsearch.retrieve`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch import native
from kbsearch.bm25 import STREAMS
from kbsearch.columns import INSIDE, soundly
from kbsearch.laps import Laps
from kbsearch.rank import WORDS_ONLY, Candidates, Mode, Overlap

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Sequence

    from kbsearch import structures
    from kbsearch.bm25 import Stream
    from kbsearch.model import Filter, FloatArray, RowArray
    from kbsearch.query import Query, Wording
    from kbsearch.snapshot import Snapshot
    from kbsearch.vector import Restriction

__all__ = ["POOL", "ByWords", "candidates", "corpus_of", "scored"]

POOL: Final = 100
"""Rows that each leg proposes; the learned ranking was trained on pools of this depth."""

_FOREIGN_POOL: Final = 25  # of the script that the question is not in
_NO_ROWS: Final = np.empty(0, dtype=np.int64)


class ByWords:
    """What the streams of the lexical leg propose: on another core, where one is idle, while this one is busy.

    :meth:`begin` as soon as the terms of a question are known, then :meth:`rows` once.

    Parameters
    ----------
    where, without, day
        Which articles may answer; ``without`` are numbers of articles.
    pool
        Rows of each stream and wording.

    Attributes
    ----------
    excluded
        Numbers of the articles that may not answer, whatever leg finds them: ``without``, and what is out of date.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        where: Filter,
        mode: Mode,
        pool: int,
        without: tuple[int, ...] = (),
        day: dt.date | None = None,
    ) -> None:
        self._lexical, self._pool, self._mode = snapshot.lexical, pool, mode
        self.excluded = (snapshot.out_of_date_today() if day is None else snapshot.out_of_date(day)) + without
        self._admitted = partial(snapshot.admitted_rows, where, self.excluded)
        self.rows: Callable[[], RowArray] = _not_begun

    def begin(self, asked: Sequence[structures.Asked]) -> None:
        """Look for the rows of all wordings of a question."""
        streams: list[Stream] = [stream for stream in STREAMS if self._mode not in {"dense", *STREAMS} - {stream}]
        if not streams:
            self.rows = lambda: _NO_ROWS
            return
        given = asked, streams, self._pool, self._admitted()
        if self._mode in WORDS_ONLY:  # nothing else to do meanwhile
            self.rows = partial(self._lexical.propose, *given)
        else:
            self.rows = self._lexical.propose_later(*given)


def _not_begun() -> RowArray:
    raise AssertionError("the words of a question are looked for once it is prepared")


def candidates(
    snapshot: Snapshot,
    query: Query,
    where: Filter,
    pool: int,
    mode: Mode = "hybrid",
    without: tuple[int, ...] = (),
    laps: Laps | None = None,
    *,
    day: dt.date | None = None,
    by_words: ByWords | None = None,
) -> Candidates:
    """Rows that any leg of the mode proposes, up to ``pool`` by each, with the scores of all legs.

    Of what is valid on the ``day``, today, without the articles of some numbers. ``by_words`` as in
    :func:`kbsearch.retrieve.best_articles`.
    """
    laps = laps or Laps()
    if by_words is None:
        by_words = ByWords(snapshot, where, mode, pool, without, day)
        by_words.begin([wording.asked.terms for wording in query.wordings])
        laps.end("lexical")
    near: list[RowArray] = []
    for wording in query.wordings:
        if wording.vector is not None:
            near += _near(snapshot, wording, wording.vector, pool, snapshot.admitted(where, by_words.excluded))
    laps.end("dense")
    held = by_words.rows()
    laps.end("lexical")
    found = scored(snapshot, query, np.concatenate([held, *near]))
    if not snapshot.parts.has_delta:
        return found
    return _trimmed(found, np.concatenate([_NO_ROWS, *near]), pool)


def _near(
    snapshot: Snapshot, wording: Wording, vector: FloatArray, pool: int, admitted: Restriction | None
) -> Iterator[RowArray]:
    """The nearest rows, and the nearest in the script that the question is not in, lest its own fills the pool."""
    parts = snapshot.vectors.search_scripts(vector, pool, admitted, japanese=wording.asks_japanese)
    foreign = parts[not wording.asks_japanese][0]
    if len(foreign) == 0 or len(parts[wording.asks_japanese][0]) == 0:
        yield from (rows for rows, _ in parts)
        return
    rows = np.concatenate([rows for rows, _ in parts])
    scores = np.concatenate([scores for _, scores in parts])
    yield rows[np.argsort(-scores, kind="stable")[:pool]]
    yield foreign[:_FOREIGN_POOL]


def _trimmed(found: Candidates, near: RowArray, pool: int) -> Candidates:
    """Base and delta have each proposed ``pool`` rows by their words: the best of both stay, and all that are near."""
    kept = np.isin(found.rows, near)
    for scores in (found.words, found.grams):
        best = np.lexsort((found.rows, -scores))[:pool]
        kept[best[scores[best] > 0]] = True
    overlap = found.overlap and Overlap(found.overlap.cover[kept], found.overlap.reverse[kept])
    return Candidates(
        found.rows[kept], found.words[kept], found.grams[kept], found.dense[kept], found.words_ceiling,
        found.grams_ceiling, overlap,
    )  # fmt: skip


def scored(snapshot: Snapshot, query: Query, rows: RowArray) -> Candidates:
    """The distinct rows with the scores of all legs; of several wordings, a row has those that it matches best."""
    folder, ceilings = snapshot.generation.files.folder, query.wordings[0].asked[1:]
    found, scores = soundly(folder, INSIDE, native.pool, corpus_of(snapshot, query), query.ways, rows)
    return Candidates.of_pool(found, scores, ceilings)


def corpus_of(snapshot: Snapshot, query: Query) -> structures.Corpus:
    """What a question is compared with: a question of words alone opens no vectors."""
    return snapshot.parts.texts if query.wordings[0].vector is None else snapshot.parts.corpus
