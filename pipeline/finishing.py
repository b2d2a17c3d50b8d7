"""What happens to a backend's matte: brought to the picture's size, and the subject cut out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, cast

import torch
from torch import Tensor

from ..catalogue.licences import LICENCES
from ..core.checks import check_matte, check_share
from ..core.cutout import cutout
from ..core.despill import part_of
from ..core.doubt import Doubt, doubt_of
from ..core.errors import PictureError
from ..core.finish import settle, to_size, upsample_mask
from ..core.inspect import quality_flags
from ..core.report import JsonValue, Report
from ..core.solid import solid_interiors
from ..core.subject import keep_subject
from ..core.types import Facts, Failure, Frame, Job, Matte, Outcome, Usage
from ..pictures.fields import Origin
from .inputs import Failed, Input, Prepared


@dataclass(frozen=True)
class Done:
    """A cut-out; image and mask have the input's dtype and are on its device."""

    index: int
    name: str
    image: Tensor
    """(H, W, 4) straight alpha, or (H, W, 3) on a colour."""
    mask: Tensor
    """(H, W), 1 = subject."""
    report: Report
    origin: Origin = Origin()


SOLID_NOTE = "the model's mask was see-through inside the subject, and was made opaque there"
SUBJECT_NOTE = "only what the subject mask points at was kept"

Part: TypeAlias = tuple[slice, slice]


class PostProcess(Protocol):
    """What is made of a cut-out before it is delivered, and before its receipt is written."""

    @property
    def opaque(self) -> bool:
        """Tell whether it puts every picture on something without holes."""

    def data(self) -> Mapping[str, JsonValue]:
        """Return what the receipt says of it."""

    def part(self, alpha: Tensor) -> Part:
        """Return the rows and columns that it looks at, by the alpha (H, W): no more is cut out."""

    def __call__(self, done: Done) -> Done:
        """Arrange the cut-out of that part. Raises PictureError. Called by any thread."""


@dataclass(frozen=True)
class Finishing:
    """What happens to a matte after the backend."""

    refine: bool = False
    """Draw a local model's edge, and an upsampled one, by the picture's colours; make what is
    nearly 0 or 1 just that."""
    decontaminate: float = 1.0
    """0..1, how far the old background's colour leaves the edge."""
    background: tuple[float, float, float] | None = None
    """An sRGB colour in 0..1, None = transparent."""
    post_process: PostProcess | None = None
    """What comes after that."""
    solid: bool = False
    """Make opaque what lies deep inside the subject and is not see-through."""

    def __post_init__(self) -> None:
        check_share(self.decontaminate, "decontamination")

    def data(self) -> dict[str, JsonValue]:
        """Return what the receipt says of it."""
        return {
            "refine": self.refine,
            "solid": self.solid,
            "decontaminate": self.decontaminate,
            "background": None if self.background is None else [*self.background],
            **(self.post_process.data() if self.post_process else {}),
        }


@torch.no_grad()
def finish(
    picture: Prepared | Input,
    outcome: Outcome,
    finishing: Finishing,
    allowed: tuple[Usage, str],
    job: Job,
) -> Done | Failed:
    """Return the cut-out of one picture, or why there is none.

    picture: an Input where it could not be loaded. allowed: the usage, and why it is allowed.
    """
    if outcome.error is not None or isinstance(picture, Input):
        return Failed(outcome.index, picture.name, cast("Failure", outcome.result))
    matte = cast("Matte", outcome.result)
    try:
        done = _cut_out(picture, matte, finishing, allowed, job)
        return finishing.post_process(done) if finishing.post_process else done
    except PictureError as error:
        lost = Failure(error, matte.facts.request_id, matte.facts.cost)
        return Failed(outcome.index, picture.name, lost)


def _cut_out(
    prepared: Prepared, matte: Matte, finishing: Finishing, allowed: tuple[Usage, str], job: Job
) -> Done:
    frame = prepared.frame
    alpha, facts = alpha_of(prepared, matte, finishing)
    job.check()
    height, width = alpha.shape
    flags = quality_flags(alpha, _signs(matte, frame))
    pixels, extended, screen = frame.pixels, True, matte.screen
    if finishing.post_process:
        extended = not finishing.post_process.opaque
        part = finishing.post_process.part(alpha)
        screen = None if screen is None else part_of(screen, part, (height, width))
        pixels, alpha = pixels[part], alpha[part]
    image = cutout(
        pixels[None],
        alpha[None],
        decontaminate=finishing.decontaminate,
        background=finishing.background,
        extended=extended,
        screen=None if screen is None else screen[None],
    )[0]
    report = Report(
        name=frame.name,
        width=width,
        height=height,
        usage=allowed[0],
        ground=allowed[1],
        licence_name=LICENCES[facts.licence].name,
        facts=facts,
        warnings=(*prepared.warnings, *facts.notes, *flags.warnings),
        flags=flags.data(),
    )
    image, mask = image.to(prepared.dtype), alpha.to(prepared.dtype)
    return Done(frame.index, frame.name, image, mask, report, prepared.origin)


def alpha_of(prepared: Prepared, matte: Matte, finishing: Finishing) -> tuple[Tensor, Facts]:
    """Return the alpha (H, W) of the subject at the picture's size, and the matte's facts with what
    was done to it. Raises PictureError."""
    frame = prepared.frame
    alpha = _at_size(matte, frame, finishing)
    facts = matte.facts
    if finishing.solid:
        before, alpha = alpha, solid_interiors(alpha[None], frame.pixels[None])[0]
        if not torch.equal(alpha, before):
            facts = replace(facts, notes=(*facts.notes, SOLID_NOTE))
    if prepared.subject is not None:
        alpha = keep_subject(alpha[None], prepared.subject[None], frame.pixels[None])[0]
        facts = replace(facts, notes=(*facts.notes, SUBJECT_NOTE))
    return alpha if prepared.alpha is None else alpha * prepared.alpha, facts


def _signs(matte: Matte, frame: Frame) -> Doubt:
    """Judge what the model answered: what finishing makes of it hides how sure it was."""
    alpha = matte.values if matte.kind == "alpha" else matte.values.sigmoid()
    return doubt_of(alpha.clamp(0, 1), frame.pixels)


def _at_size(matte: Matte, frame: Frame, finishing: Finishing) -> Tensor:
    values = check_matte(matte, frame.name).to(frame.pixels.device)[None]
    if finishing.refine:
        # A network draws at its own resolution, even where the picture happens to have the same.
        drawn = bool(matte.facts.architecture)
        picture = frame.pixels[None]
        refined = upsample_mask(values, picture, kind=matte.kind, refine_same_size=drawn)
        return settle(refined[0])
    height, width, _ = frame.pixels.shape
    return to_size(values, matte.kind, height, width)[0]
