"""What Load RMBG's widgets say: a backend's id and its options; and whether it could run now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..catalogue.backends import BACKENDS
from ..core.specs import OptionValue
from ..core.types import Usage
from .comfy_host import ComfyHost

if TYPE_CHECKING:
    from ..pipeline.readiness import Readiness


def chosen_backend(
    values: Mapping[str, OptionValue | None],
) -> tuple[str, dict[str, OptionValue]]:
    """Read the id and the options from what a DynamicCombo hands over: its own value under
    "backend", those below it under their names."""
    # ComfyUI hands over None for what a saved prompt does not have.
    options = {name: value for name, value in values.items() if value is not None}
    provider = str(options.pop("backend"))
    model = str(options.pop("model", ""))
    backend_id = f"{provider}/{model}" if model else provider
    return backend_id, _without_unused(backend_id, options)


def _without_unused(backend_id: str, options: dict[str, OptionValue]) -> dict[str, OptionValue]:
    """Leave out what only other models of the provider take, where it is as it came: the models of
    a provider share their widgets. An id that no longer is one goes on as it is."""
    row = BACKENDS.get(backend_id)
    if row is None:
        return options
    mine = {option.name for option in row.options}
    beside = (other for other in BACKENDS.values() if other.provider == row.provider)
    theirs = {option.name: option.default for other in beside for option in other.options}
    return {
        name: value
        for name, value in options.items()
        if name in mine or name not in theirs or value != theirs[name]
    }


def ready_here(values: Mapping[str, OptionValue | None], usage: Usage | None) -> Readiness:
    """Say what a run with these widgets would do now, in this ComfyUI. Blocks while a weight file
    that was never read is read."""
    # Not before it is asked for: the start of ComfyUI does not wait.
    from ..pipeline.readiness import readiness

    backend_id, options = chosen_backend(values)
    host = ComfyHost()
    return readiness(backend_id, options, usage, host, device=host.device())
