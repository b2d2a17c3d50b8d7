"""Local models as ONNX files, in standard operators only."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch

from ...catalogue.licences import LICENCES
from ...core.errors import BackendMissing, WeightsUnusable
from .at_size import side_of
from .convert import check_target, new_file
from .detect import network_from_state_dict
from .files import read_state_dict
from .find import Found
from .networks.birefnet import BiRefNet, PatchOrder
from .portable import PortableNetwork, portable_copy
from .preprocess import recipe_of

# GridSample and LayerNormalization exist, and every runtime of the last years reads it.
OPSET = 18
INPUT, OUTPUT = "pixel_values", "logits"
_PACKAGES = ("onnx", "onnxscript")


def export_onnx(
    found: Found,
    target: Path,
    *,
    resolution: int = 0,
    half: bool = False,
    patch_order: PatchOrder | None = None,
) -> dict[str, str]:
    """Write the network of these weights to `target` as one ONNX file (opset 18).

    Its input `pixel_values` (B, 3, N, N) float32 is normalised with the `mean` and `std` of its
    metadata, its output `logits` (B, 1, N, N) float32; any B, N is the resolution (0: the model's
    own). half: weights and arithmetic in float16, but places in float32. patch_order: of BiRefNet
    weights that are in no table. Returns the file's metadata: model, licence, licence_page,
    weights_sha256, resolution, resize, mean, std, output, alpha; of a BiRefNet also patch_order.

    The file appears whole or not at all, and nothing is overwritten. Raises BadOption for a target
    or resolution that cannot be, BackendMissing without the extra [onnx], WeightsUnusable for
    weights that cannot be read or have values beyond float16.
    """
    _check(target, resolution)
    released = found.released
    order = released.patch_order if released else patch_order
    options = {"patch_order": order} if order else {}
    network = network_from_state_dict(read_state_dict(found.path), **options)
    recipe = recipe_of(network)
    side = resolution or (released.resolution if released else 0) or recipe.resolution
    facts = {
        "model": released.name if released else found.path.name,
        "licence": found.licence,
        "licence_page": LICENCES[found.licence].licence_page,
        "weights_sha256": found.sha256,
        "resolution": str(side),
        "resize": "bilinear, antialiased" if recipe.antialias else "bilinear",
        "mean": ", ".join(map(str, recipe.mean)),
        "std": ", ".join(map(str, recipe.std)),
        "output": OUTPUT,
        "alpha": "sigmoid of the logits"
        + (", then stretched to 0..1 in each picture" if recipe.stretched else ""),
    }
    if isinstance(network, BiRefNet):
        facts["patch_order"] = network.config.patch_order
    dtype = torch.float16 if half else torch.float32
    portable = portable_copy(network, side, side, dtype)
    if half and not all(bool(value.isfinite().all()) for value in portable.parameters()):
        raise WeightsUnusable(
            f"{found.path} has values beyond the range of float16. Export without --fp16."
        )
    _write(portable, side, facts, target)
    return facts


def _check(target: Path, resolution: int) -> None:
    check_target(target, ".onnx")
    side_of(resolution)
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise BackendMissing(
            f"The export needs {' and '.join(missing)}: `pip install onnx onnxscript`."
        )


def _write(network: PortableNetwork, side: int, facts: dict[str, str], target: Path) -> None:
    # Two pictures, because the exporter takes a batch of one for a constant.
    example = torch.zeros(2, 3, side, side)
    with _quiet():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
    assert program is not None
    program.model.metadata_props.update(facts)
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # the exporter's traces, with the paths of this machine
    program.model.producer_name = "rmbg-nodes"
    with new_file(target) as part:
        program.save(part, external_data=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's remarks about its own internals and about torchvision."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
