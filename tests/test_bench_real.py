"""`bench/real.py`: its measures on cases computed by hand, and a run on two rendered pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from rmbg_nodes.bench import real_run
from rmbg_nodes.bench.quality_scenes import KINDS, render
from rmbg_nodes.bench.real_measure import (
    HEADS,
    Measured,
    cells,
    connectivity_error,
    edge_band,
    gradient_error,
    is_fine,
    mean,
    measure,
)
from rmbg_nodes.bench.real_ways import DEFAULT, rembg_post_processed
from rmbg_nodes.core.errors import BadPicture
from rmbg_nodes.tests.support.networks import small_isnet

SIDE = 256


def square(value: float = 1.0, side: int = 60) -> np.ndarray:
    """A square of this value in the middle of 100 x 100."""
    alpha = np.zeros((100, 100), np.float32)
    edge = (100 - side) // 2
    alpha[edge : 100 - edge, edge : 100 - edge] = value
    return alpha


def levels(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(values * 255).astype(np.uint8))


def test_the_truth_itself_has_no_error() -> None:
    truth = square()
    colour = np.full((100, 100, 3), 0.5, np.float32)
    found = measure(truth, truth, edge_band(truth), colour, colour)
    assert found == Measured(1, 0, 0, 0, 0, 0, 0, 0, 0)


def test_parts_of_the_error_and_the_translucent_interior() -> None:
    truth, alpha = square(), square()
    alpha[:5, :5] = 1  # found outside, 25 pixels of 10,000
    alpha[48:52, 48:53] = 0.5  # 20 pixels inside
    band = edge_band(truth)
    found = measure(alpha, truth, band)
    assert (found.outside, found.band, found.inside) == pytest.approx((2.5, 0, 1))
    assert found.mae == pytest.approx(3.5)
    interior = int((~band & (truth == 1)).sum())
    assert found.translucent == pytest.approx(100 * 20 / interior)
    assert found.halo is None


def test_halo_is_the_error_of_the_composite() -> None:
    truth = square(0.5)
    band = edge_band(truth)
    true, found = (np.full((100, 100, 3), grey, np.float32) for grey in (0.2, 0.4))
    cut = measure(truth, truth, truth > 0, found, true)
    assert cut.halo == pytest.approx(0.5 * 0.2 * 255, rel=1e-5)
    assert band[50, 50]  # partial all over


def test_the_edge_band_of_a_hard_truth_lies_at_its_step() -> None:
    band = edge_band(square())
    assert band[20, 50]
    assert not band[23, 50]
    assert not band[17, 50]
    assert not edge_band(np.ones((50, 50), np.float32)).any()
    assert np.array_equal(edge_band(square(0.985)), band)


def test_gradient_error_sees_a_moved_edge_and_not_a_constant() -> None:
    truth = np.zeros((40, 60), np.float32)
    truth[:, 30:] = 1
    assert gradient_error(truth, truth) == 0
    assert gradient_error(np.zeros_like(truth), np.ones_like(truth)) == pytest.approx(0)
    # A step's gradient is the Gaussian itself, so its square sums to 1 / (2 sigma sqrt(pi)) a row.
    lost = gradient_error(np.zeros_like(truth), truth) * 1000 / 40
    assert lost == pytest.approx(1 / (2 * 1.4 * np.sqrt(np.pi)), rel=0.05)


def test_connectivity_counts_what_hangs_on_nothing() -> None:
    truth, alpha = square(), square()
    alpha[2:4, 2:7] = 1  # an island of 10 pixels: phi is 0 there, 1 in truth
    assert connectivity_error(alpha, truth) == pytest.approx(0.01)
    weaker = square(0.85)  # connected up to .8; the truth stands .2 above that, the alpha .05
    assert connectivity_error(weaker, truth) == pytest.approx(0.2 * 3600 / 1000)


def test_the_hair_subset_is_chosen_by_the_truth() -> None:
    hair = render("hair", 0, 300, 280).alpha
    holes = render("holes", 0, 300, 280).alpha
    assert is_fine(hair, edge_band(hair))
    assert not is_fine(holes, edge_band(holes))
    assert not is_fine(square(), edge_band(square()))
    assert not is_fine(np.ones((50, 50), np.float32), np.zeros((50, 50), np.bool_))


def test_a_mean_is_over_the_pictures_that_have_the_measure() -> None:
    one = Measured(0.5, 2, 0, 1, 1, 3, 4, None, 5)
    two = Measured(1, 4, 0, 3, 1, 5, 6, 20, None)
    assert mean([one, two]) == Measured(0.75, 3, 0, 2, 1, 4, 5, 20, 5)
    assert cells(one)[-2:] == ["", "5.00"]


def test_post_processing_of_rembg_opens_and_cuts() -> None:
    alpha = square()
    alpha[5, 5] = 1  # smaller than the cross
    picture = np.full((100, 100, 3), 0.5, np.float32)
    found = rembg_post_processed(np.asarray(levels(alpha)), picture).alpha
    assert set(np.unique(found)) == {0, 1}
    assert found[5, 5] == 0
    assert found[50, 50] == 1


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Two rendered pictures with truths; one with its true colours."""
    for kind in ("images", "truth", "foreground"):
        (tmp_path / kind).mkdir()
    for number, edge in enumerate((KINDS[0], KINDS[2])):
        scene = render(edge, number, 300, 280)
        levels(scene.image).save(tmp_path / "images" / f"{number}.png")
        levels(scene.alpha).save(tmp_path / "truth" / f"{number}.png")
        if number == 0:
            levels(scene.foreground).save(tmp_path / "foreground" / f"{number}.png")
    network = small_isnet(torch.float32)
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(tensors, tmp_path / "weights.safetensors")
    return tmp_path


def run(folder: Path) -> real_run.Run:
    said: list[str] = []
    with torch.no_grad():
        done = real_run.run(
            folder,
            folder / "weights.safetensors",
            None,
            resolution=SIDE,
            threads=1,
            kept=1,
            say=said.append,
        )
    assert said == ["0.png", "1.png"]
    return done


def test_a_run_measures_every_way_and_draws_the_worst(photographs: Path) -> None:
    done = run(photographs)
    table = real_run.table(done)
    assert table[0] == ["mean", *HEADS]
    assert [row[0] for row in table[1:5]] == [
        real_run.OWN_SIZE,
        "plain resize",
        DEFAULT,
        "refined, half decontaminated",
    ]
    assert {len(measured) for measured in done.rows.values()} == {2}
    kept, extended = done.rows["refined, not decontaminated"], done.rows[DEFAULT]
    assert kept[0].mae == extended[0].mae
    assert kept[0].halo != extended[0].halo
    assert extended[1].halo is None
    best = mean(done.rows[real_run.TRUE])
    assert (best.iou, best.mae, best.gradient, best.connectivity) == (1, 0, 0, 0)
    assert done.worst[0].measured.iou == min(one.iou for one in extended)
    assert real_run.below(done).startswith("2 pictures.")
    done.fine = [False, True]
    fine = real_run.fine_table(done)
    assert fine[0][0] == "hair subset, 1 of 2"
    assert fine[3] == [DEFAULT, *cells(extended[1])]
    done.fine = [False, False]
    assert real_run.fine_table(done) == []
    page = real_run.sheet(done.worst, 2)
    assert page.shape[2] == 3
    assert float(page.std()) > 0.01


def test_a_truth_without_its_picture_ends_the_run(photographs: Path) -> None:
    (photographs / "images" / "1.png").unlink()
    with pytest.raises(BadPicture, match="1.png"):
        run(photographs)
