"""What every system is given: the same passages, terms, vectors and questions, in one folder on disk.

::

    <folder>/articles/           Markdown, unless a folder of one's own was named
            /index/              kbsearch's index of them; its rows number everything else
            /encoded.journal      the vectors of all texts, for the next build of the index
            /bundle.json         counts, and how the questions and vectors were made
            /vectors.npy         float32 (passages, dimension)
            /terms.txt           a line for each passage: w… for each term of the words, g… for each of the grams
            /questions.json      text, terms and further wordings of each question
            /question_vectors.npy
            /exact.npy           cosines of the 100 best passages of each question, descending
            /systems/<name>/     what each system wrote

Use: ``bundle = Bundle(folder)`` on what :mod:`speed.prepare` left there.

Never: import kbsearch here; a worker that measures another system's memory must not carry it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["DEPTH", "Asked", "Bundle", "folder_bytes"]

DEPTH: Final = 100
"""How deep each leg is asked, as kbsearch does."""

_SECTOR: Final = 512  # bytes, the unit of st_blocks whatever the disk


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, analysed and encoded. ``terms`` are those of both streams, marked apart by w and g."""

    text: str
    words: tuple[str, ...]
    grams: tuple[str, ...]
    terms: tuple[str, ...]
    vector: NDArray[np.float32]


class Bundle:
    """See the module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = folder / "index"

    @cached_property
    def about(self) -> dict[str, Any]:
        """Counts and settings."""
        found: dict[str, Any] = json.loads((self.folder / "bundle.json").read_text("utf-8"))
        return found

    @cached_property
    def passages(self) -> int:
        """How many there are."""
        return int(self.about["passages"])

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """Vectors of the passages, mapped."""
        return np.asarray(np.load(self.folder / "vectors.npy", mmap_mode="r"))

    @cached_property
    def exact(self) -> NDArray[np.float32]:
        """See the module."""
        found: NDArray[np.float32] = np.load(self.folder / "exact.npy")
        return found

    @cached_property
    def stored_questions(self) -> list[dict[str, Any]]:
        """The questions as they are in the file."""
        found: list[dict[str, Any]] = json.loads((self.folder / "questions.json").read_text("utf-8"))
        return found

    @cached_property
    def questions(self) -> list[Asked]:
        """The questions."""
        vectors = np.load(self.folder / "question_vectors.npy")
        return [
            Asked(
                stored["text"],
                tuple(stored["words"]),
                tuple(stored["grams"]),
                tuple(["w" + term for term in stored["words"]] + ["g" + term for term in stored["grams"]]),
                vector,
            )
            for stored, vector in zip(self.stored_questions, vectors, strict=True)
        ]

    def lines(self) -> Iterator[str]:
        """Terms of each passage, in order, joined by spaces."""
        with (self.folder / "terms.txt").open(encoding="utf-8", newline="\n") as source:
            for line in source:
                yield line.rstrip("\n")

    def documents(self) -> Iterator[list[str]]:
        """Terms of each passage, in order."""
        return (line.split() for line in self.lines())


def folder_bytes(folder: Path) -> int:
    """Size of all files below a folder; of a file with holes, what it takes on the disk."""
    stats = [file.stat() for file in folder.rglob("*") if file.is_file()]
    return sum(min(found.st_size, found.st_blocks * _SECTOR) for found in stats)
