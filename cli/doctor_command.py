"""`rmbg doctor`: what this machine has and what works on it, as a report to be pasted."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..catalogue.backends import BACKENDS
from ..config.host import PlainHost
from ..config.invocation import command
from ..config.settings import Settings
from ..core.errors import BadOption
from ..core.specs import OptionValue
from .doctor.checkup import keys, scrubbed, settings_of, versions
from .doctor.findings import Findings, Rows
from .options import parse_options
from .terminal import say

if TYPE_CHECKING:
    from ..backends.local.released import Released
    from .doctor.trials import WeightFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--json", action="store_true", help="print one JSON object")
    add("--spend", action="store_true", help="try the hosted backends too, one paid picture each")
    add(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the backends that have it; weights=FILE tries a file of your own",
    )


def run(
    arguments: argparse.Namespace,
    *,
    rows: Sequence[Released] | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    options = _options(vars(arguments).get("option", []))
    findings = Findings({"Versions": versions()})
    env = _surroundings(findings) if environment is None else environment
    settings = settings_of(env, findings)
    findings.sections["Keys"] = keys(env, findings)
    _try(findings, settings, rows, env, options, spend=bool(arguments.spend))
    clean = partial(scrubbed, environment=env, home=Path.home())
    if arguments.json:
        print(json.dumps(findings.data(clean), indent=2, ensure_ascii=False))
    else:
        print(clean(findings.text()))
    return 1 if findings.problems else 0


def _surroundings(findings: Findings) -> Mapping[str, str]:
    """Return the environment over the settings file; a file that cannot be used is a problem to
    report."""
    try:
        return PlainHost().surroundings()
    except BadOption as error:
        findings.problems.append(str(error))
        return os.environ


def _options(pairs: list[str]) -> dict[str, OptionValue]:
    """Parse options. Raises BadOption for one that no backend has."""
    options = parse_options(pairs)
    known = {option.name for spec in BACKENDS.values() for option in spec.options}
    for name in options:
        if name not in known:
            raise BadOption(f"No backend has an option {name!r}. There are: {', '.join(known)}.")
    return options


def _try(
    findings: Findings,
    settings: Settings,
    rows: Sequence[Released] | None,
    environment: Mapping[str, str],
    options: Mapping[str, OptionValue],
    *,
    spend: bool,
) -> None:
    """Find out all that needs torch, which is imported here because it may be what is broken."""
    try:
        from ..backends.local.released import RELEASED
        from .doctor import trials
    except (ImportError, OSError) as error:  # OSError: a library of torch's that does not load
        findings.problems.append(
            f"A part of this installation cannot be loaded ({error}). Install it anew."
        )
        return
    host = PlainHost(environment)
    findings.sections["Device"] = trials.device_rows()
    try:
        findings.sections["Device"] |= trials.choice_rows(host)
    except BadOption as error:
        findings.problems.append(str(error))
    files = trials.weight_files(host, RELEASED if rows is None else rows, environment)
    findings.sections["Weights"] = _weight_rows(files)
    scene = trials.known_scene()
    own = str(options.get("weights", ""))
    for spec in trials.own_file_rows(own):
        say(f"trying {own}")
        given = trials.options_for(spec, options)
        findings.trials.append(
            trials.try_backend(spec, scene, files, settings, host, options=given)
        )
    for spec in BACKENDS.values():
        reason = trials.reason_against(spec, files, environment, spend=spend)
        if reason:
            trial = trials.Trial(spec.id, "not tried", reason)
        else:
            say(f"trying {spec.id}")  # may take a minute on a CPU
            given = {k: v for k, v in trials.options_for(spec, options).items() if k != "weights"}
            trial = trials.try_backend(spec, scene, files, settings, host, options=given)
        findings.trials.append(trial)
    for trial in findings.trials:
        if trial.state in ("wrong", "failed"):
            findings.problems.append(f"{trial.backend}: {trial.words}")


def _weight_rows(files: Sequence[WeightFile]) -> Rows:
    if not files:
        return {"none found": f"`{command('weights list')}` says where they are looked for"}
    return {
        str(file.path): f"{file.name}, {file.state}"
        + (f", sha256 {file.sha256}" if file.sha256 else "")
        for file in files
    }
