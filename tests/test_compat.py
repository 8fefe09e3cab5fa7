"""An index of an older version opens and answers, or is refused with the error that says how to go on.

``tests/data/index-format-N`` was written by the version that introduced format N and is never written again. When the
format changes, a folder is added and the old ones stay.

Run as a script, this file adds that of the present format.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from conftest import write_articles

from kbsearch import IndexIncompatible, KnowledgeBase, build
from kbsearch.quotes import VERSION as UNITS
from kbsearch.store import FORMAT
from kbsearch.text import fingerprint

DATA = Path(__file__).parent / "data"
OLD = sorted(DATA.glob("index-format-*"), key=lambda folder: int(folder.name.rpartition("-")[2]))
SAMPLE = {
    "返品.ja.md": "---\ntitle: 返品の送料\naliases: [返送料]\n---\n\n不良品の返品の送料は当店が負担します。\n",
    "返品.en.md": (
        "---\ntitle: Return postage\ntranslation_of: 返品.ja\nversion: 1.10\naudience: agent\n---\n\nWe pay.\n"
    ),
    "password.en.md": '---\ntitle: Reset your password\n---\n\nChoose "Forgot password" on the sign-in page.\n',
    "synonyms.txt": "返品, 返却\n",
}


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
        here = f"{fingerprint()} units/{UNITS}"
        assert (manifest["format"], manifest["fingerprints"]["analyser"]) != (FORMAT, here)
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


def _add_sample() -> None:
    """Write the folder of the present format, as a build leaves it but for its lock and its memory of files."""
    folder = DATA / f"index-format-{FORMAT}"
    with tempfile.TemporaryDirectory() as articles:
        build(write_articles(Path(articles), SAMPLE), folder)
    for name in ("LOCK", "stamps.json"):
        (folder / name).unlink()
    for empty in [path for path in folder.rglob("*") if path.is_dir() and not any(path.iterdir())]:
        empty.rmdir()  # which a repository would not keep


if __name__ == "__main__":
    _add_sample()
