"""The command line: parses, calls one verb, renders. No logic lives here, and nothing slow is imported before its use.

Results go to standard output and nothing else does. Exit codes: 0 done (also without a hit), 2 wrong use, 3 done but
with faulty articles, 4 done but a value that ``eval --fail-under`` demands was not kept, 10 and up as
:mod:`kbsearch.errors` draws them, 1 a bug of ours.

``commands`` has every command, for Typer. An ordinary search does without: ``shortcut`` reads it. ``answering`` answers
a question, ``output`` prints.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

from kbsearch.errors import KbSearchError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["main"]

_INTERRUPTED: Final = 130  # as shells have it: 128 and the number of the signal; Typer has it, too


def main() -> None:
    """Run the command line, with the exit code of the error that ended it."""
    for stream in (sys.stdout, sys.stderr):  # half a character in a question is echoed as JSON writes it: \ud83d
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that has seen enough ends us as it ends any filter
    from kbsearch.cli.shortcut import read_search

    asked = read_search(sys.argv[1:])
    if asked is not None:
        _leave(_answer(asked))
    from kbsearch.cli.commands import app

    try:
        app()
    except KbSearchError as error:
        sys.exit(_failed(error))


def _answer(asked: Mapping[str, Any]) -> int:
    """Print the answer to a question and give the exit code."""
    import gc

    gc.disable()  # a twentieth of the time, and what is collected here goes with the process anyway
    # NumPy's BLAS starts a thread for each core, which spin for a while: on the cores that open the encoder.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from kbsearch.cli.answering import answer_question

    try:
        answer_question(**asked)
    except KbSearchError as error:
        return _failed(error)
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _failed(error: KbSearchError) -> int:
    sys.stderr.write(f"error: {error}\n")
    return error.exit_code


def _leave(code: int) -> NoReturn:
    """End the process at once: taking apart what the libraries have opened takes a fifth of a search.

    A search only reads, so nothing is left to do. Output that cannot be written is the interpreter's to complain about.
    """
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        sys.exit(code)
    os._exit(code)
