"""The dense leg: inner products of unit vectors. FAISS lives here and nowhere else.

``vectors.npy`` is the truth: float32, shape ``(passages, dimension)``, C order, memory-mapped. The leg has two parts,
the Japanese passages and the others, because an encoder puts texts of one language near each other: each part is
searched by itself, so that those in the language of the question cannot crowd out the rest. Up to ``FLAT_LIMIT``
passages of a part every question is compared with all of them (``IndexFlatIP``, or without FAISS where there are so
few that loading it would take longer); beyond, a derived graph proposes candidates (``graph``), which are then scored
exactly against ``vectors.npy``.

What FAISS leaves to us: it lists ties in its own order, pads a short answer with −1, and does not notice a flipped
byte. :meth:`VectorIndex.search` answers in the total order (score descending, row ascending), drops the padding, and
the store's checksums cover the files.

Never: normalise here. An encoder gives unit vectors, and cosine is the inner product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from kbsearch.errors import IndexCorrupt
from kbsearch.native import dots
from kbsearch.vector.files import cosine_statistics, map_vectors, write_vectors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray
    from kbsearch.vector.part import Allowed, Part

__all__ = [
    "FLAT_LIMIT",
    "DenseReport",
    "Restriction",
    "VectorDelta",
    "VectorIndex",
    "cosine_statistics",
    "map_vectors",
    "write_graphs",
    "write_vectors",
]

FLAT_LIMIT: Final = 10_000
"""Passages of a part up to which an exact scan is as fast as a graph: .3 ms a question at 384 dimensions."""

_TIE_MARGIN: Final = 16
_NAMES: Final = ("other.faiss", "japanese.faiss")
_NO_ROWS: Final = np.empty(0, dtype=np.int64)
_NO_SCORES: Final = np.empty(0, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class DenseReport:
    """What the manifest says of the leg.

    ``kind`` is ``"flat"`` or ``"hnsw"``; ``recall_at_100`` is that of the worse graph against the exact scan; ``ef``
    how far a walk goes among the other and among the Japanese passages, 0 where every passage is compared.
    """

    kind: str
    recall_at_100: float
    ef: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Restriction:
    """Which rows may answer, in the other and in the Japanese part, and in a delta."""

    parts: tuple[Allowed, Allowed]
    added: Restriction | None = None


class VectorDelta(NamedTuple):
    """What adds to a leg; ``removed``: bool, shape (rows of that leg,), True for what counts no more."""

    added: VectorIndex
    removed: NDArray[np.bool_]


def write_graphs(folder: Path, vectors_file: Path, japanese: NDArray[np.bool_]) -> DenseReport:
    """Write the derived indexes of some vectors into a new folder; nothing for a part in which a scan is enough.

    ``vectors_file`` is as :func:`write_vectors` left it; ``japanese``: bool, shape (rows,).
    """
    folder.mkdir()
    efs, recalls = [0, 0], [1.0]
    for script, name in enumerate(_NAMES):
        rows = np.flatnonzero(japanese == bool(script))
        if len(rows) > FLAT_LIMIT:
            from kbsearch.vector.graph import write_graph

            efs[script], recall = write_graph(folder / name, vectors_file, rows)
            recalls.append(recall)
    return DenseReport("hnsw" if any(efs) else "flat", min(recalls), (efs[0], efs[1]))


class VectorIndex:
    """An open dense leg; immutable, shared between threads.

    Parameters
    ----------
    vectors_file, folder
        As :func:`write_vectors` and :func:`write_graphs` left them.
    report
        From the manifest.
    japanese
        Whether each row is Japanese, bool, shape (rows,).
    delta
        What changed since: its rows come behind.

    Raises
    ------
    IndexCorrupt
        When a file is not what was written.
    """

    def __init__(
        self,
        vectors_file: Path,
        folder: Path,
        report: DenseReport,
        japanese: NDArray[np.bool_],
        delta: VectorDelta | None = None,
    ) -> None:
        self.vectors: FloatArray = map_vectors(vectors_file)
        if len(japanese) != len(self.vectors):
            raise IndexCorrupt(vectors_file, f"{len(japanese)} vectors", str(len(self.vectors)))
        self._parts: tuple[Part, Part] = (
            self._open_part(folder, report, japanese, script=0),
            self._open_part(folder, report, japanese, script=1),
        )
        self._delta = delta
        self._remaining = None if delta is None else self.restrict(np.ones(self.rows, dtype=bool))

    def _open_part(self, folder: Path, report: DenseReport, japanese: NDArray[np.bool_], script: int) -> Part:
        from kbsearch.vector.part import Part

        rows = np.flatnonzero(japanese == bool(script))
        if not report.ef[script]:
            return Part(self.vectors, rows, None)
        from kbsearch.vector.graph import Graph

        return Part(self.vectors, rows, Graph(folder / _NAMES[script], len(rows), report.ef[script]))

    @property
    def rows(self) -> int:
        """Number of passages, those that count no more included."""
        return len(self.vectors) + (0 if self._delta is None else self._delta.added.rows)

    @property
    def approximate(self) -> bool:
        """Whether a search may miss a row: true for a graph, false for an exact scan."""
        return any(part.graph is not None for part in self._parts)

    def exact(self) -> VectorIndex:
        """The same leg, comparing every passage: slow beyond some ten thousand."""
        from kbsearch.vector.part import Part

        twin = object.__new__(VectorIndex)
        twin.vectors, twin._delta, twin._remaining = self.vectors, self._delta, self._remaining
        twin._parts = (
            Part(self.vectors, self._parts[0].rows, None),
            Part(self.vectors, self._parts[1].rows, None),
        )
        return twin

    def restrict(self, mask: NDArray[np.bool_]) -> Restriction:
        """Prepare a filter. ``mask``: bool, shape (rows,), True for the rows that may answer."""
        from kbsearch.vector.part import Allowed

        added = None
        if self._delta is not None:
            size = len(self.vectors)
            added = self._delta.added.restrict(mask[size:])
            mask = mask[:size] & ~self._delta.removed
        other, japanese = (Allowed.of(mask[part.rows]) for part in self._parts)
        return Restriction((other, japanese), added)

    def search(self, query: FloatArray, k: int, where: Restriction | None = None) -> tuple[RowArray, FloatArray]:
        """Rank passages by cosine.

        Parameters
        ----------
        query
            float32, shape (dimension,), length 1.
        k
            At most so many rows.
        where
            Only the rows of :meth:`restrict` take part.

        Returns
        -------
        rows : int64, shape (n,), n ≤ k
        scores : float32, shape (n,), in [-1, 1]
            Descending; equal scores by ascending row.
        """
        other, japanese = self.search_scripts(query, k, where)
        if not len(other[0]) or not len(japanese[0]):
            return japanese if len(japanese[0]) else other
        return _best(np.concatenate([other[0], japanese[0]]), np.concatenate([other[1], japanese[1]]), k)

    def search_scripts(
        self, query: FloatArray, k: int, where: Restriction | None = None, *, japanese: bool | None = None
    ) -> tuple[tuple[RowArray, FloatArray], tuple[RowArray, FloatArray]]:
        """As :meth:`search`, the best k of the passages that are not Japanese, and of those that are.

        A question that is ``japanese``, or that is not, is looked for less thoroughly in the part of the other script.
        """
        where = self._remaining if where is None else where
        allowed = (None, None) if where is None else where.parts
        other, own = (
            _searched(part, query, k, may, thorough=japanese in {None, bool(script)})
            for script, (part, may) in enumerate(zip(self._parts, allowed, strict=True))
        )
        if self._delta is None:
            return other, own
        first, added = len(self.vectors), None if where is None else where.added
        more = self._delta.added.search_scripts(query, k, added)
        other, own = (
            _best(np.concatenate([rows, new + first]), np.concatenate([scores, new_scores]), k)
            for (rows, scores), (new, new_scores) in zip((other, own), more, strict=True)
        )
        return other, own

    def score(self, query: FloatArray, rows: RowArray) -> FloatArray:
        """Exact cosines of the given rows, float32 in their order; equal vectors score equally.

        A matrix product does not give that: BLAS sums the rows of one block in another order than those left over.
        """
        if self._delta is None:
            return dots(self.vectors, rows, query)
        scores, own = np.empty(len(rows), dtype=np.float32), rows < len(self.vectors)
        scores[own] = dots(self.vectors, rows[own], query)
        scores[~own] = self._delta.added.score(query, rows[~own] - len(self.vectors))
        return scores


def _searched(
    part: Part, query: FloatArray, k: int, allowed: Allowed | None, *, thorough: bool
) -> tuple[RowArray, FloatArray]:
    count = len(part.rows) if allowed is None else allowed.count
    k = min(k, count)
    if k <= 0:
        return _NO_ROWS, _NO_SCORES
    limit = min(k + _TIE_MARGIN, count)
    while True:
        rows, scores = part.candidates(query, limit, allowed, thorough=thorough)
        if len(rows) < limit or limit == count or scores.min() < np.partition(scores, -k)[-k]:
            return _best(rows, scores, k)
        limit = min(limit * 4, count)  # a tie across the edge: look further


def _best(rows: RowArray, scores: FloatArray, k: int) -> tuple[RowArray, FloatArray]:
    order = np.lexsort((rows, -scores))[:k]
    return rows[order].astype(np.int64, copy=False), scores[order]
