"""All results in a folder as one Markdown file and three pictures.

Use: ``python -m benchmarks.report [FOLDER]``.

Never: measure here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from speed.plots import draw
from speed.results import FOLDER, read_all
from speed.table import markdown

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "report"]


def report(folder: Path) -> list[Path]:
    """Write table and pictures; returns the files. Without matplotlib there are no pictures."""
    found = read_all(folder)
    if not found:
        return []
    table = folder / "speed.md"
    table.write_text(markdown(found), "utf-8")
    try:
        return [table, *draw(found, folder)]
    except ImportError as error:
        print(f"no pictures: {error}", file=sys.stderr)
        return [table]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report of the folder that is named, or of the repository's results."""
    given = sys.argv[1:] if arguments is None else arguments
    for file in report(Path(given[0]) if given else FOLDER):
        print(f"wrote {file}")
    return 0
