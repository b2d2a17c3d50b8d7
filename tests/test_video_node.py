"""Remove Background from Video (RMBG) on a stand-in for ComfyUI: files, names, progress, Cancel."""

# Pins the inside of core.steady

from __future__ import annotations

import asyncio
import importlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest

from rmbg_nodes.core.errors import BackendFailed, BadOption, BadPicture, LicenceRefused, OverBudget
from rmbg_nodes.core.steady import DEFAULT_STRENGTH
from rmbg_nodes.tests.support.comfy_standin import (
    Control,
    ExecutionBlocker,
    InterruptProcessingException,
    VideoFromComponents,
    VideoFromFile,
    standing_in,
)
from rmbg_nodes.tests.support.fake_backend import FakeHosted, FakeProvider
from rmbg_nodes.tests.support.video_backends import Everything, make_green_screen
from rmbg_nodes.video.writing.video_formats import VIDEO_FORMATS

FRAMES = 12


@pytest.fixture
def comfy(tmp_path: Path) -> Iterator[Control]:
    with standing_in(tmp_path) as control:
        yield control


@pytest.fixture
def node(comfy: Control):
    return importlib.import_module("rmbg_nodes.nodes.video_node").RemoveBackgroundFromVideo


@pytest.fixture
def saving(comfy: Control) -> ModuleType:
    return importlib.import_module("rmbg_nodes.nodes.saved_video")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_green_screen(tmp_path / "clip.mkv", FRAMES)


def remover(backend: object = None):
    socket = importlib.import_module("rmbg_nodes.nodes.socket")
    if backend is None:
        gate = importlib.import_module("rmbg_nodes.pipeline.gate")
        backend = gate.open_backend("keyer")
    return socket.Remover(backend, None)


def run(node, video: object, plugged: object = None, **changed: object):
    defaults = {
        item.id: item.settings["default"]
        for item in node.GET_SCHEMA().inputs
        if "default" in item.settings
    }
    given = {"remover": plugged or remover(), "video": video, **defaults, **changed}
    return asyncio.run(node.execute(**given))


def alphas(path: Path) -> list[np.ndarray]:
    """The alpha of each frame (H, W), 0..255; libvpx is the decoder that reads it."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        frames = [frame for packet in container.demux(stream) for frame in decoder.decode(packet)]
    return [frame.to_ndarray(format="rgba")[..., 3] for frame in frames]


def test_the_menu_has_every_format_and_the_libraries_default(node) -> None:
    inputs = {item.id: item for item in node.GET_SCHEMA().inputs}
    assert sorted(inputs["format"].settings["options"]) == sorted(row.id for row in VIDEO_FORMATS)
    assert inputs["steady"].settings["default"] == DEFAULT_STRENGTH


def test_a_first_run_gives_a_transparent_webm_that_the_page_shows(
    node, comfy: Control, clip: Path
) -> None:
    output = run(node, VideoFromFile(str(clip)))
    video, path, report = output.result
    saved = comfy.base / "output" / "video" / "cut-out_00001_.webm"
    assert Path(path) == saved
    assert video.get_stream_source() == str(saved)
    assert output.ui["images"] == [{"filename": saved.name, "subfolder": "video", "type": "output"}]
    assert output.ui["animated"] == (True,)
    assert (output.ui["text"], output.ui["rmbg_urgent"]) == ([], [])
    assert json.loads(report.splitlines()[-1])["frames"] == FRAMES
    assert report.startswith(str(saved))
    found = alphas(saved)
    assert len(found) == FRAMES
    for number, alpha in enumerate(found):
        assert alpha[30, 25 + number] > 250  # inside the square
        assert alpha[5, 5] < 5
    assert [place.name for place in saved.parent.iterdir()] == [saved.name]
    assert comfy.progress[-1] == (FRAMES, FRAMES)


def test_names_are_counted_and_nothing_is_overwritten(node, comfy: Control, clip: Path) -> None:
    made = [run(node, VideoFromFile(str(clip))).result[1] for _ in range(2)]
    assert [Path(path).name for path in made] == ["cut-out_00001_.webm", "cut-out_00002_.webm"]


def test_the_trimmed_part_alone_is_read(node, clip: Path) -> None:
    video = VideoFromFile(str(clip), start_time=0.2, duration=0.12)
    report = json.loads(run(node, video).result[2].splitlines()[-1])
    assert report["frames"] == 3


def test_a_video_of_bytes_and_one_in_memory_are_read_from_the_stream(node, clip: Path) -> None:
    given = run(node, VideoFromFile(BytesIO(clip.read_bytes())))
    assert given.ui["text"] == []
    encoded = run(node, VideoFromComponents(clip.read_bytes()))
    (words,) = encoded.ui["text"]
    assert words.startswith("This video was frames in memory")


def test_an_older_comfyui_that_does_not_say_the_part_is_refused(node, clip: Path) -> None:
    class Older:
        def get_stream_source(self) -> str:
            return str(clip)

        def get_dimensions(self) -> tuple[int, int]:
            return 96, 64

        def get_duration(self) -> float:
            return self.lasts

        lasts = 0.08

    video = Older()
    with pytest.raises(BadPicture, match="does not say which part"):
        run(node, video)
    video.lasts = FRAMES / 25
    assert json.loads(run(node, video).result[2].splitlines()[-1])["frames"] == FRAMES


def test_a_crop_is_refused_and_not_left_aside(node, clip: Path) -> None:
    class Cropped(VideoFromFile):
        def get_dimensions(self) -> tuple[int, int]:
            return 40, 30

    with pytest.raises(BadPicture, match="cropped part of its file"):
        run(node, Cropped(str(clip)))


@pytest.mark.parametrize("format", ["prores-4444", "matte-prores"])
def test_what_browsers_do_not_play_is_named_and_not_shown(node, clip: Path, format: str) -> None:
    output = run(node, VideoFromFile(str(clip)), format=format)
    assert "images" not in output.ui
    (words,) = output.ui["rmbg_place"]
    assert words.endswith("output/video/cut-out_00001_.mov")
    assert output.result[0].get_stream_source() == output.result[1]


def test_a_sequence_is_a_folder_and_no_video(node, clip: Path) -> None:
    output = run(node, VideoFromFile(str(clip)), format="png")
    folder = Path(output.result[1])
    assert folder.name == "cut-out_00001_"
    assert len(list(folder.glob("*.png"))) == FRAMES
    assert isinstance(output.result[0], ExecutionBlocker)
    assert "PNG sequence is no video" in str(output.result[0].message)
    assert run(node, VideoFromFile(str(clip)), format="png").result[1].endswith("cut-out_00002_")


def test_on_a_colour_it_is_opaque(node, clip: Path) -> None:
    output = run(node, VideoFromFile(str(clip)), format="h264", background="color", color="#0000ff")
    with av.open(output.result[1]) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert frame[5, 5, 2] > 230
    assert frame[5, 5, :2].max() < 20
    assert "images" in output.ui


@pytest.mark.parametrize(
    ("format", "background", "color", "words"),
    [
        ("h264", "transparent", "#ffffff", "has no transparency: set background to a colour"),
        ("hevc", "transparent", "#ffffff", "has no transparency"),
        ("matte-h264", "white", "#ffffff", "shows the mask alone"),
        ("webm-vp9", "color", "no colour", "no colour"),
        ("gif", "white", "#ffffff", "no video format 'gif'"),
    ],
)
def test_what_no_video_can_be_is_refused_before_the_run(
    node, clip: Path, format: str, background: str, color: str, words: str
) -> None:
    choice = {"format": format, "background": background, "color": color}
    with pytest.raises(BadOption, match=words):
        node.validate_inputs(**choice)
    with pytest.raises(BadOption, match=words):
        run(node, VideoFromFile(str(clip)), **choice)


def test_values_from_other_nodes_are_not_judged_before_the_run(node) -> None:
    assert node.validate_inputs(format="h264", background=None, color=None)
    assert node.validate_inputs(format="webm-vp9", background="transparent", color="#ffffff")


def test_a_prefix_that_leads_out_is_refused(node, comfy: Control, clip: Path) -> None:
    with pytest.raises(BadOption, match="leads out"):
        run(node, VideoFromFile(str(clip)), filename_prefix="../elsewhere")


def segments_of(monkeypatch: pytest.MonkeyPatch, saving: ModuleType, frames: int) -> None:
    """Close a segment after so many frames."""
    plan = saving.plan_video
    monkeypatch.setattr(saving, "plan_video", lambda *a, **k: plan(*a, **k, segment=frames))


def test_cancel_ends_the_prompt_and_the_next_run_goes_on(
    node, saving: ModuleType, comfy: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments_of(monkeypatch, saving, 2)
    clip = make_green_screen(tmp_path / "longer.mkv", 48)
    folder = comfy.base / "output" / "video"

    class Stopping(Everything):
        def run(self, frames, job):
            for outcome in super().run(frames, job):
                if list(folder.glob(".*/000001.json")):
                    comfy.interrupt_after = 0
                yield outcome

    with pytest.raises(InterruptProcessingException):
        run(node, VideoFromFile(str(clip)), remover(Stopping(window=1)))
    assert not list(folder.glob("*.webm"))
    comfy.interrupt_after = None
    other = run(node, VideoFromFile(str(clip)), filename_prefix="video/other")  # another model
    comfy.progress.clear()
    output = run(node, VideoFromFile(str(clip)), remover(Everything()), filename_prefix="video/b")
    said = json.loads(output.result[2].splitlines()[-1])
    assert said["frames"] == 48
    assert said["frames_earlier"] >= 4
    assert comfy.progress[0] == (said["frames_earlier"], 48)
    assert json.loads(other.result[2].splitlines()[-1])["frames_earlier"] == 0
    assert sorted(place.name for place in folder.iterdir()) == [
        "b_00001_.webm",
        "other_00001_.webm",
    ]


def test_a_frame_that_fails_ends_the_run_and_says_what_is_kept(node, clip: Path) -> None:
    with pytest.raises(BackendFailed, match="run the same again to go on"):
        run(node, VideoFromFile(str(clip)), remover(Everything(failing=[7])))


def test_a_video_without_a_subject_is_a_toast_too(node, tmp_path: Path) -> None:
    class Nothing(Everything):
        def _answer(self, frame):
            matte = super()._answer(frame)
            return replace(matte, values=matte.values * 0)

    clip = make_green_screen(tmp_path / "a.mkv", 4)
    output = run(node, VideoFromFile(str(clip)), remover(Nothing()))
    assert output.ui["rmbg_urgent"] == ["No subject was found in 4 of 4 frames."]
    assert output.ui["text"][0] == output.ui["rmbg_urgent"][0]


def test_max_cost_refuses_before_anything_is_asked(node, clip: Path) -> None:
    provider = FakeProvider()
    with pytest.raises(OverBudget):
        run(node, VideoFromFile(str(clip)), remover(FakeHosted(provider)), max_cost=0.2)
    assert provider.billed == []


def test_cores_model_makes_a_video_and_another_one_does_not_go_on_with_it(
    node, saving: ModuleType, clip: Path
) -> None:
    class Core:
        def encode_image(self, image):
            return (image[..., 0] > 0.5).float()

    socket = importlib.import_module("rmbg_nodes.nodes.socket")
    one, other = Core(), Core()
    output = run(node, VideoFromFile(str(clip)), one)
    assert "comfyui/core-model" in output.result[2]
    names = [saving._loaded(socket.as_remover(model)) for model in (one, one, other)]
    assert names[0] == names[1] != names[2]


def test_the_licence_is_asked_first(node, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMBG_USAGE", "commercial")

    class Core:
        def encode_image(self, image):
            raise AssertionError("refused before")

    with pytest.raises(LicenceRefused):
        run(node, VideoFromFile(str(clip)), Core())


def test_a_hosted_video_does_not_hold_up_other_nodes(node, clip: Path) -> None:
    backend = Everything()
    backend.spec = replace(backend.spec, location="hosted")
    seen: list[bool] = []

    async def both() -> None:
        defaults = {
            item.id: item.settings["default"]
            for item in node.GET_SCHEMA().inputs
            if "default" in item.settings
        }
        work = asyncio.ensure_future(
            node.execute(remover=remover(backend), video=VideoFromFile(str(clip)), **defaults)
        )
        await asyncio.sleep(0)
        seen.append(work.done())
        await work

    asyncio.run(both())
    assert seen == [False]


def test_segments_that_nobody_took_up_for_a_week_go(node, comfy: Control, clip: Path) -> None:
    folder = comfy.base / "output" / "video"
    names = (".rmbg-old.webm.rmbg-video", ".rmbg-new.webm.rmbg-video", ".mine.webm.rmbg-video")
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "lock").touch()
    for name in (names[0], names[2]):
        os.utime(folder / name, (0, 0))
    run(node, VideoFromFile(str(clip)))
    assert sorted(place.name for place in folder.iterdir()) == [
        ".mine.webm.rmbg-video",
        ".rmbg-new.webm.rmbg-video",
        "cut-out_00001_.webm",
    ]
