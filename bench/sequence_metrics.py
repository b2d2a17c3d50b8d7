"""How steady the alpha of a sequence is beside the true one."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.errors import BadPicture
from ..core.motion import moved


def dtssd(alphas: Tensor, truths: Tensor) -> float:
    """Return the error of the change from frame to frame, 0 = as steady as the truth.

    dtSSD of Erofeev et al. 2015, "Perceptually Motivated Benchmark for Video Matting", as the
    evaluation of Robust Video Matting computes it, but for its factor of 100: for every frame the
    root of the mean over the pixels of ((a_t - a_t-1) - (b_t - b_t-1))^2, b the truth; then the
    mean over the frames. Both (T, H, W) in 0..1, T at least 2.
    """
    _check(alphas, truths)
    change = (alphas - truths).diff(dim=0)
    return float(change.double().square().mean((1, 2)).sqrt().mean())


def messddt(alphas: Tensor, truths: Tensor, motions: Tensor) -> float:
    """Return how much the squared error changes along the motion: MESSDdt of the same paper.

    |(a_t - b_t)^2 at p - (a_t+1 - b_t+1)^2 at p + v|, its mean over pixels and frames. motions:
    (T - 1, 2, H, W), v in pixels right and down; frames with a motion that is not a number, at a
    cut, are left out, and so are places that leave the picture.
    """
    _check(alphas, truths)
    errors = (alphas - truths).square()
    found = []
    for index, motion in enumerate(motions):
        if bool(torch.isnan(motion).any()):
            continue
        later = moved(errors[index + 1 : index + 2], motion)[0]
        inside = _inside(motion)
        found.append((errors[index] - later).abs()[inside].double().mean())
    if not found:
        raise BadPicture("No two frames of the sequence follow each other without a cut.")
    return float(torch.stack(found).mean())


def _inside(motion: Tensor) -> Tensor:
    height, width = motion.shape[1:]
    x = torch.arange(width, device=motion.device) + motion[0]
    y = torch.arange(height, device=motion.device)[:, None] + motion[1]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def _check(alphas: Tensor, truths: Tensor) -> None:
    if alphas.shape != truths.shape or alphas.ndim != 3 or len(alphas) < 2:
        raise BadPicture(
            "A sequence is frames x height x width, with two frames at least, and its truth as "
            f"large; these are {tuple(alphas.shape)} and {tuple(truths.shape)}."
        )
