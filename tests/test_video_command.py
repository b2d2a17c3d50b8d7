"""`rmbg video` and `remove_background_video`, as a user calls them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import av
import pytest

import rmbg_nodes
from rmbg_nodes.cli import main
from rmbg_nodes.tests.support.video_backends import Everything, make_green_screen
from rmbg_nodes.video.reading.info import read_info

FRAMES = 12


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_green_screen(tmp_path / "in.mp4", FRAMES)


def count(path: Path) -> int:
    with av.open(str(path)) as file:
        return sum(1 for _ in file.decode(video=0))


def test_one_video(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["video", "in.mp4", "-o", "out.mov", "--backend", "keyer"]) == 0
    assert read_info(Path("out.mov")).has_alpha
    assert count(Path("out.mov")) == FRAMES
    said = capsys.readouterr().err
    assert "in.mp4 -> out.mov: 12 frames, 96 x 64" in said
    receipt = said.partition("Receipt: ")[2].partition(".\n")[0]
    assert main(["receipts", "show", receipt]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["backend"] == "keyer"
    assert shown["image"]["frames"] == FRAMES
    assert main(["receipts", "verify"]) == 0
    assert main(["receipts", "list"]) == 0
    assert receipt in capsys.readouterr().out


def test_json_says_what_was_made(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--backend", "keyer", "--background", "white", "--matte", "matte.mp4", "--json"]
    assert main(["video", "in.mp4", "-o", "out.mp4", *words, "--to", "0.2"]) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["frames"], row["output"], row["matte"]) == (5, "out.mp4", "matte.mp4")
    assert count(Path("matte.mp4")) == count(Path("out.mp4")) == 5


def test_folders_and_patterns(source: Path, tmp_path: Path) -> None:
    (tmp_path / "clips" / "more").mkdir(parents=True)
    for name in ("a.mp4", "b.mov", "more/c.mp4", ".hidden.mp4"):
        make_green_screen(tmp_path / "clips" / name, 3)
    (tmp_path / "clips" / "notes.txt").write_text("no video")
    assert main(["video", "clips", "-r", "-o", "out", "--backend", "keyer"]) == 0
    made = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*.*"))
    assert made == ["a.mov", "b.mov", "more/c.mov"]
    words = ["--backend", "keyer", "--format", "png"]
    assert main(["video", "clips/*.mp4", "-o", "pictures", *words]) == 0
    assert sorted(path.name for path in Path("pictures").iterdir()) == [
        "frame_000000.png",
        "frame_000001.png",
        "frame_000002.png",
    ]


def test_one_bad_video_does_not_stop_the_others(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.mp4").write_bytes(b"no video")
    assert main(["video", "bad.mp4", "in.mp4", "-o", "out", "--backend", "keyer"]) == 1
    assert count(Path("out/in.mov")) == FRAMES
    assert "bad.mp4" in capsys.readouterr().err


def test_the_price_first(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["video", "in.mp4", "-o", "out.mov", "--backend", "bria", "--dry-run"]
    assert main(words) == 2  # there is no key
    said = capsys.readouterr()
    assert "12 frames of 96 x 64, ProRes 4444" in said.out
    assert "up to 12 x " in said.out
    assert not Path("out.mov").exists()
    assert main([*words, "--max-cost", "0.01"]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["in.mp4", "nothing.mp4", "-o", "out"], "nothing.mp4 leads to no video"),
        (["in.mp4", "-o", "in.mp4", "--background", "white"], "in.mp4 would be the result"),
        (["in.mp4", "in2.mp4", "-o", "out.mov"], "out.mov is one file"),
        (["in.mp4", "-o", "out.mp4"], "has no transparency"),
        (["in.mp4", "-o", "out.mov", "--from", "x"], "is no time"),
        (["in.mp4", "-o", "out.mov", "--steady", "2"], "steadiness"),
        (["in.mp4", "-o", "out.mov", "--workers", "0"], "--workers is 0"),
        (["in.mp4", "-o", "out.mov", "--from", "2", "--to", "1"], "has no frames"),
    ],
)
def test_what_cannot_be_is_refused(
    source: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    make_green_screen(Path("in2.mp4"), 2)
    assert main(["video", *words, "--backend", "keyer"]) == 2
    assert said in capsys.readouterr().err
    assert not Path("out.mov").exists()


def test_python(source: Path) -> None:
    report = rmbg_nodes.remove_background_video(source, "out.webm", "keyer", steady=0)
    assert (report.frames, report.path) == (FRAMES, Path("out.webm"))
    assert count(report.path) == FRAMES


def test_an_open_stream(source: Path) -> None:
    stream = io.BytesIO(source.read_bytes())
    stream.read(100)
    report = rmbg_nodes.remove_background_video(
        stream, "out.mp4", Everything(), background="white", start="0:0:0.2"
    )
    assert report.frames == count(report.path) == FRAMES - 5
