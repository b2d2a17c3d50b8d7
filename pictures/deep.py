"""16 bits per channel, through PyAV.

Pillow opens a 16-bit RGBA PNG as 8 bits, and so does it with RGB; FFmpeg's decoder keeps them.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import av
import av.error
import av.video.codeccontext
import numpy as np
from numpy.typing import NDArray

from .png import with_profile
from .still import DAMAGED, Samples, Still, Unusable

_PNG_FORMATS = {1: "gray16be", 3: "rgb48be", 4: "rgba64be"}
_SAMPLES = {"gray16": 1, "ya16": 2, "rgb48": 3, "rgba64": 4}  # of a pixel, by FFmpeg's names


def decode_deep_png(still: Still) -> Samples:
    """Decode a 16-bit PNG. Raises Unusable."""
    try:
        frames = decode_strictly("png", still.data)
    except (av.error.FFmpegError, ValueError) as error:
        raise Unusable(DAMAGED) from error
    if not frames:
        raise Unusable(DAMAGED)
    frame = frames[0]
    name = frame.format.name
    samples = _SAMPLES.get(name[:-2])
    if samples is None or (frame.width, frame.height) != still.size:
        raise Unusable("it holds 16-bit colours of an unusual kind; save it as a 16-bit RGB PNG")
    plane = frame.planes[0]  # its lines end in padding
    order = ">u2" if name.endswith("be") else "<u2"
    lines = np.frombuffer(bytes(plane), order).reshape(frame.height, plane.line_size // 2)
    pixels = lines[:, : frame.width * samples].reshape(frame.height, frame.width, samples)
    levels = pixels.astype(np.uint16)
    if samples in (1, 3):
        return Samples(levels, None)
    return Samples(levels[..., :-1], levels[..., -1])


def encode_deep_png(
    levels: NDArray[np.uint16], icc_profile: bytes | None, effort: int | None = None
) -> bytes:
    """Encode (H, W, C) levels, C 1, 3 or 4, as a 16-bit PNG with a profile and no more metadata.

    effort: 1 (fast) to 9 (small); None for FFmpeg's own.
    """
    height, width, channels = levels.shape
    name = _PNG_FORMATS[channels]
    frame = av.VideoFrame(width, height, name)
    plane = frame.planes[0]
    padded = np.zeros((height, plane.line_size // 2), ">u2")
    padded[:, : width * channels] = levels.reshape(height, width * channels)
    plane.update(padded.tobytes())
    context = _context("png", "w")
    context.width, context.height, context.pix_fmt = width, height, name
    context.time_base = frame.time_base = Fraction(1)
    context.options = {"pred": "mixed"}
    if effort is not None:
        context.options["compression_level"] = str(effort)
    packets = [*context.encode(frame), *context.encode(None)]
    return with_profile(b"".join(bytes(packet) for packet in packets), icc_profile)


def decode_strictly(codec: str, data: bytes) -> list[av.VideoFrame]:
    """Decode with FFmpeg; an error, where it would show half a picture."""
    context = _context(codec, "r")
    context.options = {"err_detect": "explode"}
    return [*context.decode(av.Packet(data)), *context.decode(None)]


def _context(codec: str, mode: Literal["r", "w"]) -> av.video.codeccontext.VideoCodecContext:
    context = av.CodecContext.create(codec, mode)
    assert isinstance(context, av.video.codeccontext.VideoCodecContext)
    context.thread_count = 1  # one picture gains nothing from more
    return context
