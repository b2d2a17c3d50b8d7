"""Whether a licence allows a use, on what ground, and what a refusal offers instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ..core.errors import LicenceRefused
from ..core.types import Usage
from .licences import DATA_TERMS_SWITCH, DATA_TERMS_VARIABLE, NOT_ESTABLISHED, Licence

#: A backend's id and its licence.
Licensed: TypeAlias = "tuple[str, Licence]"


def check_licence(
    licence: Licence,
    usage: Usage,
    *,
    grants: Mapping[str, str],
    alternatives: Sequence[Licensed],
    data_terms: str = "",
    weights_sha256: str | None = None,
) -> str:
    """Return on what ground this use is allowed, or raise LicenceRefused with the ways out.

    grants: licence id -> the reference of an agreement that the user holds. alternatives: what else
    there is, for the message. data_terms: by which setting or switch the user has accepted terms of
    training data that limit commercial use; empty where they have not. weights_sha256: of the file,
    for the message.
    """
    if usage == "non-commercial":
        return under("non-commercial use", licence.name, licence)
    ground = _ground(licence, grants)
    if ground is None:
        reason, ways = _not_licensed(licence, weights_sha256)
    elif licence.data_terms == "restricted" and not data_terms:
        reason, ways = _not_acknowledged(licence)
    else:
        known = f", terms of its training data accepted by {data_terms}"
        return ground + (known if licence.data_terms == "restricted" else "")
    others = [
        f"{id} (asks for {DATA_TERMS_VARIABLE} too)" if row.data_terms == "restricted" else id
        for id, row in alternatives
        if row.id != licence.id and row.commercial in ("yes", "terms")
    ]
    ways.insert(0, f"choose a backend that allows it: {', '.join(others)}")
    raise LicenceRefused(f"{reason} Ways out: {'; or '.join(ways)}.")


def under(use: str, name: str, licence: Licence) -> str:
    """Say under which licence a use is; a licence that is not established is not one to stand
    under.

    name: what the licence is called here: the row's own, or the user's for weights of theirs.
    """
    if licence.commercial == "unknown":
        return f"{use}; the licence is {name}"
    return f"{use} under {name}"


def _ground(licence: Licence, grants: Mapping[str, str]) -> str | None:
    """Say why the licence itself allows commercial use; None where it does not."""
    if licence.commercial == "yes":
        return f"commercial use under {licence.name}"
    if licence.commercial == "terms":
        return f"commercial use under {licence.name}, by your account"
    if licence.id in grants:
        return f"commercial use under your agreement {grants[licence.id]} with {licence.holder}"
    return None


def _not_licensed(licence: Licence, weights_sha256: str | None) -> tuple[str, list[str]]:
    own = licence.id == NOT_ESTABLISHED
    nameable = own or licence.commercial == "unknown"  # a row of the settings holds for these
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
    if own and licence.commercial == "no":
        return reason, [
            "if its licence allows it after all, say commercial = true in its [[weights]] row of "
            "settings.toml"
        ]
    row = f'[[weights]] row of settings.toml (sha256 = "{weights_sha256 or "..."}")'
    ways = []
    if nameable:
        ways.append(
            f"if you know the licence of your own file, name it in a {row} and open the file with "
            "the setting weights"
        )
    if licence.grant_variable:
        ways.append(
            f"buy a licence ({licence.purchase_page}) and set {licence.grant_variable} "
            "to its number"
        )
        ways.append(
            "open a file of your own, whose licence allows it, with the setting weights and a "
            "[[weights]] row of settings.toml"
        )
    return reason, ways


def _not_acknowledged(licence: Licence) -> tuple[str, list[str]]:
    reason = (
        f"The licence of {licence.covers} ({licence.name}) allows commercial use, but terms of the "
        f"data they were trained on limit it ({licence.data_source}), and usage is commercial."
    )
    return reason, [
        f"if you know these terms and answer for your use, set {DATA_TERMS_VARIABLE}=1 (in "
        f"settings.toml accept_data_terms = true; for one command {DATA_TERMS_SWITCH}), which the "
        "receipts keep"
    ]
