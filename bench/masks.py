"""How long the mask operations take, beside OpenCV where it is installed: `python bench/masks.py`.

CPU-seconds on one thread, the best of two runs, on a mask of hair. The distance is the mean
absolute difference to OpenCV's nearest operation on the same mask, in levels of 8 bits.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from types import ModuleType
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Plane = NDArray[np.float32]
Result = TypeVar("Result")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=4096, help="pixels of a side (4096)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    importlib.import_module("quality").load_package()
    alpha = importlib.import_module("rmbg_nodes.core.alpha")
    scenes = importlib.import_module("rmbg_nodes.bench.quality_scenes")
    mask = torch.from_numpy(scenes.render("hair", 10, arguments.size, arguments.size).alpha)[None]
    # Holes and islands to be found: the subject's middle, and specks outside of it.
    middle = arguments.size // 2
    mask[:, middle - 40 : middle + 40, middle - 40 : middle + 40] = 0
    mask[:, 40:2000:200, 40:2000:200] = 1
    peers = _opencv(importlib.import_module("cv2")) if find_spec("cv2") else {}

    print(f"| {arguments.size} x {arguments.size} | CPU-s | OpenCV | distance, levels |")
    print("|---|---|---|---|")
    for name, work in _operations(alpha).items():
        seconds, result = _timed(partial(work, mask))
        theirs, distance = "", ""
        if name in peers:
            peer_seconds, found = _timed(partial(peers[name], mask[0].numpy()))
            theirs = f"{peer_seconds:.3f}"
            distance = f"{float(np.abs(result[0].numpy() - found).mean()) * 255:.4f}"
        print(f"| {name} | {seconds:.3f} | {theirs} | {distance} |")


def _operations(alpha: ModuleType) -> dict[str, Callable[[Tensor], Tensor]]:
    return {
        "threshold": lambda mask: alpha.threshold(mask, 0.5),
        "black and white point": lambda mask: alpha.levels(mask, 0.1, 0.9),
        "grow 8": lambda mask: alpha.grow(mask, 8),
        "grow 32": lambda mask: alpha.grow(mask, 32),
        "shrink 8": lambda mask: alpha.grow(mask, -8),
        "feather 8": lambda mask: alpha.feather(mask, 8),
        "feather 32": lambda mask: alpha.feather(mask, 32),
        "fill holes": lambda mask: alpha.fill_holes(mask),
        "remove islands": lambda mask: alpha.remove_islands(mask),
    }


def _opencv(cv2: ModuleType) -> dict[str, Callable[[Plane], Plane]]:
    """The nearest operations of OpenCV. Its ellipse is a slightly different disc."""
    cv2.setNumThreads(1)

    def disc(radius: int) -> NDArray[np.uint8]:
        y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        return np.asarray(x * x + y * y <= radius * radius, np.uint8)

    def blur(radius: int) -> Callable[[Plane], Plane]:
        border = cv2.BORDER_REPLICATE
        return lambda mask: cv2.GaussianBlur(mask, (0, 0), radius / 2, borderType=border)

    return {
        "threshold": lambda mask: cv2.threshold(mask, 0.5, 1, cv2.THRESH_BINARY)[1],
        "grow 8": lambda mask: cv2.dilate(mask, disc(8)),
        "grow 32": lambda mask: cv2.dilate(mask, disc(32)),
        "shrink 8": lambda mask: cv2.erode(mask, disc(8)),
        "feather 8": blur(8),
        "feather 32": blur(32),
        "fill holes": partial(_flooded, cv2),
        "remove islands": partial(_largest, cv2),
    }


def _flooded(cv2: ModuleType, mask: Plane) -> Plane:
    """What a flood from the border does not reach becomes 1."""
    solid = np.pad((mask >= 0.5).astype(np.uint8), 1)
    cv2.floodFill(solid, None, (0, 0), 2)
    return np.where(solid[1:-1, 1:-1] == 0, np.float32(1), mask)


def _largest(cv2: ModuleType, mask: Plane) -> Plane:
    """What does not hang together with the largest region becomes 0."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats((mask > 0.1).astype(np.uint8))
    largest = 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    return np.where((labels == largest) | (labels == 0), mask, np.float32(0))


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    seconds = []
    for _ in range(2):
        started = time.process_time()
        result = work()
        seconds.append(time.process_time() - started)
    return min(seconds), result


if __name__ == "__main__":
    main()
