"""Questions as nobody should ask them, and many at once."""

from __future__ import annotations

import json
import random
import string
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from conftest import ARTICLES, FAKE, QUESTIONS, write_articles
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kbsearch.builder import build
from kbsearch.errors import BadQuery, NotFound
from kbsearch.model import Filter
from kbsearch.query import MAX_QUERY_CHARS
from kbsearch.rank import MODES
from kbsearch.search import KnowledgeBase

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import RunKbsearch

STRANGE: Final = {
    "empty": "",
    "blank": " \t\n\u3000",
    "punctuation": "？！。、…『』",
    "ascii punctuation": "?!#$%&'()*+,-./:;<=>@[]^_`{|}~\\\"",
    "emoji": "😀👨‍👩‍👧‍👦🇯🇵❤️",
    "half a surrogate pair": "返品\ud83d送料",
    "only half a pair": "\udcff",
    "nul": "返品\0送料",
    "controls": "返\x1b[31m品\x07\x08\x7f\x85送料",
    "right to left": "\u202e返品\u202c\u200f送料\u2066x\u2069",
    "bom": "\ufeff返品",
    "joiners": "\u200d" * 500,
    "combining": "が" + "\u3099" * 5000,
    "long": "返品の送料と password " * 6000,
    "long word": "a" * 100_000,
    "long japanese word": "ア" * 100_000,
    "long number": "9" * 100_000,
    "many words": " ".join(f"word{number}" for number in range(20_000)),
    "arabic": "كيف أعيد المنتج",
    "query language": 'words:返品 AND (title:"x" OR *) ~2 [a TO b] -"',
    "sql": "'; DROP TABLE articles; --",
    "markup": "<script>alert(1)</script> [b]x[/b] {{x}} %s %n",
    "path": "../../../etc/passwd",
    "mathematical": "𝐩𝐚𝐬𝐬𝐰𝐨𝐫𝐝 ｐａｓｓｗｏｒｄ",
    "ligature": "ﷺ" * 1000,
}
WORDLESS: Final = {"empty", "blank", "punctuation", "ascii punctuation", "emoji", "only half a pair", "joiners"}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    """Some articles with the default encoder."""
    folder = tmp_path_factory.mktemp("real")
    build(write_articles(folder / "articles", {path: ARTICLES[path] for path in list(ARTICLES)[:4]}), folder / "index")
    return KnowledgeBase.open(folder / "index")


@pytest.fixture
def kb(index: Path) -> KnowledgeBase:
    return KnowledgeBase.open(index)


@pytest.mark.parametrize("name", sorted(STRANGE))
@pytest.mark.parametrize("mode", MODES)
def test_a_strange_question_is_answered_or_has_no_hit(
    kb: KnowledgeBase, real: KnowledgeBase, name: str, mode: Any
) -> None:
    """Never an error, within seconds, with marks inside the snippet, and JSON that can be read back."""
    for index in (kb, real):
        started = time.perf_counter()
        result = index.search(STRANGE[name], mode=mode)
        assert time.perf_counter() - started < 5
        assert (result.hits == ()) or name not in WORDLESS
        assert json.loads(json.dumps(result.to_dict())) == result.to_dict()
        for hit in result.hits:
            assert all(0 <= start < end <= len(hit.snippet) for start, end in hit.marks)
            assert len(hit.snippet) <= 160
            assert hit.score > 0 or mode != "lexical"
        assert [hit.score for hit in result.hits] == sorted((hit.score for hit in result.hits), reverse=True)


def test_marks_and_controls_do_not_hide_the_words_beside_them(kb: KnowledgeBase) -> None:
    """The words of a strange question still find what they would find without the dirt."""
    for name in ("half a surrogate pair", "nul", "right to left", "bom", "long"):
        assert "returns" in {hit.article_id for hit in kb.search(STRANGE[name], mode="lexical").hits}, name
    assert kb.search(STRANGE["mathematical"], mode="lexical").hits[0].article_id == "password-en"


def test_a_question_is_read_up_to_its_limit(kb: KnowledgeBase) -> None:
    """What stands behind the limit changes nothing, and the result repeats the question as it was asked."""
    filler = "。" * (MAX_QUERY_CHARS - 4)
    inside, beyond = kb.search("返品送料" + filler + "password"), kb.search("返品送料" + filler)
    assert [hit.to_dict() for hit in inside.hits] == [hit.to_dict() for hit in beyond.hits]
    assert inside.query.endswith("password")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    question=st.text(st.characters(codec=None, exclude_categories=[]), max_size=60),
    value=st.text(st.characters(exclude_categories=[]), max_size=8),
    mode=st.sampled_from(MODES),
    k=st.integers(1, 30),
)
def test_any_text_is_a_question_and_any_text_a_filter(
    kb: KnowledgeBase, question: str, value: str, mode: Any, k: int
) -> None:
    """Whatever the characters are, halves of surrogate pairs included; only these are refused in a filter."""
    assert len(kb.search(question, k, mode=mode).hits) <= k
    for field in ("lang", "category", "tags", "kind"):
        try:
            kb.search("返品 " + question, k, mode=mode, filter={field: value})
        except BadQuery:
            if field != "kind":  # has two values that are known
                with pytest.raises(UnicodeEncodeError):
                    value.encode()


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"k": 0}, "k"),
        ({"k": -1}, "k"),
        ({"k": 1.5}, "k"),
        ({"k": "3"}, "k"),
        ({"k": None}, "k"),
        ({"question": None}, "text"),
        ({"question": b"bytes"}, "bytes"),
        ({"question": 7}, "int"),
        ({"mode": "fuzzy"}, "hybrid, lexical, dense"),
        ({"mode": None}, "hybrid"),
        ({"mode": ["hybrid"]}, "hybrid"),
        ({"snippet_chars": 0}, "snippet_chars"),
        ({"snippet_chars": "x"}, "snippet_chars"),
        ({"filter": {"language": "ja"}}, "lang, category, tags, kind"),
        ({"filter": {1: "ja"}}, "lang"),
        ({"filter": {"lang": 3}}, "lang"),
        ({"filter": {"lang": [3]}}, "lang"),
        ({"filter": {"lang": ["ja", ["en"]]}}, "lang"),
        ({"filter": {"lang": {"ja": 1}}}, None),
        ({"filter": {"tags": b"x"}}, "tags"),
        ({"filter": {"kind": True}}, "kind"),
        ({"filter": "lang=ja"}, "str"),
        ({"filter": ["lang"]}, "list"),
        ({"filter": 3}, "int"),
    ],
)
def test_a_wrong_argument_is_a_bad_query_that_names_what_is_right(
    kb: KnowledgeBase, arguments: dict[str, Any], names: str | None
) -> None:
    call = {"question": "返品", **arguments}
    if names is None:
        assert kb.search(**call).hits
        return
    for method in (kb.search, kb.ranking):
        if method == kb.ranking and "snippet_chars" in arguments:
            continue
        with pytest.raises(BadQuery, match=names):
            method(**call)


def test_empty_and_missing_filter_values_mean_any(kb: KnowledgeBase) -> None:
    """What a form sends for a field that was left open does not filter."""
    expected = kb.ranking("返品の送料").article_ids
    open_fields: list[Any] = [{}, {"lang": ""}, {"lang": None}, {"lang": []}, {"tags": ["", None]}, {"category": "/"}]
    for where in [*open_fields, Filter()]:
        assert kb.ranking("返品の送料", filter=where).article_ids == expected


def test_a_filter_with_thousands_of_values(kb: KnowledgeBase) -> None:
    """More values than a database takes in one statement still filter."""
    many = [f"tag{number}" for number in range(40_000)]
    for mode in MODES:
        assert kb.search("返品の送料", mode=mode, filter={"tags": many}).hits == ()
        found = kb.search("返品の送料", mode=mode, filter={"tags": [*many, "送料"]}).hits
        assert [hit.article_id for hit in found] == ["returns"]


@pytest.mark.parametrize("k", [1000, 10**6, 10**9, 2**63, 10**30])
def test_a_page_longer_than_the_index(kb: KnowledgeBase, k: int) -> None:
    """Any number of wanted articles is served as far as there are any, without the memory for so many."""
    for mode in MODES:
        everything = kb.search("返品 password の", k, mode=mode)
        assert 2 <= len(everything.hits) <= 11
        assert everything.hits[:2] == kb.search("返品 password の", 2, mode=mode).hits


def test_a_page_of_thousands_of_articles(tmp_path: Path, fake_encoder: Any) -> None:
    """Every article of a large answer is fetched and shown."""
    assert fake_encoder
    articles = {f"{number}.md": f"# 商品{number}\n\n送料は{number}円です。\n" for number in range(1500)}
    build(write_articles(tmp_path / "articles", articles), tmp_path / "index", encoder=FAKE)
    kb = KnowledgeBase.open(tmp_path / "index")
    for mode in MODES:
        hits = kb.search("送料", 1400, mode=mode).hits
        assert len({hit.article_id for hit in hits}) == len(hits) == 1400


@pytest.mark.parametrize(
    "wanted", ["", "#", "nothing", "returns#nothing", "\ud800", "returns#\ud800", "a\0b", "x" * 9999]
)
def test_an_unknown_id_is_not_found(kb: KnowledgeBase, wanted: str) -> None:
    with pytest.raises(NotFound):
        kb.section(wanted)
    if "#" not in wanted:
        with pytest.raises(NotFound):
            kb.article(wanted)


def test_strange_questions_on_the_command_line(index: Path, kbsearch: RunKbsearch) -> None:
    """Bytes that are no text, nothing at all and junk in a batch: an answer or exit code 12, never a traceback."""
    lines = "\n".join(json.dumps({"id": name, "text": text}) for name, text in STRANGE.items())
    outcomes = {
        "not utf-8": kbsearch("search", b"\xff\xfe", "-i", index),
        "not utf-8, json": kbsearch("search", b"\xe8\xbf\x94\xff", "-i", index, "--json"),
        "empty": kbsearch("search", "", "-i", index),
        "batch": kbsearch("search", "--queries", "-", "--json", "-i", index, stdin=lines + "\n\n"),
        "unknown id": kbsearch("show", b"\xff", "-i", index),
    }
    assert {name: done.returncode for name, done in outcomes.items()} == {
        "not utf-8": 0, "not utf-8, json": 0, "empty": 0, "batch": 0, "unknown id": 14
    }, {name: done.stderr[-300:] for name, done in outcomes.items()}  # fmt: skip
    assert [json.loads(line)["id"] for line in outcomes["batch"].stdout.strip().split("\n")] == list(STRANGE)


THREADS: Final = 8
TIMES: Final = 50


def test_threads_that_share_an_index_get_what_one_thread_gets(kb: KnowledgeBase) -> None:
    """Eight threads ask fifty questions each, all from the first moment on; every answer is as in one thread."""
    chance = random.Random(3)  # noqa: S311 - repeatable
    filters: list[Any] = [None, {"lang": "ja"}, {"lang": "en"}, {"category": "shop"}, {"tags": ["返品", "login"]}]
    words = [*QUESTIONS, *string.ascii_lowercase[:5], "配送", "紙づまり"]
    asked = [
        (" ".join(chance.sample(words, 2)), chance.choice(filters), chance.choice(MODES))
        for _ in range(THREADS * TIMES)
    ]
    said: dict[int, Any] = {}
    errors: list[BaseException] = []
    together = threading.Barrier(THREADS)

    def ask(thread: int) -> None:
        try:
            together.wait()
            for number in range(thread, len(asked), THREADS):
                question, where, mode = asked[number]
                said[number] = kb.search(question, filter=where, mode=mode).to_dict()["hits"]
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    alone = KnowledgeBase.open(kb._store.root)
    expected = [alone.search(text, filter=where, mode=mode).to_dict()["hits"] for text, where, mode in asked]
    assert [said[number] for number in range(len(asked))] == expected
    assert sum(bool(hits) for hits in expected) > len(asked) / 2
