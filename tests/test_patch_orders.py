"""The patch order of weights that nothing tells it of: tried on photographs, once for a file."""

# Pins the inside of backends.local.engine
# Pins the inside of backends.local.networks.birefnet
# Pins the inside of backends.local.patch_orders

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from rmbg_nodes.backends.local import patch_orders
from rmbg_nodes.backends.local.engine import LocalBackend, open_local
from rmbg_nodes.backends.local.networks.birefnet import PatchOrder
from rmbg_nodes.backends.local.patch_orders import (
    NO_TRIAL,
    PICTURES,
    OrderTrial,
    remember_trial,
    remembered_trial,
    structure,
    try_orders,
)
from rmbg_nodes.catalogue.backends import find
from rmbg_nodes.config.host import PlainHost
from rmbg_nodes.core.errors import Cancelled
from rmbg_nodes.core.types import Facts, Job, Matte
from rmbg_nodes.tests.conformance import disc_frame
from rmbg_nodes.tests.support.networks import small_birefnet

ORDERS = get_args(PatchOrder)
SIDE = 256
GRID = 4
"""The picture's patches at a quarter of its size: 4 x 4 of them."""
ROW, COLUMN = 2, 1


def disc(side: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return (((y - side / 2) ** 2 + (x - side / 2) ** 2) < (side / 3) ** 2).float()


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(
    ("alpha", "least", "most"),
    [
        (disc(256), 0.85, 1.0),
        (0.5 + 0.02 * disc(256), 0.0, 0.01),  # flat
        (torch.zeros(256, 256), 0.0, 0.0),
        (torch.ones(256, 256), 0.0, 0.0),
        ((noise(256, 256) > 0.5).float(), 0.0, 0.05),
        (0.5 * disc(256) + 0.5 * noise(256, 256), 0.1, 0.5),
        (torch.full((256, 256), torch.nan), 0.0, 0.0),
    ],
    ids=["mask", "flat", "nothing", "everything", "noise", "half noise", "not finite"],
)
def test_structure_tells_a_mask_from_none(alpha: Tensor, least: float, most: float) -> None:
    assert least <= structure(alpha) <= most


def test_the_photographs_come_with_the_package() -> None:
    assert [path.is_file() for path in PICTURES] == [True, True]


@pytest.mark.parametrize("right", ORDERS)
def test_the_order_whose_masks_have_structure_is_taken(right: PatchOrder) -> None:
    seen = []

    def answer(order: PatchOrder, pixels: Tensor) -> Tensor:
        seen.append((order, tuple(pixels.shape)))
        return disc(128) if order == right else noise(128, 128)

    trial = try_orders(answer)
    assert trial.order == right
    assert f"patch order {right}, by a trial on two photographs" in trial.words
    assert len(seen) == 4
    assert len({shape for _, shape in seen}) == 2


def test_where_neither_has_structure_the_report_says_so() -> None:
    trial = try_orders(lambda order, pixels: noise(64, 64) / (1 + (order == "wg hg c")))
    assert trial.order == "wg hg c"
    assert "neither gave a mask" in trial.words
    assert "set patch_order" in trial.words


def test_a_close_decision_is_called_close() -> None:
    trial = OrderTrial({"wg hg c": 0.901, "c hg wg": 0.905})
    assert trial.order == "c hg wg"
    assert "that is close" in trial.words
    assert "that is close" not in OrderTrial({"wg hg c": 0.7, "c hg wg": 0.9}).words


def test_without_the_photographs_nothing_is_decided(tmp_path: Path) -> None:
    assert try_orders(lambda *_: disc(64), [tmp_path / "gone.jpg"]) == NO_TRIAL


def test_a_trial_is_remembered_by_the_files_sha256(tmp_path: Path) -> None:
    trial = OrderTrial({"wg hg c": 0.25, "c hg wg": 0.75})
    assert remembered_trial("a" * 64, tmp_path) is None
    remember_trial("a" * 64, trial, tmp_path)
    remember_trial("b" * 64, NO_TRIAL, tmp_path)
    assert remembered_trial("a" * 64, tmp_path) == trial
    (tmp_path / "patch-orders.json").write_text('{"%s": {"wg hg c": "x"}}' % ("a" * 64))
    assert remembered_trial("a" * 64, tmp_path) is None
    (tmp_path / "patch-orders.json").write_text("[")
    assert remembered_trial("a" * 64, tmp_path) is None


def place(order: PatchOrder, row: int, column: int, colour: int) -> int:
    """Where a patch's colour lies among the 48 channels."""
    if order == "wg hg c":
        return (column * GRID + row) * 3 + colour
    return (colour * GRID + row) * GRID + column


def weights_for(order: PatchOrder) -> dict[str, Tensor]:
    """A BiRefNet of which one way is open: a channel of the patches, from the last decoder block to
    the mask. It is the red of one patch in this order, and another's in the other."""
    weights = {name: torch.zeros_like(w) for name, w in small_birefnet().state_dict().items()}
    for name, value in weights.items():
        if name.endswith(("running_var", "bn_in.weight", "bn_out.weight", "bn.weight")):
            value.fill_(1)
        if name.endswith(("bn1.weight", "global_avg_pool.2.weight")):
            value.fill_(1)
    block = "decoder.decoder_block1."
    before = weights[f"{block}conv_in.weight"].shape[1]
    reference = weights["decoder.ipt_blk2.conv_out.weight"].shape[0]
    weights["decoder.ipt_blk2.conv1.weight"][0, place(order, ROW, COLUMN, 0), 1, 1] = 1
    weights["decoder.ipt_blk2.conv_out.weight"][0, 0, 1, 1] = 1
    weights[f"{block}conv_in.weight"][0, before - reference, 1, 1] = 1
    weights[f"{block}conv_in.bias"][0] = 4  # above the ReLU
    weights[f"{block}dec_att.aspp1.atrous_conv.regular_conv.weight"][0, 0, 0, 0] = 1
    weights[f"{block}dec_att.conv1.weight"][0, 0, 0, 0] = 1
    weights[f"{block}conv_out.weight"][0, 0, 1, 1] = 1
    weights["decoder.conv_out1.0.weight"][0, 0, 0, 0] = 20
    weights["decoder.conv_out1.0.bias"][0] = -20 * 4
    return {name: value.float().contiguous() for name, value in weights.items()}


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pictures of noise, with a red disc in one patch."""
    found = []
    for number in range(2):
        pixels = torch.rand(SIDE, SIDE, 3, generator=torch.Generator().manual_seed(number))
        patch = SIDE // GRID
        down, across = slice(ROW * patch, (ROW + 1) * patch), slice(COLUMN * patch, None)
        pixels[down, across][:, :patch, 0] = disc(patch)
        path = tmp_path / f"{number}.png"
        Image.fromarray((pixels * 255).round().byte().numpy()).save(path)
        found.append(path)
    monkeypatch.setattr(patch_orders, "PICTURES", tuple(found))


@pytest.fixture
def host(tmp_path: Path) -> PlainHost:
    return PlainHost({"XDG_DATA_HOME": str(tmp_path), "RMBG_DEVICE": "cpu"}, platform="linux")


def opened(host: PlainHost, path: Path, patch_order: str = "auto") -> LocalBackend:
    return open_local(
        find("local/birefnet"),
        host,
        resolution=SIDE,
        precision="float32",
        weights=str(path),
        download=False,
        patch_order=patch_order,
    )


def answered(backend: LocalBackend, job: Job | None = None) -> tuple[Tensor, Facts]:
    (outcome,) = backend.run([disc_frame(0)], job or Job())
    assert isinstance(outcome.result, Matte)
    return outcome.result.values, outcome.result.facts


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("order", ORDERS)
def test_unknown_weights_get_the_order_that_they_need(
    host: PlainHost, tmp_path: Path, order: PatchOrder
) -> None:
    path = tmp_path / "mine.safetensors"
    save_file(weights_for(order), path)
    mask, facts = answered(opened(host, path))
    assert any(note.startswith(f"patch order {order}, by a trial") for note in facts.notes)
    other = next(one for one in ORDERS if one != order)
    right, said = answered(opened(host, path, order))
    wrong, _ = answered(opened(host, path, other))
    assert said.notes == ()
    assert torch.equal(mask, right)
    assert not torch.equal(mask, wrong)


@pytest.mark.usefixtures("pictures")
def test_a_file_is_tried_once(
    host: PlainHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.safetensors"
    save_file(weights_for("c hg wg"), path)
    first = answered(opened(host, path))[1].notes
    monkeypatch.setattr(patch_orders, "PICTURES", (tmp_path / "gone",))
    assert answered(opened(host, path))[1].notes == first
    renamed = path.rename(tmp_path / "other name.safetensors")
    backend = opened(host, renamed)
    assert answered(backend)[1].notes == first
    backend.close()  # loaded again, in the order that is known
    assert answered(backend)[1].notes == first


@pytest.mark.usefixtures("pictures")
def test_a_trial_can_be_cancelled_and_is_made_the_next_time(
    host: PlainHost, tmp_path: Path
) -> None:
    class Impatient(Job):
        checks = 0

        def check(self) -> None:
            self.checks += 1
            if self.checks > 20:
                raise Cancelled("enough")

    path = tmp_path / "mine.safetensors"
    save_file(weights_for("c hg wg"), path)
    backend = opened(host, path)
    with pytest.raises(Cancelled):
        answered(backend, Impatient())
    assert "patch order c hg wg" in answered(backend)[1].notes[0]
