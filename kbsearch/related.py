"""Which articles a reader of one may want next: those in its language whose titles are nearest in meaning.

Written by the build, because it looks at every pair; what is served at the time of a question is sorted out then.
A delta does so for its own articles; those of the base keep what they have until the next whole build.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch.columns import load_column, save_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.content import Head
    from kbsearch.model import FloatArray

__all__ = ["KEPT", "load_related", "related_line", "write_related"]

KEPT: Final = 8
"""Articles kept for each; the first few that are served are shown."""

SHOWN: Final = 5
_MOST: Final = 20_000  # articles that are compared with each other: two cores take some seconds
_AT_ONCE: Final = 1_024


def related_line(title: str, handle: str, *, is_japanese: bool) -> str:
    """How one is listed below an article."""
    return f"- {title}（{handle}）" if is_japanese else f"- {title} ({handle})"


def write_related(
    file: Path,
    heads: Sequence[Head],
    vectors: FloatArray,
    groups: Sequence[int],
    first: int,
    count_tokens: Callable[[str], int],
) -> None:
    """Write the related articles of those from number ``first`` on, and what listing them costs at most.

    Parameters
    ----------
    heads, vectors, groups
        Of all articles in order of their numbers: in short, their titles' vectors, and which are versions of one.
        Those that count no more have an empty title.
    """
    found = np.full((len(heads) - first, KEPT + 2), -1, dtype=np.int32)
    found[:, KEPT:] = 0
    group = np.asarray(groups)
    for places in _comparable(heads):
        wanted = places[places >= first]
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            likeness = vectors[some] @ vectors[places].T
            likeness[group[some][:, np.newaxis] == group[places][np.newaxis]] = -np.inf
            best = np.argsort(-likeness, axis=1, kind="stable")[:, :KEPT]
            for row, own, order in zip((some - first).tolist(), likeness, best, strict=True):
                near = [int(places[at]) for at in order if np.isfinite(own[at])]
                found[row, : len(near)] = near
                lines = "\n".join(
                    related_line(heads[n].title, heads[n].id, is_japanese=heads[n].lang == "ja") for n in near[:SHOWN]
                )
                found[row, KEPT:] = len(lines), count_tokens(lines) if lines else 0
    save_column(file, found.reshape(-1))


def load_related(file: Path, articles: int) -> NDArray[np.int32]:
    """Map them: int32 of shape (articles, KEPT + 2), numbers of articles, −1 for none, then characters and tokens.

    Raises
    ------
    IndexCorrupt
    """
    return load_column(file, np.int32, articles * (KEPT + 2)).reshape(articles, KEPT + 2)


def _comparable(heads: Sequence[Head]) -> Iterator[NDArray[np.int64]]:
    """Numbers of published articles in one language; where these are too many, of one category, in order of path."""
    by_language: defaultdict[str, list[int]] = defaultdict(list)
    for number, head in enumerate(heads):
        if head.status == "published" and head.title:
            by_language[head.lang].append(number)
    for numbers in by_language.values():
        if len(numbers) > _MOST:
            numbers.sort(key=lambda number: (heads[number].category, number))
        for start in range(0, len(numbers), _MOST):
            yield np.array(sorted(numbers[start : start + _MOST]), dtype=np.int64)
