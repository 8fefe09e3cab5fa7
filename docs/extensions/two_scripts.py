"""Search of the site in English and Japanese at once.

Sphinx has a splitter for each language and one language for each site; its Japanese one cuts the pages and not the
question, so that only what is exactly one of its words is found. Here kanji, katakana and hiragana become pairs of
characters on both sides, as in kbsearch's own second stream, and Latin words are stemmed as in English.

Of a question, hiragana counts only where there is nothing else: 返品の送料について asks for 返品 and 送料.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sphinx.search.en import SearchEnglish

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_RUNS = re.compile(r"[一-鿿々〆]+|[ァ-ヺー]+|[ぁ-ゖー]+|(?:(?![一-鿿々〆ァ-ヺーぁ-ゖ])\w)+")
_JAPANESE = re.compile(r"[一-鿿々〆ァ-ヺーぁ-ゖ]")


class EnglishAndJapanese(SearchEnglish):
    """Words of what is written with spaces, pairs of characters of what is not."""

    lang = "en-ja"
    language_name = "English"  # begins the name of the stemmer in JavaScript
    js_splitter_code = """
function splitQuery(query) {
  const runs = query.match(/[一-鿿々〆]+|[ァ-ヺー]+|[ぁ-ゖー]+|[^\\s\\u3000-\\u30ff\\u4e00-\\u9fff\\uff00-\\uffef!-\\/:-@[-^`{-~]+/gu) || [];
  const strong = runs.filter((run) => !/^[ぁ-ゖー]+$/u.test(run));
  return (strong.length ? strong : runs).flatMap((run) => {
    if (!/[一-鿿々〆ァ-ヺーぁ-ゖ]/u.test(run)) return [run];
    const signs = [...run];
    if (signs.length === 1) return signs;
    return signs.slice(1).map((sign, place) => signs[place] + sign);
  });
}
"""  # noqa: E501 - one expression

    def split(self, input: str) -> list[str]:  # noqa: A002 - the base class's name
        """The terms of a text of a page."""
        terms = []
        for run in _RUNS.findall(input):
            if _JAPANESE.match(run):
                terms += [run[place : place + 2] for place in range(len(run) - 1)] or [run]
                terms += list(run) if "一" <= run[0] <= "鿿" else []  # 税 is a word
            else:
                terms.append(run)
        return terms


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_search_language(EnglishAndJapanese)
    return {"parallel_read_safe": True}
