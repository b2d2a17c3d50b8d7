"""The kept answers of a local model: used again for the same pixels and options, and said so."""

# Pins the inside of pipeline.matte_memory

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from rmbg_nodes.core.types import Frame, Job, Matte, Outcome
from rmbg_nodes.pipeline.finishing import Done, Finishing
from rmbg_nodes.pipeline.gate import OpenBackend
from rmbg_nodes.pipeline.inputs import Input
from rmbg_nodes.pipeline.matte_memory import NOTE, MatteMemory
from rmbg_nodes.pipeline.remove import remove
from rmbg_nodes.tests.conformance import disc_frame
from rmbg_nodes.tests.support.comfy_standin import standing_in
from rmbg_nodes.tests.support.fake_backend import FakeHosted, FakeLocal, FakeProvider

MEGABYTE = 1_000_000
PLAIN = Finishing()
WHITE = Finishing(refine=True, decontaminate=0.0, background=(1.0, 1.0, 1.0))


class Counting(FakeLocal):
    """A local model that notes the indices of the pictures it was asked for."""

    def __init__(self, side: int = 16) -> None:
        super().__init__(side=side)
        self.asked: list[int] = []

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        for outcome in super().run(frames, job):
            self.asked.append(outcome.index)
            yield outcome


def cut(
    backend: FakeLocal | OpenBackend | FakeHosted,
    memory: MatteMemory,
    pictures: Iterable[Tensor],
    finishing: Finishing = PLAIN,
) -> list[Done]:
    inputs = [Input(n, f"p{n}", p.clone, at_hand=True) for n, p in enumerate(pictures)]
    results = sorted(remove(inputs, backend, finishing, kept=memory), key=lambda done: done.index)
    return [done for done in results if isinstance(done, Done)]


def discs(*numbers: int) -> list[Tensor]:
    return [disc_frame(number).pixels for number in numbers]


def test_other_finishing_asks_the_model_no_second_time() -> None:
    model, memory = Counting(), MatteMemory(MEGABYTE)
    cut(model, memory, discs(0, 1))
    again = cut(model, memory, discs(0, 1), WHITE)
    assert model.asked == [0, 1]
    fresh = cut(Counting(), MatteMemory(0), discs(0, 1), WHITE)
    for one, other in zip(again, fresh, strict=True):
        assert torch.equal(one.image, other.image)
        assert NOTE in one.report.warnings
        assert NOTE in one.report.text()
        assert NOTE not in other.report.warnings


def test_an_alpha_of_the_picture_and_its_name_do_not_count() -> None:
    model, memory = Counting(), MatteMemory(MEGABYTE)
    (picture,) = discs(0)
    cut(model, memory, [picture])
    half = torch.cat([picture, torch.full_like(picture[..., :1], 0.5)], -1)
    (done,) = cut(model, memory, [half])
    assert model.asked == [0]
    assert float(done.mask.max()) <= 0.5


def test_other_pixels_or_options_ask_again() -> None:
    model, memory = Counting(), MatteMemory(MEGABYTE)
    (picture,) = discs(0)
    changed = picture.clone()
    changed[0, 0, 0] += 1e-3
    for options in ({"resolution": 512}, {"resolution": 1024}):
        backend = OpenBackend(model, None, options)
        cut(backend, memory, [picture])
        cut(backend, memory, [picture])
        cut(backend, memory, [changed])
    assert len(model.asked) == 4
    model.spec = replace(model.spec, weights_sha256="f" * 64)
    cut(OpenBackend(model, None, {"resolution": 512}), memory, [picture])
    assert len(model.asked) == 5


def test_the_least_recently_used_goes_first() -> None:
    bytes_each = 16 * 16 * 4
    model, memory = Counting(), MatteMemory(2 * bytes_each)
    first, second, third = discs(0, 1, 2)
    cut(model, memory, [first, second])
    cut(model, memory, [first])
    cut(model, memory, [third])  # the second has to go
    model.asked.clear()
    cut(model, memory, [first, third])
    assert model.asked == []
    cut(model, memory, [second])
    assert model.asked == [0]


def test_nothing_is_kept_where_there_is_no_room() -> None:
    model, memory = Counting(), MatteMemory(0)
    for _ in range(2):
        cut(model, memory, discs(0))
    assert model.asked == [0, 0]


def test_an_answer_that_went_wrong_is_not_kept() -> None:
    class Broken(Counting):
        def _answer(self, frame: Frame) -> Matte:
            answer = super()._answer(frame)
            assert isinstance(answer, Matte)
            return replace(answer, values=answer.values * float("nan"))

    model, memory = Broken(), MatteMemory(MEGABYTE)
    for _ in range(2):
        assert cut(model, memory, discs(0)) == []
    assert model.asked == [0, 0]


def test_what_was_paid_for_is_in_the_cache_on_disk_and_nowhere_else() -> None:
    provider, memory = FakeProvider(), MatteMemory(MEGABYTE)
    for _ in range(2):
        (done,) = cut(FakeHosted(provider), memory, discs(0))
        assert NOTE not in done.report.warnings
    assert len(provider.billed) == 1


def test_many_kept_answers_are_handed_out_one_by_one() -> None:
    """As a film is cut out a second time: its frames are not read far ahead of the results."""
    model, memory = Counting(), MatteMemory(MEGABYTE)
    pictures = discs(*range(40))
    cut(model, memory, pictures)
    loaded = 0

    def load(picture: Tensor) -> Tensor:
        nonlocal loaded
        loaded += 1
        return picture

    inputs = (Input(n, f"p{n}", partial(load, p)) for n, p in enumerate(pictures))
    for number, _ in enumerate(remove(inputs, model, WHITE, kept=memory), 1):
        assert loaded - number <= model.spec.window
    assert (loaded, len(model.asked)) == (40, 40)


def test_remove_background_keeps_the_answer_of_its_loader() -> None:
    with standing_in():
        nodes = importlib.import_module("rmbg_nodes.nodes.node_list")
        socket = importlib.import_module("rmbg_nodes.nodes.socket")
        model = Counting()
        plug = socket.Remover(model, None)

        def run(plug: object, **settings: object) -> str:
            given = {"refine_edges": True, "decontaminate": 1.0, "background": "transparent"}
            lists = {
                name: [value] for name, value in {**given, "color": "#fff", **settings}.items()
            }
            image = [torch.stack(discs(0))]
            done = asyncio.run(nodes.RemoveBackground.execute([plug], image, **lists))
            return str(done.result[2][0])

        assert NOTE not in run(plug)
        for settings in ({"decontaminate": 0.0}, {"refine_edges": False}, {"background": "color"}):
            assert NOTE in run(plug, **settings)
        assert model.asked == [0]
        run(socket.Remover(model, None))
        assert model.asked == [0, 0]


def test_a_model_of_comfyuis_own_loader_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Core:
        calls = 0

        def encode_image(self, image: Tensor) -> Tensor:
            self.calls += 1
            return image[..., 0]

    with standing_in():
        socket = importlib.import_module("rmbg_nodes.nodes.socket")
        core = Core()
        for _ in range(2):
            remover = socket.as_remover(core)
            cut(remover.backend, remover.kept, discs(0))
        assert core.calls == 1
        other = socket.as_remover(Core())
        cut(other.backend, other.kept, discs(0))
        assert core.calls == 1
        monkeypatch.setenv("RMBG_MATTES", "0")
        for _ in range(2):
            off = socket.as_remover(fresh := Core())
            cut(off.backend, off.kept, discs(0))
            assert fresh.calls == 1
