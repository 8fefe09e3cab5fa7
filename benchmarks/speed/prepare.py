"""From a size or a folder of articles to a :class:`speed.bundle.Bundle`: write, encode or make up, build, ask.

Up to ``real_up_to`` passages the vectors are kbsearch's own. Beyond, :mod:`speed.vectors` makes them around those of a
smaller corpus. Both reach kbsearch through its journal of encoded texts: its build is the real one, less the encoding.

Use: ``bundle, build_figures = prepare(folder, size, ...)``. What is there and fits is taken as it is.

Never: time anything but the build here.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kbsearch.builder import TARGET_TOKENS, build
from kbsearch.embed import load_encoder, text_key
from kbsearch.journal import Journal
from kbsearch.markdown import parse_article
from kbsearch.quotable import MOST_ROWS, sentence_texts
from kbsearch.rows import make_rows
from kbsearch.search import KnowledgeBase
from kbsearch.store import Store
from speed.bundle import DEPTH, Bundle
from speed.corpus import PASSAGES_PER_ARTICLE, VERSION, write_articles
from speed.questions import make_questions
from speed.terms import write_terms
from speed.vectors import VectorMaker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kbsearch.model import Encoder, FloatArray

__all__ = ["Wanted", "prepare", "texts_of"]

_ASKED_FROM: Final = 5000
"""Questions are made of so many passages, spread over the corpus."""

_TEXTS_AT_ONCE: Final = 5000
_INPUTS: Final = ("terms.txt", "vectors.npy", "questions.json", "question_vectors.npy")
"""What the other systems are built and tuned with."""

_EXACT_BLOCK: Final = 50_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to prepare. ``articles`` is a corpus of one's own; otherwise ``size`` passages are made."""

    folder: Path
    size: int
    questions: int
    real_up_to: int
    articles: Path | None = None
    seed: int = 1

    @property
    def key(self) -> dict[str, Any]:
        """What decides the contents of the folder."""
        return {
            "corpus": "own" if self.articles else f"synthetic {VERSION}",
            "size": self.size,
            "questions": self.questions,
            "real vectors": self.articles is not None or self.size <= self.real_up_to,
            "seed": self.seed,
        }


def prepare(wanted: Wanted, *, rebuild: bool = False) -> Bundle:
    """Make the bundle, or take the one that is there; a corpus of one's own is always read again."""
    bundle, made_by = Bundle(wanted.folder), _fingerprint()
    known = (wanted.folder / "bundle.json").exists() and not wanted.articles and not rebuild
    if known and bundle.about["key"] == wanted.key and bundle.about.get("made by") == made_by:
        return bundle
    wanted.folder.mkdir(parents=True, exist_ok=True)
    articles = wanted.articles or wanted.folder / "articles"
    if not wanted.articles:
        _say(f"writing articles for {wanted.size:,} passages")
        shutil.rmtree(articles, ignore_errors=True)
        write_articles(articles, round(wanted.size / PASSAGES_PER_ARTICLE), seed=wanted.seed)
    shutil.rmtree(bundle.index, ignore_errors=True)
    maker, near = (None, 1.0) if wanted.key["real vectors"] else _maker(wanted)
    _fill_journal(wanted, articles, bundle.index, maker)
    _say(f"building kbsearch's index of {articles}")
    report = build(articles, bundle.index)
    kb = KnowledgeBase.open(bundle.index)
    vectors = kb.snapshot.vectors.vectors
    np.save(wanted.folder / "vectors.npy", vectors)
    write_terms(kb, wanted.folder / "terms.txt")
    question_vectors, found = _write_questions(wanted, kb, maker, near)
    np.save(wanted.folder / "question_vectors.npy", question_vectors)
    np.save(wanted.folder / "exact.npy", _exact(question_vectors, vectors))
    about = {
        "key": wanted.key, "passages": len(vectors), "articles": report.counts["articles"],
        "dimension": vectors.shape[1], **found, "made by": made_by,
        "inputs": _digest([wanted.folder / name for name in _INPUTS]),
    }  # fmt: skip
    about["build"] = {"timings": report.timings, "counts": report.counts}
    (wanted.folder / "bundle.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    return Bundle(wanted.folder)


def _fingerprint() -> str:
    """Of kbsearch's own files; when any changes, its index is built again, so that figures are of one version."""
    package = resources.files("kbsearch")
    sources = [file for file in Path(str(package)).rglob("*") if file.suffix in {".py", ".c", ".json"}]
    return _digest(sources)


def _digest(files: Sequence[Path]) -> str:
    found = hashlib.sha256()
    for file in sorted(files):
        with file.open("rb") as source:
            found.update(hashlib.file_digest(source, "sha256").digest())
    return found.hexdigest()[:16]


def _maker(wanted: Wanted) -> tuple[VectorMaker, float]:
    """Made from the largest corpus with real vectors, with the mean cosine of a question and its passage there."""
    folder = wanted.folder.with_name(f"synthetic-{wanted.real_up_to}")
    sample = prepare(Wanted(folder, wanted.real_up_to, wanted.questions, wanted.real_up_to, seed=wanted.seed))
    return VectorMaker(sample.vectors), float(sample.about["question cosine"])


def _fill_journal(wanted: Wanted, articles: Path, index: Path, maker: VectorMaker | None) -> None:
    """Give every text that the build will want to encode its vector, made or real.

    They are kept beside the index, so that a newer kbsearch need not encode the same corpus again.
    """
    encoder = load_encoder()
    index.mkdir(parents=True)
    kept = wanted.folder / "encoded.journal"
    journal = Journal(kept, encoder.fingerprint, encoder.dimension)
    generator = np.random.default_rng(wanted.seed)
    missing: dict[str, str] = {}
    for text in texts_of(articles, encoder, sentences=wanted.size <= MOST_ROWS):
        if (key := text_key(text)) not in journal.known.places:
            missing.setdefault(key, text if maker is None else "")
    _say(f"{len(missing):,} vectors are wanted")
    names = sorted(missing, key=lambda key: len(missing[key])) if maker is None else list(missing)
    for start in range(0, len(names), _TEXTS_AT_ONCE):
        some = names[start : start + _TEXTS_AT_ONCE]
        if maker is None:
            journal.append(some, encoder.encode_passages([missing[key] for key in some]))
        else:
            journal.append(some, maker.passages(generator, len(some)))
    if kept.exists():
        shutil.copyfile(kept, Store(index).journal)


def texts_of(articles: Path, encoder: Encoder, *, sentences: bool = True) -> Iterator[str]:
    """What a build encodes, article by article; the same steps as :func:`kbsearch.builder.build`."""
    for file in sorted(articles.rglob("*.md")):
        article, _ = parse_article(
            file.read_bytes(),
            file.relative_to(articles).as_posix(),
            default_lang="",
            count_tokens=encoder.count_tokens,
            max_tokens=encoder.max_tokens,
            target_tokens=min(TARGET_TOKENS, encoder.max_tokens),
        )
        rows = make_rows([article])
        yield article.title
        yield from (text for row in rows for text in (row.text, row.heading) if text)
        if sentences:
            yield from sentence_texts(article)


class _Recorder:
    """Stands for the encoder while questions are prepared, and notes which wordings it is asked to encode."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.dimension = encoder.dimension
        self.count_tokens = encoder.count_tokens
        self.asked: list[str] = []

    def encode_query(self, text: str) -> FloatArray:
        """Anything of the right shape."""
        self.asked.append(text)
        return np.full(self.dimension, self.dimension**-0.5, dtype=np.float32)


def _write_questions(
    wanted: Wanted, kb: KnowledgeBase, maker: VectorMaker | None, near: float
) -> tuple[FloatArray, dict[str, Any]]:
    """Make and write the questions; returns their vectors and what is to be noted of them."""
    rows = np.unique(np.linspace(0, kb.snapshot.lexical.rows - 1, _ASKED_FROM).astype(int)).tolist()
    shown = kb.snapshot.content.passage_rows(rows)
    passages = [(shown[row].title, shown[row].heading, shown[row].text) for row in rows]
    made = make_questions(passages, wanted.questions)
    encoder = load_encoder()
    recorder = _Recorder(encoder)
    kb.snapshot.encoder = recorder  # type: ignore[assignment]
    stored = []
    for place, text in made:
        recorder.asked.clear()
        query = kb.prepare(text)
        own = query.wordings[1 if query.understood and len(query.wordings) > 1 else 0]  # as it stands, not as mended
        if own.vector is not None:
            stored.append(
                {
                    "text": text, "row": rows[place], "asked": own.text, "wordings": list(recorder.asked),
                    "words": own.words, "grams": own.grams,
                }
            )  # fmt: skip
    beside = kb.snapshot.vectors.vectors[[question["row"] for question in stored]]
    if maker is None:
        vectors: FloatArray = np.stack([encoder.encode_query(question["asked"]) for question in stored])
    else:
        vectors = maker.near(np.random.default_rng(wanted.seed + 1), beside, near)
    (wanted.folder / "questions.json").write_text(json.dumps(stored, ensure_ascii=False, indent=0) + "\n", "utf-8")
    return vectors, {
        "questions": len(stored),
        "questions with a mended wording": sum(len(question["wordings"]) > 1 for question in stored),
        "question cosine": float(np.vecdot(vectors, beside).mean()),
        "mean cosine": kb.snapshot.generation.manifest["cosines"]["mean"],
    }


def _exact(questions: FloatArray, vectors: FloatArray) -> FloatArray:
    """Cosines of the best ``DEPTH`` passages of each question, descending; block by block, to spare memory."""
    best = np.empty((len(questions), 0), dtype=np.float32)
    for start in range(0, len(vectors), _EXACT_BLOCK):
        block = questions @ vectors[start : start + _EXACT_BLOCK].T
        best = -np.sort(-np.concatenate([best, block], axis=1), axis=1)[:, :DEPTH]
    return best


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
