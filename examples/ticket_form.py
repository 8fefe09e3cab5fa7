"""A ticket form that suggests articles while one types, so that some tickets need not be written.

::

    kbsearch build articles
    python examples/ticket_form.py      # then open http://127.0.0.1:8001/ and type, with an input method or without

What to copy from it:

- :class:`Suggester`: one for each form that is open. It waits until the keys rest, asks with ``kb.asearch``, which does
  not hold up the event loop, and lets go of what is asked when the text has changed meanwhile. A late answer to an old
  text is never shown.
- :func:`readings`: what is half typed is no word yet. It is asked as it stands and without its unfinished end.
- Where no article is likely to answer, nothing new is suggested: a wrong suggestion costs more than none.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import itertools
import json
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from kbsearch import KbSearchError, KnowledgeBase, NotFound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from kbsearch import SearchResult

PAUSE: Final = 0.15  # seconds without a key
MOST: Final = 3
LONGEST: Final = 500  # characters of a ticket that are asked
FORMS: Final = 1_000  # that are open at a time; the one that rests longest is forgotten
_KANA: Final = "\u3041-\u3096\u30a1-\u30faー"
_PENDING: Final = re.compile(f"(?<=[{_KANA}\u3400-\u9fff])[a-zA-Zａ-ｚＡ-Ｚ]{{1,3}}$")  # an input method under way
_ROMAJI: Final = re.compile(r"(?<=[aeiou])[bcdfghjklmpqrstvwxyz]{1,2}$")  # n may be ん and stays
_HALF_WORD: Final = re.compile(r"\s+[^\s\u3040-\u9fff]+$")
_HALF_KANA: Final = re.compile(f"(?<=[\u3400-\u9fff][のをがは])[{_KANA}]+$")


def readings(text: str) -> list[str]:
    """The text, and where its end is half typed, also the text without it.

    ``へんぴんのs`` → ``へんぴんの``, ``henpinnnos`` → ``henpinnno``, ``return shipp`` → ``return``, ``返品のそ`` →
    ``返品の``.
    """
    text = text.strip()[-LONGEST:]
    finished = text
    for pattern in (_PENDING, _HALF_WORD, _ROMAJI, _HALF_KANA):
        finished = pattern.sub("", text)
        if finished != text:
            break
    return [text] if finished in {text, ""} else [text, finished]


def says_something(text: str) -> bool:
    """Two characters of Japanese, or three others."""
    return len(text) >= 3 or len(re.findall("[\u3040-\u9fff]", text)) >= 2  # noqa: PLR2004


@dataclass(frozen=True)
class Suggestion:
    """An article that may spare the ticket; ``kb.open(handle)`` shows it."""

    handle: str
    title: str
    heading: str
    lang: str
    snippet: str  # HTML, escaped


class Suggester:
    """Follows what is typed into one form.

    Parameters
    ----------
    kb
        Where the articles are.
    pause
        Seconds without a key after which it asks.
    search
        Another way to ask, for tests; ``kb.asearch`` by default.
    categories
        Suggest articles of these only, such as what customers may read; all by default.
    """

    def __init__(
        self,
        kb: KnowledgeBase,
        pause: float = PAUSE,
        search: Callable[..., Awaitable[SearchResult]] | None = None,
        categories: Sequence[str] = (),
    ) -> None:
        self._search, self._pause, self._where = search or kb.asearch, pause, {"category": list(categories)}
        self._task: asyncio.Task[tuple[Suggestion, ...]] | None = None
        self._shown: tuple[str, tuple[Suggestion, ...]] = ("", ())

    async def typed(self, text: str) -> tuple[Suggestion, ...] | None:
        """Suggestions for the text as it is now; None when more was typed before they were there."""
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self._suggest(text))
        try:
            return await self._task
        except asyncio.CancelledError:
            waiting = asyncio.current_task()
            if waiting is None or waiting.cancelling():  # it was not the next key: who waits here was cancelled
                raise
            return None

    async def _suggest(self, text: str) -> tuple[Suggestion, ...]:
        await asyncio.sleep(self._pause)
        if not says_something(text.strip()):
            self._shown = (text, ())
            return ()
        asked = readings(text)
        results = await asyncio.gather(*(self._search(reading, k=MOST, filter=self._where) for reading in asked))
        best = max(results, key=lambda result: result.confidence or 0.0)  # the first of equals: the text as it stands
        before, kept = self._shown
        if best.outcome == "hand_over" and text.startswith(before):
            found = kept  # what was said is still said: it stays until something better comes
        elif best.outcome == "hand_over":
            found = ()
        else:
            found = tuple(
                Suggestion(hit.handle, hit.title, hit.heading, hit.lang, hit.render("html")) for hit in best.hits
            )
        self._shown = (text, found)
        return found


PAGE: Final = """<!doctype html><html lang="ja"><head><meta charset="utf-8"><title>お問い合わせ / Contact us</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="stylesheet" href="/form.css">
<script src="/form.js" defer></script></head><body><main><h1>お問い合わせ <span lang="en">/ Contact us</span></h1>
<form method="post" action="/ticket"><label for="text">ご用件 <span lang="en">/ What is it about?</span></label>
<textarea id="text" name="text" rows="5" required maxlength="5000" aria-controls="found"></textarea>
<section aria-labelledby="may"><h2 id="may">この記事で解決しませんか <span lang="en">/ This may help</span></h2>
<ul id="found"></ul><p id="said" role="status" class="soft"></p></section>
<input type="hidden" name="shown" id="shown"><button>送信 <span lang="en">/ Send</span></button></form></main>
</body></html>
"""
STYLE: Final = """
:root{color-scheme:light dark}*{box-sizing:border-box}
body{margin:0 auto;max-width:44rem;padding:1rem;font:1rem/1.7 system-ui,"Noto Sans CJK JP",sans-serif;
overflow-wrap:anywhere}
label{display:block}textarea{width:100%;font:inherit;padding:.6rem}button{font:inherit;padding:.6rem 1.2rem}
h1{font-size:1.4rem}h2{font-size:1rem;margin:1rem 0 .3rem}ul{padding:0;margin:0;list-style:none;min-height:12rem}
li{border-inline-start:.3rem solid;padding:.2rem .8rem;margin:0 0 .7rem}mark{background:#ffe14d;color:#000}
.soft,li p{opacity:.8;font-size:.9rem;margin:0}:focus-visible{outline:3px solid Highlight;outline-offset:2px}
"""
SCRIPT: Final = """
const text = document.getElementById("text"), list = document.getElementById("found");
const said = document.getElementById("said"), shown = document.getElementById("shown");
const form = Math.random().toString(36).slice(2);
let asked = null, keys = 0;
text.addEventListener("input", async () => {      // also while an input method is at work
  if (asked) asked.abort();
  asked = new AbortController();
  let answer;
  try {
    const body = JSON.stringify({form, key: ++keys, text: text.value});
    const response = await fetch("/suggest", {method: "POST", body, signal: asked.signal});
    if (response.status !== 200) return;           // 204: more was typed meanwhile
    answer = await response.json();
  } catch { return; }
  list.replaceChildren(...answer.map(one => {
    const item = document.createElement("li"), link = document.createElement("a"), say = document.createElement("p");
    item.lang = one.lang;
    link.href = "/open?h=" + encodeURIComponent(one.handle);
    link.target = "_blank";
    link.textContent = one.heading ? one.title + " – " + one.heading : one.title;
    say.innerHTML = one.snippet;                   // escaped by kbsearch, with <mark> around what matched
    item.append(link, say);
    return item;
  }));
  said.textContent = answer.length ? answer.length + " 件 / found" : "";
  shown.value = JSON.stringify(answer.map(one => one.handle));
});
"""


class Site:
    """The form, its suggestions, and the tickets, by address; knows nothing of sockets.

    ``tickets`` are those that were sent: a real site hands them to its desk.
    """

    def __init__(self, kb: KnowledgeBase, categories: Sequence[str] = ()) -> None:
        self._kb, self._categories = kb, categories
        self._forms: dict[str, tuple[int, Suggester]] = {}
        self.tickets: list[dict[str, Any]] = []

    async def at(self, method: str, address: str, body: str) -> tuple[HTTPStatus, str, str]:
        """Status, kind and text of what is sent."""
        url = urlsplit(address)
        files = {"/": ("text/html", PAGE), "/form.css": ("text/css", STYLE), "/form.js": ("text/javascript", SCRIPT)}
        if method == "GET" and url.path in files:
            return (HTTPStatus.OK, *files[url.path])
        if method == "GET" and url.path == "/open":
            return await self._opened(parse_qs(url.query).get("h", [""])[0])
        if method == "POST" and url.path == "/suggest":
            return await self._suggested(body)
        if method == "POST" and url.path == "/ticket":
            return self._sent(parse_qs(body))
        return HTTPStatus.NOT_FOUND, "text/plain", "404\n"

    async def _suggested(self, body: str) -> tuple[HTTPStatus, str, str]:
        try:
            given = json.loads(body)
            form, key, text = str(given["form"])[:40], int(given["key"]), str(given["text"])
        except (ValueError, KeyError, TypeError):
            return HTTPStatus.BAD_REQUEST, "text/plain", "400\n"
        last, suggester = self._forms.pop(form, (0, Suggester(self._kb, categories=self._categories)))
        self._forms[form] = max(key, last), suggester  # put last: the one that rests longest is the first
        while len(self._forms) > FORMS:
            del self._forms[next(iter(self._forms))]
        found = await suggester.typed(text) if key > last else None  # requests may overtake each other
        if found is None:
            return HTTPStatus.NO_CONTENT, "text/plain", ""
        return HTTPStatus.OK, "application/json", json.dumps([vars(one) for one in found], ensure_ascii=False)

    async def _opened(self, handle: str) -> tuple[HTTPStatus, str, str]:
        try:
            view = await self._kb.aopen(handle, "section", form="html")
        except NotFound as error:
            return HTTPStatus.NOT_FOUND, "text/plain", f"{error}\n"
        title = html.escape(view.title)
        head = f'<meta charset="utf-8"><title>{title}</title><link rel="stylesheet" href="/form.css">'
        page = f'<!doctype html><html lang="{html.escape(view.lang)}"><head>{head}</head><body><main><h1>{title}</h1>'
        return HTTPStatus.OK, "text/html", f"{page}{view.text}</main></body></html>"

    def _sent(self, given: dict[str, list[str]]) -> tuple[HTTPStatus, str, str]:
        """Keep the ticket with what was suggested: who answers it need not suggest that again."""
        text = given.get("text", [""])[0]
        with suppress(ValueError):
            shown = json.loads(given.get("shown", ["[]"])[0])
            self.tickets.append({"text": text, "suggested": shown, "generation": self._kb.generation})
            print(json.dumps(self.tickets[-1], ensure_ascii=False))
        thanks = "<!doctype html><meta charset=utf-8><title>OK</title><p>受け付けました。 / Thank you.</p>"
        return HTTPStatus.OK, "text/html", thanks


async def serve(site: Site, port: int) -> asyncio.Server:
    """On this machine only; as much of HTTP as a browser needs for a form. A real site has a web framework."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(60):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, address, _ = head.split(" ", 2)
                length = re.search(r"(?im)^content-length: *(\d{1,6})\s*$", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                status, kind, text = await site.at(method, address, body.decode("utf-8", "replace"))
        except KbSearchError as error:
            print(error, file=sys.stderr)
            status, kind, text = HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", "500\n"
        except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            status, kind, text = HTTPStatus.BAD_REQUEST, "text/plain", "400\n"
        raw = text.encode("utf-8", "replace")
        policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'"
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}", f"Content-Type: {kind}; charset=utf-8",
            f"Content-Length: {len(raw)}", f"Content-Security-Policy: {policy}", "X-Content-Type-Options: nosniff",
            "Connection: close", "", "",
        )  # fmt: skip
        with suppress(ConnectionError):  # a browser that typed on is gone
            writer.write("\r\n".join(lines).encode() + raw)
            await writer.drain()
        writer.close()

    return await asyncio.start_server(handle, "127.0.0.1", port)


async def self_test(kb: KnowledgeBase) -> None:
    """Type, over HTTP, faster than it answers; then send the ticket."""
    site = Site(kb)
    server = await serve(site, 0)
    port = server.sockets[0].getsockname()[1]

    async def send(method: str, address: str, body: str = "") -> tuple[int, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        raw = body.encode()
        writer.write(f"{method} {address} HTTP/1.1\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw)
        head, _, text = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return int(head.split()[1]), text.decode()

    for address in ("/", "/form.css", "/form.js"):
        assert (await send("GET", address))[0] == HTTPStatus.OK
    opened = stale = 0
    for form, text in enumerate(("へんぴんのそうりょう", "henpinnnosouryou", "返品の送料", "How do I return an item")):
        typed = ({"form": form, "key": len(start), "text": start} for start in itertools.accumulate(text))
        answers = await asyncio.gather(*(send("POST", "/suggest", json.dumps(key)) for key in typed))
        assert answers[-1][0] == HTTPStatus.OK, "the whole text is answered"
        stale += sum(status == HTTPStatus.NO_CONTENT for status, _ in answers)
        for one in json.loads(answers[-1][1]):
            assert (await send("GET", f"/open?h={quote(one['handle'])}"))[0] == HTTPStatus.OK
            opened += 1
    assert stale, "what was typed over is let go"
    assert (await send("POST", "/suggest", "{"))[0] == HTTPStatus.BAD_REQUEST
    assert (await send("POST", "/ticket", "text=%E8%BF%94%E5%93%81&shown=%5B%22a%22%5D"))[0] == HTTPStatus.OK
    assert site.tickets[0]["suggested"] == ["a"]
    server.close()
    print(f"ticket_form: {opened} suggestions opened, {stale} stale requests let go, all is well")


async def run(site: Site, port: int) -> None:
    """Serve until Ctrl-C."""
    server = await serve(site, port)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/  (Ctrl-C ends it)")
    await server.serve_forever()


def main() -> None:
    """Serve the form, or test it."""
    parser = argparse.ArgumentParser(description="A ticket form on this machine.")
    parser.add_argument("--index", default="indexes/help")
    parser.add_argument("--category", action="append", help="suggest from this category and below only; repeatable")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--self-test", action="store_true", help="serve on a free port, type, and stop")
    given = parser.parse_args()
    try:
        kb = KnowledgeBase.open(given.index)
    except KbSearchError as error:
        sys.exit(str(error))
    with suppress(KeyboardInterrupt):
        asyncio.run(self_test(kb) if given.self_test else run(Site(kb, given.category or ()), given.port))


if __name__ == "__main__":
    main()
