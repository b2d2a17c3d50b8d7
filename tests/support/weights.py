"""Synthetic weights and pictures, the same on every machine, for networks without their weights.

Each tensor is drawn from a generator that its name seeds, at a scale that keeps activations near 1
through the whole network; so every layer, bias and normalisation shows in the output.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
_GAINS = (("side", 5.0), ("conv_out1", 1.0), ("offset_conv", 1.0), ("modulator_conv", 1.0))


def published_weights(model: str, seed: int = 0) -> dict[str, Tensor]:
    """Synthetic weights under the names of a published file: "rmbg-1.4" or "rmbg-2.0"."""
    shapes = json.loads((GOLDEN / f"{model}.json").read_text(encoding="utf-8"))
    return {key: fill(key, tuple(shape), seed) for key, shape in shapes.items()}


def weights_like(network: nn.Module, seed: int = 0) -> dict[str, Tensor]:
    """Synthetic weights for any network of ours."""
    wanted: Mapping[str, Tensor] = network.state_dict()
    return {key: fill(key, tuple(value.shape), seed) for key, value in wanted.items()}


def fill(key: str, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """One tensor of a state dict; zeros for what a network computes itself."""
    random, leaf = _generator(key, seed), key.rsplit(".", 1)[-1]
    if leaf in ("num_batches_tracked", "relative_position_index"):
        return torch.zeros(shape, dtype=torch.int64)
    if leaf == "running_var":
        return torch.from_numpy(random.uniform(0.5, 1.5, shape).astype(np.float32))
    values: NDArray[np.float64] = random.standard_normal(shape)
    if leaf == "running_mean":
        values = 0.1 * values
    elif leaf == "relative_position_bias_table":
        values = 0.3 * values
    elif leaf == "bias":
        values = (0.5 if "offset_conv" in key else 0.1) * values
    elif values.ndim == 1:
        values = 1 + 0.1 * values
    else:
        default = 1.0 if values.ndim == 2 else 1.2
        gain = next((value for part, value in _GAINS if part in key), default)
        values = gain / np.sqrt(np.prod(shape[1:])) * values
        if key.startswith("side"):  # heads without a mean, else alpha saturates
            values = values - values.mean((2, 3), keepdims=True)
    return torch.from_numpy(values.astype(np.float32))


def picture(seed: int, batch: int, height: int, width: int) -> Tensor:
    """(batch, 3, height, width) normalised pictures: plane waves and noise, multiples of 1/64."""
    random = _generator("input", seed)
    y, x = np.mgrid[0:height, 0:width][:, None, None] / 64.0
    frequency = random.normal(0, 2.0, (2, 6, batch, 3, 1, 1))
    phase = random.uniform(0, 2 * np.pi, (6, batch, 3, 1, 1))
    strength = random.normal(0, 0.5, (6, batch, 3, 1, 1))
    waves = strength * np.sin(frequency[0] * y + frequency[1] * x + phase)
    # Summed one by one: the goldens were made so, and the last bit decides some roundings.
    values = sum(waves[1:], waves[0]) + random.normal(0, 0.2, (batch, 3, height, width))
    values = np.round(np.clip(values, -2.5, 2.5) * 64) / 64
    return torch.from_numpy(values.astype(np.float32))


def _generator(key: str, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
