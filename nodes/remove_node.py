"""Remove Background (RMBG): pictures in; cut-outs, masks and a report out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, get_args

from comfy_api.latest import io
from torch import Tensor

from ..core.money import read_amount
from ..core.report import OnFailure
from .comfy_host import account_inputs, account_of, show_again, tell
from .widgets import (
    CATEGORY,
    background_inputs,
    background_of,
    decontaminate_input,
    only,
    refine_input,
    remover_input,
    solid_input,
    subject_inputs,
)

if TYPE_CHECKING:
    from .core_model import CoreModel
    from .socket import Remover
    from .subjects import Boxes

NAME = "Remove Background (RMBG)"


class RemoveBackground(io.ComfyNode):
    """Takes lists of batches, so that mixed sizes are one call and one progress bar."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        schema = io.Schema(
            node_id="RMBG_RemoveBackground",
            display_name=NAME,
            category=CATEGORY,
            description="Cuts the subject out. The mask is 1 on the subject; the image has "
            "straight alpha and no colour of the old background in its edges.",
            # Only here: of nodes that share an alias the frontend puts the shortest name first.
            search_aliases=(
                "remove background",
                "background removal",
                "remove bg",
                "cutout",
                "cut out",
                "rembg",
                "rmbg",
                "birefnet",
                "matting",
                "transparent background",
            ),
            is_input_list=True,
            inputs=[
                remover_input(),
                io.Image.Input(
                    "image",
                    tooltip="One picture, a batch, or a list of batches of any sizes. An alpha "
                    "channel is kept by multiplying it with the mask.",
                ),
                refine_input(),
                decontaminate_input(),
                *background_inputs(),
                # Optional, so that a prompt saved before it existed is not refused.
                io.Combo.Input(
                    "on_failure",
                    options=get_args(OnFailure),
                    optional=True,
                    default="stop",
                    tooltip="When a picture of a batch fails, the others are finished first. stop: "
                    "an error names it. leave out: the result has fewer pictures. pass through: "
                    "it stays as it was, with a mask of ones. The report says which failed.",
                ),
                io.Float.Input(
                    "max_cost",
                    optional=True,
                    default=0.0,
                    min=0.0,
                    max=10000.0,
                    step=0.001,
                    tooltip="The most, in USD, that one run of this node may cost with a hosted "
                    "backend; 0 = no limit. If the pictures would cost more, none is sent. What "
                    "was paid for earlier costs nothing.",
                ),
                io.Int.Input(
                    "resolution",
                    optional=True,
                    default=0,
                    min=0,
                    max=4096,
                    step=32,
                    advanced=True,
                    tooltip="The side of the square that a model on this machine works on, as in "
                    "ComfyUI's own Remove Background. 0 = as the node that loaded it says. Hosted "
                    "models and the keyer have none.",
                ),
                *subject_inputs("the remover's answer"),
                solid_input(default=True),
            ],
            outputs=[
                io.Image.Output(
                    "image",
                    display_name="image",
                    is_output_list=True,
                    tooltip="The cut-out: RGBA with straight alpha, or RGB on a colour.",
                ),
                io.Mask.Output(
                    "mask", display_name="mask", is_output_list=True, tooltip="1 on the subject."
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    is_output_list=True,
                    tooltip="Model, licence, device, seconds, cost and warnings, for each picture; "
                    "the last line is the same as JSON.",
                ),
            ],
            hidden=account_inputs(),
        )
        return show_again(schema)

    @classmethod
    async def execute(
        cls,
        remover: list[Remover | CoreModel],
        image: list[Tensor],
        refine_edges: list[bool],
        decontaminate: list[float],
        background: list[str],
        color: list[str],
        on_failure: list[OnFailure] | None = None,
        max_cost: list[float] | None = None,
        resolution: list[int] | None = None,
        subject: list[Tensor] | None = None,
        boxes: list[Boxes] | None = None,
        solid: list[bool] | None = None,
    ) -> io.NodeOutput:
        from ..pipeline.finishing import Finishing
        from .notices import many_frames, worth_a_look
        from .run_batches import run_batches
        from .socket import as_remover, at_resolution
        from .subjects import subjects_of

        plugged = as_remover(only(remover, "remover"))
        finishing = Finishing(
            refine=only(refine_edges, "refine_edges"),
            decontaminate=only(decontaminate, "decontaminate"),
            background=background_of(only(background, "background"), only(color, "color")),
            solid=only(solid, "solid") if solid else True,
        )
        policy: OnFailure = only(on_failure, "on_failure") if on_failure else "stop"
        most = only(max_cost, "max_cost") if max_cost else 0
        limit = read_amount(most) if most else None
        side = only(resolution, "resolution") if resolution else 0
        backend, left_aside = at_resolution(plugged.backend, side)
        subjects, stretched = subjects_of(image, subject, boxes)
        work = (backend, plugged.usage, image, finishing, policy, limit, plugged.kept, subjects)
        if backend.spec.location == "hosted":
            # The wait is the provider's; other nodes go on meanwhile.
            batches = await asyncio.to_thread(run_batches, *work, account_of(cls.hidden))
        else:
            batches = run_batches(*work)
        images = [batch.image for batch in batches]
        frames = many_frames(images)
        looked_at = worth_a_look([report for batch in batches for report in batch.reports])
        aside = [*filter(None, [left_aside]), *stretched]
        words = [*(notice.words for notice in looked_at), *frames, *aside]
        said = tell(NAME, words, [notice.words for notice in looked_at if notice.urgent])
        return io.NodeOutput(
            images,
            [batch.mask for batch in batches],
            ["\n\n".join([*frames, batch.report]) for batch in batches],
            ui=said if said["text"] else None,
        )
