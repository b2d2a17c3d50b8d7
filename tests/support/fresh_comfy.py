"""A ComfyUI as a new user has it: no settings, keys, records or weights; and a Hub on this machine
that has a small network in the place of a released file."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors.torch import save

from rmbg_nodes.backends.local.released import RELEASED
from rmbg_nodes.tests.support import comfy_server
from rmbg_nodes.tests.support.comfy_server import Server, copy_pack, serving
from rmbg_nodes.tests.support.hub import Hub
from rmbg_nodes.tests.support.networks import small_birefnet

#: The model whose file the Hub has.
MODEL = "birefnet"
#: As ComfyUI's registry and `git clone` name the folder.
FOLDER = "rmbg-nodes"


def small_file() -> bytes:
    """A small network of BiRefNet's family, as a weight file."""
    state = small_birefnet().float().state_dict()
    return save({name: value.contiguous() for name, value in state.items()})


def hub_path() -> str:
    """Where the Hub has its released file."""
    row = next(row for row in RELEASED if row.model == MODEL)
    return f"/{row.repo}/resolve/{row.revision}/{row.file}"


def release(pack: Path, content: bytes) -> None:
    """Let a copy of the pack know this content as the released file of MODEL."""
    file = pack / "backends" / "local" / "released.py"
    row = next(row for row in RELEASED if row.model == MODEL)
    text = file.read_text(encoding="utf-8")
    assert f"{row.size:_}" in text
    text = text.replace(f"{row.size:_}", f"{len(content):_}", 1)  # others have this size too
    text = text.replace(row.sha256, hashlib.sha256(content).hexdigest())
    file.write_text(text, encoding="utf-8")


@contextmanager
def fresh(
    comfyui: Path, folder: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, **environment: str
) -> Iterator[Server]:
    """Start it; what the Hub has is what the pack knows as the released file of MODEL."""

    def copy(target: Path) -> None:
        copy_pack(target)
        release(target, hub.content)

    monkeypatch.setattr(comfy_server, "FOLDER", FOLDER)
    monkeypatch.setattr(comfy_server, "copy_pack", copy)
    (folder / "input").mkdir()
    shutil.copy(comfyui / "input" / "example.png", folder / "input")
    user = str(folder / "me")
    own = {"RMBG_DATA": user, "XDG_CONFIG_HOME": user, "HF_HOME": user, "HF_ENDPOINT": hub.url}
    for name in ("HF_TOKEN", "BRIA_API_TOKEN", "BRIA_API_KEY", "FAL_KEY", "REPLICATE_API_TOKEN"):
        own[name] = ""
    with serving(comfyui, folder, **(own | environment)) as running:
        yield running
