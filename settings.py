"""What the environment says: the settings that pin a deployment, read anew for each run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from .backends.hosted import environment as hosted
from .core.errors import BadOption
from .core.licences import BRIA_LICENCE_VARIABLE, LICENCES
from .core.types import Usage
from .host import DATA_VARIABLE, DEVICE_VARIABLE, MODELS_VARIABLE

CACHE_VARIABLE = "RMBG_CACHE"

_CACHE_MEGABYTES = 2000

VARIABLES: Mapping[str, str] = {
    "RMBG_USAGE": "commercial or non-commercial; overrides what the graph or command says",
    "RMBG_BACKEND": "a backend id; overrides what the graph or command says",
    "RMBG_OFFLINE": "1 refuses what would leave this machine: hosted backends, fetching weights",
    MODELS_VARIABLE: "folders with weights, separated like PATH",
    DEVICE_VARIABLE: "cpu, cuda:1, mps, ...: where networks run outside ComfyUI; the best there is",
    DATA_VARIABLE: "the folder for the journal of paid jobs, their results and fetched weights",
    CACHE_VARIABLE: f"megabytes that paid results may take on disk (default {_CACHE_MEGABYTES}); "
    "0 keeps none",
    BRIA_LICENCE_VARIABLE: "the number of your licence agreement with BRIA, for local RMBG weights",
    **hosted.VARIABLES,
}

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True)
class Settings:
    """usage, backend: None where not pinned. grants: licence id -> number of an agreement.
    cache_bytes: what paid results may take on disk."""

    usage: Usage | None = None
    backend: str | None = None
    offline: bool = False
    grants: Mapping[str, str] = field(default_factory=dict)
    cache_bytes: int = _CACHE_MEGABYTES * 1_000_000


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the given environment, or from the process's own.

    Raises BadOption for a value that is none of the allowed ones: a mistyped RMBG_OFFLINE must not
    send pictures.
    """
    env = os.environ if environment is None else environment
    values = {name: env.get(name, "").strip() for name in VARIABLES}
    return Settings(
        usage=_usage(values["RMBG_USAGE"]),
        backend=values["RMBG_BACKEND"] or None,
        offline=_switch("RMBG_OFFLINE", values["RMBG_OFFLINE"]),
        grants={
            row.id: values[row.grant_variable]
            for row in LICENCES.values()
            if row.grant_variable and values[row.grant_variable]
        },
        cache_bytes=_megabytes(values[CACHE_VARIABLE]),
    )


def _usage(text: str) -> Usage | None:
    if text == "commercial":
        return "commercial"
    if text == "non-commercial":
        return "non-commercial"
    if text:
        raise BadOption(
            f"RMBG_USAGE is {text!r}; set it to commercial or non-commercial, or leave it unset."
        )
    return None


def _switch(name: str, text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise BadOption(f"{name} is {text!r}; set it to 1 or 0, or leave it unset.")


def _megabytes(text: str) -> int:
    if text and not text.isdecimal():
        raise BadOption(f"{CACHE_VARIABLE} is {text!r}; set it to whole megabytes, 0 for none.")
    return int(text or _CACHE_MEGABYTES) * 1_000_000
