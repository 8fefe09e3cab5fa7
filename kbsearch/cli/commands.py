"""Every command, for Typer: each parses its options, calls one verb, shows what it gives."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kbsearch.cli.answering import answer_question, open_index, settle
from kbsearch.cli.output import print_json, print_lines, say, show
from kbsearch.errors import BadQuery
from kbsearch.filters import parse_day, parse_languages
from kbsearch.labels import costs_line
from kbsearch.model import JSON_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kbsearch.model import Progress
    from kbsearch.search import KnowledgeBase

__all__ = ["app"]

EXIT_FAULTY: Final = 3
EXIT_UNDER: Final = 4
EXIT_INTERRUPTED: Final = 130  # as shells have it

app = typer.Typer(
    name="kbsearch",
    help="Search for knowledge bases: Markdown FAQ entries and guides, Japanese and English, offline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class ModeName(StrEnum):
    """The modes of ``rank.MODES``, spelt again so that ``--help`` need not import numpy; a test compares them."""

    hybrid = "hybrid"
    lexical = "lexical"
    dense = "dense"


class FormName(StrEnum):
    """Those of ``forms.FORMS``."""

    markdown = "markdown"
    text = "text"
    html = "html"
    ansi = "ansi"
    speech = "speech"


class RankingName(StrEnum):
    """Those of ``rank.MODES`` and ``rank.BASELINES``."""

    hybrid = "hybrid"
    lexical = "lexical"
    dense = "dense"
    words = "words"
    grams = "grams"
    rrf = "rrf"
    minmax = "minmax"


IndexOption = Annotated[
    Path | None, typer.Option("--index", "-i", help="Folder of the index.  [default: indexes/help]", show_default=False)
]
AsOfOption = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="As on this day, such as 2025-12-01.  [default: today]", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,  # noqa: FBT002
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"kbsearch {installed('kbsearch')}")  # noqa: T201 - this is the result
        raise typer.Exit


@app.command()
def build(
    articles: Annotated[
        Path | None, typer.Argument(help="Folder of Markdown articles.  [default: articles]", show_default=False)
    ] = None,
    index: IndexOption = None,
    encoder: Annotated[
        str | None, typer.Option(help='"e5-small" or "sentence-transformers:NAME_OR_PATH".', show_default=False)
    ] = None,
    synonyms: Annotated[
        Path | None,
        typer.Option(
            help="File of words that mean the same.  [default: synonyms.txt of the folder]", show_default=False
        ),
    ] = None,
    sentences: Annotated[
        bool | None,
        typer.Option(
            "--sentences/--no-sentences",
            help="Encode every sentence, so that snippets are chosen by meaning; takes as long as the passages do.  "
            "[default: up to 200,000 passages]",
            show_default=False,
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read, analyse and encode everything again.")] = False,  # noqa: FBT002
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Cores to use.", show_default=False)] = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Bring the index up to date with a folder of articles."""
    settings = settle(articles=articles, index=index, encoder=encoder, synonyms=synonyms, sentences=sentences)
    from kbsearch import render
    from kbsearch.builder import build as run

    with _progress() as progress:
        report = run(
            settings.articles,
            settings.index,
            encoder=settings.encoder,
            full=full,
            jobs=jobs,
            weights=settings.weights,
            languages=settings.languages,
            synonyms=settings.synonyms,
            sentences=settings.sentences,
            progress=progress,
        )
    if as_json:
        print_json(report.to_dict())
    else:
        if report.warnings:
            show(render.warning_lines(report.warnings), stderr=True)
        show(render.build_report(report))
    if report.faulty:
        raise typer.Exit(EXIT_FAULTY)


@app.command()
def search(
    question: Annotated[str | None, typer.Argument(help="The question, in any language.", show_default=False)] = None,
    index: IndexOption = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many articles.")] = 5,
    lang: Annotated[list[str] | None, typer.Option(help="Only articles in this language; repeatable.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="Only this category and below; repeatable.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only articles with this tag; repeatable.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Only faq or guide; repeatable.")] = None,
    audience: Annotated[
        list[str] | None, typer.Option(help="Only articles for these readers, or for everyone; repeatable.")
    ] = None,
    product: Annotated[
        list[str] | None, typer.Option(help="Only articles on this product, or on none in particular; repeatable.")
    ] = None,
    product_version: Annotated[
        list[str] | None,
        typer.Option(help="Only articles on this version of a product, or on none in particular; repeatable."),
    ] = None,
    prefer_lang: Annotated[
        list[str] | None,
        typer.Option(
            help="The reader's language, of which a version is shown where there is one; repeatable, in order.  "
            "[default: that of the question]",
            show_default=False,
        ),
    ] = None,
    as_of: AsOfOption = None,
    mode: Annotated[ModeName, typer.Option(help="Both legs, or one alone.")] = ModeName.hybrid,
    snippet_chars: Annotated[int, typer.Option(min=1, help="Longest snippet, in characters.")] = 160,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Print an answer of at most so many characters: 1200, “8000 tokens”, or voice, sms, chat, web, email, "
            "llm.",
            show_default=False,
        ),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say what each feature adds to a score.")] = False,  # noqa: FBT002
    queries: Annotated[
        Path | None,
        typer.Option(help="Answer each line of this JSON Lines file (id, text, filter); - is standard input."),
    ] = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Answer a question, or a file of them, with ranked articles."""
    if (question is None) == (queries is None):
        raise typer.BadParameter("give either a question or --queries FILE")
    if queries is not None and not as_json:
        raise typer.BadParameter("--queries prints JSON Lines: add --json")
    named = {
        "lang": lang, "category": category, "tags": tag, "kind": kind, "audience": audience, "product": product,
        "version": product_version,
    }  # fmt: skip
    given = {name: values or () for name, values in named.items()}
    options: dict[str, Any] = {
        "k": k, "mode": mode.value, "snippet_chars": snippet_chars, "explain": explain,
        "prefer_lang": list(prefer_lang or ()), "as_of": as_of, "budget": budget,
    }  # fmt: skip
    if question is not None:
        answer_question(question, index=index, given=given, as_json=as_json, **options)
    elif queries is not None:
        parse_day(as_of)  # what is wrong here is no fault of the lines
        parse_languages(options["prefer_lang"])
        failed = _answer_lines(open_index(index, mode.value), queries, given, options)
        if failed:
            raise BadQuery(f"{failed} of the lines could not be answered; each has an “error” in its line of output.")


@app.command("show")
def show_article(
    section: Annotated[str, typer.Argument(metavar="ARTICLE[#SECTION]", help="As search prints it.")],
    index: IndexOption = None,
    level: Annotated[
        str | None,
        typer.Option(help="0 title, 1 snippet, 2 section, 3 article, 4 related; or the word.", show_default=False),
    ] = None,
    form: Annotated[FormName, typer.Option(help="With --level: how to write it.")] = FormName.markdown,
    question: Annotated[
        str | None, typer.Option(help="With --level 1: what the snippet is to answer.", show_default=False)
    ] = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show an article or one section of it, as much as a level says."""
    kb = open_index(index)
    if level is not None:
        opened = kb.open_handle(section, level, question=question, form=form.value, as_of=as_of)  # type: ignore[arg-type]
        if as_json:
            print_json(opened.to_dict())
        else:
            print_lines(opened.text)
            say(costs_line(opened))
        return
    place = kb.resolve(section, as_of=as_of).live()
    if place.moved_from is not None:
        say(f"note: “{place.moved_from}” is now “{place.handle}”")
    for before in place.successors:
        say(f"note: before {place.since} “{section}” was another article, now “{before.handle}”")
    if "#" in place.section_id:
        view = kb.section(section, as_of=as_of)
        if as_json:
            print_json(view.to_dict())
        else:
            from kbsearch import render

            show(render.section_view(view))
        return
    article = kb.article(section, as_of=as_of)
    if as_json:
        from kbsearch.overviews import article_to_dict

        handles = kb.snapshot.content.handles_by_address
        print_json(article_to_dict(article, handles) | {"moved_from": place.moved_from})
    else:
        from kbsearch import render

        show(render.article_view(article))


@app.command()
def steps(
    handle: Annotated[str, typer.Argument(metavar="ARTICLE[#SECTION]", help="As search prints it.")],
    index: IndexOption = None,
    step: Annotated[
        int | None, typer.Option("--step", min=1, help="Only this step, and no questions.", show_default=False)
    ] = None,
    procedure: Annotated[int, typer.Option(min=1, help="Which one, where an article or a section has several.")] = 1,
    everything: Annotated[bool, typer.Option("--all", help="All steps at once, and no questions.")] = False,  # noqa: FBT002
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Walk a procedure step by step; into a pipe, print all of it."""
    found = open_index(index).steps(handle, procedure)
    if as_json:
        print_json({"version": JSON_VERSION, **found.step(step).to_dict()} if step else found.to_dict())
        return
    from kbsearch import walkthrough

    if step:
        show(walkthrough.step_view(found.step(step), walkthrough.words_for(found.lang)))
    elif everything or not (sys.stdin.isatty() and sys.stdout.isatty()):
        show(walkthrough.whole(found))
    else:
        from kbsearch.cli.walking import walk

        try:
            walk(found)
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None


@app.command()
def status(index: IndexOption = None, as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Say what the index holds."""
    found = open_index(index).status()
    if as_json:
        print_json(found.to_dict())
    else:
        from kbsearch import render

        show(render.status_table(found))
        if found.warnings:
            show(render.warning_lines(found.warnings), stderr=True)


@app.command()
def verify(
    index: IndexOption = None,
    exact: Annotated[  # noqa: FBT002
        bool, typer.Option("--exact", help="Also compare both legs with slow, exact oracles.")
    ] = False,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Check the index, and the converted encoder, against their checksums."""
    from kbsearch.embed import faults
    from kbsearch.verify import check_files, check_ranking

    kb = open_index(index)
    damage = check_files(kb)
    for error in damage:
        say(f"error: {error}")
    if damage:
        raise typer.Exit(damage[0].exit_code)
    manifest = kb.snapshot.generation.manifest
    warnings = [f"{fault} It is converted anew when it is needed." for fault in faults(manifest["encoder"]["name"])]
    for warning in warnings:
        say(f"warning: {warning}")
    found: dict[str, Any] = {
        "version": JSON_VERSION,
        "generation": kb.generation,
        "files": len(manifest["files"]),
        "warnings": warnings,
    }
    if exact:
        with _progress() as progress:
            report = check_ranking(kb, lambda done, total: progress("compare", done, total))
        found |= {"questions": report.questions, "agreement": report.agreement, "error": report.error}
    if as_json:
        print_json(found)
        return
    lines = [f"{found['generation']}: {found['files']} files match their checksums"]
    for leg in found.get("agreement", {}):
        share, error_ = found["agreement"][leg], found["error"][leg]
        lines.append(
            f"{leg}: {share:.2%} of the exact top 100, greatest error {error_:.1e}, {found['questions']} questions"
        )
    show("\n".join(lines))


@app.command("eval")
def evaluate(
    queries: Annotated[Path, typer.Argument(help="queries.jsonl", exists=True, dir_okay=False)],
    qrels: Annotated[
        Path | None, typer.Argument(help="qrels.tsv  [default: beside the queries]", show_default=False)
    ] = None,
    index: IndexOption = None,
    mode: Annotated[
        list[RankingName] | None,
        typer.Option(help="Repeatable.  [default: hybrid, lexical, dense]", show_default=False),
    ] = None,
    baselines: Annotated[  # noqa: FBT002
        bool, typer.Option("--baselines", help="Also each stream alone, RRF and min-max fusion.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many questions of each type and language.", show_default=False)
    ] = None,
    holes: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Withhold this share of the articles that answer, such as 0.3.", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Chooses for --limit and --holes.")] = 0,
    perturb: Annotated[bool, typer.Option("--perturb", help="Also ask the questions with typos, in kana, …")] = False,  # noqa: FBT002
    against: Annotated[
        Path | None, typer.Option(metavar="INDEX", help="Compare with another index.", show_default=False)
    ] = None,
    against_mode: Annotated[
        RankingName | None, typer.Option(help="Compare with this mode.", show_default=False)
    ] = None,
    worst: Annotated[int, typer.Option(min=0, help="List so many of the worst questions.")] = 0,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TYPE:]METRIC=VALUE", help="Exit with 4 when this is not kept; repeatable.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Measure retrieval quality on judged questions, each query type by itself."""
    from kbsearch.evaluate import METRICS, read_judgements
    from kbsearch.rank import BASELINES, MODES
    from kbsearch.report import Demand, Plan, make_report
    from kbsearch.snapshot import today

    if holes is not None and not 0 < holes < 1:
        raise typer.BadParameter(f"--holes is a share between 0 and 1, such as 0.3, not {holes:g}")
    try:
        demands = [Demand.parse(text) for text in fail_under or ()]
    except ValueError as error:
        raise typer.BadParameter(f"--fail-under: {error}") from error
    judged = read_judgements(queries, qrels or queries.with_name("qrels.tsv"))
    kb = open_index(index)
    given = mode or [RankingName(name) for name in MODES]
    given = [*given, *(RankingName(name) for name in BASELINES if baselines and name not in given)]
    named = (name for name in (*MODES, *BASELINES) if name in given)
    modes = sorted(named, key=lambda name: (name != "hybrid", given.index(RankingName(name))))
    plan = Plan(
        modes=modes, limit=limit, holes=holes or 0.0, seed=seed, worst=worst, demands=demands,
        perturb=(modes if mode else modes[:1]) if perturb else (),
        against=open_index(against) if against else None,
        against_mode=against_mode.value if against_mode else None,
        served=frozenset(kb.snapshot.content.served_ids(today())),
    )  # fmt: skip
    with _progress() as progress:
        report = make_report(kb, judged, plan, progress)
    if as_json:
        print_json(report)
    else:
        from kbsearch.scoreboard import scoreboard

        show(scoreboard(report, METRICS))
    for warning in report["warnings"]:
        say(f"warning: {warning}")
    failed = [kept["reason"] for kept in report.get("fail_under", ()) if kept["failed"]]
    for reason in failed:
        say(f"failed: {reason}")
    if failed:
        raise typer.Exit(EXIT_UNDER)


@app.command()
def schema() -> None:
    """Print the JSON Schema of what --json prints."""
    from kbsearch.contract import schema_text

    print_lines(schema_text())


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where to begin; made when it is not there.")] = Path(),
) -> None:
    """Write a commented kbsearch.toml and a first article."""
    from kbsearch.scaffold import write_scaffold

    config, article = write_scaffold(folder)
    show(f"Wrote {config} and {article}.\nNext: kbsearch build, then kbsearch search 返品の送料")


def _answer_lines(kb: KnowledgeBase, file: Path, given: dict[str, Any], options: dict[str, Any]) -> int:
    """One line of JSON out for each line in; returns how many could not be answered."""
    from kbsearch.batch import answer_lines

    source = sys.stdin if str(file) == "-" else _text_file(file)
    failed = 0
    with source:
        for answer in answer_lines(kb, source, given, options):
            print_json(answer)
            failed += "error" in answer
    return failed


def _text_file(file: Path) -> Any:
    try:
        return file.open(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise typer.BadParameter(f"cannot read {file}: {error.strerror}") from error


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar with rate and time left on standard error, for a person only."""
    if not sys.stderr.isatty():
        yield lambda _stage, _done, _total: None
        return
    from kbsearch.bars import progress_bars

    with progress_bars() as tell:
        yield tell
