"""From a decoded frame to R'G'B': swscale's exact way, into a tensor of ours.

swscale writes planes, because that is the way of its vector code: three times as fast as the same
accuracy in interleaved samples. Its shortest way, taken without these flags, is a whole level too
dark and repeats chroma samples.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from torch import Tensor

from ...pictures.orientation import upright
from ..frame_memory import FrameMemory
from ..frames import VideoInfo
from .turning import orientation_of_info
from .ycbcr import MATRICES, range_code

if TYPE_CHECKING:
    from av.video.frame import VideoFrame as Decoded
    from av.video.plane import VideoPlane

#: SWS_BILINEAR | SWS_FULL_CHR_H_INT | SWS_ACCURATE_RND: chroma between its samples, rounded right.
EXACT = 2 | 0x2000 | 0x40000

#: Where the planes of "gbrp" and "gbrap" go.
_CHANNELS = (1, 2, 0, 3)

#: Formats that hold the planes wanted, with fewer bits in their 16; by way of swscale they would
#: lose some: it turns them into Y'CbCr and back.
_PLANAR_RGB = re.compile(r"gbra?p(9le|10le|12le|14le|16le)?")

#: White of a video of limited range in swscale's 16 bits: 255 << 8.
_LIMITED_BITS = 8


class RgbPlanes:
    """Turns frames of one video into pixels; keeps swscale's tables between them."""

    def __init__(self, info: VideoInfo) -> None:
        self._info = info
        self._deep = info.bits > 8
        self._orientation = orientation_of_info(info)
        self._reformatter = VideoReformatter()
        self._memory = FrameMemory()
        self._format = f"gbr{'a' * info.has_alpha}p{'16le' * self._deep}"

    def pixels(self, frame: Decoded) -> Tensor:
        """Return (H, W, 3 or 4) R'G'B'(A) of full range, upright; a view of planes (C, H, W).

        uint8, or uint16 where the video has more than 8 bits a sample.
        """
        ready = _PLANAR_RGB.fullmatch(frame.format.name) is not None
        planes = (frame if ready else self._convert(frame)).planes
        turned = [self._plane(plane, frame) for plane in planes]
        dtype = torch.uint16 if self._deep else torch.uint8
        pixels = self._memory.picture(len(turned), *turned[0].shape, dtype=dtype)
        out = pixels.numpy()
        for plane, channel in zip(turned, _CHANNELS, strict=False):
            out[channel] = plane
        self._stretch(out, frame, ready)
        return pixels.permute(1, 2, 0)

    def _convert(self, frame: Decoded) -> Decoded:
        colours = self._info.colours
        matrix = MATRICES.get(colours.matrix, MATRICES["bt709"]).swscale
        return self._reformatter.reformat(
            frame,
            format=self._format,
            src_colorspace=matrix,
            dst_colorspace=_another(matrix),
            src_color_range=range_code(colours.full_range),
            dst_color_range=range_code(True),
            interpolation=EXACT,
        )

    def _plane(self, plane: VideoPlane, frame: Decoded) -> NDArray[np.uint8 | np.uint16]:
        dtype = np.dtype("<u2" if self._deep else "u1")
        rows = np.frombuffer(memoryview(plane), dtype).reshape(
            -1, plane.line_size // dtype.itemsize
        )
        seen = rows[: frame.height, : frame.width]
        return seen if self._orientation == 1 else upright(seen, self._orientation)

    def _stretch(self, out: NDArray[np.uint8 | np.uint16], frame: Decoded, ready: bool) -> None:
        """Bring white to the highest number, in place. ready: the samples are as decoded."""
        bits, full = self._info.bits, self._info.colours.full_range
        grey = frame.format.name.startswith("gray")
        if ready and self._deep:
            out <<= 16 - bits
        if self._deep and (ready or not frame.format.is_rgb):
            # swscale shifts samples up, too, and leaves the low bits empty.
            _fill_low_bits(out[:3], bits if full or grey or ready else _LIMITED_BITS)
            _fill_low_bits(out[3:], bits)
        if grey and not full:  # swscale takes grey for full range, whatever it is told
            out[:3] = _limited_levels(bits, out.dtype)[out[:3]]


def _another(matrix: int) -> int:
    """Return a matrix for the result, which has none; before 17, PyAV ignores the one of the
    source where it is the same."""
    return MATRICES["bt601" if matrix == MATRICES["bt709"].swscale else "bt709"].swscale


def _fill_low_bits(samples: NDArray[np.uint8 | np.uint16], bits: int) -> None:
    """Scale in place from (2**bits - 1) << (16 - bits) to 65535."""
    if samples.size and bits < 16:
        np.minimum(samples, ((1 << bits) - 1) << (16 - bits), out=samples)
        samples += samples >> bits


def _limited_levels(
    bits: int, dtype: np.dtype[np.uint8 | np.uint16]
) -> NDArray[np.uint8 | np.uint16]:
    """Return for each level of full range what the sample means if black is 16 and white 235."""
    most = np.iinfo(dtype).max
    step = 2 ** (bits - 8)
    samples = np.arange(most + 1) / most * (2**bits - 1)
    meant = (samples - 16 * step) / (219 * step)
    levels: NDArray[np.uint8 | np.uint16] = (meant.clip(0, 1) * most).round().astype(dtype)
    return levels
