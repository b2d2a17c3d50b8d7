"""From a picture to the files of its result, as the recipe has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..catalogue.licences import OwnWeights
from ..config.settings import Settings
from ..core.errors import BadOption, BadPicture, PictureError
from ..core.inspect import doubt_in
from ..core.placement import Size
from ..core.report import kinds_of
from ..pictures.formats import Depth, depth_in
from ..pictures.places import Places
from ..pictures.read import Picture, read_picture
from ..pictures.srgb import OTHER_COLOURS
from ..pictures.write import check_size, is_full, write_atomic
from ..pipeline.context import open_user_records
from ..pipeline.finishing import Done
from ..pipeline.hand_over import Encoding, deliver, encode_result
from ..pipeline.inputs import Failed, Loaded
from ..records.delivered import Part
from .recipe.model import Recipe
from .recipe.placing import check_fits
from .result import Landed, not_landed
from .sources.items import Item
from .state.progress import State


class NoPlace(PictureError):
    """One picture's BadOption: not the picture's fault, and the next run looks again."""


def check_place(item: Item, dest: Path, places: Places) -> None:
    """Raise NoPlace where the files of a picture cannot be written: before it costs anything."""
    paths = [dest / target for target in (item.target, item.mask) if target is not None]
    if trouble := item.trouble or next(filter(None, map(places.trouble, paths)), ""):
        raise NoPlace(trouble)


def load(content: Path | bytes, name: str, recipe: Recipe) -> Loaded:
    """Read a picture for the pipeline. Raises PictureError for one that cannot be used."""
    return take(read_picture(content, name=name, max_megapixels=recipe.max_megapixels), recipe)


def take(picture: Picture, recipe: Recipe) -> Loaded:
    """Return what goes to the pipeline of a picture, (H, W, 3 | 4).

    Raises BadPicture for one that the recipe could make nothing of, before it costs anything.
    """
    if picture.icc_profile and not recipe.transparent:
        raise BadPicture(OTHER_COLOURS.format(name=picture.name))
    size, canvas = Size(*picture.pixels.shape[:2]), recipe.canvas
    channels = 4 if recipe.transparent else 3
    try:
        if canvas is None or canvas.size == "source":
            bytes_each = channels * _encoding(recipe, picture.depth).depth // 8
            check_size(recipe.output.row, size.width, size.height, bytes_each)
        if canvas is not None and canvas.fit != "subject":
            check_fits(size, canvas, picture.name)
    except BadOption as error:
        raise BadPicture(f"{picture.name}: {error}") from error
    return Loaded(picture.image, picture.warnings, picture.origin)


def produce(
    done: Done, recipe: Recipe, weights: Mapping[str, OwnWeights] | None = None
) -> dict[Part, bytes]:
    """Return the files of one picture, from what the pipeline made of it with `open_treatment`.

    weights: the settings' own, for the provenance. Pure, and may be called by several threads.
    Raises BadPicture for a picture that the format cannot hold.
    """
    encodings: dict[Part, Encoding] = {"image": _encoding(recipe, done.origin.depth)}
    if recipe.output.mask:
        encodings["mask"] = Encoding("png", encodings["image"].depth)
    silent = not recipe.output.provenance
    try:
        return encode_result(done, encodings, weights or {}, silent=silent)
    except BadOption as error:  # a picture that is too large for the format; the others go on
        raise BadPicture(f"{done.name}: {error}") from error


def land(
    item: Item, result: Done | Failed, dest: Path, recipe: Recipe, settings: Settings
) -> Landed:
    """Write the files of one picture, each as a whole or not at all."""
    targets: dict[Part, str] = {"image": item.target}
    if item.mask is not None:
        targets["mask"] = item.mask

    def encoded(done: Done) -> dict[Part, bytes]:
        made = produce(done, recipe, settings.weights)
        return {part: data for part, data in made.items() if part in targets}

    def write(part: Part, data: bytes, lasting: bool) -> None:
        write_atomic(dest / targets[part], data, lasting=lasting)

    end = deliver(result, encoded, write, open_user_records(settings).files)
    if isinstance(result, Failed):
        error, cost = result.failure.error, result.failure.cost
        # The same as what is found out while writing.
        told = BadOption(str(error)) if isinstance(error, NoPlace) else error
        return not_landed(item.key, told, result.receipt, cost)
    report = result.report
    if end.error is not None:
        full = is_full(end.error)
        return not_landed(item.key, end.error, report.receipt, report.facts.cost, full=full)
    warnings = (*report.warnings, *end.trouble)
    return Landed(
        item.key,
        written={targets[part]: len(data) for part, data in end.files.items()},
        seconds=report.facts.seconds,
        cost=report.facts.cost,
        receipt=report.receipt,
        warnings=warnings,
        kinds=kinds_of(warnings),
        doubt=doubt_in(report.flags),
    )


def noted(state: State, end: Landed) -> Landed:
    """Note the end of one picture in the state.

    Where that has no room, nothing more can be done in this DEST, and what was paid is told all the
    same.
    """
    try:
        state.note(end)
    except BadOption as error:
        return not_landed(end.key, error, end.receipt, end.cost, full=True)
    return end


def _encoding(recipe: Recipe, depth: Depth) -> Encoding:
    output = recipe.output
    kept = depth_in(output.row.id, depth) if output.depth == "source" else output.depth
    return Encoding(output.format, kept, output.quality, output.effort)
