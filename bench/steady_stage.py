"""A subject before a background, both moving: what a camera sees of them at any time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from .steady_kinds import FRAMES, HEIGHT, SHUTTER_STEPS, WIDTH, Kind

#: The camera's place at every frame, (T + 1, 2).
Places = NDArray[np.float64]


@dataclass(frozen=True)
class Stage:
    """One subject before one background, and the course of both."""

    kind: Kind
    subject: Tensor
    """(1, 4, h, w) premultiplied colours and alpha, clear at its edge."""
    background: Tensor
    """(1, 3, h, w)"""
    place: tuple[float, float]
    heading: float
    phase: float

    @classmethod
    def choose(
        cls,
        kind: Kind,
        foregrounds: Sequence[Path],
        backgrounds: Sequence[Path],
        rng: np.random.Generator,
    ) -> Stage:
        subject = _subject(
            foregrounds[int(rng.integers(len(foregrounds)))], float(rng.uniform(0.45, 0.8))
        )
        background = _background(backgrounds[int(rng.integers(len(backgrounds)))])
        place = (WIDTH * float(rng.uniform(0.4, 0.6)), HEIGHT * float(rng.uniform(0.42, 0.58)))
        return cls(
            kind,
            subject,
            background,
            place,
            float(rng.uniform(-0.4, 0.4)),
            float(rng.uniform(0, 2 * math.pi)),
        )

    def draw(self, length: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return pixels (T, H, W, 3) before noise, alpha (T, H, W) and motion (T - 1, H, W, 2)."""
        shakes = rng.normal(0, 1, (length + 1, 2)) * self.kind.shake
        shakes = (shakes + np.roll(shakes, 1, 0)) * 0.7  # a hand is not white noise
        pixels, alphas, motions = [], [], []
        for frame in range(length):
            drawn = [self._at(frame + step, shakes, frame) for step in self._exposure()]
            mixed = torch.stack(drawn).mean(0)
            pixels.append(mixed[:3].permute(1, 2, 0))
            alphas.append(mixed[3])
            if frame + 1 < length:
                motions.append(self._motion(frame, shakes, mixed[3]))
        motion = torch.stack(motions) if motions else torch.zeros(0, HEIGHT, WIDTH, 2)
        return torch.stack(pixels), torch.stack(alphas).clamp(0, 1), motion

    def _exposure(self) -> list[float]:
        if not self.kind.shutter:
            return [0.0]
        return [self.kind.shutter * (k / (SHUTTER_STEPS - 1) - 0.5) for k in range(SHUTTER_STEPS)]

    def _at(self, time: float, shakes: Places, frame: int) -> Tensor:
        """Draw one instant: (4, H, W), colours and the subject's alpha."""
        grid = _grid()
        subject = _sampled(self.subject, self._to_subject(grid, time, shakes))
        background = _sampled(self.background, self._to_background(grid, time, shakes))
        colours = subject[:3] + (1 - subject[3:]) * background
        return torch.cat([colours, subject[3:]])

    def _camera(self, time: float, shakes: Places) -> Tensor:
        at = np.arange(len(shakes))
        x, y = (float(np.interp(time, at, shakes[:, axis])) for axis in (0, 1))
        return torch.tensor([x, y])

    def _pose(self, time: float, shakes: Places) -> tuple[Tensor, Tensor]:
        """Return the subject's middle in the frame, and the 2 x 2 matrix from it to the frame."""
        kind = self.kind
        rate = kind.speed / kind.path if kind.path else 0
        along = kind.path * math.sin(rate * time + self.phase * (0.1 if rate > 0.1 else 1))
        middle = torch.tensor(self.place) + along * torch.tensor(
            [math.cos(self.heading), math.sin(self.heading)]
        )
        angle = math.radians(kind.spin * time)
        size = 1 + kind.growth * time
        turn = torch.tensor(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        )
        return middle + self._camera(time, shakes), turn * size

    def _bend(self, points: Tensor, time: float) -> Tensor:
        x, y = points.unbind(-1)
        swing = self.kind.wave * math.sin(0.5 * time)
        return torch.stack([swing * torch.sin(y / 60 + 0.3 * time), swing * torch.cos(x / 70)], -1)

    def _to_subject(self, points: Tensor, time: float, shakes: Places) -> Tensor:
        middle, matrix = self._pose(time, shakes)
        inverse: Tensor = torch.linalg.inv(matrix)
        inside = (points - middle) @ inverse.T
        inside = inside + self._bend(inside, time)
        height, width = self.subject.shape[2:]
        return inside + torch.tensor([width / 2, height / 2])

    def _from_subject(self, points: Tensor, time: float, shakes: Places) -> Tensor:
        middle, matrix = self._pose(time, shakes)
        height, width = self.subject.shape[2:]
        bent = points - torch.tensor([width / 2, height / 2])
        straight = bent
        for _ in range(6):
            straight = bent - self._bend(straight, time)
        return straight @ matrix.T + middle

    def _shift(self, time: float, shakes: Places) -> Tensor:
        """Return what to add to a pixel of the frame to get one of the background."""
        height, width = self.background.shape[2:]
        start = torch.tensor([(width - WIDTH) / 2, (height - HEIGHT) / 2])
        middle = FRAMES / 2
        return start - self._camera(time, shakes) - (time - middle) * torch.tensor(self.kind.pan)

    def _to_background(self, points: Tensor, time: float, shakes: Places) -> Tensor:
        return points + self._shift(time, shakes)

    def _motion(self, frame: int, shakes: Places, alpha: Tensor) -> Tensor:
        grid = _grid()
        seen = self._to_subject(grid, frame, shakes)
        subject = self._from_subject(seen, frame + 1, shakes) - grid
        background = (self._shift(frame, shakes) - self._shift(frame + 1, shakes)).expand_as(grid)
        return torch.where((alpha > 0)[..., None], subject, background)


def _grid() -> Tensor:
    """Return the middles of the frame's pixels, (H, W, 2), x first."""
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    return torch.stack([x, y], -1).float() + 0.5


def _sampled(picture: Tensor, points: Tensor) -> Tensor:
    height, width = picture.shape[2:]
    scaled = points / torch.tensor([width, height]) * 2 - 1
    padding = "zeros" if picture.shape[1] == 4 else "reflection"
    return functional.grid_sample(picture, scaled[None], padding_mode=padding, align_corners=False)[
        0
    ]


def _subject(path: Path, share: float) -> Tensor:
    """Read a subject's true colours and alpha; its longer side becomes this share of HEIGHT."""
    whole = Image.open(path).convert("RGBA")
    cropped = whole.crop(whole.getchannel("A").getbbox())
    values = np.asarray(cropped, np.float32) / 255
    values[..., :3] *= values[..., 3:]
    scale = share * HEIGHT / max(cropped.size)
    size = [max(8, round(side * scale)) for side in reversed(cropped.size)]
    small = functional.interpolate(
        torch.from_numpy(values).permute(2, 0, 1)[None], size=size, mode="bilinear", antialias=True
    )
    return functional.pad(small, (2, 2, 2, 2))


def _background(path: Path) -> Tensor:
    """Read a photograph; it becomes 1.3 times as large as the frame covers."""
    picture = Image.open(path).convert("RGB")
    scale = 1.3 * max(WIDTH / picture.width, HEIGHT / picture.height)
    size = (round(picture.width * scale), round(picture.height * scale))
    values = np.asarray(picture.resize(size, Image.Resampling.LANCZOS), np.float32) / 255
    return torch.from_numpy(values).permute(2, 0, 1)[None].contiguous()
