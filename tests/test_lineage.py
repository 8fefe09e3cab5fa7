"""A section is known again by its text, then by its heading, then by its place; what was removed is looked for."""

from __future__ import annotations

import itertools
import random
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbsearch.lineage import SKETCH, Ghost, Page, trace
from kbsearch.lineage.pairing import STEP, assign
from kbsearch.lineage.shingles import Sample, fold, likeness, overlap, shingle_sets
from kbsearch.markdown.slug import Slugger, slugify
from kbsearch.model import Section

if TYPE_CHECKING:
    from kbsearch.lineage import Lineage

POSTAGE = "不良品の返品の送料は当店が負担します。お客様のご都合による返品の送料は、お客様のご負担となります。"
DEADLINE = "商品の到着から十四日以内に、マイページの注文履歴からお申し込みください。期限を過ぎるとお受けできません。"
REFUND = "返金は、商品が倉庫に届いて検品が済んでから三営業日以内に、お支払いに使われたカードへ行います。"
BOX = "The original box is not needed. Any sturdy carton will do, as long as the item cannot move about in it."
CALL = "Call us between nine and five on working days, and have the number of your order and the label at hand."


def page(name: str, *parts: tuple[str, str], title: str = "", level: int = 2) -> Page:
    """A page of sections; a heading may begin with more ``#`` than the two that it gets, and end in ``{#id}``."""
    slugger, sections = Slugger(), []
    for heading, body in parts:
        deeper = len(heading) - len(heading.lstrip("#"))
        text = heading.lstrip("#").partition(" {#")[0]
        explicit = heading.partition(" {#")[2].rstrip("}")
        anchor = slugger.claim(explicit or slugify(text)) if heading else ""
        source = f"{'#' * (level + deeper)} {heading.lstrip('#')}\n\n{body}" if heading else body
        depth = level + deeper if heading else 0
        sections.append(Section(anchor, text, (text,), depth, "section", (1, 1), source))
    return Page(name, f"{name}.md", title or name, tuple(sections))


def names(found: Lineage) -> dict[str, str | None]:
    """Address of each old section → its address now."""
    units = [(unit.page.id, unit.section.anchor) for unit in found.new]
    return {
        f"{unit.page.id}#{unit.section.anchor}": "#".join(units[found.pairs[i]]) if i in found.pairs else None
        for i, unit in enumerate(found.old)
    }


def shares(found: Lineage) -> dict[str, list[tuple[str, float]]]:
    """Anchor of each removed section → where its text is."""
    return {
        found.old[i].section.anchor: [(found.new[j].section.anchor, round(share, 1)) for j, share in some]
        for i, some in found.shares.items()
    }


# What texts share


@given(st.lists(st.text(alphabet="返品送料abcdef ー。", max_size=40), max_size=6))
def test_shingles_are_the_distinct_pieces_of_a_text(texts: list[str]) -> None:
    folded = [fold(text) for text in texts]
    for text, found in zip(folded, shingle_sets(folded), strict=True):
        lengths = [3 if char >= "\u2e80" else 6 for char in text]
        plain = {text[at : at + size] for at, size in enumerate(lengths) if at + size <= len(text)}
        assert len(found) == len(plain)
        assert (np.diff(found.astype(np.int64)) > 0).all()


def test_what_a_reader_does_not_see_does_not_count() -> None:
    one, other = shingle_sets([fold("ﾊﾟｽﾜｰﾄﾞ を、再設定（Ａ）する！"), fold("パスワードを再設定 (a) する")])
    assert len(one)
    assert overlap(one, other) == len(one) == len(other)


@given(
    st.lists(st.lists(st.integers(0, 60), unique=True), max_size=6), st.lists(st.lists(st.integers(0, 60)), max_size=6)
)
def test_a_sample_finds_what_sets_share(sets: list[list[int]], others: list[list[int]]) -> None:
    mine = [np.unique(np.array(one, dtype=np.uint32)) for one in sets]
    theirs = [np.unique(np.array(other, dtype=np.uint32)) for other in others]
    expected = {
        (i, j): both
        for i, one in enumerate(mine)
        for j, other in enumerate(theirs)
        if (both := len({*one[:8].tolist()} & {*other.tolist()}))
    }
    assert {(i, j): both for i, j, both in Sample(mine, 8).shared(theirs)} == expected


def test_a_shingle_that_many_share_is_left_out_of_a_sample() -> None:
    sets = [np.array([7, n + 10], dtype=np.uint32) for n in range(4)]
    assert sorted(Sample(sets, 8, common=3).shared([np.array([7, 12], dtype=np.uint32)])) == [(2, 0, 1)]


def test_headings_are_alike_by_their_pairs_of_characters() -> None:
    assert likeness("返品の送料", "返品の送料") == 1
    assert likeness("返品の送料", "返品の送料について") == pytest.approx(2 * 4 / (4 + 8))
    assert likeness("あ", "い") == 0


# One to one


@given(st.lists(st.lists(st.integers(0, 20), min_size=4, max_size=4), min_size=1, max_size=4))
def test_pairs_have_the_greatest_total(rows: list[list[int]]) -> None:
    values = [[value / 10 for value in row] for row in rows]
    options = {i: [(j, value) for j, value in enumerate(row) if value > 0] for i, row in enumerate(values)}
    found = assign(options)
    assert len(set(found.values())) == len(found)
    best = max(
        sum(row[place] for row, place in zip(values, places, strict=True))
        for places in itertools.permutations(range(4), len(values))
    )
    assert sum(values[i][j] for i, j in found.items()) >= best - STEP * len(values)


def test_pairing_many_equals_ends_soon() -> None:
    start = time.perf_counter()
    found = assign({i: [(j, 1.0) for j in range(i % 50, i % 50 + 8)] for i in range(400)})
    assert len(set(found.values())) == len(found) == 57
    assert time.perf_counter() - start < 10


# Who is who


def test_lines_moves_and_new_headings_change_nobody() -> None:
    old = page("返品", ("送料", POSTAGE), ("期限", DEADLINE), ("返金", REFUND))
    new = page(
        "返品",
        ("お金が戻る時期", REFUND + "\n\n祝日は数えません。"),
        ("期限", "ご注意ください。" + DEADLINE),
        ("運賃", POSTAGE),
    )
    assert names(trace([old], [new])) == {
        "返品#送料": "返品#運賃", "返品#期限": "返品#期限", "返品#返金": "返品#お金が戻る時期",
    }  # fmt: skip


def test_headings_that_change_places_leave_the_texts_who_they_are() -> None:
    old, new = page("a", ("送料", POSTAGE), ("期限", DEADLINE)), page("a", ("期限", POSTAGE), ("送料", DEADLINE))
    assert names(trace([old], [new])) == {"a#送料": "a#期限", "a#期限": "a#送料"}


def test_a_short_answer_goes_with_its_question() -> None:
    old = page("faq", ("返品できますか", "はい。"), ("交換できますか", "はい。"), ("修理できますか", "はい。"))
    new = page(
        "faq", ("修理できますか", "はい。"), ("返品はできますか", "はい。"), ("交換できますか", "はい、できます。")
    )
    assert names(trace([old], [new])) == {
        "faq#返品できますか": "faq#返品はできますか", "faq#交換できますか": "faq#交換できますか",
        "faq#修理できますか": "faq#修理できますか",
    }  # fmt: skip


def test_a_section_is_found_in_another_article_and_its_stub_is_another() -> None:
    old = [page("a", ("送料", POSTAGE), ("期限", DEADLINE)), page("b", ("Box", BOX))]
    new = [
        page("a", ("送料", "b をご覧ください。"), ("期限", DEADLINE)),
        page("b", ("Box", BOX), ("送料のこと", POSTAGE)),
    ]
    assert names(trace(old, new)) == {"a#送料": "b#送料のこと", "a#期限": "a#期限", "b#Box".lower(): "b#box"}


def test_a_copy_is_not_the_original() -> None:
    old = [page("a", ("Box", BOX)), page("b", ("送料", POSTAGE))]
    new = [page("a", ("Box", BOX)), page("b", ("送料", POSTAGE), ("Box", BOX))]
    assert names(trace(old, new)) == {"a#box": "a#box", "b#送料": "b#送料"}


def test_a_renamed_file_takes_its_sections_along() -> None:
    old = [page("a", ("", CALL), ("注意", "なし"), ("送料", POSTAGE)), page("b", ("", BOX), ("注意", "なし"))]
    new = [
        page("y", ("", BOX), ("注意", "なし")),
        page("x", ("", CALL), ("注意", "なし"), ("送料", POSTAGE + "以上。")),
    ]
    found = trace(old, new)
    assert found.homes == {"a": "x", "b": "y"}
    assert names(found) == {"a#": "x#", "a#注意": "x#注意", "a#送料": "x#送料", "b#": "y#", "b#注意": "y#注意"}


def test_what_is_split_stays_with_its_heading_also_when_all_is_below_sub_headings() -> None:
    old = page("a", ("送料と期限", f"{POSTAGE}\n\n{DEADLINE}"))
    assert names(trace([old], [page("a", ("送料と期限", POSTAGE), ("期限", DEADLINE))])) == {
        "a#送料と期限": "a#送料と期限"
    }
    below = page("a", ("送料と期限", ""), ("#送料", POSTAGE), ("#期限", DEADLINE))
    assert names(trace([old], [below])) == {"a#送料と期限": "a#送料と期限"}


def test_what_is_merged_is_found_in_what_took_it() -> None:
    old = page("a", ("送料", POSTAGE), ("期限", DEADLINE), ("返金", REFUND))
    new = page("a", ("送料", f"{POSTAGE}\n\n{DEADLINE}"), ("返金", REFUND))
    found = trace([old], [new])
    assert names(found) == {"a#送料": "a#送料", "a#期限": None, "a#返金": "a#返金"}
    assert shares(found) == {"期限": [("送料", 1.0)]}


def test_what_is_removed_is_nowhere_when_only_a_phrase_of_the_house_is_left() -> None:
    phrase = "ご不明な点はお問い合わせ窓口までご連絡ください。"
    old = page("a", ("送料", POSTAGE + phrase), ("期限", DEADLINE + phrase))
    found = trace([old], [page("a", ("送料", POSTAGE + phrase))])
    assert names(found) == {"a#送料": "a#送料", "a#期限": None}
    assert shares(found) == {}


def test_an_explicit_id_stays_with_what_is_written_anew_under_it_but_not_against_the_texts() -> None:
    old = page("a", ("送料 {#fee}", POSTAGE), ("期限", DEADLINE))
    anew = page("a", ("期限", DEADLINE), ("例外", "なし。"), ("お金のこと {#fee}", CALL))
    assert names(trace([old], [anew])) == {"a#fee": "a#fee", "a#期限": "a#期限"}
    other = page("a", ("送料", POSTAGE), ("期限 {#fee}", DEADLINE))
    assert names(trace([old], [other])) == {"a#fee": "a#送料", "a#期限": "a#fee"}


def test_the_place_decides_when_heading_and_text_are_both_new() -> None:
    old = page("a", ("Box", BOX), ("期限", "十四日です。"), ("Call", CALL))
    assert names(trace([old], [page("a", ("Box", BOX), ("いつまで", "二週間とします。"), ("Call", CALL))])) == {
        "a#box": "a#box", "a#期限": "a#いつまで", "a#call": "a#call",
    }  # fmt: skip
    # … and not when two stand there, when it is another kind of section, or is about something else.
    for others in (
        [("いつまで", "二週間とします。"), ("例外", "なし。")],
        [("#いつまで", "二週間とします。")],
    ):
        assert names(trace([old], [page("a", ("Box", BOX), *others, ("Call", CALL))]))["a#期限"] is None
    long = page("a", ("Box", BOX), ("期限", DEADLINE), ("Call", CALL))
    menu = "温かい蕎麦と天ぷらの盛り合わせに、季節の和え物と香の物、食後の甘味が付きます。お子様の膳もございます。"
    assert names(trace([long], [page("a", ("Box", BOX), ("献立", menu), ("Call", CALL))]))["a#期限"] is None


def test_a_text_that_is_translated_anew_is_known_by_its_subject() -> None:
    old = page("a", ("Packing", BOX), ("By phone", CALL))
    line = "Our line is open on working days, nine to five. Keep the label and your order number at hand when you call."
    carton = "You do not need the original box: take any sturdy carton in which the item cannot move."
    new = page("a", ("Opening hours of the phone line", line), ("A note", "Yes."), ("Choosing a carton", carton))
    assert names(trace([old], [new])) == {
        "a#packing": "a#choosing-a-carton", "a#by-phone": "a#opening-hours-of-the-phone-line",
    }  # fmt: skip


# Who comes back


def ghost(text: str, heading: str, article: str = "a", holder: tuple[str, str] | None = None) -> Ghost:
    return Ghost(article, slugify(heading), heading, shingle_sets([fold(text)])[0][:SKETCH], holder)


def test_a_removed_section_comes_back_by_its_text_or_its_heading() -> None:
    now = page("a", ("料金", POSTAGE + "税込みです。"), ("期限", "まだ決めていません。"))
    found = trace([page("a")], [now], [ghost(POSTAGE, "送料"), ghost(DEADLINE, "期限"), ghost(REFUND, "返金")])
    assert found.returned == {0: 0, 1: 1}
    assert trace([page("b")], [page("b", ("期限", "まだ決めていません。"))], [ghost(DEADLINE, "期限")]).returned == {}


def test_what_is_still_held_by_another_does_not_come_back_with_a_copy() -> None:
    old = [page("a"), page("b", ("まとめ", POSTAGE + DEADLINE))]
    held = ghost(POSTAGE, "送料", holder=("b", "まとめ"))
    copied = [page("a", ("送料", POSTAGE)), page("b", ("まとめ", POSTAGE + DEADLINE + "以上。"))]
    assert trace(old, copied, [held]).returned == {}
    moved = [page("a", ("送料", POSTAGE)), page("b", ("まとめ", DEADLINE))]
    assert trace(old, moved, [held]).returned == {0: 0}


# However large


def words(chance: random.Random, number: int) -> str:
    return "".join(chr(0x4E00 + chance.randrange(2000)) for _ in range(number))


def test_many_and_giant_and_empty_sections_are_followed_soon() -> None:
    chance = random.Random(1)  # noqa: S311 - repeatable
    texts = [words(chance, chance.choice([0, 3, 200])) for _ in range(1500)]
    texts[7] = words(chance, 500_000)
    old = page("a", *((f"節 {n}", text) for n, text in enumerate(texts)))
    order = list(range(1500))
    chance.shuffle(order)
    new = page("a", *((f"項 {n}", texts[n] + "追記です。" if texts[n] else "") for n in order))
    start = time.perf_counter()
    found = trace([old], [new])
    assert time.perf_counter() - start < 30
    now = names(found)
    long = [n for n, text in enumerate(texts) if len(text) >= 200]
    assert len(long) > 400
    assert all(now[f"a#節-{n}"] == f"a#項-{n}" for n in long)


def test_nothing_at_all_is_followed() -> None:
    assert trace([], []).pairs == {}
    assert trace([page("a")], [page("a")]).pairs == {}
    assert trace([page("a", ("", ""), ("x", ""))], [page("a", ("", ""), ("x", ""))]).pairs == {0: 0, 1: 1}
