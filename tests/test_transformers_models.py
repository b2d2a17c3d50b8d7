"""RMBG as transformers models: loading, outputs, loss, saving. On small networks."""

# Pins the inside of backends.local.files

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rmbg_nodes.backends.local import network_from_state_dict
from rmbg_nodes.backends.local.files import read_state_dict
from rmbg_nodes.core.errors import BadOption, WeightsUnusable
from rmbg_nodes.tests.support.networks import SMALL_SWIN
from rmbg_nodes.tests.support.released_folder import NETWORKS, released_folder, small_weights
from rmbg_nodes.tests.support.weights import GOLDEN, picture

pytestmark = pytest.mark.whole

transformers = pytest.importorskip("transformers", minversion="5.0", reason="needs transformers 5")
hf = pytest.importorskip("rmbg_nodes.hf")
losses = pytest.importorskip("rmbg_nodes.hf.losses")
birefnet_loss, isnet_loss = losses.birefnet_loss, losses.isnet_loss

FAMILIES = ("birefnet", "isnet")
SIDE = 64
LARGER = 128  # six levels of an IS-Net have more than one pixel
Auto = transformers.AutoModelForImageSegmentation


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What `rmbg weights get --transformers` makes."""
    root = tmp_path_factory.mktemp("folders")
    return {family: hf.complete_folder(small_weights(root / family, family)) for family in FAMILIES}


def small_config(family: str):
    return hf.config_of(NETWORKS[family](torch.float32).state_dict())


def disc(side: int) -> torch.Tensor:
    """(1, side, side): a soft disc."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    distance = ((y - side / 2) ** 2 + (x - side / 2) ** 2).sqrt()
    return ((side / 3 - distance) / 4).sigmoid()[None]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_loads_with_the_released_names(folders: dict[str, Path], family: str):
    network = NETWORKS[family](torch.float32)
    model, report = Auto.from_pretrained(folders[family], output_loading_info=True)
    assert not any(report.values())
    wanted = network.state_dict()
    found = model.state_dict()
    assert list(found) == list(wanted)
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    assert not model.training


@torch.no_grad()
def test_the_card_of_rmbg_2(folders: dict[str, Path]):
    model = Auto.from_pretrained(folders["birefnet"])
    images = picture(0, 2, SIDE, SIDE)
    preds = model(images)[-1].sigmoid()
    wanted = NETWORKS["birefnet"](torch.float32)(images).sigmoid()
    assert preds.shape == (2, 1, SIDE, SIDE)
    torch.testing.assert_close(preds, wanted, atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_card_of_rmbg_1_4(folders: dict[str, Path]):
    model = Auto.from_pretrained(folders["isnet"])
    images = picture(0, 1, SIDE, SIDE)
    result = model(images)
    wanted = NETWORKS["isnet"](torch.float32)(images).sigmoid()
    torch.testing.assert_close(result[0][0], wanted, atol=1e-6, rtol=0)
    assert len(result[0]) == 6
    assert model(images, return_dict=False)[0][0].shape == wanted.shape


@pytest.mark.parametrize("family", FAMILIES)
def test_a_released_folder_needs_only_a_config(tmp_path: Path, family: str):
    folder = released_folder(tmp_path, family)
    with pytest.raises((ValueError, OSError)):
        Auto.from_pretrained(folder)
    model = Auto.from_pretrained(folder, config=small_config(family))
    images = picture(0, 1, SIDE, SIDE)
    with torch.no_grad():
        wanted = NETWORKS[family](torch.float32)(images)
        torch.testing.assert_close(model(images).logits, wanted, atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("kind", "config", "golden"),
    [
        (hf.RmbgBiRefNet, hf.RmbgBiRefNetConfig, "rmbg-2.0.json"),
        (hf.RmbgIsNet, hf.RmbgIsNetConfig, "rmbg-1.4.json"),
    ],
)
def test_the_default_is_the_released_model(kind, config, golden: str):
    released = json.loads((GOLDEN / golden).read_text(encoding="utf-8"))
    with torch.device("meta"):
        model = kind(config())
    assert {name: list(value.shape) for name, value in model.state_dict().items()} == released


def test_the_small_config_is_read_from_the_weights():
    config = small_config("birefnet")
    assert config.network().backbone == SMALL_SWIN
    assert config.dtype in ("float32", torch.float32)
    with pytest.raises(WeightsUnusable):
        hf.config_of({"encoder.weight": torch.zeros(1)})


def test_the_patch_order_is_kept_and_checked(tmp_path: Path):
    weights = small_weights(tmp_path, "birefnet")
    hf.complete_folder(weights, "c hg wg")
    model = Auto.from_pretrained(tmp_path)
    assert model.decoder.patch_order == "c hg wg"
    with pytest.raises(BadOption, match="patch_order"):
        hf.RmbgBiRefNetConfig(patch_order="hg wg c")
    with pytest.raises(BadOption, match="stage1d"):
        hf.RmbgIsNetConfig(stages={"stage1": [1, 2, 3]})


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_reaches_every_parameter(folders: dict[str, Path], family: str):
    # In evaluation mode, since a bias before a batch normalisation has no effect in training.
    model = Auto.from_pretrained(folders[family])
    output = model(picture(0, 2, LARGER, LARGER), labels=disc(LARGER).expand(2, -1, -1))
    output.loss.backward()
    assert output.loss.isfinite()
    still = [
        name
        for name, value in model.named_parameters()
        if value.grad is None or not value.grad.isfinite().all() or not value.grad.any()
    ]
    assert still == []


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_the_loss_is_lower_for_the_right_mask(folders: dict[str, Path], family: str):
    model = Auto.from_pretrained(folders[family])
    images = picture(0, 1, SIDE, SIDE)
    own = model(images).logits.sigmoid()
    right = model(images, labels=own).loss
    wrong = model(images, labels=1 - own).loss
    assert right < wrong
    assert torch.equal(right, model(images, labels=own[:, 0]).loss)


def test_the_terms_of_the_losses():
    target = (disc(SIDE)[None] > 0.5).float()
    images = picture(0, 1, SIDE, SIDE)
    right, wrong = 40 * target - 20, 20 - 40 * target
    assert birefnet_loss([right, right], [], images, target) < 1e-3
    assert birefnet_loss([wrong], [], images, target) > 500
    assert isnet_loss([right] * 6, target) < 1e-6
    assert isnet_loss([right, wrong], target) == pytest.approx(20)
    # Gradient maps: a flat picture has no edges, and edges far from the subject are not asked for.
    quiet = torch.full((1, 1, SIDE, SIDE), -12.0)
    nothing = torch.zeros(1, 1, SIDE, SIDE)
    assert birefnet_loss([], [quiet], torch.zeros_like(images), target) < 1e-4
    assert birefnet_loss([], [quiet], images, nothing) < 1e-4
    assert birefnet_loss([], [quiet], images, target) > 0.1


def test_labels_of_another_size_are_refused(folders: dict[str, Path]):
    model = Auto.from_pretrained(folders["isnet"])
    with pytest.raises(ValueError, match="labels must be"):
        model(picture(0, 1, SIDE, SIDE), labels=torch.zeros(1, 32, 32))


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_saving_and_loading_changes_nothing(folders: dict[str, Path], family: str, tmp_path: Path):
    model = Auto.from_pretrained(folders[family])
    model.save_pretrained(tmp_path)
    again, report = Auto.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    assert not list(tmp_path.glob("*.py"))
    assert again.config.network() == model.config.network()
    found = again.state_dict()
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())
    local = network_from_state_dict(read_state_dict(tmp_path / "model.safetensors"))
    assert list(local.state_dict()) == list(found), "the local backend takes the saved file"


@pytest.mark.parametrize("left_out", ["num_batches_tracked", "relative_position_index"])
def test_what_a_converter_leaves_out_is_made_and_nothing_else(tmp_path: Path, left_out: str):
    hf.complete_folder(small_weights(tmp_path, "birefnet", without=left_out))
    model = Auto.from_pretrained(tmp_path)
    wanted = NETWORKS["birefnet"](torch.float32).state_dict()
    assert all(torch.equal(model.state_dict()[name], value) for name, value in wanted.items())


def test_an_index_in_a_file_is_not_believed(tmp_path: Path):
    path = small_weights(tmp_path, "birefnet")
    tensors = load_file(path)
    for name, value in tensors.items():
        if name.endswith("relative_position_index"):
            value.fill_(10**9)
    save_file(tensors, path, metadata={"format": "pt"})
    model, _ = Auto.from_pretrained(hf.complete_folder(path), output_loading_info=True)
    wanted = NETWORKS["birefnet"](torch.float32).state_dict()
    assert all(torch.equal(model.state_dict()[name], value) for name, value in wanted.items())


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_a_new_model_is_ready_for_training(family: str):
    torch.manual_seed(0)
    model = Auto.from_config(small_config(family)).train()
    logits = model(picture(0, 2, SIDE, SIDE)).logits
    assert logits.isfinite().all()
    assert 1e-3 < float(logits.std()) < 1e3
    for name, value in model.named_parameters():
        if "offset_conv" in name or "modulator_conv" in name:
            assert not value.any(), "a deformable convolution starts as an ordinary one"


@torch.no_grad()
def test_half_precision_takes_pictures_of_any_dtype(folders: dict[str, Path]):
    images = picture(0, 1, SIDE, SIDE)
    wanted = Auto.from_pretrained(folders["birefnet"])(images).logits.sigmoid()
    half = Auto.from_pretrained(folders["birefnet"], dtype=torch.bfloat16)
    logits = half(images)[-1]
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float().sigmoid(), wanted, atol=0.1, rtol=0)


@torch.no_grad()
def test_a_copy_stands_alone(folders: dict[str, Path]):
    model = Auto.from_pretrained(folders["isnet"])
    images = picture(0, 1, SIDE, SIDE)
    twin = copy.deepcopy(model)
    before = twin(images).logits
    for value in model.parameters():
        value.zero_()
    assert torch.equal(twin(images).logits, before)
    assert not torch.equal(model(images).logits, before)
