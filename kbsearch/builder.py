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
import json
import time
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kbsearch.calibration import calibrate
from kbsearch.columns import save_column
from kbsearch.content import SourceFile, StoredPassage, category_path, write_content
from kbsearch.crosscheck import CODES, check_translations, distinct_ids, translation_groups
from kbsearch.embed import DEFAULT, load_encoder, text_key
from kbsearch.errors import ArticleError, ConfigError
from kbsearch.fields import pack_fields
from kbsearch.journal import Journal
from kbsearch.learned import shipped_models
from kbsearch.lexical import LexicalRow, write_lexical
from kbsearch.markdown import MAX_BYTES, VERSION, parse_article
from kbsearch.model import Article, ArticleWarning, Weights
from kbsearch.previous import Previous, Recipe, load_previous
from kbsearch.results import BuildReport
from kbsearch.rows import Row, analyse_rows, field_terms, make_rows
from kbsearch.snapshot import Snapshot
from kbsearch.sources import Source, read_source, scan
from kbsearch.store import Store
from kbsearch.synonyms import read_synonyms
from kbsearch.text import fingerprint
from kbsearch.vector import DenseReport, cosine_statistics, write_graph, write_vectors
from kbsearch.vocabulary import write_vocabulary
from kbsearch.wordlist import word_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kbsearch.learned import Models
    from kbsearch.model import Encoder, FloatArray, Progress
    from kbsearch.store import Draft
    from kbsearch.synonyms import Rules

__all__ = ["build"]

TARGET_TOKENS: Final = 256
"""Passages are filled up to about so many tokens of the encoder, title and headings included."""

_ENCODE_AT_ONCE: Final = 512  # texts between two entries in the journal: what a killed build can lose


def build(
    articles: Path | str,
    index: Path | str,
    *,
    encoder: str = DEFAULT,
    full: bool = False,
    jobs: int | None = None,
    weights: Weights | None = None,
    languages: Sequence[str] = (),
    synonyms: Path | str | None = None,
    models: Models | None = None,
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
        The first is the language of articles which do not say theirs; without one it is guessed from the text of each.
    synonyms
        File of words that mean the same, see :mod:`kbsearch.synonyms`; without one, ``synonyms.txt`` in the folder of
        articles where there is such a file.
    models
        Other learned models than the shipped ones, for who measures them; give :class:`KnowledgeBase` the same.
    progress
        Called as ``progress(stage, done, total)`` with the stages ``scan``, ``convert``, ``parse``, ``analyse``,
        ``encode``, ``write`` and ``calibrate``.

    Returns
    -------
    BuildReport
        Faulty articles are among its warnings; they do not stop the build.

    Raises
    ------
    ConfigError, EncoderUnavailable, IndexLocked, IndexUnwritable
    """
    clock, tell, store = _Clock(), progress or _silent, Store(index)
    weights, default_lang = _checked_weights(weights or Weights()), _primary_tag(languages)
    model = load_encoder(encoder, threads=jobs, on_convert=lambda _, done, total: tell("convert", done, total))
    models = models or shipped_models()
    rules = read_synonyms(Path(articles), synonyms)
    recipe = _recipe(model, weights, default_lang, models, rules)

    def parse(raw: bytes, path: str) -> tuple[Article, tuple[ArticleWarning, ...]]:
        return parse_article(
            raw,
            path,
            default_lang=default_lang,
            count_tokens=model.count_tokens,
            max_tokens=model.max_tokens,
            target_tokens=min(TARGET_TOKENS, model.max_tokens),
        )

    # 1. What is there, and does it differ from what was there?
    with clock.stage("scan"):
        sources, warnings = scan(Path(articles))
        if not sources:  # a wrong path, most often
            message = "there is no article in this folder; the index is empty now. Is it the right folder?"
            warnings.append(ArticleWarning(str(articles), 0, "no-articles", message))
        digests = _digests(sources, tell)
    with store.writing() as draft:
        with clock.stage("compare"):
            previous = load_previous(store, recipe)
        names = _compare(digests, previous)
        if full:  # the report still says what changed; nothing is taken over
            previous = Previous()
            store.journal.unlink(missing_ok=True)
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
            rows = make_rows(parsed)
            analyse_rows(rows, parsed, weights, previous.terms, tell)
        # 4. Rows to vectors; texts seen before keep theirs.
        with clock.stage("encode"):
            journal = Journal(store.journal, model.fingerprint, model.dimension)
            reused = sum(row.key in previous.vectors or row.key in journal.known for row in rows)
            known, encoded = _encode(_texts(parsed, rows), model, previous, journal, tell)
            vectors = _stacked([row.key for row in rows], known, model.dimension)
            titles = _stacked([text_key(article.title) for article in parsed], known, model.dimension)
        # 5. Everything to disk.
        with clock.stage("write"):
            tell("write", 0, 1)
            dense = _write_legs(draft, parsed, rows, vectors, titles)
            _write_content(draft, parsed, rows, digests, warnings)
            draft.files.synonyms.write_text(json.dumps(rules, ensure_ascii=False), "utf-8")
            counts = _counts(parsed, rows)
            manifest = {
                "fingerprints": asdict(recipe),
                "encoder": {"name": encoder, "dimension": model.dimension},
                "counts": counts,
                "dense": asdict(dense),
                "cosines": _statistics(vectors),
                "title_cosines": _statistics(titles),
            }
            tell("write", 1, 1)
        # 6. How far may its answers be believed?
        with clock.stage("calibrate"):
            vectors_of = partial(_encode, model=model, previous=Previous(vectors=known), journal=journal, tell=tell)
            manifest["calibration"] = _calibrate(
                draft, manifest, models, parsed, rows, weights, model, vectors_of, tell
            )
        # 7. The pointer over to it.
        with clock.stage("publish"):
            generation = draft.publish(manifest)
            journal.discard()
    return BuildReport(
        index=str(store.root), generation=generation, published=True, **names, warnings=_sorted(warnings),
        counts={**counts, "encoded": encoded, "reused": reused}, calibration=manifest["calibration"],
        timings=clock.done(),
    )  # fmt: skip


def _primary_tag(languages: Sequence[str]) -> str:
    """``ja`` for ``["ja-JP", "en"]``, as front matter and filters read it; ``""`` for none."""
    if isinstance(languages, str):
        raise ConfigError("languages", f'a list such as ["ja", "en"], not the text “{languages}”')
    if not languages:
        return ""
    tag = languages[0].strip().lower().replace("_", "-").partition("-")[0]
    if not (tag.isascii() and tag.isalpha() and len(tag) in {2, 3}):
        raise ConfigError("languages", f"“{languages[0]}” is no language such as ja or en")
    return tag


def _checked_weights(weights: Weights) -> Weights:
    for name, value in asdict(weights).items():
        if not isinstance(value, int) or value < 0:
            raise ConfigError("weights", f"{name} must be a whole number, 0 or more, not {value!r}")
    return weights


def _counts(articles: list[Article], rows: list[Row]) -> dict[str, int]:
    served = sum(article.status == "published" for article in articles)
    return {"articles": len(articles), "served": served, "passages": len(rows)}


def _recipe(model: Encoder, weights: Weights, default_lang: str, models: Models, rules: Rules) -> Recipe:
    return Recipe(
        parser=f"{VERSION} target {TARGET_TOKENS}",
        analyser=fingerprint(),
        encoder=model.fingerprint,
        weights=" ".join(f"{name} {value}" for name, value in asdict(weights).items()),
        languages=default_lang,
        models=models.fingerprint,
        synonyms=hashlib.sha256(json.dumps(rules).encode()).hexdigest()[:16] if rules else "none",
    )


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
        warnings=_sorted(warnings), counts=counts, calibration=generation.manifest["calibration"],
        timings=clock.done(),
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
            warnings.extend(w for w in previous.warnings.get(path, ()) if w.code not in CODES)
        else:
            try:
                article, found = parse(_read(source, digests), path)
            except ArticleError as error:
                warnings.append(_fatal(error))
            else:
                articles.append(article)
                warnings.extend(found)
        tell("parse", done, len(sources))
    articles, duplicates = distinct_ids(articles)
    return articles, [*warnings, *duplicates, *check_translations(articles)]


def _read(source: Source, digests: dict[str, str]) -> bytes:
    try:
        raw, digests[source.path] = read_source(source, MAX_BYTES)
    except ArticleError as error:
        digests[source.path] = _digest_of(error)
        raise
    return raw


def _texts(articles: list[Article], rows: list[Row]) -> dict[str, str]:
    """All that has a vector in the index, by key."""
    return {row.key: row.text for row in rows} | {text_key(article.title): article.title for article in articles}


def _encode(
    texts: dict[str, str], model: Encoder, previous: Previous, journal: Journal, tell: Progress
) -> tuple[dict[str, FloatArray], int]:
    """Vectors by key of all texts (and of others), and how many of them are new."""
    known = {**previous.vectors, **journal.known}
    missing = [(key, text) for key, text in texts.items() if key not in known]
    missing.sort(key=lambda item: len(item[1]))  # texts of one length share a batch without padding
    done = 0

    def count(finished: int) -> None:
        nonlocal done
        done += finished
        tell("encode", done, len(missing))

    for start in range(0, len(missing), _ENCODE_AT_ONCE):
        keys, batch = zip(*missing[start : start + _ENCODE_AT_ONCE], strict=True)
        encoded = model.encode_passages(batch, count)
        journal.append(keys, encoded)
        known.update(zip(keys, encoded, strict=True))
    return known, len(missing)


def _statistics(vectors: FloatArray) -> dict[str, float]:
    mean, spread = cosine_statistics(vectors)
    return {"mean": mean, "spread": spread}


def _stacked(keys: list[str], known: dict[str, FloatArray], dimension: int) -> FloatArray:
    """Vectors in the order of their keys, float32 of shape (keys, dimension)."""
    vectors = np.empty((len(keys), dimension), dtype=np.float32)
    for number, key in enumerate(keys):
        vectors[number] = known[key]
    return vectors


def _write_legs(
    draft: Draft, articles: list[Article], rows: list[Row], vectors: FloatArray, titles: FloatArray
) -> DenseReport:
    files = draft.files
    write_vectors(files.title_vectors, titles)
    write_lexical(files.lexical, (_lexical_row(row, articles[row.article]) for row in rows))
    write_vectors(files.vectors, vectors)
    terms, offsets = pack_fields(field_terms(rows))
    save_column(files.field_terms, terms)
    save_column(files.field_offsets, offsets)
    write_vocabulary(files.vocabulary, word_entries(rows))
    save_column(files.japanese_column, np.array([article.lang == "ja" for article in articles], dtype=np.bool_))
    save_column(files.group_column, np.array(translation_groups(articles), dtype=np.int32))
    save_column(files.article_column, np.array([row.article for row in rows], dtype=np.int32))
    return write_graph(files.graph, vectors)


def _calibrate(
    draft: Draft,
    manifest: dict[str, Any],
    models: Models,
    articles: list[Article],
    rows: list[Row],
    weights: Weights,
    model: Encoder,
    encode: Callable[[dict[str, str]], tuple[dict[str, FloatArray], int]],
    tell: Progress,
) -> dict[str, Any]:
    """See :mod:`kbsearch.calibration`; keeps the vectors that it needs for the next build."""
    used: dict[str, FloatArray] = {}

    def remembered(texts: Mapping[str, str]) -> Mapping[str, FloatArray]:
        found = encode(dict(texts))[0]
        used.update({key: found[key] for key in texts})
        return used

    generation = draft.unfinished(manifest)
    snapshot = Snapshot(generation, model)
    calibration = calibrate(snapshot, models, articles, rows, weights, remembered, tell)
    generation.close()
    matrix = np.stack(list(used.values())) if used else np.empty((0, model.dimension), dtype=np.float32)
    with draft.files.probes.open("wb") as target:
        np.savez(target, keys=np.array(list(used), dtype="U64"), vectors=matrix)
    return calibration


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
