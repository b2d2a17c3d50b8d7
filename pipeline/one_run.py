"""One run of a backend: what it may do and cost, and what is kept of it."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import cast

import torch
from torch import Tensor

from ..catalogue.licences import licence_of
from ..config.settings import Settings, read_settings
from ..core.report import Remark
from ..core.types import Backend, Job, Outcome, Usage
from ..records.receipt_writer import ReceiptWriter
from ..records.run_budget import RunBudget
from ..records.store import Records
from .context import circumstances, open_user_records
from .estimate import Estimate, afford
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
        opened_for: Usage | None = getattr(backend, "usage", None)
        asked = usage or opened_for
        #: The use in force, and the ground on which it is allowed.
        self.allowed = allow(backend.spec, asked, self._settings)
        self.finishing = finishing
        self.job = job or Job()
        self._backend = backend
        self._kept = kept
        self._records = records or open_user_records(self._settings)
        self._budget = RunBudget(self._records.spending, self._settings.budget, max_cost)
        about = circumstances(backend, finishing.data(), asked, self._settings, self.allowed)
        self._receipts = ReceiptWriter(self._records.receipts, about)
        self._expected: Estimate | None = None
        self._stream: InputStream | None = None

    def afford(self, inputs: Iterable[Input]) -> None:
        """Raise OverBudget where the run would cost more than it may, as far as that is known."""
        if isinstance(inputs, Sequence):
            self._expected = afford(inputs, self._backend, self._records, self._budget)
        if self._expected is not None:
            _log.info("%s", self._expected)

    def outcomes(
        self, inputs: Iterable[Input], executor: Executor
    ) -> Iterator[tuple[Prepared | Input, Outcome]]:
        """Every picture with its outcome, as they complete; see `InputStream.outcomes`."""
        paid = self._records if self._backend.spec.price else None
        stream = InputStream(
            inputs, self._backend, self.job, paid, executor, self._budget, self._kept
        )
        self._stream, self.job = stream, stream.job
        return stream.outcomes()

    def receipted(self, result: Done | Failed, picture: Prepared | Input) -> Done | Failed:
        """The result with its receipt, and with what its report says of the whole run."""
        if isinstance(picture, Input) or isinstance(result, Failed):
            failed = cast("Failed", result)
            if isinstance(picture, Input) and not _was_there(failed.failure.error):
                return failed
            source = None if isinstance(picture, Input) else _source(picture)
            return replace(failed, receipt=self._receipts.failed(failed.failure, source))
        facts = result.report.facts
        # As the gate saw it: a file of the user's is named by the user's settings.
        licence = licence_of(facts.licence, facts.weights_sha256, self._settings.weights)
        expected = "" if self._expected is None else str(self._expected)
        report = replace(result.report, estimate=expected, licence_name=licence.name)
        report = self._receipts.delivered(report, _source(picture), result.image, result.mask)
        paid = self._stream.paid if self._stream else None
        said = (Remark(words, "records") for words in (paid.warnings if paid else ()))
        told = dict.fromkeys((*report.warnings, *said))
        return replace(result, report=replace(report, warnings=tuple(told)))

    def handed_over(self, work: str | None) -> None:
        """Note that a result has reached its place; see `InputStream.handed_over`."""
        if self._stream:
            self._stream.handed_over(work)

    def close(self) -> None:
        """Leave what is still at the provider to any other run."""
        if self._stream:
            self._stream.close()


def _source(picture: Prepared) -> Tensor:
    """The picture's own pixels (H, W, 3), or (H, W, 4) with its alpha."""
    pixels = picture.frame.pixels
    return pixels if picture.alpha is None else torch.cat([pixels, picture.alpha[..., None]], -1)


def _was_there(error: BaseException) -> bool:
    """Whether there was a file, by what its reading failed with."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _NOT_THERE:
            return False
        cause = cause.__cause__
    return True
