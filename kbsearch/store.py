"""A generation on disk: write, publish, open, verify, collect. The only module that knows file names.

::

    indexes/<name>/CURRENT          "gen-000042", replaced by one rename
                  /LOCK             held by the one writer (flock); its text says who
                  /encoded.journal  vectors of an unfinished build, dropped when it is published
                  /stamps.json      what need not be read again to know that it has not changed
                  /gen-000042/      never written after it was published

Publishing writes everything into ``tmp-<uuid>``, syncs each file, renames the folder, and replaces ``CURRENT``; a crash
at any point leaves the old generation in force and at most a folder that the next writer removes. A reader holds a
shared lock on its generation's manifest, which keeps the collector away.

Use: ``with Store(path).writing() as draft: …; draft.publish(manifest)`` and ``Store(path).open()``.

Never: change a published file; read the clock; pickle.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kbsearch.arrays import map_array
from kbsearch.errors import (
    IndexCorrupt,
    IndexIncompatible,
    IndexLocked,
    IndexNotFound,
    IndexUnwritable,
    KbSearchError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["FORMAT", "Draft", "Files", "Generation", "Store"]

FORMAT: Final = 10
"""Version of the layout below; an index of another version is refused."""

_CURRENT: Final = "CURRENT"
_LOCK: Final = "LOCK"
_MANIFEST: Final = "manifest.json"
_DELTA: Final = "delta"
_KEPT_GENERATIONS: Final = 2
_GENERATION: Final = re.compile(r"gen-[0-9]{6,18}")
_UNFINISHED: Final = re.compile(r"(tmp-|CURRENT\.)[0-9a-f]{32}")  # only our own names: the folder may hold other things


@dataclass(frozen=True, slots=True)
class Files:
    """Where the parts of one generation are."""

    folder: Path

    @property
    def delta(self) -> Files:
        """What replaces and adds to these parts; there only where the manifest says so. See :mod:`kbsearch.delta`."""
        return Files(self.folder / _DELTA)

    @property
    def removed(self) -> Path:
        """Of a delta: numbers of the articles of the base that count no more, int32, ascending."""
        return self.folder / "columns" / "removed.npy"

    @property
    def removed_terms(self) -> Path:
        """Of a delta: ids of the terms of those articles' rows, words then grams, uint32, ascending in each."""
        return self.folder / "columns" / "removed_terms.npy"

    @property
    def removed_counts(self) -> Path:
        """Of a delta: in how many of those rows each of these terms stands, int64."""
        return self.folder / "columns" / "removed_counts.npy"

    @property
    def content(self) -> Path:
        """The SQLite file of articles and sections; beside it, as ``content.rows``, what is shown of each row."""
        return self.folder / "content.sqlite"

    @property
    def lexical(self) -> Path:
        """The folder of the lexical leg."""
        return self.folder / "lexical"

    @property
    def vectors(self) -> Path:
        """The vectors of all rows."""
        return self.folder / "vectors.npy"

    @property
    def title_vectors(self) -> Path:
        """The vectors of the articles' titles, by article number."""
        return self.folder / "title_vectors.npy"

    @property
    def headings(self) -> Path:
        """The folder of the vectors of the headings; see :mod:`kbsearch.headings`."""
        return self.folder / "headings"

    @property
    def probes(self) -> Path:
        """Vectors that the calibration needed, by key, for the next build; see :mod:`kbsearch.calibration`."""
        return self.folder / "probes.npz"

    @property
    def graphs(self) -> Path:
        """The folder of the derived indexes of the dense leg; empty when an exact scan is enough."""
        return self.folder / "dense"

    @property
    def tokens(self) -> Path:
        """The folder of the terms of all rows; see :mod:`kbsearch.tokens`."""
        return self.folder / "tokens"

    @property
    def quotes(self) -> Path:
        """The folder of what of each row may be quoted; see :mod:`kbsearch.quotes`."""
        return self.folder / "quotes"

    @property
    def vocabulary(self) -> Path:
        """The words of all rows; see :mod:`kbsearch.vocabulary`."""
        return self.folder / "vocabulary.marisa"

    @property
    def synonyms(self) -> Path:
        """The rules of :mod:`kbsearch.synonyms`, as JSON."""
        return self.folder / "synonyms.json"

    @property
    def japanese_column(self) -> Path:
        """Whether each article is Japanese, bool, by article number."""
        return self.folder / "columns" / "japanese.npy"

    @property
    def group_column(self) -> Path:
        """Number of the article that each is a version of, int32, by article number."""
        return self.folder / "columns" / "group.npy"

    @property
    def related(self) -> Path:
        """Related articles of each, by article number; see :mod:`kbsearch.related`."""
        return self.folder / "columns" / "related.npy"

    @property
    def samples(self) -> Path:
        """Rows that stand for all others, int64: see :mod:`kbsearch.writing`."""
        return self.folder / "columns" / "samples.npy"

    @property
    def article_column(self) -> Path:
        """Article number of every row, int32."""
        return self.folder / "columns" / "article.npy"


class Generation:
    """A published generation, held open: it stays on disk while this object lives.

    Attributes
    ----------
    name
        ``gen-000042``.
    files
        Its parts.
    manifest
        What its build wrote about it: ``format``, ``fingerprints``, ``counts``, ``files`` and more.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], descriptor: int) -> None:
        self.name = folder.name
        self.files = Files(folder)
        self.manifest = manifest
        self._descriptor = descriptor
        self._release = weakref.finalize(self, os.close, descriptor)

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(size for size, _ in self.manifest["files"].values())

    def close(self) -> None:
        """Let the collector have it."""
        self._release()

    def check_present(self) -> None:
        """See that the folder is still the one that was opened, before another of its files is.

        Raises
        ------
        IndexCorrupt
            When the index was deleted, or built anew under the same names, since.
        """
        file = self.files.folder / _MANIFEST
        try:
            now, then = file.stat(), os.fstat(self._descriptor)
            same = (now.st_dev, now.st_ino) == (then.st_dev, then.st_ino)
        except OSError:
            same = False
        if not same:
            raise IndexCorrupt(file, "the manifest that was opened", "none or another; the index was replaced: reload")

    @contextlib.contextmanager
    def blamed(self) -> Iterator[None]:
        """Turn a foreign error into IndexCorrupt when a damaged file explains it; otherwise it is a bug and stays.

        What reads a generation need not foresee how every parser of every format fails on a changed byte. An
        IndexCorrupt that knows the folder only is made exact in the same way.
        """
        try:
            yield
        except Exception as error:
            if isinstance(error, IndexCorrupt) or not isinstance(error, KbSearchError):
                for damage in self.damage():
                    raise damage from error
            raise

    def damage(self, *, of_delta: bool = False) -> list[IndexCorrupt]:
        """Compare every file with its checksum, or those of the delta; empty when all is well. Reads all of them."""
        found = []
        for name, (size, checksum) in self.manifest["files"].items():
            if of_delta and not name.startswith(f"{_DELTA}/"):
                continue
            file = self.files.folder / name
            try:
                if file.stat().st_size != size:
                    found.append(IndexCorrupt(file, f"{size} bytes", f"{file.stat().st_size}"))
                elif (actual := _sha256(file)) != checksum:
                    found.append(IndexCorrupt(file, f"SHA-256 {checksum[:16]}…", f"{actual[:16]}…"))
            except OSError as error:
                found.append(IndexCorrupt(file, f"{size} bytes", error.strerror or str(error)))
        return found


class _Unfinished(Generation):
    """The parts of a draft, to be looked at before they are published."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        super().__init__(folder, {**manifest, "files": {}}, os.open(folder, os.O_RDONLY | os.O_CLOEXEC))

    def check_present(self) -> None:
        """They are ours alone."""


class Draft:
    """A generation that is being written; see :meth:`Store.writing`."""

    def __init__(self, root: Path, folder: Path, number: int) -> None:
        self._root = root
        self._folder = folder
        self._number = number
        self.files = Files(folder)
        self.files.article_column.parent.mkdir()
        self._linked: dict[str, list[Any]] = {}

    @property
    def name(self) -> str:
        """What the generation will be called."""
        return f"gen-{self._number:06d}"

    @property
    def store(self) -> Store:
        """Where it will be published."""
        return Store(self._root)

    @property
    def journal(self) -> Path:
        """As :attr:`Store.journal`."""
        return self.store.journal

    def build_on(self, generation: Generation) -> Files:
        """Take over the base of a generation as it is, file by file, and give the place for a delta to it.

        The files are linked, or copied where the disk has no links, and keep the checksums of their own build: what
        was damaged since stays known as damaged.
        """
        for name, sealed in generation.manifest["files"].items():
            if not name.startswith(f"{_DELTA}/"):
                target = self._folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    target.hardlink_to(generation.files.folder / name)
                except OSError:
                    from shutil import copyfile

                    copyfile(generation.files.folder / name, target)
                    _sync(target)
                self._linked[name] = sealed
        self.files.delta.article_column.parent.mkdir(parents=True)
        return self.files.delta

    def clear(self) -> None:
        """Begin anew."""
        _remove(self._folder)
        self.files.article_column.parent.mkdir(parents=True)
        self._linked = {}

    def unfinished(self, manifest: Mapping[str, Any]) -> Generation:
        """What is written so far, opened as a generation is; to be closed before publishing."""
        return _Unfinished(self._folder, manifest)

    def publish(self, manifest: Mapping[str, Any]) -> str:
        """Make it the current generation; returns its name.

        ``manifest`` is completed with format, file sizes and checksums. After this the draft's paths are gone.
        """
        files = sorted(file for file in self._folder.rglob("*") if file.is_file())
        sealed = dict(self._linked)
        for file in files:
            name = str(file.relative_to(self._folder))
            if name not in self._linked:
                _sync(file)
                _check_whole(file)
                sealed[name] = [file.stat().st_size, _sha256(file)]
        complete = {"format": FORMAT, **manifest, "files": sealed}
        complete["checksum"] = _checksum(complete)
        _write_synced(self._folder / _MANIFEST, json.dumps(complete, ensure_ascii=False, indent=1) + "\n")
        for folder in {self._folder, *(path for path in self._folder.rglob("*") if path.is_dir())}:
            _sync(folder)
        name = self.name
        self._folder.rename(self._root / name)
        _sync(self._root)
        pointer = self._root / f"{_CURRENT}.{_unique()}"
        _write_synced(pointer, name + "\n")
        pointer.replace(self._root / _CURRENT)
        _sync(self._root)
        return name


class Store:
    """The folder of one index. Making one touches nothing."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    @property
    def journal(self) -> Path:
        """Where an unfinished build keeps the vectors it has."""
        return self.root / "encoded.journal"

    @property
    def stamps(self) -> Path:
        """Where a build remembers which files it has read; see :mod:`kbsearch.stamps`."""
        return self.root / "stamps.json"

    def open(self) -> Generation:
        """Open the current generation, checking its format and the sizes of its files.

        Raises
        ------
        IndexNotFound, IndexCorrupt, IndexIncompatible
        """
        while True:
            name = self._current_name()
            folder = (self.root / name).absolute()  # parts are opened later, perhaps from another working folder
            try:
                descriptor = os.open(folder / _MANIFEST, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                if isinstance(error, FileNotFoundError) and self._current_name() != name:
                    continue  # published over and collected since CURRENT was read
                expected, found = "the manifest of the current generation", error.strerror or str(error)
                raise IndexCorrupt(folder / _MANIFEST, expected, found) from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                if os.fstat(descriptor).st_nlink == 0:
                    os.close(descriptor)
                    continue
                return Generation(folder, _read_manifest(folder), descriptor)
            except BaseException:
                os.close(descriptor)
                raise

    def readable_contents(self) -> Iterator[tuple[Mapping[str, Any], Path, Path | None]]:
        """The articles of every generation that is still there, newest first, whatever its format, for the writer.

        Gives its manifest, the content file, and that of its delta. One whose content is damaged is passed over: what
        is read here cannot be made again, and an older state of it is better than none.
        """
        for folder in reversed(self._generations()):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                manifest = json.loads((folder / _MANIFEST).read_text("utf-8"))
                parts = [Files(folder).content, *([Files(folder).delta.content] if "delta" in manifest else [])]
                if all(manifest["files"][str(part.relative_to(folder))][1] == _sha256(part) for part in parts):
                    yield manifest, parts[0], parts[1] if len(parts) > 1 else None

    @contextlib.contextmanager
    def writing(self) -> Iterator[Draft]:
        """Hold the writer's lock and give a draft; what is not published by the end is removed.

        Raises
        ------
        IndexLocked
            When another process is writing.
        IndexUnwritable
            When the disk is full or does not let us write, here or anywhere in the body.
        """
        try:
            with self._lock():
                self._sweep()
                folder = self.root / f"tmp-{_unique()}"
                folder.mkdir()
                try:
                    yield Draft(self.root, folder, self._next_number())
                    self._collect()
                finally:
                    _remove(folder, ignore_errors=True)
        except OSError as error:
            raise IndexUnwritable(self.root, error.strerror or str(error)) from error

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.read(descriptor, 200).decode("utf-8", "replace").strip()
                raise IndexLocked(self.root, owner or "another process") from None
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {os.uname().nodename}\n".encode())
            yield
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def _current_name(self) -> str:
        try:
            name = (self.root / _CURRENT).read_text("utf-8", "replace").strip()
        except (FileNotFoundError, NotADirectoryError):
            raise IndexNotFound(self.root) from None
        except OSError as error:
            raise IndexCorrupt(
                self.root / _CURRENT, "the name of a generation", error.strerror or str(error)
            ) from error
        if not _GENERATION.fullmatch(name):
            raise IndexCorrupt(self.root / _CURRENT, "the name of a generation", repr(name[:40]))
        return name

    def _generations(self) -> list[Path]:
        return sorted((path for path in self.root.iterdir() if _GENERATION.fullmatch(path.name)), key=_number)

    def _next_number(self) -> int:
        return max(map(_number, self._generations()), default=0) + 1

    def _sweep(self) -> None:
        """Remove what a killed writer left: half-written folders, pointers, and generations never pointed to."""
        for path in self.root.iterdir():
            if _UNFINISHED.fullmatch(path.name):
                _remove(path) if path.is_dir() else path.unlink()
        try:
            current = _number(self.root / self._current_name())
        except IndexNotFound:  # the very first build was killed before it pointed anywhere
            current = 0
        except IndexCorrupt:  # a damaged pointer says nothing about what is behind it
            return
        for path in self._generations():
            if _number(path) > current:
                _remove(path)

    def _collect(self) -> None:
        """Remove old generations that no reader holds."""
        for path in self._generations()[:-_KEPT_GENERATIONS]:
            try:
                descriptor = os.open(path / _MANIFEST, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                _remove(path, ignore_errors=True)
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                doomed = self.root / f"tmp-{_unique()}"
                path.rename(doomed)
                _remove(doomed, ignore_errors=True)
            except OSError:
                pass  # somebody reads it, most often; a later build comes back to it, and this one is published
            finally:
                os.close(descriptor)


def _number(generation: Path) -> int:
    return int(generation.name.removeprefix("gen-"))


def _read_manifest(folder: Path) -> dict[str, Any]:
    file = folder / _MANIFEST
    try:
        manifest = json.loads(file.read_text("utf-8"))
        found = manifest["format"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise IndexCorrupt(file, "a manifest", str(error)) from error
    if found != FORMAT:
        raise IndexIncompatible("format", str(found), str(FORMAT))
    if manifest.get("checksum") != _checksum(manifest):
        raise IndexCorrupt(file, "a manifest that fits its own checksum", "another text")
    for name, (size, _) in manifest["files"].items():
        try:
            actual = (folder / name).stat().st_size
        except OSError as error:
            raise IndexCorrupt(folder / name, f"{size} bytes", error.strerror or str(error)) from error
        if actual != size:
            raise IndexCorrupt(folder / name, f"{size} bytes", str(actual))
    return manifest  # type: ignore[no-any-return]


def _checksum(manifest: Mapping[str, Any]) -> str:
    body = {key: value for key, value in manifest.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(body, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _check_whole(file: Path) -> None:
    """NumPy loses the last block of an array on a full disk without a word."""
    if file.suffix == ".npy":
        try:
            map_array(file)
        except ValueError as error:
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} ({file.name} is cut short)") from error


def _write_synced(file: Path, text: str) -> None:
    with file.open("w", encoding="utf-8") as target:
        target.write(text)
        target.flush()
        os.fsync(target.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unique() -> str:
    """32 hexadecimal digits that no other name has."""
    return os.urandom(16).hex()


def _remove(folder: Path, *, ignore_errors: bool = False) -> None:
    import shutil  # which a search does without

    shutil.rmtree(folder, ignore_errors=ignore_errors)
