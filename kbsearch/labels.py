"""What a person is told about the version of an article that is shown, in Japanese or in English.

Use: :func:`fallback_label` and :func:`stale_label`, for a hit that is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kbsearch.results import Hit
    from kbsearch.views import View

__all__ = ["costs_line", "fallback_label", "stale_label", "title_line"]

_NAMES: Final = {
    "ja": ("日本語", "Japanese"),
    "en": ("英語", "English"),
    "zh": ("中国語", "Chinese"),
    "ko": ("韓国語", "Korean"),
    "de": ("ドイツ語", "German"),
    "es": ("スペイン語", "Spanish"),
    "fr": ("フランス語", "French"),
    "id": ("インドネシア語", "Indonesian"),
    "it": ("イタリア語", "Italian"),
    "nl": ("オランダ語", "Dutch"),
    "pt": ("ポルトガル語", "Portuguese"),
    "ru": ("ロシア語", "Russian"),
    "th": ("タイ語", "Thai"),
    "vi": ("ベトナム語", "Vietnamese"),
}


def fallback_label(hit: Hit) -> str:
    """That it is not in the language that was wanted: ``（英語版のみ）``, ``(in Japanese only)``."""
    wanted, only = hit.wanted_lang or "", all(version.lang == hit.lang for version in hit.versions)
    if wanted == "ja":
        return f"（{_name(hit.lang, 0)}版のみ）" if only else f"（日本語版なし、{_name(hit.lang, 0)}版）"
    shown = _name(hit.lang, 1)
    return f"(in {shown} only)" if only else f"(not in {_name(wanted, 1)}; this is in {shown})"


def stale_label(hit: Hit) -> str:
    """That it is older than what it translates, in its own language, with both days."""
    days = f"{hit.updated} < {hit.stale_since}"
    return f"翻訳が原文より古い（{days}）" if hit.lang == "ja" else f"translation older than its source ({days})"


def costs_line(view: View) -> str:
    """What a view costs and what more there is, for an editor: ``section 134 characters, 73 tokens · article +672``."""
    said = [f"{view.levels[view.level].name} {view.cost.characters:,} characters, {view.cost.tokens:,} tokens"]
    said += [
        f"{view.levels[level.level + 1].name} {level.adds.characters:+,}"
        for level in view.levels[view.level : -1]
        if level.adds is not None
    ]
    return " · ".join([*said, view.generation])


def _name(lang: str, place: int) -> str:
    """A language by its name in Japanese (0) or English (1); its tag where we have none."""
    return _NAMES[lang][place] if lang in _NAMES else lang


def title_line(title: str, category: str) -> str:
    """What level 0 shows: ``shop/returns › 返品の手順``."""
    return f"{category} › {title}" if category else title
