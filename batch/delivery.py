"""The last step of one picture: its files written, and a few words about it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..core.errors import BadOption, PictureError
from ..core.remarks import kinds_of
from ..pictures.origin import Origin
from ..pictures.places import Places
from ..pictures.write import is_full, write_atomic
from ..pipeline.finishing import Done
from ..pipeline.inputs import Failed
from ..records.delivered import DeliveredFiles
from .produce import Product
from .result import Landed, not_landed
from .sources.items import Item
from .state.progress import State


class NoPlace(PictureError):
    """One picture's BadOption: not the picture's fault, and the next run looks again."""


def check_place(item: Item, dest: Path, places: Places) -> None:
    """Raise NoPlace where the files of a picture cannot be written: before it costs anything."""
    paths = [dest / target for target in (item.target, item.mask) if target is not None]
    if trouble := item.trouble or next(filter(None, map(places.trouble, paths)), ""):
        raise NoPlace(trouble)


def land(
    item: Item,
    result: Done | Failed,
    origin: Origin | None,
    dest: Path,
    produce: Callable[[Done, Origin], Product],
    files: DeliveredFiles,
) -> Landed:
    """Write the files of one picture, each as a whole or not at all.

    origin: None when the picture was not read. files: where their hashes are kept.
    """
    if isinstance(result, Failed):
        error, cost = result.failure.error, result.failure.cost
        # The same as what is found out while writing.
        told = BadOption(str(error)) if isinstance(error, NoPlace) else error
        return not_landed(item.key, told, result.receipt, cost)
    report = result.report
    assert origin is not None  # what was not read has failed
    try:
        product = produce(result, origin)
        written = {item.target: product.image}
        if item.mask is not None and product.mask is not None:
            written[item.mask] = product.mask
        # Of what is paid for nobody keeps another copy from here on.
        paid = report.facts.left_machine
        write = partial(write_atomic, lasting=True) if paid else write_atomic
        for target, data in written.items():
            write(dest / target, data)
    except (PictureError, BadOption) as error:
        return not_landed(item.key, error, report.receipt, report.facts.cost, full=is_full(error))
    trouble = files.note(report.receipt, product.parts)
    return Landed(
        item.key,
        written={target: len(data) for target, data in written.items()},
        seconds=report.facts.seconds,
        cost=report.facts.cost,
        receipt=report.receipt,
        warnings=(*report.warnings, *trouble),
        kinds=kinds_of((*report.warnings, *trouble)),
    )


def noted(state: State, landed: Landed) -> Landed:
    """The end of one picture in the state; where that has no room, nothing more can be done in this
    DEST, and what was paid is told all the same."""
    try:
        state.note(landed)
    except BadOption as error:
        return not_landed(landed.key, error, landed.receipt, landed.cost, full=True)
    return landed
