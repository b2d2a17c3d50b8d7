"""`rmbg doctor`: on a bare machine, a badly configured one, and one with weights."""

# Pins the inside of backends.local.released
# Pins the inside of cli.doctor.checkup
# Pins the inside of cli.doctor.trials
# Pins the inside of cli.doctor_command
# Pins the inside of config.keys

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from rmbg_nodes.backends.local.released import Released
from rmbg_nodes.catalogue.backends import BACKENDS, DEFAULT_IDS
from rmbg_nodes.cli import main
from rmbg_nodes.cli.doctor.checkup import scrubbed
from rmbg_nodes.cli.doctor.trials import (
    WeightFile,
    choice_rows,
    known_scene,
    reason_against,
    try_backend,
    weight_files,
)
from rmbg_nodes.cli.doctor_command import run
from rmbg_nodes.config.host import PlainHost
from rmbg_nodes.config.keys import set_key
from rmbg_nodes.config.settings import VARIABLES, Settings
from rmbg_nodes.core.types import Resident
from rmbg_nodes.tests.support.networks import small_isnet

pytestmark = pytest.mark.whole

ROOT = Path(__file__).resolve().parent.parent
KEYS = ("BRIA_API_TOKEN", "BRIA_API_KEY", "FAL_KEY", "REPLICATE_API_TOKEN", "HF_TOKEN")


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine where nothing is set up, with a home of its own."""
    return {"XDG_DATA_HOME": str(tmp_path / "data"), "HF_HOME": str(tmp_path / "hf")}


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


def report(capsys: pytest.CaptureFixture[str], environment: dict[str, str], **options: Any) -> Any:
    arguments = argparse.Namespace(json=True, spend=options.pop("spend", False))
    status = run(arguments, environment=environment, **options)
    data = json.loads(capsys.readouterr().out)
    assert status == (1 if data["problems"] else 0)
    return data


def trials(data: Any) -> dict[str, Any]:
    return {trial["backend"]: trial for trial in data["trials"]}


@pytest.fixture
def weights(tmp_path: Path) -> tuple[Path, Released]:
    """A small network's file where a user would put RMBG-1.4, and the row it is released by."""
    path = tmp_path / "models" / "RMBG-1.4" / "model.safetensors"
    path.parent.mkdir(parents=True)
    tensors = small_isnet().float().state_dict().items()
    save_file({name: value.contiguous() for name, value in tensors}, path)
    content = path.read_bytes()
    row = Released(
        "rmbg-1.4",
        "briaai/RMBG-1.4",
        "model.safetensors",
        len(content),
        hashlib.sha256(content).hexdigest(),
        "bria-rmbg-1.4",
        "float32",
    )
    return path, row


@pytest.mark.usefixtures("no_sockets")
def test_a_bare_machine_offline(
    bare: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in bare.items():
        monkeypatch.setenv(name, value)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for title in ("Versions", "Settings", "Keys", "Device", "Weights", "Problems"):
        assert f"\n{title}" in out
    (line,) = [line for line in out.splitlines() if line.startswith("  keyer")]
    assert "works" in line
    assert "on cpu" in line
    assert re.search(r"^  fal/rmbg-3\.0 +not tried: no key is set$", out, re.MULTILINE)
    assert "FAL_KEY not set" in out
    assert "precision auto" in out


def test_the_precision_that_pays_on_a_cpu_is_named(bare: dict[str, str]) -> None:
    class Timed(PlainHost):
        def slowdown(self, dtype: torch.dtype) -> float:
            return {torch.bfloat16: 0.31, torch.float16: 25.4}.get(dtype, 1.0)

    rows = choice_rows(Timed({**bare, "RMBG_DEVICE": "cpu"}))
    assert rows["precision auto"] == "float32"
    assert rows["precision bfloat16"].startswith("pays, 0.31 times as long as float32")
    assert rows["precision float16"].startswith("refused, 25 times as long as float32")
    assert list(choice_rows(Timed({**bare, "RMBG_DEVICE": "meta"}))) == ["used", "precision auto"]


@pytest.mark.usefixtures("no_sockets")
def test_no_label_runs_into_its_fact(
    bare: dict[str, str],
    weights: tuple[Path, Released],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, row = weights
    environment = {**bare, "RMBG_MODELS": str(path.parent.parent)}
    run(argparse.Namespace(json=False, spend=False), rows=[row], environment=environment)
    out = capsys.readouterr().out
    labels = [*VARIABLES, "HF_TOKEN", str(path), *BACKENDS]
    for label in labels:
        assert re.search(rf"^  {re.escape(label)}  +\S", out, re.MULTILINE), label


@pytest.mark.usefixtures("no_sockets")
def test_every_backend_is_answered_for(
    bare: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    data = report(capsys, bare)
    assert list(trials(data)) == list(BACKENDS)
    assert trials(data)["keyer"]["iou"] > 0.9
    assert trials(data)["keyer"]["seconds"] > 0
    assert trials(data)["local/rmbg-2.0"]["words"] == "no verified weights were found"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RMBG_USAGE", "comercial"),
        ("RMBG_BACKEND", "bria/rmbg-9"),
        ("RMBG_OFFLINE", "maybe"),
        ("RMBG_DEVICE", "warp:3"),
        ("RMBG_OFLINE", "1"),
        ("RMBG_JOB_TIMEOUT", "soon"),
        ("RMBG_FAL_IN_FLIGHT", "0"),
    ],
)
def test_a_wrong_setting_is_reported_and_the_rest_goes_on(
    name: str, value: str, bare: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    data = report(capsys, {**bare, name: value, "RMBG_MODELS": "/nowhere"})
    assert any(name in problem for problem in data["problems"])
    assert trials(data)["keyer"]["state"] == "works"
    assert data["sections"]["Settings"]["RMBG_MODELS"] == "/nowhere"
    assert "CPU" in data["sections"]["Device"]


def test_no_value_of_a_key_is_shown(
    bare: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    values = {name: f"secret-{number}-of-mine" for number, name in enumerate(KEYS)}
    values["RMBG_BRIA_LICENCE"] = "agreement-4711"
    pasted = {"RMBG_BACKEND": values["FAL_KEY"]}
    for as_json in (False, True):
        run(argparse.Namespace(json=as_json, spend=False), environment={**bare, **values, **pasted})
        said = "".join(capsys.readouterr())
        assert not [value for value in values.values() if value in said]
        assert "[FAL_KEY]" in said
        assert "BRIA_API_TOKEN set" in said


def test_a_key_in_the_wrong_variable_and_a_password_are_not_shown(
    bare: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    key = "r8_abcdefghijklmnopqrstuvwxyz0123456789"
    wrong = dict.fromkeys(("RMBG_DEVICE", "RMBG_DATA", "RMBG_USAGE", "RMBG_OFFLINE"), key)
    wrong["RMBG_BRIA_URL"] = "https://user:hunter2@gateway.example"
    for as_json in (False, True):
        run(argparse.Namespace(json=as_json, spend=False), environment={**bare, **wrong})
        said = "".join(capsys.readouterr())
        assert "RMBG_USAGE" in said
        assert key not in said
        assert "hunter2" not in said


def test_keys_of_the_key_file_count(
    bare: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {**bare, "XDG_CONFIG_HOME": str(tmp_path / "config"), "FAL_KEY": "f" * 20}
    for profile, name in (("", "bria"), ("studio", "bria"), ("", "fal")):
        path = set_key(BACKENDS[DEFAULT_IDS[name]], "k" * 20, profile, environment=environment)
    keys = report(capsys, environment)["sections"]["Keys"]
    assert keys["bria/rmbg-2.0"] == (
        "BRIA_API_TOKEN set in the key file, BRIA_API_TOKEN set in the key file as studio, "
        "BRIA_API_KEY not set"
    )
    assert keys["fal/rmbg-2.0"] == "FAL_KEY set, FAL_KEY set in the key file"
    path.write_text("not a key file")
    data = report(capsys, environment)
    assert data["sections"]["Keys"] == {"key file": "cannot be read"}
    assert any(path.name in problem for problem in data["problems"])


def test_the_home_folder_is_a_tilde(tmp_path: Path) -> None:
    text = f"{tmp_path}/models/x and {tmp_path.parent}/other"
    assert scrubbed(text, {}, tmp_path) == f"~/models/x and {tmp_path.parent}/other"
    assert scrubbed("/srv/models", {}, Path("/")) == "/srv/models"
    assert scrubbed("torch 2.13", {"HF_TOKEN": "1"}, Path("/")) == "torch 2.13"


@pytest.mark.usefixtures("no_sockets")
def test_found_weights_are_verified_and_tried(
    weights: tuple[Path, Released], bare: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path, row = weights
    environment = {**bare, "RMBG_MODELS": str(path.parent.parent), "RMBG_DEVICE": "cpu"}
    data = report(capsys, environment, rows=[row])
    (words,) = data["sections"]["Weights"].values()
    assert words == f"RMBG-1.4, verified, sha256 {row.sha256}"
    trial = trials(data)["local/rmbg-1.4"]
    assert trial["device"] == "cpu, float32"
    assert trial["whole"] > trial["seconds"] > 0
    # Synthetic weights know no subject, and the doctor notices.
    assert trial["iou"] < 0.5
    assert trial["state"] == "wrong"
    assert "local/rmbg-1.4" in data["problems"][0]


def test_weights_that_are_not_the_released_ones_are_not_tried(
    weights: tuple[Path, Released], bare: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path, row = weights
    environment = {**bare, "RMBG_MODELS": str(path.parent.parent)}
    for other, words in (
        (replace(row, sha256="0" * 64), "another sha256"),
        (replace(row, size=7), "another size"),
    ):
        data = report(capsys, environment, rows=[other])
        assert words in "".join(data["sections"]["Weights"].values())
        assert trials(data)["local/rmbg-1.4"]["state"] == "not tried"


@pytest.mark.usefixtures("no_sockets")
def test_a_file_of_ones_own_is_tried(
    weights: tuple[Path, Released],
    bare: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, _ = weights
    for name, value in bare.items():
        monkeypatch.setenv(name, value)
    given = ["--option", f"weights={path}", "--option", "resolution=256"]
    assert main(["doctor", "--json", *given]) == 1
    data = json.loads(capsys.readouterr().out)
    assert list(trials(data)) == ["local", *BACKENDS]
    own = trials(data)["local"]
    assert own["state"] == "wrong"  # synthetic weights know no subject
    assert own["words"].startswith("IS-Net, model.safetensors; it answers")
    assert own["seconds"] > 0
    assert trials(data)["local/rmbg-2.0"]["state"] == "not tried"
    assert main(["doctor", "--json", "--option", f"weights={path.parent}/none"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert "There is no file" in trials(data)["local"]["words"]
    assert main(["doctor", "--option", "wieghts=x"]) == 2
    assert "wieghts" in capsys.readouterr().err


def test_the_licence_gate_holds_here_too(
    weights: tuple[Path, Released], bare: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path, row = weights
    environment = {**bare, "RMBG_MODELS": str(path.parent.parent), "RMBG_USAGE": "commercial"}
    data = report(capsys, environment, rows=[row])
    assert trials(data)["local/rmbg-1.4"]["state"] == "not tried"
    assert "licence" in trials(data)["local/rmbg-1.4"]["words"]
    assert data["problems"] == []


def test_comfyuis_models_are_looked_through(
    weights: tuple[Path, Released], bare: dict[str, str], tmp_path: Path
) -> None:
    path, row = weights
    pack = tmp_path / "custom_nodes" / "pack"
    (found,) = weight_files(PlainHost(bare), [row], bare, package=pack)
    assert (found.path, found.verified) == (path, True)
    assert weight_files(PlainHost(bare), [row], bare, package=tmp_path / "src" / "pack") == []


def test_money_is_spent_only_when_asked() -> None:
    hosted = replace(BACKENDS["fal/rmbg-2.0"], key_variables=("FAKE_KEY",))
    key = {"FAKE_KEY": "x"}
    assert reason_against(hosted, [], {}, spend=True) == "no key is set"
    assert "0.018 USD" in reason_against(hosted, [], key, spend=False)
    assert reason_against(hosted, [], key, spend=True) == ""
    for spec in BACKENDS.values():
        if spec.location == "hosted":
            key = dict.fromkeys(spec.key_variables, "x")
            assert reason_against(spec, [], key, spend=False) != ""
            assert reason_against(spec, [], key, spend=True) == ""


@pytest.mark.usefixtures("no_sockets")
def test_offline_goes_before_spend(bare: dict[str, str]) -> None:
    trial = try_backend(
        BACKENDS["fal/rmbg-2.0"], known_scene(), [], Settings(offline=True), PlainHost(bare)
    )
    assert trial.state == "not tried"
    assert "RMBG_OFFLINE" in trial.words


def test_a_damaged_file_is_a_line_of_the_report(bare: dict[str, str], tmp_path: Path) -> None:
    damaged = tmp_path / "model.safetensors"
    damaged.write_bytes(b"not safetensors at all")
    file = WeightFile("rmbg-2.0", "RMBG-2.0", damaged, "", "verified")
    spec = BACKENDS["local/rmbg-2.0"]
    trial = try_backend(spec, known_scene(), [file], Settings(), PlainHost(bare))
    assert trial.state == "failed"
    assert "model.safetensors" in trial.words


def test_a_device_that_breaks_is_a_line_of_the_report(
    weights: tuple[Path, Released], bare: dict[str, str]
) -> None:
    class Broken(PlainHost):
        def adopt(self, network: nn.Module) -> Resident:
            raise RuntimeError("no kernel image is available")

    file = WeightFile("rmbg-1.4", "RMBG-1.4", weights[0], "", "verified")
    spec = BACKENDS["local/rmbg-1.4"]
    trial = try_backend(spec, known_scene(), [file], Settings(), Broken(bare))
    assert trial.state == "failed"
    assert trial.words == "RuntimeError: no kernel image is available"


def test_without_torch_there_is_still_a_report(bare: dict[str, str]) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import importlib.util\n"
        f"spec = importlib.util.spec_from_file_location('rmbg_nodes', {str(ROOT)!r} + "
        f"'/__init__.py', submodule_search_locations=[{str(ROOT)!r}])\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "sys.modules['rmbg_nodes'] = module\n"
        "spec.loader.exec_module(module)\n"
        "from rmbg_nodes.cli import main\n"
        "raise SystemExit(main(['doctor']))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **bare},
        check=False,
    )
    assert result.returncode == 1
    assert "cannot be loaded (" in result.stdout
    assert "torch" in result.stdout.partition("Problems")[2]
    assert "Keys" in result.stdout
    assert "Traceback" not in result.stderr
