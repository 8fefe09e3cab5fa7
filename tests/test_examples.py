"""The examples run as they stand, and keep what a developer who copies them relies on."""

from __future__ import annotations

import ast
import asyncio
import html
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

import kbsearch
from kbsearch import KnowledgeBase, SearchResult

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NAMES = ["chatbot_turn", "help_page", "ivr_menu", "ticket_form"]
FOLDERS = ("shop/returns", "shop/account", "shop/contact")

NASTY = """---
title: <b>危険</b>な"題名"
lang: ja
---

危険な<script>alert(1)</script>本文です。
"""
WARNED = """---
title: ランプの交換
lang: ja
kind: guide
---

1. 電源を切ります。

   > **注意**: 熱いランプに触れないでください。
2. ランプを外します。
3. 新しいランプを付けます。
"""


def load(name: str) -> Any:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for their module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the sample articles, and two of our own, by the default encoder."""
    folder = tmp_path_factory.mktemp("examples")
    for part in FOLDERS:
        shutil.copytree(ROOT / "articles" / part, folder / "articles" / part)
    (folder / "articles" / "nasty.md").write_text(NASTY, "utf-8")
    (folder / "articles" / "lamp.md").write_text(WARNED, "utf-8")
    kbsearch.build(folder / "articles", folder / "index")
    return folder / "index"


@pytest.fixture(scope="module")
def kb(index: Path) -> KnowledgeBase:
    return KnowledgeBase.open(index)


@pytest.fixture
def decided(kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let every search of ``kb`` come to an outcome; what it finds stays as it is."""

    def decide(outcome: str) -> None:
        def search(*given: Any, **named: Any) -> SearchResult:
            return replace(KnowledgeBase.search(kb, *given, **named), outcome=outcome)  # type: ignore[arg-type]

        monkeypatch.setattr(kb, "search", search, raising=False)

    return decide


# All of them


def test_these_are_all() -> None:
    assert [file.stem for file in EXAMPLES] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_example_passes_its_own_test(name: str, index: Path) -> None:
    done = run(name, "--self-test", "--index", str(index))
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("all is well")


def run(name: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("name", NAMES)
def test_without_an_index_it_says_what_to_do(name: str, tmp_path: Path) -> None:
    done = run(name, "--index", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert "kbsearch build" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_it_needs_the_standard_library_and_public_names_only(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.module is not None
            if node.module == "kbsearch":
                assert {alias.name for alias in node.names} <= set(kbsearch.__all__)
            else:
                assert node.module.partition(".")[0] in sys.stdlib_module_names, node.module
        elif isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= sys.stdlib_module_names


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_no_answer_is_written_into_it(file: Path) -> None:
    """Neither a sentence nor a title of the sample articles stands in the code."""
    code = file.read_text("utf-8")
    for article in (ROOT / "articles").rglob("*.md"):
        text = article.read_text("utf-8", "replace")
        said = [line.strip("#*-> ") for line in re.split(r"[\n。|:]", text)]
        assert [line for line in said if len(line) >= 14 and line in code] == [], article


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_it_listens_on_this_machine_only(file: Path) -> None:
    assert not re.search(r"0\.0\.0\.0|\[::\]|\bhost=|INADDR_ANY", file.read_text("utf-8"))


# The help page


def page_at(kb: KnowledgeBase, path: str = "/", accepted: str = "", **given: str) -> Any:
    return load("help_page").HelpPage(kb).at(f"{path}?{urlencode(given)}", accepted)


def test_the_page_speaks_the_language_of_its_reader(kb: KnowledgeBase) -> None:
    assert '<html lang="en">' in page_at(kb, accepted="fr-FR,en-GB;q=0.8,ja;q=0.5").body
    assert '<html lang="ja">' in page_at(kb, accepted="*").body
    assert '<html lang="en">' in page_at(kb, accepted="ja", lang="en").body
    assert '<html lang="ja">' in page_at(kb, accepted="", lang="<script>").body


@pytest.mark.parametrize(("outcome", "is_first"), [("answer", False), ("choose", False), ("hand_over", True)])
def test_the_way_to_a_person_comes_first_where_nothing_answers(
    kb: KnowledgeBase, decided: Callable[[str], None], outcome: str, *, is_first: bool
) -> None:
    decided(outcome)
    body = page_at(kb, q="返品の送料", lang="ja").body
    assert ('class="person"' in body) == is_first
    assert ('class="hit first"' in body) == (outcome == "answer")
    contact = kb.contact("ja")
    assert contact is not None
    assert (body.index(html.escape(contact.title)) < body.index('class="hit')) == is_first


def test_what_matched_is_marked_and_opens_at_two_levels(kb: KnowledgeBase) -> None:
    body = page_at(kb, q="返品の送料", lang="ja").body
    assert "<mark>返品</mark>" in body
    links = [html.unescape(link) for link in re.findall(r'href="(/open\?[^"]+level=[23][^"]*q=[^"]+)"', body)]
    assert len(links) == 2 * body.count('<li class="hit')
    pages = [load("help_page").HelpPage(kb).at(link) for link in links[:2]]
    assert all(page.status == 200 for page in pages)
    assert len(pages[0].body) < len(pages[1].body)


def test_a_missing_translation_is_said(kb: KnowledgeBase) -> None:
    result = kb.search("商品が届いた時に壊れていた", prefer_lang="en")
    assert any(hit.is_fallback for hit in result.hits[:5])
    assert "in Japanese only" in page_at(kb, q="商品が届いた時に壊れていた", lang="en").body


@pytest.mark.parametrize(
    "text", ['"><script>alert(1)</script>', "危険な本文", "危険", "\ud83d", "x" * 5_000, "\x00\x1b[1m"]
)
def test_nothing_that_is_asked_or_written_becomes_markup(kb: KnowledgeBase, text: str) -> None:
    help_page = load("help_page").HelpPage(kb)
    address = "/?" + urlencode({"q": text, "lang": "ja"}, errors="surrogatepass")
    body = help_page.at(address).body
    assert "<script" not in body
    assert "<b>危険" not in body
    opened = help_page.at("/open?" + urlencode({"h": "nasty", "level": 3, "q": text}, errors="surrogatepass"))
    assert opened.status == 200
    assert "<script" not in opened.body
    assert "<b>危険" not in opened.body


def test_what_is_not_there_is_404(kb: KnowledgeBase) -> None:
    assert page_at(kb, "/open", h="<i>no", lang="en").status == 404
    assert page_at(kb, "/open").status == 404
    assert page_at(kb, "/etc/passwd").status == 404
    assert "<i>no" not in page_at(kb, "/open", h="<i>no", lang="en").body


def test_the_page_can_be_used_without_a_mouse_and_without_eyes(kb: KnowledgeBase) -> None:
    body = page_at(kb, q="返品の送料", lang="ja").body
    for needed in (
        '<label for="q">',
        'role="search"',
        "<main",
        'role="status"',
        'class="skip"',
        "<h1",
        "<h2",
        'lang="ja"',
    ):
        assert needed in body
    ids = re.findall(r'\bid="([^"]+)"', body)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'aria-describedby="([^"]+)"', body)) <= set(ids)
    levels = [int(level) for level in re.findall(r"<h([1-6])", body)]
    assert all(after <= before + 1 for before, after in pairwise(levels))


# The chatbot


def test_an_answer_has_sources_that_open(kb: KnowledgeBase, decided: Callable[[str], None]) -> None:
    decided("answer")
    turn = load("chatbot_turn").Conversation(kb).turn("返品の送料")
    assert turn.kind == "answer"
    assert len(turn.text) <= 600
    assert turn.citations
    assert all(citation.handle in turn.text for citation in turn.citations)
    assert all(kb.open(citation.handle).title == citation.title for citation in turn.citations)


def test_a_choice_is_taken_by_its_number_and_only_once_offered(
    kb: KnowledgeBase, decided: Callable[[str], None]
) -> None:
    decided("choose")
    talk = load("chatbot_turn").Conversation(kb)
    offered = talk.turn("返品の送料")
    assert offered.kind == "choose"
    chosen = talk.turn("２番")
    assert (chosen.kind, chosen.citations) == ("answer", offered.citations[1:2])
    assert talk.turn("9").kind == "choose"  # no such choice: a question


def test_the_ticket_has_everything_that_was_said(kb: KnowledgeBase, decided: Callable[[str], None]) -> None:
    talk = load("chatbot_turn").Conversation(kb)
    decided("answer")
    shown = talk.turn("henpinn").citations
    decided("hand_over")
    turn = talk.turn("火星への配送")
    assert turn.kind == "hand_over"
    assert turn.ticket.asked == ("henpinn", "火星への配送")
    assert turn.ticket.searched == ("返品", "火星への配送")
    assert turn.ticket.shown == shown
    summary = turn.ticket.summary()
    assert all(text in summary for text in ("henpinn", "返品", "火星への配送", *(c.handle for c in shown)))
    contact = kb.contact("ja")
    assert contact is not None
    assert contact.title in turn.text
    assert load("chatbot_turn").Conversation(kb).turn("Delivery to Mars").text.startswith("I am sorry")


def test_a_conversation_goes_through_a_pipe(index: Path) -> None:
    done = run("chatbot_turn", "--index", str(index), "--json", stdin="返品の送料\n1\n")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2


# The ticket form


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("へんぴんのs", ["へんぴんのs", "へんぴんの"]),
        ("返品のｓ", ["返品のｓ", "返品の"]),
        ("henpinnnos", ["henpinnnos", "henpinnno"]),
        ("henpin", ["henpin"]),
        ("return shipp", ["return shipp", "return"]),
        ("返品のそうりょ", ["返品のそうりょ", "返品の"]),
        ("返品の送料", ["返品の送料"]),
        ("  返品 ", ["返品"]),
        ("", [""]),
    ],
)
def test_a_half_typed_end_is_also_left_out(text: str, expected: list[str]) -> None:
    assert load("ticket_form").readings(text) == expected


@pytest.mark.parametrize("text", ["へんぴん", "henpinn", "へんぴんのs", "henpinnnos", "返品のそ", "返品"])
def test_what_is_typed_before_it_is_converted_is_understood(kb: KnowledgeBase, text: str) -> None:
    found = asyncio.run(load("ticket_form").Suggester(kb, pause=0).typed(text))
    assert found
    assert all("返品" in one.title or "交換" in one.title or "返金" in one.title for one in found[:2])


def test_only_the_last_of_many_keys_is_asked(kb: KnowledgeBase) -> None:
    asked: list[str] = []

    async def search(question: str, **options: Any) -> SearchResult:
        asked.append(question)
        return await kb.asearch(question, **options)

    async def main() -> list[Any]:
        suggester = load("ticket_form").Suggester(kb, pause=0.01, search=search)
        starts = ["返品", "返品の", "返品の送", "返品の送料"]
        return await asyncio.gather(*(suggester.typed(start) for start in starts))

    *stale, last = asyncio.run(main())
    assert stale == [None, None, None]
    assert last
    assert asked == ["返品の送料"]


def test_a_late_answer_to_an_old_text_is_never_shown(kb: KnowledgeBase) -> None:
    async def main() -> tuple[Any, Any]:
        under_way, never = asyncio.Event(), asyncio.Event()

        async def search(question: str, **options: Any) -> SearchResult:
            if question == "古い質問":
                under_way.set()
                await never.wait()
            return await kb.asearch(question, **options)

        suggester = load("ticket_form").Suggester(kb, pause=0, search=search)
        old = asyncio.create_task(suggester.typed("古い質問"))
        await under_way.wait()
        return await suggester.typed("返品の送料"), await old

    new, old = asyncio.run(main())
    assert new
    assert old is None


def test_who_stops_waiting_is_let_go(kb: KnowledgeBase) -> None:
    async def main() -> None:
        suggester = load("ticket_form").Suggester(kb, pause=60)
        task = asyncio.create_task(suggester.typed("返品の送料"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_suggestions_stay_while_nothing_better_comes_and_go_with_the_text(kb: KnowledgeBase) -> None:
    async def search(question: str, **options: Any) -> SearchResult:
        result = await kb.asearch(question, **options)
        return replace(result, outcome="answer" if question == "返品" else "hand_over")

    async def main() -> None:
        suggester = load("ticket_form").Suggester(kb, pause=0, search=search)
        first = await suggester.typed("返品")
        assert first
        assert await suggester.typed("返品ができないのです") == first
        assert await suggester.typed("天気") == ()
        assert await suggester.typed("天") == ()  # too short: not asked at all

    asyncio.run(main())


# The telephone


def call(kb: KnowledgeBase, *keys: str) -> tuple[str, list[tuple[str, str]], Any]:
    """How a call ends, what was said, and the call."""
    ivr, pressed = load("ivr_menu"), iter(keys)
    said = ivr.Said()
    made = ivr.Call(kb, said.add, lambda: next(pressed, None))
    return made.run(), said.lines, made


def test_a_caller_hears_choices_by_number(kb: KnowledgeBase, decided: Callable[[str], None]) -> None:
    decided("choose")
    ending, said, made = call(kb, "1", "返品の送料", "2", "2")
    texts = [text for _, text in said]
    assert ending == "hung up"
    assert [text[:2] for text in texts if re.match(r"[1-9]番、", text)] == ["1番", "2番", "3番"]
    assert made.asked == ["返品の送料"]
    assert made.heard == [kb.search("返品の送料", 3, prefer_lang="ja").hits[1].handle]
    assert all(lang == "ja" for lang, text in said if "press" not in text)


def test_steps_are_read_one_at_a_time_with_the_warning_first(kb: KnowledgeBase, decided: Callable[[str], None]) -> None:
    decided("answer")
    _, said, _ = call(kb, "1", "ランプの交換", "1", "1", "3", "1", "1")
    texts = [text for _, text in said]
    walked = [texts[place + 1] for place, text in enumerate(texts) if text.startswith("手順") and text[2].isdecimal()]
    assert [text for text in texts if re.match(r"手順\d", text)] == [
        "手順1。",
        "手順2。",
        "手順1。",
        "手順2。",
        "手順3。",
    ]
    assert walked[0] == "ご注意ください。"
    first = texts.index("手順1。")
    assert texts[first + 2 : first + 4] == ["熱いランプに触れないでください。", "電源を切ります。"]
    assert walked[-1] == "新しいランプを付けます。"


@pytest.mark.parametrize(
    "keys",
    [
        ("0",),
        ("1", "0"),
        ("1", "返品の送料", "0"),
        ("1", "返品の送料", "1", "0"),
        ("2", "返品の送料", "1", "2", "０番"),
    ],
)
def test_0_brings_a_person_everywhere(kb: KnowledgeBase, decided: Callable[[str], None], keys: tuple[str, ...]) -> None:
    decided("choose")
    ending, said, _ = call(kb, *keys)
    assert ending == "operator"
    assert said[-1][1] in {
        "係の者におつなぎします。そのままお待ちください。",
        "I am connecting you to a person. Please hold.",
    }


def test_who_is_not_understood_gets_a_person(kb: KnowledgeBase, decided: Callable[[str], None]) -> None:
    decided("choose")
    assert call(kb, "5", "6", "7")[0] == "operator"
    assert call(kb, "1", "", "", "")[0] == "operator"
    assert call(kb, "1", "返品の送料", "8", "8", "8")[0] == "operator"
    decided("hand_over")
    ending, _, made = call(kb, "2", "Delivery to Mars")
    assert (ending, made.asked, made.heard) == ("operator", ["Delivery to Mars"], [])


def test_english_is_told_what_is_in_japanese_only(kb: KnowledgeBase, decided: Callable[[str], None]) -> None:
    decided("answer")
    _, said, _ = call(kb, "2", "ランプの交換")
    place = next(place for place, (_, text) in enumerate(said) if "another language" in text)
    assert said[place][0] == "en"
    assert said[place + 1][0] == "ja"
