"""`rmbg weights`, on small files and a loopback Hub; and where ComfyUI has its weights."""

# Pins the inside of backends.local.find
# Pins the inside of backends.local.released
# Pins the inside of cli.weights_command

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from rmbg_nodes.backends.local.find import SUFFIXES, find_weights
from rmbg_nodes.backends.local.released import Released
from rmbg_nodes.cli import main, weights_command
from rmbg_nodes.config.host import PlainHost
from rmbg_nodes.core.errors import (
    BadOption,
    LicenceRefused,
    Offline,
    RmbgError,
    WeightsMissing,
)
from rmbg_nodes.core.types import Host
from rmbg_nodes.tests.support.comfy_standin import Control, standing_in
from rmbg_nodes.tests.support.hub import Hub, serving

WHOLE = b"RMBG-2.0 in a few bytes" * 30
OPEN = b"BiRefNet, MIT-licensed" * 30


def row(model: str, repo: str, content: bytes, licence: str) -> Released:
    sha256 = hashlib.sha256(content).hexdigest()
    return Released(model, repo, "model.safetensors", len(content), sha256, licence, "float32")


ROWS = (
    row("rmbg-2.0", "briaai/RMBG-2.0", WHOLE, "bria-rmbg-2.0"),
    row("birefnet", "ZhengPeng7/BiRefNet", OPEN, "birefnet-mit"),
)
Command = Callable[..., int]


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    variables = {"RMBG_MODELS": str(tmp_path / "models"), "XDG_DATA_HOME": str(tmp_path / "data")}
    return PlainHost(variables, platform="linux")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(content=WHOLE, path="/briaai/RMBG-2.0/resolve/main/model.safetensors") as running:
        yield running


@pytest.fixture
def run(host: Host) -> Command:
    def command(*words: str, endpoint: str | None = None) -> int:
        parser = argparse.ArgumentParser()
        weights_command.add_arguments(parser)
        return weights_command.run(
            parser.parse_args(words), host=host, rows=ROWS, endpoint=endpoint
        )

    return command


def put(path: Path, content: bytes = WHOLE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_get_list_verify(run: Command, hub: Hub, tmp_path: Path, capsys) -> None:
    pytest.importorskip("huggingface_hub")
    assert run("list") == 0
    assert capsys.readouterr().out.count("missing") == 2
    assert run("get", "rmbg-2.0", "--accept-license", endpoint=hub.url) == 0
    path = tmp_path / "models/RMBG-2.0/model.safetensors"
    said = capsys.readouterr().out
    assert str(path) in said
    assert "CC BY-NC 4.0" in said
    assert run("list") == 0
    said = capsys.readouterr().out
    assert f"{path}: verified" in said
    assert said.count("missing") == 1
    assert run("verify", "rmbg-2.0") == 0
    assert f"{path}: RMBG-2.0 model.safetensors, verified" in capsys.readouterr().out


def test_get_to_a_folder_that_is_not_searched_says_so(run, hub: Hub, tmp_path, capsys) -> None:
    pytest.importorskip("huggingface_hub")
    elsewhere = tmp_path / "else where"
    words = ("get", "rmbg-2.0", "--accept-license", "--to", str(elsewhere))
    assert run(*words, endpoint=hub.url) == 0
    assert (elsewhere / "RMBG-2.0/model.safetensors").read_bytes() == WHOLE
    assert "RMBG_MODELS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "variables", "kind", "said"),
    [
        (("rmbg-2.0",), {}, LicenceRefused, "--accept-license"),
        (("rmbg-2.0", "--accept-license"), {"RMBG_OFFLINE": "1"}, Offline, "RMBG_OFFLINE"),
        (
            ("rmbg-2.0", "--accept-license", "--usage", "commercial"),
            {},
            LicenceRefused,
            "RMBG_BRIA_LICENCE",
        ),
        (
            ("rmbg-2.0", "--accept-license"),
            {"RMBG_USAGE": "commercial"},
            LicenceRefused,
            "non-commercial use only",
        ),
        (("rmbg-9", "--accept-license"), {}, BadOption, "rmbg-2.0, birefnet"),
    ],
)
def test_get_is_refused_before_a_socket_is_opened(
    run, monkeypatch, words, variables: dict[str, str], kind: type[RmbgError], said: str
) -> None:
    def blocked(*arguments: object, **options: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", blocked)
    monkeypatch.setattr(socket, "getaddrinfo", blocked)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(kind, match=said):
        run("get", *words)


def test_an_agreement_with_the_publisher_lets_it_through(run, hub: Hub, monkeypatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("RMBG_BRIA_LICENCE", "B-17")
    words = ("get", "rmbg-2.0", "--accept-license", "--usage", "commercial")
    assert run(*words, endpoint=hub.url) == 0


def test_list_tells_what_it_knows_without_reading(run: Command, tmp_path: Path, capsys) -> None:
    path = put(tmp_path / "models/RMBG-2.0/model.safetensors", WHOLE[::-1])
    short = put(tmp_path / "models/BiRefNet/model.safetensors", OPEN[:5])
    run("list")
    said = capsys.readouterr().out
    assert f"{path}: found, not verified yet" in said
    assert f"{short}: not the released file: another size" in said
    assert run("verify", "rmbg-2.0") == 1
    run("list")
    assert f"{path}: not the released file: another sha256" in capsys.readouterr().out


def test_list_as_json(run: Command, tmp_path: Path, capsys) -> None:
    path = put(tmp_path / "models/RMBG-2.0/model.safetensors")
    run("verify")
    capsys.readouterr()
    run("list", "--json")
    facts = json.loads(capsys.readouterr().out)
    assert [fact["model"] for fact in facts] == ["rmbg-2.0", "birefnet"]
    assert facts[0]["found"] == [{"path": str(path), "state": "verified"}]
    assert facts[1]["found"] == []


def test_verify_says_what_an_unknown_file_counts_as(run: Command, tmp_path: Path, capsys) -> None:
    own = put(tmp_path / "own.safetensors", b"my own")
    assert run("verify", str(own)) == 1
    said = capsys.readouterr().out
    assert "licence is not established" in said
    assert hashlib.sha256(b"my own").hexdigest() in said
    assert run("verify", str(put(tmp_path / "renamed.bin", OPEN))) == 0
    assert "BiRefNet model.safetensors, verified (MIT)" in capsys.readouterr().out


def test_verify_reads_again(run: Command, tmp_path: Path) -> None:
    path = put(tmp_path / "models/RMBG-2.0/model.safetensors")
    assert run("verify") == 0
    stamp = path.stat()
    path.write_bytes(WHOLE[::-1])
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert run("verify") == 1


def test_verify_with_nothing_there(run: Command, capsys) -> None:
    assert run("verify") == 1
    assert "weights list" in capsys.readouterr().out
    with pytest.raises(WeightsMissing, match="neither a file nor a model"):
        run("verify", "nowhere.safetensors")


def test_convert(run: Command, tmp_path: Path, capsys) -> None:
    torch.save({"module.a": torch.ones(1000)}, tmp_path / "w.pth")
    target = tmp_path / "w.safetensors"
    assert run("convert", str(tmp_path / "w.pth"), str(target), "--fp16") == 0
    said = capsys.readouterr().out
    assert "1 tensors" in said
    assert "The weights keep their licence (not established)" in said
    assert f'(sha256 = "{hashlib.sha256(target.read_bytes()).hexdigest()}")' in said
    assert target.stat().st_size < 2200


def test_the_command_line_knows_it(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert main(["weights", "list"]) == 0
    assert "884.9 MB" in capsys.readouterr().out
    assert main(["weights", "get", "rmbg-2.0"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("rmbg: The weights of RMBG-2.0 are BRIA AI's")
    assert "weights get rmbg-2.0 --accept-license" in said


@pytest.fixture
def comfy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Control]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with standing_in(tmp_path / "ComfyUI") as control:
        yield control


def test_comfyui_has_the_key_with_suffixes(comfy: Control) -> None:
    module = importlib.import_module("rmbg_nodes.nodes.comfy_host")
    folder_paths = importlib.import_module("folder_paths")
    host = module.ComfyHost()
    folder = comfy.base / "models" / "background_removal"
    assert host.model_folders()[0] == folder
    assert folder_paths.folder_names_and_paths["background_removal"] == ([str(folder)], {*SUFFIXES})
    module.ComfyHost()
    assert folder_paths.get_folder_paths("background_removal") == [str(folder)]
    assert not comfy.base.exists(), "no folder is made"
    # One journal of paid work for ComfyUI and the command line alike.
    assert host.data_folder() == PlainHost().data_folder()


def test_a_newer_comfyui_keeps_its_own_suffixes(comfy: Control) -> None:
    folder_paths = importlib.import_module("folder_paths")
    folder_paths.folder_names_and_paths["background_removal"] = (["/own"], {".safetensors"})
    host = importlib.import_module("rmbg_nodes.nodes.comfy_host").ComfyHost()
    assert host.model_folders()[0] == Path("/own")
    assert folder_paths.folder_names_and_paths["background_removal"][1] == {".safetensors"}


@pytest.mark.parametrize("key", ["background_removal", "RMBG", "rmbg", "rembg", "BiRefNet"])
def test_extra_model_paths_are_searched(comfy: Control, tmp_path: Path, key: str) -> None:
    """ComfyUI reads the file before it loads packs, and registers any key."""
    folder_paths = importlib.import_module("folder_paths")
    folder_paths.add_model_folder_path(key, str(tmp_path / "nas"))
    path = put(tmp_path / "nas/RMBG-2.0/model.safetensors")
    host = importlib.import_module("rmbg_nodes.nodes.comfy_host").ComfyHost()
    assert find_weights("rmbg-2.0", host, rows=ROWS).path == path


@pytest.mark.parametrize(
    "place",
    [
        "ComfyUI/models/background_removal/rmbg2.safetensors",
        "ComfyUI/models/RMBG/RMBG-2.0/model.safetensors",
        "ComfyUI/models/rembg/RMBG-2.0.safetensors",
        "ComfyUI/models/BiRefNet/RMBG-2.0/model.safetensors",
        "ComfyUI/models/RMBG-2.0/model.safetensors",
        "data/rmbg-nodes/models/RMBG-2.0/model.safetensors",  # what the command line fetched
    ],
)
def test_other_packs_folders_are_searched(comfy: Control, tmp_path: Path, place: str) -> None:
    path = put(tmp_path / place)
    host = importlib.import_module("rmbg_nodes.nodes.comfy_host").ComfyHost()
    assert find_weights("rmbg-2.0", host, rows=ROWS).path == path
