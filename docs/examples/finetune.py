"""Fine-tune a background remover on rendered scenes whose true alpha is known.

    python docs/examples/finetune.py                     # a tiny new network, a minute on a CPU
    python docs/examples/finetune.py --model FOLDER --out NEW # released weights, on a GPU

FOLDER is what `rmbg weights get MODEL --transformers` made. Weights tuned from it keep its licence.
Replace `batch` by your own pictures and alphas; the rest stays.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoImageProcessor, AutoModelForImageSegmentation

from rmbg_nodes.demo.scenes import KINDS, LOOKS, render
from rmbg_nodes.hf import (
    RmbgBiRefNet,
    RmbgBiRefNetConfig,
    RmbgImageProcessor,
    RmbgIsNet,
)

TINY = RmbgBiRefNetConfig(embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 4], window_size=7)
HELD_OUT = 10_000  # seeds from here on are never trained on


def batch(processor: RmbgImageProcessor, seed: int, count: int) -> tuple[Tensor, Tensor]:
    """`count` scenes: pixel_values (B, 3, S, S) normalised, labels (B, S, S) alpha in 0..1."""
    side = processor.size["height"]
    pairs = list(itertools.product(LOOKS, KINDS))
    scenes = []
    for n in range(seed * count, (seed + 1) * count):
        look, kind = pairs[n * 7 % len(pairs)]  # every kind and every look soon, every pair at last
        scenes.append(render(kind, n, (side, side), look))
    pixel_values = processor([scene.image for scene in scenes])["pixel_values"]
    return pixel_values, torch.stack([torch.from_numpy(scene.alpha) for scene in scenes])


def finetune(
    model: RmbgBiRefNet | RmbgIsNet,
    processor: RmbgImageProcessor,
    *,
    steps: int,
    count: int,
    rate: float,
) -> Iterator[float]:
    """The loss of each step. At least two pictures a step: batch normalisation needs them."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-2)
    model.train()
    for step in range(steps):
        pixel_values, labels = batch(processor, step, count)
        output = model(pixel_values.to(model.device), labels=labels.to(model.device))
        optimizer.zero_grad()
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield output.loss.item()


@torch.no_grad()
def held_out_loss(
    model: RmbgBiRefNet | RmbgIsNet, processor: RmbgImageProcessor, count: int
) -> float:
    """The loss on scenes that were not trained on, in evaluation mode."""
    pixel_values, labels = batch(processor, HELD_OUT, count)
    model.eval()
    return float(model(pixel_values.to(model.device), labels=labels.to(model.device)).loss)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Fine-tune on rendered scenes.")
    parser.add_argument("--model", metavar="FOLDER", help="weights to start from; default: none")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="where the result is saved")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=6, help="pictures a step, 2 or more")
    parser.add_argument("--side", type=int, default=128, help="of the square, without --model")
    parser.add_argument("--rate", type=float, help="default 1e-5 with --model, else 3e-3")
    chosen = parser.parse_args(words)
    torch.manual_seed(0)
    if chosen.model:
        model = AutoModelForImageSegmentation.from_pretrained(chosen.model, dtype=torch.float32)
        processor = AutoImageProcessor.from_pretrained(chosen.model)
    else:
        model = RmbgBiRefNet(TINY)
        processor = RmbgImageProcessor(size={"height": chosen.side, "width": chosen.side})
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    rate = chosen.rate or (1e-5 if chosen.model else 3e-3)

    print(f"held-out loss before: {held_out_loss(model, processor, chosen.batch):.2f}")
    losses = finetune(model, processor, steps=chosen.steps, count=chosen.batch, rate=rate)
    for step, loss in enumerate(losses, start=1):
        if step % 5 == 0:
            print(f"step {step}: loss {loss:.2f}", flush=True)
    print(f"held-out loss after: {held_out_loss(model, processor, chosen.batch):.2f}")
    if chosen.out:
        model.save_pretrained(chosen.out)
        processor.save_pretrained(chosen.out)
        print(f"saved to {chosen.out}")


if __name__ == "__main__":
    main()
