"""What `rmbg doctor` reads without torch: versions, settings, and which keys are set."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ...catalogue.backends import BACKENDS
from ...catalogue.licences import LICENCES
from ...config.file import may_hold_key
from ...config.keys import DEFAULT_PROFILE, ENVIRONMENT, Listed, list_keys
from ...config.settings import VARIABLES, Settings, misspelt, problem_with, read_settings
from ...core.errors import KeyMissing
from ...core.specs import BackendSpec
from ...version import __version__
from .findings import Findings, Rows

#: Distributions whose versions matter: those that we need, then those that we use or live beside.
NEEDED = ("torch", "numpy", "scipy", "Pillow", "av", "safetensors", "tqdm")
OPTIONAL = (
    "huggingface_hub",
    "torchvision",
    "torch-directml",
    "transformers",
    "onnxruntime",
    "scikit-image",
)
#: What the Hugging Face Hub takes for gated weights; ours is only whether it is set.
TOKEN_VARIABLE = "HF_TOKEN"
SECRETS = frozenset(
    {
        TOKEN_VARIABLE,
        *(row.grant_variable for row in LICENCES.values() if row.grant_variable),
        *(name for spec in BACKENDS.values() for name in spec.key_variables),
    }
)
# Shorter texts are no keys, and stand in the report for other reasons.
_SHORTEST_KEY = 8
_SET, _UNSET = "set", "not set"


def versions() -> Rows:
    """List what is installed; nothing is imported for it."""
    rows = {
        "rmbg-nodes": __version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
    }
    for name in (*NEEDED, *OPTIONAL):
        version = _version(name)
        if version or name in NEEDED:
            rows[name] = version or "missing"
    return rows


def settings_of(environment: Mapping[str, str], findings: Findings) -> Settings:
    """Return the settings in force, with a row for every variable.

    What is set wrongly becomes a problem. The rest is in force then, and nothing leaves the
    machine: each command would refuse as a whole.
    """
    rows: Rows = {}
    usable: dict[str, str] = {}
    for name in (*VARIABLES, TOKEN_VARIABLE):
        value = environment.get(name, "").strip()
        rows[name] = (_SET if name in SECRETS else value) if value else _UNSET
        problem = problem_with(name, value)
        if problem:
            rows[name] += " (cannot be used)"
            findings.problems.append(problem if name in problem else f"{name}: {problem}")
        else:
            usable[name] = value
    for name, sentence in misspelt(environment).items():
        rows[name] = "set, but no setting has this name"
        findings.problems.append(sentence)
    findings.sections["Settings"] = rows
    settings = read_settings(usable)
    return replace(settings, offline=True) if findings.problems else settings


def keys(environment: Mapping[str, str], findings: Findings) -> Rows:
    """Say for each hosted backend which keys are set, in the environment and in the key file. A key
    file that cannot be read is a problem."""
    specs = [spec for spec in BACKENDS.values() if spec.location == "hosted"]
    try:
        found = list_keys(specs, environment=environment)
    except KeyMissing as error:
        findings.problems.append(str(error))
        return {"key file": "cannot be read"}
    return {spec.id: _keys_of(spec, found) for spec in specs}


def _keys_of(spec: BackendSpec, found: Sequence[Listed]) -> str:
    mine = [key for key in found if key.provider == spec.provider]
    there = [f"{key.variable} {_SET}{_where(key)}" for key in mine]
    known = {key.variable for key in mine}
    missing = [f"{name} {_UNSET}" for name in spec.key_variables if name not in known]
    return ", ".join([*there, *missing])


def _where(key: Listed) -> str:
    if key.source == ENVIRONMENT:
        return ""
    return " in the key file" + ("" if key.profile == DEFAULT_PROFILE else f" as {key.profile}")


def scrubbed(text: str, environment: Mapping[str, str], home: Path) -> str:
    """Return the text without the home folder, and without any key, wherever one got into it: one
    that was put into a variable for something else, too."""
    for name in (*SECRETS, *VARIABLES):
        value = environment.get(name, "").strip()
        if len(value) >= _SHORTEST_KEY and (name in SECRETS or may_hold_key(value)):
            text = text.replace(value, f"[{name}]")
    for folder in {str(home), os.path.realpath(home)}:
        if Path(folder) != Path(folder).parent:  # a home of "/" would take every slash
            text = text.replace(folder, "~")
    return text


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
