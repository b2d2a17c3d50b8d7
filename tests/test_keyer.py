"""The keyer as a backend: the contract, and what it says when it refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from rmbg_nodes.catalogue.backends import find
from rmbg_nodes.config.host import PlainHost
from rmbg_nodes.core.errors import NoPlainBackdrop
from rmbg_nodes.core.types import Backend, Failure, Frame, Job, Matte
from rmbg_nodes.pipeline.gate import load
from rmbg_nodes.tests.conformance import BackendContract, disc_frame


def keyer() -> Backend:
    return load(find("keyer"), {}, PlainHost())


def noise_frame() -> Frame:
    generator = torch.Generator().manual_seed(1)
    return Frame(1, torch.rand(64, 64, 3, generator=generator), "noise.png")


def test_a_picture_without_a_plain_backdrop_is_a_failure_and_the_others_go_on() -> None:
    outcomes = list(keyer().run([disc_frame(0), noise_frame(), disc_frame(2)], Job()))
    kinds = {outcome.index: type(outcome.result) for outcome in outcomes}
    assert kinds == {0: Matte, 1: Failure, 2: Matte}


def test_the_refusal_names_the_file_and_the_backends_that_could() -> None:
    (outcome,) = keyer().run([noise_frame()], Job())
    assert isinstance(outcome.result, Failure)
    assert isinstance(outcome.result.error, NoPlainBackdrop)
    for word in ("noise.png", "local", "bria", "fal", "replicate"):
        assert word in str(outcome.result.error)


class TestPlain(BackendContract):
    @pytest.fixture
    def make(self) -> Callable[[], Backend]:
        return keyer
