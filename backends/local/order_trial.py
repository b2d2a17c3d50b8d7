"""The trial of both patch orders, on the device where the network is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...core.types import Job, Resident
from .forwards import cancellable
from .networks.birefnet import Decoder, PatchOrder
from .patch_orders import OrderTrial, try_orders
from .preprocess import Recipe, prepare


def trial_of(
    resident: Resident, recipe: Recipe, side: int, bytes_each: int, job: Job
) -> OrderTrial:
    """Run a BiRefNet in both patch orders, on squares of this side; leaves it in one of them.

    bytes_each: the working memory of a forward. Cancel is asked for inside. Raises what the device
    raises where memory runs out.
    """

    def answer(order: PatchOrder, pixels: Tensor) -> Tensor:
        network = resident.on_device(bytes_each)
        set_order(network, order)
        batch = prepare([pixels], side, recipe, next(network.parameters()).device)
        with torch.no_grad(), cancellable(network, job):
            logits: Tensor = network(batch)
        return logits[0, 0].float().sigmoid().cpu()

    return try_orders(answer)


def set_order(network: nn.Module, order: PatchOrder) -> None:
    """Let a BiRefNet, or an inference copy of one, lay its patches in this order."""
    for module in network.modules():
        if isinstance(module, Decoder):
            module.patch_order = order
