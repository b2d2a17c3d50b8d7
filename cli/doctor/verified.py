"""Which open rows of docs/verified.md a run of `rmbg doctor` turns into facts."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...catalogue.backends import find
from .trials import Trial, WeightFile

_PAGE = Path(__file__).absolute().parent.parent.parent / "docs" / "verified.md"
_OPEN = "never seen"
_SYSTEMS = {"Darwin": "macOS"}
#: The minor versions of Python 3 that a row's "Python 3.x to 3.y" may span.
_MINORS = range(10, 31)


@dataclass(frozen=True)
class Evidence:
    """Something that this run has shown. words: a claim that has one of them is about it."""

    fact: str
    words: tuple[str, ...]


def evidence(trials: Sequence[Trial], files: Sequence[WeightFile]) -> list[Evidence]:
    """What the backends that worked show; nothing when none did."""
    worked = [trial for trial in trials if trial.state == "works"]
    if not worked:
        return []
    minor = sys.version_info.minor
    spans = [f"Python 3.{a} to 3.{b}" for a in _MINORS for b in _MINORS if a <= minor <= b]
    system = _SYSTEMS.get(platform.system(), platform.system())
    shown = [
        Evidence(f"Python {platform.python_version()}", (f"Python 3.{minor}", *spans)),
        Evidence(f"{system} {platform.release()}, {platform.machine()}", (system,)),
    ]
    for trial in worked:
        figures = f"{trial.seconds:.2f} s, IoU {trial.iou:.3f} with the true mask"
        name = next((file.name for file in files if f"local/{file.model}" == trial.backend), "")
        device = trial.device.partition(",")[0].partition(":")[0]
        if find(trial.backend).location == "hosted":
            shown.append(Evidence(f"{trial.backend} answers: {figures}", (trial.backend,)))
            continue
        if name:
            fact = f"released {name} on {trial.device}: {figures}"
            shown.append(Evidence(fact, ("released weight files", f"released {name}")))
        if device != "cpu":
            shown.append(Evidence(f"{trial.backend} on {trial.device}: {figures}", (device,)))
    return shown


def page() -> str:
    """docs/verified.md, or nothing where an installation comes without it."""
    return _PAGE.read_text(encoding="utf-8") if _PAGE.is_file() else ""


def open_claims(text: str) -> list[str]:
    """The claims of the table that nobody has seen hold."""
    rows = [line.strip().strip("|").split("|") for line in text.splitlines() if "|" in line]
    return [cells[0].strip() for cells in rows if _OPEN in " ".join(cells[1:]).casefold()]


def settled(claims: Sequence[str], shown: Sequence[Evidence]) -> list[tuple[str, list[str]]]:
    """Every open claim that this run says something about, with what it says. Claims that name
    several things at once are settled in part: a person splits the row."""
    found = []
    for claim in claims:
        facts = [
            one.fact
            for one in shown
            if any(word.casefold() in claim.casefold() for word in one.words)
        ]
        if facts:
            found.append((claim, facts))
    return found
