"""Convert the packed weights once, and keep the result in the user's cache folder.

Use: ``converted()`` gives what is there and converts if nothing usable is. The folder's name holds the version of
the conversion and the hash of the packed file, so another version never meets files that it cannot read.

    <cache>/e5-small-v5-1571fc982750/
        body.onnx                                           the twelve layers, see `graph`
        pieces.trie  pieces.scores                          see `tokenizer`
        embedding.f32                                       positions, then scale and bias of the layer-norm
        manifest.json                                       sizes and checksums of the above; written last
        checked.json                                        packed files whose SHA-256 was found right

Everything is written to a folder of its own and renamed. Whoever comes second finds the first one's result and
drops its own; a killed conversion leaves a ``.convert-…`` folder that nobody reads and a later one sweeps up.

A file that changed since is noticed when it is opened, by its CRC-32: 5 ms for all of them, where SHA-256 takes 20. The
layers are most of that, and are only looked at for a vector: :func:`checked_body`.

Never: convert at import, or touch a published file (``checked.json``, which is only a saving, is replaced whole).
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs

from kbsearch.embed import tokenizer
from kbsearch.embed.packed import NAME, SHA256, Packed, find_packed, require_sha256
from kbsearch.errors import EncoderUnavailable

if TYPE_CHECKING:
    from kbsearch.model import Progress

__all__ = ["CONVERSION", "Converted", "checked_body", "converted", "verify_cache"]

CONVERSION = 5
"""Raise it whenever a file in the folder changes its meaning."""

BODY = "body.onnx"
EMBEDDING = "embedding.f32"
MANIFEST = "manifest.json"
CHECKED = "checked.json"
STALE_SECONDS = 3600.0
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Converted:
    """A usable conversion and the packed file that it goes with; ``manifest`` as in ``manifest.json``."""

    folder: Path
    packed: Path
    manifest: dict[str, Any]


def cache_folder() -> Path:
    """Where the conversion of this version is kept: below ``KBSEARCH_CACHE``, else the user's cache folder."""
    root = os.environ.get("KBSEARCH_CACHE") or platformdirs.user_cache_dir("kbsearch")
    return Path(root, f"{NAME}-v{CONVERSION}-{SHA256[:12]}")


def converted(on_convert: Progress | None = None, *, again: bool = False) -> Converted:
    """Give the conversion, made now if it is missing or damaged, or if ``again`` says that it did not load.

    Raises
    ------
    EncoderUnavailable
        The wheel is missing, its file is another one, or the cache folder cannot be written.
    """
    packed = find_packed()
    folder = cache_folder()
    manifest = None if again else _read(folder)
    try:
        if manifest is None:
            _convert(packed, folder, on_convert or _silent, again=again)
            manifest = _read(folder)
        else:
            _check_packed(packed, folder)
    except OSError as error:
        raise _unwritable(folder, str(error)) from error
    if manifest is None:
        raise _unwritable(folder, "the converted files do not stay whole")
    return Converted(folder, packed, manifest)


def checked_body(found: Converted) -> Path:
    """The file of the layers, as they were written.

    Raises
    ------
    ValueError, OSError
        They were changed since, or cannot be read.
    """
    path = found.folder / BODY
    if _crc(path) != found.manifest["files"][BODY][2]:
        raise ValueError(f"{path} was changed since it was converted")
    return path


def verify_cache() -> list[str]:
    """Read every converted file; what is wrong, a sentence each, and nothing if nothing was converted yet.

    It is what :func:`converted` finds and repairs, by SHA-256 in the place of CRC-32.
    """
    folder = cache_folder()
    try:
        if not folder.exists():
            return []
        files = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
        expected = {folder / name: entry[1] for name, entry in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        return [f"{folder / MANIFEST} cannot be read ({error})."]
    return [fault for path, digest in expected.items() if (fault := _fault(path, digest))]


def _fault(path: Path, digest: str) -> str:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"{path} cannot be read ({error})."
    return "" if found == digest else f"{path} was changed since it was converted."


def _silent(_stage: str, _done: int, _total: int) -> None:
    """Nobody is watching."""


def _unwritable(folder: Path, reason: str) -> EncoderUnavailable:
    remedy = "Set KBSEARCH_CACHE to a folder that can be written and has 30 MB free."
    return EncoderUnavailable(NAME, f"its converted weights cannot be kept in {folder.parent} ({reason})", remedy)


def _read(folder: Path) -> dict[str, Any] | None:
    """Give the manifest, or None unless it is whole and every file has the size and checksum that it says.

    Of the layers only the size is looked at: :func:`checked_body` does the rest.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        whole = all(_is_whole(folder / name, entry) for name, entry in manifest["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
    return manifest if whole and manifest.get("packed") == SHA256 else None


def _is_whole(path: Path, entry: list[Any]) -> bool:
    """Compare the size first, as the rest may not be worth reading."""
    size, _, crc = entry
    return bool(path.stat().st_size == size and (path.name == BODY or _crc(path) == crc))


def _crc(path: Path) -> int:
    """CRC-32 of the file, in one go: each part would wait for Python's lock, up to 5 ms where other threads work."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return zlib.crc32(content)


def _check_packed(packed: Path, folder: Path) -> None:
    """Hash the packed file unless this very file, by place, size and time, was found right before."""
    stat = packed.stat()
    seen = [stat.st_size, stat.st_mtime_ns]
    try:
        checked = json.loads((folder / CHECKED).read_text("utf-8"))
        known = checked.get(str(packed)) == seen
    except (OSError, ValueError, AttributeError):
        checked, known = {}, False
    if known:
        return
    require_sha256(packed)
    draft = folder / f".{CHECKED}-{_unique()}"
    try:
        draft.write_text(json.dumps({**checked, str(packed): seen}), "utf-8")
        draft.replace(folder / CHECKED)
    except OSError:
        draft.unlink(missing_ok=True)  # a read-only cache: the next start hashes again


def _convert(packed: Path, folder: Path, on_convert: Progress, *, again: bool) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    on_convert("checking weights", 0, 1)
    require_sha256(packed)
    on_convert("checking weights", 1, 1)
    draft = folder.parent / f".convert-{_unique()}"
    draft.mkdir(mode=0o700)
    try:
        _write(draft, Packed.open(packed), on_convert)
        _check_packed(packed, draft)
        _publish(draft, folder, again=again)
    finally:
        _remove(draft)


def _write(draft: Path, packed: Packed, on_convert: Progress) -> None:
    """Write every file, the manifest last."""
    from kbsearch.embed import graph

    body = graph.build(packed, lambda done, total: on_convert("converting layers", done, total))
    (draft / BODY).write_bytes(body)
    on_convert("writing vocabulary", 0, 1)
    tokenizer.write(draft, packed.pieces, packed.scores)
    sizes = packed.sizes
    places = packed.tensor("emb.pos", sizes.hidden) + packed.tensor("emb.type", sizes.hidden)[0]
    norm = np.stack([packed.tensor("emb.ln.w"), packed.tensor("emb.ln.b")])
    np.concatenate([places, norm]).astype(np.float32).tofile(draft / EMBEDDING)
    manifest = {
        "conversion": CONVERSION,
        "packed": SHA256,
        "quantisation": graph.QUANTISATION,
        "dimension": sizes.hidden,
        "max_tokens": sizes.positions,
        "epsilon": sizes.epsilon,
        "words": {"offset": packed.directory["emb.word"][2], "shape": [sizes.vocabulary, sizes.hidden // 32]},
        "files": {path.name: _size_and_sums(path) for path in sorted(draft.iterdir())},
    }
    (draft / MANIFEST).write_text(json.dumps(manifest, indent=1), "utf-8")
    on_convert("writing vocabulary", 1, 1)


def _size_and_sums(path: Path) -> tuple[int, str, int]:
    """Size, SHA-256 and CRC-32. Sync the file to disk as well: a rename must not reach it before the content does."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest(), _crc(path)


def _publish(draft: Path, folder: Path, *, again: bool) -> None:
    """Rename ``draft`` to ``folder``; a whole one that another process put there meanwhile wins."""
    for _ in range(ATTEMPTS):
        if not again and _read(folder) is not None:
            return
        aside = folder.with_name(f".convert-old-{_unique()}")
        try:
            if folder.exists():
                folder.rename(aside)
            draft.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            continue  # another process was between our two steps: look again
        finally:
            _remove(aside)
        return


def _sweep(parent: Path) -> None:
    """Remove what killed conversions left; young folders may belong to a running one."""
    import time

    for path in parent.glob(".convert-*"):
        try:
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                _remove(path)
        except OSError:
            continue  # someone else was faster


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _unique() -> str:
    """For the name of something that is renamed later."""
    return os.urandom(16).hex()
