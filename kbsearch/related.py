"""Which articles a reader of one may want next: those in its language whose titles are nearest in meaning.

Written by the build, because it looks at every pair; what is served at the time of a question is sorted out then. A
delta takes over what the base has, and looks again for those articles that lost one of theirs, or have a new article
nearer than the last of theirs: it gives what a whole build would.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from kbsearch.columns import load_column, save_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.content import Head
    from kbsearch.model import FloatArray

__all__ = ["SHOWN", "Titled", "load_related", "related_line", "write_related"]

SHOWN: Final = 5
"""Related articles that are shown; a few more are kept, for those that are not served on the day."""

_KEPT: Final = 8
_WIDTH: Final = _KEPT + 3  # numbers, characters and tokens of the list, the least likeness as bits
_MOST: Final = 20_000  # articles that are compared with each other: two cores take some seconds
_AT_ONCE: Final = 1_024


class Titled(NamedTuple):
    """All articles in order of their numbers: in short, their titles' vectors, and which are versions of one.

    Those that count no more have an empty title.
    """

    heads: Sequence[Head]
    vectors: FloatArray
    groups: NDArray[np.int32]


def related_line(title: str, handle: str, *, is_japanese: bool) -> str:
    """How one is listed below an article."""
    return f"- {title}（{handle}）" if is_japanese else f"- {title} ({handle})"


def write_related(
    file: Path,
    articles: Titled,
    cost_of: Callable[[str], int],
    base: tuple[Path, NDArray[np.int32]] | None = None,
) -> None:
    """Write the related articles of each, and what listing them costs at most.

    Parameters
    ----------
    base
        The same file of the articles with the first numbers, as they were, and their groups then.
    """
    found = np.full((len(articles.heads), _WIDTH), -1, dtype=np.int32)
    found[:, _KEPT:-1] = 0
    wanted = np.ones(len(articles.heads), dtype=bool)
    if base is not None:
        own = load_column(base[0], np.int32, len(base[1]) * _WIDTH).reshape(-1, _WIDTH)
        found[: len(own)] = own
        wanted[: len(own)] = _touched(own, articles, base[1])
        found[: len(own)][wanted[: len(own)], :_KEPT] = -1
        found[: len(own)][wanted[: len(own)], _KEPT:-1] = 0
    for places in _comparable(articles.heads):
        some = places[wanted[places]]
        for start in range(0, len(some), _AT_ONCE):
            _look(found, some[start : start + _AT_ONCE], places, articles, cost_of)
    save_column(file, found.reshape(-1))


def load_related(file: Path, articles: int) -> NDArray[np.int32]:
    """Map them.

    Returns
    -------
    int32, shape (articles, 10)
        Numbers of articles, the nearest first, −1 for none; then characters and tokens of the list.

    Raises
    ------
    IndexCorrupt
    """
    return load_column(file, np.int32, articles * _WIDTH).reshape(articles, _WIDTH)[:, :-1]


def _look(
    found: NDArray[np.int32],
    some: NDArray[np.int64],
    places: NDArray[np.int64],
    articles: Titled,
    cost_of: Callable[[str], int],
) -> None:
    """Fill in the rows of some articles, which are compared with those in ``places``."""
    heads, group = articles.heads, articles.groups
    likeness = _likeness(articles.vectors[some], articles.vectors[places])
    likeness[group[some][:, np.newaxis] == group[places][np.newaxis]] = -np.inf
    place = max(0, len(places) - _KEPT)
    bounds = np.partition(likeness, place, axis=1)[:, place]
    for number, own, bound in zip(some.tolist(), likeness, bounds.tolist(), strict=True):
        among = np.flatnonzero(own >= bound)  # the nearest, and what is as near as the last of them
        order = among[np.argsort(-own[among], kind="stable")][:_KEPT]
        near = [int(places[at]) for at in order if np.isfinite(own[at])]
        lines = "\n".join(
            related_line(heads[n].title, heads[n].id, is_japanese=heads[n].lang == "ja") for n in near[:SHOWN]
        )
        least = own[order[-1]] if len(near) == _KEPT else -np.inf
        found[number, : len(near)] = near
        found[number, len(near) : _KEPT] = -1
        found[number, _KEPT:-1] = len(lines), cost_of(lines)
        found[number, -1] = np.float32(least).view(np.int32)


def _likeness(one: FloatArray, other: FloatArray) -> NDArray[np.float64]:
    """Cosines, to six places: the sums of a product depend on its shape, and a delta asks for other shapes."""
    found: NDArray[np.float64] = np.round(one.astype(np.float64) @ other.astype(np.float64).T, 6)
    return found


def _touched(own: NDArray[np.int32], articles: Titled, groups: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether what an article of the base has may be another now."""
    n = len(own)
    gone = np.array([not head.title for head in articles.heads[:n]])
    moved = gone | (articles.groups[:n] != groups)
    lists = own[:, :_KEPT]
    touched = moved | (moved[lists] & (lists >= 0)).any(axis=1)
    if len(articles.heads) > n:
        least, old, new = own[:, -1].copy().view(np.float32), articles.vectors[:n], articles.vectors[n:]
        for start in range(0, n, _AT_ONCE):
            likeness = _likeness(old[start : start + _AT_ONCE], new).astype(np.float32)
            touched[start : start + _AT_ONCE] |= (likeness >= least[start : start + _AT_ONCE, np.newaxis]).any(axis=1)
    return np.asarray(touched)


def _comparable(heads: Sequence[Head]) -> Iterator[NDArray[np.int64]]:
    """Numbers of published articles in one language, by path; where these are too many, of one category."""
    by_language: defaultdict[str, list[int]] = defaultdict(list)
    for number, head in enumerate(heads):
        if head.status == "published" and head.title:
            by_language[head.lang].append(number)
    for numbers in by_language.values():
        if len(numbers) > _MOST:
            numbers.sort(key=lambda number: (heads[number].category, heads[number].path))
        for start in range(0, len(numbers), _MOST):
            some = sorted(numbers[start : start + _MOST], key=lambda number: heads[number].path)
            yield np.array(some, dtype=np.int64)
