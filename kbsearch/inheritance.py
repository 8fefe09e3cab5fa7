"""What a new generation takes over of the names in the last one: its record, brought up to date.

Only articles whose file changed, came or went take part; the old side is read from the content of the last generation
and the new side is parsed. See :mod:`kbsearch.lineage` for who is who and :mod:`kbsearch.handles` for what is written
down.

Use: ``heritage = find_heritage(store)`` before a build writes, then ``heritage.record_for(pages, …)``.

Never: let an index lose its record because it is built anew.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch.content import Content
from kbsearch.errors import IndexCorrupt
from kbsearch.handles import Change, Record, Removed, updated
from kbsearch.lineage import SKETCH, Ghost, Page, trace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from kbsearch.handles import Address, Entry
    from kbsearch.lineage import Lineage, Unit
    from kbsearch.model import Article
    from kbsearch.store import Store

__all__ = ["Heritage", "find_heritage", "inherited", "page_of"]

_FIRST_FORMAT: Final = 5  # with a record
_REAL: Final = 0.2  # the least share of an article that leads to another one
_NEARLY_ALL: Final = 0.8
_SUCCESSORS: Final = 3
_SAYS_SOMETHING: Final = 20  # characters of a folded text


@dataclass(frozen=True, slots=True)
class Heritage:
    """The last generation whose articles can be read, and its record; an older format has an empty one.

    ``parser`` is the fingerprint of what cut its articles into sections.
    """

    content: Content
    record: Record
    parser: str = ""

    def changed_paths(self, articles: Sequence[Article], parser: str) -> set[str]:
        """Files whose article is not what it was: all, when another parser read them."""
        then = {(path, article_id, sha256) for path, article_id, sha256 in self.content.versions()}
        now = {(article.path, article.id, article.sha256) for article in articles}
        return {path for path, _, _ in (then ^ now if parser == self.parser else then | now)}

    def record_for(self, pages: Sequence[Page], paths: Collection[str], generation: str) -> Record:
        """The record of the next generation.

        Parameters
        ----------
        pages
            Of the articles that changed or came, as they are now.
        paths
            Of the files of these, and of those that went.
        generation
            The name of the next one.
        """
        if not paths:
            return self.record
        old = [Page(*found) for found in self.content.pages(paths)]
        return inherited(self.record, old, pages, generation, self.content)


def find_heritage(store: Store) -> Heritage | None:
    """The newest that is there; None before the first build."""
    for manifest, file, delta in store.readable_contents():
        content = Content(file, delta=delta)
        try:
            record = Record(content.record() if int(manifest["format"]) >= _FIRST_FORMAT else ())
            return Heritage(content, record, str(manifest["fingerprints"]["parser"]))
        except (IndexCorrupt, KeyError, TypeError, ValueError):  # of another making, under our names
            continue
    return None


def page_of(article: Article) -> Page:
    """An article as it is compared."""
    return Page(article.id, article.path, article.title, article.sections)


def inherited(
    record: Record, old: Sequence[Page], new: Sequence[Page], generation: str, content: Content | None = None
) -> Record:
    """Follow the sections of some pages, and bring the record up to date.

    ``content`` has all articles of before; what was removed may stand in one that did not change.
    """
    found = trace(old, new, _ghosts(record))
    ghosts = [entry.handle for entry in _gone(record)]
    pairs = {_address(found.old[i]): _address(found.new[j]) for i, j in found.pairs.items()}
    lost = [i for i in range(len(found.old)) if i not in found.pairs]
    elsewhere = _elsewhere(found, lost, content, {page.id for page in (*old, *new)})
    successors: dict[int, list[tuple[Address, float]]] = {
        i: [(_address(found.new[j]), round(share, 2)) for j, share in found.shares.get(i, ())] or elsewhere.get(i, [])
        for i in lost
    }
    removed = {_address(found.old[i]): _removed(found.old[i], successors[i]) for i in lost}
    change = Change(
        was={_address(unit): _said(unit) for unit in found.old},
        now={_address(unit): _said(unit) for unit in found.new},
        pairs=pairs,
        removed=removed,
        returned={ghosts[ghost]: _address(found.new[j]) for j, ghost in found.returned.items()},
        promised=frozenset(_address(unit) for unit in found.new if unit.explicit),
        articles=_articles(old, new, found, successors, content),
        present=frozenset(page.id for page in new),
    )
    return updated(record, change, generation)


def _address(unit: Unit) -> Address:
    return unit.page.id, unit.section.anchor


def _said(unit: Unit) -> tuple[str, str]:
    return unit.page.title, unit.section.heading


def _gone(record: Record) -> list[Entry]:
    """Sections that may come back; an article comes back with its id."""
    return [entry for entry in record if entry.gone and "#" in entry.handle]


def _ghosts(record: Record) -> list[Ghost]:
    ghosts = []
    for entry in _gone(record):
        article, _, anchor = entry.handle.partition("#")
        sketch = np.frombuffer(entry.sketch, dtype="<u4").astype(np.uint32)
        holder = record.address_of(entry.successors[0][0]) if entry.settled else None
        ghosts.append(Ghost(record.followed(article), anchor, entry.heading, sketch, holder))
    return ghosts


def _removed(unit: Unit, successors: Sequence[tuple[Address, float]]) -> Removed:
    sketch = b"" if unit.shingles is None else unit.shingles[:SKETCH].astype("<u4").tobytes()
    return Removed(*_said(unit), tuple(successors), sketch)


def _elsewhere(
    found: Lineage, lost: Iterable[int], content: Content | None, changed: Collection[str]
) -> dict[int, list[tuple[Address, float]]]:
    """Removed sections that stand, as they were, in an article that did not change: copied first, removed later."""
    left = [i for i in lost if i not in found.shares and len(found.old[i].body) >= _SAYS_SOMETHING]
    wanted = {found.old[i].section.markdown: i for i in left}
    if content is None or not wanted:
        return {}
    places: dict[int, list[tuple[Address, float]]] = defaultdict(list)
    for article_id, anchor, markdown in content.sections_saying(wanted):
        if article_id not in changed and len(places[wanted[markdown]]) < _SUCCESSORS:
            places[wanted[markdown]].append(((article_id, anchor), 1.0))
    return places


def _articles(
    old: Sequence[Page],
    new: Sequence[Page],
    found: Lineage,
    successors: dict[int, list[tuple[Address, float]]],
    content: Content | None,
) -> dict[str, Address | Removed]:
    """What became of each article."""
    present = {page.id for page in new}
    sections: dict[str, list[int]] = defaultdict(list)
    for number, unit in enumerate(found.old):
        sections[unit.page.id].append(number)
    articles: dict[str, Address | Removed] = {}
    versions = _translations(content, [page.id for page in old if page.id not in found.homes])
    for page in old:
        if page.id in present or page.id in found.homes:
            articles[page.id] = (found.homes.get(page.id, page.id), "")
            continue
        shares = _shares(page, sections[page.id], found, successors)
        lead = next((i for i in sections[page.id] if not found.old[i].section.level), None)
        whole = [address for address, share in shares if share >= _NEARLY_ALL and address[1]]
        if lead in found.pairs and whole == [_address(found.new[found.pairs[lead]])]:
            articles[page.id] = whole[0]
        else:
            translated: list[tuple[Address, float]] = [((version, ""), 0.0) for version in versions.get(page.id, ())]
            articles[page.id] = Removed(page.title, "", (*shares, *translated))
    return articles


def _shares(
    page: Page, numbers: Sequence[int], found: Lineage, successors: dict[int, list[tuple[Address, float]]]
) -> list[tuple[Address, float]]:
    """Where the text of an article is now, by shares of it: articles, or sections that have nearly all of that."""
    total = sum(len(section.markdown) for section in page.sections) or 1
    of_section: dict[Address, float] = defaultdict(float)
    of_article: dict[str, float] = defaultdict(float)
    for i in numbers:
        part = len(found.old[i].section.markdown) / total
        kept = [(_address(found.new[found.pairs[i]]), 1.0)] if i in found.pairs else successors[i]
        best: dict[str, float] = {}
        for address, share in kept:
            of_section[address] += part * share
            best[address[0]] = max(best.get(address[0], 0.0), share)
        for article, share in best.items():
            of_article[article] += part * share
    result: list[tuple[Address, float]] = []
    for article, share in sorted(of_article.items(), key=lambda each: (-each[1], each[0])):
        if share >= _REAL:
            within = [(part, address) for address, part in of_section.items() if address[0] == article]
            most, address = max(within)
            result.append((address if most >= _NEARLY_ALL * share else (article, ""), round(share, 2)))
    return result[:_SUCCESSORS]


def _translations(content: Content | None, articles: Sequence[str]) -> dict[str, list[str]]:
    """The other versions of each article, as they were."""
    if content is None or not articles:
        return {}
    heads = content.heads()
    source = {head.id: head.translation_of or head.id for head in heads}
    versions: dict[str, list[str]] = defaultdict(list)
    for head in heads:
        versions[source[head.id]].append(head.id)
    return {name: [other for other in versions[source.get(name, name)] if other != name] for name in articles}
