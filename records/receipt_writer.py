"""The receipts of one run: what each says about its picture, and how it is written.

Never the picture, a key, or a path or name of a file of the user: settings that are free text are
only said to be set, and a picture's name is taken out of every sentence. A receipt that cannot be
written costs no picture, only a warning.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from torch import Tensor

from ..catalogue.licences import LICENCES, licence_of
from ..config.settings import Settings
from ..core.digest import PixelDigests, pixel_digests, work_digests
from ..core.money import cost_text
from ..core.report import JsonValue, Remark, Report
from ..core.specs import BackendSpec, OptionValue
from ..core.types import Backend, Facts, Failure, Usage
from ..version import __version__
from .chain import canonical, sha256
from .receipts import Receipts
from .trouble import Pause

_VERSION = 1
_SOFTWARE = f"rmbg-nodes {__version__}"


class ReceiptWriter:
    """One run's receipts. Any thread may call it."""

    def __init__(
        self,
        receipts: Receipts,
        backend: Backend,
        finishing: Mapping[str, JsonValue],
        asked: Usage | None,
        settings: Settings,
        allowed: tuple[Usage, str],
    ) -> None:
        """finishing: what happens to a matte after the backend. asked: the use that the caller
        stated, if any. allowed: the gate's answer, the use and the ground for it."""
        self._receipts = receipts
        self._spec = backend.spec
        self._own_weights = settings.weights
        self._pause = Pause()
        spec, (usage, self._ground) = backend.spec, allowed
        self._accepted_by = _accepted_by(spec, usage, asked, settings)
        self._same: dict[str, JsonValue] = {
            "version": _VERSION,
            "software": _SOFTWARE,
            "backend": spec.id,
            "provider": spec.provider if spec.location == "hosted" else None,
            "usage": usage,
            "settings": {**finishing, "options": _options(backend)},
        }

    def delivered(self, report: Report, source: Tensor, image: Tensor, mask: Tensor) -> Report:
        """Return the report with the id of its receipt, or with the reason why there is none.

        report: without what concerns only this program's records.
        source: (H, W, 3 | 4) as it came in; image: (h, w, 3 | 4) and mask: (h, w) as delivered.
        """
        facts, digests = report.facts, work_digests(source, image, mask)
        content: dict[str, JsonValue] = {
            **_delivered_by(facts),
            "input": _picture(source.shape, digests.source),
            "image": _picture(image.shape, digests.image),
            "mask": _picture((*image.shape[:2], 1), digests.mask),
            "warnings": [_without_name(warning, report.name) for warning in report.warnings],
            "flags": {**report.flags},
        }
        receipt, trouble = self._written(facts.licence, facts.weights_sha256, content)
        return replace(report, receipt=receipt, warnings=(*report.warnings, *trouble))

    def video(
        self,
        facts: Facts,
        source: Mapping[str, JsonValue],
        result: Mapping[str, JsonValue],
        settings: Mapping[str, JsonValue],
        warnings: Sequence[str],
    ) -> tuple[str | None, tuple[str, ...]]:
        """Write the receipt of a whole video: its id, or None, and warnings about that.

        facts: of all frames together. source, result: size, frames and digests of what came in and
        what went out. settings: what a video has beyond those of a picture.
        """
        options = self._same["settings"]
        content: dict[str, JsonValue] = {
            **_delivered_by(facts),
            "input": {**source},
            "image": {**result},
            "mask": None,
            "warnings": [*warnings],
            "flags": {},
            "settings": {**(options if isinstance(options, dict) else {}), **settings},
        }
        return self._written(facts.licence, facts.weights_sha256, content)

    def failed(self, failure: Failure, source: Tensor | None) -> str | None:
        """Return the id of the receipt; None when it cannot be written.

        source: (H, W, 3 | 4); None when the picture could not be read. Whether a hosted one left
        the machine is only known when it has an id or may have been paid for.
        """
        seen = None if source is None else _picture(source.shape, pixel_digests(source))
        return self._failed(failure, seen)

    def failed_video(self, failure: Failure, source: Mapping[str, JsonValue]) -> str | None:
        """Return the id of the receipt of a whole video that was not delivered; None when it cannot
        be written. source: size, frames and digest of what came in."""
        return self._failed(failure, {**source})

    def _failed(self, failure: Failure, source: JsonValue) -> str | None:
        spec, error = self._spec, failure.error
        sent = bool(failure.request_id) or error.paid != "no"
        hosted = spec.location == "hosted" and source is not None
        content: dict[str, JsonValue] = {
            "outcome": "failed",
            "weights_sha256": spec.weights_sha256,
            "error": type(error).__name__,
            "paid": error.paid,
            "request_id": failure.request_id,
            "cost": cost_text(failure.cost),
            "currency": spec.price.currency if spec.price else "USD",
            "left_machine": (sent or None) if hosted else False,
            "input": source,
        }
        return self._written(spec.licence, spec.weights_sha256, content)[0]

    def _written(
        self, licence: str, weights_sha256: str | None, content: Mapping[str, JsonValue]
    ) -> tuple[str | None, tuple[str, ...]]:
        """Return the id of the receipt, and warnings."""
        row = licence_of(licence, weights_sha256, self._own_weights)
        text = canonical(asdict(row))
        terms: dict[str, JsonValue] = {
            "id": row.id,
            "name": row.name,
            "text_sha256": sha256(text),
            "text_from": _SOFTWARE,
            "ground": self._ground,
            "accepted_by": [*self._accepted_by],
        }
        try:
            with self._pause.attempt():
                receipt = self._receipts.add({**self._same, "licence": terms, **content}, text).id
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


def _accepted_by(
    spec: BackendSpec, usage: Usage, asked: Usage | None, settings: Settings
) -> tuple[str, ...]:
    """Return the settings that decided the use and that it may be, in the order of the gate."""
    licence = LICENCES[spec.licence]
    in_force = licence_of(spec.licence, spec.weights_sha256, settings.weights)
    named = "RMBG_USAGE" if settings.usage else "the usage given" if asked else "the default usage"
    decided = {
        named: True,
        licence.grant_variable: usage == "commercial" and licence.id in settings.grants,
        "[[weights]] in settings.toml": (
            licence.commercial == "unknown" and (spec.weights_sha256 or "") in settings.weights
        ),
        settings.data_terms: usage == "commercial" and in_force.data_terms == "restricted",
    }
    return tuple(name for name, holds in decided.items() if name and holds)


def _options(backend: Backend) -> JsonValue:
    """Return the backend's own options; None where they are not known."""
    given: Mapping[str, OptionValue] | None = getattr(backend, "options", None)
    if given is None:
        return None
    options: dict[str, JsonValue] = {}
    for option in backend.spec.options:
        value = given.get(option.name, option.default)
        # Names of keys and files are the user's own affair; words for the model are what was done.
        free = isinstance(value, str) and not (option.choices or option.instructs)
        options[option.name] = bool(value) if free else value
    return options


def _delivered_by(facts: Facts) -> dict[str, JsonValue]:
    return {
        "outcome": "delivered",
        "model": facts.model,
        "architecture": facts.architecture or None,
        "weights_sha256": facts.weights_sha256,
        "request_id": facts.request_id,
        "device": facts.device,
        "seconds": round(facts.seconds, 3),
        "cost": cost_text(facts.cost),
        "currency": facts.currency,
        "left_machine": facts.left_machine,
    }


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
