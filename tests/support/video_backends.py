"""Backends for tests of videos: everything is the subject, and answers come late or not at all."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import torch

from rmbg_nodes.core.errors import BackendFailed
from rmbg_nodes.core.types import Facts, Failure, Frame, Job, Matte, Outcome
from rmbg_nodes.tests.support.fake_backend import FAKE_LOCAL


class Everything:
    """Says that all of a frame is the subject, at once or, backwards, a window of frames later."""

    def __init__(
        self, *, window: int = 4, backwards: bool = False, failing: Collection[int] = ()
    ) -> None:
        self.spec = replace(FAKE_LOCAL, window=window)
        self._backwards = backwards
        self._failing = frozenset(failing)
        self.asked: list[int] = []
        """Numbers of the frames that were pulled."""

    def work(self, frame: Frame) -> str | None:
        return None

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        held: list[Frame] = []
        for frame in frames:
            job.check()
            self.asked.append(frame.index)
            held.append(frame)
            if not self._backwards or len(held) == self.spec.window:
                yield from self._answers(held, job)
        yield from self._answers(held, job)

    def close(self) -> None:
        pass

    def _answers(self, held: list[Frame], job: Job) -> Iterator[Outcome]:
        while held:
            frame = held.pop()
            job.step(1)
            yield Outcome(frame.index, self._answer(frame))

    def _answer(self, frame: Frame) -> Matte | Failure:
        if frame.index in self._failing:
            return Failure(BackendFailed(f"{frame.name}: the fake was told to fail here."))
        facts = Facts(self.spec.id, "fake", self.spec.licence, "cpu", 0.0)
        return Matte(torch.ones(frame.pixels.shape[:2]), "alpha", facts)


class Straggler(Everything):
    """Answers one frame only when it gets no more of the others."""

    def __init__(self, late: int, window: int = 4) -> None:
        super().__init__(window=window)
        self._late = late
        self.most_before = 0
        """How many frames it was given before it answered the late one."""

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        withheld: deque[Frame] = deque()
        for frame in frames:
            self.asked.append(frame.index)
            if frame.index == self._late:
                withheld.append(frame)
                continue
            yield Outcome(frame.index, self._answer(frame))
        for frame in withheld:
            self.most_before = len(self.asked)
            yield Outcome(frame.index, self._answer(frame))


def make_green_screen(path: Path, frames: int) -> Path:
    """Write a red square that moves to the right over green, 96 x 64, 25 frames a second."""
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=25, options={"qp": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv444p"
        for number in range(frames):
            picture = np.full((64, 96, 3), (0, 200, 0), np.uint8)
            picture[20:44, 10 + number : 40 + number] = (220, 60, 40)
            target.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        target.mux(stream.encode(None))
    return path
