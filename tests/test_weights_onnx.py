"""IS-Net out of ONNX files: each tensor in its place, and a sentence for what is none."""

# Pins the inside of backends.local.convert
# Pins the inside of backends.local.export
# Pins the inside of backends.local.files
# Pins the inside of backends.local.networks.isnet
# Pins the inside of backends.local.onnx_file
# Pins the inside of backends.local.onnx_isnet
# Pins the inside of backends.local.protobuf

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from rmbg_nodes.backends.local import network_from_state_dict
from rmbg_nodes.backends.local.convert import convert
from rmbg_nodes.backends.local.files import read_state_dict
from rmbg_nodes.backends.local.networks.isnet import IsNet
from rmbg_nodes.backends.local.onnx_file import read_onnx
from rmbg_nodes.backends.local.onnx_isnet import isnet_from_onnx
from rmbg_nodes.backends.local.protobuf import Damaged, read_message
from rmbg_nodes.core.errors import WeightsUnusable
from rmbg_nodes.tests.support import onnx_files
from rmbg_nodes.tests.support.networks import small_isnet
from rmbg_nodes.tests.support.onnx_files import SIDE, changed, kept, with_tensors

onnx = pytest.importorskip("onnx", reason="needs the extra [onnx]")


@cache
def network() -> IsNet:
    return small_isnet(torch.float32)


@cache
def exported(folded: bool, all_scales: bool = True) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return onnx_files.exported(network(), Path(folder), folded=folded, all_scales=all_scales)


def read(folder: Path, content: bytes) -> dict[str, Tensor]:
    return isnet_from_onnx(kept(folder, "isnet.onnx", content))


def refused(folder: Path, content: bytes) -> str:
    path = kept(folder, "isnet.onnx", content)
    with pytest.raises(WeightsUnusable) as caught:
        read_state_dict(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def logits(weights: dict[str, Tensor]) -> Tensor:
    images = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3)) - 0.5
    with torch.no_grad():
        answer: Tensor = network_from_state_dict(weights)(images)
    return answer


def test_normalisations_that_are_not_folded_come_back_as_they_were(tmp_path: Path) -> None:
    found = read(tmp_path, exported(folded=False))
    wanted = network().state_dict()
    assert list(found) == list(wanted)
    assert [key for key in wanted if not torch.equal(found[key], wanted[key])] == []


def test_folded_normalisations_do_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, exported(folded=True))
    norm = network_from_state_dict(found).get_submodule("stage3d.rebnconv2.bn_s1")
    maps = torch.randn(1, 4, 9, 9)
    assert torch.equal(norm(maps), maps)
    wanted = logits(network().state_dict())
    assert float((logits(found) - wanted).abs().max()) < 1e-4 * float(wanted.abs().max())


@pytest.mark.parametrize("folded", [True, False])
def test_heads_that_only_training_needs_may_be_missing(tmp_path: Path, folded: bool) -> None:
    found = read(tmp_path, exported(folded, all_scales=False))
    assert float(found["side4.weight"].abs().max()) == 0
    assert float(found["side1.weight"].abs().max()) > 0
    whole = read(tmp_path, exported(folded))
    assert float(whole["side4.weight"].abs().max()) > 0
    assert torch.equal(logits(found), logits(whole))


@pytest.mark.parametrize("folded", [True, False])
def test_what_was_converted_equals_onnx_runtime(tmp_path: Path, folded: bool) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
    source = kept(tmp_path, "isnet.onnx", exported(folded))
    convert(source, tmp_path / "isnet.safetensors")
    session = runtime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    images = torch.rand(1, 3, SIDE, SIDE) - 0.5
    theirs = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    converted = network_from_state_dict(load_file(tmp_path / "isnet.safetensors"))
    assert isinstance(converted, IsNet)
    with torch.no_grad():
        ours = [each.sigmoid() for each in converted.predictions(images)]
    for alpha, expected in zip(ours, theirs, strict=True):
        assert float((alpha - torch.from_numpy(expected)).abs().max()) < 1e-4


@pytest.mark.whole
def test_another_exporter_is_read_too(tmp_path: Path) -> None:
    """What `rmbg weights export` uses."""
    pytest.importorskip("onnxscript", reason="needs the extra [onnx]")
    from rmbg_nodes.backends.local import export

    path = tmp_path / "isnet.onnx"
    with export._quiet():
        program = torch.onnx.export(
            onnx_files.Alphas(network(), all_scales=False).eval(),
            (torch.zeros(1, 3, SIDE, SIDE),),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(path, external_data=False)
    wanted = logits(network().state_dict())
    assert float((logits(isnet_from_onnx(path)) - wanted).abs().max()) < 1e-4 * float(
        wanted.abs().max()
    )


def to_half(tensor: Any) -> Any:
    values = onnx.numpy_helper.to_array(tensor)
    if values.dtype != np.float32:
        return tensor
    return onnx.numpy_helper.from_array(values.astype(np.float16), tensor.name)


def test_half_precision_is_widened_and_nothing_is_lost(tmp_path: Path) -> None:
    found = read(tmp_path, with_tensors(exported(folded=False), to_half))
    for key, value in network().state_dict().items():
        if value.is_floating_point():
            assert found[key].dtype == torch.float32
            assert torch.equal(found[key], value.half().float()), key


def in_fields(tensor: Any) -> Any:
    """The numbers in the fields for them instead of raw bytes."""
    values = onnx.numpy_helper.to_array(tensor)
    kind = onnx.helper.np_dtype_to_tensor_dtype(values.dtype)
    return onnx.helper.make_tensor(tensor.name, kind, values.shape, values.flatten().tolist())


@pytest.mark.parametrize("first", [in_fields, lambda tensor: in_fields(to_half(tensor))])
def test_numbers_in_any_field(tmp_path: Path, first: Callable[[Any], Any]) -> None:
    content = with_tensors(exported(folded=True, all_scales=False), first)
    half = first is not in_fields
    wanted = exported(folded=True, all_scales=False)
    if half:
        wanted = with_tensors(wanted, to_half)
    found, expected = read(tmp_path, content), read(tmp_path, wanted)
    assert [key for key in expected if not torch.equal(found[key], expected[key])] == []


def node_of(graph: Any, op: str, number: int = 0) -> Any:
    return [node for node in graph.node if node.op_type == op][number]


def attribute(node: Any, name: str) -> Any:
    return next(each for each in node.attribute if each.name == name)


def other_dilation(graph: Any) -> None:
    node = next(n for n in graph.node if n.op_type == "Conv" and attribute(n, "pads").ints[0] == 8)
    attribute(node, "dilations").ints[:] = [4, 4]
    attribute(node, "pads").ints[:] = [4, 4, 4, 4]


def nearest(graph: Any) -> None:
    attribute(node_of(graph, "Resize"), "mode").s = b"nearest"


def corners(graph: Any) -> None:
    attribute(node_of(graph, "Resize"), "coordinate_transformation_mode").s = b"align_corners"


def turned_join(graph: Any) -> None:
    joins = [n for n in graph.node if n.op_type == "Concat" and attribute(n, "axis").i == 1]
    node = joins[-1]
    node.input[:] = [node.input[1], node.input[0]]


def other_activation(graph: Any) -> None:
    node_of(graph, "Relu", 40).op_type = "Tanh"


def one_more_tensor(graph: Any) -> None:
    values = np.ones((3, 3), np.float32)
    graph.initializer.append(onnx.numpy_helper.from_array(values, "surplus"))


def one_kernel_twice(graph: Any) -> None:
    convs = [node for node in graph.node if node.op_type == "Conv"]
    one, two, *_ = (n for n in convs if attribute(n, "dilations").ints[0] == 8)
    two.input[1] = one.input[1]


def two_kernels_exchanged(graph: Any) -> None:
    """Of different shapes: every tensor is still used once."""
    one, two = node_of(graph, "Conv", 0), node_of(graph, "Conv", 1)
    one.input[1], two.input[1] = two.input[1], one.input[1]


def no_first_layer(graph: Any) -> None:
    first = node_of(graph, "Conv")
    for node in graph.node:
        node.input[:] = [first.input[0] if n == first.output[0] else n for n in node.input]


def quantised(graph: Any) -> None:
    node_of(graph, "Conv", 5).op_type = "ConvInteger"


def no_output(graph: Any) -> None:
    del graph.output[:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_dilation, "is done otherwise (pads is [4, 4, 4, 4], dilations is [4, 4])"),
        (nearest, "upsampling is done otherwise (mode is nearest)"),
        (corners, "coordinate_transformation_mode is align_corners"),
        (turned_join, "where "),
        (other_activation, "it has Tanh"),
        (one_more_tensor, "1 of its tensors have no place in that network (surplus)"),
        (one_kernel_twice, "is another convolution's too"),
        (two_kernels_exchanged, "should be"),
        (no_first_layer, "where conv_in should be it has nothing"),
        (quantised, "is quantised"),
        (no_output, "it has no output"),
    ],
)
def test_anything_else_is_refused(
    tmp_path: Path, change: Callable[[Any], None], words: str
) -> None:
    said = refused(tmp_path, changed(exported(folded=True), change))
    assert words in said
    assert "safetensors" in said or "float32" in said


def test_another_network_is_refused(tmp_path: Path) -> None:
    """A mask by one convolution, as a file of its own."""
    weight = onnx.numpy_helper.from_array(np.ones((1, 3, 3, 3), np.float32), "w")
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1]),
        onnx.helper.make_node("Sigmoid", ["y"], ["z"]),
    ]
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, depth, 64, 64])
        for name, depth in (("x", 3), ("z", 1))
    ]
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], [weight])
    model = onnx.helper.make_model(graph)
    assert "is not IS-Net" in refused(tmp_path, model.SerializeToString())


def outside(content: bytes, folder: Path, location: str = "isnet.data") -> bytes:
    """The file with its weights in another one."""
    model = onnx.load_from_string(content)
    data = bytearray()
    for tensor in model.graph.initializer:
        raw = onnx.numpy_helper.to_array(tensor).tobytes()
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entries = {"location": location, "offset": str(len(data)), "length": str(len(raw))}
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
        data += raw
    (folder / "isnet.data").write_bytes(data)
    serialised: bytes = model.SerializeToString()
    return serialised


def test_weights_beside_the_file(tmp_path: Path) -> None:
    content = exported(folded=True)
    found = read(tmp_path, outside(content, tmp_path))
    wanted = read(tmp_path, content)
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    content = outside(content, tmp_path)
    (tmp_path / "isnet.data").write_bytes(b"short")
    assert "damaged or incomplete" in refused(tmp_path, content)


def test_weights_that_should_lie_beside_the_file(tmp_path: Path) -> None:
    content = outside(exported(folded=True), tmp_path)
    (tmp_path / "isnet.data").unlink()
    assert "isnet.data, which is not beside it" in refused(tmp_path, content)


def test_no_other_folder_is_looked_into(tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    content = outside(exported(folded=True), tmp_path, location="../isnet.data")
    assert "only one in its own folder" in refused(folder, content)


def test_what_is_cut_off_is_said(tmp_path: Path) -> None:
    content = exported(folded=True)
    for share in (0.01, 0.3, 0.7, 0.999):
        assert "damaged" in refused(tmp_path, content[: int(len(content) * share)])


def test_damage_is_never_more_than_a_sentence(tmp_path: Path) -> None:
    content = bytearray(exported(folded=True, all_scales=False))
    chance = random.Random(7)
    said = 0
    for _ in range(25):
        broken = bytearray(content)
        for _ in range(chance.choice([1, 20])):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        try:
            read_state_dict(kept(tmp_path, "isnet.onnx", bytes(broken)))
        except WeightsUnusable:
            said += 1
    assert said > 0


@pytest.mark.parametrize(
    "data",
    [b"\x08", b"\x0a\x05ab", b"\x0b\x00", b"\x00\x01", b"\x08" + b"\xff" * 11, b"\x0d\x00\x00"],
)
def test_bytes_that_are_no_message(data: bytes) -> None:
    with pytest.raises(Damaged):
        read_message(memoryview(data))


def test_numbers_of_a_message_may_be_packed_or_not_and_negative() -> None:
    message = read_message(memoryview(b"\x08\x03\x08" + b"\xff" * 9 + b"\x01\x0a\x02\x04\x05"))
    assert message.all_numbers(1) == [3, -1, 4, 5]


def test_the_name_of_the_file_does_not_matter(tmp_path: Path) -> None:
    path = kept(tmp_path, "model.safetensors", exported(folded=True))
    assert "stage1.rebnconvin.conv_s1.weight" in read_state_dict(path)


def test_constants_are_told_from_initialisers_by_nobody(tmp_path: Path) -> None:
    def as_nodes(graph: Any) -> None:
        for tensor in graph.initializer:
            graph.node.append(onnx.helper.make_node("Constant", [], [tensor.name], value=tensor))
        del graph.initializer[:]

    content = changed(exported(folded=True), as_nodes)
    assert read_onnx(kept(tmp_path, "isnet.onnx", content)).tensors == {}
    found, wanted = read(tmp_path, content), read(tmp_path, exported(folded=True))
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
