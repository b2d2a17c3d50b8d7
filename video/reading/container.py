"""A video file, opened: the stream to read, its decoder, and PyAV's errors in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
from av.video.codeccontext import VideoCodecContext

from ...core.errors import BadPicture

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame as Decoded
    from av.video.stream import VideoStream

#: Codecs whose alpha lies beside the pictures -> the decoder that reads both.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}

#: AVStream.disposition: a cover picture, not a film.
_ATTACHED_PICTURE = 1024

#: What the mov container calls streams that only open with a key.
_ENCRYPTED_TAGS = frozenset({"encv", "drmi"})


def unusable(path: Path, reason: str) -> BadPicture:
    """Return the error for a video that cannot be used; reason: what is wrong, then the remedy."""
    return BadPicture(f"{path.name} cannot be used: {reason}.")


@dataclass(frozen=True)
class OpenVideo:
    """A container and the stream in it that is read."""

    path: Path
    container: InputContainer
    stream: VideoStream
    time_base: Fraction
    """Seconds of one step of its timestamps."""
    others: int
    """Number of further video streams."""
    decoder: VideoCodecContext
    """The stream's own, or the one that reads alpha, too."""

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """Return the stream's packets in the order of the file, then the empty one that flushes."""
        return self.container.demux(self.stream)

    def decode(self, packet: Packet[VideoStream]) -> list[Decoded]:
        """Return the frames that a packet completes, in the order of display."""
        if self.decoder is self.stream.codec_context:
            return packet.decode()
        return self.decoder.decode(packet if packet.size else None)

    def stated_time(self, frame: Decoded) -> int | None:
        """Return when the file says that a frame is shown. AVI only says when it is decoded, in
        the same regular steps."""
        return frame.pts if self.is_timed else frame.dts

    @property
    def is_timed(self) -> bool:
        """Whether the container says when frames are shown."""
        return self.container.format.name != "avi"

    def seek(self, pts: int) -> None:
        """Go on at the key frame shown at `pts`, or before it."""
        self.container.seek(pts, stream=self.stream)
        self.decoder.flush_buffers()


@contextmanager
def open_video(path: Path) -> Iterator[OpenVideo]:
    """Open a file to read its video. Raises BadPicture where there is none that can be read."""
    with _opened(path) as container:
        streams = [stream for stream in container.streams.video if not _is_cover(stream)]
        if not streams:
            raise unusable(path, "it has no video track; choose a video")
        stream = streams[0]
        if stream.codec_context is None:
            raise unusable(
                path,
                "its codec is unknown to the FFmpeg inside PyAV; convert it, for example to H.264",
            )
        if _tag(stream) in _ENCRYPTED_TAGS:
            raise unusable(path, "it is encrypted; use a copy without protection")
        stream.thread_type = "AUTO"
        step = stream.time_base or Fraction(1, av.time_base)
        yield OpenVideo(path, container, stream, step, len(streams) - 1, _decoder(stream))


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    if path.is_dir():
        raise unusable(path, "it is a folder, not a video")
    try:
        container = av.open(str(path), metadata_errors="replace")
    except FileNotFoundError as error:
        raise unusable(path, "there is no such file") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:  # ValueError: a zero byte
        raise unusable(path, _why_not_opened(error)) from error
    with container:
        yield container


def _why_not_opened(error: Exception) -> str:
    if isinstance(error, av.error.InvalidDataError):
        return "it is no video, or its head is damaged; open it in a player to see which"
    return f"the file cannot be read ({getattr(error, 'strerror', None) or error})"


def _is_cover(stream: VideoStream) -> bool:
    """Tell a cover picture from a film; PyAV before 15 does not say, but covers last one frame."""
    disposition = getattr(stream, "disposition", None)
    if disposition is not None:
        return bool(disposition.value & _ATTACHED_PICTURE)
    codec = stream.codec_context
    return codec is not None and codec.name in ("mjpeg", "png") and not stream.average_rate


def _tag(stream: VideoStream) -> str:
    return str(stream.codec_context.codec_tag).strip("\0 ").lower()


def _decoder(stream: VideoStream) -> VideoCodecContext:
    own = stream.codec_context
    name = _ALPHA_DECODERS.get(own.name)
    # In either case of letters: a muxer that was told of it says it twice.
    said = {key.lower(): value for key, value in stream.metadata.items()}
    if name is None or said.get("alpha_mode") != "1":
        return own
    decoder = av.CodecContext.create(name, "r")
    if not isinstance(decoder, VideoCodecContext):
        return own
    decoder.extradata = own.extradata
    return decoder


@dataclass
class Losses:
    """Packets that became no frame."""

    damaged: int = 0
    """That could not be decoded, or not be read at all."""
    hidden: int = 0
    """That the file itself keeps from being shown: before the beginning that it was cut to."""
    reason: str = ""
    """FFmpeg's words for the first that was damaged."""

    def add(self, error: av.error.FFmpegError) -> None:
        """Count one that was damaged."""
        self.damaged += 1
        self.reason = self.reason or (error.strerror or str(error))


def frames_of(video: OpenVideo, losses: Losses, *, from_key: bool = False) -> Iterator[Decoded]:
    """Decode from where the container stands, counting losses.

    from_key: pass over packets before the first key frame, which lean on what was not read.
    """
    packets = video.packets()
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            losses.add(error)
            return
        if packet is None:
            return
        if from_key and packet.size:
            if not packet.is_keyframe:
                continue
            from_key = False
        losses.hidden += packet.is_discard
        try:
            frames = video.decode(packet)
        except av.error.FFmpegError as error:
            losses.add(error)
            continue
        yield from frames
