"""What each provider's API says, and nothing else: a new provider is a file and a row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ....core.specs import BackendSpec, OptionValue
from ..http.wire import Provider, VideoProvider
from .bria import Bria
from .bria_video import BriaVideo
from .comfy import Comfy
from .comfy_video import ComfyVideo
from .fal import Fal
from .fal_video import FalVideo
from .replicate import Replicate

#: By the part of a backend's id before the slash. Given the row, its addresses and its options.
PROVIDERS: Mapping[
    str, Callable[[BackendSpec, Mapping[str, str], Mapping[str, OptionValue]], Provider]
] = {
    "bria": Bria,
    "fal": Fal,
    "replicate": Replicate,
    "comfy": Comfy,
}

#: As PROVIDERS, of those that have a model for videos.
VIDEO_PROVIDERS: Mapping[
    str, Callable[[BackendSpec, Mapping[str, str], Mapping[str, OptionValue]], VideoProvider]
] = {
    "bria": BriaVideo,
    "fal": FalVideo,
    "comfy": ComfyVideo,
}
