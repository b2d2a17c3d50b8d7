"""Memory that a process keeps instead of giving it back after every picture."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

# <malloc.h> of glibc.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8
_NEVER = 2**31 - 1
_STEP = 64 << 20


def keep_memory() -> None:
    """Let freed memory of this process wait for the next picture; for a program of its own, and
    before its threads begin.

    glibc maps every block of more than 32 MB anew and gives it back at once, and the system clears
    each page of it: with pictures of 12 megapixels that was a third of all processor time. What the
    process holds at its peak it then holds until it ends. Other systems have nothing to be told.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for name, value in (
            (_M_ARENA_MAX, 1),
            (_M_MMAP_MAX, 0),
            (_M_TOP_PAD, _STEP),
            (_M_TRIM_THRESHOLD, _NEVER),
        ):
            mallopt(name, value)
