"""Terms pass through a build row by row; what is forgotten on the way changes nothing of what is written."""

from __future__ import annotations

import re
import weakref
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import ARTICLES
from terms import parts_of

from kbsearch import tokens as tokens_module
from kbsearch import wordlist, writing
from kbsearch.content import Amended
from kbsearch.embed import text_key
from kbsearch.known import InMemory, Known
from kbsearch.lexical import LexicalIndex
from kbsearch.markdown import parse_article
from kbsearch.model import Weights
from kbsearch.rows import Row, Texts, analyse_rows, make_rows
from kbsearch.store import Files
from kbsearch.text import analyse, normalise
from kbsearch.tokens import TokenIndex, TokenWriter
from kbsearch.writing import Written, write_terms

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kbsearch.model import Article
    from kbsearch.rows import Analysed
    from kbsearch.vocabulary import Entry

WEIGHTS = Weights(title=3, heading=2, alias=4, body=1)


@pytest.fixture(scope="module")
def corpus() -> list[Article]:
    """Japanese and English articles, with the same titles, headings and bodies in several."""
    parse = partial(parse_article, default_lang="", count_tokens=len, max_tokens=512, target_tokens=60)
    texts = {path: text.replace("id: ", "was: ") for path, text in ARTICLES.items()}
    texts |= {f"again/{path}": text for path, text in texts.items()}
    return [parse(text.encode(), path)[0] for path, text in sorted(texts.items())]


class Held(str):
    """A text that can be followed."""

    __slots__ = ("__weakref__",)


def written(articles: list[Article]) -> Written:
    rows = make_rows(articles)
    return Written(articles, rows, list(range(len(articles))), Amended())


def terms_written(folder: Path, of: Written) -> dict[str, bytes]:
    """Every byte of what the terms of the rows become."""
    folder.mkdir()
    write_terms(Files(folder), of, WEIGHTS, lambda *_: None)
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def plain_terms(articles: list[Article], row: Row) -> tuple[list[str], list[str]]:
    """The words and grams of the parts of a row."""
    read = [analyse(text) for text, weight in parts_of(row, articles, WEIGHTS) if weight]
    words = [term for found in read for term in found.words.terms]
    return words, [term for found in read for term in found.grams.terms]


def plain_counts(articles: list[Article], rows: Iterable[Row]) -> dict[str, Counter[str]]:
    """In how many rows each word stands, and each Latin or katakana one as it is spelt."""
    counts: dict[str, Counter[str]] = {"term": Counter(), "spelling": Counter()}
    for row in rows:
        words, grams = plain_terms(articles, row)
        text = "\n".join((row.passage.title, *row.passage.headings, row.passage.text, row.alias))
        counts["term"].update(set(words))
        spelt = {gram for gram in grams if re.fullmatch("[a-z]{2,}", gram)}
        counts["spelling"].update(spelt | set(re.findall("[ァ-ヺー]{3,}", normalise(text)[0])))
    return counts


def test_each_row_has_the_terms_of_its_parts(tmp_path: Path, corpus: list[Article]) -> None:
    rows = make_rows(corpus)
    assert len(rows) > 30
    with TokenWriter(tmp_path / "tokens") as tokens:
        analysed = list(analyse_rows(rows, corpus, WEIGHTS, tokens, lambda *_: None))
    assert [each.row for each in analysed] == rows
    for each in analysed:
        assert (each.words.split(), each.grams.split()) == plain_terms(corpus, each.row)


def test_the_index_and_the_word_list_are_those_of_all_rows_at_once(
    tmp_path: Path, corpus: list[Article], monkeypatch: pytest.MonkeyPatch
) -> None:
    entries: list[Entry] = []
    monkeypatch.setattr(writing, "write_vocabulary", lambda _, found: entries.extend(found))
    of = written(corpus)
    write_terms(Files(tmp_path), of, WEIGHTS, lambda *_: None)
    counts = plain_counts(corpus, of.rows)
    for kind, expected in counts.items():
        assert {entry.key: entry.passages for entry in entries if entry.kind == kind} == expected
    index = LexicalIndex(Files(tmp_path).lexical, TokenIndex(Files(tmp_path).tokens, len(of.rows)))
    for term in list(counts["term"])[::7]:
        holders = [n for n, row in enumerate(of.rows) if term in plain_terms(corpus, row)[0]]
        assert sorted(index.search("words", [term], len(of.rows))[0].tolist()) == holders
        assert len(holders) == counts["term"][term]


def test_what_is_forgotten_on_the_way_changes_no_byte(
    tmp_path: Path, corpus: list[Article], monkeypatch: pytest.MonkeyPatch
) -> None:
    of = written(corpus)
    before = terms_written(tmp_path / "remembered", of)
    for module, name in ((tokens_module, "_REPEATED"), (tokens_module, "_RECENT"), (wordlist, "_REMEMBERED")):
        monkeypatch.setattr(module, name, 1)
    monkeypatch.setattr(tokens_module, "_BUFFER", 10)
    assert terms_written(tmp_path / "forgotten", of) == before
    assert {name.partition("/")[0] for name in before} >= {"tokens", "lexical"}
    assert len(before) > 10


def test_the_terms_of_a_row_are_let_go_before_the_next_one_is_analysed(
    tmp_path: Path, corpus: list[Article], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million rows with their terms are gigabytes: of all but the last, only what is written may stay."""
    seen: list[int] = []
    rows = list[weakref.ref[Held]]()

    def counted(*given: Any) -> Iterable[Analysed]:
        for each in analyse_rows(*given):
            words = Held(each.words)
            rows.append(weakref.ref(words))
            following = each._replace(words=words)
            del words, each
            yield following
            del following
            seen.append(sum(row() is not None for row in rows))

    monkeypatch.setattr(writing, "analyse_rows", counted)
    write_terms(Files(tmp_path), written(corpus), WEIGHTS, lambda *_: None)
    assert len(seen) == len(written(corpus).rows)
    assert max(seen) <= 1


def test_progress_is_told_row_by_row(tmp_path: Path, corpus: list[Article]) -> None:
    told: list[tuple[str, int, int]] = []
    of = written(corpus)
    write_terms(Files(tmp_path), of, WEIGHTS, lambda *step: told.append(step))
    assert told == [("analyse", done, len(of.rows)) for done in range(1, len(of.rows) + 1)]


def test_an_error_of_the_analysis_stays_what_it_is(
    tmp_path: Path, corpus: list[Article], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(text: str) -> Any:
        raise ValueError(text)

    monkeypatch.setattr("kbsearch.rows.analyse", broken)
    of = written(corpus)
    with pytest.raises(ValueError, match=re.escape(of.rows[0].passage.title)):
        write_terms(Files(tmp_path), of, WEIGHTS, lambda *_: None)


def test_the_texts_for_the_encoder_are_made_of_rows_titles_and_headings(corpus: list[Article]) -> None:
    rows = make_rows(corpus)
    texts = Texts(rows, corpus)
    assert {text_key(text): text for text in texts.values()} == dict(texts)
    headings = {text_key(row.passage.headings[-1]) for row in rows if row.passage.headings and not row.alias}
    own = {row.key for row in rows} | {text_key(article.title) for article in corpus}
    assert texts.keys() == own | headings
    some = sorted(headings - own)[:2]
    assert len(some) == 2
    coded = Known(4, [InMemory(some, np.zeros((2, 4), np.float32))])
    assert texts.keys() - Texts(rows, corpus, coded).keys() == set(some)
    row = next(row for row in rows if row.passage.headings and not row.alias)
    assert texts[row.key] == "\n".join((row.passage.title, " > ".join(row.passage.headings), row.passage.text))
    alias = next(row for row in rows if row.alias)
    assert texts[alias.key] == alias.alias


def test_without_sources_an_article_is_what_is_said_of_it(corpus: list[Article]) -> None:
    of = written(corpus)
    for left, whole in zip(of.without_sources().articles, corpus, strict=True):
        assert (left.sections, left.passages, left.markdown) == ((), (), "")
        assert left == replace(whole, sections=(), passages=(), markdown="", meta={})
