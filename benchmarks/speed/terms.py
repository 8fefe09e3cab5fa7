"""The terms of every passage, as kbsearch indexes them, for the other systems.

Title, headings and aliases are repeated by their weights, as in kbsearch's own legs, so that all rank the same bags of
terms. They are analysed again here: how kbsearch keeps them is its own affair.

Use: ``write_terms(kb, file)``.

Never: hold the terms of all passages at once; a million passages have half a billion of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kbsearch.model import Weights
from kbsearch.rows import make_rows
from kbsearch.text import analyse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kbsearch.model import Article
    from kbsearch.search import KnowledgeBase

__all__ = ["write_terms"]


def write_terms(kb: KnowledgeBase, file: Path) -> None:
    """A line for each row of the index: its words marked w, its grams marked g."""
    content, lines = kb.snapshot.content, 0
    with file.open("w", encoding="utf-8", newline="\n") as target:
        for article_id in content.article_ids():
            article = content.article_by_id(article_id)
            for line in _lines(article) if article else ():
                target.write(line + "\n")
                lines += 1
    if lines != kb.snapshot.lexical.rows:
        raise AssertionError(f"{lines} rows were analysed, {kb.snapshot.lexical.rows} are indexed")


def _lines(article: Article) -> Iterator[str]:
    """Of the rows of one article, in their order."""
    weights, parts = Weights(), dict[str, str]()

    def terms(text: str, weight: int) -> str:
        if text not in parts:
            found = analyse(text)
            parts[text] = "".join(
                [f"w{term} " for term in found.words.terms] + [f"g{term} " for term in found.grams.terms]
            )
        return parts[text] * weight

    for row in make_rows([article]):
        passage = row.passage
        if row.alias:
            line = terms(row.alias, weights.alias) + terms(passage.title, 1)
        else:
            line = terms(passage.title, weights.title)
            line += "".join(terms(heading, weights.heading) for heading in passage.headings)
            line += "".join(terms(alias, weights.alias) for alias in article.aliases)
            line += terms(passage.text, weights.body)
        yield line.rstrip()
