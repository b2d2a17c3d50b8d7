"""The file of Remove Background from Video (RMBG): how it is made, named and shown."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from weakref import WeakKeyDictionary

from ..pipeline.matte_memory import MatteMemory
from ..records.locks import hold
from ..video.cutting.identity import identity_of
from ..video.reading.info import read_info
from ..video.reading.streams import as_path
from ..video.video_cost import frames_of
from ..video.video_options import VideoOptions
from ..video.video_plan import VideoPlan, plan_video
from ..video.video_report import VideoReport
from ..video.video_run import cut_out_video
from ..video.writing.video_formats import VideoFormat, video_format
from .comfy_host import blocked, comfy_job, save_place
from .core_model import CORE_MODEL
from .socket import Remover
from .video_source import IN_MEMORY, ComfyVideo, is_in_memory, only_the_part, video_of

#: Formats that browsers show.
_SHOWN = ("webm-vp9", "h264", "matte-h264", "webp-animated")
#: Of those that are no video to ComfyUI: its decoder does not read them.
_NO_VIDEO = ("webp-animated",)
_DIGITS = 16
_KEPT = 7 * 24 * 3600.0  # seconds
# The memory of core's model -> a name for the model.
_OF_CORE: WeakKeyDictionary[MatteMemory, str] = WeakKeyDictionary()
#: Two nodes of one prompt may end at the same moment.
_NAMING = threading.Lock()


@dataclass(frozen=True)
class SavedVideo:
    """A video in ComfyUI's output folder."""

    path: Path
    """The file, or the folder of a sequence."""
    subfolder: str
    """As the frontend calls it."""
    format: VideoFormat
    report: str
    said: Sequence[str]
    """What is worth a look, worst first."""
    urgent: Sequence[str]
    """What of it makes the result useless."""

    @property
    def video(self) -> object:
        """Return it for the next node; what says why there is none, for a node that wants it."""
        if self.format.is_sequence or self.format.id in _NO_VIDEO:
            return blocked(
                f"{self.format.label} is no video that ComfyUI's nodes read; take the path, or "
                "choose webm-vp9 or prores-4444."
            )
        return video_of(self.path)

    def preview(self) -> dict[str, object]:
        """Return what the page shows: the video, or where it is."""
        if self.format.id in _SHOWN:
            saved = {"filename": self.path.name, "subfolder": self.subfolder, "type": "output"}
            return {"images": [saved], "animated": (True,)}
        where = "/".join(filter(None, ("output", self.subfolder, self.path.name)))
        reason = "pictures, one a frame" if self.format.is_sequence else "browsers do not play it"
        return {"rmbg_place": [f"{self.format.label} ({reason}): {where}"]}


def save_video(
    remover: Remover,
    video: ComfyVideo,
    options: VideoOptions,
    prefix: str,
    max_cost: Decimal | None,
    signed_in: Callable[[], str],
) -> SavedVideo:
    """Cut a video out into ComfyUI's output folder, and name it as Save Video would.

    The closed segments are kept by what is made, not by the name that it gets: a run that was
    cancelled goes on with another prefix or after other videos, too.
    """
    with as_path(video.get_stream_source()) as source:
        with comfy_job(1) as looking:
            plan = _planned(source, video, options, prefix, looking.check)
            made = replace(plan, out=_working_name(plan, remover))
        _forget_old(made.out.parent)
        if made.out.is_dir():  # left by a process that ended before it was named
            shutil.rmtree(made.out)
        with comfy_job(max(1, frames_of(made)), signed_in) as job:
            report = cut_out_video(
                made, remover.backend, usage=remover.usage, job=job, max_cost=max_cost
            )
    path, subfolder = _name(made, prefix)
    return _saved(replace(report, path=path), subfolder, made.format, is_in_memory(video))


def _planned(
    source: Path,
    video: ComfyVideo,
    options: VideoOptions,
    prefix: str,
    check: Callable[[], None],
) -> VideoPlan:
    info = read_info(source)
    folder, *_ = save_place(prefix, info.width, info.height)
    suffix = _suffix(video_format(options.format or ""))
    part = only_the_part(options, video, info)
    return plan_video(source, folder / f".rmbg-video{suffix}", part, check=check)


def _working_name(plan: VideoPlan, remover: Remover) -> Path:
    """Return where the result lies before it has its name, the same for the same work."""
    made = {**identity_of(plan, remover.backend), "loaded": _loaded(remover)}
    digest = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:_DIGITS]
    return plan.out.with_name(f"rmbg-{digest}{_suffix(plan.format)}")


def _forget_old(folder: Path) -> None:
    """Remove the segments that no run has taken up for a week: they are larger than the video."""
    for work in folder.glob(".rmbg-*.rmbg-video"):
        with suppress(OSError):  # another run takes it away, or its disk is read-only
            if time.time() - work.stat().st_mtime > _KEPT and not _is_at_work(work):
                shutil.rmtree(work)


def _is_at_work(work: Path) -> bool:
    lock = os.open(work / "lock", os.O_RDWR)
    try:
        return not hold(lock)
    finally:
        os.close(lock)


def _loaded(remover: Remover) -> str:
    """Return what tells one model of core's from another as long as ComfyUI holds it: nothing else
    does. Empty for ours, whose weights are known."""
    if remover.backend.spec.id != CORE_MODEL.id:
        return ""
    return _OF_CORE.setdefault(remover.kept, uuid.uuid4().hex)


def _suffix(format: VideoFormat) -> str:
    return "" if format.is_sequence else format.suffix


def _name(plan: VideoPlan, prefix: str) -> tuple[Path, str]:
    """Give the result the next free name; return it, and its folder as the frontend calls it."""
    with _NAMING:
        folder, name, counter, subfolder = save_place(prefix, plan.info.width, plan.info.height)
        path = folder / f"{name}_{counter:05}_{_suffix(plan.format)}"
        os.rename(plan.out, path)
    return path, subfolder


def _saved(report: VideoReport, subfolder: str, format: VideoFormat, in_memory: bool) -> SavedVideo:
    shown = [word for word in report.warnings if word not in report.facts.notes]
    sentences = [f"{words[:1].upper()}{words[1:].removesuffix('.')}." for words in shown]
    empty = [words for words in sentences if "no subject was found" in words.lower()]
    rest = [words for words in sentences if words not in empty]
    written = json.dumps(report.data(), ensure_ascii=False)
    return SavedVideo(
        report.path,
        subfolder,
        format,
        f"{report.text()}\n{written}",
        [*empty, *rest, *([IN_MEMORY] if in_memory else [])],
        empty if report.empty * 2 > report.frames else [],
    )
