"""docs/examples/finetune.py lowers the loss."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.whole

pytest.importorskip("transformers", minversion="5.0", reason="needs transformers 5")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("finetune", ROOT / "docs/examples/finetune.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_loss_falls(example):
    torch.manual_seed(0)
    model = example.RmbgBiRefNet(example.TINY)
    processor = example.RmbgImageProcessor(size={"height": 64, "width": 64})
    losses = list(example.finetune(model, processor, steps=14, count=4, rate=1e-3))
    assert sum(losses[-4:]) < 0.85 * sum(losses[:4])


def test_what_it_saves_can_be_loaded_and_tuned_again(example, tmp_path: Path, capsys):
    words = ["--steps", "1", "--batch", "2", "--side", "64", "--out", str(tmp_path)]
    example.main(words)
    assert f"saved to {tmp_path}" in capsys.readouterr().out
    example.main(["--model", str(tmp_path), "--steps", "1", "--batch", "2"])
    assert "held-out loss after" in capsys.readouterr().out
