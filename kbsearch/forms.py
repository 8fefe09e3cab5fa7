"""One line of text with its marks, in the form that a reader needs.

``text``: as it is. ``markdown``: what Markdown would read as markup is escaped, marks are bold. ``html``: escaped,
marks as ``<mark>``. ``ansi``: for a terminal, marks bold. ``speech``: to be read aloud, without what a voice stumbles
over.

Never: let through what the form would obey: a tag, an escape sequence, a Markdown sign of the text's own.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["FORMS", "Form", "as_speech", "reads_as_japanese", "render_line", "speak", "without_controls"]

Form = Literal["text", "markdown", "html", "ansi", "speech"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)

_CONTROLS: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f]|[\u202a-\u202e\u2066-\u2069]"
)  # also turning the direction
_MARKUP: Final = re.compile(r"[\\`*_\[\]<>|~#&!]|(?<=\d)[.)](?=\s)|^[-+](?=\s)")
_SIGNS: Final = (
    (re.compile(r"\s*\|\s*"), "、", ", "),
    (re.compile(r"\s*…\s*"), "。", ". "),
    (re.compile(r"^\s*[-*・•※]\s*(?:\[[ xX]\]\s*)?"), "", ""),
    (re.compile(r"[「」『』“”\"（）()【】\[\]]"), " ", " "),
    (re.compile(r"https?://\S+|www\.\S+"), "", ""),
    (re.compile(r"(?<=\d)[~〜–-](?=\d)"), "から", " to "),
)
_DOUBLED: Final = re.compile(r"([。、])[。、]+|(?<=[.!?])(\s*\.)+|(?<=,)(\s*,)+")
_JAPANESE: Final = re.compile("[ぁ-ゖァ-ヺー々〆\u3400-\u4dbf\u4e00-\u9fff]")
_LATIN: Final = re.compile("[A-Za-z]")
_BEFORE_STOP: Final = re.compile(" (?=[,.?!;:])")
_SPACES: Final = re.compile(r"\s+")
_AROUND: Final = re.compile(r"(?<=[^\x00-\x7f]) | (?=[^\x00-\x7f])")


def without_controls(text: str) -> str:
    """Text that a terminal cannot be steered with."""
    return _CONTROLS.sub("", text)


def as_speech(text: str, *, is_japanese: bool) -> str:
    """Text to be read aloud: no brackets, bars, addresses; ranges in words. It never grows beyond what it says."""
    for sign, japanese, other in _SIGNS:
        text = sign.sub(japanese if is_japanese else other, text)
    text = _SPACES.sub(" ", text).strip(" 、,")
    text = _AROUND.sub("", text) if is_japanese else _BEFORE_STOP.sub("", text)
    return _DOUBLED.sub(lambda match: match[1] or "", text)


def speak(lines: Iterable[str], *, is_japanese: bool) -> str:
    """Lines to be read aloud one after the other: each ends as a sentence does."""
    spoken = [line for line in (as_speech(line, is_japanese=is_japanese) for line in lines) if line]
    stop = "。" if is_japanese else ". "
    ended = (line if line[-1] in "。.!?！？" else line + stop.strip() for line in spoken)
    return ("" if is_japanese else " ").join(ended)


def reads_as_japanese(text: str) -> bool:
    """Whether a text is to be read aloud as Japanese: more of its letters are kana and kanji than Latin ones."""
    return len(_JAPANESE.findall(text)) * 2 > len(_LATIN.findall(text))


def render_line(text: str, marks: Iterable[tuple[int, int]], form: Form) -> str:
    """Write a line in a form.

    Parameters
    ----------
    text
        Plain text on one line.
    marks
        (first, one past last) offsets into it, ascending, apart from each other.
    """
    match form:
        case "markdown":
            return _marked(text, marks, _escaped, "**", "**")
        case "html":
            return _marked(text, marks, html.escape, "<mark>", "</mark>")
        case "ansi":
            return _marked(text, marks, without_controls, "\x1b[1m", "\x1b[22m")
        case "speech":
            return as_speech(text, is_japanese=reads_as_japanese(text))
        case _:
            return text


def _escaped(text: str) -> str:
    return _MARKUP.sub(lambda match: f"\\{match[0]}", text)


def _marked(text: str, marks: Iterable[tuple[int, int]], clean: Callable[[str], str], begin: str, end: str) -> str:
    parts, done = [], 0
    for first, last in marks:
        parts += [clean(text[done:first]), begin, clean(text[first:last]), end]
        done = last
    return "".join([*parts, clean(text[done:])])
