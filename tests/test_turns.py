"""Turns: never more inside than there are places, nobody is passed over, an interrupt loses no place."""

from __future__ import annotations

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
