"""Folders as the Hugging Face Hub has them, with the weights of small networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from rmbg_nodes.tests.support.networks import small_birefnet, small_isnet

NETWORKS: dict[str, Callable[[torch.dtype], nn.Module]] = {
    "birefnet": small_birefnet,
    "isnet": small_isnet,
}

# What the released config.json files hold, as far as it matters: neither says what transformers
# needs to know, and both point to Python files beside the weights.
CONFIGS = {
    "birefnet": {
        "architectures": ["BiRefNet"],
        "auto_map": {
            "AutoConfig": "BiRefNet_config.BiRefNetConfig",
            "AutoModelForImageSegmentation": "birefnet.BiRefNet",
        },
        "bb_pretrained": False,
    },
    "isnet": {
        "architectures": ["BriaRMBG"],
        "auto_map": {
            "AutoConfig": "MyConfig.RMBGConfig",
            "AutoModelForImageSegmentation": "briarmbg.BriaRMBG",
        },
        "custom_pipelines": {
            "image-segmentation": {
                "impl": "MyPipe.RMBGPipe",
                "pt": ["AutoModelForImageSegmentation"],
                "type": "image",
            }
        },
        "model_type": "SegformerForSemanticSegmentation",
        "torch_dtype": "float32",
    },
}


def small_weights(folder: Path, family: str, *, without: str = "\0") -> Path:
    """model.safetensors of a small "birefnet" or "isnet"; names that end in `without` left out."""
    folder.mkdir(parents=True, exist_ok=True)
    network = NETWORKS[family](torch.float32)
    tensors = {
        name: value.contiguous()
        for name, value in network.state_dict().items()
        if not name.endswith(without)
    }
    path = folder / "model.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    return path


def released_folder(folder: Path, family: str) -> Path:
    """The weights and the released config.json."""
    small_weights(folder, family)
    (folder / "config.json").write_text(json.dumps(CONFIGS[family]), encoding="utf-8")
    return folder
