"""Any sentence-transformers model as an encoder: the extra ``kbsearch[sentence-transformers]``.

Use: ``load("intfloat/multilingual-e5-small")`` or ``load("/models/mine")``. Questions and passages get the model's own
prompts; models of the E5 family that declare none get ``query: `` and ``passage: ``, without which they are poor.

Never: import the library before a model is wanted (seconds, for torch), or take part in the default path.
"""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kbsearch.errors import EncoderUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kbsearch.model import FloatArray

__all__ = ["SentenceTransformerEncoder", "load"]

PREFIX = "sentence-transformers:"
E5_NAME = re.compile(r"(?<![a-z0-9])e5(?![a-z0-9])", re.IGNORECASE)
SURROGATES = re.compile("[\ud800-\udfff]")
CHUNK = 128
NO_LIMIT = 8192
"""Tokens that a model without a limit of its own is given."""

MODEL_FILES = {".json", ".txt", ".model", ".safetensors", ".bin"}
OTHER_RUNTIMES = {"onnx", "openvino"}
SAMPLES, SAMPLE_BYTES = 64, 1 << 16


def load(model: str, threads: int | None = None) -> SentenceTransformerEncoder:
    """Open a model by its name on the hub or the path of its folder.

    ``threads`` sets torch's, for the whole process.

    Raises
    ------
    EncoderUnavailable
        The library is not installed, or it cannot find or read the model.
    """
    try:
        import sentence_transformers
        import torch
        import transformers.utils
    except ImportError as error:
        remedy = 'Install it with: pip install "kbsearch[sentence-transformers]"'
        raise EncoderUnavailable(
            PREFIX + model, f"sentence-transformers cannot be imported ({error})", remedy
        ) from error
    if threads is not None:
        torch.set_num_threads(threads)
    bars: Any = transformers.utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        return SentenceTransformerEncoder(model, sentence_transformers.SentenceTransformer(model))
    except Exception as error:  # whatever the hub, the network and the file formats raise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        remedy = "Pass the path of a folder that holds the model, or a name that the hub knows, with the network up."
        raise EncoderUnavailable(PREFIX + model, reason, remedy) from error
    finally:
        if shown:
            bars.enable_progress_bar()


class SentenceTransformerEncoder:
    """Implements :class:`kbsearch.model.Encoder`. Threads take turns: the library's tokenizers are not safe to share.

    Parameters
    ----------
    model
        Name or path.
    transformer
        The open ``sentence_transformers.SentenceTransformer``.
    """

    def __init__(self, model: str, transformer: Any) -> None:
        self.name = PREFIX + model
        self._transformer = transformer
        self._lock = threading.Lock()
        self._query_prompt, self._passage_prompt = _prompts(model, transformer.prompts or {})
        self.max_tokens = min(int(transformer.max_seq_length or NO_LIMIT), NO_LIMIT)
        transformer.max_seq_length = self.max_tokens
        self.dimension = len(transformer.encode("", show_progress_bar=False))
        settings = [self._query_prompt, self._passage_prompt, str(self.max_tokens), str(self.dimension)]
        digest = hashlib.sha256("\n".join([*settings, *_describe(model)]).encode()).hexdigest()
        self.fingerprint = f"{PREFIX}{Path(model).name}/{digest[:12]}"

    def count_tokens(self, text: str) -> int:
        """Tokens that ``text`` takes as a passage, prompt and special tokens included."""
        text = self._passage_prompt + _printable(text)
        tokenizer = self._transformer.tokenizer
        with self._lock:
            if callable(tokenizer):
                return len(tokenizer(text, truncation=False, verbose=False)["input_ids"])
            return len(tokenizer.encode(text).ids)

    def encode_query(self, text: str) -> FloatArray:
        """One question, as float32 of shape ``(dimension,)`` and length 1."""
        vector: FloatArray = self._encode([text], self._query_prompt)[0]
        return vector

    def encode_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> FloatArray:
        """Passages, as float32 of shape ``(len(texts), dimension)``, each row of length 1, in the given order.

        ``progress(n)`` is called with the number of texts finished since the last call.
        """
        vectors = np.empty((len(texts), self.dimension), np.float32)
        for start in range(0, len(texts), CHUNK):
            chunk = texts[start : start + CHUNK]
            vectors[start : start + len(chunk)] = self._encode(chunk, self._passage_prompt)
            if progress is not None:
                progress(len(chunk))
        return vectors

    def _encode(self, texts: Sequence[str], prompt: str) -> FloatArray:
        clean = [_printable(text) for text in texts]
        with self._lock:
            found = self._transformer.encode(clean, prompt=prompt or None, show_progress_bar=False)
        vectors: FloatArray = np.array(found, np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        lost = ~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0)
        vectors[lost], lengths[lost] = np.eye(1, self.dimension, dtype=np.float32), 1  # nothing was left of the text
        vectors /= lengths
        return vectors


def _printable(text: str) -> str:
    """Replace lone surrogates, which the tokenizers refuse."""
    return SURROGATES.sub("\ufffd", text)


def _prompts(model: str, own: dict[str, str]) -> tuple[str, str]:
    """Prompts for questions and for passages."""
    query = own.get("query") or ""
    passage = own.get("passage") or own.get("document") or ""
    if not query and not passage and E5_NAME.search(model):
        return "query: ", "passage: "
    return query, passage


def _describe(model: str) -> Iterator[str]:
    """One line for each file that decides what the model computes; library versions play no part."""
    folder = _folder(model)
    if folder is None:
        yield model
        return
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.suffix in MODEL_FILES and path.is_file() and inside.parts[0] not in OTHER_RUNTIMES:
            yield f"{inside.as_posix()} {path.stat().st_size} {_sample(path)}"


def _folder(model: str) -> Path | None:
    """The model's folder; for a name, where the hub's library has put it."""
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download

    for name in (model, f"sentence-transformers/{model}"):
        try:
            return Path(snapshot_download(name, local_files_only=True))
        except Exception:  # noqa: BLE001, S112 - not there, in words that change with the library's version
            continue
    return None


def _sample(path: Path) -> str:
    """Hash the file up to 4 MB, and of a larger one 64 blocks spread evenly: training moves every weight."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if size <= SAMPLES * SAMPLE_BYTES:
            return hashlib.file_digest(file, "sha256").hexdigest()
        for number in range(SAMPLES):
            file.seek(number * (size - SAMPLE_BYTES) // (SAMPLES - 1))
            digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()
