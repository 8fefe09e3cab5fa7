"""Writes the parts of a generation, or of a delta to one."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch.columns import let_go, save_column
from kbsearch.content import Amended, SourceFile, StoredPassage, write_content
from kbsearch.embed import text_key
from kbsearch.headings import write_headings
from kbsearch.lexical import write_lexical
from kbsearch.rows import analyse_rows
from kbsearch.tokens import TokenIndex, TokenWriter
from kbsearch.vector import DenseReport, cosine_statistics, map_vectors, write_graphs, write_vectors
from kbsearch.vocabulary import write_vocabulary
from kbsearch.wordlist import WordList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from kbsearch.handles import Entry
    from kbsearch.known import Known
    from kbsearch.model import Article, ArticleWarning, Progress, RowArray, Weights
    from kbsearch.rows import Row
    from kbsearch.store import Files

__all__ = ["Written", "sorted_warnings", "write_dense", "write_terms", "write_texts"]


_SAMPLE: Final = 400


@dataclass(frozen=True, slots=True)
class Written:
    """What is written.

    Attributes
    ----------
    articles, rows
        In the order of their numbers.
    groups
        See :func:`kbsearch.crosscheck.translation_groups`; of the base too, in a delta.
    amended
        What a delta adds to.
    """

    articles: Sequence[Article]
    rows: Sequence[Row]
    groups: Sequence[int]
    amended: Amended

    @property
    def is_japanese(self) -> NDArray[np.bool_]:
        """Whether each article is Japanese."""
        return np.array([article.lang == "ja" for article in self.articles], dtype=np.bool_)

    @property
    def article_of_row(self) -> NDArray[np.int32]:
        """The place of each row's article."""
        return np.array([row.article for row in self.rows], dtype=np.int32)

    def without_sources(self) -> Written:
        """The same, but of each article only what is said of it: the rest is three quarters of its memory."""
        heads = [replace(article, sections=(), passages=(), markdown="", meta={}) for article in self.articles]
        return replace(self, articles=heads)


def write_texts(
    files: Files,
    written: Written,
    digests: Mapping[str, str],
    warnings: Iterable[ArticleWarning],
    record: Iterable[Entry],
    cost_of: Callable[[str], int],
) -> None:
    """Write all that needs neither terms nor vectors; ``cost_of`` as in :func:`kbsearch.content.write_content`."""
    articles, rows, first = written.articles, written.rows, written.amended.first_article
    save_column(files.japanese_column, written.is_japanese)
    save_column(files.group_column, np.array(written.groups, dtype=np.int32))
    save_column(files.article_column, written.article_of_row + np.int32(first))
    stored = (StoredPassage(row.article, row.passage, row.alias, row.key) for row in rows)
    sources = (SourceFile(path, sha256) for path, sha256 in digests.items())
    write_content(files.content, sources, articles, stored, sorted_warnings(warnings), written.amended, cost_of, record)


def write_terms(
    files: Files, written: Written, weights: Weights, tell: Progress, beside: tuple[int, tuple[int, int]] = (0, (0, 0))
) -> None:
    """Analyse the texts of the rows, row by row, and write what needs their terms.

    ``beside``: how many other rows they will be ranked with, and these rows' words and grams.
    """
    words = WordList()
    with TokenWriter(files.tokens) as tokens:
        for analysed in analyse_rows(written.rows, written.articles, weights, tokens, tell):
            words.add(analysed)
    index, (others, totals) = TokenIndex(files.tokens, len(written.rows)), beside
    rows = len(written.rows) + others or 1
    words_here, grams_here = index.totals
    write_lexical(files.lexical, index, ((words_here + totals[0]) / rows, (grams_here + totals[1]) / rows))
    write_vocabulary(files.vocabulary, words.entries())


def write_dense(
    files: Files, written: Written, known: Known, coded: Known, dimension: int
) -> tuple[DenseReport, dict[str, dict[str, float]]]:
    """Write the vectors; returns what the manifest says of the leg, and of the cosines of passages and titles.

    ``known`` has the vectors of all rows and titles by their keys, ``coded`` those of headings.
    """
    keys = [row.key for row in written.rows]
    title_keys = [text_key(article.title) for article in written.articles]
    write_vectors(files.title_vectors, known.blocks(title_keys), (len(title_keys), dimension))
    write_vectors(files.vectors, known.blocks(keys), (len(keys), dimension))
    write_headings(files.headings, [row.heading for row in written.rows], coded, dimension)
    of_rows = written.is_japanese[written.article_of_row]
    samples = [_sample(keys, np.flatnonzero(of_rows == script)) for script in (False, True)]
    save_column(files.samples, np.concatenate(samples))
    vectors = map_vectors(files.vectors)
    report = write_graphs(files.graphs, vectors, of_rows)
    let_go(vectors)
    return report, {
        "cosines": _statistics(keys, known),
        "title_cosines": _statistics(title_keys, known),
    }


def sorted_warnings(warnings: Iterable[ArticleWarning]) -> tuple[ArticleWarning, ...]:
    """Each once, in the order of their places."""
    return tuple(sorted(set(warnings), key=lambda w: (w.path, w.line, w.code, w.message)))


def _sample(keys: Sequence[str], among: RowArray) -> RowArray:
    """Some of the texts that stand for all: those with the least keys, ascending by place.

    Which these are depends on no other text, so that an edit here leaves the answers there as they are.
    """
    least = heapq.nsmallest(_SAMPLE, among.tolist(), key=lambda place: (keys[place], place))
    return np.array(sorted(least), dtype=np.int64)


def _statistics(keys: Sequence[str], known: Known) -> dict[str, float]:
    mean, spread = cosine_statistics(known.stacked([keys[place] for place in _sample(keys, np.arange(len(keys)))]))
    return {"mean": mean, "spread": spread}
