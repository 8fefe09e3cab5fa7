"""The words of a knowledge base: what is written is read back, the same bytes for the same words, damage is noticed.

Run as a script, this file opens damaged copies of a vocabulary and tells what becomes of each; every one is tried in a
process of its own, so that a crash or a hang is an outcome like any other.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbsearch.errors import IndexCorrupt
from kbsearch.model import Passage
from kbsearch.rows import Analysed, Row
from kbsearch.text import analyse
from kbsearch.vocabulary import Entry, Vocabulary, write_vocabulary
from kbsearch.wordlist import WordList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SECONDS = 10

ENTRIES = (
    Entry("term", "返品", 12),
    Entry("term", "期間", 4),
    Entry("spelling", "サーバー", 5),
    Entry("spelling", "calendar", 300),
    Entry("reading", "へんぴん", 12, "返品"),
    Entry("reading", "きかん", 4, "期間"),
    Entry("reading", "きかん", 3, "機関"),
    Entry("reading", "き", 256, "木"),
    Entry("reading", "き", 255, "気"),
    Entry("reading", "さーばー", 5, "サーバー"),
)

Write: TypeAlias = "Callable[[Iterable[Entry]], Vocabulary]"


@pytest.fixture
def written(tmp_path: Path) -> Write:
    """Write entries, and open what was written."""

    def write(entries: Iterable[Entry]) -> Vocabulary:
        write_vocabulary(tmp_path / "words", entries)
        return Vocabulary(tmp_path / "words")

    return write


# Written and read


def test_what_was_written_is_read_back(written: Write) -> None:
    words = written(ENTRIES)
    assert words.knows("返品")
    assert words.knows("期間")
    assert words.passages("サーバー") == 5
    assert words.passages("calendar") == 300
    assert words.read_as("へんぴん") == "返品"
    assert words.read_as("さーばー") == "サーバー"


def test_unknown_words_are_unknown(written: Write) -> None:
    words = written(ENTRIES)
    for word in ("交換", "返", "返品の", "", "Calendar", "カレンダー", "t返品"):
        assert not words.knows(word)
        assert words.passages(word) == 0
        assert words.read_as(word) == ""
        assert words.read_from(word) == []


def test_terms_spellings_and_readings_are_told_apart(written: Write) -> None:
    words = written(ENTRIES)
    assert not words.knows("サーバー")
    assert words.passages("返品") == 0
    assert words.read_as("返品") == ""


def test_of_several_spellings_the_most_frequent_is_meant(written: Write) -> None:
    words = written(ENTRIES)
    assert words.read_as("きかん") == "期間"
    assert words.read_as("き") == "木", "256 passages are more than 255"


def test_of_spellings_that_are_equally_frequent_always_the_same_is_meant(written: Write) -> None:
    same = [Entry("reading", "きかん", 4, spelling) for spelling in ("期間", "機関", "帰還")]
    assert {written(order).read_as("きかん") for order in (same, same[::-1], same[1:] + same[:1])} == {"機関"}


def test_readings_with_which_a_text_begins_come_shortest_first(written: Write) -> None:
    words = written(ENTRIES)
    assert words.read_from("きかんのせってい") == [("き", "木", 256), ("きかん", "期間", 4)]
    assert words.read_from("きか") == [("き", "木", 256)]
    assert words.read_from("へんぴ") == []
    assert words.read_from("") == []


def test_a_reading_is_found_at_the_beginning_of_a_text_of_any_length(written: Write) -> None:
    words = written(ENTRIES)
    assert words.read_from("へんぴん" + "あ" * 100_000) == [("へんぴん", "返品", 12)]


def test_a_vocabulary_may_be_empty(written: Write) -> None:
    words = written([])
    assert not words.knows("返品")
    assert words.passages("サーバー") == 0
    assert words.read_as("きかん") == ""
    assert words.read_from("きかん") == []


def test_a_key_of_more_than_32_characters_is_left_out(written: Write) -> None:
    longest, longer = "ア" * 32, "イ" * 33
    words = written([Entry(kind, key, 1, key) for kind in ("term", "spelling", "reading") for key in (longest, longer)])
    assert words.knows(longest)
    assert words.passages(longest) == 1
    assert words.read_from(longest + "ウ") == [(longest, longest, 1)]
    assert not words.knows(longer)
    assert words.passages(longer) == 0
    assert words.read_as(longer) == ""


@pytest.mark.parametrize("char", ["\ud800", "\0"])
def test_a_key_that_the_trie_cannot_hold_is_left_out_and_unknown(written: Write, char: str) -> None:
    words = written([*ENTRIES, *(Entry(kind, f"き{char}", 9, "記") for kind in ("term", "spelling", "reading"))])
    assert not words.knows(f"き{char}")
    assert words.passages(f"き{char}") == 0
    assert words.read_as(f"き{char}") == ""
    assert words.read_from(f"き{char}") == [("き", "木", 256)]
    assert words.read_from(char) == []


def test_a_spelling_may_hold_anything(written: Write) -> None:
    words = written([Entry("reading", "き", 1, "\ud800\0\xff木")])
    assert words.read_from("きた") == [("き", "\ud800\0\xff木", 1)]


# The same bytes


@settings(max_examples=50, deadline=None)
@given(st.permutations(ENTRIES))
def test_the_order_of_the_entries_changes_nothing(tmp_path_factory: pytest.TempPathFactory, order: list[Entry]) -> None:
    folder = tmp_path_factory.mktemp("order")
    write_vocabulary(folder / "one", ENTRIES)
    write_vocabulary(folder / "other", iter([*order, *order[:3]]))
    assert (folder / "one").read_bytes() == (folder / "other").read_bytes()


def test_the_hash_seed_changes_nothing(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from kbsearch.vocabulary import Entry, write_vocabulary; "
        "write_vocabulary(Path(sys.argv[1]), "
        "{Entry('reading', chr(0x3041 + i % 80) * (1 + i % 7), i, str(i)) for i in range(2000)})"
    )
    for seed in ("0", "1", "4242"):
        subprocess.run(
            [sys.executable, "-c", program, tmp_path / seed], env={**os.environ, "PYTHONHASHSEED": seed}, check=True
        )
    assert len({(tmp_path / seed).read_bytes() for seed in ("0", "1", "4242")}) == 1


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=32)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(WORDS, st.integers(0, 2**32 - 1), max_size=20))
def test_any_words_are_read_back(tmp_path_factory: pytest.TempPathFactory, counts: dict[str, int]) -> None:
    file = tmp_path_factory.mktemp("any") / "words"
    write_vocabulary(file, (Entry("spelling", word, count) for word, count in counts.items()))
    words = Vocabulary(file)
    assert {word: words.passages(word) for word in counts} == counts


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.text(st.characters()), st.sampled_from(["\ud800", "き\ud800", "\0", "き\0", "\uffff"])))
def test_any_text_may_be_looked_up(small: Vocabulary, text: str) -> None:
    assert not small.knows(text) or text in {"返品", "期間"}
    assert small.passages(text) in {0, 5, 300}
    assert small.read_as(text) == "" or text in {"へんぴん", "きかん", "き", "さーばー"}
    assert all(text.startswith(reading) for reading, _, _ in small.read_from(text))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    file = tmp_path_factory.mktemp("small") / "words"
    write_vocabulary(file, ENTRIES)
    return Vocabulary(file)


# Damage


@pytest.mark.parametrize("data", [b"", b"\0", b"We love Marisa.", b"garbage" * 1000, b"crc1\0\0\0\0", b"\xff" * 4096])
def test_what_is_no_vocabulary_is_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "words"
    file.write_bytes(data)
    with pytest.raises(IndexCorrupt) as caught:
        Vocabulary(file)
    assert caught.value.file == str(file)
    assert caught.value.expected.startswith("a vocabulary")
    assert ".cc" not in caught.value.found, "the place in a library's source says nothing to a reader"


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for file in (tmp_path / "none", tmp_path):
        with pytest.raises(IndexCorrupt):
            Vocabulary(file)


def test_a_truncated_vocabulary_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    file = tmp_path / "words"
    write_vocabulary(file, ENTRIES)
    data = file.read_bytes()
    trie = len(data) - 8  # behind it stands its checksum
    for size in [*range(0, trie, 97), *range(trie - 1, len(data))]:
        file.write_bytes(data[:size])
        with pytest.raises(IndexCorrupt):
            Vocabulary(file)


def test_whichever_byte_is_changed_nothing_crashes_and_nothing_else_is_read(tmp_path: Path) -> None:
    """A trie that believed a changed byte would take the process with it, or never come back."""
    file = tmp_path / "words"
    write_vocabulary(file, ENTRIES)
    done = subprocess.run([sys.executable, __file__, file], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    assert set(outcomes) == {"refused"}
    assert outcomes["refused"] >= file.stat().st_size // 4 - 2


# The entries of a knowledge base


def row(title: str, text: str = "", *, headings: tuple[str, ...] = (), alias: str = "") -> Analysed:
    """A row as the build makes it."""
    found = analyse("\n".join((title, *headings, text, alias)))
    passage = Passage(0, title, headings, text, (1, 1))
    return Analysed(Row(0, passage, alias, ""), " ".join(found.words.terms), " ".join(found.grams.terms))


def word_entries(rows: Iterable[Analysed]) -> Iterator[Entry]:
    """Entries for all of some rows."""
    words = WordList()
    for each in rows:
        words.add(each)
    return words.entries()


def readings(*rows: Analysed) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for entry in word_entries(rows):
        if entry.kind == "reading":
            found.setdefault(entry.key, set()).add(entry.spelling)
    return found


def counted(kind: str, *rows: Analysed) -> dict[str, int]:
    return {entry.key: entry.passages for entry in word_entries(rows) if entry.kind == kind}


def test_a_word_counts_the_rows_that_hold_it_however_often() -> None:
    rows = (row("返品", "返品の返品"), row("交換", "返品と交換"), row("送料"))
    assert counted("term", *rows) == {"返品": 2, "交換": 1, "送料": 1}


def test_a_verb_is_read_in_all_its_stems() -> None:
    found = readings(row("", "当店が払う"))
    for reading, spelling in [("はらう", "払う"), ("はらい", "払い"), ("はらわ", "払わ"), ("はらっ", "払っ")]:
        assert spelling in found[reading]


@pytest.mark.parametrize(
    ("verb", "stems", "none"),
    [
        ("書く", {"かく", "かき", "かか", "かけ", "かい"}, {"かっ"}),
        ("話す", {"はなす", "はなし", "はなさ", "はなせ"}, {"はなっ"}),
        ("待つ", {"まつ", "まち", "また", "まて", "まっ"}, {"まり"}),
        ("頼む", {"たのむ", "たのみ", "たのま", "たのめ", "たのん"}, {"たのっ"}),
        ("送る", {"おくる", "おくり", "おくら", "おくれ", "おくっ"}, {"おく"}),
        ("変える", {"かえる", "かえ", "かえれ", "かえら"}, {"かえり", "かえっ"}),
        ("着る", {"きる", "き", "きれ", "きら"}, {"きり", "きっ"}),
        ("切る", {"きる", "きり", "きら", "きれ", "きっ"}, {"き"}),
        ("走る", {"はしる", "はしり", "はしら", "はしれ", "はしっ"}, {"はし"}),
        ("来る", {"くる"}, {"くり", "くら", "くれ", "くっ"}),
    ],
)
def test_a_verb_has_the_stems_of_its_class(verb: str, stems: set[str], none: set[str]) -> None:
    found = readings(row("", verb))
    assert stems <= set(found)
    assert not none & set(found)


def test_nouns_in_a_row_in_a_title_are_also_one_word() -> None:
    found = readings(row("請求書の再発行"))
    assert found["せいきゅうしょ"] == {"請求書"}
    assert found["さいはっこう"] == {"再発行"}
    assert found["せいきゅう"] == {"請求"}


def test_headings_and_aliases_give_such_words_too_and_bodies_do_not() -> None:
    found = readings(
        row("返品", "領収書の控え", headings=("設定", "配送日数")), row("返品", alias="着払い伝票"), row("交換")
    )
    assert found["はいそうにっすう"] == {"配送日数"}
    assert "着払い伝票" in found["ちゃくばらいでんぴょう"]
    assert "りょうしゅうしょ" not in found


def test_katakana_words_stand_whole_with_their_reading() -> None:
    rows = (row("ダッシュボード", "ダッシュボードを開く"), row("", "ﾀﾞｯｼｭﾎﾞｰﾄﾞとサーバー"))
    assert counted("spelling", *rows) == {"ダッシュボード": 2, "サーバー": 1}
    found = readings(*rows)
    assert found["だっしゅぼーど"] == {"ダッシュボード"}
    assert found["さーばー"] == found["さーば"] == {"サーバー"}


def test_latin_words_stand_as_they_are_spelt_not_as_stems() -> None:
    rows = (row("Returning orders", "Our Wi-Fi, iPhone15, a"), row("", "ＯＲＤＥＲＳ of calendars"))
    assert counted("spelling", *rows) == {
        "returning": 1, "orders": 2, "our": 1, "wi": 1, "wifi": 1, "fi": 1, "iphone": 1, "of": 1, "calendars": 1,
    }  # fmt: skip
    assert readings(*rows) == {}


def test_no_rows_give_no_entries() -> None:
    assert list(word_entries([])) == []
    assert list(word_entries([row("")])) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(), max_size=40), max_size=4))
def test_any_text_gives_entries_that_can_be_written(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    rows = [row(text, text[::-1], headings=(text,), alias=text) for text in texts]
    entries = list(word_entries(rows))
    assert all(entry.key and entry.passages >= 1 for entry in entries)
    assert entries == list(word_entries(rows))
    file = tmp_path_factory.mktemp("any") / "words"
    write_vocabulary(file, entries)
    words = Vocabulary(file)
    assert all(words.knows(entry.key) for entry in entries if entry.kind == "term" and len(entry.key) <= 32)


# One changed byte after the other, each in a process of its own.


def _outcome(file: Path) -> int:
    try:
        words = Vocabulary(file)
    except IndexCorrupt:
        return 1
    same = all(words.knows(entry.key) for entry in ENTRIES if entry.kind == "term")
    same &= all(words.passages(entry.key) == entry.passages for entry in ENTRIES if entry.kind == "spelling")
    same &= words.read_as("きかん") == "期間"
    same &= words.read_from("きかんの") == [("き", "木", 256), ("きかん", "期間", 4)]
    return 0 if same else 2


def _try_all(file: Path) -> None:
    data = file.read_bytes()
    names = {0: "read", 1 << 8: "refused", 2 << 8: "read otherwise"}
    outcomes: dict[str, int] = {}
    for place in sorted({*range(0, len(data), 4), *range(len(data) - 8, len(data))}):
        file.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        child = os.fork()
        if child == 0:
            signal.alarm(SECONDS)
            os._exit(_outcome(file))
        status = os.waitpid(child, 0)[1]
        name = names.get(status, f"ended by {status}")
        outcomes[name] = outcomes.get(name, 0) + 1
    file.write_bytes(data)
    sys.stdout.write(json.dumps(outcomes))


if __name__ == "__main__":
    _try_all(Path(sys.argv[1]))
