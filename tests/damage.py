"""What becomes of reading a damaged file, each time in a process of its own: it may crash or hang."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from kbsearch.errors import IndexCorrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["column_of", "tell_outcomes"]

SECONDS: Final = 10


def tell_outcomes(read: Callable[[], str], files: Iterable[Path], contents: Callable[[Path], Iterable[bytes]]) -> None:
    """Print, by the name of each file, what becomes of reading with each of the damaged contents of it."""
    expected = read()
    told = {file.stem: [_outcome_of(read, file, content, expected) for content in contents(file)] for file in files}
    sys.stdout.write(json.dumps(told))


def _outcome_of(read: Callable[[], str], file: Path, content: bytes, expected: str) -> str:
    """What becomes of reading when one file is another; ``expected`` is what is read of the sound one."""
    sound = file.read_bytes()
    file.unlink()  # who has it mapped keeps it
    file.write_bytes(content)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        try:
            told = "answered the same" if read() == expected else "answered"
        except BaseException as error:  # noqa: BLE001 - an outcome
            told = type(error).__name__ if isinstance(error, IndexCorrupt) else f"{type(error).__name__}: {error}"
        os.write(writing, told.encode("utf-8", "replace"))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    status = os.waitpid(child, 0)[1]
    file.unlink()
    file.write_bytes(sound)
    return said if said and not status else f"ended by {status}"


def column_of(values: np.ndarray) -> bytes:
    """A ``.npy`` file."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "column.npy", values)
        return (Path(folder) / "column.npy").read_bytes()
