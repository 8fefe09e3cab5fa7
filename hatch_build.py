"""Builds the compiled part of kbsearch, the folder ``kbsearch/core``, whenever kbsearch is installed or packed.

The C compiler is the one that ``CC`` names, or ``cc``, or, where there is none, the one in the wheel ``ziglang`` from
PyPI, so that nothing but Python is needed. The library has no tie to a version of Python: one wheel serves all of them
on a platform.
"""

from __future__ import annotations

import compileall
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# No contraction to fused multiply-adds: the same question has the same scores on every machine.
FLAGS = ("-O3", "-std=gnu11", "-ffp-contract=off", "-fvisibility=default", "-pthread", "-shared", "-fPIC")


class CoreBuildHook(BuildHookInterface[Any]):
    """Compiles ``core`` to ``_core.so`` beside it."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """A compiler from PyPI, where the system has none."""
        return [] if _system_compiler() else ["ziglang>=0.13"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface's
        """Compile, and mark the wheel as one for this platform."""
        if self.target_name != "wheel":
            return
        package = Path(self.root, "kbsearch")
        library = package / "_core.so"
        unfinished = library.with_suffix(f".{os.getpid()}")  # a running kbsearch has the old one mapped
        command = [*(_system_compiler() or _packaged_compiler()), *FLAGS]
        sources = [str(source) for source in sorted(package.glob("core/*.c"))]
        if not sources:
            raise RuntimeError(f"There is nothing to compile in {package / 'core'}.")
        try:
            subprocess.run([*command, "-o", str(unfinished), *sources, "-lm"], check=True)  # noqa: S603
            unfinished.replace(library)
        finally:
            unfinished.unlink(missing_ok=True)
        # In an editable installation nobody else keeps byte code where PYTHONDONTWRITEBYTECODE is set, and then every
        # start of the command line compiles all of the package.
        compileall.compile_dir(str(package), quiet=2)
        build_data["artifacts"].append("kbsearch/_core.so")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def _system_compiler() -> list[str]:
    given = shlex.split(os.environ.get("CC", ""))
    if given:
        return given
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    return [found] if found else []


def _packaged_compiler() -> list[str]:
    if importlib.util.find_spec("ziglang") is None:
        message = "kbsearch has a part in C: install a C compiler, or the package ziglang, and try again."
        raise RuntimeError(message)
    return [sys.executable, "-m", "ziglang", "cc"]
