"""What every picture of a batch becomes: plain data, checked when it is made."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Literal, get_args

from ...catalogue.backends import BACKENDS, DEFAULT_IDS, check_options, find
from ...core.checks import check_share
from ...core.colour import NAMES, background_colour
from ...core.errors import BadOption
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
from .canvas import Canvas
from .naming import DEFAULT, Naming
from .recipe_values import (
    ABOVE_0,
    SHARE,
    SWITCH,
    Kind,
    amount,
    keyed,
    one_of,
    or_word,
    text,
    whole,
)

_BACKENDS = (*DEFAULT_IDS, *(id for id in BACKENDS if id not in DEFAULT_IDS))
_FORMATS = {row.id: row.id for row in FORMATS} | {"jpg": "jpeg", "tif": "tiff"}
_WITH_QUALITY = ("jpeg", "webp")
# Options of backends that say how a result is got, not what it is: a run with another key, or one
# that pays again for lost pictures, does not do the others again.
_ONLY_HOW = ("profile", "client", "resubmit", "download")


@dataclass(frozen=True)
class Output:
    """The files that are written. Raises BadOption for what the format cannot hold."""

    format: FormatId = keyed("png", one_of(_FORMATS), "Of the results.")
    quality: int | None = keyed(
        None,
        Kind("a whole number from 1 to 100", whole),
        "Of JPEG, whose colours always have every pixel (4:4:4), and of WebP, which is lossless "
        "without it.",
        "95 for JPEG",
    )
    depth: Depth | Literal["source"] = keyed(
        "source",
        Kind("8, 16 or source", or_word(whole), ("source",)),
        "Bits per channel. `source`: those of the picture, where the format holds them (PNG and "
        "TIFF hold 16).",
    )
    effort: int | None = keyed(
        None,
        Kind("a whole number from 1 to 9", whole),
        "Of a PNG: 1 is fast, 9 is small, the pixels are the same.",
        "4",
    )
    naming: str = keyed(
        DEFAULT,
        Kind("a pattern of names", text),
        "How the results are called below the destination.",
    )
    mask: bool = keyed(
        False, SWITCH, "Write the mask, too, as PNG: how much of the result the subject covers."
    )
    provenance: bool = keyed(
        True, SWITCH, "The files say which model made them, under which licence, for which use."
    )

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
        """Return what is known of the format."""
        row = by_id(self.format)
        if row is None:
            ids = ", ".join(one.id for one in FORMATS)
            raise BadOption(f"There is no picture format {self.format!r}; choose {ids}.")
        return row


@dataclass(frozen=True)
class Recipe:
    """What every picture of a batch becomes. Raises BadOption or BackendUnknown."""

    backend: str = keyed("local", one_of(_BACKENDS), "What removes the background.")
    usage: Usage | None = keyed(None, one_of(get_args(Usage)), "What the pictures are for.")
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    """Those of the backend, as `open_backend` takes them."""
    refine: bool = keyed(
        True, SWITCH, "Draw edges of local models' masks and of upsampled ones by the picture."
    )
    solid: bool = keyed(
        True, SWITCH, "Make opaque what is see-through inside the subject and shows no background."
    )
    decontaminate: float = keyed(
        1.0, SHARE, "How far the old background's colour is taken out of the edge."
    )
    background: str = keyed(
        "transparent",
        Kind(
            "transparent, an opaque colour such as white or #f4f4f4, or the path of a "
            f"{READ_LABELS} file",
            text,
            tuple(NAMES),
        ),
        "What lies behind the subject. A picture covers the canvas and is cut at its middle; its "
        "path is relative to the recipe.",
    )
    canvas: Canvas | None = None
    """None leaves the subject where it is, at the size that it has."""
    output: Output = Output()
    max_megapixels: float = keyed(
        64.0, ABOVE_0, "Larger pictures are refused before they are decoded."
    )
    max_cost: Decimal | None = keyed(
        None,
        Kind("an amount of USD, such as 25 or 0.5", amount),
        "What a run may cost with a hosted backend; what would pass it is not sent.",
    )

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
        """Return the picture file behind the subject; None for a colour or nothing."""
        return Path(self.background) if is_picture(self.background) else None

    @property
    def colour(self) -> tuple[float, float, float] | None:
        """Return the colour behind the subject, sRGB in 0..1; None for a picture or nothing."""
        return None if self.picture else background_colour(self.background)

    @property
    def transparent(self) -> bool:
        """Return whether there is nothing behind the subject."""
        return not self.picture and self.colour is None

    def digest(self) -> str:
        """Return the sha256 of all that changes a result, the background picture's bytes included.

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
            **({} if self.solid else {"solid": False}),
            "decontaminate": float(self.decontaminate),
            "background": _sha256(self.picture) if self.picture else self.colour,
            "canvas": _changed(self.canvas, Canvas()) if self.canvas else None,
            "output": _changed(self.output, Output()),
        }
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def is_picture(background: str) -> bool:
    """Return whether a background is the path of a picture file.

    Raises BadOption where it is neither that nor a colour.
    """
    if is_readable(PurePath(background)):
        return True
    try:
        background_colour(background)
    except BadOption as error:
        raise BadOption(f"{error} A picture file ends in the suffix of {READ_LABELS}.") from error
    return False


def _changed(made: Canvas | Output, plain: Canvas | Output) -> dict[str, object]:
    """Return the fields that do not have their default."""
    defaults = asdict(plain)
    return {name: value for name, value in asdict(made).items() if value != defaults[name]}


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadOption(f"The background {path} cannot be read ({reason}).") from error
