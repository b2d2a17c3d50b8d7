"""What the environment and the settings file say, read anew for each run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from ..catalogue.backends import find
from ..catalogue.licences import (
    BRIA_LICENCE_3_VARIABLE,
    BRIA_LICENCE_VARIABLE,
    DATA_TERMS_VARIABLE,
    LICENCES,
    OwnWeights,
)
from ..core.errors import BackendUnknown, BadOption
from ..core.money import BUDGET_VARIABLE, Budget, read_budget
from ..core.types import Usage
from . import hosted as hosted
from .file import PREFIX, SettingsFile, key_of
from .host import DATA_VARIABLE, DEVICE_VARIABLE, MODELS_VARIABLE, SETTINGS_VARIABLE, PlainHost

BACKEND_VARIABLE = "RMBG_BACKEND"
CACHE_VARIABLE = "RMBG_CACHE"
MATTES_VARIABLE = "RMBG_MATTES"
REMOTE_VARIABLE = "RMBG_REMOTE_SETUP"

_CACHE_MEGABYTES = 2000
_MATTE_MEGABYTES = 256

VARIABLES: Mapping[str, str] = {
    "RMBG_USAGE": "commercial or non-commercial; overrides what the graph or command says",
    BACKEND_VARIABLE: "a backend id; overrides what the graph or command says",
    "RMBG_OFFLINE": "1 refuses what would leave this machine: hosted backends, fetching weights",
    MODELS_VARIABLE: "folders with weights, separated like PATH",
    DEVICE_VARIABLE: "cpu, cuda:1, mps, ...: where networks run outside ComfyUI; the best there is",
    DATA_VARIABLE: "the folder for the journal of paid jobs, their results and fetched weights",
    CACHE_VARIABLE: f"megabytes that paid results may take on disk (default {_CACHE_MEGABYTES}); "
    "0 keeps none",
    MATTES_VARIABLE: "megabytes of memory in which a Load RMBG node keeps its local model's last "
    f"answers, for runs with other edges or background (default {_MATTE_MEGABYTES}); 0 keeps none",
    BUDGET_VARIABLE: "what hosted pictures may cost in USD: 5/day, 100/month, or 5/day,100/month "
    "(UTC); what would pass it is not sent",
    BRIA_LICENCE_VARIABLE: "the number of your licence agreement with BRIA for local RMBG 2.0 or "
    "1.4; it speaks for no later generation",
    BRIA_LICENCE_3_VARIABLE: "the number of your licence agreement with BRIA for local RMBG 3.0",
    DATA_TERMS_VARIABLE: "1 says that you know the terms of the data that a model was trained on, "
    "where they limit commercial use, and answer for yours",
    REMOTE_VARIABLE: "1 lets whoever opens this ComfyUI from another machine fetch weights and set "
    "keys on it; else only its own machine may",
    **hosted.VARIABLES,
    SETTINGS_VARIABLE: "the settings file, in place of settings.toml in the configuration folder",
}

#: What holds where a variable is not set, as far as one word says it.
DEFAULTS: Mapping[str, str] = {
    "RMBG_OFFLINE": "0",
    DATA_TERMS_VARIABLE: "0",
    REMOTE_VARIABLE: "0",
    CACHE_VARIABLE: str(_CACHE_MEGABYTES),
    MATTES_VARIABLE: str(_MATTE_MEGABYTES),
    **hosted.DEFAULTS,
}

#: Key in the settings file -> variable.
KEYS: Mapping[str, str] = {key_of(name): name for name in VARIABLES if name != SETTINGS_VARIABLE}

_SHORTEST_KEY = 16

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True)
class Settings:
    """What holds for one run."""

    usage: Usage | None = None
    """None where not pinned."""
    backend: str | None = None
    """None where not pinned."""
    offline: bool = False
    """Refuse what would leave this machine."""
    grants: Mapping[str, str] = field(default_factory=dict)
    """Licence id -> number of an agreement."""
    cache_bytes: int = _CACHE_MEGABYTES * 1_000_000
    """What paid results may take on disk."""
    matte_bytes: int = _MATTE_MEGABYTES * 1_000_000
    """What the kept answers of one local model may take in memory."""
    weights: Mapping[str, OwnWeights] = field(default_factory=dict)
    """sha256 -> the licence that the user has established for a file of their own."""
    budget: Budget = field(default_factory=Budget)
    """What hosted pictures may cost."""
    data_terms: str = ""
    """By which setting or switch limits of training data were accepted; empty: they were not."""
    remote_setup: bool = False
    """Let other machines' browsers fetch weights and set keys through ComfyUI."""


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the given environment alone, or the process's own over the settings file.

    Raises BadOption for a value that is none of the allowed ones, and for a settings file with any
    mistake in it: a mistyped RMBG_OFFLINE must not send pictures.
    """
    if environment is not None:
        return _settings(environment, {})
    host = PlainHost()
    file = host.settings_file()
    check_file(file)
    return _settings(host.surroundings(file), file.weights)


def check_file(file: SettingsFile) -> None:
    """Raise BadOption for a key that is no setting, or a value that cannot be used."""
    if not file.values:
        return
    for name in file.values:
        if name not in KEYS.values():
            raise BadOption(
                f"{file.path}: {key_of(name)} is no setting; is it misspelt? There are: "
                f"{', '.join(KEYS)} and [[weights]]."
            )
    try:
        check_values(file.values)
    except BadOption as error:
        raise BadOption(f"{file.path}: {error}") from error


def check_values(values: Mapping[str, str]) -> None:
    """Raise BadOption for the first of these variables that has a value that cannot be used."""
    _settings(values, {})
    if values.keys() & hosted.VARIABLES.keys():
        hosted.check(values)


def problem_with(name: str, value: str) -> str:
    """Say why this variable cannot have this value; empty when it can. A value that might be a key,
    put into the wrong variable, is not repeated."""
    try:
        check_values({name: value})
        if name == BACKEND_VARIABLE and value:
            find(value)
    except (BadOption, BackendUnknown) as error:
        words = str(error)
        return words.replace(value, "...") if len(value) >= _SHORTEST_KEY else words
    return ""


def misspelt(environment: Mapping[str, str]) -> dict[str, str]:
    """Return variables that begin as ours and are no setting, each with a sentence about it."""
    return {
        name: f"{name} is read by nothing; is it misspelt?"
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in VARIABLES
    }


def _settings(env: Mapping[str, str], weights: Mapping[str, OwnWeights]) -> Settings:
    values = {name: env.get(name, "").strip() for name in VARIABLES}
    accepted = _switch(DATA_TERMS_VARIABLE, values[DATA_TERMS_VARIABLE])
    return Settings(
        usage=_usage(values["RMBG_USAGE"]),
        backend=values[BACKEND_VARIABLE] or None,
        offline=_switch("RMBG_OFFLINE", values["RMBG_OFFLINE"]),
        grants={
            row.id: values[row.grant_variable]
            for row in LICENCES.values()
            if row.grant_variable and values[row.grant_variable]
        },
        cache_bytes=_megabytes(CACHE_VARIABLE, values[CACHE_VARIABLE]),
        matte_bytes=_megabytes(MATTES_VARIABLE, values[MATTES_VARIABLE]),
        weights=weights,
        budget=read_budget(values[BUDGET_VARIABLE]),
        data_terms=DATA_TERMS_VARIABLE if accepted else "",
        remote_setup=_switch(REMOTE_VARIABLE, values[REMOTE_VARIABLE]),
    )


def _usage(text: str) -> Usage | None:
    usage = next((one for one in get_args(Usage) if one == text), None)
    if text and usage is None:
        raise BadOption(
            f"RMBG_USAGE is {text!r}; set it to commercial or non-commercial, or leave it unset."
        )
    return usage


def _switch(name: str, text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise BadOption(f"{name} is {text!r}; set it to 1 or 0, or leave it unset.")


def _megabytes(name: str, text: str) -> int:
    if text and not text.isdecimal():
        raise BadOption(f"{name} is {text!r}; set it to whole megabytes, 0 for none.")
    return int(text or DEFAULTS[name]) * 1_000_000
