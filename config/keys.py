"""Where a provider's key comes from, and how it is kept out of everything else.

A key is read at the time of use, from the environment or from the user's key file, and lives in a
`Key`, which shows its value only where it is asked for by name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from ..core.errors import BadOption, KeyMissing
from .account_mark import account_mark
from .host import PlainHost
from .invocation import command
from .keyfile import KEY_FILE, Profiles, read_profiles, write_profiles

DEFAULT_PROFILE = "default"
ENVIRONMENT = "environment"

# A variable whose key may also be given in two halves; fal's own client reads these.
_HALVES = {"FAL_KEY": ("FAL_KEY_ID", "FAL_KEY_SECRET")}
# Printable ASCII without spaces: a line break in a key would start another HTTP header.
_KEY = re.compile(r"[!-~]{1,1000}")
# Shorter than any key, so that a key cannot become a name, and be shown as one.
_PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,19}")
_MASKED_ENDS = 4
_SHORT = 16


class Keyed(Protocol):
    """Whoever asks for a key: a hosted backend's row, or HUB."""

    @property
    def provider(self) -> str:
        """Return what commands call it."""

    @property
    def label(self) -> str:
        """Return what people call it."""

    @property
    def key_variables(self) -> tuple[str, ...]:
        """Return the environment variables that hold its key, in the order they are taken."""

    @property
    def key_page(self) -> str:
        """Return where keys are made."""


@dataclass(frozen=True)
class Account:
    """Someone with keys who is no backend."""

    provider: str
    """What commands call it."""
    label: str
    """What people call it."""
    key_variables: tuple[str, ...]
    """The environment variables that hold its key, in the order they are taken."""
    key_page: str
    """Where keys are made."""


#: Gated weights are given to accounts that have accepted their terms.
HUB = Account(
    "huggingface",
    "the Hugging Face Hub",
    ("HF_TOKEN",),
    "https://huggingface.co/settings/tokens",
)


class Key:
    """A secret. Only `reveal` gives its value; no text, copy, dictionary or pickle of it does."""

    __slots__ = ("_reveal", "source")

    def __init__(self, value: str, source: str) -> None:
        # Not an attribute: what lists those would show it.
        self._reveal: Callable[[], str] = lambda: value
        #: Where it was found, for messages.
        self.source = source

    def reveal(self) -> str:
        """Return the value, for the header of a request to the provider itself."""
        return self._reveal()

    def mark(self, salt: str) -> str:
        """Return what tells this account from others, and reveals nothing of the key. salt: never
        twice the same. Of a token that is renewed, who it is for counts."""
        return account_mark(self._reveal(), salt)

    def __repr__(self) -> str:
        return "Key(****)"

    def __copy__(self) -> Key:
        return self

    def __deepcopy__(self, memo: object) -> Key:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("A key is not written to files or sent to other processes.")


@dataclass(frozen=True)
class Listed:
    """One key there is, without its value."""

    provider: str
    variable: str
    profile: str | None
    """None for one in the environment."""
    masked: str
    source: str


def find_key(
    spec: Keyed,
    profile: str,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Key:
    """Find the key for this backend; see `look_for_key`. Raises KeyMissing also where there is
    none."""
    key = look_for_key(spec, profile, folder, environment)
    if key is None:
        raise KeyMissing(_no_key(spec, profile.strip()))
    return key


def look_for_key(
    spec: Keyed,
    profile: str,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Key | None:
    """Look for the key of this backend; None where it was never set.

    profile: "" takes the row's variables in the environment, in their order, then the default
    profile of the key file; a name takes that profile of the file and nothing else. folder: of the
    key file, the user's configuration folder by default. Raises KeyMissing for what is there and is
    no key, and for a profile that is not; it never repeats what was given as a profile: it may be a
    key, pasted into the wrong field.
    """
    env = os.environ if environment is None else environment
    asked = profile.strip()
    if not asked:
        for variable, value in _in_environment(spec, env):
            return checked_key(spec, value, f"{variable} in the environment")
    path = _path(folder, env)
    profiles = read_profiles(path)
    name = asked or DEFAULT_PROFILE
    if asked and not (name in profiles and _PROFILE.fullmatch(name)):
        raise KeyMissing(_no_profile(spec, profiles))
    held = profiles.get(name, {})
    for variable in spec.key_variables:
        if variable in held:
            return checked_key(spec, held[variable], f"{variable} in {path}")
    return None


def set_key(
    spec: Keyed,
    value: str,
    profile: str = "",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """Keep a key in the user's key file, in place of the one there, and return the file.

    Raises KeyMissing for what is no key or a file that cannot be read, BadOption for a name that is
    none or a place that cannot be written.
    """
    name = _named(profile)
    variable = spec.key_variables[0]
    key = checked_key(spec, value)
    path = _path(folder, environment)
    profiles = read_profiles(path)
    others = _without(profiles.get(name, {}), spec.key_variables)
    write_profiles(path, {**profiles, name: {**others, variable: key.reveal()}})
    return path


def checked_key(spec: Keyed, value: str, where: str = "What was given") -> Key:
    """Return a key of this text. where: it was found, for messages. Raises KeyMissing for what is
    no key."""
    stripped = value.strip()
    if not _KEY.fullmatch(stripped):
        raise KeyMissing(
            f"{where} is not a key: it is empty or too long, or holds spaces, line breaks or other "
            f"signs that no key has. Copy the key anew from {spec.key_page}."
        )
    return Key(stripped, where)


def remove_key(
    spec: Keyed,
    profile: str = "",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> bool:
    """Take a provider's key out of the key file; False when there was none. Raises as `set_key`."""
    name = _named(profile)
    path = _path(folder, environment)
    profiles = read_profiles(path)
    held = profiles.get(name, {})
    left = _without(held, spec.key_variables)
    if left == held:
        return False
    kept = {**profiles, name: left}
    write_profiles(path, {name: values for name, values in kept.items() if values})
    return True


def list_keys(
    specs: Iterable[Keyed],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> list[Listed]:
    """List every key there is for these backends, in the order in which they are taken.

    Raises KeyMissing for a key file that cannot be read.
    """
    env = os.environ if environment is None else environment
    path = _path(folder, env)
    profiles = read_profiles(path)
    found = []
    for spec in {spec.provider: spec for spec in specs}.values():
        for variable, value in _in_environment(spec, env):
            found.append(Listed(spec.provider, variable, None, _masked(value), ENVIRONMENT))
        for name, held in sorted(profiles.items(), key=lambda item: item[0] != DEFAULT_PROFILE):
            for variable in spec.key_variables:
                if variable in held:
                    masked = _masked(held[variable])
                    found.append(Listed(spec.provider, variable, name, masked, str(path)))
    return found


def _in_environment(spec: Keyed, env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield variable and value of every key that is set."""
    for variable in spec.key_variables:
        if value := env.get(variable, "").strip():
            yield variable, value
    for variable in spec.key_variables:
        halves = [env.get(half, "").strip() for half in _HALVES.get(variable, ())]
        if halves and all(halves):
            yield " and ".join(_HALVES[variable]), ":".join(halves)


def _named(profile: str) -> str:
    if profile and not _PROFILE.fullmatch(profile):
        raise BadOption(
            "A profile's name is 1 to 20 letters, digits, hyphens and underscores, and begins with "
            "a letter or digit. It is no place for a key."
        )
    return profile or DEFAULT_PROFILE


def _path(folder: Path | None, environment: Mapping[str, str] | None) -> Path:
    return (folder or PlainHost(environment).config_folder()) / KEY_FILE


def _without(held: Mapping[str, str], variables: Iterable[str]) -> dict[str, str]:
    return {name: value for name, value in held.items() if name not in set(variables)}


def _masked(value: str) -> str:
    if len(value) < _SHORT:
        return "****"
    return f"{value[:_MASKED_ENDS]}...{value[-_MASKED_ENDS:]}"


def _no_profile(spec: Keyed, profiles: Profiles) -> str:
    known = ", ".join(sorted(filter(_PROFILE.fullmatch, profiles))) or "none so far"
    return (
        f"There is no key profile of the name that was given; there are: {known}. Make it with "
        f"`{command(f'keys set {spec.provider} --profile NAME')}`, or leave the profile empty."
    )


def _no_key(spec: Keyed, profile: str) -> str:
    page = spec.key_page
    if profile:
        do = command(f"keys set {spec.provider} --profile {profile}")
        return (
            f"The key profile {profile} has no key for {spec.label}. Run `{do}`; keys are made at "
            f"{page}."
        )
    variables = " or ".join(spec.key_variables)
    return (
        f"{spec.label} needs a key. Set {variables} in the environment, or run "
        f"`{command(f'keys set {spec.provider}')}`; keys are made at {page}."
    )
