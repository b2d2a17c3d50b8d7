"""Pictures to pixel_values and logits back to alpha, as the local engine does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import BaseImageProcessor, BatchFeature

from ..backends.local.networks.sizes import STEP
from ..backends.local.preprocess import BIREFNET, ISNET, Recipe, prepare, stretch
from ..core.checks import split_pixels
from ..core.errors import BadOption
from ..core.finish import to_size
from ..pictures.in_memory import to_images
from .configuration import RmbgBiRefNetConfig, RmbgIsNetConfig
from .modeling import RmbgBiRefNetOutput, RmbgIsNetOutput

#: One picture: PIL of any mode, a tensor (H, W, C) of floats in 0..1, or an array (H, W, C) of
#: uint8, uint16 or floats in 0..1.
Picture: TypeAlias = "Image.Image | NDArray[np.generic] | Tensor"
_RECIPES = {RmbgBiRefNetConfig: BIREFNET, RmbgIsNetConfig: ISNET}


class RmbgImageProcessor(BaseImageProcessor):
    """Squeezes pictures into the model's square and normalises them.

    size: {"height": side, "width": side}, a multiple of 32. image_mean, image_std: of the
    normalisation. antialias: of the resize; RMBG-1.4's card has none. stretched: RMBG-1.4's card
    stretches every alpha to 0..1. The defaults are RMBG-2.0's. Raises BadOption for another size.
    """

    model_input_names = ("pixel_values",)

    def __init__(
        self,
        size: Mapping[str, int] | None = None,
        image_mean: Sequence[float] = BIREFNET.mean,
        image_std: Sequence[float] = BIREFNET.std,
        antialias: bool = BIREFNET.antialias,
        stretched: bool = BIREFNET.stretched,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        side = BIREFNET.resolution if size is None else size.get("height", 0)
        if size is not None and (set(size.values()) != {side} or side <= 0 or side % STEP):
            raise BadOption(
                f"size must have one height and width, a multiple of {STEP}, not {dict(size)}."
            )
        self.size = {"height": side, "width": side}
        self.image_mean = list(image_mean)
        self.image_std = list(image_std)
        self.antialias = antialias
        self.stretched = stretched

    @classmethod
    def for_config(cls, config: RmbgBiRefNetConfig | RmbgIsNetConfig) -> RmbgImageProcessor:
        """Return the processor of the model card."""
        recipe = _RECIPES[type(config)]
        return cls(
            size={"height": recipe.resolution, "width": recipe.resolution},
            image_mean=recipe.mean,
            image_std=recipe.std,
            antialias=recipe.antialias,
            stretched=recipe.stretched,
        )

    def preprocess(
        self, images: Picture | Sequence[Picture], return_tensors: str | None = "pt"
    ) -> BatchFeature:
        """Convert pictures of any sizes to pixel_values (B, 3, side, side) float32.

        Grey becomes RGB, an alpha is left out. Raises BadPicture for what is no picture, BadOption
        for return_tensors other than "pt".
        """
        if return_tensors not in ("pt", None):
            raise BadOption(f'return_tensors must be "pt", not {return_tensors!r}.')
        pictures = [images] if isinstance(images, (Image.Image, np.ndarray, Tensor)) else images
        colours = [split_pixels(to_images(picture)[0][0], "The picture")[0] for picture in pictures]
        values = prepare(colours, self.size["height"], self._recipe(), torch.device("cpu"))
        return BatchFeature({"pixel_values": values})

    def post_process_alpha(
        self,
        outputs: RmbgBiRefNetOutput | RmbgIsNetOutput,
        target_sizes: Sequence[tuple[int, int]] | None = None,
    ) -> list[Tensor]:
        """Return the model's output as alpha, (H, W) float32 in 0..1 for each picture, at its (H,
        W) of target_sizes, or at the model's size.

        Raises ValueError when the counts differ, BadPicture when values are not numbers.
        """
        if outputs.logits is None:
            raise ValueError("The model's output has no logits.")
        logits = outputs.logits[:, 0].float()
        sizes = target_sizes or [(logits.shape[1], logits.shape[2])] * len(logits)
        return [
            to_size(stretch(values.sigmoid())[None], "alpha", height, width)[0]
            if self.stretched
            else to_size(values[None], "logits", height, width)[0]
            for values, (height, width) in zip(logits, sizes, strict=True)
        ]

    def _recipe(self) -> Recipe:
        mean, std = self.image_mean, self.image_std
        return Recipe(
            resolution=self.size["height"],
            antialias=self.antialias,
            mean=(mean[0], mean[1], mean[2]),
            std=(std[0], std[1], std[2]),
            stretched=self.stretched,
            bytes_per_pixel=0,
        )
