"""The gate: which backend may be used for what, before anything is imported, looked for or sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast, get_args

from .backends import catalogue
from .core.errors import BackendUnknown, BadOption, Offline, WeightsMissing
from .core.licences import LICENCES, check_licence, licence_of
from .core.specs import BackendSpec, OptionValue
from .core.types import Backend, Claim, Frame, Host, Job, Outcome, Resumable, Usage
from .host import PlainHost
from .settings import Settings, read_settings


class OpenBackend:
    """A backend that the gate let through, the use it was opened for, and its options in force."""

    def __init__(
        self, backend: Backend, usage: Usage | None, options: Mapping[str, OptionValue]
    ) -> None:
        self._backend = backend
        self.usage = usage
        self.options = options

    @property
    def spec(self) -> BackendSpec:
        """The row of the catalogue; its licence is that of the weights in use."""
        return self._backend.spec

    def work(self, frame: Frame) -> str | None:
        """See `Backend.work`."""
        return self._backend.work(frame)

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        """See `Backend.run`."""
        return self._backend.run(frames, job)

    def resume(self, claims: Iterable[Claim], job: Job) -> Iterator[Outcome]:
        """See `Resumable.resume`; for hosted backends."""
        return cast("Resumable", self._backend).resume(claims, job)

    def close(self) -> None:
        """See `Backend.close`."""
        self._backend.close()


def open_backend(
    backend_id: str,
    *,
    usage: Usage | None = None,
    settings: Settings | None = None,
    options: Mapping[str, OptionValue] | None = None,
    host: Host | None = None,
) -> OpenBackend:
    """Open a backend by id after the gate has let it through.

    RMBG_BACKEND replaces the id; options meant for another provider are then left aside. host: the
    program we run in, a plain one by default. Raises BackendUnknown, LicenceRefused, Offline,
    BackendMissing, WeightsMissing, WeightsUnusable or BadOption.
    """
    current = settings or read_settings()
    asked = catalogue.find(backend_id)
    spec = _pinned(current.backend) if current.backend else asked
    allow(spec, usage, current)
    chosen = (options or {}) if spec.provider == asked.provider else {}
    held_back = current.offline and bool(chosen.get("download"))
    if held_back:
        chosen = {**chosen, "download": False}
    try:
        backend = catalogue.load(spec, chosen, host or PlainHost())
    except WeightsMissing as error:
        if not held_back:
            raise
        raise Offline(
            f"{error} RMBG_OFFLINE keeps this machine offline, so they were not downloaded."
        ) from error
    # Weights that are not the released ones have another licence than the row.
    allow(backend.spec, usage, current)
    return OpenBackend(backend, usage, catalogue.check_options(spec, chosen))


def _pinned(backend_id: str) -> BackendSpec:
    try:
        return catalogue.find(backend_id)
    except BackendUnknown as error:
        raise BackendUnknown(f"RMBG_BACKEND is set to a backend that is none. {error}") from error


def allow(spec: BackendSpec, usage: Usage | None, settings: Settings) -> tuple[Usage, str]:
    """The gate: the usage in force and the ground on which it is allowed.

    Runs before weights are looked for and before a socket is opened. Raises LicenceRefused or
    Offline.
    """
    in_force = settings.usage or usage or "non-commercial"
    if in_force not in get_args(Usage):
        raise BadOption(f"usage is {in_force!r}; it is commercial or non-commercial.")
    ground = check_licence(
        licence_of(spec.licence, spec.weights_sha256, settings.weights),
        in_force,
        grants=settings.grants,
        alternatives=[
            row.id
            for row in catalogue.BACKENDS.values()
            if LICENCES[row.licence].commercial in ("yes", "terms")
            and not (settings.offline and row.location == "hosted")
        ],
    )
    if settings.offline and spec.location == "hosted":
        raise Offline(
            f"{spec.id} would send the picture to a provider, and RMBG_OFFLINE keeps this machine "
            "offline. Choose a local backend or the keyer, or set RMBG_OFFLINE=0."
        )
    return in_force, ground
