"""A build questions its own articles: what it asks, what it withholds, what it fits, and that all of it repeats."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from conftest import FAKE, FakeEncoder, write_articles
from hypothesis import given
from hypothesis import strategies as st
from terms import parts_of

from kbsearch import embed
from kbsearch.bm25 import quantised_length
from kbsearch.builder import build
from kbsearch.calibration import _Bench, _fit, _Probe, _probes
from kbsearch.confidence import Calibration
from kbsearch.embed import text_key
from kbsearch.learned import shipped_models
from kbsearch.model import Filter, Weights
from kbsearch.pooling import candidates
from kbsearch.rows import Row, make_rows
from kbsearch.search import KnowledgeBase
from kbsearch.store import Store
from kbsearch.text import analyse

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import RunKbsearch

    from kbsearch.model import Article
    from kbsearch.query import Query
    from kbsearch.rank import Candidates

THINGS: Final = {
    "プリンター": "printer", "複合機": "copier", "ルーター": "router", "会議室": "meeting room", "社員証": "badge",
    "給与明細": "payslip", "交通費": "travel expense", "有給休暇": "paid leave", "健康診断": "health check",
    "名刺": "business card",
}  # fmt: skip
MATTERS: Final = {
    "申請": ("order", "総務に届けてください。翌日に受け付けます。", "Tell the desk. It is taken up the next day."),
    "変更": ("change", "画面から直せます。締め切りは月末です。", "Do it on the page. The month's end is the latest."),
    "紛失": ("loss", "見つからないときは電話をください。", "Call when it does not turn up again."),
}
ALIASES: Final = 4
"""So many Japanese articles have one."""


def article(title: str, lang: str, body: str, heading: str, **more: str) -> str:
    lines = [f"{name}: {value}" for name, value in {"title": title, "lang": lang, **more}.items()]
    return "---\n" + "\n".join(lines) + f"\n---\n\n{body}\n\n## {heading}\n\n{body}{title}\n"


def folder() -> dict[str, str]:
    """Sixty articles on thirty matters, each in Japanese and in English; every text stands in one article only."""
    found = {}
    for number, (thing, english) in enumerate(THINGS.items()):
        for place, (matter, (verb, body, english_body)) in enumerate(MATTERS.items()):
            name = f"{english.replace(' ', '-')}-{verb}"
            more = {"aliases": f"[{thing}が{matter}になった]"} if place == 0 and number < ALIASES else {}
            found[f"{name}.ja.md"] = article(
                f"{thing}の{matter}",
                "ja",
                f"{thing}について。{body}",
                f"{thing}を急いで{matter}したい",
                id=name,
                **more,
            )
            found[f"{name}.en.md"] = article(
                f"How to report the {verb} of a {english}", "en", f"About the {english}. {english_body}",
                f"Urgent {verb} of the {english}", translation_of=name,
            )  # fmt: skip
    return found


ARTICLES: Final = folder()
TEXTS: Final = 2 * len(ARTICLES) + ALIASES
"""Titles, headings and aliases: more of them than are asked."""

ASKED: Final = 120
FOREIGN: Final = 12


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The articles and their index; not to be changed."""
    folder = tmp_path_factory.mktemp("office")
    write_articles(folder / "articles", ARTICLES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embed._loaded, (FAKE, None), FakeEncoder())
        build(folder / "articles", folder / "index", encoder=FAKE)
    return folder


@pytest.fixture
def office(pristine: Path, tmp_path: Path, fake_encoder: FakeEncoder) -> Path:
    """A copy that a test may change; the fake encoder is there."""
    assert fake_encoder.encoded == []
    return shutil.copytree(pristine, tmp_path / "office")


def calibration_of(index: Path) -> dict[str, Any]:
    generation = Store(index).open()
    found: dict[str, Any] = generation.manifest["calibration"]
    generation.close()
    return found


# What the manifest says


def test_a_knowledge_base_of_sixty_articles_is_calibrated_by_its_own_questions(pristine: Path) -> None:
    found = calibration_of(pristine / "index")
    assert TEXTS > ASKED
    assert (found["basis"], found["questions"]) == ("own", ASKED)
    for part in (found, found["asked"]):
        for head in ("first", "few"):
            assert part[head].keys() == {"slope", "shift"}
            assert part[head]["slope"] > 0
    assert 0 <= found["ece"] <= 1


def test_the_reliability_table_counts_every_question_asked(pristine: Path) -> None:
    """Each text, every third also without its article, and a few about other things."""
    table = calibration_of(pristine / "index")["reliability"]
    assert sum(n for _, _, n in table) == ASKED + ASKED // 3 + FOREIGN
    assert len(table) == 10
    assert [confidence for confidence, _, _ in table] == sorted(confidence for confidence, _, _ in table)
    assert all(0 <= share <= 1 and 0 < confidence < 1 for confidence, share, _ in table)


def test_a_small_knowledge_base_keeps_the_shipped_probabilities(kb_index: Path) -> None:
    """The eleven served articles have as many titles, 5 headings and 3 aliases that say enough to be asked."""
    shipped = {"slope": 1.0, "shift": 0.0}
    assert calibration_of(kb_index) == {"basis": "shipped", "questions": 11 + 5 + 3, "first": shipped, "few": shipped}


def test_confidence_follows_the_calibration_of_the_manifest(pristine: Path, fake_encoder: FakeEncoder) -> None:
    """Shown where one knows the log-odds: asked again with a calibration that changes nothing."""
    assert fake_encoder
    kb = KnowledgeBase.open(pristine / "index")
    first = Calibration(**calibration_of(pristine / "index")["first"])
    calibrated = kb.search("社員証をなくした").confidence
    plain = {"first": asdict(Calibration()), "few": asdict(Calibration())}
    kb.snapshot.generation.manifest = {**kb.snapshot.generation.manifest, "calibration": plain}
    raw = kb.search("社員証をなくした").confidence
    assert raw is not None
    assert calibrated == pytest.approx(first.probability(math.log(raw / (1 - raw))))
    assert calibrated != raw


# The same articles give the same calibration


def test_two_builds_of_the_same_articles_are_calibrated_alike(office: Path) -> None:
    build(office / "articles", office / "again", encoder=FAKE)
    assert calibration_of(office / "again") == calibration_of(office / "index")


def test_an_edit_that_is_undone_leaves_the_calibration_as_it_was(office: Path) -> None:
    expected = calibration_of(office / "index")
    edited = {"badge-loss.ja.md": article("傘の忘れ物", "ja", "受付にあります。", "傘が見つからない")}
    write_articles(office / "articles", edited)
    assert build(office / "articles", office / "index", encoder=FAKE).published
    assert calibration_of(office / "index") != expected
    write_articles(office / "articles", {"badge-loss.ja.md": ARTICLES["badge-loss.ja.md"]})
    assert build(office / "articles", office / "index", encoder=FAKE).published
    assert calibration_of(office / "index") == expected


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_calibration_does_not_hang_on_the_order_of_a_set(
    pristine: Path, tmp_path: Path, kbsearch: RunKbsearch, seed: str
) -> None:
    built = kbsearch("build", pristine / "articles", "--index", tmp_path / "seeded", PYTHONHASHSEED=seed)
    assert built.returncode == 0, built.stderr
    assert calibration_of(tmp_path / "seeded") == calibration_of(pristine / "index")


# What is kept for the next build


def test_the_next_build_encodes_no_probe_again(office: Path, fake_encoder: FakeEncoder) -> None:
    """Of an edited article what is new in it; of the others nothing, also not what is left of them without a text."""
    name = "router-change.ja.md"
    write_articles(office / "articles", {name: ARTICLES[name].replace("締め切りは月末です", "締め切りは金曜です")})
    report = build(office / "articles", office / "index", encoder=FAKE)
    assert report.changed == (name,)
    assert report.counts["encoded"] == 2
    assert fake_encoder.encoded
    assert [text for text in fake_encoder.encoded if "金曜" not in text] == []
    assert len(set(fake_encoder.encoded)) == len(fake_encoder.encoded)


def test_a_renamed_article_is_questioned_without_encoding(office: Path, fake_encoder: FakeEncoder) -> None:
    (office / "articles" / "badge-loss.ja.md").rename(office / "articles" / "zzz.ja.md")
    assert build(office / "articles", office / "index", encoder=FAKE).published
    assert calibration_of(office / "index")["basis"] == "own"
    assert fake_encoder.encoded == []


def test_no_vector_is_kept_that_no_question_needs(office: Path) -> None:
    """The vectors of a withheld text are kept as long as the text is asked."""

    def kept() -> set[str]:
        generation = Store(office / "index").open()
        with np.load(generation.files.probes) as probes:
            keys, vectors = probes["keys"].tolist(), probes["vectors"]
        generation.close()
        assert vectors.shape == (len(keys), 32)
        return set(keys)

    before = kept()
    text = ARTICLES["badge-loss.ja.md"]
    write_articles(office / "articles", {"badge-loss.ja.md": text.replace("電話をください", "お知らせください")})
    build(office / "articles", office / "index", encoder=FAKE)
    assert before - kept(), "what was asked of the old text"
    write_articles(office / "articles", {"badge-loss.ja.md": text})
    build(office / "articles", office / "index", encoder=FAKE)
    assert kept() == before
    for path in list(ARTICLES)[5:]:
        (office / "articles" / path).unlink()
    build(office / "articles", office / "index", encoder=FAKE)
    assert kept() == set()


# What is asked


def served(*texts: str) -> tuple[list[Article], list[Row]]:
    """Articles and rows of Markdown, as a build has them."""
    from kbsearch.markdown import parse_article

    parse = partial(parse_article, default_lang="", count_tokens=len, max_tokens=512, target_tokens=256)
    articles = [parse(text.encode(), f"{number:02}.md")[0] for number, text in enumerate(texts)]
    return articles, make_rows(articles)


def terms_of(articles: list[Article], rows: list[Row]) -> list[dict[str, list[str]]]:
    """The words and grams of each row, as often as they count."""

    def of(row: Row) -> dict[str, list[str]]:
        read = [analyse(text) for text, weight in parts_of(row, articles, Weights()) for _ in range(weight)]
        return {
            "words": [term for found in read for term in found.words.terms],
            "grams": [term for found in read for term in found.grams.terms],
        }

    return [of(row) for row in rows]


def asked_of(*texts: str) -> set[tuple[str, str, int]]:
    return {(probe.field, probe.text, probe.article) for probe in _probes(*served(*texts))}


def test_titles_headings_and_aliases_are_asked() -> None:
    text = "---\ntitle: 返品の送料\naliases: [着払いで送る]\n---\n\n前文。\n\n## お客様都合の場合\n\n本文。\n"
    assert asked_of(text) == {
        ("title", "返品の送料", 0), ("heading", "お客様都合の場合", 0), ("alias", "着払いで送る", 0),
    }  # fmt: skip


def test_what_two_articles_say_of_themselves_is_not_asked() -> None:
    one, other = "# 返品の送料\n\n## 海外の場合\n\n本文。\n", "# 交換の送料\n\n## 海外の場合\n\n本文。\n"
    assert asked_of(one, other) == {("title", "返品の送料", 0), ("title", "交換の送料", 1)}


@pytest.mark.parametrize(
    "text",
    [
        "# 返品\n\n一語だけ。\n",
        "ファイル名だけの記事。\n",
        "---\nstatus: draft\n---\n\n# 返品の送料\n\n下書き。\n",
    ],
)
def test_a_text_that_says_too_little_is_not_asked(text: str) -> None:
    assert asked_of(text) == set()


def test_no_more_than_so_many_are_asked_and_of_each_kind_alike() -> None:
    found = _probes(*served(*ARTICLES.values()))
    assert len(found) == len(set(found)) == ASKED
    assert Counter(probe.field for probe in found) == {"title": 58, "heading": 58, "alias": ALIASES}
    assert found == _probes(*served(*ARTICLES.values()))


# What is withheld

GUIDE: Final = """---
title: 返品の送料
lang: ja
aliases: [返送料はどちらの負担ですか, 返送料の着払い]
---

返品の送料は当店が負担します。

## お客様都合の返品

送料はお客様の負担です。

### 離島の返品

送料の一部を負担します。
"""
OTHER: Final = "# 社員証の再発行\n\n総務に届けてください。\n"
TITLE: Final = _Probe("返品の送料", 0, "title")
HEADING: Final = _Probe("お客様都合の返品", 0, "heading")
ALIAS: Final = _Probe("返送料の着払い", 0, "alias")


class Desk:
    """A bench over the index of two articles, and what it was made of."""

    def __init__(self, folder: Path, texts: dict[str, str]) -> None:
        write_articles(folder / "articles", texts)
        build(folder / "articles", folder / "index", encoder=FAKE)
        self.kb = KnowledgeBase.open(folder / "index")
        self.articles, self.rows = served(*(texts[path] for path in sorted(texts)))
        self.terms = terms_of(self.articles, self.rows)
        self.bench = _Bench(self.kb.snapshot, shipped_models(), self.articles, self.rows, Weights())


@pytest.fixture
def desk(tmp_path: Path, fake_encoder: FakeEncoder) -> Desk:
    assert fake_encoder
    return Desk(tmp_path, {"00.md": GUIDE, "01.md": OTHER})


def test_what_is_left_of_a_passage_for_the_encoder(desk: Desk) -> None:
    """Rows 0 to 2 are the passages, 3 and 4 the aliases. A heading stands above its sub-headings, too."""
    lead, middle, deep = "返品の送料は当店が負担します。", "送料はお客様の負担です。", "送料の一部を負担します。"
    assert desk.bench.edited_texts(TITLE) == [
        (0, lead), (1, f"お客様都合の返品\n{middle}"), (2, f"お客様都合の返品 > 離島の返品\n{deep}"),
    ]  # fmt: skip
    assert desk.bench.edited_texts(HEADING) == [
        (1, f"返品の送料\n{middle}"), (2, f"返品の送料\n離島の返品\n{deep}"),
    ]  # fmt: skip
    assert desk.bench.edited_texts(ALIAS) == []


def plain_bm25(
    desk: Desk, stream: str, question: str, held: list[str], length: int
) -> float:  # the textbook, term by term
    rows = [held[stream] for held in desk.terms]
    mean = sum(map(len, rows)) / len(rows)
    asked = analyse(question).words if stream == "words" else analyse(question).grams
    score = 0.0
    for term in asked.terms:
        n = sum(term in row for row in rows)
        idf = math.log(1 + (len(rows) - n + 0.5) / (n + 0.5))
        tf = held.count(term)
        score += idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * quantised_length(length) / mean))
    return score


def without(held: list[str], stream: str, text: str, times: int) -> list[str]:
    held = [*held]
    analysis = analyse(text)
    for term in (analysis.words if stream == "words" else analysis.grams).terms * times:
        held.remove(term)  # raises where the row does not hold it
    return held


@pytest.mark.parametrize("stream", ["words", "grams"])
@pytest.mark.parametrize(
    ("probe", "times"),
    [  # of rows 0 to 2, the passages, and 3 and 4, the aliases
        (TITLE, {0: 3, 1: 3, 2: 3}),
        (HEADING, {0: 0, 1: 2, 2: 2, 3: 0, 4: 0}),
        (ALIAS, {0: 3, 1: 3, 2: 3, 3: 0}),
    ],
)
def test_bm25_of_a_row_is_what_it_is_without_the_terms_of_the_withheld_text(
    desk: Desk, stream: Any, probe: _Probe, times: dict[int, int]
) -> None:
    """The weights are 3, 2 and 3; a row that did not hold the text loses nothing of its own."""
    terms = analyse(probe.text).words.terms if stream == "words" else analyse(probe.text).grams.terms
    found = desk.bench._bm25(stream, terms, list(times), probe)
    expected = []
    for number, count in times.items():
        held = without(desk.terms[number][stream], stream, probe.text, count)
        expected.append(plain_bm25(desk, stream, probe.text, held, len(held)))
    assert found.tolist() == pytest.approx(expected, rel=1e-5)
    assert max(expected) > 0


@pytest.mark.parametrize("stream", ["words", "grams"])
def test_bm25_of_a_row_that_loses_nothing_is_that_of_the_index(desk: Desk, stream: Any) -> None:
    """The formula against the lexical leg, over all rows of both articles."""
    analysis = analyse("返品の送料は、社員証の再発行とお客様の負担です")
    terms = analysis.words.terms if stream == "words" else analysis.grams.terms
    rows, expected = desk.kb.snapshot.lexical.search(stream, terms, len(desk.rows))
    found = desk.bench._bm25(stream, terms, rows.tolist(), _Probe("zzz qqq", 0, "heading"))
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    assert len(rows) == len(desk.rows)


def seen(desk: Desk, probe: _Probe) -> tuple[list[int], Candidates]:
    """Rows of the probe's article that take part when its text is withheld, and the pool."""
    query = desk.kb.prepare(probe.text)
    pooled = candidates(desk.kb.snapshot, query, FILTER_JA, 100, without=(probe.article,))
    vectors = {text_key(text): desk.kb.snapshot.encode(text) for _, text in desk.bench.edited_texts(probe)}
    merged = desk.bench._with_rest(probe, query, pooled, vectors)
    return merged.rows[len(pooled.rows) :].tolist(), merged


FILTER_JA: Final = Filter(lang=("ja",))


@pytest.mark.parametrize(("probe", "rows"), [(TITLE, [0, 1, 2]), (HEADING, [0, 1, 2, 3, 4]), (ALIAS, [0, 1, 2, 3])])
def test_rows_that_are_nothing_but_the_withheld_text_take_no_part(desk: Desk, probe: _Probe, rows: list[int]) -> None:
    assert seen(desk, probe)[0] == rows


@pytest.mark.parametrize(("probe", "slots", "gone"), [(TITLE, [0, 1], [0, 1, 2]), (HEADING, [2, 3], [1])])
def test_no_field_holds_the_withheld_text(desk: Desk, probe: _Probe, slots: list[int], gone: list[int]) -> None:
    """A heading is withheld where it is a row's own; a heading below it stays with its row."""
    rows, merged = seen(desk, probe)
    overlap, first = merged.overlap, len(merged.rows) - len(rows)
    assert overlap is not None
    for share in (overlap.cover, overlap.reverse):
        assert not share[[first + rows.index(number) for number in gone]][:, slots].any()
    deepest = first + rows.index(2)
    assert overlap.cover[deepest, 3] > 0, "離島の返品 has 返品"


def test_a_passage_is_compared_with_what_is_left_of_it(desk: Desk) -> None:
    rows, merged = seen(desk, TITLE)
    left = dict(desk.bench.edited_texts(TITLE))
    first = len(merged.rows) - len(rows)
    question = desk.kb.snapshot.encode(TITLE.text)
    for place, number in enumerate(rows):
        expected = float(desk.kb.snapshot.encode(left[number]) @ question)
        assert merged.dense[first + place] == pytest.approx(expected, abs=1e-6)


def test_a_translation_does_not_answer_for_a_withheld_article(
    pristine: Path, fake_encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where the text is withheld nor where the article is; articles of its own language do."""
    assert fake_encoder
    kb = KnowledgeBase.open(pristine / "index")
    articles, rows = served(*(ARTICLES[path] for path in sorted(ARTICLES)))
    bench = _Bench(kb.snapshot, shipped_models(), articles, rows, Weights())
    number = next(n for n, found in enumerate(articles) if found.title == "社員証の紛失")
    pools: list[set[int]] = []

    def judge(_query: Any, found: Candidates, _probe: _Probe | None) -> None:
        pools.append(set(kb.snapshot.article_of_row[found.rows].tolist()))

    monkeypatch.setattr(bench, "_judge", judge)
    probe = _Probe("社員証の紛失", number, "title")
    vectors = {text_key(text): kb.snapshot.encode(text) for _, text in bench.edited_texts(probe)}
    assert len(list(bench.ask(probe, vectors, removed=True))) == 2
    assert len(list(bench.ask(probe, vectors, removed=False))) == 1
    assert [number in pool for pool in pools] == [True, False, True]
    assert {articles[found].lang for pool in pools for found in pool} == {"ja"}


def test_questions_about_other_things_are_of_both_languages(
    pristine: Path, fake_encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fake_encoder
    kb = KnowledgeBase.open(pristine / "index")
    bench = _Bench(kb.snapshot, shipped_models(), *served(*ARTICLES.values()), Weights())
    asked: list[str] = []

    def judge(query: Query, _found: Any, probe: _Probe | None) -> None:
        assert probe is None, "nothing is the right answer"
        asked.append(query.text)

    monkeypatch.setattr(bench, "_judge", judge)
    assert len(list(bench.ask_foreign(FOREIGN))) == FOREIGN
    assert sum(question.isascii() for question in asked) == FOREIGN // 2


def test_where_nothing_can_answer_nothing_is_right(desk: Desk) -> None:
    def nowhere(lang: str) -> Candidates:
        return candidates(desk.kb.snapshot, query, Filter(lang=(lang,)), 100)

    query = desk.kb.prepare("返品の送料")
    empty = desk.bench._judge(query, nowhere("fr"), None)
    assert (empty.log_odds, empty.true) == ((-10.0, -10.0), (False, False))
    assert desk.bench._judge(query, nowhere("ja"), None).true == (False, False)
    assert desk.bench._judge(query, nowhere("ja"), _Probe("返品の送料", 0, "alias")).true == (True, True)


# The fit


def cost(odds: np.ndarray, true: np.ndarray, prior: Calibration, weight: float, slope: Any, shift: Any) -> Any:
    """What the fit has to make least, by its definition; ``slope`` and ``shift`` may be a grid."""
    positives = true.sum()
    target = np.where(true > 0, (positives + 1) / (positives + 2), 1 / (len(true) - positives + 2))
    z = np.asarray(slope)[..., None] * odds + np.asarray(shift)[..., None]
    likelihood = (np.logaddexp(0, z) - target * z).sum(axis=-1)
    return likelihood + weight / 2 * ((slope - prior.slope) ** 2 + (shift - prior.shift) ** 2)


@pytest.mark.parametrize("weight", [0.01, 1.0, 100.0])
@pytest.mark.parametrize(("slope", "shift", "n"), [(1.0, 0.0, 60), (0.4, -1.5, 150), (2.5, 2.0, 150)])
def test_the_fit_is_the_best_of_a_grid(weight: float, slope: float, shift: float, n: int) -> None:
    chance = np.random.default_rng(5)
    odds = chance.normal(0, 2, n)
    true = (chance.random(n) < 1 / (1 + np.exp(-(slope * odds + shift)))).astype(np.float64)
    prior = Calibration(0.7, -0.4)
    found = _fit(odds, true, prior, weight)
    slopes, shifts = np.meshgrid(np.linspace(0.05, 6, 400), np.linspace(-5, 5, 400))
    costs = cost(odds, true, prior, weight, slopes, shifts)
    best = np.unravel_index(costs.argmin(), costs.shape)
    assert cost(odds, true, prior, weight, found.slope, found.shift) <= costs[best] + 1e-6
    assert found.slope == pytest.approx(float(slopes[best]), abs=0.02)
    assert found.shift == pytest.approx(float(shifts[best]), abs=0.03)


def test_a_strong_prior_is_not_overturned() -> None:
    odds, true = np.linspace(-3, 3, 60), np.tile([1.0, 0.0], 30)
    assert _fit(odds, true, Calibration(0.7, -0.4), 1e9) == Calibration(0.7, -0.4)
    assert _fit(odds, true, Calibration(0.7, -0.4), 1.0).slope < 0.4


@pytest.mark.parametrize("gap", [0.1, 3.0, 40.0])
def test_a_clean_separation_has_a_finite_slope(gap: float) -> None:
    odds = np.concatenate([np.linspace(-5, -gap, 40), np.linspace(gap, 5, 40)])
    found = _fit(odds, (odds > 0).astype(np.float64), Calibration(), 1e-6)
    assert 0 < found.slope < 100
    assert abs(found.shift) < 1


@pytest.mark.parametrize("answer", [0.0, 1.0])
def test_questions_that_all_came_out_alike_move_the_shift_as_far_as_the_prior_allows(answer: float) -> None:
    found = _fit(np.linspace(-1, 1, 50), np.full(50, answer), Calibration(), 1.0)
    assert math.copysign(1, found.shift) == (1 if answer else -1)
    assert 0.5 < abs(found.shift) < 5


def test_log_odds_that_point_the_wrong_way_never_turn_the_ranking_of_answers_round() -> None:
    odds = np.linspace(-4, 4, 80)
    assert _fit(odds, (odds < 0).astype(np.float64), Calibration(), 0.01).slope == 0.05


@given(
    st.lists(st.tuples(st.floats(-12, 12), st.booleans()), min_size=1, max_size=60),
    st.floats(0.1, 3),
    st.floats(-3, 3),
    st.sampled_from([1.0, 100.0]),
)
def test_a_fit_is_no_worse_than_its_prior(
    asked: list[tuple[float, bool]], slope: float, shift: float, weight: float
) -> None:
    odds = np.array([log_odds for log_odds, _ in asked])
    true = np.array([came for _, came in asked], dtype=np.float64)
    prior = Calibration(slope, shift)
    found = _fit(odds, true, prior, weight)
    assert math.isfinite(found.slope)
    assert math.isfinite(found.shift)
    if found.slope > 0.05:
        assert cost(odds, true, prior, weight, found.slope, found.shift) <= cost(
            odds, true, prior, weight, slope, shift
        ) + 1e-4 * len(asked)


def test_the_manifest_is_plain_json(pristine: Path) -> None:
    found = calibration_of(pristine / "index")
    assert json.loads(json.dumps(found, allow_nan=False)) == found
