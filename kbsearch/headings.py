"""What the heading above each row means: its vector, by itself.

A page of many topics, an FAQ above all, says what each passage is about in the heading above it, as an article of one
topic does in its title. So a question is compared with both alone, and the nearest counts (``title_cosine`` of
:mod:`kbsearch.features`). A passage's own vector holds its heading too, but a long passage drowns it.

On disk: the folder of :mod:`kbsearch.coded`, one vector for each distinct heading, and ``rows.npy``, int32, the number
of each row's heading: the last one above it, -1 for the lead and for an alias.

Use: :func:`write_headings` in a build, then :func:`open_headings` for :class:`kbsearch.structures.Part`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kbsearch.coded import open_coded, write_coded
from kbsearch.columns import FITTING, load_column, save_column, soundly
from kbsearch.embed import text_key
from kbsearch.errors import IndexCorrupt
from kbsearch.structures import Headings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kbsearch.known import Known

__all__ = ["numbers_of", "open_headings", "write_headings"]


def write_headings(folder: Path, headings: Sequence[str], known: Known, dimension: int) -> None:
    """Write the heading of each row, ``""`` where there is none, with the vectors, which ``known`` has."""
    folder.mkdir()
    numbers = {heading: number for number, heading in enumerate(dict.fromkeys(filter(None, headings)))}
    of_rows = np.array([numbers.get(heading, -1) for heading in headings], dtype=np.int32)
    save_column(folder / "rows.npy", of_rows)
    keys = [text_key(heading) for heading in numbers]
    write_coded(folder, keys, known.blocks(keys), dimension)


def open_headings(folder: Path, rows: int, dimension: int) -> Headings:
    """Map the headings of so many rows.

    Raises
    ------
    IndexCorrupt
        When the folder holds something else.
    """
    of_rows = load_column(folder / "rows.npy", np.int32, rows)
    return soundly(folder, FITTING, Headings, *open_coded(folder, dimension), of_rows)


def numbers_of(folder: Path, rows: Sequence[int]) -> list[int]:
    """Numbers of the headings of some rows, each once, ascending."""
    of_rows = load_column(folder / "rows.npy", np.int32)
    if max(rows, default=-1) >= len(of_rows):
        raise IndexCorrupt(folder / "rows.npy", f"at least {max(rows) + 1} rows", str(len(of_rows)))
    return [number for number in np.unique(of_rows[list(rows)]).tolist() if number >= 0]
