"""The bars that are exact, and those of time and memory: B3, B7, B8, B11, B12 and the cut-out."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ..core.composite import CompositeOptions, compose
from ..core.cutout import cutout
from ..core.finish import upsample_mask
from ..core.foreground import estimate_foreground
from ..core.layout import to_pixels, to_planes
from .quality_measure import OURS, Bar
from .quality_scenes import KINDS, Kind, Scene, edge_band, render, small_mask


def measure_exact(seeds: list[int]) -> list[Bar]:
    return [
        _opaque_pixels(seeds[0]),
        *_closed_form(seeds[0]),
        _opaque_pass(),
        _scaled(seeds),
        *_largest_picture(seeds[0]),
        *_cutout_time(seeds[0]),
    ]


def _tensors(scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
    """Image and foreground (1, H, W, 3), alpha (1, H, W)."""
    image, foreground, alpha = (
        torch.from_numpy(values)[None] for values in (scene.image, scene.foreground, scene.alpha)
    )
    return image, foreground, alpha


def _opaque_pixels(seed: int) -> Bar:
    worst = 0.0
    for kind in KINDS:
        image, _, alpha = _tensors(render(kind, seed, 512, 512))
        changes = (cutout(image, alpha)[..., :3] - image).abs() * (alpha == 1)[..., None]
        worst = max(worst, float(changes.max()) * 255)
    return Bar("B3", "opaque pixels changed, levels at most", 0, {OURS: worst})


def _closed_form(seed: int) -> list[Bar]:
    """Three backgrounds behind one foreground that hangs over the upper left corner."""
    image, _, alpha = _tensors(render("hair", seed, 256, 320))
    behind = torch.rand((3, 300, 280, 3), generator=torch.Generator().manual_seed(seed))
    left, top = -37, -11
    options = CompositeOptions(anchor="top-left", offset=(left, top))
    found, _ = compose(image, alpha, behind, options)
    wanted = behind.clone()
    rows, columns = min(256 + top, 300), min(320 + left, 280)
    part = slice(-top, rows - top), slice(-left, columns - left)
    cover, colour = alpha[0][part][..., None], image[0][part]
    wanted[:, :rows, :columns] = cover * colour + (1 - cover) * behind[:, :rows, :columns]
    whole = torch.zeros(300, 280)
    whole[:rows, :columns] = alpha[0][part]
    plain = (whole == 0) | (whole == 1)
    return [
        Bar("B7", "composite against the closed form", 1e-6, {OURS: _apart(found, wanted)}),
        Bar(
            "B7",
            "the same where the mask is 0 or 1",
            0,
            {OURS: _apart(found[:, plain], wanted[:, plain])},
        ),
    ]


def _apart(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max())


def _opaque_pass() -> Bar:
    levels = (torch.arange(768) % 256).reshape(1, 16, 16, 3) / 255
    opaque = torch.ones(1, 16, 16)
    cut = cutout(levels, upsample_mask(opaque, levels))
    image, _ = compose(cut, None, "black", CompositeOptions())
    changed = (image * 255).to(torch.uint8) != (levels * 255).to(torch.uint8)
    words = "8-bit values of 768 changed by an opaque pass and a truncating save"
    return Bar("B8", words, 0, {OURS: float(changed.sum())})


def _scaled(seeds: list[int]) -> Bar:
    """2048 x 1365 to 640 x 427, on white and on black. The truth is the composite, reduced."""
    errors: dict[str, list[float]] = {OURS: [], "ComfyUI core": []}
    size = (427, 640)
    for kind in KINDS:
        for seed in seeds:
            scene = render(kind, seed, 1365, 2048)
            image, colour, alpha = _tensors(scene)
            weight = alpha[..., None]
            small = _reduced(torch.cat([colour * weight, weight], dim=-1), size)
            band = torch.from_numpy(edge_band(small[0, ..., 3].numpy()))
            ours = torch.cat([colour, weight], dim=-1)
            # Core: the picture's own colours, resized beside the alpha and without antialiasing.
            planes = to_planes(torch.cat([image, weight], dim=-1))
            core = to_pixels(functional.interpolate(planes, size, mode="bilinear"))
            for level in (0.0, 1.0):
                wanted = small[..., :3] + (1 - small[..., 3:]) * level
                behind = torch.full((1, *size, 3), level)
                found, _ = compose(ours, None, behind, CompositeOptions(fit="stretch"))
                theirs = core[..., 3:] * core[..., :3] + (1 - core[..., 3:]) * level
                for name, result in ((OURS, found), ("ComfyUI core", theirs)):
                    errors[name].append(float((result - wanted)[0][band].abs().mean()) * 255)
    values = {name: sum(found) / len(found) for name, found in errors.items()}
    return Bar("B11", "RGBA reduced, then composited: levels in the band", 0.5, values)


def _reduced(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    planes = to_planes(pixels)
    return to_pixels(functional.interpolate(planes, size, mode="bilinear", antialias=True))


def _largest_picture(seed: int) -> list[Bar]:
    image, _, alpha = _tensors(render("hair", seed, 4096, 4096))
    started = _start()
    estimate_foreground(image, alpha)
    seconds, gigabytes = _stop(started)
    bars = [Bar("B12", "colours at 4096 x 4096, CPU-seconds", 6, {OURS: seconds})]
    if gigabytes is not None:
        bars.append(Bar("B12", "the same, GB above its input", 1.5, {OURS: gigabytes}))
    return bars


def _cutout_time(seed: int) -> list[Bar]:
    """Everything but the network, for the kind of edge that takes longest."""
    cases = {"a 512 x 512 mask": 512, "a 1024 x 1024 mask, refined all the same": 1024}
    bars = []
    for words, side in cases.items():
        slowest = 0.0
        kind: Kind
        for kind in ("hair", "thin"):
            scene = render(kind, seed, 1024, 1024)
            image, _, _ = _tensors(scene)
            mask = torch.from_numpy(small_mask(scene.alpha, 1.0, side))[None]
            runs = []
            for _ in range(3):
                started = _start()
                cutout(image, upsample_mask(mask, image, refine_same_size=True))
                runs.append(_stop(started)[0])
            slowest = max(slowest, min(runs))
        bars.append(
            Bar("time", f"cut-out of 1024 x 1024 from {words}, CPU-s", 0.6, {OURS: slowest})
        )
    return bars


def _start() -> tuple[float, float | None]:
    """CPU-seconds and memory in use, in GB; the kernel's mark of the most memory is taken back."""
    mark = Path("/proc/self/clear_refs")
    if mark.exists():
        mark.write_text("5")
    return time.process_time(), _memory("VmRSS")


def _stop(started: tuple[float, float | None]) -> tuple[float, float | None]:
    before, peak = started[1], _memory("VmHWM")
    more = None if before is None or peak is None else peak - before
    return time.process_time() - started[0], more


def _memory(name: str) -> float | None:
    """A row of Linux's /proc/self/status in GB; None elsewhere."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    rows = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(rows[name].split()[0]) / 1e6
