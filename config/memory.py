"""What the C library does with memory that is no longer used: kept, or given back at once."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# <malloc.h> of glibc.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -3, -4, -8
_NEVER = 2**31 - 1
_STEP = 64 << 20
# Of blocks that are mapped by themselves; the larger one is what glibc's own adjusting ends at.
_GIVEN_BACK, _USUAL = 4 << 20, 32 << 20


def keep_memory() -> None:
    """Let freed memory of this process wait for the next picture; for a program of its own, and
    before its threads begin.

    glibc maps every block of more than 32 MB anew and gives it back at once, and the system clears
    each page of it: with pictures of 12 megapixels that was a third of all processor time. What the
    process holds at its peak it then holds until it ends. Other systems have nothing to be told.
    """
    _set((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TOP_PAD, _STEP), (_M_TRIM_THRESHOLD, _NEVER))


@contextmanager
def memory_given_back() -> Iterator[None]:
    """Give every block of more than 4 MB back to the system as soon as it is free, in here.

    Blocks that one thread allocates and another one frees leave gaps in the heaps, and a run of
    hours would grow by them. Costs a little time for each such block.
    """
    _set((_M_MMAP_THRESHOLD, _GIVEN_BACK))
    try:
        yield
    finally:
        _set((_M_MMAP_THRESHOLD, _USUAL))


def _set(*options: tuple[int, int]) -> None:
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for name, value in options:
            mallopt(name, value)
