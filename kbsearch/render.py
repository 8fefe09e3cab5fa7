"""What a person sees: hits with highlights, tables, the report of a build.

Everything here takes values and gives something that rich can print; nothing here asks or decides. Results go to
standard output, what accompanies them (progress, warnings, errors) to standard error.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kbsearch.results import Snippet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kbsearch.model import Article, ArticleWarning
    from kbsearch.results import BuildReport, Hit, Reason, SearchResult, SectionView, Status

__all__ = [
    "article_view",
    "build_report",
    "search_result",
    "section_view",
    "snippet_text",
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


def snippet_text(snippet: Snippet) -> Text:
    """A snippet with its matched places marked."""
    text = Text(snippet.text)
    for start, end in snippet.marks:
        text.stylize(_MARK, start, end)
    return text


def search_result(result: SearchResult) -> RenderableType:
    """The answer to one question, or a line that says there is none."""
    if not result.hits:
        return Text("No article matches. Try other words, or fewer filters.")
    parts: list[RenderableType] = []
    if result.understood is not None:
        parts.append(Text.assemble(("understood as ", "dim"), (result.understood, "italic")))
    if result.confidence is not None:
        words, style = _OUTCOMES[result.outcome]
        parts.append(
            Text(
                f"{words} The first is right with a probability of {math.floor(100 * result.confidence)}%.\n",
                style=style,
            )
        )
    parts += [_hit(hit) for hit in result.hits]
    noun = "article" if len(result.hits) == 1 else "articles"
    parts.append(Text(f"{len(result.hits)} {noun} in {result.took_ms:.0f} ms · {result.generation}", style="dim"))
    return Group(*parts)


def _hit(hit: Hit) -> RenderableType:
    head = Text(f"{hit.rank}. ", style="bold cyan")
    head.append(hit.title, style="bold")
    for heading in hit.passages[0].headings if hit.passages else (hit.heading,):
        if heading and heading != hit.title:
            head.append(" › ", style="dim")
            head.append(heading)
    place = Text(f"{hit.path}:{hit.lines[0]}", style="dim")
    legs = " · ".join(f"{name} {value:.2f}" for name, value in hit.parts.items())
    place.append(f"   score {hit.score:.2f} from {legs}")
    body = snippet_text(Snippet(hit.snippet, hit.marks))
    if hit.reasons:
        place.append_text(_reasons(hit.reasons))
    return Group(head, Padding(body, (0, 0, 0, 3), expand=False), Padding(place, (0, 0, 1, 3), expand=False))


def _reasons(reasons: tuple[Reason, ...]) -> Text:
    """The strongest reasons, a line each, and what the others add together."""
    text = Text()
    for why in reasons[:_SHOWN_REASONS]:
        text.append(f"\n{why.contribution:+6.2f}  {why.feature} is {why.value:.2f}", "")
    rest = sum(why.contribution for why in reasons[_SHOWN_REASONS:])
    return text.append(f"\n{rest:+6.2f}  {len(reasons[_SHOWN_REASONS:])} other features", "dim")


def section_view(view: SectionView) -> RenderableType:
    """A section as Markdown source, under its title and path of headings."""
    head = Text(view.title, style="bold")
    for heading in view.headings:
        if heading != view.title:
            head.append(" › ", style="dim")
            head.append(heading)
    place = Text(f"{view.path}:{view.lines[0]}-{view.lines[1]}   {view.section_id}", style="dim")
    return Group(head, place, Text(""), Text(view.markdown.strip("\n")))


def article_view(article: Article) -> RenderableType:
    """A whole article: what its front matter says, the ids of its sections, its Markdown."""
    head = Text(article.title, style="bold")
    facts = [article.lang, article.kind, article.category, *article.tags]
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
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    for name, paths in (("added", report.added), ("changed", report.changed), ("removed", report.removed)):
        table.add_row(name, f"{len(paths):,}", _some(paths))
    table.add_row("unchanged", f"{len(report.unchanged):,}", "")
    counts = report.counts
    table.add_row("articles", f"{counts['articles']:,}", f"{counts['served']:,} published")
    table.add_row("passages", f"{counts['passages']:,}", f"{counts['encoded']:,} encoded, {counts['reused']:,} reused")
    table.add_row("confidence", *_calibration(report.calibration))
    if report.warnings:
        table.add_row("warnings", f"{len(report.warnings):,}", _left_out(len(report.faulty)))
    seconds = report.timings.get("total", 0.0)
    what = f"published {report.generation}" if report.published else f"nothing changed; {report.generation} stays"
    return Group(table, Text(f"{report.index}: {what} in {seconds:.1f} s"))


def warning_lines(warnings: Iterable[ArticleWarning], limit: int = _SHOWN_WARNINGS) -> Text:
    """``path:line: message``, those that left a file out first."""
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
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
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
    table.add_row("dense leg", f"{status.dense['kind']}, recall@100 {status.dense['recall_at_100']:.3f}")
    table.add_row("confidence", ", ".join(_calibration(status.calibration)))
    table.add_row("on disk", f"{status.bytes / 1e6:,.1f} MB")
    faulty = sum(warning.fatal for warning in status.warnings)
    table.add_row("warnings", f"{len(status.warnings):,}, {_left_out(faulty)}")
    return table


def _calibration(found: Mapping[str, Any]) -> tuple[str, str]:
    """What the confidence stands on, and in what words."""
    questions = f"{found['questions']:,} questions"
    if found["basis"] == "shipped":
        return questions, "of their own are too few in these articles: the shipped calibration stands"
    return questions, f"of their own asked of these articles, expected calibration error {found['ece']:.2f}"


def _left_out(number: int) -> str:
    return f"{number:,} {'file' if number == 1 else 'files'} left out"


def _some(paths: tuple[str, ...], limit: int = 3) -> str:
    more = f", … {len(paths) - limit:,} more" if len(paths) > limit else ""
    return ", ".join(paths[:limit]) + more


def _shares(values: Mapping[str, int], limit: int = 12) -> str:
    shown = [f"{name} {number:,}" for name, number in list(values.items())[:limit]]
    more = [f"… {len(values) - limit:,} more"] if len(values) > limit else []
    return ", ".join(shown + more)
