"""What a person sees: hits with highlights, tables, the report of a build.

Everything here takes values and gives something that rich can print; nothing here asks or decides. Results go to
standard output, what accompanies them (progress, warnings, errors) to standard error.

The answer to a question is also given as plain text, for a file or a pipe: importing rich takes as long as a search.
Both are made of the same blocks (:class:`_Block`).
"""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kbsearch.labels import fallback_label, stale_label
from kbsearch.scope import SCOPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from kbsearch.model import Article, ArticleWarning
    from kbsearch.overviews import BuildReport, SectionView, Status
    from kbsearch.results import Hit, Reason, SearchResult

__all__ = [
    "article_view",
    "build_report",
    "plain_search_result",
    "search_result",
    "section_view",
    "status_table",
    "warning_lines",
]

_SHOWN_WARNINGS = 20
_SHOWN_REASONS = 8
_OUTCOMES: Final = {
    "answer": ("Answer.", "green"),
    "choose": ("One of these may answer.", "yellow"),
    "hand_over": ("Probably no article answers this: hand it over to a person.", "red"),
}
_MARK = "bold black on yellow"


_TERMINAL_AFTER_ALL: Final = ("FORCE_COLOR", "TTY_COMPATIBLE")  # what makes rich treat a pipe as a terminal
_EMOJI_SHAPE: Final = "\ufe0f"  # makes the character before it wider
_LETTER: Final = re.compile("[0-9A-Za-zぁ-ゖァ-ヺ一-鿿]")  # a text without may have no width at all
_WORD: Final = re.compile(r"\s*\S+\s*")


class _Block(NamedTuple):
    """Styled parts of a text, the style below theirs, how far it is indented, and the empty lines that follow it."""

    parts: tuple[tuple[str, str], ...]
    style: str = ""
    indent: int = 0
    below: int = 0


def search_result(result: SearchResult) -> RenderableType:
    """The answer to one question, or a line that says there is none."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    def shown(block: _Block) -> RenderableType:
        text = Text.assemble(*block.parts, style=block.style)
        return Padding(text, (0, 0, block.below, block.indent), expand=False) if block.indent else text

    return Group(*(shown(block) for block in _blocks(result)))


def plain_search_result(result: SearchResult, width: int) -> str | None:
    """What :func:`search_result` comes to where there are no colours, save the blanks at the ends of lines.

    Parameters
    ----------
    result
        The answer.
    width
        Cells of a line; a kanji takes two.

    Returns
    -------
    str or None
        None for what rich prints in a way of its own: a text without a letter, tabs and other characters that are not
        printed as they are, emoji of several characters, and a pipe that is to be treated as a terminal.
    """
    if any(name in os.environ for name in _TERMINAL_AFTER_ALL):
        return None
    lines: list[str] = []
    for block in _blocks(result):
        text = "".join(part for part, _ in block.parts)
        printed = text.replace("\n", "").replace("\u3000", "")  # a wide blank is printed as it is, too
        if not (_LETTER.search(printed) and printed.isprintable()) or _EMOJI_SHAPE in printed:
            return None
        for line in text.split("\n"):
            lines += [" " * block.indent + piece for piece in _folded(line, width - block.indent)]
        lines += [""] * block.below
    return "\n".join(lines) + "\n"


def _folded(line: str, width: int) -> Iterator[str]:
    """Break a line between words, and inside a word that is longer than a line, where rich does."""
    if 2 * len(line) <= width:
        yield line
        return
    from rich.cells import cell_len, chop_cells

    begin, used = 0, 0
    for word in _WORD.finditer(line):
        length = cell_len(word[0].rstrip())
        if length <= width - used:
            used += cell_len(word[0])
            continue
        at = word.start()
        for piece in chop_cells(word[0], width) if length > width else [word[0]]:
            if at > begin:
                yield line[begin:at]
                begin = at
            used = cell_len(piece)
            at += len(piece)
    yield line[begin:]


def _blocks(result: SearchResult) -> Iterator[_Block]:
    if not result.hits:
        yield _Block((("No article matches. Try other words, or fewer filters.", ""),))
        return
    if result.understood is not None:
        yield _Block((("understood as ", "dim"), (result.understood, "italic")))
    if result.confidence is not None:
        words, style = _OUTCOMES[result.outcome]
        sure = f"{words} The first is right with a probability of {math.floor(100 * result.confidence)}%.\n"
        yield _Block(((sure, ""),), style)
    for hit in result.hits:
        yield from _hit(hit)
    noun = "article" if len(result.hits) == 1 else "articles"
    yield _Block(((f"{len(result.hits)} {noun} in {result.took_ms:.0f} ms · {result.generation}", ""),), "dim")


def _hit(hit: Hit) -> Iterator[_Block]:
    head = [(f"{hit.rank}. ", ""), (hit.title, "bold")]
    own = (passage.headings for passage in hit.passages if passage.section_id == hit.section_id)
    for heading in next(own, (hit.heading,)):
        if heading and heading != hit.title:
            head += [(" › ", "dim"), (heading, "")]
    if hit.wanted_lang is not None:
        head.append((f"  {fallback_label(hit)}", "not bold yellow"))
    yield _Block(tuple(head), "bold cyan")
    if hit.stale_since is not None:
        yield _Block(((stale_label(hit), ""),), "yellow", indent=3)
    yield _Block(tuple(_marked(hit)), indent=3)
    legs = " · ".join(f"{name} {value:.2f}" for name, value in hit.parts.items())
    place = f"{hit.path}:{hit.lines[0]}   score {hit.score:.2f} from {legs}"
    if hit.levels:
        sizes = ", ".join(f"{level.name} {level.cost.characters:,}" for level in hit.levels[2:4])
        place += f"   show {hit.handle}: {sizes} characters"
    if hit.versions:
        place += "   also " + " · ".join(f"{version.lang} {version.article_id}" for version in hit.versions)
    yield _Block(((place, ""), *(_reasons(hit.reasons) if hit.reasons else ())), "dim", indent=3, below=1)


def _marked(hit: Hit) -> Iterator[tuple[str, str]]:
    """The snippet with its matched places marked."""
    end = 0
    for first, last in hit.marks:
        yield hit.snippet[end:first], ""
        yield hit.snippet[first:last], _MARK
        end = last
    yield hit.snippet[end:], ""


def _reasons(reasons: tuple[Reason, ...]) -> Iterator[tuple[str, str]]:
    """The strongest reasons, a line each, and what the others add together."""
    for why in reasons[:_SHOWN_REASONS]:
        yield f"\n{why.contribution:+6.2f}  {why.feature} is {why.value:.2f}", ""
    rest = sum(why.contribution for why in reasons[_SHOWN_REASONS:])
    yield f"\n{rest:+6.2f}  {len(reasons[_SHOWN_REASONS:])} other features", "dim"


def section_view(view: SectionView) -> RenderableType:
    """A section as Markdown source, under its title and path of headings."""
    from rich.console import Group
    from rich.text import Text

    head = Text(view.title, style="bold")
    for heading in view.headings:
        if heading != view.title:
            head.append(" › ", style="dim")
            head.append(heading)
    place = Text(f"{view.path}:{view.lines[0]}-{view.lines[1]}   {view.handle or view.section_id}", style="dim")
    return Group(head, place, Text(""), Text(view.markdown.strip("\n")))


def article_view(article: Article) -> RenderableType:
    """A whole article: what its front matter says, the ids of its sections, its Markdown."""
    from rich.console import Group
    from rich.text import Text

    head = Text(article.title, style="bold")
    facts = [article.lang, article.kind, article.category, *article.tags]
    facts += [f"{scope} {', '.join(values)}" for scope in SCOPES if (values := getattr(article, scope))]
    if article.updated is not None:
        facts.append(f"updated {article.updated}")
    parts = [
        head,
        Text(f"{article.path}   {article.id}", style="dim"),
        Text(" · ".join(filter(None, facts)), style="dim"),
    ]
    parts.extend(Text(f"  #{section.anchor}", style="cyan") for section in article.sections if section.anchor)
    return Group(*parts, Text(""), Text(article.markdown.strip("\n")))


def build_report(report: BuildReport) -> RenderableType:
    """What a build did, as a table."""
    from rich.console import Group
    from rich.text import Text

    table = _table()
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    for name, paths in (("added", report.added), ("changed", report.changed), ("removed", report.removed)):
        table.add_row(name, f"{len(paths):,}", _some(paths))
    table.add_row("unchanged", f"{len(report.unchanged):,}", "")
    counts = report.counts
    table.add_row("articles", f"{counts['articles']:,}", f"{counts['served']:,} published")
    encoded = f"{counts['encoded']:,} texts encoded, {counts['reused']:,} passages reused"
    table.add_row("passages", f"{counts['passages']:,}", encoded)
    table.add_row("confidence", *_calibration(report.calibration))
    if any(report.handles.values()):
        table.add_row("handles", f"{sum(report.handles.values()):,}", _handles(report.handles))
    if report.warnings:
        table.add_row("warnings", f"{len(report.warnings):,}", _left_out(len(report.faulty)))
    seconds = report.timings.get("total", 0.0)
    what = f"published {report.generation}" if report.published else f"nothing changed; {report.generation} stays"
    return Group(table, Text(f"{report.index}: {what} in {seconds:.1f} s"))


def warning_lines(warnings: Iterable[ArticleWarning], limit: int = _SHOWN_WARNINGS) -> Text:
    """``path:line: message``, those that left a file out first."""
    from rich.text import Text

    ordered = sorted(warnings, key=lambda warning: not warning.fatal)
    text = Text()
    for warning in ordered[:limit]:
        place = f"{warning.path}:{warning.line}" if warning.line else warning.path
        text.append("error  " if warning.fatal else "note   ", style="bold red" if warning.fatal else "yellow")
        text.append(place, style="bold")
        text.append(f": {warning.message} [{warning.code}]\n")
    if len(ordered) > limit:
        text.append(f"… and {len(ordered) - limit:,} more; --json lists them all\n", style="dim")
    text.rstrip()
    return text


def status_table(status: Status) -> RenderableType:
    """What an index holds, as a table."""
    table = _table()
    table.add_column(style="bold")
    table.add_column()
    table.add_row("index", f"{status.index} · {status.generation}")
    states = ", ".join(f"{number:,} {name}" for name, number in status.statuses.items())
    table.add_row("articles", f"{status.counts['articles']:,} ({states}; {status.out_of_date:,} not valid today)")
    table.add_row("passages", f"{status.counts['passages']:,}")
    table.add_row("languages", _shares(status.languages))
    table.add_row("kinds", _shares(status.kinds))
    table.add_row("categories", _shares(status.categories, 8))
    table.add_row("encoder", f"{status.encoder} ({status.fingerprints['encoder']})")
    kinds = " and ".join(dict.fromkeys(status.dense["kinds"]))
    table.add_row("dense leg", f"{kinds}, recall@100 {status.dense['recall_at_100']:.3f}")
    table.add_row("confidence", ", ".join(_calibration(status.calibration)))
    table.add_row("handles", _handles(status.handles))
    table.add_row("synonyms", f"for {status.synonyms:,} phrases" if status.synonyms else "none")
    table.add_row("on disk", f"{status.bytes / 1e6:,.1f} MB")
    faulty = sum(warning.fatal for warning in status.warnings)
    table.add_row("warnings", f"{len(status.warnings):,}, {_left_out(faulty)}")
    return table


def _table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE, show_header=False, pad_edge=False)


def _calibration(found: Mapping[str, Any]) -> tuple[str, str]:
    """What the confidence stands on, and in what words."""
    questions = f"{found['questions']:,} questions"
    if found["basis"] == "shipped":
        return questions, "of their own are too few in these articles: the shipped calibration stands"
    return questions, f"of their own asked of these articles, expected calibration error {found['ece']:.2f}"


def _handles(counts: Mapping[str, int]) -> str:
    """How many names of sections lead elsewhere."""
    said = {"reworded": "under another heading", "moved": "under another name", "gone": "gone"}
    return ", ".join(f"{counts.get(name, 0):,} {words}" for name, words in said.items())


def _left_out(number: int) -> str:
    return f"{number:,} {'file' if number == 1 else 'files'} left out"


def _some(paths: tuple[str, ...], limit: int = 3) -> str:
    more = f", … {len(paths) - limit:,} more" if len(paths) > limit else ""
    return ", ".join(paths[:limit]) + more


def _shares(values: Mapping[str, int], limit: int = 12) -> str:
    shown = [f"{name} {number:,}" for name, number in list(values.items())[:limit]]
    more = [f"… {len(values) - limit:,} more"] if len(values) > limit else []
    return ", ".join(shown + more)
