"""The demo: real cut-outs on a machine with neither weights nor keys, and how good they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.composite import CompositeOptions, compose
from ..core.errors import NoPlainBackdrop
from ..pictures.read import read_picture
from ..pictures.results import CUTOUT, MASK, signature
from ..pictures.write import encode, write_atomic
from ..pipeline.finishing import Done, Finishing
from ..pipeline.gate import open_backend
from ..pipeline.inputs import Failed, Input
from ..pipeline.remove import remove
from .photos import Photo, find_photos
from .product import product_shot
from .sheet import Row, contact_sheet

PRODUCT_SIDE = 1024


@dataclass(frozen=True)
class Made:
    """One picture of the demo. words: what was done and how good it is."""

    name: str
    words: str
    image: Tensor
    done: Done


def run_demo(folder: Path) -> Iterator[str]:
    """Cut out a product shot with known truth and some photographs; yield what to tell the user.

    Writes for each picture the input, the cut-out, the mask and a composite, and one contact sheet.
    """
    made = [_product()]
    yield f"{made[0].name}: {made[0].words}"
    photos = find_photos()
    if not photos:
        yield "No photographs: install scikit-image for them (pip install scikit-image)."
    for photo, path in photos:
        made.append(_photograph(photo, path))
        yield f"{photo.name}: {made[-1].words}"
    for one in made:
        _write(folder, one)
    sheet = contact_sheet(
        "rmbg demo: no weights, no key",
        [Row(one.name, one.words, one.image, one.done.image) for one in made],
    )
    pixels = torch.from_numpy(np.asarray(sheet, np.float32) / 255)
    write_atomic(folder / "contact-sheet.png", encode(pixels, "png", metadata=signature()))
    yield f"Written to {folder.resolve()}; look at {(folder / 'contact-sheet.png').resolve()}"


def _product() -> Made:
    scene = product_shot((PRODUCT_SIDE, PRODUCT_SIDE))
    image, truth = torch.from_numpy(scene.image), torch.from_numpy(scene.alpha)
    done = _cut("product shot", image, "plain")
    error = float((done.mask - truth).abs().mean())
    band = (truth > 0) & (truth < 1)
    edge = float((done.mask - truth).abs()[band].mean())
    both = ((done.mask > 0.5) & (truth > 0.5)).sum()
    either = ((done.mask > 0.5) | (truth > 0.5)).sum()
    words = (
        f"keyer; against the true alpha: IoU {float(both / either):.3f}, mean error {error:.4f}, "
        f"in the soft edge {edge:.3f}; {done.report.facts.seconds:.2f} s"
    )
    return Made("product shot", words, image, done)


def _photograph(photo: Photo, path: Path) -> Made:
    image = read_picture(path, name=photo.name).pixels
    try:
        done = _cut(photo.name, image, "plain")
        how = "keyer, plain backdrop"
    except NoPlainBackdrop:
        done = _cut(photo.name, image, "preview")
        how = "no plain backdrop, so only a preview"
    words = f"{how}; {photo.remark}; {done.report.facts.seconds:.2f} s ({photo.credit})"
    return Made(photo.name, words, image, done)


def _cut(name: str, image: Tensor, mode: str) -> Done:
    backend = open_backend("keyer", options={"mode": mode})
    item = Input(0, name, partial(image.clone))
    (result,) = remove([item], backend, Finishing(refine=True))
    if isinstance(result, Failed):
        raise result.failure.error
    return result


def _write(folder: Path, one: Made) -> None:
    stem = one.name.replace(" ", "-")
    composed, _ = compose(one.done.image[None], None, "#f2c14e", CompositeOptions())
    write_atomic(folder / f"{stem}.png", encode(one.image, "png"))
    for suffix, picture in {
        CUTOUT: one.done.image,
        MASK: one.done.mask[..., None],
        "-composite": composed[0],
    }.items():
        data = encode(picture, "png", metadata=signature())
        write_atomic(folder / f"{stem}{suffix}.png", data)
