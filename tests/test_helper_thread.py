"""The compiled part's helper thread: the same answers whoever does the work, and no harm where nobody asks for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kbsearch import native
from kbsearch.bm25 import STREAMS
from kbsearch.search import KnowledgeBase

if TYPE_CHECKING:
    from pathlib import Path

    from kbsearch.structures import Asked

pytestmark = pytest.mark.usefixtures("fake_encoder")

QUESTIONS = ("返品の送料は誰が払いますか", "返送料", "着払い password", "reset my password", "請求書 ダウンロード")


@pytest.fixture
def kb(kb_index: Path) -> KnowledgeBase:
    return KnowledgeBase.open(kb_index)


def asked(kb: KnowledgeBase) -> list[Asked]:
    return [kb.prepare(question).wordings[0].asked.terms for question in QUESTIONS]


def test_what_is_begun_is_found_as_at_once(kb: KnowledgeBase) -> None:
    lexical = kb.snapshot.lexical
    for question in asked(kb):
        expected = sorted(lexical.propose([question], STREAMS, 20).tolist())
        for _ in range(100):
            assert sorted(lexical.propose_later([question], STREAMS, 20)().tolist()) == expected


def test_eight_threads_begin_at_once(kb: KnowledgeBase) -> None:
    lexical, questions = kb.snapshot.lexical, asked(kb)
    expected = [sorted(lexical.propose([question], STREAMS, 20).tolist()) for question in questions]

    def ask(number: int) -> bool:
        first, second = number % len(questions), (number + 1) % len(questions)
        later = [lexical.propose_later([questions[place]], STREAMS, 20) for place in (first, second)]
        return [sorted(found().tolist()) for found in later] == [expected[first], expected[second]]

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(2000)))


@pytest.mark.parametrize("is_crowded", [True, False])
def test_where_others_want_the_cores_nobody_helps(kb: KnowledgeBase, *, is_crowded: bool) -> None:
    lexicon, question = kb.snapshot.lexical._lexicon, asked(kb)[0]
    expected = sorted(kb.snapshot.lexical.propose([question], STREAMS, 20).tolist())
    offered = set()
    native.crowd(is_crowded)
    try:
        for _ in range(50):
            proposals = native.Proposals(lexicon, [question], [0, 1], (20, 0), None)
            proposals.begin()
            offered.add(proposals._open.job[3] & 0xFFFFFFFF)  # kb_job.offered
            assert sorted(proposals.found()[0].tolist()) == expected
    finally:
        native.crowd(is_crowded=False)
    assert any(offered) == (not is_crowded and native.usable_cores() > 1)


def test_what_nobody_asks_for_any_more_does_no_harm(kb: KnowledgeBase) -> None:
    lexical, questions = kb.snapshot.lexical, asked(kb)
    expected = sorted(lexical.propose(questions, STREAMS, 100).tolist())
    for _ in range(300):
        lexical.propose_later(questions, STREAMS, 100)  # its arrays go at once
        np.empty(500, np.int64).fill(-1)  # and what they were is somebody else's
    assert sorted(lexical.propose_later(questions, STREAMS, 100)().tolist()) == expected


def test_proposals_are_given_once(kb: KnowledgeBase) -> None:
    later = kb.snapshot.lexical.propose_later(asked(kb), STREAMS, 5)
    later()
    with pytest.raises(AssertionError, match="once"):
        later()


def test_a_child_ends_what_its_parent_began(kb: KnowledgeBase) -> None:
    """The helper that took it stays behind in the parent."""
    lexical, questions = kb.snapshot.lexical, asked(kb)
    expected = sorted(lexical.propose(questions * 20, STREAMS, 100).tolist())
    for turn in range(60):
        later = lexical.propose_later(questions * 20, STREAMS, 100)
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            os._exit(0 if turn % 2 or sorted(later().tolist()) == expected else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert sorted(later().tolist()) == expected


SEARCHES = """
import os, sys
from kbsearch import KnowledgeBase
if sys.argv[2] == "one":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
kb = KnowledgeBase.open(sys.argv[1])
for _ in range(20):
    found = kb.ranking("返品の送料", mode="lexical").article_ids
kb.snapshot.lexical.propose_later([kb.prepare("返品の送料", "lexical").wordings[0].asked.terms], ["words"], 5)()
print(len(os.listdir("/proc/self/task")), *found)
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux says on which cores a process may run")
@pytest.mark.skipif(native.usable_cores() < 2, reason="there is one core")
def test_on_one_core_there_is_no_helper(kb_index: Path) -> None:
    said = {}
    for cores in ("one", "all"):
        run = [sys.executable, "-c", SEARCHES, str(kb_index), cores]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        ended = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True, env=environment)
        said[cores] = ended.stdout.split()
    assert said["one"][1:] == said["all"][1:] != []
    assert int(said["all"][0]) == int(said["one"][0]) + 1
