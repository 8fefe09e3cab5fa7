"""Made articles: Markdown like that of a help centre, half Japanese, half English, any number of them.

An article has words of its own that come again and again in it, FAQ units or headings with lists and tables, and a
length from a log-normal law. It follows from seed and number alone, so a larger corpus begins with the smaller one.

Use: ``write_articles(folder, count)``; some five passages an article.

Never: change a pattern without raising ``VERSION``: corpora on disk are taken for what their name says.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Final

import numpy as np

from speed.words import LANGUAGES, draw_ranks, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["PASSAGES_PER_ARTICLE", "VERSION", "article", "write_articles"]

VERSION: Final = 1
PASSAGES_PER_ARTICLE: Final = 5.0
"""Measured; what a corpus really has is counted when it is built."""

_CHUNK: Final = 500
_PER_FOLDER: Final = 1000
_OWN_WORDS: Final = 14
_OWN_SHARE: Final = 0.35
_OWN_EXPONENT: Final = 1.15  # flatter: what an article is about is rarer than what it says
_SECTION_MEAN, _SECTION_SPREAD = 2.05, 0.55  # of the logarithm of the number of sentences
_CATEGORIES: Final = ("account", "billing", "delivery", "devices", "network", "returns", "security", "service")

# Every {} is a content word; what stands around it keeps a tokenizer honest.
_SENTENCES: Final = {
    "ja": (
        "{}の{}は、{}から{}できます。",
        "{}を{}する場合は、{}の{}を確認してください。",
        "{}が{}のときは{}に{}が表示されます。",
        "{}と{}は{}では利用できません。",
        "初めて{}を使うかたは、{}で{}を設定します。",
        "{}の{}を{}に変更すると、{}も変わります。",
        "{}について{}へ連絡すると、{}が届きます。",
        "{}は{}までに{}が必要です。",
        "なお、{}の{}によっては{}が遅れることがあります。",
        "{}を押し、{}から{}を選びます。",
        "{}がない{}では、{}の代わりに{}を使います。",
        "{}は無料です。",
    ),
    "en": (
        "The {} of your {} is shown under {} and {}.",
        "To change the {}, open {} and choose {}.",
        "If the {} does not {}, check the {} of the {}.",
        "We send a {} to every {} with a {}.",
        "You cannot use {} and {} together on a {}.",
        "A {} takes up to three days after the {} of the {}.",
        "Before the {}, please keep the {} and the {} at hand.",
        "Each {} has its own {}, so the {} may differ.",
        "When {} is missing, ask the {} for another {}.",
        "The {} is free of charge.",
    ),
}
_TITLES: Final = {
    "ja": ("{}の{}について", "{}を{}するには", "{}と{}の{}", "{}の{}の手引き", "{}が{}できないとき"),
    "en": ("How to {} the {}", "{} and {} of the {}", "Your {} {}", "When the {} does not {}", "About {} {}"),
}
_QUESTIONS: Final = {
    "ja": (
        "{}の{}はどうすればいいですか？",
        "{}を{}できますか？",
        "{}が{}されないのはなぜですか？",
        "{}の{}はいつ届きますか？",
    ),
    "en": (
        "How do I {} the {}?",
        "Can I {} a {} without a {}?",
        "Why is the {} not {}?",
        "When will my {} {} arrive?",
    ),
}
_HEADINGS: Final = {
    "ja": ("{}の{}", "{}する前に", "{}と{}の違い"),
    "en": ("The {} of the {}", "Before you {}", "{} or {}"),
}
_LABELS: Final = {"ja": ("種類", "内容", "期限"), "en": ("Kind", "Meaning", "Limit")}


class _Text:
    """Makes the pieces of one article."""

    def __init__(self, seed: int, number: int) -> None:
        self.generator = np.random.default_rng((seed, number))
        self.lang = LANGUAGES[number % 2]
        words = words_of(self.lang)
        own = words.of_ranks(draw_ranks(self.generator, _OWN_WORDS, exponent=_OWN_EXPONENT))
        self._own = own
        self._stream = self._words(own)

    def _words(self, own: Sequence[str]) -> Iterator[str]:
        """Words as the article has them: its own by turns with those of the language."""
        words = words_of(self.lang)
        while True:
            common = words.draw(self.generator, 256)
            mine = (self.generator.random(256) * len(own) * self.generator.random(256)).astype(int)
            is_own = self.generator.random(256) < _OWN_SHARE
            for word, place, chosen in zip(common, mine, is_own, strict=True):
                yield own[place] if chosen else word

    def choose(self, patterns: Sequence[str]) -> str:
        """One of the patterns with words in it."""
        pattern = patterns[int(self.generator.integers(len(patterns)))]
        return pattern.format(*(next(self._stream) for _ in range(pattern.count("{}"))))

    def title(self) -> str:
        """A title of the article's own first words."""
        patterns = _TITLES[self.lang]
        pattern = patterns[int(self.generator.integers(len(patterns)))]
        text = pattern.format(*self._own)
        return text[:1].upper() + text[1:]

    def tags(self) -> str:
        return ", ".join(dict.fromkeys(self._own[:3]))

    def paragraph(self, sentences: int) -> str:
        joint = "" if self.lang == "ja" else " "
        return joint.join(self.choose(_SENTENCES[self.lang]) for _ in range(max(sentences, 1)))

    def section(self, sentences: int) -> str:
        """Paragraphs, and sometimes a list or a table."""
        kind = self.generator.random()
        if kind < 0.2:  # noqa: PLR2004 - shares
            steps = [f"{n}. {self.choose(_SENTENCES[self.lang])}" for n in range(1, 2 + sentences // 2)]
            return f"{self.paragraph(sentences - len(steps))}\n\n" + "\n".join(steps)
        if kind < 0.3:  # noqa: PLR2004
            rows = [f"| {' | '.join(next(self._stream) for _ in range(3))} |" for _ in range(2 + sentences // 3)]
            table = "\n".join([f"| {' | '.join(_LABELS[self.lang])} |", "|---|---|---|", *rows])
            return f"{self.paragraph(sentences // 2)}\n\n{table}"
        half = sentences // 2
        if half < 3:  # noqa: PLR2004 - a short section is one paragraph
            return self.paragraph(sentences)
        return self.paragraph(half) + "\n\n" + self.paragraph(sentences - half)

    def sentences(self) -> int:
        """How long a section is."""
        return 1 + int(self.generator.lognormal(_SECTION_MEAN, _SECTION_SPREAD))


def article(seed: int, number: int) -> tuple[str, str]:
    """Path and Markdown of one article; even numbers are Japanese."""
    text = _Text(seed, number)
    category = _CATEGORIES[int(text.generator.integers(len(_CATEGORIES)))]
    is_faq = bool(text.generator.random() < 0.4)  # noqa: PLR2004 - share of FAQ pages
    title = text.title()
    head = ["---", f'title: "{title}"', f"lang: {text.lang}", f"kind: {'faq' if is_faq else 'guide'}"]
    head.append(f"tags: [{text.tags()}]")
    if text.generator.random() < 0.3:  # noqa: PLR2004 - share with an alias
        head.append(f'aliases: ["{text.choose(_QUESTIONS[text.lang])}"]')
    parts = ["\n".join([*head, "---"]), f"# {title}"]
    for _ in range(2 + int(text.generator.poisson(2.2))):
        patterns = _QUESTIONS if is_faq else _HEADINGS
        parts += [f"## {text.choose(patterns[text.lang])}", text.section(text.sentences())]
    folder = f"{category}/{number // _PER_FOLDER:04d}"
    return f"{folder}/{number:07d}.{text.lang}.md", "\n\n".join(parts) + "\n"


def write_articles(folder: Path, count: int, *, seed: int = 1) -> None:
    """Write so many articles below a folder, on all cores."""
    chunks = range(0, count, _CHUNK)
    workers = min(os.cpu_count() or 1, len(chunks))
    if workers < 2:  # noqa: PLR2004 - nothing to share out
        for first in chunks:
            _write_chunk(folder, first, min(first + _CHUNK, count), seed)
        return
    with ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(_write_chunk, folder, first, min(first + _CHUNK, count), seed) for first in chunks]
        for job in jobs:
            job.result()


def _write_chunk(folder: Path, first: int, last: int, seed: int) -> None:
    for number in range(first, last):
        path, text = article(seed, number)
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
