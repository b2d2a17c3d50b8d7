"""What `bench/screens.py` measures of the keyer before green and blue screens."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from ..catalogue.backends import find
from ..config.host import PlainHost
from ..core.cutout import cutout
from ..core.metrics import HALF
from ..core.types import Backend, Frame, Job, Matte
from ..demo.scenes import Kind, render
from ..demo.shapes import Array
from ..pipeline.gate import load
from .real_measure import edge_band, gradient_error
from .screen_scenes import CHANNEL, COLOURS, Colour, Screened, screened

#: Alpha and colours (H, W, 3) of a picture.
Keyed = tuple[Array, Array]
KINDS: tuple[Kind, ...] = ("hard", "soft", "hair", "holes", "thin")
GROUNDS = ((0.5, 0.5, 0.5), (1.0, 0.0, 1.0))
BLURRED = 3  # one picture of so many is blurred by motion
LEVELS = 255


@dataclass(frozen=True)
class Figures:
    """One picture, or a mean of pictures."""

    mae: float
    """Mean absolute error of alpha x 1000; the next three are its parts."""
    haze: float
    """Of the screen, away from the edge."""
    band: float
    """Of the edge band."""
    holes: float
    """Of the subject, away from the edge."""
    gradient: float
    """Sum of the squared differences of the gradient's length, in thousands."""
    composite: float
    """Levels on grey and magenta against the subject's true colours, where there is any of it."""
    edge: float
    """The same in the edge band."""
    spill: float
    """Levels of the screen's channel above the others that the true subject does not have."""
    stolen: float
    """Levels of it that the true subject has, and the cut-out has not."""


HEADS = ("MAE", "haze", "band", "holes", "gradient", "composite", "at edge", "spill", "stolen")


def table(scenes: Iterable[tuple[str, Screened]]) -> list[list[str]]:
    """Cut every scene out by the keyer; a row of means for each screen."""
    backend = load(find("keyer"), {}, PlainHost())
    measured: dict[Colour, list[Figures]] = {colour: [] for colour in COLOURS}
    refused = dict.fromkeys(COLOURS, 0)
    seconds = dict.fromkeys(COLOURS, 0.0)
    for name, scene in scenes:
        colour = next(one for one in COLOURS if CHANNEL[one] == scene.channel)
        started = time.process_time()
        cut = cut_out(backend, name, scene.image)
        seconds[colour] += time.process_time() - started
        if cut is None:
            refused[colour] += 1
        else:
            measured[colour].append(figures(cut, scene))
    rows = [["screen", "pictures", "refused", *HEADS, "CPU-s"]]
    for colour, each in measured.items():
        means = [f"{value:.2f}" for value in asdict(mean(each)).values()]
        count = len(each) + refused[colour]
        took = f"{seconds[colour] / max(count, 1):.2f}"
        rows.append([colour, str(count), str(refused[colour]), *means, took])
    return rows


def cut_out(backend: Backend, name: str, image: Array) -> Keyed | None:
    """Return alpha and colours; None where the keyer refuses the picture."""
    pixels = torch.from_numpy(image)
    (outcome,) = backend.run([Frame(0, pixels, name)], Job())
    if outcome.error is not None:
        return None
    matte = cast("Matte", outcome.result)
    alpha, screen = matte.values, matte.screen
    cut = cutout(pixels[None], alpha[None], screen=None if screen is None else screen[None])
    return alpha.numpy(), cut[0, ..., :3].numpy()


def figures(keyed: Keyed, scene: Screened) -> Figures:
    """Take every measure of one cut-out."""
    alpha, colour = keyed
    band = edge_band(scene.alpha)
    error = np.abs(alpha.astype(np.float64) - scene.alpha) * 1000
    there = scene.alpha > HALF
    any_of_it = (scene.alpha > 0.02) | (alpha > 0.02)
    off = np.mean([_apart(colour, alpha, scene, ground) for ground in GROUNDS], axis=0)
    found = excess(colour * alpha[..., None], scene.channel)
    true = excess(scene.foreground * scene.alpha[..., None], scene.channel)
    return Figures(
        mae=float(error.mean()),
        haze=float((error * (~band & ~there)).mean()),
        band=float((error * band).mean()),
        holes=float((error * (~band & there)).mean()),
        gradient=gradient_error(alpha, scene.alpha),
        composite=float(off[any_of_it].mean()),
        edge=float(off[band].mean()),
        spill=float(np.clip(found - true, 0, None)[any_of_it].mean()) * LEVELS,
        stolen=float(np.clip(true - found, 0, None)[any_of_it].mean()) * LEVELS,
    )


def excess(colour: Array, channel: int) -> Array:
    """Return by how much a channel exceeds the larger of the others, 0 where it does not."""
    others = np.delete(colour, channel, axis=-1).max(axis=-1)
    return np.asarray(np.clip(colour[..., channel] - others, 0, None), np.float32)


def mean(measured: Sequence[Figures]) -> Figures:
    rows = [asdict(one) for one in measured]
    return Figures(
        **{one.name: float(np.mean([row[one.name] for row in rows])) for one in fields(Figures)}
    )


def rendered(seeds: Sequence[int], size: tuple[int, int]) -> Iterator[tuple[str, Screened]]:
    """Yield scenes of every kind before both screens."""
    for kind in KINDS:
        for seed in seeds:
            scene = render(kind, seed, size, "solid")
            for colour in COLOURS:
                yield kind, screened(scene.foreground, scene.alpha, colour, seed)


def photographed(folder: Path, side: int) -> Iterator[tuple[str, Screened]]:
    """Yield the subjects of a folder's foreground/ before both screens, at most `side` large."""
    for number, file in enumerate(sorted((folder / "foreground").glob("*.png"))):
        foreground, alpha = subject(file, side, blurred=number % BLURRED == 2)
        for colour in COLOURS:
            yield file.stem, screened(foreground, alpha, colour, number)


def subject(file: Path, side: int, *, blurred: bool) -> Keyed:
    """Read colours and alpha of a subject, its colours continued all around."""
    picture = Image.open(file).convert("RGBA")
    values = np.asarray(picture, np.float32) / LEVELS
    flat = np.dstack([values[..., :3] * values[..., 3:], values[..., 3:]])
    scale = min(1.0, side / max(picture.size))
    size = (round(picture.height * scale), round(picture.width * scale))
    planes = torch.from_numpy(flat).permute(2, 0, 1)[None]
    small = torch.nn.functional.interpolate(planes, size=size, mode="area")[0]
    flat = small.permute(1, 2, 0).contiguous().numpy()
    if blurred:
        flat = ndimage.uniform_filter1d(flat, max(3, side // 70), axis=1)
    alpha = np.asarray(np.clip(flat[..., 3], 0, 1), np.float32)
    far = ndimage.distance_transform_edt(alpha < 0.05, return_distances=False, return_indices=True)
    colours = np.clip(flat[..., :3] / np.maximum(alpha, 1e-3)[..., None], 0, 1)
    return np.asarray(colours[far[0], far[1]], np.float32), alpha


def _apart(
    colour: Array, alpha: Array, scene: Screened, ground: tuple[float, float, float]
) -> Array:
    behind = np.array(ground, np.float32)
    ours = colour * alpha[..., None] + behind * (1 - alpha[..., None])
    true = scene.foreground * scene.alpha[..., None] + behind * (1 - scene.alpha[..., None])
    return np.asarray(np.abs(ours - true).mean(axis=-1) * LEVELS, np.float32)
