"""The gate: which backend may be used for what, before anything is imported, looked for or sent."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

from ..catalogue import backends
from ..catalogue.hosted_videos import VIDEO_MODELS, find_video_model
from ..catalogue.licences import LICENCES, NOT_ESTABLISHED, licence_of
from ..config.host import PlainHost
from ..config.judgement import judge
from ..config.settings import Settings, read_settings
from ..core.errors import BackendUnknown, Offline, WeightsMissing
from ..core.specs import BackendSpec, OptionValue
from ..core.types import Backend, Claim, Host, Job, Outcome, Resumable, Sizable, Usage

_log = logging.getLogger("rmbg_nodes")


class OpenBackend:
    """A backend that the gate let through, the use it was opened for, and its options in force."""

    def __init__(
        self, backend: Backend, usage: Usage | None, options: Mapping[str, OptionValue]
    ) -> None:
        self._backend = backend
        self.usage = usage
        self.options = options
        self.work, self.run, self.close = backend.work, backend.run, backend.close

    @property
    def spec(self) -> BackendSpec:
        """Return the row of the catalogue; its licence is that of the weights in use."""
        return self._backend.spec

    @property
    def model(self) -> object:
        """Return what was opened, for those whose jobs are no pictures."""
        return self._backend

    def resume(self, claims: Iterable[Claim], job: Job) -> Iterator[Outcome]:
        """See `Resumable.resume`; for hosted backends."""
        return cast("Resumable", self._backend).resume(claims, job)

    def at(self, resolution: int) -> OpenBackend:
        """See `Sizable.at`; for backends whose spec is `sizable`."""
        sized = cast("Sizable", self._backend).at(resolution)
        return OpenBackend(sized, self.usage, {**self.options, "resolution": resolution})


def open_backend(
    backend_id: str,
    *,
    usage: Usage | None = None,
    settings: Settings | None = None,
    options: Mapping[str, OptionValue] | None = None,
    host: Host | None = None,
    only_to_fetch: bool = False,
) -> OpenBackend:
    """Open a backend by id after the gate has let it through.

    RMBG_BACKEND replaces the id; options meant for another provider are then left aside. host: the
    program we run in, a plain one by default. only_to_fetch: for `resume` alone, which sends no
    picture, so words that pictures need may be missing. Raises BackendUnknown, LicenceRefused,
    Offline, BackendMissing, WeightsMissing, WeightsUnusable or BadOption.
    """
    current = settings or read_settings()
    given, here = options or {}, host or PlainHost()
    opened = _opened(backend_id, usage, current, given, here, only_to_fetch=only_to_fetch)
    if _unknown(opened.spec, current):
        _log.warning(
            "The licence of %s is not established, so it counts as non-commercial; if you know it, "
            "name it in a [[weights]] row of settings.toml (sha256 %s).",
            Path(str(opened.options["weights"])).name,
            opened.spec.weights_sha256,
        )
    return opened


def is_video_model(backend_id: str, settings: Settings | None = None) -> bool:
    """Tell whether this id, or the one that RMBG_BACKEND puts in its place, is that of a model
    whose jobs are whole videos."""
    return ((settings or read_settings()).backend or backend_id) in VIDEO_MODELS


def open_video_model(
    backend_id: str,
    *,
    usage: Usage | None = None,
    settings: Settings | None = None,
    options: Mapping[str, OptionValue] | None = None,
) -> OpenBackend:
    """Open a model whose jobs are whole videos, by id, after the gate has let it through.
    RMBG_BACKEND replaces the id.

    Raises BackendUnknown, LicenceRefused, Offline or BadOption.
    """
    current = settings or read_settings()
    spec = find_video_model(current.backend or backend_id)
    allow(spec, usage, current)
    values = backends.check_options(spec, options or {})
    return OpenBackend(load(spec, values, PlainHost()), usage, values)


def look_into(
    backend_id: str,
    options: Mapping[str, OptionValue],
    usage: Usage | None,
    settings: Settings,
    host: Host | None = None,
) -> OpenBackend:
    """`open_backend`, to be asked and not to be run: nothing is fetched, loaded, sent or logged.

    Raises what that does; WeightsMissing also where it would fetch them.
    """
    fetches = bool(options.get("download")) and not settings.offline
    held_back = {**options, "download": False} if fetches else options
    return _opened(backend_id, usage, settings, held_back, host or PlainHost())


def _opened(
    backend_id: str,
    usage: Usage | None,
    settings: Settings,
    options: Mapping[str, OptionValue],
    host: Host,
    *,
    only_to_fetch: bool = False,
) -> OpenBackend:
    spec, chosen = chosen_row(backend_id, options, settings)
    allow(_with_own_file(spec, chosen, host), usage, settings)
    held_back = settings.offline and bool(chosen.get("download"))
    if held_back:
        chosen = {**chosen, "download": False}
    values = backends.check_options(spec, chosen)
    if not only_to_fetch:
        backends.check_instruction(spec, values)
    try:
        backend = load(spec, values, host)
    except WeightsMissing as error:
        if not held_back:
            raise
        raise Offline(
            f"{error} RMBG_OFFLINE keeps this machine offline, so they were not downloaded."
        ) from error
    # The file may be another than the one that was judged before it was opened.
    allow(backend.spec, usage, settings)
    return OpenBackend(backend, usage, values)


def allow_unopened(
    backend_id: str,
    options: Mapping[str, OptionValue],
    usage: Usage | None,
    settings: Settings,
) -> tuple[Usage, str]:
    """Return what `open_backend` with these arguments would be allowed, and on what ground.

    A weight file that the options name is judged by what it is, whatever id it is to be opened
    under. Raises BackendUnknown, LicenceRefused or Offline; WeightsMissing or WeightsUnusable for
    such a file.
    """
    spec, chosen = chosen_row(backend_id, options, settings)
    return allow(_with_own_file(spec, chosen, PlainHost()), usage, settings)


def check_ready(
    backend_id: str,
    options: Mapping[str, OptionValue],
    usage: Usage | None,
    settings: Settings,
) -> None:
    """Raise what would keep a run from beginning: its licence, Offline, weights that are not there,
    a key that is not set. Nothing is fetched, loaded or sent."""
    _, chosen = chosen_row(backend_id, options, settings)
    fetches = bool(chosen.get("download")) and not settings.offline
    own = str(chosen.get("weights", "")).strip()
    try:
        look_into(backend_id, options, usage, settings).close()
    except WeightsMissing:
        if own or not fetches:
            raise
    check_key(backend_id, options, settings)


def check_key(backend_id: str, options: Mapping[str, OptionValue], settings: Settings) -> None:
    """Raise KeyMissing where the backend asks for a key and none is set."""
    spec, chosen = chosen_row(backend_id, options, settings)
    if spec.location == "hosted":
        from ..config.account_mark import uses_signed_in
        from ..config.keys import find_key

        if not uses_signed_in(chosen):
            find_key(spec, str(chosen.get("profile", "")))


def chosen_row(
    backend_id: str, options: Mapping[str, OptionValue], settings: Settings
) -> tuple[BackendSpec, Mapping[str, OptionValue]]:
    """Return the row in force, RMBG_BACKEND considered, and the options that are meant for it.

    Raises BackendUnknown.
    """
    asked = backends.find(backend_id)
    spec = _pinned(settings.backend) if settings.backend else asked
    return spec, options if spec.provider == asked.provider else {}


def _with_own_file(
    spec: BackendSpec, options: Mapping[str, OptionValue], host: Host
) -> BackendSpec:
    """Return the row as it stands for a weight file that the options name, else as it is."""
    path = options.get("weights")
    if spec.location == "hosted" or not isinstance(path, str) or not path.strip():
        return spec
    from ..backends.local.find import own_file, spec_of

    found = own_file(spec.model, host, path.strip())
    return spec_of(spec, found) if found else spec


def _unknown(spec: BackendSpec, settings: Settings) -> bool:
    licence = licence_of(spec.licence, spec.weights_sha256, settings.weights)
    return spec.weights_sha256 is not None and licence is LICENCES[NOT_ESTABLISHED]


def load(spec: BackendSpec, options: Mapping[str, OptionValue], host: Host) -> Backend:
    """Import and open the backend of this row. options: all of them, as `check_options` gives them.
    Raises what the backend itself refuses."""
    module_name, _, function_name = spec.target.partition(":")
    module = importlib.import_module(f"..backends.{module_name}", __package__)
    opener = cast("Callable[..., Backend]", getattr(module, function_name))
    return opener(spec, host, **options)


def _pinned(backend_id: str) -> BackendSpec:
    try:
        return backends.find(backend_id)
    except BackendUnknown as error:
        raise BackendUnknown(f"RMBG_BACKEND is set to a backend that is none. {error}") from error


def allow(spec: BackendSpec, usage: Usage | None, settings: Settings) -> tuple[Usage, str]:
    """Return the usage in force and the ground on which it is allowed.

    Runs before weights are looked for and before a socket is opened. Raises LicenceRefused or
    Offline.
    """
    in_force, ground = judge(spec.licence, spec.weights_sha256, usage, settings)
    if settings.offline and spec.location == "hosted":
        raise Offline(
            f"{spec.id} would send the picture to a provider, and RMBG_OFFLINE keeps this machine "
            "offline. Choose a local backend or the keyer, or set RMBG_OFFLINE=0."
        )
    return in_force, ground
