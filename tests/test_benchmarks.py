"""The speed suite without the engines: made corpora, questions, vectors, figures, the check and the report."""

from __future__ import annotations

import copy
import json
import re
import sys
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import limited
from speed import limits
from speed.bundle import folder_bytes
from speed.check import comparable, ratios, regressions
from speed.corpus import PASSAGES_PER_ARTICLE, article, write_articles
from speed.questions import make_questions
from speed.report import report
from speed.results import committed, read_all, write
from speed.stats import overlap, percentiles, quiet, rate, recall
from speed.systems import SYSTEMS
from speed.systems.base import fused
from speed.table import markdown
from speed.vectors import VectorMaker, normalised
from speed.words import Words, draw_ranks

from kbsearch import build
from kbsearch.markdown import parse_article
from kbsearch.rows import make_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORD = re.compile(r"[一-龠々]+|[ァ-ヴー]+|[A-Za-z0-9-]+")


def test_an_article_follows_from_seed_and_number() -> None:
    assert article(1, 7) == article(1, 7)
    assert article(1, 7) != article(2, 7)
    assert article(1, 7) != article(1, 9)


def test_a_larger_corpus_begins_with_the_smaller_one(tmp_path: Path) -> None:
    write_articles(tmp_path / "small", 6)
    write_articles(tmp_path / "large", 9)
    small, large = [
        {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*.md")}
        for folder in (tmp_path / "small", tmp_path / "large")
    ]
    assert len(small) == 6
    assert len(large) == 9
    assert small.items() <= large.items()


def test_articles_are_sound_half_japanese_and_of_about_five_passages() -> None:
    made = [article(1, number) for number in range(120)]
    parsed = []
    for path, text in made:
        found, warnings = parse_article(
            text.encode(),
            path,
            default_lang="",
            count_tokens=lambda text: len(text) // 2,
            max_tokens=512,
            target_tokens=256,
        )
        assert warnings == ()
        parsed.append(found)
    assert Counter(one.lang for one in parsed) == {"ja": 60, "en": 60}
    assert {one.kind for one in parsed} == {"faq", "guide"}
    assert 0.6 * PASSAGES_PER_ARTICLE < len(make_rows(parsed)) / len(parsed) < 1.6 * PASSAGES_PER_ARTICLE
    whole = "".join(text for _, text in made)
    assert "|---|" in whole
    assert "\n1. " in whole
    assert "。" in whole


@pytest.mark.parametrize("lang", ["ja", "en"])
def test_frequencies_fall_as_zipf_says_and_the_vocabulary_grows_as_heaps_says(lang: str) -> None:
    words = Words(lang).draw(np.random.default_rng(1), 60_000)
    counts = np.array(sorted(Counter(words).values(), reverse=True))
    ranks = np.arange(1, len(counts) + 1)
    middle = slice(20, 1000)
    slope = np.polyfit(np.log(ranks[middle]), np.log(counts[middle]), 1)[0]
    assert -1.6 < slope < -0.8
    sizes = [1000, 4000, 16_000, 60_000]
    distinct = [len(set(words[:size])) for size in sizes]
    growth = [np.log(b / a) / np.log(n / m) for (a, b), (m, n) in zip(pairwise(distinct), pairwise(sizes), strict=True)]
    assert all(0.4 < exponent < 0.95 for exponent in growth)


def test_a_rank_is_one_word_and_words_of_different_ranks_seldom_meet() -> None:
    words = Words("ja")
    assert words.word(1_234_567) == Words("ja").word(1_234_567)
    made = [words.word(rank) for rank in range(100_000, 102_000)]
    assert len(set(made)) > 1900


def test_ranks_are_never_negative() -> None:
    assert draw_ranks(np.random.default_rng(0), 10_000).min() >= 0


def test_questions_are_distinct_deterministic_and_of_their_passage() -> None:
    passages = [
        (
            f"返品の送料 {number}",
            "Before you return",
            f"到着後の返品送料は当店が負担{number}します。領収書を同梱してください。",
        )
        for number in range(40)
    ]
    made = make_questions(passages, 60)
    assert made == make_questions(passages, 60)
    assert len({text for _, text in made}) == len(made) == 60
    assert all(0 <= place < len(passages) for place, _ in made)
    sentences = [(place, text) for place, text in made if text.endswith("。")]
    assert sentences
    assert all(text in passages[place][2] for place, text in sentences)


def test_questions_of_too_small_a_corpus_end() -> None:
    assert make_questions([("?", "", "")], 5) == []
    assert make_questions([], 5) == []


def _real(count: int = 800) -> NDArray[np.float32]:
    generator = np.random.default_rng(3)
    spectrum = np.arange(1, 33) ** -0.7
    return normalised(2.0 + generator.standard_normal((count, 32)) * spectrum)


def test_made_vectors_look_like_the_real_ones() -> None:
    real = _real()
    made = VectorMaker(real).passages(np.random.default_rng(4), 800)
    assert made.dtype == np.float32
    assert np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    pairs = [float((block @ block.T)[np.triu_indices(len(block), 1)].mean()) for block in (real, made)]
    assert pairs[0] == pytest.approx(pairs[1], abs=0.01)
    spectra = [np.linalg.svd(block - block.mean(axis=0), compute_uv=False) for block in (real, made)]
    assert np.allclose(spectra[0][:8], spectra[1][:8], rtol=0.15)


def test_a_question_is_as_near_as_asked_for() -> None:
    real = _real()
    near = VectorMaker(real).near(np.random.default_rng(5), real[:200], 0.995)
    assert float(np.vecdot(near, real[:200]).mean()) == pytest.approx(0.995, abs=0.002)


def test_percentiles_are_measured_values() -> None:
    assert percentiles([5.0, 1.0, 2.0, 3.0, 4.0]) == {"p50": 3.0, "p95": 5.0, "p99": 5.0}
    assert percentiles([]) == {}


def test_quiet_takes_the_least_time_of_each_question() -> None:
    assert quiet([(0, 9.0), (1, 2.0), (0, 1.0), (1, 8.0), (2, 3.0)]) == 2.0
    assert quiet([]) == 0.0


def test_recall_counts_ties_and_no_more_than_k() -> None:
    exact = [np.array([0.9, 0.8, 0.8, 0.7], dtype=np.float32)]
    assert recall([np.array([0.9, 0.8])], exact, 2) == 1.0
    assert recall([np.array([0.8, 0.8])], exact, 2) == 1.0  # each has a score of the best two
    assert recall([np.array([0.9, 0.7])], exact, 2) == 0.5
    assert recall([np.array([])], exact, 2) == 0.0
    assert recall([], [], 2) == 0.0


def test_overlap() -> None:
    assert overlap([["a", "b"], ["c"]], [["b", "a"], ["d"]]) == 0.5
    assert overlap([[]], [[]]) == 1.0


def test_rate_shares_the_values_and_raises_what_failed() -> None:
    asked: set[int] = set()
    names: set[str] = set()

    def work(value: int) -> None:
        asked.add(value)
        names.add(threading.current_thread().name)

    assert rate(work, [1, 2, 3], 2, 0.05) > 0
    assert asked == {1, 2, 3}
    assert names
    with pytest.raises(ZeroDivisionError):
        rate(lambda value: 1 // value, [0], 2, 0.05)


def test_fusion_prefers_what_both_found() -> None:
    assert fused([[1, 2, 3], [3, 4]], 2) == [3, 1]


def test_folder_bytes_counts_holes_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "full").write_bytes(b"x" * 10_000)
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(50_000_000)
    assert 9_000 < folder_bytes(tmp_path) < 1_000_000


def test_every_system_says_what_it_needs() -> None:
    for entry in SYSTEMS.values():
        assert entry.packages
        assert (Path(__file__).parents[1] / "benchmarks" / "speed" / "systems" / f"{entry.module}.py").exists()


def _figures(p50: float) -> dict[str, float]:
    return {"p50": p50, "p95": 2 * p50, "p99": 3 * p50, "quiet": p50, "asked": 300}


def _system(p50: float, **ways: float) -> dict[str, Any]:
    memory = {"rss": 100_000_000, "pss": 90_000_000, "anonymous": 60_000_000}
    return {
        "build": {"seconds": 2.0, "bytes": 2_000_000, "bytes a passage": 2000.0},
        "memory": {"empty": memory, "rest": memory, "load": memory},
        "settings": {},
        "ways": {"search": _figures(p50), **{name.replace("_", ": "): _figures(value) for name, value in ways.items()}},
        "rate": {"1": 400.0, "2": 700.0, "8": 800.0},
        "recall": {"recall@10": 1.0, "recall@100": 0.99},
        "agreement": None,
    }


def _result(name: str = "2000", passages: int = 2000) -> dict[str, Any]:
    stages = {stage: _figures(value) for stage, value in (("analyse", 0.3), ("encode", 2.0), ("rank", 1.0))}
    return {
        "name": name,
        "date": "2026-01-01",
        "commit": "abc",
        "load": 0.1,
        "machine": {"cpu": "a processor", "cores": 2, "memory": 8 * 10**9, "system": "Linux"},
        "corpus": {
            "key": {"corpus": "synthetic 1", "size": passages, "real vectors": True},
            "passages": passages,
            "articles": passages // 5,
            "questions": 300,
            "dimension": 384,
        },
        "systems": {
            "kbsearch": _system(2.0, ranking=1.5, leg_dense=0.1),
            "tantivy": _system(0.2),
            "faiss-flat": _system(0.1),
            "naive": {"skipped": "of no use"},
        },
        "own": {
            "encoded": {"search": _figures(4.0), "encode alone": _figures(2.0), "rate": {"1": 200.0}, "stages": stages},
            "encoder": {"passages a second": 100.0, "sample": 200},
            "edited": {"timings": {"total": 1.0, "encode": 0.1}, "without encoding": 0.9, "encoded": 1, "changed": 1},
            "limits": {"memory, GB a second": 20.0, "cache, GB a second": 40.0, "a row from anywhere, us": 0.2},
        },
        "cold": {
            "warm": {
                name: {"p50": 70.0, "least": 60.0, "multiple": 1.0, "quiet": 1.0} for name in ("import numpy", "--help")
            }
        },
    }


def test_what_the_machine_allows_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_LARGE", 20_000)
    found = limits.measure_limits()
    assert found.keys() == _result()["own"]["limits"].keys()
    assert all(value > 0 for value in found.values())
    assert "in order at 20.0 GB a second from memory and 40.0 from its cache" in markdown([_result()])


def test_ratios_are_of_one_run() -> None:
    found = ratios(_result())
    assert found["search / (tantivy + faiss-flat)"].value == pytest.approx(2.0 / 0.3)
    assert found["cold start: --help / import numpy"].value == 1.0
    assert found["index / its vectors"].value == pytest.approx(2000 / 1536)
    assert "cold start: import numpy / import numpy" not in found
    assert ratios({}) == {}


def test_where_not_every_passage_is_compared_the_graph_is_the_reference() -> None:
    result = _result()
    result["systems"]["kbsearch"]["settings"]["dense"] = {"kinds": ["sq8", "pq4"]}
    result["systems"]["faiss-hnsw"] = _system(0.4)
    assert ratios(result)["search / (tantivy + faiss-hnsw)"].value == pytest.approx(2.0 / 0.6)


def test_a_machine_of_half_the_speed_is_no_regression() -> None:
    slower = _result()
    for system in slower["systems"].values():
        for way in system.get("ways", {}).values():
            way.update({name: 2 * value for name, value in way.items()})
    assert regressions(slower, _result()) == []


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("systems", "kbsearch", "ways", "search", "quiet"), 2.9, "search /"),
        (("cold", "warm", "--help", "quiet"), 1.4, "cold start: --help"),
        (("systems", "kbsearch", "build", "bytes a passage"), 2200.0, "index /"),
        (("systems", "kbsearch", "rate", "8"), 400.0, "rate of 8"),
        (("systems", "kbsearch", "recall", "recall@100"), 0.95, "recall@100"),
    ],
)
def test_a_worse_ratio_is_named(path: tuple[str, ...], value: float, expected: str) -> None:
    now: dict[str, Any] = _result()
    place = now
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    lines = regressions(now, _result())
    assert len(lines) == 1
    assert lines[0].startswith(expected)


def test_what_is_not_measured_any_more_is_a_regression() -> None:
    now = copy.deepcopy(_result())
    del now["cold"]
    assert "is not there any more" in regressions(now, _result())[0]


def test_only_the_same_corpus_is_compared() -> None:
    assert comparable(_result(), _result())
    assert not comparable(_result(), _result(passages=10_000))


def test_results_are_read_by_size_and_the_quick_one_last(tmp_path: Path) -> None:
    for name, passages in (("quick", 2000), ("100000", 100_000), ("10000", 10_000)):
        write(tmp_path, name, _result(name, passages))
    assert [found["name"] for found in read_all(tmp_path)] == ["10000", "100000", "quick"]
    assert committed(tmp_path, "10000") == json.loads((tmp_path / "speed-10000.json").read_text("utf-8"))
    assert committed(tmp_path, "5") is None


def test_the_table_has_every_system_and_says_why_one_is_missing() -> None:
    text = markdown([_result()])
    assert "| kbsearch | 2.00 | 4.00 | 6.00 | 2.00 |" in text
    assert "- naive: of no use" in text
    assert "stage: encode" in text
    for heads, rule in re.findall(r"^(\|.*\|)\n(\|[-:|]+\|)$", text, re.MULTILINE):
        assert heads.count("|") == rule.count("|")


def test_the_report_is_written_without_pictures_where_matplotlib_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    write(tmp_path, "2000", _result())
    assert [file.name for file in report(tmp_path)] == ["speed.md"]
    assert report(tmp_path / "empty") == []


def test_a_limited_memory_is_measured_on_what_a_run_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "articles").mkdir()
    (tmp_path / "articles" / "henpin.md").write_text("# 返品の送料\n\n返品の送料は当店が負担します。\n", "utf-8")
    build(tmp_path / "articles", tmp_path / "index")
    texts = "返品の送料", "送料は誰が払う", "Who pays for a return?", "返品"
    vectors = np.eye(len(texts), 384, dtype=np.float32)
    np.save(tmp_path / "question_vectors.npy", vectors)
    questions = [{"text": text, "words": ["返品"], "grams": ["返品"]} for text in texts]
    (tmp_path / "questions.json").write_text(json.dumps(questions), "utf-8")
    (tmp_path / "bundle.json").write_text(json.dumps({"passages": 1}), "utf-8")
    limited.main([str(tmp_path)])
    first, *lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"1 passages, 0\.0 GB of files, \d+\.\d GB of memory", first)
    figures = [[float(cell) for cell in line.split("|")[2:5]] for line in lines[2:]]
    assert len(figures) == 4
    assert all(0 < p50 <= p95 <= p99 for p50, p95, p99 in figures)
