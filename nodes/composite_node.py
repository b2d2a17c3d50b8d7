"""Composite (RMBG): a cut-out on a colour or on another picture."""

from __future__ import annotations

from comfy_api.latest import io
from torch import Tensor

from ..core.layers import BLENDS, Blend
from ..core.placement import ANCHORS, FITS, Anchor, Fit
from .comfy_host import comfy_job, show_again, tell
from .widgets import CATEGORY, share


class Composite(io.ComfyNode):
    """One foreground goes on any number of backgrounds, and the other way round."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        schema = io.Schema(
            node_id="RMBG_Composite",
            display_name="Composite (RMBG)",
            category=CATEGORY,
            description="Puts a cut-out on a colour or on another picture: fitted, placed and "
            "blended with straight alpha.",
            search_aliases=("replace background", "blend", "paste", "overlay", "shadow"),
            inputs=[
                io.Image.Input(
                    "foreground", tooltip="The cut-out: RGBA, or RGB together with a mask."
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="1 on the subject; replaces the foreground's own alpha.",
                ),
                io.Image.Input(
                    "background",
                    optional=True,
                    tooltip="The picture behind. Without one, the colour below is used, on a "
                    "canvas of the foreground's size.",
                ),
                io.String.Input(
                    "color",
                    default="#ffffff",
                    tooltip="The background when no picture is connected: #rrggbb or a name.",
                ),
                io.Combo.Input(
                    "fit",
                    options=FITS,
                    default="none",
                    tooltip="none: natural size. contain: whole foreground visible. cover: whole "
                    "background covered. stretch: both sides fitted. subject: cropped to the "
                    "subject and fitted inside the margin.",
                ),
                io.Combo.Input(
                    "anchor",
                    options=tuple(ANCHORS),
                    default="center",
                    tooltip="Where the foreground stands on the background.",
                ),
                io.Int.Input(
                    "offset_x",
                    default=0,
                    min=-16384,
                    max=16384,
                    tooltip="Pixels to the right of the anchor; negative is to the left.",
                ),
                io.Int.Input(
                    "offset_y",
                    default=0,
                    min=-16384,
                    max=16384,
                    tooltip="Pixels below the anchor; negative is above.",
                ),
                io.Float.Input(
                    "scale",
                    default=1.0,
                    min=0.01,
                    max=16.0,
                    step=0.01,
                    tooltip="Size of the foreground after the fit.",
                ),
                share(
                    "margin",
                    0.05,
                    "With fit subject: the free border on each side, as a share of the background.",
                    most=0.49,
                ),
                share("opacity", 1.0, "How solid the foreground is."),
                io.Combo.Input(
                    "blend",
                    options=BLENDS,
                    default="srgb",
                    tooltip="srgb: as most editors do. linear: physical light, lighter soft edges.",
                ),
                share(
                    "shadow",
                    0.0,
                    "A soft shadow where the subject stands on the ground. 0 = none.",
                    step=0.05,
                ),
            ],
            outputs=[
                io.Image.Output("image", display_name="image", tooltip="The composed picture."),
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    tooltip="How much of each pixel the foreground covers.",
                ),
            ],
        )
        return show_again(schema)

    @classmethod
    def execute(
        cls,
        foreground: Tensor,
        color: str,
        fit: Fit,
        anchor: Anchor,
        offset_x: int,
        offset_y: int,
        scale: float,
        margin: float,
        opacity: float,
        blend: Blend,
        shadow: float,
        mask: Tensor | None = None,
        background: Tensor | None = None,
    ) -> io.NodeOutput:
        from ..core.composite import CompositeOptions, compose
        from .tensors import check_batch, check_range, fit_masks, nothing_left

        check_batch(foreground, "foreground")
        check_range(foreground, "foreground")
        if background is not None:
            check_batch(background, "background")
            check_range(background, "background")
        options = CompositeOptions(
            fit=fit,
            anchor=anchor,
            offset=(offset_x, offset_y),
            scale=scale,
            margin=margin,
            opacity=opacity,
            blend=blend,
            shadow=shadow,
        )
        masks, warnings = fit_masks(foreground, {"mask": mask})
        chosen = masks.get("mask")
        behind = color if background is None else background
        with comfy_job(max(len(foreground), 1 if background is None else len(background))) as job:
            image, coverage = compose(foreground, chosen, behind, options, job)
        empty = () if chosen is None else nothing_left(chosen)
        said = tell("Composite (RMBG)", [*empty, *warnings], empty)
        return io.NodeOutput(image, coverage, ui=said if said["text"] else None)
