"""Fill a budget with an answer: more of the sure hit, less of the doubtful, never a part of a unit.

Each hit gets a share of the budget by how likely it answers. Within its share it is shown as deep as fits: the article,
the section, the sentences that answer, the title. What a hit leaves over goes to the next, and what is left in the end
to the first ones again. Everything counts: titles, what stands between, and in HTML the tags.

Use: ``fill(hits, outcome, confidence, lang, budget, source)``, where ``source`` fetches the texts.
"""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from kbsearch.errors import BadQuery
from kbsearch.forms import FORMS, render_line
from kbsearch.views import PRESETS, Budget, Cost, Disclosed, Disclosure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kbsearch.forms import Form
    from kbsearch.results import Hit, Outcome, Snippet
    from kbsearch.views import Related

__all__ = ["Source", "fill", "parse_budget"]

_TITLE, _SNIPPET, _SECTION, _ARTICLE = range(4)
_AMOUNT: Final = re.compile(r"\s*([0-9]{1,9})\s*(characters?|tokens?|)\s*")
_UNSURE: Final = 0.5  # of the first hit where nobody tells
_HALF: Final = 0.5  # each further hit is taken to be so much less likely
_FEWEST: Final = {"characters": 60, "tokens": 30}  # less says nothing: then fewer hits are shown
_LONGEST_SNIPPET: Final = 1_200
_LONG_SNIPPET: Final = 320  # where nothing deeper is wanted
_TRIES: Final = 5
_MOST_UNLIKELY: Final = 3
_CONTACT: Final = {True: "お問い合わせ: ", False: "Contact us: "}


class Source(Protocol):
    """Where the texts come from."""

    def snippet(self, place: int, limit: int) -> Snippet:
        """The sentences of a hit that answer, in at most so many characters."""

    def written(self, place: int, handle: str, level: int, form: Form, *, is_titled: bool) -> str:
        """The section (2) or the article (3) of a hit in a form; ``handle`` names the section.

        ``is_titled``: the title stands above it already.
        """

    def count(self, text: str) -> int:
        """Tokens."""

    def contact(self, lang: str) -> Related | None:
        """The article that says how to reach a person."""


def parse_budget(given: int | str | Budget) -> Budget:
    """Read a budget: a number of characters, a preset or a number as text, or a :class:`kbsearch.views.Budget`.

    Text may name the unit: ``"1200"``, ``"1200 characters"``, ``"8000 tokens"``.

    Raises
    ------
    BadQuery
    """
    if isinstance(given, str):
        given = _from_text(given)
    if isinstance(given, int) and not isinstance(given, bool):
        given = Budget(given)
    if not isinstance(given, Budget):
        raise BadQuery(f"A budget is a number of characters, a preset or a Budget, not {given!r}.")
    if given.unit not in _FEWEST:
        raise BadQuery(f"A budget counts characters or tokens, not {given.unit!r}.")
    if given.form not in FORMS:
        raise BadQuery(f"There is no form “{given.form}”. Known are: {', '.join(FORMS)}.")
    if given.amount < 1 or given.most < 1 or not _TITLE <= given.deepest <= _ARTICLE:
        raise BadQuery("A budget has an amount and a number of articles of 1 or more, and a level from 0 to 3.")
    return given


def _from_text(text: str) -> Budget:
    if text in PRESETS:
        return PRESETS[text]
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise BadQuery(
            f"There is no budget “{text}”. Known are: {', '.join(PRESETS)}, or a number such as 1200 or “8000 tokens”."
        )
    return Budget(int(match[1]), "tokens" if match[2].startswith("t") else "characters")


def fill(
    hits: Sequence[Hit], outcome: Outcome, confidence: float | None, lang: str, budget: Budget, source: Source
) -> Disclosure:
    """Fill a budget; see the module. ``lang`` is the reader's language."""
    asked = budget
    if outcome == "hand_over":  # likely none of them: no more than what shows that
        budget = replace(budget, most=min(budget.most, _MOST_UNLIKELY), deepest=min(budget.deepest, _SNIPPET))
    filler = _Filler(budget, source)
    contact = filler.contact(lang) if outcome == "hand_over" else None
    room = budget.amount - (filler.taken(contact) + filler.joint if contact else 0)
    several = max(1, min(budget.most, len(hits), room // _FEWEST[budget.unit]))
    shares = _shares(several, _UNSURE if confidence is None else confidence)
    parts: dict[int, Disclosed] = {}
    spare = 0.0
    for place, share in enumerate(shares[: len(hits)]):
        spare += room * share
        joint = filler.joint if parts else 0
        part = filler.deepest(place, hits[place], int(spare) - joint)
        if part is not None:
            parts[place] = part
            spare -= filler.taken(part) + joint
    for place, part in list(parts.items()):  # what is left over goes to the likeliest
        used = filler.size(filler.joined(parts.values()))
        better = filler.deepest(place, hits[place], room - used + filler.taken(part), deeper_than=part)
        if better is not None and filler.size(filler.joined({**parts, place: better}.values())) <= room:
            parts[place] = better
    shown = [*parts.values(), *([contact] if contact else [])]
    while shown and filler.size(filler.joined(shown)) > budget.amount:  # the tokens of parts do not just add up
        shown.pop()
    text = filler.joined(shown)
    opened = {part.handle for part in shown}
    left_out = tuple(hit.handle for hit in hits if hit.handle not in opened)
    return Disclosure(asked, text, tuple(shown), Cost(len(text), source.count(text)), left_out)


def _shares(several: int, confidence: float) -> list[float]:
    weights = [max(confidence, _UNSURE / several)]
    weights += [(1 - confidence) * _HALF**place for place in range(1, several)]
    return [weight / sum(weights) for weight in weights]


class _Filler:
    """Makes the text of a hit as deep as it fits."""

    def __init__(self, budget: Budget, source: Source) -> None:
        self._budget, self._source = budget, source
        self._between = "\n" if budget.form in {"html", "speech"} else "\n\n"
        self.joint = self.size(self._between) + (1 if budget.unit == "tokens" else 0)
        self._is_titled = budget.most > 1 or budget.form in {"html", "markdown"}

    def size(self, text: str) -> int:
        """In the unit of the budget."""
        return len(text) if self._budget.unit == "characters" else self._source.count(text)

    def taken(self, part: Disclosed) -> int:
        """What a part takes, counted when it was made."""
        return self._in_unit(part.cost)

    def _in_unit(self, cost: Cost) -> int:
        return cost.characters if self._budget.unit == "characters" else cost.tokens

    def joined(self, parts: Iterable[Disclosed]) -> str:
        """All parts as one text."""
        return self._between.join(part.text for part in parts)

    def deepest(self, place: int, hit: Hit, room: int, deeper_than: Disclosed | None = None) -> Disclosed | None:
        """The hit as deep as fits into the room; None when nothing does."""
        least = -1 if deeper_than is None else deeper_than.level
        for level in range(self._budget.deepest, _SNIPPET, -1):
            if level > least and self._may_fit(hit, level, room):
                form = self._budget.form
                body = self._source.written(place, hit.section_id, level, form, is_titled=self._is_titled)
                part = self._part(hit, level, body)
                if self.taken(part) <= room:
                    return part
        if least <= _SNIPPET <= self._budget.deepest:
            found = self._snippet(place, hit, room)
            if found is not None and (deeper_than is None or len(found.text) > len(deeper_than.text)):
                return found
        if deeper_than is None:
            part = self._part(hit, _TITLE, "")
            return part if part.text and self.taken(part) <= room else None
        return None

    def contact(self, lang: str) -> Disclosed | None:
        """A line with the way to a person, if it takes no more than half."""
        is_japanese = lang == "ja"
        found = self._source.contact(lang)
        if found is None:
            return None
        is_spoken = self._budget.form == "speech"
        handle = "" if is_spoken else f"（{found.article_id}）" if is_japanese else f" ({found.article_id})"
        text = render_line(f"{_CONTACT[is_japanese]}{found.title}{handle}", (), self._budget.form)
        size = Cost(len(text), self._source.count(text))
        part = Disclosed(found.article_id, found.article_id, found.title, _TITLE, text, size)
        return part if 2 * self.taken(part) <= self._budget.amount else None

    def _may_fit(self, hit: Hit, level: int, room: int) -> bool:
        """Before a giant article is written in another form: one that is far too large in Markdown is too large."""
        if not hit.levels:
            return True
        cost = hit.levels[level].cost
        return self._in_unit(cost) <= 3 * room

    def _snippet(self, place: int, hit: Hit, room: int) -> Disclosed | None:
        left = room - self.taken(self._part(hit, _SNIPPET, ""))
        if left < 1:
            return None
        longest = _LONGEST_SNIPPET if self._budget.deepest > _SNIPPET else _LONG_SNIPPET
        limit = min(left if self._budget.unit == "characters" else 3 * left, longest)
        for _ in range(_TRIES):
            snippet = self._source.snippet(place, limit)
            if not snippet.text or snippet.is_cut:  # then its title says more
                return None
            body = snippet.render(self._budget.form)
            part = self._part(hit, _SNIPPET, f"<p>{body}</p>" if self._budget.form == "html" else body)
            over = self.taken(part) - room
            if over <= 0:
                return part
            limit = min(limit - 1, limit * left // max(1, left + over))
            if limit < 1:
                return None
        return None

    def _part(self, hit: Hit, level: int, body: str) -> Disclosed:
        """The text of a hit with its title above it, where there are several hits."""
        title = hit.title
        match self._budget.form:
            case "html":
                head = f'<h3 data-handle="{html.escape(hit.handle)}">{html.escape(title)}</h3>'
                text = f"<article>{head}{body}</article>"
            case "markdown":
                line = f"**{render_line(title, (), 'markdown')}** ({hit.handle})"
                text = f"{line}\n\n{body}" if body else line
            case "speech":
                text = f"{title}{'。' if hit.lang == 'ja' else '. '}{body}" if self._is_titled or not body else body
            case _:
                text = f"{title}\n{body}" if (self._is_titled and body) else body or title
        cost = Cost(len(text), self._source.count(text))
        return Disclosed(hit.handle, hit.article_id, title, level, text, cost)
