"""Who may work now, when more want to than there are cores.

More threads than cores do not answer more questions: they take the interpreter's lock from each other some twenty times
a question. So as many work as there are cores, and the others wait in a row. A place that is given up is not handed to
the first of the row: whoever is awake may take it, which is most often the thread that has just been inside and comes
back with its next question. Waking another one for each question costs a fifth of all answers. Who has waited for
``PATIENCE`` is passed over no more.

Use: ``with Turns(cores): …``, one object for all threads.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["PATIENCE", "Turns"]

PATIENCE: Final = 0.2
"""Seconds. A thread that is woken often waits for a core some milliseconds more, while another one lies idle: with .05,
eight threads answer 1.5 times as many questions as one, with .2 1.8 times."""


class _Waiting:
    """A thread in the row; ``woken`` from being told that a place is free until it has looked."""

    __slots__ = ("asleep", "has_place", "since", "woken")

    def __init__(self) -> None:
        self.asleep = threading.Lock()
        self.asleep.acquire()
        self.since = time.monotonic()
        self.has_place = self.woken = False

    def wake(self) -> None:
        if not self.woken:
            self.woken = True
            self.asleep.release()


class Turns:
    """A context manager; at most ``places`` threads are inside.

    Parameters
    ----------
    places
        1 and up.
    told
        Is called with True when more than one thread wants to be inside, and with False when that is over.
    """

    def __init__(self, places: int, told: Callable[[bool], None] = lambda _: None) -> None:
        self._places, self._told = places, told
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin)  # the others who are inside stay behind

    def _begin(self) -> None:
        self._free, self._is_crowded = self._places, False
        self._waiting: deque[_Waiting] = deque()
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if self._free > 0:
                self._free -= 1
                self._tell()
                return
            mine = _Waiting()
            self._waiting.append(mine)
            self._tell()
        try:
            while not mine.has_place:
                mine.asleep.acquire()
                with self._lock:
                    mine.woken = False
                    if not mine.has_place and self._free > 0:
                        self._free -= 1
                        self._give(mine)
                        self._wake_first()  # there may be another place
        except BaseException:  # interrupted while waiting
            if mine.has_place:
                self._leave()
            else:
                with self._lock:
                    self._waiting.remove(mine)
                    self._wake_first()
                    self._tell()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._leave()

    def _leave(self) -> None:
        with self._lock:
            if self._waiting and time.monotonic() - self._waiting[0].since > PATIENCE:
                first = self._waiting[0]
                self._give(first)
                first.wake()
            else:
                self._free += 1
                self._wake_first()
            self._tell()

    def _give(self, waiting: _Waiting) -> None:
        self._waiting.remove(waiting)
        waiting.has_place = True

    def _wake_first(self) -> None:
        if self._free > 0 and self._waiting:
            self._waiting[0].wake()

    def _tell(self) -> None:
        is_crowded = self._places - self._free > 1 or bool(self._waiting)
        if is_crowded != self._is_crowded:
            self._is_crowded = is_crowded
            self._told(is_crowded)
