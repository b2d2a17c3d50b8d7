"""Weights loaded through transformers pass the licence gate of the local backend."""

# Pins the inside of backends.local.released

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from rmbg_nodes.backends.local.released import RELEASED
from rmbg_nodes.catalogue.backends import find
from rmbg_nodes.config.settings import read_settings
from rmbg_nodes.core.errors import LicenceRefused
from rmbg_nodes.pipeline.gate import allow
from rmbg_nodes.tests.support.released_folder import NETWORKS, small_weights

pytestmark = pytest.mark.whole

transformers = pytest.importorskip("transformers", minversion="5.0", reason="needs transformers 5")
hf = pytest.importorskip("rmbg_nodes.hf")
Auto = transformers.AutoModelForImageSegmentation


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small IS-Net of unknown licence."""
    return hf.complete_folder(small_weights(tmp_path / "RMBG", "isnet"))


@pytest.fixture
def known_as(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Let the file stand for the released one of a model; returns its sha256."""

    def make(model: str) -> str:
        digest = sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        row = next(row for row in RELEASED if row.model == model)
        monkeypatch.setattr("rmbg_nodes.hf.licence.RELEASED", (replace(row, sha256=digest),))
        return digest

    return make


def refusal_of(model: str, digest: str) -> str:
    """What the local backend's gate says of the same file."""
    with pytest.raises(LicenceRefused) as refused:
        allow(replace(find(f"local/{model}"), weights_sha256=digest), None, read_settings())
    return str(refused.value)


@pytest.mark.parametrize("model", ["rmbg-1.4", "rmbg-2.0", "birefnet"])
def test_commercial_use_is_refused_in_the_same_words(folder, known_as, monkeypatch, model) -> None:
    digest = known_as(model)
    Auto.from_pretrained(folder)  # non-commercial by default
    monkeypatch.setenv("RMBG_USAGE", "commercial")
    for load in (Auto.from_pretrained, hf.RmbgIsNet.from_pretrained, as_pipeline):
        with pytest.raises(LicenceRefused) as refused:
            load(folder)
        assert str(refused.value) == refusal_of(model, digest)


def as_pipeline(folder: Path) -> object:
    return transformers.pipeline("image-segmentation", model=str(folder))


@pytest.mark.parametrize(
    ("model", "variable"),
    [("rmbg-1.4", "RMBG_BRIA_LICENCE"), ("birefnet", "RMBG_ACCEPT_DATA_TERMS")],
)
def test_what_opens_the_gate_opens_this_one(folder, known_as, monkeypatch, model, variable) -> None:
    known_as(model)
    monkeypatch.setenv("RMBG_USAGE", "commercial")
    monkeypatch.setenv(variable, "1")
    assert isinstance(Auto.from_pretrained(folder), hf.RmbgIsNet)


def test_nothing_is_read_of_what_is_refused(folder, known_as, monkeypatch) -> None:
    known_as("rmbg-1.4")
    monkeypatch.setenv("RMBG_USAGE", "commercial")

    def read(*_: object) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(transformers.PreTrainedModel, "_load_pretrained_model", staticmethod(read))
    with pytest.raises(LicenceRefused):
        Auto.from_pretrained(folder)


def in_shards(folder: Path) -> object:
    shards = folder / "shards"
    Auto.from_pretrained(folder).save_pretrained(shards, max_shard_size="20KB")
    assert len(list(shards.glob("*.safetensors"))) > 1
    return shards


def a_state_dict(folder: Path) -> dict[str, Any]:
    weights = load_file(folder / "model.safetensors")
    config = hf.config_of(NETWORKS["isnet"](torch.float32).state_dict())
    return {"pretrained_model_name_or_path": None, "config": config, "state_dict": weights}


def test_weights_that_are_not_known_count_as_non_commercial(folder, monkeypatch) -> None:
    shards, given = in_shards(folder), a_state_dict(folder)
    loads: list[Callable[[], object]] = [
        lambda: Auto.from_pretrained(folder),
        lambda: Auto.from_pretrained(shards),
        lambda: hf.RmbgIsNet.from_pretrained(**given),
    ]
    for load in loads:
        assert load() is not None
    monkeypatch.setenv("RMBG_USAGE", "commercial")
    for load in loads:
        with pytest.raises(LicenceRefused, match="not established"):
            load()


def test_a_file_of_ones_own_is_what_its_row_says(folder, tmp_path, monkeypatch) -> None:
    digest = sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    rows = tmp_path / "settings.toml"
    rows.write_text(
        f'[[weights]]\nsha256 = "{digest}"\nname = "Mine"\nlicence = "MIT"\n'
        'source = "our own"\ncommercial = true\ndata_terms = "open"\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("RMBG_SETTINGS", str(rows))
    monkeypatch.setenv("RMBG_USAGE", "commercial")
    assert isinstance(Auto.from_pretrained(folder), hf.RmbgIsNet)


def test_a_loading_that_shows_no_file_counts_as_unknown(folder, known_as, monkeypatch) -> None:
    """Should transformers load in another way one day, nothing passes by the gate."""
    known_as("rmbg-1.4")
    monkeypatch.delattr("rmbg_nodes.hf.modeling._RmbgModel._load_pretrained_model")
    Auto.from_pretrained(folder)
    monkeypatch.setenv("RMBG_USAGE", "commercial")
    monkeypatch.setenv("RMBG_BRIA_LICENCE", "A-1")
    with pytest.raises(LicenceRefused, match="not established"):
        Auto.from_pretrained(folder)
