"""What every picture of a batch becomes: plain data, checked when it is made."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Literal, TypeAlias, get_args

from ...catalogue.backends import check_options, find
from ...core.checks import check_share
from ...core.composite import CompositeOptions
from ...core.cutout import background_colour
from ...core.errors import BadOption
from ...core.layers import Blend
from ...core.placement import MOST_PIXELS, Anchor, Fit
from ...core.specs import OptionValue
from ...core.types import Usage
from ...pictures.formats import (
    FORMATS,
    READ_LABELS,
    Depth,
    FileFormat,
    FormatId,
    by_id,
    is_readable,
)
from .naming import DEFAULT, Naming

SizeWord = Literal["square", "source"]
#: (width, height) in pixels; the smallest square around the subject and its margin; or the size of
#: the picture.
CanvasSize: TypeAlias = "tuple[int, int] | SizeWord"
#: Bits per channel; as many as the picture has, where the format holds them.
OutputDepth: TypeAlias = "Depth | Literal['source']"

_WITH_QUALITY = ("jpeg", "webp")
# Options of backends that say how a result is got, not what it is: a run with another key, or one
# that pays again for lost pictures, does not do the others again.
_ONLY_HOW = ("profile", "client", "resubmit", "download")


@dataclass(frozen=True)
class Canvas:
    """Where the subject stands. Raises BadOption for a value that cannot work.

    size: see CanvasSize. fit, margin, anchor, offset, scale: see `core.placement.place`; the fit
    "subject" crops to the subject first, and a square canvas has no other. shadow, blend: see
    `core.composite`.
    """

    size: CanvasSize = "source"
    fit: Fit = "subject"
    margin: float = 0.05
    anchor: Anchor = "center"
    offset: tuple[int, int] = (0, 0)
    scale: float = 1.0
    shadow: float = 0.0
    blend: Blend = "srgb"

    def __post_init__(self) -> None:
        CompositeOptions(
            self.fit,
            self.anchor,
            self.offset,
            self.scale,
            self.margin,
            1.0,
            self.blend,
            self.shadow,
        )
        if self.size == "square" and self.fit != "subject":
            raise BadOption(
                f"A square canvas is made around the subject: its fit is subject, not {self.fit}."
            )
        if isinstance(self.size, str):
            if self.size not in get_args(SizeWord):
                raise BadOption(f"{self.size!r} is no size of a canvas; see CanvasSize.")
        elif len(self.size) != 2 or not all(isinstance(s, int) and s > 0 for s in self.size):
            raise BadOption(f"The canvas is {self.size}; it must be width and height in pixels.")
        elif math.prod(self.size) > MOST_PIXELS:
            raise BadOption(f"A canvas of {self.size[0]} x {self.size[1]} pixels is too large.")


@dataclass(frozen=True)
class Output:
    """The files that are written. Raises BadOption for what the format cannot hold.

    quality: 1..100, of JPEG (default 95) and lossy WebP (lossless without it). depth: see
    OutputDepth. effort: 1..9, of an 8-bit PNG: less is faster and larger. naming: see `Naming`.
    mask: write the mask, too, as PNG. provenance: the files say where they come from.
    """

    format: FormatId = "png"
    quality: int | None = None
    depth: OutputDepth = "source"
    effort: int | None = None
    naming: str = DEFAULT
    mask: bool = False
    provenance: bool = True

    def __post_init__(self) -> None:
        row = self.row
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise BadOption(f"quality is {self.quality}; choose a number from 1 to 100.")
        if self.quality is not None and row.id not in _WITH_QUALITY:
            raise BadOption(f"{row.label} has no quality; it keeps every pixel as it is.")
        if self.effort is not None and not 1 <= self.effort <= 9:
            raise BadOption(f"effort is {self.effort}; choose a number from 1 (fast) to 9 (small).")
        if self.effort is not None and row.id != "png":
            raise BadOption(f"effort is a setting of PNG; {row.label} has none.")
        if self.depth != "source" and self.depth not in row.depths:
            raise BadOption(f"{row.label} cannot hold {self.depth} bits per channel; PNG can.")
        Naming(self.naming, self.format)

    @property
    def row(self) -> FileFormat:
        """What is known of the format."""
        row = by_id(self.format)
        if row is None:
            ids = ", ".join(one.id for one in FORMATS)
            raise BadOption(f"There is no picture format {self.format!r}; choose {ids}.")
        return row

    @property
    def suffix(self) -> str:
        """Of the files: ".png", ".jpg", ..."""
        return self.row.suffixes[0]


@dataclass(frozen=True)
class Recipe:
    """What every picture of a batch becomes. Raises BadOption or BackendUnknown.

    backend, options: as `open_backend` takes them. refine, decontaminate: see `Finishing`.
    background: "transparent", a colour, or the path of a picture file, which covers the canvas.
    canvas: None leaves the subject where it is, at the size that it has. max_megapixels: larger
    pictures are refused before they are decoded. max_cost: USD that a run may cost.
    """

    backend: str = "local"
    usage: Usage | None = None
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    refine: bool = True
    decontaminate: float = 1.0
    background: str = "transparent"
    canvas: Canvas | None = None
    output: Output = Output()
    max_megapixels: float = 64.0
    max_cost: Decimal | None = None

    def __post_init__(self) -> None:
        check_options(find(self.backend), self.options)
        if self.usage is not None and self.usage not in get_args(Usage):
            raise BadOption(f"usage is {self.usage!r}; it is commercial or non-commercial.")
        check_share(self.decontaminate, "decontamination")
        if not 0 < self.max_megapixels < math.inf:
            raise BadOption(f"max_megapixels is {self.max_megapixels}; it must be more than 0.")
        row = self.output.row
        if self.transparent and 4 not in row.channels:
            raise BadOption(
                f"{row.label} has no transparency; choose a background, such as white, or the "
                "format png, webp or tiff."
            )
        if self.canvas and isinstance(self.canvas.size, tuple):
            longest = max(self.canvas.size)
            if longest > row.max_side:
                raise BadOption(
                    f"{row.label} holds at most {row.max_side} pixels a side, not {longest}; "
                    "choose a smaller canvas, or png."
                )

    @property
    def picture(self) -> Path | None:
        """The picture file behind the subject; None for a colour and for nothing."""
        return Path(self.background) if is_picture(self.background) else None

    @property
    def colour(self) -> tuple[float, float, float] | None:
        """The colour behind the subject, sRGB in 0..1; None for a picture and for nothing."""
        return None if self.picture else background_colour(self.background)

    @property
    def transparent(self) -> bool:
        """Whether there is nothing behind the subject."""
        return not self.picture and self.colour is None

    def digest(self) -> str:
        """sha256 of all that changes a result, the bytes of the background picture among it.

        Neither usage nor the limits change one. What has its default is left out, so that settings
        of later releases leave the digest as it is. The backend is the one of the recipe: where a
        setting pins another, replace it first. Raises BadOption where the picture cannot be read.
        """
        spec = find(self.backend)
        plain = check_options(spec, {})
        facts = {
            "backend": spec.id,
            "options": {
                name: value
                for name, value in self.options.items()
                if name not in _ONLY_HOW and value != plain[name]
            },
            "refine": self.refine,
            "decontaminate": float(self.decontaminate),
            "background": _sha256(self.picture) if self.picture else self.colour,
            "canvas": _changed(self.canvas, Canvas()) if self.canvas else None,
            "output": _changed(self.output, Output()),
        }
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def is_picture(background: str) -> bool:
    """Whether a background is the path of a picture file. Raises BadOption where it is neither
    that nor a colour."""
    if is_readable(PurePath(background)):
        return True
    try:
        background_colour(background)
    except BadOption as error:
        raise BadOption(f"{error} A picture file ends in the suffix of {READ_LABELS}.") from error
    return False


def _changed(made: Canvas | Output, plain: Canvas | Output) -> dict[str, object]:
    """The fields that do not have their default."""
    defaults = asdict(plain)
    return {name: value for name, value in asdict(made).items() if value != defaults[name]}


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadOption(f"The background {path} cannot be read ({reason}).") from error
