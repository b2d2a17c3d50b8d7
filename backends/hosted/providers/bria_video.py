"""Bria's own API for videos: `POST /v2/video/edit/remove_background`, and its upload service.

Contract: docs.bria.ai, "Video editing" and "Local Video Upload Service", read on 2026-11-29. A job
is told by the same status call as a picture's.
"""

from __future__ import annotations

from collections.abc import Mapping

from ....core.specs import BackendSpec, OptionValue
from ..http.wire import Call, JsonObject, Upload, VideoFile, Wire
from .answers import text_at
from .bria import Bria

# Said in each request: Bria's own defaults are a black backdrop and H.264.
_TRANSPARENT = "Transparent"


class BriaVideo(Bria):
    """Bria's words about videos; implements wire.VideoProvider."""

    result_field = "video_url"
    """Where an answer's `result` has the address of the file."""

    def __init__(
        self, spec: BackendSpec, bases: Mapping[str, str], options: Mapping[str, OptionValue]
    ) -> None:
        super().__init__(spec, bases, options)
        self._settings = video_settings(options)

    async def upload(self, wire: Wire, video: VideoFile) -> str:
        """See wire.VideoProvider. The place takes the file for an hour and keeps it for a day; the
        form's own fields come first, and the key does not go there."""
        begin = Call(
            "POST", f"{self._api}/v2/video/upload", data={"media_type": video.content_type}
        )
        answer = await wire.ask(begin)
        self._answers.check_account(answer)
        result = (answer.data() or {}).get("result")
        upload_url, file_url = text_at(result, "upload_url"), text_at(result, "file_url")
        if answer.status >= 300 or upload_url is None or file_url is None:
            raise self._answers.upload_failed(answer)
        fields = result.get("upload_fields") if isinstance(result, dict) else None
        before = tuple(
            (name, text)
            for name, text in (fields.items() if isinstance(fields, dict) else ())
            if isinstance(text, str)
        )
        name = f"video{video.suffix}"
        form = Upload("file", name, video.content_type, video.content, before)
        stored = await wire.put(Call("POST", upload_url, upload=form))
        if stored.status >= 300:
            raise self._answers.upload_failed(stored)
        return file_url

    def named(self, address: str) -> str:
        """The address itself."""
        return address

    def _body(self, image: str) -> JsonObject:
        return {"video": image, **self._settings}


def video_settings(options: Mapping[str, OptionValue]) -> JsonObject:
    """Return what a request says besides its video, in the words that Bria and Comfy share."""
    return {
        "background_color": _TRANSPARENT,
        "output_container_and_codec": str(options["codec"]),
        "preserve_audio": bool(options["preserve_audio"]),
    }
