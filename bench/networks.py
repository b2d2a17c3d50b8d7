"""How fast the networks are, beside the straightforward forward: `python bench/networks.py --help`.

Prints, for each model, dtype and batch size: seconds per picture, memory above the weights,
GFLOP/s, and that as a part of the matrix product's speed on the same machine. On a CPU with one
thread the seconds are CPU-seconds, which other work on the machine disturbs little; the variants
take turns, and the best round counts. Weights are synthetic: speed does not depend on them.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parent.parent
# GFLOP of one 1024 x 1024 picture, two for each multiplication and addition that the
# straightforward forward needs (convolutions, linear layers, attention, deformable convolutions).
GFLOP = {"rmbg-1.4": 319.3, "rmbg-2.0": 2534.9}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class Row:
    """One line of the table. seconds: of each round, for the whole batch."""

    name: str
    dtype: str
    batch: int
    run: Callable[[], Tensor]
    seconds: list[float] = field(default_factory=list)
    megabytes: float = 0.0
    difference: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(GFLOP), choices=list(GFLOP))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", type=int, default=1024, help="pixels of a side, a multiple of 32")
    parser.add_argument("--batches", nargs="+", type=int, default=[1])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"], choices=DTYPES)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--autocast", action="store_true", help="the baseline in bfloat16 as well")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    dtypes = {"float32", *arguments.dtypes, *(["bfloat16"] if arguments.autocast else [])}
    peaks = {dtype: matmul_speed(DTYPES[dtype], device) for dtype in sorted(dtypes, reverse=True)}
    print(f"torch {torch.__version__}, {machine(device)}, {arguments.threads} CPU threads")
    for dtype, speed in peaks.items():
        print(f"matrix product in {dtype}: {speed:,.0f} GFLOP/s")
    for model in arguments.models:
        table(model, arguments, device, peaks)
    compare_deform_conv(device)


def table(
    model: str, arguments: argparse.Namespace, device: torch.device, peaks: dict[str, float]
) -> None:
    rows = variants(model, arguments, device)
    with torch.no_grad():
        baseline: dict[int, Tensor] = {}
        for row in rows:  # warm up, and compare: an alpha, whatever the variant
            row.megabytes, alpha = memory(row.run, device)
            baseline.setdefault(row.batch, alpha)
            row.difference = float((alpha - baseline[row.batch]).abs().max())
        for _ in range(arguments.rounds):
            for row in rows:
                row.seconds.append(timed(row.run, device, arguments.threads))
    first = {row.batch: min(row.seconds) for row in reversed(rows) if row.name == rows[0].name}
    work = GFLOP[model] * (arguments.size / 1024) ** 2
    print(f"\n{model}, {arguments.size} x {arguments.size}, {work:.0f} GFLOP a picture")
    print(
        "variant          dtype     batch  s/picture  ratio   +MB  GFLOP/s  of peak  max |d alpha|"
    )
    for row in rows:
        seconds = min(row.seconds) / row.batch
        speed = work / seconds
        print(
            f"{row.name:16} {row.dtype:9} {row.batch:5} {seconds:10.3f} "
            f"{seconds * row.batch / first[row.batch]:6.2f} {row.megabytes:5.0f} {speed:8.0f} "
            f"{speed / peaks[row.dtype]:8.0%} {row.difference:10.1e}"
        )


def variants(model: str, arguments: argparse.Namespace, device: torch.device) -> list[Row]:
    local = importlib.import_module("rmbg_nodes.backends.local")
    support = importlib.import_module("rmbg_nodes.tests.support.weights")
    reference = importlib.import_module("rmbg_nodes.bench.reference")
    network: nn.Module = local.network_from_state_dict(support.published_weights(model)).to(device)
    straightforward = reference.isnet if model == "rmbg-1.4" else reference.birefnet
    copies = {
        dtype: local.inference_copy(network, dtype=DTYPES[dtype]) for dtype in arguments.dtypes
    }
    rows = []
    for batch in arguments.batches:
        images = support.picture(3, batch, arguments.size, arguments.size).to(device)

        def baseline(
            images: Tensor = images, context: AbstractContextManager[object] | None = None
        ) -> Tensor:
            with context or nullcontext():
                alpha: Tensor = straightforward(network, images)
            return alpha.float()

        rows.append(Row("straightforward", "float32", batch, baseline))
        if arguments.autocast:
            cast = torch.autocast(device.type, torch.bfloat16)
            run = lambda cast=cast, baseline=baseline: baseline(context=cast)  # noqa: E731
            rows.append(Row("autocast", "bfloat16", batch, run))
        for dtype, copy in copies.items():

            def fused(copy: nn.Module = copy, images: Tensor = images) -> Tensor:
                logits: Tensor = copy(images)
                return logits.sigmoid()

            rows.append(Row("inference copy", dtype, batch, fused))
        if model == "rmbg-2.0" and (peer := nobg(device)) is not None:
            rows.append(Row("nobg", "float32", batch, partial(peer, images)))
    return rows


def nobg(device: torch.device) -> Callable[[Tensor], Tensor] | None:
    """The BiRefNet of the nobg package (Apache-2.0) with weights of its own making, where it and
    the torchvision that it needs load; its |d alpha| says nothing."""
    if importlib.util.find_spec("nobg") is None:
        return None
    try:
        peer = importlib.import_module("nobg.birefnet.modeling_birefnet")
    except (ImportError, RuntimeError) as error:
        print(f"nobg is left out: {error}")
        return None
    network = peer.BiRefNet().to(device).eval()

    def alpha(images: Tensor) -> Tensor:
        logits: Tensor = network(images)["logits"]
        return logits.float().sigmoid()

    return alpha


def timed(run: Callable[[], object], device: torch.device, threads: int) -> float:
    """CPU-seconds on one thread, else seconds on the wall."""
    clock = time.process_time if device.type == "cpu" and threads == 1 else time.perf_counter
    settle(device)
    start = clock()
    run()
    settle(device)
    return clock() - start


def settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def memory(run: Callable[[], Tensor], device: torch.device) -> tuple[float, Tensor]:
    """Megabytes that a run needs at most above what was held before it, and its result."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        result = run()
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6, result
    before, peak, done = resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    result = run()
    done.set()
    watcher.join()
    return max(0, peak - before) / 1e6, result


def resident() -> int:
    """Bytes of this process in memory; 0 where the system does not say (only Linux does here)."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * 4096 if statm.exists() else 0


def matmul_speed(dtype: torch.dtype, device: torch.device) -> float:
    """GFLOP/s of a large linear layer, the best of several."""
    size = 2048 if device.type == "cpu" else 8192
    x, weight = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    F.linear(x, weight)
    best = min(
        timed(lambda: F.linear(x, weight), device, torch.get_num_threads()) for _ in range(5)
    )
    return 2 * size**3 / best / 1e9


def machine(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"CPU with {torch.backends.cpu.get_cpu_capability()}"


def compare_deform_conv(device: torch.device) -> None:
    """Ours beside torchvision's operation, where that loads, at the largest size of RMBG-2.0."""
    ours = importlib.import_module("rmbg_nodes.backends.local.networks.deform_conv").deform_conv2d
    random = torch.Generator().manual_seed(0)
    shapes = ((1, 64, 256, 256), (1, 98, 256, 256), (256, 64, 7, 7), (1, 49, 256, 256))
    x, offset, weight, mask = (torch.randn(s, generator=random).to(device) for s in shapes)
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: ours(x, offset, weight, mask=mask, padding=3)
    }
    try:
        theirs = importlib.import_module("torchvision.ops").deform_conv2d
    except (ImportError, OSError, RuntimeError) as error:
        print(f"\ndeform_conv2d 7 x 7 on 256 x 256: torchvision does not load ({error})")
    else:
        runs["torchvision"] = lambda: theirs(x, offset, weight, padding=3, mask=mask)
        print()
    for name, run in runs.items():
        with torch.no_grad():
            run()
            seconds = min(timed(run, device, torch.get_num_threads()) for _ in range(3))
        print(f"deform_conv2d 7 x 7 on 256 x 256, 64 -> 256 channels, {name}: {seconds:.3f} s")


def load_checkout() -> None:
    """Make `rmbg_nodes` importable from this checkout, whatever its folder is called."""
    spec = importlib.util.spec_from_file_location(
        "rmbg_nodes", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["rmbg_nodes"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    load_checkout()
    main()
