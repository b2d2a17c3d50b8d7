"""`rmbg config`: which settings are in force and where each comes from, and the settings file."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ..catalogue.licences import LICENCES
from ..config.file import SettingsFile, key_of, may_hold_key
from ..config.host import DATA_VARIABLE, MODELS_VARIABLE, SETTINGS_VARIABLE, PlainHost
from ..config.invocation import command
from ..config.private_files import make_private, private
from ..config.settings import DEFAULTS, KEYS, VARIABLES, check_file, misspelt, problem_with
from ..core.errors import BadOption
from .terminal import markdown

_UNSET = "not set"
# A longer value does not widen the column of all.
_COLUMN = 40
#: The number of an agreement is private: outputs of this command are pasted.
_PRIVATE = frozenset(row.grant_variable for row in LICENCES.values() if row.grant_variable)
#: What the template writes, where the default would not say how a value looks.
_EXAMPLES = {
    "usage": '"commercial"',
    "backend": '"bria"',
    "offline": "true",
    "models": '["/data/weights", "~/weights"]',
    "device": '"cuda:1"',
    "data": '"~/rmbg-data"',
    "budget_usd": '"5/day,100/month"',
    "bria_licence": '"the number"',
    "bria_licence_3": '"the number"',
    "accept_data_terms": "true",
}
_TABLES = """\
# Your own prices in USD a picture, in place of the catalogue's.
# [prices]
# "bria/rmbg-2.0" = 0.015

# The licence of a weight file of your own, which `rmbg weights verify FILE` gives the sha256 of.
# You answer for what stands here; reports quote it. Files that this package knows keep their
# own licence.
# [[weights]]
# sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
# name = "our fine-tune of BiRefNet"
# licence = "MIT"
# source = "https://example.com/where-the-licence-stands"
# commercial = true
# data_terms = "unknown"     # of what it was trained on: open, restricted or unknown
"""
_HEAD = """\
# Settings of rmbg-nodes. A line counts when its # is taken away. An environment variable of the
# same meaning (RMBG_USAGE for usage) wins over this file, and usage and backend win over what
# graphs and commands say. No keys here: `rmbg keys set PROVIDER` keeps them.
"""


@dataclass(frozen=True)
class _Row:
    """One setting in force."""

    key: str
    variable: str
    value: str
    source: str
    """environment, file or default."""
    problem: str = ""
    """Why it cannot be used; its value is not shown then."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    show = actions.add_parser("show", help="every setting in force, and where it comes from")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object")
    form.add_argument("--markdown", action="store_true", help="print the table of docs/settings.md")
    actions.add_parser("path", help="where the settings file is looked for")
    actions.add_parser("check", help="say what is wrong; exit status 1 when anything is")
    actions.add_parser("init", help="write a settings file with every setting, commented out")


def run(arguments: argparse.Namespace) -> int:
    host = PlainHost()
    if arguments.action == "path":
        print(host.settings_path())
        return 0
    if arguments.action == "check":
        return _check(host)
    if arguments.action == "init":
        return _init(host.settings_path())
    if arguments.action and arguments.markdown:
        print(markdown_table())
        return 0
    return _show(host, as_json=bool(arguments.action and arguments.json))


def markdown_table() -> str:
    """Make the table of docs/settings.md; a test compares the two."""
    rows = (
        (f"`{key}`", f"`{name}`", DEFAULTS.get(name) or "-", VARIABLES[name])
        for key, name in KEYS.items()
    )
    return markdown(("key", "variable", "default", "what it does"), rows)


def template() -> str:
    """Make a settings file in which every setting is commented out."""
    parts = [_HEAD]
    for key, name in KEYS.items():
        if key != "prices":
            parts.append(f"# {VARIABLES[name]}\n# {key} = {_example(key, name)}\n")
    return "\n".join([*parts, _TABLES])


def _example(key: str, name: str) -> str:
    default = DEFAULTS.get(name, "")
    return _EXAMPLES.get(key) or (default if default.isdecimal() else json.dumps(default))


def _show(host: PlainHost, *, as_json: bool) -> int:
    file = host.settings_file()
    check_file(file)
    rows = list(_rows(host, file))
    if as_json:
        data = {
            "file": str(file.path),
            "exists": file.exists,
            "settings": [asdict(row) for row in rows],
            "weights": [asdict(own) for own in file.weights.values()],
        }
        print(json.dumps(data, indent=2, ensure_ascii=False))
        return 0
    print(f"{file.path}{'' if file.exists else ' (not there)'}")
    wide = max(len(row.key) for row in rows)
    values = max(len(row.value) for row in rows if len(row.value) <= _COLUMN)
    for row in rows:
        print(f"  {row.key:<{wide}}  {row.value:<{values}}  {row.source}")
    for own in file.weights.values():
        may = "commercial use too" if own.commercial else "non-commercial use"
        print(f"  weights {own.sha256[:12]}...: {own.name}, {own.licence} ({own.source}), {may}")
    return 0


def _rows(host: PlainHost, file: SettingsFile) -> Iterator[_Row]:
    """List every setting as it is in force."""
    defaults = {
        **DEFAULTS,
        DATA_VARIABLE: str(host.data_folder()),
        MODELS_VARIABLE: os.pathsep.join(map(str, host.model_folders())),
        SETTINGS_VARIABLE: str(host.settings_path()),
    }
    for name in VARIABLES:
        given = os.environ.get(name, "").strip()
        value = given or file.values.get(name, "")
        problem = problem_with(name, value)
        shown = value or defaults.get(name, _UNSET)
        if problem:
            shown = "(cannot be used)"
        elif (value and name in _PRIVATE) or may_hold_key(shown):
            shown = "(set)"
        source = "environment" if given else "file" if value else "default"
        yield _Row(key_of(name), name, shown, source, problem)


def _check(host: PlainHost) -> int:
    problems = []
    found = ""
    try:
        file = host.settings_file()
        check_file(file)
        problems += [f"{row.variable}: {row.problem}" for row in _rows(host, file) if row.problem]
        problems += _without_effect(file)
        found = f", {len(file.values)} settings and {len(file.weights)} weights"
        found = found if file.exists else " (not there)"
    except BadOption as error:
        problems.append(str(error))
    problems += misspelt(os.environ).values()
    print("\n".join(problems) or f"No mistakes. {host.settings_path()}{found}.")
    return 1 if problems else 0


def _without_effect(file: SettingsFile) -> list[str]:
    """Name the rows for files whose licence is known; only here, because it needs torch."""
    if not file.weights:
        return []
    from ..backends.local.released import RELEASED

    return [
        f"{file.path}: the [[weights]] {own.name} is the released {row.name}, whose licence is "
        f"{LICENCES[row.licence].name}; the entry changes nothing."
        for own in file.weights.values()
        for row in RELEASED
        if row.sha256 == own.sha256 and LICENCES[row.licence].commercial != "unknown"
    ]


def _init(path: Path) -> int:
    try:
        make_private(path.parent)
        with open(path, "x", encoding="utf-8", opener=private) as file:
            file.write(template())
    except FileExistsError as error:
        raise BadOption(f"{path} is there already and was left as it is.") from error
    except OSError as error:
        raise BadOption(f"{path} cannot be written ({error.strerror}).") from error
    print(f"Written to {path}. `{command('config check')}` says whether it can be used.")
    return 0
