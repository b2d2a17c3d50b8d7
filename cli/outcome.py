"""What `rmbg remove` says of one picture, all of it on stderr: stdout is for pictures and JSON."""

from __future__ import annotations

import sys
from contextlib import suppress

from ..core.errors import RmbgError
from ..core.remarks import NO_SUBJECT, kinds_of
from ..pipeline.finishing import Done
from ..pipeline.inputs import Failed
from .plan import Plan
from .shared import fail


def is_empty(result: Done | Failed) -> bool:
    """Whether there is a result, and nothing in it."""
    return isinstance(result, Done) and NO_SUBJECT in kinds_of(result.report.warnings)


def say_outcome(plan: Plan, result: Done | Failed, error: RmbgError | None) -> None:
    """Each warning and note of the report once, and which files there are, or why none."""
    if isinstance(result, Done):
        for said in result.report.remarks:
            fail(plan.source.name, said)
    if error is not None:
        fail(plan.source.name, str(error))
    elif plan.output is not None and isinstance(result, Done):
        height, width = result.mask.shape
        size = f"{width} x {height}"
        with suppress(OSError):  # another program may have taken it away already
            size += f", {plan.output.stat().st_size:,} bytes"
        mask = f", mask {plan.mask}" if plan.mask else ""
        print(f"{plan.source.name} -> {plan.output} ({size}){mask}", file=sys.stderr)


def say_empty(count: int) -> None:
    """At the end of a run, of results that are written all the same."""
    what = "1 picture has" if count == 1 else f"{count} pictures have"
    print(
        f"rmbg: {what} an empty result. Look there, or try another backend; --allow-empty counts "
        "that as a success.",
        file=sys.stderr,
    )
