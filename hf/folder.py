"""A folder that `from_pretrained` loads: the released weights, and what the release lacks."""

from __future__ import annotations

import json
from pathlib import Path

from ..backends.local.files import read_state_dict
from ..backends.local.networks.birefnet import PatchOrder
from ..config.invocation import command
from ..core.errors import BadOption
from .configuration import config_of
from .image_processing import RmbgImageProcessor

_ARCHITECTURES = {"rmbg-birefnet": "RmbgBiRefNet", "rmbg-isnet": "RmbgIsNet"}
_NAME = "model.safetensors"


def complete_folder(
    weights: Path, patch_order: PatchOrder = "wg hg c", resolution: int = 0
) -> Path:
    """Write config.json and preprocessor_config.json beside a model.safetensors, and return the
    folder. The weights stay as they are.

    patch_order: of a BiRefNet, see `RmbgBiRefNetConfig`. resolution: the side of the square that
    the weights were trained at, 0 for the architecture's own. Files that are there already and say
    the same are kept. Raises BadOption for another file name, for other configuration files in the
    folder and for a folder that cannot be written, WeightsUnusable for other weights.
    """
    folder = weights.parent
    if weights.name != _NAME:
        raise BadOption(
            f"transformers loads {_NAME}, and this file is {weights.name}. Convert it: "
            f"`{command('weights convert', str(weights), str(folder / _NAME))}`."
        )
    config = config_of(read_state_dict(weights), patch_order)
    config.architectures = [_ARCHITECTURES[config.model_type]]
    processor = RmbgImageProcessor.for_config(config)
    if resolution:
        processor.size = {"height": resolution, "width": resolution}
    _write(folder / "config.json", config.to_diff_dict())
    _write(folder / "preprocessor_config.json", processor.to_dict())
    return folder


def _write(path: Path, content: dict[str, object]) -> None:
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    try:
        if path.exists():
            if path.read_text(encoding="utf-8") == text:
                return
            raise BadOption(
                f"{path} is there already and says something else. Move it away, or fetch into "
                "another folder with --to."
            )
        path.write_text(text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"{path} cannot be written ({error}). Choose another folder.") from error
