"""Memory for pictures that is used again, so that a long video needs no more than a short one.

What is allocated in one thread and freed in another, tens of megabytes for each frame, leaves the
C library's heaps with gaps: without this a process grew from 1.6 to 3 GB in 400 frames of 1080p.
"""

from __future__ import annotations

import math
import weakref
from collections import defaultdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class FrameMemory:
    """Tensors whose memory comes back when nothing holds them, or a view of them, any more."""

    def __init__(self) -> None:
        self._free: defaultdict[int, list[NDArray[np.uint8]]] = defaultdict(list)

    def picture(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return a tensor of this shape on the CPU; it holds whatever was in it before."""
        size = math.prod(shape) * dtype.itemsize
        free = self._free[size]
        try:
            memory = free.pop()
        except IndexError:
            memory = np.empty(size, np.uint8)
        lent = memory[:]  # what the tensor holds; `memory` outlives it
        weakref.finalize(lent, free.append, memory).atexit = False
        return torch.from_numpy(lent).view(dtype).view(shape)
