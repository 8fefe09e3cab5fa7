"""The face of an open index: questions, articles, sections, status.

Use::

    kb = KnowledgeBase.open("indexes/help")
    for hit in kb.search("返品の送料は誰が払いますか", k=5, filter={"lang": "ja"}).hits:
        print(hit.rank, hit.title, hit.snippet)

A :class:`KnowledgeBase` may be shared between threads. It answers from one snapshot, an immutable set of open parts;
:meth:`KnowledgeBase.reload` puts a newer snapshot in its place, and questions under way finish on theirs.

Never: write anything; fetch more from the content than the page that is shown.
"""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import numpy as np

from kbsearch.confidence import Calibration, outcome_of
from kbsearch.content import name_section
from kbsearch.errors import BadQuery, IndexCorrupt, NotFound
from kbsearch.filters import FilterLike, parse_filter
from kbsearch.laps import Laps
from kbsearch.learned import shipped_models
from kbsearch.native import usable_cores
from kbsearch.places import Guide, Place
from kbsearch.rank import BASELINES, MODES, Mode
from kbsearch.results import Hit, PassageHit, Ranking, SearchResult, SectionView, Status
from kbsearch.retrieve import Query, Ranked, RankedArticle, RankedRow, best_articles, prepare, reasons_of
from kbsearch.snapshot import Snapshot, today
from kbsearch.snippet import DEFAULT_CHARS, make_snippet, room_of
from kbsearch.store import Store
from kbsearch.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from kbsearch.learned import Models
    from kbsearch.model import Article, Filter, PassageRow
    from kbsearch.results import Outcome, Reason
    from kbsearch.snapshot import Asked

__all__ = ["KnowledgeBase"]

_TURNS = Turns(usable_cores())  # of all knowledge bases of the process


class KnowledgeBase:
    """An index that answers questions; see the module for use and threads.

    Attributes
    ----------
    snapshot
        The open parts that answer now, for tools that look inside; replaced as a whole by :meth:`reload`.
    """

    def __init__(self, path: Path | str, models: Models | None = None) -> None:
        self._store = Store(path)
        self._given_models = models
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

    def _models(self, mode: Mode) -> Models | None:
        """Only a hybrid question needs them, and pays for reading them."""
        return (self._given_models or shipped_models()) if mode == "hybrid" else None

    @property
    def generation(self) -> str:
        """Name of the published state that answers now."""
        return self.snapshot.generation.name

    def reload(self) -> bool:
        """Take up what was published since; returns whether there was anything. The old stays when that fails."""
        with self._reloading:
            generation = self._store.open()
            # A name may come again when an index was deleted and built anew; a checksum does not.
            if generation.manifest["checksum"] == self.snapshot.generation.manifest["checksum"]:
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
        explain: bool = False,
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
        explain
            Give each hit its ``reasons``; in the mode ``"hybrid"`` only, and at the price of a second ranking.

        Returns
        -------
        SearchResult
            Hits are distinct articles, score descending.

        Raises
        ------
        BadQuery, EncoderUnavailable, IndexCorrupt, IndexIncompatible
        """
        laps = Laps()
        where = _checked(question, k, filter, mode, snippet_chars)
        snapshot = self.snapshot
        with _TURNS, snapshot.generation.blamed():
            laps.begin()
            query = prepare(snapshot, question, mode, laps)
            ranked = best_articles(snapshot, self._models(mode), query, where, mode, k, (), laps)
            outcome, confidence = _judged(snapshot, ranked, mode)
            models = self._models(mode) if explain else None
            reasons = {} if models is None else reasons_of(snapshot, models, query, where)
            laps.end("rank")
            hits = _present(snapshot, query, ranked.articles, snippet_chars, reasons, laps)
        return SearchResult(
            query=question, hits=hits, outcome=outcome, confidence=confidence, understood=query.understood,
            took_ms=laps.total, generation=snapshot.generation.name, stages=laps.stages,
        )  # fmt: skip

    def ranking(
        self,
        question: str,
        k: int = 10,
        *,
        filter: FilterLike = None,  # noqa: A002 - as in search
        mode: Mode = "hybrid",
        without: Collection[str] = (),
    ) -> Ranking:
        """The k best articles, as :meth:`search` ranks them, without fetching anything to show.

        Besides the modes of :meth:`search` it takes those of :data:`kbsearch.rank.BASELINES`, for comparisons.
        Articles whose ids are in ``without`` take no part, as if they had never been written.
        """
        where = _checked(question, k, filter, mode, DEFAULT_CHARS, MODES + BASELINES)
        if isinstance(without, str):
            raise BadQuery(f"without is a list of article ids, such as [{without!r}], not a text.")
        snapshot, unwanted = self.snapshot, frozenset(without)
        with _TURNS, snapshot.generation.blamed():
            hidden = tuple(number for number, name in enumerate(snapshot.article_ids) if name in unwanted)
            query = prepare(snapshot, question, mode)
            ranked = best_articles(snapshot, self._models(mode), query, where, mode, k, hidden)
            ids = tuple(snapshot.article_ids[article.number] for article in ranked.articles)
        return Ranking(ids, *_judged(snapshot, ranked, mode))

    def prepare(self, question: str, mode: Mode = "hybrid") -> Query:
        """The question as the legs see it: its terms and its vector."""
        return prepare(self.snapshot, question, mode)

    def resolve(self, handle: str) -> Place:
        """Where a link leads that was made some time ago: a section or an article by its handle, or a former one.

        Give :attr:`Hit.handle` to whoever keeps a link: it stays when lines are inserted, when the section moves and
        when its heading is reworded.

        Raises
        ------
        NotFound
            When this never was a name here, and for an article that is a draft, archived, or not valid today.
        """
        with self.snapshot.generation.blamed():
            return _guide(self.snapshot).resolve(handle)

    def article(self, article_id: str) -> Article:
        """A served article with its sections, by its id or by one that it had before.

        Raises
        ------
        NotFound
            For an unknown id, and for an article that is a draft, archived, or not valid today.
        Gone
            For one that was removed; a NotFound too.
        """
        snapshot = self.snapshot
        with snapshot.generation.blamed():
            return _article_at(snapshot, _guide(snapshot).resolve(article_id).live())

    def section(self, section_id: str) -> SectionView:
        """A section by its handle, with the sections below it: an exception under a sub-heading belongs to it.

        Any name that it had before leads to it too, and so does ``article#anchor`` as the page is now, unless that is
        the handle of another section. The article's id alone is its lead, or its first section without one.

        Raises
        ------
        NotFound, Gone
        """
        snapshot = self.snapshot
        with snapshot.generation.blamed():
            place = _guide(snapshot).resolve(section_id).live()
            article = _article_at(snapshot, place)
            anchor = place.section_id.partition("#")[2]
            number = next(
                (n for n, section in enumerate(article.sections) if section.anchor == anchor or not anchor), -1
            )
            if number < 0:  # an article without any
                raise NotFound(section_id)
            address = name_section(article.id, article.sections[number].anchor)
            handle = snapshot.content.handles_by_address.get(address, address)
        return _section_view(article, number, handle, place.moved_from)

    def status(self) -> Status:
        """What the index holds."""
        with self.snapshot.generation.blamed():
            return _status(self.snapshot, str(self._store.root))


def _checked(
    question: str, k: int, given: FilterLike, mode: str, snippet_chars: int, known: Sequence[str] = MODES
) -> Filter:
    if not isinstance(question, str):
        raise BadQuery(f"A question is a text, not {type(question).__name__}.")
    if not isinstance(k, int) or k < 1:
        raise BadQuery(f"k is the number of articles wanted, 1 or more, not {k!r}.")
    if mode not in known:
        raise BadQuery(f"There is no mode “{mode}”. Known are: {', '.join(known)}.")
    if not isinstance(snippet_chars, int) or snippet_chars < 1:
        raise BadQuery(f"snippet_chars is a number of characters, 1 or more, not {snippet_chars!r}.")
    return parse_filter(given)


def _judged(snapshot: Snapshot, ranked: Ranked, mode: Mode) -> tuple[Outcome, float | None]:
    """Outcome and confidence, by what the build found when it questioned its own articles."""
    if not ranked.articles:
        return "hand_over", 0.0 if mode == "hybrid" else None
    if ranked.log_odds is None:
        return "choose", None
    calibration = snapshot.generation.manifest["calibration"]
    first, few = (
        Calibration(**calibration[name]).probability(value)
        for name, value in zip(("first", "few"), ranked.log_odds, strict=True)
    )
    return outcome_of(first, few), first


def _present(
    snapshot: Snapshot,
    query: Query,
    articles: Sequence[RankedArticle],
    snippet_chars: int,
    reasons: Mapping[int, tuple[Reason, ...]],
    laps: Laps,
) -> tuple[Hit, ...]:
    """Fetch the page that is shown, in one go, and cut its snippets."""
    passages = snapshot.content.passage_rows([ranked.row for article in articles for ranked in article.rows])
    laps.end("fetch")
    first = np.array([article.rows[0].row for article in articles], dtype=np.int64)
    asked = _asked_anyhow(snapshot, query).terms
    windows = snapshot.tokens.windows(asked, first, snippet_chars, room_of(snippet_chars))
    hits = []
    for number, (article, window) in enumerate(zip(articles, windows, strict=True), start=1):
        ranked = article.rows[0]
        best = passages[ranked.row]
        snippet = make_snippet(best.text, window, snippet_chars)
        hits.append(
            Hit(
                number, best.article_id, best.section_id, best.title, best.heading, snippet.text, snippet.marks,
                article.score, ranked.parts, best.path, best.lines, _passages(article.rows, passages),
                reasons.get(article.number, ()), best.handle,
            )
        )  # fmt: skip
    laps.end("snippet")
    return tuple(hits)


def _asked_anyhow(snapshot: Snapshot, query: Query) -> Asked:
    """The terms of all wordings: what is highlighted."""
    words = dict.fromkeys(term for way in query.wordings for term in way.words)
    grams = dict.fromkeys(term for way in query.wordings for term in way.grams)
    first = query.wordings[0]
    return snapshot.asked(*((first.words, first.grams) if len(query.wordings) == 1 else (tuple(words), tuple(grams))))


def _passages(rows: Sequence[RankedRow], passages: dict[int, PassageRow]) -> tuple[PassageHit, ...]:
    shown = [(passages[ranked.row], ranked) for ranked in rows]
    return tuple(
        [
            PassageHit(
                row.section_id, row.heading, row.headings, row.text, row.lines, ranked.score, ranked.parts, row.handle
            )
            for row, ranked in shown
        ]
    )


def _section_view(article: Article, place: int, handle: str, moved_from: str | None) -> SectionView:
    section = article.sections[place]
    below = list(itertools.takewhile(lambda other: 0 < section.level < other.level, article.sections[place + 1 :]))
    # Units of a list or a box stand inside the lines of their section; only what comes after them is added.
    parts, last = [section.markdown], section.lines[1]
    for other in below:
        if other.lines[0] > last:
            parts.append(other.markdown)
            last = other.lines[1]
    return SectionView(
        name_section(article.id, section.anchor), article.id, article.title, section.heading, section.headings,
        section.kind, "\n\n".join(parts), article.path, (section.lines[0], last),
        handle, moved_from,
    )  # fmt: skip


def _guide(snapshot: Snapshot) -> Guide:
    return Guide(snapshot.content, today())


def _article_at(snapshot: Snapshot, place: Place) -> Article:
    article = snapshot.content.article_by_id(place.article_id)
    if article is None:
        raise IndexCorrupt(snapshot.generation.files.content, f"the article {place.article_id}", "none")
    return article


def _status(snapshot: Snapshot, root: str) -> Status:
    manifest = snapshot.generation.manifest
    content = snapshot.content
    return Status(
        index=root,
        generation=snapshot.generation.name,
        counts=manifest["counts"],
        statuses=content.statuses(),
        out_of_date=len(snapshot.out_of_date_today()),
        languages=dict(content.facet("lang")),
        kinds=dict(content.facet("kind")),
        categories=dict(content.facet("category")),
        encoder=manifest["encoder"]["name"],
        dense=manifest["dense"],
        calibration=manifest["calibration"],
        fingerprints=manifest["fingerprints"],
        bytes=sum(size for size, _ in manifest["files"].values()),
        warnings=tuple(content.warnings()),
        handles=manifest["handles"],
    )
