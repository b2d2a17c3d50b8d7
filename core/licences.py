"""Licences as rows, and the gate that reads them.

The rows feed the gate, `rmbg licences`, the README's table, tooltips and reports, so each fact
stands once. Names are the publishers' own. `commercial` is what the row itself grants: "terms"
means that a paid account with the provider grants it, "unknown" counts as no.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .errors import LicenceRefused
from .types import Usage

BRIA_LICENCE_VARIABLE = "RMBG_BRIA_LICENCE"


@dataclass(frozen=True)
class Licence:
    """What a user may do with one model or service, and where that is written."""

    id: str
    covers: str
    name: str
    holder: str
    commercial: Literal["yes", "no", "terms", "unknown"]
    attribution: str
    training_data: str
    model_page: str = ""
    licence_page: str = ""
    purchase_page: str = ""
    contact_page: str = ""
    grant_variable: str = ""
    note: str = ""

    @property
    def commercial_words(self) -> str:
        """The answer for a table's cell."""
        return {
            "yes": "yes",
            "no": "no, unless you hold an agreement with the publisher",
            "terms": "yes, under your account's terms",
            "unknown": "treated as no",
        }[self.commercial]


@dataclass(frozen=True)
class OwnWeights:
    """What a user says of one weight file of theirs, and answers for. sha256: of that very file."""

    sha256: str
    name: str
    licence: str
    source: str
    commercial: bool


_BRIA_DATA_20 = "over 15,000 high-resolution, manually labelled, fully licensed images (model card)"
_BRIA_DATA_14 = "over 12,000 high-resolution, manually labelled, fully licensed images (model card)"
_BRIA_CONTACT = "https://bria.ai/contact-us"

_ROWS = (
    Licence(
        id="bria-rmbg-2.0",
        covers="RMBG-2.0 weights on your own machine",
        name="bria-rmbg-2.0 / CC BY-NC 4.0",
        holder="BRIA AI",
        commercial="no",
        attribution="Background removal: BRIA RMBG-2.0 by BRIA AI, CC BY-NC 4.0.",
        training_data=_BRIA_DATA_20,
        model_page="https://huggingface.co/briaai/RMBG-2.0",
        licence_page="https://creativecommons.org/licenses/by-nc/4.0/deed.en",
        purchase_page="https://go.bria.ai/3D5EGp0",
        contact_page=_BRIA_CONTACT,
        grant_variable=BRIA_LICENCE_VARIABLE,
    ),
    Licence(
        id="bria-rmbg-1.4",
        covers="RMBG-1.4 weights on your own machine",
        name="bria-rmbg-1.4",
        holder="BRIA AI",
        commercial="no",
        attribution="Background removal: BRIA RMBG-1.4 by BRIA AI, bria-rmbg-1.4 licence.",
        training_data=_BRIA_DATA_14,
        model_page="https://huggingface.co/briaai/RMBG-1.4",
        licence_page="https://bria.ai/bria-huggingface-model-license-agreement/",
        purchase_page="https://go.bria.ai/3D5EGp0",
        contact_page=_BRIA_CONTACT,
        grant_variable=BRIA_LICENCE_VARIABLE,
    ),
    Licence(
        id="birefnet-mit",
        covers="BiRefNet weights on your own machine",
        name="MIT",
        holder="Zheng Peng and co-authors",
        commercial="yes",
        attribution="Background removal: BiRefNet by Zheng Peng et al., MIT licence.",
        training_data="public data sets; their own terms apply and are not gathered here",
        model_page="https://huggingface.co/ZhengPeng7/BiRefNet",
        licence_page="https://github.com/ZhengPeng7/BiRefNet/blob/main/LICENSE",
    ),
    Licence(
        id="bria-api",
        covers="Bria's own API",
        name="Bria terms of service",
        holder="BRIA AI",
        commercial="terms",
        attribution="Background removal: BRIA RMBG, Bria API.",
        training_data=_BRIA_DATA_20,
        model_page="https://platform.bria.ai/console/api/image-editing",
        licence_page="https://bria.ai/terms-and-conditions/",
        contact_page=_BRIA_CONTACT,
        note="advertised for commercial use; the full terms were not read by this project",
    ),
    Licence(
        id="fal-api",
        covers="RMBG on fal.ai",
        name="fal.ai terms of service, partner model",
        holder="fal.ai, with BRIA AI",
        commercial="terms",
        attribution="Background removal: BRIA RMBG on fal.ai.",
        training_data=f"RMBG 2.0: {_BRIA_DATA_20}; RMBG 3.0: not established",
        model_page="https://fal.ai/models/fal-ai/bria/background/remove",
        licence_page="https://fal.ai/terms",
        note="advertised for commercial use; the full terms were not read by this project",
    ),
    Licence(
        id="replicate-api",
        covers="RMBG on Replicate",
        name="Replicate terms of service, official model",
        holder="Replicate, with BRIA AI",
        commercial="terms",
        attribution="Background removal: BRIA RMBG on Replicate.",
        training_data=_BRIA_DATA_20,
        model_page="https://replicate.com/bria/remove-background",
        licence_page="https://replicate.com/terms",
        note="advertised for commercial use; the full terms were not read by this project",
    ),
    Licence(
        id="keyer",
        covers="the keyer (no weights)",
        name="Apache-2.0 (this package)",
        holder="the rmbg-nodes authors",
        commercial="yes",
        attribution="Background removal: rmbg-nodes keyer, Apache-2.0.",
        training_data="none: the keyer is not trained",
    ),
    Licence(
        id="not-established",
        covers="weights of unknown licence (fine-tunes, unknown files, core's loader)",
        name="not established",
        holder="unknown",
        commercial="unknown",
        attribution="Background removal with weights whose licence is not established.",
        training_data="unknown",
    ),
)

LICENCES: Mapping[str, Licence] = {row.id: row for row in _ROWS}

COMMERCIAL_MEANS = (
    "Commercial use is any of: a paid service, an internal tool inside a for-profit company, "
    "agency work billed to clients. BRIA's terms decide: "
    "https://bria.ai/bria-huggingface-model-license-agreement/"
)


def licence_of(
    licence_id: str, weights_sha256: str | None, own: Mapping[str, OwnWeights]
) -> Licence:
    """The row that holds for these weights: the user's, where our own says "not established".

    own: sha256 -> what the user's settings say of a file. Weights whose licence is known are never
    opened up by a settings row.
    """
    licence = LICENCES[licence_id]
    said = own.get(weights_sha256 or "")
    if said is None or licence.commercial != "unknown":
        return licence
    return replace(
        licence,
        covers=f"the weights {said.name}",
        name=f"{said.licence}, by your settings for {said.name} ({said.source})",
        commercial="yes" if said.commercial else "no",
        attribution=f"Background removal: {said.name}, {said.licence} ({said.source}).",
    )


def check_licence(
    licence: Licence, usage: Usage, *, grants: Mapping[str, str], alternatives: Sequence[str]
) -> str:
    """Return on what ground this use is allowed, or raise LicenceRefused with the ways out.

    grants: licence id -> the reference of an agreement that the user holds. alternatives: the ids
    of backends that do allow commercial use, for the message.
    """
    if usage == "non-commercial":
        return f"non-commercial use under {licence.name}"
    if licence.commercial == "yes":
        return f"commercial use under {licence.name}"
    if licence.commercial == "terms":
        return f"commercial use under {licence.name}, by your account"
    if licence.id in grants:
        return f"commercial use under your agreement {grants[licence.id]} with {licence.holder}"
    raise LicenceRefused(_refusal(licence, alternatives))


def _refusal(licence: Licence, alternatives: Sequence[str]) -> str:
    if licence.commercial == "no":
        reason = (
            f"The licence of {licence.covers} ({licence.name}) is for non-commercial use only, "
            f"and usage is commercial."
        )
    else:
        reason = (
            "The licence of these weights is not established, so it counts as non-commercial, "
            "and usage is commercial. A converted file counts as unknown: if you hold an agreement "
            "for released weights, use the released file itself."
        )
    ways = [f"choose a backend that allows it: {', '.join(alternatives)}"]
    if licence.commercial == "unknown":
        ways.append(
            "if you know the licence of your own file, name it in a [[weights]] row of "
            "settings.toml and open the file with the setting weights"
        )
    if licence.grant_variable:
        ways.append(
            f"buy a licence ({licence.purchase_page}) and set {licence.grant_variable} "
            "to its number"
        )
    return f"{reason} Ways out: {'; or '.join(ways)}."
