"""The last step of one picture: its files written, and a few words about it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..core.errors import BadOption, PictureError
from ..feed import Failed
from ..pictures.write import is_full, write_atomic
from ..pipeline import Done
from .items import Item
from .landed import Landed, not_landed
from .produce import Origin, Product
from .state import State


def land(
    item: Item,
    result: Done | Failed,
    origin: Origin | None,
    dest: Path,
    produce: Callable[[Done, Origin], Product],
) -> Landed:
    """Write the files of one picture, each as a whole or not at all.

    origin: None when the picture was not read.
    """
    if isinstance(result, Failed):
        failure = result.failure
        return not_landed(item.key, failure.error, result.receipt, failure.cost)
    report = result.report
    assert origin is not None  # what was not read has failed
    try:
        product = produce(result, origin)
        files = {item.target: product.image}
        if item.mask is not None and product.mask is not None:
            files[item.mask] = product.mask
        # Of what is paid for nobody keeps another copy from here on.
        paid = report.facts.left_machine
        write = partial(write_atomic, lasting=True) if paid else write_atomic
        for target, data in files.items():
            write(dest / target, data)
    except (PictureError, BadOption) as error:
        return not_landed(item.key, error, report.receipt, report.facts.cost, full=is_full(error))
    return Landed(
        item.key,
        written={target: len(data) for target, data in files.items()},
        seconds=report.facts.seconds,
        cost=report.facts.cost,
        receipt=report.receipt,
        warnings=report.warnings,
    )


def noted(state: State, landed: Landed) -> Landed:
    """The end of one picture in the state; where that has no room, nothing more can be done in this
    DEST, and what was paid is told all the same."""
    try:
        state.note(landed)
    except BadOption as error:
        return not_landed(landed.key, error, landed.receipt, landed.cost, full=True)
    return landed
