"""How a result looks in a Python session, as one short line, and in a notebook, as HTML.

Use: ``__repr__`` and ``_repr_html_`` of the result types call what is here.

The HTML has no colours of its own but a yellow for what matched: it takes those of the notebook, light or dark. Each
article says its language, so that a browser takes the right shapes of its characters.

Never: let an article write markup, an escape sequence or a control character; load anything from elsewhere.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kbsearch.procedures import Part, Procedure, Step
    from kbsearch.results import Hit, SearchResult
    from kbsearch.views import Cost, Disclosure, View

__all__ = [
    "brief",
    "disclosure_html",
    "disclosure_line",
    "hit_html",
    "hit_line",
    "procedure_html",
    "result_html",
    "result_lines",
    "view_html",
    "view_line",
    "width",
]

_SHOWN: Final = 10  # hits of a table
_TITLE: Final = 40  # cells of a line
_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BOLD: Final = re.compile("\x1b\\[[0-9]*m")
_IMAGE: Final = re.compile(r'<img [^>]*?alt="([^"]*)"[^>]*>')
_CSS: Final = (
    ".kbsearch{font-family:inherit;line-height:1.6;max-width:60em;text-align:start;overflow-wrap:anywhere}"
    ".kbsearch ol{padding-inline-start:2em;margin:.4em 0}.kbsearch li{margin:.5em 0}"
    ".kbsearch .soft{opacity:.75;font-size:.9em}.kbsearch .text{white-space:pre-wrap;margin:.3em 0}"
    ".kbsearch .box{border-inline-start:.25em solid currentColor;padding:.1em .6em;margin:.4em 0}"
    ".kbsearch a{color:inherit}.kbsearch :is(h1,h2,h3,h4,h5,h6){font-size:1.1em;margin:.8em 0 .3em}"
    ".kbsearch :is(th,td){text-align:start;padding:.2em .8em .2em 0;vertical-align:top}"
    ".kbsearch mark{background:#ffe14d;color:#000}.kbsearch code{font-size:.9em}"
)
_LABELS: Final = {True: {"warning": "注意", "note": "補足"}, False: {"warning": "Warning", "note": "Note"}}


# One line


def width(text: str) -> int:
    """Cells that a text takes in a terminal: two for each wide character, none for a combining one."""
    return sum(_cells(char) for char in text)


def brief(text: str, cells: int = _TITLE) -> str:
    """The beginning of a text, on one line of at most so many cells, without what could steer a terminal."""
    line = " ".join(_clean(text).split())
    if width(line) <= cells:
        return line
    used, kept = 1, []  # one for the dots
    for char in line:
        used += _cells(char)
        if used > cells:
            break
        kept.append(char)
    return f"{''.join(kept)}…"


def hit_line(hit: Hit) -> str:
    """``<Hit 1: 返品の手順 › 送料, score 0.94, shop/returns.ja#送料>``."""
    return f"<Hit {hit.rank}: {_name(hit)}, score {hit.score:.2f}, {_handle(hit)}>"


def result_lines(result: SearchResult) -> str:
    """A line about the answer, and one for each hit."""
    hits = result.hits[:_SHOWN]
    names = [brief(_name(hit), _TITLE) for hit in hits]
    column = max(map(width, names), default=0)
    rows = [
        f"{hit.rank:>2}  {hit.score:5.2f}  {name}{' ' * (column - width(name))}  {_handle(hit)}"
        for hit, name in zip(hits, names, strict=True)
    ]
    more = [f"    … {len(result.hits) - _SHOWN} more"] if len(result.hits) > _SHOWN else []
    return "\n".join([f"<SearchResult “{brief(result.query, 60)}”: {_verdict(result)}>", *rows, *more])


def view_line(view: View) -> str:
    """``<View shop/returns.ja: 返品の送料, level 2, 134 characters of text>``."""
    said = f"level {view.level}, {view.cost.characters:,} characters of {view.form}"
    return f"<View {brief(view.handle, 80)}: {brief(view.title)}, {said}>"


def disclosure_line(disclosure: Disclosure) -> str:
    """``<Disclosure 412 of 600 characters: 2 shown, 1 left out>``."""
    return f"<Disclosure {_spent(disclosure)}>"


def _cells(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _clean(text: str) -> str:
    return _CONTROLS.sub("", _BOLD.sub("", text))


def _name(hit: Hit) -> str:
    return brief(f"{hit.title} › {hit.heading}" if hit.heading else hit.title, _TITLE)


def _handle(hit: Hit) -> str:
    return brief(hit.handle or hit.section_id, 80)


def _verdict(result: SearchResult) -> str:
    count = len(result.hits)
    said = [
        result.outcome if result.confidence is None else f"{result.outcome} {result.confidence:.0%}",
        "1 hit" if count == 1 else f"{count} hits",
        f"{result.took_ms:.1f} ms",
        result.generation,
    ]
    if result.understood is not None:
        said.insert(0, f"understood as “{brief(result.understood, 60)}”")
    return ", ".join(said)


def _spent(disclosure: Disclosure) -> str:
    unit, amount = disclosure.budget.unit, disclosure.budget.amount
    used = disclosure.cost.characters if unit == "characters" else disclosure.cost.tokens
    left = f", {len(disclosure.left_out)} left out" if disclosure.left_out else ""
    return f"{used:,} of {amount:,} {unit}: {len(disclosure.parts)} shown{left}"


# HTML


def result_html(result: SearchResult) -> str:
    """The answer with all its hits."""
    head = f"<p><b>{_escaped(result.query)}</b><br>{_soft(_verdict(result))}</p>"
    hits = "".join(f'<li value="{hit.rank}">{_hit(hit)}</li>' for hit in result.hits)
    budget = "" if result.disclosure is None else f"<hr>{_disclosure(result.disclosure)}"
    return _page(head, f"<ol>{hits}</ol>" if hits else "", budget)


def hit_html(hit: Hit) -> str:
    """One hit with its snippet, what matched marked."""
    return _page(_hit(hit))


def view_html(view: View) -> str:
    """What is shown, as it is written; HTML as HTML."""
    place = f"{view.category} › {view.title}" if view.category else view.title
    costs = _soft(_costs(view.levels[view.level].name, view.cost))
    head = f"<p><b>{_escaped(place)}</b><br>{_code(view.handle)} {costs}</p>"
    return _page(head, _in_language(view.lang, _written(view.text, view.form)))


def disclosure_html(disclosure: Disclosure) -> str:
    """The text that fits the budget, and what it took."""
    return _page(_disclosure(disclosure))


def procedure_html(procedure: Procedure) -> str:
    """Everything, one below the other."""
    is_japanese = procedure.lang == "ja"
    total = f"全{len(procedure)}手順" if is_japanese else f"{len(procedure)} steps" if len(procedure) > 1 else "1 step"
    head = f"<p><b>{_escaped(procedure.title)}</b><br>{_code(procedure.handle)} {_soft(total)}</p>"
    before, after = _parts(procedure.before, is_japanese), _parts(procedure.after, is_japanese)
    intro = f'<div class="text">{_escaped(procedure.intro)}</div>' if procedure.intro else ""
    others = "".join(f"<li>{_escaped(ref.title)} ({ref.total}) {_code(ref.handle)}</li>" for ref in procedure.others)
    more = f"<ul>{others}</ul>" if others else ""
    inner = f"{before}{intro}{_steps(procedure.steps, is_japanese)}{after}{more}"
    return _page(head, _in_language(procedure.lang, inner))


def _page(*parts: str) -> str:
    return f'<div class="kbsearch"><style>{_CSS}</style>{_clean("".join(parts))}</div>'


def _escaped(text: str) -> str:
    import html  # which a search does without

    return html.escape(text)


def _soft(text: str) -> str:
    return f'<span class="soft">{_escaped(text)}</span>'


def _code(text: str) -> str:
    return f"<code>{_escaped(text)}</code>"


def _costs(level: str, cost: Cost) -> str:
    return f"{level}, {cost.characters:,} characters, {cost.tokens:,} tokens"


def _in_language(lang: str, inner: str) -> str:
    return f'<div lang="{_escaped(lang)}">{inner}</div>' if lang else f"<div>{inner}</div>"


def _hit(hit: Hit) -> str:
    name = _escaped(f"{hit.title} › {hit.heading}" if hit.heading else hit.title)
    said = [hit.category, f"score {hit.score:.2f}", hit.lang]
    said += [f"no version in {hit.wanted_lang}"] if hit.is_fallback else []
    said += [f"older than its source ({hit.updated} < {hit.stale_since})"] if hit.outdated else []
    snippet = f'<div class="text">{hit.render("html")}</div>'
    about = _soft(" · ".join(filter(None, said)))
    return _in_language(hit.lang, f"<b>{name}</b>{snippet}{_code(hit.handle or hit.section_id)} {about}")


def _disclosure(disclosure: Disclosure) -> str:
    left = "".join(f"<li>{_code(handle)}</li>" for handle in disclosure.left_out)
    head = f"<p>{_soft(_spent(disclosure))}</p>"
    return f"{head}{_written(disclosure.text, disclosure.budget.form)}{f'<ul>{left}</ul>' if left else ''}"


def _written(text: str, form: str) -> str:
    """Text in its form. HTML is that of :mod:`kbsearch.markdown.writing`; a picture becomes what it shows in words."""
    if form == "html":
        return _IMAGE.sub(lambda image: f"[{image[1]}]" if image[1] else "", text)
    return f'<div class="text">{_escaped(_clean(text))}</div>'


def _steps(steps: Iterable[Step], is_japanese: bool) -> str:  # noqa: FBT001
    items = []
    for step in steps:
        only = f"<div>{_soft(step.restriction)}</div>" if step.restriction else ""
        title = f"<b>{_escaped(step.title)}</b>" if step.title else ""
        items.append(f'<li value="{step.number}">{only}{title}{_parts(step.parts, is_japanese)}</li>')
    return f"<ol>{''.join(items)}</ol>"


def _parts(parts: Iterable[Part], is_japanese: bool) -> str:  # noqa: FBT001
    return "".join(_part(part, is_japanese) for part in parts)


def _part(part: Part, is_japanese: bool) -> str:  # noqa: FBT001
    text = _escaped(part.text)
    match part.kind:
        case "steps":
            return _steps(part.steps, is_japanese)
        case "code":
            return f"<pre>{text}</pre>"
        case "picture":
            return "".join(f"<div>[{_escaped(p.alt)}] {_code(p.path)}</div>" for p in part.pictures)
        case "warning" | "note":
            label = _escaped(part.label or _LABELS[is_japanese][part.kind])
            return f'<div class="box"><b>{label}</b><div class="text">{text}</div></div>'
        case _:
            return f'<div class="text">{text}</div>'
