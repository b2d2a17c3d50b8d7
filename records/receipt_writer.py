"""Writes the receipts of one run. One that cannot be written costs no picture, only a warning."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from ..core.digest import pixel_digests, work_digests
from ..core.remarks import Remark
from ..core.report import JsonValue, Report
from ..core.types import Failure
from .contents import Circumstances, delivered, failed, licence_text
from .pause import Pause
from .receipts import Receipts


class ReceiptWriter:
    """One run's receipts. Any thread may call it."""

    def __init__(self, receipts: Receipts, run: Circumstances) -> None:
        self._receipts = receipts
        self._run = run
        self._pause = Pause()

    def delivered(self, report: Report, source: Tensor, image: Tensor, mask: Tensor) -> Report:
        """The report, with the id of its receipt, or with the reason why there is none.

        source: (H, W, 3 | 4) as it came in; image: (h, w, 3 | 4) and mask: (h, w) as delivered.
        """
        digests = work_digests(source, image, mask)
        content = delivered(self._run, report, digests, source.shape, image.shape)
        text = licence_text(self._run, report.facts.licence, report.facts.weights_sha256)
        receipt, trouble = self._written(content, text)
        return replace(report, receipt=receipt, warnings=(*report.warnings, *trouble))

    def failed(self, failure: Failure, source: Tensor | None) -> str | None:
        """The id of the receipt; None when it cannot be written. source: None when the picture
        could not be read."""
        spec = self._run.spec
        found = None
        if source is not None:
            found = source.shape, pixel_digests(source)
        content = failed(self._run, failure, found)
        text = licence_text(self._run, spec.licence, spec.weights_sha256)
        return self._written(content, text)[0]

    def _written(
        self, content: Mapping[str, JsonValue], text: str
    ) -> tuple[str | None, tuple[str, ...]]:
        try:
            with self._pause.attempt():
                receipt = self._receipts.add(content, text).id
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
