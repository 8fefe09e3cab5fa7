"""Open an article at a level: what :mod:`kbsearch.views` promises, from the content of one generation.

Never: show what is not served on the day; write anything.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from kbsearch.errors import NotFound
from kbsearch.excerpts import excerpt
from kbsearch.forms import render_line
from kbsearch.labels import title_line
from kbsearch.model import name_section
from kbsearch.overviews import SectionView
from kbsearch.presenting import QUOTED_ROWS, level_sizes, quote_rows
from kbsearch.query import prepare
from kbsearch.related import SHOWN, related_line
from kbsearch.views import Cost, Related, View, levels_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from kbsearch.forms import Form
    from kbsearch.model import Article
    from kbsearch.query import Query
    from kbsearch.results import Snippet
    from kbsearch.retrieve import RankedArticle
    from kbsearch.snapshot import Snapshot

__all__ = ["PageSource", "contact_of", "open_view", "section_view", "served_article"]

_TITLE, _SNIPPET, _SECTION, _ARTICLE, _RELATED = range(5)
_HEADINGS: Final = {True: ("関連する記事", "お問い合わせ"), False: ("Related articles", "Contact us")}


def served_article(snapshot: Snapshot, article_id: str, day: dt.date) -> Article:
    """An article that is served on a day.

    Raises
    ------
    NotFound
    """
    article = snapshot.content.article_by_id(article_id)
    if (
        article is None
        or article.status != "published"
        or (article.valid_from is not None and day < article.valid_from)
        or (article.valid_until is not None and day > article.valid_until)
    ):
        hidden = {snapshot.article_ids[number] for number in snapshot.out_of_date(day)}
        served = [name for name in snapshot.content.served_ids() if name not in hidden]
        raise NotFound(article_id, tuple(difflib.get_close_matches(article_id, served, n=3)))
    return article


def section_view(article: Article, place: int, handle: str = "", moved_from: str | None = None) -> SectionView:
    """A section with what stands below it; ``handle`` is its name that stays."""
    section, shown = article.sections[place], excerpt(article.sections, place)
    return SectionView(
        name_section(article.id, section.anchor), article.id, article.title, section.heading, section.headings,
        section.kind, shown.markdown(article.sections), article.path, (section.lines[0], shown.last_line),
        generation=article.generation, handle=handle, moved_from=moved_from,
    )  # fmt: skip


def open_view(
    snapshot: Snapshot,
    article: Article,
    place: int,
    handle: str,
    level: int,
    form: Form,
    day: dt.date,
    question: str | None,
    snippet_chars: int,
) -> View:
    """Show an article at a level.

    Parameters
    ----------
    place
        Of the section that the handle names.
    question
        What the snippet answers; without one it is how the section begins.
    """
    number = snapshot.numbers[article.id]
    section, shown = article.sections[place], section_view(article, place)
    places = excerpt(article.sections, place).places
    rows = snapshot.content.rows_of_sections(number, places)
    passages = snapshot.content.passage_rows(rows)
    texts = {row: passages[row].text for row in rows}
    query = prepare(snapshot, question or "", "lexical" if question is None else "hybrid")
    snippet, snippet_size = quote_rows(snapshot, query, number, texts, snippet_chars)
    size = len(shown.markdown), snapshot.meter.cost(shown.markdown)
    head = snapshot.content.heads_of([number])[number]
    sizes = level_sizes(head, snapshot.parts.related[number, -2:].tolist(), size, snippet_size)
    related = _related(snapshot, number, day) if level == _RELATED else ()
    contact = contact_of(snapshot, article.lang, day) if level == _RELATED else None
    if level == _TITLE:
        text = render_line(title_line(article.title, article.category), (), form)
    elif level == _SNIPPET:
        text = snippet.render(form)
    elif level == _SECTION:
        text = _written(shown.markdown, form, article.lang)
    else:
        source = "\n\n".join([article.markdown.strip("\n"), *_further(related, contact, article.lang)])
        text = _written(source, form, article.lang)
    lines = shown.lines if level <= _SECTION else (1, max(last for _, last in (s.lines for s in article.sections)))
    return View(
        handle=handle, level=level, form=form, article_id=article.id,
        section_id=name_section(article.id, section.anchor), title=article.title, category=article.category,
        heading=section.heading, lang=article.lang, text=text, cost=Cost(len(text), snapshot.meter.cost(text)),
        levels=levels_of(sizes), path=article.path, lines=lines, moved_from=None,
        related=related, contact=contact, generation=snapshot.generation.name,
    )  # fmt: skip


def contact_of(snapshot: Snapshot, lang: str, day: dt.date) -> Related | None:
    """The article that says how to reach a person: in this language, else in any; None where none is marked so."""
    out = set(snapshot.out_of_date(day))
    served = [(own, number) for own, number in snapshot.content.contacts() if number not in out]
    heads = snapshot.content.heads_of([number for _, number in served])
    served = [(own, number) for own, number in served if heads[number].status == "published"]
    for _, number in sorted(served, key=lambda contact: contact[0] != lang):
        return Related(heads[number].id, heads[number].title)
    return None


def _related(snapshot: Snapshot, number: int, day: dt.date) -> tuple[Related, ...]:
    out = set(snapshot.out_of_date(day))
    removed = snapshot.parts.removed_articles
    numbers = [n for n in snapshot.parts.related[number, :-2].tolist() if n >= 0 and n not in out and not removed[n]]
    heads = snapshot.content.heads_of(numbers)
    return tuple(Related(heads[n].id, heads[n].title) for n in numbers[:SHOWN])


def _further(related: tuple[Related, ...], contact: Related | None, lang: str) -> list[str]:
    """Markdown of what stands below an article at the last level."""
    is_japanese = lang == "ja"
    blocks = zip(_HEADINGS[is_japanese], (related, (contact,) if contact else ()), strict=True)
    return [
        "\n".join(
            [
                f"## {heading}\n",
                *(related_line(other.title, other.article_id, is_japanese=is_japanese) for other in found),
            ]
        )
        for heading, found in blocks
        if found
    ]


def _written(markdown: str, form: Form, lang: str, *, is_titled: bool = False) -> str:
    if form == "markdown":
        return markdown
    from kbsearch.markdown import write  # the parser, which a search does without

    return write(markdown, form, lang, is_titled=is_titled)


class PageSource:
    """Texts of the articles of an answer, for :func:`kbsearch.disclosing.fill`; each is fetched once."""

    def __init__(self, snapshot: Snapshot, query: Query, articles: Sequence[RankedArticle], day: dt.date) -> None:
        self._snapshot, self._query, self._articles, self._day = snapshot, query, articles, day
        self._opened: dict[int, Article] = {}

    def snippet(self, place: int, limit: int) -> Snippet:
        """The sentences of a hit that answer, in at most so many characters."""
        article = self._articles[place]
        rows = [ranked.row for ranked in article.rows[:QUOTED_ROWS]]
        passages = self._snapshot.content.passage_rows(rows)
        texts = {row: passages[row].text for row in rows}
        return quote_rows(self._snapshot, self._query, article.number, texts, limit, whole=True)[0]

    def written(self, place: int, handle: str, level: int, form: Form, *, is_titled: bool) -> str:
        """The section (2) or the article (3) of a hit in a form; ``handle`` names the section.

        ``is_titled``: the title stands above it already.
        """
        article = self._opened.get(place)
        if article is None:
            name = self._snapshot.article_ids[self._articles[place].number]
            article = self._opened[place] = served_article(self._snapshot, name, self._day)
        if level == _ARTICLE:
            source = article.markdown.strip("\n")
            if is_titled:
                from kbsearch.markdown import below_title  # the parser, as in _written

                source = below_title(source, article.title, article.lang)
            return _written(source, form, article.lang, is_titled=is_titled)
        anchor = handle.partition("#")[2]
        sections = [number for number, section in enumerate(article.sections) if section.anchor == anchor]
        markdown = section_view(article, sections[0] if sections else 0).markdown
        return _written(markdown, form, article.lang, is_titled=is_titled)

    def count(self, text: str) -> int:
        """Tokens."""
        return self._snapshot.meter.cost(text)

    def contact(self, lang: str) -> Related | None:
        """The article that says how to reach a person."""
        return contact_of(self._snapshot, lang, self._day)
