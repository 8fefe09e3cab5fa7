"""The compiled parts of the default encoder against plain ones: the same ids, and rows equal to the bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kbsearch import native, structures
from kbsearch.embed import e5, packed, pieces, tokenizer
from kbsearch.errors import NativeMissing

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from kbsearch.model import FloatArray

HEIGHT = 250037
AWKWARD = "aあ漢ア゛ｶﾞ\u3099 \n\t\x00\x01\x7f\x85\u200b～▁👩\u200d1Ｗ\ud800"


@pytest.fixture(scope="module")
def encoder() -> e5.E5Small:
    return e5.load(1)


@pytest.fixture(scope="module")
def weights() -> packed.Packed:
    return packed.Packed.open(packed.find_packed())


# Words to ids


class PlainTokenizer:
    """The best cut over a dictionary of pieces."""

    def __init__(self, vocabulary: list[str], scores: list[float]) -> None:
        self.pieces = {piece: number for number, piece in enumerate(vocabulary) if 3 < number < len(vocabulary) - 1}
        self.longest = max(map(len, self.pieces))
        self.scores = scores
        self.unknown = min(scores[number] for number in self.pieces.values()) - 10

    def ids(self, text: str) -> list[int]:
        return [0, *(number for word in tokenizer.normalise(text) for number in self.cut("▁" + word)), 2]

    def cut(self, word: str) -> list[int]:
        best: list[tuple[float, tuple[int, Any]]] = [(0.0, (-1, None))]
        for end in range(1, len(word) + 1):
            ways = [
                (best[start][0] + self.scores[number], (number, best[start][1]))
                for start in range(max(0, end - self.longest), end)
                if (number := self.pieces.get(word[start:end])) is not None
            ]
            if word[end - 1] not in self.pieces:
                score, before = best[end - 1]
                ways.append((score + self.unknown, before if before[0] == 3 else (3, before)))
            best.append(max(ways, key=lambda way: way[0]))
        found, at = [], best[-1][1]
        while at[0] >= 0:
            found.append(at[0])
            at = at[1]
        return found[::-1]


@pytest.fixture(scope="module")
def plain(weights: packed.Packed) -> PlainTokenizer:
    return PlainTokenizer(list(weights.pieces), [float(score) for score in weights.scores])


@settings(max_examples=400, deadline=None)
@given(
    text=st.text(max_size=60) | st.text("aあ漢ア゛ｶﾞ\u3099 \n\t\x00\x01\x7f\x85\u200b～▁👩\u200d1Ｗ\ud800", max_size=60)
)
@example("")
@example("\x00")
@example("\ud800")
@example("a\udfffb")
@example("\U0010ffff\U0010fffe x")
@example("送料と返品 " * 200)
@example("送料と返品" * 200)
def test_ids_are_those_of_a_plain_search(encoder: e5.E5Small, plain: PlainTokenizer, text: str) -> None:
    ids = encoder._tokenizer.ids(text)
    assert ids.dtype == np.int32
    assert ids.tolist() == plain.ids(text)
    for limit in (2, 3, 5):
        assert encoder._tokenizer.ids(text, limit).tolist() == [*plain.ids(text)[:-1][: limit - 1], 2]


@pytest.mark.parametrize(
    "text", ["あ" * 100_000, "返品の送料は" * 16_000, "\ud800" * 100_000, "e" + "\u0301\u0316" * 50_000, "ﾊﾟ" * 50_000]
)
def test_ids_of_long_texts(encoder: e5.E5Small, plain: PlainTokenizer, text: str) -> None:
    assert encoder._tokenizer.ids(text).tolist() == plain.ids(text)


small_pieces = st.lists(st.text("▁abc漢", min_size=1, max_size=4), min_size=1, max_size=12, unique=True)


@settings(max_examples=200, deadline=None)
@given(found=small_pieces, words=st.lists(st.text("abc漢x", min_size=1, max_size=12), max_size=4), data=st.data())
def test_any_vocabulary(
    tmp_path_factory: pytest.TempPathFactory, found: list[str], words: list[str], data: st.DataObject
) -> None:
    """Of equal sums, of which there are many, the same cut is taken."""
    scores = [-float(data.draw(st.integers(1, 4))) for _ in found]
    vocabulary, values = ["<s>", "<pad>", "</s>", "<unk>", *found, "<mask>"], [0.0] * 4 + scores + [0.0]
    folder = tmp_path_factory.mktemp("pieces")
    tokenizer.write(folder, vocabulary, np.array(values, np.float32))
    text = " ".join(words)
    assert tokenizer.Tokenizer.load(folder).ids(text).tolist() == PlainTokenizer(vocabulary, values).ids(text)


def test_every_piece_is_found(weights: packed.Packed, encoder: e5.E5Small) -> None:
    """The trie holds each piece under its number: where that piece alone scores well, it is the whole cut."""
    edges, scores = encoder._tokenizer._pieces._arrays[0], np.full(len(weights.scores), -100, np.float32)
    trie = pieces.Pieces(edges, scores, -1e6)
    for number in range(4, len(weights.pieces) - 1):
        scores[number] = 0
        word = weights.pieces[number]
        if "▁" not in word[1:]:
            assert trie.segment(word).tolist() == [number]
        scores[number] = -100


def test_a_trie_that_is_too_large_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "NODES", 8)
    with pytest.raises(ValueError, match="a trie of 9 nodes"):
        tokenizer.write(tmp_path, ["<s>", "<pad>", "</s>", "<unk>", "abc", "<mask>"], np.zeros(6, np.float32))


@settings(max_examples=300, deadline=None)
@given(
    edges=st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([7, 2**64 - 1, 3 << 41 | 0x2581 << 20]), max_size=9),
    scores=st.lists(st.floats(width=32), min_size=1, max_size=5),
    unknown=st.floats(),
)
@example([7] * 5, [0.0], -1.0)
@example([1 << 41 | 0x2581 << 20, 1 << 41 | ord("a") << 20], [float("nan")], -1.0)
@example([1 << 41 | 0x2581 << 20 | 1], [0.0], -1e20)
@example([], [1.0], float("nan"))
def test_damage_leads_nowhere(edges: list[int], scores: list[float], unknown: float) -> None:
    """Whatever a file holds, the search ends and its ids are numbers of pieces or that of what none covers."""
    trie = pieces.Pieces(np.array(edges, np.uint64), np.array(scores, np.float32), unknown)
    text = "▁ab▁" + "a" * 300 + "▁" * 5
    ids = trie.segment(text)
    assert len(ids) <= len(text)
    assert all(0 <= number < len(scores) or number == 3 for number in ids.tolist())


# Ids to rows


def sums(x: FloatArray) -> FloatArray:
    """Sums of rows of 384 in the order that is promised: four runs of 96, in each eight sums of each eighth number."""
    eights = x.reshape(len(x), 4, 12, 8)
    total = eights[:, :, 0].copy()
    for step in range(1, 12):
        total += eights[:, :, step]
    runs = total.reshape(-1, 4, 2, 2, 2)
    runs = runs[..., 0] + runs[..., 1]
    runs = runs[..., 0] + runs[..., 1]
    runs = runs[..., 0] + runs[..., 1]
    found: FloatArray = ((runs[:, 0] + runs[:, 1]) + (runs[:, 2] + runs[:, 3]))[:, None]
    return found


def rows_of(rows: pieces.Rows, ids: NDArray[np.int32], epsilon: float) -> FloatArray:
    table, places, norm = rows._arrays
    x = packed.decode(table[ids])
    x += places[: len(ids)]
    x -= sums(x) / np.float32(384)
    x /= np.sqrt(sums(np.square(x)) / np.float32(384) + np.float32(epsilon))
    x *= norm[0]
    x += norm[1]
    return x


@settings(max_examples=60, deadline=None)
@given(ids=st.lists(st.integers(0, HEIGHT - 1), max_size=40))
@example([])
@example([0])
@example([HEIGHT - 1] * 512)
def test_rows_are_equal_to_the_bit(encoder: e5.E5Small, ids: list[int]) -> None:
    """A vector that was kept is the vector of today."""
    chosen = np.array(ids, np.int32)
    epsilon = encoder._source.manifest["epsilon"]
    found = encoder._rows.embed(chosen)
    assert found.dtype == np.float32
    assert np.array_equal(found, rows_of(encoder._rows, chosen, epsilon))
    variance = np.square(np.ones(384, np.float32)).mean()
    assert sums(np.ones((1, 384), np.float32))[0, 0] == 384 * variance


def test_halves_of_every_kind() -> None:
    """Each finite half-precision scale is decoded as numpy decodes it, subnormal ones too."""
    bits = np.arange(0x10000, dtype=np.uint16)
    bits = np.resize(bits[np.isfinite(bits.view(np.float16))], (5291, 12))
    table = np.zeros(bits.shape, packed.BLOCK)
    table["scale"] = bits.view(np.float16)
    table["nibbles"] = np.random.default_rng(1).integers(0, 256, (*bits.shape, 16))
    norm = np.stack([np.ones(384), np.zeros(384)]).astype(np.float32)
    rows = pieces.Rows(table, np.zeros((512, 384), np.float32), norm, 1e-12)
    for first in range(0, len(table), 512):
        ids = np.arange(first, min(first + 512, len(table)), dtype=np.int32)
        assert np.array_equal(rows.embed(ids), rows_of(rows, ids, 1e-12))


@pytest.mark.parametrize("wrong", [-1, HEIGHT, 2**31 - 1, -(2**31)])
def test_an_id_outside_of_the_table(encoder: e5.E5Small, wrong: int) -> None:
    with pytest.raises(structures.Damaged):
        encoder._rows.embed(np.array([0, wrong], np.int32))


def test_wrong_arrays_are_refused(encoder: e5.E5Small) -> None:
    """What a caller must not do is an AssertionError, what a file cannot hold a ValueError."""
    table, places, norm = encoder._rows._arrays
    with pytest.raises(AssertionError):
        encoder._rows.embed(np.zeros(513, np.int32))
    with pytest.raises(AssertionError):
        encoder._rows.embed(np.zeros(5, np.int64))
    with pytest.raises(AssertionError):
        pieces.Pieces(np.zeros(8, np.uint64)[::2], np.zeros(1, np.float32), 0.0)
    for wrong in ((table, places[:, :383], norm), (table, places, norm[:1]), (table[:, :11], places, norm)):
        with pytest.raises(ValueError, match="embeddings of"):
            pieces.Rows(*wrong, 0.0)


def test_a_library_of_another_version(monkeypatch: pytest.MonkeyPatch, encoder: e5.E5Small) -> None:
    """An older library beside newer Python is named, whichever of its files is the older one."""
    monkeypatch.setattr(pieces, "VERSION", 99)
    monkeypatch.setattr(pieces, "_library", pieces._library.__wrapped__)
    with pytest.raises(NativeMissing, match="version 1, not 99"):
        encoder.count_tokens("返品")
    with pytest.raises(NativeMissing, match="kb_no_such_file"):
        native.opened("kb_no_such_file", 1)
