"""Sequences with a true alpha: a photographed subject moves over a photograph that moves.

Every kind says what the camera, the subject and the light do; a seed chooses who and where. What
is drawn passes a sensor's noise and H.264, as the frames of a video have.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch

from ..demo.shapes import Array
from .steady_kinds import FRAMES, HEIGHT, WIDTH, Kind
from .steady_stage import Stage


@dataclass(frozen=True)
class Drawn:
    """A sequence with its truth; T frames."""

    pixels: Array
    """(T, H, W, 3) uint8."""
    alpha: Array
    """(T, H, W) float32, the true alpha."""
    motion: Array
    """(T - 1, H, W, 2) float32: where (x, y) what is seen at a pixel is in the next frame, from
    there; not a number where it is in no next frame, at a cut."""


def render(
    kind: Kind, foregrounds: Sequence[Path], backgrounds: Sequence[Path], seed: int
) -> Drawn:
    """Draw one sequence; the seed chooses of the files."""
    rng = np.random.default_rng(seed)
    parts = []
    lengths = [FRAMES // 2, FRAMES - FRAMES // 2] if kind.cut else [FRAMES]
    for length in lengths:
        stage = Stage.choose(kind, foregrounds, backgrounds, rng)
        parts.append(stage.draw(length, rng))
    corners = np.array(_steps(kind.gains), np.float64)
    light = np.interp(np.arange(FRAMES), corners[:, 0], corners[:, 1])
    pixels = torch.cat([part[0] for part in parts]).numpy() * light[:, None, None, None]
    pixels = pixels + rng.normal(0, kind.noise / 255, pixels.shape)
    levels = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
    lost = np.full((1, HEIGHT, WIDTH, 2), np.nan, np.float32)
    motions = [parts[0][2].numpy()]
    for part in parts[1:]:
        motions += [lost, part[2].numpy()]
    alpha = torch.cat([part[1] for part in parts]).numpy()
    return Drawn(compressed(levels, kind.quality), alpha, np.concatenate(motions))


def compressed(frames: Array, quality: int) -> Array:
    """Pass (T, H, W, 3) uint8 through H.264 with this constant rate factor."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": str(quality), "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())
    file.seek(0)
    with av.open(file) as source:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)])


def _steps(gains: Sequence[tuple[int, float]]) -> list[tuple[float, float]]:
    """Return the corners of a light that changes at once."""
    corners: list[tuple[float, float]] = []
    for frame, gain in gains:
        if corners:
            corners.append((frame - 1, corners[-1][1]))
        corners.append((frame, gain))
    return corners
