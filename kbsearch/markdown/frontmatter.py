"""The YAML block on top of a file → a mapping whose values still know how they were written and where.

Use: :func:`cut` first, then the typed getters of :class:`FrontMatter`. Values are kept as YAML nodes, so that
``id: 007`` stays ``007`` and ``lang: no`` stays Norwegian, and so that every complaint can name its line.

Never: construct objects, follow an alias, or read more than 64 KB; the text comes from anybody.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from typing import Any

import yaml

from kbsearch.errors import ArticleError

__all__ = ["FrontMatter", "cut"]

_MAX_CHARACTERS = 64_000
_MAX_DEPTH = 20
_FENCE = "---"
_TOML_FENCE = "+++"
_END_FENCES = ("---", "...")
_KEY = re.compile(r"[^\s:#][^:]*:(\s|$)")
_DATE = re.compile(
    r"(\d{4})(?:-(\d{1,2})-(\d{1,2})|/(\d{1,2})/(\d{1,2})|\.(\d{1,2})\.(\d{1,2})|年(\d{1,2})月(\d{1,2})日)(?:[T ].*)?"
)
_SPACES = re.compile(r"\s+")


class _Loader(yaml.SafeLoader):
    """Composes nodes only, refuses aliases (they can grow without bound) and deep nesting."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose the next node."""
        if self.check_event(yaml.AliasEvent):
            raise _complaint(self, "aliases (*name) are not allowed here")
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _complaint(self, "too deeply nested")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _complaint(loader: Any, problem: str) -> yaml.MarkedYAMLError:
    return yaml.composer.ComposerError(None, None, problem, loader.peek_event().start_mark)


def cut(text: str, path: str) -> tuple[FrontMatter, int]:
    """Front matter of a file, and the number of lines that it takes up (0 if there is none)."""
    blank = _blank_lines(text)
    first, _, rest = text.split("\n", blank)[-1].partition("\n")
    if first.rstrip() == _TOML_FENCE:
        raise ArticleError(path, blank + 1, "front matter between +++ (TOML) is not read; write YAML between ---")
    if first.rstrip() != _FENCE or (blank and not _KEY.match(rest)):
        return FrontMatter({}, path), 0
    end, position = blank + 1, 0
    while position < len(rest):
        stop = rest.find("\n", position)
        stop = len(rest) if stop < 0 else stop
        if rest[position:stop].rstrip() in _END_FENCES:
            return FrontMatter(_read("\n" * blank + rest[:position], path), path), end + 1
        end, position = end + 1, stop + 1
    if _KEY.match(rest):
        raise ArticleError(path, blank + 1, "the front matter that begins here is not closed by a line with ---")
    return FrontMatter({}, path), 0


def _blank_lines(text: str) -> int:
    """How many empty lines come first; an editor that adds one must not turn a draft into a published article."""
    return text[: len(text) - len(text.lstrip())].count("\n")


def _read(source: str, path: str) -> dict[str, tuple[str, yaml.Node]]:
    """Fields by their normalised names, each with the key as it was written."""
    if len(source) > _MAX_CHARACTERS:
        raise ArticleError(path, 1, f"the front matter is larger than {_MAX_CHARACTERS // 1000} KB")
    try:
        node = _Loader(source).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "unreadable"
        raise ArticleError(path, mark.line + 2 if mark else 1, f"broken front matter: {reason}") from None
    except yaml.reader.ReaderError as error:
        line = source.count("\n", 0, error.position) + 2
        raise ArticleError(path, line, "broken front matter: a control character") from None
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise ArticleError(path, node.start_mark.line + 2, "the front matter is not a list of `key: value` lines")
    _refuse_half_characters(node, path)
    fields = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ArticleError(path, key.start_mark.line + 2, "a key of the front matter is not a word")
        name = key.value.strip().lower().replace("-", "_")
        if name in fields:
            raise ArticleError(path, _line(key), f"“{key.value.strip()[:40]}” stands twice in the front matter")
        fields[name] = (key.value.strip(), value)
    return fields


def _refuse_half_characters(root: yaml.Node, path: str) -> None:
    r"""``"\ud83d"`` is legal YAML and half of a pair of code units: no text that could be stored."""
    pending = [root]
    while pending:
        node = pending.pop()
        if isinstance(node, yaml.ScalarNode):
            if any("\ud800" <= char <= "\udfff" for char in node.value):
                raise ArticleError(path, _line(node), "broken front matter: an escape that is half a character")
        elif isinstance(node, yaml.MappingNode):
            pending.extend(part for pair in node.value for part in pair)
        else:
            pending.extend(node.value)


class FrontMatter:
    """Fields of one article; every getter takes its field out, so that :meth:`rest` is what nobody asked for."""

    def __init__(self, fields: dict[str, tuple[str, yaml.Node]], path: str) -> None:
        self._fields = fields
        self.path = path
        self._lines = {name: _line(node) for name, (_, node) in fields.items()}

    def line(self, name: str) -> int:
        """Line of a field in the file, 0 if it is not there."""
        return self._lines.get(name, 0)

    def text(self, name: str) -> str:
        """One line of text; ``""`` if missing or empty."""
        node = self._take(name)
        if node is None or _is_null(node):
            return ""
        if not isinstance(node, yaml.ScalarNode):
            raise self._wrong(name, "one text")
        return _clean(node.value)

    def texts(self, name: str, separators: str = "") -> tuple[str, ...]:
        """List of texts; a single text stands for a list of one, or of several if it holds a separator."""
        node = self._take(name)
        if node is None or _is_null(node):
            return ()
        if isinstance(node, yaml.ScalarNode):
            value = node.value
            for separator in separators:
                value = value.replace(separator, "\n")
            values = value.split("\n") if separators else [value]
        elif isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in node.value):
            values = [item.value for item in node.value if not _is_null(item)]
        else:
            raise self._wrong(name, "a list of texts")
        return tuple(dict.fromkeys(text for text in map(_clean, values) if text))

    def date(self, name: str) -> dt.date | None:
        """Day; ``2026-09-01``, ``2026/9/1`` and ``2026年9月1日`` are the same."""
        written = self.text(name)
        if not written:
            return None
        match = _DATE.fullmatch(unicodedata.normalize("NFKC", written))
        try:
            if match:
                year, month, day = (int(part) for part in match.groups() if part)
                return dt.date(year, month, day)
        except ValueError:
            pass
        raise self._wrong(name, f"a date such as 2026-09-01, but “{written[:40]}”")

    def rest(self) -> dict[str, object]:
        """Every field that was not taken, by its key as written, as plain values."""
        return {key: _plain(node) for key, node in self._fields.values()}

    def _take(self, name: str) -> yaml.Node | None:
        return self._fields.pop(name, ("", None))[1]

    def _wrong(self, name: str, wanted: str) -> ArticleError:
        return ArticleError(self.path, self.line(name), f"“{name}” is not {wanted}")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 2  # the fence is line 1, YAML counts from 0


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _clean(value: str) -> str:
    return unicodedata.normalize("NFC", _SPACES.sub(" ", value)).strip()


def _plain(node: yaml.Node) -> object:
    """Plain value of a node: text, number, truth value or list; a mapping becomes a list of ``key: value``."""
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return [f"{_plain(key)}: {_plain(value)}" for key, value in node.value]
    return _plain_scalar(node.tag.rpartition(":")[2], node.value)


def _plain_scalar(tag: str, written: str) -> str | float | bool:
    """Value of a scalar; what cannot be read as its type stays text."""
    try:
        if tag == "int":
            return int(written.replace("_", ""))
        if tag == "float" and math.isfinite(number := float(written.replace("_", ""))):
            return number
    except ValueError:
        return written
    if tag == "bool":
        return written.lower() in {"true", "yes", "on"}
    return "" if tag == "null" else str(written)
