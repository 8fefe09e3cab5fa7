"""The compiled part: what it is given and gives, how it is found missing, and how it is built."""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbsearch import native
from kbsearch.embed import pieces
from kbsearch.errors import KbSearchError, NativeMissing
from kbsearch.search import KnowledgeBase

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import RunKbsearch

ROOT = Path(__file__).parent.parent
CORE = ROOT / "kbsearch" / "core.c"


# Inner products


def matrix(rows: int, width: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


@settings(max_examples=100, deadline=None)
@given(
    width=st.integers(1, 70) | st.just(384), chosen=st.lists(st.integers(0, 19), max_size=9), seed=st.integers(0, 2**32)
)
def test_products_are_those_of_double_precision(width: int, chosen: list[int], seed: int) -> None:
    vectors, vector = matrix(20, width, seed), matrix(1, width, seed + 1)[0]
    products = native.dots(vectors, np.array(chosen, dtype=np.int64), vector)
    assert products.dtype == np.float32
    expected = vectors[chosen].astype(np.float64) @ vector.astype(np.float64)
    np.testing.assert_allclose(products, expected, atol=1e-6 * width)


@pytest.mark.parametrize("width", [1, 3, 15, 16, 17, 32, 383, 384, 1024])
def test_equal_rows_have_equal_products_wherever_they_stand(width: int) -> None:
    vectors = matrix(301, width)
    vectors[::3] = vectors[0]
    for seed in range(5):
        products = native.dots(vectors, np.arange(301), matrix(1, width, seed)[0])
        assert len(set(products[::3].tolist())) == 1


def test_a_product_does_not_depend_on_the_other_rows_that_are_asked() -> None:
    vectors, vector = matrix(50, 384), matrix(1, 384, 2)[0]
    together = native.dots(vectors, np.arange(50), vector)
    assert [native.dots(vectors, np.array([row]), vector)[0] for row in range(50)] == together.tolist()


@pytest.mark.parametrize("row", [5, -1, 2**62, -(2**62)])
def test_a_row_outside_of_the_matrix_is_damage(row: int) -> None:
    with pytest.raises(native.Damaged):
        native.dots(matrix(5, 8), np.array([0, row]), matrix(1, 8)[0])


def test_no_row_has_no_product() -> None:
    assert native.dots(matrix(5, 8), np.empty(0, dtype=np.int64), matrix(1, 8)[0]).shape == (0,)
    assert native.dots(matrix(0, 8), np.empty(0, dtype=np.int64), matrix(1, 8)[0]).shape == (0,)


# What it is given


@pytest.mark.parametrize(
    ("vectors", "rows", "vector"),
    [
        (matrix(5, 8).astype(np.float64), np.arange(5), matrix(1, 8)[0]),
        (np.asfortranarray(matrix(5, 8)), np.arange(5), matrix(1, 8)[0]),
        (matrix(5, 8), np.arange(5, dtype=np.int32), matrix(1, 8)[0]),
        (matrix(5, 8), np.arange(10)[::2], matrix(1, 8)[0]),
        (matrix(5, 8), np.arange(5), matrix(1, 7)[0]),
        (matrix(5, 8), np.arange(5), matrix(1, 16)[0][::2]),
    ],
)
def test_arrays_of_another_kind_or_shape_are_refused(vectors: Any, rows: Any, vector: Any) -> None:
    with pytest.raises(AssertionError):
        native.dots(vectors, rows, vector)


def test_a_question_s_arrays_have_one_length() -> None:
    ids, idf, flags = np.zeros(2, np.uint32), np.zeros(2, np.float32), np.zeros(2, np.uint8)
    with pytest.raises(AssertionError, match="one length"):
        native.Asked(ids, idf, idf[:1], flags, (1, 1), 1.2, 0.75)


def test_features_are_of_one_value_for_each_row_and_article() -> None:
    three, shared = np.zeros(3, np.float32), np.zeros((3, 6), np.float32)
    for of_rows, japanese in [
        ((three, three, three[:2], shared, shared), [True, False]),
        ((three, three, three, shared[:2], shared), [True, False]),
        ((three, three, three, shared, shared), [True]),
    ]:
        with pytest.raises(AssertionError, match="one value"):
            native.features(np.array([0, 0, 1]), of_rows, three[:2], np.array(japanese), native.Scale())


@pytest.mark.parametrize("group", [[0, 0, 2], [0, -1, 1], [2**62, 0, 0]])
def test_a_row_of_an_article_that_is_not_there_is_damage(group: list[int]) -> None:
    three, shared = np.zeros(3, np.float32), np.zeros((3, 6), np.float32)
    scale = native.Scale(1, 1, 0, 1, 0, 1, (0, 0), (1, 1), 0, 0, 0)
    with pytest.raises(native.Damaged):
        native.features(
            np.array(group), (three, three, three, shared, shared), three[:2], np.array([True, False]), scale
        )


def test_features_of_cosines_that_are_no_number_are_features() -> None:
    """A vector may be damaged; its file's checksum says so, the ranking goes on."""
    n = 500
    odd = np.tile(np.array([0.5, np.nan, np.inf, -np.inf], np.float32), n // 4)
    none, shared = np.zeros(n, np.float32), np.zeros((n, 6), np.float32)
    scale = native.Scale(1, 1, 0, 1, 0, 1, (0, 0), (1, 1), 0, 0, 0)
    found = native.features(np.arange(n), (none, none, odd, shared, shared), odd, np.ones(n, bool), scale)
    assert found.shape == (n, native.FEATURES)
    assert sorted(found[:, 21].tolist(), reverse=True) == pytest.approx([1 / (10 + place) for place in range(n)])


def test_eight_threads_get_the_same_products() -> None:
    vectors, questions = matrix(400, 384), matrix(16, 384, 2)
    expected = [native.dots(vectors, np.arange(400), question).tobytes() for question in questions]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda question: native.dots(vectors, np.arange(400), question).tobytes(), [*questions] * 30)
        assert list(found) == expected * 30


# Missing, or of another version


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the library is looked for, in this process and in those of the command line; there is none."""
    library = tmp_path / "_core.so"
    monkeypatch.setattr(native, "LIBRARY", library)
    monkeypatch.setattr(native, "_library", native._library.__wrapped__)
    return library


def other_version(library: Path) -> None:
    """A library that says to be of version 99."""
    source = library.with_suffix(".c")
    source.write_text("int kb_version(void) { return 99; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)


def foreign(library: Path) -> None:
    """A library of something else."""
    source = library.with_suffix(".c")
    source.write_text("int answer(void) { return 42; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda _: None, ""),
    "empty": (lambda library: library.write_bytes(b""), ""),
    "text": (lambda library: library.write_text("x" * 5000), ""),
    "a folder": (lambda library: library.mkdir(), ""),
    "foreign": (foreign, "kb_version"),
    "of another version": (other_version, f"it is of version 99, not {native.VERSION}"),
}
NEEDS_COMPILER = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=NEEDS_COMPILER if kind in {"foreign", "of another version"} else ()) for kind in WRONG],
)
def test_a_library_that_is_not_ours_is_an_error_that_says_how_to_go_on(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, reason = WRONG[kind]
    library = tmp_path / "_core.so"
    make(library)
    monkeypatch.setattr(native, "LIBRARY", library)
    monkeypatch.setattr(native, "_library", native._library.__wrapped__)
    with pytest.raises(NativeMissing) as raised:
        native.dots(matrix(1, 1), np.array([0]), matrix(1, 1)[0])
    assert isinstance(raised.value, KbSearchError)
    assert raised.value.library == str(library)
    assert reason in raised.value.reason
    assert str(raised.value).startswith(f"The compiled part of kbsearch cannot be loaded ({library}: ")
    assert "pip install" in str(raised.value)


def test_the_library_that_is_installed_is_of_the_version_that_is_asked_for() -> None:
    assert ctypes.CDLL(str(native.LIBRARY)).kb_version() == native.VERSION


def test_a_search_without_the_library_raises_it(index: Path, elsewhere: Path) -> None:
    kb = KnowledgeBase.open(index)
    for mode in ("hybrid", "lexical", "dense"):
        with pytest.raises(NativeMissing, match=str(elsewhere)):
            kb.search("返品の送料", mode=mode)


@pytest.mark.parametrize("options", [[], ["--json"], ["--mode", "lexical"]])
def test_a_search_on_the_command_line_without_the_library_ends_with_32_and_one_sentence(
    index: Path, kbsearch: RunKbsearch, tmp_path: Path, options: list[str]
) -> None:
    """A copy of the package without its compiled part comes first."""
    bare = tmp_path / "bare" / "kbsearch"
    shutil.copytree(native.LIBRARY.parent, bare, ignore=shutil.ignore_patterns("*.so"))
    ended = kbsearch("search", "返品の送料", "-i", index, *options, PYTHONPATH=str(bare.parent))
    assert (ended.returncode, ended.stdout) == (32, "")
    assert ended.stderr.startswith(f"error: The compiled part of kbsearch cannot be loaded ({bare / '_core.so'}: ")
    assert "pip install" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


# How it is built


class Interface:
    """Of hatchling's build hooks, which only an installation has at hand."""

    root, target_name = "", "wheel"

    def __class_getitem__(cls, _: object) -> type:
        return cls


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``hatch_build.py``, which no package holds."""
    name = "hatchling.builders.hooks.plugin.interface"
    monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(BuildHookInterface=Interface))
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dependencies(hook: Any) -> list[str]:
    found: list[str] = hook.CoreBuildHook().dependencies()
    return found


def test_a_compiler_comes_from_pypi_where_the_system_has_none(
    hook: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert dependencies(hook) == ["ziglang>=0.13"]


@pytest.mark.parametrize("name", ["cc", "gcc", "clang"])
def test_a_compiler_of_the_system_is_taken(
    hook: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).touch(0o755)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert dependencies(hook) == []
    assert hook._system_compiler() == [str(tmp_path / name)]


def test_the_compiler_that_cc_names_comes_first(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "ccache 'my gcc' -m64")
    assert dependencies(hook) == []
    assert hook._system_compiler() == ["ccache", "my gcc", "-m64"]


def test_the_compiler_from_pypi_is_asked_in_this_python(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "ziglang" else None)
    assert hook._packaged_compiler() == [sys.executable, "-m", "ziglang", "cc"]


def test_without_any_compiler_the_installation_says_what_is_missing(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RuntimeError, match="install a C compiler, or the package ziglang"):
        hook._packaged_compiler()


def wheel(hook: Any, root: Path) -> dict[str, Any]:
    """Build the compiled part for a wheel; what the hook told the builder."""
    builder = hook.CoreBuildHook()
    builder.root = str(root)
    told: dict[str, Any] = {"artifacts": []}
    builder.initialize("standard", told)
    return told


@NEEDS_COMPILER
def test_a_wheel_is_of_this_platform_and_of_any_python(
    hook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    sources = sorted(CORE.parent.rglob("*.c"))
    for source in sources:
        target = tmp_path / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    told = wheel(hook, tmp_path)
    assert told["artifacts"] == ["kbsearch/_core.so"]
    assert told["pure_python"] is False
    assert told["tag"].startswith("py3-none-")
    files = {file.name for file in tmp_path.rglob("*") if file.is_file()}
    assert files == {"_core.so", *(source.name for source in sources)}
    library = ctypes.CDLL(str(tmp_path / "kbsearch" / "_core.so"))
    assert (library.kb_version(), library.kb_embed_version()) == (native.VERSION, pieces.VERSION)


@NEEDS_COMPILER
def test_a_compilation_that_fails_leaves_the_old_library(
    hook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    (tmp_path / "kbsearch").mkdir()
    (tmp_path / "kbsearch" / "core.c").write_text("this is no C")
    (tmp_path / "kbsearch" / "_core.so").write_bytes(b"old")
    with pytest.raises(subprocess.CalledProcessError):
        wheel(hook, tmp_path)
    assert (tmp_path / "kbsearch" / "_core.so").read_bytes() == b"old"
    assert sorted(file.name for file in (tmp_path / "kbsearch").iterdir()) == ["_core.so", "core.c"]


@NEEDS_COMPILER
def test_the_source_compiles_without_a_warning(tmp_path: Path) -> None:
    checks = ["-Wall", "-Wextra", "-Werror", "-Wno-attributes"]
    done = subprocess.run(
        ["cc", "-std=gnu11", "-O3", "-fPIC", "-shared", *checks, "-o", tmp_path / "core.so", CORE, "-lm"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_source_distribution_compiles_nothing(hook: Any, tmp_path: Path) -> None:
    builder = hook.CoreBuildHook()
    builder.root, builder.target_name = str(tmp_path), "sdist"
    told: dict[str, Any] = {"artifacts": []}
    builder.initialize("standard", told)
    assert told == {"artifacts": []}
