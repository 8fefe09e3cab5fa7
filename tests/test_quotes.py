"""What of an article is quoted: against the rules in plain Python, by hand, and under damage.

Run as a script, this file reads damaged copies of a folder and tells what becomes of each; every one is tried in a
process of its own, so that a crash or a hang is an outcome like any other.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from damage import column_of, tell_outcomes
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import Chosen, Page, choose, cut_sentence, marks_of
from terms import ask

from kbsearch import native, structures
from kbsearch.errors import IndexCorrupt
from kbsearch.quotes import NOTE_RESTRICTION, NOTE_STEPS, NOTE_WARNING, Quotation, QuoteIndex, QuoteWriter, room_of
from kbsearch.tokens import TokenIndex, TokenWriter
from kbsearch.units import (
    AGAIN,
    ASKS,
    BEFORE_TIED,
    BEFORE_WARNING,
    DANGLING,
    FIRST,
    HEAD,
    INSIDE,
    ITEM,
    LEADS,
    NUMBERS,
    ROW,
    RULES,
    STEP,
    TIED,
    WARNS,
    Unit,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ctypes import Array

    from kbsearch.model import FloatArray

WIDTH: Final = 20
NOTES: Final = (6, 7, 5)
"""Characters of the notes of steps, of a restriction and of a warning."""

# What a unit is worth here: numbers whose sums and products are exact, so that there is one right order.
WORDS, COSINE, RANK, BESIDE, NEAR = 0.25, 1.0, -0.0625, 0.125, 0.75
KINDS: Final = {
    ASKS: -0.25, LEADS: -0.125, STEP: -0.0625, ROW: -0.0625, DANGLING: -0.03125, TIED: 0.125, NUMBERS: 0.1875,
    RULES: 0.15625,
}  # fmt: skip
TINY, TINY_CHARS = -0.1875, 12


@dataclass(frozen=True)
class Piece:
    """A unit to be, with the white space in front of it, the terms that it holds, and how near it is."""

    length: int = 20
    flags: int = 0
    gap: int = 1
    number: int = 0
    total: int = 0
    terms: tuple[tuple[str, int], ...] = ()
    """Words of the question with the character at which each begins."""
    near: int = 0
    """What its vector makes of the cosine, in 64ths."""


@dataclass(frozen=True)
class Shelf:
    """An article of some passages, ready to be quoted; the terms of the question are ``WORDS_ASKED`` and grams."""

    rows: tuple[tuple[Piece, ...], ...]
    units: list[list[Unit]] = field(init=False)
    opened: dict[bool, tuple[TokenIndex, structures.Quotes]] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Lay the pieces out."""
        laid: list[list[Unit]] = []
        for row in self.rows:
            own, at = list[Unit](), 0
            for piece in row:
                at += piece.gap if own else 0
                own.append(Unit(at, at + piece.length, piece.flags, piece.number, piece.total, len(own) + 1))
                at += piece.length
            laid.append(own)
        object.__setattr__(self, "units", laid)

    def words(self, row: int) -> list[tuple[str, tuple[int, int]]]:
        """All words of a row, those that nobody asks for included."""
        found = []
        for piece, unit in zip(self.rows[row], self.units[row], strict=True):
            at = unit.start
            for term, begin in piece.terms:
                start = max(at, unit.start + begin)
                if start + len(term) > unit.end:
                    break
                if start - at > 3:
                    found.append(("other", (at, start - 1)))
                found.append((term, (start, start + len(term))))
                at = start + len(term)
        return found

    def grams(self, row: int) -> list[tuple[str, tuple[int, int]]]:
        """Pairs of characters that begin at every third word's second character."""
        found = []
        for place, (term, (start, end)) in enumerate(self.words(row)):
            if place % 3 == 0 and term == "other" and end - start > 2:
                found += [("g1", (start + 1, start + 3)), ("g2", (start + 2, min(start + 4, end)))]
        return sorted(found, key=lambda gram: gram[1])

    def open(self, vectors: bool = True) -> tuple[TokenIndex, structures.Quotes]:  # noqa: FBT001, FBT002
        """Its columns; made once."""
        if vectors not in self.opened:
            self.opened[vectors] = self._open(vectors)
        return self.opened[vectors]

    def _open(self, vectors: bool) -> tuple[TokenIndex, structures.Quotes]:  # noqa: FBT001
        with tempfile.TemporaryDirectory() as folder:
            with TokenWriter(Path(folder) / "tokens") as writer:
                for row in range(len(self.rows)):
                    both = [
                        ([term for term, _ in terms], [span for _, span in terms])
                        for terms in (self.words(row), self.grams(row))
                    ]
                    writer.add_text(f"row {row}", both[0], both[1])
                    writer.add_row(f"row {row}", (f"row {row}",) * 3, [(f"row {row}", 1)])
            tokens = TokenIndex(Path(folder) / "tokens", len(self.rows))
        flat = [unit for own in self.units for unit in own]
        sizes = [len(own) for own in self.units]
        firsts = np.array([(sum(sizes[:place]), size) for place, size in enumerate(sizes)], np.uint32).ravel()
        codes = np.zeros((len(flat), WIDTH), np.int8)
        codes[:, 17] = [piece.near for row in self.rows for piece in row]
        codes[:, 3] = 5
        scales = np.full(len(flat), 1 / 64, np.float32)
        units = np.array(flat, np.uint16).ravel()
        return tokens, structures.Quotes(units, firsts, (codes, scales) if vectors else None)


VECTOR: Final[FloatArray] = np.eye(1, WIDTH, 17, dtype=np.float32)[0]


def quoting(limit: int, notes: tuple[int, int, int] | None = NOTES, pieces: int = 3) -> structures.Quoting:
    kinds = (
        [KINDS[flag] for flag in (ASKS, LEADS, STEP, ROW)],
        [KINDS[flag] for flag in (DANGLING, TIED, NUMBERS, RULES)],
    )
    return structures.Quoting(
        limit, room_of(limit), *(notes or (0, 0, 0)), int(notes is not None), pieces, WORDS, COSINE, RANK, BESIDE, NEAR,
        *kinds[0], TINY, *kinds[1],
    )  # fmt: skip


def all_alike(how: structures.Quoting, articles: int) -> tuple[Array[structures.Quoting], bytes]:
    """One way to quote for all articles."""
    return (structures.Quoting * 1)(how), bytes(articles)


ASKED: Final = {"返品": 1.0, "送料": 2.0, "期間": 4.0, "return": 1.0}
GRAMS: Final = {"g1": 0.5, "g2": 0.25}


def quoted(
    shelf: Shelf, order: Sequence[int], limit: int, notes: tuple[int, int, int] | None = NOTES,
    words: dict[str, float] | None = None, *, vectors: bool = True, pieces: int = 3,
) -> tuple[Any, list[tuple[int, ...]], list[tuple[int, ...]]]:  # fmt: skip
    """The record of the quotation, its spans and its marks, by the compiled part."""
    tokens, quotes = shelf.open(vectors)
    asked = ask(tokens, ASKED if words is None else words, GRAMS if words is None else {})
    rows, ends = np.array(order, np.int64), np.array([len(order)], np.int64)
    found, spans, marks = native.quote_articles(
        tokens.opened[0],
        quotes,
        asked,
        VECTOR if vectors else None,
        rows,
        ends,
        *all_alike(quoting(limit, notes, pieces), 1),
    )
    return found[0], [tuple(span) for span in spans.tolist()], [tuple(mark) for mark in marks.tolist()]


def by_the_rules(
    shelf: Shelf, order: Sequence[int], limit: int, notes: tuple[int, int, int] | None = NOTES,
    words: dict[str, float] | None = None, *, vectors: bool = True, pieces: int = 3,
) -> tuple[Any, list[tuple[int, ...]], list[tuple[int, ...]]]:  # fmt: skip
    """The same by the oracle."""
    tokens, _ = shelf.open(vectors)
    asked_words = ASKED if words is None else words
    idfs = [*asked_words.values(), *(GRAMS.values() if words is None else ())]
    asked = ask(tokens, asked_words, GRAMS if words is None else {})
    total = sum(asked_words.values()) or sum(idfs)
    shown = sorted(dict.fromkeys(row for row in order if shelf.rows[row]))
    matches = {row: tokens.matches(asked, np.array([row]))[0] for row in shown}
    units, rows, follows, scores = list[Unit](), list[int](), list[bool](), list[float]()
    for row in shown:
        for place, (unit, piece) in enumerate(zip(shelf.units[row], shelf.rows[row], strict=True)):
            begin = shelf.units[row][place - 1].end if place else 0
            held = {term for start, _, term in matches[row] if begin <= start < unit.end}
            score = WORDS * (sum(idfs[term] for term in held) / total if total else 0)
            score += COSINE * (piece.near / 64 if vectors else 0) + RANK * _rank(order, row)
            score += sum(worth for flag, worth in KINDS.items() if unit.flags & flag)
            score += TINY if unit.end - unit.start < TINY_CHARS else 0
            joined = bool(rows) and (rows[-1] == row or _next_row(shelf, rows[-1]) == row)
            follows.append(joined and not unit.flags & FIRST)
            units.append(unit)
            rows.append(row)
            scores.append(score)
    if not units:
        return None, [], []
    page = Page(units, rows, follows, scores, limit, notes, BESIDE, NEAR, pieces)
    chosen = choose(page)
    spans: list[tuple[int, ...]] = []
    marks: list[tuple[int, ...]] = []
    for place in sorted(chosen.places):
        unit, row = units[place], rows[place]
        if place - 1 in chosen.places and rows[place - 1] == row and not chosen.cut:
            spans[-1] = (*spans[-1][:2], unit.end, 0, 0)
        else:
            spans.append((row, unit.start, unit.end, 0, 0))
    if chosen.cut:
        *heads, (row, start, end, *_) = spans
        room = room_of(limit) - sum(stop - begin + 3 for _, begin, stop, *_ in heads)
        least = max(room - _cost_of(chosen, notes), (room + 1) // 2)
        begin, stop = cut_sentence((start, end), matches[row], [span for _, span in shelf.words(row)], idfs, least)
        spans[-1] = (row, begin, stop, int(begin > start), int(stop < end))
    for row, start, end, *_ in spans:
        own = [(first, last, term >= len(asked_words)) for first, last, term in matches[row]]
        marks += [(row, *mark) for mark in marks_of((start, end), own, [span for _, span in shelf.words(row)])]
    tokens_of = sum(units[place].tokens for place in chosen.places)
    return (rows[chosen.best], chosen.said, chosen.steps, tokens_of), spans, marks


def _cost_of(chosen: Chosen, notes: tuple[int, int, int] | None) -> int:
    """Characters of the notes that are to be said."""
    if notes is None:
        return 0
    steps = notes[0] + sum(len(str(number)) for number in (*chosen.steps[:2], chosen.steps[3]))
    return sum(size for size, flag in ((notes[1], 1), (notes[2], 2), (steps, 4)) if chosen.said & flag)


def _rank(order: Sequence[int], row: int) -> int:
    return list(order).index(row)


def _next_row(shelf: Shelf, row: int) -> int:
    """The next row with a unit: their units stand one behind the other."""
    return next((other for other in range(row + 1, len(shelf.rows)) if shelf.rows[other]), -1)


# The rules in plain Python

SHAPES: Final = [0, 0, 0, STEP, STEP, ITEM, INSIDE, INSIDE, ROW, ROW, HEAD, ROW | INSIDE]
SIGNS: Final = [TIED, TIED, DANGLING, LEADS, WARNS, ASKS, NUMBERS, RULES, AGAIN, FIRST]


@st.composite
def some_piece(draw: st.DrawFn) -> Piece:
    flags = draw(st.sampled_from(SHAPES))
    for sign in draw(st.lists(st.sampled_from(SIGNS), max_size=2)):
        flags |= sign
    terms = draw(st.lists(st.tuples(st.sampled_from([*ASKED, "other", "x"]), st.integers(0, 30)), max_size=4))
    total = draw(st.integers(1, 4)) if flags & STEP else 0
    return Piece(
        draw(st.integers(1, 60)), flags, draw(st.integers(0, 3)), draw(st.integers(1, 4)) if flags & STEP else 0,
        total, tuple(terms), draw(st.integers(-64, 64)),
    )  # fmt: skip


@st.composite
def some_shelf(draw: st.DrawFn) -> Shelf:
    rows = draw(st.lists(st.lists(some_piece(), max_size=9).map(tuple), min_size=1, max_size=4))
    ends = [draw(st.sampled_from([0, 0, 0, BEFORE_TIED, BEFORE_WARNING])) for _ in rows]
    told = [
        (*row[:-1], replace(row[-1], flags=row[-1].flags | end)) if row else row
        for row, end in zip(rows, ends, strict=True)
    ]
    return Shelf(tuple(told))


class HelpCentre:
    """Passages as a help centre has them: sentences with their restrictions, lists, tables, boxes."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def page(self) -> Shelf:
        """An article, some of its blocks cut between two passages."""
        chance, rows = self._chance, list[list[Piece]]([[]])
        for _ in range(chance.randint(2, 6)):
            block = chance.choice([self.prose, self.prose, self.steps, self.items, self.table])()
            block += [self.piece(TIED)] if chance.random() < 0.3 else []
            place = chance.randint(1, len(block)) if chance.random() < 0.4 else len(block)
            rows[-1] += block[:place]
            rows += [block[place:]] if place < len(block) else []
            rows += [[]] if chance.random() < 0.2 else []
        for own, after in pairwise(rows):
            if own and after:
                own[-1], after[0] = self._told(own[-1], after[0])
        return Shelf(tuple(map(tuple, rows)))

    def _told(self, last: Piece, first: Piece) -> tuple[Piece, Piece]:
        more = (BEFORE_TIED if first.flags & TIED else 0) | (BEFORE_WARNING if first.flags & WARNS else 0)
        begins = FIRST if self._chance.random() < 0.2 else 0
        return replace(last, flags=last.flags | more), replace(first, flags=first.flags | begins)

    def piece(self, flags: int = 0, number: int = 0, total: int = 0) -> Piece:
        chance = self._chance
        terms = [(chance.choice([*ASKED, "other", "x"]), chance.randint(0, 30)) for _ in range(chance.randint(0, 3))]
        gap, near = chance.choice([0, 0, 1]), chance.randint(-64, 64)
        return Piece(chance.randint(5, 45), flags, gap, number, total, tuple(terms), near)

    def some(self, most: int, *flags: int) -> list[Piece]:
        return [self.piece(self._chance.choice(flags)) for _ in range(self._chance.randint(0, most))]

    def prose(self) -> list[Piece]:
        signs = [0, 0, 0, TIED, TIED, DANGLING, DANGLING, DANGLING | TIED, LEADS, ASKS, NUMBERS, WARNS]
        return [self.piece(), *self.some(4, *signs)]

    def steps(self) -> list[Piece]:
        total, found = self._chance.randint(1, 4), list[Piece]()
        for number in range(1, total + 1):
            inside = self.some(2, INSIDE, INSIDE, INSIDE | TIED, INSIDE | DANGLING) if number % 2 else []
            found += [self.piece(STEP, number, total), *inside]
            found += self.some(1, TIED, WARNS, 0) if self._chance.random() < 0.3 else []
        return found

    def items(self) -> list[Piece]:
        return [self.piece(ITEM), *self.some(3, ITEM, ITEM, INSIDE)]

    def table(self) -> list[Piece]:
        return [self.piece(HEAD), *self.some(4, ROW, ROW, ROW, ROW | INSIDE)]


def help_page(chance: random.Random) -> Shelf:
    return HelpCentre(chance).page()


def agrees(shelf: Shelf, order: Sequence[int], limit: int, *, said: bool, vectors: bool, pieces: int) -> None:
    notes = NOTES if said else None
    record, spans, marks = quoted(shelf, order, limit, notes, vectors=vectors, pieces=pieces)
    expected, expected_spans, expected_marks = by_the_rules(shelf, order, limit, notes, vectors=vectors, pieces=pieces)
    assert spans == expected_spans
    assert marks == expected_marks
    if expected is not None:
        steps = tuple(int(record[name]) for name in ("first", "last", "steps", "total"))
        assert (record["row"], record["notes"], steps, record["tokens"]) == expected


@settings(max_examples=150, deadline=None)
@given(
    shelf=some_shelf(),
    limit=st.integers(1, 40) | st.integers(40, 200) | st.just(5000),
    chance=st.randoms(use_true_random=False),
    said=st.booleans(),
    vectors=st.booleans(),
    pieces=st.integers(1, 4),
)
def test_of_any_units_is_quoted_what_the_rules_quote(
    shelf: Shelf,
    limit: int,
    chance: random.Random,
    said: bool,  # noqa: FBT001 - a property
    vectors: bool,  # noqa: FBT001
    pieces: int,
) -> None:
    order = chance.sample(range(len(shelf.rows)), chance.randint(1, min(3, len(shelf.rows))))
    agrees(shelf, order, limit, said=said, vectors=vectors, pieces=pieces)


@pytest.mark.parametrize("seed", range(10))
def test_of_help_pages_is_quoted_what_the_rules_quote(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable
    for _ in range(25):
        shelf = help_page(chance)
        order = chance.sample(range(len(shelf.rows)), min(len(shelf.rows), chance.randint(1, 3)))
        for limit in [*chance.sample(range(1, 60), 4), *chance.sample(range(60, 250), 12)]:
            agrees(shelf, order, limit, said=limit % 4 > 0, vectors=limit % 5 > 0, pieces=1 + limit % 3)


# The rules by hand


def row(*pieces: Piece) -> Shelf:
    return Shelf((pieces,))


def shown(shelf: Shelf, limit: int, **options: Any) -> tuple[list[tuple[int, int]], int]:
    """Spans of the first row's quotation, and its notes."""
    record, spans, _ = quoted(shelf, [0], limit, **options)
    return [(start, end) for _, start, end, *_ in spans], int(record["notes"])


BEST: Final = Piece(20, near=64)
OTHER: Final = Piece(20, gap=0, near=-64)


def test_a_sentence_is_shown_with_its_restrictions_or_it_is_said_that_there_are_some() -> None:
    page = row(BEST, Piece(20, TIED, 0), Piece(10, TIED, 0), OTHER)
    assert shown(page, 50) == ([(0, 50)], 0)
    assert shown(page, 49) == ([(0, 40)], NOTE_RESTRICTION)  # 7 for the note
    assert shown(page, 46) == ([(0, 20)], NOTE_RESTRICTION)
    assert shown(page, 46, notes=None) == ([(0, 40)], NOTE_RESTRICTION)
    assert shown(page, 26) == ([(0, 20)], NOTE_RESTRICTION)  # no room for the note, and the sentence stays whole
    assert shown(page, 20) == ([(0, 20)], NOTE_RESTRICTION)


def test_a_restriction_behind_a_list_is_one_of_every_item() -> None:
    page = row(Piece(20, ITEM, near=64), Piece(20, ITEM), Piece(30, TIED))
    assert shown(page, 40) == ([(0, 20)], NOTE_RESTRICTION)
    assert shown(page, 100) == ([(0, 72)], 0)


def test_a_row_is_shown_with_the_head_of_its_table_when_that_fits() -> None:
    page = row(Piece(12, HEAD), Piece(20, ROW), Piece(20, ROW, near=64))
    assert shown(page, 35) == ([(0, 12), (34, 54)], 0)
    assert shown(page, 34) == ([(34, 54)], 0)
    assert shown(page, 60) == ([(0, 54)], 0)


def test_a_row_that_is_cut_is_shown_with_the_head_of_its_table_when_that_leaves_room() -> None:
    page = row(Piece(12, HEAD), Piece(200, ROW, near=64))
    _, spans, _ = quoted(page, [0], 40)
    assert [span[:2] for span in spans] == [(0, 0), (0, 13)]
    assert sum(end - start for _, start, end, *_ in spans) + 3 <= 38
    _, spans, _ = quoted(page, [0], 30)
    assert [span[:2] for span in spans] == [(0, 13)]


def test_what_points_back_is_shown_with_what_it_points_to_when_that_fits() -> None:
    page = row(OTHER, Piece(20, 0, 0), Piece(20, DANGLING, 0), Piece(20, DANGLING, 0, near=64))
    assert shown(page, 60) == ([(20, 80)], 0)
    assert shown(page, 59) == ([(40, 80)], 0)
    assert shown(page, 39) == ([(60, 80)], 0)


def test_a_bare_reply_to_a_heading_is_not_added_to_what_another_section_says() -> None:
    reply = FIRST | DANGLING | LEADS
    shelf = Shelf(
        ((Piece(20, FIRST, near=64),), (Piece(10, reply, near=63), Piece(20, near=-64)), (Piece(20, FIRST, near=62),))
    )
    _, spans, _ = quoted(shelf, [0, 1, 2], 100)
    assert [span[:3] for span in spans] == [(0, 0, 20), (2, 0, 20)]
    _, spans, _ = quoted(shelf, [1], 31)
    assert [span[:3] for span in spans] == [(1, 0, 31)]
    shelf = Shelf(((Piece(10, FIRST | DANGLING), Piece(20, near=64)),))
    assert shown(shelf, 31) == ([(0, 31)], 0)


def test_the_middle_of_an_item_is_shown_with_its_beginning() -> None:
    page = row(Piece(10, STEP, 0, 1, 1), Piece(30, INSIDE), Piece(20, INSIDE, near=64))
    assert shown(page, 62) == ([(0, 62)], 0)
    assert shown(page, 40) == ([(0, 10), (42, 62)], 0)


def test_what_introduces_is_not_the_last_to_be_shown() -> None:
    page = row(Piece(20, LEADS, near=64), Piece(10, STEP, 1, 1, 2), Piece(10, STEP, 1, 2, 2))
    assert shown(page, 42) == ([(0, 42)], 0)
    assert shown(page, 40) == ([(0, 31)], NOTE_STEPS)


def test_steps_are_shown_whole_or_counted() -> None:
    page = row(*(Piece(20, STEP, 1, number, 3, near=32 * (number == 2)) for number in (1, 2, 3)))
    record, spans, _ = quoted(page, [0], 55)
    assert (spans, record["notes"]) == ([(0, 0, 41, 0, 0)], NOTE_STEPS)
    assert [record[name] for name in ("first", "last", "steps", "total")] == [1, 2, 2, 3]
    assert shown(page, 62) == ([(0, 62)], 0)


def test_of_two_lists_one_is_shown_in_part() -> None:
    """There is one note for one list."""
    first = [Piece(20, STEP, 1, number, 2, near=64) for number in (1, 2)]
    other = [Piece(20, STEP, 1, number, 2, near=50) for number in (1, 2)]
    page = Shelf((tuple(first), (Piece(30),), tuple(other)))
    record, spans, _ = quoted(page, [0, 2], 73)
    assert (spans, record["notes"]) == ([(0, 0, 41, 0, 0), (2, 0, 20, 0, 0)], NOTE_STEPS)
    assert [record[name] for name in ("first", "last", "steps", "total")] == [1, 1, 1, 2]
    assert quoted(page, [0, 2], 72)[1] == [(0, 0, 41, 0, 0)]
    assert quoted(page, [0, 2], 39)[1] == [(0, 0, 20, 0, 0)]  # and not a step of the other one, which would fit
    _, spans, _ = quoted(page, [0, 2], 100)
    assert spans == [(0, 0, 41, 0, 0), (2, 0, 41, 0, 0)]


def test_a_warning_that_follows_is_said() -> None:
    page = row(BEST, OTHER, Piece(30, WARNS, near=-64))
    assert shown(page, 45) == ([(0, 40)], NOTE_WARNING)
    assert shown(page, 71) == ([(0, 71)], 0)
    assert shown(row(Piece(30, WARNS), BEST), 40) == ([(31, 51)], 0)


def test_what_the_next_passage_begins_with_is_known() -> None:
    """It is shown where that passage may be quoted, else said."""
    here, there = (Piece(20, BEFORE_TIED, near=64),), (Piece(20, TIED), Piece(20))
    page = Shelf((here, there))
    record, spans, _ = quoted(page, [0], 100)
    assert (len(spans), record["notes"]) == (1, NOTE_RESTRICTION)
    record, spans, _ = quoted(page, [1, 0], 44)
    assert (spans, record["notes"]) == ([(0, 0, 20, 0, 0), (1, 0, 20, 0, 0)], 0)
    warned = Shelf(((Piece(20, BEFORE_WARNING, near=64),), (Piece(20, WARNS, near=30),)))
    assert quoted(warned, [0], 100)[0]["notes"] == NOTE_WARNING
    assert quoted(warned, [0, 1], 100)[0]["notes"] == 0


def test_a_section_does_not_restrict_the_one_before_it() -> None:
    page = Shelf(((BEST,), (Piece(20, TIED | FIRST), OTHER)))
    assert quoted(page, [0, 1], 30)[0]["notes"] == 0


def test_the_question_again_is_shown_for_want_of_anything_else() -> None:
    again = Piece(20, ASKS | AGAIN, near=64)
    assert shown(row(again, OTHER), 100) == ([(20, 40)], 0)
    assert shown(row(again), 100) == ([(0, 20)], 0)
    assert shown(row(again, Piece(10, HEAD)), 100) == ([(0, 20)], 0)


def test_one_unit_longer_than_the_limit_is_cut_between_words() -> None:
    words = tuple((word, at) for at, word in enumerate(["other", "返品", "other", "送料", "other", "期間"] * 5))
    shelf = row(Piece(300, terms=words, near=64))
    record, [(_, start, end, before, after)], marks = quoted(shelf, [0], 40)
    assert record["notes"] == 0
    assert end - start <= 38
    assert (before, after) == (start > 0, end < 300)
    assert all(not first < cut < last for _, (first, last) in shelf.words(0) for cut in (start, end))
    assert marks


@pytest.mark.parametrize("limit", range(1, 41))
def test_in_the_smallest_room_something_is_shown(limit: int) -> None:
    long = row(Piece(100, TIED | STEP, 0, 2, 5, (("返品", 50),), near=64), Piece(50, TIED))
    for notes in (NOTES, None):
        _, [(_, start, end, *_)], _ = quoted(long, [0], limit, notes)
        assert 0 < end - start <= limit


def test_without_a_vector_or_a_known_word_the_best_passage_begins() -> None:
    page = Shelf(((OTHER, OTHER), (BEST, OTHER)))
    for order, first in (([0, 1], 0), ([1, 0], 1)):
        _, spans, marks = quoted(page, order, 20, words={}, vectors=False)
        assert (spans, marks) == ([(first, 0, 20, 0, 0)], [])


def test_rows_that_show_one_text_are_quoted_once() -> None:
    """An alias has the units of its article's first passage; a row without any takes nobody's."""
    tokens, quotes = Shelf(((BEST,), (OTHER,), (OTHER,))).open()
    units = np.array([(0, 20, 0, 0, 0, 1), (0, 20, 0, 0, 0, 1)], np.uint16).ravel()
    asked = ask(tokens, ASKED, {})
    for rows, order, expected in (
        ([(0, 1), (0, 1), (1, 1)], [1, 0, 2], [(1, 0, 20), (2, 0, 20)]),
        ([(0, 0), (0, 1), (1, 1)], [0, 1, 2], [(1, 0, 20), (2, 0, 20)]),
    ):
        quotes = structures.Quotes(units, np.array(rows, np.uint32).ravel(), None)
        ends = np.array([3], np.int64)
        _, spans, _ = native.quote_articles(
            tokens.opened[0],
            quotes,
            asked,
            None,
            np.array(order, np.int64),
            ends,
            *all_alike(quoting(200), len(ends)),
        )
        assert [tuple(span)[:3] for span in spans.tolist()] == expected


def test_a_run_of_grams_marks_words_that_it_covers_by_half() -> None:
    words = [(0, 4), (4, 8), (8, 10)]
    with tempfile.TemporaryDirectory() as folder:
        with TokenWriter(Path(folder) / "tokens") as writer:
            grams = [("g1", (2, 4)), ("g2", (3, 5)), ("g3", (8, 9)), ("g4", (20, 22)), ("g5", (21, 23))]
            terms = ["a", "b", "c"], words
            writer.add_text("t", terms, ([term for term, _ in grams], [span for _, span in grams]))
            writer.add_row("t", ("t", "t", "t"), [("t", 1)])
        tokens = TokenIndex(Path(folder) / "tokens", 1)
    asked = ask(tokens, {}, {"g1": 1.0, "g2": 1.0, "g3": 1.0, "g4": 1.0, "g5": 1.0})
    quotes = structures.Quotes(np.array([0, 30, 0, 0, 0, 1], np.uint16), np.array([0, 1], np.uint32), None)
    *_, marks = native.quote_articles(
        tokens.opened[0],
        quotes,
        asked,
        None,
        np.zeros(1, np.int64),
        np.ones(1, np.int64),
        *all_alike(quoting(100), 1),
    )
    assert marks.tolist() == [(0, 0, 4), (0, 8, 10), (0, 20, 23)]  # half of the first, a quarter of the second word


def test_articles_are_quoted_each_by_itself() -> None:
    chance = random.Random(4)  # noqa: S311 - repeatable
    shelf = help_page(chance)
    tokens, quotes = shelf.open()
    asked = ask(tokens, ASKED, GRAMS)
    orders = [[row] for row in range(len(shelf.rows))] + [[0, 1]]
    rows = np.array([row for order in orders for row in order], np.int64)
    ends = np.cumsum([len(order) for order in orders], dtype=np.int64)
    alike = all_alike(quoting(120), len(ends))
    found, spans, marks = native.quote_articles(tokens.opened[0], quotes, asked, VECTOR, rows, ends, *alike)
    first = [0, 0]
    for record, order in zip(found, orders, strict=True):
        _, own_spans, own_marks = quoted(shelf, order, 120)
        assert [tuple(span) for span in spans[first[0] : record["spans"]].tolist()] == own_spans
        assert [tuple(mark) for mark in marks[first[1] : record["marks"]].tolist()] == own_marks
        first = [record["spans"], record["marks"]]


def test_products_of_codes_are_those_of_double_precision_and_the_same_wherever_they_stand() -> None:
    chance = np.random.default_rng(3)
    for width in (1, 15, 16, 33, 384):
        codes = chance.integers(-127, 128, (40, width)).astype(np.int8)
        codes[::2] = codes[0]
        vector = chance.standard_normal(width).astype(np.float32)
        units = np.array([(21 * at, 21 * at + 20, 0, 0, 0, 1) for at in range(40)], np.uint16).ravel()
        for chosen in range(0, 40, 7):
            scales = np.full(40, 1e-3, np.float32)
            scales[chosen] = 2e-3 * np.sign(codes[chosen].astype(float) @ vector)
            tokens, _ = row(BEST).open()
            quotes = structures.Quotes(units, np.array([0, 40], np.uint32), (codes, scales))
            _, spans, _ = native.quote_articles(
                tokens.opened[0], quotes, ask(tokens, {}, {}), vector, np.zeros(1, np.int64),
                np.ones(1, np.int64), *all_alike(quoting(20), 1),
            )  # fmt: skip
            products = codes.astype(np.float64) @ vector.astype(np.float64) * scales
            start = int(spans[0]["start"]) // 21
            assert products[start] == pytest.approx(products.max(), rel=1e-5)
            assert start == int(np.flatnonzero(np.isclose(products, products.max(), rtol=1e-6))[0])


def test_a_giant_passage_is_quoted_in_a_moment() -> None:
    for flags in (0, ROW, TIED, STEP, INSIDE, DANGLING, ITEM | TIED):
        shelf = row(*(Piece(9, flags, 1, min(place, 60_000), 3000, near=place % 60) for place in range(3000)))
        for limit in (160, 20_000):
            before = os.times().user
            record, spans, _ = quoted(shelf, [0], limit)
            assert len(spans) > 0
            assert os.times().user - before < 3, (flags, limit)
            assert record["tokens"] > 0


# Files


def folder_of(path: Path, shelf: Shelf, *, vectors: bool = True) -> Path:
    """What a build writes of a shelf."""
    writer = QuoteWriter(path)
    for own in shelf.units:
        writer.add(own)
    writer.repeat(0)
    writer.close()
    if vectors:
        many = sum(map(len, shelf.units))
        matrix = np.random.default_rng(1).standard_normal((many, WIDTH)).astype(np.float32)
        keys = [f"{number:064x}" for number in range(many)]
        writer.write_vectors(keys, [matrix[:3], matrix[3:]], WIDTH)
    return path


SHELF: Final = help_page(random.Random(12))  # noqa: S311 - repeatable


def quotations(path: Path, spread: float = 0.1, limits: Sequence[int] = (30, 60, 160)) -> list[list[Quotation]]:
    """All that a folder gives for some questions."""
    tokens, _ = SHELF.open()
    asked = ask(tokens, ASKED, GRAMS)
    index = QuoteIndex(path, len(SHELF.rows) + 1, spread, WIDTH)
    articles = [[row] for row in range(len(SHELF.rows))] + [list(range(min(3, len(SHELF.rows))))]
    return [
        index.quote(tokens.opened, asked, vector, articles, limit, [NOTES] * len(articles), (limit < 50, limit < 100))
        for limit in limits
        for vector in (VECTOR, None)
    ]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    shelf = Shelf(((BEST, OTHER, Piece(40, TIED)), (), (Piece(7), OTHER)))
    tokens, _ = shelf.open()
    index = QuoteIndex(folder_of(tmp_path / "quotes", shelf), 4, 0.1, WIDTH)
    asked = ask(tokens, ASKED, GRAMS)
    found = index.quote(tokens.opened, asked, VECTOR, [[0], [1], [2], [2, 0]], 10_000, [NOTES] * 4)
    assert [[tuple(span) for span in each.spans] for each in found] == [
        [(0, 0, 81, False, False)],
        [],
        [(2, 0, 27, False, False)],
        [(0, 0, 81, False, False), (2, 0, 27, False, False)],
    ]
    assert [each.tokens for each in found] == [6, 0, 3, 9]
    path = folder_of(tmp_path / "again", SHELF)
    assert quotations(path) == quotations(path)


def test_units_too_far_into_a_giant_passage_are_left_out(tmp_path: Path) -> None:
    writer = QuoteWriter(tmp_path / "quotes")
    far = [Unit(0, 10), Unit(11, 65_535), Unit(65_536, 65_540), Unit(65_541, 70_000)]
    assert (writer.add(far), writer.add([])) == (2, 0)
    writer.repeat(0)
    writer.close()
    assert np.load(tmp_path / "quotes" / "rows.npy").tolist() == [0, 2, 2, 0, 0, 2]
    assert np.load(tmp_path / "quotes" / "units.npy").reshape(-1, 6)[:, :2].tolist() == [[0, 10], [11, 65_535]]


def test_what_a_build_reads_back_and_writes_again_is_the_same(tmp_path: Path) -> None:
    """Else vectors would drift from build to build, and a build after edits would differ from a whole one."""
    chance = np.random.default_rng(2)
    matrix = chance.standard_normal((500, WIDTH)).astype(np.float32) * 10.0 ** chance.integers(-9, 9, (500, 1))
    matrix = np.vstack([matrix, np.zeros((1, WIDTH)), np.eye(1, WIDTH)]).astype(np.float32)
    keys = [f"{number:064x}" for number in range(len(matrix))]
    for path in ("first", "second"):
        writer = QuoteWriter(tmp_path / path)
        writer.close()
        writer.write_vectors(keys, [matrix], WIDTH)
        codes, scales = (np.load(tmp_path / path / f"{name}.npy") for name in ("codes", "scales"))
        assert np.abs(codes.astype(int)).max() == 127
        errors = np.abs(codes * scales[:, None].astype(np.float64) - matrix).max(axis=1)
        assert (errors <= 0.51 * np.maximum(scales, 1e-38)).all()
        matrix = codes * scales[:, None]
    for name in ("codes", "scales", "keys"):
        assert (tmp_path / "first" / f"{name}.npy").read_bytes() == (tmp_path / "second" / f"{name}.npy").read_bytes()


def test_a_corpus_without_spread_or_a_limit_without_bounds_is_quoted(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "quotes", SHELF)
    for spread in (0.0, -1.0, float("nan")):
        assert [len(found) for found in quotations(path, spread)] == [len(SHELF.rows) + 1] * 6
    assert quotations(path, limits=(10**30,)) == quotations(path, limits=(10**6,))


def test_rows_of_a_delta_are_numbered_behind_those_of_the_base(tmp_path: Path) -> None:
    tokens, _ = SHELF.open()
    asked, rows = ask(tokens, ASKED, GRAMS), len(SHELF.rows) + 1
    base, delta = folder_of(tmp_path / "base", SHELF), folder_of(tmp_path / "delta", SHELF, vectors=False)
    both = QuoteIndex(base, rows, 0.1, WIDTH, QuoteIndex(delta, rows, 0.1, WIDTH))
    opened = [*tokens.opened, *tokens.opened]
    own, added = both.quote(opened, asked, None, [[0, 1], [rows, rows + 1]], 80, None)
    assert {span.row for span in own.spans} <= {0, 1}
    assert added.row == own.row + rows
    assert [(span.row - rows, *span[1:]) for span in added.spans] == [tuple(span) for span in own.spans]
    assert [(row - rows, *mark) for row, *mark in added.marks] == [tuple(mark) for mark in own.marks]


@pytest.mark.parametrize("rows", [0, 1, 99])
def test_another_number_of_rows_is_damage(tmp_path: Path, rows: int) -> None:
    with pytest.raises(IndexCorrupt, match=f"the units of {rows} rows"):
        QuoteIndex(folder_of(tmp_path / "quotes", SHELF), rows, 0.1, WIDTH)


def test_vectors_of_another_length_are_damage(tmp_path: Path) -> None:
    with pytest.raises(IndexCorrupt, match=r"codes\.npy"):
        QuoteIndex(folder_of(tmp_path / "quotes", SHELF), len(SHELF.rows) + 1, 0.1, WIDTH + 1)


@pytest.mark.parametrize("scale", [np.nan, np.inf, -np.inf])
def test_a_scale_that_is_no_number_is_damage(tmp_path: Path, scale: float) -> None:
    path = folder_of(tmp_path / "quotes", SHELF)
    np.save(path / "scales.npy", np.full_like(np.load(path / "scales.npy"), scale))
    with pytest.raises(IndexCorrupt):
        quotations(path)


@pytest.mark.parametrize("asked_row", [-1, 1000, 2**40])
def test_a_row_that_is_not_there_is_damage(tmp_path: Path, asked_row: int) -> None:
    tokens, _ = SHELF.open()
    index = QuoteIndex(folder_of(tmp_path / "quotes", SHELF), len(SHELF.rows) + 1, 0.1, WIDTH)
    with pytest.raises(IndexCorrupt):
        index.quote(tokens.opened, ask(tokens, ASKED, {}), None, [[0, asked_row]], 80, None)


def outcomes_of(kind: str, folder: Path) -> dict[str, Counter[str]]:
    """What became of reading for each damage, by column."""
    folder_of(folder / "quotes", SHELF)
    done = subprocess.run(
        [sys.executable, __file__, kind, folder / "quotes"], capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr
    return {name: Counter(outcomes) for name, outcomes in json.loads(done.stdout).items()}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("cut", {"IndexCorrupt"}),
        ("resize", {"IndexCorrupt"}),
        ("flip", {"IndexCorrupt", "answered", "answered the same"}),
        ("lead elsewhere", {"IndexCorrupt", "answered", "answered the same"}),
    ],
)
def test_damage_is_noticed_or_answered(tmp_path: Path, kind: str, expected: set[str]) -> None:
    """Whichever number leads elsewhere: no foreign error, no crash, no hang."""
    found = outcomes_of(kind, tmp_path)
    assert found.keys() == {"units", "rows", "codes", "scales"}
    assert {outcome for outcomes in found.values() for outcome in outcomes} <= expected
    assert sum(outcomes["IndexCorrupt"] for outcomes in found.values()) > 10


# One damage after the other, each in a process of its own.

ODD_NUMBERS: Final = (0, 1, 7, 100, 127, -128, 65_535, 2**31 - 1, 2**32 - 1)


def _damaged(kind: str, file: Path) -> list[bytes]:
    """Damaged contents of a file."""
    content, chance = file.read_bytes(), random.Random(file.name)  # noqa: S311 - repeatable
    head, column = 128, np.load(file)
    if kind == "cut":
        return [content[:size] for size in [0, 1, 50, head, *chance.sample(range(head, len(content)), 8)]]
    if kind == "resize":
        return [column_of(column[:-1]), column_of(np.append(column, column[-1:], axis=0)), column_of(column[:0])]
    if kind == "flip":
        places = [*range(head), *chance.sample(range(head, len(content)), min(60, len(content) - head))]
        masks = [chance.choice([0xFF, 1, 2, 16, 128]) for _ in places]
        return [
            content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :]
            for at, mask in zip(places, masks, strict=True)
        ]
    found = []
    for place in chance.sample(range(column.size), min(12, column.size)):
        for odd in ODD_NUMBERS:
            if not np.issubdtype(column.dtype, np.integer) or odd in range(
                int(np.iinfo(column.dtype).min), int(np.iinfo(column.dtype).max) + 1
            ):
                changed = column.copy()
                changed.flat[place] = odd
                found.append(column_of(changed))
    return [*found, *(column_of(np.full_like(column, odd)) for odd in (0, 1, 127))]


if __name__ == "__main__":
    kind_, folder_ = sys.argv[1], Path(sys.argv[2])
    files_ = [file for file in sorted(folder_.iterdir()) if file.stem != "keys"]  # only a build reads those
    tell_outcomes(lambda: repr(quotations(folder_)), files_, partial(_damaged, kind_))
