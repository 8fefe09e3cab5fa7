"""Work that another thread may begin: its outcome, its error, and who does it where no thread is free."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kbsearch.beside import beside


def test_it_is_begun_beside() -> None:
    begun = threading.Event()

    def work() -> str:
        begun.set()
        return threading.current_thread().name

    with ThreadPoolExecutor(1) as executor:
        later = beside(executor, work)
        assert begun.wait(10)
        assert later() != threading.current_thread().name


def test_where_no_thread_is_free_it_is_done_by_who_asks() -> None:
    free = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(free.wait)
        assert beside(executor, lambda: threading.current_thread().name)() == threading.current_thread().name
        free.set()


def test_without_an_executor_it_is_done_when_it_is_asked_for() -> None:
    done: list[str] = []
    later = beside(None, lambda: done.append("送料"))
    assert done == []
    later()
    assert done == ["送料"]


def test_an_executor_that_has_ended_takes_nothing() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    assert beside(executor, lambda: 7)() == 7


def test_an_error_is_that_of_who_asks() -> None:
    def broken() -> int:
        raise ValueError("返品")

    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="返品"):
        beside(executor, broken)()
