"""Whether a host's video is an answer to the one that was sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...core.errors import BadPicture, UnusableResult
from ..frames import VideoInfo
from ..reading.frame_survey import Survey, survey
from ..reading.info import read_info

#: Megapixels; what the hosts take.
LARGEST = 256.0


class _Unwanted(Exception):
    """The run is over."""


class AnswerCheck:
    """Compares a file with what was sent: as many frames, as large, and with a mask in it."""

    def __init__(self, info: VideoInfo, frames: int, *, wants_sound: bool) -> None:
        """info, frames: of the video that was sent. wants_sound: it was to keep its sound."""
        self._info, self._frames, self._wants_sound = info, frames, wants_sound
        self.survey: Survey | None = None
        """Of the last file that passed."""
        self.warnings: tuple[str, ...] = ()
        """What is to be said of it all the same."""

    def __call__(self, path: Path, wanted: Callable[[], bool] = lambda: True) -> None:
        """Raise UnusableResult for a file that is no answer. wanted: asked between two frames."""

        def check() -> None:
            if not wanted():
                raise _Unwanted

        try:
            info = read_info(path, max_megapixels=LARGEST)
            self._check_shape(info)
            seen = survey(path, info, check)
        except BadPicture as error:
            why = str(error).replace(path.name, "it")
            raise UnusableResult(f"the provider's video cannot be read: {why}") from None
        except _Unwanted:
            return
        if seen.frames != self._frames:
            raise UnusableResult(
                f"the provider's video has {seen.frames} frames, and {self._frames} were sent."
            )
        if seen.opaque:
            raise UnusableResult("the provider's video is opaque in every frame: it has no mask.")
        self.survey, self.warnings = seen, (*seen.warnings, *self._silence(info))

    def _check_shape(self, info: VideoInfo) -> None:
        if (info.width, info.height) != (self._info.width, self._info.height):
            raise UnusableResult(
                f"the provider answered {info.width} x {info.height} pixels for a video of "
                f"{self._info.width} x {self._info.height}."
            )
        if not info.has_alpha:
            raise UnusableResult("the provider's video has no transparency, so it holds no mask.")

    def _silence(self, info: VideoInfo) -> tuple[str, ...]:
        lost = self._wants_sound and self._info.audio and not info.audio
        return (
            ("The provider's video has no sound, and the one that was sent has.",) if lost else ()
        )
