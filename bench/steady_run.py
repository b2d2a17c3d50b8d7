"""Every kind of sequence through a network frame by frame, and its matte measured and steadied."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..api import open_backend, remove_background
from ..core.metrics import mean_absolute_error
from ..core.steady import Steady
from ..core.types import Backend
from ..demo.shapes import Array
from .sequence_metrics import dtssd, messddt
from .steady_kinds import KINDS
from .steady_scenes import render

HEADS = ("dtSSD", "steady", "", "MESSDdt", "steady", "", "MAE", "steady", "", "CPU-s a frame")
# As papers print them: dtSSD and its change in hundredths, the others in thousandths.
HUNDRED, THOUSAND = 100, 1000
LEVELS = 255


@dataclass(frozen=True)
class Sources:
    """What sequences are made of."""

    folder: Path
    backgrounds: Path
    weights: Path

    def subjects(self) -> list[Path]:
        return sorted((self.folder / "foreground").glob("*.png"))

    def photographs(self) -> list[Path]:
        return sorted(path for path in self.backgrounds.iterdir() if path.is_file())

    def backend(self) -> Backend:
        return open_backend(
            "local/rmbg-1.4",
            usage="non-commercial",
            weights=str(self.weights),
            resolution=0,
            precision="float32",
        )


@dataclass(frozen=True)
class Measured:
    """One sequence, or the mean of several: frame by frame and steadied."""

    dtssd: float
    dtssd_steady: float
    messddt: float
    messddt_steady: float
    mae: float
    mae_steady: float
    seconds: float
    """Of the processor, to steady one frame."""

    @classmethod
    def mean(cls, some: Sequence[Measured]) -> Measured:
        return cls(*np.mean([astuple(one) for one in some], axis=0).tolist())

    def cells(self) -> list[str]:
        cells = []
        for before, after in (
            (self.dtssd, self.dtssd_steady),
            (self.messddt, self.messddt_steady),
            (self.mae, self.mae_steady),
        ):
            cells += [f"{before:.2f}", f"{after:.2f}", f"{100 * (after / before - 1):+.1f} %"]
        return [*cells, f"{self.seconds:.2f}"]


def run(
    sources: Sources,
    kept: Path,
    seeds: Sequence[int],
    damper: Callable[[], Steady],
    say: Callable[[str], None],
) -> dict[str, Measured]:
    """Measure every kind with every seed.

    kept: where sequences and mattes are found again, KIND-SEED.npz. damper: makes a new
    one for each. say: is told every sequence's name.
    """
    kept.mkdir(parents=True, exist_ok=True)
    backend: Backend | None = None
    done = {}
    try:
        for seed in seeds:
            for number, name in enumerate(KINDS):
                say(f"{name}-{seed}")
                file = kept / f"{name}-{seed}.npz"
                if not file.exists():
                    backend = backend or sources.backend()
                    _make(sources, backend, name, 100 * seed + number, file)
                with np.load(file) as sequence:
                    done[f"{name}, seed {seed}"] = measure(sequence, damper())
    finally:
        if backend is not None:
            backend.close()
    return done


def measure(sequence: Mapping[str, Array], damper: Steady) -> Measured:
    """Steady one sequence (pixels, truth, motion and alpha by name) and measure it."""
    own, truth = (torch.from_numpy(sequence[name]) for name in ("alpha", "truth"))
    motions = torch.from_numpy(sequence["motion"]).float().movedim(-1, 1)
    started = time.process_time()
    steadied = steady(sequence["pixels"], own, damper)
    seconds = (time.process_time() - started) / len(own)
    return Measured(
        HUNDRED * dtssd(own, truth),
        HUNDRED * dtssd(steadied, truth),
        THOUSAND * messddt(own, truth, motions),
        THOUSAND * messddt(steadied, truth, motions),
        THOUSAND * mean_absolute_error(own.flatten(0, 1), truth.flatten(0, 1)),
        THOUSAND * mean_absolute_error(steadied.flatten(0, 1), truth.flatten(0, 1)),
        seconds,
    )


def steady(pixels: Array, alphas: Tensor, damper: Steady) -> Tensor:
    """Pass (T, H, W, 3) uint8 and (T, H, W) through `Steady`."""
    results: list[Tensor] = []
    for levels, alpha in zip(pixels, alphas, strict=True):
        results += damper.push(torch.from_numpy(levels).float() / LEVELS, alpha)
    return torch.stack(results + damper.finish())


def table(done: Mapping[str, Measured]) -> list[list[str]]:
    """A head, a row for each sequence, and their mean."""
    rows = [["sequence", *HEADS]]
    rows += [[name, *measured.cells()] for name, measured in done.items()]
    return [*rows, [f"mean of {len(done)}", *Measured.mean(list(done.values())).cells()]]


def _make(sources: Sources, backend: Backend, name: str, seed: int, file: Path) -> None:
    drawn = render(KINDS[name], sources.subjects(), sources.photographs(), seed)
    alphas = []
    for levels in drawn.pixels:
        frame = torch.from_numpy(levels)[None].float() / LEVELS
        made = remove_background(frame, backend, refine=True, decontaminate=0)
        alphas.append(made.mask[0].numpy())
    np.savez(
        file,
        pixels=drawn.pixels,
        truth=drawn.alpha,
        motion=drawn.motion.astype(np.float16),
        alpha=np.stack(alphas),
    )
