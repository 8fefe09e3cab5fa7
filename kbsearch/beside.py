"""Work that another thread may begin while this one does something else.

Use: ``later = beside(executor, work)``, something else, then ``later()``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

__all__ = ["beside"]

_Value = TypeVar("_Value")


def beside(executor: Executor | None, work: Callable[[], _Value]) -> Callable[[], _Value]:
    """What gives the outcome of ``work``, or raises its error; without an executor it is done only then.

    So it is when no thread has begun with it by then: the caller's has nothing else to do.
    """
    if executor is None:
        return work
    try:
        future = executor.submit(work)
    except RuntimeError:  # the interpreter is about to end
        return work
    return lambda: work() if future.cancel() else future.result()
