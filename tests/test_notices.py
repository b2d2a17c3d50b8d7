"""What Remove Background says below its widgets after a run."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import torch

from rmbg_nodes.tests.conformance import disc_frame
from rmbg_nodes.tests.support.comfy_standin import Control, standing_in


@pytest.fixture
def comfy() -> Iterator[Control]:
    with standing_in() as control:
        yield control


@pytest.fixture
def nodes(comfy: Control) -> ModuleType:
    return importlib.import_module("rmbg_nodes.nodes.node_list")


def disc() -> torch.Tensor:
    return disc_frame(0).pixels[None]


def blank() -> torch.Tensor:
    return torch.full_like(disc(), 0.5)


def output_of(nodes: ModuleType, *images: torch.Tensor, **options: object) -> Any:
    """What the node answers for these pictures through the keyer."""
    socket = importlib.import_module("rmbg_nodes.nodes.socket")
    gate = importlib.import_module("rmbg_nodes.pipeline.gate")
    plug = socket.Remover(gate.open_backend("keyer", usage="non-commercial"), "non-commercial")
    given = {
        "refine_edges": True,
        "decontaminate": 1.0,
        "background": "transparent",
        "color": "#ffffff",
    } | options
    wrapped = {name: [value] for name, value in given.items()}
    return asyncio.run(
        nodes.RemoveBackground.execute(remover=[plug], image=list(images), **wrapped)
    )


def run(nodes: ModuleType, *images: torch.Tensor, **options: object) -> tuple[list[str], str]:
    """The texts of the history, and the first report."""
    output = output_of(nodes, *images, **options)
    return (output.ui or {}).get("text", []), output.result[2][0]


def test_a_good_cut_out_has_no_line(nodes: ModuleType) -> None:
    assert output_of(nodes, disc()).ui is None


def test_an_empty_cut_out_is_said_and_goes_when_it_no_longer_holds(nodes: ModuleType) -> None:
    said, report = run(nodes, blank())
    assert said == ["No subject found, so the cut-out is empty."]
    assert "no subject found" in report
    assert output_of(nodes, disc()).ui is None


def test_the_border_is_named_with_its_sides(nodes: ModuleType) -> None:
    at_border = disc().roll(disc().shape[1] // 2, dims=1)[:, : disc().shape[1] // 2]
    (said,) = run(nodes, at_border)[0]
    assert said.startswith("The subject touches the picture's border (")


def test_of_many_pictures_it_says_how_many(nodes: ModuleType) -> None:
    said, _ = run(nodes, torch.cat([disc(), blank(), blank()]), disc())
    assert said == ["No subject found, so the cut-out is empty: 2 of 4 pictures."]


def test_pictures_that_failed_lead(nodes: ModuleType) -> None:
    broken = torch.full_like(disc(), float("nan"))
    said, _ = run(nodes, torch.cat([disc(), broken, blank()]), on_failure="leave out")
    assert said[0] == "Failed: 1 of 3 pictures."
    assert said[1].startswith("No subject found")


@pytest.mark.parametrize(
    ("count", "background", "warned"),
    [(8, "transparent", False), (9, "transparent", True), (9, "white", False)],
)
def test_frames_with_transparency_are_warned_of(
    nodes: ModuleType, count: int, background: str, warned: bool
) -> None:
    said, report = run(nodes, disc().expand(count, -1, -1, -1), background=background)
    assert [line for line in said if "Create Video" in line] == said
    assert bool(said) is warned
    assert ("Create Video" in report) is warned
    assert len(json.loads(report.splitlines()[-1])) == count


def test_pictures_of_different_sizes_are_no_frames(nodes: ModuleType) -> None:
    assert run(nodes, *[disc()] * 9)[0] == []


def test_no_subject_and_the_border_are_urgent_and_frames_are_not(nodes: ModuleType) -> None:
    half = disc().shape[1] // 2
    for images in (blank(), disc().roll(half, dims=1)[:, :half]):
        ui = output_of(nodes, images).ui
        assert ui["rmbg_urgent"] == ui["text"] != []
    frames = output_of(nodes, disc().expand(9, -1, -1, -1)).ui
    assert (len(frames["text"]), frames["rmbg_urgent"]) == (1, [])
