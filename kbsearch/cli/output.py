"""Where the command line prints: results to standard output, what accompanies them to standard error."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["PIPED_WIDTH", "print_json", "print_lines", "say", "show"]

PIPED_WIDTH: Final = 240  # a file has no width of its own: long enough that a path and its message share a line


def show(what: RenderableType, *, stderr: bool = False) -> None:
    """Print for a person; into a file or a pipe without the blanks that fill a line of a terminal."""
    import io

    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        Console(stderr=stderr).print(what, highlight=False)
        return
    text = io.StringIO()
    Console(file=text, width=PIPED_WIDTH).print(what, highlight=False)
    print_lines(text.getvalue(), stderr=stderr)


def print_lines(text: str, *, stderr: bool = False) -> None:
    """Print as into a file or a pipe."""
    stream = sys.stderr if stderr else sys.stdout
    stream.writelines(line.rstrip() + "\n" for line in text.splitlines())


def print_json(value: dict[str, Any]) -> None:
    """Print one line for programs."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def say(text: str) -> None:
    """Print a line beside the result."""
    sys.stderr.write(text + "\n")
