"""Remove Background from Video in a real ComfyUI: the server, and the page."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rmbg_nodes.tests.support.comfy_graphs import messages_of, node
from rmbg_nodes.tests.support.comfy_server import Entry, Server
from rmbg_nodes.tests.support.video_backends import make_green_screen

FRAMES = 30
SETTINGS = {
    "steady": 1.0,
    "refine_edges": True,
    "decontaminate": 1.0,
    "solid": True,
    "background": "transparent",
    "color": "#ffffff",
    "format": "webm-vp9",
    "filename_prefix": "video/cut-out",
}


def graph_of(name: str, **changed: object) -> dict[str, Any]:
    return {
        "1": node("LoadVideo", file=name),
        "2": node("RMBG_Load", usage="non-commercial", backend="keyer"),
        "3": node(
            "RMBG_RemoveBackgroundFromVideo",
            remover=["2", 0],
            video=["1", 0],
            **SETTINGS | changed,
        ),
        "4": node("PreviewAny", source=["3", 2]),
    }


def report_of(entry: Entry) -> dict[str, Any]:
    assert entry["status"]["status_str"] == "success", entry["status"]
    (text,) = entry["outputs"]["4"]["text"]
    data: dict[str, Any] = json.loads(text.splitlines()[-1])
    return data


@pytest.fixture(scope="module")
def clip(server: Server) -> str:
    make_green_screen(server.folder / "input" / "green.mp4", FRAMES)
    return "green.mp4"


def first_alpha(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        for packet in container.demux(video=0):
            for frame in decoder.decode(packet):
                return frame.to_ndarray(format="rgba")[..., 3]
    raise AssertionError(f"no frame in {path}")


def test_a_transparent_video_is_saved_and_shown(server: Server, clip: str) -> None:
    entry = server.run(graph_of(clip))
    said = report_of(entry)
    assert said["frames"] == FRAMES
    (shown,) = entry["outputs"]["3"]["images"]
    saved = server.folder / "output" / shown["subfolder"] / shown["filename"]
    assert str(saved) == said["output"]
    alpha = first_alpha(saved)
    assert alpha[30, 25] > 250
    assert alpha[5, 5] < 5


def test_cores_nodes_take_the_result_and_frames_in_memory_come_in(
    server: Server, clip: str
) -> None:
    graph = graph_of(clip, filename_prefix="video/through") | {
        "5": node("GetVideoComponents", video=["3", 0]),
        "6": node("CreateVideo", images=["5", 0], fps=25.0),
        "7": node(
            "RMBG_RemoveBackgroundFromVideo",
            remover=["2", 0],
            video=["6", 0],
            **SETTINGS | {"format": "h264", "background": "white"},
        ),
        "8": node(
            "Video Slice", video=["1", 0], start_time=0.2, duration=0.4, strict_duration=True
        ),
        "9": node(
            "RMBG_RemoveBackgroundFromVideo",
            remover=["2", 0],
            video=["8", 0],
            **SETTINGS | {"format": "png"},
        ),
        "10": node("PreviewAny", source=["9", 2]),
    }
    entry = server.run(graph)
    assert report_of(entry)["frames"] == FRAMES
    assert "frames in memory" in entry["outputs"]["7"]["text"][-1]
    (part,) = entry["outputs"]["10"]["text"]
    assert json.loads(part.splitlines()[-1])["frames"] == 10
    (place,) = entry["outputs"]["9"]["rmbg_place"]
    assert place.startswith("PNG sequence (pictures, one a frame): output/video/cut-out_")


def test_a_sequence_is_no_video_for_the_next_node(server: Server, clip: str) -> None:
    graph = graph_of(clip, format="webp-animated") | {
        "5": node("GetVideoComponents", video=["3", 0]),
        "6": node("PreviewImage", images=["5", 0]),
    }
    entry = server.run(graph)  # ComfyUI tells the page why, and counts the rest as a success
    assert report_of(entry)["frames"] == FRAMES
    assert "6" not in entry["outputs"]


def test_what_no_video_can_be_is_refused_before_the_run(server: Server, clip: str) -> None:
    (words,) = server.refused(graph_of(clip, format="h264"))
    assert "H.264 has no transparency: set background to a colour" in words


def test_cancel_ends_it_and_the_next_run_goes_on(server: Server) -> None:
    make_green_screen(server.folder / "input" / "long.mp4", 900)
    graph = graph_of("long.mp4", filename_prefix="video/long")
    prompt = server.queue(graph)
    folder = server.folder / "output" / "video"
    until = time.monotonic() + 100
    while not list(folder.glob(".rmbg-*/000000.json")):
        assert time.monotonic() < until, server.log()[-2000:]
        time.sleep(0.05)
    server.post("/interrupt", {})
    assert "execution_interrupted" in messages_of(server.wait(prompt, 20))
    assert not list(folder.glob("long_*"))
    said = report_of(server.run(graph, 200))
    assert said["frames"] == 900
    assert said["frames_earlier"] >= 250
    assert [path.name for path in folder.glob("long_*")] == ["long_00001_.webm"]
    assert not list(folder.glob(".rmbg-*"))
