"""What a receipt says about one picture.

Never the picture, a key, or a path or name of a file of the user: settings that are free text are
only said to be set, and a picture's name is taken out of every sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from ..catalogue.licences import Licence, OwnWeights, licence_of
from ..core.digest import PixelDigests, WorkDigests
from ..core.report import JsonValue, Report
from ..core.specs import BackendSpec, OptionValue
from ..core.types import Failure, Usage
from .chain import canonical, sha256

_VERSION = 1


@dataclass(frozen=True)
class Circumstances:
    """What is the same for every picture of one run.

    ground: why the use is allowed. accepted_by: the settings that decided it, by name. own_weights:
    sha256 -> the licence that the user has established for a file of their own. finishing: what
    happens to a mask after the backend. options: the backend's own; None when not known.
    """

    software: str
    spec: BackendSpec
    usage: Usage
    ground: str
    accepted_by: tuple[str, ...]
    own_weights: Mapping[str, OwnWeights]
    finishing: Mapping[str, JsonValue]
    options: Mapping[str, OptionValue] | None


def delivered(
    run: Circumstances,
    report: Report,
    digests: WorkDigests,
    source: Sequence[int],
    image: Sequence[int],
) -> dict[str, JsonValue]:
    """Of a picture that was cut out. report: without what concerns only this program's records.
    source, image: (height, width, channels) of what came in, and of what went out; the mask has the
    image's size."""
    facts = report.facts
    return {
        **_common(run, licence_of(facts.licence, facts.weights_sha256, run.own_weights)),
        "outcome": "delivered",
        "model": facts.model,
        "architecture": facts.architecture or None,
        "weights_sha256": facts.weights_sha256,
        "request_id": facts.request_id,
        "device": facts.device,
        "seconds": round(facts.seconds, 3),
        "cost": str(facts.cost),
        "currency": facts.currency,
        "left_machine": facts.left_machine,
        "input": _picture(source, digests.source),
        "image": _picture(image, digests.image),
        "mask": _picture((*image[:2], 1), digests.mask),
        "warnings": [_without_name(warning, report.name) for warning in report.warnings],
        "flags": {**report.flags},
    }


def failed(
    run: Circumstances,
    failure: Failure,
    source: tuple[Sequence[int], PixelDigests] | None,
) -> dict[str, JsonValue]:
    """Of a picture that was not. source: its (height, width, channels) and digests; None when it
    could not be read. Whether a hosted one left the machine is only known when it has an id or may
    have been paid for."""
    spec, error, hosted = run.spec, failure.error, run.spec.location == "hosted"
    sent = bool(failure.request_id) or error.paid != "no"
    return {
        **_common(run, licence_of(spec.licence, spec.weights_sha256, run.own_weights)),
        "outcome": "failed",
        "weights_sha256": spec.weights_sha256,
        "error": type(error).__name__,
        "paid": error.paid,
        "request_id": failure.request_id,
        "cost": str(failure.cost),
        "currency": spec.price.currency if spec.price else "USD",
        "left_machine": (sent or None) if hosted and source else False,
        "input": _picture(*source) if source else None,
    }


def licence_text(run: Circumstances, licence: str, weights_sha256: str | None) -> str:
    """The row of licences that was in force for these weights, as text."""
    return _text(licence_of(licence, weights_sha256, run.own_weights))


def _text(row: Licence) -> str:
    return canonical(asdict(row))


def _common(run: Circumstances, row: Licence) -> dict[str, JsonValue]:
    return {
        "version": _VERSION,
        "software": run.software,
        "backend": run.spec.id,
        "provider": run.spec.provider if run.spec.location == "hosted" else None,
        "usage": run.usage,
        "licence": {
            "id": row.id,
            "name": row.name,
            "text_sha256": sha256(_text(row)),
            "text_from": run.software,
            "ground": run.ground,
            "accepted_by": [*run.accepted_by],
        },
        "settings": {**run.finishing, "options": _options(run)},
    }


def _options(run: Circumstances) -> JsonValue:
    if run.options is None:
        return None
    options: dict[str, JsonValue] = {}
    for option in run.spec.options:
        value = run.options.get(option.name, option.default)
        free = isinstance(value, str) and not option.choices
        options[option.name] = bool(value) if free else value
    return options


def _picture(shape: Sequence[int], digests: PixelDigests) -> dict[str, JsonValue]:
    height, width, channels = shape
    return {
        "width": width,
        "height": height,
        "channels": channels,
        "sha256": digests.levels8,
        "sha256_16": digests.levels16,
    }


def _without_name(sentence: str, name: str) -> str:
    return sentence.replace(name, "the picture") if name else sentence
