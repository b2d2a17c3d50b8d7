"""The product for videos: a stream of frames through the pipeline, and into a video again."""

from __future__ import annotations

from decimal import Decimal

from ..config.settings import Settings
from ..core.types import Backend, Job, Usage
from ..records.store import Records
from .cutting.video_stages import VideoRun
from .video_plan import VideoPlan
from .video_report import VideoReport


def cut_out_video(
    plan: VideoPlan,
    backend: Backend,
    *,
    usage: Usage | None = None,
    settings: Settings | None = None,
    job: Job | None = None,
    records: Records | None = None,
    max_cost: Decimal | None = None,
    workers: int | None = None,
) -> VideoReport:
    """Cut the subject out of every frame of a video, and write them as a video again.

    plan: from `plan_video`. job: `step` is called with the frames that are written, those of
    earlier runs at the beginning. workers: threads for loading, masks and colours, one for each
    core by default. usage, settings, records, max_cost: see `remove`.

    A run that was stopped or killed goes on from its last closed segment when it is called again
    with the same arguments. A frame that fails ends the run: no frame is left out or blank. In
    memory are at most the backend's window of frames, those that the workers and the encoder are at
    work on, and the look-ahead of `steady`.

    Raises PictureError, with the frame and its time, for what cannot be read or cut out; BadOption
    where the place cannot be written or another run is at work on it; LicenceRefused, Offline,
    OverBudget and Cancelled.
    """
    with VideoRun(plan, backend, usage, settings, job, records, max_cost, workers) as run:
        frames = run.read()
        masked = run.masked(frames)
        steady = run.steadied(masked)
        finished = run.finished(steady)
        run.write(finished)
        return run.joined()
