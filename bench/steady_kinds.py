"""What happens in each kind of sequence: rows."""

from __future__ import annotations

from dataclasses import dataclass

WIDTH, HEIGHT = 768, 576
FRAMES = 24
#: Positions that one exposure is the mean of, where it lasts.
SHUTTER_STEPS = 6


@dataclass(frozen=True)
class Kind:
    """What happens in a sequence; lengths in pixels of WIDTH x HEIGHT, times in frames."""

    path: float = 0
    """How far the subject goes to either side of its place."""
    speed: float = 0
    """Its pixels a frame at the middle of the path."""
    spin: float = 0
    """Its degrees a frame."""
    growth: float = 0
    """Its change in size a frame, as a share."""
    wave: float = 0
    """How far it bends."""
    pan: tuple[float, float] = (0, 0)
    """The background's pixels a frame."""
    shake: float = 0
    """Standard deviation of the camera's place from frame to frame."""
    gains: tuple[tuple[int, float], ...] = ((0, 1.0),)
    """From which frame on the light is multiplied by what."""
    noise: float = 2
    """Standard deviation of the sensor's noise, in 8-bit levels."""
    quality: int = 24
    """H.264's constant rate factor."""
    shutter: float = 0
    """Share of a frame's time for which it is exposed."""
    cut: bool = False
    """A second scene from the middle on."""


KINDS = {
    "still": Kind(path=6, speed=0.5, wave=1, noise=4, quality=27),
    "drift": Kind(path=120, speed=4, spin=0.4, growth=0.004, wave=3, pan=(-1.5, 0.5)),
    "fast": Kind(path=200, speed=26, spin=1.5, pan=(4, 0), shutter=0.5),
    "shake": Kind(path=60, speed=3, wave=2, shake=4, shutter=0.3),
    "exposure": Kind(
        path=90, speed=5, pan=(1, 0), gains=((0, 1), (6, 0.72), (11, 1.15), (12, 1.2), (18, 0.9))
    ),
    "cut": Kind(path=100, speed=6, spin=0.5, pan=(2, -0.5), cut=True),
}
