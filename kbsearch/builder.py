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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kbsearch.calibration import calibrate
from kbsearch.content import Amended, head_of
from kbsearch.crosscheck import CODES, check_translations, distinct_ids, translation_groups
from kbsearch.delta import plan_delta
from kbsearch.embed import DEFAULT, load_encoder
from kbsearch.encoding import Encoding, encode_texts
from kbsearch.errors import ArticleError, ConfigError, IndexCorrupt
from kbsearch.handles import Record
from kbsearch.inheritance import Heritage, find_heritage, page_of
from kbsearch.journal import Journal
from kbsearch.known import Known
from kbsearch.learned import shipped_models
from kbsearch.markdown import MAX_BYTES, VERSION, parse_article
from kbsearch.meter import Meter
from kbsearch.model import Article, ArticleWarning, Weights
from kbsearch.overviews import BuildReport
from kbsearch.previous import Previous, Published, Recipe, load_previous, open_published
from kbsearch.quotable import MOST_ROWS, Quotable
from kbsearch.quotes import VERSION as UNITS
from kbsearch.quotes import QuoteWriter
from kbsearch.related import Titled, write_related
from kbsearch.rows import Texts, make_rows
from kbsearch.snapshot import Snapshot
from kbsearch.sources import Source, read_source, scan
from kbsearch.stamps import Stamps
from kbsearch.store import Store
from kbsearch.synonyms import read_synonyms
from kbsearch.text import fingerprint
from kbsearch.twins import BUILDS, twin
from kbsearch.vector import map_vectors
from kbsearch.writing import Written, sorted_warnings, write_dense, write_terms, write_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kbsearch.learned import Models
    from kbsearch.model import Encoder, FloatArray, Progress
    from kbsearch.rows import Row
    from kbsearch.store import Draft, Files
    from kbsearch.synonyms import Rules

    _Parse = Callable[[bytes, str], tuple[Article, tuple[ArticleWarning, ...]]]

__all__ = ["abuild", "build"]

TARGET_TOKENS: Final = 256
"""Passages are filled up to about so many tokens of the encoder, title and headings included."""


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
    sentences: bool | None = None,
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
    sentences
        Whether to encode every sentence, so that a snippet is chosen by its meaning; that takes as long as encoding the
        passages. By default up to 200,000 passages.
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
    recipe = _recipe(model, weights, default_lang, models, rules, str(sentences))

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
        stamps = Stamps(store.stamps, Path(articles), time.time_ns())
        sources, warnings = scan(Path(articles))
        if not sources:  # a wrong path, most often
            message = "there is no article in this folder; the index is empty now. Is it the right folder?"
            warnings.append(ArticleWarning(str(articles), 0, "no-articles", message))
        digests = _digests(sources, stamps, tell, full=full)
    with store.writing() as draft:
        with clock.stage("compare"):
            published = open_published(store)
        job = _Job(
            draft, model, encoder, models, recipe, weights, rules, sentences, parse, tell, clock,
            Meter(model.count_tokens).cost,
        )  # fmt: skip
        names = _compare(digests, {} if published is None else published.files)
        done: _Done | None = None
        if full:  # the report still says what changed; nothing is taken over
            store.journal.unlink(missing_ok=True)
        elif published is not None and (published.recipe, published.encoder) == (recipe, encoder):
            same = not any(names[how] for how in ("added", "changed", "removed")) and published.aside == set(warnings)
            if same and not published.generation.damage():
                store.journal.unlink(missing_ok=True)
                stamps.save(digests)
                return _unchanged_report(store, published, names, clock)
            touched = {*names["added"], *names["changed"], *names["removed"]}
            done = None if same else job.amend(published, touched, sources, digests, warnings)
        if done is None:
            previous = Previous() if full else load_previous(published, recipe)
            done = job.whole(previous, sources, digests, warnings)
        stamps.save(digests)
        return _report(store, names, done, clock)


abuild = twin(build, BUILDS)


@dataclass(frozen=True, slots=True)
class _Done:
    """What was published."""

    generation: str
    manifest: Mapping[str, Any]
    warnings: Sequence[ArticleWarning]
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Job:
    """What a build is made with, whatever it finds."""

    draft: Draft
    model: Encoder
    encoder: str
    models: Models
    recipe: Recipe
    weights: Weights
    rules: Rules
    sentences: bool | None
    parse: _Parse
    tell: Progress
    clock: _Clock
    cost_of: Callable[[str], int]

    def whole(
        self, previous: Previous, sources: Sequence[Source], digests: dict[str, str], warnings: list[ArticleWarning]
    ) -> _Done:
        """Everything anew, but what need not be computed again."""
        draft, model, tell, clock = self.draft, self.model, self.tell, self.clock
        # 2. Files to articles; damaged ones become warnings.
        with clock.stage("parse"):
            articles, found = _parse_all(sources, digests, previous, self.parse, tell)
            warnings = [*warnings, *found]
        with clock.stage("follow"):
            record = self._record(articles)
        # 3. Articles to rows; texts seen before keep their vectors, the others are encoded meanwhile.
        rows, journal = make_rows(articles), self._journal()
        known = Known(model.dimension, [journal.known, *previous.vectors])
        reused = sum(row.key in known for row in rows)
        coded = Known(model.dimension, [journal.known, *previous.vectors, *previous.coded_vectors])
        quotable = self._quotable(rows, articles, draft.files)
        with Encoding(Texts(rows, articles, coded), model, known, journal, (quotable, coded)) as encoding:
            # 4. All that needs no vector to disk; what is written is let go of, terms as soon as a row has them.
            with clock.stage("write"):
                written = Written(articles, rows, translation_groups(articles), Amended())
                write_texts(draft.files, written, digests, warnings, record, self.cost_of)
                draft.files.synonyms.write_text(json.dumps(self.rules, ensure_ascii=False), "utf-8")
                counts, written = _counts(articles, rows), written.without_sources()
                del articles
                previous.articles.clear()
            with clock.stage("analyse"):
                write_terms(draft.files, written, self.weights, tell)
            with clock.stage("encode"):
                encoding.finish(tell)
        # 5. The vectors to disk.
        with clock.stage("write"):
            tell("write", 0, 1)
            quotable.write_vectors(coded, model.dimension)
            dense, statistics = write_dense(draft.files, written, known, coded, model.dimension)
            heads = [head_of(article) for article in written.articles]
            titled = Titled(heads, map_vectors(draft.files.title_vectors), np.array(written.groups, np.int32))
            write_related(draft.files.related, titled, self.cost_of)
            manifest = {
                "fingerprints": asdict(self.recipe),
                "encoder": {"name": self.encoder, "dimension": model.dimension},
                "counts": counts,
                "dense": asdict(dense),
                "handles": record.counts(),
                **statistics,
            }
            tell("write", 1, 1)
        # 6. How far may its answers be believed?
        with clock.stage("calibrate"):
            manifest["calibration"] = self._calibrate(manifest, written, known, journal)
        # 7. The pointer over to it.
        return self._publish(manifest, journal, warnings, (encoding.new, encoding.more), reused)

    def _record(self, articles: Sequence[Article]) -> Record:
        """The names of the sections, from those of the newest generation that can be read."""
        heritage = find_heritage(self.draft.store)
        if heritage is None:
            return Record()
        paths = heritage.changed_paths(articles, self.recipe.parser)
        pages = [page_of(article) for article in articles if article.path in paths]
        return heritage.record_for(pages, paths, self.draft.name)

    def amend(
        self,
        published: Published,
        changed: set[str],
        sources: Sequence[Source],
        digests: dict[str, str],
        warnings: list[ArticleWarning],
    ) -> _Done | None:
        """What changed since the last whole build, beside that; None when a whole one is better.

        ``changed`` are the files that are not what they were in the last build of all.
        """
        try:
            with published.generation.blamed():
                amended = self._amended(published, changed, sources, digests, warnings)
        except IndexCorrupt:  # a whole build takes nothing over from it
            self.draft.clear()
            return None
        return None if amended is None else self._publish(*amended)

    def _amended(
        self,
        published: Published,
        changed: set[str],
        sources: Sequence[Source],
        digests: dict[str, str],
        warnings: list[ArticleWarning],
    ) -> tuple[dict[str, Any], Journal, list[ArticleWarning], tuple[int, int], int] | None:
        draft, clock, tell = self.draft, self.clock, self.tell
        with clock.stage("compare"):
            plan = plan_delta(published, digests)
            if plan is None or published.generation.damage(of_delta=True):  # it would get checksums of its own
                return None
        touched = set(plan.touched)
        with clock.stage("parse"):
            some = [source for source in sources if source.path in touched]
            articles, found = _parse_all(some, digests, Previous(), self.parse, tell)
            checked = plan.check(articles, [*warnings, *found])
        if checked is None:
            return None
        with clock.stage("follow"):
            heritage = Heritage(published.content, Record(published.content.record()))
            record = heritage.record_for(plan.pages(articles, changed), changed, draft.name)
        journal, new, missing = self._journal(), (0, 0), 0

        def encode(rows: Sequence[Row], articles: Sequence[Article]) -> tuple[Known, Known]:
            nonlocal new, missing
            files, dimension = draft.files.delta, self.model.dimension
            with clock.stage("encode"):
                vectors = plan.vectors()
                known = Known(dimension, [journal.known, *vectors])
                missing = sum(row.key not in known for row in rows)
                coded = Known(dimension, [journal.known, *vectors, *plan.coded_vectors()])
                quotable = self._quotable(rows, articles, files, published.files_of_base)
                texts = Texts(rows, articles, coded)
                new = encode_texts(texts, self.model, known, journal, tell, (quotable, coded))
                quotable.write_vectors(coded, dimension)
            return known, coded

        with clock.stage("write"):
            files = draft.build_on(published.generation)
            manifest = plan.write(files, articles, self.weights, digests, checked, record, encode, self.cost_of, tell)
        return manifest, journal, checked, new, manifest["counts"]["passages"] - missing

    def _quotable(
        self, rows: Sequence[Row], articles: Sequence[Article], files: Files, base: Files | None = None
    ) -> Quotable:
        """What may be quoted; a delta's sentences are encoded if those of its base are."""
        if base is not None:
            has_vectors = base.quotes.joinpath("codes.npy").exists()
        else:
            has_vectors = len(rows) <= MOST_ROWS if self.sentences is None else self.sentences
        return Quotable(rows, articles, QuoteWriter(files.quotes), self.cost_of, has_vectors=has_vectors)

    def _journal(self) -> Journal:
        return Journal(self.draft.journal, self.model.fingerprint, self.model.dimension)

    def _publish(
        self,
        manifest: dict[str, Any],
        journal: Journal,
        warnings: list[ArticleWarning],
        encoded: tuple[int, int],
        reused: int,
    ) -> _Done:
        with self.clock.stage("publish"):
            generation = self.draft.publish(manifest)
            journal.discard()
        return _Done(generation, manifest, warnings, {"encoded": encoded[0], "reused": reused, "sentences": encoded[1]})

    def _calibrate(
        self,
        manifest: dict[str, Any],
        written: Written,
        known: Known,
        journal: Journal,
    ) -> dict[str, Any]:
        """See :mod:`kbsearch.calibration`; keeps the vectors that it needs for the next build."""
        used: dict[str, FloatArray] = {}

        def encode(texts: Mapping[str, str]) -> Mapping[str, FloatArray]:
            encode_texts(texts, self.model, known, journal, self.tell)
            used.update(zip(texts, known.stacked(list(texts)), strict=True))
            return used

        generation = self.draft.unfinished(manifest)
        snapshot = Snapshot(generation, self.model)
        articles, rows = written.articles, written.rows
        calibration = calibrate(snapshot, self.models, articles, rows, self.weights, encode, self.tell)
        generation.close()
        matrix = np.stack(list(used.values())) if used else np.empty((0, self.model.dimension), dtype=np.float32)
        with self.draft.files.probes.open("wb") as target:
            np.savez(target, keys=np.array(list(used), dtype="U64"), vectors=matrix)
        return calibration


def _report(store: Store, names: dict[str, tuple[str, ...]], done: _Done, clock: _Clock) -> BuildReport:
    return BuildReport(
        index=str(store.root), generation=done.generation, published=True, **names,
        warnings=sorted_warnings(done.warnings),
        counts={**done.manifest["counts"], **done.counts},
        calibration=done.manifest["calibration"], timings=clock.done(), handles=done.manifest["handles"],
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


def _counts(articles: Sequence[Article], rows: Sequence[Row]) -> dict[str, int]:
    served = sum(article.status == "published" for article in articles)
    return {"articles": len(articles), "served": served, "passages": len(rows)}


def _recipe(
    model: Encoder, weights: Weights, default_lang: str, models: Models, rules: Rules, sentences: str
) -> Recipe:
    return Recipe(
        parser=f"{VERSION} target {TARGET_TOKENS}",
        analyser=f"{fingerprint()} units/{UNITS}",
        encoder=model.fingerprint,
        weights=" ".join(f"{name} {value}" for name, value in asdict(weights).items()),
        languages=default_lang,
        models=models.fingerprint,
        synonyms=hashlib.sha256(json.dumps(rules).encode()).hexdigest()[:16] if rules else "none",
        sentences=sentences,
    )


def _digests(sources: Sequence[Source], stamps: Stamps, tell: Progress, *, full: bool) -> dict[str, str]:
    """SHA-256 of each source, and of the complaint about one that cannot be read."""
    digests: dict[str, str] = {}
    for done, source in enumerate(sources, start=1):
        try:
            known = None if full else stamps.sha256(source)
            digests[source.path] = known or read_source(source, MAX_BYTES)[1]
            stamps.note(source, digests[source.path])
        except ArticleError as error:  # reported when it is to be parsed
            digests[source.path] = _digest_of(error)
        tell("scan", done, len(sources))
    return digests


def _digest_of(error: ArticleError) -> str:
    return hashlib.sha256(str(error).encode()).hexdigest()


def _compare(now: dict[str, str], then: dict[str, str]) -> dict[str, tuple[str, ...]]:
    return {
        "added": tuple(sorted(now.keys() - then.keys())),
        "changed": tuple(sorted(path for path in now.keys() & then.keys() if now[path] != then[path])),
        "removed": tuple(sorted(then.keys() - now.keys())),
        "unchanged": tuple(sorted(path for path in now.keys() & then.keys() if now[path] == then[path])),
    }


def _unchanged_report(
    store: Store, published: Published, names: dict[str, tuple[str, ...]], clock: _Clock
) -> BuildReport:
    manifest = published.manifest
    counts = {**manifest["counts"], "encoded": 0, "reused": manifest["counts"]["passages"], "sentences": 0}
    return BuildReport(
        index=str(store.root), generation=published.generation.name, published=False, **names,
        warnings=sorted_warnings(published.warnings), counts=counts, calibration=manifest["calibration"],
        timings=clock.done(), handles=manifest["handles"],
    )  # fmt: skip


def _parse_all(
    sources: Sequence[Source],
    digests: dict[str, str],
    previous: Previous,
    parse: _Parse,
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


def _fatal(error: ArticleError) -> ArticleWarning:
    return ArticleWarning(error.path, error.line, "unreadable", error.reason, fatal=True)


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
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - start

    def done(self) -> dict[str, float]:
        return {**self._seconds, "total": time.perf_counter() - self._start}
