"""The JSON that kbsearch prints, described: ``schema.json`` beside this file, in JSON Schema 2020-12.

Use: ``schema()["$defs"]["hit"]``, or give ``schema()`` to a validator. What a command prints is one of ``anyOf``.

The schema says which keys are always there (``required``) and allows more, for keys are added under the same version.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["schema", "schema_text"]


def schema() -> dict[str, Any]:
    """The schema of everything that kbsearch prints as JSON, and of the ``to_dict`` of its results.

    Its ``version`` is the ``version`` that is printed. The dictionary is the caller's own.
    """
    described: dict[str, Any] = json.loads(schema_text())
    return described


def schema_text() -> str:
    """The same as it stands in the file."""
    return (Path(__file__).parent / "schema.json").read_text("utf-8")
