"""What pip gets: the sdist of this checkout, the wheel made of the sdist, and the wheel at work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import rmbg_nodes

pytestmark = pytest.mark.whole

pytest.importorskip("setuptools", minversion="77", reason="the build needs setuptools 77")

ROOT = Path(__file__).resolve().parent.parent
LEFT_BEHIND = {"__pycache__", "build", "dist", "demo-output", "test-output"}
DOTTED = {".ci", ".github", ".gitignore", ".comfyignore"}
SHOWN = ("workflows", "locales", "web")  # what ComfyUI shows, where the checkout has it
BUILD = "import sys; from setuptools import build_meta; print(build_meta.{hook}(sys.argv[1]))"


@dataclass(frozen=True)
class Built:
    """Both distributions and what they were made of; names in the sdist are without its folder."""

    checkout: Path
    wheel: Path
    in_wheel: frozenset[str]
    in_sdist: frozenset[str]


def run(command: Sequence[str | Path], folder: Path, **variables: str) -> str:
    # Nothing of the checkout is in reach: no PYTHONPATH, and another working directory.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**env, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result.stdout


def built_by(hook: str, tree: Path, target: Path) -> Path:
    """Call the build backend as pip does, offline. Its last line is the file's name."""
    code = BUILD.format(hook=hook)
    return target / run([sys.executable, "-c", code, target], tree).splitlines()[-1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    work = tmp_path_factory.mktemp("build")
    shutil.copytree(
        ROOT,
        work / "checkout",
        ignore=lambda folder, names: [
            name
            for name in names
            if name in LEFT_BEHIND
            or name.endswith((".egg-info", ".pyc"))
            or (name.startswith(".") and name not in DOTTED)
        ],
    )
    sdist = built_by("build_sdist", work / "checkout", work)
    with tarfile.open(sdist) as archive:
        # Python 3.12 and 3.13 warn without a filter; the oldest know none.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(work / "sdist")
    (tree,) = (work / "sdist").iterdir()
    wheel = built_by("build_wheel", tree, work)
    files = (path for path in tree.rglob("*") if path.is_file())
    return Built(
        work / "checkout",
        wheel,
        frozenset(zipfile.ZipFile(wheel).namelist()),
        frozenset(path.relative_to(tree).as_posix() for path in files),
    )


def files_under(checkout: Path, *folders: str) -> set[str]:
    """The files of these folders, by their path in the checkout."""
    return {
        path.relative_to(checkout).as_posix()
        for folder in folders
        for path in (checkout / folder).rglob("*")
        if path.is_file()
    }


def packages() -> list[str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^packages = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    return re.findall(r'"(rmbg_nodes[\w.]*)"', block.group(1))


def test_the_wheel_holds_every_module_and_all_that_comfyui_shows(built: Built) -> None:
    ours = {name for name in built.in_wheel if name.startswith("rmbg_nodes/")}
    modules = {
        f"{package.replace('.', '/')}/{path.name}"
        for package in packages()
        for path in built.checkout.joinpath(*package.split(".")[1:]).glob("*.py")
    }
    shown = {f"rmbg_nodes/{name}" for name in files_under(built.checkout, *SHOWN)}
    assert "rmbg_nodes/workflows/start-here.json" in shown
    assert ours == modules | shown | {"rmbg_nodes/py.typed"}


def test_the_wheel_holds_nothing_else_but_its_metadata(built: Built) -> None:
    others = {name for name in built.in_wheel if not name.startswith("rmbg_nodes/")}
    assert {name.split("/")[0] for name in others} == {
        f"rmbg_nodes-{rmbg_nodes.__version__}.dist-info"
    }
    assert any(name.endswith("/licenses/LICENSE") for name in others)


def test_the_sdist_holds_what_its_tests_and_checks_need(built: Built) -> None:
    folders = ("tests", "bench", "docs", "scripts", "typings", "assets", *SHOWN)
    assert files_under(built.checkout, *folders) - built.in_sdist == set()
    single = "LICENSE README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md THIRD_PARTY.md Makefile "
    single += "constraints.txt requirements.txt pyproject.toml .comfyignore .ci/run"
    assert set(single.split()) - built.in_sdist == set()
    assert not [name for name in built.in_sdist if name.endswith(".pyc")]


def test_the_installed_wheel_runs(built: Built, tmp_path: Path) -> None:
    pytest.importorskip("pip")
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    run([*install, "--no-compile", "--target", str(target), str(built.wheel)], tmp_path)
    seen = {"PYTHONPATH": str(target)}
    where = run(
        [sys.executable, "-c", "import rmbg_nodes; print(rmbg_nodes.__file__)"], tmp_path, **seen
    )
    assert Path(where.strip()).parent == target / "rmbg_nodes"
    version = f"rmbg-nodes {rmbg_nodes.__version__}"
    assert (
        run([sys.executable, "-m", "rmbg_nodes", "--version"], tmp_path, **seen) == version + "\n"
    )
    script = shutil.which("rmbg", path=str(target / "bin"))
    assert script is not None
    assert "keyer" in run([script, "backends"], tmp_path, **seen)
    cut = (
        "import torch, rmbg_nodes\n"
        "image = torch.ones(1, 64, 64, 3)\n"
        "image[:, 20:44, 20:44] = torch.tensor([0.8, 0.1, 0.2])\n"
        "mask = rmbg_nodes.remove_background(image, backend='keyer').mask\n"
        "print(tuple(mask.shape), float(mask[0, 32, 32]), float(mask[0, 2, 2]))\n"
    )
    assert run([sys.executable, "-c", cut], tmp_path, **seen) == "(1, 64, 64) 1.0 0.0\n"
