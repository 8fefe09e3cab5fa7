"""Every error that kbsearch raises on purpose.

The tree, with the exit code of the command line and the HTTP status of a server::

    KbSearchError                       10   500
    ├── ArticleError(path, line)        11   422   one article is damaged; a build goes on without it
    ├── BadQuery                        12   400   the question or its filter cannot be understood
    ├── ConfigError(path)               13   500   kbsearch.toml or an environment variable is wrong
    ├── NotFound                        14   404   no such article or section in this index
    │   ├── Gone(successors)            14   410   there was one, and it says where its text went
    │   └── NoSteps                               it is there, and has no steps to walk
    ├── IndexNotFound                   20   503   nothing was built there yet
    ├── IndexCorrupt(file, …)           21   503   a file is missing, cut short or changed
    ├── IndexIncompatible(what, …)      22   503   written by another version, analyser or encoder
    ├── IndexLocked(owner)              23   503   another build is writing
    ├── IndexUnwritable(path)           24   503   full disk, no permission, read-only disk
    ├── EncoderUnavailable(name, …)     30   503   the model or its package is not there
    ├── BackendUnavailable(name)        31   503   a remote backend does not answer
    └── NativeMissing(library, …)       32   503   kbsearch was installed without its compiled part

Use: catch :class:`KbSearchError` for all of them, a leaf for one. Each carries its values as
attributes, and its message reads as a sentence for the person who gets it.

Never: print or log here, or translate an error twice. The command line does it once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ArticleError",
    "BackendUnavailable",
    "BadQuery",
    "ConfigError",
    "EncoderUnavailable",
    "Gone",
    "IndexCorrupt",
    "IndexIncompatible",
    "IndexLocked",
    "IndexNotFound",
    "IndexUnwritable",
    "KbSearchError",
    "NativeMissing",
    "NoSteps",
    "NotFound",
]


class KbSearchError(Exception):
    """The root of the tree."""

    exit_code: ClassVar[int] = 10
    http_status: ClassVar[int] = 500


class ArticleError(KbSearchError):
    """One article cannot be read.

    Parameters
    ----------
    path
        The file, as the editor knows it.
    line
        1-based line in the file at which the damage was noticed; 0 when it concerns the whole file.
    reason
        A short sentence without the file name.
    """

    exit_code = 11
    http_status = 422

    def __init__(self, path: Path | str, line: int, reason: str) -> None:
        self.path = str(path)
        self.line = line
        self.reason = reason
        super().__init__(f"{path}:{line}: {reason}" if line else f"{path}: {reason}")


class BadQuery(KbSearchError):
    """The question or its filter is malformed; the message says which part and what is allowed."""

    exit_code = 12
    http_status = 400


class ConfigError(KbSearchError):
    """A setting is wrong. ``source`` is the file or the environment variable it came from."""

    exit_code = 13

    def __init__(self, source: Path | str, reason: str) -> None:
        self.source = str(source)
        self.reason = reason
        super().__init__(f"{source}: {reason}")


class NotFound(KbSearchError):
    """No article or section has this id; ``near`` lists ids that look like it."""

    exit_code = 14
    http_status = 404

    def __init__(self, wanted: str, near: tuple[str, ...] = ()) -> None:
        self.wanted = wanted
        self.near = near
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        super().__init__(f"There is no “{wanted}” in this index.{hint}")


class NoSteps(NotFound):
    """The article or section is there, and tells no steps.

    Parameters
    ----------
    wanted
        Its handle.
    found
        What it is instead: ``"a table"``.
    near
        Handles of the procedures of the same article.
    """

    def __init__(self, wanted: str, found: str, near: tuple[str, ...] = ()) -> None:
        super().__init__(wanted, near)
        self.found = found
        hint = f" This article has steps in {', '.join(near)}." if near else ""
        self.args = (f"“{wanted}” has no steps to follow: it is {found}.{hint}",)


class Gone(NotFound):
    """The article or section was removed; ``successors`` are the handles that have its text now, most first."""

    http_status = 410

    def __init__(self, wanted: str, since: str, successors: tuple[str, ...], where: str) -> None:
        super().__init__(wanted, successors)
        self.since = since
        self.successors = successors
        self.args = (f"“{wanted}” is gone since {since}. {where}",)


class IndexNotFound(KbSearchError):
    """There is no published generation at ``path``."""

    exit_code = 20
    http_status = 503

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        super().__init__(f"There is no index at {path}. Build one with: kbsearch build ARTICLES -i {path}")


class IndexCorrupt(KbSearchError):
    """A file of the index is missing, cut short or changed since it was published."""

    exit_code = 21
    http_status = 503

    def __init__(self, file: Path | str, expected: str, found: str) -> None:
        self.file = str(file)
        self.expected = expected
        self.found = found
        super().__init__(f"{file} is damaged: expected {expected}, found {found}. Rebuild with: kbsearch build --full")


class IndexIncompatible(KbSearchError):
    """The index was written by another format version, analyser or encoder."""

    exit_code = 22
    http_status = 503

    def __init__(self, what: str, found: str, wanted: str) -> None:
        self.what = what
        self.found = found
        self.wanted = wanted
        super().__init__(
            f"This index has another {what}: it was built with {found}, this installation has {wanted}. "
            "Rebuild it with: kbsearch build"
        )


class IndexLocked(KbSearchError):
    """Another process is building this index. ``owner`` says which, as far as it is known."""

    exit_code = 23
    http_status = 503

    def __init__(self, path: Path | str, owner: str) -> None:
        self.path = str(path)
        self.owner = owner
        super().__init__(f"{path} is being built by {owner}. Wait until it is done, then build again.")


class IndexUnwritable(KbSearchError):
    """The index cannot be written: the disk is full, read-only, or not ours. The old index still answers."""

    exit_code = 24
    http_status = 503

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(f"Cannot write {path}: {reason}. What was published before is untouched.")


class EncoderUnavailable(KbSearchError):
    """The encoder cannot be loaded. ``remedy`` says what to install or to pass instead."""

    exit_code = 30
    http_status = 503

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        self.name = name
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"The encoder “{name}” is not available: {reason}. {remedy}")


class BackendUnavailable(KbSearchError):
    """A remote backend does not answer."""

    exit_code = 31
    http_status = 503


class NativeMissing(KbSearchError):
    """The compiled part of kbsearch is not there, or not of this version."""

    exit_code = 32
    http_status = 503

    def __init__(self, library: str, reason: str) -> None:
        self.library = library
        self.reason = reason
        super().__init__(
            f"The compiled part of kbsearch cannot be loaded ({library}: {reason}). Install kbsearch again: "
            "pip install --force-reinstall --no-deps kbsearch, or from its sources: pip install --editable ."
        )
