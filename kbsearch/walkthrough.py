"""A procedure on a screen: its opening, a step, its end, in the language of the article.

Use: :func:`opening`, :func:`step_view` and :func:`closing` give what rich can print, :func:`whole` all of it;
:func:`words_for` has the words around an article.

A warning is told by its word and by a bar before each of its lines, not by its colour alone.

Never: break a line before 、 or behind 「, and never print a control character that an article holds.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.cells import cell_len, chop_cells
from rich.console import Group
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType

    from kbsearch.procedures import Part, Procedure, ProcedureRef, Step

__all__ = ["Words", "closing", "opening", "step_view", "whole", "words_for", "wrap"]


class Words(NamedTuple):
    """What the command line says around an article."""

    step: str
    total: str
    warning: str
    note: str
    picture: str
    no_alt: str
    only: str
    others: str
    bullet: str
    colon: str
    end: str
    prompt: str
    prompt_opening: str
    prompt_last: str
    help: str
    unknown: str
    no_step: str


_JAPANESE: Final = Words(
    step="手順 {number} / {total}",
    total="全{total}手順",
    warning="注意",
    note="補足",
    picture="図",
    no_alt="説明なし",
    only="対象",
    others="この記事のほかの手順",
    bullet="・",
    colon="：",
    end="手順は以上です。",
    prompt="Enter 次へ  b 戻る  q 終了  ? ヘルプ",
    prompt_opening="Enter 始める  q 終了  ? ヘルプ",
    prompt_last="Enter 終える  b 戻る  q 終了  ? ヘルプ",
    help="Enter か n: 次の手順 ／ b: 前の手順 ／ 番号: その手順へ（0 は最初の画面） ／ q: 終了",
    unknown="「{answer}」は使えません。Enter、b、番号、q のどれかを入れてください。",
    no_step="手順{number}はありません。1から{total}までです。",
)
_ENGLISH: Final = Words(
    step="Step {number} of {total}",
    total="{total} steps",
    warning="Warning",
    note="Note",
    picture="Picture",
    no_alt="no description",
    only="Only",
    others="Other procedures of this article",
    bullet="• ",
    colon=": ",
    end="That was the last step.",
    prompt="Enter next  b back  q quit  ? help",
    prompt_opening="Enter begin  q quit  ? help",
    prompt_last="Enter finish  b back  q quit  ? help",
    help="Enter or n: next step / b: back / a number: that step (0 is the first screen) / q: quit",
    unknown="“{answer}” is not known. Type Enter, b, a number or q.",
    no_step="There is no step {number}: they are 1 to {total}.",
)
_DOTS: Final = 20  # a row of more says nothing at a glance
_BAR: Final = "┃ "
_LINE: Final = "│ "
_WARNING: Final = "bold yellow"


def words_for(lang: str) -> Words:
    """Words in Japanese for a Japanese article, else in English."""
    return _JAPANESE if lang == "ja" else _ENGLISH


def opening(procedure: Procedure) -> RenderableType:
    """What a reader sees first: the title, what is needed, every warning about the whole, the other procedures."""
    words = words_for(procedure.lang)
    first, last = procedure.lines
    place = f"{procedure.path}:{first}-{last}   {procedure.handle}"
    total = "1 step" if words is _ENGLISH and len(procedure) == 1 else words.total.format(total=len(procedure))
    rows: list[RenderableType] = [_Flow(procedure.title, "bold"), _Flow(f"{total}   {place}", "dim"), Text("")]
    told = [*_spaced(procedure.before, words), *_spaced(_behind(procedure, warning=True), words)]
    rows += told
    if procedure.intro:
        rows += [_Flow(procedure.intro), Text("")]
    if procedure.others:
        rows += [
            _Flow(words.others, "dim"),
            *(_Flow(_reference(ref), "dim", "  ") for ref in procedure.others),
            Text(""),
        ]
    return Group(*rows)


def step_view(step: Step, words: Words) -> RenderableType:
    """One step under its number."""
    head = words.step.format(number=step.number, total=step.total)
    dots = f"  {'●' * step.number}{'○' * (step.total - step.number)}" if step.total <= _DOTS else ""
    rows: list[RenderableType] = [Text.assemble((head, "bold cyan"), (dots, "cyan"))]
    if step.restriction:
        rows.append(_Flow(f"{words.only}{words.colon}{step.restriction}", "magenta"))
    if step.title:
        rows += [_Flow(step.title, "bold"), *([Text("")] if step.parts else [])]
    rows += _spaced(step.parts, words)
    return Group(*rows, *([] if step.parts else [Text("")]))


def closing(procedure: Procedure) -> RenderableType:
    """What stands behind the last step; its warnings were told in the opening."""
    words = words_for(procedure.lang)
    return Group(*_spaced(_behind(procedure, warning=False), words), Text(words.end, style="bold green"))


def whole(procedure: Procedure) -> RenderableType:
    """Everything, one below the other."""
    words = words_for(procedure.lang)
    return Group(opening(procedure), *(step_view(step, words) for step in procedure), closing(procedure))


def _behind(procedure: Procedure, *, warning: bool) -> tuple[Part, ...]:
    return tuple(part for part in procedure.after if (part.kind == "warning") == warning)


def _reference(ref: ProcedureRef) -> str:
    number = f" --procedure {ref.number}" if ref.number > 1 else ""
    return f"{ref.title} ({ref.total})   kbsearch steps {shlex.quote(ref.handle)}{number}"


def _spaced(parts: Sequence[Part], words: Words) -> list[RenderableType]:
    """Parts with an empty line behind each."""
    rows: list[RenderableType] = []
    for part in parts:
        rows += [*_part(part, words, ""), Text("")]
    return rows


def _part(part: Part, words: Words, indent: str) -> Iterator[RenderableType]:
    match part.kind:
        case "warning" | "note":
            yield _notice(part, words, indent)
        case "picture":
            alt, path = part.pictures[0].alt or words.no_alt, part.pictures[0].path
            yield _Flow(f"[{words.picture}] {alt}", "italic", indent, f"{indent}  ")
            yield _Flow(path, "dim", f"{indent}  ")
        case "steps":
            for step in part.steps:
                yield from _substep(step, words, indent or "  ")
        case "code":
            yield _Flow(part.text, "cyan", f"{indent}    ", is_code=True)
        case _:
            yield _Flow(part.text, "", indent)
            yield from _inline_pictures(part, words, indent)


def _notice(part: Part, words: Words, indent: str) -> RenderableType:
    severe = part.kind == "warning"
    label = part.label or (words.warning if severe else words.note)
    bar = indent + (_BAR if severe else _LINE)
    own = part.text if part.text.startswith("※") and not part.label else f"{label}{words.colon}{part.text}"
    return Group(_Flow(own, _WARNING if severe else "blue", bar), *_inline_pictures(part, words, bar))


def _inline_pictures(part: Part, words: Words, indent: str) -> Iterator[RenderableType]:
    for picture in part.pictures:
        yield _Flow(f"[{words.picture}] {picture.alt or words.no_alt}  {picture.path}", "dim", indent, f"{indent}  ")


def _substep(step: Step, words: Words, indent: str) -> Iterator[RenderableType]:
    """A step below a step: its number or a dot before its first text."""
    mark = f"{step.number}. " if step.ordered else words.bullet
    inside = indent + " " * cell_len(mark)
    first, rest = step.parts[:1], step.parts[1:]
    if first and first[0].kind == "text":
        yield _Flow(first[0].text, "", indent + mark, inside)
        yield from _inline_pictures(first[0], words, inside)
    else:
        yield Text(indent + mark)
        rest = step.parts
    for part in rest:
        yield from _part(part, words, inside)


# Lines

_WIDE: Final = "\u1100-\u11ff\u2e80-\uffff\U0001f000-\U0003ffff"
_OPENING: Final = "「『（【〈《〔［｛“‘(\\["
_CLOSING: Final = "、。，．・：；？！」』）】〉》〕］｝”’ーぁぃぅぇぉっゃゅょァィゥェォッャュョ々…‥％,.:;?!)\\]"
_UNIT: Final = re.compile(rf"\s+|[{_OPENING}]*(?:[^\s{_WIDE}]+|[ァ-ヺー]+|\S)?[{_CLOSING}]*")
_CONTROLS: Final = dict.fromkeys((*range(10), *range(11, 32), *range(127, 160)), " ")


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` cells, a kanji taking two.

    Japanese breaks between any two characters but before 、 and its like, behind 「, and inside a word in katakana;
    other text between words.
    """
    lines: list[str] = []
    for row in text.translate(_CONTROLS).split("\n"):
        line, used = "", 0
        for unit in _UNIT.findall(row):
            size = cell_len(unit)
            if used + size <= width:
                line, used = line + unit, used + size
                continue
            if unit.isspace():
                lines.append(line.rstrip())
                line, used = "", 0
                continue
            pieces = chop_cells(unit, width) if size > width else [unit]
            if line.strip():
                lines.append(line.rstrip())
            lines += pieces[:-1]
            line, used = pieces[-1], cell_len(pieces[-1])
        lines.append(line.rstrip())
    return lines


@dataclass(slots=True)
class _Flow:
    """Text in lines of the screen's width, each behind an indent that may be another on the first."""

    text: str
    style: str = ""
    first: str = ""
    rest: str | None = None
    is_code: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        rest = self.first if self.rest is None else self.rest
        width = max(8, options.max_width - max(cell_len(self.first), cell_len(rest)))
        lines = self._code_lines(width) if self.is_code else wrap(self.text, width)
        for number, line in enumerate(lines):
            yield Text(f"{rest if number else self.first}{line}", style=self.style, no_wrap=True, overflow="crop")

    def _code_lines(self, width: int) -> list[str]:
        rows = self.text.expandtabs(4).translate(_CONTROLS).split("\n")
        return [piece for row in rows for piece in (chop_cells(row, width) or [""])]
