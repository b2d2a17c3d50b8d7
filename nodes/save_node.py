"""Save Cut-out (RMBG): picture files that say where they come from."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from comfy_api.latest import io
from torch import Tensor

from .comfy_host import tell, workflow_of
from .widgets import CATEGORY

FileKind: TypeAlias = Literal["png", "png 16 bit", "webp", "jpeg"]
Source: TypeAlias = Literal["not stated", "photograph", "generated"]


class SaveCutout(io.ComfyNode):
    """ComfyUI's own Save Image cuts values off, knows 8-bit PNG alone and nothing of a report."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RMBG_SaveCutout",
            display_name="Save Cut-out (RMBG)",
            category=CATEGORY,
            description="Saves into ComfyUI's output folder, with straight alpha. With a report "
            "the files say which model cut them out, under which licence, and which receipt "
            "proves it; `rmbg inspect` reads it.",
            search_aliases=("save transparent", "export", "webp", "16 bit", "provenance"),
            is_output_node=True,
            inputs=[
                io.Image.Input("image", tooltip="The cut-out: RGBA, or RGB together with a mask."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="1 on the subject; replaces the image's own alpha.",
                ),
                io.String.Input(
                    "report",
                    optional=True,
                    default="",
                    force_input=True,
                    tooltip="From Remove Background (RMBG): what the files say of themselves. "
                    "Without it they say nothing.",
                ),
                io.String.Input(
                    "filename_prefix",
                    default="cut-out",
                    tooltip="As in Save Image: folders with /, %year%, %width% and the like.",
                ),
                io.Combo.Input(
                    "format",
                    options=get_args(FileKind),
                    default="png",
                    tooltip="png and webp keep every pixel at 8 bits, png 16 bit keeps finer "
                    "steps. jpeg has no transparency: the cut-out is put on the colour below.",
                ),
                io.String.Input(
                    "color",
                    default="#ffffff",
                    tooltip="What stands behind the cut-out in a jpeg: #rrggbb or a name.",
                ),
                io.Combo.Input(
                    "source",
                    options=get_args(Source),
                    default="not stated",
                    tooltip="What the picture was before it was cut out. With a report it is "
                    "written as IPTC's Digital Source Type, which search engines read: "
                    "photograph = altered by an algorithm, generated = made by a model.",
                ),
                io.Boolean.Input(
                    "keep_workflow",
                    default=True,
                    tooltip="Writes this workflow into png and webp files, so that they can be "
                    "dropped into ComfyUI. Off: whoever gets the file cannot see it.",
                ),
            ],
            outputs=[],
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        filename_prefix: str,
        format: FileKind,
        color: str,
        source: Source,
        keep_workflow: bool,
        mask: Tensor | None = None,
        report: str | None = None,
    ) -> io.NodeOutput:
        from .saved_files import save_pictures

        saved, said, urgent = save_pictures(
            image,
            mask,
            report,
            prefix=filename_prefix,
            kind=format,
            color=color,
            source=source,
            workflow=workflow_of(cls.hidden) if keep_workflow else {},
        )
        told = tell("Save Cut-out (RMBG)", said, urgent)
        return io.NodeOutput(ui={"images": saved, **told})
