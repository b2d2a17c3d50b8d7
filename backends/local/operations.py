"""What a network computes, operation by operation, in ONNX's terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from .networks.isnet import STAGES, IsNet, IsNetConfig

Kind: TypeAlias = Literal["input", "conv", "norm", "relu", "pool", "grow", "join", "add"]

_SIDE = 256  # large enough that no map is a single pixel


@dataclass(frozen=True)
class Operation:
    """One step of a forward."""

    kind: Kind
    inputs: tuple[Operation, ...] = ()
    """The steps whose results it takes, in order."""
    module: str = ""
    """The layer whose weights it takes, as a file's names begin."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Attributes of its ONNX node; a tuple holds all values that are as good."""
    optional: bool = False
    """A file may lack it: a normalisation that was folded away, an upsampling to the same size."""

    @property
    def words(self) -> str:
        """Return what an error calls it."""
        said = {"pool": "max pooling", "grow": "upsampling", "join": "concatenation"}
        return self.module or said.get(self.kind, self.kind)


@cache
def isnet_operations() -> tuple[Operation, ...]:
    """Return what leads to each of IS-Net's six logit maps, the finest first.

    The network itself says it: it is run on tensors without numbers.
    """
    # One channel everywhere; decoder stages take two maps.
    stages = {name: (2 if name.endswith("d") else 1, 1, 1) for name in STAGES}
    with torch.device("meta"):
        network = IsNet(IsNetConfig(1, stages)).eval()
        picture = torch.empty(1, 3, _SIDE, _SIDE)
    recorder = _Recorder(network, picture)
    with torch.no_grad(), recorder:
        maps = network.predictions(picture)
    return tuple(recorder.made(each) for each in maps)


class _Recorder(TorchFunctionMode):
    """Notes each operation of a forward, and on what it was done."""

    def __init__(self, network: nn.Module, picture: Tensor) -> None:
        super().__init__()
        self._layers = {id(value): name for name, value in network.named_parameters()}
        self._made = {id(picture): Operation("input")}
        self._kept = [picture]  # so that no other tensor gets its identity

    def made(self, tensor: Tensor) -> Operation:
        """Return what made a tensor."""
        return self._made[id(tensor)]

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        given = (*args, *(kwargs or {}).values())
        kind = _KINDS.get(func)
        if kind is not None and isinstance(result, Tensor):
            taken = args[0] if kind == "join" else args[:2] if kind == "add" else args[:1]
            assert isinstance(taken, (tuple, list))
            made = tuple(self._made[id(one)] for one in taken)
            self._made[id(result)] = self._operation(kind, made, taken, result, given)
            self._kept.append(result)
        return result

    def _operation(
        self,
        kind: Kind,
        inputs: tuple[Operation, ...],
        taken: Sequence[Tensor],
        result: Tensor,
        given: tuple[object, ...],
    ) -> Operation:
        optional = kind == "norm" or (kind == "grow" and taken[0].shape == result.shape)
        layers = [self._layers[id(one)] for one in given if id(one) in self._layers]
        module = layers[0].rpartition(".")[0] if layers else ""
        settings = _conv(given) if kind == "conv" else _SETTINGS.get(kind, {})
        return Operation(kind, inputs, module, settings, optional)


_KINDS: Mapping[object, Kind] = {
    F.conv2d: "conv",
    F.batch_norm: "norm",
    F.relu_: "relu",
    F.max_pool2d: "pool",
    F.interpolate: "grow",
    torch.cat: "join",
    Tensor.add: "add",
}
_SETTINGS: Mapping[Kind, Mapping[str, object]] = {
    "norm": {"epsilon": 1e-5},
    "pool": {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 0, 0]},
    "grow": {
        "mode": "linear",
        # One and the same, unless a map is a single pixel wide.
        "coordinate_transformation_mode": ("half_pixel", "pytorch_half_pixel"),
        "antialias": 0,
    },
    "join": {"axis": (1, -3)},
}


def _conv(args: tuple[object, ...]) -> Mapping[str, object]:
    """Return the attributes of a convolution: input, weight, bias, stride, padding, dilation."""
    _, _, _, stride, padding, dilation, *_ = args
    assert isinstance(stride, tuple)
    assert isinstance(padding, tuple)
    assert isinstance(dilation, tuple)
    return {
        "strides": list(stride),
        "pads": [*padding, *padding],
        "dilations": list(dilation),
        "group": 1,
        "auto_pad": "NOTSET",
    }
