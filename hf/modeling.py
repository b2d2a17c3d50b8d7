"""The networks as transformers models: loss, save and load around the networks of
`backends/local/networks`, whose names in a weight file stay the released ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from ..backends.local.networks.birefnet import BiRefNet
from ..backends.local.networks.deform_conv import DeformableConv2d
from ..backends.local.networks.isnet import IsNet
from ..backends.local.networks.swin import WindowAttention, relative_positions
from .configuration import RmbgBiRefNetConfig, RmbgIsNetConfig
from .licence import check_files, check_unknown
from .losses import as_target, birefnet_loss, isnet_loss

_SPREAD = 0.02  # of Swin's linear layers and position biases before training


@dataclass
class RmbgBiRefNetOutput(ModelOutput):
    """What a BiRefNet answers."""

    loss: Tensor | None = None
    """With labels only."""
    logits: Tensor | None = None
    """(B, 1, H, W), the last, so that the model card's `model(images)[-1].sigmoid()` is alpha."""


@dataclass
class RmbgIsNetOutput(ModelOutput):
    """What an IS-Net answers; the model card's `model(images)[0][0]` is alpha."""

    alphas: tuple[Tensor, ...] | None = None
    """Six scales, the finest first, each (B, 1, H, W) in 0..1."""
    logits: Tensor | None = None
    """(B, 1, H, W) of the finest."""
    loss: Tensor | None = None
    """With labels only."""


class _RmbgModel(PreTrainedModel):
    """What both share. The network's parts become the model's own parts, so that no name gets a
    prefix."""

    base_model_prefix = ""
    main_input_name = "pixel_values"
    input_modalities = ("image",)

    _judged = False  # whether the files of its weights passed the licence gate

    @classmethod
    def from_pretrained(cls, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401  # as theirs
        """Load by transformers' own, once the weights' licence allows the use; only the table of
        relative positions, which is no weight, is made here instead of believed: whatever a file
        says, an index stays in its range. Raises LicenceRefused."""
        loaded = super().from_pretrained(*arguments, **options)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        if not model._judged:  # however they were loaded, no file was seen
            check_unknown()
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, WindowAttention):
                    module.relative_position_index.copy_(_positions(module))
        return loaded

    @classmethod
    def _load_pretrained_model(
        cls,
        model: _RmbgModel,
        state_dict: Mapping[str, Tensor] | None,
        checkpoint_files: Sequence[str] | None,
        *rest: object,
    ) -> Any:  # noqa: ANN401  # as theirs
        """Judge the very files that transformers is about to read: it has resolved folders, the
        Hub's cache and shards by now."""
        if state_dict is None and checkpoint_files:
            check_files(checkpoint_files)
            model._judged = True
        return super()._load_pretrained_model(model, state_dict, checkpoint_files, *rest)

    def _adopt(self, network: nn.Module) -> None:
        for name, part in network.named_children():
            self.add_module(name, part)
        # In a tuple, where torch does not look for modules.
        self._steering = tuple(
            conv
            for module in network.modules()
            if isinstance(module, DeformableConv2d)
            for conv in (module.offset_conv, module.modulator_conv)
        )

    def _init_weights(self, module: nn.Module) -> None:
        """Set values before training. transformers calls it for what a weight file lacks, too; its
        own `init` functions leave alone what was loaded."""
        if any(module is conv for conv in self._steering):
            for value in module.parameters():  # it starts as an ordinary convolution
                init.zeros_(value)
        elif isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            init.trunc_normal_(module.weight, std=_SPREAD)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, WindowAttention):
            init.trunc_normal_(module.relative_position_bias_table, std=_SPREAD)
            init.copy_(module.relative_position_index, _positions(module))
        else:
            super()._init_weights(module)


class RmbgBiRefNet(_RmbgModel):
    """RMBG-2.0, or another BiRefNet with a Swin backbone."""

    config_class = RmbgBiRefNetConfig
    config: RmbgBiRefNetConfig

    def __init__(self, config: RmbgBiRefNetConfig) -> None:
        super().__init__(config)
        network = BiRefNet(config.network())
        self._adopt(network)
        self._network = (network,)  # in a tuple for the same reason as above
        self.post_init()

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None, return_dict: bool | None = None
    ) -> RmbgBiRefNetOutput | tuple[object, ...]:
        """Compute logits and, with labels, the loss.

        pixel_values: (B, 3, H, W) normalised with ImageNet's mean and deviation, H and W multiples
        of 32, any floating dtype. labels: (B, H, W) or (B, 1, H, W) alpha in 0..1.

        Raises ValueError for other shapes.
        """
        images = pixel_values.to(self.dtype)
        network = self._network[0]
        if labels is None:
            output = RmbgBiRefNetOutput(logits=network(images))
        else:
            target = as_target(labels, images)
            seen = network.predictions(images)
            loss = birefnet_loss(seen.masks, seen.gradients, images, target)
            output = RmbgBiRefNetOutput(loss=loss, logits=seen.masks[-1])
        return output.to_tuple() if _wants_tuple(return_dict, self.config) else output


class RmbgIsNet(_RmbgModel):
    """RMBG-1.4, or another IS-Net."""

    config_class = RmbgIsNetConfig
    config: RmbgIsNetConfig

    def __init__(self, config: RmbgIsNetConfig) -> None:
        super().__init__(config)
        network = IsNet(config.network())
        self._adopt(network)
        self._network = (network,)  # in a tuple for the same reason as above
        self.post_init()

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None, return_dict: bool | None = None
    ) -> RmbgIsNetOutput | tuple[object, ...]:
        """Compute alphas, logits and, with labels, the loss.

        pixel_values: (B, 3, H, W) normalised to -0.5 .. 0.5, H and W multiples of 32, any floating
        dtype. labels: (B, H, W) or (B, 1, H, W) alpha in 0..1.

        Raises ValueError for other shapes.
        """
        images = pixel_values.to(self.dtype)
        target = None if labels is None else as_target(labels, images)
        scales = self._network[0].predictions(images)
        loss = None if target is None else isnet_loss(scales, target)
        alphas = tuple(scale.sigmoid() for scale in scales)
        output = RmbgIsNetOutput(alphas=alphas, logits=scales[0], loss=loss)
        return output.to_tuple() if _wants_tuple(return_dict, self.config) else output


def _wants_tuple(return_dict: bool | None, config: RmbgBiRefNetConfig | RmbgIsNetConfig) -> bool:
    return not (config.return_dict if return_dict is None else return_dict)


def _positions(attention: WindowAttention) -> Tensor:
    return relative_positions(math.isqrt(attention.places))
