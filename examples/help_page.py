"""A help page: a search box, the answer, and a way to a person. In Japanese and English, and without scripts.

::

    kbsearch build articles
    python examples/help_page.py              # then open http://127.0.0.1:8000/

What to copy from it:

- ``prefer_lang`` is the language of the page, so that a reader gets the translation where there is one, and is told
  where there is none.
- ``result.outcome`` decides what stands on top: the answer, a choice, or the way to a person.
- ``hit.render("html")`` and ``kb.open(handle, level, form="html")`` are escaped already; everything else goes through
  ``html.escape``. The Content-Security-Policy would stop what slips through.
- ``hit.levels`` says what a click will show before anybody clicks.
"""

from __future__ import annotations

import argparse
import html
import http.client
import re
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from kbsearch import KbSearchError, KnowledgeBase, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kbsearch import Hit, SearchResult, View

HITS: Final = 5
UNLIKELY_HITS: Final = 3  # where none of them is likely to answer
LONGEST_QUESTION: Final = 1_000  # characters; kbsearch would read more
STYLE: Final = """
:root{color-scheme:light dark;--line:color-mix(in srgb,CanvasText 25%,Canvas);
--soft:color-mix(in srgb,CanvasText 75%,Canvas)}
*{box-sizing:border-box}
body{margin:0 auto;max-width:46rem;padding:1rem;font:1rem/1.75 system-ui,"Hiragino Sans","Noto Sans CJK JP",sans-serif;
overflow-wrap:anywhere;line-break:strict}
a:focus-visible,button:focus-visible,input:focus-visible{outline:3px solid Highlight;outline-offset:2px}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem}
header{display:flex;justify-content:space-between;gap:1rem}
form{display:flex;gap:.5rem;flex-wrap:wrap;margin:.5rem 0 1.5rem}label{flex-basis:100%}
input[type=search]{flex:1 1 16rem;font:inherit;padding:.6rem}button{font:inherit;padding:.6rem 1.2rem}
h1{font-size:1.4rem}h2{font-size:1.15rem;margin:0}ol.hits{padding:0;list-style:none}
li.hit{border:1px solid var(--line);border-radius:.5rem;padding:.9rem 1rem;margin:0 0 1rem}
li.first{border-width:3px}.soft{color:var(--soft);font-size:.9rem}.label{font-weight:bold}
mark{background:#ffe14d;color:#000}.more a{display:inline-block;margin-inline-end:1.2rem;padding:.2rem 0}
.person{border:3px solid;border-radius:.5rem;padding:.2rem 1rem;margin:0 0 1.5rem}
article table{border-collapse:collapse}
article :is(td,th){border:1px solid var(--line);padding:.3rem .6rem;text-align:start}
"""


class Words(NamedTuple):
    """What the page says in one language."""

    title: str
    skip: str
    ask: str
    button: str
    other: str
    outcomes: dict[str, str]
    found: str
    understood: str
    section: str
    article: str
    costs: str
    only: str
    stale: str
    person: str
    person_first: str
    back: str
    gone: str
    languages: dict[str, str]


WORDS: Final = {
    "ja": Words(
        title="ヘルプ", skip="検索結果へ", ask="お困りのことを入力してください", button="検索", other="English",
        outcomes={"answer": "こちらが答えです", "choose": "お探しの答えは、この中にありそうです",
                  "hand_over": "ぴったりの記事が見つかりませんでした"},
        found="「{query}」の検索結果 {count}件", understood="「{text}」として検索しました", section="この項目を読む",
        article="記事をすべて読む", costs="{count}文字", only="この記事は{lang}版のみです",
        stale="この翻訳は原文（{day}更新）より古い内容です", person="係の者におたずねください",
        person_first="お問い合わせ", back="検索に戻る", gone="この記事は見つかりません",
        languages={"ja": "日本語", "en": "英語"},
    ),
    "en": Words(
        title="Help", skip="To the results", ask="What do you need help with?", button="Search", other="日本語",
        outcomes={"answer": "This is the answer", "choose": "One of these is likely the answer",
                  "hand_over": "We found no article that answers this"},
        found="{count} results for “{query}”", understood="Searched for “{text}”", section="Read this section",
        article="Read the whole article", costs="{count} characters", only="This article is in {lang} only",
        stale="This translation is older than its original, which changed on {day}", person="Ask a person",
        person_first="Contact us", back="Back to the search", gone="There is no such article",
        languages={"ja": "Japanese", "en": "English"},
    ),
}  # fmt: skip


class Page(NamedTuple):
    """What is sent."""

    status: int
    kind: str
    body: str


class HelpPage:
    """The pages, by address; knows nothing of sockets."""

    def __init__(self, kb: KnowledgeBase, categories: Sequence[str] = ()) -> None:
        self._kb, self._where = kb, {"category": list(categories)}

    def at(self, address: str, accepted: str = "") -> Page:
        """The page at ``/?q=…&lang=…`` or ``/open?h=…``; ``accepted`` is what the browser says of languages."""
        url = urlsplit(address)
        given = {name: values[0] for name, values in parse_qs(url.query).items()}
        lang = given.get("lang", "") if given.get("lang") in WORDS else preferred(accepted)
        question = given.get("q", "")[:LONGEST_QUESTION]
        if url.path == "/style.css":
            return Page(200, "text/css", STYLE)
        if url.path == "/open":
            return self._opened(given, question, lang)
        if url.path != "/":
            return self._wrong(404, lang)
        return self._results(question, lang)

    def _results(self, question: str, lang: str) -> Page:
        words = WORDS[lang]
        if not question.strip():
            return Page(200, "text/html", document(words.title, lang, "", box(question, lang)))
        result = self._kb.search(question, k=HITS, filter=self._where, prefer_lang=lang)
        shown = result.hits[: UNLIKELY_HITS if result.outcome == "hand_over" else HITS]
        count = words.found.format(query=html.escape(question), count=len(shown))
        head = f'<h1 id="results" tabindex="-1">{words.outcomes[result.outcome]}</h1>'
        head += f'<p class="soft" role="status">{count}</p>'
        if result.understood is not None:
            head += f'<p class="soft">{words.understood.format(text=html.escape(result.understood))}</p>'
        person = self._person(lang, first=result.outcome == "hand_over")
        cards = "".join(card(hit, result, question, lang) for hit in shown)
        hits = f'<ol class="hits">{cards}</ol>' if cards else ""
        rest = f"{person}{hits}" if result.outcome == "hand_over" else f"{hits}{person}"
        return Page(200, "text/html", document(words.title, lang, question, f"{box(question, lang)}{head}{rest}"))

    def _opened(self, given: dict[str, str], question: str, lang: str) -> Page:
        words, level = WORDS[lang], 3 if given.get("level") == "3" else 2
        try:
            view = self._kb.open(given.get("h", ""), level, form="html")
        except NotFound:
            return self._wrong(404, lang)
        body = f"{box(question, lang)}{article(view)}"
        if level == 2:  # noqa: PLR2004 - the section; the article is one further
            body += f'<p class="more">{further(view.handle, 3, view.levels[3].cost.characters, question, lang)}</p>'
        if question:
            body += f'<p><a href="/?{html.escape(urlencode({"q": question, "lang": lang}))}">{words.back}</a></p>'
        return Page(200, "text/html", document(view.title, lang, question, body + self._person(lang)))

    def _person(self, lang: str, *, first: bool = False) -> str:
        """The way to a person: in a box where it is what helps, else a line at the end."""
        found, words = self._kb.contact(lang), WORDS[lang]
        if found is None:
            return ""
        link = f'<a href="/open?{link_to(found.article_id, 3, "", lang)}">{html.escape(found.title)}</a>'
        if first:
            return f'<section class="person" aria-labelledby="p"><h2 id="p">{words.person}</h2><p>{link}</p></section>'
        return f'<p class="soft">{words.person_first}: {link}</p>'

    def _wrong(self, status: int, lang: str) -> Page:
        words = WORDS[lang]
        return Page(status, "text/html", document(words.gone, lang, "", f"{box('', lang)}<h1>{words.gone}</h1>"))


def preferred(accepted: str) -> str:
    """The first language of ``Accept-Language`` that the page speaks."""
    for part in re.split(r"[,;]", accepted):
        tag = part.strip().lower().partition("-")[0]
        if tag in WORDS:
            return tag
    return "ja"


def document(title: str, lang: str, question: str, body: str) -> str:
    """A whole page around what it says."""
    words, other = WORDS[lang], "en" if lang == "ja" else "ja"
    swap = html.escape(urlencode({"q": question, "lang": other}))
    return (
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="stylesheet" href="/style.css">'
        f'</head><body><a class="skip" href="#main">{words.skip}</a><header><a href="/?lang={lang}">{words.title}</a>'
        f'<a href="/?{swap}" lang="{other}" hreflang="{other}">{words.other}</a></header>'
        f'<main id="main">{body}</main></body></html>'
    )


def box(question: str, lang: str) -> str:
    """The search box, with what was asked in it."""
    words, value, most = WORDS[lang], html.escape(question), LONGEST_QUESTION
    return (
        f'<form role="search" action="/"><label for="q">{words.ask}</label>'
        f'<input type="hidden" name="lang" value="{lang}"><input id="q" name="q" type="search" value="{value}" '
        f'maxlength="{most}"><button>{words.button}</button></form>'
    )


def card(hit: Hit, result: SearchResult, question: str, lang: str) -> str:
    """One hit: what it is, what it says, what is wrong with it, and what more there is."""
    words = WORDS[lang]
    name = html.escape(f"{hit.title} – {hit.heading}" if hit.heading else hit.title)
    labels = []
    if hit.is_fallback:
        labels.append(words.only.format(lang=words.languages.get(hit.lang, hit.lang)))
    if hit.outdated:
        labels.append(words.stale.format(day=hit.stale_since))
    said = "".join(f'<p class="label">{html.escape(label)}</p>' for label in labels)
    is_first = hit.rank == 1 and result.outcome == "answer"
    links = ((level, hit.levels[level].cost.characters) for level in (2, 3))
    more = " ".join(further(hit.handle, level, size, question, lang, f"t{hit.rank}") for level, size in links)
    return (
        f'<li class="hit{" first" if is_first else ""}"><h2 id="t{hit.rank}" lang="{html.escape(hit.lang)}">{name}</h2>'
        f'<p class="soft">{html.escape(hit.category)}</p>{said}'
        f'<p lang="{html.escape(hit.lang)}">{hit.render("html")}</p><p class="more">{more}</p></li>'
    )


def further(handle: str, level: int, characters: int, question: str, lang: str, about: str = "") -> str:
    """A link to the section or the article, with what that takes to read; ``about`` is the id of its heading."""
    words = WORDS[lang]
    name = words.section if level == 2 else words.article  # noqa: PLR2004 - see kbsearch.views
    size = words.costs.format(count=f"{characters:,}")
    heading = f' aria-describedby="{about}"' if about else ""  # “Read this section” says little by itself
    link = f"/open?{link_to(handle, level, question, lang)}"
    return f'<a href="{link}"{heading}>{name} <span class="soft">({size})</span></a>'


def link_to(handle: str, level: int, question: str, lang: str) -> str:
    """The query of an address that opens something, escaped for an attribute."""
    given = {"h": handle, "level": str(level), "lang": lang, **({"q": question} if question else {})}
    return html.escape(urlencode(given, quote_via=quote))


def article(view: View) -> str:
    """What was opened; its HTML is safe as it comes."""
    place = f'<p class="soft">{html.escape(view.category)}</p><h1>{html.escape(view.title)}</h1>'
    return f'<article lang="{html.escape(view.lang)}">{place}{view.text}</article>'


class Handler(BaseHTTPRequestHandler):
    """Sends the pages of ``pages``, which the server has."""

    def do_GET(self) -> None:
        """Answer a request."""
        assert isinstance(self.server, Server)
        try:
            page = self.server.pages.at(self.path, self.headers.get("Accept-Language", ""))
        except KbSearchError as error:  # the index was damaged or taken away: a person should know, a reader need not
            self.log_error("%s", error)
            page = Page(500, "text/plain", "500\n")
        body = page.body.encode("utf-8", "replace")  # half a character in a question is none
        self.send_response(page.status)
        self.send_header("Content-Type", f"{page.kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")  # a question may be private
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Keep questions out of the log."""


class Server(ThreadingHTTPServer):
    """On this machine only."""

    daemon_threads = True

    def __init__(self, pages: HelpPage, port: int) -> None:
        self.pages = pages
        super().__init__(("127.0.0.1", port), Handler)


def self_test(kb: KnowledgeBase) -> None:
    """Ask over HTTP what a reader would, and open every link that comes back."""
    with Server(HelpPage(kb), 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def get(address: str) -> str:
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
            connection.request("GET", address, headers={"Accept-Language": "ja,en;q=0.5"})
            response = connection.getresponse()
            body = response.read().decode()
            assert response.status == HTTPStatus.OK, (address, response.status)
            connection.close()
            return body

        assert 'lang="ja"' in get("/")
        opened = 0
        for question, lang in (("返品の送料", "ja"), ("How do I return an item?", "en"), ("<script>", "en")):
            page = get("/?" + urlencode({"q": question, "lang": lang}))
            assert html.escape(question) in page
            assert "<script" not in page
            for link in re.findall(r'href="(/open\?[^"]+)"', page):
                assert "<article" in get(html.unescape(link))
                opened += 1
        server.shutdown()
    print(f"help_page: {opened} links opened, all is well")


def main() -> None:
    """Serve the pages, or test them."""
    parser = argparse.ArgumentParser(description="A help page on this machine.")
    parser.add_argument("--index", default="indexes/help")
    parser.add_argument("--category", action="append", help="answer from this category and below only; repeatable")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--self-test", action="store_true", help="serve on a free port, ask, and stop")
    given = parser.parse_args()
    try:
        kb = KnowledgeBase.open(given.index)
    except KbSearchError as error:
        sys.exit(str(error))
    if given.self_test:
        self_test(kb)
        return
    with Server(HelpPage(kb, given.category or ()), given.port) as server:
        print(f"http://127.0.0.1:{server.server_port}/  (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
