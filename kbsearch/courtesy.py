"""Takes the politeness out of a question: greetings, apologies, thanks, and the frame around what is asked.

"Hello, could you please tell me how to reset my password? Thank you in advance!" asks how to reset the password. The
words around it match articles about greetings and requests, and dilute the vector of the question.

A sentence that is nothing but courtesy goes whole; of another one only what introduces the question, in Japanese also
what closes it (〜について教えていただけますでしょうか). Patterns are of whole phrases, so that a question about an
apology stays one.

Use: ``bare = without_courtesy(question)``.

Never: leave nothing. A question that is courtesy only stays as it is.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["without_courtesy"]

_SENTENCE: Final = re.compile(r"(?:^\.+)?[^。！？!?\n.]+(?:[。！？!?\n]|\.(?=\S)[^。！？!?\n.]*|\.)*")

_PLEASE: Final = r"(?:いただけ|頂け|もらえ|くださ|下さ|ください|下さい|ほしい|欲しい)"
_COURTESY: Final = re.compile(
    r"\s*(?:"
    r"(?:いつも|大変|たいへん)*お世話になって(?:おり|い)?ます|(?:はじめ|初め)まして|こんにちは|こんばんは|おはようございます"
    r"|(?:お忙しいところ|突然|夜分(?:遅く)?に?|たびたび|度々|何度も|(?:たいへん|大変)?初歩的な質問で)*、?(?:大変|たいへん|誠に)?"
    r"(?:恐れ入ります|恐縮です|すみません|すいません|済みません|申し訳(?:あり|ござい)ません|失礼(?:いた)?します)"
    r"|(?:以上、?|お手数(?:を)?(?:おかけ|お掛け)しますが、?|恐れ入りますが、?)?(?:どうぞ|何卒|なにとぞ)?(?:よろしく|宜しく)お願い(?:いた|致|申し上げ)?(?:し)?ます"
    r"|(?:ご教示|ご教授|ご回答|お返事|ご返信|ご確認|ご案内|ご対応)(?:を)?(?:いただけますと|いただければ|頂けますと|頂ければ)"
    r"(?:大変|たいへん)?(?:幸いです|助かります|嬉しいです|ありがたいです)"
    r"|(?:ご教示|ご教授|ご回答|ご確認|ご案内|ご対応)(?:の(?:程|ほど))?(?:、)?(?:を)?(?:よろしく)?(?:お願い(?:いた|致)?します|ください)"
    r"|(?:大変|たいへん)?助かります|(?:誠に)?ありがとうございます|お手数(?:を)?(?:おかけ|お掛け)し(?:ます"
    r"|て(?:しまい|おり)?、?(?:大変|たいへん|誠に)?(?:恐縮です|恐れ入ります|すみません|申し訳(?:あり|ござい)ません))"
    r"|ちょっと(?:お)?聞きたいのですが|質問(?:です|があります|がございます|させてください)"
    r")[が]?[。！!？?\s]*",
)
_OPENING: Final = re.compile(
    r"^\s*(?:(?:お忙しいところ|突然)?(?:大変|たいへん)?(?:恐れ入ります|恐縮です|すみません|すいません|失礼です|お手数です"
    r"|お手数をおかけします|差し支えなければ|申し訳ありません"
    r"|申し訳ございません)(?:が|けど|けれど)?[、,\s]+|(?:ちょっと)?(?:お)?(?:聞き|尋ね|伺い)(?:し)?たいのですが[、,\s]*|あの[、,ー]\s*)"
)
# What may follow and still ask nothing of its own: いただけますでしょうか, …のですが、可能でしょうか. Whatever else
# does, as in 知りたいのですが、いつ解約できますか, is the question.
_POLITE_END: Final = "[ぁ-ん、助幸嬉有難]{0,20}"
_EMPTY_END: Final = (
    "(?:、?(?:どう(?:すれば|したら|やったら)(?:よい|いい|よろしい)の?|可能|よろしい|大丈夫|お願い(?:でき|し|いたし)ま(?:す|せん))"
    "(?:です|でしょう)?か?)?"
)
_CLOSING: Final = re.compile(
    r"(?:について|に関して|のこと)?(?:を|が|は)?(?:、)?(?:詳しく|くわしく)?(?:"
    rf"(?:教えて|ご教示|ご教授|ご説明|ご案内|説明して){_PLEASE}(?!い?(?:と(?!思)|って)){_POLITE_END}"
    rf"|(?:お)?(?:聞き|尋ね|伺い|知り)(?:し)?たい(?:です|のですが{_EMPTY_END}|と思います|と思っています)?"
    r")[。！？!?\s]*$"
)
_EN_WORD_TEXT: Final = """
    a advance afternoon all am answer any anything apologies apologise apologize appreciate appreciated are as ask
    assist assistance be best bother but can can't cannot cheers could couldn't day dear disturb do docs
    documentation doing evening everyone excuse faq find for forward from good grateful greatly have hearing hello
    help here hey hi hope i if in is it kind kindly know let looking lot madam many may me morning much my new not
    on page pages please possible question quick really regards reply sir site so something soon sorry support team
    thank thanks that the there this time to trouble very we website well would you your
"""
_EN_WORDS: Final = frozenset(_EN_WORD_TEXT.split())
_EN_MARKER_TEXT: Final = """
    afternoon apologies apologise apologize appreciate appreciated bother cheers dear evening excuse forward
    grateful hello hey hi kindly morning please question regards sorry thank thanks
"""
_EN_MARKERS: Final = frozenset(_EN_MARKER_TEXT.split())
_EN_OPENING: Final = re.compile(
    r"^\s*(?:(?:hello|hi|hey|good (?:morning|afternoon|evening|day)|excuse me|sorry to (?:bother|trouble|disturb) you)"
    r"(?: there| team| all)?[,!.:\s]+(?:but\s+)?"
    r"|(?:sorry|dear \w+)(?: there| team| all)?(?:[,!.:][,!.:\s]*(?:but\s+)?|\s+but\s+))*"
    r"(?:(?:could|can|would|will) (?:you|anyone|somebody|someone) (?:please |kindly |possibly )*"
    r"(?:tell|explain|show|help|advise|inform)(?: to)?(?: (?:me|us)\b|(?! (?:me|us)\b))(?: understand| know)?"
    r"(?: about| with| on)?[,:]?\s+"
    r"|would you be so kind as to (?:tell me|explain|show me)(?: about)?[,:]?\s+"
    r"|please (?:tell|explain to|show|help|advise|let) (?:me|us)(?: know)?(?: about| with| on)?[,:]?\s+"
    r"|i(?:'d| would) (?:really )?(?:like|love) to (?:know|ask|learn)(?: about)?[,:]?\s+"
    r"|i(?:'m| am| was) (?:just )?wondering(?: about)?[,:]?\s+"
    r"|i (?:have|had) a (?:quick )?question(?: about)?[,:]\s+)?",
    re.IGNORECASE,
)


def without_courtesy(question: str) -> str:
    """The question without greeting, apology, thanks and frame; the question itself where nothing else would stay."""
    kept = [sentence for sentence in _SENTENCE.findall(question) if not _is_courtesy(sentence)]
    bare = "".join(kept).strip()
    bare = _OPENING.sub("", bare)
    bare = _CLOSING.sub("", bare)
    bare = _EN_OPENING.sub("", bare).strip()
    return bare if sum(char.isalnum() for char in bare) > 1 else question


def _is_courtesy(sentence: str) -> bool:
    if _COURTESY.fullmatch(sentence):
        return True
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", sentence.lower())
    return bool(words) and _EN_WORDS.issuperset(words) and not _EN_MARKERS.isdisjoint(words)
