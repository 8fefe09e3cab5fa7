"""The open parts of one generation, as a question needs them.

Immutable, so that any number of threads may search in one snapshot while a newer one takes its place. What costs
something to open (the vectors, the encoder) is opened by the first question that needs it.

Never: keep anything of a question here but what the next one would compute again: query vectors and filter masks.
"""

from __future__ import annotations

import datetime as dt
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from kbsearch.content import Content
from kbsearch.embed import load_encoder
from kbsearch.errors import IndexIncompatible
from kbsearch.lexical import LexicalIndex
from kbsearch.text import fingerprint
from kbsearch.vector import DenseReport, VectorIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kbsearch.model import Encoder, Filter, FloatArray
    from kbsearch.store import Generation

__all__ = ["Snapshot", "today"]


class Snapshot:
    """See the module.

    Raises
    ------
    IndexIncompatible
        When this installation would cut words, or later encode, otherwise than the build did.
    """

    def __init__(self, generation: Generation) -> None:
        found = generation.manifest["fingerprints"]["analyser"]
        if found != fingerprint():
            raise IndexIncompatible("text analyser", found, fingerprint())
        self.generation = generation
        self.content = Content(generation.files.content)
        self.lexical = LexicalIndex(generation.files.lexical)
        self.admitted = lru_cache(maxsize=64)(self._admitted)
        self.encode = lru_cache(maxsize=1024)(self._encode)
        self.out_of_date = lru_cache(maxsize=4)(self._out_of_date)

    @cached_property
    def article_of_row(self) -> NDArray[np.int32]:
        """Article number of each row."""
        column: NDArray[np.int32] = np.load(self.generation.files.article_column, mmap_mode="r", allow_pickle=False)
        return column

    @cached_property
    def vectors(self) -> VectorIndex:
        """The dense leg; a lexical question never opens it."""
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

    def _encode(self, text: str) -> FloatArray:
        return self.encoder.encode_query(text)

    def out_of_date_today(self) -> tuple[int, ...]:
        """Numbers of the published articles that are not valid today."""
        return self.out_of_date(today())

    def _out_of_date(self, day: dt.date) -> tuple[int, ...]:
        """Numbers of the published articles that are not valid on a day."""
        today = day.isoformat()
        return tuple(
            number
            for number, first, last in self.content.validity()
            if (first is not None and today < first) or (last is not None and today > last)
        )

    def _admitted(self, where: Filter, excluded: tuple[int, ...]) -> NDArray[np.bool_] | None:
        """Rows that may answer, bool of shape (rows,); None when all may."""
        if not where and not excluded:
            return None
        articles = np.ones(self.generation.manifest["counts"]["articles"], dtype=bool)
        if where:
            articles[:] = False
            articles[list(self.content.articles_matching(where))] = True
        articles[list(excluded)] = False
        mask: NDArray[np.bool_] = articles[self.article_of_row]
        return mask


def today() -> dt.date:
    """The day by which validity is judged, in the machine's own time zone."""
    return dt.datetime.now().astimezone().date()
