"""One file with one encoded track of pictures, written through PyAV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import av
import av.bitstream
import av.codec.codec
import av.container
import av.error
import av.video.stream

from ...core.errors import BadOption
from ..frames import Colours, CutFrame, VideoInfo
from ..reading.ycbcr import MATRICES, PRIMARIES, TRANSFERS, code_of, range_code
from .encoder_planes import Samples, to_encoder
from .picture_checks import check_count, check_picture, prepared
from .video_formats import VideoFormat, written_colours, written_size

if TYPE_CHECKING:
    from av.video.stream import VideoStream

    _Packet: TypeAlias = av.Packet[VideoStream]


class FilmWriter:
    """A file of one container and one encoder; a `VideoWriter`."""

    def __init__(
        self, format: VideoFormat, path: Path, info: VideoInfo, quality: int | None, threads: int
    ) -> None:
        self._format = format
        self._path = path
        self._info = info
        self._size = written_size(format, info)
        bits = format.bits(info.bits)
        colours = written_colours(format, info.colours)
        self._samples = Samples(
            pixel_format=format.pixel_formats[bits],
            bits=bits,
            matrix=colours.matrix,
            full_range=colours.full_range,
            matte=format.matte,
        )
        self._count = 0
        self._durations: dict[int, int] = {}
        self._open = True
        with _named(path):
            self._container = av.open(
                str(path), "w", format=format.container, options=_container_options(format, info)
            )
            self._stream = _video_stream(self._container, format, info, quality)
            self._set_up(colours, threads)
            self._container.start_encoding()
        self._filter = _colour_filter(format, self._stream)

    def _set_up(self, colours: Colours, threads: int) -> None:
        context = self._stream.codec_context
        context.width, context.height = self._size
        context.pix_fmt = self._samples.pixel_format
        context.time_base = self._stream.time_base = self._info.time_base
        if not self._format.square_pixels:
            context.sample_aspect_ratio = self._info.pixel_aspect
        matrix = MATRICES.get(colours.matrix)
        context.colorspace = 0 if matrix is None else matrix.code
        context.color_range = range_code(colours.full_range)
        context.color_primaries = code_of(PRIMARIES, colours.primaries)
        context.color_trc = code_of(TRANSFERS, colours.transfer)
        context.bit_rate = 0  # PyAV's own choice would count where none is asked for
        context.thread_count = threads
        context.thread_type = "AUTO"
        if self._format.tag:
            context.codec_tag = self._format.tag

    def write(self, frame: CutFrame) -> None:
        check_picture(frame, self._format, self._info)
        check_count(self._count + 1, self._format)
        self._count += 1
        image = prepared(frame, self._format, self._info)
        picture = to_encoder(image, self._samples, self._size)
        picture.pts, picture.time_base = frame.pts, self._info.time_base
        self._durations[frame.pts] = frame.duration
        with _named(self._path):
            self._mux(self._stream.encode(picture))

    def close(self) -> None:
        if self._open:
            self._open = False
            with _named(self._path):
                self._mux(self._stream.encode(None))
                self._container.close()

    def discard(self) -> None:
        if self._open:
            self._open = False
            with suppress(av.error.FFmpegError, OSError):  # what is given up need not be whole
                self._container.close()
        self._path.unlink(missing_ok=True)

    def _mux(self, packets: Iterable[_Packet]) -> None:
        for packet in packets:
            if packet.pts is not None:  # set here: PyAV 14 has no place for it at the frame
                packet.duration = self._durations.pop(packet.pts, 0) or packet.duration
            for tagged in [packet] if self._filter is None else self._filter.filter(packet):
                tagged.stream = self._stream
                self._container.mux(tagged)


def _container_options(format: VideoFormat, info: VideoInfo) -> dict[str, str]:
    options = dict(format.container_options)
    if format.clock_option:
        options[format.clock_option] = str(info.time_base.denominator)
    return options


def _video_stream(
    container: av.container.OutputContainer,
    format: VideoFormat,
    info: VideoInfo,
    quality: int | None,
) -> av.video.stream.VideoStream:
    options = dict(format.options)
    if format.quality is not None:
        options[format.quality.option] = str(format.quality.value(quality))
    try:
        stream = container.add_stream(format.codec, rate=info.frame_rate, options=options)
    except av.codec.codec.UnknownCodecError as error:
        raise BadOption(
            f"{format.label} needs the encoder {format.codec}, and this installation of PyAV has "
            "none. Choose another format, or install PyAV from PyPI."
        ) from error
    assert isinstance(stream, av.video.stream.VideoStream)
    return stream


def _colour_filter(
    format: VideoFormat, stream: av.video.stream.VideoStream
) -> av.bitstream.BitStreamFilterContext | None:
    """Return what writes the colours' names into each picture; None where the encoder does."""
    if not format.colour_filter:
        return None
    context = stream.codec_context
    chosen = (
        f"color_primaries={_listed(context.color_primaries, _PRORES_PRIMARIES)}",
        f"color_trc={_listed(context.color_trc, _PRORES_TRANSFERS)}",
        f"colorspace={context.colorspace:d}",
    )
    return av.bitstream.BitStreamFilterContext(f"{format.colour_filter}={':'.join(chosen)}", stream)


def _listed(value: int, known: tuple[int, ...]) -> int:
    """Return the code, or 0, the filter's own for colours without a name: it refuses 2."""
    return value if value in known else 0


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Say in a sentence that a file cannot be written."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadOption(
            f"{path} cannot be written ({reason}); choose another place or format."
        ) from error


#: What a ProRes picture can name; all matrices of `written_colours` are among it.
_PRORES_PRIMARIES = (1, 5, 6, 9, 11, 12)
_PRORES_TRANSFERS = (1, 16, 18)
