"""A knowledge base that is edited for a year: 200 edits by a script that knows of every section what became of it.

The truth is kept beside the files: each section of the script has a number of its own, whatever it is called and
wherever it stands, and a removed one has the numbers of those that took its text over. After each build the script asks
the index for every name that was ever given out and compares. It shares no code with what it tests: where a section is
in the index it sees by its line.

Use: ``History(folder, seed)``, ``history.run(edits, build, check)``; as a script it prints what came out.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from kbsearch import KnowledgeBase, Place

PLAN: Final = {
    "insert": 30, "cut": 12, "reword": 28, "move_inside": 16, "move_across": 18, "split": 10, "merge": 10, "rename": 12,
    "retranslate": 2, "rewrite": 10, "remove": 10, "bring_back": 8, "swap": 6, "add": 8, "reuse": 6, "remove_file": 3,
    "restore_file": 3, "copy": 4, "remove_original": 4, "fold": 3, "spread": 3,
}  # fmt: skip
"""How many edits of each kind there are in about two hundred."""

TEXTS: Final[dict[str, Any]] = json.loads((Path(__file__).parent / "data" / "history.json").read_text("utf-8"))
LINES, NEW, REWORDED, RETRANSLATED = (TEXTS[name] for name in ("lines", "new", "reworded", "retranslated"))
HIDDEN: Final = re.compile("^(status|draft|published|valid_from|valid_until):", re.MULTILINE)
HEADING: Final = re.compile(r"#{2,6} \S")


@dataclass(slots=True, eq=False)
class Part:
    """A section of a file: ``number`` is who it is, whatever it is called."""

    number: int
    heading: str
    level: int
    body: list[str]

    def text(self) -> str:
        return "\n".join([f"{'#' * self.level} {self.heading}", "", *self.body, ""])


@dataclass(slots=True, eq=False)
class File:
    """Front matter and lead, then sections."""

    path: str
    lang: str
    head: list[str]
    parts: list[Part]

    def text(self) -> str:
        return "\n".join([*self.head, *(part.text() for part in self.parts)])

    def lines(self) -> dict[int, int]:
        """Number of the section whose heading stands on each line."""
        line, found = len("\n".join(self.head).split("\n")) + 1, {}
        for part in self.parts:
            found[line] = part.number
            line += len(part.text().split("\n"))
        return found


@dataclass(slots=True)
class Wrong:
    """A name that did not lead where it should."""

    kind: str
    name: str
    owner: int
    found: str
    wanted: str


@dataclass
class History:
    """See the module."""

    folder: Path
    seed: int = 1
    files: dict[str, File] = field(default_factory=dict)
    foreign: dict[int, tuple[str, str]] = field(default_factory=dict)
    heirs: dict[int, tuple[int, ...]] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    kinds: dict[int, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    wrong: list[Wrong] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    merged: dict[int, list[str]] = field(default_factory=dict)
    attic: list[tuple[str, Part]] = field(default_factory=list)
    cellar: list[File] = field(default_factory=list)
    copied: list[tuple[Part, Part]] = field(default_factory=list)
    kin: dict[int, set[int]] = field(default_factory=dict)
    copies: list[tuple[Part, Part]] = field(default_factory=list)
    last: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 - repeatable
        self.fresh = {lang: list(texts) for lang, texts in NEW.items()}
        for file in sorted(self.folder.rglob("*.md")):
            path, text = file.relative_to(self.folder).as_posix(), file.read_text("utf-8")
            if "\n## " not in text or HIDDEN.search(text):  # nothing to follow, or not served
                file.unlink()
                continue
            self.files[path] = self._read(path, text)
            file.write_text(self.files[path].text(), "utf-8")

    def _read(self, path: str, text: str) -> File:
        head: list[str] = []
        parts: list[Part] = []
        fence = ""
        for line in text.rstrip("\n").split("\n"):
            mark = line.lstrip()[:3]
            if mark in {"```", "~~~", ":::"} and (not fence or fence == mark):
                fence = "" if fence and (mark != ":::" or line.strip() == ":::") else mark
            if HEADING.match(line) and not fence:
                level = len(line) - len(line.lstrip("#"))
                parts.append(Part(self._number(), line[level:].strip(), level, []))
            elif parts:
                parts[-1].body.append(line)
            else:
                head.append(line)
        for part in parts:
            while part.body and not part.body[0].strip():
                del part.body[0]
            while part.body and not part.body[-1].strip():
                del part.body[-1]
        for part in parts:
            if part.heading in RETRANSLATED.get(path, {}):
                self.foreign[part.number] = RETRANSLATED[path][part.heading]
        return File(path, "ja" if ".ja" in path else "en", head, parts)

    def _number(self) -> int:
        self.last += 1
        return self.last

    def _lines(self, lang: str, number: int) -> list[str]:
        """New sentences, no two alike."""
        *lists, form = LINES[lang]
        made = []
        for _ in range(number):
            words = [self.chance.choice(some) for some in lists]
            made.append(form.format(*words[:3], words[3].format(words[2])))
        return made

    # What an editor does. Each returns the sections that it concerned, or None where there was nothing to do.

    def insert(self) -> set[int] | None:
        """New lines at the top, or in the middle."""
        file, part = self._any()
        lines = self._lines(file.lang, self.chance.choice([1, 1, 2, 3]))
        at = self.chance.choice([0, len(part.body)])
        part.body[at:at] = [*lines, ""] if at == 0 else ["", *lines]
        return {other.number for other in file.parts}

    def cut(self) -> set[int] | None:
        """A line is deleted, less than half of the text."""
        _, part = self._any(lambda part: sum(map(len, part.body)) > 120 and len(part.body) > 3)
        lines = [
            n for n, line in enumerate(part.body) if line.strip() and line.strip()[:3] not in {"```", ":::", "~~~"}
        ]
        n = self.chance.choice(lines)
        if len(part.body[n]) > 0.4 * sum(map(len, part.body)):
            return None
        del part.body[n]
        return {part.number}

    def reword(self) -> set[int] | None:
        """The heading is put in other words."""
        known = [part for file in self.files.values() for part in file.parts if part.heading in REWORDED]
        if known and self.chance.random() < 0.6:
            part = self.chance.choice(known)
            part.heading = REWORDED[part.heading]
            return {part.number}
        file, part = self._any()
        ways = {
            "ja": ["{}について", "【重要】{}", "{}（改訂）", "あらためて: {}"],
            "en": ["About: {}", "{} (revised)", "Read this: {}", "{}, in short"],
        }[file.lang]
        part.heading = self.chance.choice(ways).format(part.heading)
        return {part.number}

    def move_inside(self) -> set[int] | None:
        """A section changes its place."""
        file = self._file(3)
        part = file.parts.pop(self.chance.randrange(len(file.parts)))
        file.parts.insert(self.chance.randrange(len(file.parts) + 1), part)
        return {part.number}

    def move_across(self) -> set[int] | None:
        """A section goes into another article; now and then its heading is reworded as well."""
        file, part = self._any(lambda part: len("".join(part.body)) > 25)
        other = self.chance.choice([o for o in self.files.values() if o.lang == file.lang and o is not file])
        file.parts.remove(part)
        other.parts.insert(self.chance.randrange(len(other.parts) + 1), part)
        if self.chance.random() < 0.25:
            part.heading = REWORDED.get(part.heading, f"{part.heading} ★")
        return {part.number}

    def split(self) -> set[int] | None:
        """The second half of a section gets a heading of its own."""
        file, part = self._any(lambda part: sum(1 for line in part.body if not line.strip()) >= 1 and self._plain(part))
        gaps = [n for n, line in enumerate(part.body) if not line.strip()]
        at = self.chance.choice(gaps)
        before, behind = part.body[:at], part.body[at + 1 :]
        if min(len("".join(before)), len("".join(behind))) < 20:
            return None
        number = self._number()
        for gone, text in self.merged.items():
            if self._heir(gone) == part.number and not set(text) <= set(before):
                if not set(text) <= set(behind) or self.last != number:
                    return None  # nobody can say whose half this is
                number = gone  # what was merged into this one is a section again
        new = Part(number, {"ja": "くわしくは", "en": "In detail"}[file.lang] + f" {self.last}", part.level, behind)
        self.heirs.pop(number, None)
        part.body = before
        file.parts.insert(file.parts.index(part) + 1, new)
        return {part.number, new.number}

    def _heir(self, number: int) -> int:
        """Who has the text of a section that was merged into another, and that perhaps into a third."""
        while number in self.merged and number in self.heirs:
            (number,) = self.heirs[number]
        return number

    def merge(self) -> set[int] | None:
        """A section becomes part of the one before."""
        file = self._file(2)
        n = self.chance.randrange(1, len(file.parts))
        kept, gone = file.parts[n - 1], file.parts[n]
        if len("".join(gone.body)) < 20:
            return None
        kept.body += ["", *gone.body]
        del file.parts[n]
        self.heirs[gone.number] = (kept.number,)
        self.merged[gone.number] = list(gone.body)
        return {kept.number, gone.number}

    def rename(self) -> set[int] | None:
        """A file gets another name, or goes into another folder."""
        file = self._file(1)
        stem, lang = file.path.rsplit("/", 1)[1].split(".")[:2]
        folder = self.chance.choice(sorted({path.rsplit("/", 1)[0] for path in self.files}))
        path = f"{folder}/{stem.rstrip('0123456789')}{self._number()}.{lang}.md"
        self.files[path] = self.files.pop(file.path)
        file.path = path
        return {part.number for part in file.parts}

    def retranslate(self) -> set[int] | None:
        """Headings and texts of an article are written anew."""
        for file in self.files.values():
            found = [part for part in file.parts if part.number in self.foreign]
            if len(found) >= 2:
                for part in found:
                    part.heading, body = self.foreign.pop(part.number)
                    part.body = body.split("\n")
                return {part.number for part in found}
        return None

    def rewrite(self) -> set[int] | None:
        """More than half of the text is another one; the heading stays in one case of two."""
        file, part = self._any(lambda part: len("".join(part.body)) > 100 and len(part.body) > 2 and self._plain(part))
        keep = part.body[: max(1, len(part.body) // 3)]
        part.body = [*keep, "", *self._lines(file.lang, 5)]
        if self.chance.random() < 0.5:
            part.heading = REWORDED.get(part.heading, part.heading + {"ja": "のこと", "en": ", anew"}[file.lang])
        return {part.number}

    def remove(self) -> set[int] | None:
        """A section is deleted."""
        file, part = self._any()
        file.parts.remove(part)
        self.heirs[part.number] = self._twins(part)
        self.attic.append((file.path, part))
        return {part.number}

    def bring_back(self) -> set[int] | None:
        """A deleted section comes back where it was, as it was or with a line more."""
        for n, (path, part) in enumerate(self.attic):
            if path in self.files:
                del self.attic[n]
                file = self.files[path]
                file.parts.insert(self.chance.randrange(len(file.parts) + 1), part)
                if self.chance.random() < 0.5:
                    part.body = [*part.body, "", *self._lines(file.lang, 1)]
                del self.heirs[part.number]
                return {part.number}
        return None

    def swap(self) -> set[int] | None:
        """Two headings change places; each text stays."""
        file = self._file(2, lambda part: len("".join(part.body)) > 30)
        one, other = self.chance.sample([part for part in file.parts if len("".join(part.body)) > 30], 2)
        one.heading, other.heading = other.heading, one.heading
        return {one.number, other.number}

    def add(self) -> set[int] | None:
        """A new section."""
        file = self._file(1)
        heading, body = self._new(file.lang)
        new = Part(self._number(), heading, file.parts[0].level, body)
        file.parts.insert(self.chance.randrange(len(file.parts) + 1), new)
        return {new.number}

    def reuse(self) -> set[int] | None:
        """A heading is reworded, and a new section gets the old one; not of a section that is a heading only."""
        file, part = self._any(lambda part: not re.search(r"（旧|\(old", part.heading) and len("".join(part.body)) > 20)
        _, body = self._new(file.lang)
        new = Part(self._number(), part.heading, part.level, body)
        part.heading += {"ja": "（旧来の分）", "en": " (old cases)"}[file.lang]
        file.parts.insert(file.parts.index(part) + 1, new)
        return {part.number, new.number}

    def remove_file(self) -> set[int] | None:
        """A whole article is deleted."""
        file = self._file(2)
        del self.files[file.path]
        for part in file.parts:
            self.heirs[part.number] = self._twins(part)
        self.attic = [(path, part) for path, part in self.attic if path != file.path]
        self.cellar.append(file)
        return {part.number for part in file.parts}

    def restore_file(self) -> set[int] | None:
        """A deleted article comes back."""
        if not self.cellar:
            return None
        file = self.cellar.pop(0)
        self.files[file.path] = file
        for part in file.parts:
            del self.heirs[part.number]
        return {part.number for part in file.parts}

    def copy(self) -> set[int] | None:
        """A section is copied into another article; the original goes in a later edit."""
        file, part = self._any(lambda part: len("".join(part.body)) > 60)
        other = self.chance.choice([o for o in self.files.values() if o.lang == file.lang and o is not file])
        new = Part(self._number(), part.heading, part.level, list(part.body))
        other.parts.append(new)
        self.copies.append((part, new))
        self.copied.append((part, new))
        return {part.number, new.number}

    def remove_original(self) -> set[int] | None:
        """Of a section that was copied, the original goes."""
        while self.copies:
            part, new = self.copies.pop(0)
            file = next((f for f in self.files.values() if part in f.parts), None)
            if file is not None and new.body == part.body and new.heading == part.heading:
                file.parts.remove(part)
                self.heirs[part.number] = (new.number,)
                return {part.number, new.number}
        return None

    def fold(self) -> set[int] | None:
        """A whole article becomes the end of another one."""
        file = self._file(1)
        other = self.chance.choice([o for o in self.files.values() if o.lang == file.lang and o is not file])
        del self.files[file.path]
        self.attic = [(path, part) for path, part in self.attic if path != file.path]
        other.parts += file.parts
        return {part.number for part in file.parts}

    def spread(self) -> set[int] | None:
        """Half of the sections of an article go into a new one."""
        file = self._file(4)
        n = len(file.parts) // 2
        self._number()
        path = f"{file.path.rsplit('/', 1)[0]}/part{self.last}.{file.lang}.md"
        moved, file.parts = file.parts[n:], file.parts[:n]
        self.files[path] = File(path, file.lang, ["---", f"title: {file.path} {self.last}", "---", ""], moved)
        return {part.number for part in moved}

    def _twins(self, part: Part) -> tuple[int, ...]:
        """Those that were copied from a section, or it from them, and still say the same."""
        near = [copy for pair in self.copied for copy in pair if part in pair and copy is not part]
        live = {other.number for file in self.files.values() for other in file.parts}
        self.kin[part.number] = {copy.number for copy in near}
        return tuple(copy.number for copy in near if copy.number in live and copy.body == part.body)

    def _new(self, lang: str) -> tuple[str, list[str]]:
        """Heading and text that were nowhere before."""
        if self.fresh[lang]:
            heading, body = self.fresh[lang].pop(self.chance.randrange(len(self.fresh[lang])))
            return heading, [body]
        return {"ja": "追加の案内", "en": "One thing more"}[lang] + f" {self.last}", self._lines(lang, 3)

    def _any(self, wanted: Callable[[Part], bool] = lambda _: True) -> tuple[File, Part]:
        found = [(file, part) for file in self.files.values() for part in file.parts if wanted(part)]
        return self.chance.choice(found)

    def _file(self, least: int, wanted: Callable[[Part], bool] = lambda _: True) -> File:
        return self.chance.choice([f for f in self.files.values() if sum(map(wanted, f.parts)) >= least])

    @staticmethod
    def _plain(part: Part) -> bool:
        return not any(line.lstrip().startswith(("```", ":", "~~~", "|", ">")) for line in part.body)

    def edit(self, kind: str) -> set[int]:
        """Do it, write the files, and say which sections it concerned; nothing where it cannot be done."""
        before = {path: file.text() for path, file in self.files.items()}
        touched = getattr(self, kind)() or set()
        now = {path: file.text() for path, file in self.files.items()}
        for path in before.keys() - now.keys():
            (self.folder / path).unlink()
        for path, text in now.items():
            if before.get(path) != text:
                (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / path).write_text(text, "utf-8")
        for number in touched:
            self.kinds[number] = kind
        if touched:
            self.done[kind] += 1
        return touched

    def addresses(self, kb: KnowledgeBase) -> dict[int, str]:
        """Where each section is in the index, by its line."""
        found = {}
        lines = {path: file.lines() for path, file in self.files.items()}
        for article_id, path, _, sections in kb.snapshot.content.pages():
            for section in sections:
                number = lines[path].get(section.lines[0]) if section.level else None
                if number is not None and number not in found:
                    found[number] = f"{article_id}#{section.anchor}"
        return found

    def check(self, kb: KnowledgeBase, touched: set[int] | None = None) -> None:
        """Ask for the names of some sections, or for all that were ever given out."""
        places = self.addresses(kb)
        missing = {part.number for file in self.files.values() for part in file.parts} - places.keys()
        assert not missing, [
            (f.path, p.heading, f.text()) for f in self.files.values() for p in f.parts if p.number in missing
        ]
        for name, number in self.names.items():
            if touched is None or number in touched:
                kind = self.kinds.get(number, "untouched")
                found, wanted = self._found(kb.resolve(name)), self._wanted(number, places)
                self.asked[kind] += 1
                if (found not in wanted) if isinstance(wanted, set) else found != wanted:
                    self.wrong.append(Wrong(kind, name, number, found, str(wanted)))
        for number, address in places.items():
            if touched is not None and number not in touched and address in self.names:
                continue
            handle = kb.resolve(address).handle
            if self.names.get(address, number) == number:  # not the name of another section
                view = kb.section(address)
                assert (view.section_id, view.handle) == (address, handle)
            else:
                handle = kb.snapshot.content.handles_by_address.get(address, address)
                self.names.setdefault(handle, number)
            for name in (handle, address):
                owner = self.names.setdefault(name, number)
                if name == handle and owner != number:
                    self.wrong.append(Wrong("given twice", name, number, f"was {owner}", ""))

    def _wanted(self, number: int, places: dict[int, str]) -> str | set[str]:
        if number in places:
            return places[number]
        waiting, live = list(self.heirs[number]), set()
        while waiting:
            heir = waiting.pop()
            if heir in places:
                live.add(places[heir])
            else:
                waiting += self.heirs[heir]
        if live:
            return {f"gone: {address}" for address in live} | live
        # A copy that was edited since may be named as well.
        return {"gone", *(f"gone: {places[copy]}" for copy in self.kin.get(number, ()) if copy in places)}

    @staticmethod
    def _found(place: Place) -> str:
        if place.state == "live":
            return place.section_id
        texts = [after.section_id for after in place.successors if after.why == "text"]
        return f"gone: {texts[0]}" if texts else "gone"

    def run(self, edits: int, build: Callable[[], KnowledgeBase], each: int = 1, all_each: int = 25) -> None:
        """Make so many edits, a build and a check after ``each`` of them, and ask for all names now and then."""
        kinds = [kind for kind, number in PLAN.items() for _ in range(number)]
        self.check(build(), set())
        made, touched = 0, set[int]()
        order: list[str] = []
        while made < edits:
            order = order or self.chance.sample(kinds, len(kinds))
            now = self.edit(order.pop())
            if now:
                made += 1
                touched |= now
                if made % each == 0 or made == edits:
                    self.check(build(), None if made % all_each == 0 or made == edits else touched)
                    touched = set()

    def report(self) -> str:
        """How many names of each kind led where they should."""
        wrong = defaultdict(list)
        for each in self.wrong:
            wrong[each.kind].append(each)
        lines = [f"{sum(self.done.values())} edits, {len(self.names)} names, {sum(self.asked.values())} questions"]
        for kind, asked in sorted(self.asked.items()):
            lines.append(f"{kind:16} {asked - len(wrong[kind]):6} of {asked:6} = {1 - len(wrong[kind]) / asked:.4f}")
        lines += [f"  {w.kind}: {w.name} ({w.owner}) → {w.found}, wanted {w.wanted}" for w in self.wrong[:40]]
        return "\n".join(lines)
