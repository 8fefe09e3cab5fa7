"""Progress for a person at a terminal: one bar for each stage, with rate and time left, on standard error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kbsearch.model import Progress as Tell

__all__ = ["progress_bars"]

_LABELS: Final = {
    "scan": "Reading files",
    "convert": "Preparing the encoder (once)",
    "parse": "Parsing articles",
    "analyse": "Analysing passages",
    "encode": "Encoding passages",
    "write": "Writing the index",
    "calibrate": "Questioning the articles",
    "compare": "Comparing with the oracles",
    "evaluate": "Asking questions",
}


class _Rate(ProgressColumn):
    """Finished a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="dim")


@contextmanager
def progress_bars() -> Iterator[Tell]:
    """Give a progress callback that draws; the bars go when the body ends."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(_LABELS.get(stage, stage), total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield tell
