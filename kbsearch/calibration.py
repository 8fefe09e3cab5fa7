"""A build questions its own articles, to learn how far its confidence can be believed on them.

Titles, headings (the questions of FAQ units among them) and aliases are asked as questions, each with itself withheld
from its article, so that the answer must be found in the rest, and some also with the whole article withheld, so that
there is no answer. A few questions about other things altogether are asked too. What the models of
:mod:`kbsearch.confidence` say is then laid beside what came true, and a :class:`~kbsearch.confidence.Calibration` is
fitted that brings both together.

A text asked with itself withheld is harder to answer than what customers ask, in every knowledge base. How much harder
was measured where there are judged questions (``typical`` of the model), so only what these articles have beyond that
corrects the confidence; and a prior holds the fit near the typical one, since a few dozen questions may not overturn
what was learnt from thousands.

Use: ``calibrate(snapshot, models, articles, rows, weights, encode)`` on the finished parts of a build; the result goes
into the manifest. A knowledge base with too few such questions keeps the shipped probabilities, and the result says so.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass, replace
from importlib import resources
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from kbsearch.bm25 import BM25_B, BM25_K1, STREAMS, quantised_length, term_id
from kbsearch.confidence import CHOICES, Calibration
from kbsearch.embed import text_key
from kbsearch.measures import expected_calibration_error, reliability
from kbsearch.model import Filter
from kbsearch.pooling import POOL, candidates, scored
from kbsearch.query import prepare
from kbsearch.rank import Overlap
from kbsearch.retrieve import judged
from kbsearch.text import analyse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from kbsearch.bm25 import Stream
    from kbsearch.learned import Models
    from kbsearch.model import Article, FloatArray, Progress, Weights
    from kbsearch.query import Query
    from kbsearch.rank import Candidates
    from kbsearch.rows import Row
    from kbsearch.snapshot import Snapshot

__all__ = ["calibrate"]

_Field = Literal["title", "heading", "alias"]

_FEWEST: Final = 40  # questions of its own; below, the shipped calibration stands
_MOST: Final = 120
_SEVERAL: Final = -1  # articles
_LEAST_TERMS: Final = 2
_EDITED_ROWS: Final = 3  # of an article whose text changes by what is withheld
_EVERY_REMOVED: Final = 3  # so many questions have one that is also asked without its article
_EVERY_FOREIGN: Final = 10  # and one about something else
_PRIOR: Final = 100.0
_NEWTON_STEPS: Final = 30
_SETTLED: Final = 1e-6
_SLOTS: Final = {"title": (0, 2), "heading": (2, 4)}  # of kbsearch.tokens


@dataclass(frozen=True, slots=True)
class _Probe:
    """A text of an article, to be asked as a question."""

    text: str
    article: int
    field: _Field


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Log-odds of both heads, and what came true."""

    log_odds: tuple[float, float]
    true: tuple[bool, bool]


def calibrate(
    snapshot: Snapshot,
    models: Models,
    articles: Sequence[Article],
    rows: Sequence[Row],
    weights: Weights,
    encode: Callable[[Mapping[str, str]], Mapping[str, FloatArray]],
    tell: Progress,
) -> dict[str, Any]:
    """Question the articles and fit the calibration.

    Parameters
    ----------
    snapshot
        The parts of the build.
    articles, rows
        As they were indexed, by number.
    weights
        How often the terms of each part were counted.
    encode
        Gives the vectors, by :func:`kbsearch.embed.text_key`, of texts by that key.
    tell
        Told of the stage ``calibrate``.

    Returns
    -------
    dict
        ``basis`` (``"own"`` or ``"shipped"``), ``questions``, ``first`` and ``few`` (slope and shift, as
        :meth:`Calibration.probability` applies them). An own one also has what fits the questions asked by themselves
        (``asked``), and for the first article and these questions the expected calibration error (``ece``) and the
        ``reliability`` table, a row a bin: mean confidence, share right, questions.
    """
    probes = _probes(articles, rows)
    if len(probes) < _FEWEST:
        shipped = asdict(Calibration())
        return {"basis": "shipped", "questions": len(probes), "first": shipped, "few": shipped}
    bench = _Bench(snapshot, models, articles, rows, weights)
    vectors = encode({text_key(text): text for probe in probes for _, text in bench.edited_texts(probe)})
    outcomes: list[_Outcome] = []
    for done, probe in enumerate(probes, start=1):
        outcomes += bench.ask(probe, vectors, removed=done % _EVERY_REMOVED == 0)
        tell("calibrate", done, len(probes))
    outcomes += bench.ask_foreign(len(probes) // _EVERY_FOREIGN)
    found: dict[str, Any] = {"basis": "own", "questions": len(probes), "asked": {}}
    for place, name in enumerate(("first", "few")):
        odds = np.array([outcome.log_odds[place] for outcome in outcomes])
        true = np.array([outcome.true[place] for outcome in outcomes], dtype=np.float64)
        typical = models.confidence.typical[name]
        found["asked"][name] = asdict(_fit(odds, true, typical, 1.0))
        fitted = _fit(odds, true, typical, _PRIOR)
        found[name] = asdict(fitted.beyond(typical))
        if name == "first":
            sure = [fitted.probability(value) for value in odds]
            found["ece"] = round(expected_calibration_error(sure, true), 4)
            found["reliability"] = [[round(value, 4) for value in one_bin] for one_bin in reliability(sure, true)]
    return found


def _probes(articles: Sequence[Article], rows: Sequence[Row]) -> list[_Probe]:
    """What can be asked, a fixed sample of it: the same articles give the same questions."""
    owners: dict[_Field, dict[str, int]] = {"title": {}, "heading": {}, "alias": {}}

    def note(field: _Field, text: str, article: int) -> None:
        if owners[field].setdefault(text, article) != article:
            owners[field][text] = _SEVERAL

    for row in rows:
        article = articles[row.article]
        if row.alias:
            note("alias", row.alias, row.article)
        else:
            note("title", article.title, row.article)
            if row.passage.headings and row.passage.headings[-1] != article.title:
                note("heading", row.passage.headings[-1], row.article)
    asking = [_asking(field, found, articles) for field, found in owners.items()]
    in_turn = (probe for turn in zip_longest(*asking) for probe in turn if probe is not None)
    return list(islice(in_turn, _MOST))


def _asking(field: _Field, owners: Mapping[str, int], articles: Sequence[Article]) -> Iterator[_Probe]:
    """Texts that one article alone has and that say enough, in an order that has to do with each text alone."""
    single = [text for text, article in owners.items() if article != _SEVERAL]
    single.sort(key=lambda text: hashlib.sha256(f"{field} {text}".encode("utf-8", "replace")).digest())
    probes = (_Probe(text, owners[text], field) for text in single)
    return (probe for probe in probes if _asks(probe, articles[probe.article]))


def _asks(probe: _Probe, article: Article) -> bool:
    """Whether a text says enough to be a question, and is not the name of its file."""
    stem = article.path.rpartition("/")[2].rpartition(".")[0]
    return len(set(analyse(probe.text).words.terms)) >= _LEAST_TERMS and probe.text != stem


class _Bench:
    """Asks probes of the finished parts, and of what these would be without the text that is asked."""

    def __init__(
        self, snapshot: Snapshot, models: Models, articles: Sequence[Article], rows: Sequence[Row], weights: Weights
    ) -> None:
        self._snapshot, self._models, self._articles, self._rows = snapshot, models, articles, rows
        self._weights: dict[_Field, int] = {
            "title": weights.title, "heading": weights.heading, "alias": weights.alias
        }  # fmt: skip
        self._mean_length: dict[Stream, float] = dict(zip(STREAMS, snapshot.tokens.mean_lengths, strict=True))

    def _rows_of(self, article: int) -> range:
        """Numbers of the rows of an article, which stand one behind the other."""
        first, last = np.searchsorted(self._snapshot.article_of_row, (article, article + 1)).tolist()
        return range(first, last)

    def edited_texts(self, probe: _Probe) -> list[tuple[int, str]]:
        """Rows of the article whose vector changes when the probe's text is withheld, with what is left of them."""
        if probe.field == "alias":
            return []
        left = []
        for number in self._rows_of(probe.article):
            row = self._rows[number]
            passage = row.passage
            if row.alias or (probe.field == "heading" and probe.text not in passage.headings):
                continue
            title = "" if probe.field == "title" else passage.title
            heads = " > ".join(head for head in passage.headings if head != probe.text)
            left.append((number, "\n".join(part for part in (title, heads, passage.text) if part)))
        return left[:_EDITED_ROWS]

    def ask(self, probe: _Probe, vectors: Mapping[str, FloatArray], *, removed: bool) -> Iterator[_Outcome]:
        """The probe with its text withheld, and perhaps with its article withheld; a translation takes no part."""
        query = prepare(self._snapshot, probe.text, "hybrid")
        where = Filter(lang=(self._articles[probe.article].lang,))
        pooled = candidates(self._snapshot, query, where, POOL, without=(probe.article,))
        yield self._judge(query, self._with_rest(probe, query, pooled, vectors), probe)
        if removed:
            yield self._judge(query, pooled, None)

    def ask_foreign(self, count: int) -> Iterator[_Outcome]:
        """Questions about other things, as many of each language as of the other."""
        questions = resources.files("kbsearch").joinpath("foreign_questions.txt").read_text("utf-8").splitlines()
        for question in questions[:: max(1, len(questions) // count)]:
            query = prepare(self._snapshot, question, "hybrid")
            pooled = candidates(self._snapshot, query, Filter(), POOL)
            yield self._judge(query, pooled, None)

    def _with_rest(
        self, probe: _Probe, query: Query, pooled: Candidates, vectors: Mapping[str, FloatArray]
    ) -> Candidates:
        """The pool with the probe's article in it as it would be without the probe's text."""
        edited = {number: text_key(text) for number, text in self.edited_texts(probe)}
        kept = [
            number
            for number in self._rows_of(probe.article)
            if number in edited
            or (probe.field != "title" and self._rows[number].alias != probe.text and not self._carries(number, probe))
        ]
        rows = np.array(kept, dtype=np.int64)
        way = query.wordings[0]
        if way.vector is None:
            raise AssertionError("a probe has terms, and so a vector")
        added = scored(self._snapshot, query, rows)
        dense, overlap = added.dense, added.overlap
        if pooled.overlap is None or overlap is None:
            raise AssertionError("scored rows have an overlap")
        for place, number in enumerate(kept):
            if number in edited:
                dense[place] = float(vectors[edited[number]] @ way.vector)
        if probe.field in _SLOTS:
            without = [p for p, n in enumerate(kept) if n in edited and self._in_slot(n, probe)]
            first, last = _SLOTS[probe.field]
            for share in (overlap.cover, overlap.reverse):
                share[without, first:last] = 0
        return replace(
            pooled,
            rows=np.concatenate([pooled.rows, rows]),
            words=np.concatenate([pooled.words, self._bm25("words", way.words, kept, probe)]),
            grams=np.concatenate([pooled.grams, self._bm25("grams", way.grams, kept, probe)]),
            dense=np.concatenate([pooled.dense, dense]),
            overlap=Overlap(
                np.concatenate([pooled.overlap.cover, overlap.cover]),
                np.concatenate([pooled.overlap.reverse, overlap.reverse]),
            ),
        )

    def _heading_of(self, probe: _Probe) -> int:
        """The number of the heading that is the probe's text, which this article alone has; -1 where there is none."""
        rows = (number for number in self._rows_of(probe.article) if self._rows[number].heading == probe.text)
        row = next(rows, -1)
        return -1 if row < 0 else int(self._snapshot.parts.headings[0].numbers[row])

    def _carries(self, number: int, probe: _Probe) -> bool:
        """Whether the row stands below the heading that is withheld; more of them than are edited take no part."""
        row = self._rows[number]
        return probe.field == "heading" and row.alias == "" and probe.text in row.passage.headings

    def _in_slot(self, number: int, probe: _Probe) -> bool:
        """Whether the slot of the probe's field has its text; that of the headings has the last one only."""
        return probe.field == "title" or probe.text in self._rows[number].passage.headings[-1:]

    def _times(self, row: Row, probe: _Probe) -> int:
        """How often the terms of the probe's text were counted in a row as what they are there."""
        if row.alias:
            return 0
        headings = row.passage.headings.count(probe.text) * self._weights["heading"]
        return headings if probe.field == "heading" else self._weights[probe.field]

    def _bm25(self, stream: Stream, terms: Sequence[str], rows: Sequence[int], probe: _Probe) -> FloatArray:
        """BM25 of rows without the terms of the probe's text."""
        analysis = analyse(probe.text)
        withheld = (analysis.words if stream == "words" else analysis.grams).terms
        gone = Counter(term_id(stream, term) for term in withheld)
        asked = [
            (term_id(stream, term), count, self._snapshot.lexical.idf(stream, term))
            for term, count in Counter(terms).items()
        ]
        scores = np.zeros(len(rows), dtype=np.float32)
        for place, number in enumerate(rows):
            row = self._rows[number]
            held = Counter(self._snapshot.tokens.counts(number, stream))
            held -= Counter({term: count * self._times(row, probe) for term, count in gone.items()})
            length = quantised_length(held.total())
            damping = BM25_K1 * (1 - BM25_B + BM25_B * length / (self._mean_length[stream] or 1))
            scores[place] = sum(
                idf * count * held[term] * (BM25_K1 + 1) / (held[term] + damping)
                for term, count, idf in asked
                if held[term] > 0
            )
        return scores

    def _judge(self, query: Query, pooled: Candidates, probe: _Probe | None) -> _Outcome:
        """Rank a pool and see what came true; without a probe nothing can."""
        snapshot = self._snapshot
        if len(pooled.rows) == 0:
            return _Outcome((-10.0, -10.0), (False, False))

        untitled = probe.article if probe is not None and probe.field == "title" else -1
        withheld = self._heading_of(probe) if probe is not None and probe.field == "heading" else -1
        found = judged(snapshot, query, pooled, self._models.forests, untitled, withheld)
        if found.log_odds is None:
            raise AssertionError("models judge a question with a vector")
        ranking = found.numbers[found.order[:CHOICES]].tolist()
        snapshot.parts.let_go()  # the next question is about something else
        answer = None if probe is None else probe.article
        return _Outcome(found.log_odds, (ranking[0] == answer, answer in ranking))


def _fit(odds: np.ndarray, true: np.ndarray, prior: Calibration, weight: float) -> Calibration:
    """Slope and shift of the greatest posterior, by Newton's method; the prior is around those given.

    ``weight`` is the precision of the prior, in squared log-odds.

    The targets are drawn in a little from 0 and 1, as Platt does, so that a clean separation has a finite slope.
    """
    positives, negatives = float(true.sum()), float((1 - true).sum())
    target = np.where(true > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.stack([odds, np.ones_like(odds)])
    mean, precision = np.array([prior.slope, prior.shift]), np.eye(2) * weight
    at = mean.copy()

    def cost(place: NDArray[np.float64]) -> float:
        odds_there = place @ design
        prior_there = weight / 2 * float(np.square(place - mean).sum())
        return float((np.logaddexp(0, odds_there) - target * odds_there).sum()) + prior_there

    for _ in range(_NEWTON_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(at @ design, -50, 50)))
        gradient = design @ (probability - target) + precision @ (at - mean)
        curvature = (design * (probability * (1 - probability))) @ design.T + precision
        step, here = np.linalg.solve(curvature, gradient), cost(at)
        while cost(at - step) > here and float(np.abs(step).max()) > _SETTLED:
            step = step / 2  # Newton's steps may lead beyond the valley
        at = at - step
        if float(np.abs(step).max()) < _SETTLED:
            break
    return Calibration(slope=round(max(float(at[0]), 0.05), 6), shift=round(float(at[1]), 6))
