"""What the tests of procedures share: an article of a text, and the procedure in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kbsearch.markdown import parse_article, procedure_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kbsearch.model import Article
    from kbsearch.procedures import Procedure, Step

ARTICLES = Path(__file__).parent.parent / "articles"


def article_of(text: str, path: str = "a.md") -> Article:
    return parse_article(text.encode(), path)[0]


def walk(text: str, anchor: str | None = None, number: int = 1) -> Procedure:
    article = article_of(text)
    places = {section.anchor: place for place, section in enumerate(article.sections)}
    return procedure_of(article, None if anchor is None else places[anchor], number)


def texts(procedure: Procedure) -> list[str]:
    return [step.text for step in procedure]


def kinds(step: Step) -> list[tuple[str, str]]:
    return [(part.kind, part.text) for part in step.parts]


def samples() -> Iterator[Article]:
    for file in sorted(ARTICLES.rglob("*.md")):
        yield parse_article(file.read_bytes(), file.relative_to(ARTICLES).as_posix())[0]
