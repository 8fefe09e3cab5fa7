"""Filters as developers write them, and what is no filter."""

from __future__ import annotations

from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbsearch.errors import BadQuery
from kbsearch.filters import parse_filter
from kbsearch.model import Filter


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, Filter()),
        ({}, Filter()),
        ({"lang": "ja"}, Filter(lang=("ja",))),
        ({"lang": ["ja", "en"]}, Filter(lang=("ja", "en"))),
        ({"lang": ("ja",)}, Filter(lang=("ja",))),
        ({"lang": iter(["ja", "en"])}, Filter(lang=("ja", "en"))),
        ({"lang": " JA "}, Filter(lang=("ja",))),
        ({"lang": "ja-JP"}, Filter(lang=("ja",))),
        ({"lang": "en_US"}, Filter(lang=("en",))),
        ({"kind": "FAQ"}, Filter(kind=("faq",))),
        ({"tag": "送料"}, Filter(tags=("送料",))),
        ({"tags": ["送料", "返品"]}, Filter(tags=("送料", "返品"))),
        ({"tags": "Return  policy\u3000"}, Filter(tags=("Return policy",))),
        ({"tags": "か\u3099ぎ"}, Filter(tags=("がぎ",))),
        ({"category": "shop/returns"}, Filter(category=("shop/returns",))),
        ({"category": " /shop// returns/ "}, Filter(category=("shop/returns",))),
        ({"category": "お店/返品"}, Filter(category=("お店/返品",))),
        (
            {"lang": "ja", "kind": "faq", "category": "shop", "tags": ["a", "b"]},
            Filter(("ja",), ("shop",), ("a", "b"), ("faq",)),
        ),
        (OrderedDict(lang="ja"), Filter(lang=("ja",))),
        (MappingProxyType({"lang": "ja"}), Filter(lang=("ja",))),
        (Filter(lang=("ja",)), Filter(lang=("ja",))),
    ],
)
def test_a_filter_is_read(given: Any, expected: Filter) -> None:
    assert parse_filter(given) == expected


@pytest.mark.parametrize("nothing", ["", " ", None, [], (), [""], [None], "/"])
def test_an_empty_value_is_no_filter(nothing: Any) -> None:
    assert parse_filter({"category": nothing}) == Filter()
    assert not parse_filter({"category": nothing})


@pytest.mark.parametrize("field", ["lang", "kind", "tags", "tag", "category"])
def test_an_empty_text_is_no_filter(field: str) -> None:
    nothing: Any = {field: ["", "  ", None]}
    assert parse_filter(nothing) == Filter()


def test_two_names_of_one_field_are_taken_only_when_one_is_empty() -> None:
    assert parse_filter({"tags": ["a"], "tag": []}) == parse_filter({"tags": (), "tag": "a"}) == Filter(tags=("a",))
    with pytest.raises(BadQuery, match="one filter"):
        parse_filter({"tags": ["a"], "tag": "b"})


def test_a_kind_that_does_not_exist_is_wrong_use() -> None:
    with pytest.raises(BadQuery, match="faq, guide"):
        parse_filter({"kind": "qa"})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"language": "ja"}, "language"),
        ({"Lang": "ja"}, "Known are: lang, category, tags, kind"),
        ({1: "ja"}, "1"),
        ({"lang": 3}, "“lang” takes a text or a list of texts, not 3"),
        ({"lang": True}, "True"),
        ({"tags": ["a", 3]}, "“tags” takes texts, not 3"),
        ({"tags": [["a"]]}, "not ['a']"),
        ({"tags": b"abc"}, "“tags”"),
        ({"kind": "\ud800"}, "half a character"),
        ("lang=ja", "not str"),
        (["lang", "ja"], "not list"),
        (7, "not int"),
    ],
)
def test_what_is_no_filter_is_a_bad_query_that_says_why(given: Any, says: str) -> None:
    with pytest.raises(BadQuery) as raised:
        parse_filter(given)
    assert says in str(raised.value)


@given(
    st.dictionaries(
        st.sampled_from(["lang", "kind", "tags", "category", "other"]),
        st.one_of(st.none(), st.text(), st.integers(), st.lists(st.one_of(st.text(), st.none(), st.integers()))),
    )
)
def test_anything_is_a_filter_of_clean_texts_or_a_bad_query(given: Any) -> None:
    try:
        where = parse_filter(given)
    except BadQuery:
        return
    for texts in (where.lang, where.kind, where.tags, where.category):
        assert all(text and text == text.strip() and text.encode() for text in texts)
    assert parse_filter(where) == where


def test_a_filter_made_by_hand_is_read_like_any_other() -> None:
    assert parse_filter(Filter(lang=("JA",), category=("/shop//returns/",))) == Filter(("ja",), ("shop/returns",))
    with pytest.raises(BadQuery):
        parse_filter(Filter(tags=("\ud83d",)))
