"""The build: a folder of articles in, a published generation out. :func:`build` reads top to bottom.

An incremental build takes over what cannot have changed: a file with the same SHA-256 keeps its parsed article, a text
with the same SHA-256 keeps its vector, and the terms of a passage are kept with it. What the ranking rests on (row
numbers, document frequencies, lengths) is made anew each time, so that a build after a hundred edits answers exactly as
a full one does.

Use: ``report = build("articles", "indexes/help")``. The command line only adds a progress bar.

Never: let one article stop the others, or leave anything half-written where a reader looks.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch.content import Content, SourceFile, StoredPassage, category_path, write_content
from kbsearch.embed import DEFAULT, load_encoder
from kbsearch.errors import ArticleError, IndexCorrupt, IndexIncompatible, IndexNotFound
from kbsearch.journal import Journal
from kbsearch.lexical import LexicalRow, write_lexical
from kbsearch.markdown import MAX_BYTES, VERSION, parse_article
from kbsearch.model import Article, ArticleWarning, Passage, Weights
from kbsearch.results import BuildReport
from kbsearch.sources import Source, read_source, scan
from kbsearch.store import Store
from kbsearch.text import analyse, fingerprint
from kbsearch.vector import DenseReport, write_graph, write_vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kbsearch.model import Encoder, FloatArray, Progress
    from kbsearch.store import Draft, Generation

__all__ = ["build"]

TARGET_TOKENS: Final = 256
"""Passages are filled up to about so many tokens of the encoder, title and headings included."""

_ENCODE_AT_ONCE: Final = 512  # texts between two entries in the journal: what a killed build can lose
_TITLE_IN_ALIAS = 1  # an alias row also holds the title once, so that it is found by either wording
_CROSS_CHECKS = frozenset({"duplicate-id", "unknown-translation", "stale-translation"})  # of several articles


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything besides the files that decides what a build gives; part of the manifest, compared by the next one."""

    parser: str
    analyser: str
    encoder: str
    weights: str
    languages: str


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


@dataclass(slots=True)
class Row:
    """A row on its way into the index.

    ``text`` is what the encoder reads and ``key`` its SHA-256; ``terms_key`` that of all that decides its terms.
    """

    article: int
    passage: Passage
    alias: str
    text: str
    key: str
    terms_key: str = ""
    words: str = ""
    grams: str = ""


def build(
    articles: Path | str,
    index: Path | str,
    *,
    encoder: str = DEFAULT,
    full: bool = False,
    jobs: int | None = None,
    weights: Weights | None = None,
    languages: Sequence[str] = (),
    progress: Progress | None = None,
) -> BuildReport:
    """Bring an index up to date with a folder of articles.

    Parameters
    ----------
    articles
        Folder of ``.md`` and ``.markdown`` files, read with everything below it.
    index
        Folder of the index; made when it is not there.
    encoder
        ``"e5-small"`` or ``"sentence-transformers:NAME_OR_PATH"``.
    full
        Read, analyse and encode everything again.
    jobs
        Threads that the encoder may use; default all cores.
    weights
        How often the terms of title, headings, aliases and body count.
    languages
        Languages of the articles; the first is that of articles which do not say. Any when empty.
    progress
        Called as ``progress(stage, done, total)`` with the stages ``scan``, ``convert``, ``parse``, ``analyse``,
        ``encode`` and ``write``.

    Returns
    -------
    BuildReport
        Faulty articles are among its warnings; they do not stop the build.

    Raises
    ------
    ConfigError, EncoderUnavailable, IndexLocked, IndexUnwritable
    """
    clock, tell = _Clock(), progress or _silent
    weights = weights or Weights()
    store = Store(index)
    model = load_encoder(encoder, threads=jobs, on_convert=lambda _, done, total: tell("convert", done, total))
    recipe = _recipe(model, weights, languages)

    def parse(raw: bytes, path: str) -> tuple[Article, tuple[ArticleWarning, ...]]:
        return parse_article(
            raw,
            path,
            default_lang=languages[0] if languages else "",
            count_tokens=model.count_tokens,
            max_tokens=model.max_tokens,
            target_tokens=min(TARGET_TOKENS, model.max_tokens),
        )

    # 1. What is there, and does it differ from what was there?
    with clock.stage("scan"):
        sources, warnings = scan(Path(articles))
        digests = _digests(sources, tell)
    with store.writing() as draft:
        with clock.stage("compare"):
            previous = Previous() if full else _previous(store, recipe)
        names = _compare(digests, previous)
        same_files = not (names["added"] or names["changed"] or names["removed"])
        if same_files and previous.recipe == recipe and previous.encoder == encoder and previous.aside == set(warnings):
            store.journal.unlink(missing_ok=True)
            return _unchanged_report(store, previous, names, clock)
        # 2. Files to articles; damaged ones become warnings.
        with clock.stage("parse"):
            parsed, found = _parse_all(sources, digests, previous, parse, tell)
            warnings.extend(found)
        # 3. Articles to rows, and rows to terms.
        with clock.stage("analyse"):
            rows = _rows(parsed)
            _analyse_rows(rows, parsed, weights, previous, tell)
        # 4. Rows to vectors; texts seen before keep theirs.
        with clock.stage("encode"):
            journal = Journal(store.journal, model.fingerprint, model.dimension)
            vectors, encoded = _encode(rows, model, previous, journal, tell)
        # 5. Everything to disk, and the pointer over to it.
        with clock.stage("write"):
            tell("write", 0, 1)
            dense = _write_legs(draft, parsed, rows, vectors)
            _write_content(draft, parsed, rows, digests, warnings)
            counts = _counts(parsed, rows)
            generation = draft.publish(
                {
                    "fingerprints": asdict(recipe),
                    "encoder": {"name": encoder, "dimension": model.dimension},
                    "counts": counts,
                    "dense": asdict(dense),
                }
            )
            journal.discard()
            tell("write", 1, 1)
    return BuildReport(
        index=str(store.root), generation=generation, published=True, **names, warnings=_sorted(warnings),
        counts={**counts, "encoded": encoded, "reused": len(rows) - encoded}, timings=clock.done(),
    )  # fmt: skip


def _counts(articles: list[Article], rows: list[Row]) -> dict[str, int]:
    served = sum(article.status == "published" for article in articles)
    return {"articles": len(articles), "served": served, "passages": len(rows)}


def _recipe(model: Encoder, weights: Weights, languages: Sequence[str]) -> Recipe:
    return Recipe(
        parser=f"{VERSION} target {TARGET_TOKENS}",
        analyser=fingerprint(),
        encoder=model.fingerprint,
        weights=" ".join(f"{name} {value}" for name, value in asdict(weights).items()),
        languages=" ".join(languages),
    )


def _previous(store: Store, recipe: Recipe) -> Previous:
    """Open the last generation for reuse; a damaged or foreign one offers nothing."""
    try:
        generation = store.open()
        if generation.damage():  # a changed byte must not be carried over and get a checksum of its own
            return Previous()
        content = Content(generation.files.content)
        found = Recipe(**generation.manifest["fingerprints"])
        previous = Previous(generation, found, generation.manifest["encoder"]["name"], content.files())
        previous.aside = {warning for warning in content.warnings() if warning.path not in previous.files}
        rows = content.analysed()
        if found.encoder == recipe.encoder:
            matrix = np.load(generation.files.vectors, allow_pickle=False)
            previous.vectors = {key: matrix[row] for row, (key, *_) in enumerate(rows)}
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


def _digests(sources: Sequence[Source], tell: Progress) -> dict[str, str]:
    """SHA-256 of each source, and of the complaint about one that cannot be read."""
    digests: dict[str, str] = {}
    for done, source in enumerate(sources, start=1):
        try:
            digests[source.path] = read_source(source, MAX_BYTES)[1]
        except ArticleError as error:  # reported when it is to be parsed
            digests[source.path] = _digest_of(error)
        tell("scan", done, len(sources))
    return digests


def _digest_of(error: ArticleError) -> str:
    return hashlib.sha256(str(error).encode()).hexdigest()


def _compare(digests: dict[str, str], previous: Previous) -> dict[str, tuple[str, ...]]:
    now, then = digests, previous.files
    return {
        "added": tuple(sorted(now.keys() - then.keys())),
        "changed": tuple(sorted(path for path in now.keys() & then.keys() if now[path] != then[path])),
        "removed": tuple(sorted(then.keys() - now.keys())),
        "unchanged": tuple(sorted(path for path in now.keys() & then.keys() if now[path] == then[path])),
    }


def _unchanged_report(
    store: Store, previous: Previous, names: dict[str, tuple[str, ...]], clock: _Clock
) -> BuildReport:
    generation = previous.generation
    if generation is None:
        raise AssertionError("an index equal to the last one has a last one")
    counts = {**generation.manifest["counts"], "encoded": 0, "reused": generation.manifest["counts"]["passages"]}
    warnings = [warning for found in previous.warnings.values() for warning in found]
    return BuildReport(
        index=str(store.root), generation=generation.name, published=False, **names,
        warnings=_sorted(warnings), counts=counts, timings=clock.done(),
    )  # fmt: skip


def _parse_all(
    sources: Sequence[Source],
    digests: dict[str, str],
    previous: Previous,
    parse: Callable[[bytes, str], tuple[Article, tuple[ArticleWarning, ...]]],
    tell: Progress,
) -> tuple[list[Article], list[ArticleWarning]]:
    """Articles in order of path, with what is to be said of each; ids are distinct.

    ``digests`` is brought up to date with files that changed or vanished since they were listed.
    """
    articles: list[Article] = []
    warnings: list[ArticleWarning] = []
    for done, source in enumerate(sources, start=1):
        path = source.path
        known = previous.files.get(path) == digests[path]
        if known and path in previous.articles:
            articles.append(previous.articles[path])
            warnings.extend(w for w in previous.warnings.get(path, ()) if w.code not in _CROSS_CHECKS)
        else:
            try:
                article, found = parse(_read(source, digests), path)
            except ArticleError as error:
                warnings.append(_fatal(error))
            else:
                articles.append(article)
                warnings.extend(found)
        tell("parse", done, len(sources))
    articles, duplicates = _distinct(articles)
    return articles, [*warnings, *duplicates, *_translations(articles)]


def _read(source: Source, digests: dict[str, str]) -> bytes:
    try:
        raw, digests[source.path] = read_source(source, MAX_BYTES)
    except ArticleError as error:
        digests[source.path] = _digest_of(error)
        raise
    return raw


def _distinct(articles: list[Article]) -> tuple[list[Article], list[ArticleWarning]]:
    """The first article of each id, by path; the others are left out with a warning."""
    first: dict[str, Article] = {}
    warnings = []
    for article in articles:
        if article.id in first:
            message = f"the id “{article.id}” is already that of {first[article.id].path}; this file is left out"
            warnings.append(ArticleWarning(article.path, 0, "duplicate-id", message, fatal=True))
        else:
            first[article.id] = article
    return list(first.values()), warnings


def _translations(articles: list[Article]) -> list[ArticleWarning]:
    """Translations whose source is missing, or newer than they are."""
    by_id = {article.id: article for article in articles}
    warnings = []
    for article in articles:
        if article.translation_of is None:
            continue
        source = by_id.get(article.translation_of)
        if source is None:
            message = f"translation_of names “{article.translation_of}”, and no article has this id"
            warnings.append(ArticleWarning(article.path, 0, "unknown-translation", message))
        elif article.updated is not None and source.updated is not None and article.updated < source.updated:
            message = f"this translation is of {article.updated}, its source {source.path} of {source.updated}"
            warnings.append(ArticleWarning(article.path, 0, "stale-translation", message))
    return warnings


def _rows(articles: list[Article]) -> list[Row]:
    """Rows of the published articles: the passages of each, then its aliases, in order of path."""
    rows = []
    for number, article in enumerate(articles):
        if article.status != "published":
            continue
        for passage in article.passages:
            heads = " > ".join(passage.headings)
            text = "\n".join(part for part in (passage.title, heads, passage.text) if part)
            rows.append(_row(number, passage, "", text))
        rows.extend(_row(number, article.passages[0], alias, alias) for alias in article.aliases)
    return rows


def _row(article: int, passage: Passage, alias: str, text: str) -> Row:
    return Row(article, passage, alias, text, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())


def _analyse_rows(
    rows: list[Row], articles: list[Article], weights: Weights, previous: Previous, tell: Progress
) -> None:
    """Fill in the terms; :func:`kbsearch.lexical` says why a weight is a repetition."""
    parts: dict[str, tuple[list[str], list[str]]] = {}  # titles and headings come again and again

    def terms(text: str) -> tuple[list[str], list[str]]:
        if text not in parts:
            analysis = analyse(text)
            parts[text] = (list(analysis.words.terms), list(analysis.grams.terms))
        return parts[text]

    for done, row in enumerate(rows, start=1):
        aliases = articles[row.article].aliases
        memory = "\0".join((row.key, row.alias, *aliases))
        row.terms_key = hashlib.sha256(memory.encode("utf-8", "surrogatepass")).hexdigest()
        if row.terms_key in previous.terms:
            row.words, row.grams = previous.terms[row.terms_key]
        else:
            title, heads = terms(row.passage.title), [terms(head) for head in row.passage.headings]
            if row.alias:
                weighted = [(terms(row.alias), weights.alias), (title, _TITLE_IN_ALIAS)]
            else:
                body = analyse(row.passage.text)
                weighted = [
                    (title, weights.title),
                    *((head, weights.heading) for head in heads),
                    *((terms(alias), weights.alias) for alias in aliases),
                    ((list(body.words.terms), list(body.grams.terms)), weights.body),
                ]
            row.words = " ".join(term for (words, _), weight in weighted for term in words * weight)
            row.grams = " ".join(term for (_, grams), weight in weighted for term in grams * weight)
        tell("analyse", done, len(rows))


def _encode(
    rows: list[Row], model: Encoder, previous: Previous, journal: Journal, tell: Progress
) -> tuple[FloatArray, int]:
    """Vectors of all rows, float32 of shape (rows, dimension), and how many of them are new."""
    known = {**previous.vectors, **journal.known}
    missing = list({row.key: row.text for row in rows if row.key not in known}.items())
    missing.sort(key=lambda item: len(item[1]))  # texts of one length share a batch without padding
    done = 0

    def count(finished: int) -> None:
        nonlocal done
        done += finished
        tell("encode", done, len(missing))

    for start in range(0, len(missing), _ENCODE_AT_ONCE):
        keys, texts = zip(*missing[start : start + _ENCODE_AT_ONCE], strict=True)
        encoded = model.encode_passages(texts, count)
        journal.append(keys, encoded)
        known.update(zip(keys, encoded, strict=True))
    vectors = np.empty((len(rows), model.dimension), dtype=np.float32)
    for number, row in enumerate(rows):
        vectors[number] = known[row.key]
    return vectors, len(missing)


def _write_legs(draft: Draft, articles: list[Article], rows: list[Row], vectors: FloatArray) -> DenseReport:
    files = draft.files
    write_lexical(files.lexical, (_lexical_row(row, articles[row.article]) for row in rows))
    write_vectors(files.vectors, vectors)
    np.save(files.article_column, np.array([row.article for row in rows], dtype=np.int32), allow_pickle=False)
    return write_graph(files.graph, vectors)


def _write_content(
    draft: Draft, articles: list[Article], rows: list[Row], digests: dict[str, str], warnings: list[ArticleWarning]
) -> None:
    stored = (
        StoredPassage(row.article, row.passage, row.alias, row.key, row.terms_key, row.words, row.grams) for row in rows
    )
    sources = (SourceFile(path, sha256) for path, sha256 in digests.items())
    write_content(draft.files.content, sources, articles, stored, _sorted(warnings))


def _lexical_row(row: Row, article: Article) -> LexicalRow:
    return LexicalRow(
        row.words, row.grams, row.article, article.lang, article.kind, category_path(article.category), article.tags
    )


def _fatal(error: ArticleError) -> ArticleWarning:
    return ArticleWarning(error.path, error.line, "unreadable", error.reason, fatal=True)


def _sorted(warnings: list[ArticleWarning]) -> tuple[ArticleWarning, ...]:
    return tuple(sorted(set(warnings), key=lambda w: (w.path, w.line, w.code, w.message)))


def _silent(_stage: str, _done: int, _total: int) -> None:
    """No progress is shown."""


class _Clock:
    """Wall time by stage."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = time.perf_counter() - start

    def done(self) -> dict[str, float]:
        return {**self._seconds, "total": time.perf_counter() - self._start}
