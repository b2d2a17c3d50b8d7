"""What a large picture costs beside the network: `python bench/large.py`, 12 megapixels.

CPU-seconds, seconds on the clock (the best of a few rounds each) and the most memory above what was
in use before, for every stage from the JPEG to the written cut-out, side by side for each number of
torch's threads. The picture is a scene of hair with a camera's noise, the matte the logits of a
network of 1024 x 1024. Memory is told on Linux only, after the kernel's own mark, which is taken
back before every round: pages that an earlier stage gave back and that are used again count.
"""

from __future__ import annotations

import argparse
import importlib
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

WHITE = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Cost:
    """Seconds of the processor and on the clock; megabytes, None where the system does not tell."""

    cpu: float
    wall: float
    memory: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="4000x3000", help="WIDTHxHEIGHT (4000x3000)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of each stage (3)")
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1, 2], metavar="N", help="of torch (1 2)"
    )
    parser.add_argument("--kind", default="hair", help="of edge, see quality_scenes.py (hair)")
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    importlib.import_module("quality").load_package()
    data, logits = _scene(arguments.kind, height, width)
    print(f"{width} x {height}, {arguments.kind}, best of {arguments.rounds} rounds\n")
    heads = "".join(f" CPU-s, {n} thr. | wall, s | MB |" for n in arguments.threads)
    print("| stage |" + heads)
    print("|---|" + "---|---|---|" * len(arguments.threads))
    for name, work in _stages(data, logits).items():
        cells = []
        for threads in arguments.threads:
            torch.set_num_threads(threads)
            cost = _best([_cost(work) for _ in range(arguments.rounds)])
            memory = "" if cost.memory is None else f"{cost.memory:.0f}"
            cells.append(f" {cost.cpu:.3f} | {cost.wall:.3f} | {memory} |")
        print(f"| {name} |" + "".join(cells), flush=True)


def _scene(kind: str, height: int, width: int) -> tuple[bytes, Tensor]:
    """A JPEG, and the logits (1, 1024, 1024) that a network would answer to it."""
    scenes = importlib.import_module("rmbg_nodes.bench.quality_scenes")
    scene = scenes.render(kind, 10, height, width)
    levels = np.rint(scenes.camera(scene.image, 10) * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "JPEG", quality=92)
    mask = torch.from_numpy(scenes.small_mask(scene.alpha, 0.5))[None]
    # A network is never quite sure: its sigmoid ends a thousandth from 0 and 1.
    return file.getvalue(), mask.clamp(1e-3, 1 - 1e-3).logit()


def _stages(data: bytes, logits: Tensor) -> dict[str, Callable[[], object]]:
    """Each stage by itself, on what the stages before it make."""
    finish = importlib.import_module("rmbg_nodes.core.finish")
    cutout = importlib.import_module("rmbg_nodes.core.cutout").cutout
    flags = importlib.import_module("rmbg_nodes.core.inspect").quality_flags
    digests = importlib.import_module("rmbg_nodes.core.digest").work_digests
    read = importlib.import_module("rmbg_nodes.pictures.read").read_picture
    encode = importlib.import_module("rmbg_nodes.pictures.write").encode

    pixels = read(data, name="the scene").pixels
    image = pixels[None]
    refined = finish.upsample_mask(logits, image, kind="logits")
    alpha = finish.settle(refined)
    clear, white = cutout(image, alpha)[0], cutout(image, alpha, background=WHITE)[0]
    return {
        "read the JPEG": lambda: read(data, name="the scene"),
        "refine": lambda: finish.upsample_mask(logits, image, kind="logits"),
        "settle": lambda: finish.settle(refined),
        "flags": lambda: flags(alpha[0]),
        "cut-out, transparent": lambda: cutout(image, alpha),
        "cut-out, on white": lambda: cutout(image, alpha, background=WHITE),
        "digests of source, image and mask": lambda: digests(pixels, clear, alpha[0]),
        "encode PNG": lambda: encode(clear, "png"),
        "encode JPEG": lambda: encode(white, "jpeg"),
        "encode WebP, quality 90": lambda: encode(clear, "webp", quality=90),
    }


def _cost(work: Callable[[], object]) -> Cost:
    mark = Path("/proc/self/clear_refs")
    if mark.exists():
        mark.write_text("5")
    before = _memory("VmRSS")
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = _memory("VmHWM")
    return Cost(cpu, wall, None if before is None or peak is None else peak - before)


def _best(costs: list[Cost]) -> Cost:
    """The least time, and the most memory."""
    memories = [cost.memory for cost in costs if cost.memory is not None]
    return Cost(
        min(cost.cpu for cost in costs),
        min(cost.wall for cost in costs),
        max(memories, default=None),
    )


def _memory(name: str) -> float | None:
    """A row of Linux's /proc/self/status in MB; None elsewhere."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    rows = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(rows[name].split()[0]) / 1e3


if __name__ == "__main__":
    main()
