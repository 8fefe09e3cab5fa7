"""Who may work now, when more want to than there are cores.

More threads than cores do not answer more questions: they take the interpreter's lock from each other some twenty times
a question. So as many work as there are cores, and the others wait in a row: first come, first served, which a
semaphore does not promise.

Use: ``with Turns(cores): …``, one object for all threads.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Turns"]


class Turns:
    """A context manager; at most ``places`` threads are inside."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[threading.Lock] = deque()
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        try:
            mine.acquire()  # until the one before hands its place over
        except BaseException:  # interrupted while waiting
            with self._lock:
                had_come = mine not in self._waiting
                if not had_come:
                    self._waiting.remove(mine)
            if had_come:
                self._leave()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._leave()

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
