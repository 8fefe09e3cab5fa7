"""Names of sections that stay: a record of what differs from the page as it is, kept from generation to generation.

A section's *address* is ``article#anchor``, as the page is now; it changes with the heading. Its *handle* is the
address at which it was first seen, or that with ``-2``, ``-3``, … where that name was taken. The record has a row
(:class:`Entry`) for every name whose section is not simply at that address:

- live: the section stands at another address of the same article;
- moved: the section goes by another name now, most often because it is in another article;
- gone: it was removed; ``successors`` are the handles that had a share of its text when it went.

Names lead to names and never back: what a row names was live when the row was written, so a chain ends. A name that
was once an address or a handle is never given to another section, save by the author: an explicit ``{#id}`` and the id
of an article mean what the author says they mean.

Use: ``record.handle_of(article, anchor)``; ``updated(record, change, generation)`` in a build; at question time
:mod:`kbsearch.places` reads single rows.

Never: drop a row because its section is gone; that is when it is needed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from kbsearch.model import name_section

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Address", "Change", "Entry", "Record", "Removed", "updated"]

Address = tuple[str, str]
"""Id of an article, and an anchor in it; ``""`` is the anchor of the lead, whose name is that of the article."""

_ENOUGH: Final = 0.5


@dataclass(frozen=True, slots=True)
class Entry:
    """What the record knows of one name.

    Attributes
    ----------
    address
        Where the section is; None when it goes by another name or is gone.
    successors
        Handles with the share of its text that they had; for a moved one that of the section itself, with 1. A share
        of 0 is a translation. Of the id of a live article: what had this id before.
    moved
        Whether the section lives on under the first of these.
    since
        The generation from which on this is so.
    title, heading
        Of its article and of itself when it was last seen.
    sketch
        Of a removed one: see :class:`kbsearch.lineage.Ghost`; little-endian uint32.
    """

    handle: str
    address: Address | None = None
    successors: tuple[tuple[str, float], ...] = ()
    moved: bool = False
    since: str = ""
    title: str = ""
    heading: str = ""
    sketch: bytes = b""

    @property
    def gone(self) -> bool:
        """Whether it was removed."""
        return self.address is None and not self.moved

    @property
    def settled(self) -> bool:
        """Whether most of what it said stands somewhere else."""
        return bool(self.successors) and self.successors[0][1] >= _ENOUGH


@dataclass(frozen=True, slots=True)
class Removed:
    """A section or an article that is no more; ``successors`` with addresses in place of handles."""

    title: str
    heading: str
    successors: tuple[tuple[Address, float], ...] = ()
    sketch: bytes = b""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of the sections of all articles that changed, came or went.

    Attributes
    ----------
    was, now
        Every address of these articles before and after, in order, with title and heading.
    pairs
        Where each old one is now.
    removed
        Those that are nowhere.
    returned
        Handles that were gone, and where they are again.
    promised
        New addresses whose anchors the author wrote.
    articles
        Ids that were there before, and the address of what each is now: itself, the article that it was renamed to,
        the section that it became, or how it went.
    present
        Ids that are there now.
    """

    was: Mapping[Address, tuple[str, str]] = field(default_factory=dict)
    now: Mapping[Address, tuple[str, str]] = field(default_factory=dict)
    pairs: Mapping[Address, Address] = field(default_factory=dict)
    removed: Mapping[Address, Removed] = field(default_factory=dict)
    returned: Mapping[str, Address] = field(default_factory=dict)
    promised: frozenset[Address] = frozenset()
    articles: Mapping[str, Address | Removed] = field(default_factory=dict)
    present: frozenset[str] = frozenset()


class Record:
    """The rows by their names; immutable once made."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = {entry.handle: entry for entry in entries}
        self._at = {entry.address: entry.handle for entry in self._entries.values() if entry.address is not None}

    def __iter__(self) -> Iterator[Entry]:
        """In order of name."""
        return iter(self._entries[name] for name in sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, handle: str) -> bool:
        return handle in self._entries

    def get(self, handle: str) -> Entry | None:
        """The row of a name; None for one that is simply its address, and for one that was never given."""
        return self._entries.get(handle)

    def handle_of(self, article: str, anchor: str) -> str:
        """The handle of the section at an address."""
        return self._at.get((article, anchor)) or name_section(article, anchor)

    def followed(self, handle: str) -> str:
        """The name under which what moved lives now, or was when it went."""
        seen = {handle}
        while (entry := self._entries.get(handle)) is not None and entry.moved:
            handle = entry.successors[0][0]
            if handle in seen:  # a damaged record
                break
            seen.add(handle)
        return handle

    def address_of(self, handle: str) -> Address | None:
        """Where the section is that a name leads to; None when it is gone."""
        name = self.followed(handle)
        entry = self._entries.get(name)
        article, _, anchor = name.partition("#")
        return (article, anchor) if entry is None else entry.address

    def counts(self) -> dict[str, int]:
        """How many names lead to another anchor (``reworded``), to another name (``moved``), or nowhere (``gone``)."""
        entries = self._entries.values()
        gone, moved = sum(entry.gone for entry in entries), sum(entry.moved for entry in entries)
        return {"reworded": len(self._entries) - gone - moved, "moved": moved, "gone": gone}


def updated(record: Record, change: Change, generation: str) -> Record:
    """The record of the next generation."""
    return _Update(record, change, generation).run()


class _Update:
    """One run of :func:`updated`: rows are taken over, then those of what changed are written anew."""

    def __init__(self, record: Record, change: Change, generation: str) -> None:
        self.record, self.change, self.generation = record, change, generation
        self.handles = {address: record.handle_of(*address) for address in change.was}
        self.live = live = set(self.handles.values())
        self.rows = {entry.handle: entry for entry in record if entry.address is None or entry.handle not in live}
        self.rows |= {name: entry for name in change.articles if (entry := record.get(name)) is not None}
        self.placed: dict[Address, str] = {}
        self.given: set[str] = set()
        self.addresses = {name_section(*address) for address in (*change.was, *change.now)}
        self.former: dict[str, list[Entry]] = defaultdict(list)
        for entry in record:
            if entry.moved:
                self.former[entry.successors[0][0]].append(entry)

    def run(self) -> Record:
        self._give_names()
        for address, handle in self.handles.items():
            if address[1]:  # a lead has the name of its article
                self._lead_on(handle, self.change.pairs.get(address), self.change.removed.get(address))
        for handle, now in self.change.returned.items():
            self._lead_on(handle, now, None)
        self._lead_articles()
        for address, handle in self.placed.items():
            if address[1]:
                self._write_live(address, handle)
        for address in self.change.was:
            self._lead_address(address)
        return Record(self.rows.values())

    def _give_names(self) -> None:
        """What the author promised is theirs first, then what keeps its name; the rest takes what is free."""
        change, before = self.change, {now: was for was, now in self.change.pairs.items()}
        for address in change.now:
            if not address[1] or address in change.promised:
                self._place(address, name_section(*address))
        for address, was in before.items():
            if was[1]:
                self._keep(address, self.handles[was])
        for handle, address in change.returned.items():
            self._keep(address, handle)
        for address in change.now:
            if address not in self.placed:
                origin = before.get(address)
                former = None if origin is None else self._former(self.handles[origin], address[0])
                self._place(address, former or self._fresh(address, origin))

    def _place(self, address: Address, handle: str) -> None:
        self.placed[address] = handle
        self.given.add(handle)

    def _keep(self, address: Address, handle: str) -> None:
        """A handle stays within its article, unless the author gave the name to another section."""
        if address not in self.placed and handle not in self.given and handle.startswith(f"{address[0]}#"):
            self._place(address, handle)

    def _former(self, handle: str, article: str) -> str | None:
        """The name that the section had when it was in this article before, the latest of them."""
        found: list[tuple[str, str]] = []
        waiting, seen = [handle], {handle}
        while waiting:
            for entry in self.former.get(waiting.pop(), ()):
                if entry.handle not in seen:
                    seen.add(entry.handle)
                    waiting.append(entry.handle)
                    if entry.handle.startswith(f"{article}#") and entry.handle not in self.given:
                        found.append((entry.since, entry.handle))
        return max(found)[1] if found else None

    def _fresh(self, address: Address, was: Address | None) -> str:
        """The section's address, or, when that name is another's, the first of ``-2``, ``-3``, … that is free."""
        plain = wanted = name_section(*address)
        taken, number = address in self.handles and was != address, 1
        while taken or wanted in self.rows or wanted in self.given or wanted in self.live:
            number += 1
            wanted = f"{plain}-{number}"
            taken = wanted in self.addresses
        return wanted

    def _lead_on(self, handle: str, now: Address | None, gone: Removed | None) -> None:
        """Say where a name leads whose section does not bear it any more."""
        if handle in self.given:
            return
        if now is not None:
            self._write(handle, [(self.placed[now], 1.0)], moved=True, said=self.change.now[now])
        elif gone is not None:
            self._write(handle, self._names(gone), said=(gone.title, gone.heading), sketch=gone.sketch)

    def _lead_articles(self) -> None:
        """An id of an article is the author's: who has it now is meant, and the row says who had it before."""
        became: dict[str, set[str]] = defaultdict(set)
        for article, now in self.change.articles.items():
            if isinstance(now, Removed):
                self._write(article, self._names(now), said=(now.title, ""))
            elif now != (article, ""):
                self._write(article, [(self._name(now), 1.0)], moved=True, said=self.change.now.get(now, ("", "")))
                became[now[0]].add(article)
        for article in self.change.present:
            entry = self.rows.get(article)
            if entry is not None and (entry.gone or self.record.followed(article) in became[article]):
                del self.rows[article]
            elif entry is not None and entry.moved:
                self.rows[article] = replace(entry, address=(article, ""), moved=False, since=self.generation)

    def _lead_address(self, was: Address) -> None:
        """An address that was no handle was given out as well, and is to lead to its section when that leaves it."""
        name, handle = name_section(*was), self.handles[was]
        left = was[1] and name != handle and self.placed.get(was) != handle
        if left and name not in self.given and name not in self.rows:
            self._write(name, [(handle, 1.0)], moved=True, said=self.change.was[was])

    def _write_live(self, address: Address, handle: str) -> None:
        self.rows.pop(handle, None)
        if handle != name_section(*address):
            old = self.record.get(handle)
            since = old.since if old is not None and old.address == address else self.generation
            title, heading = self.change.now[address]
            self.rows[handle] = Entry(handle, address, since=since, title=title, heading=heading)

    def _name(self, address: Address) -> str:
        return self.placed.get(address) or self.record.handle_of(*address)

    def _names(self, gone: Removed) -> list[tuple[str, float]]:
        """Its successors by their handles, each once."""
        names: dict[str, float] = {}
        for address, share in gone.successors:
            names.setdefault(self._name(address), share)
        return list(names.items())

    def _write(
        self,
        handle: str,
        successors: Sequence[tuple[str, float]],
        *,
        said: tuple[str, str],
        moved: bool = False,
        sketch: bytes = b"",
    ) -> None:
        entry = Entry(handle, None, tuple(successors), moved, self.generation, *said, sketch)
        old = self.record.get(handle)
        same = old is not None and replace(old, since=self.generation) == entry
        self.rows[handle] = old if same and old is not None else entry
