"""Any sentence-transformers model as an encoder: the extra ``kbsearch[sentence-transformers]``.

Use: ``load("intfloat/multilingual-e5-small")`` or ``load("/models/mine")``. Questions and passages get the model's own
prompts; models of the E5 family that declare none get ``query: `` and ``passage: ``, without which they are poor.

What is on this machine is used as it is: a folder, else what an earlier download left in the hub's cache. Only a model
that is neither is asked for on the hub, once, with a time limit, before the library begins its minutes of retries.

Never: import the library before a model is wanted (seconds, for torch), or take part in the default path; guess how
a model pools its tokens when its ``modules.json`` does not say.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kbsearch.errors import EncoderUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    from kbsearch.model import FloatArray

__all__ = ["SentenceTransformerEncoder", "load"]

PREFIX = "sentence-transformers:"
E5_NAME = re.compile(r"(?<![a-z0-9])e5(?![a-z0-9])", re.IGNORECASE)
HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
HUB_SECONDS = 10.0
SURROGATES = re.compile("[\ud800-\udfff]")
CHUNK = 128
NO_LIMIT = 8192
"""Tokens that a model without a limit of its own is given."""

MODULES = "modules.json"
UNLIKE = ["password 送料", "返品 return"]
"""Two texts that no working model takes for the same, whichever of the two languages it knows."""

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
    folder = _folder(model)
    if folder is None and not HUB_NAME.fullmatch(model):
        raise _unavailable(model, f"there is no folder {Path(model).expanduser()}")
    if folder is not None and (fault := _fault(folder)):
        raise _unavailable(model, fault)
    library = _library(model, threads)
    if folder is not None:
        return _open(library, model, str(folder))
    cached = _cached(model)
    if cached is not None and not _fault(cached):
        try:
            return _open(library, model, str(cached))
        except EncoderUnavailable:
            pass  # an interrupted download: the hub has the rest
    _require_on_hub(model)
    return _open(library, model, model)


def _library(model: str, threads: int | None) -> ModuleType:
    try:
        import sentence_transformers
        import torch
    except ImportError as error:
        remedy = 'Install it with: pip install "kbsearch[sentence-transformers]"'
        reason = f"sentence-transformers cannot be imported ({error})"
        raise EncoderUnavailable(PREFIX + model, reason, remedy) from error
    if threads is not None:
        torch.set_num_threads(threads)
    library: ModuleType = sentence_transformers
    return library


def _open(library: Any, model: str, source: str) -> SentenceTransformerEncoder:
    """Open ``model`` from ``source``: a folder, or its name on the hub."""
    import transformers.utils

    bars: Any = transformers.utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        return SentenceTransformerEncoder(model, library.SentenceTransformer(source))
    except Exception as error:  # whatever the hub, the network and the file formats raise
        raise _unavailable(model, _reason(error)) from error
    finally:
        if shown:
            bars.enable_progress_bar()


def _require_on_hub(model: str) -> None:
    """Ask the hub for the model's list of files: in one request, where the library would retry each of many.

    Raises
    ------
    EncoderUnavailable
        The hub does not answer, or has no such model, or the model has no ``modules.json``.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError

    name = _full_name(model)
    where = f"there is no folder of that name, no whole copy of {name} in this machine's cache,"
    try:
        files = [file.rfilename for file in HfApi().model_info(name, timeout=HUB_SECONDS).siblings or ()]
    except OfflineModeIsEnabled as error:
        raise _unavailable(model, f"{where} and HF_HUB_OFFLINE forbids to download one") from error
    except RepositoryNotFoundError as error:
        raise _unavailable(model, f"{where} and the hub has none that you may read") from error
    except Exception as error:
        raise _unavailable(model, f"{where} and the hub cannot be reached ({_reason(error)})") from error
    if files and MODULES not in files:
        raise _unavailable(model, f"{name} is no sentence-transformers model: it has no {MODULES}")


def _unavailable(model: str, reason: str) -> EncoderUnavailable:
    remedy = (
        "Pass the path of a folder that SentenceTransformer.save_pretrained wrote or, with the network up, the name "
        "of such a model on the hub; without a network, e5-small needs none."
    )
    return EncoderUnavailable(PREFIX + model, reason, remedy)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__


def _fault(folder: Path) -> str:
    """Say why ``folder`` cannot be a model, as far as its list of modules tells; empty if it can."""
    if not folder.is_dir():
        return f"{folder} is a file, not a model's folder"
    try:
        modules = json.loads((folder / MODULES).read_text("utf-8"))
        pooling = [Path(entry["path"]) for entry in modules if entry["type"].endswith(".Pooling")]
    except FileNotFoundError:
        return f"{folder} holds no sentence-transformers model: it has no {MODULES}, which says how to pool tokens"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{folder / MODULES} cannot be read ({_reason(error)})"
    missing = [folder / path / "config.json" for path in pooling if not (folder / path / "config.json").is_file()]
    return f"{missing[0]} is missing" if missing else ""


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
        self.dimension = _dimension(transformer)
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


def _dimension(transformer: Any) -> int:
    """Try the model; it opens also when its modules do not fit together or its tokenizer is empty."""
    try:
        first, second = np.asarray(transformer.encode(UNLIKE, show_progress_bar=False))
    except KeyError as error:
        raise ValueError(f"its modules give no vector for a text: a pooling module is missing ({error})") from error
    if np.allclose(first, second, rtol=1e-4, atol=1e-6):
        raise ValueError("it gives different texts the same vector: files of its tokenizer are missing")
    return len(first)


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
    folder = _folder(model) or _cached(model)
    if folder is None:
        yield model
        return
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.suffix in MODEL_FILES and path.is_file() and inside.parts[0] not in OTHER_RUNTIMES:
            yield f"{inside.as_posix()} {path.stat().st_size} {_sample(path)}"


def _folder(model: str) -> Path | None:
    """Give the path that ``model`` is, or None if there is nothing."""
    path = Path(model).expanduser()
    return path if path.exists() else None


def _cached(model: str) -> Path | None:
    """Give the folder where the hub's library has put the model of that name; parts of it may be missing."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(_full_name(model), MODULES)
    return Path(found).parent if isinstance(found, str) else None


def _full_name(model: str) -> str:
    """A name without an owner is the library's own."""
    return model if "/" in model else f"sentence-transformers/{model}"


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
