"""What the last generation offers the next build for reuse."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np

from kbsearch.content import Content
from kbsearch.embed import text_key
from kbsearch.errors import IndexCorrupt, IndexIncompatible, IndexNotFound

if TYPE_CHECKING:
    from kbsearch.model import Article, ArticleWarning, FloatArray
    from kbsearch.store import Generation, Store

__all__ = ["Previous", "Recipe", "load_previous"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything besides the files that decides what a build gives; part of the manifest, compared by the next one."""

    parser: str
    analyser: str
    encoder: str
    weights: str
    languages: str
    models: str
    synonyms: str


@dataclass(slots=True)
class Previous:
    """What the last generation offers for reuse, each part only as far as its fingerprint still fits."""

    generation: Generation | None = None
    recipe: Recipe | None = None
    encoder: str = ""
    files: dict[str, str] = field(default_factory=dict)
    articles: dict[str, Article] = field(default_factory=dict)
    warnings: dict[str, list[ArticleWarning]] = field(default_factory=dict)
    aside: set[ArticleWarning] = field(default_factory=set)  # of folders, links and names that are no sources
    vectors: dict[str, FloatArray] = field(default_factory=dict)
    terms: dict[str, tuple[str, str]] = field(default_factory=dict)


def load_previous(store: Store, recipe: Recipe) -> Previous:
    """Open the last generation for reuse; a damaged or foreign one offers nothing."""
    try:
        generation = store.open()
        if generation.damage():  # a changed byte must not be carried over and get a checksum of its own
            return Previous()
        content = Content(generation.files.content)
        named = generation.manifest["fingerprints"]  # an older kbsearch did not know all of them
        found = Recipe(**{part.name: named.get(part.name, "") for part in fields(Recipe)})
        previous = Previous(generation, found, generation.manifest["encoder"]["name"], content.files())
        previous.aside = {warning for warning in content.warnings() if warning.path not in previous.files}
        rows = content.analysed()
        if found.encoder == recipe.encoder:
            matrix = np.load(generation.files.vectors, allow_pickle=False)
            titles = np.load(generation.files.title_vectors, allow_pickle=False)
            previous.vectors = {text_key(article.title): titles[n] for n, article in enumerate(content.articles())}
            with np.load(generation.files.probes, allow_pickle=False) as probes:
                previous.vectors |= dict(zip(probes["keys"].tolist(), probes["vectors"], strict=True))
            previous.vectors |= {key: matrix[row] for row, (key, *_) in enumerate(rows)}
        if (found.parser, found.encoder, found.languages) != (recipe.parser, recipe.encoder, recipe.languages):
            return previous  # the files must be parsed again: their passages may be cut elsewhere
        previous.articles = {article.path: article for article in content.articles()}
        for warning in content.warnings():
            previous.warnings.setdefault(warning.path, []).append(warning)
        if (found.analyser, found.weights) == (recipe.analyser, recipe.weights):
            previous.terms = {key: (words, grams) for _, key, words, grams in rows}
    except (IndexNotFound, IndexCorrupt, IndexIncompatible, ValueError, TypeError, OSError):
        return Previous()
    return previous
