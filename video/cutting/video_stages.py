"""One run on a video: what each of its stages needs, and what is let go of at its end."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import cast

from torch import Tensor

from ...config.memory import memory_given_back
from ...config.settings import Settings, read_settings
from ...core.errors import PictureError
from ...core.steady import Steady
from ...core.types import Backend, Job, Usage
from ...pipeline.executor import usual_workers
from ...pipeline.finishing import Finishing
from ...pipeline.hand_over import Settle
from ...pipeline.inputs import Failed, Input
from ...pipeline.masks import Masked, masks
from ...pipeline.one_run import Run
from ...records.store import Records
from ..frame_memory import FrameMemory
from ..frames import VideoFrame
from ..reading.read_frames import read_frames
from ..video_cost import frames_of
from ..video_options import clock
from ..video_plan import VideoPlan, colour_or_path, matte_format
from ..video_report import VideoReport
from ..writing.backdrops import Backdrop, open_backdrop
from .finish_video import finish_video
from .frame_steps import Arrived, Colouring, FinishedFrame, MaskedFrame, arrived
from .frames_job import FramesJob
from .identity import identity_of
from .segment_writer import SegmentWriter
from .segments import WorkFolder
from .stages import InOrder, Stages
from .steadying import steadied

# Frames decoded before the backend asks for them, and finished before the encoder does.
_AHEAD = 2


class VideoRun:
    """What `cut_out_video` does, stage by stage; each takes what the one before gives."""

    def __init__(
        self,
        plan: VideoPlan,
        backend: Backend,
        usage: Usage | None,
        settings: Settings | None,
        job: Job | None,
        records: Records | None,
        max_cost: Decimal | None,
        workers: int | None,
    ) -> None:
        options = plan.options
        self._plan = plan
        self._settings = settings or read_settings()
        self._job = job or Job()
        self._workers = usual_workers() if workers is None else max(1, workers)
        finishing = Finishing(options.refine, options.decontaminate, solid=options.solid)
        frames_job = FramesJob(self._job)
        self._run = Run(
            backend, finishing, usage, self._settings, frames_job, records, max_cost
        )  # or refused, before anything is made
        self._ending = ExitStack()
        self._ending.callback(self._run.close)
        self._work = WorkFolder(plan.out, identity_of(plan, backend))
        self._ending.callback(self._work.release)
        frames_job.work = self._work
        closed = [(segment.pts[0], segment.frames) for segment in self._work.closed()]
        self._closed = len(closed)
        # The timestamp with which the result begins; None: that of the first frame.
        self._origin = closed[0][0] if closed else None
        #: Number of the first frame that is to be made.
        self._next = plan.first + sum(frames for _, frames in closed)
        self._over = any(frames < plan.segment for _, frames in closed)
        self._steady = Steady(options.steady)
        self._memory = FrameMemory()
        self._arrived: dict[int, Arrived] = {}
        self._settles: dict[int, Settle] = {}
        self._said: list[str] = []

    def __enter__(self) -> VideoRun:
        plan = self._plan
        with ExitStack() as undo:
            undo.push(self._ending)
            self._ending.enter_context(memory_given_back())
            self._writer = SegmentWriter(plan, self._work, matte_format(plan.options), self._closed)
            self._backdrop = self._open_backdrop()
            if self._backdrop is not None:
                self._ending.callback(self._backdrop.close)
            self._stages = Stages(self._workers, self._job.check)
            self._ending.callback(self._writer.discard)
            self._ending.callback(self._stages.close)
            self._run.afford_count(max(0, frames_of(plan) - (self._next - plan.first)))
            if self._next > plan.first:
                self._job.step(self._next - plan.first)
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.close()

    def read(self) -> Iterator[VideoFrame]:
        """Yield the frames that are to be made, and those before them that `steady` looks at."""
        plan = self._plan
        if self._over or self._next == plan.stop:
            return iter(())
        first = max(plan.first, self._next - self._steady.look_back)
        frames = read_frames(
            plan.source,
            plan.info,
            first,
            plan.stop,
            check=self._job.check,
            warn=self._said.append,
        )
        return self._stages.ahead(frames, _AHEAD)

    def masked(self, frames: Iterable[VideoFrame]) -> Iterator[MaskedFrame]:
        """Yield the frames with the backend's masks, in order. Raises PictureError for the first
        that has none."""
        first = max(self._plan.first, self._next - self._steady.look_back)
        order = InOrder[MaskedFrame](
            first, lambda frame: frame.number, self._run.spec.window + 2 * self._workers
        )
        found = masks(
            self._run,
            map(self._input, frames),
            workers=self._workers,
            hand_over=self._keep_settle,
            room=order.has_room,
        )
        self._ending.enter_context(closing(cast("Generator[Masked | Failed, None, None]", found)))
        return order.sort(map(self._masked, found))

    def steadied(self, frames: Iterable[MaskedFrame]) -> Iterator[MaskedFrame]:
        """Yield the frames with steadied masks."""
        return steadied(frames, self._steady, self._next)

    def finished(self, frames: Iterable[MaskedFrame]) -> Iterator[FinishedFrame]:
        """Yield the frames as they are to be encoded."""
        plan = self._plan
        colouring = Colouring(
            plan.options.decontaminate,
            extended=plan.format.needs_extended,
            only_alpha=plan.format.matte,
            matte=plan.options.matte is not None,
            memory=self._memory,
        )
        on_backdrop: Iterator[tuple[MaskedFrame, Tensor | None]] = (
            (frame, self._behind(frame)) for frame in frames
        )
        return self._stages.side_by_side(colouring.finished, on_backdrop)

    def write(self, frames: Iterable[FinishedFrame]) -> None:
        """Write all frames. What is paid for counts as delivered when its segment is closed."""
        for closed in self._stages.behind(self._writer.write, frames, _AHEAD):
            self._job.step(1)
            if closed is not None:
                self._settle(
                    self._plan.first + closed * self._plan.segment - self._steady.look_back
                )
        self._writer.close()
        self._settle(None)

    def joined(self) -> VideoReport:
        """Join the segments, give the result its name, and write its receipt."""
        return finish_video(
            self._plan, self._work, self._run, self._settings, self._next, self._said, self._job
        )

    def _open_backdrop(self) -> Backdrop | None:
        plan = self._plan
        if plan.options.background is None:
            return None
        return open_backdrop(
            colour_or_path(plan.options.background),
            plan.info,
            check=self._job.check,
            warn=self._said.append,
        )

    def _behind(self, frame: MaskedFrame) -> Tensor | None:
        """Return what lies behind a frame; None where nothing does."""
        if self._origin is None:
            self._origin = frame.arrived.pts
        if self._backdrop is None:
            return None
        return self._backdrop.at(self._plan.seconds(frame.arrived.pts - self._origin))

    def _input(self, frame: VideoFrame) -> Input:
        return Input(frame.number, self._name(frame), partial(self._load, frame), only_once=True)

    def _name(self, frame: VideoFrame) -> str:
        return f"frame {frame.number} at {clock(self._plan.seconds(frame.pts))}"

    def _load(self, frame: VideoFrame) -> Tensor:
        """Called by a worker."""
        self._arrived[frame.number], pixels = arrived(frame, self._memory)
        return pixels

    def _masked(self, result: Masked | Failed) -> MaskedFrame:
        if isinstance(result, Failed):
            raise _named(result)
        known = self._arrived.pop(result.index)
        return MaskedFrame(
            result.index, known, result.pixels, result.mask, result.facts, result.screen
        )

    def _keep_settle(self, result: Masked | Failed, settle: Settle) -> None:
        if isinstance(result, Masked) and self._run.spec.price:
            self._settles[result.index] = settle

    def _settle(self, before: int | None) -> None:
        """Let what was paid for the frames before this number count as delivered: they are in
        closed segments, and no run will look at them again."""
        for number in sorted(self._settles):
            if before is None or number < before:
                self._settles.pop(number)()


def _named(failed: Failed) -> PictureError:
    """Return the error of a frame, with what happens next."""
    error = failed.failure.error
    words = str(error)
    named = words if failed.name in words else f"{failed.name}: {words}"
    said = type(error)(
        f"{named[0].upper()}{named[1:]} The frames before it are kept: run the same again to go on "
        "from there."
    )
    said.__cause__ = error
    return said
