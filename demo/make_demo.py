"""The demo: real cut-outs with what this machine has, and how good they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..config.host import PlainHost
from ..config.settings import Settings
from ..core.composite import CompositeOptions, compose
from ..core.metrics import iou, mean_absolute_error
from ..core.types import Backend
from ..pictures.read import read_picture
from ..pictures.results import CUTOUT, MASK, signature
from ..pictures.write import encode, write_atomic
from ..pipeline.finishing import Done, Finishing
from ..pipeline.gate import OpenBackend, open_backend
from ..pipeline.inputs import Failed, Input, Loaded
from ..pipeline.readiness import ready_model
from ..pipeline.remove import remove
from .photos import Photo, find_photos
from .product import STUDIOS, Studio, product_shot
from .sheet import Row, contact_sheet

PRODUCT_SIDE = 1024
_NO_MODEL = (
    "No photographs: the keyer is for plain backdrops, and no model is ready here. To get one: "
    "rmbg weights get birefnet (444 MB, MIT licence). Or use a hosted one, which is paid by "
    "picture: rmbg keys set fal, then rmbg demo --backend fal."
)


@dataclass(frozen=True)
class Made:
    """One picture of the demo."""

    name: str
    words: str
    """What was done and how good it is."""
    image: Tensor
    done: Done


def run_demo(folder: Path, backend_id: str | None = None) -> Iterator[str]:
    """Cut out product shots with known truth, and photographs; yield what to tell the user.

    backend_id: what cuts out the photographs; None = the first local model whose weights are here.
    Writes for each picture the input, the cut-out, the mask and a composite, and one contact sheet.
    Raises what that backend refuses.
    """
    model = backend_id or ready_model(PlainHost())
    photographer = open_backend(model) if model else None
    made = []
    for studio in STUDIOS:
        made.append(_product(studio))
        yield f"{made[-1].name}: {made[-1].words}"
    if photographer is None:
        yield _NO_MODEL
    else:
        for photo in find_photos():
            made.append(_photograph(photo, photographer))
            yield f"{photo.name}: {made[-1].words}"
        photographer.close()
    for one in made:
        _write(folder, one)
    sheet = contact_sheet(
        "rmbg demo", [Row(one.name, one.words, one.image, one.done.image) for one in made]
    )
    write_atomic(folder / "contact-sheet.png", encode(sheet, "png", metadata=signature()))
    yield f"Written to {folder.resolve()}; look at {(folder / 'contact-sheet.png').resolve()}"


def _product(studio: Studio) -> Made:
    scene = product_shot((PRODUCT_SIDE, PRODUCT_SIDE), studio)
    image, truth = torch.from_numpy(scene.image), torch.from_numpy(scene.alpha)
    done = cut_out(studio.name, image, open_backend("keyer"))
    band = (truth > 0) & (truth < 1)
    edge = float((done.mask - truth).abs()[band].mean())
    words = (
        f"keyer; against the true alpha: IoU {iou(done.mask, truth):.3f}, mean error "
        f"{mean_absolute_error(done.mask, truth):.4f}, in the soft edge {edge:.3f}; "
        f"{done.report.facts.seconds:.2f} s"
    )
    return Made(studio.name, words, image, done)


def _photograph(photo: Photo, backend: OpenBackend) -> Made:
    image = read_picture(photo.path, name=photo.name).pixels
    done = cut_out(photo.name, image, backend)
    facts = done.report.facts
    words = f"{facts.backend}; {facts.seconds:.2f} s ({photo.credit})"
    return Made(photo.name, words, image, done)


def cut_out(
    name: str,
    image: Tensor,
    backend: Backend,
    settings: Settings | None = None,
    subject: Tensor | None = None,
) -> Done:
    """Run one picture (H, W, C) through a backend, as the command line does by default.

    subject: (H, W), what is meant, or None. Raises the PictureError of a picture that failed.
    """
    item = Input(0, name, lambda: Loaded(image.clone(), subject=subject))
    (result,) = remove([item], backend, Finishing(refine=True, solid=True), settings=settings)
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
