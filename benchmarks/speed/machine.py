"""Where and with what a result was made.

Never: read more of the machine than a reader needs to judge the figures.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, Final

__all__ = ["about", "commit", "cpu"]

_ROOT: Final = Path(__file__).parents[2]
_PACKAGES: Final = (
    "bm25s", "faiss-cpu", "lancedb", "milvus-lite", "numpy", "onnxruntime", "pymilvus", "qdrant-edge-py", "rank-bm25",
    "SudachiPy", "tantivy", "txtai",
)  # fmt: skip


def about() -> dict[str, Any]:
    """Machine, versions, commit and day."""
    import psutil

    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "commit": commit(),
        "load": round(os.getloadavg()[0], 2),  # when the run began
        "machine": {
            "cpu": cpu(),
            "cores": os.cpu_count(),
            "memory": psutil.virtual_memory().total,
            "system": f"{platform.system()} {platform.release()}",
        },
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def cpu() -> str:
    """Name of the processor, as the kernel gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit() -> str:
    """The commit that is checked out, marked where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    found = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
