"""The model of `scale.py`: a fixed cost, and the answer of a network for next to nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from ..core.types import Facts, Frame, Job, Matte, Outcome
from ..tests.support.fake_backend import FakeLocal
from .scale_answers import Answers, compute


class Fixed(FakeLocal):
    """One picture after another: `seconds` of the kind that `scale_answers.compute` knows, then the
    alpha of the scene, 1024 x 1024. It is what opens itself in other processes."""

    def __init__(self, answers: str, model: str, seconds: float) -> None:
        super().__init__(seconds=seconds)
        self._answers = Answers(answers)
        self._model = model

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        for frame in frames:
            job.check()
            yield Outcome(frame.index, self._computed(frame))
            job.step(1)

    def _computed(self, frame: Frame) -> Matte:
        mask = self._answers.mask(frame.pixels.numpy(), 1.0)
        compute(self._model, self._seconds)
        facts = Facts(
            backend=self.spec.id,
            model=self._model,
            licence=self.spec.licence,
            device="cpu",
            seconds=self._seconds,
        )
        # A network is never quite sure: its sigmoid ends a thousandth from 0 and 1.
        values = torch.from_numpy(mask).float() / 255
        return Matte(values.clamp(1e-3, 1 - 1e-3).logit(), "logits", facts)
