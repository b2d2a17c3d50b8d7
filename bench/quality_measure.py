"""The bars on edges, measured on scenes whose foreground, alpha and background are known.

Errors of alpha are means over the edge band, in thousandths. Halo is the mean error, in levels of
8 bits, of the cut-out on black, white and magenta against the true foreground there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..demo.shapes import Array
from .quality_peers import Chain, chains, pymatting_colour
from .quality_scenes import KINDS, Kind, Scene, camera, edge_band, render, small_mask

BACKDROPS = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1.0, 0.0, 1.0))
OURS = "ours"
Sums = dict[str, dict[str, list[float]]]  # chain -> kind -> one value for each seed


@dataclass(frozen=True)
class Bar:
    """One line of the table. values: by chain, ours and whatever peers were measured.
    kinds: ours, for each kind of edge."""

    name: str
    what: str
    reach: float
    values: dict[str, float]
    kinds: dict[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        return self.values[OURS] <= self.reach


def measure(seeds: list[int], say: Callable[[str], None]) -> list[Bar]:
    """The bars on edges: B1, B2, B4, B5, B6 and B10. `say` is told what is being measured."""
    bars: list[Bar] = []
    parts = {
        "colours with the true alpha": _true_alpha,
        "upsampled masks": _upsampled,
        "masks on camera pictures": _camera_pictures,
    }
    for words, part in parts.items():
        say(words)
        bars += part(seeds)
    return bars


def halo(colour: Array, alpha: Array, scene: Scene, where: NDArray[np.bool_]) -> float:
    """Mean absolute error over `where` in levels, averaged over the backdrops."""
    front, true = colour[where], scene.foreground[where]
    a, t = alpha[where][:, None], scene.alpha[where][:, None]
    errors = [
        np.abs(a * front + (1 - a) * b - t * true - (1 - t) * b).mean()
        for b in (np.array(backdrop, np.float32) for backdrop in BACKDROPS)
    ]
    return float(np.mean(errors)) * 255


def _scenes(seeds: list[int], height: int, width: int) -> Iterator[tuple[Kind, int, Scene]]:
    for kind in KINDS:
        for seed in seeds:
            yield kind, seed, render(kind, seed, height, width)


def _bar(name: str, what: str, reach: float, sums: Sums, kinds: tuple[Kind, ...] = KINDS) -> Bar:
    means = {
        chain: {kind: float(np.mean(values)) for kind, values in by_kind.items() if kind in kinds}
        for chain, by_kind in sums.items()
    }
    values = {chain: float(np.mean(list(by_kind.values()))) for chain, by_kind in means.items()}
    ours = {str(kind): mean for kind, mean in means[OURS].items()}
    return Bar(name, what, reach, values, ours)


def _sums() -> Sums:
    return defaultdict(lambda: defaultdict(list))


def _true_alpha(seeds: list[int]) -> list[Bar]:
    colours = {chain.name: chain.colour for chain in chains()}
    reference = pymatting_colour()
    if reference is not None:
        colours["pymatting"] = reference
    sums = _sums()
    for kind, _, scene in _scenes(seeds, 1024, 1024):
        partial = (scene.alpha > 0) & (scene.alpha < 1)
        for name, colour in colours.items():
            found = colour(scene.image, scene.alpha)
            sums[name][kind].append(halo(found, scene.alpha, scene, partial))
    bars = [
        _bar("B1", "halo, true alpha, 1024 x 1024, mean of the kinds", 1.7, sums),
        _bar("B2", "the same, hair", 2.0, sums, ("hair",)),
        _bar("B2", "the same, glass", 5.0, sums, ("glass",)),
    ]
    if reference is not None:
        theirs = bars[0].values["pymatting"]
        bars.append(Bar("B1", "no worse than pymatting", theirs, bars[0].values))
    return bars


def _upsampled(seeds: list[int]) -> list[Bar]:
    bars = []
    alphas, halos = (defaultdict[float, Sums](_sums) for _ in range(2))
    for kind, _, scene in _scenes(seeds, 1365, 2048):
        band = edge_band(scene.alpha)
        for sigma in (0.0, 1.0):
            mask = small_mask(scene.alpha, sigma)
            for chain in chains():
                alpha = chain.upsample(mask, scene.image)
                error = float(np.abs(alpha - scene.alpha)[band].mean()) * 1000
                alphas[sigma][chain.name][kind].append(error)
                colour = chain.colour(scene.image, alpha)
                halos[sigma][chain.name][kind].append(halo(colour, alpha, scene, band))
    words = "alpha error, mask 1024 x 1024 to 2048 x 1365"
    bars.append(_bar("B4", f"{words}, sharp", 9.5, alphas[0.0]))
    bars.append(_bar("B5", f"{words}, softened by sigma 1", 38, alphas[1.0]))
    bars.append(_bar("B6", "halo of upsampling and cut-out, sharp mask", 1.8, halos[0.0]))
    bars.append(_bar("B6", "halo of upsampling and cut-out, soft mask", 5.2, halos[1.0]))
    return bars


def _camera_pictures(seeds: list[int]) -> list[Bar]:
    alphas = defaultdict[float, Sums](_sums)
    peers = {chain.name: chain for chain in chains()}
    plain: Chain = peers["ComfyUI core"]
    for kind, seed, scene in _scenes(seeds, 1024, 1536):
        band, picture = edge_band(scene.alpha), camera(scene.image, seed)
        for sigma in (0.0, 1.0):
            mask = small_mask(scene.alpha, sigma)
            for chain in (peers[OURS], peers["1038lab"], peers["rembg"], plain):
                error = np.abs(chain.upsample(mask, picture) - scene.alpha)[band].mean()
                alphas[sigma][chain.name][kind].append(float(error) * 1000)
    words = "alpha error, noise sigma 3 and JPEG q85, to 1536 x 1024"
    sharp = _bar("B10", f"{words}, sharp mask", 15.7, alphas[0.0])
    soft = _bar("B10", f"{words}, soft mask", 62, alphas[1.0])
    versus = [
        Bar("B10", f"no worse than bicubic on logits, {name}", bar.values[plain.name], bar.values)
        for name, bar in (("sharp", sharp), ("soft", soft))
    ]
    return [sharp, soft, *versus]
