"""The names of new files, on the disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":

    def sync_names(folders: Sequence[Path]) -> None:
        """Windows keeps the names of files by itself."""
else:

    def sync_names(folders: Sequence[Path]) -> None:
        """Put what was made, moved or removed in these folders on the disk, where the file system
        can."""
        for folder in folders:
            with suppress(OSError):
                descriptor = os.open(folder, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
