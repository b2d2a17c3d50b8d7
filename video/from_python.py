"""The Python interface to videos."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, cast

from ..core.money import read_amount
from ..core.steady import DEFAULT_STRENGTH
from ..core.types import Backend, Job, Usage
from ..pipeline.gate import OpenBackend, is_video_model, open_backend, open_video_model
from .hosted.hosted_video import cut_out_hosted
from .hosted.whole_options import check_whole, codec_for
from .reading.streams import as_path
from .video_options import VideoOptions, seconds_of
from .video_plan import plan_video
from .video_report import VideoReport
from .video_run import cut_out_video


def remove_background_video(
    path: str | Path | BinaryIO,
    out: str | Path,
    backend: Backend | str,
    *,
    usage: Usage | None = None,
    format: str | None = None,
    quality: int | None = None,
    steady: float = DEFAULT_STRENGTH,
    refine: bool = False,
    solid: bool = False,
    decontaminate: float = 1.0,
    background: str | Path = "transparent",
    matte: str | Path | None = None,
    start: float | str | None = None,
    stop: float | str | None = None,
    max_cost: float | Decimal | None = None,
    job: Job | None = None,
    workers: int | None = None,
) -> VideoReport:
    """Cut the subject out of every frame of a video, and write a video with the same sound.

    path: the video, or an open stream of it. out: a .mov (ProRes 4444), .webm (VP9) or .mp4, or
    what `format` names: an id that docs/video.md lists; a sequence of pictures is a folder.
    steady: 0..1, how much flicker of the masks is damped. background: "transparent", a colour, or
    the path of a picture or video. matte: where the mask goes as a video of its own. start, stop:
    seconds, or "h:m:s". quality: 1..100. job: progress for each frame, and Cancel. workers: threads
    beside the model, one for each core by default. The rest: see `remove_background`.

    backend: also "bria/video", "fal/video" or "comfy/video", hosts' models for whole videos: out is
    a .webm, .mov or .mkv then, and what is done frame by frame cannot be asked of them.

    A run that was stopped or killed goes on from its last closed segment when it is called again
    with the same arguments. A frame that fails ends the run. Memory does not grow with the length.

    Raises PictureError, LicenceRefused, Offline, OverBudget, Cancelled or BadOption.
    """
    limit = None if max_cost is None else read_amount(max_cost)
    options = VideoOptions(
        format=format,
        steady=steady,
        refine=refine,
        solid=solid,
        decontaminate=decontaminate,
        background=None if str(background) == "transparent" else str(background),
        matte=None if matte is None else Path(matte),
        quality=quality,
        start=None if start is None else seconds_of(str(start)),
        stop=None if stop is None else seconds_of(str(stop)),
    )
    check = (job or Job()).check
    with as_path(path) as source:
        if is_whole(backend):
            model = _model(backend, usage, Path(out), options)
            return cut_out_hosted(source, Path(out), model, usage=usage, job=job, max_cost=limit)
        plan = plan_video(source, Path(out), options, check=check)
        opened = open_backend(backend, usage=usage) if isinstance(backend, str) else backend
        try:
            return cut_out_video(
                plan, opened, usage=usage, job=job, max_cost=limit, workers=workers
            )
        finally:
            if opened is not backend:
                opened.close()


def is_whole(backend: Backend | str) -> bool:
    """Tell whether it is a host's model for whole videos."""
    return is_video_model(backend) if isinstance(backend, str) else backend.spec.media == "video"


def _model(
    backend: Backend | str, usage: Usage | None, out: Path, options: VideoOptions
) -> OpenBackend:
    if isinstance(backend, str):
        codec = codec_for(out, options.format)
        backend = open_video_model(backend, usage=usage, options={"codec": codec})
    check_whole(backend.spec, options, VideoOptions())
    return cast("OpenBackend", backend)
