"""The dense leg: inner products of unit vectors. FAISS lives here and nowhere else.

``vectors.npy`` is the truth: float32, shape ``(passages, dimension)``, C order, memory-mapped. The leg has two parts,
the Japanese passages and the others, because an encoder puts texts of one language near each other: each part is
searched by itself, so that those in the language of the question cannot crowd out the rest. Few passages of a part are
compared one by one, more by their 8-bit codes, exactly. Beyond, 4-bit codes (``scan``) or a graph that FAISS has built
(``graph``) propose candidates, which are then scored exactly against ``vectors.npy``. Both parts are one call
(``compiled``), on two cores where another is idle. The order is total: score descending, row ascending.

Never: normalise here. An encoder gives unit vectors, and cosine is the inner product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np

from kbsearch.columns import soundly
from kbsearch.errors import IndexCorrupt
from kbsearch.native import dots
from kbsearch.vector.compiled import Allowed, Dense, Script, near
from kbsearch.vector.files import cosine_statistics, map_vectors, write_vectors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray
    from kbsearch.vector.compiled import Derived

__all__ = [
    "CODES_LIMIT",
    "FLAT_LIMIT",
    "SCAN_LIMIT",
    "DenseReport",
    "Restriction",
    "VectorDelta",
    "VectorIndex",
    "cosine_statistics",
    "map_vectors",
    "write_graphs",
    "write_vectors",
]

Kind = Literal["flat", "sq8", "sq4", "hnsw"]

FLAT_LIMIT: Final = 500
"""Passages of a part up to which their vectors are compared one by one."""
CODES_LIMIT: Final = 10_000
"""Passages of a part up to which the search is exact, by way of 8-bit codes: .1 ms a question at 384 dimensions."""
SCAN_LIMIT: Final = 100_000
"""Passages of a part up to which 4-bit codes are looked up about as fast as a graph is walked, and miss less: 19 MB at
384 dimensions."""

_NAMES: Final = ("other", "japanese")
_FEW: Final = 20_000  # rows that are compared one by one sooner than by the codes of a graph


@dataclass(frozen=True, slots=True)
class DenseReport:
    """What the manifest says of the leg.

    ``kinds`` are those of the other and of the Japanese passages: ``"flat"`` and ``"sq8"`` compare all of them,
    ``"sq4"`` scans codes and ``"hnsw"`` walks a graph. ``reach`` is how many rows a scan leads to for a hundred that
    are wanted, or how far a walk goes; 0 where every passage is compared. ``recall_at_100`` is that of the worse part
    against the exact scan.
    """

    kinds: tuple[Kind, Kind] = ("flat", "flat")
    reach: tuple[int, int] = (0, 0)
    recall_at_100: float = 1.0

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> DenseReport:
        """From the manifest."""
        return cls(tuple(described["kinds"]), tuple(described["reach"]), described["recall_at_100"])


@dataclass(frozen=True, slots=True)
class Restriction:
    """Which rows may answer, in the other and in the Japanese part, and in a delta."""

    parts: tuple[Allowed, Allowed]
    added: Restriction | None = None


class VectorDelta(NamedTuple):
    """What adds to a leg; ``removed``: bool, shape (rows of that leg,), True for what counts no more."""

    added: VectorIndex
    removed: NDArray[np.bool_]


def write_graphs(folder: Path, vectors: FloatArray, japanese: NDArray[np.bool_]) -> DenseReport:
    """Write the derived indexes of ``vectors`` into a new folder; nothing for a part in which a scan is enough.

    ``japanese``: bool, shape (rows,).
    """
    folder.mkdir()
    found = [_write_part(folder, script, vectors, np.flatnonzero(japanese == bool(script))) for script in (0, 1)]
    (other, own), reach, recalls = zip(*found, strict=True)
    return DenseReport((other, own), reach, min(recalls))


def _write_part(folder: Path, script: int, vectors: FloatArray, rows: RowArray) -> tuple[Kind, int, float]:
    place = folder / _NAMES[script]
    if len(rows) <= FLAT_LIMIT:
        return "flat", 0, 1.0
    if len(rows) <= CODES_LIMIT:
        from kbsearch.vector.codes import write_codes

        write_codes(place, vectors, rows)
        return "sq8", 0, 1.0
    if len(rows) <= SCAN_LIMIT:
        from kbsearch.vector.scan import write_scan

        return "sq4", *write_scan(place, vectors, rows)
    from kbsearch.vector.graph import write_graph

    return "hnsw", *write_graph(place.with_suffix(".faiss"), vectors, rows)


def _opened(folder: Path, script: int, report: DenseReport, japanese: NDArray[np.bool_], dimension: int) -> Script:
    """The rows of a script, and what leads to them."""
    rows = np.flatnonzero(japanese == bool(script))
    derived = _derived(folder / _NAMES[script], report.kinds[script], len(rows), dimension)
    return Script(rows, derived, report.reach[script], _FEW)


def _derived(place: Path, kind: Kind, size: int, dimension: int) -> Derived | None:
    if kind == "sq8":
        from kbsearch.vector.codes import open_codes

        return open_codes(place, size, dimension)
    if kind == "sq4":
        from kbsearch.vector.scan import open_scan

        return open_scan(place, size, dimension)
    if kind == "hnsw":
        from kbsearch.vector.graph import open_graph

        return open_graph(place.with_suffix(".faiss"), size, dimension)
    return None


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
        When a file is not what was written; also from a search, when what leads to rows leads out of the files.
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
        others, own = (_opened(folder, script, report, japanese, self.vectors.shape[1]) for script in (0, 1))
        self._folder, self._dense = folder, Dense((others, own), self.vectors)
        self._delta = delta
        self._remaining = None if delta is None else self.restrict(np.ones(self.rows, dtype=bool))

    @property
    def rows(self) -> int:
        """Number of passages, those that count no more included."""
        return len(self.vectors) + (0 if self._delta is None else self._delta.added.rows)

    @property
    def approximate(self) -> bool:
        """Whether a search may miss a row: true where codes or a graph propose, false where all are compared."""
        return any(script.is_approximate for script in self._dense.held[0])

    @property
    def matrices(self) -> list[FloatArray]:
        """The vectors, and those of the delta behind them."""
        return [self.vectors] if self._delta is None else [self.vectors, self._delta.added.vectors]

    def exact(self) -> VectorIndex:
        """The same leg, comparing every passage: slow beyond some ten thousand."""
        twin = object.__new__(VectorIndex)
        twin.vectors, twin._delta, twin._remaining = self.vectors, self._delta, self._remaining
        others, own = (Script(script.held) for script in self._dense.held[0])
        twin._folder, twin._dense = self._folder, Dense((others, own), self.vectors)
        return twin

    def restrict(self, mask: NDArray[np.bool_]) -> Restriction:
        """Prepare a filter. ``mask``: bool, shape (rows,), True for the rows that may answer."""
        added = None
        if self._delta is not None:
            size = len(self.vectors)
            added = self._delta.added.restrict(mask[size:])
            mask = mask[:size] & ~self._delta.removed
        others, own = (Allowed(mask[script.held]) for script in self._dense.held[0])
        return Restriction((others, own), added)

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
        self,
        query: FloatArray,
        k: int,
        where: Restriction | None = None,
        *,
        japanese: bool | None = None,
    ) -> tuple[tuple[RowArray, FloatArray], tuple[RowArray, FloatArray]]:
        """As :meth:`search`, the best k of the passages that are not Japanese, and of those that are.

        A question that is ``japanese``, or that is not, is looked for less thoroughly in the part of the other script.
        """
        where = self._remaining if where is None else where
        given = query, k, None if where is None else where.parts, -1 if japanese is None else int(japanese)
        other, own = soundly(self._folder, "codes and links that lead to rows", near, self._dense, *given)
        if self._delta is None:
            return other, own
        size, added = len(self.vectors), None if where is None else where.added
        more = self._delta.added.search_scripts(query, k, added)
        other, own = (
            _best(np.concatenate([rows, new + size]), np.concatenate([scores, new_scores]), k)
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


def _best(rows: RowArray, scores: FloatArray, k: int) -> tuple[RowArray, FloatArray]:
    order = np.lexsort((rows, -scores))[:k]
    return rows[order].astype(np.int64, copy=False), scores[order]
