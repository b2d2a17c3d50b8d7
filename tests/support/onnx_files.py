"""ONNX files of small IS-Nets, as PyTorch's exporters write them, and changed afterwards."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rmbg_nodes.backends.local.networks.isnet import IsNet

SIDE = 128


class Alphas(nn.Module):
    """What its authors' code answers: the alphas of all scales, or the finest alone."""

    def __init__(self, network: IsNet, *, all_scales: bool) -> None:
        super().__init__()
        self.network = network
        self.all_scales = all_scales

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = self.network.predictions(images)
        return [each.sigmoid() for each in (maps if self.all_scales else maps[:1])]


def exported(network: IsNet, folder: Path, *, folded: bool, all_scales: bool = True) -> bytes:
    """The network as an ONNX file whose names say nothing of ours."""
    onnx = __import__("onnx")
    how = torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Alphas(network, all_scales=all_scales).eval(),
            (torch.zeros(1, 3, SIDE, SIDE),),
            folder / "exported.onnx",
            dynamo=False,
            verbose=False,
            training=how,
            do_constant_folding=folded,
            opset_version=15,
        )
    model = onnx.load(folder / "exported.onnx")
    renamed = {each.name: f"onnx::{number}" for number, each in enumerate(model.graph.initializer)}
    for each in model.graph.initializer:
        each.name = renamed[each.name]
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    serialised: bytes = model.SerializeToString()
    return serialised


def changed(content: bytes, change: Callable[[Any], None]) -> bytes:
    """The file after `change` did something to its graph."""
    onnx = __import__("onnx")
    model = onnx.load_from_string(content)
    change(model.graph)
    serialised: bytes = model.SerializeToString()
    return serialised


def with_tensors(content: bytes, replace: Callable[[Any], Any]) -> bytes:
    """The file with each weight replaced by what `replace` makes of it."""

    def every(graph: Any) -> None:
        for number, each in enumerate(graph.initializer):
            graph.initializer[number].CopyFrom(replace(each))

    return changed(content, every)


def kept(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path
