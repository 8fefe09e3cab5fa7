"""kbsearch: the search engine for knowledge bases.

::

    from kbsearch import KnowledgeBase, build

    report = build("articles", "indexes/help")
    kb = KnowledgeBase.open("indexes/help")
    result = kb.search("返品の送料は誰が払いますか", k=5, filter={"lang": "ja"})

Everything public is here; what a module keeps to itself may change. A name is imported when it is first used, so that
``import kbsearch`` costs nothing and the command line starts at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kbsearch.builder import abuild, build
    from kbsearch.contract import schema
    from kbsearch.embed import load_encoder
    from kbsearch.errors import (
        ArticleError,
        BackendUnavailable,
        BadQuery,
        ConfigError,
        EncoderUnavailable,
        Gone,
        IndexCorrupt,
        IndexIncompatible,
        IndexLocked,
        IndexNotFound,
        IndexUnwritable,
        KbSearchError,
        NativeMissing,
        NoSteps,
        NotFound,
    )
    from kbsearch.forms import speak
    from kbsearch.model import Article, ArticleWarning, Encoder, Filter, Passage, Section, Weights
    from kbsearch.overviews import BuildReport, SectionView, Status
    from kbsearch.places import Place, Successor
    from kbsearch.procedures import Part, Picture, Procedure, ProcedureRef, Step
    from kbsearch.results import (
        Hit,
        Note,
        OtherVersion,
        PassageHit,
        Piece,
        Ranking,
        Reason,
        SearchResult,
        Snippet,
    )
    from kbsearch.search import KnowledgeBase
    from kbsearch.views import Budget, Cost, Disclosed, Disclosure, Level, Related, View

__all__ = [
    "Article",
    "ArticleError",
    "ArticleWarning",
    "BackendUnavailable",
    "BadQuery",
    "Budget",
    "BuildReport",
    "ConfigError",
    "Cost",
    "Disclosed",
    "Disclosure",
    "Encoder",
    "EncoderUnavailable",
    "Filter",
    "Gone",
    "Hit",
    "IndexCorrupt",
    "IndexIncompatible",
    "IndexLocked",
    "IndexNotFound",
    "IndexUnwritable",
    "KbSearchError",
    "KnowledgeBase",
    "Level",
    "NativeMissing",
    "NoSteps",
    "NotFound",
    "Note",
    "OtherVersion",
    "Part",
    "Passage",
    "PassageHit",
    "Picture",
    "Piece",
    "Place",
    "Procedure",
    "ProcedureRef",
    "Ranking",
    "Reason",
    "Related",
    "SearchResult",
    "Section",
    "SectionView",
    "Snippet",
    "Status",
    "Step",
    "Successor",
    "View",
    "Weights",
    "abuild",
    "build",
    "load_encoder",
    "schema",
    "speak",
]

_MODULES = {
    "kbsearch.builder": ("abuild", "build"),
    "kbsearch.contract": ("schema",),
    "kbsearch.embed": ("load_encoder",),
    "kbsearch.forms": ("speak",),
    "kbsearch.model": ("Article", "ArticleWarning", "Encoder", "Filter", "Passage", "Section", "Weights"),
    "kbsearch.overviews": ("BuildReport", "SectionView", "Status"),
    "kbsearch.places": ("Place", "Successor"),
    "kbsearch.procedures": ("Part", "Picture", "Procedure", "ProcedureRef", "Step"),
    "kbsearch.results": (
        "Hit",
        "Note",
        "OtherVersion",
        "PassageHit",
        "Piece",
        "Ranking",
        "Reason",
        "SearchResult",
        "Snippet",
    ),
    "kbsearch.search": ("KnowledgeBase",),
    "kbsearch.views": ("Budget", "Cost", "Disclosed", "Disclosure", "Level", "Related", "View"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "kbsearch.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
