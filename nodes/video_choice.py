"""Whether a background and a video format go together."""

from __future__ import annotations

from ..core.errors import BadOption
from ..video.writing.video_formats import video_format
from .widgets import background_of


def check_choice(format: str, background: str, color: str) -> str | None:
    """Return the colour that the video is put on; None for a transparent one and for a matte.

    Raises BadOption for what does not go together, and for what no menu has.
    """
    row = video_format(format)
    if background_of(background, color) is None:
        if row.alpha == "none" and not row.matte:
            raise BadOption(
                f"{row.label} has no transparency: set background to a colour, or format to "
                "webm-vp9 or prores-4444."
            )
        return None
    if row.matte:
        raise BadOption(f"{row.label} shows the mask alone: set background to transparent.")
    return color if background == "color" else background
