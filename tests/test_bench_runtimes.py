"""`bench/runtimes.py`: contestants that answer the same, and a table computed by hand."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rmbg_nodes.bench import runtimes
from rmbg_nodes.bench.runtimes import OURS, PEERS, Contestant, contestants, exported, measure, table
from rmbg_nodes.tests.support.networks import small_isnet

pytestmark = pytest.mark.whole

SIDE = 256


def test_every_contestant_answers_the_same(tmp_path: Path) -> None:
    weights = tmp_path / "small.safetensors"
    tensors = small_isnet(torch.float32).state_dict().items()
    save_file({name: value.contiguous() for name, value in tensors}, weights)
    with torch.no_grad():
        rows = contestants(weights, exported(weights, tmp_path, SIDE), SIDE, 1)
        measure(rows, 1)
    there = [name for name, (package, _) in PEERS.items() if find_spec(package)]
    if find_spec("onnx") and find_spec("onnxscript"):
        assert [row.name for row in rows] == ["straightforward", OURS, *there]
    assert all(row.run().shape == (1, 1, SIDE, SIDE) for row in rows)
    assert all(row.difference < 1e-4 for row in rows)
    assert all(len(row.seconds) == 1 for row in rows)


def test_the_table_has_the_best_round_and_the_ratio_to_the_better_peer() -> None:
    def row(name: str, *seconds: tuple[float, float]) -> Contestant:
        return Contestant(name, lambda: torch.zeros(1), [*seconds])

    rows = [
        row("straightforward", (3.0, 1.0)),
        row(OURS, (2.0, 0.5), (1.5, 0.25)),
        row("ONNX Runtime", (2.0, 0.0)),
        row("OpenVINO", (2.25, 0.25)),
    ]
    lines = [*table(rows)]
    assert lines[2:] == [
        "| straightforward | 4.00 | 1.00 | 2.00 | 0.0e+00 |",
        "| inference copy | 1.75 | 0.25 | 0.88 | 0.0e+00 |",
        "| ONNX Runtime | 2.00 | 0.00 | 1.00 | 0.0e+00 |",
        "| OpenVINO | 2.50 | 0.25 | 1.25 | 0.0e+00 |",
    ]


def test_the_profile_names_the_operators_of_our_copy() -> None:
    copy = Contestant(OURS, lambda: torch.ones(4).sigmoid())
    assert "aten::sigmoid" in runtimes.profile([copy])
