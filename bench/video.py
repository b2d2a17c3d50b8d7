"""What a video costs beside the model: `python bench/video.py`, 10,000 frames of 1080p.

The model takes no time: it answers the same mask for every frame. Printed are the frames a second
and CPU-seconds a frame of `cut_out_video` beside those of decoding and encoding alone, with the
same reader, writer and threads, in turns; the memory of the process from frame 200 on; and with
--kills
what is left of a run that was killed so often: its frames, and where its sound begins and
ends. The source is made by the bench: 100 frames of a moving picture, over and over, with sound.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import torch

_LOOP = 100
_RATE = 25
_SETTLED = 200  # frames, after which memory counts
_PAGE = os.sysconf("SC_PAGE_SIZE")
_NAMES = (
    "frames",
    "reading.info",
    "reading.read_frames",
    "cutting.stages",
    "writing.video_formats",
    "writing.open_writer",
)


@dataclass(frozen=True)
class Cost:
    """Of one frame, in seconds."""

    wall: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--frames", type=int, default=10_000, metavar="N", help="(10000)")
    add("--size", default="1920x1080", help="WIDTHxHEIGHT (1920x1080)")
    add("--to", nargs="+", default=["mov", "mp4"], help="suffixes of the results (mov mp4)")
    add("--part", type=int, default=300, metavar="N", help="frames of each turn (300)")
    add("--rounds", type=int, default=2, metavar="N", help="turns of each (2)")
    add("--steady", type=float, default=0.0, help="0..1 (0)")
    add("--decontaminate", type=float, default=1.0, help="0..1 (1)")
    add("--kills", type=int, default=0, metavar="N", help="kill -9 a run so often (0)")
    add("--segment", type=int, default=250, metavar="N", help="frames of a closed segment (250)")
    add("--child", nargs=2, metavar=("IN", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    importlib.import_module("quality").load_package()
    if arguments.child:
        source, out = map(Path, arguments.child)
        _run(source, out, arguments, lambda done: print(done, flush=True), whole=True)
        return
    width, height = (int(side) for side in arguments.size.split("x"))
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        for suffix in arguments.to:
            _speed(folder, (width, height), suffix, arguments)
        if arguments.frames:
            source = make_source(folder / "long-source.mp4", width, height, arguments.frames)
            _memory(source, folder / f"long.{arguments.to[-1]}", arguments)
        if arguments.kills:
            source = make_source(folder / "killed-source.mp4", width, height, 10 * arguments.part)
            _killed(source, folder / f"killed.{arguments.to[-1]}", arguments)


def make_source(path: Path, width: int, height: int, frames: int) -> Path:
    """Write an H.264 video with sound: a short one whose packets are repeated."""
    short = path.with_name("loop.mp4")
    videos = importlib.import_module("rmbg_nodes.tests.support.videos")
    options = {"preset": "veryfast", "bf": "0", "g": "50"}
    videos.make_video(short, videos.Clip(frames=_LOOP, width=width, height=height, options=options))
    with av.open(str(short)) as loop, av.open(str(path), "w") as target:
        stream = loop.streams.video[0]
        packets = [packet for packet in loop.demux(stream) if packet.size]
        out = target.add_stream_from_template(stream)
        sound = target.add_stream("aac", rate=48000)
        step = round(1 / (_RATE * stream.time_base))
        for number in range(frames):
            packet = av.Packet(bytes(packets[number % _LOOP]))
            packet.pts = packet.dts = number * step
            packet.time_base, packet.duration = stream.time_base, step
            packet.is_keyframe = packets[number % _LOOP].is_keyframe
            packet.stream = out
            target.mux(packet)
            _add_sound(target, sound, number)
        target.mux(sound.encode(None))
    short.unlink()
    return path


def _add_sound(
    target: av.container.OutputContainer, sound: av.audio.stream.AudioStream, number: int
) -> None:
    size = 48000 // _RATE
    moment = (np.arange(size) + number * size) / 48000
    wave = (0.3 * np.sin(2 * np.pi * 440 * moment)).astype(np.float32)[None]
    part = av.AudioFrame.from_ndarray(np.repeat(wave, 2, axis=0), format="fltp", layout="stereo")
    part.sample_rate, part.pts, part.time_base = 48000, number * size, Fraction(1, 48000)
    target.mux(sound.encode(part))


class Still:
    """A backend that answers the same for every frame, at once: a soft ellipse, or all of it."""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        specs = importlib.import_module("rmbg_nodes.core.specs")
        self._types = importlib.import_module("rmbg_nodes.core.types")
        self.spec = specs.BackendSpec(
            "bench/still", "", "", "local", "keyer", "none:Still", window=2
        )
        self._facts = self._types.Facts("bench/still", "still", "keyer", "cpu", 0.0)
        self._mask = torch.empty(0, 0)

    def work(self, frame: object) -> None:
        """Cost nothing."""

    def run(self, frames: Iterable[SimpleNamespace], job: SimpleNamespace) -> Iterator[object]:
        """Yield the mask of each frame."""
        for frame in frames:
            job.check()
            height, width, _ = frame.pixels.shape
            if self._mask.shape != (height, width):
                mask = ellipse(height, width)
                self._mask = torch.ones_like(mask) if self._whole else mask
            matte = self._types.Matte(self._mask, "alpha", self._facts)
            yield self._types.Outcome(frame.index, matte)

    def close(self) -> None:
        """Hold nothing."""


def ellipse(height: int, width: int) -> torch.Tensor:
    """Return a mask (height, width) of a sixth of the picture with an edge of some pixels."""
    y = torch.linspace(-1, 1, height)[:, None]
    x = torch.linspace(-1, 1, width)[None, :]
    return ((0.5 - ((x / 0.6) ** 2 + (y / 0.8) ** 2).sqrt() * 0.5) * 60).clamp(0, 1)


def _run(
    source: Path,
    out: Path,
    arguments: argparse.Namespace,
    step: Callable[[int], object],
    *,
    whole: bool = False,
) -> SimpleNamespace:
    """Cut out a video with the model that takes no time. whole: all of a frame is the subject."""
    module = importlib.import_module("rmbg_nodes.video.video_run")
    plans = importlib.import_module("rmbg_nodes.video.video_plan")
    options = importlib.import_module("rmbg_nodes.video.video_options").VideoOptions
    store = importlib.import_module("rmbg_nodes.records.store")
    job = importlib.import_module("rmbg_nodes.core.types").Job()
    job.step = step
    asked = options(
        steady=arguments.steady,
        decontaminate=arguments.decontaminate,
        background="white" if out.suffix == ".mp4" else None,
    )
    records = store.open_records(out.parent / "records", 0)
    try:
        made: SimpleNamespace = module.cut_out_video(
            plans.plan_video(source, out, asked, segment=arguments.segment),
            Still(whole=whole),
            job=job,
            records=records,
        )
        return made
    finally:
        records.close()


def _alone(source: Path, out: Path) -> None:
    """Decode and encode, nothing else: the pictures get the mask as it is."""
    found = (importlib.import_module(f"rmbg_nodes.video.{name}") for name in _NAMES)
    frames_module, info_module, reading, stages_module, formats, writing = found
    info = info_module.read_info(source)
    suffix = out.suffix
    row = next(row for row in formats.VIDEO_FORMATS if row.suffix == suffix)
    writer = writing.open_writer(row, out, info)
    mask = ellipse(info.height, info.width)[..., None]
    opaque = row.alpha == "none"

    def written(frame: SimpleNamespace) -> None:
        pixels = frame.pixels.contiguous().float().div_(255)
        image = pixels if opaque else torch.cat([pixels, mask], dim=-1)
        writer.write(frames_module.CutFrame(frame.number, frame.pts, frame.duration, image))

    stages = stages_module.Stages(1, lambda: None)
    frames = reading.read_frames(source, info, warn=print)
    for _ in stages.behind(written, stages.ahead(frames, 2), 2):
        pass
    stages.close()
    writer.close()


def _speed(folder: Path, size: tuple[int, int], suffix: str, arguments: argparse.Namespace) -> None:
    source = make_source(folder / "source.mp4", *size, arguments.part)
    out = folder / f"part.{suffix}"
    costs: dict[str, list[Cost]] = {"alone": [], "run": []}
    for _ in range(arguments.rounds):
        costs["alone"].append(_cost(lambda: _alone(source, out), arguments.part))
        costs["run"].append(
            _cost(lambda: _run(source, out, arguments, lambda done: None), arguments.part)
        )
    alone, run = (Cost(*map(min, *_pairs(costs[name]))) for name in ("alone", "run"))
    print(
        f"{size[0]} x {size[1]} to .{suffix}, {arguments.part} frames, best of {arguments.rounds}"
    )
    print("| | frames a second | CPU-s a frame |\n|---|---|---|")
    for name, cost in (("decode and encode alone", alone), ("cut out", run)):
        print(f"| {name} | {1 / cost.wall:.1f} | {cost.cpu:.4f} |")
    print(f"{alone.wall / run.wall:.0%} of the frames a second alone\n", flush=True)


def _pairs(costs: list[Cost]) -> list[tuple[float, float]]:
    both = [(cost.wall, cost.cpu) for cost in costs]
    return both if len(both) > 1 else both * 2


def _cost(work: Callable[[], object], frames: int) -> Cost:
    wall, cpu = time.perf_counter(), _cpu()
    work()
    return Cost((time.perf_counter() - wall) / frames, (_cpu() - cpu) / frames)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _memory(source: Path, out: Path, arguments: argparse.Namespace) -> None:
    done, marks = 0, []

    def step(count: int) -> None:
        nonlocal done
        done += count
        if done >= _SETTLED and done % 50 == 0:
            marks.append(int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6)

    begin = time.perf_counter()
    report = _run(source, out, arguments, step)
    took = time.perf_counter() - begin
    print(
        f"{report.frames} frames in {took:.0f} s: {marks[0]:.0f} MB after {_SETTLED} frames, "
        f"{marks[len(marks) // 2]:.0f} MB in the middle, at most {max(marks):.0f} MB "
        f"({max(marks) / marks[0] - 1:+.1%}), at the end {marks[-1]:.0f} MB",
        flush=True,
    )


def _killed(source: Path, out: Path, arguments: argparse.Namespace) -> None:
    """Kill a run so often, each time after another few frames; then let it finish."""
    chance = random.Random(7)
    command = [sys.executable, __file__, "--child", str(source), str(out)]
    for name in ("steady", "decontaminate", "segment"):
        command += [f"--{name}", str(getattr(arguments, name))]
    for _ in range(arguments.kills):
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        lines = chance.randrange(1, 2 * arguments.segment)
        for _line in range(lines):
            if not child.stdout.readline():
                break
        child.kill()
        child.communicate()
    report = _run(source, out, arguments, lambda done: None, whole=True)
    ends = {path: _ends(path) for path in (source, out)}
    numbers = _numbers(out)
    wanted = [number % _LOOP for number in range(10 * arguments.part)]
    print(
        f"killed {arguments.kills} times: {report.frames} frames, {report.earlier} of them made "
        f"before; {'each once and in order' if numbers == wanted else 'NOT IN ORDER'}; sound "
        f"minus picture at the beginning and the end: source {ends[source]}, result {ends[out]}"
    )


def _numbers(path: Path) -> list[int]:
    """Return the numbers that are painted on the frames."""
    videos = importlib.import_module("rmbg_nodes.tests.support.videos")
    with av.open(str(path)) as file:
        return [
            videos.number_on(frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)
        ]


def _ends(path: Path) -> str:
    """Return by how many milliseconds the sound begins and ends after the picture."""
    bounds = []
    for kind in ("video", "audio"):
        with av.open(str(path)) as file:
            stream = next(stream for stream in file.streams if stream.type == kind)
            packets = [packet for packet in file.demux(stream) if packet.size]
            last = max(packet.pts + packet.duration for packet in packets)
            first = min(packet.pts for packet in packets)
            bounds.append((first * stream.time_base, last * stream.time_base))
    (first, last), (begin, end) = bounds
    return f"{float(begin - first) * 1000:+.0f} and {float(end - last) * 1000:+.0f} ms"


if __name__ == "__main__":
    main()
