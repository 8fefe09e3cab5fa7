"""Turns: never more inside than there are places, nobody is passed over for long, an interrupt loses no place."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from kbsearch import turns as turns_module
from kbsearch.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("places", [1, 2, 3])
def test_no_more_are_inside_than_there_are_places(places: int) -> None:
    turns, inside, most, lock = Turns(places), [0], [0], threading.Lock()

    def work() -> None:
        for _ in range(50):
            with turns:
                with lock:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                time.sleep(0)
                with lock:
                    inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside == [0]
    assert most[0] <= places


def test_who_comes_first_is_served_first() -> None:
    turns, order = Turns(1), []
    threads = []

    def work(number: int) -> None:
        with turns:
            order.append(number)

    with turns:
        for number in range(6):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            while len(turns._waiting) <= number:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4, 5]


def test_a_place_goes_to_who_is_awake_until_the_first_in_the_row_has_waited_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread that comes back at once, with its next question, passes over the one that is being woken."""
    turns, order = Turns(1), list[str]()

    def wait() -> None:
        with turns:
            order.append("waiting")

    def passes(patience: float) -> list[str]:
        monkeypatch.setattr("kbsearch.turns.PATIENCE", patience)
        monkeypatch.setattr("kbsearch.turns._Waiting.wake", lambda _: None)  # it sleeps until this thread lets it go
        order.clear()
        turns.__enter__()
        thread = threading.Thread(target=wait)
        thread.start()
        while not turns._waiting:
            time.sleep(0.001)
        first = turns._waiting[0]
        turns.__exit__(None, None, None)
        if first.has_place:
            order.append("handed over")
        else:
            with turns:
                order.append("awake")
        first.asleep.release()
        thread.join()
        return order

    assert passes(60.0) == ["awake", "waiting"]
    assert passes(0.0) == ["handed over", "waiting"]


def test_it_is_told_when_more_than_one_wants_to_be_inside() -> None:
    told = list[bool]()
    for places in (1, 2):
        turns = Turns(places, told.append)
        told.clear()
        with turns:
            assert told == []
            other = threading.Thread(target=lambda turns=turns: turns.__enter__() or turns.__exit__(None, None, None))
            other.start()
            if places == 1:
                while not turns._waiting:
                    time.sleep(0.001)
            else:
                other.join()
                assert told == [True, False]
        other.join()
        assert told == [True, False]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_does_not_wait_for_who_stayed_behind() -> None:
    turns, answer = Turns(1), os.pipe()
    with turns:
        child = os.fork()
        if child == 0:
            with turns:
                os.write(answer[1], b"inside")
            os._exit(0)
        os.waitpid(child, 0)
        assert os.read(answer[0], 6) == b"inside"
    for end in answer:
        os.close(end)


def test_an_error_inside_gives_the_place_back() -> None:
    turns = Turns(1)
    with pytest.raises(ValueError, match="送料"), turns:
        raise ValueError("送料")
    with turns:
        pass


@pytest.mark.parametrize("is_handed_over", [False, True])
def test_who_is_interrupted_while_waiting_leaves_the_row(
    monkeypatch: pytest.MonkeyPatch, *, is_handed_over: bool
) -> None:
    """Also where it was given a place at that moment."""
    turns, ended = Turns(1), list[type[BaseException]]()
    monkeypatch.setattr("kbsearch.turns.PATIENCE", 0.0)

    class Interrupted:
        """A lock whose acquire is interrupted, as by Ctrl-C."""

        def acquire(self) -> None:
            if is_handed_over:
                turns._inside.clear()  # as the thread that was inside does
                turns._hand_over()
            raise KeyboardInterrupt

        def release(self) -> None:
            pass

    def asleep(thread: int) -> turns_module._Waiting:
        waiting = real(thread)
        waiting.asleep = Interrupted()  # type: ignore[assignment]
        return waiting

    def wait() -> None:
        try:
            with turns:
                pass
        except BaseException as error:  # noqa: BLE001 - what it was
            ended.append(type(error))

    real = turns_module._Waiting
    monkeypatch.setattr("kbsearch.turns._Waiting", asleep)
    with turns:
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join()
    assert ended == [KeyboardInterrupt]
    assert not turns._waiting
    assert not turns._inside
    with turns:
        pass


def test_who_was_interrupted_on_the_way_out_finds_its_place_again() -> None:
    turns, others = Turns(1), list[str]()

    def work() -> None:
        with turns:
            others.append("inside")

    turns.__enter__()  # and never leaves
    with turns:
        pass
    other = threading.Thread(target=work)
    other.start()
    other.join(10)
    assert others == ["inside"]


def test_an_error_of_who_is_told_costs_no_place() -> None:
    def refuse(_: bool) -> None:  # noqa: FBT001 - as it is called
        raise ValueError("満席")

    def work() -> None:
        with pytest.raises(ValueError, match="満席"):
            turns.__enter__()

    turns = Turns(1, refuse)
    for _ in range(2):
        with turns:
            entering = threading.Thread(target=work)
            entering.start()
            entering.join(10)
            assert not entering.is_alive()
            assert not turns._waiting
            turns._is_crowded = False


def test_nobody_sleeps_beside_a_free_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two places are given up while the first in the row is slow to wake, and it is handed one of them."""
    turns, inside, go = Turns(2), list[int](), threading.Event()
    monkeypatch.setattr("kbsearch.turns._Waiting.wake", lambda self: setattr(self, "woken", True))

    def work(number: int) -> None:
        with turns:
            inside.append(number)
            go.wait(10)

    turns._inside.update((1, 2))  # threads of no such number
    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for number, thread in enumerate(threads, start=1):
        thread.start()
        while len(turns._waiting) < number:
            time.sleep(0.001)
    first, second = turns._waiting
    turns._inside.discard(1)
    turns._settle()  # the first is told, and gets no core
    monkeypatch.setattr("kbsearch.turns.PATIENCE", 0.0)
    turns._inside.discard(2)
    turns._hand_over()
    turns._settle()
    assert (first.has_place, first.woken, second.woken) == (True, True, True)
    for one in (first, second):
        one.asleep.release()
    until(lambda: sorted(inside) == [0, 1])
    go.set()
    for thread in threads:
        thread.join()


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, for ten seconds at most."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)
