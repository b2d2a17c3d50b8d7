"""A folder with one picture file a frame."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

from torch import Tensor

from ..pictures.formats import Depth, FormatId
from ..pictures.write import encode, write_atomic
from .frames import CutFrame, VideoInfo
from .picture_checks import check_picture
from .video_formats import VideoFormat

_PictureWriter: TypeAlias = Callable[[Tensor, Path], None]


def picture_path(folder: Path, number: int, suffix: str) -> Path:
    """Return the file of a frame, by its number in the source."""
    return folder / f"frame_{number:06d}{suffix}"


class SequenceWriter:
    """Files of pictures, each whole before it has its name; a `VideoWriter`."""

    def __init__(
        self, format: VideoFormat, folder: Path, info: VideoInfo, quality: int | None
    ) -> None:
        self._format = format
        self._folder = folder
        self._info = info
        self._written: list[Path] = []
        self._put = _PICTURE_WRITERS[format.codec](format, info, quality)

    def write(self, frame: CutFrame) -> None:
        check_picture(frame, self._format, self._info)
        path = picture_path(self._folder, frame.number, self._format.suffix)
        self._put(frame.image, path)
        self._written.append(path)

    def close(self) -> None:
        """Do nothing: each file is finished when its frame is written."""

    def discard(self) -> None:
        for path in self._written:
            path.unlink(missing_ok=True)
        self._written.clear()


def _exr_writer(format: VideoFormat, info: VideoInfo, quality: int | None) -> _PictureWriter:
    from .exr import ExrFiles

    return ExrFiles(info).write


def _encoded_writer(
    id: FormatId, format: VideoFormat, info: VideoInfo, quality: int | None
) -> _PictureWriter:
    depth: Depth = 16 if format.bits(info.bits) == 16 else 8
    value = None if format.quality is None else format.quality.value(quality)

    def put(image: Tensor, path: Path) -> None:
        write_atomic(path, encode(image, id, depth=depth, quality=value))

    return put


_PICTURE_WRITERS: dict[str, Callable[[VideoFormat, VideoInfo, int | None], _PictureWriter]] = {
    "png": partial(_encoded_writer, "png"),
    "webp": partial(_encoded_writer, "webp"),
    "exr": _exr_writer,
}
