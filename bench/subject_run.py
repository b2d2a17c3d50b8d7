"""Rough masks made of the truth, fitted to their pictures and pointing at a network's mask."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ..cli.pairs import make_pairs
from ..core.coarse import fit_mask
from ..core.errors import BadPicture
from ..core.finish import settle, upsample_mask
from ..core.subject import keep_subject
from ..demo.shapes import Array
from .real_measure import HEADS, Measured, cells, mean, measure
from .real_run import Photograph, read_photograph

_BLOCK = 16
_OFF = (4, 8, 12, 16)
_WAYS = ("moved", "grown", "shrunk")


@dataclass
class Run:
    """What was measured."""

    given: dict[str, list[Measured]] = field(default_factory=lambda: defaultdict(list))
    """Of rough masks, by how they are off."""
    fitted: dict[str, list[Measured]] = field(default_factory=lambda: defaultdict(list))
    kept: list[tuple[Measured, Measured]] = field(default_factory=list)
    """Of the network's mask, and of what of it belongs to the subject."""
    missed: int = 0
    """Pictures in which the network found nothing where the subject is."""
    seconds: list[float] = field(default_factory=list)
    """Of one CPU that fitting took."""


def run(folders: Sequence[Path], reach: float) -> Run:
    """Measure every picture of FOLDER/images once; how its rough mask is off goes by its turn."""
    done = Run()
    for folder in folders:
        for turn, pair in enumerate(make_pairs(str(folder / "images"), str(folder / "truth"))):
            photograph = read_photograph(pair, folder / "foreground")
            truth = photograph.truth.numpy()
            way, off = _WAYS[turn % len(_WAYS)], _OFF[turn // len(_WAYS) % len(_OFF)]
            rough = torch.from_numpy(rough_mask(truth, way, off))[None]
            if not bool(rough.any()):
                continue
            _fit(done, photograph, rough, way, reach)
            answer = folder / "masks" / f"{pair.truth.stem}.npy"
            if answer.exists():
                _keep(done, photograph, rough, torch.from_numpy(np.load(answer))[None])
    return done


def rough_mask(truth: Array, way: str, off: int) -> Array:
    """Return a mask (H, W) of 0 and 1 in blocks, moved by `off` pixels, or grown or shrunk by it on
    all sides."""
    height, width = truth.shape
    padded = np.pad(truth, ((0, -height % _BLOCK), (0, -width % _BLOCK)), mode="edge")
    rows, columns = (side // _BLOCK for side in padded.shape)
    blocks = padded.reshape(rows, _BLOCK, columns, _BLOCK).mean(axis=(1, 3)) > 0.5
    mask = blocks.repeat(_BLOCK, 0).repeat(_BLOCK, 1)[:height, :width]
    if way == "moved":
        step = round(off / 2**0.5)
        moved = ndimage.shift(mask.astype(np.float32), (step, step), order=0, mode="nearest")
        return np.asarray(moved, np.float32)
    if way == "grown":
        return np.asarray(ndimage.distance_transform_edt(~mask) <= off, np.float32)
    return np.asarray(ndimage.distance_transform_edt(mask) > off, np.float32)


def fitted_table(done: Run) -> list[list[str]]:
    """A head, and the means before and after the fit, by how masks were off."""
    rows = [["mean", "pictures", *HEADS]]
    every = [("all", [one for each in done.given.values() for one in each])]
    after = {"all": [one for each in done.fitted.values() for one in each]} | done.fitted
    for way, given in (*every, *done.given.items()):
        rows.append([f"{way}, as given", str(len(given)), *cells(mean(given))])
        rows.append([f"{way}, fitted", str(len(given)), *cells(mean(after[way]))])
    return rows


def kept_table(done: Run) -> list[list[str]]:
    """A head, and the means of the network's mask without and with the subject."""
    before, after = zip(*done.kept, strict=True)
    number = str(len(done.kept))
    return [
        ["mean", "pictures", *HEADS],
        ["network's mask, refined", number, *cells(mean(before))],
        ["the subject's part of it", number, *cells(mean(after))],
    ]


def below(done: Run) -> str:
    """What is said under the tables."""
    words = f"Fitting takes {np.mean(done.seconds):.2f} CPU-seconds a picture."
    if done.missed:
        words += f" In {done.missed} pictures the network found nothing where the subject is."
    return words


def _fit(done: Run, photograph: Photograph, rough: Tensor, way: str, reach: float) -> None:
    started = time.process_time()
    fitted = fit_mask(rough, photograph.image[None], reach)
    done.seconds.append(time.process_time() - started)
    done.given[way].append(_measured(photograph, rough))
    done.fitted[way].append(_measured(photograph, fitted))


def _keep(done: Run, photograph: Photograph, rough: Tensor, answer: Tensor) -> None:
    image = photograph.image[None]
    alpha = settle(upsample_mask(answer, image))
    try:
        kept = keep_subject(alpha, rough, image)
    except BadPicture:
        done.missed += 1
        return
    done.kept.append((_measured(photograph, alpha), _measured(photograph, kept)))


def _measured(photograph: Photograph, alpha: Tensor) -> Measured:
    return measure(alpha[0].numpy(), photograph.truth.numpy(), photograph.band)
