"""The open parts of one generation, as a question needs them.

Immutable, so that any number of threads may search in one snapshot while a newer one takes its place. What costs
something to open (the vectors, the encoder) is opened by the first question that needs it.

Never: keep anything of a question here but what the next one would compute again: query vectors and filter masks.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kbsearch.embed import load_encoder
from kbsearch.errors import IndexCorrupt, IndexIncompatible
from kbsearch.families import Families
from kbsearch.meter import Meter
from kbsearch.parts import Parts
from kbsearch.quotes import VERSION as UNITS
from kbsearch.synonyms import Synonyms
from kbsearch.text import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import numpy as np
    from numpy.typing import NDArray

    from kbsearch.lexical import Asked
    from kbsearch.model import Encoder, Filter, FloatArray
    from kbsearch.quotes import QuoteIndex
    from kbsearch.store import Generation
    from kbsearch.tokens import TokenIndex
    from kbsearch.vector import Restriction, VectorIndex
    from kbsearch.vocabulary import Vocabulary

__all__ = ["Snapshot", "today"]

_Value = TypeVar("_Value")
_PIECES: Final = 100_000
_BEFORE_LATIN: Final = "x "
_BEFORE_KANA: Final = "。"


class Snapshot:
    """See the module. Who has the encoder at hand gives it; otherwise the first question loads it.

    Raises
    ------
    IndexIncompatible
        When this installation would cut words, or later encode, otherwise than the build did.
    """

    def __init__(self, generation: Generation, encoder: Encoder | None = None) -> None:
        if encoder is not None:
            self.encoder = encoder
        found, wanted = generation.manifest["fingerprints"]["analyser"], f"{fingerprint()} units/{UNITS}"
        if found != wanted:
            raise IndexIncompatible("text analyser", found, wanted)
        self.generation = generation
        self.parts = Parts(generation)
        self.content = self.parts.content
        with generation.blamed():
            self.lexical = self.parts.lexical
        self._memory = _Memory(1024)
        self._questions = _Memory(64)
        self._pieces: dict[str, int] = {}
        self.sound: set[Hashable] = set()  # for :func:`kbsearch.wording.mend`
        self._articles = _Memory(32)
        self._masks = _Memory(64)  # a bool for each row: a thousand of them would be a gigabyte at a million rows

    @property
    def article_of_row(self) -> NDArray[np.int32]:
        """Article number of each row."""
        return self.parts.article_of_row

    @property
    def is_japanese(self) -> NDArray[np.bool_]:
        """Whether each article is Japanese, by number."""
        return self.parts.is_japanese

    @property
    def group(self) -> NDArray[np.int32]:
        """Number of the article that each is a version of: translations have that of their source."""
        return self.parts.group

    @cached_property
    def families(self) -> Families:
        """Which articles are versions of one."""
        return Families(self.parts.group)

    @cached_property
    def tokens(self) -> TokenIndex:
        """Terms of each row."""
        return self.parts.tokens

    @cached_property
    def quotes(self) -> QuoteIndex:
        """What of each row may be quoted."""
        return self.parts.quotes

    @cached_property
    def vectors(self) -> VectorIndex:
        """The dense leg; a lexical question never opens it."""
        return self.parts.vectors

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Words of the knowledge base, for questions with a slip."""
        return self.parts.vocabulary

    def asked(self, words: tuple[str, ...], grams: tuple[str, ...]) -> Asked:
        """Terms of a wording, ready to be compared with rows; those of one that was asked lately are kept."""
        return self._questions.get((words, grams), lambda: self.lexical.asked(words, grams))

    @cached_property
    def synonyms(self) -> Synonyms:
        """Words that mean the same here."""
        self.generation.check_present()
        file = self.generation.files.synonyms
        try:
            rules = json.loads(file.read_text("utf-8"))
        except ValueError as error:
            raise IndexCorrupt(file, "rules of synonyms as JSON", str(error)) from error
        return Synonyms(rules)

    @cached_property
    def article_ids(self) -> list[str]:
        """Id of each article by number."""
        return self.content.article_ids()

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Number of each article by id."""
        return {name: number for number, name in enumerate(self.article_ids) if name}

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder that the index was built with."""
        encoder = load_encoder(self.generation.manifest["encoder"]["name"])
        found = self.generation.manifest["fingerprints"]["encoder"]
        if found != encoder.fingerprint:
            raise IndexIncompatible("encoder", found, encoder.fingerprint)
        return encoder

    @cached_property
    def meter(self) -> Meter:
        """What texts cost in tokens of the encoder."""
        return Meter(self.encoder.count_tokens)

    def encode(self, text: str) -> FloatArray:
        """Vector of a question; one that was asked lately is not encoded again."""
        return self._memory.get(("encode", text), lambda: self.encoder.encode_query(text))

    def pieces(self, word: str) -> int:
        """Into how many pieces the encoder's tokenizer cuts a word that stands behind another; common ones stay one.

        Questions are made of the same few thousand short words, so the answers are kept.
        """
        found = self._pieces.get(word)
        if found is None:
            if len(self._pieces) >= _PIECES:
                self._pieces.clear()
            before = _BEFORE_LATIN if word.isascii() else _BEFORE_KANA
            alone = self._pieces.get(before) or self.encoder.count_tokens(before)
            self._pieces[before] = alone
            found = self._pieces[word] = self.encoder.count_tokens(before + word) - alone
        return found

    def out_of_date_today(self) -> tuple[int, ...]:
        """Numbers of the published articles that are not valid today."""
        return self.out_of_date(today())

    def out_of_date(self, on: dt.date) -> tuple[int, ...]:
        """Numbers of the published articles that are not valid on a day."""
        day = on.isoformat()
        return self._memory.get(("out of date", day), lambda: self._out_of_date(day))

    def admitted(self, where: Filter, excluded: tuple[int, ...]) -> Restriction | None:
        """Rows that may answer, for the dense leg; None when all may."""
        rows = self.admitted_rows(where, excluded)
        return None if rows is None else self._masks.get(("near", where, excluded), lambda: self.vectors.restrict(rows))

    def admitted_rows(self, where: Filter, excluded: tuple[int, ...]) -> NDArray[np.bool_] | None:
        """Rows that may answer, bool by number, not to be changed; None when all may that count."""
        if not where and not excluded:
            return None
        return self._masks.get(
            ("rows", where, excluded), lambda: self.admitted_articles(where, excluded)[self.article_of_row]
        )

    def _out_of_date(self, day: str) -> tuple[int, ...]:
        return tuple(
            number
            for number, first, last in self.content.validity()
            if (first is not None and day < first) or (last is not None and day > last)
        )

    def admitted_articles(self, where: Filter, excluded: tuple[int, ...]) -> NDArray[np.bool_]:
        """Articles that may answer, bool by number; not to be changed."""
        return self._articles.get((where, excluded), lambda: self._admit(where, excluded))

    def _admit(self, where: Filter, excluded: tuple[int, ...]) -> NDArray[np.bool_]:
        articles = ~self.parts.removed_articles
        if where:
            articles[:] = False
            articles[list(self.content.articles_matching(where))] = True
        articles[list(excluded)] = False
        return articles


class _Memory:
    """What was asked lately. Holds no reference to its snapshot, so that a generation goes when it is let go."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], _Value]) -> _Value:
        """The remembered value, or a computed one; two threads may compute the same at once."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                found: _Value = self._values[key]
                return found
        value = compute()
        with self._lock:
            self._values[key] = value
            if len(self._values) > self._size:
                self._values.popitem(last=False)
        return value


def today() -> dt.date:
    """The day by which validity is judged, in the machine's own time zone."""
    return dt.date.today()  # noqa: DTZ011 - and in a tenth of the time that a zone takes
