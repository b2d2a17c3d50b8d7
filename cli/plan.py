"""What `rmbg remove` is going to read and write, decided before anything is done or paid."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.digest import pixel_digests
from ..core.errors import BadOption, BadPicture, PictureError
from ..pictures.find_pictures import is_pattern, split_pattern
from ..pictures.formats import by_suffix, depth_in
from ..pictures.places import Places, output_paths
from ..pictures.read import Picture, read_picture
from ..pictures.results import BY_NAME, IN_FILE, MASK
from ..pictures.sources import Source, expand, none_found
from ..pictures.unread import Unreads, say_unread
from ..pictures.web import Fetch
from ..pictures.write import check_size
from ..pipeline.context import open_user_records
from ..pipeline.inputs import Loaded
from .shared import STDOUT, check_colours, say_passed_over


@dataclass(frozen=True)
class Plan:
    """One picture."""

    source: Source
    output: Path | None
    """None is standard output."""
    mask: Path | None
    """None writes none."""


@dataclass(frozen=True)
class Plans:
    """All pictures that were found."""

    made: Sequence[Plan]
    left_out: Sequence[Source]
    """Results of earlier runs, and pictures of kinds that are not read."""


def make_plans(
    inputs: Sequence[str],
    *,
    output: str | None,
    mask: str | None,
    suffix: str,
    opaque: bool,
    recursive: bool,
    silent: bool = False,
    fetch: bool = False,
) -> Plans:
    """Make a plan for every source, those with a reason included.

    opaque: the results have no alpha, so JPEG can hold them. silent: they will not say in the file
    what they are. Raises BadOption for an argument that leads nowhere, for what could only fail
    later (one file for many pictures, transparency in a JPEG, one name for two results), and where
    folders and patterns hold nothing to cut out.
    """
    found = expand(inputs, recursive=recursive, results=False, fetch=fetch)
    astray = [source.reason for source in found if source.reason and not source.found]
    if astray:
        raise BadOption(" ".join([*astray, "Nothing was done."]))
    sources = [source for source in found if not (source.passed_over or source.unread)]
    left_out = [source for source in found if source.passed_over or source.unread]
    if not sources or none_found(sources):
        said = [source.reason for source in sources if source.reason]
        raise BadOption(" ".join(["There is nothing to cut out.", *said, *say_left_out(left_out)]))
    kept = _not_to_replace([one for one in left_out if one.passed_over], silent=silent)
    if output == STDOUT:
        if len(sources) != 1:
            raise BadOption(f"{len(sources)} pictures do not fit on one standard output.")
        outputs: list[Path | None] = [None]
    else:
        folders = [_base(argument) for argument in inputs]
        outputs = output_paths(sources, output, suffix, avoid=kept, silent=silent, beside=folders)
    masks = _mask_paths(sources, mask, [*kept, *filter(None, outputs)])
    for path in outputs:
        row = by_suffix(path) if path is not None else None
        if row is not None and 4 not in row.channels and not opaque:
            raise BadOption(
                f"{path} cannot hold transparency. Name a .png file, or choose a --background."
            )
    made = [Plan(*plan) for plan in zip(sources, outputs, masks, strict=True)]
    return Plans(made, left_out)


def say_left_out(sources: Sequence[Source]) -> list[str]:
    """Say which pictures are left out, and why: a sentence for results and one for kinds that are
    not read, where there are any."""
    results = [(one.name, one.passed_over) for one in sources if one.passed_over]
    unread = Unreads((one.name, one.unread) for one in sources if one.unread)
    said = [say_passed_over(results, len(results))] if results else []
    return [*said, *filter(None, [say_unread(unread.kinds())])]


def with_places(plans: Sequence[Plan], *, trying: bool) -> list[Plan]:
    """Return the plans, those whose files cannot be written with the reason: before the first
    picture, because a result without a place may have been paid for. trying: see `Places`.

    Raises BadOption where no picture is left.
    """
    places = Places(trying=trying)
    looked = [_with_place(plan, places) for plan in plans]
    reasons = [
        after.source.reason
        for before, after in zip(plans, looked, strict=True)
        if before.source.reason is None and after.source.reason is not None
    ]
    if reasons and all(plan.source.reason is not None for plan in looked):
        raise BadOption(reasons[0])
    return looked


def _with_place(plan: Plan, places: Places) -> Plan:
    if plan.source.reason is not None:
        return plan
    paths = [path for path in (plan.output, plan.mask) if path]
    reason = next(filter(None, map(places.trouble, paths)), None)
    return replace(plan, source=replace(plan.source, reason=reason)) if reason else plan


def check_held(plan: Plan, picture: Picture, *, opaque: bool, only_mask: bool) -> None:
    """Raise BadPicture where the files of a plan cannot hold this picture's result."""
    if opaque and not only_mask:
        check_colours(picture)
    height, width, _ = picture.pixels.shape
    channels = 1 if only_mask else 3 if opaque else 4
    for path, count in ((plan.output, channels), (plan.mask, 1)):
        row = by_suffix(path) if path else None
        if row is None:
            continue
        depth = depth_in(row.id, picture.depth)
        try:
            check_size(row, width, height, count * depth // 8)
        except BadOption as error:
            raise BadPicture(f"{picture.name}: {error}") from error


def load(
    plan: Plan, max_megapixels: float, check: Callable[[Plan, Picture], None], fetch: Fetch | None
) -> Loaded:
    """Read the picture of a plan, by `fetch` where it lies at an address.

    Raises PictureError for one that cannot be used.
    """
    picture = read_picture(
        plan.source.content(fetch), name=plan.source.name, max_megapixels=max_megapixels
    )
    check(plan, picture)
    return Loaded(picture.image, picture.warnings, picture.origin)


def _not_to_replace(results: Sequence[Source], *, silent: bool) -> list[Path]:
    """Return those of the results that were found which may be a user's own pictures: nothing but
    their name or folder speaks for this package.

    silent: the new results will not say in the file what they are, so that of earlier ones the
    receipts have to; of a JPEG, whose pixels are not those of its receipt, the name is enough.
    """
    return [
        one.path
        for one in results
        if one.path is not None
        and one.passed_over != IN_FILE
        and not (silent and one.passed_over == BY_NAME and _is_known(one.path))
    ]


def _is_known(path: Path) -> bool:
    row = by_suffix(path)
    if row is not None and row.id == "jpeg":
        return True
    try:
        picture = read_picture(path, name=str(path))
        found = pixel_digests(picture.image, deep=picture.depth == 16)
        receipts = open_user_records().receipts
        return any(receipts.matching(one) for one in (found.levels8, found.levels16) if one)
    except (PictureError, sqlite3.Error):
        return False


def _base(argument: str) -> Path:
    """Return the folder that an argument looks into: itself, or what comes before a wildcard."""
    return split_pattern(argument)[0] if is_pattern(argument) else Path(argument)


def _mask_paths(
    sources: Sequence[Source], mask: str | None, avoid: Sequence[Path]
) -> list[Path | None]:
    if mask is None:
        return [None] * len(sources)
    if mask == STDOUT:
        raise BadOption("The mask cannot go to standard output; use --only-mask -o - for that.")
    return output_paths(sources, mask, mark=MASK, avoid=avoid)
