"""Bytes of a Markdown file → :class:`~kbsearch.model.Article` with its sections, FAQ units and passages.

Use::

    article, warnings = parse_article(raw, "shop/returns.ja.md", count_tokens=encoder.count_tokens)

Pure: no file is opened, no clock is read, nothing in the text is executed or fetched. The same bytes give the same
article. Every line number counts from the top of the file, front matter included.

Never: raise anything but :class:`~kbsearch.errors.ArticleError`, whatever the bytes are, or take more than linear time.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from kbsearch.errors import ArticleError
from kbsearch.markdown.blocks import Block, read_blocks
from kbsearch.markdown.damage import find_damage, repair
from kbsearch.markdown.decode import MAX_BYTES, decode
from kbsearch.markdown.details import group_details
from kbsearch.markdown.faq import find_units, is_mostly_units
from kbsearch.markdown.frontmatter import cut
from kbsearch.markdown.inline import tidy
from kbsearch.markdown.language import estimate_tokens, guess_language
from kbsearch.markdown.metadata import names_faq, read_metadata, stem
from kbsearch.markdown.passages import cut_passages
from kbsearch.markdown.sections import Draft, cut_sections, finish_sections, first_heading, trim_sections
from kbsearch.markdown.walk import procedure_of
from kbsearch.markdown.writing import below_title, write
from kbsearch.model import Article, ArticleWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MAX_BYTES", "VERSION", "below_title", "parse_article", "procedure_of", "write"]

VERSION = 6
"""Raise it whenever the same bytes would give another article: a build then parses every file again."""


def parse_article(
    raw: bytes,
    path: str,
    *,
    default_lang: str = "",
    count_tokens: Callable[[str], int] | None = None,
    max_tokens: int = 480,
    target_tokens: int = 256,
) -> tuple[Article, tuple[ArticleWarning, ...]]:
    """Read one file.

    Parameters
    ----------
    raw
        The file as it is on disk; UTF-8 is expected, see :mod:`kbsearch.markdown.decode` for what else is read.
    path
        Path below the articles folder with ``/``.
    default_lang
        Language of an article that names none in its front matter or its file name; ``""``: guess from the text.
    count_tokens
        Size of a text for the encoder; a cautious estimate by default.
    max_tokens, target_tokens
        A passage (title, headings and text together) is filled up to the target; a single block may need more,
        up to the maximum. Only a code fence may exceed it.

    Returns
    -------
    Article
        With at least one passage.
    tuple of ArticleWarning
        What an editor should look at, by line.

    Raises
    ------
    ArticleError
        The file cannot be an article: too large, binary, empty, or with broken front matter.
    """
    # 1. Bytes → text, front matter → metadata.
    source, warnings = decode(raw, path)
    front, front_lines = cut(source, path)
    known = read_metadata(front, path)
    body = source.split("\n", front_lines)[-1] if source.count("\n") >= front_lines else ""

    # 2. Text → blocks.
    lang = known.lang or default_lang or guess_language(body)
    blocks = group_details(read_blocks(repair(body), front_lines, lang))
    title = tidy(known.title or first_heading(blocks))
    if not blocks and not title:
        raise ArticleError(path, 0, "the file holds no text")

    # 3. Blocks → sections and question/answer units.
    rows = source.split("\n")
    last_line = source.rstrip(" \t\n").count("\n") + 1
    is_faq = known.kind == "faq" or (not known.kind and names_faq(path))
    drafts = find_units(cut_sections(blocks, title, last_line), is_faq=is_faq)
    trim_sections(drafts, rows)
    kind = known.kind or ("faq" if is_faq or is_mostly_units(drafts) else "guide")

    missing = _missing(drafts, path, title)
    _stand_in_for_answers(drafts, missing)

    # 4. Sections → passages.
    name = title or stem(path)
    passages = cut_passages(drafts, name, count_tokens or estimate_tokens, max_tokens, target_tokens)
    if not passages:
        stand_in = _only_title(drafts, name, min(front_lines + 1, last_line))
        passages = cut_passages([stand_in], name, count_tokens or estimate_tokens, max_tokens, target_tokens)
    sections = finish_sections(drafts, rows, title)

    # 5. What an editor should know.
    found = [*warnings, *known.warnings, *missing]
    found += find_damage(source, path, lang, is_replaced=any(each.code == "broken-utf8" for each in warnings))
    found.sort(key=lambda warning: warning.line)
    return (
        Article(
            id=known.id,
            path=path,
            sha256=hashlib.sha256(raw).hexdigest(),
            title=name,
            lang=lang,
            kind=kind,
            category=known.category,
            tags=known.tags,
            aliases=known.aliases,
            status=known.status,
            valid_from=known.valid_from,
            valid_until=known.valid_until,
            updated=known.updated,
            review_by=known.review_by,
            translation_of=known.translation_of,
            sections=sections,
            passages=tuple(passages),
            markdown=body,
            meta=known.meta,
            audience=known.audience,
            product=known.product,
            version=known.version,
        ),
        tuple(found),
    )


def _only_title(drafts: list[Draft], title: str, line: int) -> Draft:
    """First section with the title as its text, for an article without any: it is to be found by its title."""
    if not drafts:
        drafts.append(Draft("", (), 0, (line, line)))
    first = drafts[0]
    return replace(first, blocks=[Block("paragraph", (first.lines[0], first.lines[0]), [title])], breaks=[])


def _stand_in_for_answers(drafts: Sequence[Draft], missing: Sequence[ArticleWarning]) -> None:
    """Give a question without an answer its own words as text: nothing that is written may be beyond finding."""
    lines = {warning.line for warning in missing if warning.code == "faq-without-answer"}
    for draft in drafts:
        if draft.kind == "qa" and draft.lines[0] in lines and not draft.text().strip():
            draft.blocks = [Block("paragraph", (draft.lines[0], draft.lines[0]), [draft.heading])]


def _missing(drafts: Sequence[Draft], path: str, title: str) -> list[ArticleWarning]:
    """Warnings about a title or an answer that is not there."""
    warnings = []
    if not title:
        warnings.append(ArticleWarning(path, 1, "no-title", "no title and no heading; the file's name stands for it"))
    for place, draft in enumerate(drafts):
        has_more = place + 1 < len(drafts) and drafts[place + 1].level > draft.level
        if draft.kind == "qa" and not has_more and not draft.text().strip():
            message = f"the question “{draft.heading[:60]}” has no answer"
            warnings.append(ArticleWarning(path, draft.lines[0], "faq-without-answer", message))
    return warnings
