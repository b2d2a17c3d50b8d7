"""What fine-tuning minimises, from the two papers; soft alpha is a target like any other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

# Zheng et al. 2024 (arXiv:2401.03407), section 3.4: weights of the terms on each predicted mask.
_CROSS_ENTROPY, _IOU, _SSIM = 30.0, 0.5, 10.0
# Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity".
_SSIM_WINDOW, _C1, _C2 = 11, 0.01**2, 0.03**2
_NEAR = 15  # pixels around the subject whose image gradients are still asked for


def as_target(labels: Tensor, images: Tensor) -> Tensor:
    """Convert labels (B, H, W) or (B, 1, H, W), alpha in 0..1, to (B, 1, H, W) float32.

    Raises ValueError when their shape is not that of `images` (B, 3, H, W).
    """
    target = labels[:, None] if labels.ndim == 3 else labels
    if target.shape != (images.shape[0], 1, *images.shape[2:]):
        raise ValueError(
            f"labels must be (B, H, W) alpha in 0..1 at the size of pixel_values "
            f"{tuple(images.shape)}, not {tuple(labels.shape)}."
        )
    return target.to(torch.float32)


def birefnet_loss(
    masks: Sequence[Tensor], gradients: Sequence[Tensor], images: Tensor, target: Tensor
) -> Tensor:
    """Return BiRefNet's supervision of every scale: binary cross-entropy, soft intersection over
    union and structural similarity on the masks, binary cross-entropy on the gradient maps.

    masks, gradients: logits (B, 1, h, w) of any sizes. images: (B, 3, H, W) as the network saw
    them. target: (B, 1, H, W). The paper filters the picture's gradients by the predicted mask;
    here the true one does it, which the prediction approaches.
    """
    loss = target.new_zeros(())
    for mask in masks:
        logits = _at_size_of(mask, target)
        alpha = logits.sigmoid()
        loss = loss + _CROSS_ENTROPY * F.binary_cross_entropy_with_logits(logits, target)
        loss = loss + _IOU * _iou_loss(alpha, target) + _SSIM * _ssim_loss(alpha, target)
    edges = _image_gradients(images.float(), target)
    for gradient in gradients:
        loss = loss + F.binary_cross_entropy_with_logits(_at_size_of(gradient, target), edges)
    return loss


def isnet_loss(logits: Sequence[Tensor], target: Tensor) -> Tensor:
    """Return the binary cross-entropy of every scale, added up (Qin et al. 2022, arXiv:2203.03041,
    section 4.2). logits: (B, 1, H, W) each, target: (B, 1, H, W)."""
    terms = [F.binary_cross_entropy_with_logits(scale.float(), target) for scale in logits]
    return torch.stack(terms).sum()


def _at_size_of(logits: Tensor, target: Tensor) -> Tensor:
    return F.interpolate(logits.float(), size=target.shape[2:], mode="bilinear", align_corners=True)


def _iou_loss(alpha: Tensor, target: Tensor) -> Tensor:
    """Return 1 - soft intersection over union, picture by picture."""
    both = (alpha * target).sum((1, 2, 3))
    either = (alpha + target - alpha * target).sum((1, 2, 3))
    return (1 - both / either.clamp(min=1e-6)).mean()


def _ssim_loss(alpha: Tensor, target: Tensor) -> Tensor:
    """Return 1 - mean structural similarity, with a square window."""

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, _SSIM_WINDOW, stride=1)

    a, t = mean(alpha), mean(target)
    variances = mean(alpha * alpha) - a * a + mean(target * target) - t * t
    covariance = mean(alpha * target) - a * t
    similarity = (2 * a * t + _C1) * (2 * covariance + _C2)
    similarity = similarity / ((a * a + t * t + _C1) * (variances + _C2))
    return (1 - similarity).mean()


def _image_gradients(images: Tensor, target: Tensor) -> Tensor:
    """Return how much the picture changes at each pixel on or near the subject: (B, 1, H, W) in
    0..1."""
    grey = F.pad(images.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = grey[:, :, 1:-1, 2:] - grey[:, :, 1:-1, :-2]
    down = grey[:, :, 2:, 1:-1] - grey[:, :, :-2, 1:-1]
    near = F.max_pool2d(target, 2 * _NEAR + 1, stride=1, padding=_NEAR)
    return (across.square() + down.square()).sqrt().clamp(0, 1) * near
