"""The audio and subtitle tracks of a source, packet by packet, untouched but for their times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import av

from .tracks import Container, codec_name

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream

#: What is said of the old file and is not true of the new one.
_OF_THE_OLD = frozenset({"encoder", "major_brand", "minor_version", "compatible_brands"})
_OF_A_TRACK = ("language", "title", "handler_name")


class SourceTracks:
    """The tracks of a source that a container carries; none where there is no source."""

    def __init__(
        self, source: Path | None, container: Container, name: str, warn: Callable[[str], None]
    ) -> None:
        self._source = source
        self._container = container
        self._name = name
        self._warn = warn
        self._closing = ExitStack()
        self._opened: InputContainer | None = None
        self._targets: dict[int, Stream] = {}

    def __enter__(self) -> SourceTracks:
        if self._source is not None:
            self._opened = self._closing.enter_context(
                av.open(str(self._source), metadata_errors="replace")
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

    def begin(self, film: Fraction) -> Fraction:
        """Return the second that becomes 0 when the whole is kept: where the source begins, if
        that is after 0. film: where its frames begin."""
        starts = [film]
        for stream in self._opened.streams if self._opened else ():
            if stream.type in ("audio", "video") and stream.start_time is not None:
                starts.append(stream.start_time * (stream.time_base or Fraction(1)))
        return max(Fraction(0), min(starts))

    def add_to(self, target: OutputContainer) -> None:
        """Make a track for each that the container carries, and take over what the source says."""
        if self._opened is None:
            return
        target.metadata.update(
            {k: v for k, v in self._opened.metadata.items() if k.lower() not in _OF_THE_OLD}
        )
        for stream in self._opened.streams:
            if stream.type not in ("audio", "subtitle"):
                continue
            context = stream.codec_context
            codec = codec_name(context.name) if context else "an unknown codec"
            if not self._container.carries(stream.type, codec):
                self._warn(
                    f"{self._container.label} carries no {stream.type} in {codec}, so track "
                    f"{stream.index} is missing in {self._name}; choose another format to keep it."
                )
                continue
            copy = target.add_stream_from_template(stream, opaque=True)
            for name in _OF_A_TRACK:
                if name in stream.metadata:
                    copy.metadata[name] = stream.metadata[name]
            self._targets[stream.index] = copy

    def packets(
        self, origin: Fraction, end: Fraction | None
    ) -> Iterator[tuple[float, Packet[Stream]]]:
        """Yield the packets of these tracks with the second when each is due.

        origin: the second of the source's clock that becomes 0. end: where the film ends.
        """
        if self._opened is None or not self._targets:
            return
        streams = [self._opened.streams[index] for index in self._targets]
        for packet in self._opened.demux(*streams):
            if not packet.size or packet.pts is None:
                continue
            step = packet.time_base
            begins = packet.pts * step
            ends = (packet.pts + (packet.duration or 0)) * step
            if end is not None and begins >= end:
                continue
            if ends <= origin and not (self._container.before_zero and origin <= 0):
                continue
            if packet.stream.type == "subtitle":
                _clip(packet, origin, end)
            yield self._moved(packet, round(origin / step), step)

    def _moved(
        self, packet: Packet[Stream], moved: int, step: Fraction
    ) -> tuple[float, Packet[Stream]]:
        assert packet.pts is not None
        packet.dts = (packet.dts if packet.dts is not None else packet.pts) - moved
        packet.pts -= moved
        packet.stream = self._targets[packet.stream.index]
        return float(packet.dts * step), packet


def _clip(packet: Packet[Stream], origin: Fraction, end: Fraction | None) -> None:
    """Let words be shown no longer than the film."""
    assert packet.pts is not None
    step = packet.time_base
    stops = packet.pts + (packet.duration or 0)
    packet.pts = packet.dts = max(packet.pts, round(origin / step))
    if packet.duration:
        packet.duration = (stops if end is None else min(stops, round(end / step))) - packet.pts
