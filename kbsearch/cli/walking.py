"""Walk a procedure at a terminal: a step at a time, forward and back.

Lines are read, not keys: that works over any connection, with a screen reader, and with an input method switched on
(ｂ and 戻る are understood, too).
"""

from __future__ import annotations

import sys
import unicodedata
from typing import TYPE_CHECKING, Final

from rich.console import Console

from kbsearch.walkthrough import closing, opening, step_view, words_for, wrap

if TYPE_CHECKING:
    from kbsearch.procedures import Procedure

__all__ = ["walk"]

_NEXT: Final = {"", "n", "next", "次", "次へ", "つぎ"}
_BACK: Final = {"b", "back", "p", "戻る", "もどる", "前", "前へ"}
_QUIT: Final = {"q", "quit", "exit", "終了", "終わる", "おわる"}
_HELP: Final = {"?", "h", "help", "ヘルプ"}
_MAX_DIGITS: Final = 6


def walk(procedure: Procedure) -> None:
    """Show the opening, then what the reader asks for, until the end or until the reader leaves.

    Raises
    ------
    KeyboardInterrupt
        The reader pressed Ctrl-C; the cursor stands at the beginning of a line.
    """
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    console = Console(highlight=False)
    try:
        _walk(procedure, console)
    except KeyboardInterrupt:
        console.print()
        raise


def _walk(procedure: Procedure, console: Console) -> None:
    words = words_for(procedure.lang)
    at, is_shown = (0 if procedure.start == 1 else procedure.start), False
    while at <= len(procedure):
        if not is_shown:
            console.print(step_view(procedure.step(at), words) if at else opening(procedure))
        prompts = {0: words.prompt_opening, len(procedure): words.prompt_last}
        console.print(prompts.get(at, words.prompt), style="dim", end=" > ")
        line = sys.stdin.readline()
        if not line:  # Ctrl-D
            console.print()
            return
        answer = unicodedata.normalize("NFKC", line).strip().lower()
        is_shown = False
        if answer in _NEXT:
            at += 1
        elif answer in _BACK:
            at = max(0, at - 1)
        elif answer in _QUIT:
            return
        elif answer.isdecimal() and len(answer) <= _MAX_DIGITS and int(answer) <= len(procedure):
            at = int(answer)
        else:
            is_shown = True
            if answer in _HELP:
                said = words.help
            elif answer.isdecimal():
                said = words.no_step.format(number=answer[:_MAX_DIGITS], total=len(procedure))
            else:
                said = words.unknown.format(answer=answer[:20])
            console.print("\n".join(wrap(said, console.width)), style="yellow", markup=False)
            continue
        console.print()
    console.print(closing(procedure))
