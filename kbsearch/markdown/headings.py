"""The outline of an article: which section is below which, and where headings are the steps of a procedure.

Use: one :class:`Outline` per article, then :func:`heading_runs`.

Never: take numbered chapters or questions for steps. 「1. はじめに」 is no step; 「1. 幅を測る」 is one, and 「手順1」
always.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kbsearch.markdown.stepwords import is_action, read_marker, says_steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kbsearch.markdown.stepwords import Marker
    from kbsearch.model import Article, Lines

__all__ = ["ARTICLE", "HeadingRun", "Outline", "heading_runs"]

ARTICLE = -1
"""In the place of a section's index: the article itself."""

_MIN_STEPS = 2


@dataclass(frozen=True, slots=True)
class HeadingRun:
    """Sections whose headings are steps: their indexes, titles without numbers, and last lines."""

    parent: int
    sections: list[int]
    titles: list[str]
    ends: list[int]


class Outline:
    """Sections by number and by line; ``parents`` has the index of the section above each, ``ends`` its last line."""

    def __init__(self, article: Article) -> None:
        self.sections = article.sections
        self.title = article.title
        self.parents: list[int] = []
        self.children: dict[int, list[int]] = {}
        self.ends = [section.lines[1] for section in article.sections]
        self._starts = [section.lines[0] for section in article.sections]
        above: list[int] = []
        for index, section in enumerate(article.sections):
            while above and self.sections[above[-1]].level >= section.level:
                above.pop()
            parent = above[-1] if above else ARTICLE
            self.parents.append(parent)
            if section.level:
                self.children.setdefault(parent, []).append(index)
                above.append(index)
        for index in range(len(self.ends) - 1, -1, -1):
            if (parent := self.parents[index]) != ARTICLE:
                self.ends[parent] = max(self.ends[parent], self.ends[index])

    def heading(self, index: int) -> str:
        """Heading of a section; the article's title for the article and for its lead."""
        return (self.sections[index].heading if index >= 0 else "") or self.title

    def owner(self, lines: Lines) -> int:
        """Index of the innermost section that holds a line, :data:`ARTICLE` if none does."""
        index = bisect_right(self._starts, lines[0]) - 1
        while index >= 0 and self.sections[index].lines[1] < lines[0]:
            index = self.parents[index]
        if index == ARTICLE and self.sections[0].level == 0 and self.sections[0].lines[1] >= lines[0]:
            return 0
        return index

    def span(self, index: int) -> Lines:
        """First and last line of a section with all below it, or of the article."""
        return (1, max(self.ends)) if index == ARTICLE else (self.sections[index].lines[0], self.ends[index])

    def own_lines(self, index: int) -> Lines:
        """Lines of a section, or of the article, before the first heading below it."""
        first, last = self.span(index)
        below = self.children.get(index)
        return first, (min(last, self.sections[below[0]].lines[0] - 1) if below else last)

    def siblings(self, index: int) -> Sequence[int]:
        """Sections beside a section, itself included."""
        return self.children.get(self.parents[index], ()) if index >= 0 else ()


def heading_runs(outline: Outline) -> Iterator[HeadingRun]:
    """Runs of headings beside each other that count 1, 2, 3 and tell steps."""
    for parent, children in outline.children.items():
        run: list[tuple[int, Marker]] = []
        for index in children:
            section = outline.sections[index]
            marker = read_marker(section.heading) if section.kind != "qa" else None
            if marker is None:
                continue
            if run and (marker.shape, marker.number) == (run[0][1].shape, run[-1][1].number + 1):
                run.append((index, marker))
                continue
            yield from _run(parent, run, outline)
            run = [(index, marker)] if marker.number <= 1 else []
        yield from _run(parent, run, outline)


def _run(parent: int, run: list[tuple[int, Marker]], outline: Outline) -> Iterator[HeadingRun]:
    if len(run) < _MIN_STEPS:
        return
    sections = [index for index, _ in run]
    headings = [outline.sections[index].heading for index in sections]
    titles = [heading[marker.length :].strip() or heading for heading, (_, marker) in zip(headings, run, strict=True)]
    actions = sum(map(is_action, titles))
    spoken = run[0][1].shape == "word"
    if spoken or 2 * actions >= len(run) or (actions and says_steps(outline.heading(parent))):
        ends = [outline.sections[index].lines[0] - 1 for index in sections[1:]]
        yield HeadingRun(parent, sections, titles, [*ends, outline.ends[sections[-1]]])
