"""The licence gate of weights that transformers loads: the judgement is the local backend's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..backends.local.find import identify
from ..backends.local.released import RELEASED
from ..catalogue.licences import NOT_ESTABLISHED
from ..config.host import PlainHost
from ..config.judgement import judge
from ..config.settings import read_settings


def check_files(files: Sequence[str]) -> None:
    """Judge each weight file by its sha256, before it is read. Raises LicenceRefused, and
    WeightsUnusable for a file that cannot be read."""
    settings, host = read_settings(), PlainHost()
    for file in files:
        found = identify(Path(file), host, rows=RELEASED)
        judge(found.licence, found.sha256, None, settings)


def check_unknown() -> None:
    """Judge weights of which no file is known, as weights of unknown licence. Raises
    LicenceRefused."""
    judge(NOT_ESTABLISHED, None, None, read_settings())
