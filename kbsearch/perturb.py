"""Realistic variants of a question: as people misspell it, abbreviate it, dress it up or type it with the wrong keys.

A variant makes one change that leaves the meaning, so what a search keeps of its quality under a kind of variant says
how little it leans on the exact writing. Words and their readings come from the analyser's dictionary.

Use: ``variants(question)``. The same question and seed give the same variants on every machine.
Never: judge by a single variant. Which word changes, and how, is drawn at random; many questions make a figure.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from itertools import pairwise, product, takewhile
from random import Random
from typing import TYPE_CHECKING, Final

import jaconv

from kbsearch.text import hiragana, morphemes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kbsearch.text import Morpheme

__all__ = ["PERTURBATIONS", "variants"]

PERTURBATIONS: Final[tuple[str, ...]] = (
    "kana word", "katakana as hiragana", "half width", "full width", "long vowel dropped", "okurigana",
    "polite", "keywords", "typo", "wrong IME", "wrong IME whole",
)  # fmt: skip
Edit = tuple[int, int, str]
"""First and one-past-last character of what goes, and what stands there instead."""

_KANJI: Final = "々\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
_HAS_KANJI = re.compile(f"[{_KANJI}]")
_HIRAGANA = re.compile("[ぁ-ゖー]+")
_KATAKANA = re.compile("[ァ-ヺ][ァ-ヺー]*")
_LATIN = re.compile("[A-Za-z]{4,}")
_WORD = re.compile(r"[0-9A-Za-zÀ-ɏ]+(?:(?:['._+/&-]|,(?=\d))[0-9A-Za-zÀ-ɏ]+)*[+#]*")
_COMPOUND = re.compile(f"(?:[{_KANJI}]+[ぁ-ん]{{0,2}}){{1,3}}")
_MIN_KATAKANA, _MIN_LONG_KATAKANA = 3, 4
_MAX_BLIND = 40  # characters that someone types before looking at the screen

_INDEPENDENT = frozenset({"名詞", "動詞", "形容詞", "形状詞", "副詞", "接頭辞"})
_UNWRITTEN = frozenset({"問合", "見直", "手洗", "知合"})  # the dictionary reads them; nobody writes them so
_FULLER: Final[dict[str, str]] = dict(
    re.findall(
        r"(\w+):(\w+)",
        "申込:申し込み 申込み:申し込み 支払:支払い 手続:手続き 問合せ:問い合わせ 問合わせ:問い合わせ 取消:取り消し "
        "取消し:取り消し 受付:受け付け 受取:受け取り 引落:引き落とし 引落し:引き落とし 引出:引き出し 見積:見積もり "
        "見積り:見積もり 振込:振り込み 振替:振り替え 払戻:払い戻し 払戻し:払い戻し 切替:切り替え 切替え:切り替え "
        "貼付:貼り付け 貼付け:貼り付け 組合せ:組み合わせ 繰越:繰り越し 打合せ:打ち合わせ 割当:割り当て 取扱:取り扱い "
        "取扱い:取り扱い 読込:読み込み 書込:書き込み 売上:売り上げ 締切:締め切り 引継ぎ:引き継ぎ 呼出:呼び出し "
        "乗換:乗り換え 買取:買い取り 積立:積み立て 差引:差し引き",
    )
)

_NOUN_FRAMES = (
    "お世話になっております。{}について教えていただけますでしょうか。",
    "恐れ入りますが、{}を教えていただけますでしょうか。",
    "{}について知りたいのですが、どうすればよいでしょうか。",
    "すみません、{}がわからないので教えてください。",
)
_CLAUSE_FRAMES = (
    "お世話になっております。{}、どうすればよいでしょうか。",
    "恐れ入ります。{}、教えていただけますでしょうか。",
)
_SENTENCE_FRAMES = (
    "お忙しいところ恐れ入ります。{}ご教示いただけますと幸いです。",
    "お世話になっております。{}どうぞよろしくお願いいたします。",
    "さっそくですが、{}お手数ですがよろしくお願いいたします。",
)
_ENGLISH_FRAMES = (
    "Hello, I have a question. {} Thank you in advance!",
    "Hi, could you please help me with this? {} Many thanks.",
    "Sorry to bother you, but I could not find this in the help pages. {} Any help would be appreciated.",
    "Hello, could you please tell me: {} Thank you in advance!",
)
_ASKS = re.compile(r"(?:how|what|why|when|where|which|who|can|could|do|does|is|are|should|will|may)\b", re.IGNORECASE)
_CLAUSE_ENDS = frozenset({"が", "けど", "けれど", "けれども", "ので", "から"})
_PLAIN = ("終止形", "連体形")
_NOMINAL = frozenset({"名詞", "接尾辞", "接頭辞", "形状詞"})
_ASKING = frozenset({"何", "いつ", "どこ", "誰", "なぜ", "いくら", "どう", "どれ", "どの", "どんな", "どちら"})
_SUBJECTS = frozenset({"が", "は", "も"})
_CASES = frozenset({"を", "に", "へ", "が", "は"})

_EMPTY_WORDS = frozenset({"こと", "もの", "とき", "時", "ため", "よう", "ところ", "ほう", "どう", "どの", "どんな"})
_ASKED_FOR = frozenset({"教える", "知る"})  # of 教えてください and 知りたい
_STOP_WORDS = frozenset(
    re.findall(
        r"\S+",
        "a an the i me my we us our you your he she it its they them their this that these those there here am is are "
        "was were be been being do does did have has had can could will would shall should may might must i'm i've "
        "i'd i'll it's what's how's where's there's that's about after against as at before between by during for "
        "from in into of off on onto out over per through to towards under until up via with and but if or so than "
        "then please how what when where which who whom whose why",
    )
)

_KEY_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_SIZES = str.maketrans("ァィゥェォッャュョアイウエオツヤユヨ", "アイウエオツヤユヨァィゥェォッャュョ")
_KUNREI: dict[str, str] = {
    kana: row[0].strip() + vowel
    for row in re.findall(
        "(..)(.....)",
        "  あいうえおk かきくけこs さしすせそt たちつてとn なにぬねのh はひふへほm まみむめもr らりるれろg がぎぐげご"
        "z ざじずぜぞd だぢづでどb ばびぶべぼp ぱぴぷぺぽx ぁぃぅぇぉy や＿ゆ＿よw わ＿＿＿をxyゃ＿ゅ＿ょ",
    )
    for kana, vowel in zip(row[1], "aiueo", strict=True)
    if kana != "＿"
}
_KUNREI |= {
    kana + small: _KUNREI[kana][0] + "y" + vowel
    for kana in "きしちにひみりぎじぢびぴ"
    for small, vowel in zip("ゃゅぇょ", "aueo", strict=True)
}
_KUNREI |= dict(
    re.findall(
        r"(\w+):(\S+)",
        "ー:- ゔ:vu ふぁ:fa ふぃ:fi ふぇ:fe ふぉ:fo ふゅ:fyu てぃ:thi でぃ:dhi てゅ:thu でゅ:dhu とぅ:twu どぅ:dwu "
        "うぃ:wi うぇ:uxe うぉ:who つぁ:tsa つぃ:tsi つぇ:tse つぉ:tso ゔぁ:va ゔぃ:vi ゔぇ:ve ゔぉ:vo "
        "くぁ:kwa くぉ:kwo",
    )
)
_HEPBURN_HEADS = {"si": "shi", "ti": "chi", "tu": "tsu", "hu": "fu", "zi": "ji", "sy": "sh", "ty": "ch", "zy": "j"}
_HEPBURN = {kana: _HEPBURN_HEADS.get(keys[:2], keys[:2]) + keys[2:] for kana, keys in _KUNREI.items()}
_STYLES: Final = (_KUNREI, _HEPBURN)
_SYMBOL_KEYS = str.maketrans("。、「」・〜", ".,[]/~")  # the same keys with the IME off


def variants(question: str, seed: int = 0) -> dict[str, str]:
    """Vary a question in every way that applies to it.

    Parameters
    ----------
    question
        Any string. What a kind does not touch stays as it is, in Unicode's form NFKC.
    seed
        Another one draws other words and other changes.

    Returns
    -------
    dict
        Variant by name of its kind, in the order of ``PERTURBATIONS``. Each differs from the question; a kind that
        changes nothing is left out.
    """
    text = unicodedata.normalize("NFKC", question)
    found = morphemes(text)
    whole = (0, len(text))
    kinds: tuple[Iterator[Edit], ...] = (
        _kana_words(text, found),
        ((start, end, hiragana(word)) for start, end, word in _katakana(text, _MIN_KATAKANA)),
        ((*whole, jaconv.z2h(text, kana=True, ascii=False, digit=False)) for _ in _KATAKANA.findall(text)[:1]),
        ((*whole, jaconv.h2z(text, kana=False, ascii=True, digit=True)) for _ in re.findall("[A-Za-z0-9]", text)[:1]),
        _shorter_vowels(text),
        _okurigana(found),
        ((*whole, polite) for polite in _polite(text, found)),
        ((*whole, keywords) for keywords in _keywords(text, found)),
        _typos(text),
        _romaji_words(text, found),
        ((*whole, keys) for keys in _romaji(text, found)),
    )
    made = {}
    for name, edits in zip(PERTURBATIONS, kinds, strict=True):
        real = [(start, end, new) for start, end, new in edits if new != text[start:end]]
        if real:
            source = f"{seed} {name} {question}".encode("utf-8", "surrogatepass")
            edit = Random(zlib.crc32(source)).choice(real)  # noqa: S311 - a sample, no secret
            if (variant := _edited(text, edit)) != question:
                made[name] = variant
    return made


def _edited(text: str, edit: Edit) -> str:
    start, end, new = edit
    return text[:start] + new + text[end:]


def _words(text: str, found: Sequence[Morpheme]) -> list[list[Morpheme]]:
    """Words with kanji as people convert them: a suffix and a second verb together with what they follow."""
    words: list[list[Morpheme]] = []
    for part in found:
        before = text[part.start - 1 : part.start]
        last = words[-1][-1] if words and words[-1][-1].end == part.start else None
        if not (
            part.content
            and part.kind[1] != "数詞"
            and _HAS_KANJI.search(part.surface)
            and _HIRAGANA.fullmatch(part.reading)
        ) or (before.isnumeric() or "何" in (before, part.surface[0])):
            continue  # the reading of a counter depends on its number
        if last and (last.kind[0] == "接頭辞" or part.kind[0] == "接尾辞" or part.kind[0] == last.kind[0] == "動詞"):
            words[-1].append(part)
        elif part.kind[0] in _INDEPENDENT and not (last and len(part.surface) == 1):  # 日 of 支払日 is not ひ
            words.append([part])
    return [word for word in words if word[-1].kind[0] != "接頭辞" and len(_reading(word)) > 1]


def _reading(word: Sequence[Morpheme]) -> str:
    return "".join(part.reading for part in word)


def _kana_words(text: str, found: Sequence[Morpheme]) -> Iterator[Edit]:
    words = _words(text, found)
    joined = [
        word + after
        for word, after in pairwise(words)
        if word[-1].end == after[0].start and word[0].kind[0] == after[0].kind[0] == "名詞"
    ]
    for word in words + joined:
        yield word[0].start, word[-1].end, _reading(word)


def _katakana(text: str, length: int) -> list[Edit]:
    """Katakana words of so many characters, each as it is."""
    return [(*word.span(), word.group()) for word in _KATAKANA.finditer(text) if len(word.group()) >= length]


def _shorter_vowels(text: str) -> Iterator[Edit]:
    words = _katakana(text, _MIN_LONG_KATAKANA)
    ends = [end - 1 for _, end, word in words if word[-1] == "ー"]
    inner = [start + mark.start() for start, _, word in words for mark in re.finditer("ー", word)]
    yield from ((at, at + 1, "") for at in ends or inner)


def _okurigana(found: Sequence[Morpheme]) -> Iterator[Edit]:
    """Compounds with fewer kana, where the dictionary takes that for the same word, and common ones with all."""
    for word in found:
        if word.surface in _FULLER:
            yield word.start, word.end, _FULLER[word.surface]
        if word.kind[0] == "名詞" and _COMPOUND.fullmatch(word.surface) and len(_HAS_KANJI.findall(word.surface)) > 1:
            for writing in _with_fewer_kana(word.surface):
                if [(other.form, other.reading) for other in morphemes(writing)] == [(word.form, word.reading)]:
                    yield word.start, word.end, writing
    for first, second in pairwise(found):  # 受け取る: 受取 is the noun 受け取り, and so 受取る a way to write the verb
        stem, rest = first.surface[0], second.surface
        if first.kind[0] == second.kind[0] == "動詞" and first.end == second.start and len(rest) > 1:
            noun = [other.form for other in morphemes(stem + rest[0])]
            if len(noun) == 1 and noun[0].startswith(first.surface + rest[0]):
                yield first.start, second.end, stem + rest


def _with_fewer_kana(word: str) -> Iterator[str]:
    """Its last kana go only after all others: 引落し, 引落, but not 引き落."""
    parts = re.findall(f"([{_KANJI}])([ぁ-ん]*)", word)
    for kept in product(*([kana[at:] for at in range(len(kana) + 1)] for _, kana in parts)):
        writing = "".join(kanji + kana for (kanji, _), kana in zip(parts, kept, strict=True))
        if writing not in (word, *_UNWRITTEN) and (kept[-1] == parts[-1][1] or kept[-1] or not any(kept)):
            yield writing


def _polite(text: str, found: Sequence[Morpheme]) -> list[str]:
    asked = text.strip()
    if found:
        asked, frames = _framed(asked, found, len(text.rstrip()))
    elif not re.search("[A-Za-z]", asked):
        return []
    else:
        asks = asked[-1] == "?" or _ASKS.match(asked)
        frames = _ENGLISH_FRAMES if asks else _ENGLISH_FRAMES[:-1]
        asked += "" if asked[-1] in ".?!" else "?" if asks else "."
    return [frame.format(asked) for frame in frames]


def _framed(asked: str, found: Sequence[Morpheme], end: int) -> tuple[str, tuple[str, ...]]:
    """A Japanese question made to fit into a frame, and the frames that fit how it ends."""
    last, closed, whole = found[-1], asked[-1] in "。.?!", found[-1].end == end
    nouns = list(takewhile(lambda part: part.kind[0] in _NOMINAL, reversed(found)))
    case = found[-len(nouns) - 1].surface if 0 < len(nouns) < len(found) else ""
    if whole and last.kind[1] == "接続助詞" and last.surface in _CLAUSE_ENDS:
        return asked, _CLAUSE_FRAMES
    if closed or (whole and (last.kind[1] == "終助詞" or last.kind[-1] == "命令形" or _is_polite(found))):
        return asked if closed else asked + "。", _SENTENCE_FRAMES
    does = case in _CASES and last.kind[2] == "サ変可能"  # プランを変更
    if whole and (does or (last.kind[-1].startswith(_PLAIN) and last.form != "だ")):
        asked += "する" if does else ""
        if last.form not in ("たい", "欲しい") and any(part.surface in _ASKING for part in found):
            return asked + "のでしょうか。", _SENTENCE_FRAMES
        if (does or last.kind[0] == "動詞") and not any(part.surface in _SUBJECTS for part in found):
            return asked + "方法", _NOUN_FRAMES
        return asked + "のですが", _CLAUSE_FRAMES
    fits = case not in _CASES and (nouns or not whole) and (asked[-1].isalnum() or asked[-1] == ")")
    return asked if fits else f"「{asked}」", _NOUN_FRAMES


def _is_polite(found: Sequence[Morpheme]) -> bool:
    return any(part.kind[0] == "助動詞" and part.form in ("です", "ます") for part in found[-3:])


def _keywords(text: str, found: Sequence[Morpheme]) -> Iterator[str]:
    words = [(*match.span(), match.group()) for match in _WORD.finditer(text)]
    kept = [word for word in words if found or word[2].lower() not in _STOP_WORDS]
    kept = sorted([*kept, *_content(found)])
    size = sum(end - start for start, end, _ in words) + sum(part.end - part.start for part in found)
    if kept and sum(end - start for start, end, _ in kept) < size:  # something was dropped
        gaps = ["", *("" if before[1] == after[0] else " " for before, after in pairwise(kept))]
        yield "".join(gap + word for gap, (_, _, word) in zip(gaps, kept, strict=True))


def _content(found: Sequence[Morpheme]) -> Iterator[Edit]:
    """Words of content as people list them: a negated verb stays negated, another is not left a bare stem."""
    for number, word in enumerate(found):
        after = found[number + 1] if number + 1 < len(found) and found[number + 1].start == word.end else None
        verb = word.kind[0] in ("動詞", "形容詞")
        light = verb and word.kind[1] == "非自立可能" and not _HAS_KANJI.search(word.surface)  # なる, ください, ほしい
        if word.kind[0] == "接頭辞":
            if after and after.content:
                yield word.start, word.end, word.surface  # お金
        elif verb and (word.content or word.form == "為る") and (negated := _negated(found[number : number + 6])):
            yield negated
        elif not word.content or (word.surface in _EMPTY_WORDS and not verb):
            continue
        elif after and after.kind[0] in ("動詞", "接尾辞") and after.content:
            yield word.start, word.end, word.surface  # 受け of 受け取る, やり of やり方
        elif not light and word.form not in _ASKED_FOR:
            plain = verb and not word.kind[-1].startswith(_PLAIN) and word.form[0] == word.surface[0]
            yield word.start, word.end, word.form if plain else word.surface


def _negated(found: Sequence[Morpheme]) -> Edit | None:
    """A verb with its endings up to the negation; ない also stands for its other forms."""
    endings = takewhile(lambda part: part.kind[0] == "助動詞" or part.form in ("て", "居る"), found[1:])
    for number, part in enumerate(endings, start=1):
        start = "".join(before.surface for before in found[:number])
        if part.form in ("ない", "ず") and part.start == found[0].start + len(start):
            return found[0].start, part.end, start + ("ない" if part.form == "ない" else part.surface)
    return None


def _typos(text: str) -> Iterator[Edit]:
    words = [(*match.span(), match.group()) for match in _LATIN.finditer(text)]
    for start, end, word in words or _katakana(text, _MIN_LONG_KATAKANA):
        for at in range(1, len(word)):  # the first letter is the one that people see
            char, before, after = word[at], word[:at], word[at + 1 :]
            wrong = [after[:1] + char + after[1:], after]
            wrong += [other + after for other in ([*_beside(char), char * 2] if words else _lookalikes(char))]
            yield from ((start, end, before + rest) for rest in wrong if "ーー" not in before + rest)


def _beside(letter: str) -> list[str]:
    """Left and right neighbour on the keyboard."""
    row = next(row for row in _KEY_ROWS if letter.lower() in row)
    at = row.index(letter.lower())
    keys = row[max(at - 1, 0) : at] + row[at + 1 : at + 2]
    return list(keys.upper() if letter.isupper() else keys)


def _lookalikes(char: str) -> list[str]:
    """ハ with another mark of voicing, バ or パ, or ッ in its other size, ツ."""
    base = unicodedata.normalize("NFD", char)[0]
    voiced = [unicodedata.normalize("NFC", base + mark) for mark in ("", "\u3099", "\u309a")]
    return [other for other in (*voiced, char.translate(_SIZES)) if len(other) == 1 and other != char]


def _romaji_words(text: str, found: Sequence[Morpheme]) -> Iterator[Edit]:
    words = [(start, end, hiragana(word)) for start, end, word in _katakana(text, _MIN_KATAKANA)]
    endings = {part.start: part for part in found if part.kind[0] == "助動詞" or part.surface in ("て", "で")}
    for word in _words(text, found):
        end, reading = word[-1].end, _reading(word)
        while word[-1].kind[0] in ("動詞", "形容詞") and (ending := endings.get(end)):
            end, reading = ending.end, reading + ending.surface  # nobody changes the keyboard between 行っ and た
        words.append((word[0].start, end, reading))
    yield from ((start, end, _keys(reading, table)) for start, end, reading in words for table in _STYLES)


def _romaji(text: str, found: Sequence[Morpheme]) -> Iterator[str]:
    if not found or len(text) > _MAX_BLIND:
        return
    for part in reversed(found):
        if _HAS_KANJI.search(part.surface):
            text = _edited(text, (part.start, part.end, part.reading))
    if not _HAS_KANJI.search(text):
        runs = re.split(f"({_HIRAGANA.pattern})", hiragana(text))
        for table in _STYLES:
            keys = (_keys(run, table) if number % 2 else run for number, run in enumerate(runs))
            yield "".join(keys).translate(_SYMBOL_KEYS)


def _keys(reading: str, table: dict[str, str]) -> str:
    """What is typed for a reading, found from its end: how っ and ん are typed depends on what follows."""
    keys = ""
    while reading:
        kana = reading[-2:] if reading[-2:] in table else reading[-1]
        reading = reading[: -len(kana)]
        if kana == "ん":
            keys = ("nn" if keys[:1] in "aiueonyx-" else "n") + keys  # "" is in every string
        elif kana == "っ":
            keys = ("xtu" if keys[:1] in "aiueonx-" else keys[0]) + keys
        else:
            keys = table.get(kana, kana) + keys
    return keys
