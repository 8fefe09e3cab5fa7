"""Pages of the documents as their reader follows them: blocks in order, in one folder.

``console``: lines behind ``$ `` are run by a shell, what follows them is what they print (both streams, as a terminal
shows them). A command that fails is followed by ``$ echo $?``. ``python``: run in one namespace a page. ``output``:
what the Python block above it prints. A block below a line that is nothing but a path and a colon
(`articles/a.ja.md`:) is a file. ``…`` in what is shown stands for anything: see :func:`matches`. Below
``<!-- figures may differ -->`` any number is as good as any other.

A block that cannot be run has ``<!-- not run: why -->`` above it. A page with ``<!-- begins with the sample articles
-->`` at its top finds them and their index; any other begins in an empty folder.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt

ROOT: Final = Path(__file__).parent.parent
BEGINS_WITH_SAMPLE: Final = "<!-- begins with the sample articles -->"

_FILE: Final = re.compile(r"`([^`\s]+\.[a-z]+)`:")
_NOT_RUN: Final = re.compile(r"<!-- not run: \S.* -->")
_ANY_FIGURE: Final = "<!-- figures may differ -->"
_FIGURE: Final = re.compile(r"[-+]?<?\.?\d[\d.,]*%?")
_SPHINX: Final = re.compile(r"\{[a-z-]+\}.*")  # directives; Sphinx runs them
_COMMAND_LINE: Final = """#!{python}
from kbsearch.cli import main

main()
"""


@dataclass(frozen=True, slots=True)
class Block:
    """A fence of a page.

    ``file`` is the path that it is to be written to, ``""`` for none.
    """

    line: int
    language: str
    text: str
    file: str = ""
    is_run: bool = True
    any_figure: bool = False


def blocks_of(page: str) -> list[Block]:
    """The fences of a page, in order, but those that are Sphinx's."""
    tokens = MarkdownIt("commonmark").parse(page)
    found = []
    for place, token in enumerate(tokens):
        if token.type != "fence" or _SPHINX.fullmatch(token.info):
            continue
        before = tokens[place - 2].content.strip() if place > 1 and tokens[place - 2].type == "inline" else ""
        comment = tokens[place - 1].content.strip() if place and tokens[place - 1].type == "html_block" else ""
        named = _FILE.fullmatch(before)
        found.append(
            Block(
                (token.map or [0])[0] + 1, token.info, token.content, named[1] if named else "",
                is_run=not _NOT_RUN.fullmatch(comment), any_figure=comment == _ANY_FIGURE,
            )
        )  # fmt: skip
    return found


def matches(shown: str, printed: str, *, any_figure: bool = False) -> bool:
    """Whether a text is as it is shown; how many spaces or empty lines there are makes no difference.

    ``…`` stands for anything in its line; alone on a line, for any lines, also none.
    """
    if any_figure:
        shown, printed = _FIGURE.sub("0", shown), _FIGURE.sub("0", printed)
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else ".*?".join(map(re.escape, re.split("…+", line))) + r"\n"
        for line in _lines(shown)
    )
    return re.fullmatch(pattern, "".join(line + "\n" for line in _lines(printed))) is not None


def _lines(text: str) -> list[str]:
    return [re.sub(" {2,}", " ", line).rstrip() for line in text.splitlines() if line.strip()]


class Follower:
    """Follows a page in a folder."""

    def __init__(self, folder: Path, tools: Path) -> None:
        self.folder = self.here = folder
        self._names: dict[str, object] = {"__name__": "__main__"}
        self._printed = ""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("KBSEARCH_")}
        plain |= {name: os.environ[name] for name in ("KBSEARCH_CACHE",) if name in os.environ}
        path = [str(tools), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
        python_path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._environment = plain | {
            "PATH": os.pathsep.join(path), "PYTHONPATH": os.pathsep.join(python_path), "PYTHONUNBUFFERED": "1",
            "LC_ALL": "C.UTF-8",
        }  # fmt: skip

    def follow(self, page: str) -> None:
        """Do what every block says.

        Raises
        ------
        AssertionError
            With the line of the page.
        """
        for block in blocks_of(page):
            if block.is_run:
                try:
                    self._do(block)
                except Exception as error:
                    raise AssertionError(f"line {block.line}: {type(error).__name__}: {error}") from error

    def _do(self, block: Block) -> None:
        if block.file:
            file = self.here / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, "utf-8")
        elif block.language == "console":
            self._console(block.text, any_figure=block.any_figure)
        elif block.language == "python":
            self._python(block.text)
        elif block.language == "output":
            assert matches(block.text, self._printed, any_figure=block.any_figure), (
                f"shown:\n{block.text}\nprinted:\n{self._printed}"
            )
        else:
            raise AssertionError(f"a block of “{block.language}” is neither run, nor a file, nor an output")

    def _python(self, source: str) -> None:
        printed = io.StringIO()
        with contextlib.chdir(self.here), contextlib.redirect_stdout(printed):
            exec(compile(source, "page", "exec"), self._names)  # noqa: S102 - our own document
        self._printed = printed.getvalue()

    def _console(self, text: str, *, any_figure: bool) -> None:
        lines = text.splitlines()
        assert lines[0].startswith("$ "), "a console block begins with a command"
        starts = [place for place, line in enumerate(lines) if line.startswith("$ ")]
        code, is_asked = 0, True
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            command, shown = lines[start][2:], "\n".join(lines[start + 1 : end])
            if command == "echo $?":
                assert shown.strip() == str(code), f"exit code {code} instead of {shown.strip()}"
                is_asked = True
                continue
            assert is_asked, f"exit code {code}: {self._printed}"
            code = self._run(command)
            is_asked = code == 0
            is_so = not shown or matches(shown, self._printed, any_figure=any_figure)
            assert is_so, f"$ {command}\nshown:\n{shown}\nprinted:\n{self._printed}"
        assert is_asked, f"exit code {code}: {self._printed}"

    def _run(self, command: str) -> int:
        """Run a line; ``cd`` and ``export`` last."""
        word, _, rest = command.partition(" ")
        self._printed = ""
        if word == "cd":
            self.here = (self.here / rest).resolve()
            assert self.here.is_dir()
            return 0
        if word == "export":
            name, _, value = rest.partition("=")
            self._environment[name] = value
            return 0
        done = subprocess.run(
            ["sh", "-c", command], cwd=self.here, env=self._environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", check=False, timeout=120,
        )  # fmt: skip
        self._printed = done.stdout
        return done.returncode


def make_tools(folder: Path) -> Path:
    """A folder with the command ``kbsearch``."""
    folder.mkdir(exist_ok=True)
    tool = folder / "kbsearch"
    tool.write_text(_COMMAND_LINE.format(python=sys.executable), "utf-8")
    tool.chmod(0o755)
    return folder


def copy_sample(sample: Path, folder: Path) -> None:
    """The sample articles and their index, so that a page may change them."""
    shutil.copytree(sample / "articles", folder / "articles")
    shutil.copytree(sample / "indexes", folder / "indexes")
