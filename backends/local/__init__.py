"""RMBG and BiRefNet on the user's own machine."""

from __future__ import annotations

from .detect import network_from_state_dict
from .fuse import inference_copy

__all__ = ["inference_copy", "network_from_state_dict"]
