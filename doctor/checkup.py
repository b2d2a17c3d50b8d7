"""What `rmbg doctor` reads without torch: versions, settings, and which keys are set."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from .. import __version__
from ..backends.catalogue import BACKENDS, find
from ..core.errors import BackendUnknown, BadOption
from ..core.licences import LICENCES
from ..settings import VARIABLES, Settings, read_settings
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
    """What is installed; nothing is imported for it."""
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
    """The settings in force, with a row for every variable.

    What is set wrongly becomes a problem. The rest is in force then, and nothing leaves the
    machine: each command would refuse as a whole.
    """
    rows: Rows = {}
    usable: dict[str, str] = {}
    for name in (*VARIABLES, TOKEN_VARIABLE):
        value = environment.get(name, "").strip()
        rows[name] = (_SET if name in SECRETS else value) if value else _UNSET
        try:
            find(read_settings({name: value}).backend or "local")
            usable[name] = value
        except (BadOption, BackendUnknown) as error:
            rows[name] += " (cannot be used)"
            words = str(error)
            findings.problems.append(words if name in words else f"{name}: {words}")
    for name in sorted(environment):
        if name.startswith("RMBG_") and name not in VARIABLES:
            rows[name] = "set, but no setting has this name"
            findings.problems.append(f"{name} is read by nothing; is it misspelt?")
    findings.sections["Settings"] = rows
    settings = read_settings(usable)
    return replace(settings, offline=True) if findings.problems else settings


def keys(environment: Mapping[str, str]) -> Rows:
    """Per hosted backend whether a key is set."""
    return {
        spec.id: ", ".join(
            f"{name} {_SET if environment.get(name, '').strip() else _UNSET}"
            for name in spec.key_variables
        )
        for spec in BACKENDS.values()
        if spec.location == "hosted"
    }


def scrubbed(text: str, environment: Mapping[str, str], home: Path) -> str:
    """The text without the home folder, and without any key, wherever one got into it."""
    for name in SECRETS:
        value = environment.get(name, "").strip()
        if len(value) >= _SHORTEST_KEY:
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
