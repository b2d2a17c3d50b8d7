"""The receipts of one run: what each says about its picture, and how it is written.

Never the picture, a key, or a path or name of a file of the user: settings that are free text are
only said to be set, and a picture's name is taken out of every sentence. A receipt that cannot be
written costs no picture, only a warning.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from torch import Tensor

from ..catalogue.licences import Licence, OwnWeights, licence_of
from ..core.digest import PixelDigests, pixel_digests, work_digests
from ..core.report import JsonValue, Remark, Report
from ..core.specs import BackendSpec, OptionValue
from ..core.types import Failure, Usage
from .chain import canonical, sha256
from .receipts import Receipts
from .trouble import Pause

_VERSION = 1


@dataclass(frozen=True)
class Circumstances:
    """What is the same for every picture of one run."""

    software: str
    spec: BackendSpec
    usage: Usage
    ground: str
    """Why the use is allowed."""
    accepted_by: tuple[str, ...]
    """The settings that decided it, by name."""
    own_weights: Mapping[str, OwnWeights]
    """sha256 -> the licence that the user has established for a file of their own."""
    finishing: Mapping[str, JsonValue]
    """What happens to a mask after the backend."""
    options: Mapping[str, OptionValue] | None
    """The backend's own; None when not known."""


class ReceiptWriter:
    """One run's receipts. Any thread may call it."""

    def __init__(self, receipts: Receipts, run: Circumstances) -> None:
        self._receipts = receipts
        self._run = run
        self._pause = Pause()

    def delivered(self, report: Report, source: Tensor, image: Tensor, mask: Tensor) -> Report:
        """Return the report with the id of its receipt, or with the reason why there is none.

        report: without what concerns only this program's records.
        source: (H, W, 3 | 4) as it came in; image: (h, w, 3 | 4) and mask: (h, w) as delivered.
        """
        facts, digests = report.facts, work_digests(source, image, mask)
        content: dict[str, JsonValue] = {
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
            "input": _picture(source.shape, digests.source),
            "image": _picture(image.shape, digests.image),
            "mask": _picture((*image.shape[:2], 1), digests.mask),
            "warnings": [_without_name(warning, report.name) for warning in report.warnings],
            "flags": {**report.flags},
        }
        receipt, trouble = self._written(facts.licence, facts.weights_sha256, content)
        return replace(report, receipt=receipt, warnings=(*report.warnings, *trouble))

    def failed(self, failure: Failure, source: Tensor | None) -> str | None:
        """Return the id of the receipt; None when it cannot be written.

        source: (H, W, 3 | 4); None when the picture could not be read. Whether a hosted one left
        the machine is only known when it has an id or may have been paid for.
        """
        spec, error = self._run.spec, failure.error
        sent = bool(failure.request_id) or error.paid != "no"
        hosted = spec.location == "hosted" and source is not None
        content: dict[str, JsonValue] = {
            "outcome": "failed",
            "weights_sha256": spec.weights_sha256,
            "error": type(error).__name__,
            "paid": error.paid,
            "request_id": failure.request_id,
            "cost": str(failure.cost),
            "currency": spec.price.currency if spec.price else "USD",
            "left_machine": (sent or None) if hosted else False,
            "input": None if source is None else _picture(source.shape, pixel_digests(source)),
        }
        return self._written(spec.licence, spec.weights_sha256, content)[0]

    def _written(
        self, licence: str, weights_sha256: str | None, content: Mapping[str, JsonValue]
    ) -> tuple[str | None, tuple[str, ...]]:
        """The id of the receipt, and warnings."""
        row = licence_of(licence, weights_sha256, self._run.own_weights)
        text = canonical(asdict(row))
        try:
            with self._pause.attempt():
                receipt = self._receipts.add({**_common(self._run, row, text), **content}, text).id
            said = (Remark(words, "records") for words in self._receipts.warnings)
            return receipt, tuple(said)
        except (sqlite3.Error, OSError, OverflowError, ValueError) as error:
            if self._receipts.lasting:
                why = f"no receipt was kept ({error}); look at the disk of the data folder"
                return None, (Remark(why, "no-receipt"),)
        why = (
            "no receipt was kept, because the data folder cannot be written; set RMBG_DATA to one "
            "that can"
        )
        return None, (Remark(why, "no-receipt"),)


def _common(run: Circumstances, row: Licence, licence_text: str) -> dict[str, JsonValue]:
    return {
        "version": _VERSION,
        "software": run.software,
        "backend": run.spec.id,
        "provider": run.spec.provider if run.spec.location == "hosted" else None,
        "usage": run.usage,
        "licence": {
            "id": row.id,
            "name": row.name,
            "text_sha256": sha256(licence_text),
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
