"""A question as the legs see it: cleaned of courtesy, mended, in one wording or several, analysed and encoded.

A question is asked in one wording; where it holds a slip also as it stands, and with the synonyms of its words.

Use: ``query = prepare(snapshot, question, mode)``.

Never: look into the index but for its words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Final

from kbsearch import structures
from kbsearch.courtesy import without_courtesy
from kbsearch.errors import EncoderUnavailable, IndexIncompatible
from kbsearch.features import JAPANESE_QUESTION
from kbsearch.laps import Laps
from kbsearch.rank import WORDS_ONLY, Mode
from kbsearch.synonyms import MAX_WORDINGS
from kbsearch.text import analyse, japanese_share
from kbsearch.wording import mend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kbsearch.lexical import Asked
    from kbsearch.model import FloatArray
    from kbsearch.pooling import ByWords
    from kbsearch.snapshot import Snapshot

__all__ = ["MAX_QUERY_CHARS", "Query", "Wording", "prepare"]

MAX_QUERY_CHARS: Final = 10_000
"""A longer question is read up to here."""


@dataclass(frozen=True, slots=True)
class Wording:
    """One way to put a question, analysed once and encoded once. ``vector`` is None when the dense leg is not asked.

    ``japanese`` is the share of Japanese characters in it; ``asked`` are its terms as the snapshot knows them.
    """

    text: str
    words: tuple[str, ...]
    grams: tuple[str, ...]
    vector: FloatArray | None
    japanese: float
    asked: Asked

    @property
    def asks_japanese(self) -> bool:
        """Whether it counts as Japanese."""
        return self.japanese > JAPANESE_QUESTION


@dataclass(frozen=True, slots=True)
class Query:
    """A question in every wording that it is asked in; a candidate has, from each leg, the best score of them.

    The first wording is the question as it was understood; ``understood`` says so where a slip was mended in it.
    ``ways`` are the wordings as the compiled part reads them.
    """

    text: str
    wordings: tuple[Wording, ...]
    understood: str | None = None
    ways: structures.Ways = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ways", _ways(self.wordings))


def prepare(
    snapshot: Snapshot, question: str, mode: Mode, laps: Laps | None = None, by_words: ByWords | None = None
) -> Query:
    """Analyse and encode a question. Without a letter or digit it has no terms and no vector.

    ``by_words`` is begun between the two.
    """
    laps = laps or Laps()
    text = without_courtesy(question[:MAX_QUERY_CHARS])
    mended = _mended(snapshot, text, mode)
    texts = [text] if mended is None else [mended, text]
    replaced = [way[:MAX_QUERY_CHARS] for way in chain(*zip_longest(*map(snapshot.synonyms.wordings, texts))) if way]
    texts += list(dict.fromkeys(replaced))[:MAX_WORDINGS]
    analysed = [(way, *_analysed(snapshot, way)) for way in texts]
    laps.end("analyse")
    if by_words is not None:
        by_words.begin([asked.terms for *_, asked in analysed])
        laps.end("lexical")
    wordings = []
    for way, words, grams, japanese, asked in analysed:
        vector = snapshot.encode(way) if (words or grams) and mode not in WORDS_ONLY else None
        wordings.append(Wording(way, words, grams, vector, japanese, asked))
    laps.end("encode")
    return Query(question, tuple(wordings), mended)


def _mended(snapshot: Snapshot, text: str, mode: Mode) -> str | None:
    try:
        return mend(text, snapshot.vocabulary, snapshot.pieces, snapshot.sound)
    except (EncoderUnavailable, IndexIncompatible):
        if mode in WORDS_ONLY:  # does without an encoder
            return None
        raise


def _analysed(snapshot: Snapshot, text: str) -> tuple[tuple[str, ...], tuple[str, ...], float, Asked]:
    analysis = analyse(text)
    words, grams = analysis.words.terms, analysis.grams.terms
    return words, grams, japanese_share(text), snapshot.asked(words, grams)


def _ways(wordings: Sequence[Wording]) -> structures.Ways:
    first = wordings[0].asked
    return structures.Ways([
        structures.Way(
            way.asked.terms, way.vector,
            (_in_units(first.words_ceiling, way.asked.words_ceiling),
             _in_units(first.grams_ceiling, way.asked.grams_ceiling)),
        )
        for way in wordings
    ])  # fmt: skip


def _in_units(first: float, other: float) -> float:
    """By what BM25 of another wording is multiplied to be compared with that of the first; 0 where it cannot be."""
    return first / other if first > 0 and other > 0 else 0
