"""What ComfyUI's registry and PyPI are told. `comfy node validate` passes even an empty pack."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rmbg_nodes

tomllib = pytest.importorskip("tomllib", reason="tomllib came with Python 3.11")

ROOT = Path(__file__).resolve().parent.parent
TABLE: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = TABLE["project"]
COMFY: dict[str, Any] = TABLE["tool"]["comfy"]
REPOSITORY = "https://github.com/rmbg-nodes/rmbg-nodes"
RAW = "https://raw.githubusercontent.com/rmbg-nodes/rmbg-nodes/main/"
IGNORED = [
    line
    for line in (ROOT / ".comfyignore").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def local(url: str) -> Path:
    """The file of this checkout that an address in the repository names."""
    tail = re.sub(r"^(tree|blob)/main/", "", url.removeprefix(RAW).removeprefix(f"{REPOSITORY}/"))
    return ROOT / tail


def test_the_name_obeys_the_registry() -> None:
    name = PROJECT["name"]
    assert len(name) < 100
    assert re.fullmatch(r"[A-Za-z]+([-_.][A-Za-z0-9]+)*", name)
    assert "comfyui" not in name.lower()


def test_version_python_licence_and_description() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", PROJECT["version"])
    assert PROJECT["version"] == rmbg_nodes.__version__
    assert PROJECT["requires-python"] == ">=3.10"
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / PROJECT["license-files"][0]).read_text(encoding="utf-8")
    assert 40 < len(PROJECT["description"]) < 200
    assert (ROOT / PROJECT["readme"]).is_file()


def test_classifiers_say_all_systems_and_no_accelerator() -> None:
    classifiers = PROJECT["classifiers"]
    assert "Operating System :: OS Independent" in classifiers
    # The frontend warns on every accelerator that is not named, once one is; the CPU has no name.
    assert not [row for row in classifiers if row.startswith("Environment ::")]
    # Refused by setuptools beside a licence expression.
    assert not [row for row in classifiers if row.startswith("License ::")]


def test_no_dependency_bounds_the_frontend_or_is_a_pin() -> None:
    for row in PROJECT["dependencies"]:
        assert "==" not in row
        assert not row.startswith("comfyui-frontend-package")


def test_links_lead_into_the_repository() -> None:
    urls = PROJECT["urls"]
    assert urls["Repository"] == REPOSITORY
    assert urls["Issues"] == urls["Bug Tracker"] == f"{REPOSITORY}/issues"
    for name in ("Documentation", "Changelog"):
        assert urls[name].startswith(f"{REPOSITORY}/")
        assert local(urls[name]).exists(), urls[name]


def test_the_registry_table_has_known_fields_only() -> None:
    # No "web": WEB_DIRECTORY serves the help pages under the pack's own name. No "Models": nothing
    # is fetched unless the user asks.
    known = {"PublisherId", "DisplayName", "Icon", "Banner", "requires-comfyui"}
    assert set(COMFY) == known
    assert re.fullmatch(r"[a-z][a-z0-9-]*", COMFY["PublisherId"])
    assert 0 < len(COMFY["DisplayName"]) <= 50


def test_the_oldest_comfyui_is_one_statement() -> None:
    oldest = re.fullmatch(r">=(\d+\.\d+\.\d+)", COMFY["requires-comfyui"])
    assert oldest is not None
    entrypoint = (ROOT / "nodes" / "__init__.py").read_text(encoding="utf-8")
    assert f'OLDEST = "{oldest[1]}"' in entrypoint


@pytest.mark.parametrize(
    ("field", "ratio", "widest", "bytes_at_most"),
    [("Icon", 1.0, 400, 50_000), ("Banner", 21 / 9, 2100, 200_000)],
)
def test_pictures_have_the_shape_that_is_asked_for(
    field: str, ratio: float, widest: int, bytes_at_most: int
) -> None:
    url = COMFY[field]
    assert url.startswith(RAW)
    path = local(url)
    assert path.suffix == ".png"
    with Image.open(path) as picture:
        width, height = picture.size
    assert width / height == pytest.approx(ratio)
    assert width <= widest
    assert path.stat().st_size <= bytes_at_most


@pytest.mark.parametrize("name", ["icon", "banner"])
def test_pictures_are_those_that_the_script_draws(name: str, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("draw_brand", ROOT / "scripts/draw_brand.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(tmp_path)
    drawn, kept = (
        np.asarray(Image.open(folder / f"{name}.png").convert("RGBA"), np.int16)
        for folder in (tmp_path, ROOT / "assets")
    )
    assert np.abs(drawn - kept).mean() < 1.0  # Pillow's versions differ by a pixel at an edge


def test_the_archive_leaves_out_only_what_users_do_not_need() -> None:
    for line in IGNORED:
        assert re.fullmatch(r"/[\w./-]+", line), f"{line}: one path from the root, no pattern"
        assert (ROOT / line.strip("/")).exists(), f"{line} is not there"
        assert line.endswith("/") == (ROOT / line.strip("/")).is_dir(), line
    ignored = {line.strip("/") for line in IGNORED}
    packages = {
        name.partition(".")[2].split(".")[0] for name in TABLE["tool"]["setuptools"]["packages"]
    }
    needed = {"workflows", "locales", "web", "docs", "LICENSE", "README.md", "THIRD_PARTY.md"}
    needed |= {"requirements.txt", "pyproject.toml", "CHANGELOG.md", "SECURITY.md"} | packages
    assert not ignored & needed
    assert not [path for path in ignored if path.endswith(".py")]
    assert ignored >= {"tests", "bench", "typings", ".github"}


def test_our_lint_includes_the_registrys() -> None:
    """`comfy node validate` looks for exec, eval and several statements on a line."""
    lint = TABLE["tool"]["ruff"]["lint"]
    assert {"S102", "S307", "E702"} <= set(lint["select"])
    assert not {"S102", "S307", "E702"} & set(sum(lint["per-file-ignores"].values(), []))


def test_publishing_happens_on_a_tag_and_with_few_rights() -> None:
    text = (ROOT / ".github/workflows/publish.yml").read_text(encoding="utf-8")
    trigger = text[text.index("\non:") : text.index("\njobs:")]
    assert re.search(r"push:\n +tags: \[", trigger)
    assert not re.search(r"branches|pull_request|workflow_dispatch|schedule", trigger)
    assert "permissions: {}" in trigger
    assert sorted(set(re.findall(r"([\w-]+): write", text))) == ["id-token", "issues"]
    assert re.findall(r"secrets\.(\w+)", text) == ["REGISTRY_ACCESS_TOKEN"]


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda path: path.name
)
def test_actions_are_pinned_by_version(path: Path) -> None:
    uses = re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8"))
    assert uses
    for action in uses:
        assert re.fullmatch(r"[\w./-]+@v\d+(\.\d+)*", action), action


def test_a_bug_report_asks_for_the_doctor() -> None:
    text = (ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text(encoding="utf-8")
    assert re.search(r"label: The output of `rmbg doctor`.*?required: true", text, re.DOTALL)


def test_the_security_policy_names_tests_that_exist() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)`", text)
    assert named
    for name in named:
        assert (ROOT / name).is_file(), name
