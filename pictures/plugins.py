"""Pillow's plugin for each format that is read.

The plugins themselves, not Image.open: it would warn about large pictures, which are judged here,
and try decoders that other packs have registered.
"""

from __future__ import annotations

import importlib
import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from PIL import Image, ImageFile, features

from .formats import ReadId
from .still import DAMAGED, Still, Unusable, decoding, several

_CLASSES: dict[ReadId, tuple[str, str]] = {
    "png": ("PIL.PngImagePlugin", "PngImageFile"),
    "jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "tiff": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "avif": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "heif": ("pillow_heif", "HeifImageFile"),
    "bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "gif": ("PIL.GifImagePlugin", "GifImageFile"),
    "jp2": ("PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile"),
}
# What Pillow may have been built without: the feature's name, and what to do.
_FEATURES: dict[ReadId, tuple[str, str]] = {
    "avif": ("avif", "reading AVIF needs Pillow 11.3 or newer: pip install -U pillow"),
    "jp2": ("jpg_2000", "this Pillow was built without JPEG 2000; save it as PNG"),
}
_NO_HEIF = (
    'reading HEIC needs the extra [heif]: pip install "rmbg-nodes[heif]", or into ComfyUI\'s own '
    "Python pip install pillow-heif; or save it as JPEG"
)
_NO_SWITCH = threading.Lock()
_decoding = 0
_switched_on = False


def lacking(format: ReadId) -> str:
    """Return what to do where this installation cannot read a format; empty where it can."""
    feature, advice = _FEATURES.get(format, ("", _NO_HEIF))
    try:
        importlib.import_module(_CLASSES[format][0])
    except ImportError:
        return advice
    return advice if feature and not features.check(feature) else ""


def open_image(data: bytes, format: ReadId) -> ImageFile.ImageFile:
    """Read the header of a file; what Pillow raises is left to the caller.

    Raises Unusable where this installation lacks what the format needs.
    """
    if advice := lacking(format):
        raise Unusable(advice)
    module, name = _CLASSES[format]
    plugin: type[ImageFile.ImageFile] = getattr(importlib.import_module(module), name)
    return plugin(io.BytesIO(data))


def open_with_pillow(data: bytes, format: ReadId) -> Still:
    """Take apart what Pillow alone knows: the first frame, or the main one. Raises Unusable."""
    with decoding():
        image = open_image(data, format)
        frames = getattr(image, "n_frames", 1)
    profile = image.info.get("icc_profile")
    return Still(image.size, 8, data, profile, warnings=several(frames))


def info_of(data: bytes, format: ReadId) -> Mapping[str | tuple[int, int], Any]:
    """Return what Pillow reads beside the pixels. Raises Unusable."""
    with decoding():
        return open_image(data, format).info


def decode(data: bytes, format: ReadId, size: tuple[int, int]) -> Image.Image:
    """Decode whole, whatever ImageFile.LOAD_TRUNCATED_IMAGES was set to.

    size: (width, height) that the file was judged by. Raises Unusable, and what Pillow raises.
    """
    image = open_image(data, format)
    if image.size != size:
        raise Unusable(DAMAGED)
    if format == "jpeg":
        # `load` would hide a decoder's error under that switch; `frombytes` does not know it.
        decoder, _, _, arguments = image.tile[0]
        return Image.frombytes(image.mode, image.size, data, decoder, arguments)
    with _strictly():
        image.load()
    return image


@contextmanager
def _strictly() -> Iterator[None]:
    """The switch off while any thread is in here, and then as another program had it."""
    global _decoding, _switched_on
    with _NO_SWITCH:
        _decoding += 1
        _switched_on |= ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        with _NO_SWITCH:
            _decoding -= 1
            if _switched_on and not _decoding:
                ImageFile.LOAD_TRUNCATED_IMAGES, _switched_on = True, False
