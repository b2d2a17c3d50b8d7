"""Videos that come as an open stream: put into a file, because decoding, seeking and copying sound
read it more than once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def as_path(source: str | Path | BinaryIO) -> Iterator[Path]:
    """Give the path of a video; that of a temporary copy of a stream, from its beginning.

    The copy has no time of its own, so that a run on the same bytes goes on where it was stopped.
    """
    if isinstance(source, (str, Path)):
        yield Path(source)
        return
    with tempfile.TemporaryDirectory(prefix="rmbg-video-") as folder:
        path = Path(folder) / "source"
        if source.seekable():
            source.seek(0)
        with open(path, "xb") as file:
            shutil.copyfileobj(source, file)
        os.utime(path, (0, 0))
        yield path
