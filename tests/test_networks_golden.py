"""The networks answer what the published code answers, with every published name and shape."""

# Pins the inside of backends.local.networks.birefnet

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from rmbg_nodes.backends.local import inference_copy, network_from_state_dict
from rmbg_nodes.backends.local.networks.birefnet import BiRefNet
from rmbg_nodes.tests.support.weights import GOLDEN, picture, published_weights

pytestmark = pytest.mark.whole


@dataclass(frozen=True)
class Model:
    name: str
    parameters: int
    tolerance: float  # of alpha, in float32


MODELS = (Model("rmbg-1.4", 44_046_790, 1e-4), Model("rmbg-2.0", 220_176_498, 2e-5))
PICTURES = {"256x256": (1, 2, 256, 256), "320x192": (2, 1, 320, 192)}


@pytest.fixture(scope="module", params=MODELS, ids=lambda model: model.name)
def loaded(request: pytest.FixtureRequest):
    model: Model = request.param
    return model, network_from_state_dict(published_weights(model.name))


def golden(model: Model, size: str) -> dict[str, Tensor]:
    with np.load(GOLDEN / f"{model.name}-{size}.npz") as arrays:
        return {name: torch.from_numpy(values)[:, None] for name, values in arrays.items()}


def difference(logits: Tensor, wanted: Tensor) -> float:
    return float((logits.sigmoid() - wanted.sigmoid()).abs().max())


def test_names_and_sizes_are_the_published_ones(loaded) -> None:
    model, network = loaded
    shapes = json.loads((GOLDEN / f"{model.name}.json").read_text(encoding="utf-8"))
    ours = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert ours == shapes
    assert sum(parameter.numel() for parameter in network.parameters()) == model.parameters


def test_every_prediction_is_the_published_one(loaded) -> None:
    model, network = loaded
    wanted = golden(model, "320x192")
    with torch.no_grad():
        predictions = network.predictions(picture(*PICTURES["320x192"]))
    if isinstance(network, BiRefNet):
        for logits, name in zip(predictions.masks, ("m4", "m3", "m2", "logits"), strict=True):
            assert difference(logits, wanted[name]) < model.tolerance, name
    else:
        assert difference(predictions[0], wanted["logits"]) < model.tolerance


def test_the_inference_copy_answers_the_same(loaded) -> None:
    model, network = loaded
    fast = inference_copy(network)
    for size, arguments in PICTURES.items():
        logits = fast(picture(*arguments))
        assert logits.dtype == torch.float32
        assert difference(logits, golden(model, size)["logits"]) < model.tolerance, size


def test_half_precision_stays_near(loaded) -> None:
    model, network = loaded
    wanted = golden(model, "320x192")["logits"]
    alpha = inference_copy(network, dtype=torch.bfloat16)(picture(*PICTURES["320x192"])).sigmoid()
    # The heads of the synthetic RMBG-1.4 amplify five times, so its rounding shows more.
    assert float((alpha - wanted.sigmoid()).abs().mean()) < 0.03
