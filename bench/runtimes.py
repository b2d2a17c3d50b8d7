"""RMBG's networks beside ONNX Runtime and OpenVINO: `python bench/runtimes.py --help`.

The same weights, picture and machine; contestants take turns, and the best round counts. Prints
CPU-seconds (of the program and of the system for it), which other work on the machine disturbs
little, and how far each alpha is from the straightforward forward's. Peers that are not installed
are left out. Without WEIGHTS they are synthetic: speed does not depend on them. --profile says
where our time goes.
"""

from __future__ import annotations

import argparse
import importlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn


@dataclass
class Contestant:
    """A way to compute the alpha (B, 1, S, S) of the picture."""

    name: str
    run: Callable[[], Tensor]
    seconds: list[tuple[float, float]] = field(default_factory=list)
    """(program, system) of each round."""
    difference: float = 0.0
    """The largest |d alpha| to the first contestant."""

    @property
    def best(self) -> tuple[float, float]:
        return min(self.seconds, key=sum)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("weights", type=Path, nargs="?", metavar="WEIGHTS", help="safetensors, as published")
    add("--onnx", type=Path, metavar="FILE", help="the same network (else ours is exported)")
    add("--model", default="rmbg-1.4", choices=["rmbg-1.4", "rmbg-2.0"], help="without WEIGHTS")
    add("--size", type=int, default=1024, help="pixels of a side, a multiple of 32")
    add("--rounds", type=int, default=5)
    add("--threads", type=int, default=1, help="of the CPU, for each contestant")
    add("--profile", action="store_true", help="the operators of our copy, by time")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    importlib.import_module("quality").load_package()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        weights = arguments.weights or synthetic(arguments.model, Path(folder))
        onnx = arguments.onnx or exported(weights, Path(folder), arguments.size)
        rows = contestants(weights, onnx, arguments.size, arguments.threads)
        measure(rows, arguments.rounds)
    print(
        f"torch {torch.__version__}, CPU with {torch.backends.cpu.get_cpu_capability()}, ", end=""
    )
    print(f"{arguments.threads} CPU threads, {arguments.size} x {arguments.size}, float32\n")
    print("\n".join(table(rows)))
    if arguments.profile:
        print(f"\n{profile(rows)}")


def contestants(weights: Path, onnx: Path | None, side: int, threads: int) -> list[Contestant]:
    """The straightforward forward first, then our copy, then what is installed."""
    local = importlib.import_module("rmbg_nodes.backends.local")
    files = importlib.import_module("rmbg_nodes.backends.local.files")
    reference = importlib.import_module("rmbg_nodes.bench.reference")
    picture = importlib.import_module("rmbg_nodes.tests.support.weights").picture
    network: nn.Module = local.network_from_state_dict(files.read_state_dict(weights))
    isnet = type(network).__name__ == "IsNet"
    straightforward = reference.isnet if isnet else reference.birefnet
    copy = local.inference_copy(network)
    images: Tensor = picture(3, 1, side, side)
    rows = [
        Contestant("straightforward", lambda: straightforward(network, images)),
        Contestant(OURS, lambda: copy(images).sigmoid()),
    ]
    if onnx is not None:
        rows += [
            Contestant(name, open_peer(onnx, images.numpy(), threads))
            for name, (package, open_peer) in PEERS.items()
            if find_spec(package) is not None
        ]
    return rows


def measure(rows: list[Contestant], rounds: int) -> None:
    first = rows[0].run()  # the first run of each prepares what the others use again
    for row in rows:
        row.difference = float((row.run() - first).abs().max())
    for _ in range(rounds):
        for row in rows:
            before = os.times()
            row.run()
            after = os.times()
            row.seconds.append((after.user - before.user, after.system - before.system))


def table(rows: list[Contestant]) -> Iterator[str]:
    """Markdown: the seconds of each, and their ratio to the better of the peers."""
    ours = (rows[0].name, OURS)
    peers = [sum(row.best) for row in rows if row.name not in ours]
    better = min(peers, default=sum(rows[0].best))
    yield "| | CPU-s | of them system | ratio | max abs. difference of alpha |"
    yield "|---|---|---|---|---|"
    for row in rows:
        whole = sum(row.best)
        yield (
            f"| {row.name} | {whole:.2f} | {row.best[1]:.2f} | {whole / better:.2f} "
            f"| {row.difference:.1e} |"
        )


def profile(rows: list[Contestant]) -> str:
    copy = next(row for row in rows if row.name == OURS)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        copy.run()
    averages = profiler.key_averages()
    return str(averages.table(sort_by="self_cpu_time_total", row_limit=12))


def onnx_runtime(path: Path, images: np.ndarray, threads: int) -> Callable[[], Tensor]:
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name, answer = session.get_inputs()[0].name, session.get_outputs()[0].name
    return lambda: _alpha(answer, session.run([answer], {name: images})[0])


def openvino(path: Path, images: np.ndarray, threads: int) -> Callable[[], Tensor]:
    core = importlib.import_module("openvino").Core()
    model = core.read_model(path)
    model.reshape(list(images.shape))
    exact = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(model, "CPU", exact)
    answer = compiled.outputs[0]
    return lambda: _alpha(answer.get_any_name(), compiled([images])[answer])


OURS = "inference copy"
#: Name -> package and how it is opened.
PEERS = {"ONNX Runtime": ("onnxruntime", onnx_runtime), "OpenVINO": ("openvino", openvino)}


def _alpha(name: str, values: np.ndarray) -> Tensor:
    """Our files answer logits, those that rembg's users have an alpha."""
    answer = torch.from_numpy(np.asarray(values, np.float32))
    return answer.sigmoid() if name == "logits" else answer


def synthetic(model: str, folder: Path) -> Path:
    weights = importlib.import_module("rmbg_nodes.tests.support.weights").published_weights(model)
    path = folder / "weights.safetensors"
    importlib.import_module("safetensors.torch").save_file(weights, path)
    return path


def exported(weights: Path, folder: Path, side: int) -> Path | None:
    """The network as `rmbg weights export` writes it; None where onnx is not installed."""
    export = importlib.import_module("rmbg_nodes.backends.local.export")
    find = importlib.import_module("rmbg_nodes.backends.local.find")
    errors = importlib.import_module("rmbg_nodes.core.errors")
    target = folder / "network.onnx"
    try:
        export.export_onnx(find.Found(weights, "", None), target, resolution=side)
    except errors.BackendMissing as error:
        print(f"no peers: {error}")
        return None
    return target


if __name__ == "__main__":
    main()
