"""The encoded frames of segment files, one after the other, with the times they are to have."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ..frames import VideoInfo
from ..reading.container import open_video, unusable

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    #: When it is due, in seconds, and what is due.
    FilmPacket: TypeAlias = tuple[float, Packet[VideoStream]]


class FilmPackets:
    """What the segments hold, known from one look at their packets."""

    def __init__(
        self,
        segments: Sequence[Path],
        info: VideoInfo,
        times: Sequence[int] | None,
        check: Callable[[], None],
    ) -> None:
        self._segments = segments
        self._info = info
        self._step = info.time_base
        self._delay = 0
        """By how many frames a packet may come before the frames that are shown first."""
        self._counts: list[int] = []
        shown: array[int] = array("q")
        self._last = max(1, round(1 / (info.frame_rate * info.time_base)))
        """Duration of the last frame."""
        for segment in segments:
            check()
            shown.extend(self._look_at(segment))
        self._times: Sequence[int] = shown if times is None else times
        if len(self._times) != len(shown):
            raise unusable(
                segments[0],
                f"the segments hold {len(shown)} frames, and {len(self._times)} were written; "
                "begin again",
            )

    @property
    def begin(self) -> Fraction:
        """When the first frame is shown, in seconds of the source's clock."""
        return self._times[0] * self._step

    @property
    def end(self) -> Fraction:
        """When the last frame is no longer shown."""
        return (self._times[-1] + self._last) * self._step

    def _look_at(self, segment: Path) -> list[int]:
        """Return the times that a segment states, in the order of display."""
        with open_video(segment) as video:
            stated: list[int] = []
            for packet in video.packets():
                if packet.size:
                    if packet.pts is None:
                        raise unusable(segment, "a frame in it has no time; begin again")
                    stated.append(round(packet.pts * video.time_base / self._step))
                    if packet.duration:
                        self._last = max(1, round(packet.duration * video.time_base / self._step))
        if not stated:
            raise unusable(segment, "it holds no frames; begin again")
        self._counts.append(len(stated))
        shown = sorted(stated)
        rank = {pts: place for place, pts in enumerate(shown)}
        self._delay = max(self._delay, *(place - rank[pts] for place, pts in enumerate(stated)))
        return shown

    def add_to(self, target: OutputContainer, tag: str) -> VideoStream:
        """Make the track of these frames. tag: the codec's name in the container."""
        with open_video(self._segments[0]) as video:
            stream = target.add_stream_from_template(video.stream, opaque=True)
            stream.codec_context.framerate = self._info.frame_rate
            # Of the segment's track, not of its codec: some codecs cannot say it.
            aspect = video.stream.sample_aspect_ratio
            if aspect:
                stream.codec_context.sample_aspect_ratio = aspect
            if tag:
                stream.codec_context.codec_tag = tag
            stream.metadata.update(_kept(video.stream.metadata))
        return stream

    def packets(self, track: VideoStream, origin: Fraction) -> Iterator[FilmPacket]:
        """Yield all packets in the order of the file, with the second when each is due.

        track: which `add_to` made. origin: the second of the source's clock that becomes 0.
        """
        moved = round(origin / self._step)
        before = 0
        for segment, count in zip(self._segments, self._counts, strict=True):
            yield from self._of(segment, track, before, count, moved)
            before += count

    def _of(
        self, segment: Path, track: VideoStream, before: int, count: int, moved: int
    ) -> Iterator[FilmPacket]:
        with open_video(segment) as video:
            stated = sorted(p.pts for p in video.packets() if p.size and p.pts is not None)
            rank = {pts: before + place for place, pts in enumerate(stated)}
        if len(rank) != count:
            raise unusable(segment, "two frames in it have the same time; begin again")
        with open_video(segment) as video:
            for place, packet in enumerate(packet for packet in video.packets() if packet.size):
                number = rank[packet.pts or 0]
                packet.pts = self._times[number] - moved
                packet.dts = self._decoded_at(before + place) - moved
                packet.duration = self._duration(number)
                packet.time_base = self._step
                packet.stream = track
                yield float(packet.dts * self._step), packet

    def _decoded_at(self, place: int) -> int:
        """Return when the packet at this place is decoded: as much earlier as any needs it."""
        shown = place - self._delay
        return self._times[shown] if shown >= 0 else self._times[0] + shown * self._last

    def _duration(self, number: int) -> int:
        following = number + 1
        if following == len(self._times):
            return self._last
        return self._times[following] - self._times[number]


def _kept(metadata: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in metadata.items() if name.lower() == "alpha_mode"}
