"""Encoders by name: texts to unit vectors.

Use: ``encoder = load_encoder()``, then ``encoder.encode_query(...)`` and ``encoder.encode_passages([...])``; see
:class:`kbsearch.model.Encoder`.

- ``e5-small``: multilingual-e5-small, Japanese, English and a hundred more; offline, without torch.
- ``sentence-transformers:NAME_OR_PATH``: any model of that library, from a hub or a folder; an extra.

:func:`warm_up` is for a process that answers one question: what can be opened beside other work is.

Never: load an encoder's library when this package is imported; that costs from 0.1 s to many seconds.
"""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

from kbsearch.errors import EncoderUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from kbsearch.model import Encoder

__all__ = ["DEFAULT", "faults", "load_encoder", "text_key", "warm_up"]

DEFAULT = "e5-small"
SENTENCE_TRANSFORMERS = "sentence-transformers:"

_loaded: dict[tuple[str, int | None], Encoder] = {}
_lock = threading.Lock()


def load_encoder(
    name: str = DEFAULT,
    *,
    threads: int | None = None,
    on_convert: Callable[[str, int, int], None] | None = None,
) -> Encoder:
    """Give the encoder of that name; the same object to whoever asks again in this process.

    Parameters
    ----------
    name
        ``e5-small`` or ``sentence-transformers:NAME_OR_PATH``.
    threads
        How many cores to use for passages; None for all.
    on_convert
        ``on_convert(stage, done, total)`` while the default encoder's weights are converted, once per machine.

    Raises
    ------
    EncoderUnavailable
        The name is unknown, or the model or its package is not there; the message says what to do.
    """
    with _lock:
        key = (name, threads)
        if key not in _loaded:
            _loaded[key] = _load(name, threads, on_convert)
        return _loaded[key]


def _load(name: str, threads: int | None, on_convert: Callable[[str, int, int], None] | None) -> Encoder:
    # The imports below are the expensive ones: they wait until their encoder is wanted.
    if name == DEFAULT:
        from kbsearch.embed import e5

        return e5.load(threads, on_convert)
    model = name.removeprefix(SENTENCE_TRANSFORMERS)
    if model in ("", name):
        remedy = f"Choose {DEFAULT} or {SENTENCE_TRANSFORMERS}NAME_OR_PATH."
        raise EncoderUnavailable(name, "there is no encoder of that name", remedy)
    from kbsearch.embed import st

    return st.load(model, threads)


def warm_up(name: str) -> None:
    """Have the layers of the default encoder opened while the caller does something else; other encoders wait.

    Never raises: who asks for the encoder is told what is wrong with it.
    """
    if name != DEFAULT:
        return
    from kbsearch.embed.e5 import E5Small

    try:
        encoder = load_encoder(name)
    except EncoderUnavailable:
        return
    if isinstance(encoder, E5Small):  # a test may have put another one there
        encoder.open_beside()


def faults(name: str) -> list[str]:
    """What is wrong with the files that an encoder keeps on this machine, a sentence each."""
    if name != DEFAULT:
        return []
    from kbsearch.embed.convert import verify_cache

    return verify_cache()


def text_key(text: str) -> str:
    """SHA-256 of what an encoder reads: the same text has the same vector, whatever it stands for."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
