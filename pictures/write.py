"""Pixels to the bytes of a picture file, and bytes to a file that is never half written."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..config.private_files import sync, sync_names, whole
from ..core.checks import all_finite, way_to_floats
from ..core.digest import level_blocks
from ..core.errors import BadOption, BadPicture
from .deep import encode_deep_png
from .formats import FORMATS, LABELS, Depth, FileFormat, FormatId, by_id, by_suffix
from .jpeg import with_metadata
from .metadata import NOTHING, Metadata
from .png import with_texts
from .tiff import encode_tiff

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_JPEG_QUALITY = 95
_EFFORT = 4  # of zlib: as small as its default 6 on photographs with alpha, in a third of the time
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def encode(
    image: Tensor,
    format: FormatId,
    *,
    depth: Depth = 8,
    icc_profile: bytes | None = None,
    quality: int | None = None,
    effort: int | None = None,
    metadata: Metadata = NOTHING,
) -> bytes:
    """Encode one picture; the same picture and metadata give the same bytes.

    image: (H, W, C) floating point in 0..1, C 1 (grey or mask), 3 or 4 (straight alpha); values
    beyond are clamped. Values are rounded to the nearest level, and the colours under alpha 0 are
    kept as given. quality 1..100: for JPEG (default 95, no chroma subsampling) and for lossy WebP;
    without it WebP is lossless. WebP has no grey and stores one channel as RGB.
    effort 1..9: of a PNG; less is faster and larger, no pixel depends on it (default 4 for 8 bits).
    depth 16: PNG and TIFF only, exact to 1/65535. metadata: what the file says of itself; no pixel
    depends on it, and what the format has no place for is left out.

    Raises BadOption when the format cannot hold what is asked, BadPicture for wrong values.
    """
    row = by_id(format)
    if row is None:
        ids = ", ".join(known.id for known in FORMATS)
        raise BadOption(f"There is no picture format {format!r}; choose {ids}.")
    _check_values(image)
    _check_fit(row, image.shape, depth, quality)
    _check_effort(effort)
    levels = _levels(image, depth)
    fields = metadata.fields
    if format == "tiff":
        return encode_tiff(levels, icc_profile, metadata.xmp, fields.values())
    if depth == 16:
        data = encode_deep_png(levels.astype(np.uint16), icc_profile, effort)
    else:
        data = _encode_with_pillow(levels, format, icc_profile, quality, effort, metadata)
    if format == "png":
        texts = {**fields.texts(), **metadata.texts}
        return with_texts(data, texts, metadata.xmp, fields.exif(), fields.per_metre())
    return with_metadata(data, fields.exif(), metadata.xmp) if format == "jpeg" else data


def format_for(path: Path) -> FormatId:
    """Return the format that an output file's name asks for. Raises BadOption for others."""
    row = by_suffix(path)
    if row is None:
        raise BadOption(f"{path} has no suffix of a {LABELS} file; give it one, such as .png.")
    return row.id


def write_atomic(path: Path, data: bytes, *, lasting: bool = False) -> None:
    """Write a file as a whole or not at all, making its folder where there is none.

    Written beside its place and then renamed into it, so that neither a full disk nor a kill leaves
    a half picture under the name. A link that has the name is replaced, not what it leads to.
    lasting: returns when the disk has it, so that it outlives a power failure; slower. Raises
    BadOption when the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as part:
            part.write_bytes(data)
            if lasting:
                sync(part)
        if lasting:
            sync_names([path.parent])
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise BadOption(f"{path} cannot be written ({reason}); choose another place.") from error


def is_full(error: Exception) -> bool:
    """Return whether `write_atomic` will fail for the next file as well: the disk is full, or must
    not be written to."""
    return getattr(error.__cause__, "errno", None) in _FULL


def _check_values(image: Tensor) -> None:
    if image.ndim != 3 or image.shape[2] not in _MODES or 0 in image.shape:
        raise BadPicture(
            f"A picture file needs (height, width, 1, 3 or 4 channels), not {tuple(image.shape)}."
        )
    if not image.is_floating_point():
        raise BadPicture(
            f"A picture needs floats in 0..1, not {image.dtype}; {way_to_floats(image.dtype)}."
        )
    if not all_finite(image):
        raise BadPicture("The picture holds values that are not numbers (NaN or infinity).")


def _check_fit(row: FileFormat, shape: torch.Size, depth: int, quality: int | None) -> None:
    height, width, channels = shape
    if channels not in row.channels:
        raise BadOption(
            f"{row.label} has no transparency; write PNG or WebP, or put the picture on a colour."
        )
    if depth not in row.depths:
        allowed = " or ".join(str(bits) for bits in row.depths)
        raise BadOption(
            f"{row.label} holds {allowed} bits per channel, not {depth}; write PNG for 16 bits."
        )
    check_size(row, width, height, channels * depth // 8)
    if quality is not None and not 1 <= quality <= 100:
        raise BadOption(f"quality is {quality}; choose a number from 1 to 100.")


def check_size(row: FileFormat, width: int, height: int, bytes_each: int = 1) -> None:
    """Raise BadOption for a picture that a format cannot hold. bytes_each: of one pixel."""
    if max(height, width) > row.max_side:
        raise BadOption(
            f"{row.label} holds at most {row.max_side} pixels a side, not {width} x {height}; "
            "write PNG."
        )
    if width * height * bytes_each > row.max_bytes:
        raise BadOption(
            f"{row.label} holds at most {row.max_bytes} bytes, and {width} x {height} pixels may "
            "need more; write PNG."
        )


def _check_effort(effort: int | None) -> None:
    if effort is not None and not 1 <= effort <= 9:
        raise BadOption(f"effort is {effort}; choose a number from 1 (fast) to 9 (small).")


def _levels(image: Tensor, depth: Depth) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Round to the nearest level; float64 at 16 bits would change nothing, float16 input would."""
    flat: NDArray[np.float32] = image.detach().to("cpu", torch.float32).reshape(-1).numpy()
    levels = np.empty(flat.size, np.uint8 if depth == 8 else np.uint16)
    done = 0
    for block in level_blocks(flat, depth):
        levels[done : done + block.size] = block
        done += block.size
    return levels.reshape(image.shape)


def _encode_with_pillow(
    levels: NDArray[np.uint8] | NDArray[np.uint16],
    format: FormatId,
    icc_profile: bytes | None,
    quality: int | None,
    effort: int | None,
    metadata: Metadata,
) -> bytes:
    channels = levels.shape[2]
    picture = Image.fromarray(levels[..., 0] if channels == 1 else levels)
    file = io.BytesIO()
    if format == "png":
        picture.save(file, "PNG", compress_level=effort or _EFFORT, icc_profile=icc_profile)
    elif format == "jpeg":
        picture.save(
            file,
            "JPEG",
            quality=quality or _JPEG_QUALITY,
            subsampling=0,
            optimize=True,
            icc_profile=icc_profile,
            dpi=metadata.fields.whole_dpi(),
        )
    else:
        settings = {"lossless": True} if quality is None else {"quality": quality}
        picture.save(
            file,
            "WEBP",
            exact=True,
            icc_profile=icc_profile or b"",
            xmp=metadata.xmp,
            exif=metadata.exif or metadata.fields.exif(),
            **settings,
        )
    return file.getvalue()
