"""The async twins: the loop goes on, the answers are the same, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from conftest import FAKE, QUESTIONS

import kbsearch
from kbsearch import query
from kbsearch import search as search_module
from kbsearch.errors import BadQuery, IndexNotFound, NoSteps, NotFound
from kbsearch.native import usable_cores
from kbsearch.search import KnowledgeBase
from kbsearch.turns import Turns
from kbsearch.twins import BUILDS, Workers, twin
from kbsearch.twins import QUESTIONS as WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TWINS = {"contact", "resolve", "search", "ranking", "article", "section", "steps", "reload", "open"}
LONG = 30.0
"""Seconds after which a test gives up; nothing here takes that long."""


@pytest.fixture
def kb(index: Path) -> KnowledgeBase:
    return KnowledgeBase.open(index)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    """Turns of this test alone."""
    mine = Turns(usable_cores())
    monkeypatch.setattr(search_module, "_TURNS", mine)
    return mine


def fill(turns: Turns) -> None:
    """As if so many threads were inside as there is room for: no thread has such a number."""
    turns._inside.update(range(usable_cores()))


def empty(turns: Turns) -> None:
    """They leave."""
    with turns._lock:
        turns._inside.clear()
        turns._settle()


def shown(result: Any) -> dict[str, Any]:
    """What does not depend on the clock."""
    found: dict[str, Any] = result.to_dict()
    return {key: value for key, value in found.items() if key not in {"took_ms", "stages"}}


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop go on until something holds."""
    async with asyncio.timeout(LONG):
        while not holds():  # noqa: ASYNC110 - what it waits for is in other threads
            await asyncio.sleep(0.001)


# The same


def test_every_twin_has_the_signature_of_what_it_repeats(kb: KnowledgeBase) -> None:
    for name in TWINS:
        one, other = getattr(kb, name), getattr(kb, f"a{name}")
        assert inspect.signature(one) == inspect.signature(other)
        assert inspect.iscoroutinefunction(other)
        assert other.__doc__
    assert inspect.signature(KnowledgeBase.open) == inspect.signature(KnowledgeBase.aopen)
    assert inspect.signature(kbsearch.build) == inspect.signature(kbsearch.abuild)
    assert (kb.asearch.__name__, kbsearch.abuild.__name__) == ("asearch", "abuild")


def test_every_async_name_is_listed_here() -> None:
    found = {name for name in vars(KnowledgeBase) if name[0] == "a" and hasattr(KnowledgeBase, name[1:])}
    assert found == {f"a{name}" for name in TWINS}


def test_two_hundred_questions_at_once_are_answered_as_one_by_one(kb: KnowledgeBase) -> None:
    asked = [(QUESTIONS[number % len(QUESTIONS)], 1 + number % 5) for number in range(200)]
    one_by_one = [shown(kb.search(question, k)) for question, k in asked]
    before = threading.active_count()
    most = 0

    async def ask(question: str, k: int) -> dict[str, Any]:
        nonlocal most
        result = await kb.asearch(question, k)
        most = max(most, threading.active_count())
        return shown(result)

    async def main() -> list[dict[str, Any]]:
        return await asyncio.gather(*(ask(*question) for question in asked))

    assert asyncio.run(main()) == one_by_one
    assert most <= before + usable_cores()


def test_each_twin_answers(kb: KnowledgeBase, index: Path) -> None:
    async def main() -> None:
        assert await kb.aranking("返品の送料", 3) == kb.ranking("返品の送料", 3)
        assert await kb.aresolve("returns") == kb.resolve("returns")
        assert await kb.aarticle("returns") == kb.article("returns")
        assert await kb.asection("returns") == kb.section("returns")
        assert await kb.asteps("account/leave") == kb.steps("account/leave")
        assert await kb.aopen("returns", 3, form="text") == kb.open("returns", 3, form="text")
        assert await kb.areload() is False
        assert await kb.acontact("en") is None  # no article says contact: true
        assert (await KnowledgeBase.aopen(index)).generation == kb.generation

    asyncio.run(main())


def test_a_build_can_be_awaited_while_questions_are_answered(articles: Path, index: Path, kb: KnowledgeBase) -> None:
    (articles / "new.md").write_text("---\ntitle: 新しい記事\nlang: ja\n---\n\n本文です。\n", "utf-8")

    async def main() -> bool:
        report, result = await asyncio.gather(kbsearch.abuild(articles, index, encoder=FAKE), kb.asearch("返品の送料"))
        assert report.added == ("new.md",)
        assert result.hits
        return await kb.areload()

    assert asyncio.run(main())
    assert kb.article("new").title == "新しい記事"


def test_exceptions_come_through(kb: KnowledgeBase, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(BadQuery, match="colour"):
            await kb.asearch("返品", filter={"colour": "red"})
        with pytest.raises(NotFound):
            await kb.aopen("no-such-article")
        with pytest.raises(NoSteps):
            await kb.asteps("returns")
        with pytest.raises(IndexNotFound):
            await KnowledgeBase.aopen(tmp_path)
        with pytest.raises(TypeError):
            await kb.asearch()  # type: ignore[call-arg]

    asyncio.run(main())


def test_context_variables_are_those_of_the_caller() -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user")

    async def ask(name: str) -> str:
        user.set(name)
        return await twin(user.get)()

    async def main() -> list[str]:
        return await asyncio.gather(*(ask(f"user {number}") for number in range(20)))

    assert asyncio.run(main()) == [f"user {number}" for number in range(20)]


# The loop


def test_the_loop_goes_on_while_a_question_is_answered(kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer waits until the loop has gone round a hundred times: on the loop's own thread that would never be."""
    may_go_on, prepared = threading.Event(), query.prepare

    def prepare(*given: Any) -> Any:
        assert may_go_on.wait(LONG)
        return prepared(*given)

    monkeypatch.setattr(search_module, "prepare", prepare)

    async def main() -> None:
        answer = asyncio.create_task(kb.asearch("返品の送料"))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not answer.done()
        may_go_on.set()
        assert (await answer).hits

    asyncio.run(main())


def test_the_threads_of_the_application_stay_free(kb: KnowledgeBase, turns: Turns) -> None:
    """A hundred questions that wait for their turn take none of those that ``asyncio.to_thread`` has."""

    async def main() -> None:
        fill(turns)
        answers = [asyncio.create_task(kb.asearch("返品")) for _ in range(100)]
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), LONG) == "free"
        assert not any(answer.done() for answer in answers)
        empty(turns)
        assert all(result.hits for result in await asyncio.gather(*answers))

    asyncio.run(main())


def test_threads_and_coroutines_ask_side_by_side(kb: KnowledgeBase) -> None:
    expected = shown(kb.search("返品の送料"))

    async def main() -> list[dict[str, Any]]:
        return [shown(result) for result in await asyncio.gather(*(kb.asearch("返品の送料") for _ in range(60)))]

    with ThreadPoolExecutor(8) as threads:
        by_threads = [threads.submit(kb.search, "返品の送料") for _ in range(60)]
        by_loops = [threads.submit(asyncio.run, main()) for _ in range(2)]
        assert all(shown(found.result(LONG)) == expected for found in by_threads)
        assert all(result == expected for found in by_loops for result in found.result(LONG))


# Cancelling


def test_what_is_cancelled_while_it_waits_is_never_begun(kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on, begun, prepared = threading.Event(), list[str](), query.prepare

    def prepare(snapshot: Any, question: str, *rest: Any) -> Any:
        begun.append(question)
        assert may_go_on.wait(LONG)
        return prepared(snapshot, question, *rest)

    monkeypatch.setattr(search_module, "prepare", prepare)

    async def main() -> None:
        first = [asyncio.create_task(kb.asearch(f"返品 {number}")) for number in range(usable_cores())]
        await until(lambda: len(begun) == usable_cores())
        late = [asyncio.create_task(kb.asearch("送料")) for _ in range(50)]
        await asyncio.sleep(0)
        for task in late:
            task.cancel()
        found = await asyncio.gather(*late, return_exceptions=True)
        assert all(isinstance(error, asyncio.CancelledError) for error in found)
        may_go_on.set()
        await asyncio.gather(*first)
        assert (await kb.asearch("最後")).query == "最後"

    asyncio.run(main())
    assert "送料" not in begun
    assert begun[-1] == "最後"


def test_what_is_cancelled_on_its_way_gives_its_turn_back(
    kb: KnowledgeBase, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on, begun, prepared = threading.Event(), list[str](), query.prepare

    def prepare(snapshot: Any, question: str, *rest: Any) -> Any:
        begun.append(question)
        assert may_go_on.wait(LONG)
        return prepared(snapshot, question, *rest)

    monkeypatch.setattr(search_module, "prepare", prepare)

    async def main() -> None:
        tasks = [asyncio.create_task(kb.asearch("返品")) for _ in range(usable_cores())]
        await until(lambda: len(begun) == usable_cores())
        for task in tasks:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(error, asyncio.CancelledError) for error in found)  # at once, not when it is through
        assert len(turns._inside) == usable_cores()
        may_go_on.set()
        assert (await asyncio.wait_for(kb.asearch("送料"), LONG)).query == "送料"
        await until(lambda: not turns._inside)

    asyncio.run(main())


def test_a_cancelled_build_goes_on_and_publishes(articles: Path, index: Path, kb: KnowledgeBase) -> None:
    (articles / "new.md").write_text("---\ntitle: 新しい記事\nlang: ja\n---\n\n本文です。\n", "utf-8")
    begun, may_go_on = threading.Event(), threading.Event()

    def progress(_stage: str, _done: int, _total: int) -> None:
        begun.set()
        assert may_go_on.wait(LONG)

    async def main() -> None:
        task = asyncio.create_task(kbsearch.abuild(articles, index, encoder=FAKE, progress=progress))
        await until(begun.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        may_go_on.set()
        await asyncio.wait_for(twin(str, BUILDS)(), LONG)  # the next in its row

    asyncio.run(main())
    assert kb.reload()
    assert kb.article("new").title == "新しい記事"


def test_a_time_limit_ends_the_waiting(kb: KnowledgeBase, turns: Turns) -> None:
    async def main() -> None:
        fill(turns)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await kb.asearch("返品")
        empty(turns)
        assert (await kb.asearch("返品")).hits

    asyncio.run(main())


# Processes and places


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_of_a_fork_starts_threads_of_its_own() -> None:
    """As under a server that loads everything and then forks: threads do not come along."""
    asyncio.run(twin(len, WORKERS)("the threads are there"))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if asyncio.run(asyncio.wait_for(twin(len)("six"), LONG)) == 3 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_builds_have_a_thread_of_their_own() -> None:
    assert BUILDS.executor() is not WORKERS.executor()
    assert BUILDS.executor()._max_workers == 1
    assert Workers("x").executor()._max_workers == usable_cores()


def test_without_a_loop_there_is_an_error_and_no_waiting(kb: KnowledgeBase) -> None:
    waiting = kb.asearch("返品")
    with pytest.raises(RuntimeError, match="no running event loop"):
        waiting.send(None)
