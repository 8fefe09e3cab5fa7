"""Questions that a corpus can be asked: made of its passages, so that any corpus has some.

A third are fragments of titles and headings, a third two to eight content words with particles or spaces between, the
rest whole sentences; some mix both languages. The same seed gives the same questions.

Use: ``make_questions(passages, 500)`` with (title, heading, text) of some passages.

Never: judge an answer by them; who made a question from a passage knows nothing of the passages beside it.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["make_questions"]

_WORD: Final = re.compile(r"[一-龠々]{2,6}|[ァ-ヴー]{3,}|[A-Za-z][A-Za-z0-9-]{3,}")
_SENTENCE: Final = re.compile(r"[^。！？.!?\n|]{8,120}[。！？.!?]")
_PARTICLES: Final = ("の", "を", "が", "は", "で", "に", "と")
_ENDS: Final = ("", "", "は？", "の方法", "したい", "できない", "ですか")
_MIXED: Final = 0.08


def make_questions(passages: Sequence[tuple[str, str, str]], count: int, *, seed: int = 7) -> list[tuple[int, str]]:
    """Up to ``count`` distinct questions, each with the place of its passage in ``passages``."""
    dice = random.Random(seed)  # noqa: S311 - a sample, no secret
    found: dict[str, int] = {}
    others = [_WORD.findall(text) for _, _, text in passages[:50]]
    for attempt in range(10 * count):
        if len(found) == count or not passages:
            break
        place = dice.randrange(len(passages))
        for text in _questions(passages[place], attempt % 3, dice, others):
            if any(char.isalnum() for char in text):
                found.setdefault(text.strip(), place)
    return [(place, text) for text, place in found.items()][:count]


def _questions(
    passage: tuple[str, str, str], kind: int, dice: random.Random, others: Sequence[Sequence[str]]
) -> Iterator[str]:
    title, heading, text = passage
    if kind == 0:
        yield _fragment(heading if heading and dice.random() < 0.5 else title, dice)  # noqa: PLR2004 - half of them
    elif kind == 1:
        words = _WORD.findall(text)
        if len(words) > 1:
            first = dice.randrange(len(words))
            chosen = words[first : first + dice.randint(2, 8)]
            if dice.random() < _MIXED and others:
                chosen += list(dice.choice(others))[:2]
            yield _joined(chosen, dice)
    elif sentences := _SENTENCE.findall(text):
        yield dice.choice(sentences)


def _fragment(title: str, dice: random.Random) -> str:
    """The title or its greater part."""
    if " " in title:
        words = title.split()
        return " ".join(words[dice.randint(0, len(words) // 3) :])
    return title[dice.randint(0, len(title) // 3) :]


def _joined(words: Sequence[str], dice: random.Random) -> str:
    """Content words as somebody types them: with particles, or with spaces only."""
    if all(word.isascii() for word in words) or dice.random() < 0.4:  # noqa: PLR2004 - share without particles
        return " ".join(words)
    parts = [word + dice.choice(_PARTICLES) for word in words[:-1]]
    return "".join(parts) + words[-1] + dice.choice(_ENDS)
