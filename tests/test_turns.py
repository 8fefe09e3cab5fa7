"""Turns: never more inside than there are places, nobody is passed over for long, an interrupt loses no place."""

from __future__ import annotations

import os
import threading
import time

import pytest

from kbsearch.turns import Turns


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


def test_who_is_interrupted_while_waiting_leaves_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(1)

    class Interrupted:
        """A lock whose second acquire is interrupted, as by Ctrl-C."""

        def __init__(self) -> None:
            self.times = 0

        def acquire(self) -> None:
            self.times += 1
            if self.times > 1:
                raise KeyboardInterrupt

    with turns:
        monkeypatch.setattr("kbsearch.turns.threading.Lock", Interrupted)
        with pytest.raises(KeyboardInterrupt), turns:
            pass
        monkeypatch.undo()
        assert not turns._waiting
    with turns:
        pass
