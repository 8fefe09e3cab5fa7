"""What the sentences of a passage are to each other: which belong together, and what must not be shown alone.

A *unit* is a sentence or a table row; of a very long row, a sentence. Its flags say what a snippet has to know:

``TIED``
    A restriction of what stands before it (ただし…, …を除きます, unless …): that is never shown without it.
``DANGLING``
    Begins with a word that points back (これは…, そのため…, It …): it is not the first to be shown while there is room.
    The first of a section points back to a heading that asks, where it is a bare reply (いいえ。, Yes., 無料です。):
    beside sentences of another section it would answer a question that nobody sees.
``LEADS``
    Introduces what follows it (次の手順で…：), or is a bare reply (いいえ。): it is not the last to be shown.
``STEP``
    The beginning of a numbered item; ``number`` is its number in the list and ``total`` that of the last item.
``ITEM``
    The beginning of an item without a number.
``INSIDE``
    Inside an item, behind its beginning.
``ROW``, ``HEAD``
    A table row; the first one, which says what the others mean. The later sentences of a very long row are ``INSIDE``.
``WARNS``
    A warning.
``ASKS``
    A question: in an answer, the question again.
``NUMBERS``
    Holds a number: a price, a day, a size.
``RULES``
    Says that something can or cannot be done, or is to be done.
``FIRST``
    The first of its section: it belongs to nothing before it.
``AGAIN``
    What stands above says it already: the question of an FAQ entry again, a heading.

The passages of one section are looked at together: a list that is cut between two of them still has so many steps, and
the last unit of a passage has ``BEFORE_TIED`` or ``BEFORE_WARNING`` where the next passage begins so.

Never: change what comes out without raising ``quotes.VERSION``; an index keeps the units.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from kbsearch.restrictions import begins_as_restriction, restricts
from kbsearch.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "AGAIN",
    "ASKS",
    "BEFORE_TIED",
    "BEFORE_WARNING",
    "DANGLING",
    "FIRST",
    "HEAD",
    "INSIDE",
    "ITEM",
    "LEADS",
    "NUMBERS",
    "ROW",
    "RULES",
    "STEP",
    "TIED",
    "WARNS",
    "Unit",
    "units_of_section",
]

TIED: Final = 1
DANGLING: Final = 2
LEADS: Final = 4
STEP: Final = 8
ITEM: Final = 16
INSIDE: Final = 32
ROW: Final = 64
HEAD: Final = 128
WARNS: Final = 256
ASKS: Final = 512
BEFORE_TIED: Final = 1024
BEFORE_WARNING: Final = 2048
NUMBERS: Final = 4096
RULES: Final = 8192
FIRST: Final = 16384
AGAIN: Final = 32768

_LONG_ROW: Final = 160  # characters; of a row that has more, a part may be shown

_POINTING: Final = re.compile(
    r"(?:これ|それ|あれ|この(?!度|記事|ページ|ガイド|サイト|サービス|マニュアル|ドキュメント)|その(?!他)|あの|こう|そう|ここ|そこ|こちら|そちら|同様|同じく|また(?:は|、)|さらに|そして|次に|続いて|すると"
    r"|したがって|よって|ゆえに|なので|だから|ですから|ですが|だが|けれど|しかし|一方|上記|前述|前者|後者|以上(?:の|で|が|を)|その後|このため|つまり"
    r"|なぜなら|例えば|たとえば)"
    r"|(?i:(?:this(?! (?:article|page|guide|section|document|site|manual)\b)|that|these|those|it|they|he|she|its|their"
    r"|such|then|therefore|thus|hence|so|also|and|but|or|however"
    r"|otherwise|instead|likewise|afterwards?|after that|in (?:this|that|both|either) cases?|if (?:so|not)|both|neither"
    r"|doing so|the (?:same|latter|former)|for example|because)\b)"
)
_LEADING: Final = re.compile(
    r"[:：]$"
    r"|(?:以下|下記|次(?!の(?:[日週月年回便]|営業|注文|更新|請求|配送|発送|お届け)))(?:の[^。]{0,80}|は[^。]{0,20}|に示[^。]{0,20})。?$"
    r"|(?i:\b(?:as follows|following(?: \w+){0,4}|(?:any|one|some|all|each) of (?:these|the following))\.?$)"
)
_ENDED: Final = re.compile(r"[。．.!?！？｡…][」』）)\]\"”’]*$")
_WARNING: Final = re.compile(
    r"(?:[-*・!！⚠\[【(（]\s*)*(?:(?:ご?注意|警告|危険|重要)(?:[:：】\])）!！。 ]|$)"
    r"|(?i:(?:warning|caution|danger|important|attention)(?:[:!\]). ]|$)))"
)
_QUESTION: Final = re.compile(r"[?？][」』）)\]\"”]*$|(?:です|ます|でしょう|ません|した)か。?$|^(?:Q\d*|質問)[.．:：]")
_NUMBER: Final = re.compile(
    r"\d|[一二三四五六七八九十百千](?:日|円|回|分|時|個|枚|人|年|か月|週|倍|割)"
    r"|(?i:\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twice|once)\b)"
)
_RULE: Final = re.compile(
    r"^(?:はい|いいえ)[、。]|でき(?:ます|ません|る|ない)"
    r"|(?:ません|かまいません|ください|なりません|必要があります|不要です|可能です|不可)"
    r"|(?i:^(?:yes|no)\b"
    r"|\b(?:can|cannot|can't|may|must|do not|don't|does not|never|please|not possible|no need)\b)"
)
_REPLY: Final = re.compile(
    r"(?:はい|いいえ|いえ|ええ|残念ながら|申し訳(?:ございません|ありません))[、。,!！]"
    r"|(?i:(?:yes|no|sorry|not yet|of course|certainly|unfortunately)[,.!:;–—-])"
)
_BARE_REPLY: Final = 24  # characters; a reply that has more says what it replies to
_FEW: Final = 12  # the same of any first sentence below a question
_NUMBERED: Final = re.compile(r"(?:([0-9０-９]{1,5})[.．)）](?:\s|(?=[^\d\s]))|([①-⑳]))")
_BULLET: Final = re.compile(r"[-*+・•](?:\s|(?=[^\s\-*]))")
_CIRCLED_ONE: Final = ord("①") - 1
_ASKING_MARKER: Final = re.compile(r"\s*(?:[QＱ]\d{0,3}|質問|問)[.．:：、]\s*")
_NO_LETTERS: Final = re.compile(r"[\W_]+")
_CELLS: Final = " | "
_NO_ITEM: Final = (0, 0)
_MOST: Final = 65_535


class Unit(NamedTuple):
    """First and one-past-last character in the text of the passage; see the module for the rest.

    ``tokens`` of the encoder are counted by whoever has one.
    """

    start: int
    end: int
    flags: int = 0
    number: int = 0
    total: int = 0
    tokens: int = 0


def units_of_section(texts: Sequence[str], above: Sequence[str] = ()) -> list[list[Unit]]:
    """Units of each passage of a section, ascending; none is empty, and what is between them is white space.

    ``above`` are the title and the headings that stand above it.
    """
    found: list[list[Unit]] = []
    item, is_first = _NO_ITEM, True
    for text in texts:
        own, item = _units(text, item, is_first=is_first)
        found.append(own)
        is_first = is_first and not own
    _count_steps(found)
    for text, own in zip(texts, found, strict=True):
        _find_leading(text, own)
    _find_repeated(texts, found, above)
    if above and _QUESTION.search(above[-1]):
        _find_reply(texts, found)
    for own, after in pairwise(found):
        if own and after:
            last, first = own[-1], after[0].flags
            more = (BEFORE_TIED if first & TIED else 0) | (BEFORE_WARNING if first & WARNS else 0)
            own[-1] = last._replace(flags=last.flags | more)
    return found


def _units(text: str, item: tuple[int, int], *, is_first: bool) -> tuple[list[Unit], tuple[int, int]]:
    """Units of one passage, and the item that it ends in: its flag and its indentation. ``item``: the one before."""
    found: list[Unit] = []
    in_table = False
    for line, line_end, spans in _lines(text):
        row, indent = _CELLS in text[line:line_end], spans[0][0] - line
        is_head = row and not in_table and _CELLS in text[line_end + 1 : _end_of_line(text, line_end + 1)]
        in_table = is_head or (row and in_table)
        for place, (start, end) in enumerate(_row(spans, is_head=is_head) if in_table else spans):
            sentence = text[start:end]
            flags = number = 0
            numbered = None if in_table or place else _NUMBERED.match(sentence)
            if place:
                flags = INSIDE if in_table or item[0] else 0
            elif item[0] and indent and (not numbered or (item[0] == STEP and indent > item[1])):
                flags = INSIDE
            elif numbered:
                flags, number, item = STEP, _number_of(numbered), (STEP, indent)
            elif not in_table and _BULLET.match(sentence):
                flags, item = ITEM, (ITEM, indent)
            else:
                item = _NO_ITEM
            if in_table:
                flags |= HEAD if is_head else ROW
            flags |= _of_words(sentence, flags, is_first=is_first) | (FIRST if is_first else 0)
            is_first = False
            found.append(Unit(start, end, flags, number))
    return found, item


def _lines(text: str) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """Each line that has sentences: its first and one-past-last character, and they."""
    line, line_end, spans = 0, -1, list[tuple[int, int]]()
    for span in sentences(text):
        if span[0] > line_end:
            if spans:
                yield line, line_end, spans
            line = max(line_end, text.rfind("\n", line_end + 1, span[0])) + 1
            line_end, spans = _end_of_line(text, span[0]), []
        spans.append(span)
    if spans:
        yield line, line_end, spans


def _end_of_line(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _row(spans: list[tuple[int, int]], *, is_head: bool) -> list[tuple[int, int]]:
    """What is quoted of a table row: all of it, if that is not too long."""
    whole = spans[0][0], spans[-1][1]
    return [whole] if is_head or whole[1] - whole[0] <= _LONG_ROW else spans


def _of_words(sentence: str, shape: int, *, is_first: bool) -> int:
    """What the words of a sentence say of it."""
    flags = 0
    if not shape & (ROW | HEAD):
        if not is_first and (begins_as_restriction(sentence) if shape & (STEP | ITEM) else restricts(sentence)):
            flags |= TIED
        if not is_first and not shape & (STEP | ITEM) and _POINTING.match(sentence):
            flags |= DANGLING
        if sentence[-1] in "：:":
            flags |= LEADS
        if not shape & STEP and _QUESTION.search(sentence):
            flags |= ASKS
        if _WARNING.match(sentence):
            flags |= WARNS
    if _NUMBER.search(_without_marker(sentence) if shape & STEP else sentence):
        flags |= NUMBERS
    if _RULE.search(sentence):
        flags |= RULES
    return flags


def _without_marker(sentence: str) -> str:
    match = _NUMBERED.match(sentence)
    return sentence[match.end() :] if match else sentence


def _number_of(match: re.Match[str]) -> int:
    return min(int(match[1]), _MOST) if match[1] else ord(match[2]) - _CIRCLED_ONE


def _find_leading(text: str, own: list[Unit]) -> None:
    """Flag what introduces a list or a table: by its words, or as a line that does not end as a sentence does."""
    for place, (unit, after) in enumerate(pairwise(own)):
        if after.flags & (STEP | ITEM | HEAD) and not unit.flags & (STEP | ITEM | INSIDE | ROW | HEAD):
            sentence = text[unit.start : unit.end]
            if _LEADING.search(sentence) or not _ENDED.search(sentence):
                own[place] = unit._replace(flags=unit.flags | LEADS)


def _find_repeated(texts: Sequence[str], found: list[list[Unit]], above: Sequence[str]) -> None:
    """Flag what repeats a title or heading: in the same words, or as the first question below one that asks."""
    known = {_bare(text) for text in above} - {""}
    asks = any(_QUESTION.search(text) for text in above)
    for text, own in zip(texts, found, strict=True):
        for place, unit in enumerate(own):
            flags = unit.flags
            is_question = asks and flags & ASKS and flags & FIRST
            is_plain = not flags & (STEP | ITEM | INSIDE | ROW | HEAD)
            if is_plain and (is_question or _bare(text[unit.start : unit.end]) in known):
                own[place] = unit._replace(flags=flags | AGAIN)


def _find_reply(texts: Sequence[str], found: list[list[Unit]]) -> None:
    """Flag a bare reply to the heading right above: the first sentence below, or below the question again."""
    places = (
        (passage, place)
        for passage, own in enumerate(found)
        for place, unit in enumerate(own)
        if not unit.flags & AGAIN
    )
    passage, place = next(places, (0, 0))
    if not found or not found[passage] or found[passage][place].flags & (STEP | ITEM | ROW | HEAD | ASKS | LEADS):
        return
    own, unit = found[passage], found[passage][place]
    if unit.end - unit.start < (_BARE_REPLY if _REPLY.match(texts[passage], unit.start) else _FEW):
        flags = (DANGLING if unit.flags & FIRST else 0) | (LEADS if place + 1 < len(own) else 0)
        own[place] = unit._replace(flags=unit.flags | flags)


def _bare(text: str) -> str:
    """Letters and digits without the marker of a question."""
    return _NO_LETTERS.sub("", _ASKING_MARKER.sub("", text)).casefold()


def _count_steps(passages: list[list[Unit]]) -> None:
    """Tell each step how many there are in its list.

    A list may go on in the next passage, and behind a paragraph that is not indented, when its numbers do. Steps are
    known by the numbers that they have; where some are missing, by their places.
    """
    run: list[tuple[int, int]] = []
    last, is_interrupted = 0, False

    def finish() -> None:
        numbers = [passages[passage][place].number for passage, place in run]
        if run and numbers != list(range(numbers[0], last + 1)):
            numbers = list(range(1, len(run) + 1))
        for (passage, place), number in zip(run, numbers, strict=True):
            passages[passage][place] = passages[passage][place]._replace(number=number, total=numbers[-1])
        run.clear()

    for passage, own in enumerate(passages):
        for place, unit in enumerate(own):
            if unit.flags & STEP:
                if run and (unit.number <= last or (is_interrupted and unit.number != last + 1)):
                    finish()
                run.append((passage, place))
                last, is_interrupted = unit.number, False
            elif not unit.flags & (INSIDE | TIED | WARNS):
                is_interrupted = True
    finish()
