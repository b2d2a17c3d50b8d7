"""One frame on its way: from decoded samples to what the backend takes, and from its mask to what
is encoded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...core.cutout import cutout
from ...core.digest import pixel_digests
from ...core.types import Facts
from ..frame_memory import FrameMemory
from ..frames import CutFrame, VideoFrame


@dataclass(frozen=True)
class Arrived:
    """A decoded frame, ready for the backend."""

    pts: int
    duration: int
    digest: str
    """sha256 of its samples as they were decoded."""


@dataclass(frozen=True)
class MaskedFrame:
    """A frame with its mask."""

    number: int
    arrived: Arrived
    pixels: Tensor
    """(H, W, 3) float32 in 0..1."""
    mask: Tensor
    """(H, W) float32, 1 = subject."""
    facts: Facts
    screen: Tensor | None = None
    """See `Matte.screen`."""


@dataclass(frozen=True)
class FinishedFrame:
    """A frame as it is to be encoded, and what the receipt says of it."""

    cut: CutFrame
    matte: CutFrame | None
    """What the matte's video gets; None where there is none."""
    decoded: str
    written: str
    """sha256 of the picture, rounded to 8 bits."""
    empty: bool
    """Nothing of a subject is in it."""
    facts: Facts

    def without_pictures(self) -> FinishedFrame:
        """Return what is to be remembered of it once it is written."""
        bare = replace(self.cut, image=self.cut.image.new_empty(0))
        return replace(self, cut=bare, matte=None)


def arrived(frame: VideoFrame, memory: FrameMemory) -> tuple[Arrived, Tensor]:
    """Return a frame's facts, and its pixels (H, W, C) as float32 in 0..1."""
    samples = memory.picture(*frame.pixels.shape, dtype=frame.pixels.dtype)
    samples.copy_(frame.pixels)
    levels = samples.numpy()
    height, width, channels = levels.shape
    digest = hashlib.sha256(f"{height}x{width}x{channels}:{levels.itemsize * 8}:".encode())
    digest.update(levels.data)
    pixels = memory.picture(height, width, channels)
    pixels.copy_(samples).div_(255 if samples.dtype == torch.uint8 else 65535)
    return Arrived(frame.pts, frame.duration, digest.hexdigest()), pixels


@dataclass(frozen=True)
class Colouring:
    """What becomes of a frame and its mask."""

    decontaminate: float
    extended: bool
    """Whether the colours under alpha 0 are seen, as by a lossy encoder."""
    only_alpha: bool
    """Only the mask is written."""
    matte: bool
    """The mask is written as a video of its own, too."""
    memory: FrameMemory
    """Of the pictures that are made."""

    @torch.no_grad()
    def finished(self, given: tuple[MaskedFrame, Tensor | None]) -> FinishedFrame:
        """Return what is encoded. given: the frame, and its backdrop (H, W, 3) if there is one."""
        frame, backdrop = given
        alpha_alone = frame.mask[..., None].expand(-1, -1, 4)
        image = alpha_alone if self.only_alpha else self._image(frame, backdrop)
        return FinishedFrame(
            _cut_frame(frame, image),
            _cut_frame(frame, alpha_alone) if self.matte else None,
            frame.arrived.digest,
            pixel_digests(frame.mask[..., None] if self.only_alpha else image, deep=False).levels8,
            not bool(frame.mask.amax() > 0),
            frame.facts,
        )

    def _image(self, frame: MaskedFrame, backdrop: Tensor | None) -> Tensor:
        if backdrop is None:
            return self._cutout(frame, extended=self.extended)
        own = frame.pixels  # under alpha 0 they do not show
        if self.decontaminate:
            own = self._cutout(frame, extended=False)[..., :3]
        result = self.memory.picture(*own.shape)
        return torch.lerp(backdrop.to(own), own, frame.mask[..., None], out=result)

    def _cutout(self, frame: MaskedFrame, *, extended: bool) -> Tensor:
        return cutout(
            frame.pixels[None],
            frame.mask[None],
            decontaminate=self.decontaminate,
            extended=extended,
            screen=None if frame.screen is None else frame.screen[None],
            out=self.memory.picture(*frame.mask.shape, 4),
        )[0]


def _cut_frame(frame: MaskedFrame, image: Tensor) -> CutFrame:
    return CutFrame(frame.number, frame.arrived.pts, frame.arrived.duration, image)
