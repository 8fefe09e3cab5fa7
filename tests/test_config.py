"""Settings and where they come from; what ``kbsearch init`` writes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kbsearch.config import FILE_NAME, Settings, load_settings
from kbsearch.errors import ConfigError
from kbsearch.markdown import parse_article
from kbsearch.model import Weights
from kbsearch.scaffold import write_scaffold

if TYPE_CHECKING:
    from collections.abc import Mapping

FULL = """
articles = "docs"
index = "out/help"
encoder = "sentence-transformers:from-file"
languages = ["ja", "EN"]
synonyms = "words/synonyms.txt"
sentences = true

[weights]
title = 5
body = 0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kb").mkdir()
    return tmp_path / "kb"


def settle(
    folder: Path, toml: str | bytes | None = None, environment: Mapping[str, str] | None = None, **options: Any
) -> Settings:
    if toml is not None:
        (folder / FILE_NAME).write_bytes(toml if isinstance(toml, bytes) else toml.encode())
    return load_settings(options, environment or {}, folder)


# Where a value comes from


def test_without_anything_the_defaults_count(folder: Path) -> None:
    assert settle(folder) == Settings(
        Path("articles"), Path("indexes/help"), "e5-small", (), None, None, Weights(3, 2, 3, 1), None
    )


def test_a_file_beats_the_defaults_and_its_paths_are_its_own(folder: Path) -> None:
    assert settle(folder, FULL) == Settings(
        articles=folder / "docs",
        index=folder / "out/help",
        encoder="sentence-transformers:from-file",
        languages=("ja", "en"),
        synonyms=folder / "words/synonyms.txt",
        sentences=True,
        weights=Weights(title=5, heading=2, alias=3, body=0),
        file=folder / FILE_NAME,
    )


def test_an_absolute_path_in_a_file_stays(folder: Path) -> None:
    assert settle(folder, 'index = "/srv/kb"').index == Path("/srv/kb")


ENVIRONMENT = {
    "KBSEARCH_ARTICLES": "env-articles",
    "KBSEARCH_INDEX": "env-index",
    "KBSEARCH_ENCODER": "env-encoder",
    "KBSEARCH_LANGUAGES": "EN, fr ja",
    "KBSEARCH_SYNONYMS": "env-synonyms.txt",
    "KBSEARCH_SENTENCES": "No",
    "KBSEARCH_WEIGHTS": "title=7, body=2",
}


def test_the_environment_beats_the_file_and_its_paths_are_the_working_folder_s(folder: Path) -> None:
    assert settle(folder, FULL, ENVIRONMENT) == Settings(
        articles=Path("env-articles"),
        index=Path("env-index"),
        encoder="env-encoder",
        languages=("en", "fr", "ja"),
        synonyms=Path("env-synonyms.txt"),
        sentences=False,
        weights=Weights(title=7, heading=2, alias=3, body=2),
        file=folder / FILE_NAME,
    )


def test_an_option_beats_the_environment(folder: Path) -> None:
    given = {"articles": Path("here"), "index": Path("there"), "encoder": "other", "synonyms": Path("mine.txt")}
    found = settle(folder, FULL, ENVIRONMENT, **given)
    assert {name: getattr(found, name) for name in given} == given
    assert found.languages == ("en", "fr", "ja")


def test_each_setting_is_settled_by_itself(folder: Path) -> None:
    found = settle(folder, FULL, {"KBSEARCH_INDEX": "env-index"}, encoder="option", articles=None)
    assert (found.articles, found.index, found.encoder) == (folder / "docs", Path("env-index"), "option")


def test_an_empty_variable_and_other_programs_variables_count_as_none(folder: Path) -> None:
    assert settle(folder, FULL, {"KBSEARCH_INDEX": "", "KBSEARCH_OTHER": "1", "INDEX": "x"}) == settle(folder, FULL)


# Where the file is found


def test_the_file_is_found_upward_and_the_nearest_counts(folder: Path) -> None:
    below = folder / "a" / "b"
    below.mkdir(parents=True)
    (folder / FILE_NAME).write_text('encoder = "far"', "utf-8")
    assert load_settings({}, {}, below).file == folder / FILE_NAME
    (folder / "a" / FILE_NAME).write_text('index = "x"', "utf-8")
    found = load_settings({}, {}, below)
    assert (found.file, found.index, found.encoder) == (folder / "a" / FILE_NAME, folder / "a" / "x", "e5-small")


def test_a_folder_of_that_name_is_no_file(folder: Path) -> None:
    (folder / FILE_NAME).mkdir()
    assert settle(folder).file is None


def test_a_byte_order_mark_does_no_harm(folder: Path) -> None:
    assert settle(folder, b"\xef\xbb\xbf" + FULL.encode()).languages == ("ja", "en")


# What is wrong, and where


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("articles = ", "Invalid value"),
        ("x" * 3, "Expected '='"),
        (b"encoder = '\xff'", "utf-8"),
        ('encoding = "e5"', "unknown setting “encoding”; known are articles, index, encoder, languages, synonyms"),
        ("[weight]\ntitle = 1", "unknown setting “weight”"),
        ("articles = 3", "articles must be a text, not 3"),
        ('index = ""', "index must be a text"),
        ('encoder = ["e5-small"]', "encoder must be a text"),
        ("synonyms = true", "synonyms must be a text, not True"),
        ('sentences = "yes"', "sentences must be true or false, not 'yes'"),
        ('synonyms = ""', "synonyms must be a text"),
        ('languages = "ja"', "languages must be a list"),
        ('languages = ["ja", 3]', "languages must be a list"),
        ('languages = [""]', "languages must be a list"),
        ("weights = 3", "weights must be a table of title, heading, alias, body, not 3"),
        ("[weights]\ntags = 1", "unknown weight “tags”; known are title, heading, alias, body"),
        ("[weights]\ntitle = -1", "the weight title must be a whole number from 0 to 20, not -1"),
        ("[weights]\ntitle = 21", "not 21"),
        ("[weights]\ntitle = 1.5", "not 1.5"),
        ("[weights]\ntitle = true", "not True"),
        ('[weights]\ntitle = "3"', "not '3'"),
    ],
)
def test_a_wrong_value_in_the_file_names_the_file(folder: Path, toml: str | bytes, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        settle(folder, toml)
    assert raised.value.source == str(folder / FILE_NAME)
    assert says in str(raised.value)
    assert str(folder / FILE_NAME) in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("KBSEARCH_WEIGHTS", "title", "the weight title must be a whole number from 0 to 20, not ''"),
        ("KBSEARCH_WEIGHTS", "title=x", "not 'x'"),
        ("KBSEARCH_WEIGHTS", "title=-1", "not '-1'"),
        ("KBSEARCH_WEIGHTS", "title=21", "not 21"),
        ("KBSEARCH_WEIGHTS", "tags=1", "unknown weight “tags”"),
        ("KBSEARCH_WEIGHTS", "title=²", "not '²'"),
    ],
)
def test_a_wrong_variable_is_named(folder: Path, name: str, value: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        settle(folder, FULL, {name: value})
    assert raised.value.source == name
    assert says in str(raised.value)


def test_a_wrong_file_is_an_error_even_if_the_option_wins(folder: Path) -> None:
    with pytest.raises(ConfigError):
        settle(folder, "articles = 3", articles=Path("here"))


# init


def test_init_writes_settings_that_load_and_an_article_that_parses(tmp_path: Path) -> None:
    config, article = write_scaffold(tmp_path / "new" / "kb")
    assert config == tmp_path / "new" / "kb" / FILE_NAME
    found = load_settings({}, {}, config.parent)
    assert found.file == config
    assert found.articles in article.parents
    assert found.index == config.parent / "indexes" / "help"
    assert found.encoder == Settings().encoder
    assert found.weights == Weights()
    assert found.synonyms is None, "synonyms.txt of the folder is taken up by itself"
    parsed, warnings = parse_article(
        article.read_bytes(), article.relative_to(found.articles).as_posix(), default_lang="",
        count_tokens=len, max_tokens=512, target_tokens=256,
    )  # fmt: skip
    assert warnings == ()
    assert (parsed.title, parsed.lang, parsed.kind) == ("返品の送料はだれが払いますか", "ja", "faq")
    assert parsed.tags == ("返品", "送料")
    assert len(parsed.aliases) == 2


def test_the_written_settings_show_every_setting(tmp_path: Path) -> None:
    """Those of synonyms and sentences behind a comment sign: there is no such file yet, and it depends on the size."""
    config = write_scaffold(tmp_path)[0]
    text = config.read_text("utf-8").replace("\n# synonyms = ", "\nsynonyms = ")
    text = text.replace("\n# sentences = ", "\nsentences = ")
    names = [field.name for field in fields(Settings) if field.name != "file"]
    assert [name for name in names if f"\n{name} = " not in text and f"\n[{name}]" not in text] == []
    assert [part.name for part in fields(Weights) if f"\n{part.name} = " not in text] == []
    config.write_text(text, "utf-8")
    assert load_settings({}, {}, tmp_path).synonyms == tmp_path / "synonyms.txt"


@pytest.mark.parametrize("existing", [FILE_NAME, "articles/returns/shipping-cost.ja.md"])
def test_init_overwrites_nothing(tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / existing).write_text("mine", "utf-8")
    with pytest.raises(ConfigError) as raised:
        write_scaffold(tmp_path)
    assert raised.value.source == str(tmp_path / existing)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / existing]
    assert (tmp_path / existing).read_text("utf-8") == "mine"


def test_init_beside_other_articles_adds_to_them(tmp_path: Path) -> None:
    (tmp_path / "articles").mkdir()
    (tmp_path / "articles" / "mine.md").write_text("mine", "utf-8")
    write_scaffold(tmp_path)
    assert len(list((tmp_path / "articles").rglob("*.md"))) == 2


def test_init_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(ConfigError) as raised:
        write_scaffold(tmp_path / "file" / "kb")
    assert "cannot write here" in str(raised.value)
