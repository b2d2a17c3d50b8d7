"""In which precision a network computes, and where half precision is refused."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch

from ...core.errors import BadOption
from ...core.types import Host

HALVES: Mapping[str, torch.dtype] = MappingProxyType(
    {"bfloat16": torch.bfloat16, "float16": torch.float16}
)
PRECISIONS: Mapping[str, torch.dtype] = MappingProxyType({"float32": torch.float32, **HALVES})
#: A timing that is off by less than this says nothing on a busy machine.
_CLEARLY_SLOWER = 1.25


def pays(dtype: torch.dtype, host: Host) -> bool:
    """Tell whether the host's device is not clearly slower in `dtype` than in float32."""
    return host.slowdown(dtype) <= _CLEARLY_SLOWER


def dtype_of(precision: str, host: Host) -> torch.dtype:
    """Return what "auto" or a name of PRECISIONS means here; "auto" is never what loses."""
    if precision != "auto":
        return PRECISIONS[precision]
    usual = host.precision()
    return usual if pays(usual, host) else torch.float32


def check_precision(precision: str, host: Host) -> None:
    """Raise BadOption for half precision on a device that is slower in it."""
    dtype = PRECISIONS.get(precision)
    if dtype is not None and not pays(dtype, host):
        raise BadOption(
            f"precision is {precision}, in which this machine takes {host.slowdown(dtype):.1f} "
            "times as long as in float32 (it was timed on a small product) for a less exact mask. "
            "Set precision to auto or float32."
        )


def less_memory(dtype: torch.dtype, host: Host, *ways: str, half: bool) -> str:
    """Say in a sentence what takes less memory than `dtype` on this device. half: a half precision
    is offered where one is not refused."""
    name = _lighter(dtype, host) if half else ""
    offered = [*ways, *([f"set precision to {name}"] if name else [])]
    last = "close what else uses the device"
    said = f"{', '.join(offered)}, or {last}" if offered else last
    return f"{said[0].upper()}{said[1:]}."


def _lighter(dtype: torch.dtype, host: Host) -> str:
    """Return the precision that takes less memory than `dtype` and is not refused on this device;
    empty where there is none."""
    usual = host.precision()
    halves = sorted(HALVES.items(), key=lambda row: row[1] != usual)
    fit = (name for name, half in halves if half.itemsize < dtype.itemsize and pays(half, host))
    return next(fit, "")
