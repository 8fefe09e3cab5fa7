"""The parts of a generation, opened as one: the base, and the delta where there is one.

A delta (:mod:`kbsearch.delta`) holds the articles that changed since the base was written. Its articles and rows are
numbered behind those of the base; the articles that it replaces count no more. Each part is opened when it is needed
first.

Never: decide here what a question needs.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from kbsearch import structures
from kbsearch.columns import let_go, load_column
from kbsearch.content import Content
from kbsearch.errors import IndexCorrupt
from kbsearch.headings import open_headings
from kbsearch.lexical import LexicalDelta, LexicalIndex
from kbsearch.paging import is_scarce, read_sparsely
from kbsearch.quotes import QuoteIndex
from kbsearch.related import load_related
from kbsearch.tokens import TokenDelta, TokenIndex
from kbsearch.vector import DenseReport, VectorDelta, VectorIndex, map_vectors
from kbsearch.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray
    from kbsearch.store import Files, Generation

__all__ = ["Parts"]

_MOST_STEPS: Final = 127  # of a code, to either side

Number = TypeVar("Number", np.int32, np.bool_)
Part = TypeVar("Part")


class Parts:
    """See the module; immutable, shared between threads.

    Attributes
    ----------
    articles, rows
        How many numbers are taken, by those that count no more too.
    """

    def __init__(self, generation: Generation) -> None:
        self._generation, manifest = generation, generation.manifest
        counts, self._delta = manifest["counts"], manifest.get("delta")
        base = counts if self._delta is None else self._delta["base"]
        self._base_articles, self._base_rows = base["articles"], base["passages"]
        self.articles = self._base_articles + (self._delta["articles"] if self._delta else 0)
        self.rows = self._base_rows + (self._delta["passages"] if self._delta else 0)
        self._is_scarce = is_scarce(generation.bytes)

    @property
    def has_delta(self) -> bool:
        """Whether something changed since the base was written."""
        return self._delta is not None

    @cached_property
    def content(self) -> Content:
        """Articles, sections and passages."""
        files = self._generation.files
        delta = files.delta.content if self._delta else None
        return Content(files.content, self._generation.check_present, delta, is_scarce=self._is_scarce)

    @cached_property
    def lexical(self) -> LexicalIndex:
        """The lexical leg."""
        files = self._files()
        if self._delta is None:
            return self._sparsely(LexicalIndex(files.lexical, self.tokens))
        added = LexicalIndex(files.delta.lexical, TokenIndex(files.delta.tokens, self._delta["passages"]))
        delta = LexicalDelta(added, self._removed_rows, lambda term: self._removed_terms.get(term, 0))
        return self._sparsely(LexicalIndex(files.lexical, self.tokens, delta))

    @cached_property
    def tokens(self) -> TokenIndex:
        """Terms of each row."""
        files = self._files()
        if self._delta is None:
            return TokenIndex(files.tokens, self._base_rows)
        removed = self._delta["removed"]
        delta = TokenIndex(files.delta.tokens, self._delta["passages"])
        return TokenIndex(
            files.tokens, self._base_rows, TokenDelta(delta, removed["passages"], (removed["words"], removed["grams"]))
        )

    @cached_property
    def quotes(self) -> QuoteIndex:
        """What of each row may be quoted."""
        files, manifest = self._files(), self._generation.manifest
        scale = manifest["cosines"]["spread"], manifest["encoder"]["dimension"]
        if self._delta is None:
            return self._sparsely(QuoteIndex(files.quotes, self._base_rows, *scale))
        delta = QuoteIndex(files.delta.quotes, self._delta["passages"], *scale)
        return self._sparsely(QuoteIndex(files.quotes, self._base_rows, *scale, delta))

    @cached_property
    def vectors(self) -> VectorIndex:
        """The dense leg; a lexical question never opens it."""
        files, report = self._files(), DenseReport.of(self._generation.manifest["dense"])
        japanese = self.is_japanese[self.article_of_row]
        if self._delta is None:
            return self._sparsely(VectorIndex(files.vectors, files.graphs, report, japanese))
        own, added = japanese[: self._base_rows], japanese[self._base_rows :]
        of_delta = DenseReport.of(self._delta["dense"])
        delta = VectorIndex(files.delta.vectors, files.delta.graphs, of_delta, added)
        index = VectorIndex(files.vectors, files.graphs, report, own, VectorDelta(delta, self._removed_rows))
        return self._sparsely(index)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Words, for questions with a slip."""
        files = self._files()
        return Vocabulary(files.vocabulary, Vocabulary(files.delta.vocabulary) if self._delta else None)

    @cached_property
    def article_of_row(self) -> NDArray[np.int32]:
        """Article number of each row, int32, shape (rows,)."""
        sizes = self._base_rows, self._delta["passages"] if self._delta else 0
        column = self._column(lambda files: files.article_column, np.int32, sizes)
        if len(column) and not (column.min() >= 0 and column.max() < self.articles):
            raise IndexCorrupt(self._generation.files.article_column, "article numbers", "others")
        return column

    @cached_property
    def is_japanese(self) -> NDArray[np.bool_]:
        """Whether each article is Japanese, bool, shape (articles,)."""
        sizes = self._base_articles, self._delta["articles"] if self._delta else 0
        return self._column(lambda files: files.japanese_column, np.bool_, sizes)

    @cached_property
    def group(self) -> NDArray[np.int32]:
        """Number of the article that each is a version of, int32, shape (articles,)."""
        files = self._files()
        return load_column((files.delta if self._delta else files).group_column, np.int32, self.articles)

    @cached_property
    def related(self) -> NDArray[np.int32]:
        """Articles that a reader of each may want next; see :func:`kbsearch.related.load_related`."""
        files = self._files()
        return load_related((files.delta if self._delta else files).related, self.articles)

    @cached_property
    def removed_articles(self) -> NDArray[np.bool_]:
        """Articles that count no more, bool, shape (articles,)."""
        removed = np.zeros(self.articles, dtype=bool)
        if self._delta is not None:
            removed[self._removed] = True
        return removed

    @cached_property
    def _removed_rows(self) -> NDArray[np.bool_]:
        """Rows of the base that count no more, bool, shape (rows of the base,)."""
        rows: NDArray[np.bool_] = self.removed_articles[self.article_of_row[: self._base_rows]]
        return rows

    @cached_property
    def texts(self) -> structures.Corpus:
        """What a question is compared with by its words alone."""
        return structures.Corpus(
            [(tokens, None, None, None) for tokens in self.tokens.opened],
            self.article_of_row, self.is_japanese, self.group,
        )  # fmt: skip

    def let_go(self) -> None:
        """Give back the memory of the terms and vectors that were read: for who asks many questions from all over.

        The system would take it back when somebody else wants it; until then it counts as this process's.
        """
        self.tokens.let_go()
        for vectors in (self.vectors.vectors, self._titles[0], self.headings[0].matrix):
            let_go(vectors)

    @cached_property
    def corpus(self) -> structures.Corpus:
        """What a question is compared with by its words and its vector."""
        manifest = self._generation.manifest
        parts = zip(self.tokens.opened, self.vectors.matrices, self._titles, self.headings, strict=True)
        cosines, titles = ((manifest[name]["mean"], manifest[name]["spread"]) for name in ("cosines", "title_cosines"))
        return structures.Corpus(
            list(parts), self.article_of_row, self.is_japanese, self.group, self.samples, cosines, titles
        )

    @cached_property
    def samples(self) -> tuple[NDArray[np.int8], NDArray[np.int8], float]:
        """Codes of rows that stand for all: of articles in another script than Japanese, and of Japanese ones.

        Their cosines are wanted in the mean only, and a fourth of the bytes is read for each question.
        """
        rows, file = self.vectors.matrices[0], self._files().samples
        sample = load_column(file, np.int64)
        if len(sample) and not (sample.min() >= 0 and sample.max() < len(rows)):
            raise IndexCorrupt(file, "numbers of rows", "others")
        vectors, japanese = rows[sample], self.is_japanese[self.article_of_row[sample]]
        step = float(np.abs(vectors).max(initial=0)) / _MOST_STEPS or 1.0
        codes = np.rint(vectors / np.float32(step)).astype(np.int8)
        return np.ascontiguousarray(codes[~japanese]), np.ascontiguousarray(codes[japanese]), step

    @cached_property
    def _titles(self) -> list[FloatArray]:
        files = self._files()
        own = [_titles_of(files, self._base_articles)]
        return self._sparsely([*own, _titles_of(files.delta, self._delta["articles"])] if self._delta else own)

    @cached_property
    def headings(self) -> list[structures.Headings]:
        """Those of the base and of its delta."""
        files, dimension = self._files(), self._generation.manifest["encoder"]["dimension"]
        own = [open_headings(files.headings, self._base_rows, dimension)]
        if self._delta is not None:
            own.append(open_headings(files.delta.headings, self._delta["passages"], dimension))
        return self._sparsely(own)

    @cached_property
    def _removed(self) -> NDArray[np.int32]:
        file = self._files().delta.removed
        removed = load_column(file, np.int32)
        if len(removed) and not (removed.min() >= 0 and removed.max() < self._base_articles):
            raise IndexCorrupt(file, "numbers of articles of the base", "others")
        return removed

    @cached_property
    def _removed_terms(self) -> dict[int, int]:
        files = self._files().delta
        terms, counts = load_column(files.removed_terms, np.uint32), load_column(files.removed_counts, np.int64)
        return dict(zip(terms.tolist(), counts.tolist(), strict=False))

    def _sparsely(self, part: Part) -> Part:
        """What was opened. Of an index that memory does not hold, no more of it is read than is asked for."""
        if self._is_scarce:
            read_sparsely(self._generation.files.folder)
        return part

    def _column(self, place: Callable[[Files], Path], dtype: type[Number], sizes: tuple[int, int]) -> NDArray[Number]:
        files = self._files()
        own = load_column(place(files), dtype, sizes[0])
        return own if self._delta is None else np.concatenate([own, load_column(place(files.delta), dtype, sizes[1])])

    def _files(self) -> Files:
        self._generation.check_present()  # a path may lead to another index by now
        return self._generation.files


def _titles_of(files: Files, articles: int) -> FloatArray:
    vectors = map_vectors(files.title_vectors)
    if len(vectors) != articles:
        raise IndexCorrupt(files.title_vectors, f"{articles} vectors", str(len(vectors)))
    return vectors
