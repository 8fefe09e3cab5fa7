"""The folder of articles: which files there are, and their bytes.

Only ``.md`` and ``.markdown`` files count, in order of path; names that begin with a dot are not ours. Links are
followed, but a folder is entered once, so that a loop ends and twins by link are not indexed twice.

Never: let one unreadable file stop the others. What cannot be read is an :class:`~kbsearch.errors.ArticleError` for
that file alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from kbsearch.errors import ArticleError, ConfigError
from kbsearch.model import ArticleWarning

__all__ = ["Source", "Stamp", "read_source", "scan"]

_NO_TEXT: Final = re.compile("[\ud800-\udfff]")  # what a byte that is no UTF-8 becomes in a name
_SUFFIXES: Final = (".md", ".markdown")


class Stamp(NamedTuple):
    """What the file system says of a file: bytes, and nanoseconds since the epoch of the last changes.

    ``modified`` is that of its content, which programs can set; ``changed`` is that of anything, which they cannot.
    """

    device: int
    inode: int
    size: int
    modified: int
    changed: int


@dataclass(frozen=True, slots=True)
class Source:
    """A file that may be an article. ``path`` is relative to the articles folder, with ``/``, in NFC.

    ``file`` is where it is: a text, since making a ``Path`` of each of 20,000 takes longer than reading them. ``stamp``
    is from before anything of it was read.
    """

    path: str
    file: str
    stamp: Stamp


def scan(folder: Path) -> tuple[list[Source], list[ArticleWarning]]:
    """List the sources below a folder, in order of path; paths are distinct.

    Raises
    ------
    ConfigError
        When there is no such folder.
    """
    try:
        is_folder = folder.is_dir()
    except OSError as error:
        raise ConfigError(folder, f"cannot read the folder of articles: {error.strerror}") from error
    if not is_folder:
        raise ConfigError(folder, "there is no such folder of articles")
    sources: list[Source] = []
    warnings: list[ArticleWarning] = []
    entered: set[tuple[int, int]] = set()
    pending: list[Path] = [folder]
    links: list[Path] = []
    while pending or links:
        current = pending.pop() if pending else links.pop()  # a real folder gives its files their names, not a link
        try:
            identity = current.stat()
            if (identity.st_dev, identity.st_ino) in entered:
                message = "this folder was already read under another name (a link that leads back?)"
                warnings.append(ArticleWarning(_relative(current, folder), 0, "repeated-folder", message))
                continue
            entered.add((identity.st_dev, identity.st_ino))
            with os.scandir(current) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            reason = f"cannot read the folder: {error.strerror}"
            warnings.append(ArticleWarning(_relative(current, folder), 0, "unreadable", reason, fatal=True))
            continue
        above = "" if current == folder else f"{current.relative_to(folder).as_posix()}/"
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                (links if entry.is_symlink() else pending).append(Path(entry.path))
            elif entry.name.lower().endswith(_SUFFIXES):
                _add(entry, above, sources, warnings)
    return _distinct(sources, warnings), warnings


def read_source(source: Source, limit: int) -> tuple[bytes, str]:
    """Bytes and SHA-256 (hexadecimal) of a source.

    Raises
    ------
    ArticleError
        When it cannot be read or is larger than ``limit`` bytes.
    """
    try:
        with open(source.file, "rb", buffering=0) as file:  # noqa: PTH123 - as fast as it goes
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise ArticleError(source.path, 0, f"the file has {size:,} bytes; at most {limit:,} are read")
            raw = file.read()
    except OSError as error:
        raise ArticleError(source.path, 0, f"cannot read the file: {error.strerror}") from error
    return raw, hashlib.sha256(raw).hexdigest()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _add(entry: os.DirEntry[str], above: str, sources: list[Source], warnings: list[ArticleWarning]) -> None:
    path = _printable(above + entry.name)
    try:
        found = entry.stat()
    except OSError as error:
        warnings.append(ArticleWarning(path, 0, "unreadable", f"cannot read the file: {error.strerror}", fatal=True))
        return
    if not stat.S_ISREG(found.st_mode):
        warnings.append(ArticleWarning(path, 0, "unreadable", "this is no regular file", fatal=True))
    elif not _is_text(above + entry.name):
        message = "the name is not valid UTF-8; rename the file or its folder"
        warnings.append(ArticleWarning(path, 0, "bad-file-name", message, fatal=True))
    else:
        stamp = Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        sources.append(Source(path, entry.path, stamp))


def _distinct(sources: list[Source], warnings: list[ArticleWarning]) -> list[Source]:
    """In order of path, without names that look the same and differ only in how their accents are written."""
    first: dict[str, Source] = {}
    for source in sorted(sources, key=lambda source: (source.path, not source.file.endswith(source.path))):
        if source.path in first:
            message = "another file has the same name, its accents written in another way; this file is left out"
            warnings.append(ArticleWarning(str(source.file), 0, "bad-file-name", message, fatal=True))
        else:
            first[source.path] = source
    return list(first.values())


def _relative(path: Path, folder: Path) -> str:
    return _printable(path.relative_to(folder).as_posix())


def _printable(path: str) -> str:
    text = unicodedata.normalize("NFC", path)
    return text if _is_text(text) else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_text(name: str) -> bool:
    return not _NO_TEXT.search(name)
