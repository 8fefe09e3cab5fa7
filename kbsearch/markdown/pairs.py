"""The markers of questions and answers, and those that only count in pairs, written as the plain ones.

``Q. 送料は？`` is a question wherever it stands. 「■Q. 送料は」 and 「Q 送料は？」 are one where an answer with such a
marker follows: else ■ is a bullet, and Q値 or A列 are words.

Use: ``with_plain_markers(blocks)`` before anybody looks for :data:`QUESTION` and :data:`ANSWER`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kbsearch.markdown.language import ends_as_question, join_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kbsearch.markdown.blocks import Block

__all__ = ["ANSWER", "QUESTION", "with_plain_markers"]

_NUMBER = r"[ 　]?[0-9０-９]{0,3}(?:[-‐－][0-9０-９]{1,3})?"
_DELIMITER = r"(?:[ 　]*[.．:：。、)）\]］】][ 　]*|(?<=[0-9０-９])[ 　]+)"
_OPENING = r"[\[［【(（]?"
QUESTION: Final = re.compile(f"{_OPENING}(?:[QＱ]|Question|QUESTION|ご質問|質問|問い|問){_NUMBER}{_DELIMITER}")
ANSWER: Final = re.compile(f"{_OPENING}(?:[AＡ]|Answer|ANSWER|ご回答|回答|答え|答){_NUMBER}{_DELIMITER}")

_BULLET = re.compile("[■□◆◇●○▼▽▶►★☆・][ 　]?")
_SPACED = {"question": re.compile("[QＱ][ 　]+(?=[^ 　])"), "answer": re.compile("[AＡ][ 　]+(?=[^ 　])")}

_Place = tuple[int, int]
"""A block and a row of it."""


def with_plain_markers(blocks: Sequence[Block], *, is_faq: bool) -> None:
    """Write the markers of paragraphs as the plain ones, where they mean that; the blocks are changed.

    In an article that says that it is an FAQ, and where one pair has bullets, a question with a bullet needs no marked
    answer.
    """
    bulleted: list[tuple[_Place, _Place | None]] = []
    for at, block in enumerate(blocks):
        if block.kind != "paragraph":
            continue
        for row, text in enumerate(block.rows):
            if _bulleted(QUESTION, text):
                bulleted.append(((at, row), _answer_of(blocks, at, row, spaced=False)))
            elif _SPACED["question"].match(text) and (answer := _answer_of(blocks, at, row, spaced=True)):
                _write(blocks, (at, row), _SPACED["question"], "Q. ")
                _write(blocks, answer, _SPACED["answer"], "A. ")
    if is_faq or any(answer for _, answer in bulleted):
        for question, answer in bulleted:
            _write(blocks, question, _BULLET, "")
            if answer:
                _write(blocks, answer, _BULLET, "")


def _bulleted(marker: re.Pattern[str], text: str) -> bool:
    bullet = _BULLET.match(text)
    return bullet is not None and marker.match(text, bullet.end()) is not None


def _answer_of(blocks: Sequence[Block], at: int, row: int, *, spaced: bool) -> _Place | None:
    """Where the answer begins: in the question's paragraph, or with the next one. Of the spaced form, it has to ask."""
    rows = blocks[at].rows
    behind = next((place for place in range(row + 1, len(rows)) if _is_mark(rows[place], spaced=spaced)), len(rows))
    if spaced and not ends_as_question(join_lines(rows[row:behind]).strip()):
        return None
    place = (at, behind) if behind < len(rows) else (at + 1, 0)
    if behind == len(rows) and (at + 1 >= len(blocks) or blocks[at + 1].kind != "paragraph" or not blocks[at + 1].rows):
        return None
    text = blocks[place[0]].rows[place[1]]
    answers = _SPACED["answer"].match(text) if spaced else ANSWER.match(text) or _bulleted(ANSWER, text)
    return place if answers else None


def _is_mark(text: str, *, spaced: bool) -> bool:
    if spaced:
        return any(marker.match(text) for marker in _SPACED.values())
    return any(marker.match(text) or _bulleted(marker, text) for marker in (QUESTION, ANSWER))


def _write(blocks: Sequence[Block], place: _Place, marker: re.Pattern[str], plain: str) -> None:
    rows, at = blocks[place[0]].rows, place[1]
    if found := marker.match(rows[at]):
        rows[at] = plain + rows[at][found.end() :]
