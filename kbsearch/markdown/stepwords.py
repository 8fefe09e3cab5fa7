"""Words that tell a step from a chapter, a list of steps from a list of things, and a warning from a sentence.

Use: :func:`read_marker` for the number before a step, :func:`says_steps` for a line that leads to steps,
:func:`is_action` for what a step says, :func:`read_notice` for 「注意：…」 and ``Warning: …``, and
:func:`find_restriction` for （管理者のみ）.

Never: decide by a word alone where the structure says something else; the callers ask the structure first. No pattern
here can take more than linear time.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

from kbsearch.markdown.language import is_cjk
from kbsearch.markdown.notes import warns

__all__ = [
    "Marker",
    "Notice",
    "find_restriction",
    "is_action",
    "is_needs",
    "is_plain_steps",
    "is_result",
    "leads_to_steps",
    "read_marker",
    "read_notice",
    "says_rules",
    "says_steps",
]


# Numbers

_KANJI: Final = {char: number for number, char in enumerate("一二三四五六七八九十", start=1)}
_DIGITS: Final = "[0-9０-９]{1,3}"
_CIRCLED: Final = "[①-⑳㉑-㉟㊱-㊿❶-❿➀-➉]"
_MARKER: Final = re.compile(
    rf"(?P<word>(?:手順|ステップ|STEP|Step|step)[ 　]?(?:{_DIGITS}|{_CIRCLED}|[一二三四五六七八九十]))"
    r"(?:[ 　]*[-–—−‐:：.．、)）]+|(?=[ 　「『【（(]|$))[ 　]*"
    rf"|[(（［\[【](?P<bracket>{_DIGITS})[)）］\]】][ 　]*"
    rf"|(?P<circled>{_CIRCLED})[.．:：、]?[ 　]*"
    rf"|(?P<number>{_DIGITS})[ 　]?[.．、)）:：](?![0-9０-９])[ 　]*"
)
_NUMBER: Final = re.compile(rf"{_DIGITS}|{_CIRCLED}|[一二三四五六七八九十]")


class Marker(NamedTuple):
    """A number before a text: its shape, what it says, and how many characters it takes.

    ``shape`` is ``"word"`` (手順1, Step 2:), ``"bracket"`` (（1）), ``"circled"`` (①) or ``"number"`` (1. and 1）).
    """

    shape: str
    number: int
    length: int


def read_marker(text: str) -> Marker | None:
    """The number with which a text begins, None without one. ``1.5倍`` and ``10:30`` begin with none."""
    match = _MARKER.match(text)
    if not match:
        return None
    shape = next(name for name, value in match.groupdict().items() if value)
    digits = _NUMBER.search(match[shape])
    return Marker(shape, _value(digits[0]), match.end()) if digits else None


def _value(digits: str) -> int:
    if digits in _KANJI:
        return _KANJI[digits]
    return int(unicodedata.normalize("NFKC", digits)) if len(digits) > 1 else int(unicodedata.numeric(digits))


# Steps

_SAYS_STEPS: Final = re.compile(
    r"手順|方法|流れ|やり方|しかた|仕方|[いきみ]方(?:$|[はをのに])|ステップ|順番|順序|順に|操作|手続き|進め方|すすめ方|"
    r"次のように|以下のように|手引|には$|"
    r"\bsteps?\b|\bhow to\b|\bprocedures?\b|\binstructions?\b|\bin (?:this|the following) order\b|\bdo the following\b|"
    r"\binstall(?:ation|ing)?\b|\bset-?up\b|\bsetting up\b|\bwalk-?through\b|\btutorial\b",
    re.IGNORECASE,
)
_RULES: Final = re.compile(
    r"(?:守ること|決まり|ルール|規則|規定|条件|対象|制限|事項|(?:いけない|できない)(?:こと|もの|商品|場合)?)$|"
    r"^(?:the )?(?:rules?|conditions?|limits?|never|terms|notes?)\b",
    re.IGNORECASE,
)
_LEADS: Final = re.compile(
    r"(?:次|以下|下記|つぎ)の(?:各)?(?:手順|順番|順序|順|流れ|ステップ|操作)|"
    r"手順は(?:、)?(?:次|以下|下記)の|順に(?:行|実行|操作|進)|"
    r"(?:following|these) (?:\w+ )?(?:steps|instructions|procedure)\b|steps below\b|do the following\b|"
    r"in (?:this|the following) order\b",
    re.IGNORECASE,
)
_PLAIN_STEPS: Final = re.compile(
    r"(?:操作|作業|設定|申し?込み|お?手続き)?の?(?:手順|流れ|手続き|方法|ステップ)|"
    r"(?:the )?(?:steps|procedure|instructions|how to|what to do)",
    re.IGNORECASE,
)
_NEEDS: Final = re.compile(
    r"準備|用意|必要な|前提|事前|始める前|はじめる前|開始する前|書く前|の前に$|"
    r"\bbefore you\b|\bprerequisites?\b|\brequirements?\b|\bwhat you(?:'ll)? need\b|\byou will need\b|\bpreparation\b|"
    r"\bthings to have\b",
    re.IGNORECASE,
)
_QUESTIONS: Final = re.compile(r"質問|Q\s?&\s?A|\bFAQ\b|\bquestions\b", re.IGNORECASE)
_RESULT: Final = re.compile(
    r"結果|完了(?:$|した|後|したら)|終わったら|した後$|[たの]後$|"
    r"\bresults?\b|^done\b|\bwhen you(?: are|'re) done\b|^afterwards$",
    re.IGNORECASE,
)


def says_steps(text: str) -> bool:
    """Whether a heading or a sentence speaks of steps: 手順, 流れ, how to."""
    return bool(_SAYS_STEPS.search(text))


def says_rules(heading: str) -> bool:
    """Whether a heading is about what holds, not about what to do: 「守ること」, "Rules"."""
    return bool(_RULES.search(heading.strip()))


def leads_to_steps(text: str) -> bool:
    """Whether a sentence says that the list behind it is to be followed in its order: 「次の手順で」."""
    return bool(_LEADS.search(text))


def is_plain_steps(heading: str) -> bool:
    """Whether a heading says nothing but that steps follow: 「手順」, "Steps"."""
    return bool(_PLAIN_STEPS.fullmatch(heading.strip()))


def is_needs(heading: str) -> bool:
    """Whether a heading is about what to have or to do first: 「準備するもの」, "Before you start"."""
    return bool(_NEEDS.search(heading)) and not _QUESTIONS.search(heading)


def is_result(heading: str) -> bool:
    """Whether a heading is about what is there when all is done: 「完了後」, "Result"."""
    return bool(_RESULT.search(heading))


# Actions

_SENTENCE: Final = re.compile(r"[。！？!?\n]|[:：](?=\s|[^\x00-\x7f])")
_CLOSERS: Final = ' 　」』）)】]"”’*_.．'
_VERB: Final = re.compile(
    r"(?:[うくぐつぬぶむる]|(?<!で)す|ください|下さい|ましょう|なさい|せよ|"
    r"クリック|タップ|選択|入力|確認|保存|送信|設定|登録|実行|起動|停止|再起動|押下|変更|削除|追加|作成|取得|移動|接続|"
    r"更新|申請|申込|申し込み|承認|返信|発送|記入|印刷|撮影|連絡|提出|参加|契約|決定|終了|開始|完了|検索|表示|適用|有効化|"
    r"ログイン|ログアウト|サインイン|サインアップ|インストール|ダウンロード|アップロード|コピー|ドラッグ)$"
)
_IMPERATIVES: Final = (
    "accept activate add adjust agree allow answer apply approve ask assign attach back begin book bring browse build "
    "buy call cancel carry change charge check choose clean clear click close collect compare complete configure "
    "confirm connect contact continue copy create cut decide define delete deploy describe detach determine disable "
    "disconnect double-click download drag drop edit enable end enroll enter examine expand export extract fill find "
    "finish fix follow get give go hand hold identify import initialize inspect install invite join keep launch learn "
    "leave let link load locate lock log look make manage mark measure move name navigate notify obtain open order "
    "pack paste pay perform pick place plug post prepare press print provide publish pull push put read reboot record "
    "register reload remove rename repeat replace reply report request reset restart restore return review right-click "
    "run save scan schedule scroll search select send set share show shut sign skip sort specify start stop store "
    "submit subscribe sum switch take talk tap tell test track transfer try turn type uninstall unplug unscrew update "
    "upgrade upload use verify view visit wait wash watch wipe wire write"
)
_ENGLISH_VERBS: Final = frozenset(_IMPERATIVES.split())
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z'-]*")
_SENTENCE_END: Final = (".", "!", "?")


def is_action(text: str) -> bool:
    """Whether a text tells what somebody does, not what a thing is called.

    Japanese by the end of its first sentence (押します, 測る, クリック), English by its first word, or when it is a
    whole sentence.
    """
    first = _SENTENCE.split(text.strip(), maxsplit=1)[0]
    if any(is_cjk(char) for char in text[:200]):
        stems = [first.rstrip(_CLOSERS), text.strip().split("\n", 1)[0].rstrip("。！？!? 　" + _CLOSERS)]
        return any(_VERB.search(stem[-12:]) for stem in stems)
    word = _WORD.search(first)
    if word and word[0].lower() in _ENGLISH_VERBS:
        return True
    return text.rstrip(_CLOSERS.replace(".", "")).endswith(_SENTENCE_END)


# Warnings

_OPENING: Final = "[⚠️❗📝💡ℹ 　]*[【［\\[（(＜<]?"
_WARNING_WORD: Final = "ご?注意(?:事項|点)?|警告|重要|危険|厳禁|warning|caution|important|danger|attention|be careful"
_NOTE_WORD: Final = "メモ|補足|備考|参考|ヒント|情報|注記|注|note|tip|hint|info"
_NOTICE: Final = re.compile(
    rf"{_OPENING}(?:(?P<warning>{_WARNING_WORD})|(?P<note>{_NOTE_WORD}))"
    r"(?:[ 　]*[】］\]）)＞>][ 　]*[:：]?|[ 　]*[:：]|[ 　]*$)[ 　]*",
    re.IGNORECASE,
)
_BUT: Final = re.compile(r"ただし[、，]|但し[、，]|⚠|[※＊](?P<note>)|note that\b", re.IGNORECASE)


class Notice(NamedTuple):
    """How a text begins that warns or remarks: what it is, its label if it has one, and the label's length."""

    warns: bool
    label: str
    length: int


def read_notice(text: str) -> Notice | None:
    """The beginning of a warning or a note, None for any other text: 「注意：」, ``Note:``, ※, 「ただし、」."""
    match = _NOTICE.match(text)
    if match:
        label = match["warning"] or match["note"]
        return Notice(bool(match["warning"]) or warns(label), label, match.end())
    but = _BUT.match(text)
    if but:
        return Notice(but["note"] is None and not but[0].lower().startswith("note"), "", 0)
    return None


# Restrictions

_BRACKETS: Final = re.compile(r"[（(【［\[]([^（）()【】［］\[\]\n]{2,40})[）)】］\]]")
_ONLY: Final = re.compile(
    r".{1,30}(?:のみ|だけ|限定|に限る|に限ります|の(?:かた|方)へ|の場合)$|任意|省略可能?|必要に応じて|"
    r"(?:.*(?:管理者|権限|ロール|オーナー).{0,20}(?:必要(?:です)?|が行う|が行います))$|"
    r"only (?:for|if|when|on)\b.*|(?:.+ )?only|optional|if (?:needed|necessary|required|applicable)|"
    r".*(?:admin\w*|owner|role|permission)s? .{0,20}required",
    re.IGNORECASE,
)
_FOR: Final = re.compile(
    r"([^、。「」:：\n]{2,30}(?:のみ|だけ|限定|場合|のかた|の方)|[^.:\n]{2,40} only|optional)[:：]", re.IGNORECASE
)


def find_restriction(text: str) -> str:
    """To whom or when a step applies, as it says itself: （管理者のみ） → ``管理者のみ``; ``""`` for everybody.

    Only in brackets, or before a colon at its beginning: 「カードのみ使えます」 restricts no step.
    """
    opening = text[:200].lstrip()
    leading = _FOR.match(opening)
    if leading:
        return leading[1].strip()
    for match in _BRACKETS.finditer(opening):
        if _ONLY.fullmatch(match[1].strip()):
            return match[1].strip()
    return ""
