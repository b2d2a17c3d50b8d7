"""How a result reaches its user: encoded, written, noted, and settled once it is in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

from ..catalogue.licences import OwnWeights
from ..core.errors import BadOption, PictureError
from ..pictures.formats import Depth, FormatId, depth_in
from ..pictures.provenance import metadata_of_result
from ..pictures.write import encode, format_for
from ..records.delivered import DeliveredFiles, Part
from .finishing import Done
from .inputs import Failed

#: Says that a result has reached its place. Any thread may call it, also when the run is over.
Settle: TypeAlias = "Callable[[], None]"


class Encoding(NamedTuple):
    """How one file of a result is encoded; see `pictures.write.encode`."""

    format: FormatId
    depth: Depth
    quality: int | None = None
    effort: int | None = None


@dataclass(frozen=True)
class Delivery:
    """What became of the files of one result."""

    result: Done | Failed
    error: PictureError | BadOption | None = None
    """Why there are none."""
    files: Mapping[Part, bytes] = field(default_factory=dict)
    """What they hold."""
    trouble: tuple[str, ...] = ()
    """Why they could not be noted with the receipt."""


def encoding_for(path: Path | None, depth: Depth) -> Encoding:
    """Return the encoding that a file's name asks for, PNG where it has none (standard output).

    depth: the source's, kept where the format can hold it. Raises BadOption for another suffix.
    """
    format = "png" if path is None else format_for(path)
    return Encoding(format, depth_in(format, depth))


def encode_result(
    done: Done,
    encodings: Mapping[Part, Encoding],
    weights: Mapping[str, OwnWeights],
    *,
    silent: bool,
) -> dict[Part, bytes]:
    """Return the files of a result, as `encodings` ask for them and in their order.

    weights, silent: see `metadata_of_result`. Raises what `encode` does.
    """
    origin = done.origin
    of_image, of_mask = metadata_of_result(done.report.data(), weights, origin, silent=silent)
    sources = {
        "image": (done.image, origin.icc_profile, of_image),
        "mask": (done.mask[..., None], None, of_mask),
    }
    made: dict[Part, bytes] = {}
    for part, encoding in encodings.items():
        pixels, icc_profile, metadata = sources[part]
        made[part] = encode(
            pixels,
            encoding.format,
            depth=encoding.depth,
            icc_profile=icc_profile,
            quality=encoding.quality,
            effort=encoding.effort,
            metadata=metadata,
        )
    return made


def deliver(
    result: Done | Failed,
    encoded: Callable[[Done], Mapping[Part, bytes]],
    write: Callable[[Part, bytes, bool], None] | None,
    delivered: DeliveredFiles,
) -> Delivery:
    """Write the files of a result, and note them with its receipt.

    write: takes a part, its bytes, and whether they must outlast a power failure: of what is paid
        for there is no other copy from here on. None: the caller keeps them in memory.
    """
    if isinstance(result, Failed):
        return Delivery(result, result.failure.error)
    try:
        files = encoded(result)
        if write is not None:
            for part, data in files.items():
                write(part, data, result.report.facts.left_machine)
    except (PictureError, BadOption) as error:
        return Delivery(result, error)
    return Delivery(result, None, files, delivered.note(result.report.receipt, files))


class _Ended(Protocol):
    @property
    def error(self) -> object: ...


def settle_delivered(end: _Ended, settle: Settle) -> None:
    """Settle a result that has its files; another stays with the provider, for the next run."""
    if end.error is None:
        settle()


def at_once(result: object, settle: Settle) -> None:
    """Settle a result at once: who asks for the next one has it."""
    settle()
