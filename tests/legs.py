"""Lexical legs of rows that a test writes down itself, and what they find beside a comparison with every row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from terms import Row, Text, write

from kbsearch.lexical import LexicalIndex, write_lexical
from kbsearch.tokens import TokenIndex

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.bm25 import Stream
    from kbsearch.model import FloatArray, RowArray

__all__ = ["ceiling", "every_score", "found", "leg_of", "ranks_as_all", "row_of", "whole_ranking"]


def row_of(given: Row | str) -> Row:
    return Row(Text.of(given)) if isinstance(given, str) else given


def leg_of(folder: Path, rows: Iterable[Row | str]) -> LexicalIndex:
    """Write rows, or texts of the words stream, and open them."""
    made = [row_of(given) for given in rows]
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "tokens", made)
    tokens = TokenIndex(folder / "tokens", len(made))
    write_lexical(folder / "lexical", tokens)
    return LexicalIndex(folder / "lexical", tokens)


def found(answer: tuple[RowArray, FloatArray]) -> list[int]:
    rows: list[int] = answer[0].tolist()
    return rows


def every_score(index: LexicalIndex, terms: Sequence[str]) -> FloatArray:
    """BM25 of each row in the words stream, 0 where no term occurs."""
    rows, scores = index.search("words", terms, index.rows)
    every = np.zeros(index.rows, dtype=np.float32)
    every[rows] = scores
    return every


def ceiling(index: LexicalIndex, terms: Sequence[str]) -> float:
    return index.asked(terms, ()).words_ceiling


def whole_ranking(
    index: LexicalIndex, stream: Stream, terms: Sequence[str], admitted: NDArray[np.bool_] | None = None
) -> tuple[RowArray, FloatArray]:
    """All rows that hold a term, best first, by comparing the question with every row there is."""
    gram = stream == "grams"
    asked = index.asked((), terms).terms if gram else index.asked(terms, ()).terms
    rows = np.arange(index._tokens.rows)
    scores = index._tokens.describe(asked, rows)[gram]
    admitted = index._served if admitted is None else admitted
    rows = np.flatnonzero(scores > 0) if admitted is None else np.flatnonzero((scores > 0) & admitted)
    order = np.lexsort((rows, -scores[rows]))
    return rows[order], scores[rows[order]]


def ranks_as_all(
    index: LexicalIndex, stream: Stream, terms: Sequence[str], ks: Iterable[int],
    admitted: NDArray[np.bool_] | None = None,
) -> None:  # fmt: skip
    """The best rows are those of a comparison with all, in their order."""
    rows, scores = whole_ranking(index, stream, terms, admitted)
    for k in ks:
        best, best_scores = index.search(stream, terms, k, admitted)
        assert best.tolist() == rows[:k].tolist(), (terms, k)
        assert best_scores.tolist() == scores[:k].tolist()
        assert (best.dtype, best_scores.dtype) == (np.dtype(np.int64), np.dtype(np.float32))
