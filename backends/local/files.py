"""Weight files to tensors. No code from a file is ever run: of the older format only tensors and
plain containers are read, anything else is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from struct import error as StructError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ...core.errors import WeightsUnusable
from .onnx_isnet import isnet_from_onnx

_HEAD = 512

# What torch.save writes since 1.6, and what it wrote before.
_ARCHIVE = b"PK\x03\x04"
_TORCH = (_ARCHIVE, b"\x80")

# An ONNX file begins with the version of its format, field 1 of its message.
_ONNX = b"\x08"

# What a damaged file makes torch's restricted reader raise, found by damaging files.
_DAMAGE = (
    AssertionError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    RuntimeError,
    StructError,
    TypeError,
    UnpicklingError,
    ValueError,
)

# How files that are no weights begin, and what the user has instead.
_IMPOSTORS = (
    (b"version https://git-lfs", "is only a pointer of Git LFS; run `git lfs pull` in its folder"),
    (b"<", "is a web page, not weights; download the file itself"),
    (b"{", "is a JSON file, not weights; choose the .safetensors file"),
)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return every tensor of a weight file under its name, on the CPU in its own dtype.

    safetensors, what torch.save wrote (.pth, .pt, .bin), or IS-Net as ONNX, in float32 under the
    published names; the content decides, not the name. Tensors are mapped from the file where the
    format allows it, so reading costs no second copy.
    Raises WeightsUnusable, with one sentence, for anything else.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise WeightsUnusable(
            f"{path} cannot be read ({error.strerror}). Check its permissions and the disk."
        ) from error
    if not head:
        raise WeightsUnusable(f"{path} is empty. Delete it and get the file again.")
    # 8 bytes of length (little-endian, far below 4 GiB), then JSON.
    if head[4:9] == b"\0\0\0\0{":
        return _read_safetensors(path)
    if head.startswith(_TORCH):
        # torch.load takes a path that ends in .safetensors for that format, and maps only paths.
        mapped = head.startswith(_ARCHIVE) and path.suffix != ".safetensors"
        return _read_torch(path, mapped=mapped)
    if head.startswith(_ONNX):
        return isnet_from_onnx(path)
    for beginning, sentence in _IMPOSTORS:
        if head.lstrip().startswith(beginning):
            raise WeightsUnusable(f"{path} {sentence}.")
    raise WeightsUnusable(
        f"{path} is neither safetensors nor a PyTorch file nor ONNX. Choose the model's "
        ".safetensors file."
    )


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsUnusable(
            f"{path} is damaged or incomplete ({error}). Delete it and get the file again."
        ) from error


def _read_torch(path: Path, *, mapped: bool) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            source = str(path) if mapped else file
            loaded: object = torch.load(source, map_location="cpu", weights_only=True, mmap=mapped)
    except UnpicklingError as error:
        raise WeightsUnusable(
            f"{path} holds more than tensors, or is damaged; it was not loaded, because such a "
            "file can run code. Get the .safetensors file instead."
        ) from error
    except (*_DAMAGE, OSError) as error:
        raise WeightsUnusable(
            f"{path} is damaged or incomplete. Delete it and get the file again."
        ) from error
    if not isinstance(loaded, Mapping) or not loaded:
        raise WeightsUnusable(
            f"{path} holds {_kind(loaded)} instead of named tensors. Save the model's state_dict."
        )
    for name, value in loaded.items():
        if not isinstance(name, str) or not _is_plain(value):
            raise WeightsUnusable(
                f"{path} holds {_kind(value)} under {name!r} instead of a plain tensor. Save the "
                "model's state_dict alone."
            )
    return dict(loaded)


def _is_plain(value: object) -> bool:
    """Tell whether these are dense numbers: neither sparse nor quantised nor without values."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not value.is_quantized
        and value.device.type == "cpu"
    )


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"
