"""A picture file to pixels: checked from its header first, and whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.errors import BadPicture
from .deep import decode_deep_png
from .fields import NO_FIELDS, Fields, Origin
from .formats import READ_LABELS, Depth, ReadId, sniff, unread
from .jpeg import open_jpeg
from .jpeg_damage import check_jpeg
from .metadata import metadata_of
from .orientation import upright
from .plugins import decode, open_with_pillow
from .png import check_png, open_png
from .provenance import declared_source_type
from .srgb import carried_profile, split_alpha, to_srgb
from .still import NO_PIXELS, Still, Unusable, decoding, unit, within_pillows_limit
from .tiff import open_tiff
from .unread import why_unread
from .webp import open_webp

_OPENERS: dict[ReadId, Callable[[bytes], Still]] = {
    "png": open_png,
    "jpeg": open_jpeg,
    "webp": open_webp,
    "tiff": open_tiff,
}
# What decoders do not tell, asked when the size is known to be allowed.
_CHECKS: dict[ReadId, Callable[[bytes], None]] = {"png": check_png, "jpeg": check_jpeg}


@dataclass(frozen=True)
class Picture:
    """A decoded picture, upright."""

    pixels: Tensor
    """(H, W, 3) float32, straight RGB in 0..1, sRGB unless icc_profile says otherwise."""
    alpha: Tensor | None
    """(H, W) float32 in 0..1, or None where the file has none."""
    depth: Depth
    """Bits that the file holds per channel."""
    icc_profile: bytes | None
    """Of `pixels`, for the result: only of 16 bits other than sRGB, which are not converted."""
    name: str
    source_type: str = ""
    """IPTC's Digital Source Type, as the file states it; empty where it states none."""
    fields: Fields = NO_FIELDS
    """What a result's file takes over, such as its resolution and its copyright."""
    warnings: tuple[str, ...] = ()
    """What a user should hear of it, such as that it is the first of several pages."""

    @property
    def image(self) -> Tensor:
        """(H, W, 3), or (H, W, 4) where the file has alpha."""
        if self.alpha is None:
            return self.pixels
        return torch.cat([self.pixels, self.alpha[..., None]], dim=-1)

    @property
    def origin(self) -> Origin:
        """What a result takes over."""
        return Origin(self.depth, self.icc_profile, self.source_type, self.fields)


def read_picture(source: Path | bytes, *, name: str, max_megapixels: float = 64.0) -> Picture:
    """Read a PNG, JPEG, WebP, TIFF, AVIF, HEIC, BMP, GIF or JPEG 2000 file, or its bytes.

    Upright after EXIF and XMP; 8-bit colours are converted to sRGB by their ICC profile, alpha is
    left as it is; of several frames the first, of several pages the first full one. The size is
    judged before anything is decoded. Damage is refused, as far as it can be told in a JPEG.

    name: what messages call it. Raises BadPicture, in words, for whatever is wrong with it.
    """
    try:
        data = source if isinstance(source, bytes) else _file(source)
        if data and isinstance(source, Path):
            _check_kind(source, data)
        return _picture(data, name, max_megapixels)
    except Unusable as reason:
        raise BadPicture(f"{name} cannot be used: {reason}.") from reason


def _file(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise Unusable("it is a folder, not a picture")
        if path.exists() and not path.is_file():
            raise Unusable("it is not a regular file")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise Unusable("there is no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise Unusable(f"the file cannot be read ({reason})") from error


def _check_kind(path: Path, data: bytes) -> None:
    """Refuse a kind that is not read. A camera's raw file is a TIFF by its content, with a preview
    as its first page; any other content that is read counts for more than the name."""
    format = sniff(data)
    if unread(path) and (format is None or format.id == "tiff"):
        raise Unusable(f"pictures of its kind are not read ({why_unread(path)})")


def _picture(data: bytes, name: str, max_megapixels: float) -> Picture:
    if not data:
        raise Unusable("the file is empty")
    format = sniff(data)
    if format is None:
        raise Unusable(f"it is not a {READ_LABELS} file, whatever its name says; save it as one")
    opener = _OPENERS.get(format.id)
    still = opener(data) if opener else open_with_pillow(data, format.id)
    width, height = still.size
    if width < 1 or height < 1:
        raise Unusable(NO_PIXELS)
    if width * height > max_megapixels * 1e6:
        raise Unusable(
            f"{width} x {height} pixels are more than the limit of {max_megapixels:g} megapixels; "
            "make it smaller or raise the limit"
        )
    if format.id in _CHECKS:
        _CHECKS[format.id](still.data)
    if still.depth == 16:
        colours, alpha = _sixteen_bits(still)
        profile = carried_profile(still.icc_profile)
    else:
        colours, alpha = _eight_bits(still, format.id)
        profile = None
    said = metadata_of(data)
    return Picture(
        pixels=_tensor(colours, said.orientation),
        alpha=None if alpha is None else _tensor(alpha, said.orientation),
        depth=still.depth,
        icc_profile=profile,
        name=name,
        source_type=declared_source_type(said),
        fields=said.fields.turned(said.orientation),
        warnings=still.warnings,
    )


def _eight_bits(
    still: Still, format: ReadId
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    with decoding(), within_pillows_limit(format):  # WebP and TIFF ask for it too
        if still.samples:
            colours, alpha = still.samples().images()
        else:
            colours, alpha = split_alpha(decode(still.data, format, still.size))
    levels = np.asarray(to_srgb(colours, still.icc_profile))
    return unit(levels), None if alpha is None else unit(np.asarray(alpha))


def _sixteen_bits(still: Still) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    samples = still.samples() if still.samples else decode_deep_png(still)
    colours, alpha = samples.straight()
    if colours.shape[2] == 1:
        colours = colours.repeat(3, axis=2)
    return colours, alpha


def _tensor(values: NDArray[np.float32], orientation: int) -> Tensor:
    """(H, W, ...) as stored -> (H, W, ...) upright."""
    return torch.from_numpy(upright(values, orientation))
