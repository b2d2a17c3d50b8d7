"""A folder with one picture file a frame."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

from torch import Tensor

from ...pictures.formats import Depth, FormatId
from ...pictures.write import encode, write_atomic
from ..frames import CutFrame, VideoInfo
from .picture_checks import check_picture, prepared
from .video_formats import VideoFormat

#: Of PNG's compression: a third of the time of what single pictures get, and 2 % larger.
_EFFORT = 2

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
        self._put(prepared(frame, self._format, self._info), path)
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
    effort = _EFFORT if id == "png" else None

    def put(image: Tensor, path: Path) -> None:
        write_atomic(path, encode(image, id, depth=depth, quality=value, effort=effort))

    return put


_PICTURE_WRITERS: dict[str, Callable[[VideoFormat, VideoInfo, int | None], _PictureWriter]] = {
    "png": partial(_encoded_writer, "png"),
    "webp": partial(_encoded_writer, "webp"),
    "exr": _exr_writer,
}
