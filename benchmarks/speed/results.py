"""Results on disk: one JSON file for each size, and the last committed one to compare with.

Use: ``write(folder, "2000", result)``, ``read_all(folder)``, ``committed(folder, "2000")``.

Never: mix two runs in one file.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

__all__ = ["FOLDER", "committed", "read_all", "result_file", "write"]

FOLDER: Final = Path(__file__).parents[1] / "results"


def result_file(folder: Path, name: str) -> Path:
    """Where the result of a size, or of the quick run, is."""
    return folder / f"speed-{name}.json"


def write(folder: Path, name: str, result: dict[str, Any]) -> Path:
    """Write a result; returns its file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = result_file(folder, name)
    file.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return file


def read_all(folder: Path) -> list[dict[str, Any]]:
    """All results, the smallest corpus first; the quick one last."""
    found = [json.loads(file.read_text("utf-8")) for file in folder.glob("speed-*.json")]
    return sorted(found, key=lambda result: (result["name"] == "quick", result["corpus"]["passages"]))


def committed(folder: Path, name: str) -> dict[str, Any] | None:
    """The last committed result; where git has none, the one on disk."""
    file = result_file(folder, name)
    shown = subprocess.run(
        ["git", "show", f"HEAD:./{file.name}"],  # noqa: S607 - PATH's git
        cwd=folder,
        capture_output=True,
        check=False,
    )
    if shown.returncode == 0:
        text = shown.stdout.decode()
    elif file.exists():
        text = file.read_text("utf-8")
    else:
        return None
    found: dict[str, Any] = json.loads(text)
    return found
