"""Versions of one article in several languages: who reads, which version is shown, and what is said of it.

An answer has each article once. The reader's languages are those asked for, in order; without any, that of the question
where it is clear. Of the versions that may answer (published, valid on the day, admitted by the filter), the first one
that fits is shown; where none fits, the one that ranks best, and it is called a fallback.

Use: ``Choice(snapshot, reader_of(...), where, day)`` for one question, then :meth:`Choice.of` for the places of a
ranking and :meth:`Choice.shown` for what accompanies a hit.

Never: change an order here; an article stands where its best version stands.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from kbsearch.model import Filter
from kbsearch.results import OtherVersion

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from kbsearch.content import Head
    from kbsearch.model import FloatArray, RowArray
    from kbsearch.snapshot import Snapshot

__all__ = ["Choice", "Chosen", "Reader", "Shown", "reader_of"]

_LATIN: Final = "en"  # stands for every language in Latin letters: a few words do not tell which
_OTHER_SCRIPTS: Final = frozenset(
    {"ar", "bg", "el", "fa", "he", "hi", "ja", "ko", "mk", "ru", "sr", "ta", "th", "uk", "ur", "yue", "zh"}
)
_HIRAGANA: Final = re.compile("[ぁ-ゖ]")
_JAPANESE: Final = re.compile("[ァ-ヺ々〆\u3400-\u4dbf\u4e00-\u9fff]")
# A word of prose: refund, Where, TRACKING. E-809, VPN, iPhone, kb-admin and config.yml name a thing in any language.
_PROSE: Final = re.compile(
    r"(?<!\S)[\"'(“‘¿¡]*(?:[A-Za-zÀ-ɏ][a-zß-ɏ]{2,}(?:['’][a-z]+)?|[A-Z]{6,})[.,;:!?\"')”’…]*(?!\S)"
)


class Reader(NamedTuple):
    """Whom an answer is for: languages in order, none when nothing tells.

    ``guessed`` when it was the question that told; then ``en`` stands for any language in Latin letters.
    """

    languages: tuple[str, ...] = ()
    guessed: bool = False

    def reads(self, language: str, lang: str) -> bool:
        """Whether an article in ``lang`` is in one of the reader's languages, ``language``."""
        return lang == language or (self.guessed and language == _LATIN and lang not in _OTHER_SCRIPTS)

    def lacks(self, lang: str) -> str | None:
        """The language that is missing where an article is shown in ``lang``; None if none is."""
        return None if not self.languages or self.reads(self.languages[0], lang) else self.languages[0]


class Chosen(NamedTuple):
    """An article of a ranking: the number of the version that is shown, and the place of the one that ranks best.

    ``shown_at`` is the place of the shown version in the pool, -1 when the pool has none of its rows.
    """

    number: int
    shown_at: int
    ranked_at: int


class Shown(NamedTuple):
    """What accompanies a hit; see :class:`kbsearch.results.Hit` for each."""

    lang: str
    versions: tuple[OtherVersion, ...]
    wanted_lang: str | None
    updated: dt.date | None
    stale_since: dt.date | None


def reader_of(prefer: tuple[str, ...], where: Filter, text: str, *, asks_japanese: bool) -> Reader:
    """Who reads the answer to a question.

    Parameters
    ----------
    prefer
        Languages that were asked for, in order; empty to go by the question.
    where
        Who filters by language knows what they get: only these are guessed.
    text, asks_japanese
        The question as it was understood, and whether enough of it is Japanese.
    """
    if prefer:
        return Reader(prefer)
    language = _language_of(unicodedata.normalize("NFKC", text), asks_japanese=asks_japanese)
    guessed = Reader((language,) if language else (), guessed=True)
    if where.lang and not any(guessed.reads(language, lang) for lang in where.lang):
        return Reader()
    return guessed


def _language_of(text: str, *, asks_japanese: bool) -> str:
    """``ja``, ``en`` for words in Latin letters, ``""`` for names, numbers and other scripts."""
    japanese = _JAPANESE.search(text) is not None  # other scripts of East Asia count into the share, too
    if _HIRAGANA.search(text) or (japanese and asks_japanese):
        return "ja"
    if _PROSE.search(text):
        return _LATIN
    return "ja" if japanese else ""


class Choice:
    """Which versions of articles one answer shows.

    Parameters
    ----------
    snapshot, reader
        What is asked, and for whom.
    where, day, without
        What may answer: by the filter, on that day, and not the articles of these numbers.
    """

    def __init__(
        self, snapshot: Snapshot, reader: Reader, where: Filter, day: dt.date, without: tuple[int, ...] = ()
    ) -> None:
        self._snapshot, self.reader, self._where = snapshot, reader, where
        self._out_of_date, self._without = snapshot.out_of_date(day), without
        self._served: dict[int, list[Head]] = {}  # by group

    @cached_property
    def _admitted(self) -> NDArray[np.bool_]:
        return self._snapshot.admitted_articles(self._where, self._out_of_date + self._without)

    @cached_property
    def _valid(self) -> NDArray[np.bool_]:
        return self._snapshot.admitted_articles(Filter(), self._out_of_date)

    @property
    def group(self) -> NDArray[np.int32]:
        """See :class:`kbsearch.families.Families`."""
        return self._snapshot.families.group

    def of(self, numbers: RowArray, places: RowArray, merits: FloatArray, k: int) -> list[Chosen]:
        """The first k articles of a ranking, each in one version.

        Parameters
        ----------
        numbers
            Articles of the pool, ascending.
        places
            Their places from best to worst, those that take part.
        merits
            By which versions of one article are compared with each other, by place.
        """
        first: dict[int, int] = {}  # of each group
        for group, place in zip(self.group[numbers[places]].tolist(), places.tolist(), strict=True):
            if len(first) >= k:
                break
            first.setdefault(group, place)
        return [self._choose(numbers, place, merits) for place in first.values()]

    def _choose(self, numbers: RowArray, ranked_at: int, merits: FloatArray) -> Chosen:
        number = int(numbers[ranked_at])
        if not self._snapshot.families.several(number) or len(heads := self._heads(number)) < 2:  # noqa: PLR2004
            return Chosen(number, ranked_at, ranked_at)  # one version leaves no choice
        places = _places_in(numbers, [head.number for head in heads])

        def merit(head: Head) -> tuple[bool, float, int]:
            at = places[head.number]
            return at >= 0, float(merits[at]) if at >= 0 else 0.0, -head.number

        fitting = (
            [head for head in heads if self.reader.reads(language, head.lang)] for language in self.reader.languages
        )
        chosen = max(next(filter(None, fitting), heads), key=merit).number
        return Chosen(chosen, places[chosen], ranked_at)

    def shown(self, number: int) -> Shown:
        """What is said of an article that is shown."""
        if not self._snapshot.families.several(number):
            head = self._snapshot.content.heads_of([number])[number]
            return Shown(head.lang, (), self.reader.lacks(head.lang), head.updated, self._stale_since(head))
        heads = self._heads(number)
        head = next(head for head in heads if head.number == number)
        others = tuple([OtherVersion(other.lang, other.id, other.title) for other in heads if other is not head])
        return Shown(head.lang, others, self.reader.lacks(head.lang), head.updated, self._stale_since(head))

    def _heads(self, number: int) -> list[Head]:
        """Versions of an article that may answer, itself included."""
        group = int(self.group[number])
        found = self._served.get(group)
        if found is None:
            members = self._snapshot.families.of(number)
            if len(members) > 1:
                members = [member for member in members if self._admitted[member]]
            heads = self._snapshot.content.heads_of(members)
            found = [heads[member] for member in members if heads[member].status == "published"]
            self._served[group] = found
        return found

    def _stale_since(self, head: Head) -> dt.date | None:
        """When a source that is served that day was last updated, if that is after the translation was."""
        if head.translation_of is None or head.updated is None:
            return None
        members = self._snapshot.families.of(head.number)
        heads = self._snapshot.content.heads_of(members)
        days = [
            source.updated
            for source in _sources(head, {heads[member].id: heads[member] for member in members})
            if source.updated is not None and source.status == "published" and self._valid[source.number]
        ]
        newest = max(days, default=head.updated)
        return newest if newest > head.updated else None


def _sources(head: Head, by_id: Mapping[str, Head]) -> list[Head]:
    """What an article is a translation of, and what that is one of, and so on."""
    found: list[Head] = []
    while (source := by_id.get(head.translation_of or "")) is not None and source is not head and source not in found:
        found.append(source)
        head = source
    return found


def _places_in(numbers: RowArray, wanted: Sequence[int]) -> dict[int, int]:
    """Where each of some numbers stands among ascending ones; -1 where it does not."""
    places = np.searchsorted(numbers, wanted).tolist()
    return {
        number: place if place < len(numbers) and numbers[place] == number else -1
        for number, place in zip(wanted, places, strict=True)
    }
