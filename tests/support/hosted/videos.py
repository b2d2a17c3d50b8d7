"""The hosts' words about whole videos, and small videos to send and to answer with."""

from __future__ import annotations

import asyncio
import email
import io
import uuid
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias, cast

import av
import numpy as np
from aiohttp import web

from .bria import Bria
from .comfy import Comfy
from .fal import Fal
from .records import Job
from .speech import Refused, Route, Speech

VideoAnswer: TypeAlias = Callable[[bytes, str], bytes]

#: What hosts call a codec -> (suffix, encoder, pixel format with and without alpha).
_CODECS = {
    "webm_vp9": ("webm", "libvpx-vp9", "yuva420p", "yuv420p"),
    "mkv_vp9": ("mkv", "libvpx-vp9", "yuva420p", "yuv420p"),
    "mov_proresks": ("mov", "prores_ks", "yuva444p10le", "yuv444p10le"),
}
_RATE = 25


def small_video(path: Path, *, frames: int = 10, width: int = 64, height: int = 48) -> Path:
    """Write an H.264 video of a square that moves; every video is another one."""
    path.write_bytes(_encoded(frames, width, height, "mp4", "libx264", "yuv420p"))
    return path


def answer_video(
    codec: str,
    *,
    frames: int,
    width: int,
    height: int,
    alpha: bool = True,
    opaque: bool = False,
) -> bytes:
    """A host's answer of this many frames and this size."""
    suffix, encoder, with_alpha, without = _CODECS[codec]
    pixels = with_alpha if alpha else without
    return _encoded(frames, width, height, suffix, encoder, pixels, 255 if opaque else 0)


def cut_out(data: bytes, codec: str) -> bytes:
    """An honest answer to a video: as many frames, as large, with alpha."""
    with av.open(io.BytesIO(data)) as source:
        stream = source.streams.video[0]
        frames = sum(1 for _ in source.decode(stream))
        size = stream.codec_context.width, stream.codec_context.height
    return answer_video(codec, frames=frames, width=size[0], height=size[1])


def _encoded(
    frames: int,
    width: int,
    height: int,
    suffix: str,
    encoder: str,
    pixel_format: str,
    backdrop: int = 0,
) -> bytes:
    buffer = io.BytesIO()
    container = "matroska" if suffix == "mkv" else suffix
    with av.open(buffer, "w", format=container) as target:
        stream = target.add_stream(encoder, rate=_RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.thread_count = 1
        if "libvpx" in encoder:
            stream.options = {"deadline": "realtime", "cpu-used": "8"}
        if "yuva" in pixel_format and "vp9" in encoder:
            stream.metadata["alpha_mode"] = "1"
        for number in range(frames):
            levels = np.full((height, width, 4), 90, np.uint8)
            levels[..., 3] = backdrop
            left = number % max(1, width // 2)
            levels[height // 4 : height // 2, left : left + width // 2] = (200, 40, 40, 255)
            frame = av.VideoFrame.from_ndarray(levels, "rgba").reformat(format=pixel_format)
            frame.pts, frame.time_base = number, Fraction(1, _RATE)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return buffer.getvalue()


class _Videos(Speech):
    """What the three share: videos are addresses, of what was uploaded or of anywhere."""

    async def video_job(
        self, request: web.Request, key: str, address: str, fields: set[str]
    ) -> Job:
        body = self.body(request, await request.read(), fields | {address})
        url, codec = body.get(address), body.get("output_container_and_codec")
        if codec not in _CODECS or not isinstance(body.get("preserve_audio"), bool):
            self.complain(request, f"codec {codec}, or no word on the sound")
            raise Refused(422, "Unknown output_container_and_codec.")
        if "background_color" in fields and body.get("background_color") != "Transparent":
            self.complain(request, "the backdrop is not said to be transparent")
        data = self.records.uploads.get(url if isinstance(url, str) else "")
        if data is None:
            raise Refused(422, "The video could not be downloaded.")
        made = await asyncio.to_thread(self.place.video_answer, data, codec)
        return self.records.accept_video(key, data, (made, "application/octet-stream"))

    def stored(self, name: str, data: bytes) -> None:
        self.records.uploads[self.address(name)] = data

    def address(self, name: str) -> str:
        return f"{self.place.url}/cdn/{name}"

    def keyless(self, request: web.Request) -> None:
        if self.place.key in str(request.headers):
            self.complain(request, "the key was sent to a file's address")

    def result_url(self, job: Job) -> str:
        return f"{self.place.url}/files/{job.id}.video"


_BRIAS = {"background_color", "output_container_and_codec", "preserve_audio"}


class VideoBria(_Videos, Bria):
    def routes(self) -> list[Route]:
        return [
            Route("submit", "POST", "/v2/video/edit/remove_background", self._submit),
            Route("status", "GET", "/v2/status/{id}", self._status),
            Route("upload", "POST", "/v2/video/upload", self._begin),
            Route("upload", "POST", "/bucket", self._form),
        ]

    async def _submit(self, request: web.Request) -> web.Response:
        key = self.admit(request, "api_token", "")
        return self._taken(await self.video_job(request, key, "video", _BRIAS))

    def _result(self, job: Job) -> dict[str, Any]:
        return {"video_url": self.result_url(job)}

    async def _begin(self, request: web.Request) -> web.Response:
        self.admit(request, "api_token", "")
        body = self.body(request, await request.read(), {"media_type"})
        if not str(body.get("media_type", "")).startswith("video/"):
            self.complain(request, "no media type of a video")
        name = uuid.uuid4().hex
        result = {
            "upload_url": f"{self.place.url}/bucket",
            "upload_fields": {"key": name, "policy": "cG9saWN5"},
            "file_url": self.address(name),
        }
        return web.json_response({"result": result, "request_id": name})

    async def _form(self, request: web.Request) -> web.Response:
        self.keyless(request)
        kind = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n"
        message = email.message_from_bytes(kind.encode() + await request.read())
        parts = [part for part in message.walk() if not part.is_multipart()]
        names = [part.get_param("name", header="content-disposition") for part in parts]
        form = {
            name: cast("bytes", part.get_payload(decode=True))
            for name, part in zip(names, parts, strict=True)
        }
        if names != ["key", "policy", "file"]:
            self.complain(request, f"the form's fields are {names}")
            return web.Response(status=400, text="<Error>InvalidArgument</Error>")
        self.stored(form["key"].decode(), form["file"])
        return web.Response(status=204)


class VideoFal(_Videos, Fal):
    media_type = "video/mp4"

    async def _accepted(self, request: web.Request, key: str) -> Job:
        fields = {"output_container_and_codec", "preserve_audio"}
        return await self.video_job(request, key, "video_url", fields)

    def _output(self, job: Job) -> dict[str, Any]:
        return {"video": {"url": self.result_url(job), "content_type": "video/webm"}}


class VideoComfy(_Videos, Comfy):
    def routes(self) -> list[Route]:
        return [
            *Comfy.routes(self),
            Route("upload", "POST", "/customers/storage", self._initiate),
            Route("upload", "PUT", "/cdn/{name}", self._put),
        ]

    async def _accepted(self, request: web.Request, account: str) -> Job:
        job = await self.video_job(request, account, "video", _BRIAS)
        job.model = request.path.removesuffix("/requests")
        return job

    def _output(self, job: Job) -> dict[str, Any]:
        result = {"video_url": self.result_url(job)}
        return {"request_id": job.id, "status": "COMPLETED", "result": result}

    async def _initiate(self, request: web.Request) -> web.Response:
        self._account(request)
        body = self.body(request, await request.read(), {"file_name", "content_type"})
        url = self.address(f"{uuid.uuid4().hex}-{body.get('file_name')}")
        return web.json_response({"upload_url": url, "download_url": url})

    async def _put(self, request: web.Request) -> web.Response:
        self.stored(request.match_info["name"], await request.read())
        return web.Response()
