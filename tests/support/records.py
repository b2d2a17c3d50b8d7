"""What the tests of the records share."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import torch

from rmbg_nodes.core.specs import Price
from rmbg_nodes.core.types import Facts, Matte, Ticket

ROOT = Path(__file__).resolve().parent.parent.parent
BACKEND = "fal/rmbg-2.0"
WORK = f"{BACKEND}:a1"
PRICE = Price(Decimal("0.018"), "USD", "2026", "a test")
SIZE = (40, 30)
TICKET = Ticket(BACKEND, "req-1", {"status": "https://queue.fal.run/x"})

_LOAD = f"""
import importlib.util, os, sys, time
from decimal import Decimal
from pathlib import Path
spec = importlib.util.spec_from_file_location(
    "rmbg_nodes", {str(ROOT / "__init__.py")!r}, submodule_search_locations=[{str(ROOT)!r}]
)
module = importlib.util.module_from_spec(spec)
sys.modules["rmbg_nodes"] = module
spec.loader.exec_module(module)
folder = Path(sys.argv[1])
"""


def start(code: str, folder: Path) -> subprocess.Popen[str]:
    """Another process with the checkout loaded and `folder` set."""
    command = [sys.executable, "-c", _LOAD + code, str(folder)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def until_said(process: subprocess.Popen[str], word: str) -> None:
    """Wait for a line of the other process."""
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    assert said == word, said + process.communicate()[1]


def matte(values: torch.Tensor, *, original: bytes | None = None) -> Matte:
    """A paid result."""
    facts = Facts(
        backend=BACKEND,
        model="RMBG-2.0",
        licence="fal-api",
        device="fal",
        seconds=3.25,
        cost=Decimal("0.018"),
        left_machine=True,
        request_id="req-1",
        notes=("said by the provider",),
    )
    return Matte(values, "alpha", facts, original)


def levels(top: int, seed: int = 0, shape: tuple[int, int] = (30, 40)) -> torch.Tensor:
    """Random values that are multiples of 1 / top."""
    generator = torch.Generator().manual_seed(seed)
    whole = torch.randint(0, top + 1, shape, generator=generator)
    return whole.to(torch.float32) / top
