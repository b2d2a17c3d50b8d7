"""Every picture of a folder through one network and every way of finishing its mask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ..backends.local.preprocess import ISNET, prepare, stretch
from ..cli.evaluate_command import mask_of
from ..cli.pairs import Pair, make_pairs
from ..core.errors import BadPicture
from ..core.resize import resize_mask
from ..core.specs import OptionValue
from ..core.types import Backend, Frame, Job, Matte
from ..demo.shapes import Array
from ..demo.sheet import Row, contact_sheet
from ..pictures.read import read_picture
from ..pipeline.gate import open_backend
from .real_measure import HEADS, Measured, Plane, cells, edge_band, is_fine, mean, measure
from .real_ways import DEFAULT, Cut, cuts, true_cut

OWN_SIZE = "network's mask, at its own size"
TRUE = "true alpha, our colours"

Answer = Callable[[Tensor], Array]  # picture (H, W, 3) -> alpha (h, w) of a network


@dataclass(frozen=True)
class Photograph:
    """One picture with its truth; `foreground` is None where the true colours are not known."""

    name: str
    image: Tensor
    truth: Tensor
    foreground: Array | None
    band: Plane
    """Where its truth has an edge."""

    def measured(self, cut: Cut) -> Measured:
        return measure(cut.alpha, self.truth.numpy(), self.band, cut.colour, self.foreground)


@dataclass(frozen=True)
class Judged:
    """One picture's default cut-out and its measures, for the sheet."""

    name: str
    image: Tensor
    cut: Cut
    measured: Measured


@dataclass
class Run:
    """What was measured."""

    rows: dict[str, list[Measured]] = field(default_factory=lambda: defaultdict(list))
    """By way, one for each picture."""
    fine: list[bool] = field(default_factory=list)
    """By picture, whether its truth is of the hair subset (`real_measure.is_fine`)."""
    worst: list[Judged] = field(default_factory=list)
    """The worst of the default way first, as many as were asked for."""
    difference: float | None = None
    """The largest |d alpha| of the network and ONNX Runtime; None where it was not asked."""


def run(
    folder: Path,
    weights: Path,
    onnx: Path | None,
    *,
    resolution: int,
    threads: int,
    kept: int,
    say: Callable[[str], None],
) -> Run:
    """Measure FOLDER/images against FOLDER/truth, and FOLDER/foreground where it is there.

    weights: in RMBG-1.4's key names. onnx: the same network's file for ONNX Runtime, or None.
    resolution: the side of the network's square, 0 for its own. kept: pictures for the sheet.
    say: is told each picture's name. Raises BadPicture where a picture or its truth is missing.
    """
    done = Run()
    options: dict[str, OptionValue] = {
        "weights": str(weights),
        "resolution": resolution,
        "precision": "float32",
    }
    backend = open_backend("local/rmbg-1.4", usage="non-commercial", options=options)
    peer = None if onnx is None else onnx_runtime(onnx, resolution or ISNET.resolution, threads)
    try:
        for pair in make_pairs(str(folder / "images"), str(folder / "truth")):
            say(pair.name)
            _compare(read_photograph(pair, folder / "foreground"), backend, peer, done)
            done.worst.sort(key=lambda one: (one.measured.iou, -one.measured.mae))
            del done.worst[kept:]
    finally:
        backend.close()
    return done


def onnx_runtime(path: Path, side: int, threads: int) -> Answer:
    """ONNX Runtime on the CPU, fed as our network; its alpha is not stretched."""
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    fed = session.get_inputs()[0]
    dtype = np.float16 if "float16" in fed.type else np.float32

    def answer(picture: Tensor) -> Array:
        batch = prepare([picture], side, ISNET, torch.device("cpu")).numpy().astype(dtype)
        return np.asarray(session.run(None, {fed.name: batch})[0][0, 0], np.float32).clip(0, 1)

    return answer


def table(done: Run) -> list[list[str]]:
    """A head, and a mean for each way."""
    rows = [["mean", *HEADS]]
    rows += [[name, *cells(mean(measured))] for name, measured in done.rows.items()]
    return rows


def fine_table(done: Run) -> list[list[str]]:
    """The same of the hair subset; no rows where no picture belongs to it."""
    if not any(done.fine):
        return []
    rows = [[f"hair subset, {sum(done.fine)} of {len(done.fine)}", *HEADS]]
    for name, measured in done.rows.items():
        chosen = [one for one, fine in zip(measured, done.fine, strict=True) if fine]
        rows.append([name, *cells(mean(chosen))])
    return rows


def below(done: Run) -> str:
    """What is said under the table."""
    default = done.rows[DEFAULT]
    medians = [float(np.median([getattr(one, name) for one in default])) for name in ("iou", "mae")]
    words = (
        f"{len(default)} pictures. {DEFAULT}: median IoU {medians[0]:.3f}, "
        f"median MAE {medians[1]:.1f}."
    )
    if done.difference is not None:
        words += f" Network and ONNX Runtime differ by at most {done.difference:.1e} of alpha."
    return words


def sheet(worst: Sequence[Judged], total: int) -> Tensor:
    """The worst first: picture, mask, and the default cut-out on three backgrounds."""
    rows = []
    for one in worst:
        shown = zip(HEADS, cells(one.measured), strict=True)
        words = ", ".join(f"{head} {cell}" for head, cell in shown if cell)
        cut = np.dstack([one.cut.colour, one.cut.alpha])
        rows.append(Row(one.name, words, one.image, torch.from_numpy(cut)))
    return contact_sheet(f"{DEFAULT}: the {len(rows)} worst of {total} by IoU", rows)


def read_photograph(pair: Pair, foregrounds: Path) -> Photograph:
    """Read a picture, its truth and, where they are known, the true colours. Raises BadPicture."""
    if pair.prediction is None:
        raise BadPicture(f"{pair.name}: there is no picture with the name of this truth.")
    image = read_picture(pair.prediction, name=str(pair.prediction)).pixels
    truth = mask_of(read_picture(pair.truth, name=str(pair.truth)))
    if image.shape[:2] != truth.shape:
        raise BadPicture(f"{pair.name}: picture and truth have different sizes.")
    file = foregrounds / f"{pair.truth.stem}.png"
    colours = read_picture(file, name=str(file)).pixels.numpy() if file.exists() else None
    return Photograph(pair.name, image.float(), truth.float(), colours, edge_band(truth.numpy()))


def _compare(photograph: Photograph, backend: Backend, peer: Answer | None, done: Run) -> None:
    (outcome,) = backend.run([Frame(0, photograph.image, photograph.name)], Job())
    if outcome.error is not None:
        raise outcome.error
    mask = cast("Matte", outcome.result).values
    done.fine.append(is_fine(photograph.truth.numpy(), photograph.band))
    done.rows[OWN_SIZE].append(_at_own_size(mask, photograph.truth))
    if peer is not None:
        _beside(peer, photograph, mask, done)
    image = photograph.image.numpy()
    for name, cut in cuts(mask.numpy(), image):
        measured = photograph.measured(cut)
        done.rows[name].append(measured)
        if name == DEFAULT:
            done.worst.append(Judged(photograph.name, photograph.image, cut, measured))
    done.rows[TRUE].append(photograph.measured(true_cut(photograph.truth.numpy(), image)))


def _beside(peer: Answer, photograph: Photograph, mask: Tensor, done: Run) -> None:
    """ONNX Runtime's own answer, as it is and as a plain script delivers it: bilinear, the
    picture's colours kept."""
    theirs = torch.from_numpy(peer(photograph.image))
    apart = float((stretch(theirs) - mask).abs().max())
    done.difference = max(done.difference or 0.0, apart)
    done.rows["ONNX Runtime's mask, not stretched, at its own size"].append(
        _at_own_size(theirs, photograph.truth)
    )
    height, width = photograph.truth.shape
    alpha = resize_mask(theirs[None], height, width)[0].numpy()
    done.rows["ONNX Runtime, not stretched, bilinear, colours kept"].append(
        photograph.measured(Cut(alpha, photograph.image.numpy()))
    )


def _at_own_size(mask: Tensor, truth: Tensor) -> Measured:
    """Against the truth brought to the network's square."""
    true = resize_mask(truth[None], mask.shape[0], mask.shape[1])[0].numpy()
    return measure(mask.numpy(), true, edge_band(true))
