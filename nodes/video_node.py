"""Remove Background from Video (RMBG): a video in; its cut-out as a video file out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from comfy_api.latest import io

from .comfy_host import account_inputs, account_of, tell
from .widgets import (
    CATEGORY,
    background_inputs,
    decontaminate_input,
    refine_input,
    remover_input,
    share,
    solid_input,
)

if TYPE_CHECKING:
    from .core_model import CoreModel
    from .socket import Remover
    from .video_source import ComfyVideo

NAME = "Remove Background from Video (RMBG)"

#: Ids of VIDEO_FORMATS, what plays in the page first; the rows are not imported for a menu.
FORMATS = (
    "webm-vp9",
    "prores-4444",
    "webp-animated",
    "png",
    "webp",
    "exr",
    "h264",
    "hevc",
    "matte-h264",
    "matte-prores",
)


class RemoveBackgroundFromVideo(io.ComfyNode):
    """Frames pass through as a stream: ComfyUI's own nodes would have all of them in memory."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RMBG_RemoveBackgroundFromVideo",
            display_name=NAME,
            category=CATEGORY,
            description="Cuts the subject out of every frame and saves a video with the same "
            "sound and timing into ComfyUI's output folder. Memory does not grow with its length; "
            "a run that was cancelled goes on where it was.",
            search_aliases=(
                "video background removal",
                "video matting",
                "remove video background",
                "green screen",
                "transparent video",
                "prores",
                "webm alpha",
            ),
            is_output_node=True,
            inputs=[
                remover_input(),
                io.Video.Input(
                    "video",
                    tooltip="From Load Video, or any other; of a trimmed one the part that is "
                    "left. It is read from its file, frame by frame.",
                ),
                share(
                    "steady",
                    1.0,
                    "How much flicker of the mask is damped that the picture does not explain. "
                    "0 = every frame on its own.",
                    step=0.05,
                ),
                refine_input(),
                decontaminate_input(),
                *background_inputs(
                    "What stands behind the subject. h264 and hevc have no transparency and need "
                    "a colour; mattes show the mask alone and take none."
                ),
                io.Combo.Input(
                    "format",
                    options=FORMATS,
                    default="webm-vp9",
                    tooltip="webm-vp9: transparent, plays in browsers. prores-4444: transparent, "
                    "for video editors. webp-animated: transparent, short clips. png, webp, exr: "
                    "a folder with one picture a frame. h264, hevc: on a colour. matte-h264, "
                    "matte-prores: the mask as a gray video.",
                ),
                io.String.Input(
                    "filename_prefix",
                    default="video/cut-out",
                    tooltip="As in Save Video: folders with /, %year%, %width% and the like.",
                ),
                solid_input(default=True),
                io.Float.Input(
                    "max_cost",
                    optional=True,
                    default=0.0,
                    min=0.0,
                    max=10000.0,
                    step=0.001,
                    tooltip="The most, in USD, that one run may cost with a hosted backend, where "
                    "each frame is a picture; 0 = no limit. If the video would cost more, no "
                    "frame is sent. What was paid for earlier costs nothing.",
                ),
            ],
            outputs=[
                io.Video.Output(
                    "video",
                    display_name="video",
                    tooltip="The saved file, as a video. ComfyUI's own nodes do not read its "
                    "transparency.",
                ),
                io.String.Output(
                    "path",
                    display_name="path",
                    tooltip="The saved file; the folder of a sequence of pictures.",
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="Frames, model, licence, seconds, cost and warnings; the last line is "
                    "the same as JSON.",
                ),
            ],
            hidden=account_inputs(),
        )

    @classmethod
    def validate_inputs(
        cls, format: str | None = None, background: str | None = None, color: str | None = None
    ) -> bool:
        """Refuse before the run what no video can be. Raised, not returned, see LoadRmbg; what
        comes from another node is None."""
        from .video_choice import check_choice

        if format is not None and background is not None and color is not None:
            check_choice(format, background, color)
        return True

    @classmethod
    async def execute(
        cls,
        remover: Remover | CoreModel,
        video: ComfyVideo,
        steady: float,
        refine_edges: bool,
        decontaminate: float,
        background: str,
        color: str,
        format: str,
        filename_prefix: str,
        solid: bool = True,
        max_cost: float = 0.0,
    ) -> io.NodeOutput:
        from ..core.money import read_amount
        from ..video.video_options import VideoOptions
        from .saved_video import save_video
        from .socket import as_remover
        from .video_choice import check_choice

        options = VideoOptions(
            format=format,
            steady=steady,
            refine=refine_edges,
            solid=solid,
            decontaminate=decontaminate,
            background=check_choice(format, background, color),
        )
        plugged = as_remover(remover)
        limit = read_amount(max_cost) if max_cost else None
        work = (plugged, video, options, filename_prefix, limit, account_of(cls.hidden))
        if plugged.backend.spec.location == "hosted":
            # The wait is the provider's; other nodes go on meanwhile.
            saved = await asyncio.to_thread(save_video, *work)
        else:
            saved = save_video(*work)
        said = tell(NAME, saved.said, saved.urgent)
        return io.NodeOutput(
            saved.video, str(saved.path), saved.report, ui={**saved.preview(), **said}
        )
