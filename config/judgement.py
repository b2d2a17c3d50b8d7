"""Which use is in force, and whether the licence of a backend or a weight file allows it."""

from __future__ import annotations

from typing import get_args

from ..catalogue.backends import BACKENDS
from ..catalogue.licences import LICENCES, licence_of
from ..catalogue.permission import check_licence
from ..core.errors import BadOption
from ..core.types import Usage
from .settings import Settings


def judge(
    licence_id: str, weights_sha256: str | None, usage: Usage | None, settings: Settings
) -> tuple[Usage, str]:
    """Return the usage in force and the ground on which it is allowed.

    licence_id: of the row, or of the released file. weights_sha256: of the file, None where there
    is none. usage: what was asked for. Raises LicenceRefused, BadOption for another usage.
    """
    in_force = settings.usage or usage or "non-commercial"
    if in_force not in get_args(Usage):
        raise BadOption(f"usage is {in_force!r}; it is commercial or non-commercial.")
    ground = check_licence(
        licence_of(licence_id, weights_sha256, settings.weights),
        in_force,
        grants=settings.grants,
        alternatives=[
            (row.id, LICENCES[row.licence])
            for row in BACKENDS.values()
            if not (settings.offline and row.location == "hosted")
        ],
        data_terms=settings.data_terms,
        weights_sha256=weights_sha256,
    )
    return in_force, ground
