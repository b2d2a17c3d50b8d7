"""From a decoded frame to R'G'B': swscale's exact way, into a tensor of ours.

swscale writes planes, because that is the way of its vector code: three times as fast as the same
accuracy in interleaved samples. Its shortest way, taken without these flags, is a whole level too
dark and repeats chroma samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from torch import Tensor

from ..pictures.orientation import upright
from .frames import VideoInfo
from .turning import orientation_of_info
from .ycbcr import MATRICES, range_code

if TYPE_CHECKING:
    from av.video.frame import VideoFrame as Decoded
    from av.video.plane import VideoPlane

#: SWS_BILINEAR | SWS_FULL_CHR_H_INT | SWS_ACCURATE_RND: chroma between its samples, rounded right.
EXACT = 2 | 0x2000 | 0x40000

#: Where the planes of "gbrp" and "gbrap" go.
_CHANNELS = (1, 2, 0, 3)

#: White of a video of limited range in swscale's 16 bits: 255 << 8.
_LIMITED_BITS = 8


class RgbPlanes:
    """Turns frames of one video into pixels; keeps swscale's tables between them."""

    def __init__(self, info: VideoInfo) -> None:
        self._info = info
        self._deep = info.bits > 8
        self._orientation = orientation_of_info(info)
        self._reformatter = VideoReformatter()
        self._format = f"gbr{'a' * info.has_alpha}p{'16le' * self._deep}"

    def pixels(self, frame: Decoded) -> Tensor:
        """Return (H, W, 3 or 4) R'G'B'(A) of full range, upright; a view of planes (C, H, W).

        uint8, or uint16 where the video has more than 8 bits a sample.
        """
        planes = self._convert(frame).planes
        turned = [self._plane(plane, frame) for plane in planes]
        out = np.empty((len(turned), *turned[0].shape), turned[0].dtype)
        for plane, channel in zip(turned, _CHANNELS, strict=False):
            out[channel] = plane
        if self._deep:
            self._stretch(out, frame)
        return torch.from_numpy(out.transpose(1, 2, 0))

    def _convert(self, frame: Decoded) -> Decoded:
        colours = self._info.colours
        matrix = MATRICES.get(colours.matrix, MATRICES["bt709"]).swscale
        return self._reformatter.reformat(
            frame,
            format=self._format,
            src_colorspace=matrix,
            dst_colorspace=matrix,
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

    def _stretch(self, out: NDArray[np.uint16], frame: Decoded) -> None:
        """Bring white to 65535: swscale shifts samples up and leaves the low bits empty."""
        if frame.format.is_rgb:
            return
        bits = self._info.bits
        _fill_low_bits(out[:3], bits if self._info.colours.full_range else _LIMITED_BITS)
        _fill_low_bits(out[3:], bits)


def _fill_low_bits(samples: NDArray[np.uint16], bits: int) -> None:
    """Scale in place from (2**bits - 1) << (16 - bits) to 65535."""
    if samples.size and bits < 16:
        np.minimum(samples, ((1 << bits) - 1) << (16 - bits), out=samples)
        samples += samples >> bits
