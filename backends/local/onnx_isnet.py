"""Weights of IS-Net out of an ONNX file, under the names of the published files.

An ONNX file's own names are worth nothing: exporters number what they fold. So the file's
operations are followed from its output back to its input, beside those of our own network; where
both agree everywhere, each tensor has the place at which it was met.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...core.errors import WeightsUnusable
from .detect import detect
from .networks.isnet import IsNet, IsNetConfig
from .onnx_file import Graph, Node, read_onnx
from .operations import Operation, isnet_operations

_QUANTISED = (
    "ConvInteger",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "QLinearConv",
    "QuantizeLinear",
)
_NOTHING_DONE = ("Identity", "Cast", "Dropout")
_OPS: Mapping[str, str] = {
    "conv": "Conv",
    "norm": "BatchNormalization",
    "relu": "Relu",
    "pool": "MaxPool",
    "grow": "Resize",
    "join": "Concat",
    "add": "Add",
}
# In the order in which an ONNX node takes them.
_NORM = ("weight", "bias", "running_mean", "running_var")
#: A tensor of more numbers than this is a weight, not a scale or an axis of an operation.
_SMALL = 8
# PyTorch's, which nobody who trains IS-Net changes: the file of a folded one does not tell.
_EPSILON = 1e-5
_SIDES = tuple(f"side{scale}." for scale in range(2, 7))


class Unlike(Exception):
    """What an ONNX file computes is not what IS-Net computes; says where."""


def isnet_from_onnx(path: Path) -> dict[str, Tensor]:
    """Return the weights of an ONNX file of IS-Net, in float32, under the published names.

    Batch normalisations may be folded into the convolutions: then those here do nothing. The five
    heads that only training needs may be missing: then they are zeros. Raises WeightsUnusable for
    a file of another network, a quantised one, one with weights that have no place in IS-Net, and a
    damaged one.
    """
    graph = read_onnx(path)
    if any(node.op in _QUANTISED for node in graph.nodes):
        raise WeightsUnusable(
            f"{path} is quantised: its weights were rounded to a few levels for good. Get "
            "the float32 or float16 file of the model."
        )
    try:
        weights = _completed(_Walk(graph).weights())
    except Unlike as error:
        raise WeightsUnusable(
            f"{path} is not IS-Net, the only network that is read from ONNX: {error}. For BiRefNet "
            "and RMBG choose the model's .safetensors file."
        ) from error
    return weights


class _Walk:
    """The way from an ONNX graph's outputs back to its input."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._made = {output: node for node in graph.nodes for output in node.outputs}
        self._constants = dict(graph.tensors)
        for node in graph.nodes:
            value = node.attributes.get("value")
            if node.op == "Constant" and isinstance(value, Tensor):
                self._constants[node.outputs[0]] = value
        self._met: dict[int, str] = {}
        self._placed: dict[str, str] = {}

    def weights(self) -> dict[str, Tensor]:
        """Return every weight of the file by our names. Raises Unlike."""
        first, *others = isnet_operations()
        if not self._graph.outputs:
            raise Unlike("it has no output")
        self._follow(first, self._graph.outputs[0])
        for output in self._graph.outputs[1:]:
            for head in others:
                before = dict(self._met), dict(self._placed)
                try:
                    self._follow(head, output)
                    break
                except Unlike:  # another head, or a feature map, whose weights are placed already
                    self._met, self._placed = before
        self._nothing_is_left()
        return {key: self._constants[name].float() for key, name in self._placed.items()}

    def _follow(self, head: Operation, output: str) -> None:
        """Match everything that leads to one output. Raises Unlike."""
        node = self._node(output)
        if node is not None and node.op == "Sigmoid":
            output = node.inputs[0]
        waiting = [(head, output)]
        while waiting:
            wanted, name = waiting.pop()
            name = self._source(name)
            if id(wanted) in self._met:
                if self._met[id(wanted)] != name:
                    raise Unlike(f"{wanted.words} is used in one place and another in its stead")
                continue
            self._met[id(wanted)] = name
            waiting += self._step(wanted, name)

    def _step(self, wanted: Operation, name: str) -> list[tuple[Operation, str]]:
        """Match one operation; returns what leads to it."""
        node = self._node(name)
        if wanted.kind == "input":
            if node is not None or name in self._constants:
                raise Unlike(f"where the picture comes in it has {_said(node)}")
            return []
        if wanted.optional and node is not None and node.op != _OPS[wanted.kind]:
            return [(wanted.inputs[0], name)]
        if node is None or node.op != _OPS[wanted.kind]:
            raise Unlike(f"where {wanted.words} should be it has {_said(node)}")
        if wrong := _differences(wanted, node):
            raise Unlike(f"{wanted.words} is done otherwise ({wrong})")
        if wanted.kind == "conv":
            self._place(wanted, node, ("weight", "bias"))
        if wanted.kind == "norm":
            self._place(wanted, node, _NORM)
        names = node.inputs[: len(wanted.inputs)]
        if len(names) < len(wanted.inputs):
            raise Unlike(f"{wanted.words} has too few inputs")
        return list(zip(wanted.inputs, names, strict=True))

    def _place(self, wanted: Operation, node: Node, fields: tuple[str, ...]) -> None:
        for part, name in zip(fields, node.inputs[1:], strict=False):
            source = self._source(name)
            if source not in self._constants:
                raise Unlike(f"the {part} of {wanted.words} is no tensor of the file")
            key = f"{wanted.module}.{part}"
            if part == "weight" and wanted.kind == "conv" and source in self._placed.values():
                raise Unlike(f"the weight of {wanted.words} is another convolution's too")
            self._placed[key] = source

    def _nothing_is_left(self) -> None:
        placed = set(self._placed.values())
        left = [
            name
            for name, value in self._constants.items()
            if value.is_floating_point() and value.numel() > _SMALL and name not in placed
        ]
        if left:
            some = ", ".join(left[:3])
            raise Unlike(f"{len(left)} of its tensors have no place in that network ({some})")

    def _source(self, name: str) -> str:
        """Return the name of the tensor that this one is a mere copy of."""
        node = self._made.get(name)
        while node is not None and node.op in _NOTHING_DONE:
            name = node.inputs[0]
            node = self._made.get(name)
        return name

    def _node(self, name: str) -> Node | None:
        return self._made.get(self._source(name))


def _completed(placed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add what a folded file lacks: normalisations that do nothing, counters, training's heads."""
    try:
        config = detect(placed)
    except WeightsUnusable as error:
        raise Unlike(str(error)) from error
    assert isinstance(config, IsNetConfig)
    with torch.device("meta"):
        wanted = IsNet(config).state_dict()
    weights = {}
    for key, like in wanted.items():
        value = placed.get(key)
        if value is None:
            value = _missing(key, like)
        if value.shape != like.shape:
            raise Unlike(f"{key} is {_shape(value)} and should be {_shape(like)}")
        weights[key] = value
    return weights


def _missing(key: str, like: Tensor) -> Tensor:
    if key.endswith(".running_var"):
        # So that the variance and epsilon are 1 together, and dividing by its root does nothing.
        return torch.full(like.shape, 1 - _EPSILON)
    if key.endswith(".bn_s1.weight"):
        return torch.ones(like.shape)
    if key.endswith((".bias", ".running_mean", ".num_batches_tracked")) or key.startswith(_SIDES):
        return torch.zeros(like.shape, dtype=like.dtype)
    raise Unlike(f"{key} is missing")


def _differences(wanted: Operation, node: Node) -> str:
    """Say which of the operation's settings are others; empty where all are the same."""
    found = dict(node.attributes)
    wrong = []
    for name, value in wanted.settings.items():
        is_there = found.get(name, _DEFAULTS.get(name))
        allowed = value if isinstance(value, tuple) else (value,)
        same = any(_alike(is_there, one) for one in allowed)
        if not same:
            wrong.append(f"{name} is {is_there}")
    return ", ".join(wrong)


# What ONNX takes where a node does not say; the sizes of kernels are told by their tensors.
_DEFAULTS: Mapping[str, object] = {
    "dilations": [1, 1],
    "strides": [1, 1],
    "pads": [0, 0, 0, 0],
    "group": 1,
    "auto_pad": "NOTSET",
    "axis": None,
    "mode": "nearest",
    "coordinate_transformation_mode": "half_pixel",
    "antialias": 0,
    "epsilon": 1e-5,
}


def _alike(there: object, wanted: object) -> bool:
    if isinstance(there, float) and isinstance(wanted, float):
        return math.isclose(there, wanted, rel_tol=1e-6)  # it is a float32
    return there == wanted


def _said(node: Node | None) -> str:
    if node is None:
        return "nothing"
    return f"{node.op} ({node.name or node.outputs[0]})"


def _shape(value: Tensor) -> str:
    return " x ".join(str(size) for size in value.shape) or "a single number"
