"""The face of an open index: questions, articles, sections, status.

Use::

    kb = KnowledgeBase.open("indexes/help")
    for hit in kb.search("返品の送料は誰が払いますか", k=5, filter={"lang": "ja"}).hits:
        print(hit.rank, hit.title, hit.snippet)

In a coroutine, ``await kb.asearch(…)``: what takes time has such a twin (:mod:`kbsearch.twins`).

A :class:`KnowledgeBase` may be shared between threads. It answers from one snapshot, an immutable set of open parts;
:meth:`KnowledgeBase.reload` puts a newer snapshot in its place, and questions under way finish on theirs.

Never: write anything; fetch more from the content than the page that is shown; import at the top what a plain search
does without, for its start is mostly imports.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from kbsearch.confidence import Calibration, outcome_of
from kbsearch.errors import BadQuery, IndexCorrupt, NotFound
from kbsearch.filters import DayLike, FilterLike, LanguagesLike, parse_day, parse_filter, parse_languages
from kbsearch.laps import Laps
from kbsearch.learned import shipped_models
from kbsearch.model import name_section
from kbsearch.native import crowd, usable_cores
from kbsearch.pooling import POOL, ByWords
from kbsearch.presenting import present
from kbsearch.query import Query, prepare
from kbsearch.rank import BASELINES, MODES, Mode
from kbsearch.results import Ranking, SearchResult
from kbsearch.retrieve import Ranked, best_articles, reasons_of
from kbsearch.snapshot import Snapshot, today
from kbsearch.snippet import DEFAULT_CHARS
from kbsearch.store import Store
from kbsearch.turns import Turns
from kbsearch.twins import Either, twin
from kbsearch.versions import Choice, reader_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from kbsearch.forms import Form
    from kbsearch.learned import Models
    from kbsearch.model import Article, Filter
    from kbsearch.overviews import SectionView, Status
    from kbsearch.places import Place
    from kbsearch.procedures import Procedure
    from kbsearch.results import Outcome
    from kbsearch.views import Budget, LevelName, Related, View

__all__ = ["KnowledgeBase"]

_TURNS = Turns(usable_cores(), crowd)  # of all knowledge bases of the process


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
    def open_index(cls, path: Path | str = "indexes/help") -> KnowledgeBase:
        """Open the current generation of an index. ``KnowledgeBase.open`` is the same.

        Raises
        ------
        IndexNotFound, IndexCorrupt, IndexIncompatible
        """
        return cls(path)

    def open_handle(
        self,
        handle: str,
        level: int | LevelName = 2,
        *,
        question: str | None = None,
        form: Form = "markdown",
        snippet_chars: int = DEFAULT_CHARS,
        as_of: DayLike = None,
    ) -> View:
        """Show an article or a section at a level. ``kb.open`` is the same.

        Parameters
        ----------
        handle
            As a hit gives it: an article's id, or ``article#section``.
        level
            0 to 4, or its name: ``title``, ``snippet``, ``section``, ``article``, ``related``.
        question
            What the snippet of level 1 answers; without one it is how the section begins.
        form
            ``markdown``, ``text``, ``html``, ``ansi`` or ``speech``.
        snippet_chars
            Longest snippet in characters, 1 and up.
        as_of
            As in :meth:`article`.

        Raises
        ------
        NotFound, BadQuery
        """
        from kbsearch.forms import FORMS
        from kbsearch.opening import open_view
        from kbsearch.views import LEVELS, level_number

        number, day = level_number(level), parse_day(as_of) or today()
        if number is None:
            raise BadQuery(f"There is no level {level!r}. Known are 0 to 4, or: {', '.join(LEVELS)}.")
        if form not in FORMS:
            raise BadQuery(f"There is no form “{form}”. Known are: {', '.join(FORMS)}.")
        _checked(question or "", 1, None, "hybrid", snippet_chars)
        article, section, name, place = self._opened(handle, as_of)
        snapshot = self.snapshot
        with snapshot.generation.blamed():
            view = open_view(snapshot, article, section, name, number, form, day, question, snippet_chars)
            return replace(view, moved_from=place.moved_from)

    open = Either(open_index, open_handle)  # of the class: an index; of what that gives: an article
    aopen = Either(twin(open_index), twin(open_handle))

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
        prefer_lang: LanguagesLike = None,
        as_of: DayLike = None,
        budget: int | str | Budget | None = None,
    ) -> SearchResult:
        """Answer a question with ranked articles, each in the version of the reader's language.

        Parameters
        ----------
        question
            Any language, any length; read up to ``MAX_QUERY_CHARS``. One without a letter or digit has no hit.
        k
            At most so many articles, 1 and up.
        filter
            Which articles may answer: ``lang``, ``category`` (with what is below it), ``tags``, ``kind``,
            ``audience``, ``product``, ``version`` (with what does not say its own); each a text or several
            alternatives.
        mode
            ``"hybrid"``, or one leg alone: ``"lexical"`` needs no encoder, ``"dense"`` no words.
        snippet_chars
            Longest snippet in characters, 1 and up.
        explain
            Give each hit its ``reasons``; in the mode ``"hybrid"`` only, and at the price of a second ranking.
        prefer_lang
            The reader's language, or several in order; without it, that of the question where it is clear. It decides
            which of several versions of an article is shown, and nothing else.
        as_of
            Answer as on that day, a date or ISO text, instead of today: by ``valid_from`` and ``valid_until`` of the
            articles as they are in this index.
        budget
            Also fill so many characters with the answer: the result's ``disclosure``. A number, the name of a preset
            (``voice``, ``sms``, ``chat``, ``web``, ``email``, ``llm``), or a :class:`kbsearch.views.Budget`, which may
            count tokens. Give ``k`` as many articles as the budget is to be filled from.

        Returns
        -------
        SearchResult
            Hits are distinct articles, versions of one counting once, score descending.

        Raises
        ------
        BadQuery, EncoderUnavailable, IndexCorrupt, IndexIncompatible
        """
        laps = Laps()
        where = _checked(question, k, filter, mode, snippet_chars)
        prefer, day = parse_languages(prefer_lang), parse_day(as_of) or today()
        if budget is not None:
            from kbsearch.disclosing import fill, parse_budget
            from kbsearch.opening import PageSource

            budget = parse_budget(budget)
        snapshot = self.snapshot
        with _TURNS, snapshot.generation.blamed():
            laps.begin()
            by_words = ByWords(snapshot, where, mode, POOL, day=day)
            query = prepare(snapshot, question, mode, laps, by_words)
            choice = _choice(snapshot, prefer, where, query, day)
            ranked = best_articles(
                snapshot, self._models(mode), query, where, mode, k, laps=laps, day=day, choice=choice,
                by_words=by_words,
            )  # fmt: skip
            outcome, confidence = _judged(snapshot, ranked, mode)
            models = self._models(mode) if explain else None
            reasons = {} if models is None else reasons_of(snapshot, models, query, where, day)
            laps.end("rank")
            hits = present(snapshot, query, ranked.articles, snippet_chars, reasons, choice, laps)
            disclosure = None
            if budget is not None:
                source = PageSource(snapshot, query, ranked.articles, day)
                lang = next(iter(choice.reader.languages), hits[0].lang if hits else "")
                disclosure = fill(hits, outcome, confidence, lang, budget, source)
                laps.end("snippet")
        return SearchResult(
            query=question, hits=hits, outcome=outcome, confidence=confidence, understood=query.understood,
            took_ms=laps.total, generation=snapshot.generation.name, stages=laps.stages, disclosure=disclosure,
        )  # fmt: skip

    def ranking(
        self,
        question: str,
        k: int = 10,
        *,
        filter: FilterLike = None,  # noqa: A002 - as in search
        mode: Mode = "hybrid",
        without: Collection[str] = (),
        versions: Literal["all", "one"] = "all",
        prefer_lang: LanguagesLike = None,
        as_of: DayLike = None,
    ) -> Ranking:
        """The k best articles, as :meth:`search` ranks them, without fetching anything to show.

        Besides the modes of :meth:`search` it takes those of :data:`kbsearch.rank.BASELINES`, for comparisons.
        Articles whose ids are in ``without`` take no part, as if they had never been written. Each version of an
        article has a place of its own, unless ``versions`` is ``"one"``: then one has it, as in :meth:`search`.
        """
        where = _checked(question, k, filter, mode, DEFAULT_CHARS, MODES + BASELINES)
        if isinstance(without, str):
            raise BadQuery(f"without is a list of article ids, such as [{without!r}], not a text.")
        if versions not in {"all", "one"}:
            raise BadQuery(f"versions is “all” or “one”, not {versions!r}.")
        prefer, day = parse_languages(prefer_lang), parse_day(as_of) or today()
        snapshot, unwanted = self.snapshot, frozenset(without)
        with _TURNS, snapshot.generation.blamed():
            hidden = tuple(sorted(snapshot.numbers[name] for name in unwanted if name in snapshot.numbers))
            by_words = ByWords(snapshot, where, mode, POOL, hidden, day)
            query = prepare(snapshot, question, mode, by_words=by_words)
            choice = _choice(snapshot, prefer, where, query, day, hidden) if versions == "one" else None
            ranked = best_articles(
                snapshot, self._models(mode), query, where, mode, k, hidden, day=day, choice=choice, by_words=by_words
            )
            ids = tuple(snapshot.article_ids[article.number] for article in ranked.articles)
        return Ranking(ids, *_judged(snapshot, ranked, mode), snapshot.generation.name)

    def prepare(self, question: str, mode: Mode = "hybrid") -> Query:
        """The question as the legs see it: its terms and its vector."""
        return prepare(self.snapshot, question, mode)

    def resolve(self, handle: str, *, as_of: DayLike = None) -> Place:
        """Where a link leads that was made some time ago: a section or an article by its handle, or a former one.

        Give :attr:`Hit.handle` to whoever keeps a link: it stays when lines are inserted, when the section moves and
        when its heading is reworded.

        Raises
        ------
        NotFound
            When this never was a name here, and for an article that is a draft, archived, or not valid on the day.
        BadQuery
            For an ``as_of`` that is no day.
        """
        from kbsearch.places import Guide

        snapshot, day = self.snapshot, parse_day(as_of) or today()
        with snapshot.generation.blamed():
            return Guide(snapshot.content, day).resolve(handle)

    def article(self, article_id: str, *, as_of: DayLike = None) -> Article:
        """A served article with its sections, by its id or by one that it had before.

        Raises
        ------
        NotFound
            For an unknown id, and for an article that is a draft, archived, or not valid on the day, today.
        Gone
            For one that was removed; a NotFound too.
        BadQuery
            For an ``as_of`` that is no day.
        """
        return self._article_at(self.resolve(article_id, as_of=as_of).live())

    def section(self, section_id: str, *, as_of: DayLike = None) -> SectionView:
        """A section by its handle, with the sections below it: an exception under a sub-heading belongs to it.

        Any name that it had before leads to it too, and so does ``article#anchor`` as the page is now, unless that is
        the handle of another section. The article's id alone is its lead, or its first section without one. ``as_of``
        as in :meth:`article`.

        Raises
        ------
        NotFound, Gone, BadQuery
        """
        from kbsearch.opening import section_view

        article, number, handle, place = self._opened(section_id, as_of)
        return section_view(article, number, handle, place.moved_from)

    def steps(self, handle: str, number: int = 1) -> Procedure:
        """The procedure of a section, or of an article, to be walked step by step.

        Parameters
        ----------
        handle
            As in :meth:`section`; the article's id alone stands for the whole article.
        number
            Which one where there are several, as ``others`` of the procedure counts them: 1 is the first.

        Raises
        ------
        NotFound, Gone, NoSteps, BadQuery
        """
        from kbsearch.markdown import procedure_of  # the parser, which a search does without

        article, section, _, place = self._opened(handle)
        return procedure_of(article, section if "#" in place.section_id else None, number)

    def _article_at(self, place: Place) -> Article:
        snapshot = self.snapshot
        article = snapshot.content.article_by_id(place.article_id)
        if article is None:
            raise IndexCorrupt(snapshot.generation.files.content, f"the article {place.article_id}", "none")
        return replace(article, generation=snapshot.generation.name)

    def _opened(self, handle: str, as_of: DayLike = None) -> tuple[Article, int, str, Place]:
        """Article, index and handle of a section, and where it was found; the first for the article's id alone."""
        place = self.resolve(handle, as_of=as_of).live()
        article, anchor = self._article_at(place), place.section_id.partition("#")[2]
        found = (n for n, section in enumerate(article.sections) if section.anchor == anchor or not anchor)
        number = next(found, -1)
        if number < 0:  # an article without any
            raise NotFound(handle)
        address = name_section(article.id, article.sections[number].anchor)
        return article, number, self.snapshot.content.handles_by_address.get(address, address), place

    def contact(self, lang: str = "", *, as_of: DayLike = None) -> Related | None:
        """The article that says how to reach a person, for a hand-over: the one in this language, else any.

        Its front matter says ``contact: true``. None where no article does. ``as_of`` as in :meth:`article`.
        """
        from kbsearch.opening import contact_of

        snapshot, day = self.snapshot, parse_day(as_of) or today()
        with snapshot.generation.blamed():
            return contact_of(snapshot, lang, day)

    def status(self) -> Status:
        """What the index holds."""
        with self.snapshot.generation.blamed():
            return _status(self.snapshot, str(self._store.root))

    areload = twin(reload)
    aresolve = twin(resolve)
    asearch = twin(search)
    aranking = twin(ranking)
    aarticle = twin(article)
    asection = twin(section)
    asteps = twin(steps)
    acontact = twin(contact)


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


def _choice(
    snapshot: Snapshot, prefer: tuple[str, ...], where: Filter, query: Query, day: dt.date, hidden: tuple[int, ...] = ()
) -> Choice:
    first = query.wordings[0]
    reader = reader_of(prefer, where, first.text, asks_japanese=first.asks_japanese)
    return Choice(snapshot, reader, where, day, hidden)


def _status(snapshot: Snapshot, root: str) -> Status:
    from kbsearch.overviews import Status

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
        bytes=snapshot.generation.bytes,
        warnings=tuple(content.warnings()),
        handles=manifest["handles"],
        synonyms=snapshot.synonyms.phrases,
    )
