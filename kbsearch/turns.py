"""Who may work now, when more want to than there are cores.

More threads than cores do not answer more questions: they take the interpreter's lock from each other some twenty times
a question. So as many work as there are cores, and the others wait in a row. A place that is given up is not handed to
the first of the row: whoever is awake may take it, which is most often the thread that has just been inside and comes
back with its next question. Waking another one for each question costs a fifth of all answers. Once the first has
waited for ``PATIENCE``, the next place is its own.

Use: ``with Turns(cores): …``, one object for all threads, and never one inside the other.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
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
    """A thread in the row; ``woken`` from being told that there may be a place until it has looked."""

    __slots__ = ("asleep", "has_place", "since", "thread", "woken")

    def __init__(self, thread: int) -> None:
        self.thread, self.since = thread, time.monotonic()
        self.asleep = threading.Lock()
        self.asleep.acquire()
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
        Is called with True when more than one thread wants to be inside, and with False when that is over. It must not
        raise nor wait: everybody else waits for it.
    """

    def __init__(self, places: int, told: Callable[[bool], None] = lambda _: None) -> None:
        self._places, self._told = places, told
        self._begin()
        if hasattr(os, "register_at_fork"):
            begin = weakref.WeakMethod(self._begin_anew)
            os.register_at_fork(after_in_child=lambda: (anew := begin()) and anew())

    def _begin(self) -> None:
        # By thread, not a number: who was interrupted on the way out is still in here, and finds the place again.
        self._inside: set[int] = set()
        self._waiting: deque[_Waiting] = deque()
        self._is_crowded = False
        self._lock = threading.Lock()

    def _begin_anew(self) -> None:
        """In a forked process, where nobody else is."""
        was_crowded = self._is_crowded
        self._begin()
        self._is_crowded = was_crowded
        self._settle()

    def __enter__(self) -> None:
        thread = threading.get_ident()
        mine: _Waiting | None = None
        try:
            with self._lock:
                self._hand_over()
                if thread in self._inside or len(self._inside) < self._places:
                    self._inside.add(thread)
                else:
                    mine = _Waiting(thread)
                    self._waiting.append(mine)
                self._settle()
            while mine is not None and not mine.has_place:
                mine.asleep.acquire()
                with self._lock:
                    mine.woken = False
                    if not mine.has_place and len(self._inside) < self._places:
                        self._give(mine)
                    self._settle()
        except BaseException:  # interrupted, most often while waiting
            with self._lock:
                if mine is not None and mine in self._waiting:
                    self._waiting.remove(mine)
                self._inside.discard(thread)
                self._settle()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            self._inside.discard(threading.get_ident())
            self._hand_over()
            self._settle()

    def _hand_over(self) -> None:
        """Give a free place to the first in the row, if that has waited for too long."""
        if self._waiting and len(self._inside) < self._places:
            first = self._waiting[0]
            if time.monotonic() - first.since > PATIENCE:
                self._give(first)
                first.wake()

    def _give(self, waiting: _Waiting) -> None:
        self._inside.add(waiting.thread)
        self._waiting.remove(waiting)
        waiting.has_place = True

    def _settle(self) -> None:
        """Wake the first in the row where there is a place, and tell whether there are several."""
        if self._waiting and len(self._inside) < self._places:
            self._waiting[0].wake()
        is_crowded = len(self._inside) > 1 or bool(self._waiting)
        if is_crowded != self._is_crowded:
            self._is_crowded = is_crowded
            self._told(is_crowded)
