"""The package as a whole: how it is imported, named and started."""

# Pins the inside of config.invocation

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rmbg_nodes
from rmbg_nodes.tests.support.comfy_server import copy_pack

ROOT = Path(__file__).resolve().parent.parent

LOAD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location(
    {name!r}, {root!r} + "/__init__.py", submodule_search_locations=[{root!r}]
)
module = importlib.util.module_from_spec(spec)
sys.modules[{name!r}] = module
spec.loader.exec_module(module)
"""


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False
    )


def load(name: str) -> str:
    return LOAD.format(name=name, root=str(ROOT))


def test_importing_is_silent_and_loads_nothing_heavy(tmp_path: Path) -> None:
    heavy = ("torch", "numpy", "scipy", "PIL", "av", "comfy", "comfy_api", "socket", "aiohttp")
    code = (
        "import sys, os; before = set(sys.modules)\n"
        f"os.chdir({str(tmp_path)!r})\n"
        + load("rmbg_nodes")
        + f"print([name for name in {heavy!r} if name in set(sys.modules) - before])\n"
        "print(os.listdir('.'))"
    )
    result = run(code)
    assert result.stderr == ""
    assert result.stdout == "[]\n[]\n"


def test_importing_loads_two_files() -> None:
    """ComfyUI imports every pack before it shows anything: only the door and the version load."""
    code = "import importlib.util, sys, typing; before = set(sys.modules)\n" + load("rmbg_nodes")
    code += "print(sorted(set(sys.modules) - before))"
    assert run(code).stdout == "['rmbg_nodes', 'rmbg_nodes.version']\n"


def test_loading_by_path_leaves_no_second_name() -> None:
    ours = "[name for name in sys.modules if name.partition('.')[0] == 'rmbg_nodes']"
    code = load("/somewhere/my pack") + f"print({ours})"
    assert run(code).stdout == "[]\n"


def test_every_promised_name_is_there() -> None:
    for name in rmbg_nodes.__all__:
        assert getattr(rmbg_nodes, name) is not None
    with pytest.raises(AttributeError, match="opne_backend"):
        getattr(rmbg_nodes, "opne_backend")  # noqa: B009  # a typo that mypy would report


def test_errors_show_no_path_in_their_name() -> None:
    code = load("/somewhere/my pack") + (
        "error = module.LicenceRefused\nprint(error.__module__, error.__qualname__)"
    )
    assert run(code).stdout == "rmbg_nodes LicenceRefused\n"


def test_it_does_not_export_v1_mappings() -> None:
    assert not hasattr(rmbg_nodes, "NODE_CLASS_MAPPINGS")


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A copy of the package under a folder name with spaces, hyphens and a dot."""
    target = tmp_path / "my packs" / "comfyui-rmbg nodes 1.0"
    copy_pack(target)
    return target


def test_it_runs_uninstalled_from_any_folder(pack: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, str(pack), "backends"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "keyer" in result.stdout


def test_inside_comfyui_commands_name_interpreter_and_folder() -> None:
    code = load("/somewhere/my pack") + (
        "import importlib\n"
        "invocation = importlib.import_module('.config.invocation', '/somewhere/my pack')\n"
        "print(invocation.command('backends'))"
    )
    line = run(code).stdout
    assert sys.executable in line
    assert str(ROOT) in line
    assert line.endswith(" backends\n")


def test_installed_commands_are_short() -> None:
    from rmbg_nodes.config.invocation import command

    try:
        importlib.metadata.distribution("rmbg-nodes")
    except importlib.metadata.PackageNotFoundError:
        assert command("backends").endswith(" backends")
    else:
        assert command("backends") == "rmbg backends"


def test_requirements_add_nothing_to_comfyui() -> None:
    core = set((ROOT / "tests/data/comfyui-0.33-requirements.txt").read_text().split())
    wanted = [
        re.split(r"[<>=~!\[; ]", line)[0]
        for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert set(wanted) <= core
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    names = re.findall(r'"([\w-]+)', block.group(1))
    assert {name.lower() for name in names} <= core


def test_a_failed_picture_of_the_other_identity_keeps_its_reason() -> None:
    """The pack loaded by path and the installed package in one process, as in ComfyUI."""
    code = (
        load("rmbg_nodes")
        + load("/somewhere/my pack")
        + (
            "import importlib, torch\n"
            "name = '/somewhere/my pack'\n"
            "fake = importlib.import_module('.tests.support.fake_backend', name)\n"
            "pipeline = importlib.import_module('rmbg_nodes.pipeline.remove')\n"
            "load = lambda: torch.rand(16, 16, 3)\n"
            "inputs = [pipeline.Input(i, f'p{i}', load) for i in range(2)]\n"
            "results = pipeline.remove(inputs, fake.FakeLocal(failing=[1]), pipeline.Finishing())\n"
            "done, failed = results\n"
            "print(type(done).__name__, failed.failure.error)"
        )
    )
    result = run(code)
    assert result.stdout == "Done p1: the fake was told to fail here.\n", result.stderr
