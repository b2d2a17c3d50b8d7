"""ONNX files to nodes and tensors, as far as reading weights needs it.

A reader of our own for the few fields that matter (numbers: onnx.proto): the package `onnx` brings
protobuf, which other packs pin against each other. Nothing of a file is run, and no other file is
opened but the weights that it names in its own folder.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from ...core.errors import WeightsUnusable
from .protobuf import Bytes, Damaged, Message, read_message

Attribute: TypeAlias = "int | float | str | list[int] | Tensor | None"

# TensorProto.data_type, and where the numbers are when they are not raw: a field of packed numbers.
_DTYPES: Mapping[int, tuple[torch.dtype, int]] = {
    1: (torch.float32, 4),
    2: (torch.uint8, 5),
    3: (torch.int8, 5),
    6: (torch.int32, 5),
    7: (torch.int64, 7),
    9: (torch.bool, 5),
    10: (torch.float16, 5),
    11: (torch.float64, 10),
    16: (torch.bfloat16, 5),
}
_FLOATING = (torch.float32, torch.float64)
_BITS = (torch.float16, torch.bfloat16)  # int32_data holds their bits
_EXTERNAL = 1  # TensorProto.data_location


@dataclass(frozen=True)
class Node:
    """One operation."""

    op: str
    """Its type, such as "Conv"."""
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Attribute]


@dataclass(frozen=True)
class Graph:
    """What a file computes, and with what."""

    nodes: list[Node]
    tensors: dict[str, Tensor]
    """Those of the file by name; what is no number is left out."""
    outputs: list[str]


def read_onnx(path: Path) -> Graph:
    """Return the nodes and tensors of an ONNX file. Raises WeightsUnusable for a damaged one, and
    where weights that lie in another file are missing."""
    try:
        model = read_message(_mapped(path))
        graph = model.messages(7)[0]
        nodes = [_node(message, path) for message in graph.messages(1)]
        tensors = {
            message.text(8): value
            for message in graph.messages(5)
            if (value := _tensor(message, path)) is not None
        }
        return Graph(nodes, tensors, [message.text(1) for message in graph.messages(12)])
    except (Damaged, IndexError) as error:
        raise WeightsUnusable(
            f"{path} is no ONNX file, or damaged or incomplete. Delete it and get the file again."
        ) from error


def _mapped(path: Path) -> Bytes:
    try:
        with path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise WeightsUnusable(
            f"{path} cannot be read ({error}). Check its permissions and the disk."
        ) from error


def _node(message: Message, path: Path) -> Node:
    attributes = {
        attribute.text(1): _attribute(attribute, path) for attribute in message.messages(5)
    }
    return Node(message.text(4), message.text(3), message.texts(1), message.texts(2), attributes)


def _attribute(message: Message, path: Path) -> Attribute:
    """Return a value of the kinds that networks like ours have; None for another."""
    kind = message.number(20)
    if kind == 1:
        return message.single(2)
    if kind == 2:
        return message.all_numbers(3)[-1] if message.numbers.get(3) else 0
    if kind == 3:
        return message.text(4)
    if kind == 4:
        return _tensor(message.messages(5)[0], path)
    return message.all_numbers(8) if kind == 7 else None


def _tensor(message: Message, path: Path) -> Tensor | None:
    """Return a tensor; None for one whose values are no numbers (texts, quantised to bits)."""
    known = _DTYPES.get(message.number(2))
    if known is None:
        return None
    dtype, packed = known
    shape = message.all_numbers(1)
    if any(size < 0 for size in shape):
        raise Damaged
    if message.number(14) == _EXTERNAL:
        values = _interpreted(_external(message, path), dtype)
    elif message.parts.get(9):
        values = _interpreted(message.parts[9][-1], dtype)
    elif dtype in _FLOATING:
        values = _interpreted(Bytes(b"".join(message.parts.get(packed, []))), dtype)
    else:
        values = _unpacked(message.all_numbers(packed), dtype)
    if values.numel() != torch.Size(shape).numel():
        raise Damaged
    return values.reshape(shape)


def _interpreted(data: Bytes, dtype: torch.dtype) -> Tensor:
    """Take little-endian bytes for numbers; copied, so that the file need not stay."""
    if len(data) % dtype.itemsize:
        raise Damaged
    if not len(data):
        return torch.empty(0, dtype=dtype)
    return torch.frombuffer(bytearray(data), dtype=dtype)


def _unpacked(numbers: list[int], dtype: torch.dtype) -> Tensor:
    try:
        if dtype in _BITS:
            bits = torch.tensor(numbers, dtype=torch.int32).to(torch.int16)
            return bits.view(dtype)
        return torch.tensor(numbers, dtype=torch.int64).to(dtype)
    except (RuntimeError, OverflowError) as error:
        raise Damaged from error


def _external(message: Message, path: Path) -> Bytes:
    """Return the bytes of a tensor that lies in another file of the same folder."""
    entries = {entry.text(1): entry.text(2) for entry in message.messages(13)}
    name = entries.get("location", "")
    if not name or Path(name).name != name:
        raise WeightsUnusable(
            f"{path} keeps weights in another file, {name or 'which it does not name'}; only one "
            "in its own folder is opened. Get the file with its weights inside."
        )
    other = path.with_name(name)
    if not other.is_file():
        raise WeightsUnusable(
            f"{path} keeps its weights in {name}, which is not beside it. Get that file too, and "
            "put both into one folder."
        )
    data = _mapped(other)
    try:
        start = int(entries.get("offset", "0"))
        size = int(entries.get("length", str(len(data) - start)))
    except ValueError as error:
        raise Damaged from error
    if start < 0 or size < 0 or start + size > len(data):
        raise Damaged
    return data[start : start + size]
