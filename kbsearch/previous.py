"""What the last generation offers the next build: what it was made of, and what need not be made again."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kbsearch.arrays import HEADERS
from kbsearch.coded import InCodes
from kbsearch.content import Content
from kbsearch.embed import text_key
from kbsearch.errors import IndexCorrupt, IndexIncompatible, IndexNotFound
from kbsearch.known import InFile, InMemory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kbsearch.model import Article, ArticleWarning
    from kbsearch.store import Files, Generation, Store

__all__ = ["Previous", "Published", "Recipe", "load_previous", "open_published"]


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
    sentences: str


class Published:
    """The generation in force, as its build left it; opened without reading more of it than is asked for."""

    def __init__(self, generation: Generation) -> None:
        self.generation = generation
        self.manifest: Mapping[str, Any] = generation.manifest
        self.files_of_base: Files = generation.files
        named = self.manifest["fingerprints"]  # an older kbsearch did not know all of them
        self.recipe = Recipe(**{part.name: named.get(part.name, "") for part in fields(Recipe)})
        self.encoder: str = self.manifest["encoder"]["name"]
        self._has_delta = "delta" in self.manifest
        delta = generation.files.delta.content if self._has_delta else None
        self.content = Content(generation.files.content, delta=delta)

    @cached_property
    def files(self) -> dict[str, str]:
        """SHA-256 of every file that was read, by path."""
        return self.content.files()

    @cached_property
    def base_files(self) -> dict[str, str]:
        """The same, as the base knows them."""
        return Content(self.files_of_base.content).files() if self._has_delta else self.files

    @cached_property
    def warnings(self) -> list[ArticleWarning]:
        """What its build had to say."""
        return self.content.warnings()

    @property
    def aside(self) -> set[ArticleWarning]:
        """Of these, what was said of folders, links and names that are no sources."""
        return {warning for warning in self.warnings if warning.path not in self.files}

    def vectors(self) -> Sequence[InFile | InMemory]:
        """All vectors by key, those that the calibration needed included."""
        base = self.manifest["delta"]["base"]["passages"] if self._has_delta else None
        own = _vectors_of(self.files_of_base, Content(self.files_of_base.content), 0, base)
        with HEADERS, np.load(self.files_of_base.probes, allow_pickle=False) as probes:
            asked = InMemory(probes["keys"].tolist(), probes["vectors"])
        return [*self.delta_vectors(), asked, *own]

    def coded_vectors(self) -> Sequence[InCodes]:
        """Those of sentences and headings, as exact as they are kept."""
        return [*self.delta_coded_vectors(), *self._coded_vectors(self.files_of_base)]

    def delta_coded_vectors(self) -> Sequence[InCodes]:
        """Those of the delta alone."""
        return self._coded_vectors(self.files_of_base.delta) if self._has_delta else []

    def _coded_vectors(self, files: Files) -> Sequence[InCodes]:
        dimension: int = self.manifest["encoder"]["dimension"]
        return [InCodes(folder, dimension) for folder in (files.quotes, files.headings)]

    def delta_vectors(self) -> Sequence[InFile]:
        """Those of the delta alone."""
        if not self._has_delta:
            return ()
        files = self.files_of_base.delta
        return _vectors_of(files, Content(files.content), self.manifest["delta"]["base"]["passages"], None)


def _vectors_of(files: Files, content: Content, first_row: int, rows: int | None) -> Sequence[InFile]:
    """Vectors by key of the rows and titles of a base or of a delta."""
    keys = {key: row - first_row for row, key in content.vector_keys()}
    titles = {text_key(head.title): place for place, head in enumerate(content.heads())}
    return InFile.matrix(files.vectors, keys, rows), InFile.matrix(files.title_vectors, titles)


@dataclass(slots=True)
class Previous:
    """What a whole build need not make again, each part only as far as its fingerprint still fits."""

    files: dict[str, str] = field(default_factory=dict)
    articles: dict[str, Article] = field(default_factory=dict)
    warnings: dict[str, list[ArticleWarning]] = field(default_factory=dict)
    vectors: Sequence[InFile | InMemory] = ()
    coded_vectors: Sequence[InCodes] = ()


def open_published(store: Store) -> Published | None:
    """The generation in force; None where there is none that can be opened."""
    try:
        published = Published(store.open())
        _ = published.files, published.warnings
    except (IndexNotFound, IndexCorrupt, IndexIncompatible, ValueError, TypeError, KeyError, OSError):
        return None
    return published


def load_previous(published: Published | None, recipe: Recipe) -> Previous:
    """What of a generation can be taken over; of a damaged one nothing."""
    if published is None or published.generation.damage():
        return Previous()  # a changed byte must not be carried over and get a checksum of its own
    try:
        previous, found = Previous(published.files), published.recipe
        if found.encoder == recipe.encoder:
            previous.vectors, previous.coded_vectors = published.vectors(), published.coded_vectors()
        if (found.parser, found.encoder, found.languages) != (recipe.parser, recipe.encoder, recipe.languages):
            return previous  # the files must be parsed again: their passages may be cut elsewhere
        previous.articles = {article.path: article for article in published.content.articles()}
        for warning in published.warnings:
            previous.warnings.setdefault(warning.path, []).append(warning)
    except (IndexCorrupt, ValueError, TypeError, KeyError, OSError):
        return Previous()
    return previous
