"""The pipeline of the model cards: a picture in, the soft mask or the cut-out out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import Pipeline
from transformers.image_utils import load_image
from transformers.pipelines import ImageSegmentationPipeline

from ..core.checks import split_pixels
from ..core.cutout import cutout
from ..pictures.in_memory import Kind, like, to_images
from .image_processing import RmbgImageProcessor
from .modeling import RmbgBiRefNet, RmbgBiRefNetOutput, RmbgIsNet

# 8-bit PIL images come out, whatever went in: L and RGBA.
_PIL = Kind("pil", False, False, np.dtype(np.uint8), torch.device("cpu"))


@dataclass(frozen=True)
class _Source:
    """The picture that a result is made for."""

    colours: Tensor
    """(H, W, 3)."""
    alpha: Tensor | None
    """(H, W)."""


class _Prepared(TypedDict):
    """What the network is fed."""

    pixel_values: Tensor
    """(B, 3, side, side)."""
    source: _Source | list[_Source]
    """One, or a list where several are a batch."""


class _Answered(TypedDict):
    """What the network answered."""

    logits: Tensor
    """(B, 1, side, side)."""
    source: _Source | list[_Source]


class BackgroundRemovalPipeline(Pipeline):
    """`pipe(picture)` is the cut-out, RGBA with straight alpha and without the old background's
    colour in its edge; `pipe(picture, return_mask=True)` is the soft mask, mode L.

    picture: a path, a URL, a PIL image, or a list of them. An alpha that a PIL image has already is
    multiplied with the mask. decontaminate: 0..1, how far the old background's colour leaves the
    edge. timeout: seconds for a URL. batch_size works as in every pipeline.
    """

    model: RmbgBiRefNet | RmbgIsNet
    image_processor: RmbgImageProcessor
    _load_processor = False
    _load_image_processor = True
    _load_video_processor = False
    _load_feature_extractor = False
    _load_tokenizer = False

    def __init__(self, model: RmbgBiRefNet | RmbgIsNet, **kwargs: object) -> None:
        super().__init__(model=model, **kwargs)
        self.model.eval()

    def _sanitize_parameters(
        self, **kwargs: object
    ) -> tuple[dict[str, object], dict[str, object], dict[str, object]]:
        def those(*names: str) -> dict[str, object]:
            return {name: kwargs[name] for name in names if name in kwargs}

        return those("timeout"), {}, those("return_mask", "decontaminate")

    def preprocess(self, picture: str | Image.Image, timeout: float | None = None) -> _Prepared:
        """Load and prepare a picture. Raises BadPicture for one that cannot be used."""
        image = load_image(picture, timeout=timeout) if isinstance(picture, str) else picture
        colours, alpha, _ = split_pixels(to_images(image)[0][0], "The picture")
        pixel_values = self.image_processor(colours)["pixel_values"]
        return {"pixel_values": pixel_values, "source": _Source(colours, alpha)}

    def _forward(self, prepared: _Prepared) -> _Answered:
        output = self.model(prepared["pixel_values"], return_dict=True)
        return {"logits": output.logits, "source": prepared["source"]}

    def postprocess(
        self, answered: _Answered, return_mask: bool = False, decontaminate: float = 1.0
    ) -> Image.Image:
        """Make an image of mode L with return_mask, else RGBA, at the picture's size."""
        source = answered["source"]
        assert isinstance(source, _Source)  # transformers has taken the batch apart
        height, width, _ = source.colours.shape
        output = RmbgBiRefNetOutput(logits=answered["logits"])
        (alpha,) = self.image_processor.post_process_alpha(output, [(height, width)])
        if source.alpha is not None:
            alpha = alpha * source.alpha
        values = alpha[None]
        if not return_mask:
            values = cutout(source.colours[None], values, decontaminate=decontaminate)
        made = like(_PIL, values)
        assert isinstance(made, Image.Image)
        return made


class ImageSegmentation(ImageSegmentationPipeline):
    """What `pipeline("image-segmentation")` makes: our pipeline for our models, as their card has
    it, and the task's own for every other. Never an instance of itself."""

    def __new__(cls, model: object, **kwargs: object) -> Pipeline:  # type: ignore[misc]
        if isinstance(model, (RmbgBiRefNet, RmbgIsNet)):
            return BackgroundRemovalPipeline(model=model, **kwargs)
        return ImageSegmentationPipeline(model=model, **kwargs)
