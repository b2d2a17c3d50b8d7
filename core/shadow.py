"""A soft shadow where a subject stands on the ground."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .layers import Layer, paste, subject_box
from .placement import Box, Size
from .resize import resize_mask
from .smoothing import gaussian_blur

# Shares of the subject's size, which is the geometric mean of its height and width.
THICKNESS = 0.06
SOFTNESS = 0.02
# The share of the subject's height, from the bottom, that is near enough to the ground.
FOOT = 0.2


def contact_shadow(alpha: Tensor) -> Tensor:
    """The strength of the shadow, (H, W) in 0..1, of a subject with this alpha, (H, W) float32.

    The lowest fifth of the subject, squashed flat, centred on the lowest row and blurred: what
    a broad light from above leaves below an object. All zero where there is no subject.
    """
    box = subject_box(alpha)
    if box is None:
        return torch.zeros_like(alpha)
    size = math.sqrt(box.height * box.width)
    thickness = max(1, round(THICKNESS * size))
    ground = box.top + box.height
    foot = alpha[ground - math.ceil(FOOT * box.height) : ground, box.left : box.left + box.width]
    flat = resize_mask(foot[None], thickness, box.width)[0]
    where = Box(ground - thickness // 2, box.left, thickness, box.width)
    canvas = Size(*alpha.shape)
    placed = paste(Layer(flat[..., None].expand(-1, -1, 3), flat), where, canvas).alpha
    return gaussian_blur(placed[None], max(SOFTNESS * size, 0.5))[0]
