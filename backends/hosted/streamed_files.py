"""Files too large for memory, on their way to a host and back: read and written in pieces, beside
the event loop."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, ParamSpec, Protocol, TypeVar

from ...config.private_files import private
from .http.wire import Unreachable

P = ParamSpec("P")
T = TypeVar("T")

_PIECE = 1 << 20


class Beside(Protocol):
    """Runs what blocks beside the event loop; see `BlockingPool.run`."""

    def __call__(
        self, function: Callable[P, T], *args: P.args, **more: P.kwargs
    ) -> Awaitable[T]: ...


class FilePieces:
    """See wire.Pieces. A file that is not, to its last byte, the one that was looked at before is
    not sent to its end."""

    def __init__(self, path: Path, length: int, sha256: str, beside: Beside) -> None:
        self._path, self._length, self._sha256 = path, length, sha256
        self._beside = beside

    @property
    def length(self) -> int:
        """Return its size in bytes."""
        return self._length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        digest, left = hashlib.sha256(), self._length
        file = await self._beside(open, self._path, "rb")
        try:
            while left:
                piece: bytes = await self._beside(file.read, min(_PIECE, left))
                digest.update(piece)
                left -= len(piece)
                if not piece or (not left and digest.hexdigest() != self._sha256):
                    raise OSError("the file was changed while it was sent")
                yield piece
        finally:
            file.close()


class FileSink:
    """See wire.Sink: a private file, on the disk once it is closed."""

    def __init__(self, path: Path, beside: Beside) -> None:
        self._path, self._beside = path, beside
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """Return that of what was written, in hexadecimal."""
        return self._digest.hexdigest()

    async def begin(self) -> None:
        """See wire.Sink."""
        if self._file is None:
            self._file = await self._beside(_made, self._path)
        self._file.seek(0)
        self._file.truncate()
        self._digest, self.size = hashlib.sha256(), 0

    async def write(self, piece: bytes) -> None:
        """See wire.Sink."""
        assert self._file is not None
        await self._beside(self._file.write, piece)
        self._digest.update(piece)
        self.size += len(piece)

    async def close(self) -> None:
        """Return when the disk has it. Raises Unreachable, as a download that it did not take."""
        file, self._file = self._file, None
        try:
            if file is not None:
                await self._beside(_finish, file)
        except OSError as error:
            raise Unreachable(f"it cannot be written here ({error.strerror or error})") from None

    def discard(self) -> None:
        """Remove what was written."""
        if self._file is not None:
            self._file.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def _made(path: Path) -> BinaryIO:
    return open(path, "w+b", opener=private)


def _finish(file: BinaryIO) -> None:
    with file:
        file.flush()
        os.fsync(file.fileno())
