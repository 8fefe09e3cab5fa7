"""What holds of every procedure: the sample guides, whatever Hypothesis writes, and very large articles."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from walks import article_of, samples, walk

from kbsearch.errors import NoSteps
from kbsearch.markdown import procedure_of
from kbsearch.markdown.procedure import find_procedures
from kbsearch.markdown.sections import heading_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kbsearch.markdown.blocks import Block
    from kbsearch.model import Article
    from kbsearch.procedures import Part, Procedure


# Everything at once


SAMPLES = {
    "handbook/channels/choosing-a-channel.en": [4],
    "handbook/handover/escalation.ja": [4],
    "handbook/handover/to-a-person.ja": [3, 3, 4, 4],
    "handbook/self-service/chatbot-scope.ja": [4],
    "shop-two-step": [5],
    "shop/account/password-reset.en": [4],
    "shop/delivery/drop-off.ja": [3],
    "shop/gift/e-gift.ja": [4],
    "shop/returns/curtain-measuring.ja": [4],
    "shop/returns/how-to-return.en": [5],
    "shop/returns/how-to-return.ja": [5],
    "shop/warranty/material-care.ja": [4, 3, 4],
    "shop/warranty/repair-request.ja": [6],
    "shop-returns-policy": [],
    "shop/returns/faq.ja": [],
    "shop/delivery/shipping-fees.ja": [],
}


def test_the_sample_guides_have_the_steps_that_a_reader_counts() -> None:
    found: dict[str, list[int]] = {}
    for article in samples():
        if article.id in SAMPLES:
            try:
                first = procedure_of(article)
            except NoSteps:
                found[article.id] = []
                continue
            found[article.id] = [len(first), *(ref.total for ref in first.others)]
    assert found == SAMPLES


def leaves(block: Block) -> Iterator[str]:
    """Every row of text in a block, however deep."""
    yield from [heading_text(block)] if block.kind == "heading" else block.rows
    for child in block.children:
        yield from leaves(child)


def told(parts: tuple[Part, ...]) -> Iterator[str]:
    for part in parts:
        yield part.text + part.label
        for step in part.steps:
            yield step.title
            yield from told(step.parts)


def letters(texts: Iterator[str]) -> Counter[str]:
    return Counter(char for text in texts for char in text if char.isalnum())


def check(article: Article) -> int:
    """Every procedure of an article keeps its promises; returns how many steps were looked at."""
    reading, found = find_procedures(article)
    number = 0
    for each in found:
        first, last = reading.outline.span(each.section)
        steps = [
            reading.parts.step(item, place, len(each.items), title=title)
            for place, (item, title) in enumerate(zip(each.items, each.titles, strict=True), start=1)
        ]
        for item, step, title in zip(each.items, steps, each.titles, strict=True):
            assert first <= step.lines[0] <= step.lines[1] <= last
            assert step.title == title
            assert step.parts or title
            missing = letters(row for block in item.blocks for row in leaves(block)) - letters(told(step.parts))
            assert not missing, (article.id, step.lines, missing)
        assert all(one.lines[1] < two.lines[0] or not each.sections for one, two in itertools.pairwise(steps))
        number += len(steps)
    return number


def test_no_word_of_a_sample_guide_is_lost() -> None:
    assert sum(map(check, samples())) > 200


WORDS = st.sampled_from(
    ["開きます。", "「保存」を押す。", "箱に入れる", "Open it.", "幅を測ります（管理者のみ）。", "待つ\n   続き"]
)
GAPS = st.sampled_from(
    [
        "",
        "\n",
        "\n![図](a.png)\n\n",
        "\n> [!WARNING]\n> 熱い。\n\n",
        "\n※ 朝だけ。\n\n",
        "\n   - 点\n   - 線\n",
        "\n```\nx\n```\n\n",
        "\n段落。\n\n",
        "\n| a |\n|---|\n| b |\n\n",
        "   1. 下\n   2. 上\n",
        "\n::: note\n枠\n:::\n\n",
    ]
)


@given(st.lists(st.tuples(WORDS, GAPS), min_size=1, max_size=8), st.sampled_from(["", "---\ntitle: 題\n---\n"]))
@settings(max_examples=150, deadline=None)
def test_steps_are_counted_in_order_whatever_stands_between(steps: list[tuple[str, str]], front: str) -> None:
    body = "".join(f"{number}. {text}\n{gap}" for number, (text, gap) in enumerate(steps, start=1))
    article = article_of(f"{front}# 設定\n\n## 手順\n\n{body}\n## 次\n\n終わり。\n")
    found = procedure_of(article)
    assert [step.number for step in found] == list(range(1, len(steps) + 1))
    for step, (text, _) in zip(found, steps, strict=True):
        assert step.text.startswith(text.split("\n")[0])
    assert [step.lines[0] for step in found] == sorted({step.lines[0] for step in found})
    assert check(article) >= len(steps)


@given(st.text(alphabet="1２①.．) -#>*\n手順abる。:![](){}|`~\t　", max_size=200))
@settings(max_examples=200, deadline=None)
def test_nothing_but_its_own_errors_whatever_is_written(text: str) -> None:
    try:
        found = procedure_of(article_of(f"# 題\n\n本文\n\n{text}\n"))
    except NoSteps:
        return
    assert [step.number for step in found] == list(range(1, len(found) + 1))
    assert len(found) > 0


# Size


def took(text: str) -> tuple[Procedure, float]:
    article = article_of(text)
    started = time.process_time()
    return procedure_of(article), time.process_time() - started


def test_a_maze_of_headings_takes_linear_time() -> None:
    maze = "".join(f"{'#' * (2 + n % 5)} 手順{1 + n % 7}\n\n1. 道{n}を進む。\n2. 曲がる。\n\n" for n in range(10_000))
    found, seconds = took(f"# 迷路\n\n{maze}")
    assert len(found.others) > 1_000
    assert seconds < 20


def test_a_hundred_thousand_items_take_linear_time() -> None:
    found, seconds = took("# 手順\n\n" + "".join(f"{n}. ボタン{n}を押します。\n" for n in range(1, 100_001)))
    assert (len(found), found.step(100_000).text) == (100_000, "ボタン100000を押します。")
    assert seconds < 60


def test_lists_that_are_torn_apart_a_thousand_times_take_linear_time() -> None:
    found, seconds = took("# 手順\n\n" + "1. 押します。\n\n段落です。\n\n" * 10_000)
    assert len(found) == 10_000
    assert seconds < 20


def test_a_list_may_be_nested_as_deep_as_anybody_likes() -> None:
    found = walk("# 手順\n\n" + "".join("   " * depth + f"1. 段{depth}を開く。\n" for depth in range(40)))
    step, depth = found.step(1), 0
    while step.substeps:
        (step,), depth = step.substeps, depth + 1
    assert depth > 10
    assert len(json.dumps(found.to_dict())) < 1_000_000
