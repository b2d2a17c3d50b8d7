"""Hosted models whose jobs are whole videos: a file goes there in pieces, and a file comes back.

The life of the job is that of a picture's (jobs/); here is what it sends and what it makes. Videos
travel by the host's own storage, or from an address that the user names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import cast

from ...catalogue.hosted_videos import find_video_model
from ...config.hosted import hosting_of
from ...config.keys import Key
from ...core.errors import BadOption, BadPicture, UnusableResult
from ...core.specs import BackendSpec, OptionValue, Price
from ...core.types import Clip, Host, Job, Outcome
from .backend import HostedJobs
from .http.addresses import check_url
from .http.wire import Unreachable, VideoFile, VideoProvider, Words
from .jobs.run_context import BlockingPool, HostedRequest, Made, Packed, RunContext
from .providers import VIDEO_PROVIDERS
from .streamed_files import FilePieces, FileSink
from .video_container import HEAD, Container, container_of, not_a_video

# The most bytes that an answer may have: two for each pixel, more than ProRes 4444 has at its best,
# and what is written beside them. Where the number of frames is not known, of a minute's.
_BESIDE = 64_000_000
_A_PIXEL = 2
_MOST_FRAMES = 3600


@dataclass(frozen=True)
class VideoToSend:
    """One video, with what is known of it before anything is sent."""

    name: str
    """What messages call it."""
    path: Path
    sha256: str
    """Of the file, in hexadecimal."""
    size: int
    """Of the file, in bytes."""
    width: int
    height: int
    frames: int
    seconds: Fraction
    check: Callable[[Path, Callable[[], bool]], None]
    """Raises UnusableResult for a file that is no answer to this video; given whether that is still
    wanted, for it may take long."""


class HostedVideos(HostedJobs):
    """A provider's model for whole videos."""

    def work(self, video: VideoToSend) -> str:
        """Return the identity of the paid work: the file's bytes, the model, and the settings that
        its result depends on. The same video from an address is the same work."""
        digest = hashlib.sha256(f"{video.sha256} {self._parameters}".encode()).hexdigest()
        return f"{self.spec.id}:{digest}"

    def price(self, video: VideoToSend) -> Price:
        """Return what it costs, each second that has begun counted."""
        return cast("Price", self.spec.price).of_video(video.seconds)

    def check(self, video: VideoToSend) -> None:
        """Raise BadPicture for a video that the provider does not take, and BadOption for an
        address that nobody can fetch it from."""
        hosting = hosting_of(self.spec)
        limits, who, name = hosting.video, self.spec.label, video.name
        assert limits is not None
        if video.seconds > limits.seconds:
            raise BadPicture(
                f"{name} lasts {float(video.seconds):.1f} s, and {who} takes {limits.seconds} s. "
                "Cut it into shorter videos, or use a backend for pictures, which works frame by "
                "frame."
            )
        if max(video.width, video.height) > limits.side:
            raise BadPicture(
                f"{name} has {video.width} x {video.height} pixels, and {who} takes "
                f"{limits.side} at most on a side. Make it smaller."
            )
        address = self._address
        if address:
            try:
                check_url(address, frozenset())
            except Unreachable as why:
                raise BadOption(
                    f"{self.spec.id}: the option `address` names a place that {who} cannot fetch a "
                    f"video from: {why}. Give a public https address, or leave it empty."
                ) from None
        elif video.size > hosting.most_bytes:
            raise BadPicture(
                f"{name} has {video.size / 1e6:.0f} MB, and {hosting.most_bytes / 1e6:.0f} MB can "
                f"be uploaded to {who}. Put it at a public https address and give that with the "
                "option `address`, or make the file smaller."
            )

    def run(self, video: VideoToSend, job: Job) -> Outcome:
        """Return what became of one video. Raises KeyMissing, AccountRefused, Offline, OverBudget,
        Cancelled, and what `check` raises."""
        self.check(video)
        size = video.width, video.height
        request = HostedRequest(
            0,
            video.name,
            self.work(video),
            size,
            partial(self._pack, video),
            price=self.price(video),
            about=video,
        )
        (outcome,) = self._carry(iter([request]), job)
        return outcome

    @property
    def _address(self) -> str:
        return str(self._options.get("address", "")).strip()

    async def _pack(self, video: VideoToSend, context: RunContext) -> Packed:
        provider = cast("VideoProvider", context.provider)
        size = video.width, video.height

        async def hand_over() -> str:
            if self._address:
                return provider.named(self._address)
            kind = await context.pool.run(_container, video)
            content = FilePieces(video.path, video.size, video.sha256, context.pool.run)
            file = VideoFile(content, kind.content_type, kind.suffix)
            return provider.named(await provider.upload(context.transport, file))

        return Packed(size, hand_over)

    def _provider(self, key: Key, pool: BlockingPool) -> Words:
        return VIDEO_PROVIDERS[self.spec.provider](self.spec, self._bases, self._options)

    async def _fetch(
        self, context: RunContext, request: HostedRequest, url: str, size: tuple[int, int]
    ) -> Made:
        video = cast("VideoToSend | None", request.about)
        frames = video.frames if video else _MOST_FRAMES
        path = await context.pool.run(_place, context, request.work)
        sink = FileSink(path, context.pool.run)
        try:
            most = _BESIDE + _A_PIXEL * size[0] * size[1] * frames
            await context.transport.download_into(sink, url, most)
            await sink.close()
            await context.pool.run(_check, path)
            if video:
                wanted = context.pool.stopping
                await context.pool.run(video.check, path, lambda: not wanted.is_set())
        except BaseException:
            sink.discard()
            raise
        return lambda facts: Clip(path, sink.size, sink.sha256, facts)


def open_videos(spec: BackendSpec, host: Host, **options: OptionValue) -> HostedVideos:
    """Open the model of any provider."""
    del host  # a provider's machine computes, not this one
    return HostedVideos(find_video_model(spec.id), options)


def _place(context: RunContext, work: str) -> Path:
    try:
        return context.job.place(work)
    except OSError as error:
        raise Unreachable(f"there is no place to write it ({error.strerror})") from None


def _container(video: VideoToSend) -> Container:
    """Return what kind of file it is. Raises BadPicture."""
    try:
        with open(video.path, "rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise BadPicture(f"it cannot be read ({error.strerror}).") from error
    kind = container_of(head)
    if kind is None:
        raise BadPicture(
            "it is in a container that hosts do not take; convert it to MP4, MOV, WebM or Matroska."
        )
    return kind


def _check(path: Path) -> None:
    """Raise UnusableResult for what is no video at all."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if container_of(head) is None:
        raise UnusableResult(f"the provider's file is no video: it looks like {not_a_video(head)}.")
