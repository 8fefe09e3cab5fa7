"""The query, read from top to bottom: prepare → candidates → rank → group → present.

Use::

    kb = KnowledgeBase.open("indexes/help")
    for hit in kb.search("返品の送料は誰が払いますか", k=5, filter={"lang": "ja"}).hits:
        print(hit.rank, hit.title, hit.snippet)

A :class:`KnowledgeBase` may be shared between threads. It answers from one snapshot, an immutable set of open parts;
:meth:`KnowledgeBase.reload` puts a newer snapshot in its place, and questions under way finish on theirs.

Never: write anything; fetch more from the content than the page that is shown.
"""

from __future__ import annotations

import datetime as dt
import difflib
import threading
import time
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch.content import Content, name_section
from kbsearch.embed import load_encoder
from kbsearch.errors import BadQuery, IndexIncompatible, NotFound
from kbsearch.filters import FilterLike, parse_filter
from kbsearch.lexical import LexicalIndex
from kbsearch.rank import MODES, Candidates, Mode, order, rank
from kbsearch.results import Hit, PassageHit, SearchResult, SectionView, Status
from kbsearch.snippet import DEFAULT_CHARS, make_snippet
from kbsearch.store import Generation, Store
from kbsearch.text import analyse, fingerprint
from kbsearch.vector import DenseReport, VectorIndex

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.model import Article, Encoder, Filter, FloatArray, PassageRow, RowArray

__all__ = ["MAX_QUERY_CHARS", "KnowledgeBase", "Query", "Snapshot"]

MAX_QUERY_CHARS: Final = 10_000
"""A longer question is read up to here."""

_POOL = 100  # rows that each leg proposes for a page of ten
_POOL_SERVES = 10
_POOL_PER_HIT = 5  # long articles take several rows each: a longer page needs a deeper pool
_PASSAGES_PER_HIT = 3


@dataclass(frozen=True, slots=True)
class Query:
    """A question, analysed once and encoded once. ``vector`` is None when the dense leg is not asked."""

    text: str
    words: tuple[str, ...]
    grams: tuple[str, ...]
    vector: FloatArray | None


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate row with its fused score and the score of each leg."""

    row: int
    score: float
    parts: dict[str, float]


class Snapshot:
    """The open parts of one generation; immutable, so that any number of threads may search in it."""

    def __init__(self, generation: Generation) -> None:
        found = generation.manifest["fingerprints"]["analyser"]
        if found != fingerprint():
            raise IndexIncompatible("text analyser", found, fingerprint())
        self.generation = generation
        self.content = Content(generation.files.content)
        self.lexical = LexicalIndex(generation.files.lexical)
        self.admitted = lru_cache(maxsize=64)(self._admitted)
        self.encode = lru_cache(maxsize=1024)(self._encode)
        self.out_of_date = lru_cache(maxsize=4)(self._out_of_date)

    @cached_property
    def article_of_row(self) -> NDArray[np.int32]:
        """Article number of each row."""
        column: NDArray[np.int32] = np.load(self.generation.files.article_column, mmap_mode="r", allow_pickle=False)
        return column

    @cached_property
    def vectors(self) -> VectorIndex:
        """The dense leg; a lexical question never opens it."""
        report = DenseReport(**self.generation.manifest["dense"])
        return VectorIndex(self.generation.files.vectors, self.generation.files.graph, report)

    @cached_property
    def article_ids(self) -> list[str]:
        """Id of each article by number."""
        return self.content.article_ids()

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder that the index was built with."""
        encoder = load_encoder(self.generation.manifest["encoder"]["name"])
        found = self.generation.manifest["fingerprints"]["encoder"]
        if found != encoder.fingerprint:
            raise IndexIncompatible("encoder", found, encoder.fingerprint)
        return encoder

    def _encode(self, text: str) -> FloatArray:
        return self.encoder.encode_query(text)

    def _out_of_date(self, day: dt.date) -> tuple[int, ...]:
        """Numbers of the published articles that are not valid on a day."""
        today = day.isoformat()
        return tuple(
            number
            for number, first, last in self.content.validity()
            if (first is not None and today < first) or (last is not None and today > last)
        )

    def _admitted(self, where: Filter, excluded: tuple[int, ...]) -> NDArray[np.bool_] | None:
        """Rows that may answer, bool of shape (rows,); None when all may."""
        if not where and not excluded:
            return None
        articles = np.ones(self.generation.manifest["counts"]["articles"], dtype=bool)
        if where:
            articles[:] = False
            articles[list(self.content.articles_matching(where))] = True
        articles[list(excluded)] = False
        mask: NDArray[np.bool_] = articles[self.article_of_row]
        return mask


class KnowledgeBase:
    """An index that answers questions; see the module for use and threads.

    Attributes
    ----------
    snapshot
        The open parts that answer now, for tools that look inside; replaced as a whole by :meth:`reload`.
    """

    def __init__(self, path: Path | str) -> None:
        self._store = Store(path)
        self.snapshot = Snapshot(self._store.open())
        self._reloading = threading.Lock()

    @classmethod
    def open(cls, path: Path | str = "indexes/help") -> KnowledgeBase:
        """Open the current generation of an index.

        Raises
        ------
        IndexNotFound, IndexCorrupt, IndexIncompatible
        """
        return cls(path)

    def __repr__(self) -> str:
        counts = self.snapshot.generation.manifest["counts"]
        return f"<KnowledgeBase {self._store.root} {self.generation}: {counts['articles']} articles>"

    @property
    def generation(self) -> str:
        """Name of the published state that answers now."""
        return self.snapshot.generation.name

    def reload(self) -> bool:
        """Take up what was published since; returns whether there was anything. The old stays when that fails."""
        with self._reloading:
            generation = self._store.open()
            if generation.name == self.generation:
                generation.close()
                return False
            self.snapshot = Snapshot(generation)
            return True

    def search(
        self,
        question: str,
        k: int = 10,
        *,
        filter: FilterLike = None,  # noqa: A002 - the word a caller expects
        mode: Mode = "hybrid",
        snippet_chars: int = DEFAULT_CHARS,
    ) -> SearchResult:
        """Answer a question with ranked articles.

        Parameters
        ----------
        question
            Any language, any length; read up to ``MAX_QUERY_CHARS``. One without a letter or digit has no hit.
        k
            At most so many articles, 1 and up.
        filter
            Which articles may answer: ``lang``, ``category`` (with what is below it), ``tags``, ``kind``; each a text
            or several alternatives.
        mode
            ``"hybrid"``, or one leg alone: ``"lexical"`` needs no encoder, ``"dense"`` no words.
        snippet_chars
            Longest snippet in characters, 1 and up.

        Returns
        -------
        SearchResult
            Hits are distinct articles, score descending.

        Raises
        ------
        BadQuery, EncoderUnavailable, IndexCorrupt, IndexIncompatible
        """
        started = time.perf_counter()
        where = _checked(question, k, filter, mode, snippet_chars)
        snapshot = self.snapshot
        query = _prepare(snapshot, question, mode)
        groups = _best_articles(snapshot, query, where, mode, k)
        hits = _present(snapshot, query, groups, snippet_chars)
        took_ms = (time.perf_counter() - started) * 1000
        return SearchResult(question, hits, took_ms, snapshot.generation.name)

    def ranking(
        self,
        question: str,
        k: int = 10,
        *,
        filter: FilterLike = None,  # noqa: A002 - as in search
        mode: Mode = "hybrid",
    ) -> tuple[str, ...]:
        """Ids of the k best articles, as :meth:`search` ranks them, without fetching anything to show."""
        where = _checked(question, k, filter, mode, DEFAULT_CHARS)
        snapshot = self.snapshot
        groups = _best_articles(snapshot, _prepare(snapshot, question, mode), where, mode, k)
        return tuple(snapshot.article_ids[int(snapshot.article_of_row[group[0].row])] for group in groups)

    def prepare(self, question: str, mode: Mode = "hybrid") -> Query:
        """The question as the legs see it: its terms and its vector."""
        return _prepare(self.snapshot, question, mode)

    def article(self, article_id: str) -> Article:
        """A served article with its sections.

        Raises
        ------
        NotFound
            For an unknown id, and for an article that is a draft, archived, or not valid today.
        """
        return _served_article(self.snapshot, article_id)

    def section(self, section_id: str) -> SectionView:
        """A section by ``article#anchor``; the article's id alone is its lead, or its first section without one.

        Raises
        ------
        NotFound
        """
        article_id, _, anchor = section_id.partition("#")
        article = _served_article(self.snapshot, article_id)
        for section in article.sections:
            if section.anchor == anchor or not anchor:
                return SectionView(
                    name_section(article.id, section.anchor), article.id, article.title, section.heading,
                    section.headings, section.kind, section.markdown, article.path, section.lines,
                )  # fmt: skip
        known = [name_section(article.id, section.anchor) for section in article.sections]
        raise NotFound(section_id, tuple(difflib.get_close_matches(section_id, known, n=3)))

    def status(self) -> Status:
        """What the index holds."""
        snapshot = self.snapshot
        manifest = snapshot.generation.manifest
        content = snapshot.content
        return Status(
            index=str(self._store.root),
            generation=self.generation,
            counts=manifest["counts"],
            statuses=content.statuses(),
            out_of_date=len(snapshot.out_of_date(_today())),
            languages=dict(content.facet("lang")),
            kinds=dict(content.facet("kind")),
            categories=dict(content.facet("category")),
            encoder=manifest["encoder"]["name"],
            dense=manifest["dense"],
            fingerprints=manifest["fingerprints"],
            bytes=sum(size for size, _ in manifest["files"].values()),
            warnings=tuple(content.warnings()),
        )


def _checked(question: str, k: int, given: FilterLike, mode: str, snippet_chars: int) -> Filter:
    if not isinstance(question, str):
        raise BadQuery(f"A question is a text, not {type(question).__name__}.")
    if not isinstance(k, int) or k < 1:
        raise BadQuery(f"k is the number of articles wanted, 1 or more, not {k!r}.")
    if mode not in MODES:
        raise BadQuery(f"There is no mode “{mode}”. Known are: {', '.join(MODES)}.")
    if not isinstance(snippet_chars, int) or snippet_chars < 1:
        raise BadQuery(f"snippet_chars is a number of characters, 1 or more, not {snippet_chars!r}.")
    return parse_filter(given)


def _prepare(snapshot: Snapshot, question: str, mode: Mode) -> Query:
    text = question[:MAX_QUERY_CHARS]
    analysis = analyse(text)
    asks = bool(analysis.words.terms or analysis.grams.terms)
    vector = snapshot.encode(text) if asks and mode != "lexical" else None
    return Query(text, analysis.words.terms, analysis.grams.terms, vector)


def _best_articles(snapshot: Snapshot, query: Query, where: Filter, mode: Mode, k: int) -> list[list[Ranked]]:
    """The k best articles, best first, each with its candidate rows, best first."""
    pool = _POOL + _POOL_PER_HIT * max(0, k - _POOL_SERVES)
    return _group(snapshot, _rank(_candidates(snapshot, query, where, pool), query, mode), k)


def _candidates(snapshot: Snapshot, query: Query, where: Filter, pool: int) -> Candidates:
    """Rows that any leg proposes, with the scores of all legs."""
    excluded = snapshot.out_of_date(_today())
    lexical = snapshot.lexical
    proposals: list[RowArray] = []
    proposals.append(lexical.search("words", query.words, pool, where, excluded)[0])
    proposals.append(lexical.search("grams", query.grams, pool, where, excluded)[0])
    if query.vector is not None:
        mask = snapshot.admitted(where, excluded)
        proposals.append(snapshot.vectors.search(query.vector, pool, mask)[0])
    rows = np.unique(np.concatenate(proposals))
    dense = snapshot.vectors.score(query.vector, rows) if query.vector is not None else np.zeros(len(rows), np.float32)
    return Candidates(
        rows=rows,
        words=lexical.score("words", query.words, rows),
        grams=lexical.score("grams", query.grams, rows),
        dense=dense,
        words_ceiling=lexical.ceiling("words", query.words),
        grams_ceiling=lexical.ceiling("grams", query.grams),
    )


def _rank(candidates: Candidates, query: Query, mode: Mode) -> list[Ranked]:
    scores = rank(candidates, mode)
    ranked = []
    for place in order(candidates.rows, scores):
        if mode == "lexical" and scores[place] <= 0:
            continue  # no word in common with the question
        parts = {"words": float(candidates.words[place]), "grams": float(candidates.grams[place])}
        if query.vector is not None:
            parts["dense"] = float(candidates.dense[place])
        ranked.append(Ranked(int(candidates.rows[place]), float(scores[place]), parts))
    return ranked


def _group(snapshot: Snapshot, ranked: list[Ranked], k: int) -> list[list[Ranked]]:
    """Best passages of each of the first k articles; an article stands where its best passage does."""
    groups: dict[int, list[Ranked]] = {}
    for candidate in ranked:
        article = int(snapshot.article_of_row[candidate.row])
        if article in groups:
            groups[article].append(candidate)
        elif len(groups) < k:
            groups[article] = [candidate]
    return list(groups.values())


def _present(snapshot: Snapshot, query: Query, groups: list[list[Ranked]], snippet_chars: int) -> tuple[Hit, ...]:
    shown = [candidate.row for group in groups for candidate in group[: 2 * _PASSAGES_PER_HIT]]
    passages = snapshot.content.passage_rows(shown)
    words = {term: snapshot.lexical.idf("words", term) for term in set(query.words)}
    grams = {term: snapshot.lexical.idf("grams", term) for term in set(query.grams)}
    hits = []
    for number, group in enumerate(groups, start=1):
        best = passages[group[0].row]
        snippet = make_snippet(best.text, words, grams, snippet_chars)
        hits.append(
            Hit(
                rank=number, article_id=best.article_id, section_id=best.section_id, title=best.title,
                heading=best.heading, snippet=snippet.text, marks=snippet.marks, score=group[0].score,
                parts=group[0].parts, path=best.path, lines=best.lines,
                passages=_passages(group, passages),
            )
        )  # fmt: skip
    return tuple(hits)


def _passages(group: list[Ranked], passages: dict[int, PassageRow]) -> tuple[PassageHit, ...]:
    """The best passages of one article, each place once: an alias shows the passage that it leads to."""
    chosen: dict[tuple[int, int], PassageHit] = {}
    for candidate in group[: 2 * _PASSAGES_PER_HIT]:
        row = passages[candidate.row]
        if len(chosen) < _PASSAGES_PER_HIT and row.lines not in chosen:
            chosen[row.lines] = PassageHit(
                row.section_id, row.heading, row.headings, row.text, row.lines, candidate.score, candidate.parts
            )
    return tuple(chosen.values())


def _served_article(snapshot: Snapshot, article_id: str) -> Article:
    article = snapshot.content.article_by_id(article_id)
    today = _today()
    if (
        article is None
        or article.status != "published"
        or (article.valid_from is not None and today < article.valid_from)
        or (article.valid_until is not None and today > article.valid_until)
    ):
        near = difflib.get_close_matches(article_id, snapshot.content.served_ids(), n=3)
        raise NotFound(article_id, tuple(name for name in near if name != article_id))
    return article


def _today() -> dt.date:
    """The day by which validity is judged, in the machine's own time zone."""
    return dt.datetime.now().astimezone().date()
