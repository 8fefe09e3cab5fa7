"""Where a name of a section leads: to its place now, or to where its content went.

Use: ``Guide(content, day).resolve("shop/returns#送料")``, or :meth:`kbsearch.KnowledgeBase.resolve`.

Never: guess. What the record (:mod:`kbsearch.handles`) does not know was never a name here.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kbsearch.errors import Gone, NotFound
from kbsearch.model import JSON_VERSION, name_section

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    from kbsearch.content import Content
    from kbsearch.handles import Address, Entry

__all__ = ["Guide", "Place", "Successor"]


@dataclass(frozen=True, slots=True)
class Successor:
    """A live section or article in place of one that was removed.

    Attributes
    ----------
    handle, section_id, title, heading
        Its own; ``heading`` is ``""`` for an article.
    share
        How much of the text of the removed one stood there when it was removed, 0 to 1.
    why
        ``"text"`` for that; ``"translation"``: the same article in another language; ``"article"``: only the article
        that it was in, which has none of its text.
    """

    handle: str
    section_id: str
    title: str
    heading: str
    share: float
    why: Literal["text", "translation", "article"]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Place:
    """What a handle names.

    Attributes
    ----------
    state
        ``"live"``, or ``"gone"`` for what was removed.
    handle
        Its name; another than was asked for when it goes by another one now.
    article_id, section_id
        Where it is, as hits say it; ``""`` when it is gone.
    title, heading
        Of the article and the section; those that it had last when it is gone.
    moved_from
        The name that was asked for, when it is a former one.
    since
        The generation from which on this name has led here; ``""`` for the address at which it was first seen.
    successors
        Of what is gone: where its text went, most first. Of a live article: what had its id before, if anything.
    """

    state: Literal["live", "gone"]
    handle: str
    article_id: str
    section_id: str
    title: str
    heading: str
    moved_from: str | None = None
    since: str = ""
    successors: tuple[Successor, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "successors"}
        return {"version": JSON_VERSION, **plain, "successors": [after.to_dict() for after in self.successors]}

    def live(self) -> Place:
        """The place itself.

        Raises
        ------
        Gone
            When there is none any more.
        """
        if self.state == "gone":
            names = tuple(after.handle for after in self.successors)
            raise Gone(self.moved_from or self.handle, self.since, names, self._where())
        return self

    def _where(self) -> str:
        """A sentence on what was removed and where it went."""
        what = f"It was “{' › '.join(filter(None, (self.title, self.heading)))}”"
        if not self.successors:
            return f"{what}; nothing of it is left."
        said = {
            "text": "its text is now in {}",
            "translation": "in another language there is {}",
            "article": "its text is nowhere else, its article is {}",
        }
        why = self.successors[0].why
        names = ", ".join(
            f"{after.handle} (“{after.heading or after.title}”{f', {after.share:.0%}' if after.share else ''})"
            for after in self.successors
            if after.why == why
        )
        return f"{what}; {said[why].format(names)}."


class Guide:
    """Resolves names in one generation.

    Parameters
    ----------
    content
        Of the generation.
    day
        On which it is asked: customers see articles that are valid then.
    """

    def __init__(self, content: Content, day: dt.date) -> None:
        self._content, self._day = content, day

    def resolve(self, name: str) -> Place:
        """Where a handle, a former handle or an address leads.

        Raises
        ------
        NotFound
            For what was never the name of anything here, and for what customers are not to see.
        """
        found = self._follow(name)
        if found is None:
            raise NotFound(name, self._near(name))
        last, entry, address = found
        moved_from, since = (None if last == name else name), self._since(name)
        if address is None:
            return Place(
                "gone", last, "", "", entry.title if entry else "", entry.heading if entry else "", moved_from, since,
                tuple(self._successors(last, entry)),
            )  # fmt: skip
        said = self._said(address)
        if said is None:
            raise NotFound(name, self._near(name))
        section_id = name_section(*address)
        handle = self._content.handles_by_address.get(section_id, section_id)
        before = tuple(self._each(entry.successors)) if entry and not address[1] else ()
        was = moved_from if moved_from != section_id else None
        return Place("live", handle, address[0], section_id, *said, was, since, before)

    def _follow(self, name: str) -> tuple[str, Entry | None, Address | None] | None:
        """The last name on the way, its row, and the address that it names; None for what was never a name."""
        seen: set[str] = set()
        while True:
            entry = self._content.entry(name)
            if entry is None:
                article_id, _, anchor = name.partition("#")
                known = self._content.heading_at(article_id, anchor) is not None
                return (name, None, (article_id, anchor)) if known else None
            if not entry.moved or name in seen:  # twice only in a damaged record
                return name, entry, entry.address
            seen.add(name)
            name = entry.successors[0][0]

    def _since(self, name: str) -> str:
        entry = self._content.entry(name)
        return "" if entry is None else entry.since

    def _said(self, address: Address) -> tuple[str, str] | None:
        """Title and heading at an address, where customers may see it."""
        return self._content.heading_at(*address) if self._content.is_served(address[0], self._day) else None

    def _successors(self, name: str, entry: Entry | None) -> Iterator[Successor]:
        """Those of a removed section; without any that is live, the article that it was in, or what became of that."""
        found = list(self._each(entry.successors if entry else ()))
        article_id, _, anchor = name.partition("#")
        if not found and anchor:
            found = [
                Successor(after.handle, after.section_id, after.title, after.heading, 0.0, "article")
                if after.why == "text"
                else after
                for after in self._each([(article_id, 1.0)])
            ]
        yield from found

    def _each(self, names: Sequence[tuple[str, float]]) -> Iterator[Successor]:
        """What lives of some names, or of what came after them, each once."""
        waiting, seen = list(reversed(names)), set[str]()
        while waiting:
            name, share = waiting.pop()
            found = self._follow(name)
            if found is None:
                continue
            last, entry, address = found
            section_id = "" if address is None else name_section(*address)
            if (section_id or last) in seen:
                continue
            seen.add(section_id or last)
            if address is None:
                waiting += [(after, share * part) for after, part in reversed(entry.successors if entry else ())]
            elif (said := self._said(address)) is not None:
                handle = self._content.handles_by_address.get(section_id, section_id)
                yield Successor(handle, section_id, *said, round(share, 2), "text" if share else "translation")

    def _near(self, name: str) -> tuple[str, ...]:
        """Names that look like one."""
        article_id, _, anchor = name.partition("#")
        article = self._content.article_by_id(article_id) if anchor else None
        if article is not None and self._content.is_served(article_id, self._day):
            known = [name_section(article.id, section.anchor) for section in article.sections]
        else:
            known = self._content.served_ids(self._day)
        return tuple(difflib.get_close_matches(name, known, n=3))
