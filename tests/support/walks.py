"""The walks of CONTRIBUTING.md, read from their pages and taken in a copy of the checkout.

A page has a step for each `### ` heading. What a step writes stands in fenced blocks, each below a
line that says where: "`PATH`, new file:", "`PATH`, before `LINE`:", "`PATH`, after `LINE`:",
"`PATH`, behind the row with `LINE`:" or "`PATH`, instead of `TEXT`:". Blocks marked sh are run.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = ("add-a-model", "add-a-provider", "add-a-node")

_CODE = r"(?P<{0}>`+) ?(.+?) ?(?P={0})"
_PLACE = re.compile(
    rf"^{_CODE.format('a')}, (new file|before|after|behind the row with|instead of)"
    rf"(?: {_CODE.format('b')})?:$"
)
_LEFT_OUT = re.compile(r"^Left out, `([^`]+)` says \*(.+)\*\.$", re.MULTILINE)
_OUTSIDE = (
    ".git",
    ".venv",
    ".typing",
    "build",
    "*-output",
    "__pycache__",
    ".*_cache",
    "*.egg-info",
)


@dataclass(frozen=True)
class Edit:
    """One fenced block of a page."""

    path: str
    where: str
    #: The line, or the text, that it is placed by; empty for a new file.
    anchor: str
    text: str

    def apply(self, root: Path) -> None:
        """Change the file below root. Raises AssertionError when the place is not found once."""
        file = root / self.path
        if self.where == "new file":
            assert not file.exists(), f"{self.path} is there already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.text, encoding="utf-8", newline="\n")
            return
        old = file.read_text(encoding="utf-8")
        if self.where == "instead of":
            assert self.anchor in old, f"{self.path} has no {self.anchor!r} (any more)"
            new = old.replace(self.anchor, self.text.rstrip("\n"))
        else:
            lines = old.splitlines(keepends=True)
            places = [at for at, line in enumerate(lines) if line.strip() == self.anchor]
            assert len(places) == 1, f"{self.path} has {len(places)} lines {self.anchor!r}, not one"
            lines.insert(self._insertion(lines, places[0]), self.text)
            new = "".join(lines)
        file.write_text(new, encoding="utf-8", newline="\n")

    def _insertion(self, lines: Sequence[str], at: int) -> int:
        if self.where == "before":
            return at
        if self.where == "after":
            return at + 1
        inside = _indent(lines[at])
        return next(n for n in range(at, len(lines)) if _indent(lines[n]) < inside) + 1


@dataclass
class Step:
    """What stands below one heading: edits, then commands."""

    title: str
    edits: list[Edit] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    #: A command, and what it says where the edits of this step are missing.
    left_out: tuple[str, str] | None = None


def steps(page: str) -> list[Step]:
    """Read the steps of docs/PAGE.md, in order."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    return [_step(part) for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]]


def _step(part: str) -> Step:
    step = Step(part.partition("\n")[0])
    place: re.Match[str] | None = None
    for prose, kind, body in re.findall(r"(.*?)^```(\w*)\n(.*?)^```$", part, re.M | re.S):
        place = _PLACE.match(prose.rstrip().rpartition("\n")[2])
        if place:
            step.edits.append(Edit(place[2], place[3], place[5] or "", body))
        elif kind == "sh":
            step.commands += [line.partition(" #")[0].strip() for line in body.splitlines()]
        else:
            raise AssertionError(f"{step.title}: a block of {kind} without its place above it")
    said = _LEFT_OUT.search(part)
    step.left_out = (said[1], said[2]) if said else None
    return step


def copied(target: Path) -> Path:
    """Copy the checkout, without what tools leave behind. Returns the target."""
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*_OUTSIDE))
    return target


def run(command: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of a page in the copy, with this interpreter and nothing installed."""
    words = shlex.split(command)
    settings = {}
    while "=" in words[0]:
        name, _, settings[name] = words.pop(0).partition("=")
    python = [sys.executable]
    programs = {"python": python, "rmbg": [*python, "."], "pytest": [*python, "-m", "pytest"]}
    if words[0] == "pytest":
        lane = [] if "-m" in words else ["-m", "not soak and not whole"]
        words += ["-q", "-p", "no:cacheprovider", *lane]
    return subprocess.run(
        [*programs[words[0]], *words[1:]],
        cwd=root,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=600,
    )


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip()) if line.strip() else sys.maxsize
