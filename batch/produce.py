"""A finished picture to the bytes of its files, as the recipe has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..catalogue.licences import OwnWeights
from ..core.errors import BadOption, BadPicture
from ..core.placement import Size
from ..pictures.formats import Depth
from ..pictures.origin import Origin
from ..pictures.provenance import metadata_of_result
from ..pictures.read import Picture
from ..pictures.srgb import OTHER_COLOURS
from ..pictures.write import check_size, encode
from ..pipeline.finishing import Done
from ..records.delivered import Part
from .recipe.model import Output, Recipe
from .recipe.placing import check_fits


@dataclass(frozen=True)
class Product:
    """The contents of the result's file, and of the mask's where the recipe asks for one."""

    image: bytes
    mask: bytes | None = None

    @property
    def parts(self) -> dict[Part, bytes]:
        """What there is of it."""
        parts: dict[Part, bytes] = {"image": self.image}
        return parts if self.mask is None else {**parts, "mask": self.mask}


def take(picture: Picture, recipe: Recipe) -> tuple[Tensor, Origin]:
    """What goes to the pipeline, (H, W, 3 | 4), and what is kept for the result.

    Raises BadPicture for one that the recipe could make nothing of, before it costs anything.
    """
    if picture.icc_profile and not recipe.transparent:
        raise BadPicture(OTHER_COLOURS.format(name=picture.name))
    origin = picture.origin
    size, canvas = Size(*picture.pixels.shape[:2]), recipe.canvas
    channels = 4 if recipe.transparent else 3
    try:
        if canvas is None or canvas.size == "source":
            bytes_each = channels * _depth(origin, recipe.output) // 8
            check_size(recipe.output.row, size.width, size.height, bytes_each)
        if canvas is not None and canvas.fit != "subject":
            check_fits(size, canvas, picture.name)
    except BadOption as error:
        raise BadPicture(f"{picture.name}: {error}") from error
    return picture.image, origin


def produce(
    done: Done, origin: Origin, recipe: Recipe, weights: Mapping[str, OwnWeights] | None = None
) -> Product:
    """The files of one picture, from what the pipeline made of it with `open_treatment`.

    weights: the settings' own, for the provenance. Pure, and may be called by several threads.
    Raises BadPicture for a picture that the format cannot hold.
    """
    of_image, of_mask = metadata_of_result(
        done.report.data(), weights or {}, origin, silent=not recipe.output.provenance
    )
    depth = _depth(origin, recipe.output)
    try:
        image = encode(
            done.image,
            recipe.output.format,
            depth=depth,
            icc_profile=origin.icc_profile,
            quality=recipe.output.quality,
            effort=recipe.output.effort,
            metadata=of_image,
        )
    except BadOption as error:  # a picture that is too large for the format; the others go on
        raise BadPicture(f"{done.name}: {error}") from error
    if not recipe.output.mask:
        return Product(image)
    mask_depth: Depth = 16 if depth == 16 else 8
    mask = encode(done.mask[..., None], "png", depth=mask_depth, metadata=of_mask)
    return Product(image, mask)


def _depth(origin: Origin, output: Output) -> Depth:
    if output.depth != "source":
        return output.depth
    return 16 if origin.depth in output.row.depths and origin.depth == 16 else 8
