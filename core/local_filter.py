"""Local filters over large masks, tile by tile, so that the work stays in the processor's cache.

A filter made of hundreds of whole-picture passes waits for memory; over a tile that fits the
second-level cache the same passes are several times faster. A GPU gets the picture in one piece.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

TILE_HEIGHT = 128
TILE_WIDTH = 512


def filter_locally(mask: Tensor, halo: tuple[int, int], work: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply `work` to every tile of `mask`, with `halo` = (rows, columns) of context around it.

    mask: (B, H, W) float32 on any device; its edges are replicated to make the halo.
    work: (1, h + 2 rows, w + 2 columns) -> (1, h, w). It must keep constants, because a tile
        whose surroundings hold one value is copied: most of a mask is plain 0 or plain 1.
    Returns (B, H, W) float32, a new tensor.
    """
    rows, columns = halo
    edges = (columns, columns, rows, rows)
    padded = functional.pad(mask.detach()[:, None], edges, mode="replicate")[:, 0]
    result = torch.empty(mask.shape, dtype=mask.dtype, device=mask.device)
    height, width = mask.shape[1:]
    on_cpu = mask.device.type == "cpu"
    tile_height, tile_width = (TILE_HEIGHT, TILE_WIDTH) if on_cpu else (height, width)
    for index in range(len(mask)):
        source, target = padded[index : index + 1], result[index : index + 1]
        for top in range(0, height, tile_height):
            bottom = min(top + tile_height, height)
            for left in range(0, width, tile_width):
                right = min(left + tile_width, width)
                window = source[:, top : bottom + 2 * rows, left : right + 2 * columns]
                low, high = torch.aminmax(window)
                tile = target[:, top:bottom, left:right]
                tile.copy_(low if bool(low == high) else work(window))
    return result
