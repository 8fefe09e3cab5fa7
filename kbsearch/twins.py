"""Async twins of what blocks: the same arguments, the same answer, and the event loop goes on meanwhile.

Use: ``asearch = twin(search)`` in a class, ``abuild = twin(build, BUILDS)`` for a function; ``await kb.asearch(…)``.

The work runs in threads of our own, as many as there are cores: more would only wait for each other
(:mod:`kbsearch.turns`), and those of ``asyncio.to_thread`` stay free for the application. Further calls wait in a row
that costs no thread. Context variables are those of the caller. They run under asyncio and what is built on it (uvloop,
anyio).

A call that is cancelled while it waits is never begun. One that is under way cannot be stopped: it ends by itself, in
milliseconds for a question, and nobody gets its answer; its thread and its turn are free then.

Never: wait for a lock on the thread of the event loop.
"""

from __future__ import annotations

import contextvars
import functools
import os
import threading
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, TypeVar, overload

from kbsearch.native import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["BUILDS", "QUESTIONS", "Either", "Workers", "twin"]

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")
_GivenHere = ParamSpec("_GivenHere")
_AnswerHere = TypeVar("_AnswerHere")


class Workers:
    """A few threads that are started when they are needed.

    Parameters
    ----------
    name
        Of the threads.
    most
        At most so many; None for one a core.
    """

    def __init__(self, name: str, most: int | None = None) -> None:
        self._name, self._most = name, most
        self._starting = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """A child of a fork has the object without its threads: nobody would ever answer."""
        self._starting = threading.Lock()
        self._executor = None

    def executor(self) -> ThreadPoolExecutor:
        """The threads."""
        from concurrent.futures import ThreadPoolExecutor  # a command does without, and without asyncio

        with self._starting:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._most or usable_cores(), self._name)
            return self._executor

    async def run(self, call: Callable[[], _Answer]) -> _Answer:
        """Call it in a thread, in the context of the caller."""
        import asyncio

        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self.executor(), context.run, call)


QUESTIONS: Final = Workers("kbsearch-async")
BUILDS: Final = Workers("kbsearch-build", 1)  # a build keeps every core busy by itself, and questions must not wait


def twin(
    blocking: Callable[_Given, _Answer], workers: Workers = QUESTIONS
) -> Callable[_Given, Coroutine[Any, Any, _Answer]]:
    """The async twin of a function or of a method of a class under way."""

    async def call(*given: _Given.args, **named: _Given.kwargs) -> _Answer:
        return await workers.run(functools.partial(blocking, *given, **named))

    if isinstance(blocking, classmethod):  # as it stands in the body of its class
        return classmethod(twin(blocking.__func__, workers))
    functools.update_wrapper(call, blocking)
    call.__name__ = f"a{blocking.__name__}"
    call.__qualname__ = f"{blocking.__qualname__.removesuffix(blocking.__name__)}{call.__name__}"
    call.__doc__ = f"``{blocking.__name__}`` to be awaited: in a thread, while the event loop goes on."
    return call


class Either(Generic[_Given, _Answer, _GivenHere, _AnswerHere]):
    """A name that calls one thing of the class and another of its objects, as ``KnowledgeBase.open`` and ``kb.open``.

    Parameters
    ----------
    of_class
        A class method, as it stands in the class.
    of_object
        A method.
    """

    def __init__(
        self,
        of_class: Callable[Concatenate[Any, _Given], _Answer],
        of_object: Callable[Concatenate[Any, _GivenHere], _AnswerHere],
    ) -> None:
        self._of_class, self._of_object = of_class, of_object

    @overload
    def __get__(self, held: None, owner: type) -> Callable[_Given, _Answer]: ...

    @overload
    def __get__(self, held: object, owner: type) -> Callable[_GivenHere, _AnswerHere]: ...

    def __get__(self, held: object, owner: type) -> Any:
        """See the class."""
        return self._of_class.__get__(None, owner) if held is None else self._of_object.__get__(held, owner)
