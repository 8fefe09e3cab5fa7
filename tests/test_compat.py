"""An index of an older version opens and answers, or is refused with the error that says how to go on.

``tests/data/index-format-N`` was written by the version that introduced format N and is never written again. When the
format changes, a folder is added and the old ones stay.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kbsearch import IndexIncompatible, KnowledgeBase, build
from kbsearch.store import FORMAT
from kbsearch.text import fingerprint

DATA = Path(__file__).parent / "data"
OLD = sorted(DATA.glob("index-format-*"))


def test_the_present_format_has_its_sample() -> None:
    assert [int(folder.name.rpartition("-")[2]) for folder in OLD] == list(range(1, FORMAT + 1))


@pytest.mark.parametrize("folder", OLD, ids=lambda folder: folder.name)
def test_an_old_index_answers_or_is_refused_by_what_differs(folder: Path, tmp_path: Path) -> None:
    index = Path(shutil.copytree(folder, tmp_path / "index"))
    generation = index / (index / "CURRENT").read_text("utf-8").strip()
    manifest = json.loads((generation / "manifest.json").read_text("utf-8"))
    try:
        hits = KnowledgeBase.open(index).search("返品の送料", k=1, mode="lexical").hits
    except IndexIncompatible as error:
        assert (manifest["format"], manifest["fingerprints"]["analyser"]) != (FORMAT, fingerprint())
        assert error.found in {str(manifest["format"]), manifest["fingerprints"]["analyser"]}  # noqa: PT017
        assert "kbsearch build" in str(error)  # noqa: PT017
    else:
        assert [hit.article_id for hit in hits] == ["返品.ja"]


@pytest.mark.parametrize("folder", OLD, ids=lambda folder: folder.name)
def test_a_build_on_an_old_index_brings_it_up_to_date(folder: Path, tmp_path: Path) -> None:
    index = Path(shutil.copytree(folder, tmp_path / "index"))
    (tmp_path / "articles").mkdir()
    (tmp_path / "articles" / "new.md").write_text("# 配送\n\n三日で届きます。\n", "utf-8")
    assert build(tmp_path / "articles", index).published
    assert [hit.article_id for hit in KnowledgeBase.open(index).search("配送").hits] == ["new"]
