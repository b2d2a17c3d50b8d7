"""Devices outside ComfyUI: which one, in which precision, and how a network gets there."""

from __future__ import annotations

import torch
from torch import nn

from ..core.errors import BadOption

#: CUDA compute capability from which tensor cores multiply this type at full speed.
_BFLOAT16_CAPABILITY = (8, 0)
_FLOAT16_CAPABILITY = (7, 0)


def best_device(named: str) -> torch.device:
    """Return the named device, or CUDA, MPS, XPU, CPU, the first there is. Raises BadOption for a
    device that this machine or this build of torch does not have."""
    if named:
        try:
            device = torch.device(named)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise BadOption(
                f"RMBG_DEVICE is {named!r}, which cannot be used here. Leave it unset, or set it "
                "to cpu."
            ) from error
        return device
    kinds = {"cuda": torch.cuda, "mps": torch.backends.mps, "xpu": torch.xpu}
    return torch.device(next((name for name, kind in kinds.items() if kind.is_available()), "cpu"))


def best_precision(device: torch.device) -> torch.dtype:
    """Return bfloat16 or float16 where the device is fast in it; float32 on a CPU, which is
    exact."""
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if capability >= _BFLOAT16_CAPABILITY:
            return torch.bfloat16
        return torch.float16 if capability >= _FLOAT16_CAPABILITY else torch.float32
    return torch.float16 if device.type in ("mps", "xpu") else torch.float32


def free_bytes(device: torch.device) -> int:
    """Return what a forward may take: four fifths of what is free on CUDA and XPU, a third of what
    Metal recommends (it does not say what is free), and nothing to speak of on a CPU."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] * 4 // 5
    if device.type == "xpu":
        return int(torch.xpu.mem_get_info(device)[0]) * 4 // 5
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory()) // 3
    return 0


def empty_cache(device: torch.device) -> None:
    """Give cached memory back to the device."""
    if device.type in ("cuda", "mps", "xpu"):
        getattr(torch, device.type).empty_cache()


class PlainResident:
    """A network that goes to its device when first used and back to the CPU when released."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self._network = network
        self._device = device

    def on_device(self, working_bytes: int) -> nn.Module:
        """Move it there. The working memory is not reserved: torch says when it runs out."""
        return self._network.to(self._device)

    def release(self) -> None:
        """Move it back to the CPU, and the cache emptied."""
        self._network.to("cpu")
        empty_cache(self._device)
