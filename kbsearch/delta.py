"""A build after a few changes: what changed is written beside the last whole build, the base, which stays as it is.

A new generation then takes over the files of the base by link, and adds a folder with the same parts for the articles
that changed since the base was written, and a list of those that count no more. A query asks both
(:mod:`kbsearch.parts`) and scores what they propose by the figures of both together: rows, document frequencies,
lengths. So an answer is what a whole build would give, but for what is kept from the base until the next whole build,
because it says how the corpus is and not what is in it: the spread of the cosines, the sample behind it, the
calibration. Words that are gone stay in the vocabulary, and among equal scores the articles of a delta stand last.

The delta is made anew by each build, from all that changed since the base; when that becomes more than a twentieth, the
base is written anew. A small knowledge base always is: that takes a second.

Use: ``plan = plan_delta(...)``, then, unless it is None, ``plan.write(...)``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kbsearch.bm25 import STREAMS
from kbsearch.coded import InCodes
from kbsearch.columns import load_column, save_column
from kbsearch.content import Amended, Content, Head, head_of
from kbsearch.crosscheck import CODES, check_translations, distinct_ids, translation_groups
from kbsearch.embed import text_key
from kbsearch.headings import numbers_of
from kbsearch.inheritance import page_of
from kbsearch.known import InFile
from kbsearch.lineage import Page
from kbsearch.quotes import units_of
from kbsearch.related import Titled, write_related
from kbsearch.rows import make_rows
from kbsearch.tokens import TokenIndex
from kbsearch.vector import map_vectors
from kbsearch.writing import Written, write_dense, write_terms, write_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kbsearch.handles import Record
    from kbsearch.known import Known
    from kbsearch.model import Article, ArticleWarning, Progress, Weights
    from kbsearch.previous import Published
    from kbsearch.rows import Row
    from kbsearch.store import Files

__all__ = ["Plan", "plan_delta"]

FEWEST_PASSAGES: Final = 1_000
"""A base of less is written anew by each build."""

MOST_CHANGED: Final = 0.05
"""Share of the base's files, and of its passages, above which it is written anew."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a delta has to do.

    Attributes
    ----------
    base
        The articles of the base, by number.
    touched
        Paths that are new or not what they were in the base, in order.
    gone
        Paths that the base knows and that are there no more.
    """

    published: Published
    content: Content
    base: tuple[Head, ...]
    touched: tuple[str, ...]
    gone: tuple[str, ...]

    @property
    def removed(self) -> tuple[int, ...]:
        """Numbers of the articles of the base that count no more, ascending."""
        paths = {*self.touched, *self.gone}
        return tuple(head.number for head in self.base if head.path in paths)

    def check(self, articles: list[Article], found: Sequence[ArticleWarning]) -> list[ArticleWarning] | None:
        """All warnings of the knowledge base with these articles in place of what was touched.

        None when two articles claim one id: a whole build says who gets it; also when these articles are too much.
        """
        if len(make_rows(articles)) > MOST_CHANGED * _base_counts(self.published)["passages"]:
            return None
        removed = set(self.removed)
        kept = [head for head in self.base if head.number not in removed]
        versions = sorted([*kept, *map(head_of, articles)], key=lambda version: version.path)
        paths = {*self.touched, *self.gone}
        old, files = self.content.warnings(), self.published.base_files
        if distinct_ids(versions)[1] or any(w.code == "duplicate-id" for w in (*old, *found)):
            return None
        kept_warnings = [w for w in old if w.path in files and w.path not in paths]
        return [*(w for w in (*kept_warnings, *found) if w.code not in CODES), *check_translations(versions)]

    def pages(self, articles: Sequence[Article], changed: set[str]) -> list[Page]:
        """The articles of those files that changed since the last build; some may be again what the base has."""
        back = changed - {*self.touched, *self.gone}
        own = [page_of(article) for article in articles if article.path in changed]
        return own + [Page(*found) for found in (self.content.pages(back) if back else ())]

    def vectors(self) -> Sequence[InFile]:
        """Vectors by key of what was removed from the base, and of the last delta: most of it is only edited."""
        files = self.published.files_of_base
        rows = {key: row for row, key in self.content.rows_of(self.removed)}
        titles = {text_key(self.base[number].title): number for number in self.removed}
        own = InFile.matrix(files.title_vectors, titles), InFile.matrix(files.vectors, rows)
        return *self.published.delta_vectors(), *own

    def coded_vectors(self) -> Sequence[InCodes]:
        """The same of sentences and headings."""
        published, files = self.published, self.published.files_of_base
        dimension = published.manifest["encoder"]["dimension"]
        rows = [row for row, _ in self.content.rows_of(self.removed)]
        sentences = InCodes(files.quotes, dimension, units_of(files.quotes, rows))
        headings = InCodes(files.headings, dimension, numbers_of(files.headings, rows))
        return *published.delta_coded_vectors(), sentences, headings

    def write(
        self,
        files: Files,
        articles: list[Article],
        weights: Weights,
        digests: Mapping[str, str],
        warnings: Sequence[ArticleWarning],
        record: Record,
        encode: Callable[[Sequence[Row], Sequence[Article]], tuple[Known, Known]],
        cost_of: Callable[[str], int],
        tell: Progress,
    ) -> dict[str, Any]:
        """Write the parts; returns the manifest, to be published."""
        manifest = self.published.manifest
        base = _base_counts(self.published)
        rows = make_rows(articles)
        known, coded = encode(rows, articles)
        removed = self.removed
        amended = Amended(len(self.base), base["passages"], removed, (*self.touched, *self.gone))
        written = Written(articles, rows, self._groups(articles), amended)
        touched = {path: digests[path] for path in self.touched}
        write_texts(files, written, touched, warnings, record, cost_of)
        tokens = TokenIndex(self.published.files_of_base.tokens, base["passages"])
        gone = self._write_removed(files, removed, tokens)
        words, grams = tokens.totals
        beside = base["passages"] - gone["passages"], (words - gone["words"], grams - gone["grams"])
        write_terms(files, written, weights, tell, beside)
        dense, _ = write_dense(files, written, known, coded, manifest["encoder"]["dimension"])
        self._write_related(files, written, cost_of)
        added = {"articles": len(articles), "passages": len(rows)}
        counts = {
            "articles": len(self.base) - len(removed) + len(articles),
            "served": sum(h.status == "published" for h in self.base if h.number not in set(removed))
            + sum(article.status == "published" for article in articles),
            "passages": base["passages"] - gone["passages"] + len(rows),
        }
        kept = ("fingerprints", "encoder", "dense", "cosines", "title_cosines", "calibration")
        own = {name: manifest[name] for name in kept}
        delta = {"base": base, **added, "dense": asdict(dense), "removed": gone}
        return {**own, "counts": counts, "handles": record.counts(), "delta": delta}

    def _groups(self, articles: Sequence[Article]) -> list[int]:
        """Of every number; those that count no more are versions of nothing."""
        removed = set(self.removed)
        base = [h._replace(id=f"\0{h.number}", translation_of=None) if h.number in removed else h for h in self.base]
        return translation_groups([*base, *map(head_of, articles)])

    def _write_related(self, files: Files, written: Written, cost_of: Callable[[str], int]) -> None:
        removed, of_base = set(self.removed), self.published.files_of_base
        heads = [head._replace(title="") if head.number in removed else head for head in self.base]
        titles = np.concatenate([map_vectors(each.title_vectors) for each in (of_base, files)])
        titled = Titled([*heads, *map(head_of, written.articles)], titles, np.array(written.groups, np.int32))
        groups = load_column(of_base.group_column, np.int32, len(self.base))
        write_related(files.related, titled, cost_of, (of_base.related, groups))

    def _write_removed(self, files: Files, removed: Sequence[int], tokens: TokenIndex) -> dict[str, int]:
        """What the terms of the removed rows amounted to, so that frequencies and lengths are those without them.

        ``tokens`` are those of the base.
        """
        rows = [row for row, _ in self.content.rows_of(removed)]
        frequencies: Counter[int] = Counter()
        lengths: dict[str, int] = dict.fromkeys(STREAMS, 0)
        for row in rows:
            for stream in STREAMS:
                counts = tokens.counts(row, stream)
                frequencies.update(counts.keys())
                lengths[stream] += sum(counts.values())
        save_column(files.removed, np.array(removed, dtype=np.int32))
        terms = sorted(frequencies)
        save_column(files.removed_terms, np.array(terms, dtype=np.uint32))
        save_column(files.removed_counts, np.array([frequencies[term] for term in terms], dtype=np.int64))
        return {"passages": len(rows), **lengths}


def plan_delta(published: Published, digests: Mapping[str, str]) -> Plan | None:
    """What to do for the files as they are now; None when a whole build is better."""
    content, files = Content(published.files_of_base.content), published.base_files
    base = _base_counts(published)
    touched = tuple(sorted(path for path, sha256 in digests.items() if files.get(path) != sha256))
    gone = tuple(sorted(files.keys() - digests.keys()))
    if base["passages"] < FEWEST_PASSAGES or len(touched) + len(gone) > MOST_CHANGED * len(files):
        return None
    plan = Plan(published, content, tuple(content.heads()), touched, gone)
    size = sum(len(content.rows_of([number])) for number in plan.removed)
    return plan if size <= MOST_CHANGED * base["passages"] else None


def _base_counts(published: Published) -> Mapping[str, int]:
    manifest = published.manifest
    counts: Mapping[str, int] = manifest.get("delta", {}).get("base") or manifest["counts"]
    return counts
