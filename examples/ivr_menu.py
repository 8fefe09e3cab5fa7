"""A telephone menu: a spoken question in, answers read aloud, steps one at a time, and always 0 for a person.

::

    kbsearch build articles
    python examples/ivr_menu.py               # type what a caller says, or the key that a caller presses

What is printed would go to a speech synthesiser, what is typed would come from a speech recogniser or the keys (DTMF).

What to copy from it:

- ``budget="voice"`` and ``form="speech"`` give text that can be listened to: short, without brackets, bars and
  addresses, with ranges in words. ``kbsearch.speak`` does the same for text of your own.
- A caller hears at most three choices: nobody remembers five.
- ``kb.steps`` gives a guide step by step; what can go wrong is read before the step, not behind it.
- Every text is said with its language, for the voice that reads it.
"""

from __future__ import annotations

import argparse
import json
import sys
import unicodedata
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from kbsearch import KbSearchError, KnowledgeBase, NoSteps, speak

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kbsearch import Hit, Part, Procedure, Step

CHOICES: Final = 3
QUESTIONS: Final = ("か", "?", "？")
TRIES: Final = 3  # so often a caller may press what is no choice, then a person comes

Ending = Literal["hung up", "operator"]


class Words(NamedTuple):
    """What the menu says in one language."""

    question: str
    answer: str
    choose: str
    choice: str
    nothing: str
    operator: str
    unclear: str
    steps: str
    total: str
    step: str
    keys: dict[str, str]
    last: str
    careful: str
    elsewhere: str
    space: str


WELCOME: Final = (("ja", "お電話ありがとうございます。日本語は1番を押してください。"), ("en", "For English, press 2."))
LANGUAGES: Final = {"1": "ja", "2": "en"}
WORDS: Final = {
    "ja": Words(
        question="ご用件をお話しください。係の者は0番です。",
        answer="{title}についてご案内します。",
        choose="次の中からお選びください。",
        choice="{number}番、{title}。",
        nothing="確かなご案内が見つかりませんでした。",
        operator="係の者におつなぎします。そのままお待ちください。",
        unclear="恐れ入ります。もう一度お願いします。",
        steps="手順を1つずつお聞きになるには1番。",
        total="手順は全部で{total}つです。",
        step="手順{number}。",
        keys={
            "1": "次は1番。",
            "2": "もう一度は2番。",
            "3": "前は3番。",
            "9": "別のご用件は9番。",
            "0": "係の者は0番。",
        },
        last="これで終わりです。",
        careful="ご注意ください。",
        elsewhere="このご案内は別の言語のみです。",
        space="",
    ),
    "en": Words(
        question="How can I help you? For a person, press 0.",
        answer="This is about: {title}.",
        choose="Please choose.",
        choice="{number}: {title}.",
        nothing="I found no sure answer.",
        operator="I am connecting you to a person. Please hold.",
        unclear="Sorry, please try again.",
        steps="To hear it step by step, press 1.",
        total="There are {total} steps.",
        step="Step {number}.",
        keys={"1": "Next, 1.", "2": "Again, 2.", "3": "Back, 3.", "9": "Something else, 9.", "0": "For a person, 0."},
        last="That was the last step.",
        careful="Be careful.",
        elsewhere="This is available in another language only.",
        space=" ",
    ),
}


class HungUp(Exception):
    """The caller is gone."""


class Operator(Exception):
    """The caller is to speak to a person."""


@dataclass
class Call:
    """One call.

    Parameters
    ----------
    kb
        Where the articles are.
    say
        Says a text in a language, ``say("ja", "…")``; returns when it is said.
    hear
        What the caller says or presses next, ``""`` for silence; None when the caller has hung up.
    categories
        Answers come from these only, such as what customers may read; all by default.
    """

    kb: KnowledgeBase
    say: Callable[[str, str], None]
    hear: Callable[[], str | None]
    categories: Sequence[str] = ()
    lang: str = "ja"
    asked: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)  # handles of what was read

    def run(self) -> Ending:
        """From the welcome to the end; ``asked`` and ``heard`` are for the person who takes over."""
        try:
            self.lang = LANGUAGES[self._choice(LANGUAGES, self._welcome)]
            while True:
                self._question()
        except HungUp:
            return "hung up"
        except Operator:
            self._tell(self._words.operator)
            return "operator"

    @property
    def _words(self) -> Words:
        return WORDS[self.lang]

    def _welcome(self) -> None:
        for lang, text in WELCOME:
            self.say(lang, text)

    def _question(self) -> None:
        self._tell(self._words.question)
        question = self._said()
        if not question:
            question = self._retry(lambda: self._tell(self._words.question))
        self.asked.append(question)
        where = {"category": list(self.categories)}
        result = self.kb.search(question, k=CHOICES, filter=where, prefer_lang=self.lang, budget="voice")
        if result.outcome == "hand_over":
            self._tell(self._words.nothing)
            raise Operator
        if result.outcome == "answer" and result.disclosure is not None:
            hit = result.hits[0]
            self._tell(self._words.answer.format(title=self._spoken([hit.title], hit.lang).rstrip("。.")))
            self._read(hit, result.disclosure.text)
        else:
            hit = self._chosen(result.hits)
            self._read(hit, self.kb.open(hit.handle, "snippet", question=question, form="speech").text)

    def _chosen(self, hits: Sequence[Hit]) -> Hit:
        """One of a few, by its number."""
        words = self._words

        def offer() -> None:
            self._tell(words.choose)
            for number, hit in enumerate(hits, start=1):
                name = hit.heading if hit.heading.endswith(QUESTIONS) else hit.title  # of an FAQ the question
                title = self._spoken([name], hit.lang).rstrip("。.?？")
                self.say(hit.lang if hit.is_fallback else self.lang, words.choice.format(number=number, title=title))
            self._tell(words.keys["0"])

        return hits[int(self._choice([str(number) for number in range(1, len(hits) + 1)], offer)) - 1]

    def _read(self, hit: Hit, text: str) -> None:
        """Read an answer, as often as it is wanted, and its steps."""
        words = self._words
        self.heard.append(hit.handle)
        try:
            procedure: Procedure | None = self.kb.steps(hit.article_id)
        except NoSteps:
            procedure = None

        def read() -> None:
            if hit.is_fallback:
                self._tell(words.elsewhere)
            self.say(hit.lang, text)
            self._menu("290", words.steps if procedure else "")

        while (key := self._choice("129" if procedure else "29", read)) == "2":
            pass
        if key == "1" and procedure is not None:
            self._walk(procedure)

    def _walk(self, procedure: Procedure) -> None:
        """Read the steps, each when the caller is ready."""
        words, at = self._words, procedure.start
        self._tell(words.total.format(total=len(procedure)))
        before = self._spoken(_lines(procedure.before) + _lines(procedure.warnings), procedure.lang)
        if before:
            self.say(procedure.lang, before)
        while at <= len(procedure):
            step = procedure.step(at)
            is_last = step.next is None
            keys = ("2" if is_last else "12") + ("3" if step.back else "") + ("9" if is_last else "")

            def read(step: Step = step, keys: str = keys, is_last: bool = is_last) -> None:  # noqa: FBT001
                self._tell(words.step.format(number=step.number))
                self._tell_step(step, procedure.lang)
                self._menu(f"{keys}0", words.last if is_last else "")

            key = self._choice(keys, read)
            if key == "9":
                return
            at += {"1": 1, "2": 0, "3": -1}[key]

    def _tell_step(self, step: Step, lang: str) -> None:
        warnings = self._spoken(_lines(step.warnings), lang)
        if warnings:
            self._tell(self._words.careful)
            self.say(lang, warnings)
        told = [step.restriction, *step.text.split("\n"), *_lines(step.notes)]
        told += [line for below in step.substeps for line in below.text.split("\n")]
        self.say(lang, self._spoken(told, lang))

    def _choice(self, keys: Iterable[str], offer: Callable[[], object]) -> str:
        """Offer until one of the keys is pressed."""
        known = set(keys)
        for tried in range(TRIES):
            if tried:
                self._tell(self._words.unclear)
            offer()
            if (key := self._said()) in known:
                return key
        raise Operator

    def _menu(self, keys: str, first: str) -> None:
        """Say what the keys do."""
        said = [*([first] if first else []), *(self._words.keys[key] for key in keys)]
        self._tell(self._words.space.join(said))

    def _retry(self, offer: Callable[[], object]) -> str:
        """Ask again for a question that was silence."""
        for _ in range(TRIES - 1):
            self._tell(self._words.unclear)
            offer()
            if said := self._said():
                return said
        raise Operator

    def _said(self) -> str:
        said = self.hear()
        if said is None:
            raise HungUp
        said = unicodedata.normalize("NFKC", said).strip().removesuffix("番")
        if said == "0":
            raise Operator
        return said

    def _tell(self, text: str) -> None:
        self.say(self.lang, text)

    def _spoken(self, lines: Iterable[str], lang: str) -> str:
        return speak(filter(None, lines), is_japanese=lang == "ja")


def _lines(parts: Iterable[Part]) -> list[str]:
    return [line for part in parts if part.kind != "code" for line in part.text.split("\n") if line]


class Said:
    """What was said to a caller."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def add(self, lang: str, text: str) -> None:
        """One more."""
        self.lines.append((lang, text))


def self_test(kb: KnowledgeBase) -> None:
    """Let callers speak and press keys; look at what they hear."""
    calls = (
        ("1", "返品の手順を教えてください", "1", "1", "1", "2", "1", "3", "1", "0"),
        ("2", "How do I return an item?", "1", "1", "1", "1", "1", "9", "0"),
        ("１番", "火星の天気"),
        ("2", "", "", "", ""),
        ("7", "8", "9"),
        ("1",),
    )
    endings, lines = [], 0
    for keys in calls:
        said, pressed = Said(), iter(keys)
        call = Call(kb, said.add, partial(next, pressed, None))
        endings.append(call.run())
        lines += len(said.lines)
        for lang, text in said.lines:
            assert lang in WORDS, lang
            assert text.strip(), said.lines
            assert not set(text) & set("|[]【】<>*#"), text
            assert "http" not in text, text
        assert all(kb.open(handle, "title") for handle in call.heard)
    assert set(endings) == {"operator", "hung up"}, endings
    print(f"ivr_menu: {len(calls)} calls, {lines} lines said, all is well")


def main() -> None:
    """Take a call at the terminal, or test it."""
    parser = argparse.ArgumentParser(description="A telephone menu at the terminal.")
    parser.add_argument("--index", default="indexes/help")
    parser.add_argument("--category", action="append", help="answer from this category and below only; repeatable")
    parser.add_argument("--self-test", action="store_true")
    given = parser.parse_args()
    try:
        kb = KnowledgeBase.open(given.index)
    except KbSearchError as error:
        sys.exit(str(error))
    if given.self_test:
        self_test(kb)
        return

    def hear() -> str | None:
        line = sys.stdin.readline()
        return line.strip() if line else None

    call = Call(kb, lambda lang, text: print(f"[{lang}] {text}"), hear, given.category or ())
    if call.run() == "operator":
        print(json.dumps({"lang": call.lang, "asked": call.asked, "heard": call.heard}, ensure_ascii=False))


if __name__ == "__main__":
    main()
