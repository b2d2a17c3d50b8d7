"""Bria's model for videos on Comfy Router.

Contract: docs.comfy.org/development/comfy-router/models/bria/video-edit-remove-background, read on
2026-11-29: the video comes as a public address. The upload is the one of ComfyUI's own nodes
(`/customers/storage` in comfy_api_nodes/util/upload_helpers.py), with the same key.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping

from ....core.errors import BackendFailed
from ....core.specs import BackendSpec, OptionValue
from ..http.wire import Answer, Call, JsonObject, VideoFile, Wire
from .answers import said, text_at
from .bria_video import video_settings
from .comfy import Comfy


class ComfyVideo(Comfy):
    """Comfy Router's words about videos; implements wire.VideoProvider."""

    result_field = "video_url"
    """Where an answer's `result` has the address of the file."""

    def __init__(
        self, spec: BackendSpec, bases: Mapping[str, str], options: Mapping[str, OptionValue]
    ) -> None:
        super().__init__(spec, bases, options)
        self._api = bases["api"]
        self._video_settings = video_settings(options)

    async def upload(self, wire: Wire, video: VideoFile) -> str:
        """See wire.VideoProvider."""
        begin = Call(
            "POST",
            f"{self._api}/customers/storage",
            data={
                "file_name": f"{uuid.uuid4()}{video.suffix}",
                "content_type": video.content_type,
            },
        )
        answer = await wire.ask(begin)
        self._answers.check_account(answer)
        upload_url = text_at(answer.data(), "upload_url")
        address = text_at(answer.data(), "download_url")
        if answer.status >= 300 or upload_url is None or address is None:
            raise _no_upload(answer)
        headers = {"Content-Type": video.content_type}
        stored = await wire.put(Call("PUT", upload_url, content=video.content, headers=headers))
        if stored.status >= 300:
            raise _no_upload(stored)
        return address

    def named(self, address: str) -> str:
        """The whole request: a lost answer is asked for with the very same one, by whoever asks."""
        return json.dumps({"video": address, **self._video_settings})

    def _body(self, image: str) -> JsonObject:
        body: JsonObject = json.loads(image)
        return body


def _no_upload(answer: Answer) -> BackendFailed:
    return BackendFailed(
        f"Comfy did not take the upload of the video ({answer.status}: {said(answer)}). Nothing "
        "was billed. Put the video at a public https address and give that with the option "
        "`address`, or use another backend."
    )
