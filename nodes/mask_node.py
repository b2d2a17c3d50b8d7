"""Apply Mask (RMBG): corrects a mask and cuts a picture out with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from comfy_api.latest import io
from torch import Tensor

from .comfy_host import comfy_job, show_again, tell
from .widgets import (
    CATEGORY,
    background_inputs,
    background_of,
    decontaminate_input,
    share,
    solid_input,
    subject_inputs,
)

if TYPE_CHECKING:
    from .subjects import Boxes


class ApplyMask(io.ComfyNode):
    """One picture goes with any number of masks, and the other way round."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        schema = io.Schema(
            node_id="RMBG_ApplyMask",
            display_name="Apply Mask (RMBG)",
            category=CATEGORY,
            description="Corrects a mask and cuts the picture out with it. The mask is 1 on the "
            "subject and replaces the picture's own alpha. The options work from top to bottom.",
            search_aliases=("refine mask", "fix mask", "apply alpha", "feather", "grow mask"),
            inputs=[
                io.Image.Input(
                    "image", tooltip="The picture to cut out; its own alpha is ignored."
                ),
                io.Mask.Input(
                    "mask",
                    tooltip="1 on the subject, of any size. The mask of Load Image is 1 where the "
                    "picture is transparent: switch invert on for it.",
                ),
                io.Mask.Input(
                    "keep", optional=True, tooltip="Painted correction: what must stay, 1 = keep."
                ),
                io.Mask.Input(
                    "drop",
                    optional=True,
                    tooltip="Painted correction: what must go, 1 = drop. Wins over keep.",
                ),
                io.Boolean.Input(
                    "invert", default=False, tooltip="Swaps subject and background in the mask."
                ),
                share("black_point", 0.0, "Mask values up to this become 0: clears a grey haze."),
                share(
                    "white_point",
                    1.0,
                    "Mask values from this on become 1: closes a see-through subject.",
                ),
                share(
                    "threshold", 0.0, "Makes the edge hard: 1 from this value on, 0 below. 0 = off."
                ),
                share(
                    "fill_holes",
                    0.0,
                    "Closes holes up to this share of the picture. 0 = off, 1 = all.",
                    step=0.001,
                ),
                share(
                    "remove_islands",
                    0.0,
                    "Removes pieces smaller than this share of the largest. 0 = off, "
                    "1 = keep only the largest.",
                ),
                io.Float.Input(
                    "grow",
                    default=0.0,
                    min=-256.0,
                    max=256.0,
                    step=0.5,
                    tooltip="Widens the subject by this many pixels; negative shrinks it.",
                ),
                share(
                    "feather",
                    0.0,
                    "Softens the edge over this many pixels on either side.",
                    most=256.0,
                    step=0.5,
                ),
                decontaminate_input(),
                *background_inputs(),
                *subject_inputs("the mask"),
                io.Float.Input(
                    "fit",
                    optional=True,
                    default=0.0,
                    min=0.0,
                    max=256.0,
                    step=1.0,
                    tooltip="For a rough mask (painted, or of a detector): how many pixels its "
                    "outline may be off. It is fitted to the picture first. 0 = off.",
                ),
                solid_input(default=False),
            ],
            outputs=[
                io.Image.Output(
                    "image",
                    display_name="image",
                    tooltip="The cut-out: RGBA with straight alpha, or RGB on a colour.",
                ),
                io.Mask.Output("mask", display_name="mask", tooltip="The corrected mask."),
            ],
        )
        return show_again(schema)

    @classmethod
    def execute(
        cls,
        image: Tensor,
        mask: Tensor,
        invert: bool,
        black_point: float,
        white_point: float,
        threshold: float,
        fill_holes: float,
        remove_islands: float,
        grow: float,
        feather: float,
        decontaminate: float,
        background: str,
        color: str,
        keep: Tensor | None = None,
        drop: Tensor | None = None,
        subject: Tensor | None = None,
        boxes: Boxes | None = None,
        fit: float = 0.0,
        solid: bool = False,
    ) -> io.NodeOutput:
        from ..core.alpha import MaskOptions
        from ..core.checks import common_batch
        from ..core.correct import correct_mask
        from ..core.cutout import cutout
        from ..pipeline.collect import name_of
        from .subjects import subject_masks
        from .tensors import check_batch, fit_masks, nothing_left, own_alpha, pick, rgb

        check_batch(image, "image")
        options = MaskOptions(
            invert=invert,
            black=black_point,
            white=white_point,
            threshold=threshold,
            fill_holes=fill_holes,
            remove_islands=remove_islands,
            grow=grow,
            feather=feather,
        )
        backdrop = background_of(background, color)
        height, width = image.shape[1:3]
        masks, warnings = fit_masks(image, {"mask": mask, "keep": keep, "drop": drop})
        if "mask" not in masks:
            masks["mask"] = own_alpha(image)
            options = replace(options, invert=False)
        meant, said = subject_masks(image, subject, boxes)
        masks |= {} if meant is None else {"subject": meant}
        batch = common_batch(
            {"image": len(image)} | {name: len(given) for name, given in masks.items()}
        )
        images = image.new_empty((batch, height, width, 4 if backdrop is None else 3))
        alphas = image.new_empty((batch, height, width))

        with comfy_job(batch) as job:
            for index in range(batch):
                job.check()
                chosen = {name: pick(given, index) for name, given in masks.items()}
                colours = rgb(pick(image, index), name_of(index, batch))
                alpha = correct_mask(
                    chosen["mask"].float(),
                    colours,
                    options,
                    fit=fit,
                    subject=chosen.get("subject"),
                    solid=solid,
                    keep=chosen.get("keep"),
                    drop=chosen.get("drop"),
                )
                cut = cutout(colours, alpha, decontaminate=decontaminate, background=backdrop)
                images[index], alphas[index] = cut[0], alpha[0]
                job.step(1)
        empty = nothing_left(alphas)
        told = tell("Apply Mask (RMBG)", [*empty, *warnings, *said], empty)
        return io.NodeOutput(images, alphas, ui=told if told["text"] else None)
