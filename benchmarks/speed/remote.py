"""The near end of a :mod:`speed.worker`: starts it, tells it what to do, ends it.

Use: ``with Remote(bundle, "tantivy") as worker: worker("open")``.

Never: leave a worker behind; the context ends it, also when a command failed or took too long.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

    from speed.bundle import Bundle

__all__ = ["Failed", "Remote", "environment"]

_SUITE: Final = Path(__file__).parents[1]


class Failed(Exception):
    """A system could not do it; the message says why."""


def environment() -> dict[str, str]:
    """Of a process of the suite: it finds its modules, and nothing there asks a hub or counts its users."""
    path = os.pathsep.join(filter(None, [str(_SUITE), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


class Remote:
    """One worker process; see the module."""

    def __init__(self, bundle: Bundle, name: str) -> None:
        self.name = name
        logs = bundle.folder / "logs"
        logs.mkdir(exist_ok=True)
        with (logs / f"{name}.log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "speed.worker", str(bundle.folder), name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, do: str, *, within: float = 900, **values: Any) -> Any:
        """Do one command and give its result.

        Raises
        ------
        Failed
            The system raised, ended, or took longer than ``within`` seconds.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("the pipes are there from the start")
        try:
            self._process.stdin.write(json.dumps({"do": do, **values}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise Failed(f"ended before “{do}”") from error
        with selectors.DefaultSelector() as ready:
            ready.register(self._process.stdout, selectors.EVENT_READ)
            if not ready.select(within):
                raise Failed(f"“{do}” took longer than {within:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise Failed(f"ended during “{do}” with code {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(f"“{do}”: {answer['error']}")
        return answer["ok"]

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None and self._process.poll() is None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
