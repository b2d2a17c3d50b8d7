"""Bria's VRMBG 3.0 at fal.ai: the queue and the storage that pictures have, too.

Contract: fal.ai/models/bria/video/background-removal/v3/llms.txt, read on 2026-11-29. This endpoint
has no field for a backdrop: what it makes is transparent where the codec is.
"""

from __future__ import annotations

from collections.abc import Mapping

from ....core.specs import BackendSpec, OptionValue
from ..http.wire import JsonObject, VideoFile, Wire
from .fal import Fal


class FalVideo(Fal):
    """fal.ai's words about videos; implements wire.VideoProvider."""

    _result_key = "video"

    def __init__(
        self, spec: BackendSpec, bases: Mapping[str, str], options: Mapping[str, OptionValue]
    ) -> None:
        super().__init__(spec, bases, options)
        self._settings: JsonObject = {
            "output_container_and_codec": str(options["codec"]),
            "preserve_audio": bool(options["preserve_audio"]),
        }

    async def upload(self, wire: Wire, video: VideoFile) -> str:
        """See wire.VideoProvider: an upload that lives an hour."""
        return await self._stored(wire, f"video{video.suffix}", video.content_type, video.content)

    def named(self, address: str) -> str:
        """The address itself."""
        return address

    def _body(self, image: str) -> JsonObject:
        return {"video_url": image, **self._settings}
