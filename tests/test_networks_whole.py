"""Whole networks, small: against the straightforward forward, at other sizes, and in training."""

# Pins the inside of backends.local.networks.birefnet

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rmbg_nodes.backends.local import inference_copy
from rmbg_nodes.backends.local.networks.birefnet import image_patches
from rmbg_nodes.bench import reference
from rmbg_nodes.tests.support.networks import small_birefnet, small_isnet
from rmbg_nodes.tests.support.weights import picture

SIZES = [(2, 64, 96), (1, 224, 64)]


def worst(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().abs().max())


@pytest.mark.parametrize("order", ["wg hg c", "c hg wg"])
@pytest.mark.parametrize(("batch", "height", "width"), SIZES)
def test_birefnet_is_the_straightforward_forward(batch, height, width, order) -> None:
    network = small_birefnet(patch_order=order)
    images = picture(1, batch, height, width).double()
    with torch.no_grad():
        assert worst(network(images).sigmoid(), reference.birefnet(network, images)) < 1e-11


def test_patches_by_hand() -> None:
    """A picture of 2 x 4 pixels in patches of 1 x 2: two rows and two columns of patches."""
    image = torch.arange(24).view(1, 3, 2, 4)
    old = image_patches(image, 1, 2, "wg hg c")[0, :, 0].tolist()
    new = image_patches(image, 1, 2, "c hg wg")[0, :, 0].tolist()
    left_top, left_bottom = [[0, 1], [8, 9], [16, 17]], [[4, 5], [12, 13], [20, 21]]
    right_top, right_bottom = [[2, 3], [10, 11], [18, 19]], [[6, 7], [14, 15], [22, 23]]
    assert old == left_top + left_bottom + right_top + right_bottom
    grids = (left_top, right_top, left_bottom, right_bottom)
    assert new == [grid[colour] for colour in range(3) for grid in grids]


def test_the_patch_order_matters() -> None:
    images = picture(1, 1, 64, 64).double()
    with torch.no_grad():
        old, new = (small_birefnet(patch_order=o)(images) for o in ("wg hg c", "c hg wg"))
    assert worst(old.sigmoid(), new.sigmoid()) > 0.05


@pytest.mark.parametrize("make", [small_birefnet, small_isnet])
def test_a_batch_is_its_pictures(make) -> None:
    network = make()
    images = picture(2, 3, 64, 96).double()
    with torch.no_grad():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    assert together.shape == (3, 1, 64, 96)
    assert worst(together, alone) < 1e-11


@pytest.mark.parametrize("make", [small_birefnet, small_isnet])
@pytest.mark.parametrize("shape", [(1, 3, 64, 65), (1, 3, 48, 64), (1, 4, 64, 64), (3, 64, 64)])
def test_other_sizes_are_refused(make, shape) -> None:
    network = make(torch.float32)
    for forward in (network, inference_copy(network)):
        with pytest.raises(ValueError, match=r"^The network takes"):
            forward(torch.zeros(shape))


def test_the_nearest_size_is_named() -> None:
    with pytest.raises(ValueError, match="not 1000 x 70; resize the picture to 992 x 64"):
        small_isnet(torch.float32)(torch.zeros(1, 3, 1000, 70))


def test_birefnet_trains_in_every_parameter() -> None:
    network = small_birefnet(torch.float32).train()
    predictions = network.predictions(picture(3, 2, 64, 64))
    assert [x.shape[-1] for x in predictions.masks] == [2, 4, 8, 64]
    assert [x.shape[-1] for x in predictions.gradients] == [2, 4, 8]
    everything = (*predictions.masks, *predictions.gradients)
    torch.stack([x.square().mean() for x in everything]).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        # A bias before a batch normalisation has no effect, and so no gradient but rounding.
        assert bool(parameter.grad.any()), name


def test_isnet_trains_in_every_parameter() -> None:
    network = small_isnet(torch.float32).train()
    predictions = network.predictions(picture(3, 2, 96, 96))
    assert [x.shape for x in predictions] == [(2, 1, 96, 96)] * 6
    torch.stack([x.square().mean() for x in predictions]).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_step_lowers_the_loss() -> None:
    network = small_birefnet(torch.float32).train()
    images = picture(4, 2, 64, 64)
    truth = (images[:, :1] > 0).float()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(4):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(images), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
