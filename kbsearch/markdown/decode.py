r"""Bytes of a file → its text with ``\n`` line ends, whatever an editor or an export has done to them.

Use: :func:`decode`. It reads UTF-8 (with or without a byte order mark), UTF-16 with a mark, and Japanese files in
Shift_JIS or EUC-JP, which are announced by a warning.

Never: drop a line or add one. Line numbers of the text are line numbers of the file.
"""

from __future__ import annotations

import codecs
import re

from kbsearch.errors import ArticleError
from kbsearch.model import ArticleWarning

__all__ = ["MAX_BYTES", "decode"]

MAX_BYTES = 10_000_000

_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_LEGACY = ("cp932", "euc_jis_2004")
_LEGACY_NAMES = {"cp932": "Shift_JIS", "euc_jis_2004": "EUC-JP"}
_FULL_KANA = re.compile("[ぁ-ゖァ-ヺ]")
_HALF_KANA = re.compile("[ｦ-ﾟ]")
_PLAUSIBLE = 0.2


def decode(raw: bytes, path: str) -> tuple[str, tuple[ArticleWarning, ...]]:
    r"""Text of the file with ``\n`` line ends and without a byte order mark.

    Raises
    ------
    ArticleError
        The file is too large, binary or empty.
    """
    if len(raw) > MAX_BYTES:
        raise ArticleError(path, 0, f"the file is larger than {MAX_BYTES // 1_000_000} MB")
    text, warnings = _decode_bytes(raw, path)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise ArticleError(path, _line(text[: text.index("\0")]), "the file is binary: it holds NUL characters")
    if not text.strip():
        raise ArticleError(path, 0, "the file is empty")
    return text, warnings


def _decode_bytes(raw: bytes, path: str) -> tuple[str, tuple[ArticleWarning, ...]]:
    encoding = _UTF16.get(raw[:2], "utf-8")
    mark = 2 if encoding != "utf-8" else 3 if raw.startswith(codecs.BOM_UTF8) else 0
    body = raw[mark:]
    try:
        return body.decode(encoding), ()
    except UnicodeDecodeError as broken:
        line = _line(body[: broken.start].decode(encoding, "replace"))
    legacy = None if mark or b"\0" in body else _guess_legacy(body)
    if legacy:
        message = f"the file is not UTF-8; it was read as {_LEGACY_NAMES[legacy]}"
        return body.decode(legacy), (ArticleWarning(path, line, "not-utf8", message),)
    message = "bytes that are no characters in UTF-8; they were replaced by U+FFFD"
    return body.decode(encoding, "replace"), (ArticleWarning(path, line, "broken-utf8", message),)


def _line(before: str) -> int:
    """Number of the line on which the text after ``before`` goes on."""
    return before.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1


def _guess_legacy(body: bytes) -> str | None:
    """Return the Japanese encoding in which the bytes read as Japanese, None if in neither."""
    scores = {}
    for encoding in _LEGACY:
        try:
            scores[encoding] = _japanese_share(body.decode(encoding))
        except UnicodeDecodeError:
            continue
    best = max(scores, key=scores.__getitem__, default=None)
    return best if best and scores[best] > _PLAUSIBLE else None


def _japanese_share(text: str) -> float:
    """Share of kana among the characters that are not ASCII.

    Half-width kana count against it: they are what UTF-8 or EUC-JP looks like when it is read as Shift_JIS.
    """
    foreign = len(text) - len(text.encode("ascii", "ignore"))
    return (len(_FULL_KANA.findall(text)) - 2 * len(_HALF_KANA.findall(text))) / (foreign or 1)
