"""What a recipe makes of a cut-out before its receipt is written: set on its canvas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...core.errors import BadOption, BadPicture
from ...core.inspect import softness
from ...core.layers import SUBJECT_LEVEL, subject_box
from ...core.report import JsonValue
from ...pipeline.finishing import Done, Finishing, Part
from .canvas import Canvas
from .model import Recipe
from .placing import Backdrop, no_subject, on_canvas, open_backdrop

# Beyond the subject's box: what lies around it tells which colours at its border are its own.
_AROUND = 32


def open_treatment(recipe: Recipe) -> Finishing:
    """Return what the pipeline does with every picture of a batch.

    A colour that takes no canvas is put behind the subject by the cut-out itself, where it costs
    least. Raises BadOption for a background picture that cannot be used.
    """
    behind = None if recipe.canvas else recipe.colour
    arranged = Arranged(recipe, open_backdrop(recipe), recipe.digest())
    return Finishing(recipe.refine, recipe.decontaminate, behind, arranged, recipe.solid)


@dataclass(frozen=True)
class Arranged:
    """The post-process of a batch; see `finishing.PostProcess`."""

    recipe: Recipe
    backdrop: Backdrop | None
    digest: str
    """The recipe's."""

    @property
    def opaque(self) -> bool:
        """Return whether there is a background."""
        return not self.recipe.transparent

    def data(self) -> Mapping[str, JsonValue]:
        """Return what receipts say of it."""
        return {"recipe_sha256": self.digest}

    def part(self, alpha: Tensor) -> Part:
        """Return the part that is needed: of a subject that is moved, what is around it."""
        height, width = alpha.shape
        canvas = self.recipe.canvas
        moved = canvas is not None and canvas.fit == "subject" and canvas.size != "source"
        box = subject_box(alpha) if moved else None
        if box is None:
            return slice(0, height), slice(0, width)
        return (
            slice(max(box.top - _AROUND, 0), min(box.top + box.height + _AROUND, height)),
            slice(max(box.left - _AROUND, 0), min(box.left + box.width + _AROUND, width)),
        )

    @torch.no_grad()
    def __call__(self, done: Done) -> Done:
        """Set a cut-out on its canvas.

        Raises BadPicture for a picture without a subject, and for one that the canvas cannot hold.
        """
        if not bool((done.mask > SUBJECT_LEVEL).any()):
            raise no_subject(done.name)
        stands = self.recipe.transparent or done.image.shape[-1] == 3
        if self.recipe.canvas is None and self.backdrop is None and stands:
            return done
        canvas = self.recipe.canvas or Canvas(fit="none")
        try:
            placed = on_canvas(done.image, canvas, self.backdrop or self.recipe.colour, done.name)
        except BadOption as error:  # enlarged beyond reason
            raise BadPicture(f"{done.name}: {error}") from error
        report = done.report
        flags = {**report.flags, "enlarged": round(max(placed.enlarged, 1.0), 2)}
        warnings = (*report.warnings, *softness(placed.enlarged))
        report = replace(report, flags=flags, warnings=warnings)
        return replace(done, image=placed.image, mask=placed.coverage, report=report)
