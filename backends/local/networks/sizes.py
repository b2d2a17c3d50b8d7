"""The picture sizes that the networks take."""

from __future__ import annotations

from torch import Tensor

STEP = 32


def check_images(images: Tensor) -> None:
    """Raise ValueError unless `images` is (B, 3, H, W) with H and W multiples of 32."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"The network takes pictures of shape (B, 3, H, W), not {tuple(images.shape)}."
        )
    height, width = images.shape[2:]
    if height % STEP or width % STEP or not height or not width:
        raise ValueError(
            f"The network takes heights and widths that are multiples of {STEP}, not "
            f"{height} x {width}; resize the picture to "
            f"{max(1, round(height / STEP)) * STEP} x {max(1, round(width / STEP)) * STEP}."
        )
