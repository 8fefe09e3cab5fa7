"""What kind of answer a question asks for; :mod:`kbsearch.units` says which sentences are of that kind."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["wants_number", "wants_rule"]

_ASKS_NUMBER: Final = re.compile(
    r"何(?:日|円|回|分|時|個|枚|人|年|[かヶカ]月|週|文字|[％%]|パーセント|点|cm|センチ|歳|曜日|割|倍|件|キロ|本|まで)"
    r"|いくら|いつ|いくつ|(?:どの|どれ)(?:くらい|ぐらい|ほど)|期限|期間|料金|値段|日数|手数料|上限|最大|最低|合計"
    r"|(?i:\bhow (?:long|many|much|often|soon|big|large|old|far|late|early|heavy|tall)\b"
    r"|\b(?:when|what time|costs?|fees?|prices?|deadline|limit|number of)\b)"
)
_ASKS_RULE: Final = re.compile(
    r"(?:ますか|ですか|ませんか|でしょうか|れるか?|できる(?:の|か)?|[いよ]い(?:の|です)?か?|ある(?:の|か)?|いる(?:の|か)?|大丈夫|可能)[？?。]?$"
    r"|(?i:^(?:and |so |but )?(?:can|may|do|does|did|is|are|am|will|would|should|could|must|have|has)\b"
    r"|\b(?:can|may|could|must|should) (?:i|we|you|it|they)\b)"
)


def wants_number(question: str) -> bool:
    """Whether a question asks for a number: how many, how long, how much, when."""
    return bool(_ASKS_NUMBER.search(question))


def wants_rule(question: str) -> bool:
    """Whether a question asks if something can be done, or must be."""
    return bool(_ASKS_RULE.search(question))
