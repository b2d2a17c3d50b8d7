"""The last step of one picture: its files written, and a few words about it."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from ..core.errors import BadOption, PictureError
from ..feed import Failed
from ..pictures.write import write_atomic
from ..pipeline import Done
from .items import Item
from .landed import Landed, not_landed
from .produce import Origin, Product

# With these, whatever is written next fails as well.
_NO_PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def land(
    item: Item,
    result: Done | Failed,
    origin: Origin | None,
    dest: Path,
    produce: Callable[[Done, Origin], Product],
) -> Landed:
    """Write the files of one picture, each as a whole or not at all.

    origin: None when the picture was not read. Raises BadOption when nothing more can be written
    under `dest`: the disk is full, or must not be written to.
    """
    if isinstance(result, Failed):
        return not_landed(item.key, result.failure.error, result.receipt)
    report = result.report
    assert origin is not None  # what was not read has failed
    try:
        product = produce(result, origin)
        files = {item.target: product.image}
        if item.mask is not None and product.mask is not None:
            files[item.mask] = product.mask
        for target, data in files.items():
            write_atomic(dest / target, data)
    except PictureError as error:
        return not_landed(item.key, error, report.receipt)
    except BadOption as error:
        if getattr(error.__cause__, "errno", None) in _NO_PLACE:
            raise
        return not_landed(item.key, error, report.receipt)
    return Landed(
        item.key,
        written={target: len(data) for target, data in files.items()},
        seconds=report.facts.seconds,
        cost=report.facts.cost,
        receipt=report.receipt,
        warnings=report.warnings,
    )
