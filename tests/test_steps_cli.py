"""`kbsearch steps` as a person meets it: a real terminal, keys typed, screens read; and as a program does."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import pytest
from conftest import FAKE, FakeEncoder, write_articles
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from walks import walk

from kbsearch import embed
from kbsearch.builder import build
from kbsearch.walkthrough import opening, step_view, whole, words_for, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

JAPANESE = """---
title: 返品の手順
lang: ja
---

14日以内にお申し込みください。

## 準備するもの

- 箱

## 手順

1. 「注文履歴」を開き、該当する注文の「返品・交換を申し込む」を押します。

   ![注文履歴の画面](history.png)
2. 商品を選びます（会員のみ）。
   - 複数でもかまいません。

   ::: warning
   申し込みの後は変えられません。
   :::
3. 送ります。

> [!IMPORTANT]
> 着払いでは送れません。

メールが届きます。

## 交換の手順

1. 開きます。
2. 選びます。
"""
ENGLISH = """---
title: Reset the router
lang: en
---

1. Press the button.

   > [!NOTE]
   > It is on the back.
2. Wait.
"""
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three articles and their index in the default place, by the fake encoder."""
    folder = tmp_path_factory.mktemp("centre")
    articles = write_articles(
        folder / "articles", {"返品.md": JAPANESE, "router.md": ENGLISH, "fees.md": "# 送料\n\n| a |\n|---|\n| b |\n"}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embed._loaded, (FAKE, None), FakeEncoder())
        build(articles, folder / "indexes" / "help", encoder=FAKE)
    return folder


def run(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from kbsearch.cli import main; main()", "steps", *arguments],
        cwd=folder, input=stdin, capture_output=True, text=True, encoding="utf-8", check=False, timeout=60,
    )  # fmt: skip


def at_terminal(
    folder: Path, handle: str, typed: Sequence[str], *options: str, width: int = 72
) -> tuple[list[str], int]:
    """Screens between one prompt and the next, what is typed at each included, and the exit code."""
    program = [sys.executable, "-c", "from kbsearch.cli import main; main()", "steps", handle, *options]
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execve(sys.executable, program, os.environ | {"TERM": "xterm", "COLUMNS": str(width)})  # noqa: S606
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    screens = [_until_prompt(terminal)]
    for keys in typed:
        os.write(terminal, keys.encode())
        screens.append(_until_prompt(terminal))
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    return screens, os.waitstatus_to_exitcode(status)


def _until_prompt(terminal: int) -> str:
    seen, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            more = os.read(terminal, 65536)
        except OSError:  # Linux says so when the program has ended
            break
        if not more:
            break
        seen += more
        if COLOURS.sub("", seen.decode("utf-8", "ignore")).endswith(" > "):
            break
    return seen.decode().replace("\r\n", "\n")


def plain(screen: str) -> str:
    return COLOURS.sub("", screen)


# At a terminal


def test_a_reader_walks_from_the_opening_to_the_end(centre: Path) -> None:
    screens, code = at_terminal(centre, "返品", ["\n"] * 4)
    first, one, two, three, last = map(plain, screens)
    assert code == 0
    assert "返品の手順\n全3手順" in first
    assert "14日以内" in first
    assert "- 箱" in first
    assert "┃ 重要：着払いでは送れません。" in first  # stands behind the steps, is told before them
    assert "交換の手順 (2)   kbsearch steps '返品#交換の手順'" in first
    assert "Enter 始める" in first
    assert "手順 1 / 3  ●○○" in one
    assert "[図] 注文履歴の画面\n  history.png" in one
    assert "手順 2 / 3  ●●○\n対象：会員のみ\n商品を選びます（会員のみ）。" in two
    assert "  ・複数でもかまいません。" in two
    assert "┃ 注意：申し込みの後は変えられません。" in two
    assert "手順 3 / 3" in three
    assert "Enter 終える" in three
    assert "メールが届きます。" in last
    assert "着払い" not in last
    assert last.endswith("手順は以上です。\n")


def test_an_english_article_speaks_english(centre: Path) -> None:
    screens, code = at_terminal(centre, "router", ["n\n", "n\n", "n\n"])
    text = plain("".join(screens))
    assert code == 0
    for said in (
        "2 steps",
        "Enter begin",
        "Step 1 of 2",
        "│ Note: It is on the back.",
        "Step 2 of 2",
        "Enter finish",
        "last step.",
    ):
        assert said in text
    assert not re.search("[ぁ-ん]", text)


def test_back_a_number_and_help(centre: Path) -> None:
    typed = ["3\n", "b\n", "b\n", "b\n", "b\n", "２\n", "戻る\n", "?\n", "9\n", "ほげ\n", "次\n", "0\n", "q\n"]
    screens, code = at_terminal(centre, "返品", typed)
    shown = []
    for screen in map(plain, screens[1:-1]):
        heads = re.findall(
            r"手順 (\d) / 3|(全3手順)|(手順9はありません。1から3まで)|(「ほげ」は使えません)|(番号: その手順へ)", screen
        )
        shown.append(next(filter(None, heads[0])))
    assert shown == [
        "3", "2", "1", "全3手順", "全3手順", "2", "1", "番号: その手順へ", "手順9はありません。1から3まで",
        "「ほげ」は使えません", "2", "全3手順",
    ]  # fmt: skip
    assert code == 0


@pytest.mark.parametrize(("keys", "code"), [("\x04", 0), ("\x03", 130), ("q\n", 0), ("ｑ\n", 0), ("終了\n", 0)])
@pytest.mark.parametrize("before", [[], ["\n", "\n"]])
def test_a_reader_may_leave_at_any_time(centre: Path, before: list[str], keys: str, code: int) -> None:
    screens, left = at_terminal(centre, "返品", [*before, keys])
    assert left == code
    assert "Traceback" not in "".join(screens)
    assert "Abort" not in "".join(screens)
    assert screens[-1].endswith("\n")


def test_a_warning_is_told_by_word_bar_and_colour(centre: Path) -> None:
    screens, _ = at_terminal(centre, "返品", ["2\n", "q\n"])
    assert "\x1b[1;33m┃ 注意：申し込みの後は変えられません。" in screens[1]


def test_a_narrow_terminal_is_not_overrun(centre: Path) -> None:
    screens, _ = at_terminal(centre, "返品", ["\n", "\n", "q\n"], width=40)
    rows = [row for screen in screens for row in plain(screen).split("\n") if " > " not in row]
    assert max(map(cell_len, rows)) <= 40
    assert not any(row.startswith(("、", "。", "」")) for row in rows)


def test_a_handle_of_a_heading_comes_in_at_its_step(centre: Path) -> None:
    screens, _ = at_terminal(centre, "返品#交換の手順", ["q\n"])
    assert "交換の手順\n全2手順" in plain(screens[0])
    screens, _ = at_terminal(centre, "返品", ["q\n"], "--procedure", "2")
    assert "交換の手順\n全2手順" in plain(screens[0])


def test_all_asks_nothing(centre: Path) -> None:
    screens, code = at_terminal(centre, "返品", [], "--all")
    assert code == 0
    assert re.findall(r"手順 \d / 3", plain(screens[0])) == ["手順 1 / 3", "手順 2 / 3", "手順 3 / 3"]
    assert " > " not in plain(screens[0])


# Into a pipe


def test_into_a_pipe_everything_is_printed_plainly(centre: Path) -> None:
    done = run(centre, "返品", stdin="q\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"^手順 \d / 3", done.stdout, re.MULTILINE) == ["手順 1 / 3", "手順 2 / 3", "手順 3 / 3"]
    assert "\x1b" not in done.stdout
    assert done.stdout.endswith("メールが届きます。\n\n手順は以上です。\n")
    assert run(centre, "返品", "--all").stdout == done.stdout


def test_one_step_alone(centre: Path) -> None:
    done = run(centre, "返品", "--step", "2")
    assert done.stdout.startswith("手順 2 / 3")
    assert "手順 3" not in done.stdout
    data = json.loads(run(centre, "返品", "--step", "2", "--json").stdout)
    assert (data["version"], data["number"], data["next"], data["restriction"]) == (1, 2, 3, "会員のみ")
    assert data["warnings"] == [{"label": "注意", "text": "申し込みの後は変えられません。"}]


def test_json_is_the_whole_procedure(centre: Path) -> None:
    data = json.loads(run(centre, "返品", "--json").stdout)
    assert (data["handle"], data["total"], [step["number"] for step in data["steps"]]) == ("返品#手順", 3, [1, 2, 3])
    assert data["others"][0]["handle"] == "返品#交換の手順"
    assert data["steps"][0]["pictures"] == [{"alt": "注文履歴の画面", "path": "history.png"}]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["fees"], 14, "“fees” has no steps to follow: it is a table."),
        (["返品#準備するもの"], 14, "This article has steps in 返品#手順, 返品#交換の手順."),
        (["routr"], 14, "Did you mean router"),
        (["返品", "--step", "9"], 12, "the steps of “返品の手順” are 1 to 3"),
        (["返品", "--procedure", "3"], 12, "has 2 procedures"),
        (["返品", "--step", "0"], 2, "--step"),
    ],
)
def test_what_cannot_be_walked_is_said(centre: Path, arguments: list[str], code: int, said: str) -> None:
    done = run(centre, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


# Lines


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("商品を送ります。", 14, ["商品を送りま", "す。"]),
        ("あい「うえ」お", 6, ["あい", "「う", "え」お"]),
        ("Open the box, then wait.", 12, ["Open the", "box, then", "wait."]),
        ("Enterキーを押す", 10, ["Enterキー", "を押す"]),
        ("「サブスクリプション」を開く", 22, ["「サブスクリプション」", "を開く"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("一\n二", 10, ["一", "二"]),
        ("赤\x1b[31m字", 20, ["赤 [31m字"]),
        ("", 10, [""]),
    ],
)
def test_lines_break_where_a_reader_expects_it(text: str, width: int, lines: list[str]) -> None:
    assert wrap(text, width) == lines


@given(st.text(alphabet="あア漢、。「」ab .,()ー…１\n", max_size=120), st.integers(8, 40))
def test_no_line_is_too_long_and_no_character_is_lost(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(cell_len(line) <= width for line in lines)


def printed(what: object, width: int = 60) -> str:
    stream = io.StringIO()
    Console(width=width, file=stream).print(what, highlight=False)
    return stream.getvalue()


def test_markup_and_control_characters_of_an_article_are_only_text() -> None:
    found = walk("# 題\n\n1. [red]赤[/red]を\x1b[31m押します。\n\n   ```\n   \x1b[2J[bold]x\n   ```\n")
    text = printed(step_view(found.step(1), words_for("ja")))
    assert "[red]赤[/red]" in text
    assert "[2J[bold]x" in text
    assert "\x1b" not in text


def test_code_is_cut_into_lines_and_nothing_of_it_is_lost() -> None:
    code = "curl " + "x" * 100
    text = printed(whole(walk(f"# Set up\n\n1. Run it.\n\n   ```\n   {code}\n   ```\n")), width=40)
    assert code.replace(" ", "") in "".join(text.split())


def test_a_single_step_is_one() -> None:
    found = walk("---\nlang: en\ntitle: Reset\n---\n1. Press it.\n")
    assert "1 step " in printed(opening(found))
