"""ONNX files of small networks: what they hold, and what ONNX Runtime and OpenVINO answer."""

# Pins the inside of backends.local.export
# Pins the inside of backends.local.find
# Pins the inside of backends.local.networks.birefnet
# Pins the inside of backends.local.networks.deform_conv
# Pins the inside of backends.local.networks.swin
# Pins the inside of backends.local.portable
# Pins the inside of backends.local.released

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from rmbg_nodes.backends.local import export, network_from_state_dict
from rmbg_nodes.backends.local.export import export_onnx
from rmbg_nodes.backends.local.find import Found
from rmbg_nodes.backends.local.networks.birefnet import BiRefNet, BiRefNetConfig
from rmbg_nodes.backends.local.networks.deform_conv import DeformableConv2d
from rmbg_nodes.backends.local.networks.swin import SwinConfig
from rmbg_nodes.backends.local.portable import GridDeformableConv2d, portable_copy
from rmbg_nodes.backends.local.released import Released
from rmbg_nodes.cli import main
from rmbg_nodes.core.errors import BackendMissing, BadOption, WeightsUnusable
from rmbg_nodes.tests.support.networks import small_birefnet, small_isnet
from rmbg_nodes.tests.support.weights import picture, weights_like

pytestmark = pytest.mark.whole

SIDE = 256
# Of alpha, in float32; measured 2e-6 and 7e-6 on these networks.
TOLERANCE = 2e-5
# Straight and shifted windows, with and without padding, in as few blocks as that takes.
TINY_SWIN = SwinConfig(embed=8, depths=(2, 2, 1, 1), heads=(1, 1, 2, 2), window=7)
SHA256 = "5" * 64
NEEDED = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
with_onnx = pytest.mark.skipif(bool(NEEDED), reason=f"not installed: {', '.join(NEEDED)}")


@cache
def tiny_weights() -> dict[str, Tensor]:
    with torch.device("meta"):
        network = BiRefNet(BiRefNetConfig(TINY_SWIN))
    return weights_like(network)


def logits_of(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = network(images)
    return logits


def difference(found: np.ndarray, wanted: Tensor) -> float:
    return float((torch.from_numpy(found).sigmoid() - wanted.sigmoid()).abs().max())


@pytest.fixture(scope="module")
def birefnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BiRefNet as ONNX."""
    folder = tmp_path_factory.mktemp("onnx")
    weights = folder / "tiny.safetensors"
    save_file(tiny_weights(), weights)
    row = Released("rmbg-2.0", "briaai/RMBG-2.0", "tiny", 0, SHA256, "bria-rmbg-2.0", "float32")
    export_onnx(Found(weights, SHA256, row), folder / "tiny.onnx", resolution=SIDE)
    return folder / "tiny.onnx"


@pytest.mark.parametrize("size", [(128, 160), (64, 96), (32, 32)])
@pytest.mark.parametrize("make", [small_birefnet, small_isnet])
def test_the_copy_is_the_network(make, size: tuple[int, int]) -> None:
    network = make(torch.float32)
    images = picture(3, 2, *size)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    wanted = logits_of(network, images)
    copied = logits_of(portable_copy(network, *size), images)
    assert difference(copied.numpy(), wanted) < TOLERANCE
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(logits_of(network, images), wanted)


def test_half_precision_keeps_places_in_float32() -> None:
    """A quarter of a pixel to the right, 2000 pixels from the edge, where float16 counts in ones;
    half of the pixel below the last row is outside."""
    deform, conv = DeformableConv2d(1, 1, 1).requires_grad_(False), nn.Conv2d(1, 1, 1)
    state = {name: torch.zeros_like(value) for name, value in deform.state_dict().items()}
    state["offset_conv.bias"] = torch.tensor([0.5, 0.25])  # and a factor of 1
    deform.load_state_dict(state)
    conv.load_state_dict({"weight": torch.ones(1, 1, 1, 1), "bias": torch.zeros(1)})
    x = torch.rand(1, 1, 1, 2048, generator=torch.Generator().manual_seed(1)).half()
    with torch.no_grad():
        found = GridDeformableConv2d(deform, conv, 1, 2048).half()(x).float()
    following = torch.cat((x[..., 1:], torch.zeros_like(x[..., :1])), dim=-1)
    wanted = 0.5 * (0.75 * x.float() + 0.25 * following.float())
    assert float((found - wanted).abs().max()) < 2e-3


@with_onnx
def test_only_standard_operators_and_no_traces(birefnet: Path) -> None:
    import onnx

    model = onnx.load(birefnet)
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", export.OPSET)]
    assert {node.domain for node in model.graph.node} == {""}
    assert len(model.functions) == 0
    kinds = {node.op_type for node in model.graph.node}
    assert "GridSample" in kinds
    assert not kinds & {"DeformConv", "Loop", "If", "SequenceAt", "NonZero"}
    assert str(Path(__file__).parent.parent).encode() not in birefnet.read_bytes()


@with_onnx
def test_the_file_says_what_it_is(birefnet: Path) -> None:
    import onnx

    model = onnx.load(birefnet)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts["model"] == "RMBG-2.0"
    assert facts["licence"] == "bria-rmbg-2.0"
    assert "creativecommons.org" in facts["licence_page"]
    assert facts["weights_sha256"] == SHA256
    assert facts["resolution"] == str(SIDE)
    assert facts["mean"] == "0.485, 0.456, 0.406"
    assert facts["std"] == "0.229, 0.224, 0.225"
    assert facts["output"] == "logits"
    for value, name, channels in (
        (model.graph.input[0], "pixel_values", 3),
        (model.graph.output[0], "logits", 1),
    ):
        shape = [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        assert (value.name, shape) == (name, ["batch", channels, SIDE, SIDE])
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


@with_onnx
@pytest.mark.parametrize("batch", [1, 3])
def test_onnx_runtime_answers_the_same(birefnet: Path, batch: int) -> None:
    import onnxruntime

    images = picture(5, batch, SIDE, SIDE)
    session = onnxruntime.InferenceSession(birefnet, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"pixel_values": images.numpy()})
    wanted = logits_of(network_from_state_dict(tiny_weights()), images)
    assert difference(logits, wanted) < TOLERANCE


@with_onnx
def test_openvino_answers_the_same(birefnet: Path) -> None:
    openvino = pytest.importorskip("openvino")
    images = picture(5, 2, SIDE, SIDE)
    # Its default on many CPUs is bfloat16, in which places are pixels off.
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(birefnet, "CPU", exact)
    logits = compiled({"pixel_values": images.numpy()})["logits"]
    wanted = logits_of(network_from_state_dict(tiny_weights()), images)
    assert difference(logits, wanted) < TOLERANCE


@with_onnx
@pytest.mark.parametrize(("flags", "tolerance"), [([], TOLERANCE), (["--fp16"], 2e-2)])
def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], tolerance: float
) -> None:
    import onnxruntime

    network = small_isnet(torch.float32)
    weights, target = tmp_path / "mine.safetensors", tmp_path / "deep" / "mine.onnx"
    save_file(network.state_dict(), weights)
    asked = ["weights", "export", str(weights), str(target), "--resolution", str(SIDE), *flags]
    assert main(asked) == 0
    said = capsys.readouterr()
    assert f"{target}: mine.safetensors at 256 x 256" in said.out
    assert "The licence of the weights goes with this file: not established." in said.out
    assert said.err == ""
    images = picture(5, 2, SIDE, SIDE)
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"pixel_values": images.numpy()})
    assert difference(logits, logits_of(network, images)) < tolerance
    assert session.get_modelmeta().custom_metadata_map["licence"] == "not-established"
    assert [path.name for path in target.parent.iterdir()] == ["mine.onnx"]


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "mine.safetensors"
    save_file(small_isnet(torch.float32).state_dict(), weights)
    found, target = Found(weights, SHA256, None), tmp_path / "mine.onnx"
    with pytest.raises(BadOption, match=r"must end in \.onnx"):
        export_onnx(found, tmp_path / "mine.pt")
    with pytest.raises(BadOption, match="multiple of 32"):
        export_onnx(found, target, resolution=1000)
    monkeypatch.setattr(export, "_PACKAGES", ("no_such_package",))
    with pytest.raises(BackendMissing, match="no_such_package"):
        export_onnx(found, target)
    target.write_bytes(b"mine")
    with pytest.raises(BadOption, match="there already"):
        export_onnx(found, target)
    assert target.read_bytes() == b"mine"


def test_values_beyond_half_precision_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_PACKAGES", ())
    state = small_isnet(torch.float32).state_dict()
    state["side1.weight"].fill_(1e6)
    save_file(state, tmp_path / "mine.safetensors")
    found = Found(tmp_path / "mine.safetensors", SHA256, None)
    with pytest.raises(WeightsUnusable, match="without --fp16"):
        export_onnx(found, tmp_path / "mine.onnx", resolution=SIDE, half=True)
    assert not (tmp_path / "mine.onnx").exists()
