"""The files of Save Cut-out (RMBG): what stands in them, and where they are put."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from torch import Tensor

from ..config.settings import read_settings
from ..core.checks import common_batch, split_pixels
from ..core.colour import background_colour
from ..core.composite import CompositeOptions, compose
from ..core.cutout import cutout
from ..core.errors import BadOption
from ..core.report import JsonValue
from ..pictures.formats import Depth, FormatId
from ..pictures.metadata import NOTHING, with_workflow
from ..pictures.provenance import ALTERED, GENERATED, Provenance, provenance_of
from ..pictures.write import encode, write_atomic
from ..pipeline.collect import name_of
from ..pipeline.context import open_user_records
from .comfy_host import comfy_job, save_place
from .tensors import check_batch, fit_masks, nothing_left, pick

if TYPE_CHECKING:
    from .save_node import FileKind, Source

#: A saved file as the frontend looks for it.
Saved: TypeAlias = "dict[str, str]"


@dataclass(frozen=True)
class _Kind:
    """One entry of the menu `format`."""

    format: FormatId
    suffix: str
    depth: Depth = 8


_KINDS: dict[FileKind, _Kind] = {
    "png": _Kind("png", "png"),
    "png 16 bit": _Kind("png", "png", 16),
    "webp": _Kind("webp", "webp"),
    "jpeg": _Kind("jpeg", "jpg"),
}
_SOURCE_TYPES: dict[Source, str] = {
    "not stated": "",
    "photograph": ALTERED,
    "generated": GENERATED,
}


def save_pictures(
    image: Tensor,
    mask: Tensor | None,
    report: str | None,
    *,
    prefix: str,
    kind: FileKind,
    color: str,
    source: Source,
    workflow: Mapping[str, str],
) -> tuple[list[Saved], list[str], Sequence[str]]:
    """Write each picture of a batch into ComfyUI's output folder; return the files, warnings with
    the worst first, and those that make a file useless.

    Raises BadOption for a report of other pictures, and for a colour that a JPEG cannot have.
    """
    check_batch(image, "image")
    height, width = image.shape[1:3]
    sizes = {"image": len(image)}
    fitted, warnings = fit_masks(image, {"mask": mask})
    masks = fitted.get("mask")
    if masks is not None:
        sizes["mask"] = len(masks)
    count = common_batch(sizes)
    said = _said(report, _SOURCE_TYPES[source], count)
    made = _KINDS[kind]
    folder, name, counter, subfolder = save_place(prefix, width, height)
    saved: list[Saved] = []
    trouble: list[str] = []
    files = open_user_records().files
    with comfy_job(count) as job:
        for index in range(count):
            job.check()
            alpha = None if masks is None else pick(masks, index)[0]
            ready = _ready(pick(image, index)[0], alpha, made, color, name_of(index, count))
            about = said[index]
            data = encode(
                ready,
                made.format,
                depth=made.depth,
                metadata=with_workflow(about.metadata() if about else NOTHING, workflow),
            )
            stem = name.replace("%batch_num%", str(index))
            file = f"{stem}_{counter + index:05}_.{made.suffix}"
            write_atomic(folder / file, data)
            if about:
                trouble += files.note(about.receipt or None, {"image": data})
            saved.append({"filename": file, "subfolder": subfolder, "type": "output"})
            job.step(1)
    empty = () if masks is None else nothing_left(masks)
    return saved, [*empty, *warnings, *trouble], empty


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
