"""What can be pressed where a run is not ready: weights to fetch, a key to set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..backends.local.released import Released
from ..catalogue.licences import LICENCES
from ..core.specs import BackendSpec

#: What a licence allows; the page says it in the user's language (web/js/words.js). restricted: it
#: allows commercial use, and terms of the data that the model was trained on limit that.
Terms: TypeAlias = Literal["commercial", "restricted", "nonCommercial", "notEstablished"]


@dataclass(frozen=True)
class WeightsOffer:
    """Released weights that can be fetched."""

    model: str
    """The part of the backend's id after "local/"."""
    name: str
    """What its publisher calls it."""
    size: int
    """Bytes."""
    licence: str
    """The licence's name."""
    licence_page: str
    """Where it can be read."""
    terms: Terms
    """What it allows and forbids."""
    page: str
    """Where the file lies, and its terms are accepted."""
    gated: bool
    """Whether the Hub gives it only to accounts that have accepted its terms."""


@dataclass(frozen=True)
class KeyOffer:
    """A key that can be set."""

    provider: str
    """The part of the backend's id before the slash."""
    label: str
    """The provider's name."""
    page: str
    """Where keys are made."""


def weights_offer(row: Released) -> WeightsOffer:
    """Return what is to be known of a released file before it is fetched."""
    licence = LICENCES[row.licence]
    terms: Terms = "notEstablished" if licence.commercial == "unknown" else "nonCommercial"
    if licence.commercial == "yes":
        terms = "restricted" if licence.data_terms == "restricted" else "commercial"
    return WeightsOffer(
        row.model,
        row.name,
        row.size,
        licence.name,
        licence.licence_page,
        terms,
        row.page,
        row.gated,
    )


def key_offer(spec: BackendSpec) -> KeyOffer | None:
    """Return whose key a backend needs; None for one that needs none."""
    if spec.hosting is None:
        return None
    return KeyOffer(spec.provider, spec.label, spec.hosting.key_page)
