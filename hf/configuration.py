"""The configurations: what config.json holds. Their defaults are the released models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from transformers import PreTrainedConfig

from ..backends.local.detect import Weights, detect, without_prefixes
from ..backends.local.networks.birefnet import BiRefNetConfig, PatchOrder
from ..backends.local.networks.isnet import STAGES, IsNetConfig
from ..backends.local.networks.swin import SwinConfig
from ..core.errors import BadOption

# RMBG-1.4: channels in, inside and out of each stage.
_RMBG_1_4 = {
    "stage1": (64, 32, 64),
    "stage2": (64, 32, 128),
    "stage3": (128, 64, 256),
    "stage4": (256, 128, 512),
    "stage5": (512, 256, 512),
    "stage6": (512, 256, 512),
    "stage5d": (1024, 256, 512),
    "stage4d": (1024, 128, 256),
    "stage3d": (512, 64, 128),
    "stage2d": (256, 32, 64),
    "stage1d": (128, 16, 64),
}


class RmbgBiRefNetConfig(PreTrainedConfig):
    """A BiRefNet with a Swin backbone; RMBG-2.0 by default.

    embed_dim: channels of Swin's first stage. depths, num_heads: per stage. window_size, mlp_ratio:
    Swin's. patch_order: "wg hg c", or "c hg wg" for BiRefNet weights trained after November 2024;
    nothing in the weights tells the two apart. Raises BadOption for another order.
    """

    model_type = "rmbg-birefnet"

    def __init__(
        self,
        embed_dim: int = 192,
        depths: Sequence[int] = (2, 2, 18, 2),
        num_heads: Sequence[int] = (6, 12, 24, 48),
        window_size: int = 12,
        mlp_ratio: int = 4,
        patch_order: PatchOrder = "wg hg c",
        **kwargs: object,
    ) -> None:
        if patch_order not in get_args(PatchOrder):
            choices = " or ".join(f'"{order}"' for order in get_args(PatchOrder))
            raise BadOption(f"patch_order must be {choices}, not {patch_order!r}.")
        self.embed_dim = embed_dim
        self.depths = list(depths)
        self.num_heads = list(num_heads)
        self.window_size = window_size
        self.mlp_ratio = mlp_ratio
        self.patch_order: PatchOrder = patch_order
        super().__init__(**kwargs)

    def network(self) -> BiRefNetConfig:
        """Return the same, as the network takes it."""
        backbone = SwinConfig(
            self.embed_dim,
            tuple(self.depths),
            tuple(self.num_heads),
            self.window_size,
            self.mlp_ratio,
        )
        return BiRefNetConfig(backbone, self.patch_order)


class RmbgIsNetConfig(PreTrainedConfig):
    """An IS-Net; RMBG-1.4 by default.

    stem: channels of the first convolution. stages: the channels in, inside and out of each stage
    by its name. Raises BadOption unless every stage is there.
    """

    model_type = "rmbg-isnet"

    def __init__(
        self, stem: int = 64, stages: Mapping[str, Sequence[int]] | None = None, **kwargs: object
    ) -> None:
        given = _RMBG_1_4 if stages is None else stages
        if set(given) != set(STAGES) or any(len(triple) != 3 for triple in given.values()):
            raise BadOption(f"stages must give three channels for each of {', '.join(STAGES)}.")
        self.stem = stem
        self.stages = {name: list(given[name]) for name in STAGES}
        super().__init__(**kwargs)

    def network(self) -> IsNetConfig:
        """Return the same, as the network takes it."""
        stages = {name: (c[0], c[1], c[2]) for name, c in self.stages.items()}
        return IsNetConfig(self.stem, stages)


def config_of(
    weights: Weights, patch_order: PatchOrder = "wg hg c"
) -> RmbgBiRefNetConfig | RmbgIsNetConfig:
    """Read the configuration of a state dict from its names and shapes; patch_order matters to
    BiRefNet alone. Raises WeightsUnusable when it is none of these networks'."""
    weights = without_prefixes(weights)
    found = detect(weights, patch_order)
    learnt = next(value for value in weights.values() if value.is_floating_point())
    dtype = str(learnt.dtype).removeprefix("torch.")
    if isinstance(found, IsNetConfig):
        return RmbgIsNetConfig(stem=found.stem, stages=found.stages, dtype=dtype)
    swin = found.backbone
    return RmbgBiRefNetConfig(
        embed_dim=swin.embed,
        depths=swin.depths,
        num_heads=swin.heads,
        window_size=swin.window,
        mlp_ratio=swin.mlp_ratio,
        patch_order=patch_order,
        dtype=dtype,
    )
