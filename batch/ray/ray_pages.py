"""What travels between the driver and its workers: pages of a few pictures, as one line of JSON.

Paths and words only. Pixels never pass through Ray's object store: a picture of 12 megapixels is a
file of 4 MB, and 144 MB as the floats that the model works on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from ...config.private_files import private
from ...core import errors
from ...core.errors import Refusal
from ..result import Landed
from ..sources.items import Item

COLUMN = "page"
PAGE = 4
#: Read tasks: one hands on about 30 pages a second at most, for Ray asks it for each by itself.
READERS = 4


@dataclass(frozen=True)
class Part:
    """Some lines of a file of pages."""

    path: Path
    offset: int
    """Where they begin, in bytes."""
    pages: int
    """How many there are."""

    def read(self) -> Iterator[str]:
        """Each line, until the file that stops the run is there."""
        stop = stop_file(self.path.parent)
        with self.path.open("rb") as file:
            file.seek(self.offset)
            for line in islice(file, self.pages):
                if stop.exists():
                    return
                yield line.decode("ascii")


@dataclass(frozen=True)
class Refused:
    """Pictures that were not worked on, because the run was ended or stopped."""

    kind: str
    """The name of the error's class."""
    error: str

    def again(self) -> Refusal:
        """The refusal, in the process of the driver."""
        kind = getattr(errors, self.kind, Refusal)
        return kind(self.error) if issubclass(kind, Refusal) else Refusal(self.error)


def stop_file(folder: Path) -> Path:
    """When it is there, nothing new is begun."""
    return folder / "stop"


def write_pages(items: Iterable[Item], path: Path) -> list[Part]:
    """Every item with its number, so that no process has to hold them all."""
    offsets = []
    numbered = enumerate(items)
    with open(path, "wb", opener=private) as file:
        while page := list(islice(numbered, PAGE)):
            offsets.append(file.tell())
            rows = [
                [n, i.key, str(i.source.absolute()), i.target, i.mask, i.trouble] for n, i in page
            ]
            # ASCII: a file's name may hold bytes that are no UTF-8.
            file.write(json.dumps(rows).encode("ascii") + b"\n")
    share = -(-len(offsets) // READERS) or 1
    return [
        Part(path, offsets[first], min(share, len(offsets) - first))
        for first in range(0, len(offsets), share)
    ]


def read_page(page: str) -> list[tuple[int, Item]]:
    """The items of one line, with their numbers."""
    return [
        (number, Item(key, Path(source), target, mask, trouble=trouble))
        for number, key, source, target, mask, trouble in json.loads(page)
    ]


def write_results(results: Iterable[Landed | Refused]) -> str:
    """What became of a page, for the driver."""
    rows = [[type(result).__name__, asdict(result)] for result in results]
    return json.dumps(rows, default=str)  # amounts of money


def read_results(page: str) -> Iterator[Landed | Refused]:
    """See `write_results`."""
    for kind, values in json.loads(page):
        yield Refused(**values) if kind == "Refused" else _landed(values)


def _landed(values: dict[str, Any]) -> Landed:
    cost = values["cost"]
    values["cost"] = None if cost is None else Decimal(cost)
    values["warnings"], values["kinds"] = tuple(values["warnings"]), tuple(values["kinds"])
    return Landed(**values)
