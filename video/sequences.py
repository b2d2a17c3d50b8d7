"""A folder with one picture file a frame."""

from __future__ import annotations

from pathlib import Path

from ..pictures.formats import by_id
from ..pictures.write import encode, write_atomic
from .frames import CutFrame, VideoInfo
from .picture_checks import check_picture
from .video_formats import VideoFormat


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
        self._quality = None if format.quality is None else format.quality.value(quality)
        self._written: list[Path] = []
        row = by_id(format.codec)
        assert row is not None
        self._picture_format = row.id

    def write(self, frame: CutFrame) -> None:
        check_picture(frame, self._format, self._info)
        data = encode(
            frame.image,
            self._picture_format,
            depth=16 if self._format.bits(self._info.bits) == 16 else 8,
            quality=self._quality,
        )
        path = picture_path(self._folder, frame.number, self._format.suffix)
        write_atomic(path, data)
        self._written.append(path)

    def close(self) -> None:
        """Do nothing: each file is finished when its frame is written."""

    def discard(self) -> None:
        for path in self._written:
            path.unlink(missing_ok=True)
        self._written.clear()
