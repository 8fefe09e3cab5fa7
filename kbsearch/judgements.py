"""Judged questions: the two files they come in, a sample of them, and what is left when articles are hidden.

Use: ``read_judgements(queries, qrels)``, then if wanted :func:`sample` and :func:`withhold`.

``queries.jsonl`` has a question a line (``id``, ``text``, and if known ``lang``, ``type``, ``filter``); ``qrels.tsv``
has a header and then ``query_id``, ``article_id``, ``score`` separated by tabs, a score of 1 or more for an article
that answers. Questions of the type ``unanswerable`` have no answer in the knowledge base.

Never: ask an index.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kbsearch.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

__all__ = ["JudgedQuery", "doubts", "read_judgements", "sample", "withhold"]

_UNANSWERABLE = "unanswerable"
_MAX_SCORE_DIGITS = 2  # gains are powers of two
_NAMED = 5


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A question and the articles that answer it.

    ``relevant`` maps article id to a score of 1 or more; ``withheld`` says that every one of them was hidden.
    """

    id: str
    text: str
    lang: str
    type: str
    filter: Mapping[str, Any]
    relevant: Mapping[str, int]
    withheld: bool = False

    @property
    def unanswerable(self) -> bool:
        """Whether it is known that nothing answers; a question that nobody judged is something else."""
        return not self.relevant and (self.withheld or self.type == _UNANSWERABLE)


def read_judgements(queries: Path, qrels: Path) -> list[JudgedQuery]:
    """Read both files.

    Raises
    ------
    ConfigError
        Names the file and the line that cannot be read.
    """
    relevant: dict[str, dict[str, int]] = defaultdict(dict)
    for number, line in enumerate(_lines(qrels), start=1):
        cells = line.split("\t")
        if not line.strip() or (number == 1 and not cells[-1].strip().isdecimal() and len(cells) > 1):
            continue  # a header, where there is one
        if len(cells) != 3 or not cells[2].strip().isdecimal():  # noqa: PLR2004 - the columns named above
            raise ConfigError(f"{qrels}:{number}", "expected query_id, article_id and a whole score, tab-separated")
        if len(cells[2].strip()) > _MAX_SCORE_DIGITS:
            raise ConfigError(f"{qrels}:{number}", "a score is a small whole number, such as 1 or 2")
        if (score := int(cells[2])) > 0:
            relevant[cells[0]][cells[1]] = score
    found = []
    for number, line in enumerate(_lines(queries), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            text, query_id = _text(entry["text"]), str(entry["id"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError(f"{queries}:{number}", f"expected a JSON object with id and text ({error})") from error
        where = entry.get("filter") or {}
        if not isinstance(where, dict):
            raise ConfigError(f"{queries}:{number}", '“filter” is an object such as {"lang": "ja"}')
        query_type, lang = str(entry.get("type", "question")), str(entry.get("lang", ""))
        found.append(JudgedQuery(query_id, text, lang, query_type, where, relevant[query_id]))
    return found


def doubts(queries: Sequence[JudgedQuery], served: Collection[str]) -> list[str]:
    """What makes the figures of a set mean less than they seem to, a sentence each; empty when all is well.

    ``served`` are the ids of the articles that can be found. One that was renamed or hidden since it was judged counts
    as not found in every question, which nobody sees in a mean.
    """
    found = []
    judged = {article for query in queries for article in query.relevant}
    if missing := judged.difference(served):
        questions = sum(not missing.isdisjoint(query.relevant) for query in queries)
        found.append(
            f"{len(missing):,} of {len(judged):,} judged articles cannot be found here, which lowers the figures of "
            f"{questions:,} {'question' if questions == 1 else 'questions'}: {_named(sorted(missing))}"
        )
    if double := sorted(name for name, count in Counter(query.id for query in queries).items() if count > 1):
        said = "1 id is that" if len(double) == 1 else f"{len(double):,} ids are those"
        each = "" if len(double) == 1 else " each"
        found.append(f"{said} of several questions{each}, which share their judgements: {_named(double)}")
    return found


def _named(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def sample(queries: Sequence[JudgedQuery], limit: int, seed: int = 0) -> list[JudgedQuery]:
    """At most so many usable questions of each type and language, by chance but the same for the same seed.

    The order stays; questions that nobody judged stay, to be counted. A greater limit keeps what a smaller one chose.
    """
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, query in enumerate(queries):
        if query.relevant or query.unanswerable:
            places[query.type, query.lang].append(place)
    dropped: set[int] = set()
    for (query_type, lang), found in places.items():
        random = np.random.default_rng([seed, zlib.crc32(f"{query_type}/{lang}".encode("utf-8", "surrogatepass"))])
        dropped.update(found[number] for number in random.permutation(len(found))[limit:])
    return [query for place, query in enumerate(queries) if place not in dropped]


def withhold(queries: Sequence[JudgedQuery], share: float, seed: int = 0) -> tuple[list[JudgedQuery], frozenset[str]]:
    """Hide a share of the articles that answer, to see what is said when the answer is not there.

    Parameters
    ----------
    queries
        As :func:`read_judgements` gives them.
    share
        Between 0 and 1; one article at least is hidden where there is any. A greater share hides the same and more.
    seed
        Which ones.

    Returns
    -------
    tuple
        The questions, with the hidden articles out of ``relevant``, and the ids for ``evaluate(without=…)``. A question
        that has lost its last article is ``withheld`` and therefore unanswerable.
    """
    judged = sorted({article for query in queries for article in query.relevant})
    order = np.random.default_rng(seed).permutation(len(judged))
    hidden = frozenset(judged[place] for place in order[: max(1, round(share * len(judged)))])
    changed = []
    for query in queries:
        left = {article: score for article, score in query.relevant.items() if article not in hidden}
        changed.append(replace(query, relevant=left, withheld=query.withheld or (bool(query.relevant) and not left)))
    return changed, hidden


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text is {value!r}")
    return value


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(file, f"cannot read the file: {error}") from error
