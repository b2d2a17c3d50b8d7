"""The tables of `scale.py`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from . import scale_million
from .scale_measure import OUTPUTS, Ask, Measure, Way, measure
from .scale_pictures import first, make

# A loop's pictures do not overlap, so a few of them say as much.
_LOOP = 4
# The same file, and the nearest to one: a white PNG.
_OF_REMBG = ("transparent PNG", "transparent PNG, edges as they are", "white JPEG")
# So many pictures of 256 pixels for each actor: its share of the last page does not count for much.
_RAY = 64


class Tables:
    """folder: for pictures and results. names: where this package has its name."""

    def __init__(self, folder: Path, names: Path, arguments: argparse.Namespace) -> None:
        self._folder = folder
        self._names = names
        self._given = arguments
        self._outputs: Sequence[str] = arguments.outputs or tuple(OUTPUTS)
        self._needs: dict[str, scale_million.Need] = {}

    def show(self, wanted: Sequence[str]) -> None:
        """Measure and print these, in the order of the list."""
        for name in wanted:
            getattr(self, name)()

    def busy(self) -> None:
        """Where the model does not take the processor."""
        self._large("sleep")

    def burn(self) -> None:
        """Where it does, one core of it."""
        self._large("burn")

    def overhead(self) -> None:
        """What a picture costs that is hardly one."""
        print("\n### Overhead: a model that costs nothing\n")
        print("| pictures | way | pictures a second | CPU-s a picture | of it in the system |")
        print("|---|---|---|---|---|")
        for side in (64, 512):
            source, answers = self._pictures(f"side-{side}", 400, side, side)
            for way in ("batch", "loop"):
                best = self._best(Ask(way, source, answers))
                print(
                    f"| {side} x {side} | {_NAMES[way]} | {best.rate:.1f} | {best.cpu:.4f} "
                    f"| {best.system / best.pictures:.4f} |",
                    flush=True,
                )

    def memory(self) -> None:
        """Whether it grows with the catalogue."""
        count = self._given.pictures
        print(f"\n### Memory over {count} pictures of 256 x 256\n")
        print("| | first 1,000, MB | last 1,000, MB | change | most, MB | pictures a second |")
        print("|---|---|---|---|---|---|")
        source, answers = self._pictures("many", count, 256, 256)
        for keep in (True, False):
            found = measure(Ask("batch", source, answers, keep=keep), self._names)
            print(
                f"| {'memory kept' if keep else 'given back'} | {found.first:.1f} "
                f"| {found.last:.1f} | {found.last / found.first - 1:+.2%} | {found.peak:.0f} "
                f"| {found.rate:.1f} |",
                flush=True,
            )

    def ray(self) -> None:
        """What a second actor brings."""
        print("\n### Ray: a model that sleeps 0.3 s, 256 x 256, start-up apart\n")
        print("| actors | pictures a second | times one actor |\n|---|---|---|")
        alone = 0.0
        for actors in (1, 2):
            source, answers = self._pictures(f"ray-{actors}", _RAY * actors, 256, 256)
            ask = Ask("ray", source, answers, seconds=0.3, actors=actors)
            rate = self._best(ask).rate
            alone = alone or rate
            # Pages come whole, so the rate is a little more than the model's own; of both alike.
            print(f"| {actors} | {rate:.2f} | {rate / alone:.2f} |", flush=True)

    def million(self) -> None:
        """What follows for other machines."""
        if not self._needs:
            self.busy()
        scale_million.show(self._needs)

    def _large(self, model: str) -> None:
        takes = "sleeps" if model == "sleep" else "takes one core for"
        print(f"\n### {self._given.size} JPEGs, a model that {takes} its time\n")
        print("| model, s | output | way | pictures a second | model busy ", end="")
        print("| CPU-s a picture | most, MB |\n|---|---|---|---|---|---|---|")
        width, height = (int(side) for side in self._given.size.split("x"))
        whole, answers = self._pictures("large", self._given.large, width, height)
        for seconds in self._given.seconds:
            for output in self._outputs:
                for way in self._ways(output):
                    # As much of the model's time in each: the ends weigh the same.
                    count = round(len([*whole.iterdir()]) * min(self._given.seconds) / seconds)
                    source = first(whole, max(2 * _LOOP, count) if way == "batch" else _LOOP)
                    ask = Ask(way, source, answers, output, model, seconds)
                    best = self._best(ask)
                    if way == "batch" and model == "sleep":
                        self._note(output, best)
                    most = f"{best.peak:.0f}" if best.peak else ""
                    print(
                        f"| {seconds} | {output} | {_NAMES[way]} | {best.rate:.2f} "
                        f"| {best.busy:.0%} | {best.cpu:.2f} | {most} |",
                        flush=True,
                    )

    def _ways(self, output: str) -> list[Way]:
        """rembg writes PNG at full size alone, on a colour or transparent."""
        ways: list[Way] = ["batch", "loop"]
        if self._given.rembg_python and output in _OF_REMBG:
            ways.append("rembg")
        return ways

    def _note(self, output: str, best: Measure) -> None:
        need = scale_million.Need(best.cpu, best.read / best.pictures, best.written / best.pictures)
        known = self._needs.get(output)
        if known is None or need.cpu < known.cpu:
            self._needs[output] = need

    def _pictures(self, name: str, count: int, width: int, height: int) -> tuple[Path, Path]:
        source, answers = self._folder / name, self._folder / f"{name}-answers"
        if not source.exists():
            make(source, answers, count, width, height)
        return source, answers

    def _best(self, ask: Ask) -> Measure:
        python = {"python": self._given.rembg_python} if ask.way == "rembg" else {}
        rounds = [measure(ask, self._names, **python) for _ in range(self._given.rounds)]
        return min(rounds, key=lambda one: one.wall)


_NAMES = {"batch": "`batch.run`", "loop": "plain loop", "rembg": "`rembg p`"}
