"""Front matter, path and text → what is known about an article besides its text.

Use: :func:`read_metadata` first (it needs nothing but the front matter and the path), then the functions for what has
to be guessed from the text.

Never: refuse an article for a value that can be understood, or accept one whose validity is in doubt.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kbsearch.errors import ArticleError
from kbsearch.model import ArticleWarning

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping

    from kbsearch.markdown.frontmatter import FrontMatter

__all__ = ["Metadata", "names_faq", "read_metadata", "stem"]

_SUFFIXES = (".md", ".markdown")
_KINDS = ("faq", "guide")
_STATUSES = ("published", "draft", "archived")
_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})
_FAQ_NAMES = {"faq", "faqs", "q&a", "qa", "よくある質問", "よくあるご質問"}
_LANGUAGES = {
    *("ar", "bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "he", "hi", "hr", "hu", "id", "it"),
    *("ja", "ko", "lt", "lv", "ms", "nb", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "ta", "th", "tl"),
    *("tr", "uk", "ur", "vi", "zh"),
}
_TAG_LENGTHS = (2, 3)
_SEPARATORS = ",、，"


@dataclass(frozen=True, slots=True)
class Metadata:
    """Fields of the front matter with their defaults; ``""`` where the text has to tell."""

    id: str
    title: str
    lang: str
    kind: str
    category: str
    tags: tuple[str, ...]
    aliases: tuple[str, ...]
    status: str
    valid_from: dt.date | None
    valid_until: dt.date | None
    updated: dt.date | None
    review_by: dt.date | None
    translation_of: str | None
    audience: tuple[str, ...]
    product: tuple[str, ...]
    version: tuple[str, ...]
    meta: Mapping[str, object]
    warnings: tuple[ArticleWarning, ...]


def read_metadata(front: FrontMatter, path: str) -> Metadata:
    """Read every field.

    Raises
    ------
    ArticleError
        A field has the wrong type, or the article ends before it begins.
    """
    warnings: list[ArticleWarning] = []
    lang_line = front.line("lang")
    if "#" in (article_id := front.text("id")):
        raise ArticleError(path, front.line("id"), "“id” holds a #, which is kept for sections")
    hidden = _says(front, "draft", _YES) or _says(front, "published", _NO)
    valid_from, valid_until = front.date("valid_from"), front.date("valid_until")
    if valid_from and valid_until and valid_until < valid_from:
        raise ArticleError(path, front.line("valid_until"), "“valid_until” is before “valid_from”")
    return Metadata(
        id=article_id or _without_suffix(path),
        title=front.text("title"),
        lang=_language(front.text("lang"), path, lang_line, warnings) or _language_of_name(path),
        kind=_choice(front, "kind", _KINDS, warnings, fallback=""),
        category=_category(front.text("category") or path.rpartition("/")[0]),
        tags=front.texts("tags", separators=_SEPARATORS),
        aliases=front.texts("aliases"),
        # A word that we do not know may mean "not yet": better hidden than served by mistake.
        status=_status(_choice(front, "status", _STATUSES, warnings, fallback="draft"), hidden=hidden),
        valid_from=valid_from,
        valid_until=valid_until,
        updated=front.date("updated"),
        review_by=front.date("review_by"),
        translation_of=front.text("translation_of") or None,
        audience=front.texts("audience", separators=_SEPARATORS),
        product=front.texts("product", separators=_SEPARATORS),
        version=front.texts("version", separators=_SEPARATORS),
        meta=front.rest(),
        warnings=tuple(warnings),
    )


def _status(written: str, *, hidden: bool) -> str:
    """The status; the fields of other tools that hide a page win over one that shows it."""
    return "draft" if hidden and written in {"", "published"} else written or "published"


def _says(front: FrontMatter, name: str, words: frozenset[str]) -> bool:
    """Whether a field that other tools have (``draft: true``, ``published: false``) says one of these words."""
    return front.text(name).lower() in words


def names_faq(path: str) -> bool:
    """Whether the file or a folder above it is called FAQ."""
    return any(_says_faq(part) for part in _without_suffix(path).casefold().split("/"))


def stem(path: str) -> str:
    """Name of the file without its suffix and language, for an article without a title."""
    name = _without_suffix(path).rpartition("/")[2]
    return name.rpartition(".")[0] if _language_of_name(path) else name


def _says_faq(part: str) -> bool:
    names = {part, *part.replace("_", "-").replace(".", "-").split("-")}
    return not names.isdisjoint(_FAQ_NAMES)


def _without_suffix(path: str) -> str:
    path = unicodedata.normalize("NFC", path)
    for suffix in _SUFFIXES:
        if path.lower().endswith(suffix):
            return path[: -len(suffix)]
    return path


def _language_of_name(path: str) -> str:
    """``ja`` for ``returns.ja.md``; ``""`` if the name says nothing."""
    tag = _without_suffix(path).rpartition("/")[2].rpartition(".")
    primary = tag[2].lower().partition("-")[0] if tag[0] else ""
    return primary if primary in _LANGUAGES else ""


def _language(written: str, path: str, line: int, warnings: list[ArticleWarning]) -> str:
    """Primary tag in lower case of ``ja-JP``; a number is an error, a word that is no tag a warning."""
    if not written:
        return ""
    primary = written.lower().replace("_", "-").partition("-")[0]
    if written.replace(".", "").isdigit():
        raise ArticleError(path, line, f"“lang” is not a language such as ja or en, but “{written[:40]}”")
    if len(primary) in _TAG_LENGTHS and primary.isascii() and primary.isalpha():
        return primary
    warnings.append(ArticleWarning(path, line, "unknown-value", f"“{written[:40]}” is no language such as ja or en"))
    return ""


def _choice(
    front: FrontMatter, name: str, allowed: tuple[str, ...], warnings: list[ArticleWarning], *, fallback: str
) -> str:
    """One of the allowed words, ``""`` if the field is missing, the fallback and a warning for any other word."""
    line = front.line(name)
    written = front.text(name)
    value = unicodedata.normalize("NFKC", written).lower()
    if not value or value in allowed:
        return value
    message = f"“{name}” is “{written[:40]}”; known are {', '.join(allowed)}"
    if fallback:
        message += f"; taken as {fallback}"
    warnings.append(ArticleWarning(front.path, line, "unknown-value", message))
    return fallback


def _category(written: str) -> str:
    """Path without empty parts, as ``shop/returns``."""
    return "/".join(_parts(unicodedata.normalize("NFC", written)))


def _parts(written: str) -> Iterator[str]:
    return (part.strip() for part in written.split("/") if part.strip())
