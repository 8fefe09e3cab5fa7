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

import numpy as np

from kbsearch.columns import load_column
from kbsearch.content import Content
from kbsearch.embed import load_encoder
from kbsearch.errors import IndexCorrupt, IndexIncompatible
from kbsearch.fields import SLOTS, FieldIndex
from kbsearch.lexical import LexicalIndex
from kbsearch.synonyms import Synonyms
from kbsearch.text import fingerprint
from kbsearch.vector import DenseReport, VectorIndex, map_vectors
from kbsearch.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from numpy.typing import NDArray

    from kbsearch.model import Encoder, Filter, FloatArray
    from kbsearch.store import Generation

__all__ = ["Snapshot", "today"]

_Value = TypeVar("_Value")
_SAMPLE: Final = 300


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
        found = generation.manifest["fingerprints"]["analyser"]
        if found != fingerprint():
            raise IndexIncompatible("text analyser", found, fingerprint())
        self.generation = generation
        self.content = Content(generation.files.content, generation.check_present)
        with generation.blamed():
            self.lexical = LexicalIndex(generation.files.lexical)
        self._memory = _Memory(1024)
        self._masks = _Memory(32)  # a bool for each row: a thousand of them would be a gigabyte at a million rows

    @cached_property
    def article_of_row(self) -> NDArray[np.int32]:
        """Article number of each row."""
        self.generation.check_present()
        counts = self.generation.manifest["counts"]
        column = load_column(self.generation.files.article_column, np.int32, counts["passages"])
        if len(column) and not (column.min() >= 0 and column.max() < counts["articles"]):
            raise IndexCorrupt(self.generation.files.article_column, "article numbers", "others")
        return column

    @cached_property
    def is_japanese(self) -> NDArray[np.bool_]:
        """Whether each article is Japanese, by number."""
        self.generation.check_present()
        articles = self.generation.manifest["counts"]["articles"]
        return load_column(self.generation.files.japanese_column, np.bool_, articles)

    @cached_property
    def group(self) -> NDArray[np.int32]:
        """Number of the article that each is a version of: translations have that of their source."""
        self.generation.check_present()
        articles = self.generation.manifest["counts"]["articles"]
        return load_column(self.generation.files.group_column, np.int32, articles)

    @cached_property
    def fields(self) -> FieldIndex:
        """Terms of title, heading and alias of each row."""
        self.generation.check_present()
        files, rows = self.generation.files, self.generation.manifest["counts"]["passages"]
        offsets = load_column(files.field_offsets, np.int64, rows * len(SLOTS) + 1)
        return FieldIndex(load_column(files.field_terms, np.uint32), offsets)

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
    def title_vectors(self) -> FloatArray:
        """Vectors of the titles by article number, float32 of shape (articles, dimension)."""
        self.generation.check_present()
        vectors = map_vectors(self.generation.files.title_vectors)
        articles = self.generation.manifest["counts"]["articles"]
        if len(vectors) != articles:
            raise IndexCorrupt(self.generation.files.title_vectors, f"{articles} vectors", str(len(vectors)))
        return vectors

    @cached_property
    def japanese_rows(self) -> NDArray[np.bool_]:
        """Whether each row is of a Japanese article."""
        return self.is_japanese[self.article_of_row]

    @cached_property
    def samples(self) -> tuple[FloatArray, FloatArray]:
        """Vectors of some rows spread over the corpus: of articles in another script than Japanese, and of Japanese."""
        chosen = []
        for rows in (np.flatnonzero(~self.japanese_rows), np.flatnonzero(self.japanese_rows)):
            some = rows[np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE), dtype=np.int64)] if len(rows) else rows
            chosen.append(np.ascontiguousarray(self.vectors.vectors[some]))
        return chosen[0], chosen[1]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Words of the knowledge base, for questions with a slip."""
        self.generation.check_present()
        return Vocabulary(self.generation.files.vocabulary)

    @cached_property
    def vectors(self) -> VectorIndex:
        """The dense leg; a lexical question never opens it."""
        self.generation.check_present()
        report = DenseReport(**self.generation.manifest["dense"])
        return VectorIndex(self.generation.files.vectors, self.generation.files.graph, report)

    @cached_property
    def article_ids(self) -> list[str]:
        """Id of each article by number."""
        return self.content.article_ids()

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder that the index was built with."""
        encoder = load_encoder(self.generation.manifest["encoder"]["name"])
        found = self.generation.manifest["fingerprints"]["encoder"]
        if found != encoder.fingerprint:
            raise IndexIncompatible("encoder", found, encoder.fingerprint)
        return encoder

    def encode(self, text: str) -> FloatArray:
        """Vector of a question; one that was asked lately is not encoded again."""
        return self._memory.get(("encode", text), lambda: self.encoder.encode_query(text))

    def pieces(self, word: str) -> int:
        """Into how many pieces the encoder's tokenizer cuts a word that stands behind another; common ones stay one."""
        before = "x " if word.isascii() else "。"
        return self.encoder.count_tokens(before + word) - self.encoder.count_tokens(before)

    def out_of_date_today(self) -> tuple[int, ...]:
        """Numbers of the published articles that are not valid today."""
        day = today().isoformat()
        return self._memory.get(("out of date", day), lambda: self._out_of_date(day))

    def admitted(self, where: Filter, excluded: tuple[int, ...]) -> NDArray[np.bool_] | None:
        """Rows that may answer, bool of shape (rows,); None when all may."""
        if not where and not excluded:
            return None
        return self._masks.get(("admitted", where, excluded), lambda: self._mask(where, excluded))

    def admitted_in_script(
        self, where: Filter, excluded: tuple[int, ...], *, japanese: bool
    ) -> NDArray[np.bool_] | None:
        """Rows of Japanese articles, or of the others, that may answer; None where all articles are of one kind."""
        if not self._two_scripts:
            return None
        return self._masks.get(
            ("script", japanese, where, excluded), lambda: self._in_script(where, excluded, japanese)
        )

    @cached_property
    def _two_scripts(self) -> bool:
        return bool(self.japanese_rows.any() and not self.japanese_rows.all())

    def _in_script(self, where: Filter, excluded: tuple[int, ...], japanese: bool) -> NDArray[np.bool_]:  # noqa: FBT001
        rows: NDArray[np.bool_] = self.japanese_rows == japanese
        mask = self.admitted(where, excluded)
        return rows if mask is None else rows & mask

    def _out_of_date(self, day: str) -> tuple[int, ...]:
        return tuple(
            number
            for number, first, last in self.content.validity()
            if (first is not None and day < first) or (last is not None and day > last)
        )

    def _mask(self, where: Filter, excluded: tuple[int, ...]) -> NDArray[np.bool_]:
        articles = np.ones(self.generation.manifest["counts"]["articles"], dtype=bool)
        if where:
            articles[:] = False
            articles[list(self.content.articles_matching(where))] = True
        articles[list(excluded)] = False
        mask: NDArray[np.bool_] = articles[self.article_of_row]
        return mask


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
    return dt.datetime.now().astimezone().date()
