"""Which file that bears the name of a result may be replaced by a new one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from ..core.digest import pixel_digests
from ..core.errors import PictureError
from ..pictures.formats import by_suffix
from ..pictures.read import read_picture
from ..pictures.results import BY_NAME, IN_FILE
from ..pictures.sources import Source
from ..pipeline.context import open_user_records


def not_to_replace(results: Sequence[Source], *, silent: bool) -> list[Path]:
    """Those of the results that were found which may be a user's own pictures: nothing but their
    name or folder speaks for this package.

    silent: the new results will not say in the file what they are, so that of earlier ones the
    receipts have to; of a JPEG, whose pixels are not those of its receipt, the name is enough.
    """
    return [
        one.path
        for one in results
        if one.path is not None
        and one.passed_over != IN_FILE
        and not (silent and one.passed_over == BY_NAME and _is_known(one.path))
    ]


def _is_known(path: Path) -> bool:
    row = by_suffix(path)
    if row is not None and row.id == "jpeg":
        return True
    try:
        picture = read_picture(path, name=str(path))
        found = pixel_digests(picture.image, deep=picture.depth == 16)
        receipts = open_user_records().receipts
        return any(receipts.matching(one) for one in (found.levels8, found.levels16) if one)
    except (PictureError, sqlite3.Error):
        return False
