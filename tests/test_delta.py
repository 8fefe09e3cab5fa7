"""A delta build answers as a whole build of the same folder does, and is made only where it can."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING, Any, Final

import pytest
from conftest import ARTICLES, FAKE, FakeEncoder, write_articles

from kbsearch import embed, store, vector, verify
from kbsearch.builder import build
from kbsearch.errors import NotFound
from kbsearch.features import NAMES
from kbsearch.filters import parse_filter
from kbsearch.model import Weights
from kbsearch.pooling import candidates
from kbsearch.retrieve import judged
from kbsearch.search import KnowledgeBase
from kbsearch.store import Store
from kbsearch.verify import check_ranking

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kbsearch.overviews import BuildReport
    from kbsearch.rank import Mode

ASKED: Final = (
    "返品の送料は誰が払いますか",
    "password reset",
    "ログインできない error 809",
    "さーばーの追記",
    "新着の話",
)
FILTERS: Final[tuple[dict[str, Any], ...]] = ({}, {"lang": "ja"}, {"category": "shop", "tags": ["返品", "送料"]})
ONE_LEG: Final[tuple[Mode, ...]] = ("lexical", "dense")
VALUES: Final = [place for place, name in enumerate(NAMES) if not name.endswith("_standing")]
"""Features that do not place equal scores by number: a delta numbers what changed behind all else."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dozen articles are enough for a delta, and nearly all of them may change."""
    monkeypatch.setattr("kbsearch.delta.FEWEST_PASSAGES", 0)
    monkeypatch.setattr("kbsearch.delta.MOST_CHANGED", 0.9)


def is_delta(index: Path) -> bool:
    """Whether the generation in force has one."""
    generation = Store(index).open()
    generation.close()
    return "delta" in generation.manifest


def scores_of(kb: KnowledgeBase, question: str, where: dict[str, Any]) -> object:
    """What the hybrid ranking looks at, by article."""
    query, snapshot = kb.prepare(question), kb.snapshot
    found = judged(snapshot, query, candidates(snapshot, query, parse_filter(where), 100))
    ids = [snapshot.article_ids[number] for number in found.numbers]
    return query.understood, sorted(zip(ids, found.features[:, VALUES].tolist(), strict=True))


def hits_of(kb: KnowledgeBase, question: str, where: dict[str, Any], mode: Mode) -> list[dict[str, Any]]:
    """Hits with their snippets and marks; equal scores by id, since a delta numbers what changed behind all else."""
    hits = kb.search(question, k=1000, filter=where, mode=mode).to_dict()["hits"]
    return sorted(({**hit, "rank": 0} for hit in hits), key=lambda hit: (-hit["score"], hit["article_id"]))


def everything(kb: KnowledgeBase) -> dict[str, Any]:
    """What an index says, by what it was asked."""
    snapshot, status = kb.snapshot, kb.status()
    said: dict[str, Any] = {}
    for where in FILTERS:
        for question in ASKED:
            said[f"scores {question} {where}"] = scores_of(kb, question, where)
            for mode in ONE_LEG:
                said[f"{mode} {question} {where}"] = hits_of(kb, question, where, mode)
    for name in ("counts", "statuses", "out_of_date", "languages", "kinds", "categories", "warnings", "calibration"):
        said[name] = getattr(status, name)
    said["tags"] = snapshot.content.facet("tag")
    said["served"] = sorted(snapshot.content.served_ids())
    said["files"] = snapshot.content.files()
    for article in snapshot.content.articles():
        said[f"stored {article.id}"] = article
        try:
            served = kb.article(article.id)
        except NotFound:
            said[f"article {article.id}"] = None
        else:
            ids = [f"{article.id}#{section.anchor}" for section in served.sections]
            said[f"article {article.id}"] = served, [kb.section(section) for section in ids]
    said["rows, lengths"] = snapshot.lexical.rows, snapshot.tokens.mean_lengths
    for stream, term in (("words", "返品"), ("words", "password"), ("grams", "ログ"), ("words", "無い")):
        said[f"idf {term}"] = snapshot.lexical.idf(stream, term)  # type: ignore[arg-type]
    return said


def equal_to_whole(articles: Path, index: Path) -> KnowledgeBase:
    """Compare an index with a whole build of the same articles; gives the index, open."""
    whole = index.parent / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    build(articles, whole, encoder=FAKE)
    kb, other = KnowledgeBase.open(index), KnowledgeBase.open(whole)
    kept = {name: kb.snapshot.generation.manifest[name] for name in ("cosines", "title_cosines", "calibration")}
    other.snapshot.generation.manifest |= kept  # type: ignore[operator]
    other.snapshot.parts.samples = kb.snapshot.parts.samples  # what a delta keeps of its base
    found, expected = everything(kb), everything(other)
    assert found.keys() == expected.keys()
    for asked, value in expected.items():
        assert found[asked] == value, asked
    return kb


def edit(folder: Path, chance: random.Random, step: int) -> None:
    """One thing that an editor, or a mishap, does to a folder."""
    file, known = chance.choice(sorted(folder.rglob("*.md"))), chance.choice(sorted(ARTICLES))
    text = file.read_bytes().decode("utf-8", "replace")
    source = chance.choice(["returns", "password", "nowhere", "shop/deadline"])
    heads = ["status: draft", "valid_until: 2020-01-01", f"id: other-{step}", f"translation_of: {source}"]
    heads += [f"aliases: [別名{step}, error 809]"]
    contents: list[str | bytes] = [text.replace("---\n", f"---\n{line}\n", 1) for line in heads]
    contents += [f"{text}\n\n## 追記{step}\n\nログインの追記{step}です。\n", "", b"\xff\xfe\0" + text.encode()[:30]]
    contents += [text.replace("status: draft\n", ""), text.replace("translation_of", "former_source")]
    new = f"---\ntitle: 新着{step}の話\nlang: ja\n---\n\n返品の話{step}。\n\n## Next\n\npassword\n"
    written: list[dict[str, str | bytes]] = [{str(file.relative_to(folder)): content} for content in contents]
    written += [{f"new/{step}.md": new}, {known: ARTICLES[known]}, {f"twin/{step}.md": f"{text}\n双子{step}\n"}]
    kind = chance.randrange(len(written) + 3)
    if kind < len(written):
        write_articles(folder, written[kind])
    elif kind == len(written):
        file.unlink()
    elif kind == len(written) + 1:
        file.rename(file.with_name(f"moved{step}.md"))
    else:
        chance.choice([path for path in sorted(folder.iterdir()) if path.is_dir()]).rename(folder / f"folder{step}")


@pytest.mark.parametrize(("seed", "steps"), [(2, 40), (5, 15)])
def test_after_edits_of_every_kind_a_delta_answers_as_a_whole_build(
    articles: Path, index: Path, rebuild: Callable[[], BuildReport], seed: int, steps: int
) -> None:
    """Same scores, texts, counts, facets, warnings; the report tells exactly what changed since the last build."""
    chance, deltas = random.Random(seed), 0  # noqa: S311 - repeatable
    before = {path: text.encode() for path, text in ARTICLES.items()}
    for step in range(steps):
        for _ in range(chance.randint(1, 2)):
            edit(articles, chance, step)
        now = {str(file.relative_to(articles)): file.read_bytes() for file in articles.rglob("*.md")}
        report = rebuild()
        assert report.added == tuple(sorted(now.keys() - before.keys()))
        assert report.removed == tuple(sorted(before.keys() - now.keys()))
        assert report.changed == tuple(sorted(path for path in now.keys() & before if now[path] != before[path]))
        kb = equal_to_whole(articles, index)
        assert report.warnings == kb.status().warnings
        deltas += is_delta(index)
        before = now
    assert deltas > steps // 3


def many(
    number: int, chance: random.Random, subjects: str = "返品 送料 期限 設定 確認 password error"
) -> dict[str, str]:
    """Articles of a few subjects, some long, that say nearly the same."""
    words, files = subjects.split(), {}
    for place in range(number):
        lines = ["の".join(chance.choices(words, k=3)) + f"の件{chance.randrange(50)}。" for _ in range(1 + place % 9)]
        head = f"---\ntitle: {chance.choice(words)}と{chance.choice(words)}の件{place}\nlang: ja\n---\n\n"
        files[f"f{place % 7}/{place}.md"] = head + "".join(lines)
    return files


@pytest.mark.parametrize("limit", [10_000, 100])
def test_the_legs_rank_by_the_figures_of_both_together(
    tmp_path: Path, fake_encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """New short articles about one thing change what is rare and what is long: the oracles agree all the same."""
    assert fake_encoder
    chance = random.Random(5)  # noqa: S311 - repeatable
    articles, index = write_articles(tmp_path / "articles", many(900, chance)), tmp_path / "index"
    build(articles, index, encoder=FAKE)
    for each in range(30):
        (articles / f"f{each % 7}" / f"{each}.md").unlink()
    new = {}
    for each in range(150):
        title = f"{'請求' if each % 2 else ''}新着{each}"
        text = "".join(chance.choices(["住所の", "返品の", "設定の", "error "], k=1 + each % 12))
        new[f"n/{each}.md"] = f"---\ntitle: {title}\nlang: ja\n---\n\n{text}\n"
    write_articles(articles, new)
    build(articles, index, encoder=FAKE)
    assert is_delta(index)
    kb = KnowledgeBase.open(index)
    asked = [" ".join(chance.sample(["請求", "新着", "住所", "返品", "error", "password"], 3)) for _ in range(30)]
    for questions in (verify._questions, lambda _: asked):
        monkeypatch.setattr(verify, "_questions", questions)
        assert check_ranking(kb).agreement == {"words": 1.0, "grams": 1.0, "dense": 1.0}
    build(articles, tmp_path / "whole", encoder=FAKE)
    whole = KnowledgeBase.open(tmp_path / "whole")
    for question in ("送料の件", "新着の返品と送料", "請求 password", "期限の件の確認 error"):
        for mode in ("words", "grams", "dense"):
            found, expected = (each.ranking(question, k=10, mode=mode) for each in (kb, whole))
            assert found.article_ids == expected.article_ids, (question, mode)
    monkeypatch.setattr(vector, "CODES_LIMIT", 100)  # codes and graphs still have the rows that count no more
    monkeypatch.setattr(vector, "SCAN_LIMIT", limit)
    build(articles, tmp_path / "graphs", encoder=FAKE)
    for each in range(30, 60):
        (articles / f"f{each % 7}" / f"{each}.md").unlink()
    build(articles, tmp_path / "graphs", encoder=FAKE)
    assert is_delta(tmp_path / "graphs")
    kb = KnowledgeBase.open(tmp_path / "graphs")
    assert kb.snapshot.vectors.approximate
    assert check_ranking(kb).agreement["dense"] > 0.95
    assert not {f"f{each % 7}/{each}" for each in range(60)} & set(
        kb.ranking("送料の件", k=1000, mode="dense").article_ids
    )


def test_what_was_removed_never_comes_back(articles: Path, index: Path, rebuild: Callable[[], BuildReport]) -> None:
    """In no mode, at no depth, with no filter, also when what replaces it is withheld."""
    (articles / "shop/deadline.md").unlink()
    file = articles / "shop/returns.ja.md"
    file.write_text(file.read_text("utf-8").replace("id: returns", "id: returns-new"), "utf-8")
    file = articles / "account/leave.md"
    file.write_text(file.read_text("utf-8").replace("---\n", "---\nstatus: draft\n", 1), "utf-8")
    rebuild()
    assert is_delta(index)
    kb, gone = KnowledgeBase.open(index), {"returns", "shop/deadline", "account/leave"}
    wheres: list[dict[str, Any]] = [*FILTERS, {"category": "account"}, {"kind": ["faq", "guide"]}]
    for mode in ("hybrid", "lexical", "dense", "words", "grams", "rrf", "minmax"):
        for question in ("返品の送料は誰が払いますか", "返品の期限", "退会の手続き"):
            for where in wheres:
                for without in ((), ("returns-new",), ("",), ("returns", "shop/FAQ")):
                    found = kb.ranking(question, k=1000, mode=mode, filter=where, without=without)
                    assert not {*gone, *without} & {*found.article_ids}
                    assert len(found.article_ids) == len(set(found.article_ids))
    for name in gone - {"returns"}:
        with pytest.raises(NotFound):
            kb.article(name)
        with pytest.raises(NotFound):
            kb.section(f"{name}#お客様都合の場合")
    assert kb.article("returns").id == kb.section("returns#お客様都合の場合").article_id == "returns-new"
    assert gone.isdisjoint(kb.snapshot.content.served_ids())
    assert kb.article("returns-new").title == "返品の送料"


def test_two_terms_of_one_number_are_asked_for_all_the_same(
    articles: Path, index: Path, rebuild: Callable[[], BuildReport]
) -> None:
    """Of plumless and buckeroo with one CRC-32: the first, removed, takes no row from the second."""
    write_articles(articles, {"x.md": "# x\n\nplumless\n"})
    build(articles, index, encoder=FAKE, full=True)
    write_articles(articles, {"x.md": "# x\n\nanother word\n"})
    rebuild()
    assert is_delta(index)
    assert KnowledgeBase.open(index).search("buckeroo", mode="lexical").hits == ()


CLAIM: Final = "---\nid: returns\ntitle: {title}\nlang: ja\n---\n\n{title}です。\n"


@pytest.mark.parametrize(
    ("before", "after", "served"),
    [
        ({}, {"a.md": "新", "z.md": "後"}, "新"),  # both new, before the old one
        ({"shop/returns.ja.md": None}, {"a.md": "新", "z.md": "後"}, "新"),  # both new alone
        ({}, {"z.md": "後"}, "返品の送料"),  # a new one behind that of the base
        ({}, {"a.md": "新"}, "新"),  # a new one before it
        ({"a.md": "先"}, {"b.md": "新"}, "先"),  # two in the base, another change
        ({"a.md": "先"}, {"a.md": None}, "返品の送料"),  # the first of two in the base goes away
        ({"a.md": "先"}, {"shop/returns.ja.md": None}, "先"),  # the second does
        ({}, {"shop/returns.ja.md": "新", "z.md": "後"}, "新"),  # that of the base is changed, and another is new
        ({}, {"shop/returns.ja.md": None, "z.md": "後"}, "後"),  # it is renamed
    ],
)
def test_of_two_articles_with_one_id_the_first_is_served(
    articles: Path, index: Path, before: dict[str, str | None], after: dict[str, str | None], served: str
) -> None:
    """Wherever the two are: a whole build says whose it is, again when that one goes."""

    def change(edits: dict[str, str | None]) -> None:
        for path, title in edits.items():
            if title is None:
                (articles / path).unlink()
            else:
                write_articles(articles, {path: CLAIM.format(title=title)})
        build(articles, index, encoder=FAKE)

    change(before)
    build(articles, index, encoder=FAKE, full=True)
    change(after)
    kb = equal_to_whole(articles, index)
    assert kb.article("returns").title == served
    twice = [warning for warning in kb.status().warnings if warning.code == "duplicate-id"]
    assert not (twice and is_delta(index))
    for path in ("a.md", "b.md", "shop/returns.ja.md", "z.md"):  # the first goes, and the next
        if (articles / path).exists():
            change({path: None})
            equal_to_whole(articles, index)


@pytest.mark.parametrize("what", ["weights", "languages", "synonyms", "full", "encoder", "models", "format"])
def test_with_another_recipe_all_is_made_anew(
    articles: Path, index: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    write_articles(articles, {"new.md": "# 新着\n\n返品の話。\n"})
    build(articles, index, encoder=FAKE)
    assert is_delta(index)
    options: dict[str, Any] = {"encoder": FAKE}
    match what:
        case "weights":
            options["weights"] = Weights(title=2)
        case "languages":
            options["languages"] = ["en"]
        case "synonyms":
            (articles / "synonyms.txt").write_text("返品, 返却\n", "utf-8")
        case "full":
            options["full"] = True
        case "encoder":
            monkeypatch.setitem(embed._loaded, (FAKE, None), FakeEncoder(fingerprint="fake/2"))
        case "models":
            monkeypatch.setattr("kbsearch.builder.VERSION", "another parser")
        case _:
            monkeypatch.setattr(store, "FORMAT", store.FORMAT + 1)
    assert build(articles, index, **options).published
    assert not is_delta(index)
    write_articles(articles, {"newer.md": "# 最新\n\n送料の話。\n"})
    build(articles, index, **{**options, "full": False})
    assert is_delta(index)


def test_a_small_base_and_many_changes_are_written_anew(
    articles: Path, index: Path, rebuild: Callable[[], BuildReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many files, one file with many passages, or passages of one file that was large."""
    monkeypatch.setattr("kbsearch.delta.MOST_CHANGED", 0.3)
    passages = rebuild().counts["passages"]
    for fewest, expected in ((passages + 1, False), (passages, True)):
        monkeypatch.setattr("kbsearch.delta.FEWEST_PASSAGES", fewest)
        write_articles(articles, {"new.md": f"# 新着\n\n返品の話{fewest}。\n"})
        rebuild()
        assert is_delta(index) is expected
        build(articles, index, encoder=FAKE, full=True)
    write_articles(articles, {f"many/{each}.md": f"# 新着{each}\n\n返品。\n" for each in range(3)})
    rebuild()
    assert is_delta(index), "3 of 13"
    write_articles(articles, {f"many/{each}.md": f"# 新着{each}\n\n返品。\n" for each in range(4)})
    rebuild()
    assert not is_delta(index), "4 of 13"
    write_articles(articles, {"large.md": "# 大\n" + "".join(f"\n## 節{n}\n\n本文{n}。\n" for n in range(30))})
    rebuild()
    assert not is_delta(index), "one file, more passages than a third of the base"
    write_articles(articles, {"large.md": "# 大\n"})
    rebuild()
    assert not is_delta(index), "it takes as many away"


def test_translations_find_each_other_across_base_and_delta(
    articles: Path, index: Path, rebuild: Callable[[], BuildReport]
) -> None:
    """Grouped with the one in the question's language first; no false note about a source that is in the base."""

    def beside(question: str) -> list[str]:
        return list(KnowledgeBase.open(index).ranking(question, k=2).article_ids)

    file = articles / "account/password.en.md"
    text = file.read_text("utf-8")
    file.write_text(text.replace("---\n", "---\ntranslation_of: password\n", 1), "utf-8")
    assert rebuild().warnings == ()
    assert is_delta(index)
    assert beside("パスワードを忘れた") == ["password", "password-en"]
    assert beside("Reset your password") == ["password-en", "password"]
    other = articles / "account/password.ja.md"
    other.write_text(other.read_text("utf-8") + "\n追記です。\n", "utf-8")  # now the source is in the delta, too
    assert rebuild().warnings == ()
    assert beside("Reset your password") == ["password-en", "password"]
    file.write_text(text, "utf-8")  # and the translation no more
    assert rebuild().warnings == ()
    assert "password" not in beside("Reset your password")[:1]
    other.unlink()
    write_articles(articles, {"shop/returns.ja.md": ARTICLES["shop/returns.ja.md"].replace("id: returns", "id: sent")})
    assert [(note.path, note.code) for note in rebuild().warnings] == [("shop/returns.en.md", "unknown-translation")]
    assert is_delta(index)
    equal_to_whole(articles, index)


def test_a_word_that_only_the_delta_knows_mends_a_slip_and_is_marked(
    articles: Path, index: Path, rebuild: Callable[[], BuildReport]
) -> None:
    """Snippets, marks, lines and sections of a new article are its own."""
    assert KnowledgeBase.open(index).search("サブスクリプシン").understood is None
    text = "---\ntitle: 料金\nlang: ja\n---\n\n案内です。\n\n## 解約\n\nいつでも、サブスクリプションを止められます。\n"
    write_articles(articles, {"aaa.md": text})
    rebuild()
    assert is_delta(index)
    for mode in ("hybrid", "lexical"):
        found = KnowledgeBase.open(index).search("サブスクリプシンを止めたい", mode=mode)
        assert found.understood == "サブスクリプションを止めたい"
        hit = found.hits[0]
        assert (hit.article_id, hit.section_id, hit.heading, hit.lines) == ("aaa", "aaa#解約", "解約", (10, 10))
        assert hit.snippet == "いつでも、サブスクリプションを止められます。"
        assert "サブスクリプション" in [hit.snippet[start:end] for start, end in hit.marks]


def test_a_change_and_its_undoing_need_no_vector(
    articles: Path, index: Path, rebuild: Callable[[], BuildReport], fake_encoder: FakeEncoder
) -> None:
    """Back in the base's own state the delta is empty, and counts as no change any more."""
    before = everything(KnowledgeBase.open(index))
    fake_encoder.encoded.clear()
    (articles / "shop").rename(articles / "store")
    assert rebuild().counts["encoded"] == 0
    assert is_delta(index)
    equal_to_whole(articles, index)
    fake_encoder.encoded.clear()
    assert not rebuild().published
    (articles / "store").rename(articles / "shop")
    assert rebuild().published
    manifest = Store(index).open().manifest
    assert (manifest["delta"]["articles"], manifest["delta"]["removed"]["passages"]) == (0, 0)
    assert everything(KnowledgeBase.open(index)) == before
    assert not rebuild().published
    assert fake_encoder.encoded == []
    write_articles(articles, {"new.md": "# 新着\n\n返品の話。\n"})
    rebuild()
    equal_to_whole(articles, index)
    assert Store(index).open().manifest["delta"]["base"]["articles"] == len(ARTICLES)


@pytest.mark.parametrize("has_delta", [False, True])
def test_the_first_question_does_not_read_every_article_for_its_days(
    articles: Path, index: Path, rebuild: Callable[[], Any], *, has_delta: bool
) -> None:
    """Few articles have a day, and an index of the database knows them: a third of a second at a million passages."""
    rebuild()
    if has_delta:
        (articles / "期間限定.md").write_text("---\nvalid_from: 2025-06-01\n---\n\n# 期間限定\n\n送料無料。\n", "utf-8")
        rebuild()
    snapshot = KnowledgeBase.open(index).snapshot
    assert snapshot.parts.has_delta == has_delta
    asked: list[str] = []
    connection = snapshot.content._connection()
    connection.set_trace_callback(asked.append)
    assert len(snapshot.content.validity()) == has_delta
    connection.set_trace_callback(None)
    plan = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {asked[0]}")]
    assert any("articles_in_time" in step for step in plan)
    assert not any(step == "SCAN articles" for step in plan)
