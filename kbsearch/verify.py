"""Whether the index is what its build wrote, and whether each leg ranks as its definition says.

:func:`check_files` compares checksums and lets SQLite look at its pages. :func:`check_ranking` asks the index its own
titles and headings and recomputes the answers with rank-bm25 over the stored terms and with numpy over the stored
vectors: slow, plain, and sharing no code with the legs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from rank_bm25 import BM25Okapi

from kbsearch.bm25 import BM25_B, BM25_K1, STREAMS, quantised_length, term_id
from kbsearch.errors import IndexCorrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kbsearch.bm25 import Stream
    from kbsearch.model import FloatArray, RowArray
    from kbsearch.search import KnowledgeBase
    from kbsearch.snapshot import Snapshot
    from kbsearch.vector import VectorIndex

__all__ = ["ExactReport", "check_files", "check_ranking"]

_DEPTH: Final = 100
_QUESTIONS: Final = 40
_TOLERANCE: Final = 1e-4  # float32 sums in another order


@dataclass(frozen=True, slots=True)
class ExactReport:
    """What the oracles found.

    ``agreement`` is, for each of words, grams and dense, the mean share of the oracle's top 100 that the leg returned;
    ``error`` the greatest difference of a score, relative to the best score of its question.
    """

    questions: int
    agreement: dict[str, float]
    error: dict[str, float]


def check_files(kb: KnowledgeBase) -> list[IndexCorrupt]:
    """Damaged files of the current generation; empty when all is well."""
    damage = kb.snapshot.generation.damage()
    if not damage:
        try:
            kb.snapshot.content.check()
        except IndexCorrupt as error:
            damage.append(error)
    return damage


def check_ranking(kb: KnowledgeBase, progress: Callable[[int, int], None] | None = None) -> ExactReport:
    """Compare the legs with their oracles on up to 40 questions, titles and headings spread over the corpus.

    Raises
    ------
    IndexCorrupt
        When an exact leg misses a row of the oracle's that no tie explains, or scores it otherwise.
    """
    snapshot = kb.snapshot
    questions = _questions(kb)
    agreement: dict[str, list[float]] = {"words": [], "grams": [], "dense": []}
    error: dict[str, float] = dict.fromkeys(agreement, 0.0)
    oracles = {stream: _Bm25Oracle(stream, snapshot) for stream in STREAMS}

    def note(leg: str, found: tuple[float, float]) -> None:
        agreement[leg].append(found[0])
        error[leg] = max(error[leg], found[1])

    for done, question in enumerate(questions, start=1):
        query = kb.prepare(question).wordings[0]
        for stream in STREAMS:
            terms = query.words if stream == "words" else query.grams
            expected = oracles[stream].scores(terms)
            note(stream, _compare(expected, *snapshot.lexical.search(stream, terms, _DEPTH)))
        if query.vector is not None:
            expected = _cosines(snapshot, query.vector)
            rows, scores = snapshot.vectors.search(query.vector, _DEPTH)
            note("dense", _compare(expected, rows, scores))
        if progress is not None:
            progress(done, len(questions))
    means = {leg: float(np.mean(shares)) if shares else 1.0 for leg, shares in agreement.items()}
    _judge(means, error, snapshot.vectors, str(snapshot.generation.files.folder))
    return ExactReport(len(questions), means, error)


class _Bm25Oracle:
    """rank-bm25 with the idf of Lucene, and the lengths as it stores them."""

    def __init__(self, stream: Stream, snapshot: Snapshot) -> None:
        self._stream, self._rows, self._served = stream, snapshot.tokens.rows, _served(snapshot)
        counts = [snapshot.tokens.counts(row, stream) for row in self._served.tolist()]
        documents = [[term for term, count in row.items() for _ in range(count)] for row in counts]
        self._model = BM25Okapi(documents or [[-1]], k1=BM25_K1, b=BM25_B)
        self._model.doc_len = [quantised_length(len(document)) for document in documents]

    def scores(self, terms: Sequence[str]) -> FloatArray:
        scores = np.zeros(self._rows, dtype=np.float32)
        if not self._model.doc_len:  # an index without a passage
            return scores
        asked = [term_id(self._stream, term) for term in terms]
        n, frequency = self._model.corpus_size, dict.fromkeys(asked, 0)
        for document in self._model.doc_freqs:
            for term in frequency:
                frequency[term] += term in document
        self._model.idf = {term: np.log(1 + (n - f + 0.5) / (f + 0.5)) for term, f in frequency.items()}
        scores[self._served] = self._model.get_scores(asked)
        return scores


def _served(snapshot: Snapshot) -> RowArray:
    """Rows that count."""
    rows: RowArray = np.flatnonzero(~snapshot.parts.removed_articles[snapshot.article_of_row])
    return rows


def _cosines(snapshot: Snapshot, vector: FloatArray) -> FloatArray:
    """Of all rows; below all others for those that do not count."""
    served = _served(snapshot)
    cosines = np.full(snapshot.tokens.rows, -2, dtype=np.float32)
    cosines[served] = snapshot.vectors.score(vector, served)
    return cosines


def _questions(kb: KnowledgeBase) -> list[str]:
    texts = list(
        dict.fromkeys(
            text
            for article in kb.snapshot.content.articles()
            for text in (article.title, *(section.heading for section in article.sections))
            if text
        )
    )
    step = max(1, len(texts) // _QUESTIONS)
    return texts[::step][:_QUESTIONS]


def _compare(expected: FloatArray, rows: RowArray, scores: FloatArray) -> tuple[float, float]:
    """Share of the oracle's rows that the leg found, and its greatest relative error of a score.

    An answer out of the total order, or with a row twice, finds nothing.
    """
    order = np.lexsort((np.arange(len(expected)), -expected))[:_DEPTH]
    order = order[expected[order] > 0]
    if not len(order):
        return float(not len(rows)), 0.0
    best = float(expected[order[0]])
    # A row counts as found when it scores like one of the oracle's: ties may fall on either side of the edge.
    edge = expected[order[-1]] - _TOLERANCE * best
    share = float(np.count_nonzero(expected[rows] >= edge)) / len(order)
    if len(np.unique(rows)) < len(rows) or not np.array_equal(np.lexsort((rows, -scores)), np.arange(len(rows))):
        share = 0.0
    return share, float(np.abs(expected[rows] - scores).max(initial=0.0)) / best


def _judge(means: dict[str, float], error: dict[str, float], vectors: VectorIndex, folder: str) -> None:
    for leg, share in means.items():
        if share < 1 and not (leg == "dense" and vectors.approximate):
            raise IndexCorrupt(folder, f"the {leg} leg to return the oracle's rows", f"{share:.2%} of them")
        if error[leg] > _TOLERANCE:
            raise IndexCorrupt(folder, f"the {leg} leg to score as the oracle does", f"an error of {error[leg]:.1e}")
