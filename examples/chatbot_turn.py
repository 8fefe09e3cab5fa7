"""One turn of a chatbot: a question in; an answer with its sources, a choice, or a ticket for a person out.

::

    kbsearch build articles
    python examples/chatbot_turn.py "返品の送料は誰が払いますか"
    python examples/chatbot_turn.py                    # a conversation; a number chooses, an empty line ends it

What to copy from it:

- ``budget="chat"`` gives a text that fits a chat bubble, in Markdown, with more of it for the surer hit. What is said
  comes from the articles word by word: nothing is made up.
- ``result.outcome`` decides which of three things a turn is. Each says where it comes from: a handle opens its source
  with ``kb.open``.
- Who is handed over need not begin again: the ticket has what was asked, what was searched and what was shown.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import unicodedata
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from kbsearch import KbSearchError, KnowledgeBase

if TYPE_CHECKING:
    from kbsearch import Hit, Related, SearchResult

CHOICES: Final = 3
_JAPANESE: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f]")
_MARKUP: Final = re.compile(r"([\\`*_\[\]<>|~#])")
_WORDS: Final = {
    "ja": {
        "choose": "次のどれについてお知りになりたいですか。番号でお答えください。",
        "hand_over": "申し訳ありません。確かなお答えが見つかりませんでした。担当者におつなぎします。",
        "contact": "窓口のご案内: {title}",
        "asked": "お問い合わせ内容", "searched": "検索した言葉", "shown": "ご案内した記事", "none": "なし",
    },
    "en": {
        "choose": "Which of these is it about? Please answer with its number.",
        "hand_over": "I am sorry: I found no sure answer. A person will help you.",
        "contact": "How to reach us: {title}",
        "asked": "Asked", "searched": "Searched for", "shown": "Shown", "none": "nothing",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Citation:
    """Where something that was said comes from: ``kb.open(handle)`` shows it."""

    handle: str
    title: str


@dataclass(frozen=True)
class Ticket:
    """What a person has to know to go on from here."""

    lang: str
    asked: tuple[str, ...]
    searched: tuple[str, ...]
    shown: tuple[Citation, ...]
    outcome: str
    confidence: float | None
    generation: str

    def summary(self) -> str:
        """The same for a person to read."""
        words = _WORDS[self.lang]
        shown = [f"{citation.title} ({citation.handle})" for citation in self.shown]
        rows = ((words["asked"], self.asked), (words["searched"], self.searched), (words["shown"], shown))
        return "\n".join(f"{name}: {' / '.join(said) or words['none']}" for name, said in rows)


@dataclass(frozen=True)
class Turn:
    """What the bot says: Markdown for the customer, and what the program around it needs."""

    kind: Literal["answer", "choose", "hand_over"]
    text: str
    citations: tuple[Citation, ...]
    ticket: Ticket | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass
class Conversation:
    """What was said so far; one object for each customer. A search takes milliseconds, so a turn needs no queue."""

    kb: KnowledgeBase
    categories: tuple[str, ...] = ()  # answers come from these only, such as what customers may read
    _asked: list[str] = field(default_factory=list)
    _searched: list[str] = field(default_factory=list)
    _shown: dict[str, Citation] = field(default_factory=dict)
    _choices: tuple[Hit, ...] = ()
    _question: str = ""

    def turn(self, message: str) -> Turn:
        """Answer a message: a question, or the number of a choice."""
        number = unicodedata.normalize("NFKC", message).strip().removesuffix(".").removesuffix("番")
        if number.isdecimal() and 1 <= int(number) <= len(self._choices):
            return self._chosen(self._choices[int(number) - 1])
        return self._asked_for(message)

    def _asked_for(self, question: str) -> Turn:
        lang = "ja" if _JAPANESE.search(question) else "en"
        result = self.kb.search(question, k=5, filter={"category": self.categories}, budget="chat")
        self._question, self._choices = question, ()
        self._asked.append(question)
        self._searched.append(result.understood or question)
        if result.outcome == "answer":
            return self._answer(result)
        if result.outcome == "choose":
            return self._offer(result, lang)
        return self._hand_over(result, lang)

    def _answer(self, result: SearchResult) -> Turn:
        disclosed = result.disclosure
        assert disclosed is not None  # a budget was given
        return self._said("answer", disclosed.text, [Citation(part.handle, part.title) for part in disclosed.parts])

    def _offer(self, result: SearchResult, lang: str) -> Turn:
        self._choices = result.hits[:CHOICES]
        rows = [
            f"{number}. {_escaped(hit.title)}{' – ' + _escaped(hit.heading) if hit.heading else ''}"
            for number, hit in enumerate(self._choices, start=1)
        ]
        cited = [Citation(hit.handle, hit.title) for hit in self._choices]
        return self._said("choose", "\n".join([_WORDS[lang]["choose"], "", *rows]), cited)

    def _chosen(self, hit: Hit) -> Turn:
        """The section that was chosen; a giant one by the sentences that answer."""
        level = 2 if hit.levels[2].cost.characters <= 600 else 1  # noqa: PLR2004 - a chat bubble
        view = self.kb.open(hit.handle, level, question=self._question)
        head = f"**{_escaped(view.title)}** ({view.handle})"
        return self._said("answer", f"{head}\n\n{view.text}", [Citation(view.handle, view.title)])

    def _hand_over(self, result: SearchResult, lang: str) -> Turn:
        words, contact = _WORDS[lang], self.kb.contact(lang)
        said = [words["hand_over"], *([_contact(words, contact)] if contact else [])]
        ticket = Ticket(
            lang, tuple(self._asked), tuple(dict.fromkeys(self._searched)), tuple(self._shown.values()),
            result.outcome, result.confidence, result.generation,
        )  # fmt: skip
        cited = (Citation(contact.article_id, contact.title),) if contact else ()
        return Turn("hand_over", "\n\n".join(said), cited, ticket)

    def _said(self, kind: Literal["answer", "choose"], text: str, cited: list[Citation]) -> Turn:
        self._shown |= {citation.handle: citation for citation in cited}
        return Turn(kind, text, tuple(cited))


def _contact(words: dict[str, str], contact: Related) -> str:
    return f"{words['contact'].format(title=_escaped(contact.title))} ({contact.article_id})"


def _escaped(text: str) -> str:
    """A title as Markdown: what looks like markup in it is none."""
    return _MARKUP.sub(r"\\\1", text)


def self_test(kb: KnowledgeBase) -> None:
    """Have a conversation, and check that whatever is said has a source that opens."""
    talk, kinds = Conversation(kb), []
    for message in (
        "返品の送料は誰が払いますか",
        "1",
        "How do I reset my password?",
        "henpin",
        "２番",
        "火星の天気",
        "",
    ):
        turn = talk.turn(message)
        assert turn.text
        assert json.loads(json.dumps(turn.to_dict()))["text"] == turn.text
        for citation in turn.citations:
            assert kb.open(citation.handle, "title").title == citation.title
        if turn.kind == "hand_over":
            assert turn.ticket is not None
            assert turn.ticket.asked
            assert all(said in turn.ticket.summary() for said in turn.ticket.asked)
        kinds.append(turn.kind)
    print(f"chatbot_turn: {', '.join(kinds)}: all is well")


def show(turn: Turn, *, as_json: bool) -> None:
    """Print a turn."""
    if as_json:
        print(json.dumps(turn.to_dict(), ensure_ascii=False))
        return
    print(f"{turn.text}\n")
    if turn.ticket is not None:
        print(f"--- ticket ---\n{turn.ticket.summary()}\n")


def main() -> None:
    """Answer one question, or hold a conversation."""
    parser = argparse.ArgumentParser(description="One turn of a chatbot.")
    parser.add_argument("question", nargs="?")
    parser.add_argument("--index", default="indexes/help")
    parser.add_argument("--category", action="append", help="answer from this category and below only; repeatable")
    parser.add_argument("--json", action="store_true", help="print turns as JSON")
    parser.add_argument("--self-test", action="store_true")
    given = parser.parse_args()
    try:
        kb = KnowledgeBase.open(given.index)
    except KbSearchError as error:
        sys.exit(str(error))
    if given.self_test:
        self_test(kb)
        return
    talk = Conversation(kb, tuple(given.category or ()))
    if given.question is not None:
        show(talk.turn(given.question), as_json=given.json)
        return
    for line in sys.stdin:
        if not line.strip():
            break
        show(talk.turn(line.strip()), as_json=given.json)


if __name__ == "__main__":
    main()
