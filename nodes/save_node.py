"""Save Cut-out (RMBG): picture files that say where they come from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from comfy_api.latest import io
from torch import Tensor

from ..config.settings import read_settings
from ..core.checks import common_batch, split_pixels
from ..core.composite import CompositeOptions, compose
from ..core.cutout import background_colour, cutout
from ..core.errors import BadOption
from ..core.report import JsonValue
from ..pictures.formats import Depth, FormatId
from ..pictures.metadata import NOTHING, with_workflow
from ..pictures.provenance import ALTERED, GENERATED, Provenance, provenance_of
from ..pictures.write import encode, write_atomic
from ..pipeline.collect import name_of
from ..pipeline.context import open_user_records
from .comfy_host import comfy_job, save_place, tell, workflow_of
from .tensors import check_batch, fit_masks, nothing_left, pick
from .widgets import CATEGORY


@dataclass(frozen=True)
class _Kind:
    """One entry of the menu `format`."""

    format: FormatId
    suffix: str
    depth: Depth = 8


_KINDS = {
    "png": _Kind("png", "png"),
    "png 16 bit": _Kind("png", "png", 16),
    "webp": _Kind("webp", "webp"),
    "jpeg": _Kind("jpeg", "jpg"),
}
_SOURCES = {"not stated": "", "photograph": ALTERED, "generated": GENERATED}


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
                    options=tuple(_KINDS),
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
                    options=tuple(_SOURCES),
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
        format: str,
        color: str,
        source: str,
        keep_workflow: bool,
        mask: Tensor | None = None,
        report: str | None = None,
    ) -> io.NodeOutput:
        check_batch(image, "image")
        height, width = image.shape[1:3]
        sizes = {"image": len(image)}
        fitted, warnings = fit_masks(image, {"mask": mask})
        masks = fitted.get("mask")
        if masks is not None:
            sizes["mask"] = len(masks)
        count = common_batch(sizes)
        said = _said(report, _SOURCES[source], count)
        workflow = workflow_of(cls.hidden) if keep_workflow else {}
        kind = _KINDS[format]
        folder, name, counter, subfolder = save_place(filename_prefix, width, height)
        saved = []
        trouble: list[str] = []
        files = open_user_records().files
        with comfy_job(count) as job:
            for index in range(count):
                job.check()
                alpha = None if masks is None else pick(masks, index)[0]
                ready = _ready(pick(image, index)[0], alpha, kind, color, name_of(index, count))
                about = said[index]
                data = encode(
                    ready,
                    kind.format,
                    depth=kind.depth,
                    metadata=with_workflow(about.metadata() if about else NOTHING, workflow),
                )
                stem = name.replace("%batch_num%", str(index))
                file = f"{stem}_{counter + index:05}_.{kind.suffix}"
                write_atomic(folder / file, data)
                if about:
                    trouble += files.note(about.receipt or None, {"image": data})
                saved.append({"filename": file, "subfolder": subfolder, "type": "output"})
                job.step(1)
        empty = () if masks is None else nothing_left(masks)
        told = tell("Save Cut-out (RMBG)", [*empty, *warnings, *trouble], empty)
        return io.NodeOutput(ui={"images": saved, **told})


def _ready(picture: Tensor, mask: Tensor | None, kind: _Kind, color: str, name: str) -> Tensor:
    """Bring (H, W, C) and a mask (H, W) to what the file holds: (H, W, 3), or 4 with straight
    alpha."""
    colours, own, _ = split_pixels(picture, name)
    alpha = own if mask is None else mask.float()
    if alpha is None:
        return colours
    cut = colours.new_empty((*alpha.shape, 4))
    cut[..., :3], cut[..., 3] = colours, alpha
    if own is None:
        # What was behind the subject does not stay in the file under alpha 0.
        cut = cutout(colours[None], alpha[None], decontaminate=0.0)[0]
    if kind.format != "jpeg":
        return cut
    backdrop = background_colour(color)
    if backdrop is None:
        raise BadOption("A JPEG has no transparency. Choose a color to put the cut-out on, or png.")
    return compose(cut[None], None, backdrop, CompositeOptions())[0][0]


def _said(report: str | None, source_type: str, count: int) -> list[Provenance | None]:
    """Say what each of `count` files says of itself.

    A picture that failed and was passed through says nothing; one that was left out has no file.
    """
    if not report:
        return [None] * count
    own = read_settings().weights
    said = [
        provenance_of(row, own, source_type=source_type)
        if row.get("outcome") == "delivered"
        else None
        for row in _rows(report)
        if row.get("on_failure") != "leave out"
    ]
    if len(said) != count:
        raise BadOption(
            f"The report speaks of {len(said)} pictures, and {count} are to be saved. Connect the "
            "report of the Remove Background (RMBG) that made this batch, or none."
        )
    return said


def _rows(report: str) -> Sequence[dict[str, JsonValue]]:
    """Read the last line of a report: one object for each picture."""
    try:
        rows = json.loads(report.strip().rpartition("\n")[2])
    except (ValueError, RecursionError):
        rows = None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadOption(
            "The report is not one of Remove Background (RMBG): its last line must be JSON. "
            "Connect its report output, or nothing."
        )
    return cast("list[dict[str, JsonValue]]", rows)
