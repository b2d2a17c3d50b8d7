"""The product for whole videos at a host: one job, one file, checked before it is handed over."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ...catalogue.hosted_videos import CODECS
from ...catalogue.licences import licence_of
from ...config.private_files import whole
from ...config.settings import Settings, read_settings
from ...core.errors import BadOption, BadPicture, UnusableResult
from ...core.report import JsonValue, Remark
from ...core.specs import Price
from ...core.types import Clip, Failure, Job, Usage
from ...pipeline.context import open_user_records
from ...pipeline.gate import OpenBackend, allow
from ...records.clip_file import pieces
from ...records.eviction import UNFINISHED
from ...records.paid_video import PaidVideo
from ...records.receipt_writer import ReceiptWriter
from ...records.run_budget import RunBudget
from ...records.store import Records
from ..frames import VideoInfo
from ..reading.frame_survey import Survey, survey
from ..reading.info import read_info
from ..video_report import VideoReport
from .answer_check import LARGEST, AnswerCheck

if TYPE_CHECKING:
    from ...backends.hosted.video_backend import HostedVideos, VideoToSend

_PIECE = 1 << 20


@dataclass(frozen=True)
class Quote:
    """What a video costs at most, told before anything is sent."""

    backend: str
    price: Price
    """Of one second."""
    seconds: int
    """Those that are begun."""

    @property
    def total(self) -> Price:
        """Return the price of the video."""
        return self.price.of_video(Fraction(self.seconds))

    def __str__(self) -> str:
        return (
            f"{self.backend}: {self.seconds} s x {self.price} = {self.total} at most (a price of "
            f"{self.price.as_of}, {self.price.source})."
        )


def quote_hosted(source: Path, backend: OpenBackend) -> Quote:
    """Return what a video costs at most; nothing is sent, and only its head is read.

    Raises BadPicture.
    """
    seconds = _seconds(read_info(source, max_megapixels=LARGEST), 0)
    price = cast("Price", backend.spec.price)
    return Quote(backend.spec.id, price, ceil(seconds))


def cut_out_hosted(
    source: Path,
    out: Path,
    backend: OpenBackend,
    *,
    usage: Usage | None = None,
    settings: Settings | None = None,
    job: Job | None = None,
    records: Records | None = None,
    max_cost: Decimal | None = None,
) -> VideoReport:
    """Let a host cut the subject out of a whole video, and write its file once it was checked.

    backend: from `open_video_model`. Its option `codec` and the ending of out belong together. What
    was paid for earlier is fetched and not paid again. Memory does not grow with the video.

    Raises PictureError for what cannot be read, sent or used; BadOption where the place cannot be
    written; LicenceRefused, Offline, KeyMissing, AccountRefused, OverBudget and Cancelled.
    """
    _check_ending(out, backend)
    run = _HostedRun(backend, usage, settings, job, records, max_cost)
    try:
        video = run.look_at(source)
        clip = run.earlier(video)
        if clip is not None:
            try:
                return run.handed_over(video, clip, out)
            except UnusableResult as useless:
                run.give_up(video, useless)
        return run.handed_over(video, run.paid_for(video), out)
    finally:
        run.close()


class _HostedRun:
    """One video, its records and its money."""

    def __init__(
        self,
        backend: OpenBackend,
        usage: Usage | None,
        settings: Settings | None,
        job: Job | None,
        records: Records | None,
        max_cost: Decimal | None,
    ) -> None:
        self._backend = backend
        self._model = cast("HostedVideos", backend.model)
        self._settings = settings or read_settings()
        asked = usage or backend.usage
        self._allowed = allow(backend.spec, asked, self._settings)
        self._records = records or open_user_records(self._settings)
        budget = RunBudget(self._records.spending, self._settings.budget, max_cost)
        self._job = job or Job()
        self._paid = PaidVideo(self._job, self._records.journal, self._records.cache, budget)
        self._receipts = ReceiptWriter(
            self._records.receipts, backend, {}, asked, self._settings, self._allowed
        )
        self._said: list[str] = []
        self._checked = False

    def look_at(self, source: Path) -> VideoToSend:
        """Return all that is to be known of a video before it is sent. Raises BadPicture."""
        from ...backends.hosted.video_backend import VideoToSend

        self._info = info = read_info(source, max_megapixels=LARGEST)
        wants_sound = bool(self._backend.options.get("preserve_audio"))
        sha256, size = _file_digest(source, self._job)
        video = VideoToSend(
            source.name,
            source,
            sha256,
            size,
            info.width,
            info.height,
            info.frames or 0,
            _seconds(info, 0),
            lambda path, wanted: None,
        )
        self._model.check(video)
        self._source = survey(source, info, self._job.check)
        if not self._source.frames:
            raise BadPicture(f"{source.name}: no frame of it can be read.")
        self._said += [*info.remarks, *self._source.warnings]
        self._answer = AnswerCheck(info, self._source.frames, wants_sound=wants_sound)
        seconds = _seconds(info, self._source.frames)
        video = replace(video, frames=self._source.frames, seconds=seconds, check=self._answer)
        self._model.check(video)
        self._paid.expect(self._model.work(video), (info.width, info.height), source.name)
        return video

    def earlier(self, video: VideoToSend) -> Clip | None:
        """Return what was paid for earlier and is kept."""
        return self._paid.earlier_clip(self._model.work(video))

    def give_up(self, video: VideoToSend, useless: UnusableResult) -> None:
        """Forget a kept result that is no answer, where a new one may be paid for; raises that it
        is useless where it may not."""
        if not self._backend.options.get("resubmit"):
            raise UnusableResult(
                f"{video.name}: {useless} It was kept, and nothing was paid now; resubmit pays for "
                "a new one."
            ) from None
        self._paid.cache.drop(self._model.work(video))

    def paid_for(self, video: VideoToSend) -> Clip:
        """Let the host work, or fetch what it has. Raises what became of it instead."""
        outcome = self._model.run(video, self._paid)
        error = outcome.error
        if error is not None:
            self._receipts.failed_video(cast("Failure", outcome.result), self._input())
            raise error
        self._checked = True
        clip = cast("Clip", outcome.result)
        kept = self._paid.cache.get_clip(self._model.work(video))
        return replace(kept, facts=clip.facts) if kept else clip

    def handed_over(self, video: VideoToSend, clip: Clip, out: Path) -> VideoReport:
        """Check a result, if that was not done, give it its place and its receipt, and return what
        is to be said of it. Raises UnusableResult, and BadOption where it cannot be written."""
        work = self._model.work(video)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with whole(out) as part:
                _copy(clip, part)
                if not self._checked:
                    self._answer(part)
                report = self._receipted(video, clip, out)
        except OSError as error:
            raise BadOption(
                f"{out} cannot be written ({error.strerror or error}). The result is paid for and "
                "kept: make room, or choose another place, and run it again; it is not paid again."
            ) from error
        finally:
            if clip.path.suffix == UNFINISHED:
                clip.path.unlink(missing_ok=True)
        self._paid.handed_over(work)
        return report

    def close(self) -> None:
        """Leave what is still at the provider to any other run."""
        self._paid.close()

    def _receipted(self, video: VideoToSend, clip: Clip, out: Path) -> VideoReport:
        seen = cast("Survey", self._answer.survey)
        facts = clip.facts
        warnings = (*self._said, *self._answer.warnings, *facts.notes)
        codec = str(self._backend.options["codec"])
        result = {**self._size(), "format": codec, "sha256": seen.sha256, "file": clip.sha256}
        receipt, trouble = self._receipts.video(facts, self._input(), result, {}, warnings)
        licence = licence_of(facts.licence, None, self._settings.weights)
        records = (Remark(words, "records") for words in self._paid.warnings)
        return VideoReport(
            path=out,
            matte=None,
            frames=seen.frames,
            earlier=0 if self._checked else seen.frames,
            empty=seen.empty,
            width=video.width,
            height=video.height,
            seconds=float(video.seconds),
            decoded_sha256=self._source.sha256,
            written_sha256=seen.sha256,
            ground=self._allowed[1],
            licence_name=licence.name,
            facts=facts,
            warnings=tuple(dict.fromkeys((*warnings, *trouble, *records))),
            receipt=receipt,
        )

    def _size(self) -> dict[str, JsonValue]:
        info = self._info
        return {"width": info.width, "height": info.height, "frames": self._source.frames}

    def _input(self) -> dict[str, JsonValue]:
        return {**self._size(), "sha256": self._source.sha256}


def _check_ending(out: Path, backend: OpenBackend) -> None:
    codec = str(backend.options["codec"])
    if out.suffix.lower() != CODECS[codec]:
        endings = ", ".join(f"{suffix} ({name})" for name, suffix in CODECS.items())
        raise BadOption(
            f"{out.name} is no name for what {backend.spec.id} writes with codec={codec}. The "
            f"endings: {endings}."
        )


def _seconds(info: VideoInfo, frames: int) -> Fraction:
    """Return how long a video lasts: what it says, or what its frames come to, the longer."""
    promised = max(frames, info.frames or 0)
    return max(info.seconds or Fraction(0), promised / info.frame_rate, Fraction(1, 1000))


def _file_digest(path: Path, job: Job) -> tuple[str, int]:
    """Return the sha256 of a file and its size. Raises BadPicture."""
    digest, size = hashlib.sha256(), 0
    try:
        with open(path, "rb") as file:
            while piece := file.read(_PIECE):
                job.check()
                digest.update(piece)
                size += len(piece)
    except OSError as error:
        raise BadPicture(f"{path.name} cannot be read ({error.strerror}).") from error
    return digest.hexdigest(), size


def _copy(clip: Clip, to: Path) -> None:
    """Write the video alone, on the disk when it returns. Raises OSError."""
    digest = hashlib.sha256()
    with open(clip.path, "rb") as source, open(to, "wb") as target:
        for piece in pieces(source, clip.size):
            digest.update(piece)
            target.write(piece)
        target.flush()
        os.fsync(target.fileno())
    if digest.hexdigest() != clip.sha256:
        raise OSError("the kept result is damaged")
