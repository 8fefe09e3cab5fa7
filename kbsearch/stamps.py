"""What the file system said of each file when it was last read, so that a build need not read all of them again.

A file with the size, the times and the inode that it had then has its SHA-256 still: whoever writes into it moves the
time of its last change, which no program can set back. Where that time is so near to the reading that another change
could have had the same one, the file is read again. The same rule as in Git's index, with the same limits: who keeps a
file mapped and writes into it for longer than a build takes, or a server of files whose clock is seconds behind and
whose times are whole seconds, may need ``--full`` once. Nothing is remembered of a file system that is mounted for
reading only: an image may give two files of two versions the same times.

On disk: ``{"files": {path: [device, inode, size, modified, changed, SHA-256]}}``, times in nanoseconds. It is a memory
and no record: what cannot be understood there is forgotten, and so is all of it without harm.

Use: ``stamps = Stamps(file, folder, now)``, ``stamps.sha256(source)`` before reading, ``stamps.note(source, sha256)``
after it, and ``stamps.save(digests)`` while the store is locked.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kbsearch.sources import Source, Stamp

__all__ = ["Stamps"]

_COARSEST: Final = 3_000_000_000
"""Nanoseconds; FAT keeps times to two seconds, everything else in finer steps."""
_SHA256: Final = 64


class Stamps:
    """See the module.

    Parameters
    ----------
    file
        Read here, and replaced by :meth:`save`.
    folder
        Of the articles.
    now
        Nanoseconds since the epoch, from before the files were listed.
    """

    def __init__(self, file: Path, folder: Path, now: int) -> None:
        self._file, self._newest = file, now - _COARSEST
        self._then = {} if _is_read_only(folder) else _read(file)
        self._now: dict[str, tuple[Stamp, str]] = {}

    def sha256(self, source: Source) -> str | None:
        """Of a file that has not changed since it was noted; None where that is not certain."""
        stamp, sha256 = self._then.get(source.path, ((), ""))
        return sha256 if stamp == source.stamp else None

    def note(self, source: Source, sha256: str) -> None:
        """Remember the hash of a file, unless it has changed only a moment ago."""
        if max(source.stamp.modified, source.stamp.changed) < self._newest:
            self._now[source.path] = source.stamp, sha256

    def save(self, digests: Mapping[str, str]) -> None:
        """Keep what was noted and is still so by the hashes of what the build has read; forget the rest.

        A disk that does not take it costs the next build some time.
        """
        now = {path: noted for path, noted in self._now.items() if noted[1] == digests.get(path)}
        if now == self._then and self._file.exists():
            return
        files = {path: [*stamp, sha256] for path, (stamp, sha256) in now.items()}
        unfinished = self._file.with_suffix(".new")
        with contextlib.suppress(OSError):
            unfinished.write_text(json.dumps({"files": files}, ensure_ascii=False, separators=(",", ":")), "utf-8")
            unfinished.replace(self._file)


def _is_read_only(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return True


def _read(file: Path) -> dict[str, tuple[tuple[Any, ...], str]]:
    try:
        files = json.loads(file.read_bytes())["files"]
        return {path: (tuple(stamp), sha256) for path, (*stamp, sha256) in files.items() if _is_hash(sha256)}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and len(value) == _SHA256
