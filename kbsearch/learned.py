"""The learned models that a question meets: the ranking and the confidence. Only who measures brings other ones.

Use: ``shipped_models()``, or ``open_models(ranker, confidence)`` of two models as JSON texts.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from kbsearch import structures
from kbsearch.confidence import Confidence
from kbsearch.ranker import Ranker

__all__ = ["Models", "open_models", "shipped_models"]


@dataclass(frozen=True, slots=True)
class Models:
    """Open models; immutable, shared between threads. A build remembers by ``fingerprint`` which ones it asked."""

    ranker: Ranker
    confidence: Confidence
    fingerprint: str
    forests: structures.Models = field(init=False, compare=False, repr=False)
    """For :func:`kbsearch.native.judge`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "forests", structures.Models(self.ranker.forest, self.confidence.forests))


def open_models(ranker: str, confidence: str) -> Models:
    """Models of these JSON texts."""
    fingerprint = hashlib.sha256(f"{ranker}\n{confidence}".encode()).hexdigest()[:16]
    return Models(Ranker(json.loads(ranker)), Confidence(json.loads(confidence)), fingerprint)


@cache
def shipped_models() -> Models:
    """Those that come with the package."""
    folder = Path(__file__).parent  # importlib.resources would find the same, after importing inspect and tempfile
    return open_models(*((folder / name).read_text("utf-8") for name in ("ranker.json", "confidence.json")))
