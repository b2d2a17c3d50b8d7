"""Whether half precision pays on this CPU, found by timing it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import cache

import torch
from torch.nn import functional as F

_ROUNDS = 4
# Without what other programs do in between; Windows counts a thread's time in steps of 16 ms.
_clock = time.perf_counter if sys.platform == "win32" else time.thread_time


@cache
def slowdown(dtype: torch.dtype) -> float:
    """Return how many times as long as in float32 this CPU takes in `dtype`; timed once in a
    process, some 10 ms where the CPU has instructions for it, else up to 0.2 s."""
    return times_as_long(dtype, seconds_of)


def times_as_long(dtype: torch.dtype, seconds: Callable[[torch.dtype], float]) -> float:
    """Return the seconds that something takes in `dtype`, over those that it takes in float32."""
    return 1.0 if dtype == torch.float32 else seconds(dtype) / seconds(torch.float32)


def seconds_of(dtype: torch.dtype) -> float:
    """Time what networks are made of, small: a convolution and a linear layer of 75 MFLOP each."""
    images = torch.ones(1, 64, 32, 32, dtype=dtype).contiguous(memory_format=torch.channels_last)
    kernels = torch.ones(64, 64, 3, 3, dtype=dtype).contiguous(memory_format=torch.channels_last)
    rows, matrix = torch.ones(256, 384, dtype=dtype), torch.ones(384, 384, dtype=dtype)
    convolve = lambda: F.conv2d(images, kernels, padding=1)  # noqa: E731
    return sum(_quickest(work) for work in (convolve, lambda: F.linear(rows, matrix)))


@torch.no_grad()
def _quickest(work: Callable[[], object]) -> float:
    work()  # the first prepares what the others use again
    seconds = []
    for _ in range(_ROUNDS):
        start = _clock()
        work()
        seconds.append(_clock() - start)
    return min(seconds)
