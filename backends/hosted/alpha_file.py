"""The alpha in a provider's file, which is judged from its bytes before a decoder sees it.

Nothing is taken on trust: the size is read from the header, so that a small file cannot ask for
gigabytes; metadata is left out, because a decoder may trip over it; and the pixels of a PNG are
counted, because a decoder may have been told to make half a picture of half a file.
"""

from __future__ import annotations

import re

import numpy as np

from ...core.errors import UnusableResult
from ...pictures.deep import decode_deep_png
from ...pictures.formats import ReadId, sniff
from ...pictures.plugins import decode
from ...pictures.png import check_png, chunks, open_png
from ...pictures.srgb import split_alpha
from ...pictures.still import CUT_OFF, Levels, Unusable, decoding
from ...pictures.webp import header_of

OPAQUE = "the provider gave an opaque answer: it holds no mask."
_EMPTY = "the provider's answer is empty."
_DAMAGED = "the provider's file is damaged."
_CUT_OFF = "the provider's file ends before its picture does."
_ANIMATED = "the provider answered with an animation, where a single picture belongs."
# What else comes back in a picture's place, as its first bytes show.
_LOOKS = (
    (re.compile(rb"\s*<(!doctype html|html|head|body)", re.I), "a web page (HTML)"),
    (re.compile(rb"\s*<"), "XML"),
    (re.compile(rb"\s*[{\[]"), "JSON"),
    (re.compile(rb"\xff\xd8\xff"), "a JPEG, which holds no mask"),
    (re.compile(rb"GIF8"), "a GIF"),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), "an AVIF"),
    (re.compile(rb"II\*\0|MM\0\*"), "a TIFF"),
    (re.compile(rb"[\t\r\n -~]{1,64}\Z|[\t\r\n -~]{64}"), "text"),
)


def alpha_levels(data: bytes, expected: tuple[int, int]) -> Levels:
    """Return the alpha of a PNG or WebP of the expected (width, height): (h, w), 8 or 16 bits.

    A grey picture without alpha is a mask itself. Raises UnusableResult.
    """
    format = sniff(data)
    try:
        if format and format.id == "png":
            return _of_png(data, expected)
        if format and format.id == "webp":
            return _of_webp(data, expected)
    except Unusable as reason:
        raise UnusableResult(_CUT_OFF if str(reason) == CUT_OFF else _DAMAGED) from reason
    if not data.strip():
        raise UnusableResult(_EMPTY)
    raise UnusableResult(
        f"the provider's file is no PNG or WebP: it looks like {looks_like(data)}."
    )


def looks_like(data: bytes) -> str:
    """Say what a file is by how it begins, in words."""
    return next((words for form, words in _LOOKS if form.match(data)), "something unknown")


def _of_png(data: bytes, expected: tuple[int, int]) -> Levels:
    if any(kind == b"acTL" for kind, _ in chunks(data)):
        raise UnusableResult(_ANIMATED)
    still = open_png(data)
    _check_size(still.size, expected)
    check_png(still.data)
    if still.depth == 8:
        return _decoded(still.data, "png", expected)
    samples = decode_deep_png(still)
    if samples.alpha is not None:
        return samples.alpha
    if samples.colours.shape[2] > 1:
        raise UnusableResult(OPAQUE)
    return samples.colours[..., 0]


def _of_webp(data: bytes, expected: tuple[int, int]) -> Levels:
    """The size is read here: Pillow's decoder reserves memory for it when it opens the file."""
    size, is_animation = header_of(data)
    if is_animation:
        raise UnusableResult(_ANIMATED)
    _check_size(size, expected)
    return _decoded(data, "webp", expected)


def _decoded(data: bytes, format: ReadId, size: tuple[int, int]) -> Levels:
    with decoding():
        colours, alpha = split_alpha(decode(data, format, size))
    if alpha is None and colours.mode != "L":
        raise UnusableResult(OPAQUE)
    return np.asarray(colours if alpha is None else alpha)


def _check_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    if size != expected:
        raise UnusableResult(
            f"the provider answered {size[0]} x {size[1]} pixels for a picture of "
            f"{expected[0]} x {expected[1]}."
        )
