"""One run of a backend: what it may do and cost, and what is kept of it."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import cast

import torch
from torch import Tensor

from ..catalogue.licences import licence_of
from ..config.settings import Settings, read_settings
from ..core.errors import BadOption
from ..core.report import JsonValue, Remark
from ..core.specs import BackendSpec
from ..core.types import Backend, Facts, Job, Outcome, Usage
from ..records.paid_job import PaidJob
from ..records.receipt_writer import ReceiptWriter
from ..records.run_budget import RunBudget
from ..records.store import Records
from .context import open_user_records
from .estimate import afford
from .executor import Executor
from .finishing import Done, Finishing
from .gate import allow
from .inputs import Failed, Input, InputStream, Prepared
from .matte_memory import MatteMemory

# Of a path that leads to no file: nothing of the name, a file in the place of a folder, links in a
# circle, and what can be no name.
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)

_log = logging.getLogger("rmbg_nodes.hosted")


class Run:
    """A backend that the gate let through, with the money and the records of one run.

    Raises LicenceRefused or Offline. Arguments: see `remove`.
    """

    def __init__(
        self,
        backend: Backend,
        finishing: Finishing,
        usage: Usage | None = None,
        settings: Settings | None = None,
        job: Job | None = None,
        records: Records | None = None,
        max_cost: Decimal | None = None,
        kept: MatteMemory | None = None,
    ) -> None:
        self._settings = settings or read_settings()
        if backend.spec.media == "video":
            raise BadOption(
                f"{backend.spec.id} takes whole videos, not pictures: use remove_background_video."
            )
        opened_for: Usage | None = getattr(backend, "usage", None)
        asked = usage or opened_for
        #: The use in force, and the ground on which it is allowed.
        self.allowed = allow(backend.spec, asked, self._settings)
        self.finishing = finishing
        self.job = job or Job()
        self._backend = backend
        self._kept = kept
        self._records = records or open_user_records(self._settings)
        self._receipts = ReceiptWriter(
            self._records.receipts, backend, finishing.data(), asked, self._settings, self.allowed
        )
        self._paid: PaidJob | None = None
        if backend.spec.price:
            self._budget = RunBudget(self._records.spending, self._settings.budget, max_cost)
            self._paid = PaidJob(self.job, self._records.journal, self._records.cache, self._budget)
            self.job = self._paid
        self._estimate = ""

    @property
    def spec(self) -> BackendSpec:
        """Return the row of the backend."""
        return self._backend.spec

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return what there is to say of the records of paid work."""
        return (
            tuple(Remark(words, "records") for words in self._paid.warnings) if self._paid else ()
        )

    def afford(self, inputs: Iterable[Input]) -> None:
        """Raise OverBudget where the run would cost more than it may, as far as that is known."""
        if self._paid and isinstance(inputs, Sequence):
            self._estimate = str(afford(inputs, self._backend, self._records, self._budget))
            _log.info("%s", self._estimate)

    def afford_count(self, count: int) -> None:
        """Raise OverBudget where so many pictures, none of them looked at, would cost too much."""
        if self._paid and self.spec.price:
            self._budget.afford(self.spec.price, count)

    def outcomes(
        self,
        inputs: Iterable[Input],
        executor: Executor,
        room: Callable[[], bool] = lambda: True,
    ) -> Iterator[tuple[Prepared | Input, Outcome]]:
        """Return every picture with its outcome, as they complete; see `InputStream.outcomes`."""
        stream = InputStream(
            inputs, self._backend, self.job, executor, self._paid, self._kept, room
        )
        return stream.outcomes()

    def receipted(self, result: Done | Failed, picture: Prepared | Input) -> Done | Failed:
        """Return the result with its receipt, and with what its report says of the whole run."""
        if isinstance(picture, Input) or isinstance(result, Failed):
            failed = cast("Failed", result)
            if isinstance(picture, Input) and not _was_there(failed.failure.error):
                return failed
            source = None if isinstance(picture, Input) else _source(picture)
            return replace(failed, receipt=self._receipts.failed(failed.failure, source))
        facts = result.report.facts
        # As the gate saw it: a file of the user's is named by the user's settings.
        licence = licence_of(facts.licence, facts.weights_sha256, self._settings.weights)
        report = replace(result.report, estimate=self._estimate, licence_name=licence.name)
        report = self._receipts.delivered(report, _source(picture), result.image, result.mask)
        told = dict.fromkeys((*report.warnings, *self.remarks))
        return replace(result, report=replace(report, warnings=tuple(told)))

    def receipt_of_video(
        self,
        facts: Facts,
        source: Mapping[str, JsonValue],
        result: Mapping[str, JsonValue],
        settings: Mapping[str, JsonValue],
        warnings: Sequence[str],
    ) -> tuple[str | None, tuple[str, ...]]:
        """Write the one receipt of a whole video; see `ReceiptWriter.video`."""
        return self._receipts.video(facts, source, result, settings, warnings)

    def handed_over(self, work: str | None) -> None:
        """Note that a result has reached its place; see `PaidJob.handed_over`."""
        if self._paid and work is not None:
            self._paid.handed_over(work)

    def close(self) -> None:
        """Leave what is still at the provider to any other run."""
        if self._paid:
            self._paid.close()


def _source(picture: Prepared) -> Tensor:
    """Return the picture's own pixels (H, W, 3), or (H, W, 4) with its alpha."""
    pixels = picture.frame.pixels
    return pixels if picture.alpha is None else torch.cat([pixels, picture.alpha[..., None]], -1)


def _was_there(error: BaseException) -> bool:
    """Tell whether there was a file, by what its reading failed with."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _NOT_THERE:
            return False
        cause = cause.__cause__
    return True
