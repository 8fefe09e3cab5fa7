"""Plain Python and numpy for what the compiled part does in one call; the tests hold one against the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby, pairwise, takewhile
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from kbsearch.confidence import HEAD_NAMES
from kbsearch.features import JAPANESE_QUESTION, NAMES
from kbsearch.native import features as native_features
from kbsearch.quotes import room_of
from kbsearch.structures import Scale
from kbsearch.units import (
    AGAIN,
    BEFORE_TIED,
    BEFORE_WARNING,
    DANGLING,
    FIRST,
    HEAD,
    INSIDE,
    ITEM,
    LEADS,
    ROW,
    STEP,
    TIED,
    WARNS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray, RowArray
    from kbsearch.rank import Candidates
    from kbsearch.structures import Asked, Postings
    from kbsearch.tokens import Located
    from kbsearch.units import Unit

Span = tuple[int, int]

_BEHIND: Final = np.float32(1e-4)  # in log-odds
_FEW_PASSAGES: Final = 30
_LEAST_SPREAD: Final = 0.003
_LEAD_PLACES: Final = [NAMES.index(name) for name in ("cosine", "words", "grams", "title_cosine")]
_COSINE: Final = NAMES.index("cosine")
_HEADING: Final = NAMES.index("heading_grams")
_CROWD: Final = 10
_LISTED: Final = STEP | ITEM | INSIDE | ROW | HEAD


@dataclass(frozen=True, slots=True)
class Question:
    """What the features need of the question and its corpus.

    ``cosines`` and ``title_cosines`` are mean and spread between random passages and titles of the corpus;
    ``backgrounds`` those between this question and random passages, first of articles in another script than Japanese,
    then of Japanese ones: an encoder brings texts of one language nearer to each other whatever they say.
    """

    japanese: float
    distinct_grams: int
    cosines: tuple[float, float]
    title_cosines: tuple[float, float]
    backgrounds: tuple[tuple[float, float], tuple[float, float]]


def article_features(
    pooled: Candidates,
    articles: NDArray[np.int32],
    titles: Callable[[RowArray], FloatArray],
    is_japanese: NDArray[np.bool_],
    question: Question,
) -> tuple[RowArray, FloatArray]:
    """Describe the articles of a pool.

    Parameters
    ----------
    pooled
        Rows with the scores of all legs and their overlap with the question, n of them.
    articles
        Article number of each row, shape (n,), those of an article next to each other.
    titles
        Gives the cosines of the titles of articles, float32 of shape (m,) for numbers of shape (m,).
    is_japanese
        By article number, whether its language is Japanese.

    Returns
    -------
    numbers : int64, shape (m,)
        Article numbers, ascending, distinct.
    features : float32, shape (m, len(NAMES))
    """
    begins = np.diff(articles, prepend=-1) != 0  # rows ascend, and those of an article stand together
    numbers, group = articles[begins].astype(np.int64), np.cumsum(begins) - 1
    (mean, spread), (title_mean, title_spread) = question.cosines, question.title_cosines
    means, spreads = zip(*question.backgrounds, strict=True)
    scale = Scale(
        pooled.words_ceiling or 1, pooled.grams_ceiling or 1, mean, spread, title_mean, title_spread, means, spreads,
        question.japanese, int(question.japanese > JAPANESE_QUESTION), math.log1p(question.distinct_grams),
    )  # fmt: skip
    if pooled.overlap is None:
        raise AssertionError("features need what the question shares with the fields")
    of_rows = (pooled.words, pooled.grams, pooled.dense, pooled.overlap.cover, pooled.overlap.reverse)
    return numbers, native_features(group, of_rows, titles(numbers), is_japanese[numbers], scale)


def background(sample: FloatArray, vector: FloatArray | None, usual: tuple[float, float]) -> tuple[float, float]:
    """Mean and spread of the cosines between a question and passages that have most likely nothing to do with it."""
    if vector is None or len(sample) < _FEW_PASSAGES:
        return usual
    cosines = sample @ vector
    mean = float(cosines.sum()) / len(cosines)
    cosines -= np.float32(mean)
    return mean, max(math.sqrt(float(cosines @ cosines) / len(cosines)), _LEAST_SPREAD)


def own_language_first(
    groups: NDArray[np.int32], japanese: NDArray[np.bool_], scores: FloatArray, *, asks_japanese: bool
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Of the versions of one article in several languages, the one in the question's script has the best score of all.

    The others stand right behind it. Also which articles are the first of their versions: a translation beside its
    source is no rival that would make the answer unsure.
    """
    first = np.ones(len(groups), dtype=bool)
    if len(set(groups.tolist())) == len(groups):
        return scores, first
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    own = japanese == asks_japanese
    scores = scores.copy()
    for versions in (np.flatnonzero(group == number) for number in np.flatnonzero(sizes > 1)):
        best = scores[versions].max()
        order_ = np.lexsort((versions, -scores[versions], ~own[versions]))
        first[versions[order_[1:]]] = False
        scores[versions[order_]] = best - np.arange(len(versions), dtype=np.float32) * _BEHIND
    return scores, first


def head_features(features: FloatArray, scores: FloatArray) -> FloatArray:
    """Describe the head of a ranking.

    Parameters
    ----------
    features
        Of the articles of the pool, float32, shape (m, len(NAMES)), m ≥ 1.
    scores
        Of the ranking model, float32, shape (m,).

    Returns
    -------
    float32, shape (len(HEAD_NAMES),)
    """
    places = np.argsort(-scores, kind="stable")
    first, second = places[0], places[min(1, len(places) - 1)]
    best = scores[first]
    cosines = np.sort(features[:, _COSINE])
    crowd = min(_CROWD, len(places))
    head = np.empty(len(HEAD_NAMES), dtype=np.float32)
    head[: len(NAMES)] = features[first]
    head[len(NAMES) : len(NAMES) + 4] = (
        best,
        best - scores[second],
        best - scores[places[min(4, len(places) - 1)]],
        best - scores[places[:_CROWD]].sum() / crowd,
    )
    head[len(NAMES) + 4 : -2] = features[first, _LEAD_PLACES] - features[second, _LEAD_PLACES]
    head[-2] = cosines[-_CROWD:].sum() / crowd - cosines.sum() / len(cosines)
    head[-1] = features[:, _HEADING].max()
    return head


# Quotations


class Page(NamedTuple):
    """The units of an article in the order of the text, and how they are quoted; places are those of the units.

    ``rows`` is the row of each unit, ``follows`` whether it stands right behind the one before in its section.
    """

    units: Sequence[Unit]
    rows: Sequence[int]
    follows: Sequence[bool]
    scores: Sequence[float]
    limit: int
    notes: tuple[int, int, int] | None
    beside: float
    near: float
    pieces: int


class Chosen(NamedTuple):
    """Places of the units that are quoted, of the best one, what is to be said besides, and whether the best is cut."""

    places: frozenset[int]
    best: int
    said: int
    steps: tuple[int, int, int, int]
    cut: bool


def choose(page: Page) -> Chosen:
    """Which units are quoted, by the rules of :mod:`kbsearch.quotes`."""
    places = range(len(page.units))
    asked_for = [place for place in places if not page.units[place].flags & (HEAD | AGAIN)]
    asked_for = asked_for or [place for place in places if not page.units[place].flags & HEAD] or list(places)
    best = max(asked_for, key=lambda place: (page.scores[place], -place))
    shown = _around_best(page, best)
    if shown is None:
        shown, cut = frozenset([best]), page.units[best].end - page.units[best].start > page.limit
    else:
        cut = False
    pieces, tried = 1, set[int]()
    while not cut:
        beside = {place for place in places if _stands_beside(page, place, shown)}
        able = [
            place
            for place in places
            if place not in shown | tried
            and not page.units[place].flags & (HEAD | AGAIN)
            and _length(page, shown) + page.units[place].end - page.units[place].start <= page.limit + 3
            and (place in beside or (pieces < page.pieces and _stands_alone(page, place, page.scores[best])))
        ]
        if not able:
            break
        worth = {place: page.scores[place] + (page.beside if place in beside else 0) for place in able}
        place = max(able, key=lambda place: (worth[place], -place))
        tried.add(place)
        more = _with_another(page, shown, place)
        if more is not None:
            shown, pieces = more, pieces + (place not in beside)
    if cut:  # with the head of its table, if that takes less than half of the room
        heads = heads_of(page, best)
        shown |= (
            frozenset(heads) if heads and 2 * (_length(page, frozenset(heads)) + 3) <= room_of(page.limit) else set()
        )
    notes, steps = notes_of(page, shown) or (0, (0, 0, 0, 0))
    return Chosen(shown, best, notes, steps, cut)


def _stands_alone(page: Page, place: int, best: float) -> bool:
    """Worth nearly as much as the best one, and no bare reply to a heading."""
    replies = page.units[place].flags & FIRST and page.units[place].flags & DANGLING
    return not replies and page.scores[place] >= best - page.near


def _stands_beside(page: Page, place: int, shown: frozenset[int]) -> bool:
    return any(other in shown and page.rows[other] == page.rows[place] for other in (place - 1, place + 1))


def _restrictions(page: Page, place: int) -> list[int]:
    """Places of the restrictions right behind a unit."""
    behind = range(place + 1, len(page.units))
    return list(takewhile(lambda other: page.follows[other] and page.units[other].flags & TIED, behind))


def _bound(page: Page, places: Iterable[int]) -> frozenset[int]:
    return frozenset(other for place in places for other in (place, *_restrictions(page, place)))


def heads_of(page: Page, place: int) -> list[int]:
    """Place of the head of a row's table, if there is one."""
    if not page.units[place].flags & ROW:
        return []
    while page.units[place].flags & ROW and not page.units[place].flags & HEAD and page.follows[place]:
        place -= 1
    return [place] if page.units[place].flags & HEAD else []


def _beginning(page: Page, place: int) -> int:
    """Place of the beginning of a unit's item."""
    while page.units[place].flags & INSIDE and page.follows[place]:
        place -= 1
    return place


def _fits(page: Page, shown: frozenset[int]) -> bool:
    found = notes_of(page, shown)
    if found is None:
        return False
    said, (first, last, _, total) = found
    cost = 0
    if page.notes is not None:
        cost += sum(page.notes[bit] for bit, flag in ((1, 1), (2, 2)) if said & flag)
        cost += page.notes[0] + sum(len(str(number)) for number in (first, last, total)) if said & 4 else 0
    return _length(page, shown) + cost <= page.limit


def _length(page: Page, shown: frozenset[int]) -> int:
    """Characters with what joins them: nothing or a space in a row, `` … `` elsewhere."""
    length = sum(page.units[place].end - page.units[place].start for place in shown)
    for one, other in pairwise(sorted(shown)):
        near = other == one + 1 and page.rows[one] == page.rows[other]
        length += int(page.units[other].start > page.units[one].end) if near else 3
    return length


def notes_of(page: Page, shown: frozenset[int]) -> tuple[int, tuple[int, int, int, int]] | None:
    """What is to be said besides: restriction 1, warning 2, steps 4, and of which; None of the steps of two lists."""
    said, partial = 0, []
    last_of_row = {row: place for place, row in enumerate(page.rows)}
    for place in shown:
        listed = place
        while (
            listed + 1 < len(page.units)
            and page.follows[listed + 1]
            and page.units[listed].flags & _LISTED
            and page.units[listed + 1].flags & _LISTED
        ):
            listed += 1
        for end in (place, listed):
            behind = _restrictions(page, end)[:1]
            unseen = not behind and end == last_of_row[page.rows[end]] and page.units[end].flags & BEFORE_TIED
            said |= 1 if unseen or any(other not in shown for other in behind) else 0
        end = last_of_row[page.rows[place]]
        told = end + 1 < len(page.units) and page.follows[end + 1] and page.units[end + 1].flags & WARNS
        if page.units[end].flags & BEFORE_WARNING and not (told and end + 1 in shown):
            said |= 2
        # A warning further on in the passage, with nothing of another passage between.
        said |= 2 if any(page.units[o].flags & WARNS and o not in shown for o in range(place, end + 1)) else 0
    for steps in _lists(page):
        seen = sorted({_beginning(page, place) for place in shown} & set(steps))
        total = page.units[steps[0]].total
        if seen and len(seen) < total:
            partial.append((page.units[seen[0]].number, page.units[seen[-1]].number, len(seen), total))
    if len(partial) > 1:
        return None
    return (said | 4, partial[0]) if partial else (said, (0, 0, 0, 0))


def _lists(page: Page) -> list[list[int]]:
    """Places of the steps of each list: numbers rise, and each knows how many there are."""
    lists: list[list[int]] = []
    for place, unit in enumerate(page.units):
        if unit.flags & STEP:
            before = page.units[lists[-1][-1]] if lists else None
            if before is None or unit.number <= before.number or unit.total != before.total:
                lists.append([])
            lists[-1].append(place)
    return lists


def _around_best(page: Page, best: int) -> frozenset[int] | None:
    head, restrictions = heads_of(page, best), _restrictions(page, best)
    ways = [
        frozenset([best, *heads, *restrictions[:many]])
        for heads in ([head, []] if head else [[]])
        for many in range(len(restrictions), -1, -1)
    ]
    shown = next((way for way in ways if _fits(page, way)), None)
    return None if shown is None else _led(page, _explained(page, shown, best), best)


def _widened(page: Page, shown: frozenset[int], *wishes: Sequence[int]) -> frozenset[int]:
    """With the first wish that fits, its restrictions included or, failing that, not."""
    for wish in wishes:
        for more in (_bound(page, wish), frozenset(wish)):
            if _fits(page, shown | more):
                return shown | more
    return shown


def _explained(page: Page, shown: frozenset[int], place: int) -> frozenset[int]:
    """With the beginning of its item and what a unit points back to, two units at most."""
    begin = _beginning(page, place)
    if begin < place:
        shown = _widened(page, shown, range(begin, place + 1), [begin])
    for back in (place, place - 1):
        if not (page.units[back].flags & DANGLING and page.follows[back]):
            break
        wider = _widened(page, shown, [back - 1])
        if back - 1 not in wider:
            break
        shown = wider
    return shown


def _leads_to(page: Page, place: int) -> list[int]:
    is_last = place + 1 == len(page.units) or page.rows[place + 1] != page.rows[place]
    return [] if is_last or not page.units[place].flags & LEADS else [place + 1]


def _led(page: Page, shown: frozenset[int], place: int) -> frozenset[int]:
    led = _leads_to(page, place)
    return _widened(page, shown, led) if led else shown


def _with_another(page: Page, shown: frozenset[int], place: int) -> frozenset[int] | None:
    unit = page.units[place]
    more = _bound(page, [place, *_leads_to(page, place)]) | {*heads_of(page, place)}
    if unit.flags & INSIDE:
        more |= {_beginning(page, place)}
    elif unit.flags & DANGLING and page.follows[place]:
        more |= _bound(page, [place - 1])
    return _explained(page, shown | more, place) if _fits(page, shown | more) else None


def cut_sentence(
    unit: Span, matches: Sequence[Located], words: Sequence[Span], idfs: Sequence[float], room: int
) -> Span:
    """The part of a long sentence with the greatest weight of distinct terms, a quarter of it before the first."""
    start, end = unit
    inside = [match for match in matches if start <= match[0] < end]
    begin, best = start, -1.0
    for number, (first, *_) in enumerate(inside):
        candidate = max(start, min(first - room // 4, end - room))
        seen = {
            term
            for _, last, term in takewhile(lambda match: match[1] <= candidate + room, inside[number:])  # noqa: B023
        }
        if sum(idfs[term] for term in seen) > best:
            begin, best = candidate, sum(idfs[term] for term in seen)
    stop = min(end, begin + room)
    for first, last in words:  # no half words
        if first < begin < last < stop and begin > start:
            begin = last
        if begin < first < stop < last and stop < end:
            stop = first
    return begin, stop


def marks_of(span: Span, matches: Sequence[tuple[int, int, bool]], words: Sequence[Span]) -> list[Span]:
    """What is marked of a span: words that matched, and runs of grams as far as they cover most of a word.

    ``matches`` are first, one past last, and whether it is a gram, in the order of their places.
    """
    inside = [match for match in matches if span[0] <= match[0] and match[1] <= span[1]]
    runs: list[tuple[int, int, bool]] = []
    for first, last, gram in inside:
        if runs and runs[-1][2] == gram and first <= runs[-1][1]:
            runs[-1] = (runs[-1][0], max(last, runs[-1][1]), gram)
        else:
            runs.append((first, last, gram))
    marked: set[int] = set()
    for first, last, gram in runs:
        begin, end = _whole_words(first, last, words) if gram else (first, last)
        if begin < end and span[0] <= begin and end <= span[1]:
            marked |= set(range(begin, end))
    places = sorted(marked)
    starts = [place for place in places if place - 1 not in marked]
    ends = [place + 1 for place in places if place + 1 not in marked]
    return [(begin, end) for begin, end in zip(starts, ends, strict=True) if end - begin > 1]


def _whole_words(first: int, last: int, words: Sequence[Span]) -> Span:
    """A run of grams that covers half of a word or more covers it, else lets it go."""
    begin, end = first, last
    for start, stop in words:
        if start < first < stop:
            begin = start if stop <= last and 2 * (stop - first) >= stop - start else stop
        if start < last < stop:
            end = stop if start >= first and 2 * (last - start) >= stop - start else start
    return begin, end


# Postings


_BLOCK: Final = 8_192
_MOST: Final = 65_535


def postings_of(
    rows: Sequence[Sequence[Mapping[int, int]]],
    lengths: Sequence[Sequence[int]],
    means: tuple[float, float],
    k1: float = 1.2,
    b: float = 0.75,
) -> tuple[list[int], list[int], list[int]]:
    """The three columns of :mod:`kbsearch.lexical`.

    ``rows`` are the frequencies of the terms of each row in words and grams, by number; ``lengths`` its two lengths.
    """
    k1, b = float(np.float32(k1)), float(np.float32(b))
    held: dict[int, list[tuple[int, int]]] = {}
    for number, streams in enumerate(rows):
        for stream, counts in enumerate(streams):
            mean = float(np.float32(means[stream])) or 1.0
            norm = k1 * (1 - b + b * lengths[number][stream] / mean)
            for term, times in counts.items():
                held.setdefault(term, []).append((number, max(1, int(_MOST * (times / (times + norm)) + 0.5))))
    terms, entries, posts = list[int](), list[int](), list[int]()
    for term in sorted(held):
        terms += [term, len(entries) // 2]
        for block, group in groupby(sorted(held[term]), key=lambda post: post[0] // _BLOCK):
            own = list(group)
            entries += [len(posts), block << 16 | max(share for _, share in own)]
            posts += [row % _BLOCK << 16 | share for row, share in own]
    return [*terms, 0, len(entries) // 2], [*entries, len(posts), 0], posts


def best_sums(
    postings: Postings, asked: Asked, stream: int, allowed: Sequence[bool] | None, k: int
) -> list[tuple[int, int]]:
    """The k best rows for one stream of a question by the sums of the postings: minus the sum, and the row."""
    terms, entries, posts = (postings._arrays[name].tolist() for name in ("terms", "entries", "posts"))
    places = {term: place for place, term in enumerate(terms[:-2:2])}
    ids, idfs, boosts, flags = (array.tolist() for array in asked._arrays)
    of_stream = [place for place, flag in enumerate(flags) if flag & 1 == stream and ids[place] in places]
    weights = {place: np.float32(idfs[place]) * np.float32(boosts[place]) for place in of_stream}
    heaviest = max(weights.values(), default=np.float32(0))
    sums: dict[int, int] = {}
    for place, weight in weights.items():
        if not weight > 0:
            continue
        term = places[ids[place]]
        whole = int(np.float32(_MOST) * (weight / heaviest) + np.float32(0.5))
        for entry in range(terms[2 * term + 1], terms[2 * term + 3]):
            for post in posts[entries[2 * entry] : entries[2 * entry + 2]]:
                row = (entries[2 * entry + 1] >> 16) * _BLOCK + (post >> 16)
                if allowed is None or allowed[row]:
                    sums[row] = sums.get(row, 0) + ((post & _MOST) * whole >> 8) + 1
    return sorted((-total, row) for row, total in sums.items())[:k]
