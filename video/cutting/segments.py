"""The closed segments of a video that is being made, so that a killed run goes on where it was.

They lie in a hidden folder beside the result. A segment is closed once its JSON file is there: that
is written whole, after the segment's files are on the disk. What is not closed is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import reduce
from itertools import takewhile
from pathlib import Path
from typing import TypedDict, cast

from ...config.private_files import make_private, sync, write_private
from ...core.errors import BadOption
from ...core.money import added, cost_text, read_cost
from ...core.report import JsonValue
from ...records.locks import hold

_VERSION = 1
_RUN, _LOCK, _COSTS = "run.json", "lock", "costs"


@dataclass(frozen=True)
class Segment:
    """What is known of a closed segment."""

    first: int
    """Number of its first frame in the source."""
    frames: int
    pts: tuple[int, ...]
    """Of each frame."""
    files: Mapping[str, int]
    """Bytes of its files, by their names in the folder."""
    decoded: tuple[str, ...]
    """sha256 of each frame as it came in."""
    written: tuple[str, ...]
    """sha256 of each frame as it went to the encoder."""
    seconds: float
    """Of the backend's work on it."""
    empty: int
    """How many of them have nothing of a subject."""
    facts: Mapping[str, JsonValue]
    """What the backend says of the last frame."""
    notes: tuple[str, ...] = ()
    """What it says of any frame, each once."""


class WorkFolder:
    """The folder with the closed segments of one video, held by this process alone."""

    def __init__(self, out: Path, identity: Mapping[str, JsonValue]) -> None:
        """Take the folder of this result. What was closed for another source or with other
        settings, as `identity` tells, is thrown away.

        Raises BadOption where another process has it, and where it cannot be written.
        """
        self.path = folder_of(out)
        #: Segments were there, and could not be used.
        self.began_anew = False
        self._made = [*takewhile(lambda place: not place.exists(), (out.parent, *out.parents))]
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            make_private(self.path)
            self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        if not (hold(self._lock) and self._is_there()):
            os.close(self._lock)
            raise BadOption(f"Another run is at work on {out}. Wait until it has ended.")
        try:
            self._begin(json.dumps({"version": _VERSION, **identity}, sort_keys=True))
        except OSError as error:
            os.close(self._lock)
            raise _unwritable(self.path, error) from error

    def _begin(self, identity: str) -> None:
        said = self.path / _RUN
        if said.is_file() and said.read_text(encoding="utf-8") == identity:
            return
        for place in self.path.iterdir():
            if place.name == _LOCK:
                continue
            self.began_anew = self.began_anew or said.is_file()
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        write_private(said, identity.encode())

    def closed(self) -> Iterator[Segment]:
        """Yield the closed segments from the first on; the first that is not whole ends them."""
        number = 0
        while (segment := self._read(number)) is not None:
            yield segment
            number += 1

    def close_segment(self, number: int, segment: Segment) -> None:
        """Note that a segment is whole. Raises BadOption where the disk refuses."""
        try:
            for name in segment.files:
                if (self.path / name).is_file():
                    sync(self.path / name)
            write_private(self._note(number), json.dumps(asdict(segment)).encode())
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def paid(self, cost: Decimal | None) -> None:
        """Add to what this video has cost; it counts also when the segment is made again."""
        if cost != 0:
            with open(self.path / _COSTS, "a", encoding="ascii") as file:
                file.write(f"{cost_text(cost)}\n")

    def cost(self) -> Decimal | None:
        """Return what all runs on this video have paid; None where a part of it is not known."""
        with suppress(FileNotFoundError):
            lines = (self.path / _COSTS).read_text(encoding="ascii").split("\n")
            costs = [Decimal(0), *map(read_cost, lines[:-1])]  # the last line may be half
            return reduce(added, costs)
        return Decimal(0)

    def release(self) -> None:
        """Let go of the folder: the next run may go on with it, or, where it holds nothing that is
        of use, it goes, too."""
        if self.path.exists() and self._read(0) is None and not self.cost():
            self.remove()
            for folder in self._made:
                with suppress(OSError):  # another program has put something into it
                    folder.rmdir()
        os.close(self._lock)

    def remove(self) -> None:
        """Take the folder away, still held: the video is finished."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _is_there(self) -> bool:
        """Tell whether the lock is still that of the folder: another run may have finished between
        opening and holding it, and removed both."""
        with suppress(OSError):
            return os.path.samestat(os.fstat(self._lock), os.stat(self.path / _LOCK))
        return False

    def _note(self, number: int) -> Path:
        return self.path / f"{number:06d}.json"

    def _read(self, number: int) -> Segment | None:
        try:
            segment = _segment(json.loads(self._note(number).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError):  # not there, or damaged
            return None
        whole = all(
            (self.path / name).exists() and _bytes(self.path / name) in (size, None)
            for name, size in segment.files.items()
        )
        return segment if whole else None


def folder_of(out: Path) -> Path:
    """Return where the closed segments of a result lie."""
    return out.parent / f".{out.name}.rmbg-video"


def together(digests: Iterator[str]) -> str:
    """Return the sha256 of the digests of all frames, 32 bytes each, in the order of display."""
    whole = hashlib.sha256()
    for digest in digests:
        whole.update(bytes.fromhex(digest))
    return whole.hexdigest()


def _segment(said: dict[str, JsonValue]) -> Segment:
    """Return what a segment's file says. Raises KeyError, TypeError or ValueError for another."""
    read = cast("_Said", said)
    return Segment(
        first=read["first"],
        frames=read["frames"],
        pts=tuple(read["pts"]),
        files=read["files"],
        decoded=tuple(read["decoded"]),
        written=tuple(read["written"]),
        seconds=read["seconds"],
        empty=read["empty"],
        facts=read["facts"],
        notes=tuple(read["notes"]),
    )


class _Said(TypedDict):
    first: int
    frames: int
    pts: list[int]
    files: dict[str, int]
    decoded: list[str]
    written: list[str]
    seconds: float
    empty: int
    facts: dict[str, JsonValue]
    notes: list[str]


def _bytes(path: Path) -> int | None:
    """Return the size of a file; None for a folder."""
    return path.stat().st_size if path.is_file() else None


def _unwritable(folder: Path, error: OSError) -> BadOption:
    reason = error.strerror or str(error)
    return BadOption(f"{folder} cannot be written ({reason}); choose another place.")
