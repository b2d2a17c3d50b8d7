"""kill -9 at any moment of a video: the next run goes on from the last closed segment, and the
result is that of a run that was never stopped: no frame lost or twice, the sound in its place."""

# Pins the inside of video.reading.read_frames
# Pins the inside of video.cutting.segments

from __future__ import annotations

import sys
from pathlib import Path

import av
import pytest

from rmbg_nodes.config.settings import Settings
from rmbg_nodes.records.store import open_records
from rmbg_nodes.tests.support.fake_backend import FakeLocal
from rmbg_nodes.tests.support.records import start
from rmbg_nodes.tests.support.videos import Clip, make_video
from rmbg_nodes.video.cutting.segments import folder_of
from rmbg_nodes.video.reading.info import read_info
from rmbg_nodes.video.reading.read_frames import read_frames
from rmbg_nodes.video.video_options import VideoOptions
from rmbg_nodes.video.video_plan import plan_video
from rmbg_nodes.video.video_run import cut_out_video

FRAMES = 60
SEGMENT = 12
# Says each frame that is written, and waits to be told to go on.
CHILD = f"""
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.types import Job
from rmbg_nodes.records.store import open_records
from rmbg_nodes.tests.support.fake_backend import FakeLocal
from rmbg_nodes.video.video_options import VideoOptions
from rmbg_nodes.video.video_plan import plan_video
from rmbg_nodes.video.video_run import cut_out_video

class Told(Job):
    def step(self, done):
        print(done, flush=True)
        sys.stdin.readline()

plan = plan_video(folder / "in.mp4", folder / "out.mov", VideoOptions(), segment={SEGMENT})
cut_out_video(
    plan,
    FakeLocal(),
    settings=Settings(),
    job=Told(),
    records=open_records(folder / "records", 0),
    workers=1,
)
"""


def killed_after(frames: int, folder: Path) -> int:
    """Run the child until it has written so many frames, and kill it; how many it says it wrote."""
    process = start(CHILD, folder)
    assert process.stdin is not None
    assert process.stdout is not None
    written = 0
    while written < frames and (line := process.stdout.readline()):
        written += int(line)
        process.stdin.write("\n")
        process.stdin.flush()
    process.kill()
    process.communicate()
    return written


def closed(folder: Path) -> int:
    """How many segments are closed."""
    names = [place.name for place in folder_of(folder / "out.mov").glob("*.json")]
    return len(names) - ("run.json" in names)


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_a_killed_run_goes_on_and_the_result_is_the_same(tmp_path: Path) -> None:
    clip = Clip(frames=FRAMES, audio=["aac"])
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
        make_video(tmp_path / name / "in.mp4", clip)
    folder = tmp_path / "killed"
    before = 0
    for frames in (1, SEGMENT + 3, 8, 2 * SEGMENT):
        assert killed_after(frames, folder) >= frames
        assert not (folder / "out.mov").exists()
        assert closed(folder) >= before
        before = closed(folder)
    assert before >= 2
    reports = {}
    for name in ("killed", "whole"):
        here = tmp_path / name
        plan = plan_video(here / "in.mp4", here / "out.mov", VideoOptions(), segment=SEGMENT)
        records = open_records(here / "records", 0)
        reports[name] = cut_out_video(plan, FakeLocal(), settings=Settings(), records=records)
        records.close()
    assert reports["killed"].earlier == before * SEGMENT
    assert reports["killed"].frames == reports["whole"].frames == FRAMES
    assert reports["killed"].decoded_sha256 == reports["whole"].decoded_sha256
    assert reports["killed"].written_sha256 == reports["whole"].written_sha256
    assert not folder_of(folder / "out.mov").exists()
    for kind in ("video", "audio"):
        packets = [_packets(tmp_path / name / "out.mov", kind) for name in ("killed", "whole")]
        assert packets[0] == packets[1]
    assert _times(folder / "out.mov") == _times(folder / "in.mp4")


def test_a_segment_that_was_damaged_is_made_again(tmp_path: Path) -> None:
    make_video(tmp_path / "in.mp4", Clip(frames=FRAMES))
    killed_after(3 * SEGMENT + 1, tmp_path)
    assert closed(tmp_path) >= 3
    work = folder_of(tmp_path / "out.mov")
    (work / "000001.mov").write_bytes(b"half")
    plan = plan_video(tmp_path / "in.mp4", tmp_path / "out.mov", VideoOptions(), segment=SEGMENT)
    records = open_records(tmp_path / "records", 0)
    report = cut_out_video(plan, FakeLocal(), settings=Settings(), records=records)
    records.close()
    assert (report.frames, report.earlier) == (FRAMES, SEGMENT)
    assert len(_times(tmp_path / "out.mov")) == FRAMES


def _times(path: Path) -> list[float]:
    info = read_info(path)
    frames = read_frames(path, info, warn=lambda sentence: pytest.fail(sentence))
    return [float(frame.pts * info.time_base) for frame in frames]


def _packets(path: Path, kind: str) -> list[tuple[int | None, int]]:
    """Timestamp and size of each packet of the first track of a kind."""
    with av.open(str(path)) as file:
        stream = next(stream for stream in file.streams if stream.type == kind)
        return [(packet.pts, packet.size) for packet in file.demux(stream) if packet.size]
