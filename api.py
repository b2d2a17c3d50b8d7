"""The Python interface: the functions that the package exports, on whatever form pictures have.

ComfyUI-layout tensors (IMAGE (B, H, W, C), MASK (B, H, W), float, 0..1, mask 1 = subject, straight
alpha), a single picture without the batch axis, PIL images and numpy arrays are all taken, and the
same kind comes back.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections import namedtuple
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .core import alpha as _alpha
from .core import colour as _colour
from .core import composite as _composite
from .core import cutout as _cutout
from .core import finish as _finish
from .core.layers import Blend
from .core.money import read_amount
from .core.placement import Anchor, Fit
from .core.report import FailureReport, OnFailure, Report, check_on_failure
from .core.specs import OptionValue
from .core.stop import StopSwitch
from .core.subject import for_each
from .core.types import Backend, Job, Usage
from .pictures.in_memory import InMemory, Kind, Returned, like, to_images, to_masks
from .pipeline.collect import remove_batches
from .pipeline.finishing import Finishing
from .pipeline.gate import is_video_model, open_video_model
from .pipeline.gate import open_backend as _open_backend

#: A picture's kind: what goes in comes out. (A list comes out of a single PIL image when several
#: results are made of it.)
T = TypeVar("T", Tensor, "NDArray[np.generic]", Image.Image, "list[Image.Image]")

if TYPE_CHECKING:

    class Result(NamedTuple, Generic[T]):
        """What `remove_background` returns, in the kind and dtype of the picture."""

        image: T
        """The cut-out, RGBA with straight alpha, or RGB on a colour."""
        mask: T
        """1 = subject."""
        reports: tuple[Report | FailureReport, ...]
        """One for each picture, a FailureReport for one that failed, left out or passed through."""

else:
    # Python 3.10 cannot make a generic NamedTuple; type checkers can.
    Result = namedtuple("Result", ("image", "mask", "reports"))


def open_backend(id: str, *, usage: Usage | None = None, **options: OptionValue) -> Backend:
    """Open a backend: "keyer", "local/rmbg-2.0", "bria/rmbg-2.0", ..., or a provider alone.

    usage: "commercial" or "non-commercial" (the default); the backend keeps it for every use.
    RMBG_USAGE and RMBG_BACKEND override.
    options: the backend's own, as `rmbg backends` lists them. Close it when done: `close()`.

    Raises LicenceRefused, Offline, BackendUnknown, BackendMissing, KeyMissing or BadOption.
    """
    opener = open_video_model if is_video_model(id) else _open_backend
    return opener(id, usage=usage, options=options)


def remove_background(
    image: T,
    backend: Backend | str,
    *,
    usage: Usage | None = None,
    refine: bool = False,
    decontaminate: float = 1.0,
    background: str = "transparent",
    on_failure: OnFailure = "stop",
    max_cost: float | Decimal | None = None,
    job: Job | None = None,
    subject: InMemory | None = None,
    solid: bool = False,
) -> Result[T]:
    """Cut the subject out of one picture or of a batch.

    image: (B, H, W, C) or (H, W, C) float in 0..1 with C = 1, 3 or 4; a PIL image or a list of them
    of one size; or a uint8, uint16, bool or float array. An alpha is multiplied with the mask.
    backend: from `open_backend`, or an id. refine: draw the edge of a local model's mask,
    and of an upsampled one, by the picture's colours. decontaminate: 0..1, how far the old
    background's colour leaves the edge; opaque pixels never change, but that the keyer takes the
    light of a green or blue screen out of them. background: "transparent" or a colour.
    on_failure: when pictures of a batch fail, the others are finished first; then "stop" raises one
    error that names the failed ones, "leave out" returns fewer pictures, "pass through" keeps them
    as they were, opaque. max_cost: USD that this call may cost with a hosted backend; None = no
    limit, 0 = only what was paid for earlier. job: progress and Cancel. subject: a rough mask of
    what is meant, one for all pictures or one for each: of all that the backend finds only that is
    kept; the backend "edges" cuts out along it. solid: make opaque what is see-through deep inside
    the subject where the picture shows no background.

    Without options the mask is the backend's alpha, only brought to the picture's size.
    Raises PictureError, LicenceRefused, Offline, OverBudget, Cancelled or BadOption.
    """
    check_on_failure(on_failure)
    limit = None if max_cost is None else read_amount(max_cost)
    images, kind = to_images(image)
    finishing = Finishing(refine, decontaminate, _colour.background_colour(background), solid=solid)
    opened = open_backend(backend, usage=usage) if isinstance(backend, str) else backend
    try:
        (made,) = remove_batches(
            [images],
            "picture",
            opened,
            finishing,
            on_failure,
            usage=usage,
            job=job,
            max_cost=limit,
            subjects=_subjects(images, subject),
        )
    finally:
        if opened is not backend:
            opened.close()
    return Result(cast("T", like(kind, made.image)), cast("T", like(kind, made.mask)), made.reports)


async def remove_background_async(
    image: T,
    backend: Backend | str,
    *,
    usage: Usage | None = None,
    refine: bool = False,
    decontaminate: float = 1.0,
    background: str = "transparent",
    on_failure: OnFailure = "stop",
    max_cost: float | Decimal | None = None,
    subject: InMemory | None = None,
    solid: bool = False,
) -> Result[T]:
    """Run `remove_background` in a thread for asyncio; cancelling the task cancels the run.

    A cancelled run has ended before the CancelledError is raised.
    """
    stop = StopSwitch("Stopped: the task was cancelled.")
    work = asyncio.ensure_future(
        asyncio.to_thread(
            remove_background,
            image,
            backend,
            usage=usage,
            refine=refine,
            decontaminate=decontaminate,
            background=background,
            on_failure=on_failure,
            max_cost=max_cost,
            job=stop,
            subject=subject,
            solid=solid,
        )
    )
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.pressed.set()
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # taken note of, or asyncio would print it
        raise


def cutout(
    image: T, mask: InMemory, *, decontaminate: float = 1.0, background: str = "transparent"
) -> T:
    """Cut a picture out with a mask: (B, H, W, 4) straight alpha, or (B, H, W, 3) on a colour.

    mask: any size and kind; replaces the picture's own alpha. Other proportions are stretched, with
    a warning in the log. One mask goes with any number of pictures, and the other way round.
    decontaminate: see `remove_background`. The result has the picture's kind. Raises BadPicture or
    BadOption.
    """
    images, kind = to_images(image)
    masks = _alpha.match_mask(
        _mask_of(images, mask).to(images.device), images.shape[1], images.shape[2], len(images)
    )
    colours = images[..., :3].expand(len(masks), -1, -1, 3)
    result = _cutout.cutout(
        colours,
        masks,
        decontaminate=decontaminate,
        background=_colour.background_colour(background),
    )
    return cast("T", _returned(kind, result))


def upsample_mask(mask: T, image: InMemory, *, refine: bool = True) -> T:
    """Bring a mask to a picture's size: (B, H, W), refined by the picture's colours.

    mask: (b, h, w) in 0..1. image: (B, H, W, C). One of them may be single. refine=False is the
    plain way, bicubic on logits. The result has the mask's kind. Raises BadPicture or BadOption.
    """
    masks, kind = to_masks(mask)
    images, _ = to_images(image)
    result = _finish.upsample_mask(masks, images.to(masks.device), refine=refine)
    return cast("T", _returned(kind, result))


def composite(
    foreground: T,
    mask: InMemory | None,
    background: InMemory | str | Sequence[float],
    *,
    fit: Fit = "none",
    anchor: Anchor = "center",
    offset: tuple[int, int] = (0, 0),
    scale: float = 1.0,
    margin: float = 0.05,
    opacity: float = 1.0,
    blend: Blend = "srgb",
    shadow: float = 0.0,
) -> T:
    """Put a foreground on a colour or on a picture: (B, H, W, 3), or 4 if the background has alpha.

    foreground: RGBA, or RGB with a mask; the mask replaces its alpha, None keeps it. background: a
    picture, or a colour ("white", "#ff8800", (1.0, 0.5, 0.0)) on a canvas of the foreground's size.
    fit: none, contain, cover, stretch, or subject (cropped to the subject, inside `margin`).
    offset: (x, y) pixels from the anchor, of any sign. blend: "srgb" or "linear" light. shadow: the
    strength of a soft contact shadow. One picture goes with any number, on either side. The result
    has the foreground's kind. Raises BadPicture or BadOption.
    """
    images, kind = to_images(foreground, "foreground")
    options = _composite.CompositeOptions(
        fit, anchor, offset, scale, margin, opacity, blend, shadow
    )
    masks = None if mask is None else _mask_of(images, mask)
    result, _ = _composite.compose(images, masks, _backdrop(background), options)
    return cast("T", _returned(kind, result))


def _mask_of(images: Tensor, mask: InMemory) -> Tensor:
    """Convert a mask in memory to (B, h, w); one whose proportions are not the picture's is
    logged."""
    masks, _ = to_masks(mask)
    if said := _alpha.stretching(masks, images.shape[1], images.shape[2]):
        logging.getLogger("rmbg_nodes").warning("%s", said)
    return masks


def _subjects(images: Tensor, subject: InMemory | None) -> Sequence[Tensor]:
    """Return what is meant in each picture of a batch; nothing where no mask says it."""
    if subject is None:
        return ()
    return for_each(_mask_of(images, subject), len(images))


def _backdrop(background: InMemory | str | Sequence[float]) -> Tensor | str | Sequence[float]:
    if isinstance(background, str):
        return background
    if isinstance(background, Sequence):
        numbers = [float(value) for value in background if isinstance(value, Real)]
        if len(numbers) == len(background):
            return numbers
    return to_images(cast("InMemory", background), "background")[0]


def _returned(kind: Kind, values: Tensor) -> Returned:
    """Return results in the form that was given; several results of a single picture come as a
    batch."""
    return like(dataclasses.replace(kind, batched=kind.batched or len(values) > 1), values)
